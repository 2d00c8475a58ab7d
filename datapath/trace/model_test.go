// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"fmt"
	"math/bits"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
)

// This file executes datapath actions by their text, ours and the stock switch's alike,
// on a packet that is a key and a stack of tags.

type tag struct{ tpid, tci uint16 }

type model struct {
	k    flow.Key
	tags []tag
	out  []string
}

// wire is the packet as text, without metadata.
func (p *model) wire() string {
	var b strings.Builder
	for _, t := range p.tags {
		fmt.Fprintf(&b, "[%04x:%04x]", t.tpid, t.tci)
	}
	k := p.k
	k.SetU64(flow.FieldVLANTCI, 0)
	k.SetU64(flow.FieldVLANTPID, 0)
	k.SetU64(flow.FieldCVLANTCI, 0)
	k.SetU64(flow.FieldCVLANTPID, 0)
	for i, w := range k[flow.StageEnd[0]:] {
		if w != 0 {
			fmt.Fprintf(&b, " %d=%x", i, w)
		}
	}
	if m := k.U64(flow.FieldPktMark); m != 0 {
		fmt.Fprintf(&b, " mark=%x", m)
	}
	return b.String()
}

// perform executes actions on the packet k and returns what leaves and where.
func perform(actions string, k flow.Key) (out []string, err error) {
	p := &model{k: k}
	if t := k.VLANTCI(); t != 0 {
		p.tags = append(p.tags, tag{uint16(k.U64(flow.FieldVLANTPID)), t})
	}
	for _, a := range flow.SplitWords(actions) {
		if err := p.action(a); err != nil {
			return nil, fmt.Errorf("action %s: %w", a, err)
		}
	}
	return p.out, nil
}

func (p *model) action(a string) error {
	name, arg, paren := strings.Cut(strings.TrimSuffix(a, ")"), "(")
	switch {
	case a == "drop":
	case a == "pop_vlan":
		if len(p.tags) == 0 {
			return fmt.Errorf("no tag")
		}
		p.tags = p.tags[1:]
	case !paren:
		if _, err := strconv.Atoi(a); err != nil {
			return err
		}
		p.out = append(p.out, a+":"+p.wire())
	case name == "userspace":
		what := ""
		for _, w := range strings.FieldsFunc(arg, func(r rune) bool { return strings.ContainsRune(",()", r) }) {
			switch key, _, _ := strings.Cut(w, "="); key {
			case "reason", "rule_cookie", "controller_id", "max_len":
				what += " " + w
			}
		}
		p.out = append(p.out, "controller:"+what+":"+p.wire())
	case name == "push_vlan":
		t := tag{0x8100, flow.VLANPresent}
		for _, w := range strings.Split(arg, ",") {
			key, v, _ := strings.Cut(w, "=")
			n, err := strconv.ParseUint(v, 0, 16)
			if err != nil {
				return err
			}
			switch key {
			case "tpid":
				t.tpid = uint16(n)
			case "vid":
				t.tci |= uint16(n)
			case "pcp":
				t.tci |= uint16(n) << 13
			}
		}
		p.tags = append([]tag{t}, p.tags...)
	case name == "set":
		header, parts, _ := strings.Cut(strings.TrimSuffix(arg, ")"), "(")
		if header == "skb_mark" || header == "skb_priority" {
			parts = "=" + parts
		}
		for _, w := range strings.Split(parts, ",") {
			key, v, _ := strings.Cut(w, "=")
			if err := p.set(header, key, v); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("not known")
	}
	return nil
}

func (p *model) set(header, key, value string) error {
	var f flow.Field
	switch header {
	case "skb_mark":
		f = flow.FieldPktMark
	case "vlan_tci": // ours
		v, m, err := flow.ParseValue(flow.FieldVLANTCI, key)
		if err != nil || len(p.tags) == 0 {
			return fmt.Errorf("set tci: %v", err)
		}
		tags := slices.Clone(p.tags)
		tags[0].tci = tags[0].tci&^uint16(m.Lo) | uint16(v.Lo&m.Lo)
		p.tags = tags
		return nil
	default:
		f = attributes[header][key]
	}
	if f == flow.FieldNone {
		return fmt.Errorf("no field %s of %s", key, header)
	}
	if f == flow.FieldIPTOS || f == flow.FieldIPTTL || f == flow.FieldIPProto {
		v, m, found := strings.Cut(value, "/")
		n, err := strconv.ParseUint(v, 0, 8)
		mask := uint64(0xff)
		if found && err == nil {
			mask, err = strconv.ParseUint(m, 0, 8)
		}
		if err != nil {
			return err
		}
		p.k.SetMasked(f, flow.U128{Lo: n}, flow.U128{Lo: mask})
		return nil
	}
	v, m, err := flow.ParseValue(f, value)
	if err != nil {
		return err
	}
	p.k.SetMasked(f, v, m)
	return nil
}

// line returns what follows a heading of a trace.
func line(trace, heading string) string {
	for l := range strings.Lines(trace) {
		if s, ok := strings.CutPrefix(l, heading+": "); ok {
			return strings.TrimSuffix(s, "\n")
		}
	}
	return ""
}

// maskOf reads the mask of a trace's megaflow; false if its text has a field that
// matches have no text for.
func maskOf(trace string) (m flow.Match, ok bool) {
	for _, w := range flow.SplitWords(line(trace, "Megaflow")) {
		name, v, hasValue := strings.Cut(w, "=")
		if name == "recirc_id" || name == "eth" || name == "in_port" || name == "skb_priority" {
			continue
		}
		f, ok := flow.FieldByName(name)
		switch name {
		case "icmp_type":
			f = flow.FieldICMPType
		case "icmp_code":
			f = flow.FieldICMPCode
		}
		if ok && (strings.Contains(v, "/") || f == flow.FieldICMPType || f == flow.FieldICMPCode) {
			// Masks of megaflows are of any form.
			val, mask, err := flow.ParseValue(f, v)
			if err != nil {
				return m, false
			}
			m.SetMasked(f, val, mask)
			continue
		}
		if err := m.ParseField(name, v, hasValue); err != nil {
			return m, false
		}
	}
	return m, true
}

func weight(m *flow.Mask) (n int) {
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// sameOut reports whether two switches send the same. The stock switch floods in an order of
// its own; without floods the order counts.
func sameOut(trace string, got, want []string) bool {
	if strings.Contains(trace, "FLOOD") || strings.Contains(trace, "ALL") || strings.Contains(trace, "flooding") {
		got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	}
	return slices.Equal(got, want)
}

var header = regexp.MustCompile(` \d+=.*`)

// targets leaves the ports and tags of outputs.
func targets(out []string) []string {
	cut := make([]string, len(out))
	for i, s := range out {
		cut[i] = header.ReplaceAllString(s, "")
	}
	return cut
}
