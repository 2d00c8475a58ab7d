// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
)

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
		if t, err = u16(w.arg); err == nil && t != 0x8100 && t != 0x88a8 {
			err = fmt.Errorf("%s is not a type of VLAN", w.arg)
		}
		a = PushVLAN{t}
	case "mod_vlan_vid", "set_vlan_vid":
		var v uint16
		if v, err = u16(w.arg); err == nil && v > 0xfff {
			err = fmt.Errorf("%s is not a VLAN", w.arg)
		}
		a = SetVLANVID{v, w.name == "mod_vlan_vid"}
	case "mod_vlan_pcp", "set_vlan_pcp":
		var v uint8
		if v, err = u8(w.arg); err == nil && v > 7 {
			err = fmt.Errorf("%s is not a priority", w.arg)
		}
		a = SetVLANPCP{v, w.name == "mod_vlan_pcp"}
	case "push_mpls":
		var t uint16
		if t, err = u16(w.arg); err == nil && t != flow.EthTypeMPLS && t != flow.EthTypeMPLSM {
			err = fmt.Errorf("%s is not a type of MPLS", w.arg)
		}
		a = PushMPLS{t}
	case "pop_mpls":
		var t uint16
		t, err = u16(w.arg)
		a = PopMPLS{t}
	case "mod_nw_ttl":
		var v uint8
		v, err = u8(w.arg)
		a = SetTTL{v}
	case "set_mpls_ttl":
		var v uint8
		v, err = u8(w.arg)
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
		s, err = flow.ParseSubfield(w.arg)
		a = StackPush{s}
	case "pop":
		var s flow.Subfield
		s, err = writable(w.arg)
		a = StackPop{s}
	case "conjunction":
		a, err = parseConjunction(w)
	case "note":
		a, err = parseNote(w)
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
	if w.paren {
		o := OutputTrunc{Port: PortAny}
		for _, kv := range flow.SplitWords(w.arg) {
			k, v, _ := strings.Cut(kv, "=")
			var err error
			switch k {
			case "port":
				o.Port, err = p.port(v)
			case "max_len":
				o.MaxLen, err = u32(v)
			default:
				err = fmt.Errorf("%q is not known", k)
			}
			if err != nil {
				return nil, err
			}
		}
		if o.MaxLen < 14 {
			return nil, fmt.Errorf("max_len %d is less than the minimum of 14", o.MaxLen)
		}
		if o.Port >= 0xff00 && o.Port != PortLocal && o.Port != PortInPort {
			return nil, fmt.Errorf("%v cannot be a port here", o.Port)
		}
		return o, nil
	}
	if port, err := p.port(w.arg); err == nil {
		l, err := p.portWord(word{name: port.String()})
		if err != nil {
			return nil, err
		}
		return l[0], nil
	}
	s, err := flow.ParseSubfield(w.arg)
	if err != nil {
		return nil, err
	}
	return OutputReg{s, 0xffff}, nil
}

func (p *parser) parseEnqueue(w word) (Action, error) {
	i := strings.LastIndexAny(w.arg, ":,")
	if i < 0 {
		return nil, errors.New("syntax is enqueue:PORT:QUEUE or enqueue(PORT,QUEUE)")
	}
	port, err := p.port(strings.TrimPrefix(w.arg[:i], "port="))
	if err != nil {
		return nil, err
	}
	q, err := u32(strings.TrimPrefix(w.arg[i+1:], "queue="))
	if port >= 0xff00 && port != PortLocal && port != PortInPort {
		return nil, fmt.Errorf("%v has no queues", port)
	}
	return Enqueue{port, q}, err
}

func parseDecTTL(w word) (Action, error) {
	var a DecTTL
	for _, s := range flow.SplitWords(w.arg) {
		id, err := u16(s)
		if err != nil {
			return nil, err
		}
		a.Controllers = append(a.Controllers, id)
	}
	if w.paren && len(a.Controllers) == 0 {
		return nil, errors.New("at least one controller id is needed")
	}
	return a, nil
}

func writable(s string) (flow.Subfield, error) {
	sf, err := flow.ParseSubfield(s)
	if err == nil && !sf.Field.Info().Writable {
		err = fmt.Errorf("%s is read-only", sf.Field)
	}
	return sf, err
}

func parseSetField(w word) (Action, error) {
	i := strings.LastIndex(w.arg, "->")
	if i < 0 {
		return nil, errors.New("syntax is set_field:VALUE[/MASK]->FIELD")
	}
	f, ok := flow.FieldByName(strings.TrimSpace(w.arg[i+2:]))
	if !ok {
		return nil, fmt.Errorf("field %q is not known", w.arg[i+2:])
	}
	if !f.Info().Writable {
		return nil, fmt.Errorf("%s is read-only", f)
	}
	v, m, err := flow.ParseValue(f, w.arg[:i])
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
			return nil, errors.New("the low two bits are not part of nw_tos")
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
	val, dst, ok := strings.Cut(w.arg, "->")
	if !ok {
		return nil, errors.New("syntax is load:VALUE->FIELD[A..B]")
	}
	s, err := writable(strings.TrimSpace(dst))
	if err != nil {
		return nil, err
	}
	v, err := strconv.ParseUint(val, 0, 64)
	if err != nil {
		return nil, err
	}
	if s.N > 64 {
		return nil, fmt.Errorf("%v has more than 64 bits", s)
	}
	if v&^flow.Ones(int(s.N)).Lo != 0 {
		return nil, fmt.Errorf("value %#x does not fit into %d bits", v, s.N)
	}
	return Load{s, v}, nil
}

func parseMove(w word) (Action, error) {
	src, dst, ok := strings.Cut(w.arg, "->")
	if !ok {
		return nil, errors.New("syntax is move:FIELD[A..B]->FIELD[C..D]")
	}
	s, err := flow.ParseSubfield(strings.TrimSpace(src))
	if err != nil {
		return nil, err
	}
	d, err := writable(strings.TrimSpace(dst))
	if err != nil {
		return nil, err
	}
	if s.N != d.N {
		return nil, fmt.Errorf("source has %d bits, destination %d", s.N, d.N)
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
			a.MaxLen, err = u16(w.arg)
		}
		return Output{PortController, a.MaxLen}, err
	}
	for _, kv := range flow.SplitWords(w.arg) {
		k, v, _ := strings.Cut(kv, "=")
		switch k {
		case "max_len":
			a.MaxLen, err = u16(v)
		case "id":
			a.ID, err = u16(v)
		case "reason":
			a.Reason, err = parseReason(v)
		case "userdata":
			a.Userdata, err = dottedBytes(v)
		case "pause":
			a.Pause = true
		case "meter_id":
			a.Meter, err = u32(v)
		default:
			err = fmt.Errorf("%q is not known", k)
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
	return u8(s)
}

func (p *parser) parseResubmit(w word) (Action, error) {
	a := Resubmit{InPort: PortInPort, Table: ResubmitSameTable}
	parts := strings.Split(w.arg, ",")
	if len(parts) > 3 || len(parts) == 3 && parts[2] != "ct" {
		return nil, errors.New("syntax is resubmit([PORT],[TABLE][,ct])")
	}
	var err error
	if in := strings.TrimSpace(parts[0]); in != "" {
		if a.InPort, err = p.port(in); err != nil {
			return nil, err
		}
	}
	if len(parts) > 1 {
		if t := strings.TrimSpace(parts[1]); t != "" {
			if a.Table, err = p.table(t); err != nil {
				return nil, err
			}
		}
	}
	a.WithCT = len(parts) == 3
	if a.InPort == PortInPort && a.Table == ResubmitSameTable && !w.paren {
		return nil, errors.New("at least one of in_port and table must be specified")
	}
	return a, nil
}

func parseConjunction(w word) (Action, error) {
	var a Conjunction
	id, rest, ok := strings.Cut(strings.ReplaceAll(w.arg, " ", ""), ",")
	k, n, ok2 := strings.Cut(rest, "/")
	if !ok || !ok2 {
		return nil, errors.New("syntax is conjunction(ID,CLAUSE/CLAUSES)")
	}
	var err error
	if a.ID, err = u32(id); err != nil {
		return nil, err
	}
	if a.Clauses, err = u8(n); err != nil {
		return nil, err
	}
	c, err := u8(k)
	if err != nil {
		return nil, err
	}
	if a.Clauses < 2 || a.Clauses > 64 || c < 1 || c > a.Clauses {
		return nil, fmt.Errorf("clause %d of %d", c, a.Clauses)
	}
	a.Clause = c - 1
	return a, nil
}

// parseNote pads the note with zeros to the length that it has on the wire.
func parseNote(w word) (Action, error) {
	b, err := dottedBytes(w.arg)
	for err == nil && (len(b) < 6 || (len(b)-6)%8 != 0) {
		b = append(b, 0)
	}
	return Note{b}, err
}
