// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/weirswitch/weir/datapath/ofconn"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/upcall"
	"github.com/weirswitch/weir/firmware/base/stream"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
	"github.com/weirswitch/weir/ovsdb"
)

// bridges holds the OpenFlow connections of all bridges. Only the reconciler
// changes it; connections look bridges up by name.
type bridges struct {
	ctx       context.Context
	cfg       Config
	log       *slog.Logger
	tls       ofconn.TLS // nil: ssl: and pssl: targets do not open
	kick      func()
	noSockets bool // a test that needs none

	mu  sync.RWMutex // guards all; never held while something is closed
	all map[string]*ofBridge
}

// ofBridge is a bridge as its OpenFlow connections see it: the ofconn.Handler.
type ofBridge struct {
	name   string
	cfg    Config
	kick   func()
	tier   atomic.Pointer[tier] // that serves it now
	nextID atomic.Uint64
	ids    sync.Map // *ofconn.Conn -> uint64

	// The reconciler's.
	sw       *ofconn.Switch
	versions ofp.Versions
	doors    map[string]*ofconn.Listener // mgmt and snoop, by their targets
	remotes  map[ovsdb.UUID]*ofRemote
}

// ofRemote is a Controller row that is served.
type ofRemote struct {
	want     wanted.Controller
	active   *ofconn.Controller
	listener *ofconn.Listener
	made     time.Time
	err      string // why neither is there
}

func newBridges(ctx context.Context, cfg Config, tls ofconn.TLS, kick func()) *bridges {
	return &bridges{ctx: ctx, cfg: cfg, tls: tls, log: cfg.Log.Logger("connmgr"), kick: kick, all: map[string]*ofBridge{}}
}

// Connected implements ofconn.Handler.
func (b *ofBridge) Connected(c *ofconn.Conn) {
	b.ids.Store(c, b.nextID.Add(1))
	b.changed()
}

// Disconnected implements ofconn.Handler.
func (b *ofBridge) Disconnected(c *ofconn.Conn, _ error) {
	if id, ok := b.ids.LoadAndDelete(c); ok {
		if t := b.tier.Load(); t != nil {
			t.sw.ForgetConn(b.name, id.(uint64))
		}
	}
	b.changed()
}

// statusLag is how long a controller's status may take to follow its
// connection.
const statusLag = 100 * time.Millisecond

// changed makes the reconciler look at the controllers, now and when their
// status has followed.
func (b *ofBridge) changed() {
	b.kick()
	time.AfterFunc(statusLag, b.kick)
}

// Handle implements ofconn.Handler: the tier that serves the bridge answers.
func (b *ofBridge) Handle(c *ofconn.Conn, r *ofconn.Request) {
	t := b.tier.Load()
	if t == nil {
		c.Close(errors.New("the bridge has no datapath"))
		return
	}
	if m, ok := r.Msg.(*openflow.FlowStatsRequest); ok { // may be long: not all of it at a time
		if err := t.sw.FlowStats(b.name, m, b.cfg.Now(), func(p *openflow.FlowStatsReply) { c.Reply(r, p) }); err != nil {
			c.Reply(r, &openflow.Error{Kind: ofp.KindOf(err)})
		}
		return
	}
	id, _ := b.ids.Load(c)
	n, _ := id.(uint64)
	replies := t.sw.Handle(b.name, ofproto.ConnInfo{ID: n, Version: c.Version(), XID: r.XID}, r.Msg, b.cfg.Now())
	for _, m := range replies {
		if g, ok := m.(*openflow.GetConfigReply); ok {
			g.MissSendLen = c.MissSendLen()
		}
	}
	c.Reply(r, replies...)
	switch r.Msg.(type) {
	case *openflow.PortMod, *openflow.Bundle:
		b.kick()
	}
}

// async hands a message to the controllers of its bridge.
func (b *bridges) async(a upcall.Async) {
	b.mu.RLock()
	br := b.all[a.Bridge]
	b.mu.RUnlock()
	if br == nil || br.sw == nil {
		return
	}
	if p, ok := a.Msg.(*openflow.PacketIn); ok {
		br.sw.SendPacketIn(p, a.Controller, int(a.MaxLen))
		return
	}
	br.sw.SendAsync(a.Msg)
}

// monitor hands a connection what its flow monitors tell.
func (b *bridges) monitor(bridge string, conn uint64, raw []byte) (queued int) {
	b.mu.RLock()
	br := b.all[bridge]
	b.mu.RUnlock()
	if br == nil {
		return 0
	}
	br.ids.Range(func(c, id any) bool {
		if id != conn {
			return true
		}
		queued = c.(*ofconn.Conn).SendRaw(raw)
		return false
	})
	return queued
}

// set makes listeners and controller connections what the plan says.
func (b *bridges) set(plan *wanted.Plan, tiers map[wanted.Kind]*tier, now time.Time) {
	if b.noSockets {
		return
	}
	want := map[string]*wanted.BridgeState{}
	for i := range plan.Bridges {
		want[plan.Bridges[i].Name] = &plan.Bridges[i]
	}
	for _, name := range slices.Sorted(maps.Keys(b.all)) {
		// Connections negotiated a version: another set of these begins anew.
		if w := want[name]; w == nil || b.all[name].versions != versions(w.Protocols) {
			b.remove(name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		br := b.all[name]
		if br == nil {
			br = b.add(want[name])
		}
		br.tier.Store(tiers[want[name].Kind])
		b.listen(br)
		b.serve(br, want[name].Controllers, now)
	}
}

// versions returns the set that Bridge:protocols names; 0: all.
func versions(protocols []string) (set ofp.Versions) {
	for _, p := range protocols {
		if v, ok := ofp.ParseVersion(p); ok {
			set |= ofp.VersionSet(v)
		}
	}
	return set
}

func (b *bridges) add(w *wanted.BridgeState) *ofBridge {
	br := &ofBridge{
		name: w.Name, cfg: b.cfg, kick: b.kick, versions: versions(w.Protocols),
		doors: map[string]*ofconn.Listener{}, remotes: map[ovsdb.UUID]*ofRemote{},
	}
	br.sw = ofconn.New(br, ofconn.Options{Check: ofproto.Check, Versions: br.versions, Log: b.log.With("bridge", w.Name), Now: b.cfg.Now, TLS: b.tls})
	b.mu.Lock()
	b.all[w.Name] = br
	b.mu.Unlock()
	return br
}

func (b *bridges) remove(name string) {
	br := b.all[name]
	b.mu.Lock()
	delete(b.all, name)
	b.mu.Unlock()
	br.sw.Close()
}

// listen opens the two sockets that every bridge has, where ovs-ofctl looks.
func (b *bridges) listen(br *ofBridge) {
	for suffix, kind := range map[string]ofconn.Kind{".mgmt": ofconn.Service, ".snoop": ofconn.Snoop} {
		target := "punix:" + filepath.Join(b.cfg.RunDir, br.name+suffix)
		if br.doors[target] != nil {
			continue
		}
		l, err := br.sw.Listen(kind, target)
		if err != nil {
			b.log.Error("no OpenFlow socket", "bridge", br.name, "err", err)
			continue
		}
		br.doors[target] = l
	}
}

// serve connects to the controllers of a bridge and listens for those that come.
func (b *bridges) serve(br *ofBridge, want []wanted.Controller, now time.Time) {
	keep := map[ovsdb.UUID]bool{}
	for _, w := range want {
		keep[w.ID] = true
		if r := br.remotes[w.ID]; r != nil && r.want != w {
			r.close()
			delete(br.remotes, w.ID)
		}
	}
	for id, r := range br.remotes {
		if !keep[id] {
			r.close()
			delete(br.remotes, id)
		}
	}
	for _, w := range want {
		r := br.remotes[w.ID]
		if r == nil {
			r = &ofRemote{want: w, made: now}
			br.remotes[w.ID] = r
		}
		if r.active != nil || r.listener != nil {
			continue
		}
		terms := ofconn.Terms{PacketIns: ofconn.PacketInLimits{Rate: w.Rate, Burst: w.Burst, Queue: w.Queue}, NoAsync: w.NoAsync}
		err := allowed(w.Target, b.cfg.RunDir, br.name)
		switch {
		case err != nil:
		case w.Service:
			r.listener, err = br.sw.ListenOn(ofconn.Service, w.Target, terms)
		default:
			r.active, err = br.sw.Connect(w.Target, ofconn.ControllerOptions{MaxBackoff: w.MaxBackoff, Probe: w.Probe, Terms: terms})
		}
		if err == nil {
			r.err = ""
		} else if r.err != err.Error() {
			r.err = err.Error()
			b.log.Warn("controller", "bridge", br.name, "target", w.Target, "err", err)
		}
	}
}

// allowed refuses unix sockets that a writer of the database must not choose:
// one to listen on other than <rundir>/<bridge>.controller could overwrite
// files, one to connect to outside the run directory could talk to other
// daemons. Stock has the same rule.
func allowed(target, rundir, bridge string) error {
	a, err := stream.Parse(target, ofconn.DefaultPort)
	if err != nil || a.Path == "" {
		return nil // whoever opens it says what is wrong
	}
	path := filepath.Clean(a.Path)
	if own := filepath.Join(rundir, bridge+".controller"); a.Passive && path != own {
		return fmt.Errorf("listening on %s is not allowed, only on punix:%s", target, own)
	}
	if dir := filepath.Clean(rundir); !a.Passive && filepath.Dir(path) != dir {
		return fmt.Errorf("connecting to %s is not allowed, only to sockets in %s", target, dir)
	}
	return nil
}

func (r *ofRemote) close() {
	if r.active != nil {
		r.active.Close()
	}
	if r.listener != nil {
		r.listener.Close()
	}
}

// controls says what controllers mean for the tables of each bridge of a plan,
// and makes a run at the time when that changes by itself.
func (b *bridges) controls(plan *wanted.Plan, now time.Time) map[string]control {
	all := map[string]control{}
	for i := range plan.Bridges {
		w := &plan.Bridges[i]
		var c control
		var links []controllerLink
		br := b.all[w.Name]
		for _, wc := range w.Controllers {
			if wc.Service {
				continue
			}
			c.primary = true
			l := controllerLink{silent: now, probe: wc.Probe}
			if br != nil && br.remotes[wc.ID] != nil {
				l.silent = br.remotes[wc.ID].silentSince(now)
			}
			links = append(links, l)
		}
		if !w.Secure {
			var next time.Time
			if c.failOpen, next = takeover(links, now); !next.IsZero() {
				time.AfterFunc(next.Sub(now)+time.Millisecond, b.kick)
			}
		}
		if br != nil {
			for _, conn := range br.sw.Conns() {
				c.oldMiss = c.oldMiss || conn.Kind == ofconn.Primary && conn.Version() < ofp.V13
			}
		}
		all[w.Name] = c
	}
	return all
}

// silentSince returns when the connection was lost, zero if it is there.
func (r *ofRemote) silentSince(now time.Time) time.Time {
	if r.active == nil {
		return r.made
	}
	s := r.active.Status()
	switch {
	case s.Connected:
		return time.Time{}
	case s.SinceConnect >= 0 && s.SinceDisconnect >= 0:
		return now.Add(-s.SinceDisconnect)
	}
	return r.made // it never was connected
}

// status returns the state of every Controller row.
func (b *bridges) status(now time.Time) []wanted.ControllerStatus {
	var list []wanted.ControllerStatus
	for _, name := range slices.Sorted(maps.Keys(b.all)) {
		for id, r := range b.all[name].remotes {
			s := wanted.ControllerStatus{ID: id, SinceConnect: -1, SinceDisconnect: -1}
			switch {
			case r.err != "":
				s.State, s.LastError = "VOID", r.err
			case r.active != nil:
				r.fill(&s)
			}
			list = append(list, s)
		}
	}
	return list
}

func (r *ofRemote) fill(s *wanted.ControllerStatus) {
	st := r.active.Status()
	s.Connected, s.State = st.Connected, st.State.String()
	if st.LastError != nil {
		s.LastError = lastError(st.LastError)
	}
	if st.SinceConnect >= 0 {
		s.SinceConnect = int64(st.SinceConnect / time.Second)
	}
	if st.SinceDisconnect >= 0 {
		s.SinceDisconnect = int64(st.SinceDisconnect / time.Second)
	}
	if !st.Connected {
		return
	}
	s.Role = "other"
	if c := r.active.Conn(); c != nil {
		switch c.Role() {
		case openflow.RolePrimary:
			s.Role = "master" // the words of the schema
		case openflow.RoleSecondary:
			s.Role = "slave"
		}
	}
}

// lastError is err in the words of stock's status columns: those of the C library.
func lastError(err error) string {
	var no syscall.Errno
	switch {
	case errors.Is(err, io.EOF):
		return "End of file"
	case errors.As(err, &no):
		text := no.Error()
		return strings.ToUpper(text[:1]) + text[1:]
	}
	return reason(err)
}

// close ends all connections.
func (b *bridges) close() error {
	for _, name := range slices.Sorted(maps.Keys(b.all)) {
		b.remove(name)
	}
	return nil
}
