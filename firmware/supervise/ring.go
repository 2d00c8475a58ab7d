// SPDX-License-Identifier: Apache-2.0

package supervise

import (
	"slices"
	"sync"
)

// Ring keeps the last lines of a log in memory, for who comes too late to read the
// console. Bounds: lines, and bytes in all of them; the oldest go first.
type Ring struct {
	mu           sync.Mutex
	lines        []string
	bytes        int
	maxN, maxLen int
	dropped      uint64
}

// NewRing returns a Ring of at most n lines and size bytes.
func NewRing(n, size int) *Ring { return &Ring{maxN: n, maxLen: size} }

// Add adds a line. One that is longer than the whole ring is cut.
func (r *Ring) Add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line = line[:min(len(line), r.maxLen)]
	r.lines = append(r.lines, line)
	r.bytes += len(line)
	drop := 0
	for len(r.lines)-drop > r.maxN || r.bytes > r.maxLen {
		r.bytes -= len(r.lines[drop])
		drop++
	}
	if drop > 0 {
		r.dropped += uint64(drop)
		r.lines = slices.Delete(r.lines, 0, drop)
	}
}

// Last returns the last n lines, oldest first, or all there are, and how many older ones
// are gone.
func (r *Ring) Last(n int) (lines []string, dropped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines[max(0, len(r.lines)-n):]), r.dropped
}
