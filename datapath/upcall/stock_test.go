// SPDX-License-Identifier: Apache-2.0

package upcall_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/ofconn"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/soft"
	"github.com/weirswitch/weir/datapath/upcall"
)

// pair is Debian's switch and ours, each with bridge br0 and ports 1 to 4, fail mode
// secure, for tests that send both the same and compare.
type pair struct {
	t           *testing.T
	dir         string // of the stock switch; ours is in dir/w
	s           *upcall.Switch
	cfg         upcall.BridgeConfig
	ours, stock *rawConn
}

// glue hands messages of connections to a Switch.
type glue struct {
	s *upcall.Switch
}

func (g *glue) Connected(*ofconn.Conn)           {}
func (g *glue) Disconnected(*ofconn.Conn, error) {}
func (g *glue) Handle(c *ofconn.Conn, r *ofconn.Request) {
	c.Reply(r, g.s.Handle("br0", ofproto.ConnInfo{Version: c.Version()}, r.Msg, time.Now())...)
}

func newPair(t *testing.T) *pair {
	if testing.Short() {
		t.Skip("starts the stock switch")
	}
	for _, p := range []string{"ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("the stock switch is not installed: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "ws") // short: the names of sockets are bounded
	if err != nil {
		t.Fatal(err)
	}
	p := &pair{t: t, dir: dir}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p.must("ovsdb-tool", "create", dir+"/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
	p.daemon("ovsdb-server", dir+"/conf.db", "--remote=punix:"+dir+"/db.sock", "--unixctl="+dir+"/db.ctl")
	p.wait(dir + "/db.sock")
	p.daemon("ovs-vswitchd", "unix:"+dir+"/db.sock", "--enable-dummy=override", "--disable-system", "--unixctl="+dir+"/vs.ctl")
	p.wait(dir + "/vs.ctl")
	add := []string{"--db=unix:" + dir + "/db.sock", "--timeout=10", "add-br", "br0", "--", "set", "bridge", "br0", "fail-mode=secure",
		"datapath_type=dummy", "protocols=OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15"}
	cfg := upcall.BridgeConfig{Name: "br0", Secure: true}
	for i := 1; i <= 4; i++ {
		n := fmt.Sprintf("p%d", i)
		add = append(add, "--", "add-port", "br0", n, "--", "set", "int", n, fmt.Sprintf("ofport_request=%d", i), "type=dummy")
		cfg.Ports = append(cfg.Ports, upcall.PortConfig{No: action.Port(i), Name: n, DP: dpif.Port(i)})
	}
	p.must("ovs-vsctl", add...)
	cfg.Ports = append(cfg.Ports, upcall.PortConfig{No: action.PortLocal, Name: "br0", DP: 100})

	p.cfg = cfg
	log := slog.New(slog.DiscardHandler)
	dp := soft.New(soft.Config{Log: log})
	var sw *ofconn.Switch
	p.s = upcall.New(dp, upcall.Options{Log: log, Async: func(a upcall.Async) {
		if sw != nil {
			sw.SendAsync(a.Msg)
		}
	}})
	if err := p.s.Apply(upcall.Config{Bridges: []upcall.BridgeConfig{cfg}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	sw = ofconn.New(&glue{s: p.s}, ofconn.Options{Log: log})
	os.Mkdir(filepath.Join(dir, "w"), 0o700)
	if _, err := sw.Listen(ofconn.Service, "punix:"+dir+"/w/br0.mgmt"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		sw.Close()
		dp.Close()
	})
	return p
}

func (p *pair) env(dir string) []string {
	return append(os.Environ(), "OVS_RUNDIR="+dir, "OVS_LOGDIR="+dir)
}

func (p *pair) daemon(name string, args ...string) {
	ctx, cancel := context.WithCancel(context.Background())
	c := exec.CommandContext(ctx, name, append(args, "-vconsole:off", "-vsyslog:off")...)
	c.Env = p.env(p.dir)
	if err := c.Start(); err != nil {
		cancel()
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { cancel(); c.Wait() })
}

func (p *pair) wait(path string) {
	for range 500 {
		if _, err := os.Stat(path); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.t.Fatalf("%s does not appear", path)
}

func (p *pair) must(name string, args ...string) {
	p.t.Helper()
	c := exec.Command(name, args...)
	c.Env = p.env(p.dir)
	if out, err := c.CombinedOutput(); err != nil {
		p.t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

var (
	varying = regexp.MustCompile(`(duration[:=])[0-9.]+s|(xid=)0x[0-9a-f]+|(, )idle_age=\d+, |\d{4}-\d\d-\d\dT\S+\|\d+\|`)
	// The length of the eviction property is now and then 0 in stock's answers.
	noLength = regexp.MustCompile(`(00(?:10|18)[0-9a-f]{2}000000000[0-9a-f])0002000000000007`)
	dropBand = regexp.MustCompile(`(00010010[0-9a-f]{16})[0-9a-f]{2}000000`)
)

// ofctl runs ovs-ofctl against one of the switches and returns what it says, with what must
// differ made alike.
func (p *pair) ofctl(dir string, args []string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, "ovs-ofctl", args...)
	c.Env = p.env(dir)
	out, err := c.CombinedOutput()
	s := varying.ReplaceAllString(string(out), "$1$2$3*")
	s = strings.ReplaceAll(s, dir, "DIR")
	if slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "dump-meter") || a == "meter-stats" }) {
		// The stock switch lists meters in the order of a hash table.
		head, rest, _ := strings.Cut(s, "\n")
		items := strings.Split(strings.TrimSpace(rest), "\n\n")
		slices.Sort(items)
		s = head + "\n" + strings.Join(items, "\n\n")
	}
	if slices.Contains(args, "dump-flows") {
		lines := strings.Split(s, "\n")
		slices.Sort(lines)
		s = strings.Join(lines, "\n")
	}
	return fmt.Sprintf("%s[%v]", s, err)
}

// same runs ovs-ofctl against both and reports what differs.
func (p *pair) same(args ...string) bool {
	p.t.Helper()
	var ours string
	var wg sync.WaitGroup
	wg.Go(func() { ours = p.ofctl(p.dir+"/w", args) })
	stock := p.ofctl(p.dir, args)
	wg.Wait()
	if ours != stock {
		p.t.Errorf("ovs-ofctl %s\nours:\n%s\nstock:\n%s", strings.Join(args, " "), ours, stock)
		return false
	}
	return true
}

// rawConn sends messages made by hand.
type rawConn struct {
	nc      net.Conn
	xid     uint32
	version byte
	async   []string // what came without being asked for
}

func dialRaw(t *testing.T, path string, version byte) *rawConn {
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	c := &rawConn{nc: nc, xid: 0x1000, version: version}
	c.write([]byte{version, 0, 0, 8, 0, 0, 0, 1})
	c.read()
	return c
}

func (c *rawConn) write(b []byte) {
	c.nc.SetDeadline(time.Now().Add(10 * time.Second))
	c.nc.Write(b)
}

func (c *rawConn) read() []byte {
	h := make([]byte, 8)
	if _, err := io.ReadFull(c.nc, h); err != nil {
		return nil
	}
	b := make([]byte, max(8, int(binary.BigEndian.Uint16(h[2:]))))
	copy(b, h)
	if _, err := io.ReadFull(c.nc, b[8:]); err != nil {
		return nil
	}
	return b
}

// ask sends a message, whose length it sets, and returns the replies up to that to a barrier
// request, "closed" if the connection ended.
func (c *rawConn) ask(version, typ byte, body []byte) (out []string) {
	c.xid++
	m := binary.BigEndian.AppendUint32([]byte{version, typ, byte((8 + len(body)) >> 8), byte(8 + len(body))}, c.xid)
	request, reply := byte(20), byte(21)
	if version == 1 {
		request, reply = 18, 19
	}
	barrier := binary.BigEndian.AppendUint32([]byte{version, request, 0, 8}, c.xid)
	c.write(append(append(m, body...), barrier...))
	for {
		b := c.read()
		if b == nil {
			return append(out, "closed")
		}
		if b[1] == reply {
			return out
		}
		if xid := binary.BigEndian.Uint32(b[4:]); xid == 0 {
			c.async = append(c.async, fmt.Sprintf("%x", b))
			continue
		}
		out = append(out, fmt.Sprintf("%x", b))
	}
}

// sameRaw sends the same to both and compares the replies.
func (p *pair) sameRaw(version, typ byte, body []byte) bool {
	p.t.Helper()
	if p.ours == nil {
		p.ours = dialRaw(p.t, p.dir+"/w/br0.mgmt", version)
		p.stock = dialRaw(p.t, p.dir+"/br0.mgmt", version)
	}
	ours, stock := p.ours.ask(version, typ, body), p.stock.ask(version, typ, body)
	for i := range stock { // the padding of a drop band is whatever was in stock's memory
		stock[i] = dropBand.ReplaceAllString(stock[i], "${1}00000000")
		stock[i] = noLength.ReplaceAllString(stock[i], "${1}0002000800000007")
	}
	if !slices.Equal(ours, stock) {
		p.t.Errorf("version %d, type %d, %x\nours  %v\nstock %v", version, typ, body, ours, stock)
		return false
	}
	return true
}

// redial makes sameRaw connect anew, perhaps in another version.
func (p *pair) redial() { p.ours, p.stock = nil, nil }

// TestStockMeters sends generated meter commands, and flows with meters, to both switches.
func TestStockMeters(t *testing.T) {
	const seed = 3
	t.Logf("seed %d", seed)
	p := newPair(t)
	r := rand.New(rand.NewPCG(seed, 0))
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	bands := func(burst bool) string {
		s := " bands="
		for range 1 + r.IntN(3)*r.IntN(2) {
			s += "type=" + pick("drop", "drop", "drop", "drop", "drop", "dscp_remark") + fmt.Sprintf(" rate=%d", 1+r.IntN(1000))
			if burst {
				s += fmt.Sprintf(" burst_size=%d", 1+r.IntN(100))
			}
			if strings.HasSuffix(s, "remark") {
				s += " prec_level=1"
			}
			s += " "
		}
		return strings.ReplaceAll(s, "dscp_remark rate", "dscp_remark prec_level=1 rate")
	}
	for i := range 120 {
		v := pick("OpenFlow13", "OpenFlow14", "OpenFlow15")
		id := pick("1", "2", "3", "4", "5", "controller", "slowpath", "4294901760", "65536", "all")
		args := []string{"-O", v}
		switch r.IntN(9) {
		case 0, 1, 2:
			burst := r.IntN(2) == 0
			args = append(args, pick("add-meter", "add-meter", "mod-meter"), "br0", "meter="+id+" "+pick("kbps", "pktps", "kbps pktps")+map[bool]string{true: " burst"}[burst]+pick("", " stats")+bands(burst))
		case 3:
			args = append(args, "del-meters", "br0", "meter="+id)
		case 4:
			args = append(args, "dump-meter", "br0", "meter="+id)
		case 5:
			args = append(args, "meter-stats", "br0", "meter="+id)
		default:
			args = append(args, pick("add-flow", "add-flow", "mod-flows"), "br0", fmt.Sprintf("in_port=%d actions=%s%s", 1+r.IntN(4), pick("", "meter:1,", "meter:2,", "meter:3,", "meter:4,", "meter:5,"), pick("output:2", "drop", "controller", "controller(meter_id=3)")))
		}
		p.same(args...)
		if i%20 == 19 {
			for _, v := range []string{"OpenFlow13", "OpenFlow15"} {
				p.same("-O", v, "dump-meters", "br0")
				p.same("-O", v, "meter-stats", "br0")
				p.same("-O", v, "meter-features", "br0")
				p.same("-O", v, "dump-flows", "br0")
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
}

// TestStockMeterBytes sends METER_MOD and requests about meters that are right, nearly right and
// wrong in each of their fields.
func TestStockMeterBytes(t *testing.T) {
	const seed = 4
	t.Logf("seed %d", seed)
	p := newPair(t)
	r := rand.New(rand.NewPCG(seed, 0))
	be := binary.BigEndian
	ids := []uint32{0, 1, 2, 3, 4, 5, 0xffff0000, 0xffff0001, 0xfffffffc, 0xfffffffd, 0xfffffffe, 0xffffffff}
	id := func() uint32 { return ids[r.IntN(len(ids))] }
	for range 4000 {
		version := []byte{4, 5, 6}[r.IntN(3)]
		if r.IntN(100) == 0 {
			p.redial()
		}
		if p.ours != nil {
			version = p.ours.version
		}
		if r.IntN(8) == 0 {
			typ := []uint16{10, 10, 11}[r.IntN(3)] // configuration and features: nothing that varies
			b := be.AppendUint16(nil, typ)
			b = append(b, 0, 0, 0, 0, 0, 0)
			if typ != 11 || r.IntN(4) == 0 {
				// Not all: the order of a list is the stock switch's.
				b = be.AppendUint32(b, ids[r.IntN(len(ids)-1)])
				b = append(b, 0, 0, 0, 0)
			}
			if r.IntN(6) == 0 {
				b = b[:r.IntN(len(b)+1)]
			}
			p.sameRaw(version, 18, b)
		} else {
			b := be.AppendUint16(nil, uint16(r.IntN(3)+r.IntN(20)/19))
			b = be.AppendUint16(b, uint16([]int{1, 2, 3, 5, 6, 13, 14, 0x11, 0, 0xffff}[r.IntN(10)*r.IntN(2)]))
			b = be.AppendUint32(b, id())
			for range []int{1, 1, 1, 2, 0, 8, 9}[r.IntN(7)] {
				b = be.AppendUint16(b, uint16([]int{1, 1, 1, 1, 1, 2, 3, 0, 0xffff}[r.IntN(9)*r.IntN(2)]))
				b = be.AppendUint16(b, uint16([]int{16, 16, 16, 16, 16, 16, 16, 8, 12, 24, 0, 1, 4, 0xffff}[r.IntN(14)*r.IntN(2)]))
				b = be.AppendUint32(b, uint32(r.IntN(5)))
				b = be.AppendUint32(b, uint32(r.IntN(3)))
				b = be.AppendUint32(b, r.Uint32()*uint32(r.IntN(2)))
			}
			if r.IntN(10) == 0 {
				b = b[:r.IntN(len(b)+1)]
			}
			p.sameRaw(version, 29, b)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	p.same("-O", "OpenFlow13", "dump-meters", "br0")
}

// TestStockTLV changes the table of tunnel options by ovs-ofctl and by hand.
func TestStockTLV(t *testing.T) {
	const seed = 5
	t.Logf("seed %d", seed)
	p := newPair(t)
	r := rand.New(rand.NewPCG(seed, 0))
	be := binary.BigEndian
	nx := func(sub uint32) []byte { return be.AppendUint32([]byte{0, 0, 0x23, 0x20}, sub) }
	for i := range 3000 {
		version := []byte{1, 4, 6}[i/1000]
		if i%1000 == 0 {
			p.redial()
		}
		var b []byte
		switch r.IntN(5) {
		case 0:
			b = nx(25)
		case 1:
			if r.IntN(20) != 0 {
				continue
			}
			b = append(nx(29), 0, 0, 0, 0, 0, byte(r.IntN(5)/4), 0, 5)
			if r.IntN(2) == 0 {
				b = append(nx(32), byte(r.IntN(3)), 0, 0, 0, 0, 0, 0, byte(r.IntN(5)/4), 0, byte(r.IntN(4)), 0, byte(5+r.IntN(4)), 0, 0, 0, 0)
			}
		default:
			cmd := []uint16{0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 3}[r.IntN(12)]
			if cmd > 1 && r.IntN(3) > 0 {
				cmd = 0
			}
			b = append(be.AppendUint16(nx(24), cmd), 0, 0, 0, 0, 0, 0)
			for range r.IntN(4) {
				b = be.AppendUint16(b, uint16(r.IntN(2)))
				b = append(b, byte(r.IntN(8)), []byte{0, 4, 8, 32, 100, 124, 4, 4, 8, 16, 5, 128, 255}[r.IntN(10)+r.IntN(20)/19*3])
				b = be.AppendUint16(b, uint16(r.IntN(12)+r.IntN(30)/29*53))
				b = append(b, byte(r.IntN(2)), byte(r.IntN(2)))
			}
		}
		if r.IntN(15) == 0 && len(b) > 8 {
			b = b[:8+r.IntN(len(b)-7)]
		}
		if !p.sameRaw(version, 4, b) {
			t.FailNow()
		}
	}
	p.same("del-tlv-map", "br0")
	p.same("add-tlv-map", "br0", "{class=0x102,type=0x80,len=4}->tun_metadata0,{class=0x102,type=0x81,len=124}->tun_metadata9")
	for _, v := range []string{"OpenFlow10", "OpenFlow13", "OpenFlow15"} {
		p.same("-O", v, "dump-tlv-map", "br0")
		p.same("-O", v, "ct-flush-zone", "br0", "7")
		p.same("-O", v, "ct-flush", "br0")
		p.same("-O", v, "ct-flush", "br0", "zone=7", "ct_nw_src=10.0.0.1,ct_nw_proto=17,ct_tp_dst=53", "ct_nw_src=10.0.0.2")
	}
	p.same("del-tlv-map", "br0", "{class=0x102,type=0x80,len=4}->tun_metadata0")
	p.same("dump-tlv-map", "br0")
}

// tables configures table 0 of both switches.
func (p *pair) tables(c ofproto.TableConfig) {
	p.t.Helper()
	policy := "refuse"
	if c.Evict {
		policy = "evict"
	}
	p.must("ovs-vsctl", "--db=unix:"+p.dir+"/db.sock", "--timeout=10", "--", "--id=@t", "create", "flow_table",
		fmt.Sprintf("flow_limit=%d", c.Limit), "overflow_policy="+policy, "name="+c.Name, "--", "set", "bridge", "br0", "flow_tables:0=@t")
	c.Limited = true
	p.cfg.Tables = map[uint8]ofproto.TableConfig{0: c}
	if err := p.s.Apply(upcall.Config{Bridges: []upcall.BridgeConfig{p.cfg}}, time.Now()); err != nil {
		p.t.Fatal(err)
	}
}

// TestStockTables: flow limits, eviction and table_mod.
func TestStockTables(t *testing.T) {
	const seed = 6
	t.Logf("seed %d", seed)
	p := newPair(t)
	r := rand.New(rand.NewPCG(seed, 0))
	be := binary.BigEndian
	pick := func(s ...string) string { return s[r.IntN(len(s))] }
	hard := 0
	for i := range 90 {
		if i%15 == 0 {
			p.tables(ofproto.TableConfig{Name: pick("foo", "bar"), Limit: r.IntN(8) + r.IntN(2), Evict: r.IntN(3) > 0})
			for _, v := range []string{"OpenFlow13", "OpenFlow14", "OpenFlow15"} {
				p.same("-O", v, "dump-flows", "br0")
			}
		}
		v := pick("OpenFlow14", "OpenFlow15")
		timeout := ""
		if r.IntN(4) > 0 {
			hard = (hard + 7) % 60 // no two alike, and never as close as the test lasts
			timeout = fmt.Sprintf("hard_timeout=%d,", 1000+100*hard)
		}
		switch r.IntN(12) {
		case 0:
			p.same("-O", v, "mod-table", "br0", pick("0", "0", "1", "all", "253", "254"), pick("evict", "noevict", "vacancy:20,80", "vacancy:80,20", "novacancy"))
		case 1:
			p.same("-O", v, "del-flows", "br0", fmt.Sprintf("in_port=%d", r.IntN(4)))
		default:
			p.same("-O", v, "add-flow", "br0", fmt.Sprintf("%simportance=%d,in_port=%d,priority=%d actions=drop", timeout, r.IntN(3), r.IntN(4), 100+r.IntN(8)))
		}
		if i%5 == 4 {
			p.same("-O", v, "dump-flows", "br0")
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	for i := range 2000 {
		version := []byte{4, 5, 6}[i/700]
		if i%700 == 0 {
			p.redial()
		}
		b := append([]byte{[]byte{0, 0, 0, 1, 253, 254, 255}[r.IntN(7)]}, byte(r.IntN(2)), 0, 0)
		b = be.AppendUint32(b, uint32(r.IntN(16))|uint32(r.IntN(10)/9)<<20)
		for range r.IntN(3) {
			typ := []uint16{2, 3, 3, 2, 3, 3, 2, 3, 9, 0xffff}[r.IntN(8)+r.IntN(20)/18]
			n := uint16(8)
			if r.IntN(15) == 0 {
				n = uint16(r.IntN(20))
			}
			b = be.AppendUint16(b, typ)
			b = be.AppendUint16(b, n)
			b = append(b, byte(r.IntN(60)), byte(40+r.IntN(65)), byte(r.IntN(20)/19), byte(r.IntN(2)))
		}
		if r.IntN(12) == 0 {
			b = b[:r.IntN(len(b)+1)]
		}
		ok := p.sameRaw(version, 17, b)
		if ok && version > 4 && r.IntN(4) == 0 {
			ok = p.sameRaw(version, 18, []byte{0, 14, 0, 0, 0, 0, 0, 0})
		}
		if !ok {
			t.FailNow()
		}
	}

	// Vacancy events, to a controller that asked for them: the same in the same order.
	p.same("del-flows", "br0")
	p.tables(ofproto.TableConfig{Name: "foo", Limit: 10})
	p.redial()
	const v = 5
	p.sameRaw(v, 9, []byte{0, 0, 0, 128})
	p.sameRaw(v, 28, []byte{0, 9, 0, 8, 0, 0, 0, 0x18}) // OFPACPT_TABLE_STATUS_MASTER: both reasons
	for range 20 {
		down := byte(r.IntN(6) * 10)
		p.sameRaw(v, 17, []byte{0, 0, 0, 0, 0, 0, 0, 8, 0, 3, 0, 8, down, down + byte(r.IntN(4)*10), 0, 0})
		for range 12 {
			m := make([]byte, 48)
			m[17] = byte(r.IntN(2) * 3) // add, or delete
			m[22], m[23] = 0, byte(r.IntN(12))
			be.PutUint32(m[24:], 0xffffffff)
			be.PutUint32(m[28:], 0xffffffff)
			be.PutUint32(m[32:], 0xffffffff)
			m[41], m[43] = 1, 4
			if m[17] == 3 {
				m[17] = 4 // strictly
			}
			p.sameRaw(v, 14, m)
		}
		// What comes asynchronously may come behind the barrier.
		time.Sleep(5 * time.Millisecond)
		p.sameRaw(v, 2, []byte{1})
		if t.Failed() {
			t.FailNow()
		}
	}
	ours, stock := p.ours.async, p.stock.async
	t.Logf("%d vacancy events", len(stock))
	if !slices.Equal(ours, stock) || len(stock) == 0 {
		t.Errorf("vacancy events\nours  %v\nstock %v", ours, stock)
	}
}
