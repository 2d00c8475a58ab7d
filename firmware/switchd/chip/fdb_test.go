// SPDX-License-Identifier: Apache-2.0

package chip

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/l2/fdb"
)

// pair is the two tables, and what a Follower does to them.
type pair struct {
	k      Bridge
	ports  map[string]action.Port
	kernel map[fdb.Key]KernelMAC // by the kernel's VID
	ours   *fdb.Table
	f      Follower
	ops    int
	now    time.Time
}

func newPair() *pair {
	return &pair{
		k:      Bridge{Inner: "leg", Untagged: 4094, Leg: []VLAN{{VID: 10}, {VID: 4094}}},
		ports:  map[string]action.Port{"a": 1, "b": 2},
		kernel: map[fdb.Key]KernelMAC{}, ours: fdb.New(0, 0), now: t0,
	}
}

func (p *pair) round(t *testing.T) {
	var kernel []KernelMAC
	for _, e := range p.kernel {
		kernel = append(kernel, e)
	}
	var ours []fdb.Entry
	p.ours.All(func(e fdb.Entry) bool { ours = append(ours, e); return true })
	gone, has, ops := p.f.Round(&p.k, p.ports, kernel, ours)
	p.now = p.now.Add(time.Second)
	for _, m := range gone {
		if _, ok := p.ours.Release(m.VLAN, m.MAC, m.Port); !ok {
			t.Errorf("release of %+v, which is not held", m)
		}
	}
	for _, m := range has {
		p.ours.Hold(m.VLAN, m.MAC, m.Port, p.now)
	}
	for _, o := range ops {
		p.ops++
		key := fdb.Key{MAC: o.MAC, VLAN: o.VID}
		if o.Delete {
			if e, ok := p.kernel[key]; !ok || e.Dev != o.Dev {
				t.Errorf("%v: there is %+v", o, e)
			}
			delete(p.kernel, key)
		} else {
			p.kernel[key] = KernelMAC{o.MAC, o.VID, o.Dev, true}
		}
	}
	p.ops += len(gone) + len(has)
}

func TestFollow(t *testing.T) {
	p := newPair()
	say := func(vlan uint16, mac uint64, want string) {
		t.Helper()
		p.round(t)
		before := p.ops
		p.round(t)
		if p.ops != before {
			t.Error("a second round does something")
		}
		no, ok := p.ours.Lookup(vlan, mac)
		e, in := p.kernel[fdb.Key{MAC: mac, VLAN: p.k.vid(vlan)}]
		if got := fmt.Sprintf("%d %v, %s %v", int32(no), ok, e.Dev, in); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	learn := func(dev string, vid uint16, mac uint64) {
		p.kernel[fdb.Key{MAC: mac, VLAN: vid}] = KernelMAC{mac, vid, dev, false}
	}
	learn("a", 10, 5)
	say(10, 5, "1 true, a true")
	learn("b", 10, 5) // moves within the chip
	say(10, 5, "2 true, b true")
	p.ours.Learn(10, 5, 7, p.now) // to a port of software
	say(10, 5, "7 true, leg true")
	learn("a", 10, 5) // and back
	say(10, 5, "1 true, a true")
	delete(p.kernel, fdb.Key{MAC: 5, VLAN: 10}) // the chip forgets
	say(10, 5, "-1 false,  false")
	p.ours.Learn(0, 6, 7, p.now) // without VLAN
	say(0, 6, "7 true, leg true")
	learn("leg", 4094, 6) // the kernel's own learning took it: static again
	say(0, 6, "7 true, leg true")
	p.ours.Delete(0, 6)
	say(0, 6, "-1 false,  false")
	p.ours.Learn(30, 6, 7, p.now) // a VLAN that the chip does not have
	say(30, 6, "7 true,  false")
	p.ours.Learn(4094, 6, 7, p.now) // the VLAN whose VID stands for none on the chip
	say(4094, 6, "7 true,  false")
	learn("leg", 10, 9) // the kernel learned it on the leg: that is no business of ours
	say(10, 9, "-1 false, leg true")
	p.ours.AddStatic(10, 0, 7) // no unicast
	say(10, 0, "7 true,  false")
	p.ours.AddStatic(10, 0x010000000001, 7)
	say(10, 0x010000000001, "7 true,  false")
	p.ours.Delete(10, 0)
	p.ours.Delete(10, 0x010000000001)
	p.ours.AddStatic(10, 8, 7)
	learn("a", 10, 8)
	say(10, 8, "7 true, leg true") // static entries do not move
	if got, want := (FDBOp{false, "leg", 0x020000000001, 10}).String(), "bridge fdb replace 02:00:00:00:00:01 dev leg vlan 10 master static"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := (FDBOp{true, "a", 1, 10}).String(), "bridge fdb del 00:00:00:00:00:01 dev a vlan 10 master"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestFollowRandom: whatever moves where, one round makes the tables the same and a second does nothing.
func TestFollowRandom(t *testing.T) {
	const seed = 20261123
	r := rand.New(rand.NewPCG(seed, 3))
	p := newPair()
	for round := range 20000 {
		vlan := []uint16{0, 10}[r.IntN(2)]
		mac := uint64(2 * (1 + r.IntN(5)))
		key := fdb.Key{MAC: mac, VLAN: p.k.vid(vlan)}
		switch r.IntN(5) {
		case 0:
			p.kernel[key] = KernelMAC{mac, key.VLAN, []string{"a", "b"}[r.IntN(2)], false}
		case 1:
			delete(p.kernel, key)
		case 2:
			p.ours.Learn(vlan, mac, action.Port(7+r.IntN(2)), p.now)
		case 3:
			if no, ok := p.ours.Lookup(vlan, mac); ok && no > 2 {
				p.ours.Delete(vlan, mac) // aged
			}
		case 4: // both at once
			p.kernel[key] = KernelMAC{mac, key.VLAN, "a", false}
			p.ours.Learn(vlan, mac, 8, p.now)
		}
		p.round(t)
		before := p.ops
		p.round(t)
		if p.ops != before {
			t.Fatalf("seed %d, step %d: a second round does something", seed, round)
		}
		p.ours.All(func(e fdb.Entry) bool {
			k, ok := p.kernel[fdb.Key{MAC: e.MAC, VLAN: p.k.vid(e.VLAN)}]
			if e.Held != (ok && p.ports[k.Dev] == e.Port) || !e.Held && (!ok || k.Dev != "leg" || !k.Own) {
				t.Fatalf("seed %d, step %d: %+v here, %+v in the kernel", seed, round, e, k)
			}
			return true
		})
		for _, k := range p.kernel {
			if _, ok := p.ours.Lookup(p.k.vlan(k.VID), k.MAC); !ok {
				t.Fatalf("seed %d, step %d: only the kernel has %+v", seed, round, k)
			}
		}
	}
}
