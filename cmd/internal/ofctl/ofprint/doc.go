// SPDX-License-Identifier: Apache-2.0

// Package ofprint writes OpenFlow messages as text for people, in the form that
// the stock tools print and that scripts parse: ovs-ofctl's dump commands,
// monitor, snoop, errors.
//
// [Message] takes the bytes of a message and never fails: what it cannot decode
// it prints as an error and a hexadecimal dump. The texts are those of Open
// vSwitch 3.1, compared by the tests of package ofctl against the stock
// program on the same switch.
//
// Pure: values in, text out; no goroutines.
package ofprint
