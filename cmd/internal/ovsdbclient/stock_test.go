// SPDX-License-Identifier: Apache-2.0

package ovsdbclient_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/ovsdbclient"
	"github.com/weirswitch/weir/cmd/internal/stocktest"
)

func fill(t *testing.T, s *stocktest.Server) {
	t.Helper()
	for _, line := range [][]string{
		{"init"}, {"add-br", "br0"}, {"add-br", "br1"}, {"add-port", "br0", "p1", "tag=5", "--", "set", "interface", "p1", "type=internal"},
		{"set", "bridge", "br0", `other_config={a="x,y",b="q\"r",c="<&>",d="é\n x"}`, "flood_vlans=1,2", "protocols=OpenFlow13,OpenFlow10"},
		{"--", "--id=@q", "create", "qos", "type=x", "queues=1=@a", "--", "--id=@a", "create", "queue", "other_config:a=b", "--", "set", "port", "p1", "qos=@q"},
	} {
		if r := s.Stock(t, "", "ovs-vsctl", append([]string{"--no-wait"}, line...)...); r.Code != 0 {
			t.Fatalf("%q: %s", line, r)
		}
	}
}

// insertedRE masks UUIDs of rows that a transaction makes.
var insertedRE = regexp.MustCompile(`\["uuid","[0-9a-f-]{36}"\]`)

// TestStock runs both tools on one stock server. "~" in front of a line: stock's
// order of lines is that of a hash table. "!": only the exit code is compared
// (the words of JSON syntax errors are not stock's). An unlock that the server
// refuses is not here: stock waits for ever, ours says so.
func TestStock(t *testing.T) {
	s := stocktest.Start(t)
	stocktest.Need(t, "ovs-vsctl")
	fill(t, s)
	schema := "/usr/share/openvswitch/vswitch.ovsschema"
	lines := []string{
		"", "foo", "list-dbs", "list-dbs unix:" + s.Socket, "list-dbs unix:" + s.Socket + " extra", "list-dbs unix:/nonexistent", "list-dbs unix:db.sock",
		"get-schema-version", "get-schema-version nodb", "get-schema-version Open_vSwitch", "get-schema-version _Server", "get-schema-version Open_vSwitch extra",
		"get-schema-cksum", "!get-schema", "get-schema nodb", "get-schema _Server", "--pretty get-schema _Server", "get-schema --pretty _Server",
		"~list-tables", "list-tables nodb", "list-tables _Server", "~-f csv list-tables", "~list-columns Open_vSwitch Bridge", "~list-columns SSL",
		"list-columns Open_vSwitch Foo", "~list-columns", "~-f csv list-columns _Server", "list-columns SSL extra",
		"dump", "dump Open_vSwitch", "dump _Server Database name model", "dump Foo", "dump Open_vSwitch Foo", "dump Open_vSwitch Bridge foo", "dump nodb",
		"dump Open_vSwitch Bridge name other_config flood_vlans", "dump Bridge _uuid name ports", "-f list dump", "-f csv dump", "-f html dump", "-f json dump",
		"-d bare dump", "-d json dump", "-f list -d bare dump Bridge name other_config ports", "--bare dump Bridge name other_config ports", "--no-headings dump Bridge name",
		"-f csv --no-headings dump Bridge", "-f html --no-headings dump Port name tag interfaces", "-f json --pretty dump Bridge name flood_vlans",
		"--max-column-width=10 dump Bridge name other_config flood_vlans", "-f csv -d bare dump Bridge", "-f html -d bare dump Bridge",
		"-f bogus dump", "-d bogus dump", "--foo", "list-dbs --foo", "-t x list-dbs", "--timeout=0 list-dbs", "-t 5 list-dbs", "--timeout", "list-dbs -f csv",
		`transact ["Open_vSwitch",{"op":"select","table":"Bridge","where":[["name","==","br0"]],"columns":["name","flood_vlans"]}]`,
		`transact unix:` + s.Socket + ` ["Open_vSwitch",{"op":"foo"}]`, `transact ["nodb"]`, `transact []`, `transact {}`, `!transact x`, `!transact ["Open_vSwitch"`,
		`!transact "x"`, `transact`, `--pretty transact ["Open_vSwitch",{"op":"select","table":"Bridge","where":[["name","==","br0"]],"columns":["name"]}]`,
		`transact ["Open_vSwitch",{"op":"insert","table":"Queue","row":{"dscp":3}}]`,
		`transact ["Open_vSwitch",{"op":"abort"}]`, `transact [3]`, `transact ["Open_vSwitch"]`,
		`query ["Open_vSwitch",{"op":"insert","table":"Queue","row":{"dscp":4}}]`, `query ["Open_vSwitch",{"op":"insert","table":"Foo","row":{}}]`,
		`query ["Open_vSwitch",{"op":"select","table":"Bridge","where":[["name","==","br0"]],"columns":["name"]}]`, `query ["Open_vSwitch"]`, `!query "x"`, `query [3]`,
		`query ["nodb",{"op":"comment","comment":"x"}]`, `transact ["Open_vSwitch",{"op":"select","table":"Queue","where":[["dscp","==",4]]}]`,
		"wait Open_vSwitch connected", "wait Open_vSwitch added", "wait nodb removed", "wait Open_vSwitch bogus", "wait Open_vSwitch",
		"wait unix:" + s.Socket + " Open_vSwitch added", "-t 1 wait nodb added", "-t 1 wait Open_vSwitch removed",
		"needs-conversion " + schema, "needs-conversion /nonexistent", "needs-conversion", "convert /nonexistent",
		"-t 1 lock foo", "-t 1 steal foo", "lock", "monitor", "monitor Foo", "monitor Bridge name,bogus", "monitor Bridge !modify Port",
		"monitor-cond Bridge", `monitor-cond [["nam","==","mx"]] Bridge name`, `monitor-cond [] Foo`, `!monitor-cond ["x" Bridge name`, `!monitor-cond true Bridge`,
		"restore extra", "backup extra",
	}
	for _, line := range lines {
		mode := ""
		if line != "" && strings.Contains("~!", line[:1]) {
			mode, line = line[:1], line[1:]
		}
		args := strings.Fields(line)
		want := s.Stock(t, "", "ovsdb-client", args...)
		got := s.Ours(ovsdbclient.Main, "", "ovsdb-client", args...)
		for _, r := range []*stocktest.Result{&want, &got} {
			r.Err = s.Mask(*r).Err
			switch {
			case mode == "~":
				// Columns are as wide as the widest cell in any order.
				r.Out = stocktest.Blocks(r.Out, "\n")
			case mode == "!":
				*r = stocktest.Result{Code: r.Code}
			case strings.Contains(line, "insert"):
				r.Out = insertedRE.ReplaceAllString(r.Out, "UUID")
			}
		}
		if want != got {
			t.Errorf("ovsdb-client %s\n%s", line, differ(want.String(), got.String()))
		}
	}
	t.Logf("%d lines", len(lines))
	if r := s.Ours(ovsdbclient.Main, "", "ovsdb-client", "-V"); !strings.HasPrefix(r.Out, "ovsdb-client (Weir) ") {
		t.Errorf("-V: %s", r)
	}
}

// differ returns the lines that only one text has.
func differ(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	var b strings.Builder
	for i := 0; i < max(len(w), len(g)); i++ {
		switch {
		case i >= len(w):
			b.WriteString("ours:  " + g[i] + "\n")
		case i >= len(g):
			b.WriteString("stock: " + w[i] + "\n")
		case w[i] != g[i]:
			b.WriteString("stock: " + w[i] + "\nours:  " + g[i] + "\n")
		}
	}
	return b.String()
}

// buffer is written by one goroutine and read by another.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// TestMonitor: both tools watch one server while the same changes happen.
func TestMonitor(t *testing.T) {
	stocktest.Need(t, "ovs-vsctl")
	for _, line := range []string{
		"monitor Bridge name,external_ids,datapath_type,flood_vlans",
		"monitor Open_vSwitch Bridge name external_ids,!initial",
		"monitor Bridge !initial,!delete,name",
		"monitor Bridge !modify",
		"monitor Bridge",
		"monitor ALL",
		"-f json monitor Bridge name,datapath_type",
		"-f json --pretty monitor Bridge name",
		"-f list monitor Bridge name,datapath_type,flood_vlans",
		"-f csv --no-headings monitor Bridge name,datapath_type",
		"-f html monitor Bridge name",
		`monitor-cond [["name","==","mx"]] Bridge name,datapath_type,flood_vlans`,
		`monitor-cond [] Bridge name`,
		`-f json monitor-cond [["name","==","mx"]] Bridge name,datapath_type`,
		`monitor-cond-since [["name","==","mx"]] Bridge name`,
		`monitor-cond-since 00000000-0000-0000-0000-000000000001 [["name","==","mx"]] Bridge name,flood_vlans`,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			s := stocktest.Start(t)
			fill(t, s)
			var want, got buffer
			cmd := exec.Command("ovsdb-client", strings.Fields(line)...)
			cmd.Env, cmd.Stdout = s.Environ(), &want
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan int)
			go func() {
				var errs bytes.Buffer
				done <- ovsdbclient.Main(ctx, env.Env{Name: "ovsdb-client", Args: strings.Fields(line), Stdin: strings.NewReader(""),
					Stdout: &got, Stderr: &errs, Now: time.Now,
					Getenv: func(k string) string { return map[string]string{"OVS_RUNDIR": s.RunDir}[k] }})
			}()
			time.Sleep(500 * time.Millisecond)
			for _, c := range []string{"set br br0 external_ids:m=1 -- add-br mx -- set br mx datapath_type=x",
				"set br mx datapath_type=yy flood_vlans=1,2", "set br br0 external_ids:m=2", "del-br mx"} {
				if r := s.Stock(t, "", "ovs-vsctl", append([]string{"--no-wait"}, strings.Fields(c)...)...); r.Code != 0 {
					t.Fatalf("%s: %s", c, r)
				}
			}
			same := func() bool { return stocktest.Blocks(want.String(), "\n") == stocktest.Blocks(got.String(), "\n") }
			for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline) && !same(); {
				time.Sleep(20 * time.Millisecond)
			}
			time.Sleep(100 * time.Millisecond)
			cancel()
			cmd.Process.Signal(os.Interrupt)
			cmd.Wait()
			<-done
			if want.String() == "" || !same() {
				t.Error(differ(stocktest.Blocks(want.String(), "\n"), stocktest.Blocks(got.String(), "\n")))
			}
		})
	}
}

// TestBackup: what we back up stock's ovsdb-tool reads, what stock backs up we
// restore, and the other way round.
func TestBackup(t *testing.T) {
	stocktest.Need(t, "ovs-vsctl", "ovsdb-tool")
	a := stocktest.Start(t)
	fill(t, a)
	want := a.Dump(t)
	ours := a.Ours(ovsdbclient.Main, "", "ovsdb-client", "backup")
	stock := a.Stock(t, "", "ovsdb-client", "backup")
	if ours.Code != 0 || stock.Code != 0 {
		t.Fatalf("backup: ours %s, stock %s", ours, stock)
	}
	file := filepath.Join(t.TempDir(), "backup.db")
	if err := os.WriteFile(file, []byte(ours.Out), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := a.Stock(t, "", "ovsdb-tool", "show-log", file); r.Code != 0 || !strings.Contains(r.Out, "ovsdb-client backup") {
		t.Errorf("ovsdb-tool show-log: %s", r)
	}
	log, err := os.ReadFile(a.Log)
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"our backup": ours.Out, "stock's backup": stock.Out, "the server's log": string(log)} {
		b := stocktest.Start(t)
		fill(t, b)
		if r := b.Stock(t, "", "ovs-vsctl", "--no-wait", "add-br", "more"); r.Code != 0 {
			t.Fatal(r)
		}
		if r := b.Ours(ovsdbclient.Main, file, "ovsdb-client", "restore"); r.Code != 0 || r.Out+r.Err != "" {
			t.Errorf("restore %s: %s", name, r)
		}
		if got := b.Dump(t); got != want {
			t.Errorf("after restore of %s:\n%s\nwant:\n%s", name, got, want)
		}
	}
	c := stocktest.Start(t)
	if r := c.Stock(t, "", "sh", "-c", "exec ovsdb-client restore <"+file); r.Code != 0 {
		t.Errorf("stock's restore of our backup: %s", r)
	}
	if got := c.Dump(t); got != want {
		t.Errorf("after stock's restore of our backup:\n%s\nwant:\n%s", got, want)
	}
	for _, bad := range []string{"", "x", "OVSDB JSON 5 00\nabcde", ours.Out[:len(ours.Out)-5], strings.Replace(ours.Out, "br1", "br9", 1)} {
		if r := c.Ours(ovsdbclient.Main, bad, "ovsdb-client", "restore"); r.Code != 1 || !strings.Contains(r.Err, "ovsdb error: /dev/stdin: ") {
			t.Errorf("restore of %.40q: %s", bad, r)
		}
	}
	if got := c.Dump(t); got != want {
		t.Error("a refused file changed the database")
	}
}
