// SPDX-License-Identifier: Apache-2.0

// Package ofp is the leaf of the OpenFlow codec: protocol versions, the kinds
// of errors with their numbers in every version, port numbers on the wire, and
// the Reader and Writer that all decoders and encoders use.
//
// # Errors
//
// A Kind is a reason for which a message is refused, independent of the version:
// the wire numbers differ (an error of Nicira's in one version is the
// standard's in the next), Numbers gives them. A Kind is a Go error; what
// decoders return wraps one, and KindOf finds it.
//
// # Reading
//
// A Reader never reads outside its bytes. The first thing wrong sticks: later
// reads return zeros, and Err is asked once at the end. What it returns by
// Bytes aliases the input; Copy does not.
//
// Values only, no goroutines. All numbers on the wire are big endian.
package ofp
