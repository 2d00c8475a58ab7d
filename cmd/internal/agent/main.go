// SPDX-License-Identifier: Apache-2.0

// Package agent is `weir agent DEVICE`, in test images only: it runs the commands that a
// test sends over a virtio serial port or a terminal (firmware/fwtest/agent).
package agent

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/firmware/fwtest/agent"
)

// Main serves commands from the device until that or ctx ends.
func Main(ctx context.Context, e env.Env) int {
	if len(e.Args) != 1 {
		fmt.Fprintf(e.Stderr, "usage: weir agent DEVICE\n")
		return 1
	}
	served := make(chan error, 1)
	go func() { served <- serve(e.Args[0]) }()
	select {
	case <-ctx.Done(): // a read of a device that blocks ends with the process
		return 0
	case err := <-served:
		if err != nil {
			fmt.Fprintf(e.Stderr, "agent: %v\n", err)
			return 1
		}
		return 0
	}
}

func serve(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	// ENOTTY: a virtio port, which carries bytes as they are. Fd makes f blocking.
	if err := raw(int(f.Fd())); err != nil && !errors.Is(err, unix.ENOTTY) {
		return fmt.Errorf("%s: set raw mode: %w", path, err)
	}
	return agent.Serve(f, "/bin/sh")
}

// raw makes the terminal carry bytes as they are (cfmakeraw of termios(3)).
func raw(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	t.Oflag &^= unix.OPOST
	t.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	t.Cflag = t.Cflag&^(unix.CSIZE|unix.PARENB|unix.CBAUD) | unix.CS8 | unix.CLOCAL | unix.B115200
	t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
	return unix.IoctlSetTermios(fd, unix.TCSETSF, t)
}
