// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const ovsSchema = "/usr/share/openvswitch/vswitch.ovsschema"

// stock starts Debian's ovsdb-server with an empty Open_vSwitch database in
// its own directory and returns its socket's path.
func stock(t *testing.T) string {
	t.Helper()
	for _, p := range []string{"ovsdb-server", "ovsdb-tool"} {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip("no stock program: ", err)
		}
	}
	dir := t.TempDir()
	env := append(os.Environ(), "OVS_RUNDIR="+dir, "OVS_LOGDIR="+dir, "OVS_DBDIR="+dir)
	tool := exec.Command("ovsdb-tool", "create", filepath.Join(dir, "conf.db"), ovsSchema)
	tool.Env = env
	if out, err := tool.CombinedOutput(); err != nil {
		t.Fatalf("ovsdb-tool: %v: %s", err, out)
	}
	sock := filepath.Join(dir, "db.sock")
	cmd := exec.Command("ovsdb-server", "-vconsole:off", "--unixctl="+filepath.Join(dir, "s.ctl"), "--remote=punix:"+sock, filepath.Join(dir, "conf.db"))
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for i := 0; ; i++ {
		if c, err := net.Dial("unix", sock); err == nil {
			c.Close()
			return sock
		}
		if i == 250 {
			t.Fatal("stock ovsdb-server does not answer")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// peer is a raw session.
type peer struct {
	c   net.Conn
	dec *json.Decoder
	n   int
}

func dialPeer(t *testing.T, path string) *peer {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(60 * time.Second))
	t.Cleanup(func() { c.Close() })
	d := json.NewDecoder(c)
	d.UseNumber()
	return &peer{c: c, dec: d}
}

// settle reads all messages up to the reply to an echo. They come back in
// canonical form, "EOF" last if the server closed.
func (p *peer) settle() (msgs []string) {
	p.n++
	id := fmt.Sprintf("settle%d", p.n)
	io.WriteString(p.c, `{"method":"echo","params":[],"id":"`+id+`"}`)
	for {
		var v map[string]any
		if err := p.dec.Decode(&v); err != nil {
			return append(msgs, "EOF")
		}
		if v["id"] == id {
			return msgs
		}
		msgs = append(msgs, canonical(v))
	}
}

// canonical prints a message with sorted keys, and with what must differ
// between two servers replaced: transaction ids and the server's own id.
func canonical(v map[string]any) string {
	if v["method"] == "update3" {
		v["params"].([]any)[1] = "TXN"
	}
	if r, ok := v["result"].([]any); ok && len(r) == 3 {
		if _, ok := r[0].(bool); ok {
			r[1] = "TXN"
		}
	}
	if r, ok := v["result"].(string); ok && uuid.MatchString(r) {
		v["result"] = "SERVER"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return versions.ReplaceAllString(string(b), `"_version":"V"`)
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// Row versions are random in both.
var versions = regexp.MustCompile(`"_version":\["uuid","[-0-9a-f]{36}"\]`)

func row(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

func insertBridge(n int, name, more string) string {
	return fmt.Sprintf(`{"op":"insert","table":"Bridge","uuid":"%s","row":{"name":"%s"%s}}`, row(n), name, more)
}

func transact(id int, ops ...string) string {
	return fmt.Sprintf(`{"method":"transact","id":%d,"params":["Open_vSwitch",%s]}`, id, strings.Join(ops, ","))
}

func req(method, params string) string {
	return fmt.Sprintf(`{"method":"%s","id":"x","params":%s}`, method, params)
}

// script is sent to both servers: who, what.
func script() (steps [][2]string) {
	a := func(s string) { steps = append(steps, [2]string{"a", s}) }
	b := func(s string) { steps = append(steps, [2]string{"b", s}) }
	for _, r := range []string{
		req("xyz", "[]"), req("echo", `["a",{"b":1}]`), req("list_dbs", "[]"), req("list_dbs", "[1]"), req("get_server_id", "[]"), req("get_server_id", "[1]"),
		req("get_schema", `["nodb"]`), req("get_schema", "[]"), req("get_schema", "[5]"), req("get_schema", `["Open_vSwitch"]`), req("get_schema", `["_Server"]`),
		req("set_db_change_aware", "[true]"), req("set_db_change_aware", `["x"]`), req("set_db_change_aware", "[]"),
		req("transact", "[]"), req("transact", `["nodb"]`), req("transact", `["Open_vSwitch"]`), req("transact", `["Open_vSwitch",5]`), req("transact", `["Open_vSwitch",{"op":"zz"}]`),
		req("lock", `["l1"]`), req("lock", `["l1"]`), req("unlock", `["l1"]`), req("unlock", `["l1"]`), req("lock", "[]"), req("lock", "[5]"), req("lock", `["5a"]`),
		req("steal", `["l2"]`), req("lock", `["a","b"]`), req("lock", `[""]`), req("steal", `["l2"]`),
		req("monitor_cancel", `["zz"]`), req("monitor_cancel", "[]"), req("monitor", "[]"), req("monitor", `["nodb","m",{}]`),
		req("monitor", `["Open_vSwitch","m",{}]`), req("monitor", `["Open_vSwitch","m",{}]`), req("monitor_cancel", `["m"]`), req("cancel", "[5]"),
		`{"method":"cancel","params":[5],"id":null}`, `{"method":"foo","params":[],"id":null}`, `{"method":"echo","params":[1],"id":{"a":[1]}}`,
		req("monitor_cond", `["_Server","srv",{"Database":[{"columns":["name","model","connected","leader","cid","sid","index"],"where":[["name","==","nosuch"]]}]}]`),
	} {
		a(r)
	}
	for _, m := range []string{
		`{"Bridge":{"x":1}}`, `{"Brdge":{}}`, `5`, `{"Bridge":{"columns":["nope"]}}`, `{"Bridge":{"columns":"name"}}`, `{"Bridge":{"columns":["name","name"]}}`,
		`{"Bridge":[{"columns":["name"]},{"columns":["name"]}]}`, `{"Bridge":{"columns":["ports"],"select":{"initial":false,"foo":true}}}`, `{"Bridge":{"select":{"initial":5}}}`,
		`{"Bridge":5}`, `{"Bridge":[5]}`, `{"Bridge":{"columns":[5]}}`, `{"Bridge":[]}`, `{"Bridge":{"where":[]}}`, `{"Bridge":[{"columns":["ports"]},{}]}`,
		`{"Bridge":{"where":[["name","==",5]]}}`, `{"Bridge":{"where":[["nme","==","x"]]}}`, `{"Bridge":{"where":true}}`, `{"Bridge":{"where":[true],"columns":["name"]}}`,
		`{"Bridge":[{"where":[true],"columns":["name"]},{"where":[false],"columns":["ports"]}]}`, `{"Bridge":{"where":[["name"]]}}`, `{"Bridge":{"where":[5]}}`,
	} {
		for i, method := range []string{"monitor", "monitor_cond"} {
			a(req(method, fmt.Sprintf(`["Open_vSwitch","e%d",%s]`, i, m)))
			a(req("monitor_cancel", fmt.Sprintf(`["e%d"]`, i)))
		}
	}
	for _, p := range []string{`["Open_vSwitch","s1",{}]`, `["Open_vSwitch","s2",{"Bridge":{}},"00000000-0000-0000-0000-000000000000"]`, `["Open_vSwitch","s3",{},"abc"]`, `["Open_vSwitch","s4",{},5]`,
		`["Open_vSwitch","s5",{"Open_vSwitch":{}},"11111111-0000-0000-0000-000000000000"]`} {
		a(req("monitor_cond_since", p))
	}
	a(req("monitor", `["Open_vSwitch","s6",{},5]`))
	a(req("monitor_cond", `["Open_vSwitch","s7",{},5]`))
	for _, id := range []string{"s1", "s2", "s5", "s6"} {
		a(req("monitor_cancel", `["`+id+`"]`))
	}

	// Monitors of all kinds, and what they are told.
	bare := `{"columns":["name","ports","other_config"]}`
	b(req("monitor", `["Open_vSwitch","M",{"Bridge":`+bare+`,"Open_vSwitch":[{"columns":["next_cfg"],"select":{"initial":false}},{"columns":["bridges"]}]}]`))
	b(req("monitor_cond", `["Open_vSwitch","C",{"Bridge":[{"columns":["name","other_config","flood_vlans"],"where":[["name","==","br1"]]}]}]`))
	b(req("monitor_cond_since", `["Open_vSwitch","S",{"Bridge":[{"columns":["name","other_config","_uuid"],"where":[["name","!=","zz"]]}]},"00000000-0000-0000-0000-000000000000"]`))
	b(req("monitor_cond", `["Open_vSwitch",{"k":["D"]},{"Port":{},"Interface":{"columns":["name","ofport","options"]}}]`))
	root := fmt.Sprintf(`{"op":"insert","table":"Open_vSwitch","uuid":"%s","row":{"bridges":["uuid","%s"]}}`, row(99), row(1))
	b(transact(10, insertBridge(1, "br1", ""), root))
	add := func(n int) string {
		return fmt.Sprintf(`{"op":"mutate","table":"Open_vSwitch","where":[],"mutations":[["bridges","insert",["set",[["uuid","%s"]]]]]}`, row(n))
	}
	a(transact(11, insertBridge(2, "br2", `,"other_config":["map",[["x","y"]]]`), add(2)))
	upd := func(name, cols string) string {
		return fmt.Sprintf(`{"op":"update","table":"Bridge","where":[["name","==","%s"]],"row":{%s}}`, name, cols)
	}
	a(transact(12, upd("br1", `"other_config":["map",[["a","1"],["b","2"]]],"flood_vlans":["set",[1,2]]`)))
	a(transact(13, upd("br1", `"other_config":["map",[["a","3"],["c","2"]]],"flood_vlans":["set",[2,3]]`)))
	a(transact(14, upd("br1", `"fail_mode":"secure"`)))
	a(transact(15, fmt.Sprintf(`{"op":"insert","table":"Interface","uuid":"%s","row":{"name":"p1","type":"internal","options":["map",[["k","v"]]]}}`, row(21)),
		fmt.Sprintf(`{"op":"insert","table":"Port","uuid":"%s","row":{"name":"p1","interfaces":["uuid","%s"],"tag":5,"trunks":["set",[7,8]]}}`, row(11), row(21)),
		upd("br1", fmt.Sprintf(`"ports":["uuid","%s"]`, row(11)))))
	a(transact(16, `{"op":"update","table":"Interface","where":[],"row":{"ofport":["set",[]],"options":["map",[]],"statistics":["map",[["rx",1]]]}}`))
	a(transact(17, `{"op":"update","table":"Interface","where":[],"row":{"ofport":-1}}`, `{"op":"mutate","table":"Port","where":[],"mutations":[["trunks","insert",["set",[9,8]]],["trunks","delete",7]]}`))
	a(transact(18, `{"op":"update","table":"Port","where":[],"row":{"tag":["set",[]],"mac":"00:00:00:00:00:01"}}`))
	// Conditions.
	for _, p := range []string{
		`["C","C2",{"Bridge":[{"where":[["name","==","br2"]]}]}]`, `["S","S",{"Bridge":[{"where":[false]}]}]`, `["S","S",{"Bridge":[{"where":[["name","==","br1"],["name","==","br2"]]}]}]`,
		`["M","M",{"Bridge":[{"where":[false]}]}]`, `["m4","m4",{}]`, `["C2","C2",{"Port":[]}]`, `["C2","C2",{"Bridge":{"where":[]}}]`, `["C2"]`, `[]`, `["C2","C2",5]`, `["C2","C2",{"Bridge":5}]`, `["C2","C2",{"Nope":[]}]`,
		`["C2","C2",{"Bridge":[{"where":[]},{"where":[]}]}]`, `["C2","C2",{"Bridge":[{"where":[],"columns":["name"]}]}]`, `["C2","C2",{"Bridge":[5]}]`, `["C2","C2",{"Bridge":[{"where":[["name","==","br2"]]}]}]`,
	} {
		b(req("monitor_cond_change", p))
	}
	a(transact(20, upd("br2", `"other_config":["map",[["a","3"]]]`), upd("br1", `"other_config":["map",[]]`)))
	a(transact(21, upd("br2", `"other_config":["map",[["a","3"]]]`))) // changes nothing
	a(transact(22, upd("br2", `"name":"br3"`)))                       // immutable
	a(transact(23, `{"op":"mutate","table":"Open_vSwitch","where":[],"mutations":[["next_cfg","+=",1]]}`))
	// wait
	wait := func(n int, more string) string {
		return fmt.Sprintf(`{"op":"wait","table":"Open_vSwitch","where":[],"columns":["next_cfg"],"until":"==","rows":[{"next_cfg":%d}]%s}`, n, more)
	}
	sel := `{"op":"select","table":"Open_vSwitch","where":[],"columns":["next_cfg"]}`
	b(transact(30, wait(77, `,"timeout":0`), sel))
	b(transact(31, wait(77, ""), sel))
	a(transact(32, `{"op":"update","table":"Open_vSwitch","where":[],"row":{"next_cfg":77}}`))
	// Selects.
	b(req("monitor", `["Open_vSwitch","Q",{"Open_vSwitch":[{"columns":["next_cfg"],"select":{"modify":false,"delete":false}},{"columns":["cur_cfg"],"select":{"insert":false,"delete":false}}]}]`))
	b(req("monitor_cond", `["Open_vSwitch","Q2",{"Open_vSwitch":[{"columns":["next_cfg"],"select":{"modify":false,"delete":false}},{"columns":["cur_cfg"],"select":{"insert":false,"delete":false}}]}]`))
	b(req("monitor", `["Open_vSwitch",null,{"Open_vSwitch":{"columns":["bridges"],"select":{"modify":false,"delete":false}}}]`))
	for i, col := range []string{"next_cfg", "cur_cfg"} {
		a(transact(40+i, fmt.Sprintf(`{"op":"update","table":"Open_vSwitch","where":[],"row":{"%s":%d}}`, col, 100+i)))
	}
	// Locks between sessions.
	a(req("lock", `["L"]`))
	b(req("lock", `["L"]`))
	a(transact(50, `{"op":"assert","lock":"L"}`))
	b(transact(51, `{"op":"assert","lock":"L"}`))
	a(req("unlock", `["L"]`))
	a(req("steal", `["L"]`))
	a(transact(52, upd("br1", `"ports":["set",[]]`)))
	a(transact(53, `{"op":"delete","table":"Bridge","where":[]}`)) // referential integrity
	a(transact(54, `{"op":"delete","table":"Open_vSwitch","where":[]}`))
	for _, id := range []string{`"C"`, `"C2"`, `"S"`, `"M"`, `{"k":["D"]}`, `null`} {
		b(req("monitor_cancel", "["+id+"]"))
	}
	return steps
}

// The same script to a stock server and to ours: each session gets the same
// messages at each step. Within a step the order of notifications is free (in
// stock it follows a hash table), but those of a transaction come before its
// reply.
func TestSameAsStock(t *testing.T) {
	stockPath := stock(t)
	f := serve(t, Options{})
	ourPath := strings.TrimPrefix(f.sock, "unix:")
	type pair struct{ stock, ours *peer }
	peers := map[string]pair{}
	for _, n := range []string{"a", "b"} {
		peers[n] = pair{dialPeer(t, stockPath), dialPeer(t, ourPath)}
	}
	differ, notes := 0, 0
	for i, st := range script() {
		p := peers[st[0]]
		if _, err := io.WriteString(p.stock.c, st[1]); err != nil {
			t.Fatalf("step %d: stock: %v", i, err)
		}
		if _, err := io.WriteString(p.ours.c, st[1]); err != nil {
			t.Fatalf("step %d: ours: %v", i, err)
		}
		order := []string{st[0], "a", "b", "a", "b"} // twice: stock flushes a turn later
		got, want := map[string][]string{}, map[string][]string{}
		for _, n := range order {
			want[n] = append(want[n], peers[n].stock.settle()...)
			got[n] = append(got[n], peers[n].ours.settle()...)
		}
		for _, n := range []string{"a", "b"} {
			for j, m := range got[n] {
				notes++
				if n == st[0] && strings.Contains(m, `"method":"update`) && j > 0 && strings.Contains(strings.Join(got[n][:j], ""), `"result"`) && !strings.Contains(st[1], `"id":32`) {
					t.Errorf("step %d: update after the reply: %s", i, got[n])
				}
			}
			slices.Sort(got[n])
			slices.Sort(want[n])
			if !slices.Equal(got[n], want[n]) {
				differ++
				t.Errorf("step %d, %s sent %s\n%s got  %s\nstock gives %s", i, st[0], st[1], n, strings.Join(got[n], "\n          "), strings.Join(want[n], "\n          "))
			}
		}
	}
	t.Logf("%d steps, %d messages, %d differ", len(script()), notes, differ)
}

// Each of these ends the session, in stock and here.
func TestClosesAsStock(t *testing.T) {
	stockPath := stock(t)
	f := serve(t, Options{})
	for _, in := range []string{
		`{"method":"echo","id":1}`, `{"method":"echo","params":[],"id":1,"x":2}`, `{"method":5,"params":[],"id":1}`, `{}`, `[]`, `"a"`, `garbage!`,
		`{"method":"echo","params":[],"result":1,"id":1}`, `{"result":1,"error":1,"id":1}`, `{"result":null,"error":null,"id":1}`, `{"result":1,"id":1}`,
		`{"method":"echo","params":["\u0000"],"id":1}`, `{"method":"echo","params":["\ud800"],"id":1}`, `{"method":"echo","params":[01],"id":1}`,
		`{"method":"echo","params":null,"id":1}`, `{"method":"echo","params":{},"id":1}`, `{"result":1,"error":null,"id":99}`,
		`{"method":"echo","id":1,"params":` + strings.Repeat("[", 1000) + strings.Repeat("]", 1000) + `}`,
		// and these do not
		`{"method":"echo","id":1,"params":` + strings.Repeat("[", 999) + strings.Repeat("]", 999) + `}`,
		`{"method":"echo","params":[1],"id":null}`, `{"method":"echo","params":[1]}`, `{"method":"echo","params":[1],"id":false}`,
		`{"method":"echo","params":["\u00e9\/\t <>&"],"id":1}`, `{"result":1,"error":null,"id":"echo"}`, ` { "method" : "echo" , "params" : [ 1 ] , "id" : 1 } `,
		`{"method":"echo","params":[1],"id":"x","error":null,"result":null}`,
	} {
		want := dialPeer(t, stockPath)
		got := dialPeer(t, strings.TrimPrefix(f.sock, "unix:"))
		io.WriteString(want.c, in)
		io.WriteString(got.c, in)
		if w, g := want.settle(), got.settle(); !slices.Equal(w, g) {
			t.Errorf("%.100s:\n got %.200s\nwant %.200s", in, g, w)
		}
		want.c.Close()
		got.c.Close()
	}
}

// run runs a stock program against our server.
func run(t *testing.T, f *fixture, name string, args ...string) (string, error) {
	t.Helper()
	bin, err := exec.LookPath(name)
	if err != nil {
		t.Skip("no stock program: ", err)
	}
	cmd := exec.CommandContext(f.ctx, bin, args...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+f.dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %q: %w: %s", name, args, err, stderr.String())
	}
	return string(out), err
}
