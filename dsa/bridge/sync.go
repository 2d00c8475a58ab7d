// SPDX-License-Identifier: Apache-2.0

package bridge

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weirswitch/weir/dsa/nlerr"
	"github.com/weirswitch/weir/firmware/base/order"
)

// Device is the kernel, or a model of it.
type Device interface {
	// Read returns what there is, of the devices that are in the caller's scope.
	Read() (State, error)
	// Apply does one operation. note is what the driver said although it
	// agreed. Errors are classified by nlerr.Classify.
	Apply(Op) (note string, err error)
}

const (
	// RetryRefused is how long an operation that the driver cannot do is not
	// tried again.
	RetryRefused = time.Minute
	// rounds bounds how often Sync reads and plans again because the ground
	// moved: a port vanished, an answer was lost, another program wrote.
	rounds    = 5
	readTries = 3
)

// Syncer brings a Device to what is wanted, again and again, and remembers
// what cannot be read back: refusals, and what drivers said on joining. It is
// for one goroutine.
type Syncer struct {
	refused map[string]refusal
	notes   map[string]note // by port
}

type refusal struct {
	Failure
	when time.Time
}

type note struct{ master, text string }

// Failure is an operation that was not done.
type Failure struct {
	Op    Op
	Class nlerr.Class
	Text  string // the whole error
}

// Result is what Sync did, and what is left.
type Result struct {
	Applied []Op
	Failed  []Failure
	Held    []Op // given up for this time, because a failed one would have had to take away before
	// Demote are ports for which the kernel or chip refuses what is wanted:
	// without them (State.Without) the rest of their bridge can go on.
	Demote []string
	// Reasons say what is wanted, was accepted, and is not in the chip.
	Reasons []Reason
	// Again says that trying again soon can help.
	Again bool
	Have  State // as last read
}

// Done says that all is as wanted.
func (r *Result) Done() bool { return len(r.Failed) == 0 && len(r.Held) == 0 && !r.Again }

// Sync reads, plans and applies until there is nothing to do or no more can be
// done. new must pass Check. An error is that of reading, and nothing is known
// then.
func (s *Syncer) Sync(dev Device, want State, now time.Time) (*Result, error) {
	if s.refused == nil {
		s.refused, s.notes = map[string]refusal{}, map[string]note{}
	}
	if err := want.Check(); err != nil {
		return nil, fmt.Errorf("wanted bridges: %w", err)
	}
	for k, r := range s.refused {
		if now.Sub(r.when) >= RetryRefused {
			delete(s.refused, k)
		}
	}
	var applied []Op
	for range rounds {
		have, err := read(dev)
		if err != nil {
			return nil, err
		}
		r := &Result{Applied: applied, Have: have}
		there := s.missing(r, have, want)
		moved := s.apply(dev, r, Plan(have, there), now)
		applied = r.Applied
		if moved {
			continue
		}
		if r.Have, err = read(dev); err != nil {
			return nil, err
		}
		// What did not fail and is still to do: another program writes, too.
		if len(r.Failed) == 0 && len(Plan(r.Have, there)) > 0 {
			continue
		}
		s.finish(r)
		return r, nil
	}
	have, err := read(dev)
	if err != nil {
		return nil, err
	}
	r := &Result{Applied: applied, Have: have, Again: true}
	s.finish(r)
	return r, nil
}

// Forget makes the next Sync try again what was refused for a device.
func (s *Syncer) Forget(device string) {
	for k, r := range s.refused {
		if r.Op.Device() == device {
			delete(s.refused, k)
		}
	}
}

func read(dev Device) (State, error) {
	var err error
	for range readTries {
		var have State
		if have, err = dev.Read(); err == nil {
			have.Sort()
			return have, nil
		}
		if c := nlerr.Classify(err); c != nlerr.Lost && c != nlerr.Gone {
			break
		}
	}
	return State{}, fmt.Errorf("read bridges: %w", err)
}

// missing drops the wanted ports that are not there.
func (s *Syncer) missing(r *Result, have, want State) State {
	var gone []string
	for _, p := range want.Ports {
		if have.PortByName(p.Name) == nil && want.lag(p.Name) == nil && !want.leg(p.Name) {
			gone = append(gone, p.Name)
			r.Reasons = append(r.Reasons, Reason{Object: p.Name, Device: p.Name, Text: "no such device"})
		}
	}
	if gone == nil {
		return want
	}
	want = want.Without(gone...)
	want.Ports = slices.DeleteFunc(want.Ports, func(p Port) bool { return slices.Contains(gone, p.Name) })
	return want
}

// apply carries out the steps. moved says that what was read no longer holds.
func (s *Syncer) apply(dev Device, r *Result, steps []Step, now time.Time) (moved bool) {
	held := map[string]bool{}    // bridges on which nothing may be given
	stopped := map[string]bool{} // ports that are not where the plan has them
	for _, st := range steps {
		if st.Gives && held[st.Bridge] || stopped[st.Op.Device()] {
			r.Held = append(r.Held, st.Op)
			if _, leaves := st.Op.(SetMaster); leaves {
				stopped[st.Op.Device()] = true
			}
			if st.Holds {
				held[st.Bridge] = true
			}
			continue
		}
		key := st.Op.String()
		var fail Failure
		if old, ok := s.refused[key]; ok {
			if st.Soft {
				continue
			}
			fail = old.Failure
		} else {
			text, err := dev.Apply(st.Op)
			class := nlerr.Classify(err)
			if class == nlerr.None || absent(st.Op, class) || present(st.Op, class) {
				r.Applied = append(r.Applied, st.Op)
				if m, ok := st.Op.(SetMaster); ok {
					s.notes[m.Port] = note{m.Master, text}
				}
				continue
			}
			failed := slices.ContainsFunc(r.Failed, func(f Failure) bool { return f.Op.Device() == st.Op.Device() })
			if displaced(dev, st, !failed) { // a VLAN that failed to come was not taken away
				return true
			}
			fail = Failure{Op: st.Op, Class: class, Text: err.Error()}
			if st.Soft && (class == nlerr.NotSupported || class == nlerr.Invalid) {
				s.refused[key] = refusal{fail, now}
				continue
			}
			switch class {
			case nlerr.Gone, nlerr.Absent, nlerr.Timeout, nlerr.Lost, nlerr.Exists:
				return true // what we know is old
			case nlerr.Busy, nlerr.NoSpace:
				r.Again = true
			default:
				s.refused[key] = refusal{fail, now}
			}
		}
		r.Failed = append(r.Failed, fail)
		if st.Holds || st.Soft {
			held[st.Bridge] = true
			if _, moves := st.Op.(SetMaster); moves {
				stopped[st.Op.Device()] = true
			}
		}
		if fail.Class != nlerr.Busy && st.Bridge != "" && st.Op.Device() != st.Bridge && !slices.Contains(r.Demote, st.Op.Device()) {
			r.Demote = append(r.Demote, st.Op.Device())
		}
	}
	return false
}

// displaced says that the port which an operation was about is not in its bridge or VLAN any more: somebody else
// has taken it out (of a VLAN: if these are looked at). The kernel says then what drivers say, "not supported" or "invalid", and asking again is not useless.
func displaced(dev Device, st Step, vlans bool) bool {
	if st.Bridge == "" || st.Op.Device() == st.Bridge {
		return false
	}
	var vid uint16
	switch o := st.Op.(type) {
	case AddVLAN, DelVLAN, SetFlag, SetSTP, SetMST, FlushFDB, AddMDB, DelMDB:
	case SetFDB:
		vid = o.Entry.VID
	case DelFDB:
		vid = o.Entry.VID
	default:
		return false
	}
	have, err := read(dev)
	if err != nil {
		return true
	}
	p := have.PortByName(st.Op.Device())
	if p == nil || p.Master != st.Bridge {
		return true
	}
	_, in := VLANOf(p.VLANs, vid)
	return vlans && vid != 0 && !in
}

// absent says that what was to be taken away was not there.
func absent(o Op, c nlerr.Class) bool {
	switch o.(type) {
	case DelVLAN, DelFDB, DelMDB, DelMirror, DelPolice, DelQdisc, FlushFDB:
		return c == nlerr.Absent
	case DelLink:
		return c == nlerr.Gone
	}
	return false
}

// present says that what was to be added was there.
func present(o Op, c nlerr.Class) bool {
	_, ok := o.(AddMDB)
	return ok && c == nlerr.Exists
}

// finish says what is not in the chip although nothing failed.
func (s *Syncer) finish(r *Result) {
	for port, n := range s.notes {
		p := r.Have.PortByName(port)
		if p == nil || p.Master != n.master || n.master == "" {
			delete(s.notes, port)
			continue
		}
		if n.text != "" {
			r.Reasons = append(r.Reasons, Reason{Object: fmt.Sprintf("%s in %s", port, n.master), Device: port, Text: n.text, Software: true})
		}
	}
	for _, f := range r.Failed {
		r.Reasons = append(r.Reasons, Reason{Object: f.Op.String(), Device: f.Op.Device(), Text: f.Text})
	}
	SortReasons(r.Reasons)
}

// Reason says why something is not in the chip.
type Reason struct {
	Object string // "lan1 in br0", "02:00:00:00:00:01 vlan 10"
	Device string // the port that it is about
	Text   string // the driver's words, where there are any
	// Software says that the kernel took the port into a bridge and had something to say to it, which
	// drivers and DSA do when they leave the bridging to the CPU (net/dsa/user.c: dsa_user_changeupper).
	Software bool
}

func (r Reason) String() string { return r.Object + ": " + r.Text }

// SortReasons sorts by device and object.
func SortReasons(rs []Reason) {
	order.Sort(rs, func(a, b Reason) int {
		return cmp.Or(strings.Compare(a.Device, b.Device), strings.Compare(a.Object, b.Object), strings.Compare(a.Text, b.Text))
	})
}

// NotOffloaded returns what a state that was read holds only in software.
// onChip says which ports are a chip's, and so should have it. Drivers write
// entries some time after the kernel took them: look again before believing
// it of new ones.
func NotOffloaded(have *State, onChip func(port string) bool) []Reason {
	var rs []Reason
	add := func(port, object, text string) {
		if onChip(port) {
			rs = append(rs, Reason{Object: object, Device: port, Text: text})
		}
	}
	for _, e := range have.FDB {
		if !e.Offloaded && e.Port != e.Bridge {
			add(e.Port, fmt.Sprintf("%v vlan %d", e.MAC, e.VID), "the driver has not confirmed the MAC (no NTF_OFFLOADED)")
		}
	}
	for _, e := range have.MDB {
		if !e.Offloaded && e.Port != e.Bridge {
			add(e.Port, fmt.Sprintf("%s vlan %d", e.Group, e.VID), "the driver has not confirmed the group (no MDB_FLAGS_OFFLOAD)")
		}
	}
	for _, m := range have.Mirrors {
		if !m.InHW {
			add(m.From, fmt.Sprintf("mirror %s %s to %s", m.From, m.Dir, m.To), "the filter is not in hardware")
		}
	}
	for _, p := range have.Polices {
		if !p.InHW {
			add(p.Port, "police "+p.Port, "the filter is not in hardware")
		}
	}
	for _, q := range have.Qdiscs {
		if !q.Offloaded {
			add(q.Port, fmt.Sprintf("qdisc %s of %s", q.Kind, q.Port), "the driver does not offload it")
		}
	}
	SortReasons(rs)
	return rs
}
