// SPDX-License-Identifier: Apache-2.0

package upcall_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestStockConjunctions gives both switches flows with conjunctions by ovs-ofctl, one by one and in bundles,
// right and wrong, and flow_mods by hand with actions that ovs-ofctl does not send.
func TestStockConjunctions(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	p := newPair(t)
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	text := func() string {
		m := pick("in_port=1", "in_port=2", "ip,nw_src=10.0.0.1", "tcp,tp_dst=80", "conj_id=7", "conj_id=0", "conj_id=4294967295,ip", "dl_vlan=5", "conj_id=1/1")
		var l []string
		for range 1 + r.IntN(3) {
			l = append(l, pick("conjunction(1,1/2)", "conjunction(1,2/2)", "conjunction(2,64/64)", "conjunction(4294967295,1/3)", "conjunction(7,1/2)", "note:00.01.02.03.04.05", "note:aa",
				"conjunction(1,3/2)", "conjunction(1,1/1)", "conjunction(1,1/65)", "conjunction(1,0/2)", "conjunction(1,2)", "conjunction(1)", "conjunction(x,1/2)", "conjunction(4294967296,1/2)", "output:2", "drop", "clone(conjunction(1,1/2))"))
		}
		return fmt.Sprintf("table=%d,priority=%d,%s,actions=%s", r.IntN(2), r.IntN(3), m, strings.Join(l, ","))
	}
	sent := 0
	for i := range 200 {
		args := []string{"-O", pick("OpenFlow10", "OpenFlow13", "OpenFlow15")}
		if args[1] != "OpenFlow10" && r.IntN(3) == 0 {
			args = append(args, "--bundle")
		}
		switch r.IntN(6) {
		case 0:
			args = append(args, pick("del-flows", "--strict del-flows", "--bundle del-flows"), "br0", pick("in_port=1", "conj_id=7", "priority=1,in_port=2", "table=1"))
			if head, rest, ok := strings.Cut(args[len(args)-2], " "); ok {
				args[len(args)-2] = rest
				if head != "--bundle" || args[1] != "OpenFlow10" {
					args = append([]string{head}, args...)
				}
			}
		case 1:
			args = append(args, "mod-flows", "br0", text())
		default:
			args = append(args, "add-flow", "br0", text())
		}
		p.same(args...)
		sent++
		if i%10 == 9 {
			p.same("-O", pick("OpenFlow10", "OpenFlow13", "OpenFlow15"), "--no-stats", "dump-flows", "br0")
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	be := binary.BigEndian
	conj := func() []byte { // NXAST_CONJUNCTION: 34
		b := be.AppendUint16(nil, 0xffff)
		b = be.AppendUint16(b, uint16([]int{16, 16, 16, 16, 16, 16, 16, 24, 8}[r.IntN(9)]))
		b = be.AppendUint32(b, 0x2320)
		b = be.AppendUint16(b, 34)
		b = append(b, byte([]int{0, 0, 1, 1, 2, 63, 64, 255}[r.IntN(8)]), byte([]int{2, 2, 2, 3, 0, 1, 64, 65, 255}[r.IntN(9)]))
		return be.AppendUint32(b, r.Uint32N(3))
	}
	output := []byte{0, 0, 0, 16, 0, 0, 0, 2, 0xff, 0xff, 0, 0, 0, 0, 0, 0}
	note := append(be.AppendUint32([]byte{0xff, 0xff, 0, 16}, 0x2320), 0, 8, 1, 2, 3, 4, 5, 6)
	for range 1500 {
		version := []byte{4, 5, 6}[r.IntN(3)]
		if r.IntN(100) == 0 {
			p.redial()
		}
		if p.ours != nil {
			version = p.ours.version
		}
		var acts []byte
		for range 1 + r.IntN(3) {
			switch r.IntN(8) {
			case 0:
				acts = append(acts, output...)
			case 1:
				acts = append(acts, note...)
			default:
				acts = append(acts, conj()...)
			}
		}
		typ := uint16(4) // apply_actions
		if r.IntN(6) == 0 {
			typ = 3 // write_actions
		}
		b := make([]byte, 16) // cookie, mask
		b = append(b, 0, byte(r.IntN(3)))
		b = append(b, 0, 0, 0, 0) // timeouts
		b = be.AppendUint16(b, uint16(r.IntN(3)))
		b = append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0) // buffer, port, group, flags
		b = append(b, 0, 1, 0, 4, 0, 0, 0, 0)
		b = be.AppendUint16(b, typ)
		b = be.AppendUint16(b, uint16(8+len(acts)))
		b = append(append(b, 0, 0, 0, 0), acts...)
		p.sameRaw(version, 14, b)
		sent++
		if t.Failed() {
			t.FailNow()
		}
	}
	p.same("-O", "OpenFlow15", "--no-stats", "dump-flows", "br0")
	t.Logf("%d commands and messages", sent)
}
