// SPDX-License-Identifier: Apache-2.0

// Package initd is `weir init`: process 1 of a firmware image, where the kernel calls it
// as /init. It does the steps that package boot plans, keeps the services running and
// turns the machine off or round.
//
//	weir init --print [--board NAME] [--cmdline TEXT]
//
// prints the steps for a board, or for the machine that it runs on, and does nothing.
//
// # While it runs
//
// The log goes to the console, to a ring in memory and to the kernel's log (dmesg).
// The control socket is /run/weir/init.ctl; `ovs-appctl -t /run/weir/init.ctl` speaks to it:
//
//	services     what runs, since when, and how it ended last
//	log [N]      the last N lines (default 100)
//	plan         the steps of this boot and what came of each
//	poweroff, reboot   also `weir poweroff` and `weir reboot`
//
// Signals are those of BusyBox and OpenWrt: SIGTERM and SIGINT (Ctrl-Alt-Del) reboot,
// SIGUSR1, SIGUSR2 and SIGPWR turn off, as does the power button.
//
// # At the end
//
// Services are ended in reverse order, each with its grace; then what is left gets
// SIGTERM and, a second later, SIGKILL; the disks are synced, and the machine ends. A
// panic here is a kernel panic, which restarts the machine where panic= is given.
package initd
