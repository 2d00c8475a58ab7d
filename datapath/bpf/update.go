// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// The commands of bpf(2) that each new flow takes, without the reflection that package ebpf encodes values
// with: that was a third of their time. Values here are in memory as the kernel wants them.

// Commands (linux/bpf.h, enum bpf_cmd).
const (
	cmdUpdateElem  = 2  // BPF_MAP_UPDATE_ELEM
	cmdUpdateBatch = 26 // BPF_MAP_UPDATE_BATCH, Linux 5.6; for per-CPU arrays 5.13
)

// attrElem is the part of union bpf_attr that BPF_MAP_*_ELEM commands take.
type attrElem struct {
	fd         uint32
	_          uint32
	key, value uint64
	flags      uint64
}

// attrBatch is the part that BPF_MAP_*_BATCH commands take.
type attrBatch struct {
	inBatch, outBatch uint64
	keys, values      uint64
	count             uint32
	fd                uint32
	elemFlags, flags  uint64
}

// updater updates maps. Its memory is its own, on the heap, where it does not move. Not for more than
// one goroutine.
type updater struct {
	elem       attrElem
	batch      attrBatch
	key, value uint64
}

// put sets key to value in a map of 8-byte keys and values.
func (u *updater) put(m *ebpf.Map, key, value uint64, flags ebpf.MapUpdateFlags) error {
	u.key, u.value = key, value
	u.elem = attrElem{fd: uint32(m.FD()), key: address(&u.key), value: address(&u.value), flags: uint64(flags)}
	_, _, e := unix.Syscall(unix.SYS_BPF, cmdUpdateElem, uintptr(unsafe.Pointer(&u.elem)), unsafe.Sizeof(u.elem))
	runtime.KeepAlive(m)
	switch e {
	case 0:
		return nil
	case unix.EEXIST:
		return ebpf.ErrKeyExist
	}
	return e
}

// putAll sets as many elements as there are keys, of an array, to values, one behind the other in memory
// that begins at values. In an array of a kernel that has no batches nothing has changed after the error.
func (u *updater) putAll(m *ebpf.Map, keys []uint32, values unsafe.Pointer) error {
	u.batch = attrBatch{
		keys: address(&keys[0]), values: uint64(uintptr(values)), count: uint32(len(keys)), fd: uint32(m.FD()),
	}
	_, _, e := unix.Syscall(unix.SYS_BPF, cmdUpdateBatch, uintptr(unsafe.Pointer(&u.batch)), unsafe.Sizeof(u.batch))
	runtime.KeepAlive(m)
	runtime.KeepAlive(keys)
	runtime.KeepAlive(values)
	if e != 0 {
		return e
	}
	return nil
}

func address[T any](p *T) uint64 { return uint64(uintptr(unsafe.Pointer(p))) }
