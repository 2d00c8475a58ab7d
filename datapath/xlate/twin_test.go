// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"fmt"
	"sort"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/openflow"
)

// This file is the slow, obvious twin of the translation: an interpreter that takes one
// packet through lists of rules. It has no masks, no megaflows and no lazy commits:
// a packet is a value, and an output notes what it is at that moment.

// twinTag is a VLAN tag of a twinPacket.
type twinTag struct{ tpid, tci uint16 }

// twinPacket is a packet with its metadata. The VLAN fields of k are kept in step with tags.
type twinPacket struct {
	k    flow.Key
	tags []twinTag
}

func newTwinPacket(k flow.Key) twinPacket {
	p := twinPacket{k: k}
	for _, f := range [][2]flow.Field{{flow.FieldVLANTPID, flow.FieldVLANTCI}, {flow.FieldCVLANTPID, flow.FieldCVLANTCI}} {
		if t := uint16(k.U64(f[1])); t != 0 {
			p.tags = append(p.tags, twinTag{uint16(k.U64(f[0])), t})
		}
	}
	return p
}

func (p *twinPacket) setTags(tags []twinTag) {
	p.tags = append([]twinTag(nil), tags...)
	var t [2]twinTag
	copy(t[:], tags)
	p.k.SetU64(flow.FieldVLANTPID, uint64(t[0].tpid))
	p.k.SetU64(flow.FieldVLANTCI, uint64(t[0].tci))
	p.k.SetU64(flow.FieldCVLANTPID, uint64(t[1].tpid))
	p.k.SetU64(flow.FieldCVLANTCI, uint64(t[1].tci))
}

// wire is the packet as text, without metadata.
func (p *twinPacket) wire() string {
	var b strings.Builder
	for _, t := range p.tags {
		fmt.Fprintf(&b, "[%04x:%04x]", t.tpid, t.tci)
	}
	for i := 23; i < flow.Words; i++ {
		w := p.k[i]
		switch i { // without the fields of tags
		case 24:
			w &^= 0xffff
		case 25:
			continue
		}
		if w != 0 {
			fmt.Fprintf(&b, " %d=%x", i, w)
		}
	}
	return b.String()
}

type twinRule struct {
	table  uint8
	prio   int32
	match  flow.Match
	instr  *action.Instructions
	cookie uint64
}

type twinBridge struct {
	name   string
	rules  []twinRule
	ports  []action.Port
	config map[action.Port]openflow.PortConfig
	vlan   map[action.Port]VLAN
	peer   map[action.Port]twinPeer
	fdb    map[fdb.Key]action.Port
	frag   openflow.FragMode
	miss   bool
}

type twinPeer struct {
	br   *twinBridge
	port action.Port
}

// twin is one run.
type twin struct {
	br        *twinBridge
	p         twinPacket
	out       []string // what left, in order
	learn     map[string]bool
	depth     int
	resubmits int
	exit      bool
	failed    bool
	table     uint8
	rule      *twinRule
	last      *twinRule // of the search that ended last
	set       action.List
	stack     []flow.U128
	inSet     bool
}

func (t *twin) run(br *twinBridge, port action.Port, k flow.Key) {
	t.br = br
	t.p = newTwinPacket(k)
	t.learn = make(map[string]bool)
	t.resubmits = -1
	t.p.k.SetU64(flow.FieldInPort, uint64(port))
	t.p.k.SetU64(flow.FieldActsetOutput, uint64(action.PortUnset))
	if !t.refuses(port) {
		t.search(port, 0, true, false)
		t.rule = t.last
	}
	t.runSet()
	if t.failed {
		t.out = nil
	}
}

func (t *twin) refuses(port action.Port) bool {
	c := t.br.config[port]
	if t.p.k.EthDst() == 0x0180c2000000 {
		return c&openflow.ConfigNoRecvSTP != 0
	}
	return c&openflow.ConfigNoRecv != 0
}

func (t *twin) in() action.Port { return action.Port(t.p.k.InPort()) }

func (t *twin) search(port action.Port, table uint8, miss, deeper bool) {
	if t.failed {
		return
	}
	if t.depth >= 64 || t.resubmits >= 4096 {
		t.failed = true
		return
	}
	k := t.p.k
	k.SetU64(flow.FieldInPort, uint64(port))
	if k.U64(flow.FieldIPFrag) != 0 {
		switch t.br.frag {
		case openflow.FragDrop:
			return
		case openflow.FragNormal:
			k.SetU64(flow.FieldTPSrc, 0)
			k.SetU64(flow.FieldTPDst, 0)
		}
	}
	var best *twinRule
	for i := range t.br.rules {
		r := &t.br.rules[i]
		if r.table == table && r.match.Matches(&k) && (best == nil || r.prio > best.prio) {
			best = r
		}
	}
	oldTable, oldRule := t.table, t.rule
	t.table, t.rule = table, best
	if best != nil {
		t.resubmits++
		if deeper {
			t.depth++
		}
		t.rule = best
		t.do(best.instr)
		if deeper {
			t.depth--
		}
	} else if miss && t.br.miss && t.br.config[t.in()]&openflow.ConfigNoPacketIn == 0 {
		t.packetIn(openflow.ReasonImplicitMiss)
	}
	t.table, t.rule, t.last = oldTable, oldRule, best
}

func (t *twin) do(in *action.Instructions) {
	if !t.list(in.Apply) {
		return
	}
	if in.ClearActions {
		t.set = nil
		t.noteSet()
	}
	if in.Write != nil {
		t.set = append(append(action.List(nil), t.set...), in.Write...)
		t.noteSet()
	}
	t.p.k.SetMasked(flow.FieldMetadata, flow.U128{Lo: in.Metadata}, flow.U128{Lo: in.MetadataMask})
	if in.HasGoto {
		t.search(t.in(), in.Goto, true, in.Goto <= t.table)
	}
}

func (t *twin) noteSet() {
	v := uint64(action.PortUnset)
	for _, a := range t.set {
		if o, ok := a.(action.Output); ok {
			v = uint64(o.Port)
		}
	}
	t.p.k.SetU64(flow.FieldActsetOutput, v)
}

func (t *twin) runSet() {
	var pop, push, dec, out action.Action
	var sets action.List
	for _, a := range t.set {
		switch a.(type) {
		case action.PopVLAN:
			pop = a
		case action.PushVLAN:
			push = a
		case action.DecTTL:
			dec = a
		case action.Output:
			out = a
		default:
			sets = append(sets, a)
		}
	}
	t.set = nil
	if out == nil || t.failed || t.exit {
		return
	}
	oldIn := t.inSet
	t.inSet = true
	var l action.List
	for _, a := range []action.Action{pop, push, dec} {
		if a != nil {
			l = append(l, a)
		}
	}
	t.list(append(append(l, sets...), out))
	t.inSet = oldIn
}

func (t *twin) packetIn(r openflow.PacketInReason) {
	cookie := ^uint64(0)
	if t.rule != nil {
		cookie = t.rule.cookie
		if r == openflow.ReasonAction && t.rule.prio == 0 && t.rule.match == (flow.Match{}) {
			r = openflow.ReasonExplicitMiss
		}
	}
	t.out = append(t.out, fmt.Sprintf("packet-in %s table %d cookie %x reason %d in %d reg0 %x metadata %x:%s",
		t.br.name, t.table, cookie, r, t.in(), t.p.k.U64(flow.FieldReg0), t.p.k.U64(flow.FieldMetadata), t.p.wire()))
}

func (t *twin) list(l action.List) bool {
	for _, a := range l {
		if !t.act(a) || t.exit || t.failed {
			return false
		}
	}
	return true
}

// present says whether the packet has the header of a field.
func (t *twin) present(f flow.Field) bool {
	k := &t.p.k
	et, proto := k.EthType(), k.IPProto()
	v4, v6 := et == 0x800, et == 0x86dd
	l4 := (v4 || v6) && k.U64(flow.FieldIPFrag)&flow.FragLater == 0
	switch f {
	case flow.FieldVLANPCP:
		return len(t.p.tags) > 0
	case flow.FieldIPSrc, flow.FieldIPDst:
		return v4
	case flow.FieldIPv6Src, flow.FieldIPv6Dst:
		return v6
	case flow.FieldIPTTL, flow.FieldIPDSCP, flow.FieldIPECN, flow.FieldIPTOS:
		return v4 || v6
	case flow.FieldARPOp, flow.FieldARPSPA, flow.FieldARPTPA, flow.FieldARPSHA, flow.FieldARPTHA:
		return et == 0x806
	case flow.FieldTPSrc, flow.FieldTPDst:
		return l4 && (proto == 6 || proto == 17)
	case flow.FieldTCPSrc, flow.FieldTCPDst:
		return l4 && proto == 6
	case flow.FieldUDPSrc, flow.FieldUDPDst:
		return l4 && proto == 17
	case flow.FieldICMPType, flow.FieldICMPCode:
		return l4 && (v4 && proto == 1 || v6 && proto == 58)
	}
	return true
}

func (t *twin) set1(f flow.Field, v, m flow.U128) {
	if !t.present(f) {
		return
	}
	switch f {
	case flow.FieldVLANTCI, flow.FieldVLANVID, flow.FieldDLVLAN, flow.FieldVLANPCP:
		var old twinTag
		rest := t.p.tags
		if len(rest) > 0 {
			old, rest = rest[0], rest[1:]
		}
		var k flow.Key
		k.SetU64(flow.FieldVLANTCI, uint64(old.tci))
		k.SetMasked(f, v, m)
		tci := uint16(k.U64(flow.FieldVLANTCI))
		if f == flow.FieldDLVLAN {
			tci |= 0x1000
		}
		if tci&0x1000 == 0 {
			t.p.setTags(nil)
			return
		}
		if old.tci == 0 {
			old.tpid = 0x8100
		}
		t.p.setTags(append([]twinTag{{old.tpid, tci}}, rest...))
	default:
		t.p.k.SetMasked(f, v, m)
	}
}

func (t *twin) act(a action.Action) bool {
	switch a := a.(type) {
	case action.Output:
		t.output(a.Port)
	case action.OutputReg:
		v := a.Src.Get(&t.p.k).Lo
		if v >= 0xff00 && v <= 0xffff {
			v += 0xffff0000
		} else if v > 0xffff {
			return true
		}
		t.output(action.Port(v))
	case action.Resubmit:
		tab, in := a.Table, a.InPort
		if tab == 255 {
			tab = t.table
		}
		if in == action.PortInPort {
			in = t.in()
		}
		t.search(in, tab, false, tab <= t.table)
	case action.Clone:
		p, set, stack := t.p, t.set, append([]flow.U128(nil), t.stack...)
		t.list(a.Actions)
		t.runSet()
		t.p, t.set, t.stack = p, set, stack
	case action.Exit:
		t.exit = true
	case action.SetField:
		t.set1(a.Field, a.Value, a.Mask)
	case action.Load:
		t.set1(a.Dst.Field, flow.U128{Lo: a.Value}.Lsh(uint(a.Dst.Ofs)), a.Dst.Mask())
	case action.Move:
		if t.present(a.Src.Field) {
			t.set1(a.Dst.Field, a.Src.Get(&t.p.k).Lsh(uint(a.Dst.Ofs)), a.Dst.Mask())
		}
	case action.StackPush:
		t.stack = append(t.stack, a.Src.Get(&t.p.k))
	case action.StackPop:
		if n := len(t.stack); n > 0 {
			v := t.stack[n-1]
			t.stack = t.stack[:n-1]
			t.p.k.SetMasked(a.Dst.Field, v.Lsh(uint(a.Dst.Ofs)), a.Dst.Mask())
		}
	case action.PushVLAN:
		t.p.setTags(append([]twinTag{{a.TPID, 0x1000}}, t.p.tags...))
	case action.PopVLAN:
		if len(t.p.tags) > 0 {
			t.p.setTags(t.p.tags[1:])
		}
	case action.SetVLANVID:
		if a.PushIfNone || len(t.p.tags) > 0 {
			t.set1(flow.FieldDLVLAN, flow.U128{Lo: uint64(a.VID)}, flow.Ones(12))
		}
	case action.SetVLANPCP:
		if a.PushIfNone && len(t.p.tags) == 0 {
			t.p.setTags([]twinTag{{0x8100, 0x1000}})
		}
		t.set1(flow.FieldVLANPCP, flow.U128{Lo: uint64(a.PCP)}, flow.Ones(3))
	case action.SetTTL:
		t.set1(flow.FieldIPTTL, flow.U128{Lo: uint64(a.TTL)}, flow.Ones(8))
	case action.DecTTL:
		if !t.present(flow.FieldIPTTL) {
			return true
		}
		ttl := t.p.k.U64(flow.FieldIPTTL)
		if ttl <= 1 {
			t.packetIn(openflow.ReasonInvalidTTL)
			return false
		}
		t.p.k.SetU64(flow.FieldIPTTL, ttl-1)
	}
	return true
}

func (t *twin) output(port action.Port) {
	switch port {
	case action.PortInPort:
		t.send(t.in())
	case action.PortTable:
		t.search(t.in(), 0, true, t.table == 0)
	case action.PortNormal:
		t.normal()
	case action.PortFlood, action.PortAll:
		for _, p := range t.br.ports {
			if p != t.in() && (port == action.PortAll || t.br.config[p]&openflow.ConfigNoFlood == 0) {
				t.send(p)
			}
		}
	case action.PortController:
		if t.inSet {
			t.packetIn(openflow.ReasonActionSet)
		} else {
			t.packetIn(openflow.ReasonAction)
		}
	case action.PortAny:
	default:
		if port != t.in() {
			t.send(port)
		}
	}
}

func (t *twin) send(port action.Port) {
	there := false
	for _, p := range t.br.ports {
		there = there || p == port
	}
	if !there || t.br.config[port]&openflow.ConfigNoFwd != 0 {
		return
	}
	peer, patch := t.br.peer[port]
	if !patch {
		t.out = append(t.out, fmt.Sprintf("%s port %d:%s", t.br.name, port, t.p.wire()))
		return
	}
	if peer.br == nil {
		return
	}
	old := *t
	t.br, t.set, t.stack, t.exit = peer.br, nil, nil, false
	for i := 1; i < 10; i++ {
		t.p.k[i] = 0
	}
	t.p.k.SetU64(flow.FieldInPort, uint64(peer.port))
	t.p.k.SetU64(flow.FieldActsetOutput, uint64(action.PortUnset))
	if !t.refuses(peer.port) {
		t.search(peer.port, 0, true, true)
		t.rule = t.last
		t.runSet()
	}
	old.out, old.learn, old.resubmits = t.out, t.learn, t.resubmits // a failure there is not ours
	*t = old
}

func (t *twin) normal() {
	in := t.in()
	v, known := t.br.vlan[in]
	made := in == action.PortAny || in == action.PortController // by a controller
	if !known && !made {
		return
	}
	vid := uint16(0)
	if len(t.p.tags) > 0 {
		vid = t.p.tags[0].tci & 0xfff
	} else if et := t.p.k.EthType(); et == 0x8100 || et == 0x88a8 {
		return
	}
	switch {
	case v.Mode == Access && vid != 0:
		return
	case v.Mode == Access, v.Mode != Trunk && vid == 0:
		vid = v.Tag
	case v.Mode != Trunk && vid == v.Tag:
	case v.Trunks != nil && v.Trunks[vid/64]>>(vid%64)&1 == 0:
		return
	}
	dst, src := t.p.k.EthDst(), t.p.k.EthSrc()
	if dst>>4 == 0x0180c200000 {
		return
	}
	if src>>40&1 == 0 && !made {
		t.learn[fmt.Sprintf("%s %d %x %d", t.br.name, vid, src, in)] = true
	}
	var to []action.Port
	port, found := t.br.fdb[fdb.Key{MAC: dst, VLAN: vid}]
	if dst>>40&1 == 0 && found {
		if port != in {
			to = []action.Port{port}
		}
	} else {
		for _, p := range t.br.ports {
			o := t.br.vlan[p]
			inner := len(t.p.tags) > 1 && t.p.tags[1].tci&0xfff != 0
			member := o.Mode == Access && o.Tag == vid && !inner ||
				o.Mode != Access && (o.Mode != Trunk && o.Tag == vid || (o.Mode == Trunk || vid != 0) && (o.Trunks == nil || o.Trunks[vid/64]>>(vid%64)&1 != 0))
			if p != in && member && t.br.config[p]&openflow.ConfigNoFlood == 0 {
				to = append(to, p)
			}
		}
	}
	for _, p := range to {
		old := t.p
		o := t.br.vlan[p]
		pcp := uint16(0)
		tpid := uint16(0x8100)
		rest := t.p.tags
		tagged := len(rest) > 0
		if tagged {
			pcp, tpid, rest = rest[0].tci&0xe000, rest[0].tpid, rest[1:]
		}
		without := o.Mode == Access || o.Mode == NativeUntagged && o.Tag == vid
		outVID := vid
		if without {
			outVID = 0
		}
		keep := outVID != 0
		if !keep {
			switch o.PriorityTags {
			case PriorityNever:
				keep = tagged && !without && pcp != 0
			case PriorityIfNonzero:
				keep = tagged && pcp != 0
			case PriorityAlways:
				keep = tagged && (pcp != 0 || !without)
			}
		}
		if keep {
			t.p.setTags(append([]twinTag{{tpid, 0x1000 | pcp | outVID}}, rest...))
		} else if tagged {
			t.p.setTags(rest)
		}
		t.send(p)
		t.p = old
	}
}

func (t *twin) learned() (l []string) {
	for s := range t.learn {
		l = append(l, s)
	}
	sort.Strings(l)
	return l
}
