// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// patience bounds the wait for any answer.
const patience = 2 * time.Minute

// Message types that are the same in OpenFlow 1.3 and 1.4 (7.1), and bundles' (1.4, 7.3.9).
const (
	typeError         = 1
	typeEchoRequest   = 2
	typeEchoReply     = 3
	typeMultipartRep  = 19
	typeBarrierReq    = 20
	typeBarrierRep    = 21
	typeBundleControl = 33
	typeBundleAdd     = 34

	bundleOpen, bundleOpened     = 0, 1
	bundleCommit, bundleCommited = 4, 5
	bundleAtomic, bundleOrdered  = 1, 2
)

// OpenFlow is a controller without logic on a connection: it writes prepared
// messages and looks at as little of the answers as will do. Not for more than one goroutine.
type OpenFlow struct {
	nc      net.Conn
	r       *bufio.Reader
	version ofp.Version
	xid     uint32
	buf     []byte
}

// DialOpenFlow connects to a bridge's management socket.
func DialOpenFlow(path string, v ofp.Version) (*OpenFlow, error) {
	nc, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	c := &OpenFlow{nc: nc, r: bufio.NewReaderSize(nc, 64<<10), version: v, xid: 1 << 24}
	hello, err := openflow.Encode(openflow.Proto{Version: v}, 0, &openflow.Hello{Versions: 1 << v})
	if err == nil {
		_, err = nc.Write(hello)
	}
	if err == nil {
		nc.SetDeadline(time.Now().Add(patience))
		_, err = c.next()
	}
	if err != nil {
		nc.Close()
		return nil, fmt.Errorf("hello to %s: %w", path, err)
	}
	return c, nil
}

// Close ends the connection.
func (c *OpenFlow) Close() error { return c.nc.Close() }

// next returns the next message that is not an echo request, valid until the
// next call. An error message is an error.
func (c *OpenFlow) next() ([]byte, error) {
	for {
		h, err := c.r.Peek(openflow.HeaderLen)
		if err != nil {
			return nil, err
		}
		n := openflow.ParseHeader(h).Len
		if n < openflow.HeaderLen {
			return nil, fmt.Errorf("message of length %d", n)
		}
		if cap(c.buf) < n {
			c.buf = make([]byte, n)
		}
		b := c.buf[:n]
		if _, err := io.ReadFull(c.r, b); err != nil {
			return nil, err
		}
		switch b[1] {
		case typeEchoRequest:
			b[1] = typeEchoReply
			if _, err := c.nc.Write(b); err != nil {
				return nil, err
			}
			continue
		case typeError:
			m, err := openflow.Decode(b, openflow.Proto{Version: c.version})
			if e, ok := m.(*openflow.Error); ok {
				return nil, fmt.Errorf("refused: %w", e.Kind)
			}
			return nil, fmt.Errorf("refused: % x: %w", b, err)
		}
		return b, nil
	}
}

func (c *OpenFlow) header(typ uint8, body int) []byte {
	c.xid++
	b := []byte{byte(c.version), typ, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(openflow.HeaderLen+body))
	return binary.BigEndian.AppendUint32(b, c.xid)
}

// barrier waits for the reply to the barrier with the last transaction id.
func (c *OpenFlow) barrier() error {
	for {
		b, err := c.next()
		if err != nil {
			return err
		}
		if b[1] == typeBarrierRep && openflow.ParseHeader(b).XID == c.xid {
			return nil
		}
	}
}

// Barrier waits until the switch has done everything before.
func (c *OpenFlow) Barrier() error {
	c.nc.SetDeadline(time.Now().Add(patience))
	if _, err := c.nc.Write(c.header(typeBarrierReq, 0)); err != nil {
		return err
	}
	return c.barrier()
}

// OneByOne sends each message with a barrier and waits for its answer.
func (c *OpenFlow) OneByOne(msgs [][]byte) error {
	var b []byte
	c.nc.SetDeadline(time.Now().Add(patience))
	for i, m := range msgs {
		b = append(append(b[:0], m...), c.header(typeBarrierReq, 0)...)
		if _, err := c.nc.Write(b); err != nil {
			return err
		}
		if err := c.barrier(); err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
	}
	return nil
}

// Pipelined sends all messages and one barrier at their end.
func (c *OpenFlow) Pipelined(msgs [][]byte) error {
	c.nc.SetDeadline(time.Now().Add(patience))
	sent := make(chan error, 1)
	end := c.header(typeBarrierReq, 0)
	go func() {
		w := bufio.NewWriterSize(c.nc, 64<<10)
		for _, m := range msgs {
			w.Write(m) // the error stays until Flush
		}
		w.Write(end)
		sent <- w.Flush()
	}()
	err := c.barrier()
	if err != nil {
		c.nc.SetDeadline(time.Now()) // wakes the writer
	}
	return errors.Join(err, <-sent)
}

// Bundle commits all messages in one ordered and atomic bundle (OpenFlow 1.4 and later).
func (c *OpenFlow) Bundle(msgs [][]byte) error {
	const id, flags = 7, bundleAtomic | bundleOrdered
	control := func(what, answer uint16) error {
		b := c.header(typeBundleControl, 8)
		b = binary.BigEndian.AppendUint32(b, id)
		b = binary.BigEndian.AppendUint16(b, what)
		b = binary.BigEndian.AppendUint16(b, flags)
		if _, err := c.nc.Write(b); err != nil {
			return err
		}
		r, err := c.next()
		if err == nil && (r[1] != typeBundleControl || len(r) < 14 || binary.BigEndian.Uint16(r[12:]) != answer) {
			err = fmt.Errorf("answer to bundle control %d: % x", what, r)
		}
		return err
	}
	c.nc.SetDeadline(time.Now().Add(patience))
	if err := control(bundleOpen, bundleOpened); err != nil {
		return err
	}
	add := make([][]byte, 0, len(msgs))
	for _, m := range msgs {
		c.xid = openflow.ParseHeader(m).XID - 1 // both have the same (7.3.9.6)
		b := c.header(typeBundleAdd, 8+len(m))
		b = binary.BigEndian.AppendUint32(b, id)
		b = binary.BigEndian.AppendUint16(b, 0)
		b = binary.BigEndian.AppendUint16(b, flags)
		add = append(add, append(b, m...))
	}
	c.xid = 1 << 25
	if err := c.Pipelined(add); err != nil {
		return err
	}
	return control(bundleCommit, bundleCommited)
}

// Clear deletes all flows.
func (c *OpenFlow) Clear() error {
	m := &openflow.FlowMod{
		Command: openflow.FlowDelete, Table: openflow.TableAll, BufferID: openflow.NoBuffer,
		OutPort: action.PortAny, OutGroup: action.GroupAny,
	}
	b, err := openflow.Encode(openflow.Proto{Version: c.version}, c.xid, m)
	if err != nil {
		return err
	}
	return c.Pipelined([][]byte{b})
}

// Dump asks for all flows and returns how many came and their bytes.
func (c *OpenFlow) Dump() (flows, bytes int, err error) {
	c.nc.SetDeadline(time.Now().Add(patience))
	m := &openflow.FlowStatsRequest{FlowFilter: openflow.FlowFilter{Table: openflow.TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}}
	c.xid++
	b, err := openflow.Encode(openflow.Proto{Version: c.version}, c.xid, m)
	if err != nil {
		return 0, 0, err
	}
	if _, err := c.nc.Write(b); err != nil {
		return 0, 0, err
	}
	for {
		b, err := c.next()
		if err != nil {
			return flows, bytes, err
		}
		if b[1] != typeMultipartRep || len(b) < 16 {
			continue
		}
		bytes += len(b)
		for e := b[16:]; len(e) >= 2; flows++ {
			n := int(binary.BigEndian.Uint16(e))
			if n < 2 || n > len(e) {
				return flows, bytes, fmt.Errorf("flow of length %d, %d bytes left", n, len(e))
			}
			e = e[n:]
		}
		if binary.BigEndian.Uint16(b[10:])&1 == 0 { // no OFPMPF_REPLY_MORE
			return flows, bytes, nil
		}
	}
}
