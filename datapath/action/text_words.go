// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
)

// argumentWords are the actions that have arguments.
var argumentWords = []string{
	"output", "enqueue", "group", "set_queue", "push_vlan", "mod_vlan_vid", "set_vlan_vid", "mod_vlan_pcp", "set_vlan_pcp",
	"push_mpls", "pop_mpls", "mod_nw_ttl", "set_mpls_ttl", "dec_ttl", "set_field", "load", "move", "controller", "resubmit",
	"push", "pop", "conjunction", "note", "clone", "learn", "fin_timeout",
	"check_pkt_larger",
}

// argument reads an action with arguments of its own; ok is false if w is none.
func (p *parser) argument(w word) (a Action, ok bool, err error) {
	ok = true
	switch w.name {
	case "output":
		a, err = p.parseOutput(w)
	case "enqueue":
		a, err = p.parseEnqueue(w)
	case "group":
		var id uint32
		id, err = u32(w.arg)
		a = Group{id}
	case "set_queue":
		var id uint32
		id, err = u32(w.arg)
		a = SetQueue{id}
	case "push_vlan":
		var t uint16
		if t, err = u16(w.arg, "ethertype"); err == nil && t != 0x8100 && t != 0x88a8 {
			err = flow.Textf("%s: not a valid VLAN ethertype", w.arg)
		}
		a = PushVLAN{t}
	case "mod_vlan_vid", "set_vlan_vid":
		var v uint16
		if v, err = u16(w.arg, "VLAN VID"); err == nil && v > 0xfff {
			err = flow.Textf("%s: not a valid VLAN VID", w.arg)
		}
		a = SetVLANVID{v, w.name == "mod_vlan_vid"}
	case "mod_vlan_pcp", "set_vlan_pcp":
		var v uint8
		if v, err = u8(w.arg, "VLAN PCP"); err == nil && v > 7 {
			err = flow.Textf("%s: not a valid VLAN PCP", w.arg)
		}
		a = SetVLANPCP{v, w.name == "mod_vlan_pcp"}
	case "push_mpls":
		var t uint16
		if t, err = u16(w.arg, "push_mpls"); err == nil && t != flow.EthTypeMPLS && t != flow.EthTypeMPLSM {
			err = fmt.Errorf("%s is not a type of MPLS", w.arg)
		}
		a = PushMPLS{t}
	case "pop_mpls":
		var t uint16
		t, err = u16(w.arg, "pop_mpls")
		a = PopMPLS{t}
	case "mod_nw_ttl":
		var v uint8
		v, err = u8(w.arg, "TTL")
		a = SetTTL{v}
	case "set_mpls_ttl":
		var v uint8
		v, err = u8(w.arg, "MPLS TTL")
		a = SetMPLSTTL{v}
	case "dec_ttl":
		a, err = parseDecTTL(w)
	case "set_field":
		a, err = parseSetField(w)
	case "load":
		a, err = parseLoad(w)
	case "move":
		a, err = parseMove(w)
	case "controller", "CONTROLLER":
		a, err = parseController(w)
	case "resubmit":
		a, err = p.parseResubmit(w)
	case "push":
		var s flow.Subfield
		s, err = subfield(w.arg)
		a = StackPush{s}
	case "pop":
		var s flow.Subfield
		s, err = writable(w.arg)
		a = StackPop{s}
	case "check_pkt_larger":
		a, err = parseCheckPktLarger(w)
	case "conjunction":
		a, err = parseConjunction(w)
	case "note":
		a, err = parseNote(w)
	case "learn":
		a, err = p.parseLearn(w)
	case "fin_timeout":
		a, err = parseFinTimeout(w)
	case "clone":
		var l List
		l, err = p.nested(w.arg)
		a = Clone{l}
	default:
		ok = false
	}
	return a, ok, err
}

func (p *parser) parseOutput(w word) (Action, error) {
	if w.paren && strings.Contains(w.arg, "port") && strings.Contains(w.arg, "max_len") {
		return p.parseTruncated(w)
	}
	if port, err := p.port(w.arg); err == nil {
		if port == PortController {
			return Output{PortController, 0xffff}, nil
		}
		l, err := output(port)
		if err != nil {
			return nil, err
		}
		return l[0], nil
	}
	s, err := flow.ParseSubfield(w.arg)
	if err != nil {
		return nil, flow.Textf("%s: output to unknown port", w.arg)
	}
	return OutputReg{s, 0xffff}, nil
}

// parseTruncated reads output(port=1,max_len=100).
func (p *parser) parseTruncated(w word) (Action, error) {
	o := OutputTrunc{Port: PortAny}
	for _, kv := range flow.SplitWords(w.arg) {
		k, v, _ := strings.Cut(kv, "=")
		var err error
		switch k {
		case "port":
			if o.Port, err = p.port(v); err != nil {
				err = flow.Textf("output to unknown truncate port: %s", v)
			} else if o.Port >= 0xff00 && o.Port != PortLocal && o.Port != PortInPort {
				err = flow.Textf("output to unsupported truncate port: %s", v)
			}
		case "max_len":
			if o.MaxLen, err = u32(v); err == nil && o.MaxLen < 14 {
				err = flow.Textf("max_len %d is less than the minimum value 14", o.MaxLen)
			}
		default:
			err = flow.Textf("invalid key '%s' in output_trunc argument", k)
		}
		if err != nil {
			return nil, err
		}
	}
	return o, nil
}

func (p *parser) parseEnqueue(w word) (Action, error) {
	i := strings.LastIndexAny(w.arg, ":,")
	if i < 0 {
		return nil, flow.Textf(`"enqueue" syntax is "enqueue:PORT:QUEUE" or "enqueue(PORT,QUEUE)"`)
	}
	name := strings.TrimPrefix(w.arg[:i], "port=")
	port, err := p.port(name)
	if err != nil {
		return nil, flow.Textf("%s: enqueue to unknown port", name)
	}
	q, err := u32(strings.TrimPrefix(w.arg[i+1:], "queue="))
	if err == nil && port >= 0xff00 && port != PortLocal && port != PortInPort {
		err = flow.Textf("actions are invalid with specified match (OFPBAC_BAD_OUT_PORT)")
	}
	return Enqueue{port, q}, err
}

func parseDecTTL(w word) (Action, error) {
	var a DecTTL
	for _, s := range flow.SplitWords(w.arg) {
		id, err := u16(s, "controller id")
		if err != nil {
			return nil, err
		}
		a.Controllers = append(a.Controllers, id)
	}
	return a, nil
}

// subfield reads a part of a field.
func subfield(s string) (flow.Subfield, error) {
	sf, err := flow.ParseSubfield(s)
	var unknown *flow.ErrField
	if errors.As(err, &unknown) {
		err = flow.Textf("%s: unknown field `%s'", s, unknown.Name)
	}
	return sf, err
}

// arrow splits a text at "->"; need is what the error says about a text without.
func arrow(s, need string) (from, to string, err error) {
	i := strings.LastIndex(s, "->")
	switch {
	case i < 0:
		return "", "", flow.Textf("%s: missing `->'%s", s, need)
	case strings.TrimSpace(s[i+2:]) == "":
		return "", "", flow.Textf("%s: missing field name following `->'", s)
	}
	return s[:i], strings.TrimSpace(s[i+2:]), nil
}

func writable(s string) (flow.Subfield, error) {
	sf, err := subfield(s)
	if err == nil && !sf.Field.Info().Writable {
		err = flow.Textf("actions are invalid with specified match (OFPBAC_BAD_SET_ARGUMENT)")
	}
	return sf, err
}

// parseCheckPktLarger reads check_pkt_larger(1514)->reg0[0].
func parseCheckPktLarger(w word) (Action, error) {
	end := "->"
	if w.paren {
		end = ")->"
	}
	n, dst, ok := strings.Cut(w.arg, end)
	switch {
	case !ok:
		return nil, flow.Textf("%s: missing `->'", strings.TrimSuffix(n, ")"))
	case dst == "":
		return nil, flow.Textf("%s: missing field name following `->'", w.arg)
	}
	size, err := strconv.ParseUint(n, 0, 16)
	if err != nil {
		return nil, flow.Textf("invalid (null) \"%s\"", n) // in the stock program's words
	}
	s, err := subfield(dst)
	if err == nil && s.N != 1 {
		err = flow.Textf("Only 1-bit destination field is allowed")
	}
	if err == nil {
		s, err = writable(dst)
	}
	return CheckPktLarger{s, uint16(size)}, err
}

func parseSetField(w word) (Action, error) {
	val, name, err := arrow(w.arg, "")
	if err != nil {
		return nil, err
	}
	f, ok := flow.FieldByName(name)
	if !ok {
		return nil, flow.Textf("%s is not a valid OXM field name", name)
	}
	if !f.Info().Writable {
		return nil, flow.Textf("%s is read-only", f)
	}
	v, m, err := flow.ParseValue(f, val)
	if err != nil {
		return nil, err
	}
	switch f {
	case flow.FieldTPSrc: // an alias in a set_field
		f = flow.FieldTCPSrc
	case flow.FieldTPDst:
		f = flow.FieldTCPDst
	case flow.FieldIPTOS:
		if v.Lo&3 != 0 {
			return nil, flow.Textf("%s: %s is not a valid value for field %s", val, val, "nw_tos")
		}
		m.Lo &= 0xfc
	case flow.FieldVLANVID:
		if v.Lo&^m.Lo != 0 {
			return nil, errors.New("value has bits outside the mask")
		}
	}
	return SetField{Field: f, Value: v, Mask: m.And(flow.Ones(f.Bits()))}, nil
}

func parseLoad(w word) (Action, error) {
	val, dst, err := arrow(w.arg, "")
	if err != nil {
		return nil, err
	}
	s, err := writable(dst)
	if err != nil {
		return nil, err
	}
	v, err := strconv.ParseUint(val, 0, 64)
	if err != nil {
		return nil, flow.Textf("%s: cannot parse integer value", w.arg)
	}
	if s.N > 64 {
		return nil, fmt.Errorf("%v has more than 64 bits", s)
	}
	if v&^flow.Ones(int(s.N)).Lo != 0 {
		return nil, flow.Textf("%s: value %s does not fit into %d bits", w.arg, val, s.N)
	}
	return Load{s, v}, nil
}

func parseMove(w word) (Action, error) {
	src, dst, err := arrow(w.arg, " following source")
	if err != nil {
		return nil, err
	}
	s, err := flow.ParseSubfield(strings.TrimSpace(src))
	var unknown *flow.ErrField
	if errors.As(err, &unknown) {
		err = flow.Textf("%s: unknown field `%s'", w.arg, unknown.Name)
	}
	if err != nil {
		return nil, err
	}
	d, err := subfield(dst)
	if err != nil {
		return nil, err
	}
	if s.N != d.N {
		return nil, flow.Textf("%s: source field is %d bits wide but destination is %d bits wide", w.arg, s.N, d.N)
	}
	if d, err = writable(dst); err != nil {
		return nil, err
	}
	return Move{s, d}, nil
}

// parseController reads controller, controller:MAX_LEN and controller(...).
// What a plain output to the controller can say becomes one.
func parseController(w word) (Action, error) {
	a := Controller{MaxLen: 0xffff, Reason: 1}
	var err error
	if !w.paren {
		if w.arg != "" {
			a.MaxLen, err = u16(w.arg, "max_len")
		}
		return Output{PortController, a.MaxLen}, err
	}
	for _, kv := range flow.SplitWords(w.arg) {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "max_len":
			a.MaxLen, err = u16(v, "max_len")
		case "id":
			a.ID, err = u16(v, "id")
		case "reason":
			a.Reason, err = parseReason(v)
		case "userdata":
			if a.Userdata, err = dottedBytes(v); err != nil {
				err = flow.Textf("bad hex digit in `controller' action `userdata'")
			}
		case "pause":
			a.Pause = true
		case "meter_id":
			a.Meter, err = u32(v)
		default:
			err = flow.Textf("unknown key \"%s\" parsing controller action", k)
		}
		if err != nil {
			return nil, err
		}
	}
	if a.ID == 0 && a.Reason == 1 && len(a.Userdata) == 0 && !a.Pause && a.Meter == 0 {
		return Output{PortController, a.MaxLen}, nil
	}
	return a, nil
}

func parseReason(s string) (uint8, error) {
	for i, n := range reasonNames {
		if s == n {
			return uint8(i), nil
		}
	}
	return 0, flow.Textf("unknown reason \"%s\"", s)
}

func (p *parser) parseResubmit(w word) (Action, error) {
	a := Resubmit{InPort: PortInPort, Table: ResubmitSameTable}
	parts := strings.Split(w.arg, ",")
	if len(parts) > 3 || len(parts) == 3 && parts[2] != "ct" {
		return nil, flow.Textf("%s: unknown parameter", parts[2])
	}
	var err error
	if in := strings.TrimSpace(parts[0]); in != "" {
		if a.InPort, err = p.port(in); err != nil {
			return nil, flow.Textf("%s: resubmit to unknown port", in)
		}
	}
	if len(parts) > 1 {
		if t := strings.TrimSpace(parts[1]); t != "" {
			if a.Table, err = p.table(t); err != nil {
				return nil, flow.Textf("%s: resubmit to unknown table", t)
			}
		}
	}
	a.WithCT = len(parts) == 3
	if a.InPort == PortInPort && a.Table == ResubmitSameTable {
		return nil, flow.Textf(`at least one "in_port" or "table" must be specified on resubmit`)
	}
	return a, nil
}

func parseConjunction(w word) (Action, error) {
	var a Conjunction
	id, rest, ok := strings.Cut(strings.ReplaceAll(w.arg, " ", ""), ",")
	k, n, ok2 := strings.Cut(rest, "/")
	syntax := flow.Textf(`"conjunction" syntax is "conjunction(id,i/n)"`)
	if !ok || !ok2 {
		return nil, syntax
	}
	var err error
	if a.ID, err = u32(id); err != nil {
		return nil, syntax
	}
	clauses, err := number(n, "", 16)
	if err != nil {
		return nil, syntax
	}
	c, err := number(k, "", 16)
	switch {
	case err != nil:
		return nil, syntax
	case clauses < 2:
		return nil, flow.Textf("conjunction must have at least 2 clauses")
	case clauses > 64:
		return nil, flow.Textf("conjunction must have at most 64 clauses")
	case c < 1:
		return nil, flow.Textf("clause index must be positive")
	case c > clauses:
		return nil, flow.Textf("clause index must be less than or equal to number of clauses")
	}
	a.Clause, a.Clauses = uint8(c-1), uint8(clauses)
	return a, nil
}

// parseNote pads the note with zeros to the length that it has on the wire.
func parseNote(w word) (Action, error) {
	b, err := dottedBytes(w.arg)
	if err != nil {
		err = flow.Textf("bad hex digit in `note' argument")
	}
	for err == nil && (len(b) < 6 || (len(b)-6)%8 != 0) {
		b = append(b, 0)
	}
	return Note{b}, err
}
