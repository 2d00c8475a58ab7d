// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"errors"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func add(t *Table, id uint32, flags openflow.BundleFlags, raw string, now time.Time) error {
	return t.Add(&openflow.BundleAdd{ID: id, Flags: flags}, []byte(raw), now)
}

// TestLife follows bundles; that the answers are the stock switch's is held by ofproto's
// TestBundlesStock.
func TestLife(t *testing.T) {
	var tab Table
	ctl := func(id uint32, typ openflow.BundleControlType, flags openflow.BundleFlags) ([][]byte, error) {
		_, commit, err := tab.Control(&openflow.BundleControl{ID: id, Type: typ, Flags: flags}, []byte("opener"), t0)
		return commit, err
	}
	raw := []byte("one")
	if err := tab.Add(&openflow.BundleAdd{ID: 7, Flags: 3}, raw, t0); err != nil {
		t.Fatal(err)
	}
	raw[0] = 'X' // the caller's buffer is the caller's
	if err := add(&tab, 7, 3, "two", t0); err != nil {
		t.Fatal(err)
	}
	if _, err := ctl(7, openflow.BundleCloseRequest, 3); err != nil {
		t.Fatal(err)
	}
	if tab.Bytes() != 6 {
		t.Errorf("%d bytes, want 6", tab.Bytes())
	}
	commit, err := ctl(7, openflow.BundleCommitRequest, 3)
	if err != nil || len(commit) != 2 || string(commit[0]) != "one" || string(commit[1]) != "two" {
		t.Errorf("commit %q, %v", commit, err)
	}
	if tab.Len() != 0 || tab.Bytes() != 0 {
		t.Errorf("%d bundles, %d bytes left", tab.Len(), tab.Bytes())
	}
	if _, err := ctl(7, openflow.BundleCommitRequest, 3); !errors.Is(err, ofp.BFCBadId) {
		t.Errorf("second commit: %v", err)
	}
	if _, err := ctl(7, 99, 3); !errors.Is(err, ofp.BFCBadType) {
		t.Errorf("no such type: %v", err)
	}
	if commit, err := ctl(8, openflow.BundleOpenRequest, 3); commit != nil || err != nil {
		t.Errorf("open: %v, %v", commit, err)
	}
	if commit, err := ctl(8, openflow.BundleCommitRequest, 3); commit == nil || len(commit) != 0 || err != nil {
		t.Errorf("commit of an empty bundle: %v, %v", commit, err)
	}
}

func TestBounds(t *testing.T) {
	var tab Table
	for id := range uint32(MaxBundles) {
		if err := add(&tab, id, 0, "x", t0); err != nil {
			t.Fatal(err)
		}
	}
	if err := add(&tab, MaxBundles, 0, "x", t0); !errors.Is(err, ofp.BFCOutOfBundles) || tab.Len() != MaxBundles {
		t.Errorf("one bundle too many: %v, %d there", err, tab.Len())
	}
	big := make([]byte, openflow.MaxLen)
	n := 0
	var err error
	for ; err == nil; n++ {
		err = tab.Add(&openflow.BundleAdd{ID: 1}, big, t0)
	}
	if !errors.Is(err, ofp.BFCMsgTooMany) || tab.Bytes() > MaxBytes || tab.Bytes() < MaxBytes-openflow.MaxLen {
		t.Errorf("after %d messages: %v, %d bytes", n, err, tab.Bytes())
	}
	if tab.Len() != MaxBundles {
		t.Error("the bundle did not survive a message too many")
	}
	for id := range uint32(MaxBundles) {
		if _, _, err := tab.Control(&openflow.BundleControl{ID: id, Type: openflow.BundleDiscardRequest}, nil, t0); err != nil {
			t.Fatal(err)
		}
	}
	if tab.Bytes() != 0 || tab.Len() != 0 {
		t.Errorf("%d bytes in %d bundles after all were discarded", tab.Bytes(), tab.Len())
	}
}

func TestExpire(t *testing.T) {
	var tab Table
	if _, _, err := tab.Control(&openflow.BundleControl{ID: 2}, []byte("open 2"), t0); err != nil {
		t.Fatal(err)
	}
	add(&tab, 1, 0, "add 1", t0)
	add(&tab, 3, 0, "add 3", t0)
	later := t0.Add(Idle)
	add(&tab, 3, 0, "again", later.Add(-time.Second))
	if got := tab.Expire(later.Add(-1)); len(got) != 0 {
		t.Errorf("%q gone too early", got)
	}
	got := tab.Expire(later)
	if len(got) != 2 || string(got[0]) != "add 1" || string(got[1]) != "open 2" || tab.Len() != 1 {
		t.Errorf("gone %q, %d left", got, tab.Len())
	}
}
