// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/weirswitch/weir/ovsdb/jsonrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// far is the other side: it answers what answer says to each request.
func far(t *testing.T, answer func(c *jsonrpc.Conn, m jsonrpc.Message)) *jsonrpc.Conn {
	t.Helper()
	a, b := net.Pipe()
	c := jsonrpc.NewConn(b, jsonrpc.Limits{}, nil)
	done := make(chan bool)
	go func() {
		defer close(done)
		for {
			m, err := c.Read()
			if err != nil {
				return
			}
			answer(c, m)
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return jsonrpc.NewConn(a, jsonrpc.Limits{}, nil)
}

func TestCalls(t *testing.T) {
	var notes []string
	echoed := make(chan string, 1)
	var held []jsonrpc.Message
	near := far(t, func(c *jsonrpc.Conn, m jsonrpc.Message) {
		switch m.Method {
		case "hold": // answered in reverse order, by "release"
			held = append(held, m)
		case "release":
			for i := len(held) - 1; i >= 0; i-- {
				c.Write(jsonrpc.AppendReply(nil, held[i].ID, held[i].Params))
			}
			c.Write(jsonrpc.AppendNotification(nil, "update", []byte(`[1]`)))
			c.Write(jsonrpc.AppendReply(nil, m.ID, []byte(`{}`)))
		case "fail":
			c.Write(jsonrpc.AppendError(nil, m.ID, []byte(`{"error":"no"}`)))
		case "probe":
			c.Write(jsonrpc.AppendRequest(nil, []byte(`"p"`), "echo", []byte(`[7]`)))
			c.Write(jsonrpc.AppendRequest(nil, []byte(`"q"`), "what", []byte(`[]`)))
			c.Write(jsonrpc.AppendReply(nil, m.ID, []byte(`{}`)))
		case "transact":
			c.Write(jsonrpc.AppendReply(nil, m.ID, []byte(`[{"count":1},{"error":"timed out","details":"d"},null]`)))
		case "garbage":
			c.Write([]byte("}"))
		case "":
			if m.Kind == jsonrpc.Reply {
				echoed <- string(m.ID) + string(m.Result)
			}
		}
	})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	c := New(near.Net(), Options{Notify: func(m string, p json.RawMessage) { notes = append(notes, m+string(p)) }})
	defer c.Close()

	var calls []*Call
	for i := range 3 {
		call, err := c.Start("hold", []int{i})
		if err != nil {
			t.Fatal(err)
		}
		calls = append(calls, call)
	}
	short, stop := context.WithTimeout(ctx, 10*time.Millisecond)
	if _, err := calls[1].Wait(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("given up: %v", err)
	}
	stop()
	if _, err := c.Call(ctx, "release", []int{}); err != nil {
		t.Fatal(err)
	}
	if len(notes) != 1 || notes[0] != "update[1]" { // it came before the reply
		t.Errorf("notifications %q", notes)
	}
	for _, i := range []int{0, 2} {
		if r, err := calls[i].Wait(ctx); err != nil || string(r) != string(rune('['))+string(rune('0'+i))+"]" {
			t.Errorf("call %d: %s, %v", i, r, err)
		}
	}
	var ce *CallError
	if _, err := c.Call(ctx, "fail", []int{}); !errors.As(err, &ce) || string(ce.Raw) != `{"error":"no"}` || ce.Method != "fail" {
		t.Errorf("fail: %v", err)
	}
	if _, err := c.Call(ctx, "probe", []int{}); err != nil {
		t.Error(err)
	}
	select {
	case s := <-echoed:
		if s != `"p"[7]` {
			t.Errorf("echo answered with %s", s)
		}
	case <-ctx.Done():
		t.Error("echo not answered")
	}
	res, err := c.Transact(ctx, "D", map[string]any{"op": "select"})
	if err != nil || len(res) != 3 {
		t.Fatalf("transact: %s, %v", res, err)
	}
	if err := Failed(res); err == nil || !strings.Contains(err.Error(), "operation 1: timed out: d") {
		t.Errorf("failed: %v", err)
	}
	if err := Failed(res[:1]); err != nil {
		t.Errorf("not failed: %v", err)
	}
	if _, err := c.Call(ctx, "bad", func() {}); err == nil {
		t.Error("no error from params that do not marshal")
	}
	if _, err := c.Call(ctx, "garbage", []int{}); !errors.Is(err, ErrClosed) || !errors.Is(err, jsonrpc.ErrSyntax) {
		t.Errorf("garbage: %v", err)
	}
	<-c.Done()
	if _, err := c.Call(ctx, "hold", []int{}); err == nil {
		t.Error("call on a dead connection")
	}
	if n := len(c.calls); n != 0 {
		t.Errorf("%d calls are still remembered", n)
	}
}

func TestServerCloses(t *testing.T) {
	a, b := net.Pipe()
	c := New(a, Options{})
	call := make(chan error, 1)
	go func() {
		_, err := c.Call(context.Background(), "x", []int{})
		call <- err
	}()
	buf := make([]byte, 100)
	b.Read(buf)
	b.Close()
	if err := <-call; !errors.Is(err, ErrClosed) || !errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
	c.Close()
	if _, err := Dial(context.Background(), "nonsense", Options{}); err == nil {
		t.Error("dialled nonsense")
	}
}
