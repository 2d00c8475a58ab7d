// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"

	"github.com/weirswitch/weir/cmd/internal/ofctl/ofprint"
)

// What a shell sees of a tool that a signal ended.
const (
	exitInterrupt = 128 + 2
	exitAlarm     = 128 + 14
	exitTerm      = 128 + 15
)

// command is one of the tool's commands.
type command struct {
	name     string
	min, max int // arguments; max -1: any
	writes   bool
	usage    string
	help     string // "": hidden
	run      func(*session, []string) (exit int, err error)
}

// plain makes a command whose exit code is 0 or 1.
func plain(f func(*session, []string) error) func(*session, []string) (int, error) {
	return func(s *session, args []string) (int, error) { return 0, f(s, args) }
}

// errExit ends the tool with 1; what was to be said has been.
var errExit = errors.New("exit")

// Main runs ovs-ofctl and returns its exit code.
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
	s := &session{ctx: ctx, env: e, plan: p}
	if p.timeout > 0 {
		var cancel context.CancelFunc
		s.ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	defer s.closeAll()
	if len(p.args) > 0 {
		s.target = p.args[0]
	}
	code, err := p.command.run(s, p.args)
	var w *oftext.Warning
	switch {
	case err == nil:
		return code
	case errors.Is(err, errExit):
		return 1
	case ctx.Err() != nil:
		if c := context.Cause(ctx); c != nil && strings.Contains(c.Error(), "interrupt") {
			s.log("fatal_signal", "WARN", "terminating with signal 2 (Interrupt)")
			return exitInterrupt
		}
		s.log("fatal_signal", "WARN", "terminating with signal 15 (Terminated)")
		return exitTerm
	case errors.Is(s.ctx.Err(), context.DeadlineExceeded):
		s.log("fatal_signal", "WARN", "terminating with signal 14 (Alarm clock)")
		return exitAlarm
	case errors.As(err, &w):
		s.log(w.Module, "WARN", w.Text)
	}
	s.logRange(oftext.ErrorText(err))
	fmt.Fprintf(e.Stderr, "%s: %s\n", e.Name, oftext.ErrorText(err))
	return 1
}

// session is one run of the tool.
type session struct {
	ctx    context.Context
	env    env.Env
	plan   *plan
	target string // the switch, as the user named it
	xid    uint32
	lines  int // of the log
	conns  []*conn
	known  map[string]*switchNames
}

// switchNames are the names of a switch's ports and tables.
type switchNames struct {
	take oftext.Names
	show ofprint.Options
}

func (s *session) nextXID() uint32 { s.xid++; return s.xid }

func (s *session) closeAll() {
	for _, c := range s.conns {
		c.close()
	}
}

// log prints a log line as the stock tool does on stderr.
func (s *session) log(module, level, text string) {
	s.lines++
	fmt.Fprintf(s.env.Stderr, "%s|%05d|%s|%s|%s\n", s.env.Now().UTC().Format("2006-01-02T15:04:05Z"), s.lines, module, level, text)
}

// logRange says why a number in an error is not known, where it is out of range.
func (s *session) logRange(text string) {
	n, rest, _ := strings.Cut(text, ": ")
	v, err := strconv.ParseUint(n, 10, 32)
	switch {
	case err != nil:
	case strings.Contains(rest, "unknown port"):
		s.log("ofp_port", "WARN", fmt.Sprintf("port %d is outside the supported range 0 through ffff or 0xffffff00 through 0xffffffff", v))
	case strings.Contains(rest, "unknown table"):
		s.log("ofp_table", "WARN", fmt.Sprintf("table %d is outside the supported range 0 through 255", v))
	}
}

func (s *session) printf(format string, args ...any) { fmt.Fprintf(s.env.Stdout, format, args...) }

// show prints a message.
func (s *session) show(raw []byte, o ofprint.Options) {
	io.WriteString(s.env.Stdout, ofprint.Message(raw, o))
}

// refuse prints the message with which a switch refused something.
func (s *session) refuse(raw []byte) error {
	if raw == nil {
		return nil
	}
	io.WriteString(s.env.Stderr, ofprint.Message(raw, s.verbose(ofprint.Options{}, 2)))
	return errExit
}

// verbose adds -m and more to o.
func (s *session) verbose(o ofprint.Options, more int) ofprint.Options {
	o.Verbosity = s.plan.verbosity + more
	return o
}

// namesOf asks a switch for the names of its ports and tables, once.
func (s *session) namesOf(target string) (*switchNames, error) {
	if n, ok := s.known[target]; ok {
		return n, nil
	}
	n := &switchNames{}
	if s.known == nil {
		s.known = make(map[string]*switchNames)
	}
	s.known[target] = n
	if s.plan.names == namesOff {
		return n, nil
	}
	n.take = oftext.Names{Ports: make(map[string]action.Port), Tables: make(map[string]uint8)}
	ports, err := s.ports(target)
	if err != nil {
		return nil, err
	}
	twice := make(map[string]bool)
	for _, p := range ports {
		if _, ok := n.take.Ports[p.Name]; ok {
			twice[p.Name] = true
		}
		n.take.Ports[p.Name] = p.No
	}
	tables, err := s.tableNames(target)
	if err != nil {
		return nil, err
	}
	for t, name := range tables {
		n.take.Tables[name] = t
	}
	for name := range twice {
		delete(n.take.Ports, name)
	}
	n.show = ofprint.Options{Ports: make(flow.PortNames), Tables: tables}
	for name, p := range n.take.Ports {
		n.show.Ports[uint32(p)] = name
	}
	return n, nil
}

// take returns the names that texts for a switch may use.
func (s *session) take(target string) (oftext.Names, error) {
	n, err := s.namesOf(target)
	if err != nil {
		return oftext.Names{}, err
	}
	return n.take, nil
}

// display returns how to print what a switch says.
func (s *session) display(target string) (ofprint.Options, error) {
	o := ofprint.Options{Verbosity: s.plan.verbosity}
	if !s.plan.showNames(s.env) {
		return o, nil
	}
	n, err := s.namesOf(target)
	if err != nil {
		return o, err
	}
	return s.verbose(n.show, 0), nil
}

// ports asks for all ports.
func (s *session) ports(target string) ([]openflow.PortDesc, error) {
	c, err := s.open(target, "mgmt", false)
	if err != nil {
		return nil, err
	}
	defer c.close()
	if c.version == ofp.V10 {
		m, _, err := c.call(&openflow.FeaturesRequest{})
		if err != nil {
			return nil, err
		}
		f, ok := m.(*openflow.FeaturesReply)
		if !ok {
			return nil, fmt.Errorf("%s: received bad features reply", target)
		}
		if len(f.Ports) > 0 {
			return f.Ports, nil
		}
	}
	var ports []openflow.PortDesc
	err = c.parts(&openflow.PortDescRequest{Port: action.PortAny}, func(m openflow.Message, _ []byte) (bool, error) {
		r, ok := m.(*openflow.PortDescReply)
		if !ok {
			return false, fmt.Errorf("%s: received bad reply", target)
		}
		ports = append(ports, r.Ports...)
		return r.More, nil
	})
	return ports, err
}

// tableNames asks for the tables that have a name. Where the switch has no
// answer there are none.
func (s *session) tableNames(target string) (map[uint8]string, error) {
	c, err := s.open(target, "mgmt", false)
	if err != nil {
		return nil, err
	}
	defer c.close()
	tables := make(map[uint8]string)
	put := func(t uint8, name string) {
		if name != "" {
			tables[t] = name
		}
	}
	var q openflow.Message = &openflow.TableFeaturesRequest{}
	if c.version < ofp.V13 {
		q = &openflow.TableStatsRequest{}
	}
	err = c.parts(q, func(m openflow.Message, _ []byte) (bool, error) {
		switch m := m.(type) {
		case *openflow.TableFeaturesReply:
			for _, t := range m.Tables {
				put(t.Table, t.Name)
			}
			return m.More, nil
		case *openflow.TableStatsReply:
			for _, t := range m.Tables {
				put(t.Table, t.Name)
			}
			return m.More, nil
		}
		return false, nil
	})
	return tables, err
}
