// SPDX-License-Identifier: Apache-2.0

// Package supervise keeps programs running and reaps what they leave behind: the part
// of PID 1 that never ends.
//
// A [Supervisor] starts each program, gives its output to a log line by line, and
// starts it again when it ends, however it ended. How long it waits is the [Backoff]'s
// answer, a pure value: 100 ms behind a program that ran well, doubling to 1 s for one
// that keeps dying, so that a switch that dies once is back within a second and one
// that cannot start does not take the processor.
//
// A [Reaper] waits for every child of the process, also those that it never started:
// orphans come to PID 1. Nothing else in the process may wait for children, so no
// os/exec beside [Reaper.Start].
//
// # Invariants
//
// At most one process of a program at a time, each in a process group of its own, which
// is killed as a whole when the program ends or is ended: a daemon's helpers do not
// survive it. [Supervisor.Stop] ends programs in reverse order, each by SIGTERM, and by
// SIGKILL after its grace.
//
// # Threads
//
// One goroutine a program, two a running one for its output, one for the Reaper. A line
// longer than [MaxLine] is cut into several. The log function is called by all of them.
package supervise
