// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/weirswitch/weir/firmware/base/pki"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
	"github.com/weirswitch/weir/ovsdb/server"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

// Where managers and keys come from when nothing else is said: ovs-vsctl
// set-manager and set-ssl write there.
const (
	ManagerRemotes = "db:Open_vSwitch,Open_vSwitch,manager_options"

	keyColumn  = "db:Open_vSwitch,SSL,private_key"
	certColumn = "db:Open_vSwitch,SSL,certificate"
	caColumn   = "db:Open_vSwitch,SSL,ca_cert"
)

// serveRemotes opens the remotes of the database server. One that does not open
// yet is tried again: a device must not lose its switch over that.
func serveRemotes(cfg Config, srv *server.Server) error {
	for _, remote := range cfg.Remotes {
		err := srv.AddRemote(remote)
		var later *server.OpenError
		if errors.As(err, &later) {
			continue // it is in the log
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// followKeys gives keys the files that cfg names and those that columns name,
// now and whenever they change, until undo.
func followKeys(cfg Config, srv *server.Server, keys *pki.Keys, undo *stack) error {
	k, err := newKeySource(cfg.TLS)
	if err != nil {
		return err
	}
	db := vswitch.Schema().Name
	kick := make(chan struct{}, 1)
	stopWatch, err := srv.Watch(db, func(c *engine.Commit) {
		if !k.concerns(c) {
			return
		}
		select {
		case kick <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	undo.push(func() error {
		stopWatch()
		cancel()
		<-done
		return nil
	})
	keys.Set(k.files(srv.Snapshot(db)))
	go func() { // not in Watch, which may not read files
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-kick:
				keys.Set(k.files(srv.Snapshot(db)))
			}
		}
	}()
	return nil
}

// keySource says where the names of the files of keys are: a path, or a
// column that has the path.
type keySource struct {
	key, cert, ca nameSource
	bootstrap     bool
	rowBootstraps bool // the SSL row says whether to bootstrap
}

type nameSource struct {
	path   string
	column server.Column // if it is not zero
}

func newKeySource(f pki.Files) (k keySource, err error) {
	var errs []error
	source := func(option, value, otherwise string) (n nameSource) {
		if value == "" {
			value = otherwise
		}
		n.path = value
		if !strings.HasPrefix(value, "db:") {
			return n
		}
		n.path = ""
		var err error
		if n.column, err = server.ParseColumn(value); err == nil {
			err = stringColumn(n.column)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("--%s: %w", option, err))
		}
		return n
	}
	k.key = source("private-key", f.PrivateKey, keyColumn)
	k.cert = source("certificate", f.Certificate, certColumn)
	k.ca = source("ca-cert", f.CACert, caColumn)
	k.bootstrap = f.Bootstrap
	k.rowBootstraps = !f.Bootstrap && (f.CACert == "" || f.CACert == caColumn)
	return k, errors.Join(errs...)
}

// stringColumn says what is wrong with a column that is to have a file's name.
func stringColumn(c server.Column) error {
	s := vswitch.Schema()
	var col *schema.Column
	if t := s.Table(c.Table); t != nil && c.DB == s.Name {
		col = t.Column(c.Column)
	}
	if col == nil {
		return fmt.Errorf("no column %s in table %s of database %s", c.Column, c.Table, c.DB)
	}
	if col.Type.Key.Type != ovsdb.String || col.Type.IsMap() {
		return fmt.Errorf("column %s of table %s has no strings", c.Column, c.Table)
	}
	return nil
}

// name returns the first name that is not empty.
func (n nameSource) name(snap *engine.Snapshot) string {
	if n.column == (server.Column{}) {
		return n.path
	}
	for _, s := range n.column.Strings(snap) {
		if s != "" {
			return s
		}
	}
	return ""
}

// files returns the names as they are in a snapshot.
func (k keySource) files(snap *engine.Snapshot) pki.Files {
	f := pki.Files{PrivateKey: k.key.name(snap), Certificate: k.cert.name(snap), CACert: k.ca.name(snap), Bootstrap: k.bootstrap}
	if k.rowBootstraps {
		t := snap.Schema().Table("SSL")
		for row := range snap.Rows(t) {
			f.Bootstrap = f.Bootstrap || row.Get(t.Column("bootstrap_ca_cert").Index).Key(0).Bool()
		}
	}
	return f
}

// concerns says whether a commit may change the names.
func (k keySource) concerns(c *engine.Commit) bool {
	for i := range c.Changes {
		switch c.Changes[i].Table.Name {
		case k.key.column.Table, k.cert.column.Table, k.ca.column.Table:
			return true
		}
	}
	return false
}
