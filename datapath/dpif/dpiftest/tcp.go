// SPDX-License-Identifier: Apache-2.0

package dpiftest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

// station is a network namespace with one device, the host's end of a port's
// veth pair, with default offloads.
type station struct {
	l    *lab
	fd   int
	mac  net.HardwareAddr
	addr net.IP // and fd80::n, where n is its last byte
}

// in runs f on a thread in the station's namespace.
func (s *station) in(f func() error) error {
	c := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(s.fd, unix.CLONE_NEWNET); err != nil {
			c <- err
			return
		}
		c <- f()
	}()
	return <-c
}

// parseIP returns 4 or 16 bytes.
func parseIP(s string) net.IP {
	ip := net.ParseIP(s)
	if v4 := ip.To4(); v4 != nil {
		return v4
	}
	return ip
}

func (s *station) addr6() net.IP {
	return net.IP{0xfd, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, s.addr[3]}
}

// stations makes ports 1 and 2 with a station each, 10.0.0.1 and 10.0.0.2, that
// know each other's MAC, under the addresses in also too.
func (l *lab) stations(also ...string) (a, b *station) {
	l.Helper()
	var ss [2]*station
	for i := range ss {
		h := l.portPair(dpif.Port(i + 1))
		s := &station{l: l, mac: h.Attrs().HardwareAddr, addr: net.IPv4(10, 0, 0, byte(i+1)).To4()}
		ss[i] = s
		fd := make(chan int, 1)
		err := make(chan error, 1)
		go func() {
			runtime.LockOSThread()
			if e := unix.Unshare(unix.CLONE_NEWNET); e != nil {
				err <- e
				return
			}
			n, e := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
			fd <- n
			err <- e
		}()
		l.ok(<-err)
		s.fd = <-fd
		l.Cleanup(func() { unix.Close(s.fd) })
		l.ok(l.nl.LinkSetNsFd(h, s.fd))
	}
	for i, s := range ss {
		peer := ss[1-i]
		l.ok(s.in(func() error {
			nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			defer nl.Close()
			dev, err := nl.LinkByName(fmt.Sprintf("h%d", i+1))
			if err != nil {
				return err
			}
			lo, err := nl.LinkByName("lo")
			if err != nil {
				return err
			}
			neigh := func(ip net.IP) error {
				return nl.NeighAdd(&netlink.Neigh{LinkIndex: dev.Attrs().Index, State: netlink.NUD_PERMANENT, IP: ip, HardwareAddr: peer.mac})
			}
			err = errors.Join(
				nl.LinkSetUp(lo), nl.LinkSetUp(dev),
				nl.AddrAdd(dev, &netlink.Addr{IPNet: &net.IPNet{IP: s.addr, Mask: net.CIDRMask(24, 32)}}),
				neigh(peer.addr),
				nl.AddrAdd(dev, &netlink.Addr{IPNet: &net.IPNet{IP: s.addr6(), Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}),
				neigh(peer.addr6()),
			)
			for _, a := range also {
				err = errors.Join(err, neigh(parseIP(a)))
			}
			return err
		}))
	}
	for i, s := range ss {
		l.running(l.nl, fmt.Sprintf("p%d", i+1))
		l.ok(s.in(func() error {
			nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
			if err != nil {
				return err
			}
			defer nl.Close()
			for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
				d, err := nl.LinkByName(fmt.Sprintf("h%d", i+1))
				if err != nil || d.Attrs().OperState == netlink.OperUp {
					return err
				}
			}
			return errors.New("device does not become operational")
		}))
	}
	return ss[0], ss[1]
}

// snmp returns counters of the station's stack, by names such as
// "Tcp.RetransSegs".
func (s *station) snmp() map[string]uint64 {
	m := map[string]uint64{}
	var text []byte
	s.l.ok(s.in(func() (err error) {
		text, err = os.ReadFile("/proc/thread-self/net/snmp")
		return err
	}))
	lines := strings.Split(string(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for j := 1; j < len(names) && j < len(values); j++ {
			v, _ := strconv.ParseUint(values[j], 10, 64)
			m[strings.TrimSuffix(names[0], ":")+"."+names[j]] = v
		}
	}
	return m
}

// clean fails if a stack saw wrong checksums. Retransmissions are logged.
func (s *station) clean() {
	s.l.Helper()
	m := s.snmp()
	for _, n := range []string{"Tcp.InErrs", "Tcp.InCsumErrors", "Udp.InErrors", "Udp.InCsumErrors", "Ip.InHdrErrors"} {
		if m[n] != 0 {
			s.l.Errorf("station %v: %s = %d", s.addr, n, m[n])
		}
	}
	s.l.Logf("station %v: %d segments in, %d out, %d retransmitted", s.addr, m["Tcp.InSegs"], m["Tcp.OutSegs"], m["Tcp.RetransSegs"])
}

// transfer sends size bytes by TCP from station a to port of address, where b
// listens on listen, and back a short answer.
func (l *lab) transfer(a, b *station, listen, dial string, size int) {
	l.Helper()
	var ln net.Listener
	l.ok(b.in(func() (err error) {
		ln, err = net.Listen("tcp", listen)
		return err
	}))
	defer ln.Close()
	type result struct {
		n   int
		bad int
		err error
	}
	res := make(chan result, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			res <- result{err: err}
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		buf := make([]byte, 64<<10)
		r := result{bad: -1}
		for r.n < size {
			n, err := c.Read(buf)
			for i, v := range buf[:n] {
				if v != pattern(r.n+i) && r.bad < 0 {
					r.bad = r.n + i
				}
			}
			r.n += n
			if err != nil {
				r.err = err
				break
			}
		}
		if _, err := c.Write([]byte("thanks")); err != nil {
			r.err = errors.Join(r.err, err)
		}
		res <- r
	}()
	var c net.Conn
	l.ok(a.in(func() (err error) {
		d := net.Dialer{Timeout: patience}
		c, err = d.Dial("tcp", dial)
		return err
	}))
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	start := time.Now()
	buf := make([]byte, 1<<20)
	for n := 0; n < size; {
		b := buf[:min(len(buf), size-n)]
		for i := range b {
			b[i] = pattern(n + i)
		}
		m, err := c.Write(b)
		l.ok(err)
		n += m
	}
	got, err := io.ReadAll(io.LimitReader(c, 6))
	l.ok(err)
	r := <-res
	if r.err != nil || r.n != size || r.bad >= 0 || string(got) != "thanks" {
		l.Fatalf("received %d of %d bytes, first wrong one at %d, answer %q: %v", r.n, size, r.bad, got, r.err)
	}
	l.Logf("%d bytes in %v", size, time.Since(start).Round(time.Millisecond))
}

// pattern is byte i of the stream.
func pattern(i int) byte { return byte(i) ^ byte(i>>8)*7 ^ byte(i>>16)*13 }

// testTCP: a TCP stream with the default offloads: trains of segments pass whole.
func testTCP(l *lab) {
	a, b := l.stations()
	l.put(l.match(1, 1, tcpFrame(2), flow.FieldEthType, flow.FieldVLANTCI), output(2))
	l.put(l.match(2, 2, tcpFrame(2), flow.FieldEthType, flow.FieldVLANTCI), output(1))
	l.transfer(a, b, "10.0.0.2:80", "10.0.0.2:80", 40<<20)
	for range 20 { // short ones
		l.transfer(a, b, "10.0.0.2:81", "10.0.0.2:81", 1000)
	}
	a.clean()
	b.clean()
	s := must(l.dp.FlowStats(1))(l)
	l.Logf("%d packets of %d bytes on average", s.Packets, s.Bytes/s.Packets)
	if s.Bytes < 40<<20 || s.Bytes/s.Packets < 1600 {
		l.Errorf("%d bytes in %d packets: trains were cut", s.Bytes, s.Packets)
	}
}

func set(f flow.Field, v uint64) dpif.Action {
	return dpif.Set{Field: f, Value: flow.U128{Lo: v}, Mask: flow.Ones(f.Bits())}
}

// testTCPNAT: addresses and ports of trains with unfinished checksums are
// changed on the way.
func testTCPNAT(l *lab) { l.nat() }

// testTCPNATFinished is testTCPNAT through devices that finish nothing: the
// kernel does before them, and the receiver, which otherwise trusts an unfinished
// checksum, verifies.
func testTCPNATFinished(l *lab) { l.nat("p1", "p2") }

// nat does a transfer with changed addresses, with the devices' offloads off.
func (l *lab) nat(off ...string) {
	a, b := l.stations("10.0.0.9")
	for _, n := range off {
		l.noTxCsum(n)
	}
	fields := []flow.Field{flow.FieldEthType, flow.FieldVLANTCI, flow.FieldIPProto, flow.FieldIPFrag}
	there := l.match(1, 1, tcpFrame(2), fields...)
	back := l.match(2, 2, tcpFrame(2), fields...)
	if !l.putOrSkip("NAT", there, set(flow.FieldIPDst, 0x0a000002), set(flow.FieldTCPDst, 80), set(flow.FieldIPTTL, 9), set(flow.FieldIPDSCP, 46), output(2)) ||
		!l.putOrSkip("NAT", back, set(flow.FieldIPSrc, 0x0a000009), set(flow.FieldTCPSrc, 8080), output(1)) {
		l.Skip("refused")
	}
	l.transfer(a, b, "10.0.0.2:80", "10.0.0.9:8080", 20<<20)
	a.clean()
	b.clean()
}

// noTxCsum turns off checksum offload, and GSO with it, of what is sent on a
// device.
func (l *lab) noTxCsum(name string) {
	l.Helper()
	const setTxCsum = 0x17 // ETHTOOL_STXCSUM, struct ethtool_value
	fd := must(unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0))(l)
	defer unix.Close(fd)
	v := [2]uint32{setTxCsum, 0}
	r := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&v)}
	copy(r.name[:], name)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r))); e != 0 {
		l.Fatalf("turn off checksum offload of %s: %v", name, e)
	}
}

// testTCPVLAN: a tag is pushed, the packet crosses a pair of ports tagged, the
// tag is popped.
func testTCPVLAN(l *lab) {
	a, b := l.stations()
	p3, p4 := l.pair("p3", "p4")
	l.ok(l.dp.PortAdd(3, dpif.PortSpec{Name: "p3", Ifindex: p3.Attrs().Index}))
	l.ok(l.dp.PortAdd(4, dpif.PortSpec{Name: "p4", Ifindex: p4.Attrs().Index}))
	push := dpif.PushVLAN{TPID: 0x8100, TCI: 77 | flow.VLANPresent}
	frame := tcpFrame(2)
	tagged := newEdit(frame)
	tagged.PushVLAN(0x8100, 77)
	l.put(l.match(1, 1, frame, flow.FieldEthType, flow.FieldVLANTCI), push, output(3))
	l.put(l.match(2, 4, tagged.Data(), flow.FieldEthType, flow.FieldVLANTCI), dpif.PopVLAN{}, output(2))
	l.put(l.match(3, 2, frame, flow.FieldEthType, flow.FieldVLANTCI), push, output(4))
	l.put(l.match(4, 3, tagged.Data(), flow.FieldEthType, flow.FieldVLANTCI), dpif.PopVLAN{}, output(1))
	l.transfer(a, b, "10.0.0.2:80", "10.0.0.2:80", 20<<20)
	a.clean()
	b.clean()
	s := must(l.dp.FlowStats(2))(l)
	l.Logf("%d packets of %d bytes on average", s.Packets, s.Bytes/s.Packets)
	if s.Bytes/s.Packets < 1600 {
		l.Errorf("trains were cut")
	}
}

// testTCPSlowPath: every packet goes through user space and back by Execute.
func testTCPSlowPath(l *lab) {
	var trains atomic.Int32
	forward := func(u *dpif.Upcall) {
		if u.Packet.GSO.Size != 0 {
			trains.Add(1)
		}
		p := dpif.Packet{Data: bytes.Clone(u.Packet.Data), GSO: u.Packet.GSO}
		if err := l.dp.Execute(u.InPort, p, []dpif.Action{output(3 - u.InPort)}); err != nil {
			l.Errorf("execute: %v", err)
		}
	}
	l.onUp.Store(&forward)
	a, b := l.stations()
	l.noTxCsum("p2") // so that the receiver verifies
	l.transfer(a, b, "10.0.0.2:80", "10.0.0.2:80", 2<<20)
	l.onUp.Store(nil)
	l.Logf("%d trains", trains.Load())
	if trains.Load() == 0 {
		l.Error("no train came to user space")
	}
	a.clean()
	b.clean()
}

// testTCP6: the same over IPv6, with a changed address, to a receiver that
// verifies.
func testTCP6(l *lab) {
	a, b := l.stations("fd80::9")
	l.noTxCsum("p2")
	frame := packettest.IPv6(packettest.Addr{Src: 1, Dst: 2}, packet.ProtoTCP, packettest.TCPHeader(1, 2, 2, nil), 16)
	fields := []flow.Field{flow.FieldEthType, flow.FieldVLANTCI, flow.FieldIPProto, flow.FieldIPFrag}
	addr := func(f flow.Field, n uint64) dpif.Action {
		return dpif.Set{Field: f, Value: flow.U128{Hi: 0xfd80 << 48, Lo: n}, Mask: flow.Ones(128)}
	}
	if !l.putOrSkip("NAT", l.match(1, 1, frame, fields...), addr(flow.FieldIPv6Dst, 2), set(flow.FieldIPTTL, 9), set(flow.FieldTCPDst, 80), output(2)) ||
		!l.putOrSkip("NAT", l.match(2, 2, frame, fields...), addr(flow.FieldIPv6Src, 9), set(flow.FieldTCPSrc, 8080), output(1)) {
		l.Skip("refused")
	}
	l.transfer(a, b, "[fd80::2]:80", "[fd80::9]:8080", 10<<20)
	a.clean()
	b.clean()
	s := must(l.dp.FlowStats(1))(l)
	l.Logf("%d packets of %d bytes on average", s.Packets, s.Bytes/s.Packets)
	if s.Bytes < 10<<20 || s.Bytes/s.Packets < 1600 {
		l.Errorf("%d bytes in %d packets: trains were cut", s.Bytes, s.Packets)
	}
}

// testUSO: trains of datagrams (UDP_SEGMENT, udp(7)) pass whole and arrive as
// what they stand for.
func testUSO(l *lab) {
	a, b := l.stations()
	l.put(l.match(1, 1, udpFrame(1), flow.FieldEthType, flow.FieldVLANTCI), output(2))
	var pa, pb net.PacketConn
	l.ok(a.in(func() (err error) { pa, err = net.ListenPacket("udp4", "10.0.0.1:1000"); return err }))
	l.ok(b.in(func() (err error) { pb, err = net.ListenPacket("udp4", "10.0.0.2:2000"); return err }))
	defer pa.Close()
	defer pb.Close()
	const size, n = 1001, 11
	rc := must(pa.(*net.UDPConn).SyscallConn())(l)
	var serr error
	l.ok(rc.Control(func(fd uintptr) { serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size) }))
	l.ok(serr)
	all := make([]byte, size*n-500)
	for i := range all {
		all[i] = pattern(i)
	}
	for _, off := range []bool{false, true} {
		if off {
			l.noTxCsum("p2")
		}
		_ = pb.SetDeadline(time.Now().Add(patience))
		_ = must(pa.WriteTo(all, &net.UDPAddr{IP: b.addr, Port: 2000}))(l)
		buf := make([]byte, 65536)
		for i := range n {
			m, _, err := pb.ReadFrom(buf)
			if err != nil || !bytes.Equal(buf[:m], all[i*size:min((i+1)*size, len(all))]) {
				l.Fatalf("offloads off: %v; datagram %d of %d: %d bytes: %v", off, i, n, m, err)
			}
		}
	}
	if s := must(l.dp.FlowStats(1))(l); s.Packets != 2 {
		l.Errorf("%d packets, want 2 trains", s.Packets)
	}
	a.clean()
	b.clean()
}

// testUDP: datagrams with unfinished checksums, small and in fragments.
func testUDP(l *lab) {
	a, b := l.stations()
	l.noTxCsum("p2") // so that the receiver verifies
	l.put(l.match(1, 1, tcpFrame(2), flow.FieldEthType, flow.FieldVLANTCI), output(2))
	l.put(l.match(2, 2, tcpFrame(2), flow.FieldEthType, flow.FieldVLANTCI), output(1))
	var pa, pb net.PacketConn
	l.ok(a.in(func() (err error) { pa, err = net.ListenPacket("udp4", "10.0.0.1:1000"); return err }))
	l.ok(b.in(func() (err error) { pb, err = net.ListenPacket("udp4", "10.0.0.2:2000"); return err }))
	defer pa.Close()
	defer pb.Close()
	to := &net.UDPAddr{IP: b.addr, Port: 2000}
	for _, n := range []int{1, 100, 1472, 1473, 9000, 60000} {
		want := make([]byte, n)
		for i := range want {
			want[i] = pattern(i)
		}
		_ = pa.SetDeadline(time.Now().Add(patience))
		_ = pb.SetDeadline(time.Now().Add(patience))
		if _, err := pa.WriteTo(want, to); err != nil {
			l.Fatal(err)
		}
		buf := make([]byte, 65536)
		m, from, err := pb.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:m], want) {
			l.Fatalf("datagram of %d bytes: %d came from %v: %v", n, m, from, err)
		}
	}
	a.clean()
	b.clean()
}
