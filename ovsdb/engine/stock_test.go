// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/internal/twintest"
)

// twin runs the same operations on the stock server and on the engine.
type twin struct {
	t           *testing.T
	stock       *twintest.Stock
	db          *engine.DB
	snames      *twintest.Names
	names       *twintest.Names
	strict      bool
	skip        bool // the transaction would show the fault below
	skipped     int
	lastResults string
}

// Append makes twin the engine's log. It refuses, and so leaves out of the
// comparison, what stock 3.1 does wrong: where a transaction changes a row, and
// leaves another unreferenced that the row refers to weakly, that reference stays,
// to nothing. RFC 7047, section 3.2, <base-type>, says that it goes.
func (w *twin) Append(c *engine.Commit) error {
	gone := map[ovsdb.Atom]bool{}
	for _, ch := range c.Changes {
		if ch.New == nil {
			gone[ovsdb.Ref(ch.ID)] = true
		}
	}
	for _, ch := range c.Changes {
		if ch.Old == nil || ch.New == nil || w.strict {
			continue
		}
		for _, col := range ch.Table.Weak {
			d := ch.Old.Get(col.Index)
			for _, a := range slices.Concat(d.Keys(), d.Values()) {
				if gone[a] {
					w.skip = true
					return errors.New("left out")
				}
			}
		}
	}
	return nil
}

func newTwin(t *testing.T) *twin {
	w := &twin{t: t, stock: twintest.StartStock(t), db: twinDB(t), snames: twintest.NewNames(), names: twintest.NewNames()}
	w.db.SetLog(w)
	return w
}

// run compares one transaction; ops is operations with commas between, or "".
func (w *twin) run(ops string) bool {
	w.t.Helper()
	if ops != "" {
		ops = "," + ops
	}
	w.skip = false
	now := time.Now()
	req, err := engine.ParseTransact([]byte(`["twin"`+w.names.Fill(ops)+`]`), now)
	if err != nil {
		w.t.Fatalf("%v: %s", err, ops)
	}
	o := w.db.Transact(req, engine.Env{Now: now})
	if o.Pending {
		o = w.db.Transact(req, engine.Env{Now: o.Deadline})
	}
	if w.skip {
		w.skipped++
		return true
	}
	want, err := w.stock.Transact(w.snames.Fill(ops))
	if err != nil {
		w.t.Fatalf("stock: %v\nafter %s", err, ops)
	}
	var got any
	d := json.NewDecoder(strings.NewReader(string(o.Reply)))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		w.t.Fatalf("reply is not JSON: %v\n%s", err, o.Reply)
	}
	w.snames.Learn(want)
	w.names.Learn(got)
	g, s := twintest.Text(w.names.Normal(got)), twintest.Text(w.snames.Normal(want))
	w.lastResults = g
	if g != s && (w.strict || !sameError(w.names.Normal(got), w.snames.Normal(want))) {
		w.t.Errorf("%s\n  got   %s\n  stock %s", ops, g, s)
		return false
	}
	if err := w.db.Check(); err != nil {
		w.t.Errorf("%s\n  leaves %v", ops, err)
		return false
	}
	return true
}

// dump compares the contents of all tables.
func (w *twin) dump() bool {
	w.t.Helper()
	for _, t := range w.db.Schema().Tables {
		cols := []string{`"_uuid"`}
		for _, c := range t.Columns {
			cols = append(cols, `"`+c.Name+`"`)
		}
		if !w.run(fmt.Sprintf(`{"op":"select","table":"%s","where":[],"columns":[%s]}`, t.Name, strings.Join(cols, ","))) {
			return false
		}
	}
	return true
}

// The transactions of testdata/twin.txt, written by hand, errors and odd ones
// included, have the same results on the stock server.
func TestStockTable(t *testing.T) {
	raw, err := os.ReadFile("testdata/twin.txt")
	if err != nil {
		t.Fatal(err)
	}
	w := newTwin(t)
	w.strict = true
	n := 0
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		w.run(line)
		n++
	}
	w.dump()
	t.Logf("%d transactions", n)
}

// randomSeed returns the seed of this run and prints it: 1, so that a run is like
// the one before, or WEIR_SEED.
func randomSeed(t testing.TB) uint64 {
	seed := uint64(1)
	if s := os.Getenv("WEIR_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("WEIR_SEED: %v", err)
		}
		seed = n
	}
	t.Logf("seed %d (another: WEIR_SEED)", seed)
	return seed
}

// sameError accepts results that differ only in which of several faults of one
// operation was found first: the stock server takes the columns of a row in no
// particular order.
func sameError(got, want any) bool {
	g, _ := got.([]any)
	w, _ := want.([]any)
	if len(g) != len(w) {
		return false
	}
	for i := range g {
		ge, _ := g[i].(map[string]any)
		we, _ := w[i].(map[string]any)
		if twintest.Text(g[i]) != twintest.Text(w[i]) && !(valueErrors[ge["error"]] && valueErrors[we["error"]]) {
			return false
		}
	}
	return true
}

var valueErrors = map[any]bool{"syntax error": true, "constraint violation": true, "unknown column": true, "ovsdb error": true,
	"range error": true, "domain error": true}

// liveNodes returns which of the rows inserted are in table node.
func liveNodes(db *engine.DB, names *twintest.Names) []int {
	var ids []string
	for r := range db.Snapshot().Rows(db.Schema().Table("node")) {
		ids = append(ids, r.ID.String())
	}
	return names.Indexes(ids)
}

func TestStockRandom(t *testing.T) {
	seed := randomSeed(t)
	g := twintest.NewGenerator(seed)
	w := newTwin(t)
	n := 2000
	if testing.Short() {
		n = 500
	}
	failed := 0
	kinds := map[string]int{}
	for i := range n {
		g.Rows, g.Nodes = w.names.Len(), liveNodes(w.db, w.names)
		if !w.run(g.Transaction()) {
			break
		}
		if strings.Contains(w.lastResults, `"error"`) {
			failed++
		}
		for _, k := range regexp.MustCompile(`"error":"[^"]*"`).FindAllString(w.lastResults, -1) {
			kinds[k]++
		}
		if i%25 == 24 && !w.dump() {
			break
		}
	}
	t.Logf("%d transactions, %d left out, %d with an error: %v", n, w.skipped, failed, kinds)
	if w.skipped > n/20 {
		t.Error("too many left out")
	}
}
