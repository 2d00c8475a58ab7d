// SPDX-License-Identifier: Apache-2.0

package ovsdbclient

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

func listDBs(s *session) error {
	names, err := s.databases()
	for _, n := range names {
		if err := s.print(n); err != nil {
			return err
		}
	}
	return err
}

func getSchema(s *session) error {
	_, v, err := s.schema(s.db)
	if err != nil {
		return err
	}
	return s.printJSON(v)
}

func getSchemaVersion(s *session) error {
	sch, _, err := s.schema(s.db)
	if err != nil {
		return err
	}
	return s.print(sch.Version)
}

func getSchemaCksum(s *session) error {
	sch, _, err := s.schema(s.db)
	if err != nil {
		return err
	}
	return s.print(sch.Cksum)
}

func listTables(s *session) error {
	sch, _, err := s.schema(s.db)
	if err != nil {
		return err
	}
	t := &table.Table{Headings: []string{"Table"}}
	for _, x := range sch.Tables {
		t.Add(table.Text(x.Name))
	}
	return s.printTable(t)
}

func listColumns(s *session) error {
	_, v, err := s.schema(s.db)
	if err != nil {
		return err
	}
	one := len(s.args) == 1
	t := &table.Table{Headings: []string{"Table", "Column", "Type"}}
	if one {
		t.Headings = t.Headings[1:]
	}
	tables, _ := v.Get("tables")
	for i := range tables.Len() {
		name, def := tables.Member(i)
		if one && name != s.args[0] {
			continue
		}
		types := map[string]string{"_uuid": `"uuid"`, "_version": `"uuid"`}
		columns, _ := def.Get("columns")
		for j := range columns.Len() {
			col, def := columns.Member(j)
			typ, _ := def.Get("type")
			types[col] = string(typ.AppendJSON(nil))
		}
		for _, col := range sortedKeys(types) {
			row := []table.Cell{table.Text(name), table.Text(col), table.JSON(types[col])}
			if one {
				row = row[1:]
			}
			t.Add(row...)
		}
	}
	return s.printTable(t)
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// transaction parses the argument of transact and query.
func (s *session) transaction() (jsontree.Value, error) {
	v, err := jsontree.Parse([]byte(s.args[0]), bigTree)
	if err == nil && v.Kind() != jsontree.Array && v.Kind() != jsontree.Object {
		err = errors.New("line 0, column 0, byte 0: syntax error at beginning of input")
	}
	if err != nil {
		return v, fmt.Errorf("\"%s\": %w", s.args[0], err)
	}
	if a := v.Array(); len(a) == 0 || a[0].Kind() != jsontree.String {
		return v, fmt.Errorf("not a valid OVSDB query")
	}
	return v, nil
}

func transact(s *session) error {
	v, err := s.transaction()
	if err != nil {
		return err
	}
	result, err := s.call("transact", string(v.AppendJSON(nil)))
	if err != nil {
		return err
	}
	return s.printJSON(result)
}

// runQuery is transact with an "abort" behind that undoes everything.
func runQuery(s *session) error {
	v, err := s.transaction()
	if err != nil {
		return err
	}
	text := strings.TrimSuffix(string(v.AppendJSON(nil)), "]") + `,{"op":"abort"}]`
	result, err := s.call("transact", text)
	if err != nil {
		return err
	}
	list := result.Array()
	if n := len(list); n > 0 {
		if e, ok := list[n-1].Get("error"); ok && n == v.Len() && e.Str() == ovsdb.ErrAborted {
			list = list[:n-1]
		}
	}
	return s.printJSON(jsontree.OfArray(list...))
}

func convert(s *session) error {
	text, sch, err := readSchema(s.args[0])
	if err != nil {
		return err
	}
	_, err = s.call("convert", "["+quote(sch.Name)+","+string(text.AppendJSON(nil))+"]")
	return err
}

// readSchema reads a schema file.
func readSchema(name string) (jsontree.Value, *schema.Schema, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return jsontree.Value{}, nil, fmt.Errorf("failed to read schema: \"%s\" could not be read as JSON (error opening \"%s\": %s)",
			name, name, dbconn.Cause(err))
	}
	v, err := jsontree.Parse(raw, bigTree)
	if err != nil {
		return v, nil, fmt.Errorf("failed to read schema: \"%s\" could not be read as JSON (%w)", name, err)
	}
	sch, err := schema.Parse(raw)
	if err != nil {
		return v, nil, fmt.Errorf("failed to read schema: %w", err)
	}
	return v, sch, nil
}

func needsConversion(s *session) error {
	_, want, err := readSchema(s.args[0])
	if err != nil {
		return err
	}
	have, _, err := s.schema(want.Name)
	if err != nil {
		return err
	}
	if string(want.AppendJSON(nil)) == string(have.AppendJSON(nil)) {
		return s.print("no")
	}
	return s.print("yes")
}

// lock is lock, steal and unlock: it prints the answer, then what happens to
// the lock.
func lock(s *session) error {
	v, err := s.call(s.cmd.name, "["+quote(s.args[0])+"]")
	if err != nil {
		return err
	}
	if s.cmd.name != "unlock" {
		if err := s.print(string(v.AppendJSON(nil))); err != nil {
			return err
		}
	}
	for {
		m, err := s.conn.Next(s.ctx)
		if err != nil {
			return s.lost(err)
		}
		if err := s.print(m.Method + "\n" + sorted(m.Params)); err != nil {
			return err
		}
	}
}

// wait polls nothing: it monitors the database of databases, and connects again
// when the server goes.
func wait(s *session) error {
	if len(s.args) == 3 {
		if !stream.IsName(s.args[0]) {
			return fmt.Errorf("invalid syntax for '%s' (use --help for help)", s.cmd.name)
		}
		s.server, s.args = s.args[0], s.args[1:]
	}
	db, state := s.args[0], s.args[1]
	if !slices.Contains([]string{"added", "connected", "removed"}, state) {
		return fmt.Errorf("%s: unknown state", state)
	}
	for {
		s.log("reconnect", "INFO", s.server+": connecting...")
		conn, err := dbconn.Dial(s.ctx, s.env.RunDir(), s.server, s.files)
		if err == nil {
			s.log("reconnect", "INFO", s.server+": connected")
			s.conn = conn
			err = s.waitOn(db, state)
			conn.Close()
			if err == nil {
				return nil
			}
		} else {
			s.log("reconnect", "INFO", fmt.Sprintf("%s: connection attempt failed (%s)", s.server, dbconn.Cause(err)))
		}
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (s *session) waitOn(db, state string) error {
	v, err := s.call("monitor", `["_Server","wait",{"Database":[{"columns":["name","connected"]}]}]`)
	if err != nil {
		return err
	}
	known := make(map[string]jsontree.Value) // rows by UUID
	for {
		rows, _ := v.Get("Database")
		for i := range rows.Len() {
			id, change := rows.Member(i)
			if row, ok := change.Get("new"); ok {
				known[id] = row
			} else {
				delete(known, id)
			}
		}
		added, connected := false, false
		for _, row := range known {
			if n, _ := row.Get("name"); n.Str() == db {
				c, _ := row.Get("connected")
				added, connected = true, c.Bool()
			}
		}
		if state == "added" && added || state == "connected" && connected || state == "removed" && !added {
			return nil
		}
		m, err := s.conn.Next(s.ctx)
		if err != nil {
			return s.lost(err)
		}
		params, err := jsontree.Parse(m.Params, bigTree)
		if err != nil || params.Len() != 2 || params.Kind() != jsontree.Array || m.Method != "update" {
			continue
		}
		v = params.Array()[1]
	}
}
