// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Flow is a flow as a user writes it.
type Flow struct {
	openflow.FlowMod
	Raw    flow.Match // before what has no effect was taken out
	Usable Protocols
}

// ForVersion is m as a version that must name a table has it.
func (m *Flow) ForVersion(v ofp.Version) *openflow.FlowMod {
	f := m.FlowMod
	del := f.Command == openflow.FlowDelete || f.Command == openflow.FlowDeleteStrict
	if v > ofp.V10 && f.Table == openflow.TableAll && !del {
		f.Table = 0
	}
	if v > ofp.V10 && f.Command != openflow.FlowAdd && f.CookieMask == 0 {
		f.Cookie = 0
	}
	return &f
}

// words that dump-flows prints and that mean nothing in a flow.
var ignoredKeys = map[string]bool{"duration": true, "n_packets": true, "n_bytes": true, "idle_age": true, "hard_age": true}

// allowed says which keys besides the match a command takes.
type allowed struct{ actions, outPort, priority, timeout, flags bool }

// command says which keys a command takes (ovs-ofctl(8), Flow Syntax).
func keysOf(c openflow.FlowModCommand) allowed {
	switch c {
	case openflow.FlowAdd, openflow.FlowModify, openflow.FlowModifyStrict:
		return allowed{actions: true, timeout: true, priority: true, flags: true}
	case openflow.FlowDeleteStrict:
		return allowed{outPort: true, priority: true}
	}
	return allowed{outPort: true}
}

// ParseFlow reads a flow for command c. The error is as the stock tool has it.
func ParseFlow(s string, c openflow.FlowModCommand, n Names) (*Flow, error) {
	return parseKeys(s, c, keysOf(c), n)
}

// ParseFilter reads what dump-flows takes.
func ParseFilter(s string, n Names) (openflow.FlowFilter, *Flow, error) {
	m, err := parseKeys(s, openflow.FlowAdd, allowed{outPort: true}, n)
	if err != nil {
		return openflow.FlowFilter{}, nil, err
	}
	// A table in a statistics request needs no extension.
	if m.Usable&OF10TID != 0 {
		m.Usable |= OF10
	}
	if m.Usable&NXMTID != 0 {
		m.Usable |= NXM
	}
	return openflow.FlowFilter{Match: m.Match, Table: m.Table, OutPort: m.OutPort, OutGroup: m.OutGroup, Cookie: m.Cookie, CookieMask: m.CookieMask}, m, nil
}

func parseKeys(s string, c openflow.FlowModCommand, keys allowed, n Names) (*Flow, error) {
	m := &Flow{Usable: Any, FlowMod: openflow.FlowMod{
		Command: c, Priority: 0x8000, Table: openflow.TableAll, NewCookie: math.MaxUint64, BufferID: openflow.NoBuffer,
		OutPort: action.PortAny, OutGroup: action.GroupAny,
	}}
	acts := ""
	if keys.actions {
		var ok bool
		if s, acts, ok = cutActions(s); !ok {
			return nil, errors.New("must specify an action")
		}
	}
	for _, kv := range keyValues(s) {
		if err := m.key(kv, keys, n); err != nil {
			return nil, err
		}
	}
	if m.CookieMask == 0 && m.NewCookie == math.MaxUint64 && c <= openflow.FlowModifyStrict {
		m.NewCookie = 0
	}
	m.Raw = m.Match
	m.Match.Normalize()
	if m.Match.Exact(flow.FieldEthType) && m.Match.Key.EthType() == flow.EthTypeIPv6 {
		for _, f := range []flow.Field{flow.FieldIPProto, flow.FieldIPTOS, flow.FieldIPv6Src, flow.FieldIPv6Dst} {
			if !m.Match.Mask.Get(f).IsZero() {
				m.Usable &= NXMUp
			}
		}
	}
	if !keys.actions {
		return m, nil
	}
	return m, m.actions(acts, n)
}

// cutActions splits a flow at "actions=".
func cutActions(s string) (match, acts string, ok bool) {
	i := strings.Index(s, "action")
	if i < 0 {
		return s, "", false
	}
	j := strings.IndexByte(s[i:], '=')
	if j < 0 {
		return s, "", false
	}
	return s[:i], s[i+j+1:], true
}

// key reads one word of a flow.
func (m *Flow) key(kv keyValue, keys allowed, n Names) (err error) {
	if kv.key == "eth" {
		return nil // Ethernet, as all packets here
	}
	if m.Match.ParseField(kv.key, "", false) == nil {
		return nil // a protocol: "tcp"
	}
	if keys.flags {
		switch kv.key {
		case "send_flow_rem":
			m.Flags |= openflow.FlagSendFlowRem
			return nil
		case "check_overlap":
			m.Flags |= openflow.FlagCheckOverlap
			return nil
		case "reset_counts":
			m.Flags |= openflow.FlagResetCounts
			m.Usable &= OXM
			return nil
		case "no_packet_counts":
			m.Flags |= openflow.FlagNoPktCounts
			m.Usable &= OXM13 | OXM14 | OXM15
			return nil
		case "no_byte_counts":
			m.Flags |= openflow.FlagNoBytCounts
			m.Usable &= OXM13 | OXM14 | OXM15
			return nil
		}
	}
	if f, ok := flow.FieldByName(kv.key); ok && kv.key == strings.ToLower(kv.key) && !strings.Contains(kv.key, "xm_") {
		return m.field(f, kv, n)
	}
	if kv.value == "" {
		return fmt.Errorf("field %s missing value", kv.key)
	}
	switch {
	case kv.key == "dl_vlan":
		return m.field(flow.FieldVLANVID, kv, n)
	case kv.key == "table":
		if m.Table, err = ParseTable(kv.value, n); err != nil {
			return err
		}
		if m.Table != openflow.TableAll {
			m.Usable &= WithTID
		}
	case kv.key == "out_port" && keys.outPort:
		p, err := ParsePort(kv.value, n)
		if err != nil {
			return fmt.Errorf("%s is not a valid OpenFlow port", kv.value)
		}
		m.OutPort = p
	case kv.key == "out_group" && keys.outPort:
		g, err := strconv.ParseUint(kv.value, 0, 32)
		if err != nil {
			return fmt.Errorf("%s is not a valid OpenFlow group", kv.value)
		}
		m.OutGroup = uint32(g)
		m.Usable &= OF11Up
	case kv.key == "priority" && keys.priority:
		m.Priority, err = parseU16(kv)
	case kv.key == "idle_timeout" && keys.timeout:
		m.IdleTimeout, err = parseU16(kv)
	case kv.key == "hard_timeout" && keys.timeout:
		m.HardTimeout, err = parseU16(kv)
	case kv.key == "importance" && keys.timeout:
		m.Importance, err = parseU16(kv)
	case kv.key == "cookie":
		err = m.cookie(kv.value, keys)
	case ignoredKeys[kv.key]:
	default:
		return fmt.Errorf("unknown keyword %s", kv.key)
	}
	return err
}

func parseU16(kv keyValue) (uint16, error) {
	v, err := strconv.ParseUint(kv.value, 0, 16)
	if err != nil {
		return 0, fmt.Errorf("invalid %s \"%s\"", kv.key, kv.value)
	}
	return uint16(v), nil
}

func parseU64(s string) (uint64, error) {
	if v, err := strconv.ParseInt(s, 0, 64); err == nil {
		return uint64(v), nil
	}
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return 0, fmt.Errorf("invalid numeric format %s", s)
	}
	return v, nil
}

func (m *Flow) cookie(s string, keys allowed) (err error) {
	val, mask, masked := strings.Cut(s, "/")
	switch {
	case masked:
		if m.Command == openflow.FlowAdd && keys.actions {
			return errors.New("flow additions cannot use a cookie mask")
		}
		m.Usable &= NXMUp | OF11
		if m.Cookie, err = parseU64(val); err == nil {
			m.CookieMask, err = parseU64(mask)
		}
		m.Cookie &= m.CookieMask
	case !keys.actions:
		return fmt.Errorf("cannot set cookie (to match on a cookie, specify a mask, e.g. cookie=%s/-1)", s)
	default:
		m.NewCookie, err = parseU64(val)
		m.ModifyCookie = m.Command != openflow.FlowAdd
	}
	return err
}

// field reads one field of the match.
func (m *Flow) field(f flow.Field, kv keyValue, n Names) error {
	if f == flow.FieldInPort || f == flow.FieldActsetOutput {
		if p, ok := n.Ports[Unquote(kv.value)]; ok {
			if _, err := action.ParsePort(kv.value); err != nil { // a number is no name
				kv.value = fmt.Sprint(uint32(p))
			}
		}
		if v, err := strconv.ParseUint(kv.value, 0, 64); err == nil && v > 0xffff {
			return fmt.Errorf("%s: invalid or unknown port for in_port", kv.value)
		}
	}
	var one flow.Match
	if err := one.ParseField(kv.key, kv.value, true); err != nil {
		return err
	}
	if err := m.Match.ParseField(kv.key, kv.value, true); err != nil {
		return err
	}
	switch mask := one.Mask.Get(f); {
	case mask.IsZero():
	case f == flow.FieldVLANPCP || kv.key == "dl_vlan" || f == flow.FieldIPTOS || f == flow.FieldVLANVID && !strings.Contains(kv.value, "/"):
	case f == flow.FieldVLANVID:
		m.Usable &= NXMUp
	default:
		m.Usable &= usableFor(f, mask)
	}
	return nil
}

// actions reads what stands behind "actions=" and checks it against the match.
func (m *Flow) actions(s string, n Names) error {
	var err error
	m.Instructions, err = action.ParseWith(s, action.Names{Ports: n.Ports, Tables: n.Tables})
	if err != nil {
		return err
	}
	u, err := checkActions(&m.Instructions, &m.Match, m.Table, m.Usable)
	m.Usable = u
	return err
}

func ParseTable(s string, n Names) (uint8, error) {
	if v, err := strconv.ParseUint(s, 0, 64); err == nil {
		if v <= 255 {
			return uint8(v), nil
		}
		return 0, &Warning{"ofp_table", fmt.Sprintf("table %s is outside the supported range 0 through 255", s), fmt.Errorf("unknown table \"%s\"", s)}
	}
	if t, ok := n.Tables[Unquote(s)]; ok {
		return t, nil
	}
	return 0, fmt.Errorf("unknown table \"%s\"", s)
}

func ParsePort(s string, n Names) (action.Port, error) {
	p, err := action.ParsePort(s)
	if err == nil {
		return p, nil
	}
	if p, ok := n.Ports[Unquote(s)]; ok {
		return p, nil
	}
	return 0, err
}

func Unquote(s string) string {
	if strings.HasPrefix(s, `"`) {
		if u, err := strconv.Unquote(s); err == nil {
			return u
		}
	}
	return s
}

// Warning is an error with a log line before it.
type Warning struct {
	Module, Text string
	Err          error
}

func (w *Warning) Error() string { return w.Err.Error() }

// ErrorText returns an error in the stock tool's words if it has them.
func ErrorText(err error) string {
	var t *flow.TextError
	if errors.As(err, &t) {
		return t.Text
	}
	return err.Error()
}

// flowCommands are the words that a line of a file may begin with.
var flowCommands = []struct {
	word string
	c    openflow.FlowModCommand
}{
	{"add", openflow.FlowAdd}, {"modify", openflow.FlowModify}, {"delete", openflow.FlowDelete},
	{"modify_strict", openflow.FlowModifyStrict}, {"delete_strict", openflow.FlowDeleteStrict},
}

// flowCommand takes the command off a line; without one it is c.
func flowCommand(s string, c openflow.FlowModCommand) (openflow.FlowModCommand, string) {
	for _, w := range flowCommands {
		if r, ok := strings.CutPrefix(s, w.word); ok && r != "" && (r[0] == ' ' || r[0] == '\t') {
			return w.c, strings.TrimLeft(r, " \t")
		}
	}
	return c, s
}

// flowLine is one flow of a file.
type flowLine struct {
	number int // from 1
	text   string
}

// flowLines returns the lines of a file that hold something, without comments.
func flowLines(s string) (ls []flowLine) {
	n := 0
	for l := range strings.Lines(s) {
		n++
		l, _, _ = strings.Cut(l, "#")
		if l = strings.TrimRight(strings.TrimLeft(l, " \t\r\n\v\f"), "\n"); l != "" {
			ls = append(ls, flowLine{n, l})
		}
	}
	return ls
}

// ParseFlows reads the flows of a file; a line may begin with its command, c is
// that of the others. The result says which formats can carry all.
func ParseFlows(name, s string, c openflow.FlowModCommand, prefixes bool, n Names) ([]*Flow, Protocols, error) {
	usable := Protocols(Any)
	var ms []*Flow
	for _, l := range flowLines(s) {
		cmd, rest := c, l.text
		if prefixes {
			cmd, rest = flowCommand(l.text, c)
		}
		m, err := ParseFlow(rest, cmd, n)
		if err != nil {
			return nil, 0, atLine(name, l.number, err)
		}
		usable &= m.Usable
		ms = append(ms, m)
	}
	return ms, usable, nil
}

// PacketBytes reads a packet in hexadecimal; Blanks are passed over.
func PacketBytes(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	switch {
	case err != nil:
		return nil, errors.New("Trailing garbage in packet data")
	case len(b) < 14:
		return nil, errors.New("Packet data too short for Ethernet")
	}
	return b, nil
}

// ParsePacketOut reads "in_port=1,packet=...,actions=...".
func ParsePacketOut(s string, n Names) (*openflow.PacketOut, Protocols, error) {
	m := &openflow.PacketOut{BufferID: openflow.NoBuffer, InPort: action.PortController}
	s, acts, hasActions := cutActions(s)
	f := Flow{Usable: Any}
	for _, kv := range keyValues(s) {
		if kv.value == "" {
			return nil, 0, fmt.Errorf("field %s missing value", kv.key)
		}
		switch kv.key {
		case "in_port":
			p, err := ParsePort(kv.value, n)
			if err != nil {
				return nil, 0, fmt.Errorf("%s is not a valid OpenFlow port", kv.value)
			}
			if p > action.PortMax && p != action.PortLocal && p != action.PortAny && p != action.PortController {
				return nil, 0, fmt.Errorf("%s is not a valid OpenFlow port for PACKET_OUT", kv.value)
			}
			m.InPort = p
		case "packet":
			b, err := PacketBytes(kv.value)
			if err != nil {
				return nil, 0, fmt.Errorf("%s: %w", kv.key, err)
			}
			m.Data = b
		default:
			fld, ok := flow.FieldByName(kv.key)
			if !ok || fld >= flow.FieldEthDst {
				return nil, 0, fmt.Errorf("unknown keyword %s", kv.key)
			}
			if err := f.field(fld, kv, n); err != nil {
				return nil, 0, err
			}
		}
	}
	if m.Data == nil {
		return nil, 0, errors.New("must specify packet")
	}
	m.Metadata = f.Match
	f.Usable = Any // metadata is dropped where a version has none
	if hasActions {
		in, u, err := ParseActions(acts, n)
		if err != nil {
			return nil, 0, err
		}
		m.Actions = in.Apply
		f.Usable &= u
	}
	return m, f.Usable, nil
}

// ParseActions reads the actions of a packet-out.
func ParseActions(s string, n Names) (action.Instructions, Protocols, error) {
	in, err := action.ParseWith(s, action.Names{Ports: n.Ports, Tables: n.Tables})
	if err != nil {
		return in, 0, err
	}
	if err := onlyActions(&in); err != nil {
		return in, 0, err
	}
	return in, usableActions(&in), nil
}
