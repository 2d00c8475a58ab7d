// SPDX-License-Identifier: Apache-2.0

package patches

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/firmware/fwtest"
)

var ports = []string{"lan1", "lan2", "lan3", "lan4"}

const (
	macA      = "02:00:00:00:00:0a"
	macB      = "02:00:00:00:00:0b"
	macC      = "02:00:00:00:00:0c"
	macD      = "02:00:00:00:00:0d"
	unknown   = "02:00:00:00:00:99"
	broadcast = "ff:ff:ff:ff:ff:ff"
	linkLocal = "01:80:c2:00:00:0e" // LLDP's, which no bridge forwards
)

// untested is an Ethernet type that nothing in the guest reacts to (IEEE local
// experimental 1).
const untested = 0x88b5

type frame []byte

// eth makes a frame of at least 60 bytes.
func eth(dst, src string, ethType uint16, payload ...byte) frame {
	f := append(hw(dst), hw(src)...)
	f = binary.BigEndian.AppendUint16(f, ethType)
	f = append(f, payload...)
	for len(f) < 60 {
		f = append(f, 0)
	}
	return f
}

func hw(s string) []byte {
	m, err := net.ParseMAC(s)
	if err != nil {
		panic(err)
	}
	return m
}

// tag returns the frame with an 802.1Q tag.
func (f frame) tag(vid, pcp uint16) frame {
	t := append(frame{}, f[:12]...)
	t = binary.BigEndian.AppendUint16(t, 0x8100)
	t = binary.BigEndian.AppendUint16(t, pcp<<13|vid)
	return append(t, f[12:]...)
}

// want are the frames that leave, by port.
type want map[string][]frame

// all is one frame out of several ports.
func all(f frame, by ...string) want {
	w := want{}
	for _, p := range by {
		w[p] = []frame{f}
	}
	return w
}

type rig struct {
	*testing.T
	ctx context.Context
	m   *fwtest.Machine
}

// run runs a subtest.
func (r *rig) run(name string, f func(*rig)) {
	r.Run(name, func(t *testing.T) {
		sub := *r
		sub.T = t
		f(&sub)
	})
}

// sh runs a command inside, which must succeed.
func (r *rig) sh(format string, args ...any) string {
	r.Helper()
	out, err := r.m.Output(r.ctx, fmt.Sprintf(format, args...))
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// refused runs a command inside, which must fail and say so with the words.
func (r *rig) refused(words, format string, args ...any) {
	r.Helper()
	command := fmt.Sprintf(format, args...)
	res, err := r.m.Run(r.ctx, command)
	if err != nil {
		r.Fatal(err)
	}
	if res.Code == 0 || !strings.Contains(res.Out+res.Err, words) {
		r.Errorf("%s: %v; it should be refused with %q", command, res, words)
	}
}

func (r *rig) flows() []fwtest.RockerFlow {
	r.Helper()
	flows, err := r.m.RockerFlows(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	return flows
}

// tables are the entries and groups of the chip, in an order, without counters. The
// driver's own VLANs are all one: which of them a port has depends on its past.
func (r *rig) tables() []string {
	r.Helper()
	var lines []string
	for _, f := range r.flows() {
		f.Hits, f.Cookie = 0, 0
		lines = append(lines, describe(f))
	}
	groups, err := r.m.RockerGroups(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	for _, g := range groups {
		lines = append(lines, fmt.Sprintf("group %#x", common(g.ID)))
	}
	slices.Sort(lines)
	return lines
}

// common is a group, with the driver's own VLANs as one.
func common(group uint32) uint32 {
	if group>>24&0xf == 0xf {
		return group&^0x00ff0000 | 0x00ff0000
	}
	return group
}

func describe(f fwtest.RockerFlow) string {
	s := fmt.Sprintf("table %d priority %d mask %s", f.Key.Table, f.Key.Priority, f.Mask)
	for _, p := range []struct {
		name string
		at   *uint32
	}{{"port", f.Key.InPort}, {"group", f.Action.Group}} {
		if p.at != nil {
			s += fmt.Sprintf(" %s %#x", p.name, common(*p.at))
		}
	}
	if f.Key.VLAN != nil {
		s += fmt.Sprintf(" vlan %#x", common(uint32(*f.Key.VLAN)<<16)>>16)
	}
	if f.Key.EthDst != nil {
		s += " to " + *f.Key.EthDst
	}
	return s
}

// clean waits until the chip holds what it held before.
func (r *rig) clean(before []string) {
	r.Helper()
	r.until("the chip's tables to be as before", func() (bool, string) {
		now := r.tables()
		if slices.Equal(now, before) {
			return true, ""
		}
		return false, "there is:\n" + strings.Join(now, "\n") + "\nthere was:\n" + strings.Join(before, "\n")
	})
}

// untilWait is for a machine that hangs.
const untilWait = time.Minute

// until asks until it is so.
func (r *rig) until(what string, so func() (bool, string)) {
	r.Helper()
	var why string
	for end := time.Now().Add(untilWait); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		var ok bool
		if ok, why = so(); ok {
			return
		}
	}
	r.Fatalf("waited for %s: %s", what, why)
}

// cpuGroup sends to the CPU.
const cpuGroup = 0x4000

// group sends a VLAN's frames out of a port.
func group(vlan uint16, port uint32) uint32 { return uint32(vlan)<<16 | port }

// learned waits until the chip's table has an address with a group.
func (r *rig) learned(mac string, vlan uint16, group uint32) {
	r.Helper()
	r.until(mac+" in the chip's address table", func() (bool, string) {
		for _, f := range r.flows() {
			if f.Key.Table == 50 && f.Key.EthDst != nil && *f.Key.EthDst == mac && f.Key.VLAN != nil && *f.Key.VLAN == vlan {
				return f.Action.Group != nil && *f.Action.Group == group, describe(f)
			}
		}
		return false, "no entry"
	})
}

// ingress is how many frames the chip's ports have received.
func (r *rig) ingress() uint64 {
	r.Helper()
	for _, f := range r.flows() {
		if f.Key.Table == 0 {
			return f.Hits
		}
	}
	r.Fatal("the chip has no ingress port entry")
	return 0
}

// cpu is how many frames of the chip's ports the guest has received.
func (r *rig) cpu() int {
	r.Helper()
	n := 0
	for _, s := range strings.Fields(r.sh("cat /sys/class/net/lan?/statistics/rx_packets")) {
		i, err := strconv.Atoi(s)
		if err != nil {
			r.Fatal(err)
		}
		n += i
	}
	return n
}

// inject sends a frame into a port and checks what comes out of the others and how many
// frames the guest's CPU received for it.
func (r *rig) inject(what, in string, f frame, out want, cpu int) {
	r.Helper()
	seen, before := r.ingress(), r.cpu()
	for _, p := range ports {
		r.m.Port(p).Take()
	}
	if err := r.m.Port(in).Send(f); err != nil {
		r.Fatal(err)
	}
	r.until("the frame to be in the chip", func() (bool, string) { return r.ingress() == seen+1, "" })
	got := want{}
	ctx, cancel := context.WithTimeout(r.ctx, time.Minute)
	defer cancel()
	for p, frames := range out {
		for range frames {
			g, err := r.m.Port(p).Expect(ctx, ours)
			if err != nil {
				r.Errorf("%s: into %s %s: %v", what, in, hex.EncodeToString(f), err)
				return
			}
			got[p] = append(got[p], g)
		}
	}
	r.until(what+": the CPU's count", func() (bool, string) {
		n := r.cpu() - before
		return n >= cpu, fmt.Sprintf("%d of %d frames", n, cpu)
	})
	time.Sleep(20 * time.Millisecond) // for what must not come
	for _, p := range ports {
		for _, g := range r.m.Port(p).Take() {
			if ours(g) {
				got[p] = append(got[p], g)
			}
		}
		if !slices.EqualFunc(got[p], out[p], func(a, b frame) bool { return bytes.Equal(a, b) }) {
			r.Errorf("%s: into %s %s: out of %s came\n%s\nnot\n%s", what, in, hex.EncodeToString(f), p, dump(got[p]), dump(out[p]))
		}
	}
	if n := r.cpu() - before; n != cpu {
		r.Errorf("%s: the CPU saw %d frames, not %d", what, n, cpu)
	}
}

// ours tells the test's frames from the guest's own.
func ours(f []byte) bool { return len(f) >= 14 && bytes.HasPrefix(f[6:], []byte{2, 0, 0, 0}) }

func dump(frames []frame) string {
	var s []string
	for _, f := range frames {
		s = append(s, hex.EncodeToString(f))
	}
	return strings.Join(s, "\n")
}
