// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/ofctl/ofprint"
	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/firmware/base/order"
)

func causeOf(err error) string { return dbconn.Cause(err) }

func (c *conn) talkingAs(what string, err error) error {
	return fmt.Errorf("%s (%s)", what, dbconn.Cause(err))
}

func hexBytes(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		return nil, errors.New("trailing garbage following hex bytes")
	}
	return b, nil
}

// normalized tells the user that parts of a match have no effect.
func (s *session) normalized(ms ...*oftext.Flow) {
	for _, m := range ms {
		a, b := m.Raw, m.Match
		for _, f := range []flow.Field{flow.FieldIPFrag, flow.FieldTCPFlags} { // of which nobody is told
			a.Any(f)
			b.Any(f)
		}
		if a == b || onlyPorts(a, b) {
			continue
		}
		s.log("ofp_match", "INFO", "normalization changed ofp_match, details:")
		s.log("ofp_match", "INFO", " pre: "+m.Raw.String())
		s.log("ofp_match", "INFO", "post: "+m.Match.String())
	}
}

// onlyPorts reports whether a and b differ only in the bits of a port that are
// not ICMP's.
func onlyPorts(a, b flow.Match) bool {
	for _, m := range []*flow.Match{&a, &b} {
		m.Any(flow.FieldTPSrc)
		m.Any(flow.FieldTPDst)
	}
	return a == b && (flow.PrereqICMPv4.Met(&b) || flow.PrereqICMPv6.Met(&b))
}

// sendFlows sends flow_mods, reads the refusals at the end.
func (s *session) sendFlows(target string, ms []*oftext.Flow, usable oftext.Protocols) error {
	c, err := s.openForChanges(target, usable)
	if err != nil {
		return err
	}
	all := make([]openflow.Message, len(ms))
	for i, m := range ms {
		all[i] = m.ForVersion(c.version)
	}
	return s.changeAll(c, all)
}

// flowsFrom sends the flow of the command line, or those of standard input for
// "-".
func (s *session) flowsFrom(target, text string, c openflow.FlowModCommand) error {
	if text == "-" {
		return s.flowsFromFile(target, text, c)
	}
	n, err := s.take(target)
	if err != nil {
		return err
	}
	m, err := oftext.ParseFlow(text, c, n)
	if err != nil {
		return err
	}
	s.normalized(m)
	return s.sendFlows(target, []*oftext.Flow{m}, m.Usable)
}

func (s *session) flowsFromFile(target, name string, c openflow.FlowModCommand) error {
	n, err := s.take(target)
	if err != nil {
		return err
	}
	b, name, err := s.readFile(name)
	if err != nil {
		return err
	}
	ms, usable, err := oftext.ParseFlows(name, string(b), c, true, n)
	if err != nil {
		return err
	}
	s.normalized(ms...)
	return s.sendFlows(target, ms, usable)
}

func addFlow(s *session, args []string) error { return s.flowsFrom(args[0], args[1], openflow.FlowAdd) }

func addFlows(s *session, args []string) error {
	return s.flowsFromFile(args[0], args[1], openflow.FlowAdd)
}

func modFlows(s *session, args []string) error {
	c := openflow.FlowModify
	if s.plan.strict {
		c = openflow.FlowModifyStrict
	}
	return s.flowsFrom(args[0], args[1], c)
}

func delFlows(s *session, args []string) error {
	c, text := openflow.FlowDelete, ""
	if s.plan.strict {
		c = openflow.FlowDeleteStrict
	}
	if len(args) > 1 {
		text = args[1]
	}
	return s.flowsFrom(args[0], text, c)
}

// filterOf reads the optional second argument of the dump commands.
func (s *session) filterOf(args []string) (openflow.FlowFilter, oftext.Protocols, error) {
	text := ""
	var n oftext.Names
	if len(args) > 1 {
		text = args[1]
		var err error
		if n, err = s.take(args[0]); err != nil {
			return openflow.FlowFilter{}, 0, err
		}
	}
	f, m, err := oftext.ParseFilter(text, n)
	if err != nil {
		return f, 0, err
	}
	return f, m.Usable, nil
}

// openForDump connects in the best format that can carry the filter.
func (s *session) openForDump(args []string) (*conn, openflow.FlowFilter, error) {
	f, usable, err := s.filterOf(args)
	if err != nil {
		return nil, f, err
	}
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return nil, f, err
	}
	return c, f, c.forDump(usable)
}

func (c *conn) isNXM() bool { return c.cur&(oftext.NXM|oftext.NXMTID) != 0 }

func dumpAggregate(s *session, args []string) error {
	c, f, err := s.openForDump(args)
	if err != nil {
		return err
	}
	return s.printReply(c, args[0], &openflow.AggregateRequest{FlowFilter: f, Nicira: c.isNXM()})
}

func dumpFlows(s *session, args []string) error {
	c, f, err := s.openForDump(args)
	if err != nil {
		return err
	}
	show := s.plan.showNames(s.env)
	if len(s.plan.sort) == 0 && !show && !s.plan.noStats {
		return s.printReply(c, args[0], &openflow.FlowStatsRequest{FlowFilter: f, Nicira: c.isNXM()})
	}
	o, err := s.display(args[0])
	if err != nil {
		return err
	}
	flows, err := c.flows(f)
	if err != nil {
		return err
	}
	if len(s.plan.sort) > 0 {
		order.Stable(flows, func(a, b openflow.FlowStats) int { return compareFlows(s.plan.sort, &a, &b) })
	}
	for i := range flows {
		if c.isNXM() { // which are not shown in this form
			flows[i].IdleAge, flows[i].HardAge = -1, -1
		}
		s.printf(" %s\n", ofprint.FlowStats(&flows[i], o, !s.plan.noStats))
	}
	return nil
}

// flows asks for the flows that f selects.
func (c *conn) flows(f openflow.FlowFilter) (flows []openflow.FlowStats, err error) {
	err = c.parts(&openflow.FlowStatsRequest{FlowFilter: f, Nicira: c.isNXM()}, func(m openflow.Message, raw []byte) (bool, error) {
		r, ok := m.(*openflow.FlowStatsReply)
		if !ok {
			return false, c.s.refuse(raw)
		}
		flows = append(flows, r.Flows...)
		return r.More, nil
	})
	return flows, err
}

// compareFlows orders flows by the keys of --sort; flows without a field stand
// behind those that have it, in either direction.
func compareFlows(keys []sortKey, a, b *openflow.FlowStats) int {
	for _, k := range keys {
		var r int
		if k.field == flow.FieldNone {
			r = cmp.Compare(a.Priority, b.Priority)
		} else {
			hasA, hasB := sortable(&a.Match, k.field), sortable(&b.Match, k.field)
			if !hasA || !hasB {
				if hasA != hasB {
					if hasA {
						return -1
					}
					return 1
				}
				continue
			}
			x, y := a.Match.Key.Get(k.field), b.Match.Key.Get(k.field)
			if r = cmp.Compare(x.Hi, y.Hi); r == 0 {
				r = cmp.Compare(x.Lo, y.Lo)
			}
		}
		if k.down {
			r = -r
		}
		if r != 0 {
			return r
		}
	}
	return 0
}

func sortable(m *flow.Match, f flow.Field) bool { return m.Has(f) && !m.Mask.Get(f).IsZero() }

// version is a flow of a source of diff-flows.
type flowVersion struct {
	cookie                uint64
	idle, hard, important uint16
	in                    action.Instructions
}

func (v *flowVersion) equal(o *flowVersion) bool {
	return v.cookie == o.cookie && v.idle == o.idle && v.hard == o.hard && v.important == o.important && v.in.String() == o.in.String()
}

// flowKey identifies a flow.
type flowKey struct {
	table    uint8
	priority uint16
	match    flow.Match
}

// flowEntry is a flow in none, one or both sources.
type flowEntry struct {
	key flowKey
	v   [2]*flowVersion
}

// flowSet is the flows of two sources, in the order in which they came.
type flowSet struct {
	at   map[flowKey]*flowEntry
	list []*flowEntry
}

func (t *flowSet) put(which int, k flowKey, v flowVersion) {
	e := t.at[k]
	if e == nil {
		e = &flowEntry{key: k}
		t.at[k] = e
		t.list = append(t.list, e)
	}
	e.v[which] = &v
}

// sorted returns the entries by table and falling priority.
func (t *flowSet) sorted() []*flowEntry {
	slices.SortStableFunc(t.list, func(a, b *flowEntry) int {
		return cmp.Or(cmp.Compare(a.key.table, b.key.table), cmp.Compare(b.key.priority, a.key.priority))
	})
	return t.list
}

func (t *flowSet) putFile(which int, ms []*oftext.Flow) {
	for _, m := range ms {
		table := m.Table
		if table == openflow.TableAll {
			table = 0
		}
		t.put(which, flowKey{table, m.Priority, m.Match}, flowVersion{m.NewCookie, m.IdleTimeout, m.HardTimeout, m.Importance, m.Instructions})
	}
}

// putSwitch reads the flows of a switch.
func (t *flowSet) putSwitch(which int, c *conn) error {
	flows, err := c.flows(openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny})
	for i := range flows {
		f := &flows[i]
		t.put(which, flowKey{f.Table, f.Priority, f.Match}, flowVersion{f.Cookie, f.IdleTimeout, f.HardTimeout, f.Importance, f.Instructions})
	}
	return err
}

func replaceFlows(s *session, args []string) error {
	n, err := s.take(args[0])
	if err != nil {
		return err
	}
	b, name, err := s.readFile(args[1])
	if err != nil {
		return fmt.Errorf("%s: open (%s)", args[1], causeOf(err))
	}
	ms, usable, err := oftext.ParseFlows(name, string(b), openflow.FlowAdd, false, n)
	if err != nil {
		return err
	}
	s.normalized(ms...)
	const inFile, inSwitch = 0, 1
	t := &flowSet{at: make(map[flowKey]*flowEntry)}
	t.putFile(inFile, ms)
	c, err := s.openForFlows(args[0], usable)
	if err != nil {
		return err
	}
	if err := c.forDump(usable); err != nil {
		return err
	}
	if err := t.putSwitch(inSwitch, c); err != nil {
		return err
	}
	// NXM flow_mods name the table only if told to.
	if c.cur == oftext.NXM || c.cur == oftext.OF10 {
		for _, e := range t.list {
			if e.key.table != 0 {
				if ok, err := c.try(c.cur << 1); err != nil || !ok {
					return cmp.Or(err, errors.New("switch does not support tables in flow_mods"))
				}
				break
			}
		}
	}
	var mods []openflow.Message
	change := func(e *flowEntry, v *flowVersion, cmd openflow.FlowModCommand) {
		m := &openflow.FlowMod{
			Command: cmd, Match: e.key.match, Priority: e.key.priority, Table: e.key.table,
			BufferID: openflow.NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny,
		}
		if cmd == openflow.FlowAdd {
			m.NewCookie, m.IdleTimeout, m.HardTimeout, m.Importance, m.Instructions = v.cookie, v.idle, v.hard, v.important, v.in
		} else {
			m.NewCookie = ^uint64(0)
		}
		mods = append(mods, m)
	}
	entries := t.sorted()
	for _, e := range entries {
		if e.v[inFile] == nil {
			change(e, e.v[inSwitch], openflow.FlowDeleteStrict)
		}
	}
	for _, e := range entries {
		if f := e.v[inFile]; f != nil && (e.v[inSwitch] == nil || s.plan.readd || !f.equal(e.v[inSwitch])) {
			change(e, f, openflow.FlowAdd)
		}
	}
	return s.changeAll(c, mods)
}

// isFile reports whether a source of diff-flows is a file.
func isFile(name string) bool {
	if strings.HasPrefix(name, "/") || strings.HasPrefix(name, ".") {
		return true
	}
	if strings.Contains(name, ":") {
		return false
	}
	_, err := os.Stat(name)
	return err == nil
}

func diffFlows(s *session, args []string) (int, error) {
	t := &flowSet{at: make(map[flowKey]*flowEntry)}
	show := ofprint.Options{}
	for i, name := range args {
		if isFile(name) {
			f, err := os.ReadFile(name)
			if err != nil {
				return 0, fmt.Errorf("%s: open (%s)", name, causeOf(err))
			}
			ms, _, err := oftext.ParseFlows(name, string(f), openflow.FlowAdd, false, oftext.Names{})
			if err != nil {
				return 0, err
			}
			s.normalized(ms...)
			t.putFile(i, ms)
			continue
		}
		s.target = name
		if s.plan.showNames(s.env) {
			o, err := s.display(name)
			if err != nil {
				return 0, err
			}
			show = o
		}
		c, err := s.open(name, "mgmt", false)
		if err != nil {
			return 0, err
		}
		if err := c.forDump(oftext.Any); err != nil {
			return 0, err
		}
		if err := t.putSwitch(i, c); err != nil {
			return 0, err
		}
	}
	exit := 0
	for _, e := range t.sorted() {
		a, b := e.v[0], e.v[1]
		if a != nil && b != nil && a.equal(b) {
			continue
		}
		exit = 2
		if a != nil {
			s.printf("-%s\n", e.text(a, show))
		}
		if b != nil {
			s.printf("+%s\n", e.text(b, show))
		}
	}
	return exit, nil
}

// text writes one version of a flow.
func (e *flowEntry) text(v *flowVersion, o ofprint.Options) string {
	var b strings.Builder
	if e.key.table != 0 {
		fmt.Fprintf(&b, "table=%d ", e.key.table)
	}
	b.WriteString(ofprint.Match(&e.key.match, e.key.priority, o.Ports))
	if v.cookie != 0 {
		fmt.Fprintf(&b, " cookie=0x%x", v.cookie)
	}
	if v.idle != 0 {
		fmt.Fprintf(&b, " idle_timeout=%d", v.idle)
	}
	if v.hard != 0 {
		fmt.Fprintf(&b, " hard_timeout=%d", v.hard)
	}
	if v.important != 0 {
		fmt.Fprintf(&b, " importance=%d", v.important)
	}
	return b.String() + " actions=" + v.in.Text(o.Ports)
}

// printFlowMods prints flows as they would be sent.
func (s *session) printFlowMods(ms []*oftext.Flow, usable oftext.Protocols) error {
	s.printf("usable protocols: %s\n", usable)
	chosen := (usable & s.plan.allowed).Lowest()
	if chosen == 0 {
		return errors.New("no usable protocol")
	}
	s.printf("chosen protocol: %s\n", chosen)
	for _, m := range ms {
		p := openflow.Proto{Version: chosen.Version(), NXM: chosen&(oftext.NXM|oftext.NXMTID) != 0, TableID: chosen&(oftext.OF10TID|oftext.NXMTID) != 0}
		b, err := openflow.Encode(p, s.nextXID(), m.ForVersion(p.Version))
		if err != nil {
			return err
		}
		s.show(b, s.verbose(ofprint.Options{}, 0))
		if chosen&(oftext.OF10|oftext.OF10TID) != 0 && m.Raw.String() != m.Match.String() {
			s.normalized(m) // in OpenFlow 1.0 the message says it all again
		}
	}
	return nil
}

func parseFlowCommand(s *session, args []string) error {
	m, err := oftext.ParseFlow(args[0], openflow.FlowAdd, oftext.Names{})
	if err != nil {
		return err
	}
	s.normalized(m)
	return s.printFlowMods([]*oftext.Flow{m}, m.Usable)
}

func parseFlowsCommand(s *session, args []string) error {
	b, name, err := s.readFile(args[0])
	if err != nil {
		return err
	}
	ms, usable, err := oftext.ParseFlows(name, string(b), openflow.FlowAdd, false, oftext.Names{})
	if err != nil {
		return err
	}
	for _, m := range ms {
		s.normalized(m)
	}
	return s.printFlowMods(ms, usable)
}
