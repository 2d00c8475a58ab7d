// SPDX-License-Identifier: Apache-2.0

package supervise

import "time"

// Bounds of a Backoff.
const (
	minWait = 100 * time.Millisecond
	maxWait = time.Second
	// A program that ran this long ran well: its next death is a new story.
	ranWell = 10 * time.Second
)

// Backoff says how long to wait before a program is started again. The zero value is
// ready.
type Backoff struct{ last time.Duration }

// Next takes how long the program ran and returns the wait, 100 ms to 1 s.
func (b *Backoff) Next(ran time.Duration) time.Duration {
	if b.last == 0 || ran >= ranWell {
		b.last = minWait
	} else {
		b.last = min(2*b.last, maxWait)
	}
	return b.last
}
