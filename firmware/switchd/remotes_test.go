// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"strings"
	"testing"

	"github.com/weirswitch/weir/firmware/base/pki"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

func TestKeySource(t *testing.T) {
	db := engine.New(vswitch.Schema(), engine.Options{})
	empty := db.Snapshot()
	tx := db.Begin()
	root, err := vswitch.EnsureRoot(tx)
	if err != nil {
		t.Fatal(err)
	}
	id, err := vswitch.Insert(tx, "SSL", vswitch.Values{"private_key": "/k", "certificate": "/c", "ca_cert": "/ca", "bootstrap_ca_cert": true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := vswitch.Set(tx, "Open_vSwitch", root, vswitch.Values{"ssl": id}); err != nil {
		t.Fatal(err)
	}
	c, err := tx.Commit()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		flags       pki.Files
		empty, full pki.Files
	}{
		{pki.Files{}, pki.Files{}, pki.Files{PrivateKey: "/k", Certificate: "/c", CACert: "/ca", Bootstrap: true}},
		{pki.Files{PrivateKey: "/x", Certificate: "/y", CACert: "/z"},
			pki.Files{PrivateKey: "/x", Certificate: "/y", CACert: "/z"}, pki.Files{PrivateKey: "/x", Certificate: "/y", CACert: "/z"}},
		{pki.Files{CACert: "/z", Bootstrap: true}, pki.Files{CACert: "/z", Bootstrap: true},
			pki.Files{PrivateKey: "/k", Certificate: "/c", CACert: "/z", Bootstrap: true}},
		{pki.Files{CACert: caColumn, Bootstrap: true}, pki.Files{Bootstrap: true},
			pki.Files{PrivateKey: "/k", Certificate: "/c", CACert: "/ca", Bootstrap: true}},
		{pki.Files{CACert: "db:Open_vSwitch,SSL,certificate"}, pki.Files{}, pki.Files{PrivateKey: "/k", Certificate: "/c", CACert: "/c"}},
	} {
		k, err := newKeySource(tt.flags)
		if err != nil {
			t.Fatal(err)
		}
		if got := k.files(empty); got != tt.empty {
			t.Errorf("%+v, empty database: %+v", tt.flags, got)
		}
		if got := k.files(db.Snapshot()); got != tt.full {
			t.Errorf("%+v: %+v", tt.flags, got)
		}
		if got, want := k.concerns(c), tt.flags.PrivateKey != "/x"; got != want {
			t.Errorf("%+v: the commit concerns it: %t", tt.flags, got)
		}
	}
	for value, want := range map[string]string{
		"db:Open_vSwitch,SSL":                   "invalid syntax",
		"db:Other,SSL,ca_cert":                  "of database Other",
		"db:Open_vSwitch,SSL,nothing":           "no column nothing",
		"db:Open_vSwitch,Nothing,x":             "in table Nothing",
		"db:Open_vSwitch,SSL,bootstrap_ca_cert": "no strings",
		"db:Open_vSwitch,SSL,external_ids":      "no strings",
	} {
		if _, err := newKeySource(pki.Files{CACert: value}); err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "--ca-cert: ") {
			t.Errorf("%s: %v", value, err)
		}
	}
}
