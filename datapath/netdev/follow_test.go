// SPDX-License-Identifier: Apache-2.0

package netdev_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/netdev"
)

// TestFollow changes devices at random; the follower knows at once what a listing says.
func TestFollow(t *testing.T) {
	l := inNetns(t)
	nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer nl.Close()
	f, err := l.Follow()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const seed = 1
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	plain := func(list []netdev.Link, running bool) []netdev.Link {
		out := make([]netdev.Link, len(list))
		for i, l := range list {
			l.Stats = netdev.LinkStats{}
			if !running { // these follow on their own, a moment later
				l.Carrier, l.Running = false, false
			}
			out[i] = l
		}
		return out
	}
	seqs := map[int]uint64{}
	var before []netdev.Link
	for i := range 300 {
		list, err := l.List()
		if err != nil {
			t.Fatal(err)
		}
		what := ""
		d := list[r.IntN(len(list))]
		switch op := r.IntN(8); {
		case op < 2 && len(list) < 20:
			name := fmt.Sprintf("v%d", i)
			what = "make " + name
			err = nl.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "p"})
		case d.Kind != "veth":
			continue
		case op == 2:
			what = "delete " + d.Name
			err = l.Delete(d.Index)
		case op == 3:
			what = "rename " + d.Name
			if err = l.SetUp(d.Index, false); err == nil {
				err = nl.LinkSetName(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: d.Index}}, fmt.Sprintf("n%d", i))
			}
		case op == 4:
			what = "mtu " + d.Name
			err = l.SetMTU(d.Index, 1000+r.IntN(400))
		case op == 5:
			what = "address " + d.Name
			err = l.SetMAC(d.Index, net.HardwareAddr{2, 0, 0, 0, byte(r.Uint32()), byte(r.Uint32())})
		case op == 6:
			what = "up or down " + d.Name
			err = l.SetUp(d.Index, !d.Up)
		case !d.Up: // no notice of what comes now
			continue
		case op == 7:
			what = "alias " + d.Name
			err = nl.LinkSetAlias(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: d.Index}}, fmt.Sprintf("alias %d", i))
		}
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got, err := f.Links()
		if err != nil {
			t.Fatal(err)
		}
		got = slices.Clone(got)
		want, err := l.List()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(plain(got, false), plain(want, false)) {
			t.Fatalf("%d: %s:\n%+v\nis\n%+v", i, what, plain(got, false), plain(want, false))
		}
		for _, g := range got {
			for _, b := range before {
				changed := !reflect.DeepEqual(plain([]netdev.Link{b}, true), plain([]netdev.Link{g}, true))
				if b.Index == g.Index && changed && seqs[g.Index] == f.Seq(g.Index) {
					t.Fatalf("%d: %s: device %s has changed, its number has not", i, what, g.Name)
				}
			}
			seqs[g.Index] = f.Seq(g.Index)
		}
		before = got
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		got, err := f.Links()
		if err != nil {
			t.Fatal(err)
		}
		want, err := l.List()
		if err != nil {
			t.Fatal(err)
		}
		if reflect.DeepEqual(plain(got, true), plain(want, true)) {
			break
		} else if time.Now().After(end) {
			t.Fatalf("at rest:\n%+v\nis\n%+v", got, want)
		}
	}
}
