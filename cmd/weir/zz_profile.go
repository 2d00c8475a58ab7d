package main

import (
	"os"
	"os/signal"
	"runtime/pprof"
	"strconv"
	"syscall"
)

func init() {
	if p := os.Getenv("WEIR_CPUPROFILE"); p != "" && len(os.Args) > 1 && os.Args[1] == "switchd" {
		f, _ := os.Create(p + "." + strconv.Itoa(os.Getpid()))
		pprof.StartCPUProfile(f)
		ch := make(chan os.Signal, 1)
		signal.Notify(ch, syscall.SIGTERM)
		go func() {
			<-ch
			pprof.StopCPUProfile()
			f.Close()
			h, _ := os.Create(p + ".heap." + strconv.Itoa(os.Getpid()))
			pprof.Lookup("allocs").WriteTo(h, 0)
			h.Close()
		}()
	}
}
