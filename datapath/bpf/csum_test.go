// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// testChecksumComplete makes the kernel's test run pretend that the NIC summed the
// packet (CHECKSUM_COMPLETE) and fail with EBADMSG if that sum is not right afterwards
// (BPF_F_TEST_SKB_CHECKSUM_COMPLETE in linux/bpf.h).
const testChecksumComplete = 1 << 2

// TestChecksumComplete: edits keep the sum over the packet that the NIC made, on
// which the receiving stack relies.
func TestChecksumComplete(t *testing.T) {
	seed := twinSeed(t)
	p := newParser(t, 2)
	r := rand.New(rand.NewPCG(seed, 9))
	g := packettest.New(seed)
	g.Hostile, g.MinLen = 5, 60
	var m flow.Mask
	m.SetAll(flow.FieldEthType)
	m.SetAll(flow.FieldIPProto)
	m.Set(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent})
	edited, runs := 0, 0
	// A test run does not take the tag out of the frame as the kernel does in front of the
	// program, so a tagged frame would be a case that does not exist.
	next := func() []byte {
		for {
			if f := g.Next(); f[12] != 0x81 && f[12] != 0x88 {
				return f
			}
		}
	}
	for runs < 20_000 {
		f := next()
		var k flow.Key
		var l packet.Layers
		packet.Parse(f, &packet.Meta{InPort: 1}, 2, &k, &l)
		fl := &dpif.Flow{ID: 1, Key: k.Apply(&m), Mask: &m, Actions: twinActions(r, &k, 3)}
		// With a tag in the frame (behind a second push) the test run sums from the
		// wrong place.
		pushed := 0
		fl.Actions = slices.DeleteFunc(fl.Actions, func(a dpif.Action) bool {
			if _, ok := a.(dpif.PushVLAN); ok {
				pushed++
				return pushed > 1
			}
			return false
		})
		var no *dpif.Unsupported
		switch err := p.d.FlowPut(fl); {
		case errors.As(err, &no):
			continue
		case err != nil:
			t.Fatal(err)
		}
		for range 20 {
			_, err := p.d.maps.prog.Run(&ebpf.RunOptions{Data: f, Context: p.ctx[:], Flags: testChecksumComplete})
			switch {
			case runs == 0 && errors.Is(err, unix.EINVAL):
				t.Skip("this kernel's test run has no flag for that")
			case errors.Is(err, unix.EBADMSG):
				t.Fatalf("the sum is wrong after %v\non %x", fl.Actions, f)
			case err != nil:
				t.Fatalf("%v on %x", err, f)
			}
			runs++
			// More packets for the same flow.
			for n := 0; n < 50; n++ {
				f = next()
				packet.Parse(f, &packet.Meta{InPort: 1}, 2, &k, &l)
				if k.EqualUnder(&fl.Key, fl.Mask) {
					break
				}
			}
		}
		s, err := p.d.FlowDel(1)
		if err != nil {
			t.Fatal(err)
		}
		edited += int(s.Packets)
	}
	t.Logf("%d packets, of which %d hit a flow", runs, edited)
	if edited < runs/10 {
		t.Error("few packets hit a flow: the test does not test")
	}
}
