// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
)

// exitAlarm is what a shell sees of a tool that SIGALRM ended.
const exitAlarm = 128 + 14

// Main runs ovs-vsctl and returns its exit code: 0 success, 1 an error, 2 the
// bridge of br-exists is not there, 142 --timeout passed.
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
	var alarm context.Context = ctx
	if p.timeout > 0 {
		var cancel context.CancelFunc
		alarm, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	s := &session{env: e, plan: p}
	if !readOnly(p.calls) {
		s.logged = 1 // stock logs its arguments, to syslog only
	}
	code, err := s.run(alarm)
	switch {
	case err == nil:
		return code
	case errors.Is(alarm.Err(), context.DeadlineExceeded) && ctx.Err() == nil:
		s.warn("fatal_signal", "terminating with signal 14 (Alarm clock)")
		return exitAlarm
	}
	fmt.Fprintf(e.Stderr, "%s: %s\n", e.Name, err)
	return 1
}

func readOnly(calls []*ctl.Call) bool {
	for _, c := range calls {
		if !c.ReadOnly {
			return false
		}
	}
	return true
}

// session is one run against a database.
type session struct {
	env    env.Env
	plan   *plan
	conn   *dbconn.Conn
	logged int
}

// warn prints a log line as the stock tool does on stderr.
func (s *session) warn(module, text string) {
	s.logged++
	fmt.Fprintf(s.env.Stderr, "%s|%05d|%s|WARN|%s\n", s.env.Now().UTC().Format("2006-01-02T15:04:05Z"), s.logged, module, text)
}

// dial connects, again and again with --retry.
func (s *session) dial(ctx context.Context) error {
	for {
		var err error
		for name := range strings.SplitSeq(s.plan.db, ",") {
			if s.conn, err = dbconn.Dial(ctx, s.env.RunDir(), name, s.plan.tls); err == nil {
				return nil
			}
		}
		if !s.plan.retry {
			return fmt.Errorf("%s: database connection failed (%s)", s.plan.db, dbconn.Cause(err))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// print writes the output of the calls.
func (s *session) print(calls []*ctl.Context) error {
	printer := table.NewPrinter(s.env.Stdout, s.plan.style)
	for _, c := range calls {
		text := c.Out.String()
		switch {
		case c.Table != nil:
			if err := printer.Print(c.Table); err != nil {
				return err
			}
			continue
		case s.plan.oneline:
			text = strings.TrimSuffix(text, "\n")
			text = strings.NewReplacer("\\", "\\\\", "\n", "\\n").Replace(text) + "\n"
		}
		if _, err := io.WriteString(s.env.Stdout, text); err != nil {
			return fmt.Errorf("write to stdout failed")
		}
	}
	return nil
}
