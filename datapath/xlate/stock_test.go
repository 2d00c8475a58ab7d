// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"bytes"
	"context"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
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

// stock is Debian's switch with dummy devices, in a directory of its own.
type stock struct {
	t   *testing.T
	dir string
}

func startStock(t *testing.T) *stock {
	for _, p := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "ovs-appctl"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("the stock switch is not installed: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "xs") // short: the names of sockets are bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &stock{t, dir}
	s.run("ovsdb-tool", "create", dir+"/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
	s.daemon("ovsdb-server", dir+"/conf.db", "--remote=punix:"+dir+"/db.sock", "--unixctl="+dir+"/db.ctl")
	s.wait(dir + "/db.sock")
	s.daemon("ovs-vswitchd", "unix:"+dir+"/db.sock", "--enable-dummy=override", "--disable-system", "--unixctl="+dir+"/vs.ctl")
	s.wait(dir + "/vs.ctl")
	return s
}

func (s *stock) env() []string { return append(os.Environ(), "OVS_RUNDIR="+s.dir, "OVS_LOGDIR="+s.dir) }

func (s *stock) daemon(name string, args ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, name, append(args, "-vconsole:off")...)
	c.Env = s.env()
	if err := c.Start(); err != nil {
		cancel()
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cancel(); c.Wait() })
}

func (s *stock) wait(path string) {
	for range 500 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatalf("%s does not appear", path)
}

func (s *stock) run(name string, args ...string) string {
	s.t.Helper()
	c := exec.Command(name, args...)
	c.Env = s.env()
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		s.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return string(out)
}

// try is run for a command that may fail.
func (s *stock) try(name string, args ...string) bool {
	c := exec.Command(name, args...)
	c.Env = s.env()
	return c.Run() == nil
}

func (s *stock) vsctl(args ...string) {
	s.t.Helper()
	s.run("ovs-vsctl", append([]string{"--db=unix:" + s.dir + "/db.sock", "--timeout=10"}, args...)...)
}

func (s *stock) appctl(args ...string) string {
	s.t.Helper()
	return s.run("ovs-appctl", append([]string{"-t", s.dir + "/vs.ctl"}, args...)...)
}

// stockGen writes flows in the language of ovs-ofctl.
type stockGen struct{ *rand.Rand }

func (g stockGen) pick(s ...string) string { return s[g.IntN(len(s))] }

func (g stockGen) match() string {
	var m []string
	if g.IntN(3) == 0 {
		m = append(m, "in_port="+g.pick("1", "2", "3"))
	}
	if g.IntN(5) == 0 {
		m = append(m, g.pick("reg0=0", "reg0=1", "reg0=0x2/0x2", "metadata=1"))
	}
	if g.IntN(6) == 0 {
		m = append(m, g.pick("dl_dst=02:00:00:00:00:02", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00", "dl_src=02:00:00:00:00:01"))
	}
	if g.IntN(5) == 0 {
		m = append(m, g.pick("vlan_tci=0", "dl_vlan=10", "dl_vlan=20", "vlan_tci=0x1000/0x1000"))
	}
	switch g.IntN(7) {
	case 0:
		m = append(m, "arp")
		if g.IntN(2) == 0 {
			m = append(m, g.pick("arp_op=1", "arp_tpa=10.0.0.0/24"))
		}
	case 1, 2:
		m = append(m, g.pick("ip", "udp", "tcp"))
		if g.IntN(2) == 0 {
			m = append(m, g.pick("nw_dst=10.0.0.1", "nw_dst=10.0.0.0/16", "nw_src=192.168.0.0/24", "nw_ttl=1", "nw_tos=184"))
		}
	case 3:
		m = append(m, g.pick("udp,tp_dst=53", "tcp,tp_dst=80", "tcp,tp_src=0x400/0xfc00", "tcp,tcp_flags=+syn"))
	case 4:
		m = append(m, g.pick("ipv6", "udp6", "ipv6,ipv6_dst=2001:db8::/64", "tcp6,tp_dst=80"))
	}
	return strings.Join(m, ",")
}

func (g stockGen) action(table int) string {
	next := strconv.Itoa(table + 1)
	switch g.IntN(22) {
	case 0, 1, 2:
		return "output:" + g.pick("1", "2", "3", "4", "77")
	case 3, 4:
		return "NORMAL"
	case 5:
		return g.pick("FLOOD", "ALL", "IN_PORT", "LOCAL")
	case 6:
		return "mod_dl_" + g.pick("src", "dst") + ":02:00:00:00:00:0" + g.pick("1", "2", "7")
	case 7:
		return "mod_nw_" + g.pick("src:10.0.0.9", "dst:10.0.0.1", "tos:32", "ttl:17")
	case 8:
		return "mod_tp_" + g.pick("src:80", "dst:8080")
	case 9:
		return g.pick("mod_vlan_vid:10", "mod_vlan_vid:20", "mod_vlan_pcp:3")
	case 10:
		return "strip_vlan"
	case 11:
		return g.pick("push_vlan:0x8100", "push_vlan:0x88a8")
	case 12:
		return "dec_ttl"
	case 13, 14:
		return g.pick("load:1->NXM_NX_REG0[]", "load:2->NXM_NX_REG0[0..3]", "load:3->NXM_OF_IN_PORT[]", "load:0x64->NXM_OF_IP_DST[0..7]", "load:5->NXM_OF_ETH_SRC[4..10]")
	case 15:
		return g.pick("move:NXM_OF_IP_SRC[]->NXM_NX_REG1[]", "move:NXM_OF_ETH_SRC[]->NXM_OF_ETH_DST[]", "move:NXM_OF_IP_SRC[0..7]->NXM_OF_IP_DST[0..7]", "move:NXM_OF_TCP_SRC[]->NXM_OF_TCP_DST[]")
	case 16, 17:
		if table < 3 {
			return g.pick("resubmit(,"+next+")", "resubmit(1,"+next+")", "resubmit(,3)")
		}
		return "note:00"
	case 18:
		return g.pick("push:NXM_NX_REG0[]", "pop:NXM_NX_REG2[]", "push:NXM_OF_IN_PORT[],pop:NXM_NX_REG0[]")
	case 19:
		return "output:NXM_NX_REG0[]"
	case 20:
		return "clone(" + g.list(4, 2) + ")"
	}
	if g.IntN(3) == 0 {
		return "exit"
	}
	return "controller"
}

func (g stockGen) list(table, n int) string {
	var l []string
	for range 1 + g.IntN(n) {
		l = append(l, g.action(table))
	}
	return strings.Join(l, ",")
}

func (g stockGen) packet() string {
	p := []string{"in_port=" + g.pick("1", "2", "3", "4"), "dl_src=02:00:00:00:00:0" + g.pick("1", "2", "3"),
		"dl_dst=" + g.pick("02:00:00:00:00:02", "02:00:00:00:00:03", "02:00:00:00:00:05", "ff:ff:ff:ff:ff:ff", "01:80:c2:00:00:02")}
	if g.IntN(2) == 0 {
		p = append(p, "vlan_tci="+g.pick("0x100a", "0xb00a", "0x1014", "0x1000", "0xb000"))
	}
	ip := func() {
		p = append(p, "nw_src="+g.pick("192.168.0.7", "10.0.0.3"), "nw_dst="+g.pick("10.0.0.1", "10.0.0.9", "10.1.0.1"),
			"nw_ttl="+g.pick("1", "2", "64"), "nw_tos="+g.pick("0", "184"))
	}
	proto := func(l4 string) {
		p = append(p, l4+"_src="+g.pick("1025", "80"), l4+"_dst="+g.pick("53", "80", "443"))
	}
	switch g.IntN(6) {
	case 0:
		p = append(p, "arp", "arp_op=1", "arp_spa=10.0.0.3", "arp_tpa=10.0.0.1")
	case 1, 2:
		p = append(p, "udp")
		ip()
		proto("udp")
	case 3, 4:
		p = append(p, "tcp")
		ip()
		proto("tcp")
	case 5:
		l4 := g.pick("udp", "tcp")
		p = append(p, l4+"6", "ipv6_src=2001:db8::1", "ipv6_dst="+g.pick("2001:db8::2", "2001:db9::2"), "nw_ttl="+g.pick("1", "64"))
		proto(l4)
	}
	return strings.Join(p, ",")
}

// TestStock compares with ofproto/trace of Debian's ovs-vswitchd: what leaves, where
// and as what, and how much of the packet the megaflow looks at.
func TestStock(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	s := startStock(t)
	t.Logf("seed %d", *seed)
	s.vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath-type=dummy", "fail-mode=secure")
	for i := 1; i <= 4; i++ {
		p := fmt.Sprintf("p%d", i)
		s.vsctl("add-port", "br0", p, "--", "set", "interface", p, "type=dummy", fmt.Sprintf("ofport_request=%d", i))
	}
	dpNo := s.portNumbers()
	rounds, same, total, fewer, wider := 12, 0, 0, 0, 0
	for round := range rounds {
		g := stockGen{rand.New(rand.NewPCG(*seed, uint64(1000+round)))}
		of := ofproto.New(nil)
		br := NewBridge("br0", of, fdb.New(0, 0))
		s.vsctl("clear", "port", "p1", "tag", "trunks", "vlan_mode", "--", "clear", "port", "p2", "tag", "trunks", "vlan_mode", "--", "clear", "port", "p3", "tag", "trunks", "vlan_mode")
		var descs []openflow.PortDesc
		for i := 1; i <= 5; i++ {
			p := &Port{No: action.Port(i), Name: fmt.Sprintf("p%d", i)}
			if i == 5 {
				p.No, p.Name = action.PortLocal, "br0"
			}
			p.DP = dpNo[p.Name]
			if i < 4 {
				p.VLAN = s.vlan(g, p.Name)
			}
			br.SetPort(p)
			descs = append(descs, openflow.PortDesc{No: p.No, Name: p.Name})
		}
		of.SetPorts(descs, t0)
		s.appctl("fdb/flush", "br0")
		for _, vlan := range []string{"0", "10"} {
			s.appctl("fdb/add", "br0", "p2", vlan, "02:00:00:00:00:02")
			v, _ := strconv.Atoi(vlan)
			br.FDB.AddStatic(uint16(v), 0x020000000002, 2)
		}
		var file []string
		s.run("ovs-ofctl", "del-flows", s.dir+"/br0.mgmt")
		for i := range 24 {
			table := i % 4 // the first four match everything
			m, acts := g.match(), g.list(table, 4)
			if i < 4 {
				m = ""
			}
			if g.IntN(4) == 0 && table < 3 {
				acts += ",goto_table:" + strconv.Itoa(table+1)
			}
			match, err := flow.ParseMatch(m)
			if err != nil {
				t.Fatal(err)
			}
			in, err := action.Parse(acts)
			if err != nil {
				t.Fatal(err)
			}
			line := fmt.Sprintf("table=%d,priority=%d", table, i)
			if m != "" {
				line += "," + m
			}
			if !s.try("ovs-ofctl", "add-flow", s.dir+"/br0.mgmt", line+",actions="+acts) {
				continue // a field that the match does not promise
			}
			file = append(file, line+",actions="+acts)
			rep, _ := of.Handle(ofproto.ConnInfo{}, &openflow.FlowMod{Table: uint8(table), Priority: uint16(i), Match: match, BufferID: openflow.NoBuffer, Instructions: in}, t0)
			if len(rep) != 0 {
				t.Fatalf("%s: %v", line, rep[0].(*openflow.Error).Kind)
			}
		}
		for range 25 {
			text := g.packet()
			m, err := flow.ParseMatch(text)
			if err != nil {
				t.Fatal(err)
			}
			k := m.Key
			if k.VLANTCI() != 0 {
				k.SetU64(flow.FieldVLANTPID, 0x8100)
			}
			r := Translate(&In{Bridge: br, InPort: action.Port(k.InPort()), Key: &k})
			trace := s.appctl("ofproto/trace", "br0", text)
			got, want := stockPerform(t, r.Actions, k), s.perform(trace, k)
			total++
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d round %d: %s\n%s\nflows\n%s\ntrace\n%s\nactions %v err %v\ngot  %s\nwant %s", *seed, round, text, vlans(br), strings.Join(file, "\n"), trace, r.Actions, r.Err,
					strings.Join(got, "\n     "), strings.Join(want, "\n     "))
			}
			same++
			if ours, theirs := weight(&r.Mask), traceWeight(trace); theirs >= 0 {
				if ours <= theirs {
					fewer++
				} else {
					wider++
					if wider < 4 {
						fm := flow.Match{Key: k.Apply(&r.Mask), Mask: r.Mask}
						t.Logf("mask of %d bits, stock %d: %s\n%s\n%s\n%s", ours, theirs, text, megaflowLine(trace), fm.String(), strings.Join(file, "\n"))
					}
				}
			}
		}
	}
	t.Logf("%d of %d traces equal; mask no larger than stock's %d times, larger %d times", same, total, fewer, wider)
	if wider*20 > fewer {
		t.Error("masks are larger than the stock switch's too often")
	}
}

func vlans(br *Bridge) (s string) {
	for _, no := range br.Ports() {
		p := br.Port(no)
		s += fmt.Sprintf("%s %v tag %d trunks %v; ", p.Name, p.VLAN.Mode, p.VLAN.Tag, p.VLAN.Trunks != nil)
	}
	return s
}

var portLine = regexp.MustCompile(`(?m)^\s+(\S+) \d+/(\d+):`)

func (s *stock) portNumbers() map[string]dpif.Port {
	m := make(map[string]dpif.Port)
	for range 100 {
		for _, l := range portLine.FindAllStringSubmatch(s.appctl("dpif/show"), -1) {
			n, _ := strconv.Atoi(l[2])
			m[l[1]] = dpif.Port(n)
		}
		if len(m) == 5 {
			return m
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Fatalf("ports are missing: %v\n%s", m, s.appctl("dpif/show"))
	return nil
}

// vlan configures a port at random.
func (s *stock) vlan(g stockGen, port string) (v VLAN) {
	args := []string{"set", "port", port}
	switch v.Mode = VLANMode(g.IntN(4)); v.Mode {
	case Trunk:
		args = append(args, "vlan_mode=trunk")
	default:
		v.Tag = []uint16{10, 20}[g.IntN(2)]
		args = append(args, fmt.Sprintf("tag=%d", v.Tag), "vlan_mode="+v.Mode.String())
	}
	if v.Mode != Access && g.IntN(2) == 0 {
		v.Trunks = NewVLANSet(10)
		args = append(args, "trunks=10")
	}
	s.vsctl(args...)
	return v
}

func stockPerform(t *testing.T, actions []dpif.Action, k flow.Key) (out []string) {
	p := newTwinPacket(k)
	for _, a := range actions {
		switch a := a.(type) {
		case dpif.Output:
			out = append(out, fmt.Sprintf("%d:%s", a.Port, p.wire()))
		case dpif.PushVLAN:
			p.setTags(append([]twinTag{{a.TPID, a.TCI}}, p.tags...))
		case dpif.PopVLAN:
			p.setTags(p.tags[1:])
		case dpif.Set:
			if a.Field == flow.FieldVLANTCI {
				tags := slices.Clone(p.tags)
				tags[0].tci = tags[0].tci&^uint16(a.Mask.Lo) | uint16(a.Value.Lo&a.Mask.Lo)
				p.setTags(tags)
			} else {
				p.k.SetMasked(a.Field, a.Value, a.Mask)
			}
		case dpif.Userspace:
			out = append(out, "controller:"+p.wire())
		}
	}
	return floods(out)
}

// floods sorts outputs: the stock switch floods in no order.
func floods(out []string) []string {
	// NORMAL mixes tagged and untagged outputs in the stock's order of ports, so all between
	// two packets for the controller are compared as a set.
	start := 0
	for i := 0; i <= len(out); i++ {
		if i == len(out) || strings.HasPrefix(out[i], "controller") {
			slices.Sort(out[start:i])
			start = i + 1
		}
	}
	return out
}

var traceActions = regexp.MustCompile(`(?m)^Datapath actions: (.*)$`)

// perform executes the datapath actions of a trace.
func (s *stock) perform(trace string, k flow.Key) (out []string) {
	m := traceActions.FindStringSubmatch(trace)
	if m == nil {
		s.t.Fatalf("no datapath actions in\n%s", trace)
	}
	p := newTwinPacket(k)
	for _, a := range flow.SplitWords(m[1]) {
		name, arg, paren := strings.Cut(strings.TrimSuffix(a, ")"), "(")
		switch {
		case a == "drop":
		case !paren && name == "pop_vlan":
			p.setTags(p.tags[1:])
		case !paren:
			out = append(out, name+":"+p.wire())
		case name == "userspace":
			out = append(out, "controller:"+p.wire())
		case name == "push_vlan":
			t := twinTag{0x8100, 0x1000}
			for _, w := range strings.Split(arg, ",") {
				key, v, _ := strings.Cut(w, "=")
				n, _ := strconv.ParseUint(v, 0, 16)
				switch key {
				case "tpid":
					t.tpid = uint16(n)
				case "vid":
					t.tci |= uint16(n)
				case "pcp":
					t.tci |= uint16(n) << 13
				}
			}
			p.setTags(append([]twinTag{t}, p.tags...))
		case name == "set":
			proto, fields, _ := strings.Cut(strings.TrimSuffix(arg, ")"), "(")
			for _, w := range strings.Split(fields, ",") {
				key, v, _ := strings.Cut(w, "=")
				s.set(&p, proto, key, v)
			}
		default:
			s.t.Fatalf("unknown datapath action %q", a)
		}
	}
	return floods(out)
}

func (s *stock) set(p *twinPacket, proto, key, value string) {
	names := map[string]string{
		"eth.src": "eth_src", "eth.dst": "eth_dst", "ipv4.src": "ip_src", "ipv4.dst": "ip_dst", "ipv4.ttl": "nw_ttl", "ipv4.tos": "nw_tos",
		"ipv6.hlimit": "nw_ttl", "ipv6.tclass": "nw_tos", "tcp.src": "tp_src", "tcp.dst": "tp_dst", "udp.src": "tp_src", "udp.dst": "tp_dst",
	}
	name := names[proto+"."+key]
	for f := flow.FieldNone + 1; f < flow.NumFields; f++ {
		if f.String() != name {
			continue
		}
		text := f
		if f == flow.FieldIPTOS { // its text leaves the ECN out
			v, m, found := strings.Cut(value, "/")
			n, err := strconv.ParseUint(v, 0, 8)
			mask := uint64(0xff)
			if found {
				mask, _ = strconv.ParseUint(m, 0, 8)
			}
			if err != nil {
				s.t.Fatal(err)
			}
			p.k.SetMasked(f, flow.U128{Lo: n}, flow.U128{Lo: mask})
			return
		}
		v, m, err := flow.ParseValue(text, value)
		if err != nil {
			s.t.Fatal(err)
		}
		p.k.SetMasked(f, v, m)
		return
	}
	s.t.Fatalf("unknown field %s of %s", key, proto)
}

func weight(m *flow.Mask) (n int) {
	for i, w := range m {
		switch i {
		case 0: // without in_port and recirc_id
		case int(flow.FieldVLANTPID.Info().Word): // a trace does not show it
		default:
			n += bits.OnesCount64(w)
		}
	}
	if !m.Get(flow.FieldIPFrag).IsZero() {
		n -= bits.OnesCount64(m.Get(flow.FieldIPFrag).Lo &^ 3) // two bits, the others are always zero
	}
	return n
}

func megaflowLine(trace string) string {
	for _, l := range strings.Split(trace, "\n") {
		if strings.HasPrefix(l, "Megaflow: ") {
			return l
		}
	}
	return ""
}

// traceWeight counts the bits of the mask of a trace; -1 if its text is not understood.
func traceWeight(trace string) int {
	l := strings.TrimPrefix(megaflowLine(trace), "Megaflow: ")
	var keep []string
	for _, w := range strings.Split(l, ",") {
		if w != "recirc_id=0" && w != "eth" && !strings.HasPrefix(w, "in_port=") {
			keep = append(keep, w)
		}
	}
	m, err := flow.ParseMatch(strings.Join(keep, ","))
	if err != nil {
		return -1
	}
	m.Mask.Set(flow.FieldVLANTCI, flow.U128{Lo: flow.VLANPresent})
	return weight(&m.Mask)
}
