// SPDX-License-Identifier: Apache-2.0

package trace

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/packet"
)

// Usage is what stands behind the command's name.
const Usage = "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]"

// Request is a packet to trace.
type Request struct {
	// Bridge is set if the flow is in the syntax of ovs-ofctl(8), as it comes into that bridge;
	// else it is in the datapath syntax of ovs-dpctl(8), with the ports of Datapath ("": any).
	Bridge   string
	Datapath string
	Flow     string
	// Packet, unless nil, takes the place of all of Flow but the metadata.
	Packet []byte
	// Generate lets the packet have its side effects in the tables: addresses are learned. It does
	// so for a Packet too.
	Generate bool
}

// ErrSyntax is the error for a flow without the name that it needs.
var ErrSyntax = errors.New("syntax error")

// ParseRequest reads the arguments of ofproto/trace.
func ParseRequest(args []string) (*Request, error) {
	r := new(Request)
	var rest []string
	for _, a := range args {
		switch {
		case a == "-generate" || a == "--generate":
			r.Generate = true
		case a == "--names" || a == "--no-names":
		case strings.HasPrefix(a, "-"):
			return nil, fmt.Errorf("%s: unknown option", a)
		default:
			rest = append(rest, a)
		}
	}
	if n := len(rest); n > 1 && !r.Generate && !strings.ContainsAny(rest[n-1], "=(") {
		if b, err := hex.DecodeString(strings.ReplaceAll(rest[n-1], " ", "")); err == nil {
			r.Packet, rest = b, rest[:n-1]
		} else if n > 2 {
			return nil, errors.New("Trailing garbage in packet data")
		}
	}
	if r.Packet != nil {
		r.Generate = true
		if len(r.Packet) < 14 {
			return nil, errors.New("Packet data too short for Ethernet")
		}
	}
	dp := func(s string) bool { return strings.Contains(s, "(") }
	switch {
	case len(rest) == 1 && dp(rest[0]):
		r.Flow = rest[0]
	case len(rest) == 1:
		return nil, fmt.Errorf("%w at %s (or the bridge name was omitted)", ErrSyntax, rest[0])
	case len(rest) == 2 && dp(rest[1]):
		r.Datapath, r.Flow = rest[0], rest[1]
	case len(rest) == 2:
		r.Bridge, r.Flow = rest[0], rest[1]
	default:
		return nil, fmt.Errorf("%w: %d arguments", ErrSyntax, len(rest))
	}
	return r, nil
}

// Key reads the packet of a request to a bridge, whose ports port knows by name. The result's
// in_port is the port of arrival, action.PortAny if the flow names none.
func (r *Request) Key(port func(name string) (action.Port, bool), maxVLANs int) (*flow.Key, error) {
	m := flow.Match{}
	m.SetU64(flow.FieldInPort, uint64(action.PortAny))
	for _, w := range flow.SplitWords(r.Flow) {
		name, value, hasValue := strings.Cut(w, "=")
		if name == "in_port" {
			if no, ok := port(value); ok {
				m.SetU64(flow.FieldInPort, uint64(no))
				continue
			}
		}
		if err := m.ParseField(name, value, hasValue); err != nil {
			return nil, fmt.Errorf("Bad openflow flow syntax: %s: %w", r.Flow, err)
		}
	}
	m.Normalize()
	return r.finish(&m.Key, maxVLANs)
}

// finish takes over a packet, and makes a key one that a packet can have.
func (r *Request) finish(k *flow.Key, maxVLANs int) (*flow.Key, error) {
	if r.Packet != nil {
		meta := packet.Meta{InPort: k.InPort(), Recirc: uint32(k.U64(flow.FieldRecircID)),
			Mark: uint32(k.U64(flow.FieldPktMark)), SkbPriority: uint32(k.U64(flow.FieldSkbPriority))}
		var l packet.Layers
		if !packet.Parse(r.Packet, &meta, maxVLANs, k, &l) {
			return nil, errors.New("Packet data too short for Ethernet")
		}
		return k, nil
	}
	switch {
	case k.VLANTCI()&flow.VLANPresent == 0:
		k.SetU64(flow.FieldVLANTCI, 0)
		k.SetU64(flow.FieldVLANTPID, 0)
	case k.U64(flow.FieldVLANTPID) == 0:
		k.SetU64(flow.FieldVLANTPID, flow.EthTypeVLAN)
	}
	return k, nil
}

// attributes are those of the datapath syntax whose values are those of fields.
var attributes = map[string]map[string]flow.Field{
	"eth":    {"src": flow.FieldEthSrc, "dst": flow.FieldEthDst},
	"ipv4":   {"src": flow.FieldIPSrc, "dst": flow.FieldIPDst, "proto": flow.FieldIPProto, "tos": flow.FieldIPTOS, "ttl": flow.FieldIPTTL},
	"ipv6":   {"src": flow.FieldIPv6Src, "dst": flow.FieldIPv6Dst, "label": flow.FieldIPv6Label, "proto": flow.FieldIPProto, "tclass": flow.FieldIPTOS, "hlimit": flow.FieldIPTTL},
	"arp":    {"sip": flow.FieldARPSPA, "tip": flow.FieldARPTPA, "op": flow.FieldARPOp, "sha": flow.FieldARPSHA, "tha": flow.FieldARPTHA},
	"tcp":    {"src": flow.FieldTPSrc, "dst": flow.FieldTPDst},
	"udp":    {"src": flow.FieldTPSrc, "dst": flow.FieldTPDst},
	"sctp":   {"src": flow.FieldTPSrc, "dst": flow.FieldTPDst},
	"icmp":   {"type": flow.FieldICMPType, "code": flow.FieldICMPCode},
	"icmpv6": {"type": flow.FieldICMPv6Type, "code": flow.FieldICMPv6Code},
	"nd":     {"target": flow.FieldNDTarget, "sll": flow.FieldNDSLL, "tll": flow.FieldNDTLL},
}

// single are those of one value.
var single = map[string]flow.Field{
	"recirc_id": flow.FieldRecircID, "skb_priority": flow.FieldSkbPriority, "skb_mark": flow.FieldPktMark,
	"dp_hash": flow.FieldDPHash, "eth_type": flow.FieldEthType, "tcp_flags": flow.FieldTCPFlags,
}

// DatapathKey reads the packet of a request to a datapath, whose ports port knows by name.
// The result's in_port is the datapath's number.
func (r *Request) DatapathKey(port func(name string) (uint32, bool), maxVLANs int) (*flow.Key, error) {
	k := new(flow.Key)
	k.SetU64(flow.FieldEthType, flow.EthTypeNone)
	if err := parseAttributes(k, r.Flow, port, 0); err != nil {
		return nil, fmt.Errorf("syntax error in %s: %w", r.Flow, err)
	}
	return r.finish(k, maxVLANs)
}

// maxEncap bounds how deep encap() may nest: two tags.
const maxEncap = 2

func parseAttributes(k *flow.Key, s string, port func(string) (uint32, bool), depth int) error {
	for _, w := range flow.SplitWords(s) {
		name, arg, ok := strings.Cut(w, "(")
		arg, closed := strings.CutSuffix(arg, ")")
		if !ok || !closed {
			return fmt.Errorf("%q is not of the form name(value)", w)
		}
		var err error
		switch {
		case name == "in_port":
			no, ok := port(arg)
			if !ok {
				return fmt.Errorf("port %q is not known", arg)
			}
			k.SetU64(flow.FieldInPort, uint64(no))
		case name == "vlan":
			err = parseVLAN(k, arg, depth)
		case name == "encap":
			if depth++; depth > maxEncap {
				return errors.New("encap() nested too deep")
			}
			err = parseAttributes(k, arg, port, depth)
		case single[name] != flow.FieldNone:
			err = setText(k, single[name], arg)
		case attributes[name] != nil:
			err = parseParts(k, attributes[name], arg)
		case arg == "0" || arg == "0/0": // metadata that we do not have
		default:
			err = fmt.Errorf("attribute %q is not known", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// setText sets a field to a value whose mask is of no interest.
func setText(k *flow.Key, f flow.Field, s string) error {
	s, _, _ = strings.Cut(s, "/")
	if f == flow.FieldIPProto || f == flow.FieldIPTOS || f == flow.FieldEthType || f == flow.FieldRecircID {
		v, err := strconv.ParseUint(s, 0, f.Bits())
		if err != nil {
			return fmt.Errorf("%v: %q is no number of %d bits", f, s, f.Bits())
		}
		k.SetU64(f, v)
		return nil
	}
	v, _, err := flow.ParseValue(f, s)
	if err == nil {
		k.Set(f, v)
	}
	return err
}

func parseParts(k *flow.Key, fields map[string]flow.Field, arg string) error {
	for _, p := range flow.SplitWords(arg) {
		name, v, _ := strings.Cut(p, "=")
		if name == "frag" {
			kinds := map[string]uint64{"no": 0, "first": flow.FragAny, "later": flow.FragAny | flow.FragLater}
			bits, ok := kinds[v]
			if !ok {
				return fmt.Errorf("frag=%s: not one of no, first, later", v)
			}
			k.SetU64(flow.FieldIPFrag, bits)
			continue
		}
		f, ok := fields[name]
		if !ok {
			return fmt.Errorf("%q is not known", p)
		}
		if err := setText(k, f, v); err != nil {
			return err
		}
	}
	return nil
}

// parseVLAN reads a tag: its TPID is the eth_type before it.
func parseVLAN(k *flow.Key, arg string, depth int) error {
	tci := uint64(flow.VLANPresent)
	for _, p := range flow.SplitWords(arg) {
		name, v, _ := strings.Cut(p, "=")
		v, _, _ = strings.Cut(v, "/")
		width := map[string]int{"vid": 12, "pcp": 3, "cfi": 1}[name]
		n, err := strconv.ParseUint(v, 0, max(width, 1))
		if err != nil || width == 0 {
			return fmt.Errorf("vlan: %q is not known", p)
		}
		switch name {
		case "vid":
			tci |= n
		case "pcp":
			tci |= n << 13
		}
	}
	tciField, tpidField := flow.FieldVLANTCI, flow.FieldVLANTPID
	switch depth {
	case 0:
	case 1:
		tciField, tpidField = flow.FieldCVLANTCI, flow.FieldCVLANTPID
	default:
		return errors.New("more than two VLAN tags")
	}
	k.SetU64(tciField, tci)
	k.SetU64(tpidField, k.U64(flow.FieldEthType))
	k.SetU64(flow.FieldEthType, flow.EthTypeNone)
	return nil
}
