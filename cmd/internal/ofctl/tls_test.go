// SPDX-License-Identifier: Apache-2.0

package ofctl_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/ofctl"
	"github.com/weirswitch/weir/cmd/internal/stocktest"
)

// TestTLS asks a stock switch over TLS, with the keys of ovs-pki, as the stock tool does.
func TestTLS(t *testing.T) {
	stocktest.Need(t, "ovs-pki", "openssl")
	r := newRig(t)
	dir := r.dir
	for _, args := range [][]string{{"init"}, {"req+sign", "switch"}, {"req+sign", "ctl", "controller"}} {
		cmd := exec.Command("ovs-pki", append([]string{"--dir=" + dir + "/pki", "--log=" + dir + "/log", "-b"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("ovs-pki %v: %v\n%s", args, err, out)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	switchCA, ctlCA := dir+"/pki/switchca/cacert.pem", dir+"/pki/controllerca/cacert.pem"
	// The switch sends its CA too, since that is in its CA file: bootstrap needs it.
	var both []byte
	for _, f := range []string{ctlCA, switchCA} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	if err := os.WriteFile(dir+"/both.pem", both, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"set-ssl", dir + "/switch-privkey.pem", dir + "/switch-cert.pem", dir + "/both.pem"},
		{"set-controller", "br0", fmt.Sprintf("pssl:%d:127.0.0.1", port)},
	} {
		if x := r.Stock(t, "", "ovs-vsctl", append([]string{"-t", "10"}, args...)...); x.Code != 0 {
			t.Fatalf("ovs-vsctl %q: %s", args, x)
		}
	}
	target := fmt.Sprintf("ssl:127.0.0.1:%d", port)
	keys := []string{"-p", dir + "/ctl-privkey.pem", "-c", dir + "/ctl-cert.pem"}
	with := func(args ...string) []string { return append(keys[:len(keys):len(keys)], args...) }
	ask := func(args ...string) stocktest.Result {
		return r.mask(r.Ours(ofctl.Main, "", "ovs-ofctl", args...))
	}
	var want stocktest.Result
	for range 100 { // until the switch listens
		if want = r.mask(r.stock(t, "", with("-C", switchCA, "show", target)...)); want.Code == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if want.Code != 0 {
		t.Fatalf("stock: %s", want)
	}
	if got := ask(with("-C", switchCA, "show", target)...); got != want {
		t.Errorf("ours %s\nstock %s", got, want)
	}
	fetched := filepath.Join(dir, "fetched.pem")
	for range 2 { // with the file that there is not, then with it
		if got := ask(with("--bootstrap-ca-cert="+fetched, "show", target)...); got != want {
			t.Errorf("bootstrap: ours %s\nstock %s", got, want)
		}
	}
	if b, err := os.ReadFile(fetched); err != nil || !strings.Contains(string(b), "BEGIN CERTIFICATE") {
		t.Errorf("fetched: %q, %v", b, err)
	}
	// The wrong CA, and no key at all.
	for _, args := range [][]string{with("-C", ctlCA, "show", target), {"show", target}} {
		if got := ask(args...); got.Code != 1 || got.Out != "" || !strings.Contains(got.Err, "connecting to "+target) {
			t.Errorf("%q: %s", args, got)
		}
	}
}
