// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
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
