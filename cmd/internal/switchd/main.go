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
	"github.com/weirswitch/weir/firmware/base/pki"
	"github.com/weirswitch/weir/firmware/base/vlog"
	daemon "github.com/weirswitch/weir/firmware/switchd"
)

// options are the command line.
type options struct {
	rundir, db, pidfile, logFile, logLevel string
	remotes                                []string
	tls                                    pki.Files
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
	f.Func("remote", "`address` of the database server, may be repeated (default punix:RUNDIR/db.sock and "+daemon.ManagerRemotes+")", func(s string) error {
		o.remotes = append(o.remotes, s)
		return nil
	})
	const column = " `file`, or db:DATABASE,TABLE,COLUMN that has its name (default from table SSL)"
	for _, name := range []string{"private-key", "p"} {
		f.StringVar(&o.tls.PrivateKey, name, "", "private key"+column)
	}
	for _, name := range []string{"certificate", "c"} {
		f.StringVar(&o.tls.Certificate, name, "", "certificate"+column)
	}
	for _, name := range []string{"ca-cert", "C"} {
		f.StringVar(&o.tls.CACert, name, "", "peers' CA certificate"+column+"; none: trust everybody")
	}
	f.Func("bootstrap-ca-cert", "like ca-cert, but a `file` that is not there is fetched from the first peer", func(s string) error {
		o.tls.CACert, o.tls.Bootstrap = s, true
		return nil
	})
	f.Var((*pidfile)(&o.pidfile), "pidfile", "one more pid `file`, as --pidfile=FILE; those in the run directory are always written")
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
		o.remotes = []string{"punix:" + filepath.Join(o.rundir, "db.sock"), daemon.ManagerRemotes}
	}
	return o, nil
}

func usage(w io.Writer, f *flag.FlagSet) {
	fmt.Fprint(w, "usage: weir switchd [OPTION...]\nThe switch daemon: database server and switch in one.\n\n")
	f.PrintDefaults()
}

// pidfile is an option whose value may be left out, as with stock, where
// --pidfile alone asks for the file in the run directory.
type pidfile string

func (p *pidfile) String() string   { return string(*p) }
func (p *pidfile) IsBoolFlag() bool { return true }

func (p *pidfile) Set(s string) error {
	if s != "true" { // what package flag passes for --pidfile alone
		*p = pidfile(s)
	}
	return nil
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
		RunDir: o.rundir, DB: o.db, Remotes: o.remotes, TLS: o.tls, PidFile: o.pidfile,
		Log: log, Now: e.Now,
		OVSVersion: version.OVS(), Weir: version.Weir, Compat: version.Compat,
	})
	if err != nil {
		log.Logger("main").Error("the switch ends", "err", err)
		return 1
	}
	return 0
}
