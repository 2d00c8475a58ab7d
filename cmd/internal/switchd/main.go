// SPDX-License-Identifier: Apache-2.0

// Package switchd is `weir switchd`, the daemon: its options, and the one call.
package switchd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/version"
	"github.com/weirswitch/weir/firmware/base/vlog"
	daemon "github.com/weirswitch/weir/firmware/switchd"
)

// options are the command line.
type options struct {
	rundir, db, pidfile, logFile, logLevel string
	remotes                                []string
	version                                bool
}

// parse reads the command line. What is not given comes from OVS_RUNDIR and
// OVS_DBDIR, as with stock.
func parse(e env.Env) (options, error) {
	o := options{}
	f := flag.NewFlagSet("weir switchd", flag.ContinueOnError)
	f.SetOutput(e.Stderr)
	f.Usage = func() { usage(e.Stderr, f) }
	f.StringVar(&o.rundir, "rundir", e.RunDir(), "`directory` of sockets and pid files")
	f.StringVar(&o.db, "db", filepath.Join(e.DBDir(), "conf.db"), "database `file`, created when absent")
	f.Func("remote", "`address` of the database server, may be repeated (default punix:RUNDIR/db.sock)", func(s string) error {
		o.remotes = append(o.remotes, s)
		return nil
	})
	f.StringVar(&o.pidfile, "pidfile", "", "one more pid `file`, besides those in the run directory")
	f.StringVar(&o.logLevel, "log-level", "info", "`level` (off, emer, err, warn, info, dbg) or MODULE:LEVEL,...")
	f.StringVar(&o.logFile, "log-file", "", "`file` to log to, besides standard error")
	f.BoolVar(&o.version, "version", false, "print the version")
	f.BoolVar(&o.version, "V", false, "print the version")
	if err := f.Parse(e.Args); err != nil {
		return o, err
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if len(o.remotes) == 0 {
		o.remotes = []string{"punix:" + filepath.Join(o.rundir, "db.sock")}
	}
	return o, nil
}

func usage(w io.Writer, f *flag.FlagSet) {
	fmt.Fprint(w, "usage: weir switchd [OPTION...]\nThe switch daemon: database server and switch in one.\n\n")
	f.PrintDefaults()
}

// levels turns an option's value into specifications for vlog.
func levels(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
}

// Main runs the daemon until ctx ends or it is told to exit.
func Main(ctx context.Context, e env.Env) int {
	o, err := parse(e)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(e.Stderr, "%s: %v\n", e.Name, err)
		return 1
	case o.version:
		fmt.Fprintf(e.Stdout, "ovs-vswitchd (Weir %s) %s\nDB Schema 8.3.1\n", version.Weir, version.Compat)
		return 0
	}
	log := vlog.New(e.Stderr, e.Now)
	for _, l := range levels(o.logLevel) {
		if err := log.Apply(l); err != nil {
			fmt.Fprintf(e.Stderr, "%s: --log-level %s: %v\n", e.Name, o.logLevel, err)
			return 1
		}
	}
	if o.logFile != "" {
		if err := log.OpenFile(o.logFile); err != nil {
			fmt.Fprintf(e.Stderr, "%s: %v\n", e.Name, err)
			return 1
		}
		defer log.CloseFile()
	}
	err = daemon.Run(ctx, daemon.Config{
		RunDir: o.rundir, DB: o.db, Remotes: o.remotes, PidFile: o.pidfile,
		Log: log, Now: e.Now,
		OVSVersion: version.OVS(), Weir: version.Weir, Compat: version.Compat,
	})
	if err != nil {
		log.Logger("main").Error("the switch ends", "err", err)
		return 1
	}
	return 0
}
