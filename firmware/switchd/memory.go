// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"time"
)

// memoryLimit returns the soft limit of the Go heap for a machine with total
// bytes of memory: a quarter of it, 24 MiB at least and 1 GiB at most.
func memoryLimit(total int64) int64 {
	return min(max(total/4, 24<<20), 1<<30)
}

// memTotal reads MemTotal of /proc/meminfo, in bytes.
func memTotal(meminfo []byte) (int64, error) {
	for line := range bytes.Lines(meminfo) {
		f := bytes.Fields(line)
		if len(f) == 3 && string(f[0]) == "MemTotal:" && string(f[2]) == "kB" {
			kb, err := strconv.ParseInt(string(f[1]), 10, 40)
			if err != nil {
				return 0, fmt.Errorf("MemTotal: %w", err)
			}
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("no MemTotal in %d bytes of meminfo", len(meminfo))
}

// tidyInterval is how often the heap is looked at.
const tidyInterval = time.Second

// Bounds of tidy, in bytes.
const (
	tidyBusy = 1 << 20  // allocated since the last look: something is going on
	tidyMuch = 16 << 20 // allocated since the last tidying: it may be worth it
)

// tidy finds the moments after a burst of work, when what it left as garbage
// should go back to the kernel: the next collection may be far away.
type tidy struct{ last, done uint64 }

// due takes the bytes that the program has allocated since its start, once an
// interval, and says whether now is such a moment.
func (t *tidy) due(allocated uint64) bool {
	quiet := allocated-t.last < tidyBusy
	t.last = allocated
	if !quiet || allocated-t.done < tidyMuch {
		return false
	}
	t.done = allocated
	return true
}

// keepTidy gives memory back after bursts, until ctx ends.
func keepTidy(ctx context.Context) {
	tick := time.NewTicker(tidyInterval)
	defer tick.Stop()
	var t tidy
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if metrics.Read(s); s[0].Value.Kind() == metrics.KindUint64 && t.due(s[0].Value.Uint64()) {
			debug.FreeOSMemory()
		}
	}
}

// limitMemory sets the garbage collector's limit from the machine's memory,
// unless the user has set one with GOMEMLIMIT.
func limitMemory() (int64, error) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return debug.SetMemoryLimit(-1), nil
	}
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	total, err := memTotal(b)
	if err != nil {
		return 0, err
	}
	limit := memoryLimit(total)
	debug.SetMemoryLimit(limit)
	return limit, nil
}
