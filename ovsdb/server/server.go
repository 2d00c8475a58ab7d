// SPDX-License-Identifier: Apache-2.0

package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/weirswitch/weir/firmware/base/vlog"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/engine"
	"github.com/weirswitch/weir/ovsdb/jsonrpc"
	"github.com/weirswitch/weir/ovsdb/monitor"
	"github.com/weirswitch/weir/ovsdb/vswitch"
)

// Bounds of one session that are not options.
const (
	maxMonitors = 256
	maxTriggers = 256
	maxWaiting  = 1 << 20 // bytes of waiting transactions
	maxLocks    = 256
	readStop    = 64 << 10 // bytes in the send buffer above which requests wait
	writeChunk  = 64 << 10 // bytes that must leave within SendTimeout
)

// Options of a server. Zero values mean the defaults in the comments.
type Options struct {
	Log         *slog.Logger     // nil: slog.DiscardHandler
	Now         func() time.Time // nil: time.Now
	TLS         TLS              // nil: ssl: and pssl: remotes do not open
	MaxSessions int              // 64
	MaxBacklog  int              // bytes in a send buffer: 8 MiB
	MaxPending  int              // rows that wait for a slow session: 65,536
	InputBytes  int64            // incoming messages of all sessions: 32 MiB
	SendTimeout time.Duration    // for 64 kB to leave: 30 s
	Probe       time.Duration    // silence before an echo, on TCP: 5 s; negative: never
}

func (o Options) withDefaults() Options {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	def := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	def(&o.MaxSessions, 64)
	def(&o.MaxBacklog, 8<<20)
	def(&o.MaxPending, 1<<16)
	if o.InputBytes <= 0 {
		o.InputBytes = 32 << 20
	}
	if o.SendTimeout <= 0 {
		o.SendTimeout = 30 * time.Second
	}
	if o.Probe == 0 {
		o.Probe = 5 * time.Second
	}
	return o
}

// Server serves databases. Use [New], [Server.AddDatabase], [Server.AddRemote].
type Server struct {
	o      Options
	id     ovsdb.UUID
	budget *jsonrpc.Budget
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	limitProto, limitFull, limitAccept, limitKill, limitSync vlog.Limit
	limitTLS, limitRemotes, limitStatus                      vlog.Limit
	pokes                                                    chan struct{} // status columns want writing

	mu        sync.Mutex // all below, and everything in sessions but their connection
	idle      *sync.Cond // a log's work is done
	settler   *session   // whose reader holds mu, and will settle
	half      bool       // a commit is being told: a panic must not go unnoticed
	dbs       map[string]*database
	sessions  map[*session]bool
	locks     map[string][]*session // the first owns, the others wait
	names     map[string]bool       // of remotes, as they were added
	columns   []Column              // those of them that are followed, sorted
	remotes   map[string]*remote    // by target
	lastSeq   uint64                // of sessions
	reporting bool                  // the commit is one of status columns
	closed    bool
}

// database is an engine with what hangs on it.
type database struct {
	*engine.DB
	name       string
	journal    Journal // nil: memory only
	history    monitor.History
	triggers   []*trigger // in order of arrival
	watchers   map[int]func(*engine.Commit)
	nextID     int
	waiting    []func(error) // for a sync, with its result
	working    bool          // a sync or the end of a compaction is under way
	compacting bool          // a compaction is
	held       bool          // it wants no sync: it is about to end, or one has failed
	chosen     bool          // a goroutine is about to begin one
	syncTimer  *time.Timer   // nil: not armed
	noCompact  time.Time     // not before
}

// New returns a server with the _Server database and no remotes.
func New(o Options) (*Server, error) {
	o = o.withDefaults()
	s := &Server{o: o, id: ovsdb.NewUUID(rand.Reader), budget: jsonrpc.NewBudget(o.InputBytes),
		dbs: map[string]*database{}, sessions: map[*session]bool{}, locks: map[string][]*session{},
		names: map[string]bool{}, remotes: map[string]*remote{}, pokes: make(chan struct{}, 1)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.idle = sync.NewCond(&s.mu)
	if err := s.AddDatabase(engine.New(vswitch.ServerSchema(), engine.Options{}), nil); err != nil {
		return nil, err
	}
	s.wg.Add(1)
	go s.report()
	return s, nil
}

// serverDB is the name of the database that describes the others.
const serverDB = "_Server"

// AddDatabase serves db under its schema's name. journal is the log that the
// engine writes, or nil. From now on the database belongs to the server.
func (s *Server) AddDatabase(db *engine.DB, journal Journal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := db.Schema().Name
	if s.dbs[name] != nil {
		return fmt.Errorf("add database: there is already one named %s", name)
	}
	d := &database{DB: db, name: name, journal: journal, watchers: map[int]func(*engine.Commit){}}
	s.dbs[name] = d
	sd := s.dbs[serverDB]
	tx := sd.Begin()
	if err := vswitch.SetDatabase(tx, db.Schema()); err != nil {
		return fmt.Errorf("add database %s: %w", name, err)
	}
	c, err := tx.Commit()
	if err != nil {
		return fmt.Errorf("add database %s: %w", name, err)
	}
	s.committed(sd, c)
	return nil
}

// Databases returns the names, sorted.
func (s *Server) Databases() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.dbs))
}

// Snapshot returns a database's contents, nil if there is no such database.
func (s *Server) Snapshot(db string) *engine.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if d := s.dbs[db]; d != nil {
		return d.Snapshot()
	}
	return nil
}

// Watch calls f with each commit to the database, in order, in the goroutine
// that committed and under the server's mutex: f must be short and must not
// call the server; it may keep the commit and its snapshots. stop ends it.
func (s *Server) Watch(db string, f func(*engine.Commit)) (stop func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dbs[db]
	if d == nil {
		return nil, fmt.Errorf("watch %s: no such database", db)
	}
	id := d.nextID
	d.nextID++
	d.watchers[id] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(d.watchers, id)
	}, nil
}

// Update runs f on a transaction and commits it: the way of the process itself,
// without JSON. f runs under the server's mutex, as with Watch. An error of f
// abandons the transaction. The commit is nil if nothing changed. A durable one is
// on the medium when Update returns, or there are both the commit and an error.
func (s *Server) Update(db string, f func(tx *engine.Txn) error) (*engine.Commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.dbs[db]
	if d == nil {
		return nil, fmt.Errorf("update %s: no such database", db)
	}
	tx := d.Begin()
	if err := f(tx); err != nil {
		return nil, fmt.Errorf("update %s: %w", db, err)
	}
	c, err := tx.Commit()
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", db, err)
	}
	if c != nil {
		s.committed(d, c)
		s.retry(d)
		if c.Durable && d.journal != nil {
			s.settled(d)
			if err := s.sync(d); err != nil {
				return c, fmt.Errorf("update %s: %w", db, err)
			}
		}
	}
	return c, nil
}

// committed tells everybody of a commit.
func (s *Server) committed(d *database, c *engine.Commit) {
	s.half = true
	d.history.Add(c)
	for ss := range s.sessions {
		ss.record(d, c)
	}
	for _, f := range d.watchers {
		f(c)
	}
	if !s.reporting && s.concerns(d, c) {
		s.poke()
	}
	s.half = false
	s.keep(d)
}

// Reconnect drops all sessions; active remotes connect again.
func (s *Server) Reconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ss := range s.sessions {
		ss.kill("reconnect requested")
	}
}

// Close ends all sessions and remotes, waits for their goroutines and syncs
// the logs. The engines and journals are the caller's again.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	var errs []error
	for _, r := range s.remotes {
		s.dropRemote(r)
	}
	for ss := range s.sessions {
		ss.kill("server closes")
	}
	for _, d := range s.dbs {
		if d.syncTimer != nil {
			d.syncTimer.Stop()
		}
	}
	s.mu.Unlock()
	s.wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range s.dbs {
		for _, t := range d.triggers {
			t.stop()
		}
		if d.journal != nil {
			s.settled(d)
			if err := s.sync(d); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// start makes a session of a connection that came by r, or refuses it. Those
// that we accept are bounded: a quarter of the places is for unix sockets,
// and who has not said anything yet gives way to who comes later.
func (s *Server) start(nc net.Conn, name string, r *remote) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, local := nc.(*net.UnixConn)
	if s.closed || r.gone {
		nc.Close()
		return nil
	}
	if r.addr.Passive && !s.room(local) {
		s.limitFull.Log(s.o.Log, s.o.Now(), slog.LevelWarn, "too many sessions, connection refused", "peer", name, "max", s.o.MaxSessions)
		nc.Close()
		return nil
	}
	lim := jsonrpc.RemoteLimits()
	if local {
		lim = jsonrpc.DefaultLimits()
	}
	s.lastSeq++
	ss := &session{s: s, remote: r, seq: s.lastSeq, name: name, nc: nc, conn: jsonrpc.NewConn(nc, lim, s.budget), local: local,
		byID: map[string]*subscription{}, triggers: map[string]*trigger{}, locks: map[string]bool{}, stolen: map[string]bool{},
		wake: make(chan struct{}, 1), gone: make(chan struct{}), done: make(chan struct{})}
	ss.room = sync.NewCond(&s.mu)
	if sc, ok := nc.(syscall.Conn); ok {
		ss.raw, _ = sc.SyscallConn()
	}
	s.sessions[ss] = true
	r.joined(ss)
	s.wg.Add(2)
	go ss.write()
	go ss.read()
	return ss
}

// room says whether there is a place for one more session that we accept, after
// making one if it can.
func (s *Server) room(local bool) bool {
	all, far := 0, 0
	for ss := range s.sessions {
		if ss.remote.addr.Passive && !ss.dead {
			all++
			if !ss.local {
				far++
			}
		}
	}
	full, farFull := all >= s.o.MaxSessions, far >= s.o.MaxSessions-s.o.MaxSessions/4
	if !full && (local || !farFull) {
		return true
	}
	silent := oldest(s.sessions, func(ss *session) bool {
		return ss.remote.addr.Passive && !ss.spoke && !ss.dead && (local || !ss.local) // a stranger takes no place of those who are here
	})
	if silent == nil {
		return false
	}
	silent.kill("said nothing, others want its place")
	return true
}

// oldest returns the session that was made first of those that ok says, nil if
// there is none.
func oldest(sessions map[*session]bool, ok func(*session) bool) (first *session) {
	for ss := range sessions {
		if ok(ss) && (first == nil || ss.seq < first.seq) {
			first = ss
		}
	}
	return first
}
