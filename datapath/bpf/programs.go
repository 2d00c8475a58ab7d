// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"encoding/binary"
	"fmt"
)

// programs are the lists of operations in use. Flows with the same operations share one, which
// is in the maps once: most flows of a switch do one of a few things.
type programs struct {
	byOps map[string]*program
	byAct map[uint32]*program // by the number of the first chunk
}

// program is a list of operations. It never changes.
type program struct {
	ops    string // as appendOps writes them
	chunks []uint32
	flows  int
}

func newPrograms() programs {
	return programs{make(map[string]*program), make(map[uint32]*program)}
}

// appendOps appends a text by which equal operations are found.
func appendOps(b []byte, ops []cOp) []byte {
	for i := range ops {
		o := &ops[i]
		b = append(b, o.Code, o.Base, o.Len, o.Csum)
		b = binary.LittleEndian.AppendUint16(b, o.Off)
		b = binary.LittleEndian.AppendUint16(b, o.Need)
		b = binary.LittleEndian.AppendUint64(b, o.Val)
		b = binary.LittleEndian.AppendUint64(b, o.Mask)
	}
	return b
}

// program returns the first chunk of ops, for one flow more; release gives it back.
func (t *flowTable) program(ops []cOp) (uint32, error) {
	t.text = appendOps(t.text[:0], ops)
	p := t.programs.byOps[string(t.text)]
	if p == nil {
		nums, err := t.putChunks(ops)
		if err != nil {
			return 0, err
		}
		p = &program{ops: string(t.text), chunks: nums}
		t.programs.byOps[p.ops] = p
		t.programs.byAct[nums[0]] = p
	}
	p.flows++
	return p.chunks[0], nil
}

// release takes one flow off the operations that begin in chunk act. Of those without flows
// the chunks are free, after a grace period.
func (t *flowTable) release(act uint32) {
	p := t.programs.byAct[act]
	if p.flows--; p.flows > 0 {
		return
	}
	delete(t.programs.byOps, p.ops)
	delete(t.programs.byAct, act)
	for _, c := range p.chunks {
		t.chunks.put(c)
	}
}

// putChunks writes ops and returns the numbers of their chunks.
func (t *flowTable) putChunks(ops []cOp) ([]uint32, error) {
	n := (len(ops) + chunkOps - 1) / chunkOps
	nums := make([]uint32, n)
	for i := range nums {
		c, err := t.number(&t.chunks, &t.m.chunk)
		if err != nil {
			for _, c := range nums[:i] {
				t.chunks.put(c)
			}
			return nil, fmt.Errorf("operations: %w", err)
		}
		nums[i] = c
	}
	for i := range nums {
		var c cChunk
		copy(c.Op[:], ops[i*chunkOps:])
		if i+1 < n {
			c.Next = nums[i+1]
		}
		if err := t.m.chunk.put(nums[i], &c); err != nil {
			for _, c := range nums {
				t.chunks.put(c)
			}
			return nil, fmt.Errorf("write operations: %w", err)
		}
	}
	return nums, nil
}
