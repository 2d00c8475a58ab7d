// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/weirswitch/weir/firmware/base/pidfile"
	"github.com/weirswitch/weir/firmware/base/pki"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/firmware/base/unixctl"
	"github.com/weirswitch/weir/firmware/base/vlog"
	"github.com/weirswitch/weir/firmware/switchd/chip/rtchip"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/journal"
	"github.com/weirswitch/weir/ovsdb/server"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

// Config is what the daemon is told from outside.
type Config struct {
	RunDir  string   // of sockets and pid files; made when absent
	DB      string   // database file; created when absent
	Remotes []string // of the database server, in the words of package server; see ManagerRemotes
	// TLS names the files of keys, each by path or as db:DATABASE,TABLE,COLUMN
	// that has the path. What is empty comes from table SSL.
	TLS     pki.Files
	PidFile string // one more pid file; "": none
	Log     *vlog.Set
	Now     func() time.Time

	OVSVersion string // for the column ovs_version
	Weir       string // our version
	Compat     string // the version of Open vSwitch that we are compatible with
}

// The names under which Open vSwitch's tools look for the two daemons.
const (
	switchName = "ovs-vswitchd"
	serverName = "ovsdb-server"
)

// sysfs is where the kernel tells about devices.
const sysfs = "/sys"

// exitWait bounds the end: what has not ended by then ends with the process.
const exitWait = 10 * time.Second

// Run is the daemon. It returns when ctx ends or somebody tells it to exit, with
// everything taken down.
func Run(ctx context.Context, cfg Config) (err error) {
	if err := privileged(); err != nil {
		return err
	}
	log := cfg.Log.Logger("main")
	ctx, exit := context.WithCancel(ctx)
	defer exit()
	var undo stack
	defer func() { err = errors.Join(err, undo.run()) }()

	if err := os.MkdirAll(cfg.RunDir, 0o755); err != nil {
		return fmt.Errorf("run directory: %w", err)
	}
	if err := writePidFiles(cfg, &undo); err != nil {
		return err
	}
	if limit, err := limitMemory(); err != nil {
		log.Warn("no memory limit", "err", err)
	} else {
		log.Debug("memory limit", "bytes", limit)
	}
	log.Info(fmt.Sprintf("Weir %s, compatible with Open vSwitch %s", cfg.Weir, cfg.Compat))

	var srv *server.Server
	var rec *reconciler
	kick := func() { rec.Kick() }
	keys := pki.New(pki.Options{Log: cfg.Log.Logger("stream_ssl"), Now: cfg.Now, Changed: func() { srv.Retry(); kick() }})
	undo.push(func() error { keys.Close(); return nil })
	if srv, err = serveDatabase(cfg, keys, &undo); err != nil {
		return err
	}
	devs, err := openDevices()
	if err != nil {
		return fmt.Errorf("network devices: %w", err)
	}
	undo.push(devs.close)

	brs := newBridges(ctx, cfg, keys, kick)
	rec = newReconciler(cfg, serverStore{srv, vswitch.Schema().Name}, devs, about(cfg), brs, func(k wanted.Kind) (*tier, error) {
		return openTier(k, cfg, brs, devs, func(t *tier, bridge string) { rec.barrier(t, bridge) }, rec.portStats)
	})

	hw, err := rtchip.Open(sysfs, cfg.Now)
	if err != nil {
		log.Warn("switch chips are not looked for", "err", err)
	} else {
		undo.push(hw.Close)
		rec.offload.chips = hw
	}

	var cleanup atomic.Bool
	ctls := []struct {
		name     string
		commands []unixctl.Command
	}{
		{switchName, append(rec.commands(ctx), exitCommand(exit, &cleanup, true))},
		{serverName, append(srv.Commands(), exitCommand(exit, &cleanup, false))},
	}
	for _, c := range ctls {
		version := fmt.Sprintf("%s (Weir %s, compatible with Open vSwitch) %s", c.name, cfg.Weir, cfg.Compat)
		if err := serveControl(ctx, cfg, c.name, version, append(c.commands, cfg.Log.Commands()...), &undo); err != nil {
			return err
		}
	}
	stopWatch, err := srv.Watch(vswitch.Name, func(*engine.Commit) { kick() })
	if err != nil {
		return err
	}
	undo.push(func() error { stopWatch(); return nil })
	if err := followKeys(cfg, srv, keys, &undo); err != nil {
		return err
	}

	var running sync.WaitGroup
	var blind error
	running.Go(func() {
		if err := devs.watch(ctx, rec.Nudge); err != nil && ctx.Err() == nil {
			blind = fmt.Errorf("devices are not followed any more: %w", err)
			exit() // a supervisor starts us again; going on blind would be worse
		}
	})
	if hw != nil {
		running.Go(func() {
			if err := hw.Watch(ctx, rec.Nudge, rec.Moved); err != nil && ctx.Err() == nil {
				log.Warn("switch chips are not followed any more; every run looks at them", "err", err)
			}
		})
	}
	running.Go(func() { rec.run(ctx) })
	running.Go(func() { keepTidy(ctx) })
	if err := serveRemotes(cfg, srv); err != nil {
		exit()
		running.Wait()
		return errors.Join(err, brs.close(), rec.close(false))
	}
	<-ctx.Done()
	log.Info("exiting")
	done := make(chan struct{})
	go func() { running.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(exitWait):
		return errors.New("the reconciler did not end")
	}
	return errors.Join(blind, brs.close(), rec.close(cleanup.Load()))
}

// stack is what is to be undone at the end, the last first.
type stack []func() error

func (s *stack) push(f func() error) { *s = append(*s, f) }

func (s *stack) run() error {
	var errs []error
	for i := len(*s) - 1; i >= 0; i-- {
		errs = append(errs, (*s)[i]())
	}
	return errors.Join(errs...)
}

// writePidFiles takes the run directory: a second daemon in it is refused.
func writePidFiles(cfg Config, undo *stack) error {
	paths := []string{pidfile.Path(cfg.RunDir, switchName), pidfile.Path(cfg.RunDir, serverName)}
	if cfg.PidFile != "" && cfg.PidFile != paths[0] && cfg.PidFile != paths[1] {
		paths = append(paths, cfg.PidFile)
	}
	for _, p := range paths {
		f, err := pidfile.Create(p)
		if err != nil {
			var running *pidfile.RunningError
			if errors.As(err, &running) {
				return fmt.Errorf("the run directory %s belongs to process %d, which is running: %w", cfg.RunDir, running.PID, err)
			}
			return err
		}
		undo.push(f.Close)
	}
	return nil
}

// maxReply bounds the reply to one transaction, in bytes: every session may make the
// daemon hold one, and a router has little memory.
const maxReply = 8 << 20

// serveDatabase opens the database file, creating it when absent, and makes
// the server for it; remotes come when the switch is ready.
func serveDatabase(cfg Config, tls server.TLS, undo *stack) (*server.Server, error) {
	log := cfg.Log.Logger("ovsdb_server")
	var err error
	if cfg.DB, err = journal.Follow(cfg.DB); err != nil {
		return nil, fmt.Errorf("database file: %w", err)
	}
	if _, err := os.Stat(cfg.DB); errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(cfg.DB), 0o755); err != nil {
			return nil, fmt.Errorf("database directory: %w", err)
		}
		if err := journal.Create(journal.OS{}, cfg.DB, vswitch.Schema()); err != nil {
			return nil, fmt.Errorf("create database: %w", err)
		}
		log.Info("created database " + cfg.DB)
	}
	j, db, err := journal.Open(journal.OS{}, cfg.DB, journal.Options{
		Warn: func(s string) { log.Warn(s) }, Clock: cfg.Now,
		Engine: engine.Options{MaxReply: maxReply},
	})
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	undo.push(j.Close)
	if got, want := db.Schema().Name, vswitch.Name; got != want {
		return nil, fmt.Errorf("database %s has the schema %q, not %q", cfg.DB, got, want)
	}
	srv, err := server.New(server.Options{Log: cfg.Log.Logger("jsonrpc"), Now: cfg.Now, TLS: tls})
	if err != nil {
		return nil, err
	}
	undo.push(srv.Close)
	return srv, srv.AddDatabase(db, j)
}

// serverStore is the reconciler's store on the database server.
type serverStore struct {
	srv  *server.Server
	name string // of the database
}

func (s serverStore) Snapshot() *engine.Snapshot { return s.srv.Snapshot(s.name) }

func (s serverStore) Update(f func(*engine.Txn) error) error {
	_, err := s.srv.Update(s.name, f)
	return err
}

// serveControl listens for ovs-appctl.
func serveControl(ctx context.Context, cfg Config, daemon, version string, commands []unixctl.Command, undo *stack) error {
	path := unixctl.Path(cfg.RunDir, daemon, os.Getpid())
	l, err := stream.Listen(ctx, stream.Addr{Passive: true, Path: path}, nil)
	if err != nil {
		return fmt.Errorf("control socket of %s: %w", daemon, err)
	}
	s := unixctl.NewServer(version, cfg.Log.Logger("unixctl"), commands...)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	undo.push(func() error {
		err := l.Close()
		if errors.Is(err, net.ErrClosed) {
			err = nil
		}
		s.Close()
		return errors.Join(err, <-served)
	})
	return nil
}

// exitCommand ends the daemon behind the reply.
func exitCommand(exit func(), cleanup *atomic.Bool, withCleanup bool) unixctl.Command {
	c := unixctl.Command{Name: "exit", After: exit}
	if withCleanup {
		c.Usage, c.Max = "[--cleanup]", 1
	}
	c.Run = func(args []string) (string, error) {
		if len(args) > 0 {
			if args[0] != "--cleanup" {
				return "", fmt.Errorf("exit: unknown option %q", args[0])
			}
			cleanup.Store(true)
		}
		return "", nil
	}
	return c
}

func about(cfg Config) wanted.About {
	id, version := osRelease(readOSRelease())
	return wanted.About{
		OVSVersion: cfg.OVSVersion, DBVersion: vswitch.Schema().Version,
		SystemType: id, SystemVersion: version, DatapathVersion: "weir " + cfg.Weir,
	}
}
