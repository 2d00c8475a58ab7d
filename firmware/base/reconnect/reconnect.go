// SPDX-License-Identifier: Apache-2.0

package reconnect

import "time"

// State is where a connection stands. The names are those that the Manager and
// Controller tables' status column shows.
type State uint8

const (
	Void       State = iota // disabled
	Backoff                 // waiting before the next attempt
	Connecting              // an attempt is under way
	Active                  // connected
	Idle                    // connected, silent, probed
)

func (s State) String() string {
	switch s {
	case Void:
		return "VOID"
	case Backoff:
		return "BACKOFF"
	case Connecting:
		return "CONNECTING"
	case Active:
		return "ACTIVE"
	case Idle:
		return "IDLE"
	}
	return "UNKNOWN"
}

// Action is what the owner is to do.
type Action uint8

const (
	None       Action = iota
	Connect           // start an attempt; then tell Connecting
	Disconnect        // drop the connection or attempt; then tell Disconnected
	Probe             // send an echo request
)

func (a Action) String() string {
	return [...]string{"none", "connect", "disconnect", "probe"}[a&3]
}

// Defaults of [Options].
const (
	DefaultMinBackoff = time.Second
	DefaultMaxBackoff = 8 * time.Second
	DefaultProbe      = 5 * time.Second
)

// Options are the tunables of a connection. Zero back-offs mean the defaults;
// a zero Probe means no probes.
type Options struct {
	MinBackoff, MaxBackoff time.Duration
	Probe                  time.Duration
}

// Machine is the state of one connection. Use [New].
type Machine struct {
	o       Options
	state   State
	entered time.Time // of state
	heard   time.Time // last sign of life
	backoff time.Duration

	connected    time.Time // start of the last connection
	disconnected time.Time // end of the last connection
	lastErr      error
	attempts     uint64
	successes    uint64
}

// New returns a machine that will connect at the first Run.
func New(now time.Time, o Options) *Machine {
	m := &Machine{}
	m.SetOptions(o)
	m.enter(now, Backoff)
	return m
}

// SetOptions changes the tunables of a living connection.
func (m *Machine) SetOptions(o Options) {
	if o.MinBackoff <= 0 {
		o.MinBackoff = DefaultMinBackoff
	}
	if o.MaxBackoff <= 0 {
		o.MaxBackoff = DefaultMaxBackoff
	}
	o.MaxBackoff = max(o.MaxBackoff, o.MinBackoff)
	m.o = o
	m.backoff = min(m.backoff, o.MaxBackoff)
}

func (m *Machine) enter(now time.Time, s State) { m.state, m.entered = s, now }

// Enable starts to connect if the machine is disabled.
func (m *Machine) Enable(now time.Time) {
	if m.state == Void {
		m.backoff = 0
		m.enter(now, Backoff)
	}
}

// Disable stops: the owner has dropped the connection.
func (m *Machine) Disable(now time.Time) {
	if m.Connected() {
		m.disconnected = now
	}
	m.enter(now, Void)
}

// ConnectingNow: an attempt was started.
func (m *Machine) ConnectingNow(now time.Time) {
	m.attempts++
	m.enter(now, Connecting)
}

// ConnectedNow: the attempt succeeded.
func (m *Machine) ConnectedNow(now time.Time) {
	m.successes++
	m.connected, m.heard, m.lastErr = now, now, nil
	m.enter(now, Active)
}

// Activity: something was received.
func (m *Machine) Activity(now time.Time) {
	m.heard = now
	if m.state == Idle {
		m.enter(now, Active)
	}
}

// Disconnected: the attempt failed or the connection ended, for err (nil: the
// peer closed it).
func (m *Machine) Disconnected(now time.Time, err error) {
	if m.state == Void {
		return
	}
	m.lastErr = err
	if m.Connected() {
		m.disconnected = now
		if now.Sub(m.connected) >= m.o.MaxBackoff {
			m.backoff = 0 // it worked; try again at once
			m.enter(now, Backoff)
			return
		}
	}
	if m.backoff == 0 {
		m.backoff = m.o.MinBackoff
	} else {
		m.backoff = min(2*m.backoff, m.o.MaxBackoff)
	}
	m.enter(now, Backoff)
}

// Connected says whether there is a connection.
func (m *Machine) Connected() bool { return m.state == Active || m.state == Idle }

// State returns where the connection stands.
func (m *Machine) State() State { return m.state }

// Deadline returns when Run will want something if nothing happens before.
func (m *Machine) Deadline() (time.Time, bool) {
	switch m.state {
	case Backoff:
		return m.entered.Add(m.backoff), true
	case Connecting:
		return m.entered.Add(max(m.backoff, time.Second)), true
	case Active:
		return m.heard.Add(m.o.Probe), m.o.Probe > 0
	case Idle:
		return m.entered.Add(m.o.Probe), m.o.Probe > 0
	}
	return time.Time{}, false
}

// Run says what is to be done now. It says Probe once for each silence and the
// other actions until the owner has told that they are done.
func (m *Machine) Run(now time.Time) Action {
	if d, ok := m.Deadline(); !ok || now.Before(d) {
		return None
	}
	switch m.state {
	case Backoff:
		return Connect
	case Active:
		m.enter(now, Idle)
		return Probe
	}
	return Disconnect // an attempt or a probe that took too long
}

// Status is what the status columns show.
type Status struct {
	State           State
	Connected       bool
	SinceConnect    time.Duration // negative: never connected
	SinceDisconnect time.Duration // negative: never disconnected
	LastError       error
	Attempts        uint64
	Successes       uint64
}

// Status returns the state with its times.
func (m *Machine) Status(now time.Time) Status {
	since := func(t time.Time) time.Duration {
		if t.IsZero() {
			return -1
		}
		return now.Sub(t)
	}
	return Status{m.state, m.Connected(), since(m.connected), since(m.disconnected), m.lastErr, m.attempts, m.successes}
}
