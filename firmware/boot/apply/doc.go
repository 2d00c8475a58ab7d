// SPDX-License-Identifier: Apache-2.0

// Package apply does the steps of package boot to the running machine and reads the
// facts that the next stage is planned from: the thin edge of PID 1. It decides
// nothing but what "is there already" means for each step.
//
// Threads: a Machine is one goroutine's. Nothing is kept open but a netlink socket.
package apply
