// SPDX-License-Identifier: Apache-2.0

// Package xlate takes one packet's key through the OpenFlow tables and yields
// what a datapath needs to treat all packets like it: datapath actions, and the mask of
// the bits that the decision depended on. Together they are a megaflow.
//
// # Masks
//
// During a translation every bit of the key is in one of two states: it still is what the
// packet brought, or it is a constant that an earlier action or the start of the
// pipeline (metadata and registers are zero) has made, the same for every packet of the
// megaflow. Whoever looks at bits calls need, which puts the first kind into the mask;
// constants cost nothing. Writing needs nothing, because the datapath's Set has
// a mask: a field set without having been looked at does not narrow the megaflow. Whatever is
// copied (move, push) is looked at and thereby becomes a constant.
//
// At the end the mask is completed: in_port, recirc_id and the presence of a VLAN tag
// always count; eth_type counts as a whole if anything behind it does; nw_proto and
// ip_frag count as a whole if a transport field does.
//
// # Commits
//
// Changes of headers collect in the translation's key. Before an output, and before a packet
// goes to a controller, commit compares it with the state that the packet in the datapath
// has reached and emits what is missing: tags to pop and push, fields to Set. So an
// output after a clone, or behind a patch port whose bridge changed the packet, sees
// what it must; what was changed and never sent costs nothing.
//
// # Semantics
//
// Those of the stock switch, of which these differ from what one might expect
// (observed with ofproto/trace of ovs-vswitchd 3.1):
//
//   - At most 4,096 resubmits, nested at most 64 deep where only a resubmit to the
//     same or a lower table, or a patch port, deepens. A translation that exceeds
//     this, or fails otherwise, drops the packet, earlier outputs included; but a failure
//     behind a patch port ends the other bridge's part only, and keeps its outputs.
//
//   - dec_ttl of a packet whose TTL has run out ends the list of actions that it stands in; a
//     rule that resubmitted there goes on.
//
//   - exit ends everything, the action set and what stands behind a clone included; but an
//     exit behind a patch port does not end the bridge that sent there.
//
//   - resubmit with another in_port searches with it and then goes on with the old one.
//
//   - push_vlan makes a tag with VID and PCP 0.
//
//   - An output to the port in in_port is left out, IN_PORT excepted.
//
//   - An action set without output does nothing. Its packet-ins are of the rule of table 0.
//
//   - Writing vlan_tci without its present bit takes all tags away, not only the outermost.
//
//   - NORMAL floods no packet with a tag within a tag to access ports.
//
//   - A field of a header that the packet lacks is not written: no port of a later fragment.
//
//   - Fragments in mode "normal" match as if their ports were 0.
//
//   - A bucket of a group is an action set on a copy of the packet; what sets cannot hold
//     is left out of it. A group that is not there ends the list of actions that names it. Each
//     bucket executed counts as a resubmit and deepens.
//
//   - A select group without "hash" fields chooses by a hash of both ends of the flow
//     that is computed here, per megaflow, where the stock switch has its datapath hash
//     (hash(sym_l4), recirc): each flow keeps its bucket, but takes a megaflow of its own.
//
//   - What a learn action adds to a table is not seen by the same packet's translation. Its limit
//     is of rules with its cookie; a flow above it is not added, and result_dst says 0. As long as
//     that depends on room, the translation depends on the rules with that cookie.
//
//   - A learn does not keep idle flows alive: it starts their hard timeout anew, and adds them again
//     when they are gone.
//
//   - push_mpls on a packet without a label makes one with the TTL (64 if there is none or it is 0) and the low 3
//     bits of the DSCP of its IP header and the explicit null label; a fourth label ends the translation.
//     pop_mpls to a type that is not MPLS pops all labels. dec_mpls_ttl of a packet without labels
//     ends the list of actions.
//
//   - A queue is a packet priority, where In.Priority knows it, and is ignored elsewhere.
//
//   - output(port,max_len) works for ports with a device only, and not for IN_PORT.
//
//   - What is left of a list of actions when a packet has to be parsed again (below) is one list: what
//     ends one of its lists early ends all.
//
// # Length
//
// What depends on the packet's length (check_pkt_larger) is not for a megaflow. A translation that
// knows the length (In.Len) goes on; another is frozen there as below, and each packet's rest is
// translated by itself, with the length that it then has. (The stock switch has a datapath action with two branches.) As
// in the stock switch the outcome is for what is left of its rule, the action set included, and whoever
// resubmitted there goes on with the state before. What the stock switch (3.1) gets wrong ours does not follow:
// a set that was written before is executed twice if the packet is larger; a bit of a header
// that the packet brought is not written; an exit on one side ends whoever resubmitted on both.
//
// # Headers under labels
//
// What comes out from under the last MPLS label is not in the key, which ends there. Who looks at it stops
// the translation; what is left to do goes into a Frozen, which the datapath's Userspace action
// names (PacketIn.Resume). The packet comes up with its labels gone, is parsed again,
// and translated on (In.Resume), each one by itself. The stock switch recirculates in its
// datapath for this, and does so also for actions that do not look; what leaves is the same.
// Frozen is where recirculation in the datapath would start from, which also needs
// conntrack's state in the key.
//
// Where the stock switch loses something, ours does not follow: it keeps more than two tags, and the
// inner tag in NORMAL where push_vlan made the outer with VID 0; it rewrites IP headers with
// protocol 0; what stands behind a clone with a pop in it that recirculates is executed; a truncated
// output is as long as it says where the packet still had to be changed (stock 3.1 cuts first); a label
// that is zero because the last one was popped to a type of MPLS is none. (Package trace compares the two and names these.)
//
// # Side effects
//
// There are none. In.Trace asks for a record of each decision (package trace prints it). What a packet should cause besides forwarding (addresses and flows to learn, rules
// to count at, packets for controllers) is in the Result, and so is what the
// translation looked at other than the key: rules and misses in Hits, addresses,
// ports and flooding in Deps. The caller applies and indexes it.
//
// # Threads
//
// A translation reads Bridges, ofproto and FDB; these must not change meanwhile.
package xlate
