// SPDX-License-Identifier: Apache-2.0

package nlconn

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/nlattr"
	"github.com/weirswitch/weir/dsa/nlerr"
)

const (
	// DefaultTimeout bounds a request. A chip behind MDIO takes tens of
	// milliseconds for a table write; a walk of its whole table a second.
	DefaultTimeout = 5 * time.Second

	recvBuffer  = 1 << 20  // of the socket, in bytes: what waits for us in the kernel
	messageSize = 64 << 10 // of one read; the kernel makes dumps of at most 32 kB (NLMSG_GOODSIZE)
	dumpBytes   = 64 << 20 // a dump beyond this is refused: no table of a switch is that large
	dumpTries   = 5        // a dump that changed under our hands is read again
)

// ErrInconsistent says that what was dumped kept changing (NLM_F_DUMP_INTR).
var ErrInconsistent = errors.New("the kernel's table kept changing while it was read")

// Conn is a netlink socket.
type Conn struct {
	mu      sync.Mutex
	file    *os.File
	seq     uint32
	timeout time.Duration
	buf     []byte
}

// Dial opens a socket of the protocol (unix.NETLINK_ROUTE, NETLINK_GENERIC) in
// the network namespace of the calling thread, joined to the multicast groups.
// A Conn with groups is for Receive only.
func Dial(protocol int, groups ...uint32) (c *Conn, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("open netlink socket: %w", err), unix.Close(fd))
		}
	}()
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1); err != nil {
		return nil, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1) // Linux 4.20: dumps honour their filters
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, recvBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, recvBuffer)
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, int(g)); err != nil {
			return nil, fmt.Errorf("group %d: %w", g, err)
		}
	}
	return &Conn{file: os.NewFile(uintptr(fd), "netlink"), timeout: DefaultTimeout, buf: make([]byte, messageSize)}, nil
}

// SetTimeout changes how long a request may take.
func (c *Conn) SetTimeout(d time.Duration) { c.timeout = d }

// Close ends the conversation; a Receive that waits returns os.ErrClosed.
func (c *Conn) Close() error { return c.file.Close() }

// Message is one netlink message without its header.
type Message struct {
	Type  uint16
	Flags uint16
	Data  []byte
}

// Do sends a request and waits for its acknowledgement. note is what the
// kernel said although it agreed. A refusal is an *nlerr.Error.
func (c *Conn) Do(typ, flags uint16, payload []byte) (note string, err error) {
	_, note, err = c.roundTrip(typ, flags|unix.NLM_F_ACK, payload)
	return note, err
}

// Get sends a request that is answered by messages and an acknowledgement.
func (c *Conn) Get(typ, flags uint16, payload []byte) ([]Message, error) {
	msgs, _, err := c.roundTrip(typ, flags|unix.NLM_F_ACK, payload)
	return msgs, err
}

// Dump returns all messages of a table; errors.Is(err, ErrInconsistent) when
// it kept changing.
func (c *Conn) Dump(typ uint16, payload []byte) ([]Message, error) {
	for range dumpTries {
		msgs, _, err := c.roundTrip(typ, unix.NLM_F_DUMP, payload)
		if !errors.Is(err, ErrInconsistent) {
			return msgs, err
		}
	}
	return nil, ErrInconsistent
}

func (c *Conn) roundTrip(typ, flags uint16, payload []byte) (msgs []Message, note string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seq++
	req := header(typ, flags|unix.NLM_F_REQUEST, c.seq, payload)
	if err := c.file.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return nil, "", err
	}
	if _, err := c.file.Write(req); err != nil {
		return nil, "", fmt.Errorf("send netlink request: %w", err)
	}
	var interrupted bool
	for total := 0; ; {
		n, err := c.file.Read(c.buf)
		if err != nil {
			return nil, "", fmt.Errorf("receive netlink answer: %w", err)
		}
		if total += n; total > dumpBytes {
			return nil, "", fmt.Errorf("receive netlink answer: more than %d bytes", dumpBytes)
		}
		ms, err := split(c.buf[:n])
		if err != nil {
			return nil, "", err
		}
		for _, m := range ms {
			if m.seq != c.seq { // the answer to a request that we gave up
				continue
			}
			interrupted = interrupted || m.Flags&unix.NLM_F_DUMP_INTR != 0
			switch m.Type {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				note, err := parseAck(m.Message)
				switch {
				case err != nil:
					return nil, "", err
				case interrupted:
					return nil, "", ErrInconsistent
				}
				return msgs, note, nil
			case unix.NLMSG_NOOP:
			default:
				m.Data = append([]byte(nil), m.Data...)
				msgs = append(msgs, m.Message)
			}
		}
	}
}

// Receive waits for messages of the multicast groups and returns those of one
// read. errors.Is(err, unix.ENOBUFS) says that some were lost: the reader must
// look at everything again, and may go on. When ctx ends it returns its error.
func (c *Conn) Receive(ctx context.Context) ([]Message, error) {
	stop := context.AfterFunc(ctx, func() { _ = c.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	n, err := c.file.Read(c.buf)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("receive netlink events: %w", err)
	}
	ms, err := split(c.buf[:n])
	if err != nil {
		return nil, err
	}
	out := make([]Message, len(ms))
	for i, m := range ms {
		m.Data = append([]byte(nil), m.Data...)
		out[i] = m.Message
	}
	return out, nil
}

type numbered struct {
	Message
	seq uint32
}

// header puts struct nlmsghdr (linux/netlink.h) before the payload: length,
// type, flags, sequence number, port.
func header(typ, flags uint16, seq uint32, payload []byte) []byte {
	b := make([]byte, 0, unix.NLMSG_HDRLEN+len(payload))
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.NLMSG_HDRLEN+len(payload)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, payload...)
}

// split takes one read apart. The messages' data stay parts of b.
func split(b []byte) ([]numbered, error) {
	var ms []numbered
	for len(b) > 0 {
		if len(b) < unix.NLMSG_HDRLEN {
			return nil, fmt.Errorf("split netlink messages: %d bytes behind the last one", len(b))
		}
		n := int64(binary.NativeEndian.Uint32(b))
		if n < unix.NLMSG_HDRLEN || n > int64(len(b)) {
			return nil, fmt.Errorf("split netlink messages: one says it has %d bytes, %d are there", n, len(b))
		}
		ms = append(ms, numbered{
			Message: Message{
				Type: binary.NativeEndian.Uint16(b[4:]), Flags: binary.NativeEndian.Uint16(b[6:]),
				Data: b[unix.NLMSG_HDRLEN:n],
			},
			seq: binary.NativeEndian.Uint32(b[8:]),
		})
		b = b[min((n+3)&^3, int64(len(b))):]
	}
	return ms, nil
}

// parseAck reads an NLMSG_ERROR or NLMSG_DONE: errno, for NLMSG_ERROR the
// header of the request (and, not capped, its payload), then attributes.
func parseAck(m Message) (note string, err error) {
	if m.Type == unix.NLMSG_DONE && len(m.Data) < 4 {
		return "", nil
	}
	if len(m.Data) < 4 {
		return "", fmt.Errorf("netlink acknowledgement of %d bytes", len(m.Data))
	}
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(m.Data)))
	rest := m.Data[4:]
	if m.Type == unix.NLMSG_ERROR {
		if len(rest) < unix.NLMSG_HDRLEN {
			return "", fmt.Errorf("netlink acknowledgement of %d bytes", len(m.Data))
		}
		skip := int64(unix.NLMSG_HDRLEN)
		// The request comes back whole with an error, unless capped.
		if m.Flags&unix.NLM_F_CAPPED == 0 && errno != 0 {
			skip = (int64(binary.NativeEndian.Uint32(rest)) + 3) &^ 3
		}
		if skip > int64(len(rest)) {
			return "", fmt.Errorf("netlink acknowledgement quotes %d bytes, %d are there", skip, len(rest))
		}
		rest = rest[skip:]
	}
	if m.Flags&unix.NLM_F_ACK_TLVS != 0 {
		for a := nlattr.Parse(rest, nlattr.Native); a.Next(); {
			if a.Type() == unix.NLMSGERR_ATTR_MSG {
				note = a.String()
			}
		}
	}
	if errno != 0 {
		return "", &nlerr.Error{Errno: errno, Text: note}
	}
	return note, nil
}
