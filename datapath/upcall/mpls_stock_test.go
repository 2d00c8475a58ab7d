// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/internal/stock"
	"github.com/weirswitch/weir/datapath/ofconn"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// wire is Debian's switch and ours, each with bridge br0 and ports 1 to 4, for tests that
// compare what leaves their ports: the stock switch recirculates and executes as in earnest.
type wire struct {
	t   *testing.T
	s   *stock.Switch
	our *Switch
	dp  *listDP
	dir string // of our OpenFlow socket
	mu  sync.Mutex
	seq uint32
	v   string   // the version of OpenFlow for flows; "": as ovs-ofctl likes
	at  [5]int64 // bytes read of each port's file
}

func (w *wire) Connected(*ofconn.Conn)           {}
func (w *wire) Disconnected(*ofconn.Conn, error) {}
func (w *wire) Handle(c *ofconn.Conn, r *ofconn.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.Reply(r, w.our.Handle("br0", ofproto.ConnInfo{Version: c.Version()}, r.Msg, time.Now())...)
}

func newWire(t *testing.T) *wire {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	w := &wire{t: t, s: stock.Start(t), dp: &listDP{now: time.Now}}
	w.s.Bridge("br0", 4)
	log := slog.New(slog.DiscardHandler)
	w.our = New(w.dp, Options{Log: log})
	cfg := BridgeConfig{Name: "br0", Secure: true}
	for i := 1; i <= 4; i++ {
		name := fmt.Sprintf("p%d", i)
		w.s.Vsctl("set", "interface", name, "options:tx_pcap="+w.pcap(i))
		cfg.Ports = append(cfg.Ports, PortConfig{No: action.Port(i), Name: name, DP: dpif.Port(i)})
	}
	if err := w.our.Apply(Config{Bridges: []BridgeConfig{cfg}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	sw := ofconn.New(w, ofconn.Options{Log: log})
	t.Cleanup(sw.Close)
	w.dir = filepath.Join(w.s.Dir, "w")
	os.Mkdir(w.dir, 0o700)
	if _, err := sw.Listen(ofconn.Service, "punix:"+w.dir+"/br0.mgmt"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *wire) pcap(port int) string { return fmt.Sprintf("%s/tx%d", w.s.Dir, port) }

// marker is a type that a flow floods, so that it is seen when the packets before are done.
const marker = 0x9999

// flows gives both switches the same flows; those that ovs-ofctl or the stock switch
// refuses are left out. It returns the others.
func (w *wire) flows(lines []string) (kept []string) {
	w.t.Helper()
	ofctl := func(dir string, args ...string) error {
		if w.v != "" {
			args = append([]string{"-O", w.v}, args...)
		}
		c := exec.Command("ovs-ofctl", args...)
		c.Env = append(os.Environ(), "OVS_RUNDIR="+dir)
		out, err := c.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	for _, dir := range []string{w.s.Dir, w.dir} {
		if err := ofctl(dir, "del-flows", "br0"); err != nil {
			w.t.Fatal(err)
		}
	}
	for _, l := range append(lines, fmt.Sprintf("table=0,priority=60000,dl_type=%#x,actions=ALL", marker)) {
		theirs, ours := ofctl(w.s.Dir, "add-flow", "br0", l), ofctl(w.dir, "add-flow", "br0", l)
		if (theirs == nil) != (ours == nil) {
			w.t.Fatalf("flow %s\nstock %v\nours %v", l, theirs, ours)
		}
		if theirs == nil {
			kept = append(kept, l)
		}
	}
	return kept
}

// receive hands both a packet that comes in by port, and returns what leaves, by port.
func (w *wire) receive(port int, d []byte) (ours, theirs []string) {
	w.t.Helper()
	w.mu.Lock()
	w.dp.mu.Lock()
	w.dp.sent = nil
	w.dp.mu.Unlock()
	w.dp.receive(w.our, dpif.Port(port), d)
	for _, s := range w.dp.sent {
		ours = append(ours, fmt.Sprintf("%d:%x", s.port, s.data))
	}
	w.mu.Unlock()
	w.seq++
	mark := packettest.Eth(packettest.Addr{Src: 9, Dst: 9}, marker, binary.BigEndian.AppendUint32(nil, w.seq))
	// The stock switch's megaflows do not tell a label that is zero from one that is not there.
	w.s.Appctl("dpctl/del-flows")
	w.s.Appctl("netdev-dummy/receive", fmt.Sprintf("p%d", port), hex.EncodeToString(d))
	w.s.Appctl("netdev-dummy/receive", fmt.Sprintf("p%d", port), hex.EncodeToString(mark))
	for p := 1; p <= 4; p++ {
		if p == port {
			continue // the marker does not go there, nor do tests output to in_port
		}
		for done := false; !done; {
			for _, b := range w.tail(p) {
				if slices.Equal(b, mark) {
					done = true
				} else {
					theirs = append(theirs, fmt.Sprintf("%d:%x", p, b))
				}
			}
		}
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	return ours, theirs
}

// tail returns the packets that came to a port's file since, waiting for one.
func (w *wire) tail(port int) (ps [][]byte) {
	w.t.Helper()
	for range 5000 {
		b, err := os.ReadFile(w.pcap(port))
		if err != nil && !os.IsNotExist(err) {
			w.t.Fatal(err)
		}
		le := binary.LittleEndian
		at := max(w.at[port], 24)
		for int64(len(b)) >= at+16 {
			n := int64(le.Uint32(b[at+8:]))
			if int64(len(b)) < at+16+n {
				break
			}
			ps = append(ps, b[at+16:at+16+n])
			at += 16 + n
		}
		w.at[port] = at
		if len(ps) > 0 {
			return ps
		}
		time.Sleep(2 * time.Millisecond)
	}
	w.t.Fatalf("port %d: nothing comes", port)
	return nil
}

// stacked puts labels in front of a frame's payload, the bottom last.
func stacked(frame []byte, labels ...uint32) []byte {
	b := slices.Clone(frame[:12])
	b = append(b, 0x88, 0x47)
	for _, l := range labels {
		b = binary.BigEndian.AppendUint32(b, l)
	}
	return append(b, frame[14:]...)
}

// TestStockLabels holds that random flows with MPLS actions and truncated outputs send the same bytes
// as the stock switch, also where that has to recirculate after a pop.
func TestStockLabels(t *testing.T) {
	const seed, rounds = 21, 14
	t.Logf("seed %d", seed)
	w := newWire(t)
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	a := packettest.Addr{Src: 1, Dst: 2}
	udp := packettest.UDP(a, 1000, 53, []byte("what is it that you want to know?"))
	udp6 := packettest.IPv6(a, 17, packettest.UDPHeader(1000, 53, []byte("and what now?")), 6)
	tagged := packettest.Tag(0x8100, 0x600a, udp)
	frames := [][]byte{udp, udp6, packettest.ARP(a, 1), tagged}
	for i, p := range [][]byte{udp, udp6, packettest.ARP(a, 1)} {
		tc := uint32(i) << 9
		frames = append(frames, stacked(p, 0xa140|tc), stacked(p, 0xa040|tc, 0xb141|tc), stacked(p, 0xa002|tc, 0xb001|tc, 0xc1ff|tc), packettest.Tag(0x8100, 7, stacked(p, 0xa101|tc)))
	}
	frames = append(frames, stacked(udp, 0xa040, 0xb041, 0xc042, 0xd143), stacked(udp6, 0xa040, 0xb041, 0xc042, 0xd043, 0xe141))
	packets, recirculated, sent := 0, 0, 0
	for round := range rounds {
		// In every other round our datapath can do as little with labels as the BPF program.
		w.dp.refuse = nil
		if round%2 == 1 {
			w.dp.refuse = func(a dpif.Action) bool {
				switch a := a.(type) {
				case dpif.PushMPLS, dpif.PopMPLS:
					return true
				case dpif.Output:
					return a.MaxLen != 0
				}
				return false
			}
		}
		var lines []string
		for i := range 14 {
			table := r.IntN(3)
			m := pick("mpls", "mpls,mpls_bos=0", "mpls,mpls_bos=0", "mpls,mpls_bos=1", "mpls,mpls_label=10", "mpls,mpls_tc=1", "mpls,mpls_tc=2", "mpls,mpls_ttl=64", "udp", "ip", "ipv6", "udp6", "arp", "mplsm", "")
			if i < 3 {
				table, m = i, ""
			}
			l3 := []string{"dec_ttl", "mod_nw_ttl:9", "mod_nw_tos:32", "push_mpls:0x8847", "push_mpls:0x8848"}
			if strings.HasPrefix(m, "udp") {
				l3 = append(l3, "set_field:77->udp_dst", "move:NXM_OF_UDP_SRC[]->NXM_OF_UDP_DST[]", "set_field:77->udp_src,output:4")
			}
			if strings.HasPrefix(m, "mpls") {
				l3 = []string{"pop_mpls:0x0800", "pop_mpls:0x0800", "push_mpls:0x8847",
					"set_field:77->mpls_label", "load:5->OXM_OF_MPLS_TC[]", "set_mpls_ttl:5", "dec_mpls_ttl", "pop_mpls:0x0800,dec_ttl", "pop_mpls:0x0800,mod_nw_tos:16", "pop_mpls:0x0800,set_field:10.9.9.9->ip_dst", "push_mpls:0x8847,set_field:9->mpls_label"}
			}
			if strings.HasSuffix(m, "tc=1") { // IPv6 inside; parsing other things as that differs, see package packet
				l3 = []string{"pop_mpls:0x86dd", "pop_mpls:0x86dd", "pop_mpls:0x86dd,mod_nw_ttl:3", "pop_mpls:0x86dd,set_field:fe80::1->ipv6_src", "push_mpls:0x8847"}
			}
			if strings.HasSuffix(m, "tc=2") {
				l3 = []string{"pop_mpls:0x0806", "pop_mpls:0x0806", "pop_mpls:0x0806,set_field:10.7.7.7->arp_spa", "push_mpls:0x8847"}
			}
			var acts []string
			if strings.HasSuffix(m, "bos=0") {
				// Not of the last label: what remains then are labels that are zero, in the stock switch (3.1).
				acts = append(acts, pick("pop_mpls:0x8847", "pop_mpls:0x8848", "pop_mpls:0x8847,output:4,push_mpls:0x8847"))
			}
			for range 1 + r.IntN(5) {
				switch r.IntN(7) {
				case 0, 1:
					acts = append(acts, "output:"+pick("2", "3", "4"))
				case 2:
					// Where changes are pending the stock switch (3.1) truncates first, to a length that the
					// packet does not keep.
					acts = append(acts, pick("output:4,output(port=2,max_len=60)", "output:2,output(port=3,max_len=30)", "output:2,output(port=4,max_len=5000)",
						"mod_dl_src:02:00:00:00:00:77", "push_vlan:0x8100", "strip_vlan", "mod_vlan_vid:9", "set_queue:1", "pop_queue", "load:3->NXM_NX_REG0[]"))
				case 3:
					if table < 2 {
						acts = append(acts, fmt.Sprintf("resubmit(,%d)", table+1))
					}
				default:
					acts = append(acts, l3[r.IntN(len(l3))])
				}
			}
			acts = append(acts, "output:"+pick("2", "3", "4"))
			if m != "" {
				m += ","
			}
			lines = append(lines, fmt.Sprintf("table=%d,priority=%d,%sactions=%s", table, i, m, strings.Join(acts, ",")))
		}
		lines = w.flows(lines)
		for _, d := range frames {
			before := len(w.dp.flows)
			first, _ := w.receive(1, d) // a miss, perhaps
			ours, theirs := w.receive(1, d)
			if !slices.Equal(first, ours) {
				t.Fatalf("round %d, packet %x\n%s\nfirst\n%s\nthen\n%s", round, d, strings.Join(lines, "\n"), strings.Join(first, "\n"), strings.Join(ours, "\n"))
			}
			packets++
			sent += len(theirs)
			if !slices.Equal(ours, theirs) {
				for _, f := range w.dp.flows {
					mm := flow.Match{Key: f.Key, Mask: *f.Mask}
					t.Logf("%d %s -> %+v", f.st.Packets, mm.String(), f.Actions)
				}
				t.Fatalf("round %d, packet %x\n%s\nours\n%s\nstock\n%s\nmegaflows of ours before %d, now %v\n%s", round, d, strings.Join(lines, "\n"),
					strings.Join(ours, "\n"), strings.Join(theirs, "\n"), before, len(w.dp.flows), w.s.Appctl("ofproto/trace", "br0", "in_port=1", hex.EncodeToString(d)))
			}
			if strings.Contains(w.s.Appctl("ofproto/trace", "br0", "in_port=1", hex.EncodeToString(d)), "recirc(") {
				recirculated++
			}
		}
	}
	t.Logf("%d packets, %d left the stock switch, %d recirculated there", packets, sent, recirculated)
	if recirculated < packets/50 || sent < packets {
		t.Error("the flows do too little")
	}
}
