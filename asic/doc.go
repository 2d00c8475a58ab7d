// SPDX-License-Identifier: Apache-2.0

// Package asic will hold what puts OpenFlow rules into switch chips: the
// planner (which rules fit a chip, and in which order they change), the tc
// flower encoder, the probe of what a driver really takes, and the table of
// chips. Nothing of it exists yet: today every rule runs in eBPF or in Go, and
// a port of a switch chip is treated like any other network device.
//
// Planned packages: asic/plan (pure), asic/flower (edge), asic/probe.
package asic
