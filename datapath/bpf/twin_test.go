// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
	"github.com/weirswitch/weir/datapath/soft"
)

var twinPackets = flag.Int("twin", 100_000, "packets of the twin test")

// twinSeed returns the seed of a test: WEIR_SEED, else one that changes.
func twinSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("WEIR_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("seed: WEIR_SEED=%d", seed)
	return seed
}

// TestTwin sends the same frames through this datapath and through package
// soft, both at work on veth devices, with the same random megaflows, and
// compares every frame that comes out of every port, every upcall and every counter.
// It covers parser, lookup, all actions but the outputs of a device that is down, and what the
// kernel does around them; not GSO trains, which TestTCP does.
func TestTwin(t *testing.T) {
	inNS(t)
	seed := twinSeed(t)
	onOneCPU(t) // so that frames do not overtake each other in its backlog
	const epochs = 10
	n := 0
	for e := range uint64(epochs) {
		maxVLANs := 1 + int(e%2)
		hook := Hook(e % 3)
		n += twinEpoch(t, seed+e, hook, maxVLANs, *twinPackets/epochs)
		if t.Failed() {
			t.Fatalf("epoch %d, seed %d, hook %v, %d VLANs", e, seed+e, hook, maxVLANs)
		}
	}
	t.Logf("%d packets, no difference", n)
}

// twinEpoch runs packets through both datapaths with one set of megaflows.
func twinEpoch(t *testing.T, seed uint64, hook Hook, maxVLANs, packets int) int {
	const ports, round = 4, 50 // soft holds 64 upcalls of a port
	b := open(t, Config{Hook: hook, MaxVLANs: maxVLANs, RingBytes: 4 << 20, UpcallQuota: 2 << 20})
	s := soft.New(soft.Config{MaxVLANs: maxVLANs})
	defer s.Close()
	sides := []*twinSide{{name: "bpf", dp: b}, {name: "soft", dp: s}}
	flows := twinFlows(seed, maxVLANs, ports)
	for _, d := range sides {
		d.lab = newLab(t, d.dp, fmt.Sprintf("%s%d", d.name[:1], seed%1000), ports)
		for _, f := range append(flows, sentinelFlow(ports)) {
			if err := d.dp.FlowPut(f); err != nil {
				t.Fatalf("%s: %v", d.name, err)
			}
		}
		defer d.run(t)()
	}
	defer func() {
		for _, d := range sides {
			for _, w := range d.lab.wires {
				w.sock.Close()
			}
		}
	}()
	g := packettest.New(seed)
	// The receiving kernel drops tagged frames with less than 2 bytes of payload unless the tag is
	// not in the frame, as behind bpf: so much is left after many pops.
	g.MinLen = 40
	var sent [][]byte
	for n := 0; n < packets; n += round {
		in := dpif.Port(1 + n/round%ports)
		sent = sent[:0]
		for len(sent) < round {
			if f := g.Next(); binary.BigEndian.Uint16(f[12:]) != sentinelType {
				sent = append(sent, f)
			}
		}
		for _, d := range sides {
			d.round(t, in, sent, ports)
		}
		if x, y := sides[0], sides[1]; !twinEqual(t, x, y, ports) {
			for i, f := range sent {
				var k flow.Key
				var l packet.Layers
				packet.Parse(f, &packet.Meta{InPort: uint32(in)}, maxVLANs, &k, &l)
				id := dpif.FlowID(0)
				for _, fl := range flows {
					if k.EqualUnder(&fl.Key, fl.Mask) {
						id = fl.ID
						t.Logf("flow %d: %v", id, fl.Actions)
					}
				}
				t.Logf("sent %d (flow %d): %x", i, id, f)
			}
			return n
		}
	}
	twinCounters(t, sides, flows, ports)
	return packets
}

type twinSide struct {
	name string
	dp   dpif.Datapath
	lab  *lab

	mu   sync.Mutex
	ups  []string
	done chan struct{} // a sentinel came up
	outs [][][]byte    // of the last round, by port
	up   []string
}

// run takes upcalls until the function that it returns is called.
func (d *twinSide) run(t *testing.T) func() {
	ctx, cancel := context.WithCancel(context.Background())
	d.done = make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- d.dp.Run(ctx, dpif.Each(func(u *dpif.Upcall) {
			if u.Arg == 0xffff {
				d.done <- struct{}{}
				return
			}
			d.mu.Lock()
			defer d.mu.Unlock()
			d.ups = append(d.ups, fmt.Sprintf("port %d reason %d flow %d arg %d mark %d recirc %d: %x",
				u.InPort, u.Reason, u.Flow, u.Arg, u.Mark, u.Recirc, u.Packet.Data))
		}))
	}()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("%s: Run: %v", d.name, err)
		}
	}
}

// round sends frames and a sentinel and waits until it came out everywhere.
func (d *twinSide) round(t *testing.T, in dpif.Port, frames [][]byte, ports int) {
	for _, f := range append(frames, sentinel()) {
		d.lab.send(t, in, f)
	}
	d.outs = d.outs[:0]
	for p := range ports {
		d.outs = append(d.outs, d.lab.recv(t, dpif.Port(p+1)))
	}
	select {
	case <-d.done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: no sentinel among the upcalls", d.name)
	}
	d.mu.Lock()
	d.up, d.ups = d.ups, nil
	d.mu.Unlock()
	runtime.Gosched()
}

func twinEqual(t *testing.T, x, y *twinSide, ports int) bool {
	ok := true
	for p := range ports {
		a, b := x.outs[p], y.outs[p]
		for i := range max(len(a), len(b)) {
			switch {
			case i >= len(a):
				t.Errorf("port %d frame %d: only %s: %x", p+1, i, y.name, b[i])
			case i >= len(b):
				t.Errorf("port %d frame %d: only %s: %x", p+1, i, x.name, a[i])
			case !bytes.Equal(a[i], b[i]):
				t.Errorf("port %d frame %d:\n%s %x\n%s %x", p+1, i, x.name, a[i], y.name, b[i])
			default:
				continue
			}
			ok = false
			break
		}
	}
	for i := range max(len(x.up), len(y.up)) {
		if i >= len(x.up) || i >= len(y.up) || x.up[i] != y.up[i] {
			t.Errorf("%d and %d upcalls, from %d on:\n%s %v\n%s %v", len(x.up), len(y.up), i,
				x.name, x.up[i:min(i+1, len(x.up))], y.name, y.up[i:min(i+1, len(y.up))])
			return false
		}
	}
	return ok
}

// twinCounters compares the counters of all ports and flows.
func twinCounters(t *testing.T, sides []*twinSide, flows []*dpif.Flow, ports int) {
	hits := 0
	for p := range ports {
		var s [2]dpif.PortStats
		for i, d := range sides {
			var err error
			if s[i], err = d.dp.PortStats(dpif.Port(p + 1)); err != nil {
				t.Fatal(err)
			}
		}
		if s[0] != s[1] {
			t.Errorf("port %d:\n%s %+v\n%s %+v", p+1, sides[0].name, s[0], sides[1].name, s[1])
		}
	}
	for _, f := range flows {
		var s [2]dpif.FlowStats
		for i, d := range sides {
			var err error
			if s[i], err = d.dp.FlowStats(f.ID); err != nil {
				t.Fatal(err)
			}
			s[i].Used = time.Time{}
		}
		if s[0] != s[1] {
			t.Errorf("flow %d:\n%s %+v\n%s %+v", f.ID, sides[0].name, s[0], sides[1].name, s[1])
		}
		if s[0].Packets > 0 {
			hits++
		}
	}
	if hits < len(flows)/4 {
		t.Errorf("only %d of %d flows were hit: the test does not test", hits, len(flows))
	}
}

// twinFlows returns random megaflows that do not overlap, which this datapath can do.
func twinFlows(seed uint64, maxVLANs, ports int) (flows []*dpif.Flow) {
	r := rand.New(rand.NewPCG(seed, 1))
	g := packettest.New(seed + 1)
	var masks []*flow.Mask
	for range 24 {
		masks = append(masks, twinMask(r))
	}
	end := sentinelFlow(ports)
	matches := []flow.Match{{Key: end.Key, Mask: *end.Mask}}
next:
	for id := dpif.FlowID(1); len(flows) < 200 && id < 4000; id++ {
		var k flow.Key
		var l packet.Layers
		packet.Parse(g.Next(), &packet.Meta{InPort: 1 + r.Uint32N(uint32(ports))}, maxVLANs, &k, &l)
		mask := masks[r.IntN(len(masks))]
		m := flow.Match{Key: k.Apply(mask), Mask: *mask}
		for i := range matches {
			if m.Overlaps(&matches[i]) {
				continue next
			}
		}
		f := &dpif.Flow{ID: id, Key: m.Key, Mask: mask, Actions: twinActions(r, &k, ports)}
		var no *dpif.Unsupported
		if _, err := compile(f); errors.As(err, &no) {
			continue
		}
		matches = append(matches, m)
		flows = append(flows, f)
	}
	return flows
}

// twinMask returns a mask that is exact in in_port, the presence of a tag and
// the Ethernet type, and random in some other fields.
func twinMask(r *rand.Rand) *flow.Mask {
	var m flow.Mask
	m.SetAll(flow.FieldEthType)
	m.Set(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent})
	if r.IntN(4) > 0 {
		m.SetAll(flow.FieldInPort)
	}
	if r.IntN(2) > 0 {
		m.SetAll(flow.FieldIPProto)
	}
	for range r.IntN(6) {
		f := matchFields[r.IntN(len(matchFields))]
		if r.IntN(2) == 0 {
			m.SetAll(f)
		} else {
			m.Set(f, flow.U128{Hi: r.Uint64(), Lo: r.Uint64() & r.Uint64()})
		}
	}
	return &m
}

// twinActions returns actions for packets with key k.
func twinActions(r *rand.Rand, k *flow.Key, ports int) (as []dpif.Action) {
	fields := []flow.Field{flow.FieldEthDst, flow.FieldEthSrc}
	add := func(fs ...flow.Field) { fields = append(fields, fs...) }
	if k.VLANTCI() != 0 {
		add(flow.FieldVLANTCI, flow.FieldVLANVID, flow.FieldVLANPCP, flow.FieldDLVLAN)
	}
	switch k.EthType() {
	case flow.EthTypeIPv4:
		add(flow.FieldIPSrc, flow.FieldIPDst, flow.FieldIPTOS, flow.FieldIPTTL, flow.FieldIPDSCP, flow.FieldIPECN)
	case flow.EthTypeIPv6:
		add(flow.FieldIPv6Src, flow.FieldIPv6Dst, flow.FieldIPv6Label, flow.FieldIPTOS, flow.FieldIPTTL, flow.FieldIPDSCP, flow.FieldIPECN)
	case flow.EthTypeARP, flow.EthTypeRARP:
		add(flow.FieldARPOp, flow.FieldARPSHA, flow.FieldARPTHA, flow.FieldARPSPA, flow.FieldARPTPA)
	case flow.EthTypeMPLS, flow.EthTypeMPLSM:
		add(flow.FieldMPLSLabel, flow.FieldMPLSTC, flow.FieldMPLSTTL)
	}
	if t := k.EthType(); t == flow.EthTypeIPv4 || t == flow.EthTypeIPv6 {
		switch k.IPProto() {
		case flow.ProtoTCP, flow.ProtoUDP:
			add(flow.FieldTPSrc, flow.FieldTPDst, flow.FieldTCPSrc, flow.FieldUDPDst)
		case flow.ProtoICMP:
			add(flow.FieldICMPType, flow.FieldTPDst)
		case flow.ProtoICMPv6:
			add(flow.FieldICMPv6Type, flow.FieldTPDst, flow.FieldNDTarget, flow.FieldNDSLL, flow.FieldNDTLL, flow.FieldNDReserved)
		}
	}
	asked := false
	for range 1 + r.IntN(8) {
		switch r.IntN(12) {
		case 0:
			tpid := uint16(0x8100)
			if r.IntN(2) == 0 {
				tpid = 0x88a8
			}
			as = append(as, dpif.PushVLAN{TPID: tpid, TCI: uint16(r.Uint32()) | flow.VLANPresent})
		case 1:
			as = append(as, dpif.PopVLAN{})
		case 2:
			if !asked { // one upcall a packet, see round
				as = append(as, dpif.Userspace{Arg: r.Uint32N(1000)})
			}
			asked = true
		case 3, 4, 5:
			as = append(as, dpif.Output{Port: dpif.Port(1 + r.IntN(ports))})
		default:
			f := fields[r.IntN(len(fields))]
			mask := flow.Ones(f.Bits())
			if r.IntN(3) == 0 && f != flow.FieldARPOp {
				mask = mask.And(flow.U128{Hi: r.Uint64(), Lo: r.Uint64()})
			}
			as = append(as, dpif.Set{Field: f, Value: flow.U128{Hi: r.Uint64(), Lo: r.Uint64()}, Mask: mask})
		}
	}
	if r.IntN(5) > 0 {
		as = append(as, dpif.Output{Port: dpif.Port(1 + r.IntN(ports))})
	}
	return as
}
