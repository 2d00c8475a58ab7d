// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/netlab"
)

// ovnRefused are the requests of ovn-controller that Weir refuses, by what its log shows of
// them, with the reason. Everything else must be taken.
var ovnRefused = map[string]string{
	"actions=ct(": "conntrack is not there yet (issue 6)",
	"ct_clear":    "conntrack is not there yet (issue 6)",
}

// ovnError is an OpenFlow error in the log of ovn-controller, with the message that it is about.
var ovnError = regexp.MustCompile(`(?s)received: OFPT_ERROR.*?(?:\n\d{4}-\d\d-\d\dT|$)`)

// ovnErrors returns the OpenFlow errors that ovn-controller got: those that ovnRefused
// explains, and the others.
func (r *rig) ovnErrors() (known, other []string) {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, "ovn-controller.log"))
	if err != nil {
		r.t.Fatal(err)
	}
next:
	for _, e := range ovnError.FindAllString(string(b), -1) {
		for part := range ovnRefused {
			if strings.Contains(e, part) {
				known = append(known, e)
				continue next
			}
		}
		other = append(other, e)
	}
	return known, other
}

// ovn starts OVN's databases, ovn-northd and ovn-controller beside the switch.
func (r *rig) ovn() (nbctl, sbctl func(args ...string) string) {
	r.t.Helper()
	file := func(name string) string { return filepath.Join(r.dir, name) }
	for _, db := range []string{"nb", "sb"} {
		r.run("ovsdb-tool", "create", file(db+".db"), "/usr/share/ovn/ovn-"+db+".ovsschema")
		r.spawn("ovsdb-server", file(db+".db"), "--remote=punix:"+file(db+".sock"), "--unixctl="+file(db+".ctl"), "--log-file="+file(db+".log"))
		r.eventually(5*time.Second, func() error { _, err := r.try("ovsdb-client", "list-dbs", "unix:"+file(db+".sock")); return err })
	}
	r.spawn("ovn-northd", "--ovnnb-db=unix:"+file("nb.sock"), "--ovnsb-db=unix:"+file("sb.sock"), "--unixctl="+file("northd.ctl"), "--log-file="+file("northd.log"))
	r.vsctl("set", "Open_vSwitch", ".", "external_ids:system-id=chassis1", "external_ids:hostname=chassis1",
		"external_ids:ovn-remote=unix:"+file("sb.sock"), "external_ids:ovn-encap-type=geneve", "external_ids:ovn-encap-ip=127.0.0.1",
		"external_ids:ovn-bridge-datapath-type="+r.dp)
	r.spawn("ovn-controller", "unix:"+file("db.sock"), "--log-file="+file("ovn-controller.log"), "-vvconn:file:dbg")
	ctl := func(name, sock string) func(args ...string) string {
		return func(args ...string) string {
			r.t.Helper()
			return r.run(name, append([]string{"--timeout=14", "--db=unix:" + file(sock)}, args...)...)
		}
	}
	return ctl("ovn-nbctl", "nb.sock"), ctl("ovn-sbctl", "sb.sock")
}

// ovn-controller connects to the database, makes its bridge, connects to that, and installs the flows of a
// logical switch, whose ports then reach each other.
func TestE2EOVN(t *testing.T) {
	eachDatapath(t, func(t *testing.T, r *rig) {
		needs(t, "ovn-controller", "ovn-northd", "ovn-nbctl", "ovn-sbctl", "ovsdb-server", "ovsdb-tool")
		nbctl, sbctl := r.ovn()
		r.eventually(10*time.Second, func() error {
			if out := sbctl("show"); !strings.Contains(out, "Chassis chassis1") {
				return fmt.Errorf("no chassis: %q", out)
			}
			return nil
		})
		nbctl("--wait=hv", "sync")
		if mode := r.get("bridge", "br-int", "fail_mode"); mode != "secure" {
			t.Errorf("fail mode of br-int: %s", mode)
		}
		if n := r.flows("br-int", ""); n < 10 {
			t.Errorf("%d flows without a logical switch:\n%s", n, r.ofctl("-O", "OpenFlow15", "dump-flows", "br-int"))
		}
		if out := r.ofctl("dump-tlv-map", "br-int"); !strings.Contains(out, "0x102  0x80       4  tun_metadata0") {
			t.Errorf("the option of OVN is not in the TLV table:\n%s", out)
		}
		if known, other := r.ovnErrors(); len(known)+len(other) > 0 {
			t.Fatalf("OpenFlow errors without a logical switch:\n%s%s", known, other)
		}

		// A switch with two ports, both here. It comes in one transaction, because ovn-controller ends the
		// connection at each error and waits longer each time before it comes back.
		hosts := map[string]*netlab.Namespace{}
		ls := []string{"ls-add", "sw0"}
		for i, name := range []string{"h1", "h2"} {
			ip := fmt.Sprintf("10.0.0.%d", i+1)
			hosts[name] = r.host(name, ip+"/24")
			l, err := hosts[name].Links().LinkByName("eth0")
			if err != nil {
				t.Fatal(err)
			}
			ls = append(ls, "--", "lsp-add", "sw0", name, "--", "lsp-set-addresses", name, l.Attrs().HardwareAddr.String()+" "+ip)
			r.vsctl("add-port", "br-int", name, "--", "set", "interface", name, "external_ids:iface-id="+name)
		}
		nbctl(ls...)
		for name := range hosts {
			r.eventually(30*time.Second, func() error {
				if s := strings.TrimSpace(nbctl("lsp-get-up", name)); s != "up" {
					return fmt.Errorf("logical port %s is %s", name, s)
				}
				return nil
			})
		}
		r.eventually(30*time.Second, func() error {
			if n := r.flows("br-int", ""); n < 120 {
				return fmt.Errorf("%d flows with a logical switch", n)
			}
			return nil
		})
		r.eventually(30*time.Second, func() error { return ping(hosts["h1"], "10.0.0.2") })
		if n := r.flows("br-int", "arp"); n == 0 {
			t.Error("no flow that answers for hosts")
		}
		known, other := r.ovnErrors()
		if len(other) > 0 {
			t.Errorf("%d OpenFlow errors, the first:\n%s", len(other), other[0])
		}
		if r.stock && len(known) > 0 {
			t.Errorf("the stock switch refuses:\n%s", known[0])
		}
		t.Logf("%d flows; %d OpenFlow errors with a known reason", r.flows("br-int", ""), len(known))
	})
}

// flows returns how many flows of a bridge a match selects.
func (r *rig) flows(bridge, match string) int {
	r.t.Helper()
	args := []string{"-O", "OpenFlow15", "dump-flows", bridge}
	if match != "" {
		args = append(args, match)
	}
	return strings.Count(r.ofctl(args...), "n_packets=")
}
