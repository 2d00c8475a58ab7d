// SPDX-License-Identifier: Apache-2.0

// Package demo is `weir demo`: a switch and three hosts in network namespaces
// of their own, configured, pinged, explained, and taken away again.
//
// Two hosts are on access ports of VLAN 10. The third is behind a trunk and
// is played by this process, with tagged frames on a packet socket, so that no
// kernel support for 802.1Q is needed. Nothing outside the namespaces and one
// temporary folder is touched, and nothing of them stays.
package demo

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/netlab"
)

// Main runs the demo. It ends after the pings with --once, else when ctx ends.
func Main(ctx context.Context, e env.Env) int {
	flags := flag.NewFlagSet("weir demo", flag.ContinueOnError)
	flags.SetOutput(e.Stderr)
	once := flags.Bool("once", false, "end after the pings")
	soft := flags.Bool("soft", false, "use the Go datapath instead of eBPF (datapath_type=netdev)")
	if err := flags.Parse(e.Args); err != nil {
		return 2
	}
	d := &demo{out: e.Stdout, soft: *soft}
	err := d.run(ctx, *once)
	if ctx.Err() != nil {
		err = nil // whatever it was about to do was interrupted
	}
	if cerr := d.close(); cerr != nil {
		err = errors.Join(err, fmt.Errorf("clean up: %w", cerr))
	}
	if err != nil {
		fmt.Fprintf(e.Stderr, "weir demo: %v\n", err)
		return 1
	}
	if !*once {
		fmt.Fprintln(e.Stdout, "\nEverything is taken away again.")
	}
	return 0
}

type demo struct {
	out    io.Writer
	soft   bool
	dir    string
	lab    *netlab.Lab
	sw     *netlab.Namespace
	daemon *netlab.Process
	log    bytes.Buffer      // of the daemon, for the message when it fails
	trunk  []*netlab.Station // of VLANs 10 and 20
}

func (d *demo) close() error {
	var errs []error
	for _, s := range d.trunk {
		errs = append(errs, s.Close())
	}
	if d.daemon != nil {
		errs = append(errs, d.daemon.Stop(10*time.Second))
	}
	if d.lab != nil {
		errs = append(errs, d.lab.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

func (d *demo) printf(format string, args ...any) { fmt.Fprintf(d.out, format, args...) }

func (d *demo) run(ctx context.Context, once bool) error {
	if err := d.build(ctx); err != nil {
		return err
	}
	d.printf("%s\n", picture)
	if err := d.pings(ctx); err != nil {
		return err
	}
	if err := d.tell(ctx); err != nil {
		return err
	}
	if once {
		return nil
	}
	d.printf("%s", d.hints())
	select {
	case <-ctx.Done():
		return nil
	case <-d.daemon.Done():
		return fmt.Errorf("the daemon has ended: %v\n%s", d.daemon.Err(), d.log.String())
	}
}

const picture = `
     h1 10.0.0.1          h2 10.0.0.2          trunk (802.1Q)
        |                    |                 10.0.0.3 in VLAN 10
        | untagged           | untagged        10.0.0.4 in VLAN 20
        |                    |                    |
   +----+--------------------+--------------------+----+
   |   h1                   h2                  trunk  |
   |   access 10            access 10           all    |
   |                       br0                         |
   +---------------------------------------------------+
`

// build makes the namespaces, starts the switch and configures it.
func (d *demo) build(ctx context.Context) (err error) {
	netlab.Sweep("weir-demo")
	if d.lab, err = netlab.New("weir-demo"); err != nil {
		return err
	}
	if d.dir, err = os.MkdirTemp("", "weir-demo"); err != nil {
		return err
	}
	if d.sw, err = d.lab.Namespace("switch"); err != nil {
		return err
	}
	d.printf("Starting the switch in the network namespace %s, run directory %s\n", d.sw.Name, d.dir)
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := d.sw.Command(self, "switchd", "--rundir", d.dir, "--db", filepath.Join(d.dir, "conf.db"))
	cmd.Stdout, cmd.Stderr = &d.log, &d.log
	if d.daemon, err = netlab.Start(cmd); err != nil {
		return err
	}
	for _, h := range []struct{ name, cidr string }{{"h1", "10.0.0.1/24"}, {"h2", "10.0.0.2/24"}, {"trunk", ""}} {
		n, err := d.lab.Namespace(h.name)
		if err != nil {
			return err
		}
		if err := d.lab.Veth(n, "eth0", d.sw, h.name); err != nil {
			return err
		}
		if h.cidr != "" {
			if err := n.Address("eth0", h.cidr); err != nil {
				return err
			}
			continue
		}
		for i, addr := range []string{"10.0.0.3", "10.0.0.4"} {
			s, err := n.Station("eth0", uint16(10*(i+1)), netip.MustParseAddr(addr))
			if err != nil {
				return err
			}
			d.trunk = append(d.trunk, s)
		}
	}
	if err := d.answers(ctx); err != nil {
		return err
	}
	args := []string{"add-br", "br0"}
	if d.soft {
		args = append(args, "--", "set", "bridge", "br0", "datapath_type=netdev")
	}
	args = append(args, "--", "add-port", "br0", "h1", "tag=10", "--", "add-port", "br0", "h2", "tag=10", "--", "add-port", "br0", "trunk")
	d.printf("$ ovs-vsctl %s\n", strings.Join(args, " "))
	start := time.Now()
	if _, err := d.tool(ctx, "ovs-vsctl", args...); err != nil {
		return err
	}
	d.printf("  done in %v\n", time.Since(start).Round(time.Millisecond))
	return nil
}

// answers waits until the daemon does.
func (d *demo) answers(ctx context.Context) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		_, err := d.tool(ctx, "ovs-appctl", "version")
		if err == nil {
			return nil
		}
		select {
		case <-d.daemon.Done():
			return fmt.Errorf("the daemon did not start: %v\n%s", d.daemon.Err(), d.log.String())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}

// tool runs a tool of this very binary against the switch.
func (d *demo) tool(ctx context.Context, name string, args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, self, append([]string{name}, args...)...)
	cmd.Env = append(os.Environ(), "OVS_RUNDIR="+d.dir)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return out.String(), nil
}

// pings shows who reaches whom.
func (d *demo) pings(ctx context.Context) error {
	space := func(host string) string { return d.lab.Prefix() + "-" + host }
	ping := func(host, addr string) error {
		cmd := exec.CommandContext(ctx, "ip", "netns", "exec", space(host), "ping", "-n", "-q", "-i", "0.2", "-c", "5", "-w", "5", addr)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("ping %s from %s: %w: %s", addr, host, err, out)
		}
		return nil
	}
	for _, p := range []struct{ host, addr, what string }{
		{"h1", "10.0.0.2", "h1 -> h2, both in VLAN 10"},
		{"h2", "10.0.0.1", "h2 -> h1"},
		{"h1", "10.0.0.3", "h1 -> trunk, untagged here and tagged 10 there"},
	} {
		if err := ping(p.host, p.addr); err != nil {
			return err
		}
		d.printf("ping %-52s 5 of 5 answered\n", p.what)
	}
	if err := d.trunk[0].Ping(netip.MustParseAddr("10.0.0.2"), 3*time.Second); err != nil {
		return err
	}
	d.printf("ping %-52s answered\n", "trunk, tagged 10 -> h2")
	if d.trunk[1].Ping(netip.MustParseAddr("10.0.0.2"), time.Second) == nil {
		return errors.New("VLAN 20 reaches VLAN 10: the switch does not keep them apart")
	}
	d.printf("ping %-52s not answered, as it must be\n", "trunk, tagged 20 -> h2 in VLAN 10")
	return nil
}

// tell prints what the switch says about itself.
func (d *demo) tell(ctx context.Context) error {
	for _, c := range []struct{ title, tool, command string }{
		{"Which tier forwarded how many packets", "ovs-appctl", "weir/tiers"},
		{"The MAC table", "ovs-appctl", "fdb/show br0"},
		{"The configuration", "ovs-vsctl", "show"},
	} {
		out, err := d.tool(ctx, c.tool, strings.Fields(c.command)...)
		if err != nil {
			return err
		}
		d.printf("\n%s ($ %s %s)\n", c.title, c.tool, c.command)
		for line := range strings.Lines(out) {
			d.printf("  %s", line)
		}
	}
	return nil
}

// hints says how to go on from another shell.
func (d *demo) hints() string {
	self, err := os.Executable()
	if err != nil {
		self = "weir"
	}
	sw, h1 := d.sw.Name, d.lab.Prefix()+"-h1"
	var b strings.Builder
	fmt.Fprintf(&b, "\nFrom another shell (as root), with Debian's tools or with `%s ovs-vsctl` and so on:\n\n", self)
	fmt.Fprintf(&b, "  export OVS_RUNDIR=%s\n", d.dir)
	for _, line := range []string{
		"ovs-vsctl show",
		"ovs-vsctl set port h2 tag=20            # h1 does not reach h2 any more",
		"ovs-ofctl dump-flows br0",
		"ovs-ofctl add-flow br0 priority=9,icmp,actions=drop",
		"ovs-appctl fdb/show br0",
		"ovs-appctl dpctl/dump-flows             # the megaflows",
		"ip netns exec " + h1 + " ping 10.0.0.2",
		"ip netns exec " + sw + " ip link",
	} {
		fmt.Fprintf(&b, "  %s\n", line)
	}
	b.WriteString("\nCtrl-C ends the demo and takes everything away.\n")
	return b.String()
}
