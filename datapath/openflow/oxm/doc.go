// SPDX-License-Identifier: Apache-2.0

// Package oxm is the wire format of extensible matches: OXM (OpenFlow 1.2 and
// later, 7.2.3 in 1.3.5) and its older sibling NXM (Open vSwitch's nicira-ext.h).
// Both are sequences of entries
//
//	 0                   1                   2                   3
//	 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//	+-------------------------------+-------------+-+---------------+
//	|             class             |    field    |M|    length     |
//	+-------------------------------+-------------+-+---------------+
//	| experimenter, if class is 0xffff; counts in length            |
//	+---------------------------------------------------------------+
//	| value, then mask if M is set, length bytes altogether
//
// The table in rows.go says which entry is which field of a flow.Key. Several
// entries name one field: Decode accepts each of them in every version, as the
// stock switch does; the version chooses which is written.
//
// Errors are those that the stock switch reports, in its order: unknown field
// (OFPBMC_BAD_FIELD; NXFMFC_INVALID_TLV_FIELD for tun_metadata, as if no option was mapped to it), length (OFPBMC_BAD_LEN), bits of the value outside the
// mask (OFPBMC_BAD_WILDCARDS), mask (OFPBMC_BAD_MASK), value (OFPBMC_BAD_VALUE), prerequisites
// (OFPBMC_BAD_PREREQ), repetition (OFPBMC_DUP_FIELD).
//
// Pure values; nothing returned aliases the input.
package oxm
