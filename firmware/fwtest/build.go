// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/weirswitch/weir/boards"
	"github.com/weirswitch/weir/firmware/image"
)

// Programs are the programs of this machine that a test image has; BusyBox gives it the
// usual commands. The shell is dash, because BusyBox's takes its own ip for ip.
func Programs() []string {
	return []string{"dash", "busybox", "ip", "bridge", "tc", "devlink", "ethtool", "tcpdump"}
}

// applets are the names of BusyBox that test images use.
func applets() []string {
	return strings.Fields("awk cat cp cut date dd dmesg echo env expr false find free grep head hexdump hostname id kill killall ls lsmod " +
		"mkdir mount mv nc netstat od pidof ping printf ps pwd rm rmdir rmmod insmod modprobe sed seq sha256sum sleep sort stat sync tail test tee " +
		"time timeout top touch tr true umount uname uptime usleep wc wget which xargs yes")
}

// Tree returns the root of the module that the working directory is in.
func Tree(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return "", errors.New("not in Weir's source tree: there is no go.mod")
	}
	return filepath.Dir(mod), nil
}

// Kernel builds the board's kernel, or finds it in the cache, and returns its folder:
// image, modules/*.ko, config (see boards/build-kernel).
func Kernel(ctx context.Context, tree, board string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(tree, "boards/build-kernel"), board)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build the kernel of %s (boards/build-kernel): %w", board, err)
	}
	return strings.TrimSpace(out.String()), nil
}

// kernelFolder returns the folder given, else that of $WEIR_KERNEL, else the board's.
func kernelFolder(ctx context.Context, tree, board, given string) (string, error) {
	if at := cmp.Or(given, os.Getenv("WEIR_KERNEL")); at != "" {
		return at, nil
	}
	return Kernel(ctx, tree, board)
}

// Binary builds weir for the board into dir. With dev it has the tools of test images.
func Binary(ctx context.Context, tree, dir string, board *boards.Board, dev bool) (string, error) {
	at := filepath.Join(dir, "weir-"+board.Arch)
	args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", at}
	if dev {
		args = append(args, "-tags", "dev")
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./cmd/weir")...)
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+board.Arch, "GOARM=7", "GOMIPS=softfloat")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build weir for %s: %w\n%s", board.Arch, err, out)
	}
	return at, nil
}

// TestFiles are what a test image has beside the product's: BusyBox and programs of
// this machine with their libraries.
func TestFiles(programs []string) ([]image.File, error) {
	files, err := image.Programs(programs...)
	if err != nil {
		return nil, fmt.Errorf("%w: .ci/setup test installs it", err)
	}
	files = append(files, image.File{Path: "/bin/sh", Link: "dash"})
	for _, a := range applets() {
		files = append(files, image.File{Path: "/bin/" + a, Link: "busybox"})
	}
	return files, nil
}

// writeImage packs files into path.
func writeImage(path string, files []image.File, c image.Compression) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = image.Pack(f, files, c)
	return errors.Join(err, f.Close())
}

// NeedEmulator says what to install if the board's emulator is not there.
func NeedEmulator(b *boards.Board) error {
	if b.Emulation == nil {
		return fmt.Errorf("board %s is real hardware: QEMU does not know it", b.Name)
	}
	if _, err := exec.LookPath(b.Emulation.Program); err != nil {
		return fmt.Errorf("%s is not installed: apt-get install %s, or .ci/setup test: %w", b.Emulation.Program, b.Emulation.Package, err)
	}
	return nil
}

// dieWithParent makes the kernel kill a child when the thread that starts it ends.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
