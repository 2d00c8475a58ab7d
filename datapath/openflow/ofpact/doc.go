// SPDX-License-Identifier: Apache-2.0

// Package ofpact is the wire format of actions and instructions: those of
// OpenFlow 1.0 (5.2.4), of OpenFlow 1.2 to 1.5 (1.3.5, 7.2.4 and 7.2.5; 1.5.1,
// 7.2.6), and those of the Nicira and ONF experimenters.
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------------------------------+-------------------------------+
//	|             type              | length, of all, multiple of 8 |
//	+-------------------------------+-------------------------------+
//	| experimenter, if type is 0xffff                               |
//	+-------------------------------+-------------------------------+
//	| subtype (Nicira, ONF)         |
//
// Reading goes by a table of types for each version (tables.go). Writing picks
// the form that the stock switch picks for the version; an action that the
// version cannot express is written as its Nicira form, as reg_load, or not
// at all, as there.
//
// Check is the part of the validation that needs the flow's match and
// table. It is the stock switch's: for OpenFlow 1.0 an action whose field the match does not
// warrant is let through, later versions refuse it.
//
// Bounds: a list has at most 64 KiB on the wire; clones nest at most maxDepth deep.
// Pure; nothing returned aliases the input.
package ofpact
