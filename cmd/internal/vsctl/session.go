// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
	"github.com/weirswitch/weir/cmd/internal/vsctl/replica"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// database is the name of the database that the tool works on.
const database = "Open_vSwitch"

// run executes the plan. The code is meaningful if err is nil.
func (s *session) run(ctx context.Context) (int, error) {
	if err := s.dial(ctx); err != nil {
		return 1, err
	}
	defer s.conn.Close()
	sch, err := s.schema(ctx)
	if err != nil {
		return 1, err
	}
	needs, err := s.needs(sch)
	if err != nil {
		return 1, err
	}
	db := replica.New(sch)
	if err := s.monitor(ctx, db, needs); err != nil {
		return 1, err
	}
	for {
		code, err := s.try(ctx, db)
		if !errors.Is(err, ctl.ErrAgain) {
			return code, err
		}
		if err := s.update(ctx, db); err != nil {
			return 1, err
		}
	}
}

// call is Conn.Call for a result that is needed.
func (s *session) call(ctx context.Context, method string, params []byte) (jsontree.Value, error) {
	result, failure, err := s.conn.Call(ctx, method, params)
	switch {
	case err != nil:
		return jsontree.Value{}, s.lost(ctx, err)
	case failure != nil:
		return jsontree.Value{}, fmt.Errorf("%s: %s failed: %s", s.plan.db, method, failure)
	}
	return parseJSON(result)
}

// bigTree allows the contents of a big database.
var bigTree = jsontree.Limits{Values: 1 << 26}

func parseJSON(raw json.RawMessage) (jsontree.Value, error) {
	v, err := jsontree.Parse(raw, bigTree)
	if err != nil {
		return v, fmt.Errorf("message from the database server: %w", err)
	}
	return v, nil
}

// lost is the error for a connection that broke.
func (s *session) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%s: database connection failed (%s)", s.plan.db, dbconn.Cause(err))
}

func (s *session) schema(ctx context.Context) (*schema.Schema, error) {
	result, failure, err := s.conn.Call(ctx, "get_schema", []byte(`["`+database+`"]`))
	switch {
	case err != nil:
		return nil, s.lost(ctx, err)
	case failure != nil:
		return nil, fmt.Errorf("%s: no %s database: %s", s.plan.db, database, failure)
	}
	sch, err := schema.Parse(result)
	if err != nil {
		return nil, fmt.Errorf("%s: schema: %w", s.plan.db, err)
	}
	return sch, nil
}

// needs asks every call for the columns it reads.
func (s *session) needs(sch *schema.Schema) (*replica.Needs, error) {
	n := &replica.Needs{}
	root := sch.Table(database)
	if root == nil {
		return nil, fmt.Errorf("%s: database has no table %s", s.plan.db, database)
	}
	n.Table(root)
	if !s.plan.noWait && !readOnly(s.plan.calls) {
		n.Column(root, root.Column("cur_cfg"))
	}
	for _, c := range s.plan.calls {
		x := &ctl.Context{Call: c, Rules: rules, Schema: sch, Needs: n, Warn: s.warn}
		if c.Need == nil {
			continue
		}
		if err := c.Need(x); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (s *session) monitor(ctx context.Context, db *replica.DB, n *replica.Needs) error {
	v, err := s.call(ctx, "monitor_cond", n.Monitor(database, "weir"))
	if err != nil {
		return err
	}
	return db.Update(v)
}

// update waits for the next change of the database.
func (s *session) update(ctx context.Context, db *replica.DB) error {
	for {
		m, err := s.conn.Next(ctx)
		if err != nil {
			return s.lost(ctx, err)
		}
		if m.Method != "update2" {
			continue
		}
		v, err := parseJSON(m.Params)
		if err != nil {
			return err
		}
		if v.Len() != 2 || v.Kind() != jsontree.Array {
			return fmt.Errorf("update2: expected 2 parameters")
		}
		if err := db.Update(v.Array()[1]); err != nil {
			return err
		}
		if !s.conn.Pending() {
			return nil
		}
	}
}

// try runs the calls once on the database as it is known.
func (s *session) try(ctx context.Context, db *replica.DB) (int, error) {
	txn := replica.Begin(db, rand.Reader)
	symbols := ctl.NewSymbols(txn)
	line := &line{}
	root := root(&ctl.Context{Schema: db.Schema, Txn: txn})
	var warnings [][2]string
	warn := func(module, text string) { warnings = append(warnings, [2]string{module, text}) }
	var calls []*ctl.Context
	for i, c := range s.plan.calls {
		x := &ctl.Context{Call: c, Rules: rules, Schema: db.Schema, Txn: txn, Symbols: symbols, Warn: warn, State: line,
			Last: i == len(s.plan.calls)-1}
		calls = append(calls, x)
		err := c.Run(x)
		if errors.Is(err, ctl.ErrAgain) {
			return 1, err
		}
		if err != nil {
			s.flush(warnings)
		}
		if code := exitError(0); errors.As(err, &code) {
			return int(code), nil
		}
		if err != nil {
			return 1, err
		}
	}
	err := symbols.Check(warn)
	s.flush(warnings)
	if err != nil {
		return 1, err
	}
	res, err := s.commit(ctx, txn, root)
	if err != nil {
		return 1, err
	}
	for _, x := range calls {
		x.UUIDs = res.UUIDs
		if x.Done != nil {
			if err := x.Done(x); err != nil {
				return 1, err
			}
		}
	}
	if err := s.print(calls); err != nil {
		return 1, err
	}
	if res.Count == 0 {
		return 0, nil
	}
	return 0, s.reload(ctx, db, line, res)
}

func (s *session) flush(warnings [][2]string) {
	for _, w := range warnings {
		s.warn(w[0], w[1])
	}
}

// commit sends the transaction.
func (s *session) commit(ctx context.Context, txn *replica.Txn, root *replica.Row) (replica.Result, error) {
	var count *replica.Counter
	if col := root.Table.Column("next_cfg"); !s.plan.noWait && !root.Inserted() && col != nil {
		count = &replica.Counter{Row: root, Column: col}
	}
	req := txn.Request(s.comment(), count)
	if req == nil || s.plan.dryRun {
		return replica.Result{}, nil
	}
	v, err := s.call(ctx, "transact", req.Params)
	if err != nil {
		return replica.Result{}, err
	}
	res, err := req.Result(v)
	switch {
	case err != nil:
		return res, err
	case res.Again:
		return res, ctl.ErrAgain
	case res.Err != "":
		s.warn("ovsdb_idl", "transaction error: "+res.Err)
		return res, fmt.Errorf("transaction error: %s", res.Err)
	}
	return res, nil
}

// comment is what the database's log says of the transaction.
func (s *session) comment() string {
	by := ""
	if name, err := os.ReadFile("/proc/" + strconv.Itoa(os.Getppid()) + "/comm"); err == nil {
		by = " (invoked by " + strings.TrimSpace(string(name)) + ")"
	}
	return s.env.Name + by + ": " + strings.Join(append([]string{s.env.Name}, s.env.Args...), " ")
}

// reload waits until the switch has taken the configuration, and says what went
// wrong with new interfaces.
func (s *session) reload(ctx context.Context, db *replica.DB, line *line, res replica.Result) error {
	var now *replica.Txn
	for {
		now = replica.Begin(db, rand.Reader)
		rows := now.Rows(db.Schema.Table(database))
		if len(rows) > 0 {
			if cur := rows[0].Col("cur_cfg"); cur.Len() == 1 && cur.Key(0).Int() >= res.Count {
				break
			}
		}
		if err := s.update(ctx, db); err != nil {
			return err
		}
	}
	bad := false
	for _, r := range line.new {
		id := r.ID
		if real, ok := res.UUIDs[id]; ok {
			id = real
		}
		i := now.Row(r.Table, id)
		if i == nil {
			continue
		}
		text := i.Str("error")
		ofport := i.Col("ofport")
		switch {
		case text != "":
			text = ": " + text
		case ofport.Len() == 1 && ofport.Key(0) != ovsdb.Int(-1):
			continue
		}
		fmt.Fprintf(s.env.Stderr, "%s: Error detected while setting up '%s'%s.  See ovs-vswitchd log for details.\n",
			s.env.Name, i.Str("name"), text)
		bad = true
	}
	if bad {
		dir := s.env.Getenv("OVS_LOGDIR")
		if dir == "" {
			dir = "/var/log/openvswitch"
		}
		fmt.Fprintf(s.env.Stderr, "%s: The default log directory is \"%s\".\n", s.env.Name, dir)
	}
	return nil
}
