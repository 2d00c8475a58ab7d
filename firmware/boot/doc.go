// SPDX-License-Identifier: Apache-2.0

// Package boot plans what PID 1 does between the kernel and the switch: pure, as a list
// of steps that can be printed before they are done (`weir init --print`).
//
//	kernel command line --ParseCmdline--> Options
//	Early(...)                file systems, kernel log                  [no fact needed]
//	board, Options  --Load-->    host name, kernel modules              [board is known]
//	... and devices --Network--> names, ports down, management address  [drivers are there]
//	                --Services--> the daemons to supervise
//
// A [Step] is a value with a text form; package boot/apply does it to the running
// machine. The list is planned in stages because each needs to know what the one
// before brought about: there is no DMI before /sys, no port before its driver.
//
// # Invariants
//
// A step that fails is said and boot goes on: a switch that forwards without a host
// name is better than one that does not. Steps marked Optional fail quietly: kernels
// differ. The steps are idempotent, but for Rename and Hostname they may be repeated.
//
// From boot until the first configuration uses it, a port of role lan or wan is down:
// nothing is forwarded that nobody asked for, whatever the boot loader left behind.
//
// # Kernel command line
//
//	weir.board=NAME     the board, where detection cannot tell
//	weir.hostname=NAME  default: the board's name
//	weir.ip=ADDR/LEN[,GATEWAY]  static address of the management port; default: none
//	weir.remote=REMOTE  one more remote of the database server ("ptcp:6640"); repeatable
//	weir.modules=A,B    kernel modules to load besides the board's
//	weir.log=LEVEL      of switchd: as its --log-level
//	weir.shell=PATH     a shell on the console, if the image has one
//	weir.agent=DEVICE   test images only: run commands that come over it
//
// The command line belongs to whoever owns the boot loader: it is trusted.
package boot
