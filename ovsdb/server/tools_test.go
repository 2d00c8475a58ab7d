// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Debian's ovsdb-client and ovs-vsctl against this server, on unix and TCP.
func TestStockTools(t *testing.T) {
	f := serve(t, Options{})
	if err := f.AddRemote("ptcp:0:127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	tcp := "tcp:" + f.Addr("ptcp:0:127.0.0.1").String()
	ok := func(want string, name string, args ...string) string {
		t.Helper()
		out, err := run(t, f, name, args...)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out, want) {
			t.Errorf("%s %q: %q does not contain %q", name, args, out, want)
		}
		return out
	}
	for i, db := range []string{f.sock, tcp} {
		ok("Open_vSwitch\n_Server\n", "ovsdb-client", "list-dbs", db)
		ok("", "ovsdb-client", "wait", db, "Open_vSwitch", "connected")
		ok(`"8.3.1"`, "ovsdb-client", "get-schema", db)
		ok("8.3.1\n", "ovsdb-client", "get-schema-version", db)
		ok("Bridge", "ovsdb-client", "list-tables", db)
		ok("flood_vlans", "ovsdb-client", "list-columns", db, "Open_vSwitch", "Bridge")
		ok("", "ovs-vsctl", "--db="+db, "--no-wait", "init")
		br := fmt.Sprint("br", i)
		ok("", "ovs-vsctl", "--db="+db, "--no-wait", "add-br", br, "--", "add-port", br, fmt.Sprint("veth", i), "tag=10", "--", "set", "bridge", br, "other_config:a=b", "flood_vlans=[1,2]")
		ok(br, "ovs-vsctl", "--db="+db, "list-br")
		ok(`tag: 10`, "ovs-vsctl", "--db="+db, "show")
		ok(br, "ovsdb-client", "dump", db, "Bridge", "name")
		ok(`"count":1`, "ovsdb-client", "transact", db, `["Open_vSwitch",{"op":"update","table":"Bridge","where":[["name","==","`+br+`"]],"row":{"fail_mode":"secure"}}]`)
		ok("secure", "ovs-vsctl", "--db="+db, "get", "bridge", br, "fail_mode")
		if _, err := run(t, f, "ovs-vsctl", "--db="+db, "--no-wait", "add-br", br); err == nil || !strings.Contains(err.Error(), "already exists") {
			t.Errorf("second add-br: %v", err)
		}
	}
	backup := ok("OVSDB JSON", "ovsdb-client", "backup", f.sock)
	if !strings.Contains(backup, "veth1") {
		t.Error("backup lacks veth1")
	}
	ok("", "ovs-vsctl", "--db="+f.sock, "--no-wait", "del-br", "br0")
	if out := ok("", "ovs-vsctl", "--db="+tcp, "list-br"); out != "br1\n" {
		t.Errorf("after del-br: %q", out)
	}
	// A monitoring ovsdb-client sees what another changes.
	mon := make(chan string)
	go func() {
		out, err := run(t, f, "timeout", "--preserve-status", "3", "ovsdb-client", "--format=csv", "monitor", f.sock, "Open_vSwitch", "Bridge", "name,fail_mode")
		mon <- fmt.Sprint(out, err)
	}()
	eventually(t, "monitors:1", f.memory)
	ok("", "ovs-vsctl", "--db="+f.sock, "--no-wait", "set", "bridge", "br1", "fail_mode=standalone")
	ok("", "ovs-vsctl", "--db="+f.sock, "--no-wait", "del-br", "br1")
	out := <-mon
	for _, want := range []string{",initial,", ",old,", ",new,", ",delete,"} {
		if !strings.Contains(out, want) {
			t.Errorf("monitor printed no %s line:\n%s", want, out)
		}
	}
}

// python3-openvswitch's IDL, the other widespread client: it uses _Server,
// monitor_cond_since, conditions, locks and transactions with "wait".
const idlScript = `
import sys, time
import ovs.db.idl, ovs.poller, ovs.jsonrpc
from ovs.db import schema as s
remote, path = sys.argv[1], sys.argv[2]
helper = ovs.db.idl.SchemaHelper(path)
helper.register_table("Open_vSwitch"); helper.register_table("Bridge")
idl = ovs.db.idl.Idl(remote, helper)
idl.set_lock("idl_test")
def until(what, f):
    end = time.time() + 8
    while not f():
        idl.run()
        if f(): break
        if time.time() > end:
            print("TIMEOUT", what); sys.exit(1)
        p = ovs.poller.Poller(); idl.wait(p); p.timer_wait(50); p.block()
until("contents", lambda: idl.has_ever_connected() and len(idl.tables["Open_vSwitch"].rows) == 1)
until("lock", lambda: idl.has_lock)
def commit(f):
    for _ in range(20):  # "try again": the IDL has not caught up after a reconnect
        txn = ovs.db.idl.Transaction(idl)
        f(txn)
        st = txn.commit_block()
        if st != "try again": break
        end = time.time() + 0.1
        while time.time() < end:
            idl.run(); time.sleep(0.01)
    print("commit", st, txn.get_error() if st == "error" else "")
    return txn
root = lambda: next(iter(idl.tables["Open_vSwitch"].rows.values()))
def add(txn):
    for i in range(20):
        b = txn.insert(idl.tables["Bridge"]); b.name = "idl%02d" % i
        b.other_config = {"k": str(i)}; b.flood_vlans = [1, 2, i+3]
        root().addvalue("bridges", b)
commit(add)
until("bridges", lambda: len(idl.tables["Bridge"].rows) == 20)
def change(txn):
    for b in idl.tables["Bridge"].rows.values():
        b.setkey("other_config", "new", b.name); b.delvalue("flood_vlans", 1)
commit(change)
until("changes", lambda: all(b.other_config.get("new") == b.name and 1 not in b.flood_vlans for b in idl.tables["Bridge"].rows.values()))
print("monitor", idl._idl_state if hasattr(idl, "_idl_state") else idl.state)
idl.cond_change("Bridge", [["name", "==", "idl03"]])
until("condition", lambda: len(idl.tables["Bridge"].rows) == 1)
print("one", [b.name for b in idl.tables["Bridge"].rows.values()])
idl.cond_change("Bridge", [True])
until("condition back", lambda: len(idl.tables["Bridge"].rows) == 20)
idl.force_reconnect()
until("gone", lambda: not idl._session.is_connected())
until("back", lambda: idl._session.is_connected() and idl.has_lock)
commit(lambda txn: root().__setattr__("next_cfg", 5))
until("next_cfg", lambda: root().next_cfg == 5)
print("bridges", len(idl.tables["Bridge"].rows))
idl.close()
`

func TestPythonIDL(t *testing.T) {
	f := serve(t, Options{})
	if err := f.AddRemote("ptcp:0:127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(f.dir, "idl.py")
	if err := os.WriteFile(script, []byte(idlScript), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/usr/lib/python3/dist-packages/ovs/db/idl.py"); err != nil {
		t.Skip("no python3-openvswitch: ", err)
	}
	c := f.dial(t)
	c.call(t, f.ctx, "transact", insertRoot(0))
	for _, remote := range []string{f.sock, "tcp:" + f.Addr("ptcp:0:127.0.0.1").String()} {
		out, err := run(t, f, "/usr/bin/python3", script, remote, ovsSchema)
		if err != nil {
			t.Fatalf("%v\n%s\n%s", err, out, f.log)
		}
		want := "commit success \ncommit success \n"
		if !strings.HasPrefix(out, want) || !strings.Contains(out, "one ['idl03']\ncommit success") || !strings.HasSuffix(out, "bridges 20\n") {
			t.Errorf("%s printed:\n%s", remote, out)
		}
		c.call(t, f.ctx, "transact", `["Open_vSwitch",{"op":"update","table":"Open_vSwitch","where":[],"row":{"bridges":["set",[]],"next_cfg":0}}]`)
	}
}

// A torrent of transactions from several sessions and the process at once: all
// are done, and each monitor ends with the same contents.
func TestManyAtOnce(t *testing.T) {
	f := serve(t, Options{})
	const sessions, each = 4, 150
	first := f.dial(t)
	first.call(t, f.ctx, "transact", insertRoot(0))
	watch := f.dial(t)
	watch.call(t, f.ctx, "monitor_cond", `["Open_vSwitch","w",{"Open_vSwitch":{"columns":["next_cfg"]}}]`)
	start := time.Now()
	errs := make(chan error, sessions)
	for range sessions {
		c := f.dial(t)
		go func() {
			for range each {
				res, err := c.Call(f.ctx, "transact", json.RawMessage(`["Open_vSwitch",{"op":"mutate","table":"Open_vSwitch","where":[],"mutations":[["next_cfg","+=",1]]}]`))
				if err != nil || string(res) != `[{"count":1}]` {
					errs <- fmt.Errorf("%s: %w", res, err)
					return
				}
			}
			errs <- nil
		}()
	}
	for range sessions {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d transactions in %v", sessions*each, time.Since(start))
	watch.wait(t, fmt.Sprintf(`"modify":{"next_cfg":%d}`, sessions*each))
	if got := first.call(t, f.ctx, "transact", `["Open_vSwitch",{"op":"select","table":"Open_vSwitch","where":[],"columns":["next_cfg"]}]`); got != fmt.Sprintf(`[{"rows":[{"next_cfg":%d}]}]`, sessions*each) {
		t.Error(got)
	}
}
