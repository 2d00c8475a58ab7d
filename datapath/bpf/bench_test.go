// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
)

// TestCost prints what the program costs for a packet, without the device's
// driver and the redirect itself: BPF_PROG_TEST_RUN, which makes one skb and runs the program
// on it again and again.
func TestCost(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	inNS(t)
	onOneCPU(t)
	for _, masks := range []int{1, 8, 32} {
		d := open(t, Config{MaxFlows: segLen})
		l := newLab(t, d, fmt.Sprintf("c%d.", masks), 2)
		f := make([]byte, 60)
		copy(f, []byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 26})
		var k flow.Key
		var lay packet.Layers
		packet.Parse(f, &packet.Meta{InPort: 1}, 1, &k, &lay)
		for i := range masks {
			var m flow.Mask
			for _, fl := range []flow.Field{flow.FieldInPort, flow.FieldEthType, flow.FieldVLANTCI, flow.FieldIPSrc, flow.FieldIPDst, flow.FieldIPProto, flow.FieldTPSrc, flow.FieldTPDst} {
				m.SetAll(fl)
			}
			m.Set(flow.FieldEthDst, flow.U128{Lo: uint64(i)})
			key := k
			if i < masks-1 {
				key.SetU64(flow.FieldTPDst, 4000)
			}
			fl := &dpif.Flow{ID: dpif.FlowID(i + 1), Key: key.Apply(&m), Mask: &m, Actions: []dpif.Action{dpif.Output{Port: 2}}}
			if err := d.FlowPut(fl); err != nil {
				t.Fatal(err)
			}
		}
		var ctx [192]byte
		binary.NativeEndian.PutUint32(ctx[40:], uint32(l.wires[0].near))
		best := time.Hour
		for range 5 {
			start := time.Now()
			_, err := d.maps.prog.Run(&ebpf.RunOptions{Data: f, Context: ctx[:], Repeat: 200_000})
			if err != nil {
				t.Fatal(err)
			}
			best = min(best, time.Since(start)/200_000)
		}
		st, err := d.FlowStats(dpif.FlowID(masks))
		if err != nil || st.Packets < 1_000_000 {
			t.Fatalf("the flow was not hit: %+v, %v", st, err)
		}
		t.Logf("%d masks, the last of which hits: %v", masks, best)
	}
}
