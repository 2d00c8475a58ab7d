// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// segments is a table that grows: an array of maps whose members are arrays of
// segLen values.
type segments struct {
	outer *ebpf.Map
	inner *ebpf.MapSpec
	maps  []*ebpf.Map
}

// len is the number of values that there is room for.
func (s *segments) len() uint32 { return uint32(len(s.maps)) * segLen }

// max is the number of values that there can be room for.
func (s *segments) max() uint32 { return s.outer.MaxEntries() * segLen }

// grow adds room for at least segLen values, all zero: half as much as there
// is, within the bound, since the kernel waits for a grace period (some 20 ms) each time.
func (s *segments) grow() error {
	have, most := len(s.maps), int(s.outer.MaxEntries())
	if have == most {
		return fmt.Errorf("grow %v beyond %d values", s.outer, s.max())
	}
	var numbers, fds []uint32
	undo := func(err error) error {
		for _, m := range s.maps[have:] {
			m.Close()
		}
		s.maps = s.maps[:have]
		return fmt.Errorf("grow %v: %w", s.outer, err)
	}
	for range min(most-have, max(have/2, 1)) {
		m, err := ebpf.NewMap(s.inner)
		if err != nil {
			return undo(err)
		}
		numbers = append(numbers, uint32(len(s.maps)))
		fds = append(fds, uint32(m.FD()))
		s.maps = append(s.maps, m)
	}
	_, err := s.outer.BatchUpdate(numbers, fds, nil)
	if errors.Is(err, ebpf.ErrNotSupported) {
		for i := range numbers {
			if err = s.outer.Put(numbers[i], fds[i]); err != nil {
				break
			}
		}
	}
	if err != nil {
		return undo(err)
	}
	return nil
}

// barrier returns after every program that was running has ended: the kernel
// waits for a grace period after it changed an array of maps
// (kernel/bpf/syscall.c, maybe_wait_bpf_programs), so that old members are unseen.
func (s *segments) barrier() error {
	if err := s.outer.Put(uint32(0), s.maps[0]); err != nil {
		return fmt.Errorf("wait for a grace period: %w", err)
	}
	return nil
}

func (s *segments) put(i uint32, v any) error {
	return s.maps[i>>segShift].Put(i&(segLen-1), v)
}

func (s *segments) get(i uint32, v any) error {
	return s.maps[i>>segShift].Lookup(i&(segLen-1), v)
}

func (s *segments) close() {
	for _, m := range s.maps {
		m.Close()
	}
	s.maps = nil
}
