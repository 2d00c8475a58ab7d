// SPDX-License-Identifier: Apache-2.0

package appctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/getopt"
	"github.com/weirswitch/weir/cmd/internal/version"
	"github.com/weirswitch/weir/firmware/base/pidfile"
	"github.com/weirswitch/weir/firmware/base/unixctl"
)

// exitAlarm is what a shell sees of a tool that SIGALRM ended.
const exitAlarm = 128 + 14

// plan is what a command line asks for.
type plan struct {
	target  string
	timeout time.Duration // 0: none
	command string
	args    []string
	print   string // text to print instead
}

func options() []getopt.Option {
	return []getopt.Option{
		{Long: "target", Short: 't', Arg: getopt.Required},
		{Long: "execute", Short: 'e'},
		{Long: "help", Short: 'h'},
		{Long: "option", Short: 'o'},
		{Long: "version", Short: 'V'},
		{Long: "timeout", Short: 'T', Arg: getopt.Required},
		{Long: "verbose", Short: 'v', Arg: getopt.Optional},
		{Long: "log-file", Arg: getopt.Optional},
		{Long: "syslog-method", Arg: getopt.Required},
		{Long: "syslog-target", Arg: getopt.Required},
	}
}

func parse(e env.Env) (*plan, error) {
	found, rest, err := getopt.Parse(options(), e.Args)
	if err != nil {
		return nil, err
	}
	p := &plan{}
	if s := e.Getenv("OVS_CTL_TIMEOUT"); s != "" {
		if n, err := strconv.ParseUint(s, 10, 31); err == nil {
			p.timeout = time.Duration(n) * time.Second
		}
	}
	hasTarget := false
	for _, o := range found {
		switch o.Name {
		case "target":
			if hasTarget {
				return nil, fmt.Errorf("-t or --target may be specified only once")
			}
			p.target, hasTarget = o.Value, true
		case "timeout":
			n, err := strconv.ParseUint(o.Value, 10, 31)
			if err != nil || n == 0 {
				return nil, fmt.Errorf("value %s on -T or --timeout is invalid", o.Value)
			}
			p.timeout = time.Duration(n) * time.Second
		case "help":
			p.print = help(e)
			return p, nil
		case "version":
			p.print = fmt.Sprintf("%s (Weir) %s\n", e.Name, version.String())
			return p, nil
		}
	}
	if !hasTarget {
		p.target = "ovs-vswitchd"
	}
	if len(rest) == 0 {
		return nil, fmt.Errorf("at least one non-option argument is required (use --help for help)")
	}
	p.command, p.args = rest[0], rest[1:]
	return p, nil
}

func help(e env.Env) string {
	return fmt.Sprintf(`%s: asks a running daemon
usage: %s [OPTIONS] COMMAND [ARG...]
  -t, --target=TARGET  the daemon: a name (its pid file is %s/NAME.pid)
                       or the path of its control socket; default ovs-vswitchd
  -T, --timeout=SECS   give up after SECS seconds
  -h, --help           this text
  -V, --version        the version
Commands of every daemon:
  list-commands        what the daemon can be asked
  version              its version
  vlog/list            its log levels
  vlog/set [SPEC]      set log levels: MODULE:DESTINATION:LEVEL
  vlog/reopen          open its log file anew
`, e.Name, e.Name, e.RunDir())
}

// Main runs ovs-appctl and returns its exit code.
func Main(ctx context.Context, e env.Env) int {
	p, err := parse(e)
	if err != nil {
		fmt.Fprintf(e.Stderr, "%s: %s\n", e.Name, err)
		return 1
	}
	if p.print != "" {
		io.WriteString(e.Stdout, p.print)
		return 0
	}
	r := &run{env: e}
	path, err := r.socket(p.target)
	if err != nil {
		fmt.Fprintf(e.Stderr, "%s: %s\n", e.Name, err)
		return 1
	}
	alarm := ctx
	if p.timeout > 0 {
		var cancel context.CancelFunc
		alarm, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	text, err := unixctl.Call(alarm, path, p.command, p.args...)
	var refused *unixctl.CommandError
	switch {
	case err == nil:
		if _, err := io.WriteString(e.Stdout, text); err != nil {
			fmt.Fprintf(e.Stderr, "%s: write to stdout failed\n", e.Name)
			return 1
		}
		return 0
	case errors.As(err, &refused):
		fmt.Fprintf(e.Stderr, "%s%s: %s: server returned an error\n", refused.Text, e.Name, p.target)
		return 2
	case errors.Is(alarm.Err(), context.DeadlineExceeded) && ctx.Err() == nil:
		r.warn("fatal_signal", "terminating with signal 14 (Alarm clock)")
		return exitAlarm
	case isConnect(err):
		r.warn("unixctl", "failed to connect to "+path)
		fmt.Fprintf(e.Stderr, "%s: cannot connect to \"%s\" (%s)\n", e.Name, path, dbconn.Cause(err))
		return 1
	}
	r.warn("unixctl", fmt.Sprintf("error communicating with unix:%s: %s", path, dbconn.Cause(err)))
	fmt.Fprintf(e.Stderr, "%s: %s: transaction error (%s)\n", e.Name, p.target, dbconn.Cause(err))
	return 1
}

// isConnect reports whether Call failed before it sent anything.
func isConnect(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

type run struct {
	env   env.Env
	lines int
}

// warn prints a log line.
func (r *run) warn(module, text string) {
	r.lines++
	fmt.Fprintf(r.env.Stderr, "%s|%05d|%s|WARN|%s\n", r.env.Now().UTC().Format("2006-01-02T15:04:05Z"), r.lines, module, text)
}

// socket returns the path of a target's control socket.
func (r *run) socket(target string) (string, error) {
	if strings.HasPrefix(target, "/") {
		return target, nil
	}
	path := pidfile.Path(r.env.RunDir(), target)
	pid, alive, err := pidfile.Read(path)
	var errno syscall.Errno
	if errors.As(err, &errno) {
		r.warn("daemon_unix", fmt.Sprintf("%s: open: %s", path, dbconn.Cause(err)))
		return "", fmt.Errorf("cannot read pidfile \"%s\" (%s)", path, dbconn.Cause(err))
	}
	if err != nil || !alive {
		return "", fmt.Errorf("cannot read pidfile \"%s\" (No such process)", path)
	}
	return unixctl.Path(r.env.RunDir(), target, pid), nil
}
