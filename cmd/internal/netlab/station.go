// SPDX-License-Identifier: Apache-2.0

package netlab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Station is a host in user space on one VLAN of a trunk.
type Station struct {
	fd   int
	vid  uint16
	mac  mac
	addr netip.Addr

	mu     sync.Mutex
	known  map[netip.Addr]mac
	waiter map[uint16]chan struct{} // by sequence number of our echo requests
	seq    uint16
	closed bool
	frames int // frames of our VLAN that arrived for us

	done chan struct{}
}

// Station starts a host on VLAN vid (1 to 4094) of the link dev, with an IPv4
// address. Its MAC address is the link's own with the VLAN mixed into the last
// bytes, so several stations can share a trunk.
func (n *Namespace) Station(dev string, vid uint16, addr netip.Addr) (*Station, error) {
	link, err := n.link(dev)
	if err != nil {
		return nil, err
	}
	hw := link.Attrs().HardwareAddr
	if len(hw) != 6 || !addr.Is4() || vid == 0 || vid > 4094 {
		return nil, fmt.Errorf("station on %s/%s: VLAN %d, address %v, MAC %v", n.Name, dev, vid, addr, hw)
	}
	s := &Station{
		vid: vid, mac: mac(hw), addr: addr,
		known: map[netip.Addr]mac{}, waiter: map[uint16]chan struct{}{},
		done: make(chan struct{}),
	}
	s.mac[0] |= 2
	s.mac[4] ^= byte(vid >> 8)
	s.mac[5] ^= byte(vid)
	err = n.Do(func() error {
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(htons(unix.ETH_P_ALL)))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("packet socket in %s: %w", n.Name, err)
	}
	fail := func(what string, err error) (*Station, error) {
		unix.Close(s.fd)
		return nil, fmt.Errorf("station on %s/%s: %s: %w", n.Name, dev, what, err)
	}
	ifindex := link.Attrs().Index
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: htons(unix.ETH_P_ALL), Ifindex: ifindex}); err != nil {
		return fail("bind", err)
	}
	// The kernel takes the outer tag out of the frame; auxdata gives it back.
	if err := unix.SetsockoptInt(s.fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return fail("auxdata", err)
	}
	if err := unix.SetsockoptPacketMreq(s.fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP,
		&unix.PacketMreq{Ifindex: int32(ifindex), Type: unix.PACKET_MR_PROMISC}); err != nil {
		return fail("promiscuous mode", err)
	}
	tv := unix.NsecToTimeval((50 * time.Millisecond).Nanoseconds())
	if err := unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return fail("receive timeout", err)
	}
	go s.run()
	return s, nil
}

// MAC returns the station's MAC address in the usual text.
func (s *Station) MAC() string {
	m := s.mac
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5])
}

// Frames returns how many frames of the station's VLAN have arrived.
func (s *Station) Frames() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.frames
}

// Close ends the station.
func (s *Station) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	<-s.done
	return unix.Close(s.fd)
}

// Ping sends one echo request and waits for the reply; it resolves the
// address by ARP first. It fails after timeout.
func (s *Station) Ping(dst netip.Addr, timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	var to mac
	for {
		var ok bool
		s.mu.Lock()
		to, ok = s.known[dst]
		s.mu.Unlock()
		if ok {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("ping %v from VLAN %d: no answer to ARP within %v", dst, s.vid, timeout)
		}
		if err := s.send(arp{op: arpRequest, sha: s.mac, spa: s.addr, tpa: dst}.frame(broadcast, s.vid)); err != nil {
			return err
		}
		for i := 0; i < 20; i++ { // up to 200 ms before the next request
			time.Sleep(10 * time.Millisecond)
			s.mu.Lock()
			_, ok = s.known[dst]
			s.mu.Unlock()
			if ok {
				break
			}
		}
	}
	s.mu.Lock()
	s.seq++
	seq, ch := s.seq, make(chan struct{})
	s.waiter[seq] = ch
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiter, seq)
		s.mu.Unlock()
	}()
	e := echo{typ: icmpEcho, src: s.addr, dst: dst, id: s.vid, seq: seq, data: []byte("weir station")}
	if err := s.send(e.frame(to, s.mac, s.vid)); err != nil {
		return err
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-ch:
		return nil
	case <-t.C:
		return fmt.Errorf("ping %v from VLAN %d: no echo reply within %v", dst, s.vid, timeout)
	}
}

func (s *Station) send(f []byte) error {
	if _, err := unix.Write(s.fd, f); err != nil {
		return fmt.Errorf("send on VLAN %d: %w", s.vid, err)
	}
	return nil
}

func (s *Station) run() {
	defer close(s.done)
	buf, oob := make([]byte, 65536), make([]byte, 256)
	for {
		s.mu.Lock()
		closed := s.closed
		s.mu.Unlock()
		if closed {
			return
		}
		n, oobn, _, from, err := unix.Recvmsg(s.fd, buf, oob, 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) || errors.Is(err, unix.ENETDOWN) {
			continue
		}
		if err != nil {
			return
		}
		if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if vid, ok := tag(oob[:oobn]); ok && vid == s.vid {
			s.receive(buf[:n])
		} else if n >= ethHeader+tagHeader && binary.BigEndian.Uint16(buf[12:]) == typeVLAN &&
			binary.BigEndian.Uint16(buf[14:])&0xfff == s.vid {
			copy(buf[4:], buf[:12])
			s.receive(buf[4:n])
		}
	}
}

// receive handles a frame of our VLAN whose tag is off.
func (s *Station) receive(f []byte) {
	if len(f) < ethHeader {
		return
	}
	dst, src := mac(f[0:6]), mac(f[6:12])
	if dst != s.mac && dst != broadcast {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames++
	switch binary.BigEndian.Uint16(f[12:]) {
	case typeARP:
		a, ok := parseARP(f[ethHeader:])
		if !ok || a.tpa != s.addr {
			return
		}
		if len(s.known) < 1024 {
			s.known[a.spa] = a.sha
		}
		if a.op == arpRequest {
			_ = s.send(arp{op: arpReply, sha: s.mac, spa: s.addr, tha: a.sha, tpa: a.spa}.frame(a.sha, s.vid))
		}
	case typeIPv4:
		e, ok := parseEcho(f[ethHeader:])
		if !ok || e.dst != s.addr {
			return
		}
		if e.typ == icmpEcho {
			e.typ, e.src, e.dst = icmpEchoReply, e.dst, e.src
			_ = s.send(e.frame(src, s.mac, s.vid))
		} else if ch := s.waiter[e.seq]; ch != nil && e.typ == icmpEchoReply && e.id == s.vid {
			close(ch)
			delete(s.waiter, e.seq)
		}
	}
}

// tag returns the VLAN of a received frame from its auxiliary data (packet(7),
// struct tpacket_auxdata in linux/if_packet.h).
func tag(oob []byte) (vid uint16, ok bool) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return 0, false
	}
	for _, m := range msgs {
		var aux unix.TpacketAuxdata
		if m.Header.Level != unix.SOL_PACKET || m.Header.Type != unix.PACKET_AUXDATA || len(m.Data) < int(unsafe.Sizeof(aux)) {
			continue
		}
		status := binary.NativeEndian.Uint32(m.Data[unsafe.Offsetof(aux.Status):])
		tci := binary.NativeEndian.Uint16(m.Data[unsafe.Offsetof(aux.Vlan_tci):])
		return tci & 0xfff, status&unix.TP_STATUS_VLAN_VALID != 0
	}
	return 0, false
}

func htons(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
