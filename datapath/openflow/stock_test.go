// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// The second source of these tests is the stock ovs-ofctl: the bytes that it
// sends to a listener of the test, and what it prints of ours. What it said is
// kept in testdata, so that the tests compare the same where it is not
// installed; -update records anew.
var update = flag.Bool("update", false, "record what the stock ovs-ofctl says")

var testVersions = []ofp.Version{ofp.V10, ofp.V13, ofp.V14, ofp.V15}

// ofctl runs ovs-ofctl and returns its standard output; it skips the test if
// there is none.
func ofctl(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("ovs-ofctl")
	if err != nil {
		t.Skip("ovs-ofctl is not installed (Debian: openvswitch-common)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if err != nil {
		err = fmt.Errorf("ovs-ofctl %s: %w: %s", strings.Join(args, " "), err, errs.String())
	}
	return out.String(), err
}

func readMessage(r io.Reader) ([]byte, error) {
	b := make([]byte, HeaderLen)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	n := ParseHeader(b).Len
	if n < HeaderLen {
		return nil, fmt.Errorf("length %d", n)
	}
	b = append(b, make([]byte, n-HeaderLen)...)
	_, err := io.ReadFull(r, b[HeaderLen:])
	return b, err
}

// capture returns the flow_mods that ovs-ofctl sends to a switch of version v,
// for the arguments args, in which SWITCH stands for that switch.
func capture(t *testing.T, v ofp.Version, args ...string) (msgs [][]byte) {
	t.Helper()
	sock := filepath.Join(t.TempDir(), "sw")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		for { // ovs-ofctl connects once to learn names and again to act
			c, err := l.Accept()
			if err != nil {
				done <- nil
				return
			}
			err = serve(c, v, &msgs)
			c.Close()
			if err != io.EOF {
				done <- err
				return
			}
		}
	}()
	for i, a := range args {
		if a == "SWITCH" {
			args[i] = "unix:" + sock
		}
	}
	_, err = ofctl(t, append([]string{"-O", v.String()}, args...)...)
	l.Close()
	if e := <-done; err == nil {
		err = e
	}
	if err != nil {
		t.Fatal(err)
	}
	return msgs
}

// serve is a switch that says yes to everything and keeps what changes it.
func serve(c net.Conn, v ofp.Version, msgs *[][]byte) error {
	c.SetDeadline(time.Now().Add(20 * time.Second))
	send := func(xid uint32, m Message) error {
		b, err := Encode(Proto{Version: v}, xid, m)
		if err == nil {
			_, err = c.Write(b)
		}
		return err
	}
	if err := send(1, &Hello{Versions: ofp.VersionSet(v)}); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	p := Proto{Version: v}
	for {
		b, err := readMessage(r)
		if err != nil {
			return err
		}
		m, err := Decode(b, p)
		if err != nil { // for the test that looks at them
			*msgs = append(*msgs, b)
			continue
		}
		xid := ParseHeader(b).XID
		switch m := m.(type) {
		case *Hello:
		case *SetFlowFormat:
			p.NXM = m.NXM
		case *SetFlowModTableID:
			p.TableID = m.On
		case *BarrierRequest:
			err = send(xid, &BarrierReply{})
		case *FeaturesRequest:
			err = send(xid, &FeaturesReply{DatapathID: 1, Tables: 254})
		case *PortDescRequest:
			err = send(xid, &PortDescReply{Ports: []PortDesc{{No: 1, Name: "p1"}}})
		case *TableFeaturesRequest:
			err = send(xid, &TableFeaturesReply{Tables: []TableFeatures{{Table: 7, Name: "seven"}}})
		case *TableStatsRequest:
			err = send(xid, &TableStatsReply{Tables: []TableStats{{Table: 7, Name: "seven"}}})
		case *FlowStatsRequest:
			err = send(xid, &FlowStatsReply{Nicira: m.Nicira})
		default:
			*msgs = append(*msgs, b)
		}
		if err != nil {
			return err
		}
	}
}

// print returns what ovs-ofctl prints of a message, in one line.
func stockPrint(t *testing.T, b []byte) string {
	t.Helper()
	out, err := ofctl(t, "ofp-print", hex.EncodeToString(b), "2")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

// lines returns the lines of a file that are neither empty nor comments.
func lines(t *testing.T, name string) (ls []string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range strings.Split(string(b), "\n") {
		if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
			ls = append(ls, l)
		}
	}
	return ls
}
