// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"
)

// TestLocal: the local port, with an address, is reached through ports of the chip, in its VLAN and not in another.
func TestLocal(t *testing.T) {
	r := newRig(t)
	n := base.on(chipPorts...)
	for _, c := range []struct {
		name, port string
		vid        int
		local      []string
	}{
		{"without VLAN", "lan4", 0, []string{"tag=[]"}},
		{"trunk", "lan4", 10, []string{"tag=10"}},
		{"access", "lan1", 0, []string{"tag=10"}},
		{"other VLAN", "lan3", 0, []string{"tag=20"}},
		{"software", "wan", 0, []string{"tag=10"}},
	} {
		r.Run(c.name, func(t *testing.T) {
			r := *r
			r.T = t
			if c.name == "without VLAN" {
				r.configure(n)
				r.sh("ip addr add 192.0.2.1/24 dev br0; ip link set br0 up")
			}
			r.vsctl(append([]string{"set", "port", "br0"}, c.local...)...)
			src := 0x020c00000000 | uint64(len(c.name))
			want := mac(src)
			port := r.m.Port(c.port)
			ask := func(frame []byte, fits func([]byte) bool) {
				t.Helper()
				port.Take()
				if err := port.Send(frame); err != nil {
					t.Fatal(err)
				}
				if _, err := port.Expect(r.ctx, fits); err != nil {
					t.Fatal(err)
				}
			}
			var gateway []byte
			ask(arp(src, c.vid), func(b []byte) bool {
				vid, typ, rest := header(b)
				ok := bytes.HasPrefix(b, want) && vid == c.vid && typ == 0x0806 && len(rest) >= 28 && rest[7] == 2
				if ok {
					gateway = rest[8:14]
				}
				return ok
			})
			ask(echo(gateway, src, c.vid), func(b []byte) bool {
				vid, typ, rest := header(b)
				return bytes.HasPrefix(b, want) && vid == c.vid && typ == 0x0800 && len(rest) >= 28 && rest[9] == 1 && rest[20] == 0
			})
		})
	}
}

// header returns the VID (0: no tag), the Ethernet type and what is behind it.
func header(b []byte) (vid int, typ uint16, rest []byte) {
	b = append(bytes.Clone(b), make([]byte, 18)...)[12:]
	if typ = binary.BigEndian.Uint16(b); typ == 0x8100 {
		vid = int(binary.BigEndian.Uint16(b[2:]) & 0xfff)
		b = b[4:]
		typ = binary.BigEndian.Uint16(b)
	}
	return vid, typ, b[2:]
}

// arp asks for 192.0.2.1 from 192.0.2.9.
func arp(src uint64, vid int) []byte {
	body := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, mac(src)...)
	body = append(body, 192, 0, 2, 9, 0, 0, 0, 0, 0, 0, 192, 0, 2, 1)
	return ether(mac(broadcast), src, vid, 0x0806, body)
}

// echo is an echo request from 192.0.2.9 to 192.0.2.1 (RFC 792).
func echo(dst []byte, src uint64, vid int) []byte {
	icmp := []byte{8, 0, 0, 0, 0x12, 0x34, 0, 1, 'w', 'e', 'i', 'r'}
	binary.BigEndian.PutUint16(icmp[2:], checksum(icmp))
	ip := []byte{0x45, 0, 0, byte(20 + len(icmp)), 0, 0, 0, 0, 64, 1, 0, 0, 192, 0, 2, 9, 192, 0, 2, 1}
	binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	return ether(dst, src, vid, 0x0800, append(ip, icmp...))
}

func ether(dst []byte, src uint64, vid int, typ uint16, body []byte) []byte {
	b := append(bytes.Clone(dst), mac(src)...)
	if vid != 0 {
		b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(b, 0x8100), uint16(vid))
	}
	b = append(binary.BigEndian.AppendUint16(b, typ), body...)
	return append(b, make([]byte, max(0, 64-len(b)))...)
}

// checksum is that of RFC 1071, of an even number of bytes.
func checksum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// TestMove: an address moves between ports of the chip and of software; traffic to it follows within 2 s, and both MAC tables say where.
func TestMove(t *testing.T) {
	r := newRig(t)
	r.collect()
	n := base.on(chipPorts...)
	r.configure(n)
	host10 := host{10, macText(source(9, 0))}
	peers := map[string]uint64{}
	for i, p := range []string{"lan2", "wan"} {
		peers[p] = source(i, 7)
		r.teach(n, p, peers[p], 10)
	}
	var best time.Duration
	for i, at := range []string{"lan1", "wan", "lan1", "lan2", "wan", "lan2"} {
		from := "lan2"
		if at == "lan2" {
			from = "lan1"
		}
		began := time.Now()
		// The host speaks to a peer, not to all, and is spoken to. Chips tell of a known address that has moved once a
		// second at most.
		last := uint64(0)
		r.until("traffic and MAC tables to follow", func() (bool, string) {
			r.send(at, peers["lan2"], source(9, 0), 0)
			got, _ := r.arrived(last)
			last = r.send(from, source(9, 0), source(8, 0), 0)
			table := r.fdb()
			return len(got) == 1 && got[0] == end{at, 0} && table[host10] == at, fmt.Sprintf("move %d to %s: it came at %v; fdb/show %v", i, at, got, table)
		})
		took := time.Since(began)
		r.sameFDBs(n)
		if best == 0 || took < best {
			best = took
		}
		t.Logf("move %d to %s: traffic and fdb/show follow after %v", i, at, took.Round(time.Millisecond))
	}
	if best > 2*time.Second {
		t.Errorf("no move was followed within 2 s; the fastest took %v", best)
	}
}
