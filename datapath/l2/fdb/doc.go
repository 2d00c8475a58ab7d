// SPDX-License-Identifier: Apache-2.0

// Package fdb is the MAC table of a bridge (IEEE 802.1Q, 8.8): which port an
// address was last seen on, by VLAN.
//
// Entries age: one that was not learned again for the ageing time (300 s by default)
// goes. The table has a bound (8,192 entries by default); a new address at the
// bound takes the place of the entry that was not seen for longest among those of the port
// that has the most, so that a host that makes addresses up cannot push the
// others' out. Static entries neither age nor move nor give way.
//
// What a switch chip has learned on ports that it bridges is held here (Hold, Release): shown and used like
// the rest, but aged by the chip. An address that is seen on another port moves all the same.
//
// Every operation that changes where a packet would go says so with a Change:
// the switch re-translates what depended on that address, and nothing else.
//
// Lookups may run at the same time; everything else needs the table for itself.
// The caller locks. Time comes from the caller; where it goes back a little (addresses
// seen by the datapath are learned later) entries may leave that much late.
package fdb
