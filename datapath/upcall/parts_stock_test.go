// SPDX-License-Identifier: Apache-2.0

package upcall_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"
)

// during writes messages as they are and returns what comes within d, "closed" if the connection ended.
func (c *rawConn) during(d time.Duration, ms ...[]byte) (out []string) {
	for _, m := range ms {
		c.write(m)
	}
	end := time.Now().Add(d)
	for {
		c.nc.SetReadDeadline(end)
		b := c.read()
		if b == nil {
			if time.Now().Before(end) {
				out = append(out, "closed")
			}
			return out
		}
		if b[1] == 2 { // a probe
			continue
		}
		out = append(out, gist(b))
		if b[1] == 21 {
			return out
		}
	}
}

// TestStockParts sends multipart requests in parts, good and bad, to both switches.
func TestStockParts(t *testing.T) {
	p := newPair(t)
	be := binary.BigEndian
	for _, version := range []byte{4, 6} {
		part := func(xid uint32, typ, flags uint16, body ...byte) []byte {
			b := be.AppendUint32([]byte{version, 18, 0, byte(16 + len(body))}, xid)
			b = be.AppendUint16(be.AppendUint16(b, typ), flags)
			return append(append(b, 0, 0, 0, 0), body...)
		}
		port := []byte{0, 0, 0, 1, 0, 0, 0, 0}
		table := make([]byte, 64)
		table[1] = 64
		none := append([]byte{9, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255}, make([]byte, 20)...)
		none = append(none, 0, 1, 0, 4, 0, 0, 0, 0) // the flows of table 9
		for name, seq := range map[string][][]byte{
			"empty parts":         {part(5, 0, 1), part(5, 0, 1), part(5, 0, 0)},
			"two bodies":          {part(5, 3, 1), part(5, 1, 1, none...), part(5, 1, 1, none...), part(5, 1, 0)},
			"two bodies alike":    {part(6, 1, 1, none...), part(6, 1, 1, none...), part(6, 1, 0)},
			"the body second":     {part(5, 1, 1), part(5, 1, 0, none...)},
			"the body first":      {part(5, 1, 1, none...), part(5, 1, 0)},
			"no body at all":      {part(5, 4, 1), part(5, 4, 0)},
			"another type":        {part(5, 4, 1, port...), part(5, 0, 0)},
			"a short body":        {part(5, 4, 1, port[:4]...), part(5, 1, 0, none...)},
			"features of tables":  {part(5, 12, 1, table...), part(5, 12, 0, table...)},
			"an unknown type":     {part(5, 77, 1), part(5, 77, 0)},
			"two interleaved":     {part(5, 0, 1), part(6, 1, 1, none...), part(5, 0, 0), part(6, 1, 0)},
			"flags that are none": {part(5, 0, 0xfffe)},
		} {
			seq = append(seq, []byte{version, 20, 0, 8, 0, 0, 0, 99})
			p.ours, p.stock = dialRaw(t, p.dir+"/w/br0.mgmt", version), dialRaw(t, p.dir+"/br0.mgmt", version)
			ours, stock := p.ours.during(5*time.Second, seq...), p.stock.during(5*time.Second, seq...)
			if name == "features of tables" { // we refuse what would change tables, stock what is in it
				stock = stock[:len(stock)-1]
				ours = ours[:len(ours)-1]
				if len(ours) != 1 || len(stock) != 1 {
					t.Errorf("version %d, %s: ours %v, stock %v", version, name, ours, stock)
				}
				continue
			}
			if !slices.Equal(ours, stock) {
				t.Errorf("version %d, %s\nours  %v\nstock %v", version, name, ours, stock)
			}
		}
		// What is never finished is given up.
		p.ours, p.stock = dialRaw(t, p.dir+"/w/br0.mgmt", version), dialRaw(t, p.dir+"/br0.mgmt", version)
		var ours, stock []string
		done := make(chan bool)
		go func() { ours = p.ours.during(2500*time.Millisecond, part(5, 4, 1, port...)); done <- true }()
		stock = p.stock.during(2500*time.Millisecond, part(5, 4, 1, port...))
		<-done
		if !slices.Equal(ours, stock) || len(stock) != 1 {
			t.Errorf("version %d, a request that is not finished\nours  %v\nstock %v", version, ours, stock)
		}
		// More than may wait: 4 MiB.
		p.ours = dialRaw(t, p.dir+"/w/br0.mgmt", version)
		big := part(7, 12, 1, make([]byte, 64)...)
		big = append(big, make([]byte, 65528-len(big))...)
		be.PutUint16(big[2:], uint16(len(big)))
		for range 64 {
			p.ours.write(big)
		}
		want := fmt.Sprintf("error 0001000d%x", big[:64])
		if got := p.ours.during(5*time.Second, big, []byte{version, 20, 0, 8, 0, 0, 0, 99}); len(got) != 2 || got[0][:len(want)] != want {
			t.Errorf("version %d, 65 parts of 64 KiB: %.100q", version, got)
		}
	}
}

// TestStockLengths sends messages of each kind whose header has a wrong length: less than a header, that alone,
// and one less than there is.
func TestStockLengths(t *testing.T) {
	p := newPair(t)
	n, closed := 0, 0
	for _, version := range []byte{1, 4, 6} {
		byKind := specimens(t, version)
		seen := make(map[byte]bool)
		kinds := make([]string, 0, len(byKind))
		for k := range byKind {
			kinds = append(kinds, k)
		}
		slices.Sort(kinds)
		for _, k := range kinds {
			m := byKind[k][0]
			if seen[m[1]] || len(m) < 9 {
				continue
			}
			seen[m[1]] = true
			for _, length := range []int{0, 1, 7, 8, len(m) - 1} {
				b := slices.Clone(m)
				binary.BigEndian.PutUint16(b[2:], uint16(length))
				if length == len(m)-1 {
					b = b[:length]
				} else if length == 8 {
					b = b[:8]
				}
				p.ours, p.stock = dialRaw(t, p.dir+"/w/br0.mgmt", version), dialRaw(t, p.dir+"/br0.mgmt", version)
				ours, stock := p.ours.askAll([][]byte{b}), p.stock.askAll([][]byte{b})
				kind := fmt.Sprintf("version %d %s", version, k)
				a, s := fmt.Sprint(ours), fmt.Sprint(stock)
				if a != s && !isMeant(kind, a, s) {
					t.Errorf("%s with length %d: %x\nours  %s\nstock %s", kind, length, b, a, s)
				}
				n++
				if stock == nil {
					closed++
				}
				p.ours.nc.Close()
				p.stock.nc.Close()
			}
		}
	}
	p.sameTables("lengths")
	t.Logf("%d messages, %d ended the connection", n, closed)
}
