// SPDX-License-Identifier: Apache-2.0

// Package env is what a tool of the multi-call binary gets from the outside:
// arguments, streams, environment variables and the clock. A tool is a function
//
//	func Main(ctx context.Context, e env.Env) int
//
// that returns its exit code, ends early when ctx ends (SIGINT, SIGTERM), and
// touches os.Args, os.Stdout and os.Getenv not at all: so a test runs it like
// a user does.
package env

import (
	"io"
	"time"
)

// Env is the outside of a tool.
type Env struct {
	Name   string   // as the user called it: "ovs-vsctl", "weir switchd"; for messages
	Args   []string // behind the name
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	Getenv func(string) string
	Now    func() time.Time
}

// RunDir returns the run directory of stock and our daemons: OVS_RUNDIR, else
// /var/run/openvswitch.
func (e Env) RunDir() string {
	if d := e.Getenv("OVS_RUNDIR"); d != "" {
		return d
	}
	return "/var/run/openvswitch"
}

// DBDir returns the directory of the database file: OVS_DBDIR, else
// /etc/openvswitch.
func (e Env) DBDir() string {
	if d := e.Getenv("OVS_DBDIR"); d != "" {
		return d
	}
	return "/etc/openvswitch"
}
