// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// tcxDrop is TCX_DROP (linux/bpf.h, enum tcx_action_base).
const tcxDrop = 2

// Guard keeps the kernel's own stack from the frames that a device receives: a
// program at its tcx ingress hook (Linux 6.6) drops them all. Packet sockets
// see them first. It ends with Close or with the process.
type Guard struct{ link link.Link }

// NewGuard puts a guard on the device with the index, in the network namespace
// of the calling thread.
func NewGuard(ifindex int) (g *Guard, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("guard device %d: %w", ifindex, err)
		}
	}()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name:         "weir_guard",
		Type:         ebpf.SchedCLS,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, tcxDrop), asm.Return()},
		License:      "Apache-2.0",
	})
	if err != nil {
		return nil, err
	}
	l, err := link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: prog, Attach: ebpf.AttachTCXIngress})
	if err != nil {
		return nil, errors.Join(err, prog.Close())
	}
	return &Guard{link: l}, prog.Close() // the link holds the program
}

// Close takes the guard away.
func (g *Guard) Close() error { return g.link.Close() }
