// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/weirswitch/weir/cmd/internal/dbconn"
	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/getopt"
	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/cmd/internal/version"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// plan is what a command line asks for.
type plan struct {
	allowed   oftext.Protocols // of -O and -F
	versions  ofp.Versions
	strict    bool
	readd     bool
	bundle    bool
	mayCreate bool
	readOnly  bool
	names     nameMode
	noStats   bool
	timestamp bool
	verbosity int
	packetIn  int // openflow.PacketInFormat; -1: the best that the switch has
	sort      []sortKey
	timeout   time.Duration
	tls       dbconn.Files
	command   *command
	args      []string
	print     string // text to print instead
}

// nameMode says what is done with names of ports and tables.
type nameMode uint8

const (
	namesAuto nameMode = iota // taken, shown on a terminal
	namesOn
	namesOff
)

// sortKey is one --sort or --rsort; FieldNone: by priority.
type sortKey struct {
	field flow.Field
	down  bool
}

func options() []getopt.Option {
	return []getopt.Option{
		{Long: "protocols", Short: 'O', Arg: getopt.Required},
		{Long: "flow-format", Short: 'F', Arg: getopt.Required},
		{Long: "packet-in-format", Short: 'P', Arg: getopt.Required},
		{Long: "strict"}, {Long: "readd"}, {Long: "bundle"}, {Long: "may-create"},
		{Long: "names"}, {Long: "no-names"}, {Long: "stats"}, {Long: "no-stats"},
		{Long: "sort", Arg: getopt.Optional}, {Long: "rsort", Arg: getopt.Optional},
		{Long: "read-only"}, {Long: "timestamp"}, {Long: "more", Short: 'm'},
		{Long: "color", Arg: getopt.Optional}, {Long: "unixctl", Arg: getopt.Required},
		{Long: "timeout", Short: 't', Arg: getopt.Required},
		{Long: "help", Short: 'h'}, {Long: "version", Short: 'V'}, {Long: "option", Short: 'o'},
		{Long: "verbose", Short: 'v', Arg: getopt.Optional},
		{Long: "log-file", Arg: getopt.Optional}, {Long: "syslog-method", Arg: getopt.Required}, {Long: "syslog-target", Arg: getopt.Required},
		{Long: "private-key", Short: 'p', Arg: getopt.Required},
		{Long: "certificate", Short: 'c', Arg: getopt.Required},
		{Long: "ca-cert", Short: 'C', Arg: getopt.Required}, {Long: "bootstrap-ca-cert", Arg: getopt.Required},
		{Long: "ssl-protocols", Arg: getopt.Required}, {Long: "ssl-ciphers", Arg: getopt.Required},
	}
}

// parse reads the command line.
func parse(e env.Env) (*plan, error) {
	p := &plan{versions: ofp.VersionSet(ofp.V10), packetIn: -1}
	if s := e.Getenv("OVS_CTL_TIMEOUT"); s != "" {
		if n, err := strconv.ParseUint(s, 10, 31); err == nil {
			p.timeout = time.Duration(n) * time.Second
		}
	}
	found, rest, err := permuted(e.Args)
	if err != nil {
		return nil, err
	}
	formats := oftext.Protocols(oftext.Any)
	for _, o := range found {
		switch o.Name {
		case "help":
			p.print = help(e)
		case "version":
			p.print = fmt.Sprintf("%s (Weir) %s\nOpenFlow versions 0x1:0x6\n", e.Name, version.String())
		}
		if p.print != "" {
			return p, nil
		}
		if err := p.option(o, &formats); err != nil {
			return nil, err
		}
	}
	if len(p.sort) > 0 {
		p.sort = append(p.sort, sortKey{down: true}) // what is alike, by priority
	}
	if bundles := oftext.Protocols(oftext.ProtocolsWithBundles).Versions(); p.bundle && p.versions&bundles == 0 {
		p.versions = ofp.VersionSet(ofp.V14)
	}
	p.allowed = protocolsIn(p.versions)
	if p.allowed&formats == 0 {
		return nil, fmt.Errorf("None of the enabled OpenFlow versions (%s) supports any of the enabled flow formats (%s).  (Use -O to enable additional OpenFlow versions or -F to enable additional flow formats.)",
			versionNames(p.versions), formats)
	}
	p.allowed &= formats
	p.versions = p.allowed.Versions()
	return p, p.setCommand(rest)
}

// permuted reads options wherever they stand.
func permuted(args []string) (found []getopt.Found, rest []string, err error) {
	for {
		f, r, err := getopt.Parse(options(), args)
		if err != nil {
			return nil, nil, err
		}
		found = append(found, f...)
		if used := args[:len(args)-len(r)]; len(r) == 0 || len(used) > 0 && used[len(used)-1] == "--" {
			return found, append(rest, r...), nil
		}
		rest, args = append(rest, r[0]), r[1:]
	}
}

func (p *plan) setCommand(rest []string) error {
	if len(rest) == 0 {
		return fmt.Errorf("missing command name; use --help for help")
	}
	p.args = rest[1:]
	for _, c := range commands() {
		if c.name != rest[0] {
			continue
		}
		switch {
		case len(p.args) < c.min:
			return fmt.Errorf("'%s' command requires at least %d arguments", c.name, c.min)
		case c.max >= 0 && len(p.args) > c.max:
			return fmt.Errorf("'%s' command takes at most %d arguments", c.name, c.max)
		case p.readOnly && c.writes:
			return fmt.Errorf("'%s' command does not work in read only mode", c.name)
		}
		p.command = &c
		return nil
	}
	return fmt.Errorf("unknown command '%s'; use --help for help", rest[0])
}

func (p *plan) option(o getopt.Found, formats *oftext.Protocols) (err error) {
	switch o.Name {
	case "protocols":
		p.versions, err = parseVersions(o.Value)
	case "flow-format":
		*formats, err = oftext.ParseProtocols(o.Value)
	case "packet-in-format":
		p.packetIn, err = parsePacketInFormat(o.Value)
	case "strict":
		p.strict = true
	case "readd":
		p.readd = true
	case "bundle":
		p.bundle = true
	case "may-create":
		p.mayCreate = true
	case "names":
		p.names = namesOn
	case "no-names":
		p.names = namesOff
	case "stats":
		p.noStats = false
	case "no-stats":
		p.noStats = true
	case "sort", "rsort":
		k := sortKey{down: o.Name == "rsort"}
		if o.HasValue && !strings.EqualFold(o.Value, "priority") {
			f, ok := flow.FieldByName(o.Value)
			if !ok {
				return fmt.Errorf("%s: unknown field name", o.Value)
			}
			k.field = f
		}
		p.sort = append(p.sort, k)
	case "read-only":
		p.readOnly = true
	case "timestamp":
		p.timestamp = true
	case "more":
		p.verbosity++
	case "timeout":
		n, err := strconv.ParseUint(o.Value, 10, 31)
		if err != nil || n == 0 {
			return fmt.Errorf("value %s on -t or --timeout is invalid", o.Value)
		}
		p.timeout = time.Duration(n) * time.Second
	case "private-key":
		p.tls.Key = o.Value
	case "certificate":
		p.tls.Cert = o.Value
	case "ca-cert", "bootstrap-ca-cert":
		p.tls.CA, p.tls.Bootstrap = o.Value, o.Name == "bootstrap-ca-cert"
	}
	// The rest is about logging, colors and a control socket: there is none.
	return err
}

// parseVersions reads what -O takes.
func parseVersions(s string) (set ofp.Versions, err error) {
	for _, w := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(oftext.Blanks, r) }) {
		v, ok := ofp.ParseVersion(w)
		for i := ofp.V10; !ok && i <= ofp.V15; i++ {
			if strings.EqualFold(w, i.String()) || w == fmt.Sprintf("0x%02x", uint8(i)) {
				v, ok = i, true
			}
		}
		if !ok {
			return 0, fmt.Errorf("Unknown OpenFlow version: \"%s\"", w)
		}
		set |= ofp.VersionSet(v)
	}
	if set == 0 {
		return 0, fmt.Errorf("No OpenFlow oftext.Protocols specified")
	}
	return set, nil
}

func versionNames(s ofp.Versions) string {
	var ws []string
	for v := ofp.V10; v <= ofp.V15; v++ {
		if s.Has(v) {
			ws = append(ws, v.String())
		}
	}
	return strings.Join(ws, ", ")
}

func protocolsIn(s ofp.Versions) (p oftext.Protocols) {
	for v := ofp.V10; v <= ofp.V15; v++ {
		if s.Has(v) {
			p |= oftext.ProtocolsOf(v)
		}
	}
	return p
}

func parsePacketInFormat(s string) (int, error) {
	switch strings.ToLower(s) {
	case "standard", "openflow10":
		return int(openflow.PacketInStandard), nil
	case "nxt_packet_in", "oftext.NXM":
		return int(openflow.PacketInNXT), nil
	case "nxt_packet_in2":
		return int(openflow.PacketInNXT2), nil
	}
	return 0, fmt.Errorf("unknown packet-in format `%s'", s)
}

// showNames reports whether names are printed.
func (p *plan) showNames(e env.Env) bool {
	if p.names != namesAuto {
		return p.names == namesOn
	}
	f, ok := e.Stdout.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && st.Mode()&os.ModeDevice != 0
}

func help(e env.Env) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: OpenFlow switch management utility\nusage: %s [OPTIONS] COMMAND [ARG...]\n\nCommands:\n", e.Name, e.Name)
	for _, c := range commands() {
		if c.help != "" {
			fmt.Fprintf(&b, "  %-32s %s\n", strings.TrimSpace(c.name+" "+c.usage), c.help)
		}
	}
	fmt.Fprintf(&b, `
SWITCH is the name of a bridge (its socket is %s/BRIDGE.mgmt), unix:FILE,
tcp:HOST[:PORT] or ssl:HOST[:PORT] (port %d by default).

Options:
  -O, --protocols=VERSIONS    allowed OpenFlow versions (default: OpenFlow10)
  -F, --flow-format=FORMATS   allowed flow formats
  -P, --packet-in-format=F    standard, nxt_packet_in or nxt_packet_in2
  --strict                    match exactly in flow commands
  --readd                     replace flows that have not changed, too
  --names, --no-names         show and take oftext.Names of ports and tables, or only numbers
  --stats, --no-stats         with or without counters in dump-flows
  --sort[=FIELD]              sort dump-flows, ascending (--rsort: descending)
  --read-only                 refuse commands that change the switch
  -m, --more                  print more
  --timestamp                 print the time (monitor, snoop)
  -t, --timeout=SECS          give up after SECS seconds
  -p, -c, -C FILE             private key, certificate and CA certificate for ssl:
  --bootstrap-ca-cert=FILE    as -C, but FILE is made of what the peer sends if it is not there
  -h, --help; -V, --version
`, e.RunDir(), defaultPort)
	return b.String()
}
