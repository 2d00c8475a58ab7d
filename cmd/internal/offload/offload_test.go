// SPDX-License-Identifier: Apache-2.0

package offload

import (
	"bytes"
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/firmware/base/unixctl"
	"log/slog"
)

// TestOffload asks a daemon's control socket.
func TestOffload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ctl")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := unixctl.NewServer("x", slog.New(slog.DiscardHandler), unixctl.Command{
		Name: "weir/offload-show", Run: func([]string) (string, error) { return "sw1: bridged\n", nil },
	})
	go s.Serve(l)
	defer func() { l.Close(); s.Close() }()
	for _, c := range []struct {
		args      string
		code      int
		out, errs string
	}{
		{"-t " + path + " show", 0, "sw1: bridged\n", ""},
		{"", 2, "", "usage: weir offload"},
		{"show more", 2, "", "usage: weir offload"},
		{"--help", 0, "usage: weir offload", ""},
		{"-t " + path + "x show", 1, "", "cannot connect"},
	} {
		var out, errs bytes.Buffer
		e := env.Env{Name: "offload", Args: strings.Fields(c.args), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: time.Now}
		if code := Main(context.Background(), e); code != c.code || !strings.HasPrefix(out.String(), c.out) || !strings.Contains(errs.String(), c.errs) {
			t.Errorf("%q: %d, %q, %q", c.args, code, out.String(), errs.String())
		}
	}
}
