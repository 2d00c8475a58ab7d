// SPDX-License-Identifier: Apache-2.0

package action

import (
	"encoding/hex"
	"errors"
	"fmt"
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
	n, err := u8(s)
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
	drop := false
	for _, w := range ws {
		switch w.name {
		case "drop":
			drop = true
		case "meter":
			in.Meter, err = u32(w.arg)
		case "clear_actions":
			in.ClearActions = true
		case "write_actions":
			in.Write, err = p.nested(w.arg)
		case "write_metadata":
			in.Metadata, in.MetadataMask, err = metadata(w.arg)
		case "goto_table":
			in.Goto, err = p.table(w.arg)
			in.HasGoto = true
		default:
			var l List
			l, err = p.one(w)
			in.Apply = append(in.Apply, l...)
		}
		if err != nil {
			return in, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	if drop && len(ws) != 1 {
		return in, errors.New(`"drop" must not be accompanied by any other action`)
	}
	return in, nil
}

func metadata(s string) (v, m uint64, err error) {
	a, b, masked := strings.Cut(s, "/")
	m = ^uint64(0)
	if v, err = strconv.ParseUint(a, 0, 64); err == nil && masked {
		m, err = strconv.ParseUint(b, 0, 64)
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
	if in.Meter != 0 || in.ClearActions || len(in.Write) > 0 || in.MetadataMask != 0 || in.HasGoto {
		return nil, errors.New("instructions are not allowed here")
	}
	return in.Apply, nil
}

func u8(s string) (uint8, error) {
	v, err := strconv.ParseUint(s, 0, 8)
	return uint8(v), err
}

func u16(s string) (uint16, error) {
	v, err := strconv.ParseUint(s, 0, 16)
	return uint16(v), err
}

func u32(s string) (uint32, error) {
	v, err := strconv.ParseUint(s, 0, 32)
	return uint32(v), err
}

// simple are the actions without an argument.
var simple = map[string]Action{
	"strip_vlan":   PopVLAN{Legacy: true},
	"pop_vlan":     PopVLAN{},
	"dec_mpls_ttl": DecMPLSTTL{},
	"copy_ttl_out": CopyTTLOut{},
	"copy_ttl_in":  CopyTTLIn{},
	"pop_queue":    PopQueue{},
	"exit":         Exit{},
}

func (p *parser) one(w word) (List, error) {
	if a, ok := simple[w.name]; ok && w.arg == "" {
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
	if err != nil {
		return nil, errors.New("unknown action")
	}
	o := Output{Port: port}
	switch {
	case port == PortController:
		a, err := parseController(w)
		return List{a}, err
	case w.arg != "":
		return nil, errors.New("a port takes no argument")
	case port == PortAny || port == PortUnset:
		return nil, errors.New("no packet can be sent there")
	}
	return List{o}, nil
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

func legacy(f flow.Field, w word) (List, error) {
	parse := f
	if f == flow.FieldIPDSCP {
		parse = flow.FieldIPTOS // the argument is the whole byte
	}
	v, m, err := flow.ParseValue(parse, w.arg)
	if err != nil {
		return nil, err
	}
	if m.And(flow.Ones(parse.Bits())) != flow.Ones(parse.Bits()) {
		return nil, errors.New("a mask is not allowed here")
	}
	if f == flow.FieldIPDSCP {
		if v.Lo&3 != 0 {
			return nil, errors.New("not a valid TOS value")
		}
		v.Lo >>= 2
	}
	return List{SetField{Field: f, Value: v, Mask: flow.Ones(f.Bits()), Legacy: true}}, nil
}

// dottedBytes reads hexadecimal bytes with dots between or without.
func dottedBytes(s string) ([]byte, error) {
	return hex.DecodeString(strings.ReplaceAll(s, ".", ""))
}
