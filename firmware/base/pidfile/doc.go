// SPDX-License-Identifier: Apache-2.0

// Package pidfile writes the file that tells Open vSwitch's tools a daemon's
// process id: decimal digits and a newline, under a write lock.
//
// The lock is fcntl's (POSIX) and not flock's or an open file description's,
// because the readers ask with F_GETLK and compare the owner's process id.
// Such a lock is lost as soon as the process closes any descriptor of the
// file, so the process that holds a pid file must not open it again.
//
// The file appears under its name with its contents and already locked, and
// is removed by [File.Close]. After a crash it stays, without lock: readers
// know it as stale and [Create] replaces it.
package pidfile
