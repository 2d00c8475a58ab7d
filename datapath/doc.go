// SPDX-License-Identifier: Apache-2.0

// Package datapath is the root of everything between an OpenFlow message and a
// frame. It holds no code itself.
//
//	controller            frames that no megaflow knows
//	    |                          |
//	 ofconn  --> ofproto       upcall <---------------+
//	(sessions)  (tables)          |                   |
//	                \             v                   |
//	                 +-------> xlate                  |
//	                 one packet through the tables:   |
//	                 actions + the widest right mask  |
//	                              |                   |
//	                              v  dpif: put, delete, count
//	                    +---------+----------+        |
//	                    v                    v        |
//	                  bpf (TC)          soft (Go) ----+
//
// Pure packages (values in, values out, no clock, no socket): packet, flow,
// action, openflow, classifier, ofproto, xlate, l2/fdb. Edges: ofconn, upcall,
// soft, bpf, netdev. Package dpif is the contract between the two halves.
//
// # Words
//
//	here                      in Open vSwitch
//	----                      ---------------
//	flow.Key                  struct flow
//	flow.Mask                 struct flow_wildcards
//	flow.Match                struct match
//	action.List               ofpacts
//	dpif.Flow, megaflow       datapath flow, megaflow (NSDI 2015)
//	dpif.Datapath             dpif, and the datapath behind it
//	dpif.Action               odp actions
//	Userspace action          userspace action with a cookie
//	package upcall            udpif: handlers and revalidators
//	package xlate             ofproto-dpif-xlate
//	package soft              dpif-netdev (userspace datapath)
//	package bpf               dpif-netlink with the kernel module
package datapath
