// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
)

// VnetHdr is struct virtio_net_hdr (linux/virtio_net.h), in host byte order:
//
//	0 flags 1 gso_type 2 hdr_len 4 gso_size 6 csum_start 8 csum_offset
type VnetHdr [10]byte

// Values of VnetHdr.
const (
	vnetNeedsCsum = 1

	vnetGSOTCP4 = 1
	vnetGSOTCP6 = 4
	vnetGSOUDP  = 5 // VIRTIO_NET_HDR_GSO_UDP_L4
	vnetGSOECN  = 0x80
)

// Bounds of a RawSocket.
const (
	// rawMaxFrame is the longest frame that is received whole: an IP packet
	// of 64 KiB with Ethernet header and two tags. A longer one is malformed.
	rawMaxFrame = 65536 + 14 + 8
	// rawHeadroom is kept before a received frame, to push tags without a copy.
	rawHeadroom = 32
	rawBatch    = 8

	rawDefaultRcvBuf = 4 << 20
	rawDefaultSndBuf = 4 << 20
)

// RawConfig says what a RawSocket is for.
type RawConfig struct {
	// Receive opens it for reading too. Frames that this host sends on the
	// device are not received.
	Receive bool
	// Promisc makes the device receive frames for any address while the socket is open.
	Promisc bool
	// RcvBuf and SndBuf bound the kernel's memory for frames that wait, in bytes as
	// SO_RCVBUF counts; 0 is 4 MiB. At the bound frames are dropped.
	RcvBuf, SndBuf int
	// Buffers are shared with other sockets; nil: the socket has its own.
	Buffers *RawBuffers
}

// RawSocket sends and receives whole frames on one device: AF_PACKET sockets
// with PACKET_VNET_HDR, so that trains of segments (GSO) and checksums that are
// not finished pass both ways. Send may be called by many goroutines, ReadBatch
// by one at a time; Close ends both. No call allocates, but for buffers that are all in use.
//
// What receives and what sends are two sockets: the first is in the runtime's poller, which watches
// for room to send as well, and then the kernel wakes it for every frame that has been sent.
type RawSocket struct {
	out    *os.File        // sends; not watched by the runtime's poller
	outRaw syscall.RawConn // of out
	in     *os.File        // receives; nil if it does not
	inRaw  syscall.RawConn

	sendMu  sync.Mutex
	sendHdr unix.Msghdr
	sendIov [2]unix.Iovec
	sendVN  VnetHdr
	sendErr syscall.Errno
	sendFn  func(fd uintptr) bool

	bufs   *RawBuffers
	recv   *rawRecv // nil while it waits
	recvN  int
	recvEr syscall.Errno
	recvFn func(fd uintptr) bool
}

// rawRecv is what recvmmsg(2) fills.
type rawRecv struct {
	msgs [rawBatch]mmsghdr
	iov  [rawBatch][2]unix.Iovec
	vnet [rawBatch]VnetHdr
	ctl  [rawBatch][64]byte
	buf  []byte // rawBatch slots of rawSlot bytes
}

// RawBuffers are receive buffers, of some 520 KiB, that RawSockets take while there is
// something to receive, so that a thousand that wait need none. The zero value keeps none.
type RawBuffers struct {
	Keep int // buffers that nobody uses and that are kept, at most

	mu   sync.Mutex
	free []*rawRecv
}

func (b *RawBuffers) get() *rawRecv {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.free); n > 0 {
		r := b.free[n-1]
		b.free[n-1] = nil
		b.free = b.free[:n-1]
		return r
	}
	return &rawRecv{buf: make([]byte, rawBatch*rawSlot)}
}

func (b *RawBuffers) put(r *rawRecv) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.free) < b.Keep {
		b.free = append(b.free, r)
	}
}

// mmsghdr is struct mmsghdr (recvmmsg(2)); Go pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

const rawSlot = rawHeadroom + rawMaxFrame

func htons(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// OpenRaw opens a socket on the Ethernet device with the index, in the network
// namespace of the calling thread.
func OpenRaw(ifindex int, cfg RawConfig) (s *RawSocket, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("open packet socket on device %d: %w", ifindex, err)
		}
	}()
	s = &RawSocket{}
	// Sending never waits (MSG_DONTWAIT), so that this one may be a blocking socket.
	if s.out, s.outRaw, err = openPacket(ifindex, &RawConfig{Promisc: cfg.Promisc, SndBuf: cfg.SndBuf}, 0); err != nil {
		return nil, err
	}
	s.sendIov[0].Base = &s.sendVN[0]
	s.sendIov[0].SetLen(len(s.sendVN))
	s.sendHdr.Iov = &s.sendIov[0]
	s.sendHdr.SetIovlen(2)
	s.sendFn = s.sendmsg
	if !cfg.Receive {
		return s, nil
	}
	if s.in, s.inRaw, err = openPacket(ifindex, &RawConfig{Receive: true, RcvBuf: cfg.RcvBuf}, unix.SOCK_NONBLOCK); err != nil {
		return nil, errors.Join(err, s.out.Close())
	}
	if s.bufs = cfg.Buffers; s.bufs == nil {
		s.bufs = &RawBuffers{Keep: 1}
	}
	s.recvFn = s.recvmmsg
	return s, nil
}

func openPacket(ifindex int, cfg *RawConfig, flags int) (*os.File, syscall.RawConn, error) {
	// Protocol 0 receives nothing until bind, so that no frame of another device gets in.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|flags, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socket", err)
	}
	if err = setupRaw(fd, ifindex, cfg); err != nil {
		unix.Close(fd)
		return nil, nil, err
	}
	f := os.NewFile(uintptr(fd), "packet socket")
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, raw, nil
}

func setupRaw(fd, ifindex int, cfg *RawConfig) error {
	set := func(opt int, name string, v int) error {
		return os.NewSyscallError("setsockopt "+name, unix.SetsockoptInt(fd, unix.SOL_PACKET, opt, v))
	}
	// Beyond the system's limit where we may, up to it where not.
	if cfg.Receive {
		rcv := cmp.Or(cfg.RcvBuf, rawDefaultRcvBuf)
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, rcv) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, rcv)
		}
	} else {
		snd := cmp.Or(cfg.SndBuf, rawDefaultSndBuf)
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, snd) != nil {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, snd)
		}
	}
	if err := set(unix.PACKET_VNET_HDR, "PACKET_VNET_HDR", 1); err != nil {
		return err
	}
	proto := uint16(0)
	if cfg.Receive {
		proto = htons(unix.ETH_P_ALL)
		if err := set(unix.PACKET_AUXDATA, "PACKET_AUXDATA", 1); err != nil {
			return err
		}
		if err := set(unix.PACKET_IGNORE_OUTGOING, "PACKET_IGNORE_OUTGOING", 1); err != nil {
			return err
		}
	}
	if cfg.Promisc {
		m := &unix.PacketMreq{Ifindex: int32(ifindex), Type: unix.PACKET_MR_PROMISC}
		if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, m); err != nil {
			return os.NewSyscallError("setsockopt PACKET_ADD_MEMBERSHIP", err)
		}
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: ifindex}); err != nil {
		return os.NewSyscallError("bind", err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	if ll, ok := sa.(*unix.SockaddrLinklayer); !ok || ll.Hatype != unix.ARPHRD_ETHER {
		return errNotEthernet
	}
	return nil
}

var errNotEthernet = errors.New("not an Ethernet device")

// Close closes the socket; calls that wait return os.ErrClosed.
func (s *RawSocket) Close() error {
	err := s.out.Close()
	if s.in != nil {
		err = errors.Join(err, s.in.Close())
	}
	return err
}

// Send sends a frame. It does not wait: where the device or the socket cannot
// take it, the frame is lost and the error says why.
func (s *RawSocket) Send(frame []byte, vnet *VnetHdr) error {
	if len(frame) == 0 {
		return unix.EINVAL
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	s.sendVN = *vnet
	s.sendIov[1].Base = &frame[0]
	s.sendIov[1].SetLen(len(frame))
	err := s.outRaw.Write(s.sendFn)
	s.sendIov[1].Base = nil
	switch {
	case err != nil:
		return err
	case s.sendErr != 0:
		return s.sendErr
	}
	return nil
}

func (s *RawSocket) sendmsg(fd uintptr) bool {
	for {
		_, _, s.sendErr = unix.Syscall(unix.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&s.sendHdr)), unix.MSG_DONTWAIT)
		if s.sendErr != unix.EINTR {
			return true
		}
	}
}

// ReadBatch waits for frames and returns how many came; Frame gives each of
// them until the next ReadBatch. It returns 0 for a train of which struct
// virtio_net_hdr cannot say what it is (of a tunnel's segments, say): the
// kernel has dropped that. A device that goes down is not an error; one that is
// removed sends nothing more.
func (s *RawSocket) ReadBatch() (int, error) {
	for {
		if err := s.inRaw.Read(s.recvFn); err != nil {
			s.release()
			// There is no deadline, so the file has been closed; the poller's
			// own error for that is not os.ErrClosed.
			return 0, fmt.Errorf("read packet socket: %w", os.ErrClosed)
		}
		switch s.recvEr {
		case 0:
			return s.recvN, nil
		case unix.EINVAL: // packet_rcv_vnet in net/packet/af_packet.c
			return 0, nil
		case unix.ENETDOWN, unix.EINTR, unix.ENOBUFS:
			// A pending error of the socket, cleared by reading it.
		default:
			return 0, os.NewSyscallError("recvmmsg", s.recvEr)
		}
	}
}

// release gives the buffer back.
func (s *RawSocket) release() {
	if s.recv != nil {
		s.bufs.put(s.recv)
		s.recv = nil
	}
}

// recvmmsg reads what is there; without anything the socket is to wait, without a buffer.
func (s *RawSocket) recvmmsg(fd uintptr) bool {
	if s.recv == nil {
		s.recv = s.bufs.get()
	}
	s.recv.prepare()
	n, _, e := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&s.recv.msgs[0])), rawBatch, unix.MSG_DONTWAIT, 0, 0)
	s.recvN, s.recvEr = int(n), e
	if e == unix.EAGAIN {
		s.release()
		return false
	}
	return true
}

func (r *rawRecv) prepare() {
	for i := range r.msgs {
		m := &r.msgs[i].hdr
		r.iov[i][0].Base = &r.vnet[i][0]
		r.iov[i][0].SetLen(len(r.vnet[i]))
		r.iov[i][1].Base = &r.buf[i*rawSlot+rawHeadroom]
		r.iov[i][1].SetLen(rawMaxFrame)
		m.Iov = &r.iov[i][0]
		m.SetIovlen(2)
		m.Control = &r.ctl[i][0]
		m.SetControllen(len(r.ctl[i]))
		m.Flags = 0
	}
}

// errFrame is why Frame refuses what came.
var errFrame = errors.New("frame too long, or a train that cannot be described")

// Frame makes f the frame number i of the last batch, with a stripped VLAN tag
// put back, and parses it as Frame.Parse does; ok is that of Parse. An error
// means a frame that cannot be forwarded. f uses the socket's memory.
func (s *RawSocket) Frame(i int, f *packet.Frame, m *packet.Meta, maxVLANs int, k *flow.Key) (ok bool, err error) {
	r := s.recv
	msg := &r.msgs[i]
	n := int(msg.n) - len(r.vnet[i])
	if n < 0 || n > rawMaxFrame || msg.hdr.Flags&unix.MSG_TRUNC != 0 {
		return false, errFrame
	}
	slot := r.buf[i*rawSlot : i*rawSlot+rawHeadroom+n]
	f.Reset(slot, rawHeadroom, dpif.GSO{})
	start := int(binary.NativeEndian.Uint16(r.vnet[i][6:]))
	if tci, tpid, tagged := strippedTag(r.ctl[i][:int(msg.hdr.Controllen)]); tagged && n >= 14 {
		f.PushVLAN(tpid, tci)
		if tci&flow.VLANPresent != 0 { // keep DEI
			f.Data()[14] |= flow.VLANPresent >> 8
		}
		start += 4
	}
	ok = f.Parse(m, maxVLANs, k)
	if !ok {
		return false, nil
	}
	return true, offloads(f, &r.vnet[i], start)
}

// strippedTag returns the VLAN tag that auxiliary data hold.
func strippedTag(ctl []byte) (tci, tpid uint16, ok bool) {
	const hdr = unix.SizeofCmsghdr
	var aux unix.TpacketAuxdata
	const size = int(unsafe.Sizeof(aux))
	data := (hdr + int(unsafe.Sizeof(uintptr(0))) - 1) &^ (int(unsafe.Sizeof(uintptr(0))) - 1)
	if len(ctl) < data+size {
		return 0, 0, false
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&ctl[0]))
	if c.Level != unix.SOL_PACKET || c.Type != unix.PACKET_AUXDATA {
		return 0, 0, false
	}
	status := binary.NativeEndian.Uint32(ctl[data:])
	if status&unix.TP_STATUS_VLAN_VALID == 0 {
		return 0, 0, false
	}
	tci = binary.NativeEndian.Uint16(ctl[data+int(unsafe.Offsetof(aux.Vlan_tci)):])
	tpid = packet.TypeVLAN
	if status&unix.TP_STATUS_VLAN_TPID_VALID != 0 {
		tpid = binary.NativeEndian.Uint16(ctl[data+int(unsafe.Offsetof(aux.Vlan_tpid)):])
	}
	return tci, tpid, true
}

// offloads sets f's GSO from the header h, whose checksum starts at start of
// the frame. A checksum that GSO cannot describe is finished at once.
func offloads(f *packet.Frame, h *VnetHdr, start int) error {
	var g dpif.GSO
	l := offloadLayers(f)
	off := int(binary.NativeEndian.Uint16(h[8:]))
	if h[0]&vnetNeedsCsum != 0 {
		at, has := l.CsumAt()
		switch d := f.Data(); {
		case has && start == l.L4 && off == at:
			g.NeedsCsum = true
		case l.L4 != 0 && l.Proto == packet.ProtoSCTP && start == l.L4:
			packet.CompleteSCTP(d, start, l.End)
		default:
			end := len(d)
			if l.End != 0 {
				end = l.End
			}
			packet.CompleteCsum(d, start, off, end, off == 6)
		}
	}
	if h[1] != 0 {
		// A train in a tunnel has the inner segments' description, which does not
		// fit the outer headers; it cannot be forwarded in that form.
		if h[1]&^vnetGSOECN != gsoType(&l) || h[0]&vnetNeedsCsum != 0 && !g.NeedsCsum {
			return errFrame
		}
		g.Size = binary.NativeEndian.Uint16(h[4:])
	}
	f.SetGSO(g)
	return nil
}

// gsoType returns the type of a train with layers l, 0 if there is none.
func gsoType(l *packet.Layers) byte {
	switch {
	case l.L4 == 0 || l.Frag != 0:
	case l.Proto == packet.ProtoUDP:
		return vnetGSOUDP
	case l.Proto == packet.ProtoTCP && l.Net == packet.NetIPv4:
		return vnetGSOTCP4
	case l.Proto == packet.ProtoTCP:
		return vnetGSOTCP6
	}
	return 0
}

// offloadLayers returns the layers of f, parsed behind two tags if f itself
// was not.
func offloadLayers(f *packet.Frame) packet.Layers {
	l := *f.Layers()
	if l.L4 == 0 {
		var k flow.Key
		packet.Parse(f.Data(), &packet.Meta{}, 2, &k, &l)
	}
	return l
}

// VnetFor returns the header that describes f to the kernel, zero for a packet
// without offloads. Of a train with a finished checksum it unfinishes it, since
// the kernel wants it so. False: f says that it is a train but is none.
func VnetFor(f *packet.Frame, h *VnetHdr) bool {
	*h = VnetHdr{}
	g := f.GSO()
	if g == (dpif.GSO{}) {
		return true
	}
	l := offloadLayers(f)
	at, has := l.CsumAt()
	if g.Size != 0 {
		if h[1] = gsoType(&l); h[1] == 0 {
			return false
		}
		if !g.NeedsCsum {
			packet.StartCsum(f.Data(), &l)
			g.NeedsCsum = true
			f.SetGSO(g)
		}
		hdr := l.L4 + 8
		if l.Proto == packet.ProtoTCP {
			d := f.Data()[l.L4:]
			if d[13]&0x80 != 0 { // CWR goes on the first segment only
				h[1] |= vnetGSOECN
			}
			hdr = l.L4 + int(d[12]>>4)*4
		}
		binary.NativeEndian.PutUint16(h[2:], uint16(hdr))
		binary.NativeEndian.PutUint16(h[4:], g.Size)
	}
	if g.NeedsCsum && has {
		h[0] = vnetNeedsCsum
		binary.NativeEndian.PutUint16(h[6:], uint16(l.L4))
		binary.NativeEndian.PutUint16(h[8:], uint16(at))
	}
	return true
}

// Drops returns how many frames the kernel dropped since the last call because
// the receive buffer was full.
func (s *RawSocket) Drops() (n uint32) {
	if s.in == nil {
		return 0
	}
	_ = s.inRaw.Control(func(fd uintptr) {
		if st, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			n = st.Drops
		}
	})
	return n
}
