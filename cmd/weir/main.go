// SPDX-License-Identifier: Apache-2.0

// Weir is one program with many names. By the name under which it is called
// (a symbolic link), or else by its first word, it is the switch daemon or one
// of its tools:
//
//	weir switchd                the daemon: database server and switch in one
//	weir demo                   a switch and three hosts in network namespaces
//	weir ovs-vsctl, ovs-ofctl, ovs-appctl, ovsdb-client
//	                            the tools of Open vSwitch, for daily use
//	weir init, poweroff, reboot process 1 of a firmware image, and its end
//	weir ports                  the Ethernet ports and switch chips of this machine
//	weir version                the version
//
// Built with -tags dev it is also `weir emulate` (a board in QEMU) and `weir agent` (the
// inner end of the board tests).
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/version"
)

// tool is one thing that the program can be.
type tool struct {
	name string
	what string // one line for the list
	main func(context.Context, env.Env) int
}

func main() {
	ends := []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // nohup goes on when the terminal closes
		ends = append(ends, syscall.SIGHUP)
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	os.Exit(run(ctx, tools(), env.Env{
		Name: filepath.Base(os.Args[0]), Args: os.Args[1:],
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Getenv: os.Getenv, Now: time.Now,
	}))
}

// run finds the tool that e asks for and runs it.
func run(ctx context.Context, all []tool, e env.Env) int {
	for _, t := range all {
		if t.name == e.Name {
			return t.main(ctx, e)
		}
	}
	if len(e.Args) == 0 {
		usage(e.Stderr, all)
		return 1
	}
	name := e.Args[0]
	for _, t := range all {
		if t.name == name {
			e.Name, e.Args = name, e.Args[1:]
			return t.main(ctx, e)
		}
	}
	switch name {
	case "help", "-h", "--help":
		usage(e.Stdout, all)
		return 0
	case "-V", "--version":
		return printVersion(ctx, e)
	}
	fmt.Fprintf(e.Stderr, "weir: there is no tool %q\n", name)
	usage(e.Stderr, all)
	return 1
}

func usage(w io.Writer, all []tool) {
	fmt.Fprintln(w, "usage: weir TOOL [ARGUMENT...], or a symbolic link named TOOL")
	for _, t := range all {
		fmt.Fprintf(w, "  %-14s %s\n", t.name, t.what)
	}
}

func printVersion(_ context.Context, e env.Env) int {
	fmt.Fprintf(e.Stdout, "weir %s (compatible with Open vSwitch %s, schema 8.3.1)\n", version.Weir, version.Compat)
	return 0
}
