// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"errors"
	"reflect"
	"slices"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
)

// The label stack of the packet in the tables is mpls0 to mpls2 of ctx.flow, and ctx.labels
// says where each entry is from. The outermost may be the packet's own, with bits that are
// not constants; those below are all constants, or the packet's own in their own places.
//
// Under the first label that is pushed lies a packet whose headers cannot be seen any more: ctx.flow
// has constant zeros there, ctx.base what the datapath's packet has. What comes out from under the
// last label that is popped is not known (ctx.hidden): who asks for it has to wait
// until the datapath has popped and the packet is parsed again (freeze).

// MaxLabels is how many label stack entries a key has.
const MaxLabels = 3

// Reasons for which a translation fails.
var (
	ErrPushLabel = errors.New("more than 3 MPLS labels after a push")
	ErrPopLabel  = errors.New("more than 3 MPLS labels before a pop")
)

const (
	bosBit = 0x100 // bottom of stack, in a label stack entry (RFC 3032, 2.1)

	nullIPv4 = 0 // explicit null labels (RFC 3032, 2.1)
	nullIPv6 = 2
)

// label is a label stack entry.
type label struct {
	v    uint32
	wr   uint32 // bits of v that are constants
	orig int8   // the packet's with this index, or made
}

var fieldsMPLS = [MaxLabels]flow.Field{flow.FieldMPLS0, flow.FieldMPLS1, flow.FieldMPLS2}

func isMPLS(t uint64) bool { return t == flow.EthTypeMPLS || t == flow.EthTypeMPLSM }

// startLabels reads the packet's stack. Without a bottom in sight the stock switch
// takes entries that are zero for missing ones.
func (c *ctx) startLabels() {
	if !isMPLS(uint64(c.orig.EthType())) {
		return
	}
	n := 0
	for i, f := range fieldsMPLS {
		v := c.orig.U64(f)
		if v&bosBit != 0 {
			n = i + 1
			break
		}
		if v != 0 {
			n++
		}
	}
	for i, f := range fieldsMPLS[:n] {
		c.labels = append(c.labels, label{v: uint32(c.orig.U64(f)), orig: int8(i)})
	}
	c.baseLabels = c.labels
}

// countLabels makes the number of the packet's labels count.
func (c *ctx) countLabels() {
	if !isMPLS(uint64(c.orig.EthType())) {
		return
	}
	for _, f := range fieldsMPLS {
		c.wc.Set(f, flow.U128{Lo: bosBit})
		if c.orig.U64(f)&bosBit != 0 {
			return
		}
	}
	for _, f := range fieldsMPLS { // zero or not
		c.wc.SetAll(f)
	}
}

// topLabel returns the outermost label; there is one.
func (c *ctx) topLabel() label {
	return label{uint32(c.flow.U64(flow.FieldMPLS0)), uint32(c.wr.Get(flow.FieldMPLS0).Lo), c.labels[0].orig}
}

// setLabels makes l the stack, all of it constants.
func (c *ctx) setLabels(l []label) {
	c.labels = l
	for i, f := range fieldsMPLS {
		v := uint32(0)
		if i < len(l) {
			v = l[i].v
		}
		c.writeU64(f, uint64(v))
	}
}

func (c *ctx) pushMPLS(typ uint16) {
	was := c.get(flow.FieldEthType)
	c.countLabels()
	n := len(c.labels)
	if n >= MaxLabels {
		c.fail(ErrPushLabel)
		return
	}
	outer := label{wr: ^uint32(0), orig: made}
	if n == 0 {
		c.commit() // what is written to headers that disappear now
		outer.v = 64 | bosBit | nullIPv4<<12
		if was == ethIPv4 || was == ethIPv6 {
			c.needField(flow.FieldIPDSCP, flow.Ones(3))
			outer.v = bosBit | uint32(c.flow.U64(flow.FieldIPDSCP)&7)<<9
			if ttl := uint32(c.get(flow.FieldIPTTL)); ttl != 0 {
				outer.v |= ttl
			} else {
				outer.v |= 64
			}
			if was == ethIPv6 {
				outer.v |= nullIPv6 << 12
			}
		}
		for i := flow.StageEnd[1]; i < flow.Words; i++ {
			c.flow[i], c.wr[i] = 0, ^uint64(0)
			c.changed |= 1 << i
		}
	} else {
		for _, f := range fieldsMPLS[:n] {
			c.needField(f, flow.Ones(32))
		}
		outer.v = c.topLabel().v &^ bosBit
	}
	l := append(make([]label, 0, n+1), outer)
	for i, old := range c.labels {
		if i == 0 {
			old = c.topLabel()
		}
		old.wr = ^uint32(0)
		l = append(l, old)
	}
	c.setLabels(l)
	c.writeU64(flow.FieldEthType, uint64(typ))
}

// popMPLS removes the outermost label; with a typ that is not MPLS all of them, as the
// stock switch does.
func (c *ctx) popMPLS(typ uint16) {
	if !isMPLS(c.get(flow.FieldEthType)) {
		return
	}
	c.countLabels()
	n := len(c.labels)
	if n == 0 {
		return
	}
	if n == MaxLabels && c.flow.U64(fieldsMPLS[n-1])&bosBit == 0 {
		c.fail(ErrPopLabel)
		return
	}
	if isMPLS(uint64(typ)) {
		for _, f := range fieldsMPLS[1:n] {
			c.needField(f, flow.Ones(32))
		}
		l := append([]label(nil), c.labels[1:]...)
		for i := range l {
			l[i].wr = ^uint32(0)
		}
		c.setLabels(l)
	} else {
		c.setLabels(nil)
		c.hidden = true
	}
	c.writeU64(flow.FieldEthType, uint64(typ))
}

// decMPLSTTL reports whether the list of actions goes on.
func (c *ctx) decMPLSTTL() bool {
	if !c.has(flow.FieldMPLSTTL) {
		c.note(NodeWarn, "MPLS decrement TTL exception")
		return false // as the stock switch
	}
	if ttl := c.get(flow.FieldMPLSTTL); ttl > 1 {
		c.writeU64(flow.FieldMPLSTTL, ttl-1)
		return true
	}
	c.note(NodeWarn, "MPLS decrement TTL exception")
	c.ttlExpired(0)
	return false
}

// commitLabels makes the label stack of the packet in the datapath that of c.flow. Entries
// are the same if they are from the same place, see commitTags.
func (c *ctx) commitLabels() {
	want, have := c.labels, c.baseLabels
	if len(want) > 0 {
		want = append([]label{c.topLabel()}, want[1:]...)
	}
	n := 0
	var diff uint32
	for n < len(want) && n < len(have) && diff == 0 {
		w, h := &want[len(want)-1-n], &have[len(have)-1-n]
		if w.orig != h.orig || w.orig == made && n < len(want)-1 && w.v != h.v {
			break
		}
		diff = c.labelDiffer(w, h)
		n++
	}
	typ := uint16(c.flow.EthType())
	for i := len(have); i > n; i-- {
		t := uint16(flow.EthTypeMPLS)
		if i == n+1 && n == len(want) {
			t = typ
		}
		c.emit(dpif.PopMPLS{EthType: t})
		c.base.SetU64(flow.FieldEthType, uint64(t))
	}
	if diff != 0 {
		w := want[len(want)-n]
		for _, f := range [...]flow.Field{flow.FieldMPLSLabel, flow.FieldMPLSTC, flow.FieldMPLSTTL} {
			in := f.Info()
			shift := uint(in.Shift - flow.FieldMPLS0.Info().Shift)
			if m := uint64(diff) >> shift & flow.Ones(int(in.Bits)).Lo; m != 0 {
				c.emit(dpif.Set{Field: f, Value: flow.U128{Lo: uint64(w.v) >> shift & m}, Mask: flow.U128{Lo: m}})
			}
		}
	}
	for i := len(want) - n - 1; i >= 0; i-- {
		w := &want[i]
		if w.orig >= 0 { // it was popped, and must come back
			c.wc.Set(fieldsMPLS[w.orig], flow.U128{Lo: uint64(^w.wr)})
		}
		c.emit(dpif.PushMPLS{EthType: typ, LSE: w.v})
		c.base.SetU64(flow.FieldEthType, uint64(typ))
	}
	if n == len(want) && n == len(have) && diff == 0 {
		return
	}
	base := append([]label(nil), want...)
	for i := range base[:len(want)-n] {
		base[i].wr = ^uint32(0)
	}
	for i := len(want) - n; i < len(want); i++ {
		h := have[len(have)-(len(want)-i)]
		if diff != 0 && i == len(want)-n {
			h.v = h.v&^diff | want[i].v&diff
			h.wr |= diff
		}
		base[i] = h
	}
	c.baseLabels = base
}

// labelDiffer returns the bits in which w differs, or may differ, from h, the same entry in
// the datapath.
func (c *ctx) labelDiffer(w, h *label) uint32 {
	var orig, known uint32
	if w.orig >= 0 {
		f := fieldsMPLS[w.orig]
		orig = uint32(c.orig.U64(f))
		if back := h.wr &^ w.wr; back != 0 {
			c.wc.Set(f, flow.U128{Lo: uint64(back)})
		}
		known = uint32(c.wc.Get(f).Lo)
	}
	set := w.wr &^ h.wr
	return (h.wr&(w.v^h.v) | set&^known | set&(w.v^orig)) &^ bosBit
}

// needsHidden reports whether an action looks behind the last label that was popped.
func (c *ctx) needsHidden(a action.Action) bool {
	deep := func(f flow.Field) bool { l := layerOf(f); return l != layerNone && l != layerTag }
	switch a := a.(type) {
	case action.Output:
		if a.Port == action.PortTable {
			return true
		}
		if a.Port != action.PortNormal {
			return false
		}
	case action.Enqueue, action.OutputTrunc, action.Controller, action.Clone, action.Note, action.Exit,
		action.SetQueue, action.PopQueue, action.Meter:
		return false
	case action.OutputReg:
		return deep(a.Src.Field)
	case action.Resubmit, action.Group, action.SetTTL, action.DecTTL, action.PushMPLS,
		action.DecMPLSTTL: // which ends what is left, as the stock switch freezes there
		return true
	case action.SetField:
		if deep(a.Field) {
			return true
		}
	case action.Load:
		if deep(a.Dst.Field) {
			return true
		}
	case action.Move:
		if deep(a.Src.Field) || deep(a.Dst.Field) {
			return true
		}
	case action.CheckPktLarger:
		if deep(a.Dst.Field) {
			return true
		}
	case action.StackPush:
		if deep(a.Src.Field) {
			return true
		}
	case action.StackPop:
		if deep(a.Dst.Field) {
			return true
		}
	}
	t := c.flow.EthType()
	return t == eth8021Q || t == eth8021AD // there may be tags
}

// Frozen is a translation that stopped where it had to look at a header that is hidden until
// the datapath has done what was decided so far. It goes on (In.Resume) with the packet as
// it is then. It never changes.
type Frozen struct {
	bridge    *Bridge
	flow      flow.Key // metadata, registers, in_port
	frames    []frame  // what is left to do, in order
	set       action.List
	setRule   *ofproto.Rule
	stack     []stackEntry
	stackSize int
	priority  uint64 // skb_priority
	resubmits int
	resumes   int
	packetOut bool
	apart     bool // what ends one of frames early does not end the others
}

// MaxResumes is how many times a translation can be frozen, as the stock switch's userspace
// datapath lets a packet recirculate; then the packet is dropped.
const MaxResumes = 6

// ErrTooManyResumes is the failure of a translation that would be frozen once more.
var ErrTooManyResumes = errors.New("recirculated more than 6 times")

// frame is what is left of a rule, list of actions or action set.
type frame struct {
	table           uint8
	rule            *ofproto.Rule
	inSet, inBucket bool
	instr           action.Instructions
	enter           bool // a patch port: the packet comes in by the port in in_port
}

// Equal reports whether f and g go on in the same way.
func (f *Frozen) Equal(g *Frozen) bool {
	if f == nil || g == nil || f == g {
		return f == g
	}
	return f.bridge == g.bridge && f.flow == g.flow && f.setRule == g.setRule && f.priority == g.priority &&
		f.resubmits == g.resubmits && f.resumes == g.resumes && f.packetOut == g.packetOut && f.apart == g.apart &&
		slices.Equal(f.stack, g.stack) && slices.EqualFunc(f.frames, g.frames, func(a, b frame) bool {
		return a.table == b.table && a.rule == b.rule && a.inSet == b.inSet && a.inBucket == b.inBucket && a.enter == b.enter &&
			reflect.DeepEqual(a.instr, b.instr)
	}) && reflect.DeepEqual(f.set, g.set)
}

// Bridge returns the bridge that the packet is in.
func (f *Frozen) Bridge() *Bridge { return f.bridge }

// keep makes in a part of what is left to do.
func (c *ctx) keep(in action.Instructions) {
	c.frozen = append(c.frozen, frame{table: c.table, rule: c.rule, inSet: c.inSet, inBucket: c.inBucket, instr: in})
}

// freeze ends the part of a translation that began with a packet of its own (a bridge, a clone,
// a bucket) if what is left of it must wait, and hands that to the datapath.
func (c *ctx) freeze() {
	if c.frozen == nil || c.err != nil {
		c.frozen, c.apart = nil, false
		return
	}
	if c.resumes >= MaxResumes {
		c.frozen = nil
		c.fail(ErrTooManyResumes)
		return
	}
	c.commit()
	f := &Frozen{
		bridge: c.br, flow: c.flow, frames: c.frozen, set: c.set, setRule: c.rule, stack: c.stack, stackSize: c.stackSize,
		priority: c.flow.U64(flow.FieldSkbPriority), resubmits: c.resubmits, resumes: c.resumes + 1, packetOut: c.packetOut,
		apart: c.apart,
	}
	for i := range f.flow {
		f.flow[i] &= constant[i] | inPortMask[i]
	}
	c.frozen, c.apart, c.set = nil, false, nil
	c.emit(dpif.Userspace{Arg: uint32(len(c.res.PacketIns)), Meter: c.meterOf(ofproto.MeterSlowpath)})
	c.res.PacketIns = append(c.res.PacketIns, PacketIn{Bridge: c.br, Resume: f})
}

var inPortMask = func() (m flow.Mask) { m.SetAll(flow.FieldInPort); return m }()

// thaw goes on with a frozen translation.
func (c *ctx) thaw(f *Frozen) {
	c.set, c.stack, c.stackSize = f.set, f.stack, f.stackSize
	c.resubmits, c.resumes, c.packetOut = f.resubmits, f.resumes, f.packetOut
	setRule := f.setRule
	for i, fr := range f.frames {
		c.table, c.rule, c.inSet, c.inBucket = fr.table, fr.rule, fr.inSet, fr.inBucket
		if fr.enter {
			if c.mayReceive(c.inPort()) {
				setRule = c.tableAction(c.inPort(), 0, true, true)
			}
		} else if !c.ruleInstructions(&fr.instr) && c.frozen == nil && !f.apart {
			break // the stock switch has made one list of all of this
		}
		if c.frozen != nil {
			c.frozen = append(c.frozen, f.frames[i+1:]...)
			c.apart = c.apart || f.apart
			break
		}
		if c.exit || c.err != nil {
			break
		}
	}
	c.rule, c.inSet, c.inBucket = setRule, false, false
}
