// SPDX-License-Identifier: Apache-2.0

// Package ports is the tool "weir ports": which Ethernet ports the machine
// has, which of them are ports of a switch chip, and what the chip's driver
// can do for them.
//
//	weir ports                    a table
//	weir ports --json             the same as JSON
//	weir ports --from FILE        of a record instead of this machine
//	weir ports --record DIR       write the raw facts to DIR/record.txt and what
//	                              was made of them to DIR/ports.txt and
//	                              DIR/ports.json: test data, and what to send
//	                              with a question about a board
//	weir ports --watch            the changes, one a line, until interrupted
package ports

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/getopt"
	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/discover"
)

const help = `weir ports: the Ethernet ports and switch chips of this machine
usage: weir ports [--json] [--from FILE | --record DIR | --watch]
  --json        as JSON
  --from FILE   of a record that --record wrote
  --record DIR  write record.txt, ports.txt, ports.json to DIR
  --watch       print changes until interrupted
`

// plan is what a command line asks for.
type plan struct {
	json, watch, help bool
	from, record      string
}

func parse(args []string) (plan, error) {
	found, rest, err := getopt.Parse([]getopt.Option{
		{Long: "json"}, {Long: "watch"}, {Long: "help", Short: 'h'},
		{Long: "from", Arg: getopt.Required}, {Long: "record", Arg: getopt.Required},
	}, args)
	if err != nil {
		return plan{}, err
	}
	var p plan
	for _, o := range found {
		switch o.Name {
		case "json":
			p.json = true
		case "watch":
			p.watch = true
		case "help":
			p.help = true
		case "from":
			p.from = o.Value
		case "record":
			p.record = o.Value
		}
	}
	if len(rest) > 0 {
		return plan{}, fmt.Errorf("unexpected argument %q", rest[0])
	}
	if n := btoi(p.from != "") + btoi(p.record != "") + btoi(p.watch); n > 1 {
		return plan{}, fmt.Errorf("only one of --from, --record and --watch may be given")
	}
	return p, nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Main runs the tool.
func Main(ctx context.Context, e env.Env) int {
	p, err := parse(e.Args)
	if err == nil {
		err = p.run(ctx, e)
	}
	if err != nil {
		fmt.Fprintf(e.Stderr, "weir ports: %v\n", err)
		return 1
	}
	return 0
}

func (p plan) run(ctx context.Context, e env.Env) error {
	if p.help {
		_, err := io.WriteString(e.Stdout, help)
		return err
	}
	if p.from != "" {
		f, err := os.Open(p.from)
		if err != nil {
			return err
		}
		defer f.Close()
		rec, err := discover.ParseRecord(f)
		if err != nil {
			return err
		}
		return p.show(e, rec)
	}
	runtime.LockOSThread() // the sockets belong to this thread's network namespace
	defer runtime.UnlockOSThread()
	r, err := discover.Open("/sys")
	if err != nil {
		return err
	}
	defer r.Close()
	if p.watch {
		return discover.Watch(ctx, r, func(_ dsa.Topology, changes []dsa.Change) {
			for _, c := range changes {
				p.change(e, c)
			}
		})
	}
	rec, err := r.Record()
	if err != nil {
		return err
	}
	if p.record != "" {
		return write(p.record, rec)
	}
	return p.show(e, rec)
}

// show prints what can be decoded, then what could not.
func (p plan) show(e env.Env, rec *discover.Record) error {
	t, bad := discover.Build(rec)
	if err := print(e.Stdout, t, p.json); err != nil {
		return err
	}
	return bad
}

func print(w io.Writer, t dsa.Topology, asJSON bool) error {
	if !asJSON {
		return t.WriteText(w)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(t)
}

func (p plan) change(e env.Env, c dsa.Change) {
	if p.json {
		_ = json.NewEncoder(e.Stdout).Encode(c)
		return
	}
	port := c.New
	if c.Kind == dsa.PortRemoved {
		port = c.Old
	}
	fmt.Fprintf(e.Stdout, "%s %s %s\n", c.Kind, port.Name, strings.Join(c.Fields(), " "))
}

func write(dir string, rec *discover.Record) error {
	t, bad := discover.Build(rec)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		to   func(io.Writer) error
	}{
		{"record.txt", func(w io.Writer) error { _, err := rec.WriteTo(w); return err }},
		{"ports.txt", func(w io.Writer) error { return print(w, t, false) }},
		{"ports.json", func(w io.Writer) error { return print(w, t, true) }},
	} {
		var b strings.Builder
		if err := f.to(&b); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte(b.String()), 0o644); err != nil {
			return err
		}
	}
	return bad
}
