// SPDX-License-Identifier: Apache-2.0

// Package fwtest boots an emulated board as a user would have it and gives a test
// everything around it: the wires of its ports, its console, commands inside, the
// emulator's view of the chip, and stock Open vSwitch tools that drive it over TCP.
//
//	m, err := fwtest.Boot(ctx, fwtest.Options{})     // kernel, image, QEMU, until switchd answers
//	defer m.Close()
//	m.Vsctl(ctx, "add-br", "br0", "--", "add-port", "br0", "lan1")
//	m.Port("lan1").Send(frame)
//	got, err := m.Port("lan2").Expect(ctx, func(f []byte) bool { ... })
//	r, err := m.Run(ctx, "bridge vlan show")          // inside, by sh
//	flows, err := m.RockerFlows(ctx)                  // QMP: what the chip has, with hits
//
// A boot costs seconds (see TestBoot's log): a test binary boots one machine and shares
// it between its tests (TestMain, [Main]).
//
// # How it is wired
//
// The harness listens on unix sockets in a folder of its own before QEMU starts, and
// QEMU connects: nothing is polled. Ports are stream netdevs (a frame is a 4-byte
// length, big endian, and its bytes), so none is lost by the wire, and a guest that
// does not read makes Send wait. The management port is QEMU's user network; its
// forwarded TCP ports on 127.0.0.1 are chosen by the kernel and asked back from QEMU.
//
// The image is the product's but for the binary's -tags dev (the agent), BusyBox and
// Debian's ip, bridge, tc, devlink and ethtool.
//
// # Ends
//
// QEMU is killed when Boot's context ends, by Close, and by the kernel when the test
// process dies. A wait never lasts longer than its context; there is no sleep that
// hopes. What went wrong comes with the end of the console.
//
// # Threads
//
// A Machine's methods may be called by many goroutines. Bounds: [MaxPending] frames a
// port that nobody has taken (newer ones are dropped and counted), 4 MiB of console.
package fwtest
