// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsonrpc"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/monitor"
)

// text is an error reply that is a plain string.
type text string

func (t text) Error() string { return string(t) }

// request answers a request. Only transact may leave the answer for later.
func (ss *session) request(m jsonrpc.Message) {
	var result []byte
	var err error
	switch m.Method {
	case "echo":
		result = m.Params
	case "transact":
		if err = ss.transact(m); err == nil {
			return
		}
	case "monitor":
		result, err = ss.monitor(m, monitor.V1)
	case "monitor_cond":
		result, err = ss.monitor(m, monitor.V2)
	case "monitor_cond_since":
		result, err = ss.monitor(m, monitor.V3)
	case "monitor_cond_change":
		result, err = ss.monitorChange(m)
	case "monitor_cancel":
		result, err = ss.monitorCancel(m)
	case "list_dbs":
		result = jsonStrings(slices.Sorted(maps.Keys(ss.s.dbs)))
	case "get_schema":
		var d *database
		if d, _, err = ss.database(m); err == nil {
			result = d.Schema().AppendJSON(nil)
		}
	case "get_server_id":
		result = append(ss.s.id.Append([]byte{'"'}), '"')
	case "set_db_change_aware":
		result, err = ss.changeAware(m)
	case "lock", "steal":
		result, err = ss.lock(m)
	case "unlock":
		result, err = ss.unlockRequest(m)
	case "convert":
		if _, _, err = ss.database(m); err == nil {
			err = ovsdb.Errorf("not supported", "this server does not convert databases; use ovsdb-tool convert while it is stopped")
		}
	default:
		err = text("unknown method")
	}
	if err != nil {
		ss.fail(m.ID, err)
		return
	}
	ss.send(func(b []byte) []byte { return jsonrpc.AppendReply(b, m.ID, result) })
}

func jsonStrings(ss []string) []byte {
	b := []byte{'['}
	for i, s := range ss {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonrpc.AppendString(b, s)
	}
	return append(b, ']')
}

// fail sends an error reply.
func (ss *session) fail(id json.RawMessage, err error) {
	var pe *ovsdb.Error
	var se *jsontree.SyntaxError
	var e []byte
	switch {
	case errors.As(err, &pe):
		e = pe.AppendJSON(nil)
	case errors.As(err, &se):
		e = ovsdb.Errorf(ovsdb.ErrSyntax, "%s", se).AppendJSON(nil)
	default:
		e = jsonrpc.AppendString(nil, err.Error())
	}
	ss.send(func(b []byte) []byte { return jsonrpc.AppendError(b, id, e) })
}

// notification acts on a message that has no answer. Stock ignores those that
// it does not know, and so do we.
func (ss *session) notification(m jsonrpc.Message) {
	if m.Method != "cancel" {
		return
	}
	args, err := m.Args()
	if err != nil || len(args) != 1 {
		return
	}
	key, err := jsonrpc.Canonical(args[0])
	if err != nil {
		return
	}
	if t := ss.triggers[key]; t != nil {
		t.drop()
		ss.fail(t.id, text("canceled")) // RFC 7047 section 4.1.4
	}
}

// params parses a request's params; the values are bounded by the framer.
func params(m jsonrpc.Message) (jsontree.Value, error) {
	v, err := jsontree.Parse(m.Params, jsontree.Limits{})
	if err != nil {
		return v, fmt.Errorf("%s: %w", m.Method, err)
	}
	return v, nil
}

// database finds the database that the first of the params names.
func (ss *session) database(m jsonrpc.Message) (*database, jsontree.Value, error) {
	v, err := params(m)
	if err != nil {
		return nil, v, err
	}
	if v.Len() == 0 || v.Array()[0].Kind() != jsontree.String {
		return nil, v, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "%s request params must begin with <db-name>", m.Method)
	}
	name := v.Array()[0].Str()
	d := ss.s.dbs[name]
	if d == nil {
		return nil, v, ovsdb.SyntaxErrorf("unknown database", v, "%s request specifies unknown database %s", m.Method, name)
	}
	return d, v, nil
}

func (ss *session) changeAware(m jsonrpc.Message) ([]byte, error) {
	v, err := params(m)
	if err != nil {
		return nil, err
	}
	if v.Len() != 1 || v.Array()[0].Kind() != jsontree.Bool {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, v, "%s: true or false parameter expected", m.Method)
	}
	// Databases are neither removed nor converted while sessions live, so
	// there is no change to be aware of.
	return []byte("{}"), nil
}

func canonicalID(v jsontree.Value) (raw json.RawMessage, key string, err error) {
	raw = v.AppendJSON(nil)
	key, err = jsonrpc.Canonical(raw)
	return raw, key, err
}

// monitor starts a monitor: [db, id, requests] and, for V3, the last id.
func (ss *session) monitor(m jsonrpc.Message, v monitor.Version) ([]byte, error) {
	d, p, err := ss.database(m)
	if err != nil {
		return nil, err
	}
	a := p.Array()
	switch { // stock takes and ignores more params with "monitor" only
	case v == monitor.V1 && len(a) < 3, v == monitor.V2 && len(a) != 3, v == monitor.V3 && len(a) != 4:
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, p, "invalid parameters")
	}
	raw, key, err := canonicalID(a[1])
	if err != nil {
		return nil, err
	}
	if ss.byID[key] != nil {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, a[1], "duplicate monitor ID")
	}
	var last ovsdb.UUID
	if v == monitor.V3 {
		if a[3].Kind() != jsontree.String {
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, a[3], "last-txn-id must be string")
		}
		if last, err = ovsdb.ParseUUID(a[3].Str()); err != nil {
			return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, a[3], "last-txn-id must be UUID format.")
		}
	}
	if len(ss.subs) >= maxMonitors {
		return nil, ovsdb.Errorf("resources exhausted", "more than %d monitors in a session", maxMonitors)
	}
	mon, err := monitor.Parse(v, d.Schema(), a[2])
	if err != nil {
		return nil, err
	}
	sub := &subscription{mon, d, raw}
	ss.subs = append(ss.subs, sub)
	ss.byID[key] = sub
	snap := d.Snapshot()
	if v != monitor.V3 {
		return mon.Initial(snap), nil
	}
	updates, found := mon.Since(&d.history, last, snap)
	if !found {
		updates = mon.Initial(snap)
	}
	b := fmt.Appendf(nil, "[%t,\"%s\",", found, snap.ID())
	return append(append(b, updates...), ']'), nil
}

// monitorChange changes conditions, and perhaps the id: [id, new id, requests].
func (ss *session) monitorChange(m jsonrpc.Message) ([]byte, error) {
	p, err := params(m)
	if err != nil {
		return nil, err
	}
	a := p.Array()
	if len(a) != 3 {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, p, "invalid parameters")
	}
	_, key, err := canonicalID(a[0])
	if err != nil {
		return nil, err
	}
	sub := ss.byID[key]
	if sub == nil {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, a[0], "unknown monitor session")
	}
	raw, newKey, err := canonicalID(a[1])
	if err != nil {
		return nil, err
	}
	if newKey != key && ss.byID[newKey] != nil {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, a[1], "duplicate monitor ID")
	}
	updates, err := sub.Change(a[2], sub.db.Snapshot())
	if err != nil {
		return nil, err
	}
	delete(ss.byID, key)
	ss.byID[newKey] = sub
	sub.id = raw
	if updates != nil {
		ss.update(sub, updates) // before the reply, as in stock
	}
	return []byte("{}"), nil
}

func (ss *session) monitorCancel(m jsonrpc.Message) ([]byte, error) {
	p, err := params(m)
	if err != nil {
		return nil, err
	}
	if p.Len() != 1 {
		return nil, text("invalid parameters")
	}
	_, key, err := canonicalID(p.Array()[0])
	if err != nil {
		return nil, err
	}
	sub := ss.byID[key]
	if sub == nil {
		return nil, text("unknown monitor")
	}
	delete(ss.byID, key)
	ss.subs = slices.DeleteFunc(ss.subs, func(x *subscription) bool { return x == sub })
	return []byte("{}"), nil
}
