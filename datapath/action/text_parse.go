// SPDX-License-Identifier: Apache-2.0

package action

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
)

// maxNesting bounds parentheses within parentheses.
const maxNesting = 16

// ParseList reads actions as ovs-actions(7) has them. Instructions that are not
// actions (goto_table, ...) are refused.
func ParseList(s string) (List, error) {
	in, err := Parse(s)
	if err != nil {
		return nil, err
	}
	if in.Meter != 0 || in.ClearActions || len(in.Write) > 0 || in.MetadataMask != 0 || in.HasGoto {
		return nil, fmt.Errorf("actions %q: instructions are not allowed here", s)
	}
	return in.Apply, nil
}

// Parse reads what stands behind "actions=" in a flow.
func Parse(s string) (Instructions, error) { return ParseWith(s, Names{}) }

// Names are names that a text may use for numbers; reserved ports are known
// without.
type Names struct {
	Ports  map[string]Port
	Tables map[string]uint8
}

// ParseWith is Parse with names of ports and tables.
func ParseWith(s string, names Names) (Instructions, error) {
	p := parser{names: names}
	in, err := p.instructions(s)
	if err != nil {
		return Instructions{}, fmt.Errorf("actions %q: %w", s, err)
	}
	return in, nil
}

// ParseBucket reads the actions of a group's bucket: a meter is an action there, other instructions
// are refused.
func ParseBucket(s string, names Names) (List, error) {
	p := parser{names: names, depth: 1} // which instructions are not looked at for their order
	in, err := p.instructions(s)
	if err != nil {
		return nil, fmt.Errorf("actions %q: %w", s, err)
	}
	l := in.Apply
	if in.Meter != 0 {
		l, in.Meter = append(List{Meter{ID: in.Meter}}, l...), 0
	}
	if w := in.instruction(); w != "" {
		return nil, flow.Textf("%s instruction not allowed here", w)
	}
	return l, nil
}

type parser struct {
	depth int
	names Names
}

// port reads a port.
func (p *parser) port(s string) (Port, error) {
	n, err := ParsePort(s)
	if err == nil {
		return n, nil
	}
	if n, ok := p.names.Ports[unquote(s)]; ok {
		return n, nil
	}
	return 0, err
}

// table reads a table.
func (p *parser) table(s string) (uint8, error) {
	n, err := u8(s, "table")
	if err == nil {
		return n, nil
	}
	if n, ok := p.names.Tables[unquote(s)]; ok {
		return n, nil
	}
	return 0, err
}

// unquote reads a name that may stand in quotes.
func unquote(s string) string {
	if u, err := strconv.Unquote(s); err == nil && strings.HasPrefix(s, `"`) {
		return u
	}
	return s
}

// word is one action: name, and the argument behind a colon or in parentheses.
type word struct {
	name, arg string
	paren     bool
}

// words splits s into actions at commas and blanks outside of parentheses.
func words(s string) (ws []word, err error) {
	for _, w := range flow.SplitWords(s) {
		i := strings.IndexAny(w, ":(=")
		switch {
		case i < 0:
			ws = append(ws, word{name: w})
		case w[i] == '(' && lower(w[:i]) == "check_pkt_larger": // the only one that goes on behind its parenthesis
			ws = append(ws, word{w[:i], w[i+1:], true})
		case w[i] == '(':
			if !strings.HasSuffix(w, ")") {
				return nil, fmt.Errorf("%s: no closing parenthesis", w)
			}
			ws = append(ws, word{w[:i], w[i+1 : len(w)-1], true})
		default:
			ws = append(ws, word{name: w[:i], arg: w[i+1:]})
		}
	}
	return ws, nil
}

func (p *parser) instructions(s string) (in Instructions, err error) {
	ws, err := words(s)
	if err != nil {
		return in, err
	}
	drop, others := false, false
	var conjunction, mixed, started bool
	var with string // the first action that stands beside neither
	last := 0
	var misplaced error // said at the end, after what is wrong with single actions
	for _, w := range ws {
		w.name = lower(w.name)
		if w.name == "drop" {
			drop = true
			continue
		}
		others = true
		rank := order(w.name)
		if rank == last && rank != 1 && started && misplaced == nil {
			misplaced = flow.Textf("duplicate %s instruction not allowed, for OpenFlow 1.1+ compatibility", w.name)
		}
		started = true
		if rank < last && misplaced == nil {
			misplaced = flow.Textf("invalid instruction ordering: %s must appear before %s, for OpenFlow 1.1+ compatibility",
				instructionNames[rank], instructionNames[last])
		}
		last = rank
		switch w.name {
		case "apply_actions":
			err = flow.Textf("apply_actions is the default instruction")
		case "meter":
			in.Meter, err = u32(w.arg)
		case "clear_actions":
			in.ClearActions = true
		case "write_actions":
			in.Write, err = p.nested(w.arg)
		case "write_metadata":
			in.Metadata, in.MetadataMask, err = metadata(w.arg)
		case "goto_table":
			if in.Goto, err = p.table(w.arg); err != nil {
				err = flow.Textf("unknown table \"%s\"", w.arg)
			}
			in.HasGoto = true
		default:
			var l List
			l, err = p.one(w)
			in.Apply = append(in.Apply, l...)
			switch {
			case len(l) == 0:
			case w.name == "conjunction":
				conjunction = true
			case w.name != "note" && !mixed:
				mixed, with = true, w.name
				if _, ok := l[0].(Output); ok {
					with = "output"
				}
			}
		}
		if err != nil {
			return in, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	if misplaced != nil && p.depth == 0 {
		return in, misplaced
	}
	if conjunction && mixed {
		return in, flow.Textf(`"conjunction" actions may be used along with "note" but not any other kind of action (such as the "%s" action used here)`, with)
	}
	if drop && others {
		return in, flow.Textf(`"drop" must not be accompanied by any other action or instruction`)
	}
	return in, nil
}

// instructionNames are the instructions in the order in which a text must have
// them; actions by themselves are the second.
var instructionNames = []string{"meter", "apply_actions", "clear_actions", "write_actions", "write_metadata", "goto_table"}

// order returns the index of an instruction in instructionNames.
func order(word string) int {
	if i := slices.Index(instructionNames, word); i >= 0 {
		return i
	}
	return 1
}

// lower makes the names of actions alike in upper and lower case; ports by their
// names stay as they are.
func lower(name string) string {
	l := strings.ToLower(name)
	if _, ok := simple[l]; ok || slices.Contains(argumentWords, l) || slices.Contains(instructionNames, l) || l == "drop" {
		return l
	}
	return name
}

func metadata(s string) (v, m uint64, err error) {
	a, b, masked := strings.Cut(s, "/")
	m = ^uint64(0)
	if v, err = u64(a); err == nil && masked {
		m, err = u64(b)
	}
	return v & m, m, err
}

// nested reads a list within parentheses.
func (p *parser) nested(s string) (List, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, errors.New("parentheses nest too deep")
	}
	defer func() { p.depth-- }()
	in, err := p.instructions(s)
	if err != nil {
		return nil, err
	}
	if w := in.instruction(); w != "" {
		return nil, flow.Textf("%s instruction not allowed here", w)
	}
	return in.Apply, nil
}

// instruction returns the first instruction of in that is no action.
func (in *Instructions) instruction() string {
	switch {
	case in.Meter != 0:
		return "meter"
	case in.ClearActions:
		return "clear_actions"
	case len(in.Write) > 0:
		return "write_actions"
	case in.MetadataMask != 0:
		return "write_metadata"
	case in.HasGoto:
		return "goto_table"
	}
	return ""
}

// number reads an integer of bits bits; what is its name in the error.
func number(s, what string, bits int) (uint64, error) {
	v, err := strconv.ParseUint(s, 0, bits)
	if err != nil {
		return 0, flow.Textf("invalid %s \"%s\"", what, s)
	}
	return v, nil
}

func u8(s, what string) (uint8, error) {
	v, err := number(s, what, 8)
	return uint8(v), err
}

func u16(s, what string) (uint16, error) {
	v, err := number(s, what, 16)
	return uint16(v), err
}

// u64 reads an integer that the text must have.
func u64(s string) (uint64, error) {
	if s == "" {
		return 0, flow.Textf("missing required numeric argument")
	}
	v, err := strconv.ParseUint(s, 0, 64)
	if err != nil {
		return 0, flow.Textf("invalid numeric format %s", s)
	}
	return v, nil
}

func u32(s string) (uint32, error) {
	v, err := u64(s)
	if err == nil && v > 1<<32-1 {
		err = flow.Textf("invalid numeric format %s", s)
	}
	return uint32(v), err
}

// simple are the actions without an argument.
var simple = map[string]Action{
	"strip_vlan":   PopVLAN{Legacy: true},
	"pop_vlan":     PopVLAN{},
	"dec_mpls_ttl": DecMPLSTTL{},
	"pop_queue":    PopQueue{},
	"exit":         Exit{},
}

func (p *parser) one(w word) (List, error) {
	if a, ok := simple[w.name]; ok {
		return List{a}, nil
	}
	if f, ok := legacyFields[w.name]; ok {
		return legacy(f, w)
	}
	a, ok, err := p.argument(w)
	switch {
	case !ok:
		return p.portWord(w)
	case err != nil:
		return nil, err
	}
	return List{a}, nil
}

// portWord reads a port that stands by itself as an action: "3", "NORMAL".
func (p *parser) portWord(w word) (List, error) {
	port, err := p.port(w.name)
	switch {
	case err != nil:
		return nil, flow.Textf("unknown action %s", w.name)
	case port == PortController:
		a, err := parseController(w)
		return List{a}, err
	}
	return output(port)
}

// output returns an output to a port other than the controller.
func output(port Port) (List, error) {
	if port == PortAny || port == PortUnset || port == PortMax {
		return nil, flow.Textf("actions are invalid with specified match (OFPBAC_BAD_OUT_PORT)")
	}
	return List{Output{Port: port}}, nil
}

// legacyFields are the actions of OpenFlow 1.0 that set a field.
var legacyFields = map[string]flow.Field{
	"mod_dl_src": flow.FieldEthSrc, "mod_dl_dst": flow.FieldEthDst,
	"mod_nw_src": flow.FieldIPSrc, "mod_nw_dst": flow.FieldIPDst,
	"mod_nw_tos": flow.FieldIPDSCP, "mod_nw_ecn": flow.FieldIPECN,
	"mod_tp_src": flow.FieldTPSrc, "mod_tp_dst": flow.FieldTPDst,
	"set_tunnel": flow.FieldTunID, "set_tunnel64": flow.FieldTunID,
	"set_mpls_label": flow.FieldMPLSLabel, "set_mpls_tc": flow.FieldMPLSTC,
}

// legacyValue reads the argument of such an action.
func legacyValue(f flow.Field, w word) (v flow.U128, err error) {
	limit := func(max uint64, what string) (uint64, error) {
		n, err := number(w.arg, what, 8)
		if err == nil && n > max {
			err = flow.Textf("%s: not a valid %s", w.arg, what)
		}
		return n, err
	}
	switch f {
	case flow.FieldIPDSCP:
		v.Lo, err = limit(255, "TOS")
		if err == nil && v.Lo&3 != 0 {
			err = flow.Textf("%s: not a valid TOS", w.arg)
		}
		v.Lo >>= 2
	case flow.FieldIPECN:
		v.Lo, err = limit(3, "ECN")
	case flow.FieldTPSrc:
		v.Lo, err = number(w.arg, "source port", 16)
	case flow.FieldTPDst:
		v.Lo, err = number(w.arg, "destination port", 16)
	case flow.FieldTunID:
		v.Lo, err = u64(w.arg)
	case flow.FieldMPLSLabel:
		if v.Lo, err = u64(w.arg); err == nil && v.Lo >= 1<<20 {
			err = flow.Textf("%s: not a valid MPLS label", w.arg)
		}
	case flow.FieldMPLSTC:
		v.Lo, err = limit(7, "MPLS TC")
	default:
		var m flow.U128
		v, m, err = flow.ParseValue(f, w.arg)
		if err == nil && m != flow.Ones(f.Bits()) || err != nil && (f == flow.FieldEthSrc || f == flow.FieldEthDst) {
			err = flow.Textf("invalid mac address %s", w.arg)
		}
		if err != nil && (f == flow.FieldIPSrc || f == flow.FieldIPDst) {
			err = flow.Textf("%s: could not convert to IP address", w.arg)
		}
	}
	return v, err
}

func legacy(f flow.Field, w word) (List, error) {
	v, err := legacyValue(f, w)
	if err != nil {
		return nil, err
	}
	return List{SetField{Field: f, Value: v, Mask: flow.Ones(f.Bits()), Legacy: true}}, nil
}

// dottedBytes reads hexadecimal bytes of two digits, with dots between or without.
func dottedBytes(s string) (b []byte, err error) {
	for s = strings.TrimLeft(s, "."); s != ""; s = strings.TrimLeft(s, ".") {
		if len(s) < 2 {
			return nil, hex.ErrLength
		}
		one, err := hex.DecodeString(s[:2])
		if err != nil {
			return nil, err
		}
		b, s = append(b, one...), s[2:]
	}
	return b, nil
}
