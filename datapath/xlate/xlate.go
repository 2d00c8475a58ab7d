// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"errors"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
)

// Limits of a translation.
const (
	MaxResubmits = 4096  // tables searched, by resubmit, goto_table or patch port
	MaxDepth     = 64    // nested jumps to the same or a lower table, or through a patch port
	MaxActions   = 4096  // datapath actions, and actions in an action set
	MaxStack     = 65536 // bytes on the stack; a value takes those of its subfield
)

// Reasons for which a translation fails; the packet is dropped.
var (
	ErrTooDeep          = errors.New("resubmits nested more than 64 deep")
	ErrTooManyResubmits = errors.New("more than 4096 resubmits")
	ErrTooManyActions   = errors.New("more than 4096 actions")
	ErrStackFull        = errors.New("stack larger than 65536 bytes")
	ErrUnsupported      = errors.New("not supported yet")
)

// Hit is one search of a table.
type Hit struct {
	Bridge *Bridge
	Rule   *ofproto.Rule // nil: no rule matched
	Table  uint8
	// Changed has bit i set if word i of the key that was searched for may differ from the
	// packet's: a filter by the packet's key must leave it out.
	Changed uint64
	// Soft are the conjunctive rules that were considered. Changed then has the word of conj_id,
	// which is not zero in the last search.
	Soft []*ofproto.Rule
}

// DepKind says what else a translation depended on.
type DepKind uint8

const (
	DepMAC     DepKind = iota // where an address is (or that it is unknown)
	DepPort                   // existence and settings of a port
	DepFlood                  // the set of ports and all their settings
	DepMeter                  // existence of a meter, whose number is Port
	DepGroup                  // a group, or that there is none
	DepLearned                // a rule that a learn with a limit would make: Rule, in table Port
	DepRoom                   // how many rules of table Port have the cookie MAC
)

// Dep is one such thing.
type Dep struct {
	Bridge *Bridge
	MAC    uint64
	Port   action.Port // of DepGroup the group's number, of DepMeter the meter's
	VLAN   uint16
	Kind   DepKind
	Rule   *ofproto.Rule // of DepLearned
}

// Learn is an address seen on a port.
type Learn struct {
	Bridge *Bridge
	MAC    uint64
	Port   action.Port
	VLAN   uint16
}

// PacketIn says how a packet goes to the controllers: what the Userspace action
// with its index as Arg means.
type PacketIn struct {
	Bridge     *Bridge
	Cookie     uint64 // of the rule, as it was when this was translated; all ones: there is none
	Table      uint8
	Reason     openflow.PacketInReason
	MaxLen     uint16
	Controller uint16
	Userdata   []byte
	// Metadata holds in_port and the metadata and registers that are not zero.
	Metadata flow.Match
	// Resume, if set, says that the packet is not for the controllers: it is to be
	// translated again, with Resume in In. Only Bridge is set besides.
	Resume *Frozen
}

// Result is the outcome of a translation.
type Result struct {
	Actions   []dpif.Action
	Mask      flow.Mask
	Hits      []Hit
	Deps      []Dep
	Learn     []Learn
	PacketIns []PacketIn
	Groups    []GroupHit
	// Flows are for the tables, and Fins for the rules named when a connection ends: each time that
	// packets were treated by this translation.
	Flows []FlowLearn
	Fins  []Fin
	// Err says why the packet is dropped if the translation failed.
	Err error
	// Trace is the record of what was decided, if In asked for it.
	Trace *Trace
}

// In is a packet to translate.
type In struct {
	Bridge *Bridge
	// InPort is the OpenFlow port of arrival; Controller or Any for a packet
	// that a controller made.
	InPort action.Port
	// Key is the packet's key; in_port in it does not matter.
	Key *flow.Key
	// MaxVLANs is how many tags the datapath parses; 0: 1. With 1 the second never
	// counts.
	MaxVLANs int
	// Len is the packet's length in bytes as datapaths count it, of a train that of its segments; 0: not known. A translation
	// that depends on it is right for this packet only; without it, it is frozen where it does.
	Len int
	// Actions, if PacketOut, are executed in place of table 0.
	Actions   action.List
	PacketOut bool
	// Resume is a translation to go on with in place of table 0; Bridge, InPort, Actions and PacketOut
	// do not matter then. The result is right for this packet only: not for a megaflow.
	Resume *Frozen
	// Priority returns the packet priority (skb->priority) that stands for a queue; nil: the datapath
	// knows no queues, which are ignored then.
	Priority func(queue uint32) uint32
	// Trace asks for Result.Trace; Learned are addresses that the caller has learned for
	// this packet, to be noted there.
	Trace   bool
	Learned []Learn
	// NoLearn leaves learn actions out, as the trace of a packet that is not to have effects does.
	NoLearn bool
}

// ctx is a translation under way.
type ctx struct {
	res  *Result
	tr   *tracer // nil: not asked for
	br   *Bridge
	orig flow.Key // the packet's, with the OpenFlow in_port
	wc   flow.Mask

	flow     flow.Key  // as actions have made it
	wr       flow.Mask // its bits that are constants
	changed  uint64    // words that are not the packet's
	below    []tag     // tags under the outermost, outermost first
	topOrig  int8      // where the outermost tag is from
	base     flow.Key  // as the datapath actions so far have made it
	bwr      flow.Mask
	baseTags []tag // all tags, outermost first

	labels     []label // outermost first
	baseLabels []label
	hidden     bool    // the packet's network header came out from under a label
	frozen     []frame // not nil: the translation waits, and this is left to do
	apart      bool    // frozen is by check_pkt_larger: Frozen.apart
	resumes    int     // how often it has waited
	priority   func(queue uint32) uint32

	len       int    // In.Len less heads(); 0: not known
	checked   *saved // the state before the rule's first check_pkt_larger, which comes back behind the rule
	table     uint8
	rule      *ofproto.Rule
	depth     int
	resubmits int
	exit      bool
	err       error
	stack     []stackEntry
	stackSize int
	set       action.List
	inSet     bool
	inBucket  bool // the list under way is a bucket's own
	packetOut bool
	noLearn   bool
}

type stackEntry struct {
	v flow.U128
	n int // bytes
}

// constant are the bits that are zero for every packet at the start.
var constant = func() (m flow.Mask) {
	m.SetAll(flow.FieldMetadata)
	for f := flow.FieldReg0; f <= flow.FieldReg15; f++ {
		m.SetAll(f)
	}
	m.SetAll(flow.FieldConjID)
	m.SetAll(flow.FieldActsetOutput)
	return m
}()

// pipelineWords are the words that a patch port resets.
const pipelineWords = 1<<10 - 1 | 1<<15 // in_port, metadata, registers; actset_output

// Constant returns the bits of a key that are the same for every packet when it
// enters the tables: all zero but actset_output.
func Constant() flow.Mask { return constant }

// Translate takes a packet through the tables.
func Translate(in *In) *Result {
	var t Translator
	r := new(Result)
	t.Translate(in, r)
	return r
}

// Translator translates with memory that it uses again. The zero value is ready; not for more than
// one goroutine.
type Translator struct{ c ctx }

// Translate takes a packet through the tables and puts the outcome into r, whose slices it
// uses again: who keeps them must copy them.
func (t *Translator) Translate(in *In, r *Result) {
	r.reset()
	t.c.start(in, r)
	t.c.run(in)
	t.c.br, t.c.rule, t.c.res, t.c.tr = nil, nil, nil, nil
}

// reset empties r and keeps its memory.
func (r *Result) reset() {
	clear(r.Actions)
	clear(r.PacketIns)
	clear(r.Flows)
	*r = Result{
		Actions: r.Actions[:0], Hits: r.Hits[:0], Deps: r.Deps[:0], Learn: r.Learn[:0],
		PacketIns: r.PacketIns[:0], Groups: r.Groups[:0], Flows: r.Flows[:0], Fins: r.Fins[:0],
	}
}

// start makes c a translation that begins.
func (c *ctx) start(in *In, r *Result) {
	*c = ctx{res: r, br: in.Bridge, packetOut: in.PacketOut, noLearn: in.NoLearn, priority: in.Priority}
	c.orig = *in.Key
	c.orig.SetU64(flow.FieldInPort, uint64(in.InPort))
	for i := range c.orig {
		c.orig[i] &^= constant[i]
	}
	c.orig.SetU64(flow.FieldActsetOutput, uint64(action.PortUnset))
	c.orig.SetU64(flow.FieldSkbPriority, 0) // no datapath gives one
	if f := in.Resume; f != nil {
		c.br = f.bridge
		for i := range c.orig {
			c.orig[i] = c.orig[i]&^(constant[i]|inPortMask[i]) | f.flow[i]
		}
	}
	c.flow, c.base = c.orig, c.orig
	c.wr, c.bwr = constant, constant
	c.wr.SetAll(flow.FieldSkbPriority)
	c.bwr.SetAll(flow.FieldSkbPriority)
	if f := in.Resume; f != nil {
		c.flow.SetU64(flow.FieldSkbPriority, f.priority)
	}
	if in.MaxVLANs < 2 {
		c.wr.SetAll(flow.FieldCVLANTCI)
		c.wr.SetAll(flow.FieldCVLANTPID)
	}
	c.wc.SetAll(flow.FieldInPort)
	c.wc.SetAll(flow.FieldRecircID)
	c.wc.Set(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent})
	c.startTags()
	c.startLabels()
	if in.Len > 0 {
		c.len = in.Len - c.heads()
	}
	if in.Trace {
		r.Trace = &Trace{Start: c.flow}
		c.tr = &tracer{list: &r.Trace.Nodes, learned: in.Learned}
	}
}

// run takes the packet through the tables.
func (c *ctx) run(in *In) {
	r := c.res
	c.enterBridge()

	if in.Resume != nil {
		c.thaw(in.Resume)
	} else if in.PacketOut {
		c.actions(in.Actions)
	} else if c.br.leg(in.InPort) != nil {
		c.normal() // the tables leave all to it that arrives on ports of the chip, whichever it was
	} else if c.mayReceive(in.InPort) {
		c.resubmits = -1 // the first search is not one
		c.rule = c.tableAction(in.InPort, 0, true, false)
		c.enterLast()
	}
	c.actionSet()
	c.freeze()

	if c.tr != nil {
		r.Trace.Final, r.Trace.Cut, r.Trace.MaxTags = c.flow, c.tr.cut, c.tr.tags
	}
	if c.err != nil {
		r.Err = c.err
		r.Actions, r.PacketIns = r.Actions[:0], r.PacketIns[:0]
	}
	r.Mask = c.finalMask()
}

func (c *ctx) fail(err error) {
	if c.err == nil {
		c.err = err
		c.noteErr(err)
	}
}

// need says that the bits m of the key count.
func (c *ctx) need(m *flow.Mask) {
	for i, w := range m {
		c.wc[i] |= w &^ c.wr[i]
	}
}

// needField says that the bits m of f count.
func (c *ctx) needField(f flow.Field, m flow.U128) {
	c.wc.Set(f, m.AndNot(c.wr.Get(f)))
}

// get returns f and makes it count.
func (c *ctx) get(f flow.Field) uint64 {
	c.needField(f, flow.Ones(128))
	return c.flow.U64(f)
}

// write gives the bits m of f the constant v.
func (c *ctx) write(f flow.Field, v, m flow.U128) {
	c.flow.SetMasked(f, v, m)
	c.wr.Set(f, m)
	in := f.Info()
	c.changed |= 1 << in.Word
	if in.Bits == 128 {
		c.changed |= 1 << (in.Word + 1)
	}
}

func (c *ctx) writeU64(f flow.Field, v uint64) { c.write(f, flow.U128{Lo: v}, flow.Ones(128)) }

func (c *ctx) inPort() action.Port { return action.Port(c.flow.InPort()) }

func (c *ctx) dep(k DepKind, p action.Port) {
	d := Dep{Bridge: c.br, Kind: k, Port: p}
	for i := range c.res.Deps {
		if c.res.Deps[i] == d {
			return
		}
	}
	c.res.Deps = append(c.res.Deps, d)
}

// stpAddr is 01:80:c2:00:00:00, to which bridges send spanning tree frames.
const stpAddr = 0x0180c2000000

// mayReceive reports whether a packet may come in by port p, which counts as
// looked at.
func (c *ctx) mayReceive(p action.Port) bool {
	c.dep(DepPort, p)
	port := c.br.OF.Port(p)
	if port == nil {
		return true // a controller's packet
	}
	normal, stp := port.Config&openflow.ConfigNoRecv == 0, port.Config&openflow.ConfigNoRecvSTP == 0
	if normal == stp {
		return normal
	}
	if c.get(flow.FieldEthDst) == stpAddr {
		return stp
	}
	return normal
}

// tableAction searches a table and does what the rule says. miss: a packet that
// matches nothing may go to the controllers. deepens: the jump counts for MaxDepth. It returns
// the rule, or nil.
func (c *ctx) tableAction(inPort action.Port, tab uint8, miss, deepens bool) *ofproto.Rule {
	if c.err != nil {
		return nil
	}
	if c.depth >= MaxDepth {
		c.fail(ErrTooDeep)
		return nil
	}
	if c.resubmits >= MaxResubmits {
		c.fail(ErrTooManyResubmits)
		return nil
	}
	oldTable, oldRule, inBucket := c.table, c.rule, c.inBucket
	c.table, c.inBucket = tab, false
	r, drop := c.lookup(inPort, tab)
	packetIn := r == nil && miss && !drop && c.wantsMiss()
	old := c.enterTable(tab, r, drop, packetIn)
	if r != nil {
		c.resubmits++
		if deepens {
			c.depth++
		}
		c.rule = r
		c.ruleInstructions(r.Instr)
		if deepens {
			c.depth--
		}
	} else if packetIn {
		c.rule = nil
		c.controller(action.Controller{MaxLen: 0xffff, Reason: uint8(openflow.ReasonImplicitMiss)})
	}
	c.leave(old)
	c.table, c.rule, c.inBucket = oldTable, oldRule, inBucket
	return r
}

// wantsMiss reports whether a packet that no rule matches goes to the controllers.
func (c *ctx) wantsMiss() bool {
	if !c.br.OF.MissToController {
		return false
	}
	in := c.inPort()
	c.dep(DepPort, in)
	p := c.br.OF.Port(in)
	return p == nil || p.Config&openflow.ConfigNoPacketIn == 0
}

// lookup searches a table. drop: the packet is a fragment and fragments are dropped.
func (c *ctx) lookup(inPort action.Port, tab uint8) (r *ofproto.Rule, drop bool) {
	key := c.flow
	changed := c.changed
	if inPort != c.inPort() {
		key.SetU64(flow.FieldInPort, uint64(inPort))
		changed |= 1
	}
	mode := c.br.OF.Frag()
	frag := key.U64(flow.FieldIPFrag) != 0
	switch mode {
	case openflow.FragDrop:
		if t := c.get(flow.FieldEthType); t == ethIPv4 || t == ethIPv6 {
			c.needField(flow.FieldIPFrag, flow.Ones(8))
			if frag {
				return nil, true
			}
		}
	case openflow.FragNXMatch:
	default:
		if frag {
			key.SetU64(flow.FieldTPSrc, 0)
			key.SetU64(flow.FieldTPDst, 0)
			changed |= 1 << flow.FieldTPSrc.Info().Word
		}
	}
	var m flow.Mask
	r, soft := c.br.OF.Lookup(tab, &key, &m)
	if soft != nil {
		changed |= 1 << flow.FieldConjID.Info().Word
	}
	if mode != openflow.FragNXMatch && mode != openflow.FragDrop {
		if !m.Get(flow.FieldTPSrc).IsZero() || !m.Get(flow.FieldTPDst).IsZero() {
			c.needField(flow.FieldIPFrag, flow.Ones(8))
			if frag {
				m.Clear(flow.FieldTPSrc)
				m.Clear(flow.FieldTPDst)
			}
		}
	}
	c.need(&m) // of conj_id nothing: it is a constant
	c.res.Hits = append(c.res.Hits, Hit{Bridge: c.br, Rule: r, Table: tab, Changed: changed, Soft: soft})
	return r, false
}

// instructions does what a rule says (OpenFlow 1.3, 5.9); false: not all of it.
func (c *ctx) instructions(in *action.Instructions) bool {
	if in.Meter != 0 {
		c.noteInstr(action.Instructions{Meter: in.Meter})
		c.meter(in.Meter)
	}
	if !c.actions(in.Apply) {
		if c.frozen != nil { // the last of which is what is left of Apply
			left := &c.frozen[len(c.frozen)-1].instr
			apply := left.Apply
			*left = *in
			left.Meter, left.Apply = 0, apply
		}
		return false
	}
	if in.ClearActions {
		c.note(NodeAction, "clear_actions")
		c.noteSet("was")
		c.set = nil
		c.setOutput()
	}
	if len(in.Write) > 0 {
		if len(c.set)+len(in.Write) > MaxActions {
			c.fail(ErrTooManyActions)
			return false
		}
		c.set = append(c.set[:len(c.set):len(c.set)], in.Write...)
		c.setOutput()
		c.noteInstr(action.Instructions{Write: in.Write})
		c.noteSet("is")
	}
	if in.MetadataMask != 0 {
		c.noteInstr(action.Instructions{Metadata: in.Metadata, MetadataMask: in.MetadataMask})
		c.write(flow.FieldMetadata, flow.U128{Lo: in.Metadata}, flow.U128{Lo: in.MetadataMask})
	}
	if in.HasGoto {
		if c.hidden {
			c.keep(action.Instructions{Goto: in.Goto, HasGoto: true})
			return false
		}
		c.noteInstr(action.Instructions{Goto: in.Goto, HasGoto: true})
		c.tableAction(c.inPort(), in.Goto, true, in.Goto <= c.table)
	}
	return true
}

// setOutput keeps actset_output up to date (OpenFlow 1.5, 7.2.3.1).
func (c *ctx) setOutput() {
	port, out, group := action.PortUnset, false, false
	for _, a := range c.set {
		switch a := a.(type) {
		case action.Output:
			port, out = a.Port, true
		case action.Group:
			group = true
		}
	}
	if out && group {
		port = action.PortAny
	}
	c.writeU64(flow.FieldActsetOutput, uint64(port))
}

// actionSet executes the action set in the order of OpenFlow 1.3, 5.10 and
// empties it; after exit it does nothing. Packet-ins are of c.rule: that of table 0 in the
// bridge, in a clone that with the clone.
func (c *ctx) actionSet() {
	set := c.set
	if len(set) == 0 || c.err != nil || c.frozen != nil {
		return
	}
	if c.exit {
		if c.tr != nil && orderSet(set) != nil {
			c.leave(c.enterSet()) // nothing of it is executed
		}
		return
	}
	c.set = nil
	list := orderSet(set)
	if list == nil {
		return
	}
	old, list0 := c.inSet, c.enterSet()
	c.inSet = true
	c.actions(list)
	c.inSet = old
	c.leave(list0)
}

// orderSet returns the actions of a set in the order of execution; nil if there is
// no output among them.
func orderSet(set action.List) (list action.List) {
	const (
		popVLAN = iota
		popMPLS
		pushMPLS
		pushVLAN
		decTTL
		decMPLSTTL
		sets // all of these, in order
		queue
		group
		output
		resubmit
		n
	)
	var last [n]action.Action
	var fields action.List
	for _, a := range set {
		switch a.(type) {
		case action.PopVLAN:
			last[popVLAN] = a
		case action.PopMPLS:
			last[popMPLS] = a
		case action.PushMPLS:
			last[pushMPLS] = a
		case action.PushVLAN:
			last[pushVLAN] = a
		case action.DecTTL:
			last[decTTL] = a
		case action.DecMPLSTTL:
			last[decMPLSTTL] = a
		case action.SetQueue:
			last[queue] = a
		case action.Group:
			last[group] = a
		case action.Output:
			last[output] = a
		case action.Resubmit:
			last[resubmit] = a
		case action.SetField, action.Load, action.Move, action.SetVLANVID, action.SetVLANPCP,
			action.SetTTL, action.SetMPLSTTL:
			fields = append(fields, a)
		}
	}
	switch {
	case last[group] != nil:
		last[output], last[resubmit] = nil, nil
	case last[output] != nil:
		last[resubmit] = nil
	case last[resubmit] == nil:
		return nil
	}
	for i, a := range last {
		if i == sets {
			list = append(list, fields...)
		} else if a != nil {
			list = append(list, a)
		}
	}
	return list
}

// finalMask completes the mask as the package comment says.
func (c *ctx) finalMask() flow.Mask {
	m := c.wc
	for i := range m {
		m[i] &^= constant[i]
	}
	if c.orig.VLANTCI()&flow.VLANPresent == 0 {
		// That there is no tag says all about tags.
		m[flow.FieldVLANTCI.Info().Word] &^= 0xffff &^ flow.VLANPresent
		m[flow.FieldVLANTPID.Info().Word] = 0
	}
	any := func(from, to int) bool {
		for _, w := range m[from:to] {
			if w != 0 {
				return true
			}
		}
		return false
	}
	ethEnd, netEnd := flow.StageEnd[1], int(flow.FieldTPSrc.Info().Word)
	if any(netEnd, flow.Words) {
		if c.ip() {
			m.SetAll(flow.FieldIPFrag)
		}
		m.SetAll(flow.FieldIPProto)
	}
	if any(ethEnd, flow.Words) || any(26, ethEnd) {
		m.SetAll(flow.FieldEthType)
	}
	if !m.Get(flow.FieldEthType).IsZero() {
		m.SetAll(flow.FieldEthType)
	}
	return m
}

// ip reports whether the packet is IP, without making that count.
func (c *ctx) ip() bool {
	t := c.orig.EthType()
	return t == ethIPv4 || t == ethIPv6
}
