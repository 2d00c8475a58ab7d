// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// ditto writes tables, those that are like the one before in one line
// together. same compares two, one writes the body of one; prev is -1 for the
// first.
func (p *printer) ditto(ids []uint8, names []string, same func(a, b int) bool, one func(i, prev int)) {
	number := func(i int) string {
		if names[i] == "" {
			return fmt.Sprint(ids[i])
		}
		return fmt.Sprintf("%d (%q)", ids[i], names[i])
	}
	together := false // with the line before
	for i := 0; i < len(ids); {
		if i == 0 || !same(i, i-1) {
			p.WriteString("\n  table " + number(i) + ":\n")
			together = false
			one(i, i-1)
			i++
			continue
		}
		n := 1
		for names[i] == "" && i+n < len(ids) && names[i+n] == "" && same(i+n, i+n-1) {
			n++
		}
		if !together {
			p.WriteByte('\n')
		}
		together = names[i] != ""
		if n == 1 {
			p.WriteString("  table " + number(i) + ": ditto\n")
		} else {
			p.printf("  tables %d...%d: ditto\n", ids[i], ids[i+n-1])
		}
		i += n
	}
}

// wildcards10 are the bits of a match in OpenFlow 1.0 (ofp_flow_wildcards,
// 5.2.3) in the order and grouping in which they are printed.
const (
	tableStats10Len = 64
	wild10Ofs       = 36
)

// fields10 returns the fields that a table of OpenFlow 1.0 can wildcard.
func fields10(w uint32) []string {
	var fs []string
	for _, f := range []struct {
		bit  uint32
		name string
	}{
		{1 << 0, "in_port"}, {1 << 2, "eth_src"}, {1 << 3, "eth_dst"}, {1 << 4, "eth_type"}, {1 << 1, "vlan_vid"},
		{1 << 20, "vlan_pcp"}, {63 << 8, "ip_src"}, {63 << 14, "ip_dst"}, {1 << 5, "nw_proto"}, {1 << 21, "nw_tos"},
		{1 << 6, "tcp_src"}, {1 << 7, "tcp_dst"},
	} {
		if w&f.bit != 0 {
			fs = append(fs, f.name)
		}
	}
	return fs
}

// group writes names that share what stands before an underscore as
// "eth_{src,dst}".
func group(names []string) string {
	var ws []string
	for i := 0; i < len(names); {
		stem, _, ok := strings.Cut(names[i], "_")
		j := i + 1
		for ok && j < len(names) && strings.HasPrefix(names[j], stem+"_") {
			j++
		}
		if j-i == 1 {
			ws = append(ws, names[i])
		} else {
			var tails []string
			for _, n := range names[i:j] {
				tails = append(tails, n[len(stem)+1:])
			}
			ws = append(ws, stem+"_{"+strings.Join(tails, ",")+"}")
		}
		i = j
	}
	return strings.Join(ws, " ")
}

func (p *printer) tableStats(m *openflow.TableStatsReply) {
	ids, names := make([]uint8, len(m.Tables)), make([]string, len(m.Tables))
	wild := make([]uint32, len(m.Tables))
	for i, t := range m.Tables {
		ids[i], names[i] = t.Table, t.Name
		if at := 12 + i*tableStats10Len + wild10Ofs; p.version == ofp.V10 && at+4 <= len(p.raw) {
			wild[i] = binary.BigEndian.Uint32(p.raw[at:])
		}
	}
	features := func(a, b int) bool {
		return m.Tables[a].MaxEntries == m.Tables[b].MaxEntries && wild[a] == wild[b]
	}
	same := func(a, b int) bool {
		x, y := &m.Tables[a], &m.Tables[b]
		return features(a, b) && x.Active == y.Active && x.Lookups == y.Lookups && x.Matched == y.Matched
	}
	p.ditto(ids, names, same, func(i, prev int) {
		t := &m.Tables[i]
		p.printf("    active=%d, lookup=%d, matched=%d\n", t.Active, t.Lookups, t.Matched)
		switch {
		case p.version > ofp.V10:
		case prev >= 0 && features(i, prev):
			p.WriteString("    (same features)\n")
		default:
			p.printf("    max_entries=%d\n    matching:\n      exact match or wildcard: %s\n", t.MaxEntries, group(fields10(wild[i])))
		}
	})
}

// TableFeatures writes what tables can match and set, from all parts of a reply.
// Which instructions and actions there are is not kept by the codec.
func TableFeatures(ts []openflow.TableFeatures, o Options) string {
	p := &printer{Options: o}
	p.tableFeatures(&openflow.TableFeaturesReply{Tables: ts})
	return strings.TrimPrefix(p.String(), "\n")
}

func (p *printer) tableFeatures(m *openflow.TableFeaturesReply) {
	ids, names := make([]uint8, len(m.Tables)), make([]string, len(m.Tables))
	for i, t := range m.Tables {
		ids[i], names[i] = t.Table, t.Name
	}
	same := func(a, b int) bool {
		x, y := &m.Tables[a], &m.Tables[b]
		// A table leads to those behind it: one fewer than the one before.
		next := len(x.Next) == len(y.Next) || len(x.Next)+1 == len(y.Next) && slices.Equal(x.Next, y.Next[1:]) && len(x.Next) > 0
		return next && x.MetadataMatch == y.MetadataMatch && x.MetadataMask == y.MetadataMask && x.MaxEntries == y.MaxEntries &&
			slices.Equal(x.Match, y.Match) && slices.Equal(x.Wildcards, y.Wildcards) && slices.Equal(x.SetField, y.SetField)
	}
	p.ditto(ids, names, same, func(i, prev int) {
		t := &m.Tables[i]
		p.printf("    metadata: match=0x%x write=0x%x\n    max_entries=%d\n", t.MetadataMatch, t.MetadataMask, t.MaxEntries)
		p.WriteString("    instructions (table miss and others):\n")
		if len(t.Next) > 0 {
			p.WriteString("      next tables: " + ranges(t.Next) + "\n")
		}
		p.WriteString("      supported on Set-Field: " + fieldNames(t.SetField) + "\n    matching:\n")
		p.WriteString("      exact match or wildcard: " + fieldNames(t.Wildcards) + "\n")
	})
}

func fieldNames(fs []flow.Field) string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.String()
	}
	return group(names)
}

// ranges writes ascending numbers as "1-5,7".
func ranges(ns []uint8) string {
	var ws []string
	for i := 0; i < len(ns); {
		j := i
		for j+1 < len(ns) && ns[j+1] == ns[j]+1 {
			j++
		}
		if i == j {
			ws = append(ws, fmt.Sprint(ns[i]))
		} else {
			ws = append(ws, fmt.Sprintf("%d-%d", ns[i], ns[j]))
		}
		i = j + 1
	}
	return strings.Join(ws, ",")
}

var evictionNames = []string{"OTHER", "IMPORTANCE", "LIFETIME"}

// evictionFlags reads, from table descriptions, what eviction goes by, which the codec does not keep: each is length, table,
// padding, config, properties (OpenFlow 1.4, 7.3.5.7).
func evictionFlags(b []byte) map[uint8]uint32 {
	flags := make(map[uint8]uint32)
	for len(b) >= 8 {
		n := u16(b)
		if n < 8 || n > len(b) {
			break
		}
		for at := 8; at+8 <= n; {
			l := u16(b[at+2:])
			if l < 4 {
				break
			}
			if u16(b[at:]) == 2 { // OFPTMPT_EVICTION
				flags[b[2]] = binary.BigEndian.Uint32(b[at+4:])
			}
			at += (l + 7) &^ 7
		}
		b = b[n:]
	}
	return flags
}

func (p *printer) tableDesc(m *openflow.TableDescReply) {
	flags := evictionFlags(p.raw[min(16, len(p.raw)):])
	for i := range m.Tables {
		p.oneTableDesc(&m.Tables[i], flags)
	}
}

func (p *printer) oneTableDesc(t *openflow.TableDesc, flags map[uint8]uint32) {
	p.printf("\n  table %s:\n   eviction=%s eviction_flags=%s\n   vacancy=%s", p.table(t.Table), onOff(t.Eviction), bits(flags[t.Table], evictionNames, "|"), onOff(t.Vacancy))
	if t.Vacancy {
		p.printf(" vacancy_down=%d%% vacancy_up=%d%% vacancy=%d%%", t.VacancyDown, t.VacancyUp, t.Free)
	}
	p.WriteByte('\n')
}
