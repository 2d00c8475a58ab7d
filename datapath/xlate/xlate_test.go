// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/l2/fdb"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
)

var (
	seed   = flag.Uint64("seed", 1, "seed of the random tests")
	rounds = flag.Int("rounds", 0, "rounds of the twin test; 0: a short run")
	only   = flag.Int("from", 0, "first round of the twin test")
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is the same random switch twice.
type world struct {
	*rand.Rand
	br       [2]*Bridge
	twin     [2]*twinBridge
	maxVLANs int
}

func (w *world) pick(v ...uint64) uint64 { return v[w.IntN(len(v))] }

func (w *world) mac() uint64 {
	return w.pick(0x020000000001, 0x020000000002, 0x020000000003, 0x020000000003, 0xffffffffffff, 0x0180c2000000, 0x01005e000001)
}

// canonical clears the fields that a packet of this kind does not have.
func (w *world) canonical(k flow.Key) flow.Key {
	if w.maxVLANs == 1 {
		k.SetU64(flow.FieldCVLANTCI, 0)
	}
	if k.VLANTCI()&flow.VLANPresent == 0 {
		k.SetU64(flow.FieldVLANTCI, 0)
		k.SetU64(flow.FieldVLANTPID, 0)
		k.SetU64(flow.FieldCVLANTCI, 0)
	}
	if k.U64(flow.FieldCVLANTCI)&flow.VLANPresent == 0 {
		k.SetU64(flow.FieldCVLANTCI, 0)
		k.SetU64(flow.FieldCVLANTPID, 0)
	}
	clear := func(fs ...flow.Field) {
		for _, f := range fs {
			k.Set(f, flow.U128{})
		}
	}
	et, proto := k.EthType(), k.IPProto()
	switch et {
	case ethIPv4:
		clear(flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldARPSHA, flow.FieldARPTHA)
	case ethIPv6:
		clear(flow.FieldIPSrc, flow.FieldIPDst, flow.FieldARPSHA, flow.FieldARPTHA)
	case ethARP:
		clear(flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPTOS, flow.FieldIPTTL, flow.FieldIPFrag, flow.FieldTPSrc, flow.FieldTPDst)
	default:
		for i := 28; i < flow.Words; i++ {
			k[i] = 0
		}
	}
	k.SetU64(flow.FieldIPFrag, k.U64(flow.FieldIPFrag)&3)
	if k.U64(flow.FieldIPFrag)&flow.FragLater != 0 {
		k.SetU64(flow.FieldIPFrag, flow.FragAny|flow.FragLater)
		clear(flow.FieldTPSrc, flow.FieldTPDst)
	}
	if et == ethIPv4 || et == ethIPv6 {
		switch {
		case proto == 6 || proto == 17:
		case proto == 1 && et == ethIPv4 || proto == 58 && et == ethIPv6:
			k.SetU64(flow.FieldTPSrc, k.U64(flow.FieldTPSrc)&0xff)
			k.SetU64(flow.FieldTPDst, k.U64(flow.FieldTPDst)&0xff)
		default:
			clear(flow.FieldTPSrc, flow.FieldTPDst)
		}
	}
	return k
}

func (w *world) key() (k flow.Key) {
	k.SetU64(flow.FieldEthDst, w.mac())
	k.SetU64(flow.FieldEthSrc, w.mac())
	k.SetU64(flow.FieldVLANTCI, w.pick(0, 0, 0x100a, 0xb00a, 0x1014, 0x1000, 0xb000))
	k.SetU64(flow.FieldVLANTPID, w.pick(0x8100, 0x88a8))
	k.SetU64(flow.FieldCVLANTCI, w.pick(0, 0x100a, 0x3005))
	k.SetU64(flow.FieldCVLANTPID, 0x8100)
	k.SetU64(flow.FieldEthType, w.pick(ethIPv4, ethIPv4, ethIPv6, ethARP, 0x88cc, 0x8100))
	k.SetU64(flow.FieldIPSrc, w.pick(0x0a000001, 0x0a000002, 0x0b000001))
	k.SetU64(flow.FieldIPDst, w.pick(0x0a000001, 0x0a000102, 0xc0a80001))
	k.Set(flow.FieldIPv6Src, flow.U128{Hi: 0x20010db8 << 32, Lo: w.Uint64N(3)})
	k.Set(flow.FieldIPv6Dst, flow.U128{Hi: 0x20010db8 << 32, Lo: w.Uint64N(3)})
	k.SetU64(flow.FieldIPProto, w.pick(6, 17, 1, 58, 0))
	k.SetU64(flow.FieldIPTTL, w.pick(0, 1, 2, 3, 64))
	k.SetU64(flow.FieldIPTOS, w.pick(0, 4, 0xb8, 0xb9))
	k.SetU64(flow.FieldIPFrag, w.pick(0, 0, 0, 1, 3))
	k.SetU64(flow.FieldTPSrc, w.pick(0, 80, 8, 1025))
	k.SetU64(flow.FieldTPDst, w.pick(0, 80, 443))
	k.SetU64(flow.FieldARPSHA, w.mac())
	return w.canonical(k)
}

func (w *world) match() (m flow.Match) {
	k := w.key()
	some := func(p int, f flow.Field) {
		if w.IntN(10) < p {
			mask := flow.Ones(f.Bits())
			if w.IntN(4) == 0 {
				mask = flow.U128{Hi: w.Uint64(), Lo: w.Uint64()}.And(mask)
			}
			m.SetMasked(f, k.Get(f), mask)
		}
	}
	if w.IntN(4) == 0 {
		m.SetU64(flow.FieldInPort, uint64(1+w.IntN(5)))
	}
	if w.IntN(6) == 0 {
		m.SetU64(flow.FieldReg0, uint64(w.IntN(4)))
	}
	if w.IntN(8) == 0 {
		m.SetU64(flow.FieldMetadata, uint64(w.IntN(3)))
	}
	if w.IntN(12) == 0 {
		m.SetU64(flow.FieldActsetOutput, w.pick(uint64(action.PortUnset), 2))
	}
	some(1, flow.FieldEthDst)
	some(1, flow.FieldEthSrc)
	some(2, flow.FieldVLANTCI)
	if w.IntN(2) == 0 {
		m.SetU64(flow.FieldEthType, uint64(k.EthType()))
		switch k.EthType() {
		case ethIPv4:
			some(2, flow.FieldIPSrc)
			some(2, flow.FieldIPDst)
		case ethIPv6:
			some(2, flow.FieldIPv6Src)
			some(2, flow.FieldIPv6Dst)
		case ethARP:
			some(3, flow.FieldARPSPA)
			some(2, flow.FieldARPOp)
			some(2, flow.FieldARPSHA)
			return m
		default:
			return m
		}
		some(2, flow.FieldIPTTL)
		some(2, flow.FieldIPTOS)
		some(1, flow.FieldIPFrag)
		if w.IntN(3) == 0 {
			m.SetU64(flow.FieldIPProto, uint64(k.IPProto()))
			some(4, flow.FieldTPSrc)
			some(4, flow.FieldTPDst)
		}
	}
	return m
}

var (
	writable = []flow.Field{
		flow.FieldEthDst, flow.FieldEthSrc, flow.FieldVLANTCI, flow.FieldVLANVID, flow.FieldDLVLAN, flow.FieldVLANPCP,
		flow.FieldIPSrc, flow.FieldIPDst, flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPTTL, flow.FieldIPDSCP, flow.FieldIPECN,
		flow.FieldARPOp, flow.FieldARPSPA, flow.FieldARPTHA, flow.FieldTPSrc, flow.FieldTPDst, flow.FieldICMPType,
		flow.FieldReg0, flow.FieldReg1, flow.FieldXReg0, flow.FieldXXReg0, flow.FieldMetadata, flow.FieldInPort,
	}
	portNumbers = []action.Port{1, 2, 3, 4, 5, 9, action.PortLocal}
)

func (w *world) value(f flow.Field) flow.U128 {
	switch f {
	case flow.FieldInPort:
		return flow.U128{Lo: w.Uint64N(6)}
	case flow.FieldReg0, flow.FieldReg1, flow.FieldXReg0, flow.FieldXXReg0, flow.FieldMetadata:
		return flow.U128{Lo: w.Uint64N(5)}
	case flow.FieldVLANTCI:
		return flow.U128{Lo: w.pick(0, 0x100a, 0xf014, 0x0005)}
	case flow.FieldVLANVID:
		return flow.U128{Lo: w.pick(0x100a, 0x1014)}
	}
	k := w.key()
	if v := k.Get(f); w.IntN(2) == 0 {
		return v
	}
	return flow.U128{Lo: w.Uint64()}.And(flow.Ones(f.Bits()))
}

func (w *world) sub(n int) flow.Subfield {
	for {
		f := writable[w.IntN(len(writable))]
		if b := f.Bits(); b >= n {
			return flow.Subfield{Field: f, Ofs: uint16(w.IntN(b - n + 1)), N: uint16(n)}
		}
	}
}

func (w *world) port() action.Port {
	switch w.IntN(12) {
	case 0:
		return action.PortInPort
	case 1:
		return action.PortFlood
	case 2:
		return action.PortAll
	case 3, 4:
		return action.PortNormal
	case 5:
		return action.PortController
	}
	return portNumbers[w.IntN(len(portNumbers))]
}

func (w *world) action(table uint8, depth int) action.Action {
	switch w.IntN(20) {
	case 0, 1, 2:
		return action.Output{Port: w.port(), MaxLen: 0xffff}
	case 3, 4, 5, 6:
		f := writable[w.IntN(len(writable))]
		m := flow.Ones(f.Bits())
		if w.IntN(3) == 0 && f != flow.FieldInPort && f != flow.FieldDLVLAN {
			m = m.And(flow.U128{Hi: w.Uint64(), Lo: w.Uint64()})
		}
		return action.SetField{Field: f, Value: w.value(f).And(m), Mask: m}
	case 7:
		n := []int{1, 2, 3, 8, 12, 16, 32, 48}[w.IntN(8)]
		return action.Move{Src: w.sub(n), Dst: w.sub(n)}
	case 8:
		d := w.sub([]int{1, 3, 8, 16, 32}[w.IntN(5)])
		return action.Load{Dst: d, Value: w.Uint64() & flow.Ones(int(d.N)).Lo}
	case 9:
		return action.PushVLAN{TPID: uint16(w.pick(0x8100, 0x88a8))}
	case 10, 11:
		return action.PopVLAN{}
	case 12:
		if w.IntN(2) == 0 {
			return action.SetVLANVID{VID: uint16(w.pick(10, 20)), PushIfNone: w.IntN(2) == 0}
		}
		return action.SetVLANPCP{PCP: uint8(w.IntN(8)), PushIfNone: w.IntN(2) == 0}
	case 13:
		if w.IntN(3) == 0 {
			return action.SetTTL{TTL: 9}
		}
		return action.DecTTL{}
	case 14, 15:
		tab := uint8(w.IntN(4))
		if tab <= table && w.IntN(4) > 0 {
			tab = table + 1
		}
		return action.Resubmit{InPort: []action.Port{action.PortInPort, 1, 3}[w.IntN(3)], Table: tab}
	case 16:
		if w.IntN(2) == 0 {
			return action.StackPush{Src: w.sub(16)}
		}
		d := w.sub(16)
		for d.Field == flow.FieldVLANTCI || layerOf(d.Field) != layerNone || d.Field == flow.FieldVLANVID {
			d = w.sub(16)
		}
		return action.StackPop{Dst: d}
	case 17:
		if depth < 2 {
			return action.Clone{Actions: w.list(table, depth+1)}
		}
		return action.Note{}
	case 18:
		return action.OutputReg{Src: flow.FieldReg0.All(), MaxLen: 0xffff}
	}
	if w.IntN(4) == 0 {
		return action.Exit{}
	}
	return action.Output{Port: w.port(), MaxLen: 0xffff}
}

func (w *world) list(table uint8, depth int) (l action.List) {
	for range w.IntN(6) {
		l = append(l, w.action(table, depth))
	}
	return l
}

func (w *world) instr(table uint8) *action.Instructions {
	in := &action.Instructions{Apply: w.list(table, 0)}
	in.ClearActions = w.IntN(10) == 0
	if w.IntN(3) == 0 {
		for range 1 + w.IntN(3) {
			a := w.action(table, 2)
			switch a.(type) {
			case action.Output, action.PushVLAN, action.PopVLAN, action.SetField, action.DecTTL, action.Load, action.SetTTL:
				in.Write = append(in.Write, a)
			}
		}
	}
	if w.IntN(6) == 0 {
		in.Metadata, in.MetadataMask = w.Uint64N(4), 3
	}
	if table < 3 && w.IntN(3) == 0 {
		in.HasGoto, in.Goto = true, table+1
	}
	return in
}

func newWorld(seed, round uint64) *world {
	w := &world{Rand: rand.New(rand.NewPCG(seed, round)), maxVLANs: 1 + int(round%2)}
	for i := range w.br {
		name := fmt.Sprintf("br%d", i)
		of := ofproto.New(nil)
		table := fdb.New(0, 0)
		w.br[i] = NewBridge(name, of, table)
		w.br[i].OF.MissToController = w.IntN(3) == 0
		w.twin[i] = &twinBridge{
			name: name, config: map[action.Port]openflow.PortConfig{}, vlan: map[action.Port]VLAN{},
			peer: map[action.Port]twinPeer{}, fdb: map[fdb.Key]action.Port{}, miss: of.MissToController,
		}
		if f := openflow.FragMode(w.pick(0, 0, 1, 3)); true {
			of.Handle(ofproto.ConnInfo{}, &openflow.SetConfig{Config: openflow.Config{Frag: f}}, t0)
			w.twin[i].frag = f
		}
		rules := 3 + w.IntN(25)
		for j := range rules {
			tab := uint8(w.IntN(4))
			if j < 3 {
				tab = 0
			}
			r := twinRule{table: tab, prio: int32(j), match: w.match(), instr: w.instr(tab), cookie: uint64(i*1000 + j)}
			if j == 0 {
				r.match = flow.Match{}
			}
			replies, _ := of.Handle(ofproto.ConnInfo{}, &openflow.FlowMod{
				Table: r.table, Priority: uint16(r.prio), Match: r.match, NewCookie: r.cookie,
				BufferID: openflow.NoBuffer, Instructions: *r.instr, OutPort: action.PortAny, OutGroup: action.GroupAny,
			}, t0)
			if len(replies) > 0 {
				panic(fmt.Sprintf("%v: %+v", replies[0].(*openflow.Error).Kind, r.instr))
			}
			w.twin[i].rules = append(w.twin[i].rules, r)
		}
	}
	for i, br := range w.br {
		tw := w.twin[i]
		var descs []openflow.PortDesc
		for _, no := range []action.Port{1, 2, 3, 4, 5, action.PortLocal} {
			v := VLAN{Mode: VLANMode(w.IntN(4)), Tag: uint16(w.pick(10, 20)), PriorityTags: PriorityTags(w.IntN(3))}
			if w.IntN(2) == 0 && v.Mode != Access {
				v.Trunks = NewVLANSet(5, 10)
			}
			p := &Port{No: no, Name: fmt.Sprint(no), DP: dpif.Port(100*i + int(min(no, 99))), VLAN: v}
			cfg := openflow.PortConfig(0)
			for _, c := range []openflow.PortConfig{openflow.ConfigNoFlood, openflow.ConfigNoFwd, openflow.ConfigNoRecv, openflow.ConfigNoRecvSTP, openflow.ConfigNoPacketIn} {
				if w.IntN(15) == 0 {
					cfg |= c
				}
			}
			if no == 5 {
				p.Patch = true
				tw.peer[no] = twinPeer{w.twin[1-i], 5}
			}
			br.SetPort(p)
			tw.ports = append(tw.ports, no)
			tw.vlan[no] = v
			tw.config[no] = cfg
			descs = append(descs, openflow.PortDesc{No: no, Name: p.Name})
		}
		br.OF.SetPorts(descs, t0)
		for no, cfg := range tw.config {
			br.OF.Handle(ofproto.ConnInfo{}, &openflow.PortMod{No: no, Config: cfg, Mask: ^openflow.PortConfig(0)}, t0)
		}
		for range w.IntN(6) {
			k := fdb.Key{MAC: w.mac(), VLAN: uint16(w.pick(0, 10, 20))}
			if !fdb.Multicast(k.MAC) {
				port := portNumbers[w.IntN(len(portNumbers))]
				br.FDB.Learn(k.VLAN, k.MAC, port, t0)
				tw.fdb[k] = port
			}
		}
	}
	for i := range w.br {
		w.br[i].ports[5].Peer = w.br[1-i].ports[5]
	}
	return w
}

// perform executes datapath actions on a packet as package dpif states, as text.
func perform(r *Result, k flow.Key) (out []string) {
	p := newTwinPacket(k)
	for _, a := range r.Actions {
		switch a := a.(type) {
		case dpif.Output:
			no := action.Port(a.Port % 100)
			if no == 99 {
				no = action.PortLocal
			}
			out = append(out, fmt.Sprintf("br%d port %d:%s", a.Port/100, no, p.wire()))
		case dpif.PushVLAN:
			p.setTags(append([]twinTag{{a.TPID, a.TCI}}, p.tags...))
		case dpif.PopVLAN:
			p.setTags(p.tags[1:])
		case dpif.Set:
			if a.Field == flow.FieldVLANTCI {
				t := append([]twinTag(nil), p.tags...)
				t[0].tci = t[0].tci&^uint16(a.Mask.Lo) | uint16(a.Value.Lo&a.Mask.Lo)
				p.setTags(t)
			} else {
				p.k.SetMasked(a.Field, a.Value, a.Mask)
			}
		case dpif.Userspace:
			pi := &r.PacketIns[a.Arg]
			out = append(out, fmt.Sprintf("packet-in %s table %d cookie %x reason %d in %d reg0 %x metadata %x:%s",
				pi.Bridge.Name, pi.Table, pi.Cookie, pi.Reason, pi.Metadata.Key.InPort(),
				pi.Metadata.Key.U64(flow.FieldReg0), pi.Metadata.Key.U64(flow.FieldMetadata), p.wire()))
		}
	}
	return out
}

func learned(r *Result) (l []string) {
	for _, e := range r.Learn {
		l = append(l, fmt.Sprintf("%s %d %x %d", e.Bridge.Name, e.VLAN, e.MAC, e.Port))
	}
	sort.Strings(l)
	return slices.Compact(l)
}

// TestTwin takes packets through random tables, by translation and by the interpreter: the
// same must come out, also of every packet that agrees under the mask.
func TestTwin(t *testing.T) {
	n := *rounds
	first := *only
	if n == 0 {
		n = 400
	}
	t.Logf("seed %d, %d rounds", *seed, n)
	packets, others, outputs, failed := 0, 0, 0, 0
	for round := first; round < n; round++ {
		w := newWorld(*seed, uint64(round))
		for range 25 {
			k := w.key()
			in := action.Port(1 + w.IntN(4))
			r := Translate(&In{Bridge: w.br[0], InPort: in, Key: &k, MaxVLANs: w.maxVLANs})
			packets++
			if r.Err != nil {
				failed++
			}
			outputs += len(r.Actions)
			for i := range 8 {
				o := k
				if i > 0 {
					o = w.key()
					if i > 4 { // near: another value of some bits
						o = k
						for range 3 {
							j := 23 + w.IntN(flow.Words-23)
							o[j] ^= 1 << w.IntN(64)
						}
					}
					for j := range o {
						o[j] = o[j]&^r.Mask[j] | k[j]&r.Mask[j]
					}
					if o != w.canonical(o) || !o.EqualUnder(&k, &r.Mask) {
						continue
					}
					others++
				}
				tw := &twin{}
				tw.run(w.twin[0], in, o)
				got, want := perform(r, o), tw.out
				if errors.Is(r.Err, ErrTooManyActions) && len(want) > MaxActions/4 {
					break // the twin has no such limit
				}
				if !slices.Equal(got, want) || !slices.Equal(learned(r), tw.learned()) || (r.Err != nil) != tw.failed {
					var rules []string
					for _, b := range w.twin {
						for _, rl := range b.rules {
							rules = append(rules, fmt.Sprintf("%s t%d p%d %v mask %v: %+v", b.name, rl.table, rl.prio, words(rl.match.Key), words(flow.Key(rl.match.Mask)), *rl.instr))
						}
					}
					t.Fatalf("seed %d round %d, other %d\npacket %v in %d\nactions %+v err %v\nmask %v\ngot  %s\nwant %s\nlearned %v\nwant    %v\nrules:\n%s", *seed, round, i,
						words(o), in, r.Actions, r.Err, words(flow.Key(r.Mask)), strings.Join(got, "\n     "), strings.Join(want, "\n     "),
						learned(r), tw.learned(), strings.Join(rules, "\n"))
				}
			}
			checkMask(t, r)
			if w.maxVLANs == 1 && !r.Mask.Get(flow.FieldCVLANTCI).IsZero() {
				t.Fatal("a tag that is not parsed counts")
			}
		}
	}
	t.Logf("%d packets, %d others under their masks, %d datapath actions, %d failed translations", packets, others, outputs, failed)
	if others < packets || outputs < packets {
		t.Error("the test does not test enough")
	}
}

func words(k flow.Key) string {
	var b strings.Builder
	for i, w := range k {
		if w != 0 {
			fmt.Fprintf(&b, "%d=%x ", i, w)
		}
	}
	return b.String()
}

// checkMask holds what package dpif asks for.
func checkMask(t *testing.T, r *Result) {
	t.Helper()
	m := &r.Mask
	all := func(f flow.Field) bool { return m.Get(f) == flow.Ones(f.Bits()) }
	if !all(flow.FieldInPort) || m.Get(flow.FieldVLANTCI).Lo&flow.VLANPresent == 0 {
		t.Fatal("in_port or the presence of a tag does not count")
	}
	later := false
	for i := flow.StageEnd[1]; i < flow.Words; i++ {
		later = later || m[i] != 0
	}
	if later && !all(flow.FieldEthType) {
		t.Fatal("a later field counts and eth_type does not")
	}
	if !m.Get(flow.FieldTPSrc).IsZero() && (!all(flow.FieldIPProto)) {
		t.Fatal("a port counts and nw_proto does not")
	}
	for i := 1; i < 10; i++ {
		if m[i] != 0 {
			t.Fatal("a register counts")
		}
	}
}
