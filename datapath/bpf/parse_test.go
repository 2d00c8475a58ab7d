// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"flag"
	"testing"

	"encoding/binary"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
	"github.com/weirswitch/weir/datapath/packet/packettest"
)

var parseFrames = flag.Int("parse", 100_000, "frames of the parser test")

// cScratch is struct scratch of c/maps.h.
type cScratch struct {
	Key                cKey
	Cur, End, Len, Win uint64
	Has                uint64
	L3, L4, MPLS       uint64
	SLL, TLL           uint64
	Proto              uint64
	Bytes              [256 + 40]byte
}

// parser runs the program on single frames in the kernel, as if they had come from
// the loopback device, which is the test run's.
type parser struct {
	d   *Datapath
	in  dpif.Port
	ctx [192]byte // struct __sk_buff
	all []cScratch
}

func newParser(t testing.TB, maxVLANs int) *parser {
	t.Helper()
	needRoot(t)
	d, err := New(Config{MaxVLANs: maxVLANs, MaxFlows: segLen})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	p := &parser{d: d, in: 1, all: make([]cScratch, d.lim.cpus)}
	if err := d.maps.devs.Put(uint32(1), &cDev{Port: uint32(p.in), Slot: 1}); err != nil {
		t.Fatal(err)
	}
	return p
}

// onOneCPU keeps the test's thread, which must be locked, on one CPU.
func onOneCPU(t *testing.T) {
	t.Helper()
	var was, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &was); err != nil {
		t.Fatal(err)
	}
	for i := range 1024 {
		if was.IsSet(i) {
			one.Set(i)
			break
		}
	}
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.SchedSetaffinity(0, &was) })
}

// parse returns the key that the program made of frame, and where the headers are.
func (p *parser) parse(t *testing.T, frame []byte, mark uint32) *cScratch {
	t.Helper()
	binary.NativeEndian.PutUint32(p.ctx[8:], mark)
	// The scratch of a CPU that did not run the program keeps an impossible length.
	for i := range p.all {
		p.all[i] = cScratch{Len: ^uint64(0)}
	}
	if err := p.d.maps.coll.Maps["weir_scratch"].Put(uint32(0), p.all); err != nil {
		t.Fatal(err)
	}
	if _, err := p.d.maps.prog.Run(&ebpf.RunOptions{Data: frame, Context: p.ctx[:]}); err != nil {
		t.Fatalf("run on % x: %v", frame, err)
	}
	if err := p.d.maps.coll.Maps["weir_scratch"].Lookup(uint32(0), &p.all); err != nil {
		t.Fatal(err)
	}
	for i := range p.all {
		if p.all[i].Len != ^uint64(0) {
			return &p.all[i]
		}
	}
	return nil
}

// check compares the program's key of frame with package packet's.
func (p *parser) check(t *testing.T, frame []byte, mark uint32, maxVLANs int) bool {
	t.Helper()
	if n := len(frame); frame[12] == 8 && frame[13] == 0 && n < 34 || frame[12] == 0x86 && frame[13] == 0xdd && n < 54 {
		// The kernel does not run programs on IP packets without a header. It
		// looks at the first type only, so a tag hides it.
		frame = append(append(append([]byte(nil), frame[:12]...), 0x81, 0, 0x20, 1), frame[12:]...)
	}
	s := p.parse(t, frame, mark)
	if s == nil {
		t.Errorf("not parsed: %x", frame)
		return false
	}
	var k flow.Key
	var l packet.Layers
	packet.Parse(frame, &packet.Meta{InPort: uint32(p.in), Mark: mark}, maxVLANs, &k, &l)
	want := toC((*[flow.Words]uint64)(&k))
	ok := true
	for i := range want {
		if s.Key[i] != want[i] {
			t.Errorf("key word %d (of flow.Key %d): C %#016x, Go %#016x", i, keyWord[i], s.Key[i], want[i])
			ok = false
		}
	}
	if s.L4 != uint64(l.L4) || s.SLL*b2u(uint16(s.Has)&hasSLL != 0) != uint64(l.SLL) || s.TLL*b2u(uint16(s.Has)&hasTLL != 0) != uint64(l.TLL) {
		t.Errorf("layers: C %d %d %d, Go %d %d %d", s.L4, s.SLL, s.TLL, l.L4, l.SLL, l.TLL)
		ok = false
	}
	if !ok {
		t.Logf("frame %x", frame)
	}
	return ok
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// TestParse compares the program's parser with package packet's on generated
// frames, half of them hostile, with one and with two VLAN tags.
func TestParse(t *testing.T) {
	seed := twinSeed(t)
	for _, maxVLANs := range []int{1, 2} {
		p := newParser(t, maxVLANs)
		g := packettest.New(seed)
		g.Hostile, g.MinLen = 50, 15
		for i := range *parseFrames / 2 {
			if !p.check(t, g.Next(), uint32(i%3), maxVLANs) {
				t.Fatalf("frame %d, %d VLANs", i, maxVLANs)
			}
		}
	}
}

// TestParseTruncated cuts frames of all kinds at every byte.
func TestParseTruncated(t *testing.T) {
	seed := twinSeed(t)
	p := newParser(t, 2)
	g := packettest.New(seed)
	g.Hostile = 0
	for range 200 {
		f := g.Next()
		for n := 15; n <= len(f); n++ {
			if !p.check(t, f[:n], 0, 2) {
				t.FailNow()
			}
		}
	}
}

// TestParseFar has headers behind the program's window of 256 bytes: long IPv6
// extension headers and ND options.
func TestParseFar(t *testing.T) {
	p := newParser(t, 2)
	for _, ext := range []int{16, 200, 208, 216, 1000, 1400} {
		for _, opt := range []int{8, 240, 1024, 1992} {
			ip := make([]byte, 40)
			ip[0], ip[6], ip[7] = 0x60, 0, 255
			nd := make([]byte, 24)
			nd[0] = 135
			nd[8], nd[23] = 0xfe, 9
			h := make([]byte, ext)
			h[0], h[1] = 58, byte(ext/8-1)
			o := make([]byte, opt)
			o[0], o[1] = 14, byte(opt/8)
			ll := []byte{1, 1, 2, 3, 4, 5, 6, 7}
			body := append(append(append(h, nd...), o...), ll...)
			binary.BigEndian.PutUint16(ip[4:], uint16(len(body)))
			f := append(append(make([]byte, 12), 0x86, 0xdd), append(ip, body...)...)
			if !p.check(t, f, 0, 2) {
				t.Fatalf("extension of %d, option of %d", ext, opt)
			}
			var k flow.Key
			var l packet.Layers
			packet.Parse(f, &packet.Meta{}, 2, &k, &l)
			if k.U64(flow.FieldNDSLL) != 0x020304050607 {
				t.Fatal("the frame is not what the test wants")
			}
		}
	}
}

// FuzzParse: the program and package packet make the same key of any frame.
func FuzzParse(f *testing.F) {
	g := packettest.New(1)
	g.Hostile = 30
	for range 40 {
		f.Add(g.Next())
	}
	p := newParser(f, 2)
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 15 || len(frame) > 3000 {
			return // outside of what the kernel runs programs on
		}
		p.check(t, frame, 0, 2)
	})
}
