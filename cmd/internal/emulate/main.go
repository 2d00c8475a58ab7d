// SPDX-License-Identifier: Apache-2.0

// Package emulate is `weir emulate BOARD`: it builds the board's kernel, binary and image
// and boots them in QEMU with the console on the terminal. It is in binaries that are
// built with -tags dev, and needs the source tree (`make emulate`).
package emulate

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"

	"github.com/weirswitch/weir/boards"
	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/firmware/fwtest"
)

// Main boots the board and returns QEMU's exit status.
func Main(ctx context.Context, e env.Env) int {
	f := flag.NewFlagSet("weir emulate", flag.ContinueOnError)
	f.SetOutput(e.Stderr)
	f.Usage = func() {
		fmt.Fprintf(e.Stderr, "usage: weir emulate [OPTION...] BOARD\nBuilds a board's image and boots it in QEMU. Boards: %s\n\n", strings.Join(boards.Names(), ", "))
		f.PrintDefaults()
	}
	cmdline := f.String("cmdline", "", "more kernel parameters")
	switch err := f.Parse(e.Args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 1
	case f.NArg() != 1:
		f.Usage()
		return 1
	}
	if err := run(ctx, e, f.Arg(0), *cmdline); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode()
		}
		fmt.Fprintf(e.Stderr, "%s: %v\n", e.Name, err)
		return 1
	}
	return 0
}

func run(ctx context.Context, e env.Env, board, cmdline string) error {
	dir, err := os.MkdirTemp("", "weir-emulate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Fprintln(e.Stdout, "building the kernel (once, some minutes), weir and the image ...")
	p, err := fwtest.Person(ctx, dir, board, cmdline)
	if err != nil {
		return err
	}
	explain(e.Stdout, p)
	cmd := exec.CommandContext(ctx, p.Program, p.Args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = e.Stdin, e.Stdout, e.Stderr
	// QEMU does not outlive us; the parent that the kernel means is this thread.
	runtime.LockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}

func explain(w io.Writer, p *fwtest.Personal) {
	fmt.Fprintf(w, `
%s: %s
The console follows; Ctrl-A X leaves. From another shell:

  ovs-vsctl --db=tcp:%s show
  ovs-vsctl --db=tcp:%s add-br br0 -- set-controller br0 ptcp:6653 -- add-port br0 lan1 -- add-port br0 lan2
  ovs-ofctl show tcp:%s

The wire of each port is a stream socket (a frame is its length in 4 bytes, big endian,
and its bytes), for another QEMU's -netdev stream or a program:

`, p.Board.Name, p.Board.Title, p.OVSDB, p.OVSDB, p.OpenFlow)
	for _, port := range p.Board.PortsOf(boards.Lan, boards.Wan, boards.Conduit) {
		fmt.Fprintf(w, "  %-8s %s\n", port.Name, p.Sockets[port.Name])
	}
	fmt.Fprintln(w)
}
