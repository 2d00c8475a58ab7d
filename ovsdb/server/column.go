// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weirswitch/weir/firmware/base/reconnect"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// statusInterval is how often the seconds in status columns are written.
const statusInterval = 5 * time.Second

// minInterval is the least probe interval and back-off that a row can set, as
// in stock.
const minInterval = time.Second

// Column is a column by its name: db:DATABASE,TABLE,COLUMN
// (ovsdb-server(1), --remote).
type Column struct {
	DB     string
	Table  string
	Column string
}

// ParseColumn reads db:DATABASE,TABLE,COLUMN.
func ParseColumn(name string) (Column, error) {
	rest, ok := strings.CutPrefix(name, "db:")
	p := strings.Split(rest, ",")
	if !ok || len(p) != 3 || slices.Contains(p, "") {
		return Column{}, fmt.Errorf("%q: invalid syntax", name)
	}
	return Column{p[0], p[1], p[2]}, nil
}

// Strings returns all strings in the column, in the order of the rows; nil if
// there is no such column or it has another type.
func (c Column) Strings(snap *engine.Snapshot) (list []string) {
	t := snap.Schema().Table(c.Table)
	if t == nil {
		return nil
	}
	col := t.Column(c.Column)
	if col == nil || col.Type.Key.Type != ovsdb.String || col.Type.IsMap() {
		return nil
	}
	for row := range snap.Rows(t) {
		for _, a := range row.Get(col.Index).Keys() {
			list = append(list, a.Str())
		}
	}
	return list
}

// column finds what a db: name says, with stock's errors.
func (s *Server) column(name string) (Column, error) {
	c, err := ParseColumn(name)
	if err != nil {
		return c, err
	}
	d := s.dbs[c.DB]
	if d == nil {
		return c, fmt.Errorf("%q: no database named %s", name, c.DB)
	}
	t := d.Schema().Table(c.Table)
	if t == nil {
		return c, fmt.Errorf("%q: no table named %s", name, c.Table)
	}
	col := t.Column(c.Column)
	if col == nil {
		return c, fmt.Errorf("%q: table %q has no column %q", name, c.Table, c.Column)
	}
	if k := col.Type.Key; col.Type.IsMap() || k.Type != ovsdb.String && (k.Type != ovsdb.UUIDType || k.RefTable == "") {
		return c, fmt.Errorf("%q: column %q is no set of strings and refers to no table", name, c.Column)
	}
	return c, nil
}

// target is one that a column names.
type target struct {
	name string
	set  settings
	row  *ovsdb.Row // of a table like Manager; nil: a string
}

// targets returns what a column names: strings, or rows of a table like Manager.
// The second result is that table.
func (c Column) targets(snap *engine.Snapshot, def func(name string) settings) (list []target, rows *schema.Table) {
	t := snap.Schema().Table(c.Table)
	col := t.Column(c.Column)
	if col.Type.Key.Type == ovsdb.String {
		for _, n := range c.Strings(snap) {
			list = append(list, target{name: n, set: def(n)})
		}
		return list, nil
	}
	rows = snap.Schema().Table(col.Type.Key.RefTable)
	for row := range snap.Rows(t) {
		for _, ref := range row.Get(col.Index).Keys() {
			r := snap.Row(rows, ref.UUID())
			if r == nil {
				continue
			}
			name, ok := cell(rows, r, "target", ovsdb.String)
			if !ok {
				continue
			}
			list = append(list, target{name.Str(), rowSettings(rows, r, def(name.Str())), r})
		}
	}
	return list, rows
}

// cell returns the first value of a column if the table has it with this type.
func cell(t *schema.Table, r *ovsdb.Row, name string, typ ovsdb.Type) (a ovsdb.Atom, ok bool) {
	c := t.Column(name)
	if c == nil || c.Type.Key.Type != typ || c.Type.IsMap() {
		return a, false
	}
	d := r.Get(c.Index)
	if d.Len() == 0 {
		return a, false
	}
	return d.Key(0), true
}

// rowSettings reads what a row of a table like Manager says.
func rowSettings(t *schema.Table, r *ovsdb.Row, set settings) settings {
	ms := func(a ovsdb.Atom) time.Duration {
		return max(time.Duration(min(a.Int(), 1<<32))*time.Millisecond, minInterval)
	}
	if a, ok := cell(t, r, "max_backoff", ovsdb.Integer); ok {
		set.backoff = ms(a)
	}
	if a, ok := cell(t, r, "inactivity_probe", ovsdb.Integer); ok {
		set.probe = 0
		if a.Int() > 0 {
			set.probe = ms(a)
		}
	}
	if c := t.Column("other_config"); c != nil && c.Type.IsMap() && c.Type.Key.Type == ovsdb.String && c.Type.Value.Type == ovsdb.String {
		if a, ok := r.Get(c.Index).Lookup(ovsdb.Str("dscp")); ok {
			if n, err := strconv.ParseUint(a.Str(), 10, 8); err == nil && n < 64 {
				set.dscp = uint8(n)
			}
		}
	}
	return set
}

// defaults are the settings of a remote of which nothing is said.
func (s *Server) defaults(name string) settings {
	set := settings{dscp: stream.DefaultDSCP}
	if scheme, _, _ := strings.Cut(name, ":"); !strings.HasSuffix(scheme, "unix") {
		set.probe = max(s.o.Probe, 0)
	}
	return set
}

// findColumns returns the columns whose targets are to be followed, sorted.
func (s *Server) findColumns() (list []Column) {
	for _, name := range slices.Sorted(maps.Keys(s.names)) {
		if strings.HasPrefix(name, "db:") {
			if c, err := s.column(name); err == nil {
				list = append(list, c)
			}
		}
	}
	return list
}

// wantRemotes returns the remotes that there are to be. What was named by
// AddRemote counts before what a column says of the same target.
func (s *Server) wantRemotes() map[string]settings {
	want := map[string]settings{}
	for name := range s.names {
		if !strings.HasPrefix(name, "db:") {
			want[name] = s.defaults(name)
		}
	}
	for _, c := range s.columns {
		list, _ := c.targets(s.dbs[c.DB].Snapshot(), s.defaults)
		for _, t := range list {
			if _, ok := want[t.name]; !ok {
				want[t.name] = t.set
			}
		}
	}
	return want
}

// concerns says whether a commit may change what the columns say.
func (s *Server) concerns(d *database, c *engine.Commit) bool {
	for _, col := range s.columns {
		if col.DB != d.name {
			continue
		}
		t := d.Schema().Table(col.Table)
		tc := t.Column(col.Column)
		for i := range c.Changes {
			ch := &c.Changes[i]
			if ch.Table.Name == tc.Type.Key.RefTable || ch.Table == t && (ch.Old == nil || ch.New == nil || slices.Contains(ch.Changed, tc.Index)) {
				return true
			}
		}
	}
	return false
}

// poke makes the status columns be written soon. It never blocks.
func (s *Server) poke() {
	select {
	case s.pokes <- struct{}{}:
	default:
	}
}

// report is the goroutine that follows columns and writes status columns back.
func (s *Server) report() {
	defer s.wg.Done()
	tick := time.NewTicker(statusInterval)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		case <-s.pokes:
		}
		s.mu.Lock()
		if !s.closed {
			s.follow()
			s.writeStatus()
		}
		s.mu.Unlock()
	}
}

func (s *Server) writeStatus() {
	for _, c := range s.columns {
		d := s.dbs[c.DB]
		list, t := c.targets(d.Snapshot(), s.defaults)
		if t == nil || len(list) == 0 {
			continue
		}
		tx := d.Begin()
		for _, tg := range list {
			connected, status := s.status(tg.name)
			var sets []engine.Set
			if col := t.Column("is_connected"); col != nil && col.Type.IsScalar() && col.Type.Key.Type == ovsdb.Boolean {
				sets = append(sets, engine.Set{Column: col, Value: ovsdb.One(ovsdb.Bool(connected))})
			}
			if col := t.Column("status"); col != nil && col.Type.IsMap() && col.Type.Key.Type == ovsdb.String && col.Type.Value.Type == ovsdb.String {
				var pairs []ovsdb.Pair
				for k, v := range status {
					pairs = append(pairs, ovsdb.Pair{K: ovsdb.Str(k), V: ovsdb.Str(v)})
				}
				sets = append(sets, engine.Set{Column: col, Value: ovsdb.NewMap(pairs...)})
			}
			if err := tx.Update(t, tg.row.ID, sets...); err != nil {
				s.limitStatus.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "status of remote not written", "remote", tg.name, "err", err)
			}
		}
		commit, err := tx.Commit()
		if err != nil {
			s.limitStatus.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "status of remotes not written", "table", t.Name, "err", err)
		} else if commit != nil {
			s.reporting = true // not a reason to look again
			s.committed(d, commit)
			s.reporting = false
			s.retry(d)
		}
	}
}

// status returns what the status columns say of a target
// (ovs-vswitchd.conf.db(5), Manager).
func (s *Server) status(name string) (connected bool, m map[string]string) {
	m = map[string]string{}
	r := s.remotes[name]
	if r == nil {
		m["state"] = reconnect.Void.String()
		m["last_error"] = "too many remotes"
		if _, err := stream.Parse(name, stream.OVSDBPort); err != nil {
			m["last_error"] = err.Error()
		}
		return false, m
	}
	now := s.o.Now()
	seconds := func(key string, d time.Duration) {
		if d >= 0 {
			m[key] = strconv.FormatInt(int64(d/time.Second), 10)
		}
	}
	fail := func(err error) {
		if err != nil && !errors.Is(err, context.Canceled) {
			m["last_error"] = err.Error()
		}
	}
	if !r.addr.Passive {
		st := r.m.Status(now)
		m["state"] = st.State.String()
		seconds("sec_since_connect", st.SinceConnect)
		seconds("sec_since_disconnect", st.SinceDisconnect)
		fail(st.LastError)
	} else {
		if !r.up.IsZero() {
			seconds("sec_since_connect", now.Sub(r.up))
		}
		if !r.down.IsZero() {
			seconds("sec_since_disconnect", now.Sub(r.down))
		}
		if port := portOf(r.listener); port > 0 {
			m["bound_port"] = strconv.Itoa(port)
		}
		if n := len(r.sessions); n > 1 {
			m["n_connections"] = strconv.Itoa(n)
		}
		fail(r.lastErr)
		fail(r.openErr)
		if len(r.sessions) > 0 {
			m["state"] = reconnect.Active.String()
		} else if r.openErr != nil {
			m["state"] = reconnect.Backoff.String()
		}
	}
	if ss := oldest(r.sessions, func(*session) bool { return true }); ss != nil {
		ss.lockStatus(m)
	}
	return len(r.sessions) > 0, m
}
