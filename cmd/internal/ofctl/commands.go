// SPDX-License-Identifier: Apache-2.0

package ofctl

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/ofctl/ofprint"
	"github.com/weirswitch/weir/cmd/internal/ofctl/oftext"
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// commands lists what the tool can do.
func commands() []command {
	ask := func(m openflow.Message) func(*session, []string) (int, error) {
		return plain(func(s *session, args []string) error { return s.askAndPrint(args[0], m) })
	}
	return []command{
		{"show", 1, 1, false, "SWITCH", "show OpenFlow information", plain(show)},
		{"dump-desc", 1, 1, false, "SWITCH", "print switch description", ask(&openflow.DescRequest{})},
		{"dump-tables", 1, 1, false, "SWITCH", "print table statistics", ask(&openflow.TableStatsRequest{})},
		{"dump-table-features", 1, 1, false, "SWITCH", "print table features", plain(dumpTableFeatures)},
		{"dump-table-desc", 1, 1, false, "SWITCH", "print table description (OpenFlow 1.4+)", plain(dumpTableDesc)},
		{"mod-port", 3, 3, true, "SWITCH PORT ACT", "change a port", plain(modPort)},
		{"get-frags", 1, 1, false, "SWITCH", "print how fragments are handled", plain(getFrags)},
		{"set-frags", 2, 2, true, "SWITCH MODE", "set it: normal, drop, reassemble, nx-match", plain(setFrags)},
		{"dump-ports", 1, 2, false, "SWITCH [PORT]", "print port statistics", plain(dumpPorts)},
		{"dump-ports-desc", 1, 2, false, "SWITCH [PORT]", "print port descriptions", plain(dumpPortsDesc)},
		{"dump-flows", 1, 2, false, "SWITCH [FLOW]", "print flows", plain(dumpFlows)},
		{"dump-aggregate", 1, 2, false, "SWITCH [FLOW]", "print the sum of flows", plain(dumpAggregate)},
		{"queue-stats", 1, 3, false, "SWITCH [PORT [QUEUE]]", "print queue statistics", plain(queueStats)},
		{"queue-get-config", 1, 3, false, "SWITCH [PORT [QUEUE]]", "print the queues of ports", plain(queueGetConfig)},
		{"add-flow", 2, 2, true, "SWITCH FLOW", "add a flow", plain(addFlow)},
		{"add-flows", 2, 2, true, "SWITCH FILE", "add flows from a file", plain(addFlows)},
		{"mod-flows", 2, 2, true, "SWITCH FLOW", "change the actions of matching flows", plain(modFlows)},
		{"del-flows", 1, 2, true, "SWITCH [FLOW]", "delete matching flows", plain(delFlows)},
		{"replace-flows", 2, 2, true, "SWITCH FILE", "replace flows with those of a file", plain(replaceFlows)},
		{"diff-flows", 2, 2, false, "SOURCE1 SOURCE2", "compare flows of switches or files", diffFlows},
		{"bundle", 2, 2, true, "SWITCH FILE", "make the changes of a file in one transaction", plain(bundleFile)},
		{"add-group", 1, 2, true, "SWITCH GROUP", "add a group", groupCommand(openflow.GroupAdd)},
		{"add-groups", 2, 2, true, "SWITCH FILE", "add groups from a file", plain(addGroups)},
		{"mod-group", 1, 2, true, "SWITCH GROUP", "change a group", modGroup},
		{"del-groups", 1, 2, true, "SWITCH [GROUP]", "delete groups", plain(delGroups)},
		{"insert-buckets", 1, 2, true, "SWITCH GROUP", "add buckets to a group", groupCommand(openflow.GroupInsertBucket)},
		{"remove-buckets", 1, 2, true, "SWITCH GROUP", "remove buckets from a group", groupCommand(openflow.GroupRemoveBucket)},
		{"dump-groups", 1, 2, false, "SWITCH [GROUP]", "print groups", plain(dumpGroups)},
		{"dump-group-stats", 1, 2, false, "SWITCH [GROUP]", "print group statistics", plain(dumpGroupStats)},
		{"dump-group-features", 1, 1, false, "SWITCH", "print what groups can do", ask(&openflow.GroupFeaturesRequest{})},
		{"add-meter", 2, 2, true, "SWITCH METER", "add a meter", meterCommand(openflow.MeterAdd)},
		{"mod-meter", 2, 2, true, "SWITCH METER", "change a meter", meterCommand(openflow.MeterModify)},
		{"del-meter", 1, 2, true, "SWITCH [METER]", "delete a meter", meterCommand(openflow.MeterDelete)},
		{"del-meters", 1, 2, true, "SWITCH [METER]", "delete meters", meterCommand(openflow.MeterDelete)},
		{"dump-meter", 1, 2, false, "SWITCH [METER]", "print a meter", meterRequest(func(id uint32) openflow.Message { return &openflow.MeterConfigRequest{Meter: id} })},
		{"dump-meters", 1, 2, false, "SWITCH [METER]", "print meters", meterRequest(func(id uint32) openflow.Message { return &openflow.MeterConfigRequest{Meter: id} })},
		{"meter-stats", 1, 2, false, "SWITCH [METER]", "print meter statistics", meterRequest(func(id uint32) openflow.Message { return &openflow.MeterStatsRequest{Meter: id} })},
		{"meter-features", 1, 1, false, "SWITCH", "print what meters can do", meterRequest(func(uint32) openflow.Message { return &openflow.MeterFeaturesRequest{} })},
		{"mod-table", 3, 3, true, "SWITCH TABLE SETTING", "change a table", plain(modTable)},
		{"add-tlv-map", 2, 2, true, "SWITCH MAP", "map tunnel options to fields", plain(addTLVMap)},
		{"del-tlv-map", 1, 2, true, "SWITCH [MAP]", "delete such mappings", plain(delTLVMap)},
		{"dump-tlv-map", 1, 1, false, "SWITCH", "print them", ask(&openflow.TLVTableRequest{})},
		{"ct-flush-zone", 2, 2, true, "SWITCH ZONE", "forget the connections of a zone", plain(ctFlushZone)},
		{"ct-flush", 1, 4, true, "SWITCH [zone=N] [ORIG [REPLY]]", "forget connections", plain(ctFlush)},
		{"packet-out", 2, -1, true, "SWITCH PACKET-OUT", "execute actions on a packet", plain(packetOut)},
		{"monitor", 1, 3, false, "SWITCH [MISSLEN]", "print packets received from the switch", plain(monitor)},
		{"snoop", 1, 1, false, "SWITCH", "print what the switch and its controller say", plain(snoop)},
		{"probe", 1, 1, false, "TARGET", "see whether the target is up", plain(probe)},
		{"ping", 1, 2, false, "TARGET [N]", "latency of N-byte echoes", plain(ping)},
		{"benchmark", 3, 3, false, "TARGET N COUNT", "bandwidth of COUNT N-byte echoes", plain(benchmark)},
		{"ofp-parse", 1, 1, false, "FILE", "print messages from a file", plain(ofpParse)},
		{"ofp-print", 1, 2, false, "", "", plain(ofpPrint)},
		{"parse-flow", 1, 1, false, "", "", plain(parseFlowCommand)},
		{"parse-group", 1, 1, false, "", "", plain(parseGroupCommand)},
		{"parse-flows", 1, 1, false, "", "", plain(parseFlowsCommand)},
		{"list-commands", 0, -1, false, "", "", plain(listCommands)},
		{"help", 0, -1, false, "", "", plain(func(s *session, _ []string) error {
			_, err := io.WriteString(s.env.Stdout, help(s.env))
			return err
		})},
	}
}

func listCommands(s *session, _ []string) error {
	s.printf("The available commands are:\n")
	for _, c := range commands() {
		s.printf("  %-23s %s\n", c.name, strings.ToLower(c.usage))
	}
	return nil
}

// askAndPrint sends a request and prints its reply, all parts of it.
func (s *session) askAndPrint(target string, m openflow.Message) error {
	c, err := s.open(target, "mgmt", false)
	if err != nil {
		return err
	}
	return s.printReply(c, target, m)
}

func (s *session) printReply(c *conn, target string, m openflow.Message) error {
	o, err := s.display(target)
	if err != nil {
		return err
	}
	return c.parts(m, func(r openflow.Message, raw []byte) (bool, error) {
		s.show(raw, o)
		return more(r), nil
	})
}

// more reports whether further parts of a reply follow.
func more(m openflow.Message) bool {
	switch m := m.(type) {
	case *openflow.FlowStatsReply:
		return m.More
	case *openflow.TableStatsReply:
		return m.More
	case *openflow.TableFeaturesReply:
		return m.More
	case *openflow.TableDescReply:
		return m.More
	case *openflow.PortStatsReply:
		return m.More
	case *openflow.PortDescReply:
		return m.More
	case *openflow.QueueStatsReply:
		return m.More
	case *openflow.QueueGetConfigReply:
		return m.More
	case *openflow.DescReply:
		return m.More
	case *openflow.GroupDescReply:
		return m.More
	case *openflow.GroupStatsReply:
		return m.More
	case *openflow.MeterConfigReply:
		return m.More
	case *openflow.MeterStatsReply:
		return m.More
	}
	return false
}

func show(s *session, args []string) error {
	o, err := s.display(args[0])
	if err != nil {
		return err
	}
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	m, raw, err := c.call(&openflow.FeaturesRequest{})
	if err != nil {
		return err
	}
	s.show(raw, o)
	f, ok := m.(*openflow.FeaturesReply)
	if !ok {
		return fmt.Errorf("%s: received bad features reply", args[0])
	}
	if c.version > ofp.V10 || len(f.Ports) >= maxPorts10 {
		if err := s.printReply(c, args[0], &openflow.PortDescRequest{Port: action.PortAny}); err != nil {
			return err
		}
	}
	return s.printReply(c, args[0], &openflow.GetConfigRequest{})
}

// maxPorts10 is how many ports a features reply of OpenFlow 1.0 holds: where it
// is full, there may be more.
const maxPorts10 = (openflow.MaxLen - 32) / 48

func dumpTableFeatures(s *session, args []string) error {
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	if c.version < ofp.V13 {
		return errors.New("dump-table-features needs OpenFlow 1.3 or later ('-O OpenFlow13')")
	}
	o, err := s.display(args[0])
	if err != nil {
		return err
	}
	var tables []openflow.TableFeatures
	err = c.parts(&openflow.TableFeaturesRequest{}, func(m openflow.Message, raw []byte) (bool, error) {
		r, ok := m.(*openflow.TableFeaturesReply)
		if !ok {
			s.show(raw, o)
			return false, nil
		}
		tables = append(tables, r.Tables...)
		return r.More, nil
	})
	s.printf("%s", ofprint.TableFeatures(tables, o))
	return err
}

func dumpTableDesc(s *session, args []string) error {
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	if c.version < ofp.V14 {
		return errors.New("dump-table-desc needs OpenFlow 1.4 or later ('-O OpenFlow14')")
	}
	return s.printReply(c, args[0], &openflow.TableDescRequest{})
}

// portNumber reads a port, by name if the switch has one of the name.
func (s *session) portNumber(target, text string) (action.Port, error) {
	if p, err := action.ParsePort(text); err == nil {
		return p, nil
	}
	n, err := s.take(target)
	if err != nil {
		return 0, err
	}
	if p, ok := n.Ports[oftext.Unquote(text)]; ok {
		return p, nil
	}
	return 0, fmt.Errorf("%s: unknown port `%s'", target, text)
}

func dumpPorts(s *session, args []string) error {
	port := action.PortAny
	var err error
	if len(args) > 1 {
		if port, err = s.portNumber(args[0], args[1]); err != nil {
			return err
		}
	}
	return s.askAndPrint(args[0], &openflow.PortStatsRequest{Port: port})
}

func dumpPortsDesc(s *session, args []string) error {
	port := action.PortAny
	var err error
	if len(args) > 1 {
		if port, err = s.portNumber(args[0], args[1]); err != nil {
			return err
		}
	}
	return s.askAndPrint(args[0], &openflow.PortDescRequest{Port: port})
}

func queueStats(s *session, args []string) error {
	q := &openflow.QueueStatsRequest{Port: action.PortAny, Queue: math.MaxUint32}
	var err error
	if len(args) > 1 && args[1] != "" && !strings.EqualFold(args[1], "all") {
		if q.Port, err = s.portNumber(args[0], args[1]); err != nil {
			return err
		}
	}
	if len(args) > 2 && args[2] != "" && !strings.EqualFold(args[2], "all") {
		q.Queue = uint32(atoi(args[2]))
	}
	return s.askAndPrint(args[0], q)
}

// atoi reads the number that s begins with, 0 if there is none, as C does.
func atoi(s string) int {
	s = strings.TrimLeft(s, " \t\n")
	n := 0
	for n < len(s) && (s[n] >= '0' && s[n] <= '9' || n == 0 && (s[0] == '-' || s[0] == '+')) {
		n++
	}
	v, err := strconv.Atoi(s[:n])
	if err != nil {
		return 0
	}
	return v
}

func queueGetConfig(s *session, args []string) error {
	port, queue := action.PortAny, uint32(math.MaxUint32)
	var err error
	if len(args) > 2 && !strings.EqualFold(args[2], "all") {
		queue = uint32(atoi(args[2]))
	}
	if len(args) > 1 {
		if port, err = s.portNumber(args[0], args[1]); err != nil {
			return err
		}
	}
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	ports := []action.Port{port}
	if port == action.PortAny && c.version == ofp.V10 {
		// OpenFlow 1.0 cannot ask for all at once.
		all, err := s.ports(args[0])
		if err != nil {
			return err
		}
		ports = nil
		for _, p := range all {
			if p.No < action.PortMax {
				ports = append(ports, p.No)
			}
		}
	}
	for _, p := range ports {
		if err := s.printReply(c, args[0], &openflow.QueueGetConfigRequest{Port: p, Queue: queue}); err != nil {
			return err
		}
	}
	return nil
}

// portActions are what mod-port can do; on says whether the bit is set.
var portActions = []struct {
	name string
	bit  openflow.PortConfig
	on   bool
}{
	{"up", openflow.ConfigDown, false}, {"down", openflow.ConfigDown, true},
	{"stp", openflow.ConfigNoSTP, false}, {"no-stp", openflow.ConfigNoSTP, true},
	{"receive", openflow.ConfigNoRecv, false}, {"no-receive", openflow.ConfigNoRecv, true},
	{"receive-stp", openflow.ConfigNoRecvSTP, false}, {"no-receive-stp", openflow.ConfigNoRecvSTP, true},
	{"flood", openflow.ConfigNoFlood, false}, {"no-flood", openflow.ConfigNoFlood, true},
	{"forward", openflow.ConfigNoFwd, false}, {"no-forward", openflow.ConfigNoFwd, true},
	{"packet-in", openflow.ConfigNoPacketIn, false}, {"no-packet-in", openflow.ConfigNoPacketIn, true},
}

func modPort(s *session, args []string) error {
	ports, err := s.ports(args[0])
	if err != nil {
		return err
	}
	no, numErr := strconv.ParseUint(args[1], 10, 32)
	var d *openflow.PortDesc
	for i := range ports {
		if numErr == nil && ports[i].No == action.Port(no) || numErr != nil && ports[i].Name == args[1] {
			d = &ports[i]
			break
		}
	}
	if d == nil {
		return fmt.Errorf("%s: couldn't find port `%s'", args[0], args[1])
	}
	m := &openflow.PortMod{No: d.No, HWAddr: d.HWAddr}
	for _, a := range portActions {
		if !strings.EqualFold(a.name, args[2]) {
			continue
		}
		m.Mask = a.bit
		if a.on {
			m.Config = a.bit
		}
	}
	if m.Mask == 0 {
		return fmt.Errorf("unknown mod-port command '%s'", args[2])
	}
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	refusal, err := c.change(m)
	if err != nil {
		return err
	}
	return s.refuse(refusal)
}

// config asks for the configuration.
func (c *conn) config() (openflow.Config, error) {
	m, _, err := c.call(&openflow.GetConfigRequest{})
	if err != nil {
		return openflow.Config{}, err
	}
	r, ok := m.(*openflow.GetConfigReply)
	if !ok {
		return openflow.Config{}, fmt.Errorf("%s: bad reply to config request", c.s.target)
	}
	return r.Config, nil
}

func getFrags(s *session, args []string) error {
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	cfg, err := c.config()
	if err == nil {
		s.printf("%s\n", ofprint.FragMode(cfg.Frag))
	}
	return err
}

func setFrags(s *session, args []string) error {
	mode, ok := ofprint.ParseFragMode(args[1])
	if !ok {
		return fmt.Errorf("%s: unknown fragment handling mode", args[1])
	}
	c, err := s.open(args[0], "mgmt", false)
	if err != nil {
		return err
	}
	cfg, err := c.config()
	if err != nil || cfg.Frag == mode {
		return err
	}
	cfg.Frag = mode
	refusal, err := c.change(&openflow.SetConfig{Config: cfg})
	if err != nil {
		return err
	}
	if err := s.refuse(refusal); err != nil {
		return err
	}
	if cfg, err = c.config(); err == nil && cfg.Frag != mode {
		err = fmt.Errorf("%s: setting fragment handling mode failed (this switch probably doesn't support mode \"%s\")", args[0], ofprint.FragMode(mode))
	}
	return err
}

func packetOut(s *session, args []string) error {
	n, err := s.take(args[0])
	if err != nil {
		return err
	}
	var ms []openflow.Message
	usable := oftext.Protocols(oftext.Any)
	switch {
	case len(args) == 2:
		m, u, err := oftext.ParsePacketOut(args[1], n)
		if err != nil {
			return err
		}
		usable, ms = u, []openflow.Message{m}
	case len(args) < 4:
		return fmt.Errorf("Too many arguments (%d)", len(args)+1)
	default:
		in, u, err := oftext.ParseActions(args[2], n)
		if err != nil {
			return err
		}
		usable = u
		port, err := s.portNumber(args[0], args[1])
		if err != nil {
			return err
		}
		for _, a := range args[3:] {
			b, err := oftext.PacketBytes(a)
			if err != nil {
				return err
			}
			ms = append(ms, &openflow.PacketOut{BufferID: openflow.NoBuffer, InPort: port, Actions: in.Apply, Data: b})
		}
	}
	c, err := s.openForFlows(args[0], usable)
	if err != nil {
		return err
	}
	refusal, err := c.change(ms...)
	if err != nil {
		return err
	}
	return s.refuse(refusal)
}

// ofpParse prints the messages of a file.
func ofpParse(s *session, args []string) error {
	b, _, err := s.readFile(args[0])
	if err != nil {
		return fmt.Errorf("%s: open (%s)", args[0], causeOf(err))
	}
	for len(b) >= openflow.HeaderLen {
		n := openflow.ParseHeader(b).Len
		if n < openflow.HeaderLen {
			return fmt.Errorf("%s: message of length %d", args[0], n)
		}
		if n > len(b) {
			return fmt.Errorf("%s: unexpected end of file reading message body", args[0])
		}
		s.show(b[:n], s.verbose(ofprint.Options{}, 2))
		b = b[n:]
	}
	if len(b) > 0 {
		return fmt.Errorf("%s: unexpected end of file reading message header", args[0])
	}
	return nil
}

// ofpPrint prints a message in hexadecimal.
func ofpPrint(s *session, args []string) error {
	b, err := hexBytes(args[0])
	if err != nil {
		return err
	}
	o := s.verbose(ofprint.Options{}, 0)
	if len(args) > 1 {
		o.Verbosity = atoi(args[1])
	}
	s.show(b, o)
	return nil
}

// openError is a file that cannot be read.
type openError struct {
	name string
	err  error
}

func (e *openError) Error() string {
	return fmt.Sprintf("%s: open failed (%s)", e.name, causeOf(e.err))
}
func (e *openError) Unwrap() error { return e.err }

// readFile reads a file, standard input for "-", and says what to call it.
func (s *session) readFile(name string) ([]byte, string, error) {
	if name == "-" {
		b, err := io.ReadAll(s.env.Stdin)
		return b, "<stdin>", err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, name, &openError{name, err}
	}
	return b, name, nil
}
