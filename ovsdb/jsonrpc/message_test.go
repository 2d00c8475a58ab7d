// SPDX-License-Identifier: Apache-2.0

package jsonrpc

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		in     string
		kind   Kind
		method string
		params int
		err    string
	}{
		// What a stock ovsdb-server 3.1.0 answers or closes on, row by row.
		{`{"method":"echo","params":[1,[2,"]"],{"a":"}"}],"id":1}`, Request, "echo", 3, ""},
		{`{"method":"echo","params":[],"id":null}`, Notification, "echo", 0, ""},
		{`{"method":"echo","params":[]}`, Notification, "echo", 0, ""},
		{`{"method":"echo","params":[1],"id":"x","error":null,"result":null}`, Request, "echo", 1, ""},
		{`{"method":"echo","params":[1],"id":false}`, Request, "echo", 1, ""},
		{` { "method" : "ec\u0068o" , "params" : [ 1 , 2 ] , "id" : {"a":[1]} } `, Request, "echo", 2, ""},
		{`{"result":1,"error":null,"id":9}`, Reply, "", 0, ""},
		{`{"result":1,"id":9}`, Reply, "", 0, ""},
		{`{"result":null,"error":"no","id":9}`, ErrorReply, "", 0, ""},
		{`{"method":"echo","id":1}`, 0, "", 0, "must have \"params\""},
		{`{"method":"echo","params":null,"id":1}`, 0, "", 0, "must have \"params\""},
		{`{"method":"echo","params":{},"id":1}`, 0, "", 0, "must be an array"},
		{`{"method":"echo","params":5,"id":1}`, 0, "", 0, "must be an array"},
		{`{"method":"echo","params":[],"id":1,"x":2}`, 0, "", 0, "unexpected member \"x\""},
		{`{"method":5,"params":[],"id":1}`, 0, "", 0, "not a string"},
		{`{"method":"echo","params":[],"result":1,"id":1}`, 0, "", 0, "must not have"},
		{`{"result":1,"error":1,"id":1}`, 0, "", 0, "both"},
		{`{"result":null,"error":null,"id":1}`, 0, "", 0, "must have \"result\" or"},
		{`{"result":1,"params":[],"id":1}`, 0, "", 0, "must not have \"params\""},
		{`{"result":1,"error":null}`, 0, "", 0, "must have \"id\""},
		{`{}`, 0, "", 0, "must have"},
		{`{"Method":"echo","params":[],"id":1}`, 0, "", 0, "unexpected member \"Method\""},
	} {
		m, err := Parse([]byte(tt.in))
		if tt.err != "" {
			if err == nil || !errors.Is(err, ErrMessage) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: error %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		var args []json.RawMessage
		if err == nil && (m.Kind == Request || m.Kind == Notification) {
			args, err = m.Args()
		}
		if err != nil || m.Kind != tt.kind || m.Method != tt.method || len(args) != tt.params {
			t.Errorf("%s: got %v %q %d params, error %v", tt.in, m.Kind, m.Method, len(args), err)
		}
		for _, p := range args {
			if !json.Valid(p) {
				t.Errorf("%s: param %s", tt.in, p)
			}
		}
	}
}

func TestAppend(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{string(AppendRequest(nil, []byte(`1`), "echo", []byte(`[]`))), `{"id":1,"method":"echo","params":[]}`},
		{string(AppendNotification(nil, "update", []byte(`[null]`))), `{"id":null,"method":"update","params":[null]}`},
		{string(AppendReply(nil, []byte(`"x"`), []byte(`{}`))), `{"id":"x","result":{},"error":null}`},
		{string(AppendError(nil, []byte(`7`), []byte(`"no"`))), `{"id":7,"error":"no"}`},
		{string(AppendString(nil, "a\"\\\n\x01\x7fé/<")), `"a\"\\\n\u0001` + "\x7f" + `é/<"`},
	} {
		if tt.got != tt.want {
			t.Errorf("got %s, want %s", tt.got, tt.want)
		}
		if !json.Valid([]byte(tt.got)) {
			t.Errorf("not JSON: %s", tt.got)
		}
	}
}

func TestCanonical(t *testing.T) {
	for _, tt := range []struct{ a, b string }{
		{`{"b":1,"a":[ 1,2 ]}`, ` {"a":[1,2], "b":1}`},
		{`"\u0061<"`, `"a<"`},
		{`12345678901234567890`, ` 12345678901234567890 `},
	} {
		x, err1 := Canonical(json.RawMessage(tt.a))
		y, err2 := Canonical(json.RawMessage(tt.b))
		if err1 != nil || err2 != nil || x != y {
			t.Errorf("%s -> %s (%v), %s -> %s (%v)", tt.a, x, err1, tt.b, y, err2)
		}
	}
	if _, err := Canonical(nil); err == nil {
		t.Error("no error for nothing")
	}
}

func TestConn(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	budget := NewBudget(100)
	c := NewConn(b, Limits{}, budget)
	go func() {
		a.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(a, `{"method":"echo","params":[],"id":0}{"meth`)
		io.WriteString(a, `od":"x","params":["y"],"id":null}   `)
		a.Close()
	}()
	m, err := c.Read()
	if err != nil || m.Method != "echo" || m.Kind != Request {
		t.Fatalf("first: %+v, %v", m, err)
	}
	if budget.Used() == 0 {
		t.Error("message in hand does not count")
	}
	if m, err = c.Read(); err != nil || m.Method != "x" || m.Kind != Notification {
		t.Fatalf("second: %+v, %v", m, err)
	}
	if _, err = c.Read(); err != io.EOF {
		t.Fatalf("end: %v", err)
	}
	c.Release()
	if budget.Used() != 0 {
		t.Errorf("budget leaks %d bytes", budget.Used())
	}
	c.Close()
}

func TestConnBudgetAndCut(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want error
	}{
		{`{"method":"echo","params":["` + strings.Repeat("x", 200), ErrTooBig},
		{`{"method":"echo","params":["` + strings.Repeat("x", 200) + `"],"id":1}`, ErrTooBig},
		{`{"method":"echo"`, io.ErrUnexpectedEOF},
		{`{"method":"echo"}`, ErrMessage},
		{`nonsense`, ErrSyntax},
	} {
		a, b := net.Pipe()
		budget := NewBudget(100)
		c := NewConn(b, Limits{}, budget)
		go func() { io.WriteString(a, tt.in); a.Close() }()
		if _, err := c.Read(); !errors.Is(err, tt.want) {
			t.Errorf("%.30s: %v, want %v", tt.in, err, tt.want)
		}
		c.Release()
		c.Close()
		if budget.Used() != 0 {
			t.Errorf("budget leaks %d", budget.Used())
		}
	}
}
