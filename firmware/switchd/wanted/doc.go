// SPDX-License-Identifier: Apache-2.0

// Package wanted is the pure core of the reconciler: from database rows to a
// plain description of the wanted switch, from that and what is there to the
// operations that are missing, and from the result to the status columns.
//
//	Rows --New--> Switch --Make(Present)--> Plan{Before, Bridges, After} --> status
//
// Nothing here talks to a database, a kernel or a datapath; package switchd
// does, on both sides. Everything is a value with a text form, and the tests
// are tables of such texts.
//
// # Invariants
//
// A plan made from what its predecessor led to is empty: the second run makes
// no change. A device that no Interface row names is in no operation, unless it
// is an internal port of ours whose row has gone. A port's OpenFlow number
// stays as long as its row does (also while its device is away), comes back
// after a restart from the row's ofport column, and is given to another port
// only when all others have been used since.
//
// # Order
//
// Before: ports whose device or datapath has changed leave, internal devices
// are made, datapaths opened, ports added. Then the bridges are configured,
// which takes the ports in use. After: ports that no bridge has any more
// leave, internal devices are deleted, datapaths closed. So no configuration
// ever names a port that is not there.
package wanted
