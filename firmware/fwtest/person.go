// SPDX-License-Identifier: Apache-2.0

package fwtest

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weirswitch/weir/boards"
	"github.com/weirswitch/weir/firmware/image"
)

// Personal is an emulated board for a person at a terminal: the product's image, with
// BusyBox for a shell.
type Personal struct {
	Board           *boards.Board
	Program         string            // of the emulator
	Args            []string          // of it; its standard streams are the console
	OVSDB, OpenFlow string            // "127.0.0.1:N", where the guest's ports are reached
	Sockets         map[string]string // path of each wired port's stream socket
}

// Person builds what is needed into dir.
func Person(ctx context.Context, dir, board, cmdline string) (*Personal, error) {
	b, err := boards.Load(board)
	if err != nil {
		return nil, err
	}
	if err := NeedEmulator(b); err != nil {
		return nil, err
	}
	tree, err := Tree(ctx)
	if err != nil {
		return nil, err
	}
	kernel, err := kernelFolder(ctx, tree, b.Name, "")
	if err != nil {
		return nil, err
	}
	weir, err := Binary(ctx, tree, dir, b, false)
	if err != nil {
		return nil, err
	}
	files := image.Base(weir, image.Links())
	mods, err := image.Modules(filepath.Join(kernel, "modules"))
	if err != nil {
		return nil, err
	}
	shell, err := image.Programs("busybox")
	if err != nil {
		return nil, fmt.Errorf("%w: .ci/setup test installs it", err)
	}
	for _, a := range append(applets(), "sh", "ip", "vi", "less") {
		shell = append(shell, image.File{Path: "/bin/" + a, Link: "busybox"})
	}
	initrd := filepath.Join(dir, "initramfs")
	if err := writeImage(initrd, slices.Concat(files, mods, shell), image.None); err != nil {
		return nil, err
	}
	p := &Personal{Board: b, Program: b.Emulation.Program, Sockets: map[string]string{}}
	var forward []string
	for _, f := range []struct {
		guest int
		host  *string
	}{{ovsdbPort, &p.OVSDB}, {openflowPort, &p.OpenFlow}} {
		if *f.host, err = freePort(); err != nil {
			return nil, err
		}
		forward = append(forward, fmt.Sprintf("hostfwd=tcp:%s-:%d", *f.host, f.guest))
	}
	params := fmt.Sprintf("console=%s quiet panic=-1 weir.ip=10.0.2.15/24,10.0.2.2 weir.remote=ptcp:%d weir.shell=/bin/sh %s", b.Console, ovsdbPort, cmdline)
	p.Args = append([]string{"-nodefaults", "-no-user-config", "-display", "none", "-serial", "mon:stdio", "-no-reboot"}, b.Emulation.Args...)
	p.Args = append(p.Args, "-kernel", filepath.Join(kernel, "image"), "-initrd", initrd, "-append", params)
	for _, port := range b.Ports {
		if port.Role == boards.Mgmt {
			p.Args = append(p.Args, "-netdev", "user,ipv6=off,id="+port.Name+","+strings.Join(forward, ","))
			continue
		}
		at := filepath.Join(dir, port.Name)
		p.Sockets[port.Name] = at
		p.Args = append(p.Args, "-netdev", fmt.Sprintf("stream,id=%s,server=on,addr.type=unix,addr.path=%s", port.Name, at))
	}
	return p, nil
}

// freePort returns an address that was free a moment ago: whoever takes it first has it,
// and QEMU says so if that was not it.
func freePort() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
