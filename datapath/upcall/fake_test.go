// SPDX-License-Identifier: Apache-2.0

package upcall

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/meter"
	"github.com/weirswitch/weir/datapath/packet"
)

// listDP is a datapath as package dpif describes it, as simple as can be: a list of
// megaflows, in which all that match are compared, for they must agree. It notes what it sends.
type listDP struct {
	mu       sync.Mutex
	flows    []*listFlow
	sent     []sent
	clash    string // two megaflows that match a packet and disagree
	maxFlows int
	refuse   func(dpif.Action) bool // actions that it does not support
	puts     int
	now      func() time.Time
	meters   map[dpif.MeterID]*meter.Meter
	// megaflows that named a meter when it was deleted
	unmetered int
}

type listFlow struct {
	dpif.Flow
	st dpif.FlowStats
}

type sent struct {
	port dpif.Port
	data []byte
}

func (s sent) String() string { return fmt.Sprintf("%d:%x", s.port, s.data) }

var allMask = func() (m flow.Mask) {
	for i := range m {
		m[i] = ^uint64(0)
	}
	return m
}()

func (d *listDP) Features() dpif.Features {
	return dpif.Features{Name: "list", Match: allMask, MaxActions: 1 << 16, MaxFlows: d.maxFlows, MaxMeters: 3, MaxBands: 2}
}

func (d *listDP) clock() time.Duration { return time.Duration(d.now().UnixNano()) }

func (d *listDP) MeterSet(id dpif.MeterID, m *dpif.MeterSpec) error {
	if id > 3 {
		return dpif.ErrFull
	}
	if d.meters == nil {
		d.meters = map[dpif.MeterID]*meter.Meter{}
	}
	d.meters[id] = meter.New(m, d.clock())
	return nil
}

func (d *listDP) MeterDel(id dpif.MeterID) (dpif.MeterStats, error) {
	s, err := d.MeterStats(id)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.flows {
		if slices.ContainsFunc(f.Actions, func(a dpif.Action) bool {
			switch a := a.(type) {
			case dpif.Meter:
				return a.ID == id
			case dpif.Userspace:
				return a.Meter == id
			}
			return false
		}) {
			d.unmetered++
		}
	}
	delete(d.meters, id)
	return s, err
}

func (d *listDP) MeterStats(id dpif.MeterID) (dpif.MeterStats, error) {
	if m := d.meters[id]; m != nil {
		return m.Stats(), nil
	}
	return dpif.MeterStats{}, dpif.ErrNotExist
}

func (d *listDP) MeterPass(id dpif.MeterID, n int) bool {
	m := d.meters[id]
	return m == nil || m.Pass(n, d.clock())
}
func (d *listDP) PortAdd(dpif.Port, dpif.PortSpec) error               { return nil }
func (d *listDP) PortDel(dpif.Port) error                              { return nil }
func (d *listDP) PortStats(dpif.Port) (dpif.PortStats, error)          { return dpif.PortStats{}, nil }
func (d *listDP) Run(ctx context.Context, _ func([]dpif.Upcall)) error { <-ctx.Done(); return nil }
func (d *listDP) Close() error                                         { return nil }

func (d *listDP) find(id dpif.FlowID) int {
	return slices.IndexFunc(d.flows, func(f *listFlow) bool { return f.ID == id })
}

func (d *listDP) FlowPut(f *dpif.Flow) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.puts++
	for _, a := range f.Actions {
		if d.refuse != nil && d.refuse(a) {
			return &dpif.Unsupported{Reason: fmt.Sprintf("%T is not wanted", a)}
		}
	}
	if f.Key != f.Key.Apply(f.Mask) || f.ID == 0 {
		return fmt.Errorf("flow put: key has bits outside the mask, or ID is 0")
	}
	if i := d.find(f.ID); i >= 0 {
		if o := d.flows[i]; o.Key != f.Key || *o.Mask != *f.Mask {
			return fmt.Errorf("flow put: another key")
		}
		d.flows[i].Actions = slices.Clone(f.Actions)
		return nil
	}
	if d.maxFlows != 0 && len(d.flows) >= d.maxFlows {
		return dpif.ErrFull
	}
	c := *f
	c.Actions = slices.Clone(f.Actions)
	d.flows = append(d.flows, &listFlow{Flow: c})
	return nil
}

func (d *listDP) FlowPuts(fs []dpif.Flow, errs []error) {
	for i := range fs {
		errs[i] = d.FlowPut(&fs[i])
	}
}

func (d *listDP) Executes(xs []dpif.Execution) {
	for i := range xs {
		xs[i].Err = d.Execute(xs[i].In, xs[i].Packet, xs[i].Actions)
	}
}

func (d *listDP) FlowDel(id dpif.FlowID) (dpif.FlowStats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	i := d.find(id)
	if i < 0 {
		return dpif.FlowStats{}, dpif.ErrNotExist
	}
	st := d.flows[i].st
	d.flows = slices.Delete(d.flows, i, i+1)
	return st, nil
}

func (d *listDP) FlowStats(id dpif.FlowID) (dpif.FlowStats, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := d.find(id); i >= 0 {
		return d.flows[i].st, nil
	}
	return dpif.FlowStats{}, dpif.ErrNotExist
}

func (d *listDP) FlowDump(yield func(dpif.FlowID, dpif.FlowStats) bool) error {
	d.mu.Lock()
	flows := slices.Clone(d.flows)
	d.mu.Unlock()
	for _, f := range flows {
		d.mu.Lock()
		st := f.st
		d.mu.Unlock()
		if !yield(f.ID, st) {
			break
		}
	}
	return nil
}

// run executes actions; userspace gets what they hand up.
func (d *listDP) run(data []byte, actions []dpif.Action, userspace func(arg uint32, data []byte)) (out []sent) {
	var f packet.Frame
	f.Reset(append(make([]byte, packet.Headroom), data...), packet.Headroom, dpif.GSO{})
	var k flow.Key
	f.Parse(&packet.Meta{}, 2, &k)
	for _, a := range actions {
		switch a := a.(type) {
		case dpif.Output:
			d := f.Data()
			if a.MaxLen != 0 {
				d = d[:min(len(d), int(a.MaxLen))]
			}
			out = append(out, sent{a.Port, bytes.Clone(d)})
		case dpif.PushMPLS:
			f.PushMPLS(a.EthType, a.LSE)
		case dpif.PopMPLS:
			f.PopMPLS(a.EthType)
		case dpif.PushVLAN:
			f.PushVLAN(a.TPID, a.TCI)
		case dpif.PopVLAN:
			f.PopVLAN()
		case dpif.Set:
			f.Set(a.Field, a.Value, a.Mask)
		case dpif.Meter:
			if !d.MeterPass(a.ID, len(f.Data())) {
				return out
			}
		case dpif.Userspace:
			if a.Meter != 0 && !d.MeterPass(a.Meter, len(f.Data())) {
				continue
			}
			userspace(a.Arg, bytes.Clone(f.Data()))
		}
	}
	return out
}

func (d *listDP) Execute(_ dpif.Port, p dpif.Packet, actions []dpif.Action) error {
	out := d.run(p.Data, actions, func(uint32, []byte) { panic("Userspace in Execute") })
	d.mu.Lock()
	d.sent = append(d.sent, out...)
	d.mu.Unlock()
	return nil
}

// sameDone reports whether two lists of actions do the same with a packet. (One may set only the
// bits that differ where the other, which looks at less, sets all.)
func sameDone(data []byte, a, b []dpif.Action) bool {
	done := func(l []dpif.Action) string {
		var up []string
		out := (&listDP{now: time.Now}).run(slices.Clone(data), l, func(_ uint32, p []byte) { up = append(up, string(p)) })
		return fmt.Sprintf("%v %q", out, up)
	}
	return done(a) == done(b)
}

// receive is a packet from the wire.
func (d *listDP) receive(s *Switch, port dpif.Port, data []byte) {
	var k flow.Key
	var l packet.Layers
	packet.Parse(data, &packet.Meta{InPort: uint32(port)}, 2, &k, &l)
	d.mu.Lock()
	var hit *listFlow
	for _, f := range d.flows {
		if !k.EqualUnder(&f.Key, f.Mask) {
			continue
		}
		if hit == nil {
			hit = f
			f.st.Packets++
			f.st.Bytes += uint64(len(data))
			f.st.Used = d.now()
			f.st.TCPFlags |= uint16(k.U64(flow.FieldTCPFlags))
		} else if !slices.Equal(withoutArgs(hit.Actions), withoutArgs(f.Actions)) && !sameDone(data, hit.Actions, f.Actions) {
			d.clash = fmt.Sprintf("flows %d %v and %d %v", hit.ID, hit.Actions, f.ID, f.Actions)
		}
	}
	if hit == nil {
		d.mu.Unlock()
		s.Upcalls([]dpif.Upcall{{InPort: port, Packet: dpif.Packet{Data: data}}})
		return
	}
	actions, id := hit.Actions, hit.ID
	d.mu.Unlock()
	out := d.run(data, actions, func(arg uint32, data []byte) {
		s.Upcalls([]dpif.Upcall{{InPort: port, Reason: dpif.ReasonAction, Flow: id, Arg: arg, Packet: dpif.Packet{Data: data}}})
	})
	d.mu.Lock()
	d.sent = append(d.sent, out...)
	d.mu.Unlock()
}

func withoutArgs(l []dpif.Action) []dpif.Action {
	l = slices.Clone(l)
	for i, a := range l {
		if _, ok := a.(dpif.Userspace); ok {
			l[i] = dpif.Userspace{}
		}
	}
	return l
}

func (d *listDP) take() (out []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.sent {
		out = append(out, s.String())
	}
	d.sent = nil
	return out
}

// frame makes a UDP packet, with a tag if tci is not 0.
func frame(dst, src uint64, tci uint16, ipSrc, ipDst uint32, sport, dport uint16) []byte {
	b := make([]byte, 0, 64)
	mac := func(m uint64) { b = append(b, byte(m>>40), byte(m>>32), byte(m>>24), byte(m>>16), byte(m>>8), byte(m)) }
	mac(dst)
	mac(src)
	if tci != 0 {
		b = binary.BigEndian.AppendUint16(b, 0x8100)
		b = binary.BigEndian.AppendUint16(b, tci)
	}
	b = binary.BigEndian.AppendUint16(b, 0x0800)
	ip := len(b)
	b = append(b, 0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0)
	b = binary.BigEndian.AppendUint32(b, ipSrc)
	b = binary.BigEndian.AppendUint32(b, ipDst)
	sum := uint32(0)
	for i := ip; i < ip+20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[ip+10:], ^uint16(sum))
	b = binary.BigEndian.AppendUint16(b, sport)
	b = binary.BigEndian.AppendUint16(b, dport)
	return append(b, 0, 12, 0, 0, 1, 2, 3, 4)
}

// nullDP keeps counters only: for measurements.
type nullDP struct {
	listDP
	n map[dpif.FlowID]bool
}

func (d *nullDP) FlowPut(f *dpif.Flow) error {
	d.mu.Lock()
	d.n[f.ID] = true
	d.mu.Unlock()
	return nil
}
func (d *nullDP) FlowDel(id dpif.FlowID) (dpif.FlowStats, error) {
	d.mu.Lock()
	delete(d.n, id)
	d.mu.Unlock()
	return dpif.FlowStats{}, nil
}
func (d *nullDP) FlowStats(dpif.FlowID) (dpif.FlowStats, error) { return dpif.FlowStats{}, nil }
func (d *nullDP) FlowDump(yield func(dpif.FlowID, dpif.FlowStats) bool) error {
	for id := range d.n {
		if !yield(id, dpif.FlowStats{}) {
			break
		}
	}
	return nil
}
func (d *nullDP) Execute(dpif.Port, dpif.Packet, []dpif.Action) error { return nil }
