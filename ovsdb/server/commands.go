// SPDX-License-Identifier: Apache-2.0

package server

import (
	"errors"
	"fmt"
	"strings"

	"github.com/weirswitch/weir/firmware/base/unixctl"
	"github.com/weirswitch/weir/ovsdb/engine"
)

// Commands returns the control commands of the database server.
func (s *Server) Commands() []unixctl.Command {
	none := func(err error) (string, error) { return "", err }
	return []unixctl.Command{
		{Name: "ovsdb-server/compact", Max: 1, Run: func(a []string) (string, error) {
			if len(a) == 0 {
				return none(s.Compact(""))
			}
			return none(s.Compact(a[0]))
		}},
		{Name: "ovsdb-server/add-remote", Usage: "REMOTE", Min: 1, Max: 1, Run: func(a []string) (string, error) { return none(s.addRemoteCommand(a[0])) }},
		{Name: "ovsdb-server/remove-remote", Usage: "REMOTE", Min: 1, Max: 1, Run: func(a []string) (string, error) { return none(s.RemoveRemote(a[0])) }},
		{Name: "ovsdb-server/list-remotes", Run: func([]string) (string, error) { return strings.Join(s.Remotes(), "\n"), nil }},
		{Name: "ovsdb-server/list-dbs", Run: func([]string) (string, error) { return strings.Join(s.Databases(), "\n"), nil }},
		{Name: "ovsdb-server/reconnect", Run: func([]string) (string, error) { s.Reconnect(); return "", nil }},
		{Name: "ovsdb-server/sync-status", Run: func([]string) (string, error) { return "state: active", nil }},
		{Name: "memory/show", Run: func([]string) (string, error) { return s.memory(), nil }},
	}
}

// addRemoteCommand, as stock's, says nothing of a remote that does not open
// yet; the log does.
func (s *Server) addRemoteCommand(name string) error {
	err := s.AddRemote(name)
	var oe *OpenError
	if errors.As(err, &oe) {
		return nil
	}
	return err
}

// memory returns what memory/show prints: counts, not bytes.
func (s *Server) memory() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	cells, monitors, triggers, backlog := 0, 0, 0, 0
	for _, d := range s.dbs {
		cells += countCells(d.Snapshot())
		triggers += len(d.triggers)
	}
	sessions := 0
	for ss := range s.sessions {
		if ss.dead {
			continue
		}
		sessions++
		monitors += len(ss.subs)
		backlog += ss.backlog()
	}
	return fmt.Sprintf("backlog:%d cells:%d input:%d monitors:%d sessions:%d triggers:%d",
		backlog, cells, s.budget.Used(), monitors, sessions, triggers)
}

func countCells(snap *engine.Snapshot) (n int) {
	for _, t := range snap.Schema().Tables {
		n += snap.Len(t) * len(t.Columns)
	}
	return n
}
