// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// QMP speaks to the emulator (QEMU Machine Protocol: a JSON value a line).
type QMP struct {
	w     io.Writer
	ended chan struct{} // closed behind err

	mu      sync.Mutex
	next    int
	waiting map[int]chan<- qmpMessage
	events  []Event
	wake    chan struct{}
	err     error
}

// Event is something that QEMU tells unasked.
type Event struct {
	Name string          `json:"event"`
	Data json.RawMessage `json:"data"`
}

// maxEvents bounds the events that are kept: the oldest go first.
const maxEvents = 1024

type qmpMessage struct {
	Event
	ID     int             `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *struct {
		Class string `json:"class"`
		Desc  string `json:"desc"`
	} `json:"error"`
}

// newQMP negotiates and returns when commands may be given.
func newQMP(ctx context.Context, rw io.ReadWriter) (*QMP, error) {
	q := &QMP{w: rw, ended: make(chan struct{}), waiting: map[int]chan<- qmpMessage{}, wake: make(chan struct{})}
	go func() {
		d := json.NewDecoder(rw)
		var err error
		for err == nil {
			var m qmpMessage // the greeting decodes as one without id or event
			if err = d.Decode(&m); err == nil {
				q.take(m)
			}
		}
		q.mu.Lock()
		q.err = fmt.Errorf("QMP ended: %w", err)
		q.mu.Unlock()
		close(q.ended)
	}()
	return q, q.Do(ctx, "qmp_capabilities", nil, nil)
}

func (q *QMP) take(m qmpMessage) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if m.Event.Name != "" {
		if len(q.events) == maxEvents {
			q.events = q.events[1:]
		}
		q.events = append(q.events, m.Event)
		close(q.wake)
		q.wake = make(chan struct{})
		return
	}
	if w, ok := q.waiting[m.ID]; ok {
		delete(q.waiting, m.ID)
		w <- m
	}
}

// Do executes a command with arguments (a value for package json, or nil) and decodes
// what it returns into out, unless that is nil.
func (q *QMP) Do(ctx context.Context, command string, args, out any) error {
	got := make(chan qmpMessage, 1)
	q.mu.Lock()
	q.next++
	id := q.next
	q.waiting[id] = got
	text, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        int    `json:"id"`
	}{command, args, id})
	if err == nil {
		_, err = q.w.Write(append(text, '\n'))
	}
	q.mu.Unlock()
	if err != nil {
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	select {
	case m := <-got:
		if m.Error != nil {
			return fmt.Errorf("QMP %s: %s: %s", command, m.Error.Class, m.Error.Desc)
		}
		if out == nil {
			return nil
		}
		if err := json.Unmarshal(m.Return, out); err != nil {
			return fmt.Errorf("QMP %s: %w", command, err)
		}
		return nil
	case <-q.ended:
		return fmt.Errorf("QMP %s: %w", command, q.failure())
	case <-ctx.Done():
		return fmt.Errorf("QMP %s: %w", command, ctx.Err())
	}
}

func (q *QMP) failure() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

// Event waits for an event by name, which may have come already, and takes it and all
// before it. Events that QEMU sent before it ended are found behind its end too.
func (q *QMP) Event(ctx context.Context, name string) (Event, error) {
	for {
		ended := false
		select {
		case <-q.ended:
			ended = true
		default:
		}
		q.mu.Lock()
		for i, e := range q.events {
			if e.Name == name {
				q.events = q.events[i+1:]
				q.mu.Unlock()
				return e, nil
			}
		}
		wake := q.wake
		q.mu.Unlock()
		if ended {
			return Event{}, fmt.Errorf("wait for event %s: %w", name, errors.Join(io.ErrUnexpectedEOF, q.failure()))
		}
		select {
		case <-wake:
		case <-q.ended:
		case <-ctx.Done():
			return Event{}, fmt.Errorf("wait for event %s: %w", name, ctx.Err())
		}
	}
}

// HMP runs a command of the human monitor and returns what it prints.
func (q *QMP) HMP(ctx context.Context, line string) (string, error) {
	var out string
	err := q.Do(ctx, "human-monitor-command", map[string]string{"command-line": line}, &out)
	return out, err
}
