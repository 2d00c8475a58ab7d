// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/weirswitch/weir/cmd/internal/env"
)

// A tool is found by the program's name, then by the first word.
func TestDispatch(t *testing.T) {
	var called string
	all := []tool{
		{"one", "", func(_ context.Context, e env.Env) int { called = "one " + strings.Join(e.Args, " "); return 0 }},
		{"two", "", func(_ context.Context, e env.Env) int { called = "two " + strings.Join(e.Args, " "); return 3 }},
	}
	for _, c := range []struct {
		name string
		args []string
		want string
		code int
	}{
		{"one", []string{"two", "x"}, "one two x", 0},
		{"weir", []string{"two", "x"}, "two x", 3},
		{"weir", []string{"three"}, "", 1},
		{"weir", nil, "", 1},
		{"weir", []string{"--help"}, "", 0},
	} {
		called = ""
		var out, errs bytes.Buffer
		code := run(context.Background(), all, env.Env{Name: c.name, Args: c.args, Stdout: &out, Stderr: &errs})
		if called != c.want || code != c.code {
			t.Errorf("%s %q: called %q, exit code %d; want %q, %d", c.name, c.args, called, code, c.want, c.code)
		}
	}
}

func TestVersion(t *testing.T) {
	var out bytes.Buffer
	if code := run(context.Background(), tools(), env.Env{Name: "weir", Args: []string{"version"}, Stdout: &out}); code != 0 || !strings.HasPrefix(out.String(), "weir ") {
		t.Errorf("weir version: exit code %d, %q", code, out.String())
	}
}
