// SPDX-License-Identifier: Apache-2.0

// Package netlab builds small networks out of network namespaces and veth
// pairs, for `weir demo` and for the end-to-end tests.
//
// A Lab owns everything that it made: namespaces (named, so that `ip netns
// exec` reaches them from another shell), the links in them and the processes
// started through it. Close ends the processes by their ids, takes the
// namespaces away, and reports what it could not remove.
//
// A Station is a host in user space: it answers and sends ARP and ICMP echo on
// one VLAN of a trunk, with real tagged frames on an AF_PACKET socket. It is
// there because not every kernel has 802.1Q devices.
//
// Names of namespaces are prefix-<pid>-<name>: two labs never meet. It needs
// root, and the ip program for the namespaces (it keeps the mount propagation
// of /run/netns right).
//
// A Lab is used from one goroutine; Namespace.Do may be called from any.
package netlab
