// SPDX-License-Identifier: Apache-2.0

package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

func pair(t *testing.T) (*Client, net.Conn, <-chan error) {
	outer, inner := net.Pipe()
	served := make(chan error, 1)
	go func() { served <- Serve(inner, "/bin/sh") }()
	t.Cleanup(func() { outer.Close() })
	return NewClient(outer), outer, served
}

func TestRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, outer, served := pair(t)
	r, err := c.Run(ctx, "cat; echo e >&2; exit 4", []byte("in"))
	if want := (Result{"in", "e\n", 4}); err != nil || r != want {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := c.Run(ctx, "kill -15 $$", nil); err != nil || r.Code != 143 {
		t.Errorf("%+v, %v", r, err)
	}
	// Beside each other: each waits for the next one's file, but for the last.
	dir := t.TempDir()
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			cmd := fmt.Sprintf("cd %s; until [ -e %d ] || [ %d = 9 ]; do sleep 0.01; done; touch %d; echo %d", dir, i+1, i, i, i)
			if r, err := c.Run(ctx, cmd, nil); err != nil || r.Out != fmt.Sprintln(i) {
				t.Errorf("%d: %+v, %v", i, r, err)
			}
		})
	}
	wg.Wait()
	outer.Close()
	if err := <-served; err != nil {
		t.Errorf("the end: %v", err)
	}
	if _, err := c.Run(ctx, "true", nil); err == nil {
		t.Errorf("behind the end: %v", err)
	}
}

// Output is cut at its bound; the command goes on.
func TestBoundedOutput(t *testing.T) {
	c, _, _ := pair(t)
	r, err := c.Run(t.Context(), fmt.Sprintf("head -c %d /dev/zero; exit 5", MaxOutput+100000), nil)
	if err != nil || len(r.Out) != MaxOutput || r.Code != 5 {
		t.Errorf("%d bytes, code %d, %v", len(r.Out), r.Code, err)
	}
}

func TestCancel(t *testing.T) {
	c, _, _ := pair(t)
	ctx, cancel := context.WithCancel(t.Context())
	file := t.TempDir() + "/pid"
	done := make(chan error)
	go func() {
		_, err := c.Run(ctx, "echo $$ >"+file+".new; mv "+file+".new "+file+"; sleep 1000 & wait", nil)
		done <- err
	}()
	if _, err := c.Run(t.Context(), "until [ -e "+file+" ]; do sleep 0.01; done", nil); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if r, err := c.Run(t.Context(), "while kill -0 $(cat "+file+") 2>/dev/null; do sleep 0.01; done", nil); err != nil || r.Code != 0 {
		t.Errorf("%v, %v", r, err)
	}
}

// What comes over the wire, whole or hostile, never makes the reader fail other than by
// an error, nor hold more than came; what is read is what was written.
func FuzzReadFrame(f *testing.F) {
	var good bytes.Buffer
	if err := writeFrame(&good, request{ID: 7, Command: "true", Stdin: []byte("x")}); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add(good.Bytes()[:10])
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, '{', '}'})
	f.Add([]byte{0, 0, 0, 2, '[', ']'})
	f.Fuzz(func(t *testing.T, wire []byte) {
		r := bytes.NewReader(wire)
		var q request
		err := readFrame(r, &q)
		if len(wire) < 4 {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatalf("%x: %v", wire, err)
			}
			return
		}
		size := binary.BigEndian.Uint32(wire)
		if int64(size) > int64(len(wire)-4) && err == nil {
			t.Fatalf("%x: read a frame of which %d bytes are there", wire, len(wire)-4)
		}
		if err != nil {
			return
		}
		if used := len(wire) - r.Len(); used != 4+int(size) {
			t.Fatalf("%x: used %d bytes of a frame of %d", wire, used, size)
		}
		var again bytes.Buffer
		var q2 request
		if err := errors.Join(writeFrame(&again, q), readFrame(&again, &q2)); err != nil || fmt.Sprint(q) != fmt.Sprint(q2) {
			t.Fatalf("%+v became %+v, %v", q, q2, err)
		}
	})
}
