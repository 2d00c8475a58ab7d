// SPDX-License-Identifier: Apache-2.0

package ovsdbclient

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/query"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// watched is a monitored table.
type watched struct {
	table   *schema.Table
	columns []*schema.Column // of all requests, in the order given
	request string           // JSON: <monitor-requests>
}

var selects = []string{"initial", "insert", "delete", "modify"}

// watch reads the column arguments for a table: each is a request of its own.
func (s *session) watch(t *schema.Table, args []string, condition string) (*watched, error) {
	w := &watched{table: t}
	var requests []string
	if len(args) == 0 {
		args = []string{""}
	}
	for _, arg := range args {
		var cols []*schema.Column
		want := map[string]bool{"initial": true, "insert": true, "delete": true, "modify": true}
		for name := range strings.SplitSeq(arg, ",") {
			if not, ok := strings.CutPrefix(name, "!"); ok && want[not] {
				want[not] = false
				continue
			}
			if name == "" {
				continue
			}
			c := t.Column(name)
			if c == nil {
				return nil, fmt.Errorf("%s: table \"%s\" in %s does not have a column named \"%s\"", s.server, t.Name, s.db, name)
			}
			cols = append(cols, c)
		}
		if len(cols) == 0 {
			cols = append(slices.Clone(t.Columns), t.Column("_version"))
		}
		r := `{"columns":[`
		for i, c := range cols {
			if i > 0 {
				r += ","
			}
			r += quote(c.Name)
			if slices.Contains(w.columns, c) {
				return nil, fmt.Errorf("%s: column \"%s\" mentioned multiple times", s.server, c.Name)
			}
			w.columns = append(w.columns, c)
		}
		r += `],"select":{`
		for i, n := range selects {
			if i > 0 {
				r += ","
			}
			r += fmt.Sprintf("%q:%t", n, want[n])
		}
		r += "}"
		if condition != "" {
			r += `,"where":` + condition
		}
		requests = append(requests, r+"}")
	}
	w.request = "[" + strings.Join(requests, ",") + "]"
	return w, nil
}

// findTable resolves the table that a monitor command names.
func (s *session) findTable(sch *schema.Schema, name string) (*schema.Table, error) {
	t := sch.Table(name)
	if t == nil {
		return nil, fmt.Errorf("%s: %s does not have a table named \"%s\"", s.server, s.db, name)
	}
	return t, nil
}

func params(db string, ws []*watched, more string) string {
	var tables []string
	for _, w := range ws {
		tables = append(tables, quote(w.table.Name)+":"+w.request)
	}
	return "[" + quote(db) + `,null,{` + strings.Join(tables, ",") + "}" + more + "]"
}

func monitor(s *session) error {
	sch, _, err := s.schema(s.db)
	if err != nil {
		return err
	}
	var ws []*watched
	if s.args[0] == "ALL" && len(s.args) == 1 && sch.Table("ALL") == nil {
		for _, t := range sch.Tables {
			w, err := s.watch(t, nil, "")
			if err != nil {
				return err
			}
			ws = append(ws, w)
		}
	} else {
		t, err := s.findTable(sch, s.args[0])
		if err != nil {
			return err
		}
		w, err := s.watch(t, s.args[1:], "")
		if err != nil {
			return err
		}
		ws = append(ws, w)
	}
	v, err := s.call("monitor", params(s.db, ws, ""))
	if err != nil {
		return err
	}
	return s.follow(ws, v, "update", func(v jsontree.Value) jsontree.Value { return v })
}

func monitorCond(s *session) error {
	w, err := s.conditional(s.args)
	if err != nil {
		return err
	}
	v, err := s.call("monitor_cond", params(s.db, []*watched{w}, ""))
	if err != nil {
		return err
	}
	return s.follow([]*watched{w}, v, "update2", func(v jsontree.Value) jsontree.Value { return v })
}

func monitorCondSince(s *session) error {
	args, last := s.args, "00000000-0000-0000-0000-000000000000"
	if _, err := ovsdb.ParseUUID(args[0]); err == nil {
		last, args = args[0], args[1:]
	}
	if len(args) < 2 || len(args) > 3 {
		return fmt.Errorf("invalid syntax for '%s' (use --help for help)", s.cmd.name)
	}
	w, err := s.conditional(args)
	if err != nil {
		return err
	}
	v, err := s.call("monitor_cond_since", params(s.db, []*watched{w}, ","+quote(last)))
	if err != nil {
		return err
	}
	r := v.Array()
	if len(r) != 3 {
		return fmt.Errorf("%s: reply to monitor_cond_since has %d members", s.server, len(r))
	}
	fmt.Fprintf(s.env.Stdout, "found: %t, last_id: %s\n", r[0].Bool(), r[1].Str())
	return s.follow([]*watched{w}, r[2], "update3", func(v jsontree.Value) jsontree.Value {
		fmt.Fprintf(s.env.Stdout, "\nlast_id: %s", v.Array()[1].Str())
		return v
	})
}

// conditional reads CONDITION TABLE [COLUMN,...].
func (s *session) conditional(args []string) (*watched, error) {
	sch, _, err := s.schema(s.db)
	if err != nil {
		return nil, err
	}
	cond, err := jsontree.Parse([]byte(args[0]), bigTree)
	if err == nil && cond.Kind() != jsontree.Array {
		err = errors.New("line 0, column 0, byte 0: syntax error at beginning of input")
	}
	if err != nil {
		return nil, fmt.Errorf("\"%s\": %w", args[0], err)
	}
	t := sch.Table(args[1])
	if t == nil {
		return nil, fmt.Errorf("%s does not have a table named \"%s\"", s.db, args[1])
	}
	if _, err := query.ParseCondition(t, cond, nil); err != nil {
		var e *ovsdb.Error
		if errors.As(err, &e) && e.Syntax != "" {
			return nil, fmt.Errorf("syntax \"%s\": %s: %s", e.Syntax, e.Name, e.Details)
		}
		return nil, err
	}
	return s.watch(t, args[2:], string(cond.AppendJSON(nil)))
}

// follow prints the first contents and then every change until the connection
// ends. updates prepares the parameters of a notification; their last one is
// the changes.
func (s *session) follow(ws []*watched, first jsontree.Value, method string, updates func(jsontree.Value) jsontree.Value) error {
	p := table.NewPrinter(s.env.Stdout, s.style)
	if err := s.changes(p, ws, first, true); err != nil {
		return err
	}
	for {
		m, err := s.conn.Next(s.ctx)
		if err != nil {
			return s.lost(err)
		}
		if m.Method != method {
			continue
		}
		v, err := jsontree.Parse(m.Params, bigTree)
		if err != nil || v.Kind() != jsontree.Array || v.Len() < 2 || method == "update3" && v.Len() < 3 {
			return fmt.Errorf("%s: bad %s notification", s.server, method)
		}
		a := updates(v).Array()
		if err := s.changes(p, ws, a[len(a)-1], false); err != nil {
			return err
		}
	}
}

// changes prints a table for each table of an update.
func (s *session) changes(p *table.Printer, ws []*watched, v jsontree.Value, initial bool) error {
	for _, w := range ws {
		rows, ok := v.Get(w.table.Name)
		if !ok {
			continue
		}
		t := &table.Table{Headings: []string{"row", "action"}}
		if len(ws) > 1 {
			t.Caption = w.table.Name
		}
		if s.style.Stamps {
			t.Stamp = s.env.Now().UTC().Format("2006-01-02 15:04:05.000")
		}
		for _, c := range w.columns {
			t.Headings = append(t.Headings, c.Name)
		}
		for i := range rows.Len() {
			id, change := rows.Member(i)
			for _, e := range split(change, initial) {
				if err := w.add(t, id, e.action, e.row); err != nil {
					return fmt.Errorf("%s: update of table %s: %w", s.server, w.table.Name, err)
				}
				id = ""
			}
		}
		if len(t.Rows) > 0 {
			if err := p.Print(t); err != nil {
				return err
			}
		}
	}
	return nil
}

type event struct {
	action string
	row    jsontree.Value
}

// split turns a <row-update> or <row-update2> into printed rows.
func split(change jsontree.Value, initial bool) []event {
	old, hasOld := change.Get("old")
	now, hasNew := change.Get("new")
	switch {
	case hasOld && hasNew:
		return []event{{"old", old}, {"new", now}}
	case hasOld:
		return []event{{"delete", old}}
	case hasNew && initial:
		return []event{{"initial", now}}
	case hasNew:
		return []event{{"insert", now}}
	}
	for _, n := range selects {
		if row, ok := change.Get(n); ok {
			return []event{{n, row}}
		}
	}
	return nil
}

func (w *watched) add(t *table.Table, id, action string, row jsontree.Value) error {
	cells := []table.Cell{table.Text(id), table.Text(action)}
	for _, c := range w.columns {
		v, ok := row.Get(c.Name)
		if !ok {
			cells = append(cells, table.Nothing())
			continue
		}
		typ := c.Type
		if action == "modify" { // a difference
			typ.Min, typ.Max = 0, ovsdb.Unlimited
		}
		d, err := ovsdb.DecodeDatum(v, &typ, nil)
		if err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
		cells = append(cells, table.Value(d, &c.Type))
	}
	t.Add(cells...)
	return nil
}
