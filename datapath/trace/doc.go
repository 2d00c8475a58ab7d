// SPDX-License-Identifier: Apache-2.0

// Package trace shows what the switch does with a packet and why: the request and the
// text of "ovs-appctl ofproto/trace", which people read and scripts take apart.
//
// ParseRequest reads what comes behind the command's name; Text writes a translation's
// record (xlate.Trace) in the form of ovs-vswitchd 3.1. What it says is that switch's, line by line,
// with these differences:
//
//   - The megaflow is ours, which looks at less: it names dl_type and nw_frag only
//     where something depended on them.
//   - Floods go to ports in the order of their numbers.
//   - A table without a matching rule is "No match." in every bridge. The stock switch
//     shows a hidden rule of its own for it in a bridge behind a patch port.
//
// The package is pure. Its test runs the stock switch on the same bridges, flows and
// packets, and compares the texts, what leaves, and the bits that the megaflows look at.
package trace
