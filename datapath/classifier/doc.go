// SPDX-License-Identifier: Apache-2.0

// Package classifier finds, among rules with a priority and a match, the one
// with the highest priority that matches a packet's key, and says which bits of
// the key that answer depended on.
//
// # Why not only the answer
//
// The switch caches the outcome of a packet's way through the tables as a megaflow:
// a key under a mask. Every bit that the search looked at must be in that mask,
// and every bit in it that was not needed makes the cache larger. The search
// is therefore built to look at little, with the techniques of "The Design and
// Implementation of Open vSwitch" (NSDI 2015, sections 5.3 to 5.5):
//
//   - Tuple-space search: rules with the same mask form a subtable, a hash map of
//     masked keys. One probe answers for all its rules.
//   - Order by priority: subtables are visited by falling highest priority of
//     their rules, and the search ends where no remaining rule could win.
//   - Staged lookup: a subtable's mask is cut at flow.StageEnd (metadata, Ethernet,
//     network, transport); after each part an index says whether any rule has
//     these values. Where none has, the later parts do not enter the mask.
//   - Prefix tries: for addresses a trie of all prefixes in the classifier, for transport ports one of those
//     in the subtable tells how many leading bits of the packet's value rule out every
//     prefix of the subtable's length. Only those bits enter the mask.
//
// # Versions
//
// A lookup sees the rules of one Version. A rule says as of which it is there, and until which; rules of other
// versions are passed over. So a change of many rules can be prepared in pieces, between which lookups of the
// version before go on, be seen all at once, and cleaned up in pieces; or be taken back. What lookups of one
// version look at may be more than it would be without the rules of another (indexes, tries and orders know
// all rules), but is enough.
//
// # Conjunctions
//
// A conjunctive rule (SetSoft) says that a clause is fulfilled; see Lookup. A classifier without any
// pays nothing for them.
//
// # Invariants
//
// Among matching rules of equal priority, which OpenFlow leaves open, the one wins
// whose subtable is older. So the winner depends on the rules that match and
// on nothing else, and adding or removing a rule changes the winner only
// for keys that match it (with conjunctions: see Lookup). Let m be the mask that a lookup of k has filled: every
// key that agrees with k under m has the same winner. oracle_test.go and version_test.go hold both
// against a linear search.
//
// # Memory
//
// A rule keeps only the words of its match that its subtable's mask has; the
// mask is shared. The number of rules is bounded by the caller. Where a change of version replaces all rules of a
// subtable by others, both are there for a while, and its hash map stays as large as that took.
//
// # Threads
//
// Lookups and iterations may run at the same time; changes need the classifier
// for themselves. The caller locks; versions are what lets him give the lock up in between.
package classifier
