// SPDX-License-Identifier: Apache-2.0

// Package version holds the version of this program and of what it is
// compatible with.
package version

// Weir is the version of this program (semver.org).
const Weir = "0.1.0"

// Compat is the version of Open vSwitch whose wire formats, schema and texts
// are served: what tools that parse a version expect to see first.
const Compat = "3.1.0"

// String returns the version for people: "0.1.0".
func String() string { return Weir }

// OVS returns the value of the column Open_vSwitch:ovs_version: the compatible
// version first, because tools compare it as numbers, with ours behind a "+"
// (build metadata in the words of semver.org), because it is not Open vSwitch.
func OVS() string { return Compat + "+weir." + Weir }
