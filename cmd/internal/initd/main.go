// SPDX-License-Identifier: Apache-2.0

package initd

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/weirswitch/weir/boards"
	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/firmware/base/unixctl"
	"github.com/weirswitch/weir/firmware/boot"
	"github.com/weirswitch/weir/firmware/boot/apply"
)

// Main is weir init. As process 1 it does not return.
func Main(_ context.Context, e env.Env) int {
	if os.Getpid() == 1 {
		run(e)
	}
	f := flag.NewFlagSet("weir init", flag.ContinueOnError)
	f.SetOutput(e.Stderr)
	f.Usage = func() {
		fmt.Fprint(e.Stderr, "usage: weir init --print [--board NAME] [--cmdline TEXT]\nProcess 1 of a firmware image. Elsewhere it only prints what it would do.\n\n")
		f.PrintDefaults()
	}
	doPrint := f.Bool("print", false, "print the steps and do nothing")
	name := f.String("board", "", "the board's `name`; default: the one that this machine is")
	cmdline := f.String("cmdline", "", "kernel command line")
	switch err := f.Parse(e.Args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 1
	case !*doPrint || f.NArg() > 0:
		f.Usage()
		return 1
	}
	if err := printPlan(e.Stdout, *name, *cmdline); err != nil {
		fmt.Fprintf(e.Stderr, "%s: %v\n", e.Name, err)
		return 1
	}
	return 0
}

// printPlan prints the steps for the board called name, with the devices that it should
// have, or for this machine with those that there are.
func printPlan(w io.Writer, name, cmdline string) error {
	o, faults := boot.ParseCmdline(cmdline)
	for _, err := range faults {
		fmt.Fprintf(w, "warning: %v\n", err)
	}
	if name == "" {
		name = o.Board
	}
	var board *boards.Board
	var devices []boards.Device
	if name != "" {
		var err error
		if board, err = boards.Load(name); err != nil {
			return err
		}
		for i, p := range board.Ports {
			d := boards.Device{Name: p.Match.KernelName, Driver: p.Match.Driver, PhysPortName: p.Match.PhysPortName, Path: p.Match.Path}
			if d.Name == "" {
				d.Name = fmt.Sprintf("eth%d", i)
			}
			devices = append(devices, d)
		}
	} else {
		m, err := apply.New()
		if err != nil {
			return err
		}
		defer m.Close()
		all, err := boards.All()
		if err != nil {
			return err
		}
		board = boards.Detect(all, m.Identity())
		if devices, err = m.Devices(); err != nil {
			return err
		}
	}
	if board == nil {
		fmt.Fprintf(w, "# board: unknown; this program knows %s\n", strings.Join(boards.Names(), ", "))
	} else {
		fmt.Fprintf(w, "# board: %s (%s)\n", board.Name, board.Title)
	}
	for _, part := range []struct {
		title string
		steps []boot.Step
	}{
		{"early", boot.Early()}, {"board", boot.Load(board, o)}, {"network", boot.Network(board, o, devices)},
	} {
		fmt.Fprintf(w, "# %s\n", part.title)
		for _, s := range part.steps {
			fmt.Fprintln(w, s)
		}
	}
	fmt.Fprintln(w, "# services")
	for _, s := range boot.Services(o) {
		fmt.Fprintln(w, s)
	}
	return nil
}

// End is weir poweroff and weir reboot, by the name that it was called with.
func End(ctx context.Context, e env.Env) int {
	if len(e.Args) > 0 {
		fmt.Fprintf(e.Stderr, "usage: weir %s\n", e.Name)
		return 1
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := unixctl.Call(ctx, boot.InitCtl, e.Name)
	if err != nil {
		fmt.Fprintf(e.Stderr, "%s: is weir init process 1 here? %v\n", e.Name, err)
		return 1
	}
	io.WriteString(e.Stdout, out)
	return 0
}
