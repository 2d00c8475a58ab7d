// SPDX-License-Identifier: Apache-2.0

// Package chip decides, without touching anything, what switch chips do for the wanted switch:
// which ports they bridge by themselves, with which VLANs, and why the others are not among them.
//
//	wanted.Switch + chip ports + what the tables say --Assign--> Assignment
//
// # Modes (decision 8 of the architecture)
//
// A port of a chip is in one mode:
//
//   - Bridged: it is a member of a kernel bridge with VLAN filtering, which its driver puts into the chip.
//     Frames between members never reach the CPU. That is done only where the tables leave everything
//     that arrives on the port to NORMAL (ofproto.Bridge.NotNormal), and where the chip can
//     have the port's VLAN settings.
//   - Standalone: all its frames come to our datapath, like those of a plain network device.
//
// A third mode is planned and is not there: rules that lead an address to a port, from wherever, as static
// entries of the chip, whatever has none going to the CPU. A bridge that filters VLANs drops frames of VLANs that a
// port is not in, where the tables would see them, and no port can be in all 4094 of a chip's few; so it takes a bridge that
// looks at no tags, which dsa/bridge does not plan, and chips that give frames of unknown destination, with any tag, to the
// CPU alone. The emulated ones cannot show that (rocker drops tagged frames then, dsa_loop has no data plane),
// and what no board has shown is not offloaded.
//
// A port that its kernel bridges in software, without the chip, is standalone too: our datapath is faster. What
// refuses a port is tried again ever more rarely.
//
// A port that stops being fit for its chip leaves at once; it comes back when it has been fit for
// HoldTime, so that a controller that changes its mind often does not make the chip flap.
//
// # One kernel bridge and one leg a bridge
//
// The bridged ports of one OpenFlow bridge, of whatever chips, are in one kernel bridge. Its leg joins it to
// the datapath: a veth pair whose inner end is a member that has every VLAN tagged. See xlate.Leg.
//
// # VLANs
//
// A kernel bridge has no VLAN 0, which is where Open vSwitch puts frames without a tag on a port
// without one. On the bridge they have a VID that no row names (Bridge.Untagged): 3071, or the next below.
//
// A trunk of all VLANs has, on the chip, those that some row of the bridge names: a chip's table
// of VLANs is small, and some drivers take a command for each. What is left out is said
// (Bridge.Note).
//
// # What a chip does otherwise than NORMAL
//
// Frames to 01:80:c2:00:00:00 and to Cisco's 01:00:0c:cc:cc:cc are flooded between the ports of the chip, for the kernel's
// bridge does so while it runs no STP; NORMAL drops them. The bridge sees 802.1Q tags alone: a frame whose outer tag is
// 802.1ad's is one without tag there, and the tag within does not keep it from an access port.
//
// An access port of the chip takes frames with the tag of its own VLAN, which Open vSwitch drops there: the
// chips have no way to tell. They are in that VLAN all the same. So it is with the VID of Bridge.Untagged on
// a port of the chip whose PVID it is; on the leg such frames do not cross.
package chip
