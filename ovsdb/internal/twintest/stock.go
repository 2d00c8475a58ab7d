// SPDX-License-Identifier: Apache-2.0

package twintest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
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

// Schema is the schema of the comparison: columns of all types, references of
// all kinds, indexes, limits.
//
//go:embed twin.ovsschema
var Schema []byte

// Stock is a stock ovsdb-server that serves the twin schema from a file of its
// own.
type Stock struct {
	DB string // the database file

	conn net.Conn
	dec  *json.Decoder
}

// StartStock starts a stock ovsdb-server for the time of the test, which it skips
// where there is none.
func StartStock(t testing.TB) *Stock {
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
	schemaFile := filepath.Join(dir, "schema")
	if err := os.WriteFile(schemaFile, Schema, 0o600); err != nil {
		t.Fatal(err)
	}
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
	s := &Stock{DB: db}
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

// Transact sends operations (each with a comma before it) and returns the result
// array.
func (s *Stock) Transact(ops string) (any, error) {
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

// Names maps the UUIDs of one side to the order in which inserts returned them.
type Names struct {
	name map[string]string
	uuid []string
}

// NewNames knows no UUID yet.
func NewNames() *Names { return &Names{name: map[string]string{}} }

// Len returns the number of UUIDs known.
func (n *Names) Len() int { return len(n.uuid) }

var (
	uuidRE = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	refRE  = regexp.MustCompile(`@[0-9]+@`)
)

// Indexes returns the numbers of those of the UUIDs that are known.
func (n *Names) Indexes(ids []string) []int {
	var out []int
	for i, id := range n.uuid {
		if slices.Contains(ids, id) {
			out = append(out, i)
		}
	}
	return out
}

// Learn takes the UUIDs that inserts returned.
func (n *Names) Learn(result any) {
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

// Fill puts the side's UUIDs in the places of "@n@".
func (n *Names) Fill(ops string) string {
	return refRE.ReplaceAllStringFunc(ops, func(s string) string {
		var i int
		fmt.Sscanf(s, "@%d@", &i)
		if i < len(n.uuid) {
			return n.uuid[i]
		}
		return "ffffffff-ffff-4fff-8fff-ffffffffffff"
	})
}

// Normal brings a result into a form that is equal on both sides.
func (n *Names) Normal(v any) any {
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
			out[i] = n.Normal(v[i])
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
				list, _ := n.Normal(e).([]any)
				sortJSON(list)
				out[k] = list
			default:
				out[k] = n.Normal(e)
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

// Text returns a value as JSON.
func Text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
