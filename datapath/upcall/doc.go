// SPDX-License-Identifier: Apache-2.0

// Package upcall joins the OpenFlow side of the switch with a datapath: a packet that
// the datapath does not know is translated, forwarded and installed as a megaflow;
// megaflows are counted, aged, and translated anew when something that they depend
// on has changed.
//
// # State and locks
//
// Five things, each with its lock, taken in this order:
//
//  0. Switch.changes is held by who changes the tables or the set of bridges for a controller or a
//     configuration, from the beginning to the end. A bundle keeps it while it gives Switch.mu up every
//     64 changes. Packets that change tables (learn, fin_timeout) do without it: they hold Switch.mu for
//     writing, and what they do to a bridge whose bundle is being committed is postponed until that is.
//  1. Switch.mu guards what translation reads: bridges, ports, tables, MAC
//     tables. Translations run under the read lock, at the same time; everything that changes the
//     state, counters of rules included, holds the write lock.
//  2. index.mu guards which megaflows exist, the lists of dependants and the
//     backlog.
//  3. megaflow.mu guards the megaflow's outcome and counters. They are changed by who holds the
//     write lock, or by who has taken the megaflow from the backlog and
//     holds the read lock since; these read without it.
//  4. The datapath has its own.
//
// No lock is held while a packet is executed or a callback of Options runs, but for monitors.telling, which keeps
// what flow monitors tell in the order of the changes; it comes before Switch.mu.
//
// # Why no megaflow stays stale
//
// A translation and the installation of its result (in the datapath and in the
// index) happen under one hold of Switch.mu. A change happens under the write lock and puts
// its dependants into the backlog before it lets go; for a new rule it puts the rule there, whose
// dependants are looked for later. (A bundle is published under the write lock and then fills the backlog in pieces: until
// its commit is answered, megaflows may be as they were before it.) What is taken from the backlog is translated, and the
// result is in the datapath, under one hold of the read lock. So at any time a megaflow is
// right, or in the backlog, or one of those that a rule in the backlog will find. There
// is no version to compare and no flow that is "probably" right.
//
// Chunks of the backlog are short, and new flows are translated beside them. Small changes
// overtake large ones, which get every fifth chunk meanwhile. Who changes something
// works off the backlog up to his change before he returns, if it is a few hundred megaflows;
// else Run's goroutines do, and a barrier waits for them, as do Apply and the
// commands of ovs-appctl. A packet that comes before its megaflow's turn is forwarded as it was
// before the change; for that time, overlapping megaflows may disagree.
//
// A translation has side effects that are such changes themselves: it learns addresses, and flows (learn
// actions). If that would change a table, the packet gives the read lock back, takes the write
// lock, learns, and is then translated once more; of flows it sees none that it taught, so that its
// megaflow may need a third translation. What megaflows count teaches the same again, round by round: a
// learned flow starts its hard timeout anew or comes back, and fin_timeout sees the flags.
//
// What megaflows count belongs to the rules that they used until then: a megaflow in the backlog
// is credited to these when its turn comes, behind the chunk, under the write lock.
//
// # Dependants
//
// Each megaflow is in a list for every rule that it hit (or table that it missed) or whose clause of a
// conjunction it considered, every
// address that it looked up, every port that it looked at, and for flooding; and where a learn has
// a limit, for the rule that it would make or the rules that count. What
// changed selects the lists; for a new rule these are the lists of its table whose rule is not
// of a higher priority and overlaps it, filtered by the megaflow's own key
// where actions have not changed that. (Of a conjunctive rule's list the priority says nothing: with it, any rule may
// win.) Only what is left is translated. New rules of a
// table that wait together are looked for together; if they are many, all megaflows that searched
// the table are translated, which costs less: a burst of rules, or a bundle, costs some rounds.
//
// A megaflow is translated from its key with the bits outside the mask zero. If the new
// result looks at bits outside the old mask, it does not hold for all packets of the
// megaflow, and that is deleted; else its actions are replaced in place if they differ. What
// translations yield is shared between megaflows where it is equal.
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
// Megaflows: Options.FlowLimit, which follows the machine's memory (FlowLimitFor) and is not above what
// the datapath holds, or Config.FlowLimit if that is lower, and less while a round (of counters, or of a
// change until the last megaflow is right) takes longer than a second: see adapt. At the bound nothing is
// installed, and the idle time falls to 100 ms until there is room; megaflows above twice the
// bound go at once. The backlog: as many as there are megaflows, and 16 rules a table. Packets for
// controllers: 64 and 256 KiB for each port of arrival, 8 MiB for all, served in turn; more are dropped and counted. Upcalls:
// the datapath's own bound. Learned flows: as many as a table takes (ofproto.MaxRules, or its configuration), and
// the limit of the learn; those taught while a bundle is committed: 4,096, more are learned with a later packet.
//
// # Cost
//
// In November 2026, on two CPUs of a Xeon and Linux 6.18, with 100,000 megaflows and 1,000 new
// flows a second coming (BenchmarkScale): a rule that concerns one is in force after 4 ms (99th percentile
// 34), a host with 1,000 that moves after 6 ms (93), a rule that changes all after
// 0.37 s over soft and 0.62 s over bpf; a new flow waits for 77 ms at the longest meanwhile. A megaflow
// takes 416 bytes of Go's memory here (BenchmarkAll); with the datapath's own 723 over soft, and
// 469 over bpf besides the maps.
package upcall
