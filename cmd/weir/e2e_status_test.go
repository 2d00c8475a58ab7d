// SPDX-License-Identifier: Apache-2.0

package main_test

import (
"testing"
"time"
"github.com/weirswitch/weir/datapath/openflow")

func TestE2EStatusProbe(t *testing.T) {
	for _, st := range []bool{true, false} {
		tag := "o"
		if st {
			tag = "s"
		}
		r := newRigOf(t, "netdev", st, tag)
		r.sw.Up("lo")
		target, accept := r.ofListen()
		r.bridge("br0")
		r.vsctl("set-controller", "br0", target, "tcp:127.0.0.1:9", "ptcp:6700:127.0.0.1", "tcp:10.1.1.1:5", "tcp:nonsense.:1", "unix:"+r.dir+"/gone")
		p := accept()
		p.send(5, nil2())
		p.until(5)
		look := func(what string) {
			t.Logf("stock %v %s:\n%s", st, what, r.vsctl("--columns=target,is_connected,role,status", "list", "controller"))
		}
		nap(6)
		look("one connected")
		c := r.ofDial("tcp", "127.0.0.1:6700")
		c.barrier(3)
		nap(6)
		look("passive connected")
		c.Close()
		p.Close()
		nap(6)
		look("closed both")
		accept()
		nap(6)
		look("again")
	}
}

func nil2() openflow.Message { return &openflow.EchoRequest{} }
func nap(n int)              { time.Sleep(time.Duration(n) * time.Second) }
