// SPDX-License-Identifier: Apache-2.0

// Package agent runs commands inside an emulated board for a test outside, over a
// device that carries bytes as they are. It is in test images only: whoever reaches
// the device is root.
//
// Wire: frames of a 4-byte length (big endian, at most [MaxFrame]) and that many bytes
// of JSON; requests one way, replies the other, told apart by their number, so that
// commands run beside each other. The agent's first frame is a reply with number 0: it
// is there. A frame that is too long or no JSON ends the session: there is no way to find the next one.
package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"syscall"
)

// Bounds.
const (
	MaxFrame  = 16 << 20 // bytes
	MaxOutput = 4 << 20  // bytes of each of a command's streams; what is more is cut
	maxRuns   = 64       // commands at a time
)

type request struct {
	ID      uint64
	Command string // for sh -c
	Stdin   []byte
	Cancel  bool // end the command with this number
}

type reply struct {
	ID       uint64
	Out, Err []byte
	Code     int    // exit status; 128+n: ended by signal n
	Failure  string // the command could not be run
}

func writeFrame(w io.Writer, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(text) > MaxFrame {
		return fmt.Errorf("agent: frame of %d bytes, the bound is %d", len(text), MaxFrame)
	}
	_, err = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(text))), text...))
	return err
}

func readFrame(r io.Reader, v any) error {
	var n [4]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return err
	}
	size := binary.BigEndian.Uint32(n[:])
	if size > MaxFrame {
		return fmt.Errorf("agent: frame of %d bytes, the bound is %d", size, MaxFrame)
	}
	// Grown as it comes: the length alone makes nobody allocate.
	var text bytes.Buffer
	if _, err := io.CopyN(&text, r, int64(size)); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	if err := json.Unmarshal(text.Bytes(), v); err != nil {
		return fmt.Errorf("agent: frame: %w", err)
	}
	return nil
}

// Serve runs commands that come over rw with the shell until rw ends.
func Serve(rw io.ReadWriter, shell string) error {
	var mu, writing sync.Mutex // mu is of running; requests are read while a reply is written
	running := map[uint64]context.CancelFunc{}
	send := func(r reply) {
		mu.Lock()
		delete(running, r.ID)
		mu.Unlock()
		writing.Lock()
		defer writing.Unlock()
		writeFrame(rw, r) // whoever reads on finds out that it failed
	}
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		for _, cancel := range running {
			cancel()
		}
	}()
	go send(reply{}) // nobody may listen yet
	for {
		var q request
		if err := readFrame(rw, &q); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		mu.Lock()
		cancel, known := running[q.ID]
		full := len(running) >= maxRuns
		mu.Unlock()
		switch {
		case q.Cancel:
			if known {
				cancel()
			}
			continue
		case known || q.ID == 0:
			return fmt.Errorf("agent: request number %d is taken", q.ID)
		case full:
			send(reply{ID: q.ID, Failure: fmt.Sprintf("%d commands run already", maxRuns)})
			continue
		}
		ctx, cancel := context.WithCancel(context.Background())
		mu.Lock()
		running[q.ID] = cancel
		mu.Unlock()
		go func() {
			defer cancel()
			send(run(ctx, shell, q))
		}()
	}
}

func run(ctx context.Context, shell string, q request) reply {
	cmd := exec.CommandContext(ctx, shell, "-c", q.Command)
	out, errs := &bounded{}, &bounded{}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(q.Stdin), out, errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := cmd.Run()
	r := reply{ID: q.ID, Out: out.buf.Bytes(), Err: errs.buf.Bytes()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
		if ws := exit.Sys().(syscall.WaitStatus); ws.Signaled() {
			r.Code = 128 + int(ws.Signal())
		}
	case err != nil:
		r.Failure = err.Error()
	}
	return r
}

// bounded keeps the first MaxOutput bytes.
type bounded struct{ buf bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	b.buf.Write(p[:min(len(p), MaxOutput-b.buf.Len())])
	return len(p), nil
}
