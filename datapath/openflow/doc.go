// SPDX-License-Identifier: Apache-2.0

// Package openflow holds the OpenFlow messages as version-free values and their
// wire formats.
//
// # Messages
//
// A Message is a pointer to one of the struct types of this package. It says
// what is meant, not how a version writes it: a port has 32 bits, a match is a
// flow.Match, what to do is an action.Instructions, an error is an ofp.Kind.
// Consumers (the flow tables, controllers' sessions) see nothing else.
//
// # Versions are a border
//
// A Proto says how one connection writes: its version and, for OpenFlow 1.0, the
// Nicira extensions that were switched on. Decode and Encode translate. For
// each version there is a table (table.go) of message types and multipart types,
// each row with its decoder and encoder; the functions shared by several
// versions are the same function in several tables. What a version cannot
// express is left out where the stock switch leaves it out, and an error
// where it is one.
//
// The formats are those of the OpenFlow Switch Specification 1.0.0 to 1.5.1 and,
// for vendor 0x00002320, of Open vSwitch's nicira-ext.h. Subpackages: ofp (leaf: versions, errors, reader
// and writer), oxm (matches), ofpact (actions and instructions).
//
// # Invariants
//
// Nothing that Decode returns refers to its input. Decode refuses trailing bytes
// and wrong lengths; whatever it accepts, Encode can write again in the
// same Proto and Decode reads as the same value. Encode splits multipart messages that exceed 64 KiB.
//
// Pure: no goroutines, no time, no sockets.
package openflow
