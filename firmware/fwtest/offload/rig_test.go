// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/firmware/fwtest"
)

var (
	chipPorts = []string{"lan1", "lan2", "lan3", "lan4"}
	wires     = append(slices.Clone(chipPorts), "wan")
)

// numbered is the Ethernet type of the test's frames (IEEE 802, local experimental 1).
const numbered = 0x88b5

// frame is one of the test's frames: an Ethernet header, perhaps a tag, and a number that no other one has.
type frame struct {
	dst, src uint64
	vid      int // 0: no tag
	number   uint64
}

const broadcast = 0xffffffffffff

// bytes returns it as it is on the wire, of the length that it is given without tag, at least 60.
func (f frame) bytes(size int) []byte {
	b := append(mac(f.dst), mac(f.src)...)
	if f.vid != 0 {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, 0x8100), uint16(f.vid))
		size += 4
	}
	b = binary.BigEndian.AppendUint16(b, numbered)
	b = binary.BigEndian.AppendUint64(b, f.number)
	return append(b, make([]byte, max(60, size)-len(b))...)
}

// parse returns the frame that b is, unless it is not the test's.
func parse(b []byte) (f frame, ok bool) {
	if len(b) < 60 {
		return f, false
	}
	f.dst, f.src = hw(b), hw(b[6:])
	b = b[12:]
	if binary.BigEndian.Uint16(b) == 0x8100 {
		f.vid = int(binary.BigEndian.Uint16(b[2:])&0xfff | binary.BigEndian.Uint16(b[2:])&0x1000)
		b = b[4:]
	}
	f.number = binary.BigEndian.Uint64(b[2:])
	return f, binary.BigEndian.Uint16(b) == numbered
}

func mac(m uint64) []byte { return binary.BigEndian.AppendUint64(nil, m)[2:] }

func hw(b []byte) uint64 {
	return uint64(binary.BigEndian.Uint16(b))<<32 | uint64(binary.BigEndian.Uint32(b[2:]))
}

func macText(m uint64) string {
	b := mac(m)
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5])
}

var board fwtest.Shared

func TestMain(m *testing.M) {
	code := m.Run()
	board.Close()
	os.Exit(code)
}

// rig is the machine and what has been sent and received.
type rig struct {
	*testing.T
	ctx context.Context
	m   *fwtest.Machine
	*traffic
}

// traffic numbers frames and collects them.
type traffic struct {
	mu   sync.Mutex
	last uint64
	got  map[uint64][]end
	wake chan struct{} // closed when got changes
	stop context.CancelFunc
	done sync.WaitGroup
}

func newRig(t *testing.T) *rig {
	t.Helper()
	m, err := board.Get()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	r := &rig{T: t, ctx: ctx, m: m, traffic: &traffic{got: map[uint64][]end{}, wake: make(chan struct{})}}
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := m.Output(context.Background(), "ovs-vsctl show; weir offload show; bridge vlan; ip -br link; bridge fdb | grep -v permanent; ovs-appctl fdb/show br0; ovs-appctl dpctl/dump-flows | head -40")
			t.Log(out + "\nend of the console:\n" + m.Tail())
		}
	})
	r.served()
	return r
}

// served waits until the database is served: the daemon is ready a little earlier.
func (r *rig) served() {
	r.Helper()
	r.until("the database to be served", func() (bool, string) {
		_, err := r.m.Vsctl(r.ctx, "--no-wait", "list-br")
		return err == nil, fmt.Sprint(err)
	})
}

// collect notes what arrives from now on, until the test ends or f, which is returned, is called.
func (r *rig) collect() (halt func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	for _, name := range wires {
		p := r.m.Port(name)
		p.Take()
		r.done.Go(func() {
			for {
				b, err := p.Expect(ctx, func(b []byte) bool { _, ok := parse(b); return ok })
				if err != nil {
					return
				}
				f, _ := parse(b)
				r.mu.Lock()
				r.got[f.number] = append(r.got[f.number], end{name, f.vid})
				close(r.wake)
				r.wake = make(chan struct{})
				r.mu.Unlock()
			}
		})
	}
	halt = func() { cancel(); r.done.Wait() }
	r.Cleanup(halt)
	return halt
}

// next returns a number that no frame has.
func (r *rig) next() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last++
	return r.last
}

// send puts a new frame on a wire and returns its number.
func (r *rig) send(port string, dst, src uint64, vid int) uint64 {
	r.Helper()
	f := frame{dst, src, vid, r.next()}
	if err := r.m.Port(port).Send(f.bytes(60)); err != nil {
		r.Fatal(err)
	}
	return f.number
}

// arrived returns where a frame has arrived, and a channel that tells of more.
func (r *rig) arrived(number uint64) ([]end, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got[number]), r.wake
}

// awaitWait is how long a frame may be under way; behind one that was, frames are not waited for that long again.
const awaitWait = 15 * time.Second

// await waits until a frame has arrived at all of ends.
func (r *rig) await(number uint64, ends map[end]bool) bool {
	wait := awaitWait
	if r.Failed() {
		wait = 100 * time.Millisecond
	}
	return r.awaitFor(wait, number, ends)
}

// awaitFor is await with its own bound.
func (r *rig) awaitFor(wait time.Duration, number uint64, ends map[end]bool) bool {
	ctx, cancel := context.WithTimeout(r.ctx, wait)
	defer cancel()
	for {
		got, more := r.arrived(number)
		missing := maps.Clone(ends)
		for _, e := range got {
			delete(missing, e)
		}
		if len(missing) == 0 {
			return true
		}
		select {
		case <-more:
		case <-ctx.Done():
			return false
		}
	}
}

// fence sends broadcasts on every wire that they can leave for somewhere, one VLAN a wire and twice, and returns when they have arrived.
func (r *rig) fence(n *network) {
	r.Helper()
	r.fenceFrom(n, wires...)
}

// fenceFrom is fence from some of the wires.
func (r *rig) fenceFrom(n *network, from ...string) {
	r.Helper()
	for range 2 {
		for _, p := range from {
			i := slices.Index(wires, p)
			for _, vid := range append([]int{0}, n.vids()...) {
				if ends := n.flood(p, vid); len(ends) > 0 {
					// A first packet may be lost where the daemon is asked for too many at once: the fence is sent again.
					var no uint64
					ok := false
					for range 15 {
						no = r.send(p, broadcast, 0x02fe00000000|uint64(i), vid)
						if ok = r.awaitFor(time.Second, no, ends); ok {
							break
						}
					}
					if !ok {
						got, _ := r.arrived(no)
						r.Errorf("a fence from %s with VID %d came at %v, not at %s", p, vid, got, text(ends))
					}
					break
				}
			}
		}
	}
}

// vids are all that the network names, ascending.
func (n *network) vids() (out []int) {
	for v := 1; v < 4095; v++ {
		if n.named(v) {
			out = append(out, v)
		}
	}
	return out
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

func (r *rig) vsctl(args ...string) string {
	r.Helper()
	out, err := r.m.Vsctl(r.ctx, args...)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

func (r *rig) ofctl(command string, args ...string) string {
	r.Helper()
	out, err := r.m.Ofctl(r.ctx, command, args...)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// configure makes br0 with the network's ports anew, and waits until all that it has in the chip forwards.
func (r *rig) configure(n *network) {
	r.Helper()
	r.vsctl("--if-exists", "del-br", "br0")
	args := []string{"--", "add-br", "br0", "--", "set-controller", "br0", r.m.ListenOpenFlow(), "--", "set", "bridge", "br0", "mcast_snooping_enable=false"}
	for _, p := range slices.Sorted(maps.Keys(n.ports)) {
		if p != "br0" {
			args = append(args, "--", "add-port", "br0", p)
		}
		args = append(args, append([]string{"--", "set", "port", p}, n.ports[p].columns()...)...)
	}
	r.vsctl(args...)
	r.ready(n)
}

// ready waits until the network's ports are in the chip, or not, as it says, and all forward.
func (r *rig) ready(n *network) {
	r.Helper()
	r.until("the ports to be in their modes", func() (bool, string) {
		text := r.sh("weir offload show")
		for p := range n.ports {
			want := "standalone"
			if n.chip[p] {
				want = "bridged"
			}
			if strings.HasPrefix(p, "lan") && !strings.Contains(text, p+" (bridge br0, chip 5254001235010000): "+want) {
				return false, p + " is not " + want + ":\n" + text
			}
		}
		return true, ""
	})
	for p := range n.ports {
		if p == "br0" {
			continue
		}
		r.until(p+" to be up", func() (bool, string) {
			now := strings.TrimSpace(r.sh("cat /sys/class/net/%s/operstate /sys/class/net/%s/brport/state 2>/dev/null; true", p, p))
			return now == "up" || now == "up\n3", now
		})
	}
	// The kernel tells the chip of states later: an entry drops all of a port that does not forward.
	r.until("the chip to forward", func() (bool, string) {
		flows := r.flows()
		return !slices.ContainsFunc(flows, func(f fwtest.RockerFlow) bool {
			_, ours := n.ports["lan"+strconv.Itoa(int(deref(f.Key.InPort)))]
			return f.Key.Table == 60 && f.Key.Priority == 0x20000000 && ours
		}), "a port is blocked"
	})
}

func deref(p *uint32) uint32 {
	if p == nil {
		return 0
	}
	return *p
}

func (r *rig) flows() []fwtest.RockerFlow {
	r.Helper()
	flows, err := r.m.RockerFlows(r.ctx)
	if err != nil {
		r.Fatal(err)
	}
	return flows
}

// until asks until it is so, and returns how long that took.
func (r *rig) until(what string, so func() (bool, string)) time.Duration {
	r.Helper()
	var why string
	began := time.Now()
	for time.Since(began) < 30*time.Second && r.ctx.Err() == nil {
		var ok bool
		if ok, why = so(); ok {
			return time.Since(began)
		}
		time.Sleep(5 * time.Millisecond) // between two questions
	}
	r.Fatalf("waited for %s: %s", what, why)
	return 0
}

// host is an address as fdb/show has it.
type host struct {
	vlan int
	mac  string
}

// fdb returns fdb/show of br0: by address the port's name.
func (r *rig) fdb() map[host]string {
	r.Helper()
	names := map[string]string{"LOCAL": "br0"}
	for _, l := range strings.Split(r.vsctl("--columns=name,ofport", "--format=csv", "--no-headings", "list", "interface"), "\n") {
		if name, no, ok := strings.Cut(strings.TrimSpace(l), ","); ok {
			names[no] = strings.Trim(name, `"`)
		}
	}
	table := map[host]string{}
	for _, l := range strings.Split(r.sh("ovs-appctl fdb/show br0"), "\n")[1:] {
		f := strings.Fields(l)
		if len(f) != 4 {
			continue
		}
		vlan, err := strconv.Atoi(f[1])
		if err != nil {
			r.Fatalf("fdb/show: %q", l)
		}
		name := names[f[0]]
		if name == "" {
			name = f[0]
		}
		table[host{vlan, f[2]}] = name
	}
	return table
}

// kernelFDB returns what the kernel bridge under br0 has: by address the device, "leg" for the leg.
func (r *rig) kernelFDB() map[host]string {
	r.Helper()
	table := map[host]string{}
	for _, l := range strings.Split(r.sh("bridge fdb"), "\n") {
		f := strings.Fields(l)
		// 02:... dev lan1 vlan 10 [extern_learn] [offload] master wchip-b... [static]
		if len(f) < 7 || f[3] != "vlan" || strings.Contains(l, "permanent") || !strings.Contains(l, "master wchip-b") {
			continue
		}
		vlan, err := strconv.Atoi(f[4])
		if err != nil {
			r.Fatalf("bridge fdb: %q", l)
		}
		if vlan == 3071 {
			vlan = 0
		}
		dev := f[2]
		if strings.HasPrefix(dev, "wchip-i") {
			dev = "leg"
		}
		table[host{vlan, f[0]}] = dev
	}
	return table
}

// sameFDBs waits until fdb/show and the kernel's table are the same: what is not the chip's is on the leg, if a port of the chip has its VLAN.
func (r *rig) sameFDBs(n *network) {
	r.Helper()
	r.until("the MAC tables to agree", func() (bool, string) {
		ours, kernel := r.fdb(), r.kernelFDB()
		for h, p := range ours {
			switch {
			case n.chip[p]:
			case n.leg(h.vlan):
				ours[h] = "leg"
			default:
				delete(ours, h)
			}
		}
		for _, m := range []map[host]string{ours, kernel} {
			maps.DeleteFunc(m, func(h host, _ string) bool { return !strings.HasPrefix(h.mac, "02:") }) // the guest's own
		}
		return maps.Equal(ours, kernel), fmt.Sprintf("fdb/show has %v, the kernel %v", ours, kernel)
	})
}
