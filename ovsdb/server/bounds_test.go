// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/schema"
)

// panicLog stands for a bug in what a transaction runs.
type panicLog struct{}

func (panicLog) Append(*engine.Commit) error { panic("on purpose") }

func TestPanicEndsOneSession(t *testing.T) {
	f := serve(t, Options{})
	s, err := schema.Parse([]byte(`{"name":"P","version":"1.0.0","tables":{"T":{"isRoot":true,"columns":{"n":{"type":"integer"}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.AddDatabase(engine.New(s, engine.Options{Log: panicLog{}}), nil); err != nil {
		t.Fatal(err)
	}
	a, b := f.dial(t), f.dial(t)
	b.call(t, f.ctx, "lock", `["L"]`)
	a.call(t, f.ctx, "lock", `["L"]`)
	if res, err := b.Call(f.ctx, "transact", json.RawMessage(`["P",{"op":"insert","table":"T","row":{"n":1}}]`)); err == nil {
		t.Errorf("answered %s", res)
	}
	a.wait(t, `locked ["L"]`) // the dead session was cleaned up
	if got := a.call(t, f.ctx, "transact", `["P",{"op":"select","table":"T","where":[]}]`); got != `[{"rows":[]}]` {
		t.Errorf("after the panic: %s", got)
	}
	if !strings.Contains(f.log.String(), "on purpose") {
		t.Errorf("log: %s", f.log)
	}
}

func TestSessionBounds(t *testing.T) {
	f := serve(t, Options{})
	c := f.dial(t)
	c.call(t, f.ctx, "transact", insertRoot(0))
	for i := range maxMonitors {
		c.call(t, f.ctx, "monitor", fmt.Sprintf(`["Open_vSwitch",%d,{}]`, i))
	}
	if got := c.call(t, f.ctx, "monitor", `["Open_vSwitch","more",{}]`); !strings.Contains(got, "resources exhausted") {
		t.Errorf("monitor %d: %s", maxMonitors+1, got)
	}
	for i := range maxLocks {
		c.call(t, f.ctx, "lock", fmt.Sprintf(`["L%d"]`, i))
	}
	if got := c.call(t, f.ctx, "lock", `["more"]`); !strings.Contains(got, "resources exhausted") {
		t.Errorf("lock %d: %s", maxLocks+1, got)
	}
	for range maxTriggers {
		if _, err := c.Start("transact", json.RawMessage(waitCfg(9, ""))); err != nil {
			t.Fatal(err)
		}
	}
	if got := c.call(t, f.ctx, "transact", waitCfg(9, "")); !strings.Contains(got, "resources exhausted") {
		t.Errorf("waiting transaction %d: %s", maxTriggers+1, got)
	}
	c2 := f.dial(t)
	big := strings.Repeat("x", maxWaiting)
	if got := c2.call(t, f.ctx, "transact", strings.Replace(waitCfg(9, ""), "{", `{"op":"comment","comment":"`+big[:maxWaiting/2]+`"},{"op":"comment","comment":"`+big[:maxWaiting/2]+`"},{`, 1)); !strings.Contains(got, "resources exhausted") {
		t.Errorf("big waiting transaction: %.200s", got)
	}
	// One that may wait is also one that may not wait longer than its session.
	c.Close()
	eventually(t, "triggers:0", f.memory)
}

// JSON bombs against a running server on TCP: refused at once, little memory,
// and another session is served all the while.
func TestBombsOnTheWire(t *testing.T) {
	f := serve(t, Options{})
	if err := f.AddRemote("ptcp:0:127.0.0.1"); err != nil {
		t.Fatal(err)
	}
	addr := f.Addr("ptcp:0:127.0.0.1").String()
	good := f.dial(t)
	for _, b := range []struct {
		name, head, body string
		n                int
	}{
		{"depth", `{"method":"transact","id":0,"params":`, "[", 1 << 20},
		{"string", `{"method":"echo","id":0,"params":["`, "xxxxxxxxxxxxxxxx", 4 << 20},
		{"keys", `{"method":"transact","id":0,"params":["Open_vSwitch",{`, `"k":0,`, 1 << 20},
		{"whitespace", `{"method":`, "                ", 4 << 20},
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		chunk := strings.Repeat(b.body, 1+16384/len(b.body))
		_, err = io.WriteString(c, b.head)
		sent := 0
		var worst time.Duration
		for ; err == nil && sent < b.n*len(b.body); sent += len(chunk) {
			if _, err = io.WriteString(c, chunk); sent%(512<<10) < len(chunk) {
				start := time.Now()
				good.call(t, f.ctx, "echo", "[]")
				worst = max(worst, time.Since(start))
			}
		}
		runtime.ReadMemStats(&now)
		c.Close()
		t.Logf("%s: closed after %d bytes sent, heap %+d kB, slowest echo beside %v", b.name, sent, (int64(now.HeapAlloc)-int64(before.HeapAlloc))>>10, worst)
		if err == nil {
			t.Errorf("%s: all %d bytes were taken", b.name, sent)
		}
		if int64(now.HeapAlloc)-int64(before.HeapAlloc) > 12<<20 { // garbage of the growing buffer counted
			t.Errorf("%s: heap grew by %d bytes", b.name, int64(now.HeapAlloc)-int64(before.HeapAlloc))
		}
	}
	eventually(t, "input:0", f.memory)
}

// Transactions a second through a unix socket, one row changed each.
func BenchmarkTransact(b *testing.B) {
	for _, depth := range []int{1, 64} {
		b.Run(fmt.Sprint("depth=", depth), func(b *testing.B) {
			f := serve(b, Options{})
			c := f.dial(b)
			c.call(b, f.ctx, "transact", insertRoot(0))
			req := json.RawMessage(`["Open_vSwitch",{"op":"mutate","table":"Open_vSwitch","where":[],"mutations":[["next_cfg","+=",1]]}]`)
			b.ResetTimer()
			window := make(chan struct{}, depth)
			errs := make(chan error, 1)
			for range b.N {
				window <- struct{}{}
				call, err := c.Start("transact", req)
				if err != nil {
					b.Fatal(err)
				}
				go func() {
					if _, err := call.Wait(f.ctx); err != nil {
						select {
						case errs <- err:
						default:
						}
					}
					<-window
				}()
			}
			for range depth {
				window <- struct{}{}
			}
			b.StopTimer()
			select {
			case err := <-errs:
				b.Fatal(err)
			default:
			}
		})
	}
}
