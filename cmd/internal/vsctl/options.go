// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"fmt"
	"strconv"
	"time"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/getopt"
	"github.com/weirswitch/weir/cmd/internal/table"
	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
)

// plan is what a command line asks for.
type plan struct {
	db      string
	noWait  bool
	dryRun  bool
	oneline bool
	retry   bool
	timeout time.Duration // 0: none
	style   table.Style
	tls     dbconn.Files
	calls   []*ctl.Call
	print   string // text to print instead of doing anything
}

// options returns the tool's own options.
func options() []getopt.Option {
	opts := []getopt.Option{
		{Long: "db", Arg: getopt.Required},
		{Long: "no-syslog"},
		{Long: "no-wait"},
		{Long: "dry-run"},
		{Long: "oneline"},
		{Long: "timeout", Short: 't', Arg: getopt.Required},
		{Long: "retry"},
		{Long: "help", Short: 'h'},
		{Long: "commands"},
		{Long: "options"},
		{Long: "leader-only"},
		{Long: "no-leader-only"},
		{Long: "shuffle-remotes"},
		{Long: "no-shuffle-remotes"},
		{Long: "version", Short: 'V'},
		{Long: "verbose", Short: 'v', Arg: getopt.Optional},
		{Long: "log-file", Arg: getopt.Optional},
		{Long: "syslog-method", Arg: getopt.Required},
		{Long: "syslog-target", Arg: getopt.Required},
	}
	for _, o := range table.Options() {
		if o.Long != "timestamp" {
			opts = append(opts, o)
		}
	}
	return append(opts,
		getopt.Option{Long: "private-key", Short: 'p', Arg: getopt.Required},
		getopt.Option{Long: "certificate", Short: 'c', Arg: getopt.Required},
		getopt.Option{Long: "ca-cert", Short: 'C', Arg: getopt.Required},
		getopt.Option{Long: "ssl-protocols", Arg: getopt.Required},
		getopt.Option{Long: "ssl-ciphers", Arg: getopt.Required},
		getopt.Option{Long: "bootstrap-ca-cert", Arg: getopt.Required},
		getopt.Option{Long: "peer-ca-cert", Arg: getopt.Required},
	)
}

// commands returns all commands.
func commands() []*ctl.Command {
	cmds := generalCommands()
	cmds = append(cmds, bridgeCommands()...)
	cmds = append(cmds, portCommands()...)
	cmds = append(cmds, settingCommands()...)
	cmds = append(cmds, zoneCommands()...)
	return append(cmds, ctl.Commands()...)
}

// parse reads the command line.
func parse(e env.Env) (*plan, error) {
	cmds := commands()
	p := &plan{db: "unix:" + e.RunDir() + "/db.sock", style: table.Style{Layout: table.List, Headings: true}}
	if s := e.Getenv("OVS_CTL_TIMEOUT"); s != "" {
		if n, err := strconv.ParseUint(s, 10, 31); err == nil {
			p.timeout = time.Duration(n) * time.Second
		}
	}
	found, rest, err := getopt.Parse(append(options(), ctl.LongOptions(cmds)...), e.Args)
	if err != nil {
		return nil, err
	}
	var local []ctl.Option
	for _, o := range found {
		known, err := p.style.SetOption(o)
		if err != nil {
			return nil, err
		}
		if known {
			continue
		}
		if text, ok := information(e, o.Name, cmds); ok {
			p.print = text
			return p, nil
		}
		own, err := p.option(o)
		if err != nil {
			return nil, err
		}
		if !own {
			local = append(local, ctl.Option{Name: "--" + o.Name, Value: o.Value, Has: o.HasValue})
		}
	}
	p.calls, err = ctl.Split(cmds, local, rest)
	return p, err
}

// option applies one option and reports whether it is the tool's own.
func (p *plan) option(o getopt.Found) (bool, error) {
	switch o.Name {
	case "db":
		p.db = o.Value
	case "no-wait":
		p.noWait = true
	case "dry-run":
		p.dryRun = true
	case "oneline":
		p.oneline = true
	case "retry":
		p.retry = true
	case "timeout":
		n, err := strconv.ParseUint(o.Value, 10, 31)
		if err != nil || n == 0 {
			return true, fmt.Errorf("value %s on -t or --timeout is invalid", o.Value)
		}
		p.timeout = time.Duration(n) * time.Second
	case "private-key":
		p.tls.Key = o.Value
	case "certificate":
		p.tls.Cert = o.Value
	case "ca-cert", "bootstrap-ca-cert":
		p.tls.CA, p.tls.Bootstrap = o.Value, o.Name == "bootstrap-ca-cert"
	case "peer-ca-cert":
		return true, fmt.Errorf("option '--%s' is not supported", o.Name)
	case "no-syslog", "leader-only", "no-leader-only", "shuffle-remotes", "no-shuffle-remotes",
		"verbose", "log-file", "syslog-method", "syslog-target", "ssl-protocols", "ssl-ciphers":
		// Nothing is logged but warnings on stderr, and there is one server.
	default:
		return false, nil
	}
	return true, nil
}
