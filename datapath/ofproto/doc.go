// SPDX-License-Identifier: Apache-2.0

// Package ofproto is the OpenFlow state of one bridge: its tables, rules, ports
// and configuration, and what the messages of a controller do to them.
//
// A Bridge is a value that messages change: Handle takes one and returns the
// replies, and as Effects everything that others must do about it: which rules changed
// (package upcall re-translates the megaflows that depend on them), the packet
// to execute, the messages to other controllers. It has no goroutine, no socket and
// no clock.
//
// # Semantics
//
// Those of the stock switch (ovs-vswitchd 3.1), which decide where the
// specification leaves a choice or the versions differ:
//
//   - 255 tables; the last, 254, is the switch's own: controllers see 254 (0 to 253),
//     and changes of table 254 are refused with OFPBRC_EPERM.
//
//   - Rules with a priority above 65,535 are the switch's own (fail-open): no
//     message sees or changes them.
//
//   - A bridge that has no controller and is not in fail mode "secure" starts with
//     one rule: table 0, priority 0, any packet, NORMAL. It is an ordinary rule.
//     When controllers are configured or removed, or the fail mode of a bridge without
//     controllers changes, the tables start anew.
//
//   - A packet that matches no rule is dropped, unless a connection speaks a
//     version before OpenFlow 1.3: then it becomes a packet-in. Package xlate does this by
//     Bridge.MissToController.
//
//   - A modification keeps counters (unless OFPFF_RESET_COUNTS), timeouts, flags,
//     importance, age and, unless told otherwise, the cookie. An addition that
//     replaces a rule keeps the counters unless OFPFF_RESET_COUNTS (which the codec sets
//     for OpenFlow 1.0 and 1.1). The time of the last packet stays in any case.
//
//   - Meters have bands of type drop alone. Deleting one deletes the rules that
//     name it; controller actions that name it stay, unmetered. The numbers of the
//     virtual meters "controller" and "slowpath" can be added like others. Modifying a meter
//     fills its buckets and clears its counters; its age stays.
//
//   - A rule can refer only to groups that exist (OFPBAC_BAD_OUT_GROUP), a bucket to any,
//     and to its own: loops end in translation. A group that is deleted takes the rules
//     that refer to it along.
//
//   - A modification of a group starts its counters and those of its buckets anew and keeps
//     its age; an insertion or removal of buckets starts those of the group anew.
//
//   - A flow that a learn action makes is added, or modifies the rule with its match and priority,
//     like FlowModifyStrict of OpenFlow 1.0; if nothing changes, only the hard timeout starts
//     anew. Parts of fields that cannot be masked are not matched. With the last rule that has a
//     learn with delete_learned, the rules of its table with its cookie go.
//
//   - fin_timeout only shortens timeouts.
//
// # Bundles
//
// A bundle is applied in order, and as a whole or not at all: each change is noted, and at the
// first refusal all are taken back, the last first, to the same Rules and Groups.
//
// Readers never see a state between, although they are let in every 64 changes (Commit): rules and groups have
// versions. What a bundle adds is there as of the next version; what it removes stays until then; what
// it modifies gets a copy, and the new Rule is told what the old one counts (Rule.heir). Settings of ports wait.
// One store then makes the next version the one that readers see, and what it replaced is cleared away, again
// in pieces. What only changes look at (timeouts, references to groups and meters, the order of eviction, numbers of
// rules) has no versions: it is as the changes want it from the start.
//
// A single modification is seen at once, when its caller lets readers in.
//
// # Conjunctions
//
// A rule with conjunction actions never wins (ovs-fields(7), "Conjunctive Match Fields"; package classifier). It
// counts no packets, as in the stock switch. Conjunctive flows that overlap at one priority are
// unpredictable there; here the lowest ID that leads to a rule wins.
//
// # Flow monitors
//
// A connection that monitors flows is told of the changes that its monitors select, in their order (Updates): its own ones,
// unless it asks otherwise, only as "message so-and-so has taken effect", once until they are taken. What a bundle changes is told
// when it is there. Who takes updates too slowly (MonitorBacklog) is told of removals alone, of rules that it knows, until
// it has taken all; then what differs comes. Observed with ovs-vswitchd 3.1, but: errors are what the protocol
// says (those of the stock switch have the version and transaction id of other messages), OpenFlow 1.4's OFPFMFC_MODIFY is done,
// OFPFMF_NO_ABBREV is taken as well as OFPFMF_ONLY_OWN, which means the same there, and a rule that another has
// replaced during a pause is told as modified, so that its removal is told, too.
//
// # Counters
//
// Rules count what megaflows that used them counted; package upcall brings it
// with Credit. A rule therefore lags behind the datapath by the time between two
// rounds of statistics.
//
// # Bounds
//
// A table holds at most MaxRules rules (more: OFPFMFC_TABLE_FULL), a bridge at most
// MaxGroups groups (OFPGMFC_OUT_OF_GROUPS) with MaxBuckets buckets (OFPGMFC_OUT_OF_BUCKETS),
// and as many meters as the datapath has (OFPMMFC_OUT_OF_METERS). A connection has at most MaxMonitors flow
// monitors (OFPMOFC_UNKNOWN), and updates of MonitorBacklog bytes wait for it, besides removals and the answer to its requests.
//
// # Threads
//
// Readers (Lookup, All, FlowStats, Group, Port and the others that only read) may run at the same time; everything else
// needs the Bridge for itself. The caller locks. Commit and FlowStats take his lock, to
// give it up in between. While Commit runs nothing else may change the Bridge, except that Credit and CreditTable may be called
// by who holds the lock.
package ofproto
