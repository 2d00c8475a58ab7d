// SPDX-License-Identifier: Apache-2.0

package dsa

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDiff(t *testing.T) {
	a := Topology{Ports: []Port{{Index: 1, Name: "lan1", Kind: KindDSA, Number: 1, MTU: 1500}, {Index: 2, Name: "lan2", Kind: KindDSA, Switch: "00000000", Number: 2}, {Index: 3, Name: "eth0", Kind: KindPlain}}}
	b := Topology{Ports: []Port{{Index: 1, Name: "wan", Kind: KindDSA, Number: 1, MTU: 1504, Carrier: true}, {Index: 3, Name: "eth0", Kind: KindPlain}, {Index: 9, Name: "lan2", Kind: KindDSA, Switch: "00000000", Number: 2}}}
	var got []string
	for _, c := range Diff(a, b) {
		got = append(got, string(c.Kind)+" "+strings.Join(c.Fields(), " "))
	}
	want := []string{"removed kind=dsa switch=00000000 number=2", "changed name=wan carrier=true mtu=1504", "added kind=dsa switch=00000000 number=2"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if len(Diff(a, a)) != 0 {
		t.Error("a topology differs from itself")
	}
}

// Every row of the table says where it is from, and no feature is forgotten
// where the driver is said to do nothing.
func TestDrivers(t *testing.T) {
	for name, c := range drivers {
		if c.Source == "" || c.Stats == "" || c.Bridge == Unknown {
			t.Errorf("driver %s: source %q, statistics %q, bridge %v", name, c.Source, c.Stats, c.Bridge)
		}
		if c.Bridge == No && (c.VLAN == Yes || c.FDB == Yes || c.MDB == Yes || c.LAG == Yes) {
			t.Errorf("driver %s does not bridge, and what bridging needs", name)
		}
	}
	if Driver("nosuch").Bridge != Unknown || Driver("rocker").FDB != Yes {
		t.Error("the table is not asked")
	}
}

func TestSupportText(t *testing.T) {
	for _, s := range []Support{Unknown, No, Yes} {
		b, err := s.MarshalText()
		var back Support
		if err != nil || back.UnmarshalText(b) != nil || back != s {
			t.Errorf("%v reads as %v", s, back)
		}
	}
	var s Support
	if s.UnmarshalText([]byte("maybe")) == nil {
		t.Error("maybe is taken")
	}
}
