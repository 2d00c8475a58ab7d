// SPDX-License-Identifier: Apache-2.0

package bpf

// pool gives out numbers below a size that grows. A number that is given back
// is held until release, which the caller calls after a grace period: until
// then a program may still use what stands at that number. The zero pool has
// size 0.
type pool struct {
	size uint32
	next uint32 // numbers from here on were never given out
	free []uint32
	held []uint32
}

// get returns a number; false if none is free.
func (p *pool) get() (uint32, bool) {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		return i, true
	}
	if p.next == p.size {
		return 0, false
	}
	p.next++
	return p.next - 1, true
}

// put gives i back.
func (p *pool) put(i uint32) { p.held = append(p.held, i) }

// release makes the numbers that are held free.
func (p *pool) release() {
	p.free = append(p.free, p.held...)
	p.held = p.held[:0]
}

// inUse is how many numbers are out.
func (p *pool) inUse() int { return int(p.next) - len(p.free) - len(p.held) }
