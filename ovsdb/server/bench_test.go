// SPDX-License-Identifier: Apache-2.0

package server

import (
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/journal"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

// BenchmarkTransactOnDisk is a client on a unix socket with some transactions under way
// that each change one column, on a real log file. The client does next to
// nothing: it counts the ends of replies.
func BenchmarkTransactOnDisk(b *testing.B) {
	for _, bm := range []struct {
		depth   int
		durable bool
	}{{1, false}, {64, false}, {1, true}, {64, true}} {
		b.Run(fmt.Sprintf("depth=%d/durable=%v", bm.depth, bm.durable), func(b *testing.B) { benchmarkTransact(b, bm.depth, bm.durable) })
	}
}

func benchmarkTransact(b *testing.B, depth int, durable bool) {
	path := filepath.Join(b.TempDir(), "conf.db")
	if err := journal.Create(journal.OS{}, path, vswitch.Schema()); err != nil {
		b.Fatal(err)
	}
	j, db, err := journal.Open(journal.OS{}, path, journal.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer j.Close()
	s, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.AddDatabase(db, j); err != nil {
		b.Fatal(err)
	}
	if _, err := s.Update(vswitch.Name, func(tx *engine.Txn) error {
		_, err := tx.Insert(db.Schema().Table("Open_vSwitch"))
		return err
	}); err != nil {
		b.Fatal(err)
	}
	sock := filepath.Join(b.TempDir(), "db.sock")
	if err := s.AddRemote("punix:" + sock); err != nil {
		b.Fatal(err)
	}
	c, err := net.Dial("unix", sock)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	last := ""
	if durable {
		last = `,{"op":"commit","durable":true}`
	}
	var out bytes.Buffer
	buf := make([]byte, 64<<10)
	end := []byte(`,"error":null}`)
	b.ReportAllocs()
	b.ResetTimer()
	sent, came, left := 0, 0, []byte(nil)
	for came < b.N {
		out.Reset()
		for ; sent < b.N && sent < came+depth; sent++ {
			fmt.Fprintf(&out, `{"id":%d,"method":"transact","params":["Open_vSwitch",{"op":"update","table":"Open_vSwitch","where":[],"row":{"external_ids":["map",[["n","%d"]]]}}%s]}`, sent, sent, last)
		}
		if out.Len() > 0 {
			if _, err := c.Write(out.Bytes()); err != nil {
				b.Fatal(err)
			}
		}
		n, err := c.Read(buf)
		if err != nil {
			b.Fatal(err)
		}
		left = append(left, buf[:n]...)
		if strings.Contains(string(left), "details") {
			b.Fatalf("%s", left)
		}
		came += bytes.Count(left, end)
		if i := bytes.LastIndex(left, end); i >= 0 {
			left = append(left[:0], left[i+len(end):]...)
		}
	}
}
