// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"fmt"
	"math/rand/v2"
	"slices"
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

const (
	legNo       action.Port = 0xff01
	legDP       dpif.Port   = 100
	legUntagged             = 4094
)

// chipFrame is a frame of a VLAN with the tag that a port wants, as text; 0: none.
func chipFrame(p *Port, vid uint16) string {
	if p.VLAN.Mode == Access || p.VLAN.Mode == NativeUntagged && vid == p.VLAN.Tag {
		vid = 0
	}
	return fmt.Sprintf("%d:%d", p.No, vid)
}

// wires performs actions and returns "port:vid" of each output, in order of the text.
func wires(t *testing.T, actions []dpif.Action, vid uint16) (out []string) {
	tags := []uint16{}
	if vid != 0 {
		tags = append(tags, vid)
	}
	for _, a := range actions {
		switch a := a.(type) {
		case dpif.Output:
			if len(tags) > 1 {
				t.Errorf("%d tags: %v", len(tags), actions)
			}
			v := uint16(0)
			if len(tags) > 0 {
				v = tags[0]
			}
			out = append(out, fmt.Sprintf("%d:%d", a.Port, v))
		case dpif.PushVLAN:
			tags = append([]uint16{a.TCI & 0xfff}, tags...)
		case dpif.PopVLAN:
			tags = tags[1:]
		case dpif.Set:
			if a.Field != flow.FieldVLANTCI {
				t.Fatalf("sets %v", a.Field)
			}
			tags[0] = tags[0]&^uint16(a.Mask.Lo) | uint16(a.Value.Lo&a.Mask.Lo)
		}
	}
	for i := range out {
		out[i] = strings.ReplaceAll(out[i], ":4096", ":0")
	}
	slices.Sort(out)
	return out
}

// TestLeg: a bridge of which a chip does some ports forwards, together with the chip, what
// a bridge that does all by itself forwards.
func TestLeg(t *testing.T) {
	const seed = 20261123
	r := rand.New(rand.NewPCG(seed, 0))
	vids := []uint16{0, 10, 20, 30}
	legs, copies := 0, 0
	for round := range 3000 {
		plain := NewBridge("plain", ofproto.New(nil), fdb.New(0, 0))
		split := NewBridge("split", ofproto.New(nil), fdb.New(0, 0))
		for _, b := range []*Bridge{plain, split} {
			b.OF.Reset(false, false, t0)
		}
		leg := &Leg{No: legNo, Name: "leg", DP: legDP, Untagged: legUntagged}
		split.SetLegs([]*Leg{leg})
		var desc []string
		for no := action.Port(1); no <= 6; no++ {
			v := VLAN{Mode: VLANMode(r.IntN(4))}
			if v.Mode != Trunk {
				v.Tag = vids[1+r.IntN(3)]
			}
			if v.Mode != Access && r.IntN(2) == 0 {
				v.Trunks = NewVLANSet(vids[r.IntN(4)], vids[r.IntN(4)], v.Tag)
			}
			p := Port{No: no, Name: fmt.Sprint("p", no), DP: dpif.Port(no), VLAN: v}
			q := p
			plain.SetPort(&p)
			if no <= 3 {
				q.Leg = leg
			}
			split.SetPort(&q)
			desc = append(desc, fmt.Sprintf("%d:%v/%d/%v", no, v.Mode, v.Tag, v.Trunks != nil))
		}
		const src, dst = 0x020000000001, 0x020000000002
		known := action.Port(r.IntN(7)) // where dst is; 0: nobody knows
		in := action.Port(1 + r.IntN(6))
		wire := vids[r.IntN(4)]
		for _, vid := range vids {
			if known != 0 && plain.Port(known).VLAN.carries(vid) {
				plain.FDB.Learn(vid, dst, known, t0)
				if known <= 3 {
					split.FDB.Hold(vid, dst, known, t0)
				} else {
					split.FDB.Learn(vid, dst, known, t0)
				}
			}
		}
		frame := func(vid uint16) (k flow.Key) {
			k.SetU64(flow.FieldEthSrc, src)
			k.SetU64(flow.FieldEthDst, dst)
			k.SetU64(flow.FieldEthType, 0x88b5)
			if vid != 0 {
				k.SetU64(flow.FieldVLANTPID, tpid8021Q)
				k.SetU64(flow.FieldVLANTCI, uint64(vid)|0x1000)
			}
			return k
		}
		k := frame(wire)
		want := wires(t, Translate(&In{Bridge: plain, InPort: in, Key: &k}).Actions, wire)

		var got []string
		// chip forwards a frame of VLAN vid among the chip's ports, as its tables say.
		chip := func(vid uint16, from action.Port) {
			for no := action.Port(1); no <= 3; no++ {
				p := split.Port(no)
				at, ok := split.FDB.Lookup(vid, dst)
				if no != from && p.VLAN.carries(vid) && (!ok || at == no) {
					got = append(got, chipFrame(p, vid))
				}
			}
		}
		var res *Result
		vid, ok := split.Port(in).VLAN.classify(wire)
		switch {
		case in > 3:
			res = Translate(&In{Bridge: split, InPort: in, Key: &k})
			for _, w := range wires(t, res.Actions, wire) {
				if on := fmt.Sprintf("%d:", legDP); strings.HasPrefix(w, on) {
					legs++
					n := vid
					if n == 0 {
						n = legUntagged
					}
					if w != on+fmt.Sprint(n) {
						t.Errorf("seed %d, round %d: %s on the leg, want VID %d", seed, round, w, n)
					}
					chip(vid, 0)
				} else {
					got = append(got, w)
				}
			}
		case ok:
			chip(vid, in)
			if at, ok := split.FDB.Lookup(vid, dst); !ok || at > 3 { // the chip's table has the leg for those, or nothing
				n := vid
				if n == 0 {
					n = legUntagged
				}
				k := frame(n)
				res = Translate(&In{Bridge: split, InPort: legNo, Key: &k})
				got = append(got, wires(t, res.Actions, n)...)
				if len(res.Learn) != 0 {
					t.Errorf("learns %v from the leg", res.Learn)
				}
			}
		}
		slices.Sort(got)
		copies += len(want)
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, round %d: in %d vid %d, dst on %d, ports %v:\n%v, want\n%v", seed, round, in, wire, known, desc, got, want)
		}
	}
	if legs < 500 || copies < 1000 {
		t.Errorf("too few cases: %d through the leg, %d copies", legs, copies)
	}
}

// TestLegController: a packet that a controller sends as if from a port of the chip goes to the chip's other
// ports singly, and one from itself goes through the leg once; an output to one port passes the leg by.
func TestLegController(t *testing.T) {
	b := simple(t, action.List{action.Output{Port: action.PortNormal}})
	leg := &Leg{No: legNo, DP: legDP, Untagged: legUntagged}
	b.SetLegs([]*Leg{leg})
	b.SetPort(&Port{No: 3, DP: 3})
	b.Port(1).Leg, b.Port(2).Leg = leg, leg
	var k flow.Key
	k.SetU64(flow.FieldEthDst, 0xffffffffffff)
	send := func(in action.Port, l ...action.Action) string {
		r := Translate(&In{Bridge: b, InPort: in, Key: &k, Actions: l, PacketOut: true})
		if len(r.Learn) != 0 && in < 3 {
			t.Errorf("learns %v on a port of the chip", r.Learn)
		}
		return strings.Join(wires(t, r.Actions, 0), " ")
	}
	normal := action.Output{Port: action.PortNormal}
	for _, c := range []struct {
		in   action.Port
		do   action.Action
		want string
	}{
		{1, normal, "2:0 3:0"},
		{3, normal, "100:4094"},
		{action.PortController, normal, "100:4094 3:0"},
		{action.PortController, action.Output{Port: 1}, "1:0"},
		{3, action.Output{Port: action.PortFlood}, "1:0 2:0"},
	} {
		if got := send(c.in, c.do); got != c.want {
			t.Errorf("in %v, %v: %s, want %s", c.in, c.do, got, c.want)
		}
	}
	// A packet that is received on a port of the chip, which happens when it changes hands.
	if r := Translate(&In{Bridge: b, InPort: 1, Key: &k}); strings.Join(wires(t, r.Actions, 0), " ") != "3:0" {
		t.Errorf("from a port of the chip: %v", r.Actions)
	}
	// A chip's address that is seen on another port moves there; the chip's word moves it back.
	b.FDB.Hold(0, 5, 1, t0)
	b.FDB.Learn(0, 5, 3, t0.Add(time.Second))
	if p, _ := b.FDB.Lookup(0, 5); p != 3 {
		t.Errorf("moved to %v", p)
	}
}

// TestLegVLANs: frames of the VLAN whose VID stands for none on the leg do not cross, or they were of none behind it.
func TestLegVLANs(t *testing.T) {
	b := simple(t, action.List{action.Output{Port: action.PortNormal}})
	leg := &Leg{No: legNo, DP: legDP, Untagged: legUntagged}
	b.SetLegs([]*Leg{leg})
	b.SetPort(&Port{No: 3, DP: 3})
	b.SetPort(&Port{No: 4, DP: 4})
	b.Port(1).Leg, b.Port(2).Leg = leg, leg
	for vid, want := range map[uint16]string{5: "100:5 4:5", legUntagged: "4:4094"} {
		var k flow.Key
		k.SetU64(flow.FieldEthDst, 0xffffffffffff)
		k.SetU64(flow.FieldVLANTPID, tpid8021Q)
		k.SetU64(flow.FieldVLANTCI, uint64(vid)|0x1000)
		if got := strings.Join(wires(t, Translate(&In{Bridge: b, InPort: 3, Key: &k}).Actions, vid), " "); got != want {
			t.Errorf("VLAN %d: %s, want %s", vid, got, want)
		}
	}
}

// TestLegRules: rules that ask for the chip's ports one by one do not know the leg; what comes from it came from them.
func TestLegRules(t *testing.T) {
	b := simple(t)
	leg := &Leg{No: legNo, DP: legDP, Untagged: legUntagged}
	b.SetLegs([]*Leg{leg})
	b.SetPort(&Port{No: 3, DP: 3})
	b.Port(1).Leg, b.Port(2).Leg = leg, leg
	for no := range action.Port(2) {
		mod := openflow.FlowMod{BufferID: openflow.NoBuffer, Instructions: action.Instructions{Apply: action.List{action.Output{Port: action.PortNormal}}}}
		mod.Match.SetU64(flow.FieldInPort, uint64(no+1))
		b.OF.Handle(ofproto.ConnInfo{}, &mod, t0)
		if why := b.OF.NotNormal(no + 1); why != "" {
			t.Fatal(why)
		}
	}
	var k flow.Key
	k.SetU64(flow.FieldEthDst, 0xffffffffffff)
	k.SetU64(flow.FieldVLANTPID, tpid8021Q)
	k.SetU64(flow.FieldVLANTCI, legUntagged|0x1000)
	if got := wires(t, Translate(&In{Bridge: b, InPort: legNo, Key: &k}).Actions, legUntagged); !slices.Equal(got, []string{"3:0"}) {
		t.Errorf("from the leg to %v, want 3:0", got)
	}
}
