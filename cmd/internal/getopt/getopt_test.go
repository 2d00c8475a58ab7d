// SPDX-License-Identifier: Apache-2.0

package getopt_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weirswitch/weir/cmd/internal/getopt"
)

// TestParse: the texts on the right were printed by ovs-vsctl 3.1.0, which
// uses glibc's getopt_long.
func TestParse(t *testing.T) {
	known := []getopt.Option{
		{Long: "db", Arg: getopt.Required}, {Long: "no-wait"}, {Long: "no-syslog"}, {Long: "timeout", Short: 't', Arg: getopt.Required},
		{Long: "verbose", Short: 'v', Arg: getopt.Optional}, {Long: "help", Short: 'h'}, {Long: "version", Short: 'V'}, {Short: 'x'},
	}
	for _, c := range []struct{ args, want string }{
		{"", ""},
		{"show x", "| show x"},
		{"--no-wait show --db", "no-wait | show --db"},
		{"--no-w --db=a show", "no-wait db=a | show"},
		{"--db a b", "db=a | b"},
		{"--db= b", "db= | b"},
		{"-t5 -t 6 -hV x", "timeout=5 timeout=6 help version | x"},
		{"-hvinfo -v y", "help verbose=info verbose | y"},
		{"--verbose y", "verbose | y"},
		{"-hx - y", "help x | - y"},
		{"-h -- --db", "help | --db"},
		{"--bogus", "unrecognized option '--bogus'"},
		{"--no", "option '--no' is ambiguous; possibilities: '--no-wait' '--no-syslog'"},
		{"--ver", "option '--ver' is ambiguous; possibilities: '--verbose' '--version'"},
		{"--no-wait=3", "option '--no-wait' doesn't allow an argument"},
		{"--db", "option '--db' requires an argument"},
		{"-z", "invalid option -- 'z'"},
		{"-ht", "option requires an argument -- 't'"},
	} {
		found, rest, err := getopt.Parse(known, strings.Fields(c.args))
		var words []string
		for _, f := range found {
			w := f.Name
			if f.HasValue {
				w += "=" + f.Value
			}
			words = append(words, w)
		}
		if len(rest) > 0 {
			words = append(words, "|")
		}
		got := strings.Join(append(words, rest...), " ")
		if err != nil {
			got = fmt.Sprint(err)
		}
		if got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}
