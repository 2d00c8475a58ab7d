// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
)

// Learn adds the flow that Specs make of the packet, or modifies the flow that has its
// match and priority (ovs-actions(7), "learn"; NXAST_LEARN and NXAST_LEARN2).
type Learn struct {
	Table       uint8
	IdleTimeout uint16 // of the new flow, seconds; 0: none
	HardTimeout uint16
	// FinIdle and FinHard, if not 0, make a FinTimeout the new flow's first action.
	FinIdle, FinHard uint16
	Priority         uint16
	Cookie           uint64
	SendFlowRem      bool
	// DeleteLearned: when the last flow with such a learn goes, so do the flows of Table with Cookie.
	DeleteLearned bool
	// Limit is how many flows of Table may have Cookie for one more to be added; 0: any.
	Limit uint32
	// Result is the bit that says whether the flow is there now; without a field: none.
	Result flow.Subfield
	Specs  []LearnSpec
}

// LearnKind is what a LearnSpec contributes to the new flow.
type LearnKind uint8

const (
	LearnMatch  LearnKind = iota // a match of Dst
	LearnLoad                    // an action that loads Dst
	LearnOutput                  // an output to the port whose number Src has
)

// LearnSpec is one part of the new flow: Src, which the packet has when the action is
// executed, or Value (then Src has no field), becomes a match or an argument.
type LearnSpec struct {
	Kind  LearnKind
	Src   flow.Subfield
	Value flow.U128     // the low N bits
	Dst   flow.Subfield // not of LearnOutput
}

// N returns the number of bits.
func (s *LearnSpec) N() int {
	if s.Kind == LearnOutput {
		return int(s.Src.N)
	}
	return int(s.Dst.N)
}

// FinTimeout shortens the timeouts of the flow that it is in, to these seconds if they are
// longer or none, when a packet with FIN or RST comes; 0: not that one (NXAST_FIN_TIMEOUT).
type FinTimeout struct{ Idle, Hard uint16 }

func (Learn) action()      {}
func (FinTimeout) action() {}

// inPortBits is the width of in_port in its 16-bit form.
const inPortBits = 16

// whole reports whether s is all of its field, by the name that is written then.
func whole(s flow.Subfield) (name string, ok bool) {
	switch {
	case s.Field == flow.FieldInPort && s.Ofs == 0 && s.N == inPortBits:
		return "in_port", true
	case s.Field == flow.FieldInPort && s.Ofs == 0 && s.N == 32:
		return "in_port_oxm", true
	case s.Field == flow.FieldTunFlags:
		return "tun_flags", s.N == 1
	case s.Field == flow.FieldVLANVID || s.Field == flow.FieldIPFrag: // in full as the text has it
		return s.Field.String(), s == wholeOf(s.Field)
	}
	return s.Field.String(), s.Ofs == 0 && int(s.N) == s.Field.Bits()
}

// wholeOf returns all of f as a text without brackets means it.
func wholeOf(f flow.Field) flow.Subfield {
	s, _ := flow.ParseSubfield(f.String())
	return s
}

func hex128(v flow.U128) string {
	if v.Hi == 0 {
		return hexText(v.Lo)
	}
	return fmt.Sprintf("0x%x%016x", v.Hi, v.Lo)
}

func (s *LearnSpec) text(ports flow.PortNames) string {
	value := s.Src.Field == flow.FieldNone
	switch {
	case s.Kind == LearnOutput:
		return "output:" + s.Src.String()
	case s.Kind == LearnLoad && value:
		return "load:" + hex128(s.Value) + "->" + s.Dst.String()
	case s.Kind == LearnLoad:
		return "load:" + s.Src.String() + "->" + s.Dst.String()
	case !value && s.Src == s.Dst:
		return s.Dst.String()
	case !value:
		return s.Dst.String() + "=" + s.Src.String()
	}
	name, ok := whole(s.Dst)
	if !ok {
		return s.Dst.String() + "=" + hex128(s.Value)
	}
	v := s.Value
	switch s.Dst.Field {
	case flow.FieldInPort:
		p := uint32(v.Lo)
		if s.Dst.N == inPortBits && p >= 0xff00 {
			p += 0xffff0000
		}
		return name + "=" + ports.Name(p)
	case flow.FieldTunFlags:
		if v.IsZero() {
			return name + "=0"
		}
		return name + "=oam"
	}
	return name + "=" + flow.FormatValue(s.Dst.Field, v, flow.Ones(s.Dst.Field.Bits()))
}

func learnText(a Learn, ports flow.PortNames) string {
	var b strings.Builder
	fmt.Fprintf(&b, "learn(table=%d", a.Table)
	opt := func(name string, v uint16) {
		if v != 0 {
			fmt.Fprintf(&b, ",%s=%d", name, v)
		}
	}
	opt("idle_timeout", a.IdleTimeout)
	opt("hard_timeout", a.HardTimeout)
	opt("fin_idle_timeout", a.FinIdle)
	opt("fin_hard_timeout", a.FinHard)
	if a.Priority != defaultPriority {
		fmt.Fprintf(&b, ",priority=%d", a.Priority)
	}
	if a.SendFlowRem {
		b.WriteString(",send_flow_rem")
	}
	if a.DeleteLearned {
		b.WriteString(",delete_learned")
	}
	if a.Cookie != 0 {
		fmt.Fprintf(&b, ",cookie=%#x", a.Cookie)
	}
	if a.Limit != 0 {
		fmt.Fprintf(&b, ",limit=%d", a.Limit)
	}
	if a.Result.Field != flow.FieldNone {
		b.WriteString(",result_dst=" + a.Result.String())
	}
	for i := range a.Specs {
		b.WriteString("," + a.Specs[i].text(ports))
	}
	b.WriteByte(')')
	return b.String()
}

// defaultPriority is that of a flow that says none.
const defaultPriority = 0x8000

func finTimeoutText(a FinTimeout) string {
	var ws []string
	if a.Idle != 0 {
		ws = append(ws, fmt.Sprintf("idle_timeout=%d", a.Idle))
	}
	if a.Hard != 0 {
		ws = append(ws, fmt.Sprintf("hard_timeout=%d", a.Hard))
	}
	return "fin_timeout(" + strings.Join(ws, ",") + ")"
}

// pair splits a word of an argument list at the first of the characters that may stand
// between name and value.
func pair(s string) (name, value string) {
	i := strings.IndexAny(s, ":=(")
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSuffix(s[i+1:], ")")
}

func parseFinTimeout(w word) (Action, error) {
	var a FinTimeout
	var err error
	for _, kv := range flow.SplitWords(w.arg) {
		switch k, v := pair(kv); k {
		case "idle_timeout":
			a.Idle, err = u16(v, k)
		case "hard_timeout":
			a.Hard, err = u16(v, k)
		default:
			err = flow.Textf("invalid key '%s' in 'fin_timeout' argument", k)
		}
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

// lax16 reads the decimal digits at the start of s, as the stock tools do for the numbers
// of a learn: nothing is wrong there.
func lax16(s string) uint16 {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(s[:n], 10, 31)
	if err != nil && n > 0 {
		v = math.MaxUint16 // out of range
	}
	return uint16(v)
}

// lax64 is that for cookies, which may be hexadecimal.
func lax64(s string) uint64 {
	for n := len(s); n > 0; n-- {
		v, err := strconv.ParseUint(s[:n], 0, 64)
		if err == nil || errors.Is(err, strconv.ErrRange) {
			return v // all ones if it is out of range
		}
	}
	return 0
}

// lax32 is that for limits.
func lax32(s string) uint32 {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	v, err := strconv.ParseUint(s[:n], 10, 32)
	if err != nil && n > 0 {
		return math.MaxUint32
	}
	return uint32(v)
}

func (p *parser) parseLearn(w word) (Action, error) {
	a := Learn{Table: 1, Priority: defaultPriority}
	for _, kv := range flow.SplitWords(w.arg) {
		k, v := pair(kv)
		var err error
		switch k {
		case "table":
			if a.Table, err = p.table(v); err != nil {
				err = flow.Textf("unknown table \"%s\"", v)
			} else if a.Table == 255 {
				err = flow.Textf("%s: table id 255 not valid for `learn' action", kv)
			}
		case "priority":
			a.Priority = lax16(v)
		case "idle_timeout":
			a.IdleTimeout = lax16(v)
		case "hard_timeout":
			a.HardTimeout = lax16(v)
		case "fin_idle_timeout":
			a.FinIdle = lax16(v)
		case "fin_hard_timeout":
			a.FinHard = lax16(v)
		case "cookie":
			a.Cookie = lax64(v)
		case "limit":
			a.Limit = lax32(v)
		case "send_flow_rem":
			a.SendFlowRem = true
		case "delete_learned":
			a.DeleteLearned = true
		case "result_dst":
			a.Result, err = parseResult(v)
		default:
			var s LearnSpec
			if s, err = parseSpec(kv, k, v); err == nil {
				a.Specs = append(a.Specs, s)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return a, nil
}

func parseResult(v string) (flow.Subfield, error) {
	s, err := subfield(v)
	switch {
	case err != nil:
	case !s.Field.Info().Writable:
		err = flow.Textf("%s is read-only", v)
	case s.N != 1:
		err = flow.Textf("result_dst in 'learn' action must be a single bit")
	}
	return s, err
}

// parseSpec reads one part of the flow to learn; orig is all of its text.
func parseSpec(orig, name, value string) (s LearnSpec, err error) {
	switch name {
	case "load":
		return parseLearnLoad(value)
	case "output":
		s.Kind = LearnOutput
		s.Src, err = subfield(value)
		return s, err
	}
	if s.Dst, err = flow.ParseSubfield(name); err != nil {
		return s, flow.Textf("%s: unknown keyword %s", orig, name)
	}
	if !strings.Contains(name, "[") && !hasNXM(s.Dst.Field, name) {
		return s, flow.Textf("%s: experimenter OXM field '%s' not supported", orig, name)
	}
	if value == "" {
		s.Src = s.Dst
		return s, nil
	}
	src, srcErr := subfield(value)
	if srcErr == nil {
		if src.N != s.Dst.N {
			return s, flow.Textf("%s: bit widths of %s (%d) and %s (%d) differ", orig, name, src.N, value, s.Dst.N)
		}
		s.Src = src
		return s, nil
	}
	v, err := matchValue(orig, s.Dst, value)
	if err != nil {
		return s, flow.Textf("%s: %s value %s cannot be parsed as a subfield (%v) or an immediate value (%v)", orig, name, value, said(srcErr), said(err))
	}
	s.Value = v
	return s, nil
}

// hasNXM reports whether a field, by this name, has an entry with a short header.
func hasNXM(f flow.Field, name string) bool {
	nxm := f.NXMName()
	return nxm != "" && !strings.HasPrefix(nxm, "ONFOXM") && name != "dl_vlan_pcp"
}

// said returns the words of the stock tools within an error.
func said(err error) string {
	var t *flow.TextError
	if errors.As(err, &t) {
		return t.Text
	}
	return err.Error()
}

// matchValue reads the value of a match.
func matchValue(orig string, dst flow.Subfield, value string) (v flow.U128, err error) {
	if _, all := whole(dst); !all {
		if v, _, err = flow.ParseValue(flow.FieldXXReg0, value); err == nil && !v.AndNot(flow.Ones(int(dst.N))).IsZero() {
			err = flow.Textf("%s: value %s does not fit into %d bits", orig, hex128(v), dst.N)
		}
		return v, err
	}
	v, m, err := flow.ParseValue(dst.Field, value)
	if err != nil {
		return v, err
	}
	switch dst.Field {
	case flow.FieldInPort:
		return v.And(flow.Ones(int(dst.N))), nil
	case flow.FieldTunFlags:
		return v.Rsh(uint(dst.Ofs)).And(flow.Ones(1)), nil
	}
	if !flow.Ones(int(dst.N)).AndNot(m).IsZero() {
		return v, flow.Textf("%s: wildcards not allowed here", value)
	}
	return v, nil
}

// parseLearnLoad reads VALUE->DST or SRC->DST.
func parseLearnLoad(value string) (s LearnSpec, err error) {
	s.Kind = LearnLoad
	i := strings.Index(value, "->")
	if i < 0 {
		return s, flow.Textf("load: missing `->' in `%s'", value)
	}
	from, to := value[:i], value[i+2:]
	v, err := leadingNumber(from)
	if err != nil {
		var a Action
		if a, err = parseMove(word{arg: value}); err == nil {
			m := a.(Move)
			s.Src, s.Dst = m.Src, m.Dst
		}
		return s, err
	}
	if s.Dst, err = subfield(to); err != nil {
		return s, err
	}
	if !v.AndNot(flow.Ones(int(s.Dst.N))).IsZero() {
		return s, flow.Textf("%s: value does not fit into %d bits", value, s.Dst.N)
	}
	s.Value = v
	return s, nil
}

// leadingNumber reads a number of up to 128 bits; one with a sign is all ones.
func leadingNumber(s string) (flow.U128, error) {
	if strings.HasPrefix(s, "-") {
		return flow.Ones(128), nil
	}
	if s == "" || s[0] < '0' || s[0] > '9' {
		return flow.U128{}, errors.New("no number")
	}
	v, _, err := flow.ParseValue(flow.FieldXXReg0, s)
	return v, err
}
