// SPDX-License-Identifier: Apache-2.0

// Package client is a small OVSDB client: it connects, calls methods and hands
// on notifications. Tests use it, and the tools that talk to a database.
//
// One goroutine reads. Calls may be made from many goroutines at once; each
// waits for its own reply. Notifications (update, update2, update3, locked,
// stolen) go to [Options.Notify] in the order in which they came, from the
// reading goroutine: the function must not block and must not call the client.
// An echo request of the server is answered here. The client does not
// reconnect by itself: package firmware/base/reconnect decides that for the
// owner.
package client
