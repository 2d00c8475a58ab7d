// SPDX-License-Identifier: Apache-2.0

package appctl_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weirswitch/weir/cmd/internal/appctl"
	"github.com/weirswitch/weir/cmd/internal/stocktest"
)

// TestStock runs both tools against a stock ovsdb-server and compares text and
// exit code.
func TestStock(t *testing.T) {
	stocktest.Need(t, "ovs-appctl")
	s := stocktest.Start(t)
	for name, text := range map[string]string{"dead": "999999\n", "bad": "abc\n", "empty": ""} {
		if err := os.WriteFile(filepath.Join(s.RunDir, name+".pid"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	socks, _ := filepath.Glob(filepath.Join(s.RunDir, "ovsdb-server.*.ctl"))
	if len(socks) != 1 {
		t.Fatalf("control sockets: %q", socks)
	}
	// Peers that never answer, close, and answer nonsense.
	silent := filepath.Join(s.RunDir, "silent.ctl")
	closing := filepath.Join(s.RunDir, "closing.ctl")
	for _, path := range []string{silent, closing} {
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				if path == closing {
					c.Read(make([]byte, 100))
					c.Close()
				} else {
					defer c.Close()
				}
			}
		}()
	}
	n := 0
	for _, line := range []string{
		"", "version", "-t ovsdb-server version", "-t ovsdb-server foo", "-t ovsdb-server foo a b", "-t nope version",
		"-t /nonexistent/x version", "-t ovsdb-server", "-t ovsdb-server -T 3 version", "-t ovsdb-server -T x version",
		"-t ovsdb-server --timeout=0 version", "--execute version", "-t ovsdb-server -e version", "-t ovsdb-server list-commands",
		"--bogus", "-t ovsdb-server vlog/set foo:bar", "-t ovsdb-server vlog/set jsonrpc:file:dbg", "-t ovsdb-server vlog/list",
		"-t " + socks[0] + " version", "-t ovsdb-server exit extra", "-t ovsdb-server version extra", "-t dead version", "-t bad version",
		"-t empty version", "-t ovsdb-server --target=ovsdb-server version", "-tovsdb-server version", "-t ovsdb-server -- version",
		"-t ovsdb-server help", "-t ovsdb-server -z", "-tovsdb-server --ti 3 version", "-t x/ovsdb-server version", "-T 1 -t " + silent + " version",
		"-t " + closing + " version", "-t ovsdb-server ovsdb-server/list-dbs", "-t ovsdb-server ovsdb-server/list-remotes",
		"-t ovsdb-server memory/show x", "-t ovsdb-server --", "-t", "-t ovsdb-server ovsdb-server/remove-remote punix:" + s.RunDir + "/second.sock",
		"-t ovsdb-server vlog/set \u00e9\"\\",
	} {
		args := strings.Fields(line)
		want := s.Mask(s.Stock(t, "", "ovs-appctl", args...))
		got := s.Mask(s.Ours(appctl.Main, "", "ovs-appctl", args...))
		if want != got {
			t.Errorf("ovs-appctl %s\n--- stock: %s\n--- ours: %s", line, want, got)
		}
		n++
	}
	t.Logf("%d lines", n)
	if r := s.Ours(appctl.Main, "", "ovs-appctl", "-t", "ovsdb-server", "exit"); r.Code != 0 || r.Out != "" || r.Err != "" {
		t.Errorf("exit: %s", r)
	}
}

func TestInformation(t *testing.T) {
	s := &stocktest.Server{RunDir: t.TempDir()}
	if r := s.Ours(appctl.Main, "", "ovs-appctl", "--version"); r.Code != 0 || !strings.HasPrefix(r.Out, "ovs-appctl (Weir) ") {
		t.Errorf("--version: %s", r)
	}
	if r := s.Ours(appctl.Main, "", "ovs-appctl", "-h"); r.Code != 0 || !strings.Contains(r.Out, s.RunDir) {
		t.Errorf("-h: %s", r)
	}
}
