// SPDX-License-Identifier: Apache-2.0

// Package bridge decides how the kernel's bridges, and with them the switch
// chips behind their members, are brought from what they are to what is
// wanted.
//
//   - state.go: State, which is both.
//   - op.go: the operations, each with the text of the iproute2 command that
//     does the same.
//   - plan.go, phases.go: Plan, the ordered difference.
//   - sync.go: Syncer, which carries a plan out on a Device, decides what a
//     refusal means for the rest, and says what did not reach the chip.
//   - fdb.go: MAC tables both ways.
//
// All of it is pure; dsa/rtbridge is a Device on rtnetlink, dsa/dsatest one
// that is a model of a chip.
//
// # The promise
//
// After every single operation of a plan each frame is delivered to no port,
// and in no form, to which neither the old nor the new state delivers it
// (plan_test.go injects frames into the model after each operation). It holds
// because
//
//  1. what lets less through comes first (flags, spanning tree, memberships),
//     what lets more through last;
//  2. how a frame is classified at ingress changes in two steps, old to
//     nothing to new, with every change of how it leaves in between: so no
//     frame is taken by the new rule of one port and sent by the old one of
//     another;
//  3. a port joins a bridge while it is a member of no VLAN;
//  4. a static MAC is in place before ports that must not see its frames gain
//     its VLAN. Where two ports that gain a VLAN bring new static MACs, neither
//     order is right: the ports then neither flood nor learn in between
//     (where the driver has no such flags, that is left out);
//  5. when an operation that takes away fails, those that give are held back
//     on the same bridge until it succeeded, or the port was given up
//     (Result.Demote).
//
// It does not cover a frame that is inside the chip while an operation is
// carried out, nor a bridge without UserSTP, whose ports the kernel itself makes
// forward when they get a carrier.
//
// # Bounds
//
// A plan has at most as many operations as old and new state have members,
// flags and entries together. Runs of VLANs are one operation.
package bridge
