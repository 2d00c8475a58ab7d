// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"bytes"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
)

// TestOsken lets a learning switch on os-ken (OpenFlow 1.3) drive a switch:
// it adds its table-miss flow, and answers packet-ins with packet-outs.
func TestOsken(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import os_ken.base.app_manager").Run(); err != nil {
		t.Skip("os-ken is not installed (Debian: python3-os-ken)")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	var log bytes.Buffer
	cmd := exec.Command(python, "-c", "import sys; from os_ken.cmd.manager import main; sys.exit(main())",
		"--ofp-listen-host", "127.0.0.1", "--ofp-tcp-listen-port", fmt.Sprint(port), "testdata/learn13.py")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()

	h := &tiny{}
	s, _ := start(t, h, Options{})
	ctl, err := s.Connect(fmt.Sprintf("tcp:127.0.0.1:%d", port), ControllerOptions{MaxBackoff: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	wait := func(want string) {
		t.Helper()
		for i := 0; !strings.Contains(h.notes(), want); i++ {
			if i == 300 {
				cmd.Process.Kill()
				cmd.Wait()
				t.Fatalf("no %q in\n%s\nstatus %+v\nos-ken says\n%s", want, h.notes(), ctl.Status(), log.String())
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	wait("connected primary OpenFlow13")
	wait("flow_mod 0  actions=CONTROLLER:65535")
	in := func(port uint64, frame string) {
		p := &openflow.PacketIn{BufferID: openflow.NoBuffer, Reason: openflow.ReasonNoMatch, Data: []byte(frame + strings.Repeat("\x00", 46))}
		p.Metadata.SetU64(flow.FieldInPort, port)
		s.SendPacketIn(p, 0, len(p.Data))
	}
	in(1, "\x02\x00\x00\x00\x00\x0b\x02\x00\x00\x00\x00\x0a\x12\x34")
	wait("packet_out 1 FLOOD 60")
	in(2, "\x02\x00\x00\x00\x00\x0a\x02\x00\x00\x00\x00\x0b\x12\x34")
	wait("flow_mod 0 in_port=2,dl_src=02:00:00:00:00:0b,dl_dst=02:00:00:00:00:0a actions=output:1")
	wait("packet_out 2 output:1 60")
}
