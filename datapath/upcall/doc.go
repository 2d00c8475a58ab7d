// SPDX-License-Identifier: Apache-2.0

// Package upcall joins the OpenFlow side of the switch with a datapath: a packet that
// the datapath does not know is translated, forwarded and installed as a megaflow;
// megaflows are counted, aged, and translated anew when something that they depend
// on has changed.
//
// # State and locks
//
// Three things, each with its lock, taken in this order:
//
//  1. Switch.mu guards what translation reads: bridges, ports, tables, MAC tables,
//     and the contents of megaflows. Translations run under the read lock, at the same
//     time; everything that changes the state holds the write lock.
//  2. index.mu guards which megaflows exist and the lists of their dependants-to-be.
//  3. The datapath has its own.
//
// No lock is held while a packet is executed or a callback of Options runs.
//
// # Why no megaflow is ever stale
//
// A translation and the installation of its result (in the datapath and in the
// index) happen under one hold of Switch.mu. A change happens under the write lock and
// translates its dependants anew before it lets go. So a megaflow either was
// installed before the change, and is found in the index, or is translated after it.
// There is no version to compare and no flow that is "probably" right.
//
// A translation has a side effect that is such a change itself: it learns addresses.
// If that would change a MAC table, the packet gives the read lock back, takes the write
// lock, learns, re-translates the dependants, and is then translated once more.
//
// # Dependants
//
// Each megaflow is in a list for every rule that it hit (or table that it missed), every
// address that it looked up, every port that it looked at, and for flooding. What
// changed selects the lists; for a new rule these are the lists of its table whose rule is not
// of a higher priority and overlaps it, filtered by the megaflow's own key
// where actions have not changed that. Only what is left is translated.
//
// A megaflow is translated from its key with the bits outside the mask zero. If the new
// result looks at bits outside the old mask, it does not hold for all packets of the
// megaflow, and that is deleted; else its actions are replaced in place if they differ.
//
// # What a datapath refuses
//
// Actions that it does not support are served from here: the megaflow's only
// action becomes "to user space", and each packet is executed. The reason is kept for the
// user (Megaflow.Slow). A key that it cannot match, or a full table, leaves the packets
// to come as misses.
//
// # Bounds
//
// Megaflows: Options.FlowLimit; at the bound nothing is installed, and the idle time falls to 100 ms until
// there is room. Packets for controllers: 64 for each port of arrival, served in turn; more are
// dropped and counted. Upcalls: the datapath's own bound.
package upcall
