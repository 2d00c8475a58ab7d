// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/client"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logBuffer collects a server's log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

type fixture struct {
	*Server
	sock string // name to connect to
	dir  string
	log  *logBuffer
	ctx  context.Context
	db   *engine.DB
}

// serve starts a server with an Open_vSwitch database in memory.
func serve(t testing.TB, o Options) *fixture {
	t.Helper()
	return serveLogged(t, o, engine.New(vswitch.Schema(), engine.Options{}), nil)
}

// serveLogged serves a database with its log.
func serveLogged(t testing.TB, o Options, db *engine.DB, j Journal) *fixture {
	t.Helper()
	f := &fixture{dir: t.TempDir(), log: &logBuffer{}}
	o.Log = slog.New(slog.NewTextHandler(f.log, nil))
	var err error
	if f.Server, err = New(o); err != nil {
		t.Fatal(err)
	}
	f.db = db
	if err := f.AddDatabase(f.db, j); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(f.dir, "db.sock")
	f.sock = "unix:" + path
	if err := f.AddRemote("punix:" + path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	f.ctx = ctx
	t.Cleanup(func() {
		cancel()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

// recorder is a client that keeps its notifications.
type recorder struct {
	*client.Client
	mu    sync.Mutex
	notes []string
	wake  chan struct{}
}

func (f *fixture) dial(t testing.TB) *recorder {
	t.Helper()
	r := &recorder{wake: make(chan struct{}, 1)}
	c, err := client.Dial(f.ctx, f.sock, client.Options{Notify: func(m string, p json.RawMessage) {
		r.mu.Lock()
		r.notes = append(r.notes, m+" "+string(p))
		r.mu.Unlock()
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	r.Client = c
	t.Cleanup(c.Close)
	return r
}

func (r *recorder) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.notes...)
}

// wait waits for a notification with all of these texts in it.
func (r *recorder) wait(t *testing.T, texts ...string) string {
	t.Helper()
	deadline := time.After(5 * time.Second)
next:
	for {
		for _, n := range r.seen() {
			ok := true
			for _, x := range texts {
				ok = ok && strings.Contains(n, x)
			}
			if ok {
				return n
			}
		}
		select {
		case <-r.wake:
			continue next
		case <-deadline:
			t.Fatalf("no notification with %q among %q", texts, r.seen())
		}
	}
}

func (r *recorder) call(t testing.TB, ctx context.Context, method, params string) string {
	t.Helper()
	res, err := r.Call(ctx, method, json.RawMessage(params))
	if err != nil {
		var ce *client.CallError
		if errors.As(err, &ce) {
			return "error " + string(ce.Raw)
		}
		t.Fatal(err)
	}
	return string(res)
}

func insertRoot(n int) string {
	return fmt.Sprintf(`["Open_vSwitch",{"op":"insert","table":"Open_vSwitch","row":{"next_cfg":%d}}]`, n)
}

func setCfg(n int) string {
	return fmt.Sprintf(`["Open_vSwitch",{"op":"update","table":"Open_vSwitch","where":[],"row":{"next_cfg":%d}}]`, n)
}

func waitCfg(n int, timeout string) string {
	return fmt.Sprintf(`["Open_vSwitch",{"op":"wait","table":"Open_vSwitch","where":[],"columns":["next_cfg"],"until":"==","rows":[{"next_cfg":%d}]%s},{"op":"select","table":"Open_vSwitch","where":[],"columns":["next_cfg"]}]`, n, timeout)
}

func TestUpdateBeforeReply(t *testing.T) {
	f := serve(t, Options{})
	c := f.dial(t)
	c.call(t, f.ctx, "transact", insertRoot(0))
	for i, method := range []string{"monitor", "monitor_cond"} {
		c.call(t, f.ctx, method, fmt.Sprintf(`["Open_vSwitch",%d,{"Open_vSwitch":{"columns":["next_cfg"]}}]`, i))
	}
	c.call(t, f.ctx, "monitor_cond_since", `["Open_vSwitch",[2],{"Open_vSwitch":{"columns":["next_cfg"]}},"00000000-0000-0000-0000-000000000000"]`)
	for i := 1; i <= 200; i++ {
		c.call(t, f.ctx, "transact", setCfg(i))
		// Call returned after the reading goroutine saw the reply: whatever
		// was sent before is here already.
		if got := len(c.seen()); got != 3*i {
			t.Fatalf("after reply %d the client has %d updates, want %d", i, got, 3*i)
		}
	}
	last := strings.Join(c.seen()[3*199:], "\n")
	for _, want := range []string{`update [0,`, `update2 [1,`, `update3 [[2],"` + f.db.Snapshot().ID().String() + `",`} {
		if !strings.Contains(last, want) {
			t.Errorf("no %s in\n%s", want, last)
		}
	}
}

func TestWaitCancelTimeout(t *testing.T) {
	f := serve(t, Options{})
	a, b := f.dial(t), f.dial(t)
	a.call(t, f.ctx, "transact", insertRoot(1))

	if got := a.call(t, f.ctx, "transact", waitCfg(5, `,"timeout":0`)); !strings.Contains(got, `"timed out"`) || !strings.HasSuffix(got, ",null]") {
		t.Errorf("timeout 0: %s", got)
	}
	start := time.Now()
	if got := a.call(t, f.ctx, "transact", waitCfg(5, `,"timeout":150`)); !strings.Contains(got, `"timed out"`) {
		t.Errorf("timeout 150: %s", got)
	}
	if d := time.Since(start); d < 150*time.Millisecond || d > 3*time.Second {
		t.Errorf("timed out after %v", d)
	}
	forever, err := a.Start("transact", json.RawMessage(waitCfg(5, "")))
	if err != nil {
		t.Fatal(err)
	}
	canceled, err := a.Start("transact", json.RawMessage(waitCfg(6, "")))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Notification("cancel", []json.RawMessage{canceled.ID}); err != nil {
		t.Fatal(err)
	}
	var ce *client.CallError
	if _, err := canceled.Wait(f.ctx); !errors.As(err, &ce) || string(ce.Raw) != `"canceled"` {
		t.Errorf("canceled: %v", err)
	}
	// The session goes on while its transaction waits.
	if got := a.call(t, f.ctx, "echo", `["x"]`); got != `["x"]` {
		t.Errorf("echo: %s", got)
	}
	b.call(t, f.ctx, "transact", setCfg(5))
	if res, err := forever.Wait(f.ctx); err != nil || string(res) != `[{},{"rows":[{"next_cfg":5}]}]` {
		t.Errorf("wait satisfied: %s, %v", res, err)
	}
	// A waiting transaction goes with its session.
	if _, err := b.Start("transact", json.RawMessage(waitCfg(7, ""))); err != nil {
		t.Fatal(err)
	}
	b.call(t, f.ctx, "echo", `[]`)
	b.Close()
	eventually(t, "triggers:0", f.memory)
}

func eventually(t *testing.T, want string, f func() string) {
	t.Helper()
	for i := 0; ; i++ {
		if strings.Contains(f(), want) {
			return
		}
		if i == 300 {
			t.Fatalf("%q never shows %q", f(), want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestLocks(t *testing.T) {
	f := serve(t, Options{})
	a, b, c := f.dial(t), f.dial(t), f.dial(t)
	assert := `["Open_vSwitch",{"op":"assert","lock":"L"}]`
	step := func(who *recorder, method, params, want string) {
		t.Helper()
		if got := who.call(t, f.ctx, method, params); !strings.Contains(got, want) {
			t.Errorf("%s %s: %s, want %s", method, params, got, want)
		}
	}
	step(a, "lock", `["L"]`, `{"locked":true}`)
	step(b, "lock", `["L"]`, `{"locked":false}`)
	step(a, "transact", assert, `[{}]`)
	step(b, "transact", assert, `not owner`)
	step(a, "lock", `["L"]`, `must issue \"unlock\" before new \"lock\"`)
	step(a, "lock", `["5a"]`, `lock request params must be <id>`)
	step(a, "unlock", `["M"]`, `unlock: \"unlock\" without \"lock\" or \"steal\"`)
	step(a, "unlock", `["L"]`, `{}`)
	b.wait(t, `locked ["L"]`)
	step(c, "steal", `["L"]`, `{"locked":true}`)
	b.wait(t, `stolen ["L"]`)
	step(c, "transact", assert, `[{}]`)
	step(b, "transact", assert, `not owner`)
	before := len(b.seen())
	c.Close() // the lock goes back to the victim
	for i := 0; len(b.seen()) == before; i++ {
		if i == 300 {
			t.Fatal("lock of a closed session is not given on")
		}
		time.Sleep(10 * time.Millisecond)
	}
	step(b, "transact", assert, `[{}]`)
	if n := a.seen(); len(n) != 0 {
		t.Errorf("a was told %q", n)
	}
}

// TestStealStatus steals from queues of every length: the victim is the one
// that has lost the lock, whatever place the queue's array has.
func TestStealStatus(t *testing.T) {
	f := serve(t, Options{})
	var all []*recorder
	for n := range 6 {
		name := fmt.Sprintf("L%d", n)
		for len(all) <= n+1 {
			all = append(all, f.dial(t))
		}
		for i := range n + 1 {
			all[i].call(t, f.ctx, "lock", `["`+name+`"]`)
		}
		all[n+1].call(t, f.ctx, "steal", `["`+name+`"]`)
		all[0].wait(t, `stolen ["`+name+`"]`)
		f.mu.Lock()
		q := f.locks[name]
		for i, ss := range q {
			if ss.stolen[name] != (i == 1) {
				t.Errorf("%d in the queue: number %d has lost the lock: %t", len(q), i, ss.stolen[name])
			}
		}
		f.mu.Unlock()
	}
}

func TestReconnectSince(t *testing.T) {
	f := serve(t, Options{})
	a := f.dial(t)
	since := func(c *recorder, last string) (found bool, id string, updates json.RawMessage) {
		t.Helper()
		res := c.call(t, f.ctx, "monitor_cond_since", `["Open_vSwitch","m",{"Open_vSwitch":{"columns":["next_cfg"]}},"`+last+`"]`)
		if err := json.Unmarshal([]byte(res), &[]any{&found, &id, &updates}); err != nil {
			t.Fatalf("%s: %v", res, err)
		}
		return found, id, updates
	}
	a.call(t, f.ctx, "transact", insertRoot(1))
	found, id, _ := since(a, "00000000-0000-0000-0000-000000000000")
	if found {
		t.Error("found the zero id")
	}
	a.Close()
	b := f.dial(t)
	if found, id2, u := since(b, id); !found || id2 != id || string(u) != "{}" {
		t.Errorf("nothing happened: %v %s %s", found, id2, u)
	}
	b.call(t, f.ctx, "transact", setCfg(2))
	b.call(t, f.ctx, "transact", setCfg(3))
	c := f.dial(t)
	found, _, u := since(c, id)
	if !found || !strings.HasSuffix(string(u), `{"modify":{"next_cfg":3}}}}`) {
		t.Errorf("two commits later: %v %s", found, u)
	}
	for i := range 120 {
		b.call(t, f.ctx, "transact", setCfg(10+i))
	}
	if found, _, u := since(f.dial(t), id); found || !strings.HasSuffix(string(u), `{"initial":{"next_cfg":129}}}}`) {
		t.Errorf("long ago: %v %s", found, u)
	}
}

func TestInProcess(t *testing.T) {
	f := serve(t, Options{})
	c := f.dial(t)
	c.call(t, f.ctx, "monitor", `["Open_vSwitch",null,{"Open_vSwitch":{"columns":["cur_cfg"]}}]`)
	c.call(t, f.ctx, "transact", insertRoot(9))
	commits := make(chan *engine.Commit, 10)
	stop, err := f.Watch("Open_vSwitch", func(c *engine.Commit) { commits <- c })
	if err != nil {
		t.Fatal(err)
	}
	c.call(t, f.ctx, "transact", setCfg(10))
	if got := <-commits; len(got.Changes) != 1 || got.Changes[0].Table.Name != "Open_vSwitch" || f.Snapshot("Open_vSwitch").ID() != got.ID {
		t.Errorf("commit %+v", got)
	}
	tbl := f.db.Schema().Table("Open_vSwitch")
	waiting, err := c.Start("transact", json.RawMessage(strings.ReplaceAll(waitCfg(10, ""), "next_cfg", "cur_cfg")))
	if err != nil {
		t.Fatal(err)
	}
	c.call(t, f.ctx, "echo", "[]")
	_, err = f.Update("Open_vSwitch", func(tx *engine.Txn) error {
		for r := range f.db.Snapshot().Rows(tbl) {
			return tx.Update(tbl, r.ID, engine.Set{Column: tbl.Column("cur_cfg"), Value: ovsdb.One(ovsdb.Int(10))})
		}
		return errors.New("no row")
	})
	if err != nil {
		t.Fatal(err)
	}
	c.wait(t, "update [null,", `"new":{"cur_cfg":10}`, `"old":{"cur_cfg":0}`)
	if res, err := waiting.Wait(f.ctx); err != nil || !strings.Contains(string(res), `"cur_cfg":10`) {
		t.Errorf("wait for the process's own commit: %s, %v", res, err)
	}
	<-commits
	stop()
	boom := errors.New("boom")
	if _, err := f.Update("Open_vSwitch", func(tx *engine.Txn) error { tx.Comment("x"); return boom }); !errors.Is(err, boom) {
		t.Errorf("error of the function: %v", err)
	}
	if _, err := f.Update("nodb", nil); err == nil {
		t.Error("no error from a database that is not there")
	}
	c.call(t, f.ctx, "transact", setCfg(11))
	if len(commits) != 0 {
		t.Error("watched after stop")
	}
}

// badLog fails as a full disk does.
type badLog struct{ fail bool }

func (l *badLog) Append(*engine.Commit) error {
	if l.fail {
		return errors.New("no space left on device")
	}
	return nil
}

func TestLogFailure(t *testing.T) {
	f := serve(t, Options{})
	log := &badLog{}
	s, err := schema.Parse([]byte(`{"name":"D","version":"1.0.0","tables":{"T":{"isRoot":true,"columns":{"n":{"type":"integer"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.AddDatabase(engine.New(s, engine.Options{Log: log}), nil); err != nil {
		t.Fatal(err)
	}
	c := f.dial(t)
	insert := `["D",{"op":"insert","table":"T","row":{"n":1}}]`
	c.call(t, f.ctx, "transact", insert)
	c.call(t, f.ctx, "monitor", `["D","m",{"T":{}}]`)
	log.fail = true
	if got := c.call(t, f.ctx, "transact", insert); !strings.Contains(got, `"I/O error"`) {
		t.Errorf("full disk: %s", got)
	}
	if got := c.call(t, f.ctx, "transact", `["D",{"op":"select","table":"T","where":[],"columns":["n"]}]`); got != `[{"rows":[{"n":1}]}]` {
		t.Errorf("after the failure: %s", got)
	}
	if len(c.seen()) != 0 {
		t.Errorf("told of what did not happen: %q", c.seen())
	}
	log.fail = false
	if got := c.call(t, f.ctx, "transact", insert); !strings.Contains(got, `"uuid"`) {
		t.Errorf("disk has room again: %s", got)
	}
}

func TestBadPeers(t *testing.T) {
	f := serve(t, Options{MaxSessions: 5, InputBytes: 1 << 20})
	good := f.dial(t)
	good.call(t, f.ctx, "transact", insertRoot(1))
	path := strings.TrimPrefix(f.sock, "unix:")
	for _, in := range []string{
		"garbage", "\x00\x01\x02", "[]", `{"method":"echo","params":{},"id":1}`, `{"result":1,"error":null,"id":99}`,
		`{"method":"echo","params":` + strings.Repeat("[", 2000), `{"method":"echo","params":["` + strings.Repeat("x", 2<<20),
		"{\"method\":\"echo\",\"params\":[\"\xff\"],\"id\":1}", `{"method":"transact","params":[` + strings.Repeat(`{"a":`, 1500),
	} {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, in) // may fail half way, when the server closes
		if b, err := io.ReadAll(c); err != nil && !strings.Contains(err.Error(), "reset") || len(b) != 0 {
			t.Errorf("%.30q: answered %q, %v", in, b, err)
		}
		c.Close()
	}
	eventually(t, "sessions:1", f.memory)
	eventually(t, "input:0", f.memory)
	if n := strings.Count(f.log.String(), "bad JSON-RPC"); n == 0 || n > 3 {
		t.Errorf("%d log lines within a second:\n%s", n, f.log)
	}
	// More sessions than allowed, all silent; one in the middle of a message.
	var conns []net.Conn
	for range 8 {
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		conns = append(conns, c)
	}
	io.WriteString(conns[7], `{"method":"ec`)
	eventually(t, "sessions:5", f.memory)
	conns[0].SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := conns[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest that said nothing: %v", err)
	}
	if got := good.call(t, f.ctx, "echo", `[1]`); got != "[1]" {
		t.Errorf("echo beside bad peers: %s", got)
	}
	conns[7].Close()
	eventually(t, "sessions:4", f.memory)
}

// A client that never reads: others go on, memory is bounded, and it is
// disconnected.
func TestSlowReader(t *testing.T) {
	f := serve(t, Options{SendTimeout: 700 * time.Millisecond})
	good := f.dial(t)
	good.call(t, f.ctx, "transact", insertRoot(1))
	var slow []net.Conn
	for range 8 {
		c, err := net.Dial("unix", strings.TrimPrefix(f.sock, "unix:"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, `{"method":"monitor","params":["Open_vSwitch",0,{"Open_vSwitch":{}}],"id":0}`); err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	eventually(t, "monitors:8", f.memory)
	big := strings.Repeat("x", 100_000)
	peak, start := 0, time.Now()
	var worst time.Duration
	for i := 0; time.Since(start) < 4*time.Second; i++ {
		t0 := time.Now()
		good.call(t, f.ctx, "transact", fmt.Sprintf(`["Open_vSwitch",{"op":"update","table":"Open_vSwitch","where":[],"row":{"system_version":"%d%s"}}]`, i, big))
		worst = max(worst, time.Since(t0))
		m := f.memory()
		var backlog int
		fmt.Sscanf(m, "backlog:%d", &backlog)
		peak = max(peak, backlog)
		if strings.Contains(m, "sessions:1 ") {
			break
		}
	}
	t.Logf("largest backlog of 8 sessions together %d bytes, slowest transaction %v", peak, worst)
	if peak > 8*1<<20 {
		t.Errorf("backlog of %d bytes", peak)
	}
	eventually(t, "sessions:1", f.memory)
	if !strings.Contains(f.log.String(), "does not read") {
		t.Errorf("log: %s", f.log)
	}
	if worst > 2*time.Second {
		t.Errorf("a transaction took %v", worst)
	}
}

// A peer on TCP that is silent is probed and dropped; one that answers stays.
func TestProbe(t *testing.T) {
	f := serve(t, Options{Probe: 100 * time.Millisecond})
	if err := f.AddRemote("ptcp:0:127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	addr := f.Addr("ptcp:0:127.0.0.1").String()
	silent, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	alive, err := client.Dial(f.ctx, "tcp:"+addr, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Close()
	silent.SetDeadline(time.Now().Add(5 * time.Second))
	b, err := io.ReadAll(silent)
	if err != nil || string(b) != `{"id":"echo","method":"echo","params":[]}` {
		t.Errorf("silent peer got %q, %v", b, err)
	}
	time.Sleep(300 * time.Millisecond)
	if _, err := alive.Call(f.ctx, "echo", []int{1}); err != nil {
		t.Errorf("answering peer: %v", err)
	}
}

// The server connects out to a peer that listens, and again when it is lost.
func TestActiveRemote(t *testing.T) {
	f := serve(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	name := "tcp:" + l.Addr().String()
	if err := f.AddRemote(name); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		nc, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		c := client.New(nc, client.Options{})
		if res, err := c.Call(f.ctx, "list_dbs", []int{}); err != nil || string(res) != `["Open_vSwitch","_Server"]` {
			t.Errorf("list_dbs: %s, %v", res, err)
		}
		c.Close()
	}
	if err := f.RemoveRemote(name); err != nil {
		t.Error(err)
	}
	if err := f.RemoveRemote(name); err == nil || err.Error() != "no such remote" {
		t.Errorf("removed twice: %v", err)
	}
	for _, bad := range []string{"db:Open_vSwitch,Open_vSwitch", "pssl:0", "nonsense", "tcp:"} {
		if err := f.AddRemote(bad); err == nil {
			t.Errorf("%s accepted", bad)
		}
	}
}
