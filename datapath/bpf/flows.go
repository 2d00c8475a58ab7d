// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"
	"slices"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/flow"
)

// flowTable is the table of megaflows in the maps. Numbers of flows are given
// out by flows, those of chunks by chunks.
type flowTable struct {
	m        *maps
	masks    *masks
	byID     map[dpif.FlowID]uint32
	at       []flowUse // by number
	flows    pool
	chunks   pool
	programs programs
	// Scratch.
	stats []cFlowStats // of one flow, by CPU
	text  []byte
	fresh []newFlow
	keys  []uint32
	recs  []cFlow
	zeros []cFlowStats
	upd   *updater
}

// newFlow is a flow that is being added.
type newFlow struct {
	at   int // in the list that puts was called with
	i    uint32
	hash uint64
	rec  cFlow
	err  error // of the writing
}

type flowUse struct {
	id   dpif.FlowID // 0: not in use
	hash uint64
	act  uint32 // first chunk
	mask uint32
}

func newFlowTable(m *maps, ms *masks) (*flowTable, error) {
	t := &flowTable{
		m: m, masks: ms, byID: make(map[dpif.FlowID]uint32),
		programs: newPrograms(), stats: make([]cFlowStats, m.lim.cpus), upd: new(updater),
	}
	t.flows.size, t.chunks.size = m.flows.len(), m.chunk.len()
	t.at = make([]flowUse, t.flows.size)
	t.chunks.get() // missChunk
	miss := cChunk{Op: [chunkOps]cOp{{Code: opUpcall, Val: uint64(dpif.ReasonMiss) << 32}, {Code: opEnd}}}
	if err := m.chunk.put(missChunk, &miss); err != nil {
		return nil, fmt.Errorf("write operations for misses: %w", err)
	}
	return t, nil
}

// reclaim waits for a grace period and frees what is held. Counters of flows that nobody counts at
// any more begin anew here, many with one system call.
func (t *flowTable) reclaim() error {
	if err := t.m.barrier(); err != nil {
		return err
	}
	if err := t.zero(t.flows.held); err != nil {
		return fmt.Errorf("clear counters: %w", err)
	}
	t.flows.release()
	t.chunks.release()
	t.masks.dirty = false
	return nil
}

// zero clears the counters of flows.
func (t *flowTable) zero(flows []uint32) error {
	if len(flows) > 0 && t.zeros == nil {
		t.zeros = make([]cFlowStats, segLen*t.m.lim.cpus)
	}
	sorted := slices.Sorted(slices.Values(flows))
	for len(sorted) > 0 {
		seg := sorted[0] >> segShift
		t.keys = t.keys[:0]
		for len(sorted) > 0 && sorted[0]>>segShift == seg {
			t.keys = append(t.keys, sorted[0]&(segLen-1))
			sorted = sorted[1:]
		}
		if t.upd.putAll(t.m.fstats.maps[seg], t.keys, unsafe.Pointer(&t.zeros[0])) == nil {
			continue
		}
		for _, k := range t.keys {
			if err := t.m.fstats.put(seg<<segShift+k, t.zeros[:t.m.lim.cpus]); err != nil {
				return err
			}
		}
	}
	return nil
}

// worthWaiting is how many numbers are held before a grace period is waited for.
const worthWaiting = 4 * segLen

// number takes a number from p, whose values are in the tables ss. It waits for a grace
// period if that frees many, or if the tables cannot grow.
func (t *flowTable) number(p *pool, ss ...*segments) (uint32, error) {
	i, ok := p.get()
	if ok {
		return i, nil
	}
	full := p.size == ss[0].max()
	if len(p.held) >= worthWaiting || full && len(p.held) > 0 {
		if err := t.reclaim(); err != nil {
			return 0, err
		}
		i, _ = p.get()
		return i, nil
	}
	if full {
		return 0, fmt.Errorf("%d entries: %w", p.size, dpif.ErrFull)
	}
	for _, s := range ss {
		if s.len() > p.size { // an earlier attempt failed half way
			continue
		}
		if err := s.grow(); err != nil {
			return 0, err
		}
	}
	p.size = ss[0].len()
	for _, s := range ss[1:] {
		p.size = min(p.size, s.len())
	}
	i, _ = p.get()
	return i, nil
}

// puts adds each of fs, or replaces the actions of the one with its ID. Records are written with one system call for each segment
// that they are in.
func (t *flowTable) puts(fs []dpif.Flow, errs []error, can *flow.Mask) {
	for at := range fs {
		same := func(n newFlow) bool { return n.rec.ID == uint64(fs[at].ID) }
		if slices.ContainsFunc(t.fresh, same) {
			t.commit(errs)
		}
		errs[at] = t.prepare(&fs[at], at, can)
	}
	t.commit(errs)
}

// commit brings what was prepared into force.
func (t *flowTable) commit(errs []error) {
	for l := t.fresh; len(l) > 0; {
		n := 1
		for n < len(l) && l[n].i>>segShift == l[0].i>>segShift {
			n++
		}
		t.write(l[:n])
		l = l[n:]
	}
	for k := range t.fresh {
		n := &t.fresh[k]
		if err := t.enter(n); err != nil {
			t.flows.put(n.i)
			t.release(n.rec.Act)
			errs[n.at] = errors.Join(err, t.masks.put(n.rec.Mask))
		}
	}
	t.fresh = t.fresh[:0]
}

// write writes the records of flows in one segment.
func (t *flowTable) write(l []newFlow) {
	t.keys, t.recs = t.keys[:0], t.recs[:0]
	for k := range l {
		t.keys = append(t.keys, l[k].i&(segLen-1))
		t.recs = append(t.recs, l[k].rec)
	}
	if len(l) > 1 && t.upd.putAll(t.m.flows.maps[l[0].i>>segShift], t.keys, unsafe.Pointer(&t.recs[0])) == nil {
		return
	}
	for k := range l {
		l[k].err = t.m.flows.put(l[k].i, &l[k].rec)
	}
}

// enter brings a flow whose record is written into the index.
func (t *flowTable) enter(n *newFlow) error {
	if n.err != nil {
		return n.err
	}
	err := t.upd.put(t.m.index, n.hash, uint64(n.i), ebpf.UpdateNoExist)
	switch {
	case errors.Is(err, ebpf.ErrKeyExist):
		return fmt.Errorf("another flow has the same key and mask: %w", dpif.ErrExist)
	case errors.Is(err, unix.E2BIG):
		return fmt.Errorf("index: %w", dpif.ErrFull)
	case err != nil:
		return err
	}
	id := dpif.FlowID(n.rec.ID)
	t.at[n.i] = flowUse{id: id, hash: n.hash, act: n.rec.Act, mask: n.rec.Mask}
	t.byID[id] = n.i
	return nil
}

// prepare replaces the actions of f if it is there, else it reserves what f needs and appends it
// to t.fresh.
func (t *flowTable) prepare(f *dpif.Flow, at int, can *flow.Mask) error {
	if f.ID == 0 || f.Mask == nil {
		return errors.New("flow without ID or mask")
	}
	if err := checkMask(f.Mask, can); err != nil {
		return err
	}
	if f.Key != f.Key.Apply(f.Mask) {
		return errors.New("the key has bits outside of the mask")
	}
	ops, err := compile(f)
	if err != nil {
		return err
	}
	words := toC((*[flow.Words]uint64)(f.Mask))
	key := toC((*[flow.Words]uint64)(&f.Key)).and(&words)
	if i, ok := t.byID[f.ID]; ok {
		return t.replace(i, &words, &key, ops)
	}
	if n := len(t.byID) + len(t.fresh); n >= t.m.lim.flows {
		return fmt.Errorf("%d flows: %w", n, dpif.ErrFull)
	}
	mask, err := t.masks.get(words)
	if err != nil {
		return err
	}
	i, err := t.number(&t.flows, &t.m.flows, &t.m.fstats)
	if err != nil {
		return errors.Join(fmt.Errorf("flows: %w", err), t.masks.put(mask))
	}
	for int(i) >= len(t.at) {
		t.at = append(t.at, make([]flowUse, segLen)...)
	}
	act, err := t.program(ops)
	if err != nil {
		t.flows.put(i)
		return errors.Join(err, t.masks.put(mask))
	}
	t.fresh = append(t.fresh, newFlow{
		at: at, i: i, hash: t.masks.mask(mask).hash(&key),
		rec: cFlow{Key: key, ID: uint64(f.ID), Act: act, Mask: mask},
	})
	return nil
}

// replace gives flow i other operations.
func (t *flowTable) replace(i uint32, words, key *cKey, ops []cOp) error {
	u := &t.at[i]
	// The hash, of 64 bits and with a seed that nobody knows, stands for the key.
	m := t.masks.mask(u.mask)
	if m.Word != *words || m.hash(key) != u.hash {
		return fmt.Errorf("its key or mask is another than before: %w", dpif.ErrExist)
	}
	act, err := t.program(ops)
	if err != nil {
		return err
	}
	if act == u.act {
		t.release(act) // the same operations; f had them already
		return nil
	}
	if err := t.m.flows.put(i, &cFlow{Key: *key, ID: uint64(u.id), Act: act, Mask: u.mask}); err != nil {
		t.release(act)
		return err
	}
	t.release(u.act)
	u.act = act
	return nil
}

// del removes a flow and returns its counters.
func (t *flowTable) del(id dpif.FlowID, clock clock) (dpif.FlowStats, error) {
	i, ok := t.byID[id]
	if !ok {
		return dpif.FlowStats{}, dpif.ErrNotExist
	}
	u := t.at[i]
	if err := t.m.index.Delete(u.hash); err != nil {
		return dpif.FlowStats{}, err
	}
	st, err := t.read(i, clock)
	delete(t.byID, id)
	t.at[i] = flowUse{}
	t.flows.put(i)
	t.release(u.act)
	return st, errors.Join(err, t.masks.put(u.mask))
}

func (t *flowTable) read(i uint32, clock clock) (dpif.FlowStats, error) {
	if err := t.m.fstats.get(i, &t.stats); err != nil {
		return dpif.FlowStats{}, fmt.Errorf("read counters: %w", err)
	}
	return sumStats(t.stats, clock), nil
}

// dump calls add for the flows whose numbers are in segment seg.
func (t *flowTable) dump(seg int, clock clock, add func(id dpif.FlowID, mask uint32, s dpif.FlowStats)) error {
	for i, u := range t.at[seg*segLen : (seg+1)*segLen] {
		if u.id == 0 {
			continue
		}
		st, err := t.read(uint32(seg*segLen+i), clock)
		if err != nil {
			return err
		}
		add(u.id, u.mask, st)
	}
	return nil
}

// clock relates CLOCK_MONOTONIC, in which the program counts, to the time of day.
type clock struct {
	mono int64 // ns
	now  time.Time
}

func (c clock) at(mono uint64) time.Time {
	if mono == 0 {
		return time.Time{}
	}
	return c.now.Add(time.Duration(int64(mono) - c.mono))
}

func readClock() clock {
	var ts unix.Timespec
	unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot fail with this clock
	return clock{mono: ts.Nano(), now: time.Now()}
}

// sumStats adds the CPUs' counters.
func sumStats(cpus []cFlowStats, c clock) (s dpif.FlowStats) {
	var used uint64
	for _, p := range cpus {
		s.Packets += p.Packets
		s.Bytes += p.Bytes
		s.TCPFlags |= uint16(p.Flags)
		used = max(used, p.Used)
	}
	s.Used = c.at(used)
	return s
}
