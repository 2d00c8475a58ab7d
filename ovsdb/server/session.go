// SPDX-License-Identifier: Apache-2.0

package server

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/jsonrpc"
	"github.com/weirswitch/weir/ovsdb/monitor"
)

// session is one client. All but the connection is under the server's mutex.
type session struct {
	s      *Server
	remote *remote // by which it came
	seq    uint64  // the order in which they came
	name   string
	nc     net.Conn
	raw    syscall.RawConn // of nc; nil for TLS
	conn   *jsonrpc.Conn
	local  bool // on a unix socket

	subs     []*subscription // in the order in which they were made
	byID     map[string]*subscription
	triggers map[string]*trigger // by canonical id of the request
	locks    map[string]bool     // held or waited for
	stolen   map[string]bool     // of these, those that another took away

	out      []byte // waits for the writer
	spare    []byte // for out, once that is being written
	inflight int    // bytes that the writer, or the reader in its place, is busy with
	held     int    // bytes of replies that wait for a sync
	room     *sync.Cond
	wake     chan struct{} // there is something for the writer
	gone     chan struct{} // closed when the session is over
	done     chan struct{} // closed when all of it is cleaned up
	dead     bool
	spoke    bool  // a whole message has come
	armed    bool  // the connection has a read deadline
	why      error // why it ended, nil: the peer closed it; set before done
}

// subscription is a monitor with its place.
type subscription struct {
	*monitor.Monitor
	db *database
	id json.RawMessage // as the client wrote it
}

func (ss *session) backlog() int { return len(ss.out) + ss.inflight }

// kill ends the session; its goroutines clean up.
func (ss *session) kill(why string, args ...any) {
	if ss.dead {
		return
	}
	ss.dead = true
	ss.why = errors.New(why)
	ss.s.limitKill.Log(ss.s.o.Log, ss.s.o.Now(), slog.LevelInfo, "session closed", append([]any{"peer", ss.name, "reason", why}, args...)...)
	close(ss.gone)
	ss.nc.Close()
	ss.room.Broadcast()
}

// send queues a message that f appends. The writer is woken unless the session's
// reader is about to write.
func (ss *session) send(f func(dst []byte) []byte) {
	if ss.dead {
		return
	}
	had := ss.backlog()
	ss.out = f(ss.out)
	if had > 0 && ss.backlog() > ss.s.o.MaxBacklog {
		ss.out = nil
		ss.kill("does not read", "backlog", had)
		return
	}
	if ss.s.settler != ss {
		ss.wakeWriter()
	}
}

func (ss *session) wakeWriter() {
	select {
	case ss.wake <- struct{}{}:
	default:
	}
}

func (ss *session) notify(method string, params []byte) {
	ss.send(func(b []byte) []byte { return jsonrpc.AppendNotification(b, method, params) })
}

// record tells the session's monitors of a commit, and the client if it reads.
func (ss *session) record(d *database, c *engine.Commit) {
	if ss.dead {
		return
	}
	pending := 0
	for _, sub := range ss.subs {
		if sub.db == d {
			sub.Record(c)
		}
		pending += sub.Pending()
	}
	if ss.backlog() == 0 {
		ss.flush()
	} else if pending > ss.s.o.MaxPending {
		ss.kill("does not read", "pending_rows", pending)
	}
}

// flush sends what the monitors hold.
func (ss *session) flush() {
	for _, sub := range ss.subs {
		if sub.Pending() > 0 {
			if u := sub.Flush(sub.db.Snapshot()); u != nil {
				ss.update(sub, u)
			}
		}
	}
}

// update sends <table-updates> of a monitor.
func (ss *session) update(sub *subscription, updates []byte) {
	method := [...]string{monitor.V1: "update", monitor.V2: "update2", monitor.V3: "update3"}[sub.Version()]
	p := append([]byte{'['}, sub.id...)
	if sub.Version() == monitor.V3 {
		p = append(p, ',', '"')
		p = sub.db.Snapshot().ID().Append(p)
		p = append(p, '"')
	}
	p = append(p, ',')
	p = append(p, updates...)
	ss.notify(method, append(p, ']'))
}

// maxSpare is the largest send buffer, in bytes, that is worth keeping.
const maxSpare = 2 * writeChunk

// take takes what is to be written. The mutex is held.
func (ss *session) take() []byte {
	buf := ss.out
	ss.out, ss.spare = ss.spare[:0], nil
	ss.inflight = len(buf)
	ss.room.Broadcast()
	return buf
}

// wrote takes note that rest is what could not be written of buf, which take
// returned. The mutex is held.
func (ss *session) wrote(buf, rest []byte) {
	ss.inflight = 0
	switch {
	case ss.dead:
	case len(rest) > 0:
		ss.out = append(rest, ss.out...)
	case cap(buf) <= maxSpare:
		ss.spare = buf[:0]
	}
	ss.room.Broadcast()
	if len(ss.out) == 0 && !ss.dead {
		ss.flush() // what coalesced while we were writing
	}
}

// write is the goroutine that sends what the reader has not sent itself.
func (ss *session) write() {
	defer ss.s.wg.Done()
	for {
		select {
		case <-ss.wake:
		case <-ss.gone:
			return
		}
		ss.s.mu.Lock()
		for len(ss.out) > 0 && ss.inflight == 0 && !ss.dead {
			buf := ss.take()
			ss.s.mu.Unlock()
			err := ss.writeAll(buf)
			ss.s.mu.Lock()
			if err != nil {
				why := "send failed"
				if errors.Is(err, os.ErrDeadlineExceeded) {
					why = "does not read"
				}
				ss.kill(why, "err", err)
				break
			}
			ss.wrote(buf, nil)
		}
		ss.s.mu.Unlock()
	}
}

func (ss *session) writeAll(buf []byte) error {
	for len(buf) > 0 {
		n := min(len(buf), writeChunk)
		if err := ss.nc.SetWriteDeadline(time.Now().Add(ss.s.o.SendTimeout)); err != nil {
			return err
		}
		if err := ss.conn.Write(buf[:n]); err != nil {
			return err
		}
		buf = buf[n:]
	}
	return ss.nc.SetWriteDeadline(time.Time{}) // one that passes would stop tryWrite
}

// tryWrite writes what the transport takes at once, in the reader's goroutine: waking the
// writer costs more than most replies. It leaves the rest, and errors, to the
// writer. The mutex is held, and given up meanwhile.
func (ss *session) tryWrite() {
	if len(ss.out) == 0 || ss.inflight > 0 || ss.dead {
		return // a writer who is busy looks again when it is done
	}
	if ss.raw == nil {
		ss.wakeWriter()
		return
	}
	buf, n := ss.take(), 0
	ss.s.settler = nil
	ss.s.mu.Unlock()
	_ = ss.raw.Write(func(fd uintptr) bool {
		n, _ = syscall.Write(int(fd), buf)
		return true
	})
	ss.s.mu.Lock()
	ss.wrote(buf, buf[max(n, 0):])
	if len(ss.out) > 0 {
		ss.wakeWriter()
	}
}

// settle sends what the requests so far gave and has the logs synced for which
// transactions wait. The reader calls it when it has no further request to
// act on; the mutex is held, and given up meanwhile.
func (ss *session) settle() {
	s := ss.s
	s.settler = nil
	ss.tryWrite()
	for _, d := range s.dbs {
		if len(d.waiting) > 0 && !d.busy() && !s.closed {
			s.settler = ss // for what follows the sync
			s.sync(d)
			s.settler = nil
			s.keep(d) // for those who came meanwhile
		}
	}
	ss.tryWrite()
}

// read is the goroutine that takes requests.
func (ss *session) read() {
	defer ss.s.wg.Done()
	defer ss.end()
	defer func() {
		if r := recover(); r != nil {
			ss.s.o.Log.Error("session panicked", "peer", ss.name, "panic", r, "stack", string(debug.Stack()))
			ss.s.assertWhole(r)
		}
	}()
	for {
		m, ok, err := ss.conn.Next()
		if !ok && err == nil {
			ss.s.mu.Lock()
			ss.settle()
			ss.s.mu.Unlock()
			m, err = ss.next()
		}
		if err != nil {
			ss.explain(err)
			ss.ended(err)
			return
		}
		if !ss.handle(m) {
			return
		}
	}
}

// arm sets the time until which the peer may be silent, and returns it; 0: for
// ever. It is under the mutex, so that a change of the interval is not missed.
func (ss *session) arm(start time.Time) (probe time.Duration, err error) {
	ss.s.mu.Lock()
	defer ss.s.mu.Unlock()
	var deadline time.Time
	if probe = ss.remote.set.probe; probe > 0 {
		deadline = start.Add(probe)
	} else if !ss.armed {
		return 0, nil
	}
	ss.armed = probe > 0
	return probe, ss.nc.SetReadDeadline(deadline)
}

// next reads a message, with probes to a silent peer.
func (ss *session) next() (jsonrpc.Message, error) {
	probed := false
	for {
		before, start := ss.conn.Received(), time.Now()
		probe, err := ss.arm(start)
		if err != nil {
			return jsonrpc.Message{}, err
		}
		m, err := ss.conn.Read()
		switch {
		case !errors.Is(err, os.ErrDeadlineExceeded):
			return m, err
		case ss.conn.Received() != before:
			probed = false
		case probe == 0 || time.Since(start) < probe:
			// The interval was changed: look at it anew.
		case probed:
			return m, errSilent
		default:
			probed = true
			ss.s.mu.Lock()
			ss.send(func(b []byte) []byte { return jsonrpc.AppendRequest(b, []byte(`"echo"`), "echo", []byte("[]")) })
			ss.s.mu.Unlock()
		}
	}
}

var errSilent = errors.New("no answer to the probe")

// ended keeps why the session ends, if nobody killed it.
func (ss *session) ended(err error) {
	ss.s.mu.Lock()
	defer ss.s.mu.Unlock()
	if !ss.dead && ss.why == nil && !errors.Is(err, io.EOF) {
		ss.why = err
	}
}

// explain logs why a session ends. What the peer can provoke is limited.
func (ss *session) explain(err error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		return
	case errors.Is(err, jsonrpc.ErrSyntax), errors.Is(err, jsonrpc.ErrTooBig), errors.Is(err, jsonrpc.ErrMessage):
		ss.s.limitProto.Log(ss.s.o.Log, ss.s.o.Now(), slog.LevelWarn, "received bad JSON-RPC message", "peer", ss.name, "err", err)
	default:
		ss.s.limitProto.Log(ss.s.o.Log, ss.s.o.Now(), slog.LevelInfo, "connection dropped", "peer", ss.name, "err", err)
	}
}

// handle does one message under the mutex. It returns false if the session is
// to end.
func (ss *session) handle(m jsonrpc.Message) bool {
	ss.s.mu.Lock()
	defer ss.s.mu.Unlock()
	if ss.backlog()+ss.held > readStop {
		ss.settle()
	}
	for ss.backlog()+ss.held > readStop && !ss.dead {
		ss.room.Wait()
	}
	if m.Kind == jsonrpc.Request && m.Method == "transact" && ss.s.behind() {
		ss.settle()
		for ss.s.behind() && !ss.s.closed {
			ss.s.idle.Wait()
		}
	}
	if ss.dead {
		return false
	}
	ss.spoke = true
	ss.s.settler = ss
	defer func() { ss.s.settler = nil }()
	switch m.Kind {
	case jsonrpc.Request:
		ss.request(m)
	case jsonrpc.Notification:
		ss.notification(m)
	default:
		if string(m.ID) != `"echo"` {
			ss.explain(errUnasked)
			return false // as stock
		}
	}
	return !ss.dead
}

// assertWhole panics with r if the panic r left a database or what is told of it half
// changed: the process ends, and what starts it again finds all that was answered
// in the log.
func (s *Server) assertWhole(r any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.dbs {
		if s.half || d.Torn() {
			panic(r)
		}
	}
}

var errUnasked = errors.New("reply to no request")

// end removes all that the session has.
func (ss *session) end() {
	ss.s.mu.Lock()
	defer ss.s.mu.Unlock()
	ss.settle()
	if !ss.dead {
		ss.dead = true
		close(ss.gone)
		ss.nc.Close()
		ss.room.Broadcast()
	}
	ss.conn.Release()
	for _, t := range ss.triggers {
		t.drop()
	}
	for name := range ss.locks {
		ss.unlock(name)
	}
	ss.subs, ss.byID, ss.out = nil, nil, nil
	delete(ss.s.sessions, ss)
	ss.remote.left(ss)
	close(ss.done)
}
