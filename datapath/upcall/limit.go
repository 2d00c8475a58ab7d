// SPDX-License-Identifier: Apache-2.0

package upcall

import "time"

// The bound of megaflows follows what the machine can keep right: a round is the reading of
// all counters, or the longest that a change took until every megaflow was right again,
// whichever is longer. ovs-vswitchd has the same idea with the same thresholds (documented
// with other_config:flow-limit in ovs-vswitchd.conf.db(5) as an upper bound).
const (
	roundTarget = time.Second // rounds that take less let the bound grow
	roundLong   = 1300 * time.Millisecond
	roundFar    = 2 * time.Second
	limitFloor  = 1000 // the bound does not fall below, if it was not set so
	limitStep   = 1000 // by which it grows at least
)

// adapt returns the bound of megaflows for the next round, when the one with bound limit
// and so many flows took so long. most is the bound that was configured.
func adapt(limit, most, flows int, took time.Duration) int {
	switch {
	case took > roundFar:
		limit = int(int64(limit) * int64(roundTarget) / int64(took))
	case took > roundLong:
		limit = limit / 4 * 3
	case took < roundTarget && (flows <= 2*limitFloor || took <= 0 || int64(limit) < int64(flows)*int64(roundTarget)/int64(took)):
		limit += max(limitStep, limit/8)
	}
	return min(max(limit, limitFloor), most)
}

// flowMemory is what a megaflow is reckoned with, in bytes: 420 here and 300 in package soft, as much
// again for the garbage collector, and the tables' growth. (Those in BPF maps are not Go's.)
const flowMemory = 1536

// FlowLimitFor returns Options.FlowLimit for a Go heap that is to stay below limit bytes
// (GOMEMLIMIT): megaflows may take half of it. So 24 MiB are 8,192 megaflows, 586 MiB and more
// DefaultFlowLimit; fewer than 1,024 it never is.
func FlowLimitFor(limit int64) int {
	return int(min(max(limit/2/flowMemory, 1024), DefaultFlowLimit))
}

// setFlowLimit takes over a configured bound. One that is the same leaves what it has
// been adapted to.
func (s *Switch) setFlowLimit(most int) {
	if s.flowMost.Swap(int64(most)) != int64(most) {
		s.flowLimit.Store(int64(most))
	}
}

// adaptFlowLimit sets the bound after a reading of counters that took so long.
func (s *Switch) adaptFlowLimit(pump time.Duration) {
	s.ix.mu.Lock()
	slowest, flows := s.ix.backlog.slowestSince(s.opt.Now()), len(s.ix.byID)
	s.ix.mu.Unlock()
	old := s.flowLimit.Load()
	took := max(pump, slowest)
	// A configuration that comes in between wins.
	if now := adapt(int(old), int(s.flowMost.Load()), flows, took); s.flowLimit.CompareAndSwap(old, int64(now)) && int64(now) < old {
		s.opt.Log.Info("fewer megaflows", "limit", now, "round", took)
	}
}
