// SPDX-License-Identifier: Apache-2.0

package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsonrpc"
	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// lockName reads the params of lock, steal and unlock.
func lockName(m jsonrpc.Message) (string, jsontree.Value, error) {
	p, err := params(m)
	if err != nil {
		return "", p, err
	}
	if p.Len() != 1 || p.Array()[0].Kind() != jsontree.String || !ovsdb.IsID(p.Array()[0].Str()) {
		return "", p, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, p, "%s request params must be <id>", m.Method)
	}
	return p.Array()[0].Str(), p, nil
}

// lock queues the session for a lock: at the end, or with steal at the head.
func (ss *session) lock(m jsonrpc.Message) ([]byte, error) {
	name, p, err := lockName(m)
	if err != nil {
		return nil, err
	}
	if ss.locks[name] {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, p, "must issue \"unlock\" before new \"%s\"", m.Method)
	}
	if len(ss.locks) >= maxLocks {
		return nil, ovsdb.Errorf("resources exhausted", "more than %d locks in a session", maxLocks)
	}
	ss.locks[name] = true
	q := ss.s.locks[name]
	if m.Method == "steal" {
		if len(q) > 0 { // the victim keeps its place behind the thief
			q[0].stolen[name] = true
			q[0].notify("stolen", jsonStrings([]string{name}))
		}
		ss.s.locks[name] = slices.Insert(q, 0, ss)
		return []byte(`{"locked":true}`), nil
	}
	ss.s.locks[name] = append(q, ss)
	return fmt.Appendf(nil, `{"locked":%t}`, len(q) == 0), nil
}

func (ss *session) unlockRequest(m jsonrpc.Message) ([]byte, error) {
	name, p, err := lockName(m)
	if err != nil {
		return nil, err
	}
	if !ss.locks[name] {
		return nil, ovsdb.SyntaxErrorf(ovsdb.ErrSyntax, p, "unlock: \"unlock\" without \"lock\" or \"steal\"")
	}
	ss.unlock(name)
	return []byte("{}"), nil
}

// unlock takes the session out of a queue and tells a new owner.
func (ss *session) unlock(name string) {
	delete(ss.locks, name)
	delete(ss.stolen, name)
	q := ss.s.locks[name]
	owned := len(q) > 0 && q[0] == ss
	q = slices.DeleteFunc(q, func(x *session) bool { return x == ss })
	if len(q) == 0 {
		delete(ss.s.locks, name)
		return
	}
	ss.s.locks[name] = q
	if owned {
		delete(q[0].stolen, name)
		q[0].notify("locked", jsonStrings([]string{name}))
	}
}

// hasLock says whether the session owns a lock.
func (ss *session) hasLock(name string) bool {
	q := ss.s.locks[name]
	return len(q) > 0 && q[0] == ss
}

// lockStatus tells of the session's locks as the status columns do.
func (ss *session) lockStatus(m map[string]string) {
	var held, waiting, lost []string
	for _, name := range slices.Sorted(maps.Keys(ss.locks)) {
		switch {
		case ss.hasLock(name):
			held = append(held, name)
		case ss.stolen[name]:
			lost = append(lost, name)
		default:
			waiting = append(waiting, name)
		}
	}
	for key, names := range map[string][]string{"locks_held": held, "locks_waiting": waiting, "locks_lost": lost} {
		if len(names) > 0 {
			m[key] = strings.Join(names, " ")
		}
	}
}
