// SPDX-License-Identifier: Apache-2.0

package engine_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// stock is a stock ovsdb-server that serves the twin schema.
type stock struct {
	conn net.Conn
	dec  *json.Decoder
}

func startStock(t testing.TB, schemaFile string) *stock {
	t.Helper()
	for _, prog := range []string{"ovsdb-server", "ovsdb-tool"} {
		if _, err := exec.LookPath(prog); err != nil {
			t.Skipf("no stock program to compare with: %v", err)
		}
	}
	dir, err := os.MkdirTemp("", "weirdb") // not t.TempDir: a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	env := append(os.Environ(), "OVS_RUNDIR="+dir, "OVS_LOGDIR="+dir, "OVS_DBDIR="+dir)
	db, sock := filepath.Join(dir, "db"), filepath.Join(dir, "s")
	create := exec.Command("ovsdb-tool", "create", db, schemaFile)
	create.Env = env
	if out, err := create.CombinedOutput(); err != nil {
		t.Fatalf("ovsdb-tool create: %v\n%s", err, out)
	}
	srv := exec.Command("ovsdb-server", "--remote=punix:"+sock, "--unixctl="+filepath.Join(dir, "ctl"), db)
	srv.Env = env
	if err := srv.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		srv.Process.Kill()
		srv.Wait()
	})
	s := &stock{}
	for range 200 {
		if s.conn, err = net.Dial("unix", sock); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("connect to stock ovsdb-server: %v", err)
	}
	t.Cleanup(func() { s.conn.Close() })
	s.dec = json.NewDecoder(bufio.NewReader(s.conn))
	s.dec.UseNumber()
	return s
}

// transact sends operations and returns the result array.
func (s *stock) transact(ops string) (any, error) {
	s.conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := fmt.Fprintf(s.conn, `{"id":1,"method":"transact","params":["twin"%s]}`, ops); err != nil {
		return nil, err
	}
	var reply struct{ Result, Error any }
	if err := s.dec.Decode(&reply); err != nil {
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("stock ovsdb-server ended the connection: %w", err)
		}
		return nil, err
	}
	if reply.Error != nil {
		return nil, fmt.Errorf("error reply: %v", reply.Error)
	}
	return reply.Result, nil
}

// names maps the UUIDs of one side to the order in which inserts returned them.
type names struct {
	name map[string]string
	uuid []string
}

var (
	uuidRE = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	refRE  = regexp.MustCompile(`@[0-9]+@`)
)

// learn takes the UUIDs that inserts returned.
func (n *names) learn(result any) {
	list, _ := result.([]any)
	for _, r := range list {
		obj, _ := r.(map[string]any)
		pair, _ := obj["uuid"].([]any)
		if len(pair) != 2 {
			continue
		}
		id := pair[1].(string)
		if n.name[id] == "" {
			n.name[id] = fmt.Sprintf("row%d", len(n.uuid))
			n.uuid = append(n.uuid, id)
		}
	}
}

// fill puts the side's UUIDs in the places of "@n@".
func (n *names) fill(ops string) string {
	return refRE.ReplaceAllStringFunc(ops, func(s string) string {
		var i int
		fmt.Sscanf(s, "@%d@", &i)
		if i < len(n.uuid) {
			return n.uuid[i]
		}
		return "ffffffff-ffff-4fff-8fff-ffffffffffff"
	})
}

// normal brings a result into a form that is equal on both sides.
func (n *names) normal(v any) any {
	switch v := v.(type) {
	case json.Number:
		if v == "-0" { // stock keeps negative zero, we do not
			return json.Number("0")
		}
		return v
	case string:
		if uuidRE.MatchString(v) {
			if name := n.name[v]; name != "" {
				return name
			}
			return "some-uuid"
		}
		return v
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = n.normal(v[i])
		}
		// Sets and maps are sorted by UUIDs, which differ.
		if len(out) == 2 && (out[0] == "set" || out[0] == "map") {
			if list, ok := out[1].([]any); ok {
				sortJSON(list)
			}
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			switch k {
			case "details", "syntax": // wording is free
			case "rows":
				list, _ := n.normal(e).([]any)
				sortJSON(list)
				out[k] = list
			default:
				out[k] = n.normal(e)
			}
		}
		return out
	}
	return v
}

func sortJSON(list []any) {
	slices.SortFunc(list, func(a, b any) int {
		x, _ := json.Marshal(a)
		y, _ := json.Marshal(b)
		return strings.Compare(string(x), string(y))
	})
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// twin runs the same operations on the stock server and on the engine.
type twin struct {
	t           *testing.T
	stock       *stock
	db          *engine.DB
	snames      names
	names       names
	strict      bool
	lastResults string
	nodes       []int // of the rows inserted, those in table node
}

// learnNodes notes which of the rows that were just inserted are in table node.
func (w *twin) learnNodes(ops string, result any, n int) {
	var list []any
	if err := json.Unmarshal([]byte(ops), &list); err != nil {
		w.t.Fatal(err)
	}
	res := result.([]any)
	for i, op := range list {
		r, _ := res[i].(map[string]any)
		if r["uuid"] == nil {
			continue
		}
		if o, _ := op.(map[string]any); o["table"] == "node" {
			w.nodes = append(w.nodes, n)
		}
		n++
	}
}

func newTwin(t *testing.T) *twin {
	raw, err := os.ReadFile("testdata/twin.ovsschema")
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return &twin{
		t: t, stock: startStock(t, "testdata/twin.ovsschema"), db: engine.New(s, engine.Options{}),
		snames: names{name: map[string]string{}}, names: names{name: map[string]string{}},
	}
}

// run compares one transaction; ops is operations with commas between, or "".
func (w *twin) run(ops string) bool {
	w.t.Helper()
	if ops != "" {
		ops = "," + ops
	}
	want, err := w.stock.transact(w.snames.fill(ops))
	if err != nil {
		w.t.Fatalf("stock: %v\nafter %s", err, ops)
	}
	now := time.Now()
	req, err := engine.ParseTransact([]byte(`["twin"`+w.names.fill(ops)+`]`), now)
	if err != nil {
		w.t.Fatalf("%v: %s", err, ops)
	}
	o := w.db.Transact(req, engine.Env{Now: now})
	if o.Pending {
		o = w.db.Transact(req, engine.Env{Now: o.Deadline})
	}
	var got any
	d := json.NewDecoder(strings.NewReader(string(o.Reply)))
	d.UseNumber()
	if err := d.Decode(&got); err != nil {
		w.t.Fatalf("reply is not JSON: %v\n%s", err, o.Reply)
	}
	w.snames.learn(want)
	before := len(w.names.uuid)
	w.names.learn(got)
	w.learnNodes(`[`+strings.TrimPrefix(ops, ",")+`]`, got, before)
	g, s := text(w.names.normal(got)), text(w.snames.normal(want))
	w.lastResults = g
	if g != s && (w.strict || !sameError(w.names.normal(got), w.snames.normal(want))) {
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
//
// With other seeds about one run in thirty meets a fault of stock 3.1: a row that
// a transaction changes keeps a weak reference to one that the same transaction
// leaves unreferenced.
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
		if text(g[i]) != text(w[i]) && !(valueErrors[ge["error"]] && valueErrors[we["error"]]) {
			return false
		}
	}
	return true
}

var valueErrors = map[any]bool{"syntax error": true, "constraint violation": true, "unknown column": true, "ovsdb error": true,
	"range error": true, "domain error": true}

func TestStockRandom(t *testing.T) {
	seed := randomSeed(t)
	g := &generator{r: rand.New(rand.NewPCG(seed, 0))}
	w := newTwin(t)
	n := 3000
	if testing.Short() {
		n = 500
	}
	failed := 0
	kinds := map[string]int{}
	for i := range n {
		g.rows, g.nodes = len(w.names.uuid), w.nodes
		if !w.run(g.transaction()) {
			break
		}
		if strings.Contains(w.lastResults, `"error"`) {
			failed++
		}
		for _, k := range regexp.MustCompile(`"error":"[^"]*"`).FindAllString(w.lastResults, -1) {
			kinds[k]++
		}
		if (i%25 == 24 || os.Getenv("WEIR_SEED") != "") && !w.dump() {
			break
		}
	}
	t.Logf("%d transactions, %d with an error: %v", n, failed, kinds)
}
