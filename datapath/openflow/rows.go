// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"reflect"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Experimenter numbers.
const (
	nicira = 0x00002320
	onf    = 0x4f4e4600
)

// space is the numbering that a row's number belongs to.
type space uint8

const (
	message   space = iota // message types
	request                // multipart types of requests
	reply                  // multipart types of replies
	nxMessage              // Nicira message subtypes
	nxRequest              // Nicira multipart subtypes of requests
	nxReply
	onfMessage // ONF message subtypes
	onfRequest // ONF multipart subtypes of requests
	onfReply
)

// row is one message in one or several versions.
type row struct {
	space       space
	since, upto ofp.Version
	num         uint32
	typ         reflect.Type
	read        func(*decoder) Message
	write       func(*encoder, Message)
	// when says whether a Nicira message stands in for the standard one; nil:
	// whenever there is no other.
	when func(Proto, Message) bool
}

func (r *row) use(p Proto, m Message) bool { return r.when != nil && r.when(p, m) }

// begin writes everything before the body.
func (r *row) begin(e *encoder, l *layout) {
	stats := func(typ uint8, num uint32) {
		e.header(typ)
		e.U16(uint16(num))
		e.U16(0)
		if e.Version > ofp.V10 {
			e.Zero(4)
		}
	}
	switch r.space {
	case message:
		e.header(uint8(r.num))
	case request:
		stats(l.statsRequest, r.num)
	case reply:
		stats(l.statsReply, r.num)
	case nxMessage:
		e.header(typeExperimenter)
		e.U32(nicira)
		e.U32(r.num)
	case onfMessage:
		e.header(typeExperimenter)
		e.U32(onf)
		e.U32(r.num)
	case nxRequest, nxReply, onfRequest, onfReply:
		typ, vendor := l.statsRequest, uint32(nicira)
		if r.space == nxReply || r.space == onfReply {
			typ = l.statsReply
		}
		if r.space >= onfRequest {
			vendor = onf
		}
		stats(typ, 0xffff)
		e.U32(vendor)
		e.U32(r.num)
		if e.Version == ofp.V10 {
			e.Zero(4)
		}
	}
	e.head = append([]byte(nil), e.B[e.start:]...)
}

// def makes a row.
func def[M Message](s space, since, upto ofp.Version, num uint32, read func(*decoder) M, write func(*encoder, M)) row {
	var zero M
	return row{
		space: s, since: since, upto: upto, num: num, typ: reflect.TypeOf(zero),
		read: func(d *decoder) Message {
			m := read(d)
			return m
		},
		write: func(e *encoder, m Message) { write(e, m.(M)) },
	}
}

// alt makes a row of a Nicira message that is written when says so.
func alt[M Message](s space, since, upto ofp.Version, num uint32, read func(*decoder) M, write func(*encoder, M), when func(Proto, M) bool) row {
	r := def(s, since, upto, num, read, write)
	r.when = func(p Proto, m Message) bool { return when(p, m.(M)) }
	return r
}

// empty makes a row of a message without a body.
func empty[M Message](s space, since, upto ofp.Version, num uint32, make func() M) row {
	return def(s, since, upto, num, func(*decoder) M { return make() }, func(*encoder, M) {})
}

// layout is all that a version has.
type layout struct {
	statsRequest, statsReply uint8
	in                       map[uint32]*row // by message type
	requestIn, replyIn       map[uint32]*row
	niciraIn, onfIn          map[uint32]*row
	nxRequestIn, nxReplyIn   map[uint32]*row
	onfRequestIn, onfReplyIn map[uint32]*row
	out                      map[reflect.Type]*row
	nxOut                    map[reflect.Type][]*row
}

// layouts is indexed by version; the ones that this package does not speak are nil.
var layouts = func() (t [ofp.V15 + 1]*layout) {
	rows := rows()
	for _, v := range []ofp.Version{ofp.V10, ofp.V13, ofp.V14, ofp.V15} {
		l := &layout{
			statsRequest: 18, statsReply: 19,
			in:        make(map[uint32]*row),
			requestIn: make(map[uint32]*row), replyIn: make(map[uint32]*row),
			niciraIn: make(map[uint32]*row), onfIn: make(map[uint32]*row),
			nxRequestIn: make(map[uint32]*row), nxReplyIn: make(map[uint32]*row),
			onfRequestIn: make(map[uint32]*row), onfReplyIn: make(map[uint32]*row),
			out: make(map[reflect.Type]*row), nxOut: make(map[reflect.Type][]*row),
		}
		if v == ofp.V10 {
			l.statsRequest, l.statsReply = 16, 17
		}
		in := []map[uint32]*row{l.in, l.requestIn, l.replyIn, l.niciraIn, l.nxRequestIn, l.nxReplyIn, l.onfIn, l.onfRequestIn, l.onfReplyIn}
		for i := range rows {
			r := &rows[i]
			if v < r.since || v > r.upto {
				continue
			}
			in[r.space][r.num] = r
			if r.space >= nxMessage && r.space <= nxReply {
				l.nxOut[r.typ] = append(l.nxOut[r.typ], r)
			} else {
				l.out[r.typ] = r
			}
		}
		t[v] = l
	}
	return t
}()

func layoutOf(v ofp.Version) *layout {
	if int(v) >= len(layouts) {
		return nil
	}
	return layouts[v]
}

// Supported are the versions that Decode and Encode speak.
func Supported() ofp.Versions { return ofp.VersionSet(ofp.V10, ofp.V13, ofp.V14, ofp.V15) }

// rows lists every message. Numbers: OpenFlow 1.0.0, 5.1, and 1.5.1, 7.1 (the
// numbers of 1.3 and later are the same); nicira-ext.h.
func rows() []row {
	const v10, v13, v14, v15 = ofp.V10, ofp.V13, ofp.V14, ofp.V15
	return []row{
		def(message, v10, v15, 0, func(d *decoder) *Hello { return readHello(d.Reader, d.Version) }, (*encoder).hello),
		def(message, v10, v15, 1, (*decoder).errorMsg, (*encoder).errorMsg),
		def(message, v10, v15, 2, func(d *decoder) *EchoRequest { return &EchoRequest{d.Rest()} }, func(e *encoder, m *EchoRequest) { e.Bytes(m.Data) }),
		def(message, v10, v15, 3, func(d *decoder) *EchoReply { return &EchoReply{d.Rest()} }, func(e *encoder, m *EchoReply) { e.Bytes(m.Data) }),
		def(message, v10, v15, 4, nil, (*encoder).experimenter),
		empty(message, v10, v15, 5, func() *FeaturesRequest { return &FeaturesRequest{} }),
		def(message, v10, v15, 6, (*decoder).features, (*encoder).features),
		empty(message, v10, v15, 7, func() *GetConfigRequest { return &GetConfigRequest{} }),
		def(message, v10, v15, 8, func(d *decoder) *GetConfigReply { return &GetConfigReply{d.config()} }, func(e *encoder, m *GetConfigReply) { e.config(m.Config) }),
		def(message, v10, v15, 9, (*decoder).setConfig, func(e *encoder, m *SetConfig) { e.config(m.Config) }),
		def(message, v10, v10, 10, (*decoder).packetIn10, (*encoder).packetIn10),
		def(message, v13, v15, 10, (*decoder).packetIn13, (*encoder).packetIn13),
		def(message, v10, v10, 11, (*decoder).flowRemoved10, (*encoder).flowRemoved10),
		def(message, v13, v14, 11, (*decoder).flowRemoved13, (*encoder).flowRemoved13),
		def(message, v15, v15, 11, (*decoder).flowRemoved15, (*encoder).flowRemoved15),
		def(message, v10, v15, 12, (*decoder).portStatus, (*encoder).portStatus),
		def(message, v10, v10, 13, (*decoder).packetOut10, (*encoder).packetOut10),
		def(message, v13, v14, 13, (*decoder).packetOut13, (*encoder).packetOut13),
		def(message, v15, v15, 13, (*decoder).packetOut15, (*encoder).packetOut15),
		def(message, v10, v10, 14, (*decoder).flowMod10, (*encoder).flowMod10),
		def(message, v13, v15, 14, (*decoder).flowMod13, (*encoder).flowMod13),
		def(message, v10, v10, 15, (*decoder).portMod10, (*encoder).portMod10),
		def(message, v13, v15, 16, (*decoder).portMod13, (*encoder).portMod13),
		def(message, v13, v14, 15, (*decoder).groupMod13, (*encoder).groupMod13),
		def(message, v13, v15, 17, (*decoder).tableMod, (*encoder).tableMod),
		def(message, v14, v15, 31, (*decoder).tableStatus, (*encoder).tableStatus),
		def(message, v15, v15, 15, (*decoder).groupMod15, (*encoder).groupMod15),
		empty(message, v10, v10, 18, func() *BarrierRequest { return &BarrierRequest{} }),
		empty(message, v10, v10, 19, func() *BarrierReply { return &BarrierReply{} }),
		empty(message, v13, v15, 20, func() *BarrierRequest { return &BarrierRequest{} }),
		empty(message, v13, v15, 21, func() *BarrierReply { return &BarrierReply{} }),
		def(message, v10, v10, 20, (*decoder).queueConfigRequest, (*encoder).queueConfigRequest),
		def(message, v10, v10, 21, (*decoder).queueConfigReply, (*encoder).queueConfigReply),
		def(message, v13, v13, 22, (*decoder).queueConfigRequest, (*encoder).queueConfigRequest),
		def(message, v13, v13, 23, (*decoder).queueConfigReply, (*encoder).queueConfigReply),
		def(message, v13, v15, 24, (*decoder).roleRequest, (*encoder).roleRequest),
		def(message, v13, v15, 25, (*decoder).roleReply, (*encoder).roleReply),
		empty(message, v13, v15, 26, func() *GetAsyncRequest { return &GetAsyncRequest{} }),
		def(message, v13, v13, 27, func(d *decoder) *GetAsyncReply { return &GetAsyncReply{d.async13().AsyncConfig} }, func(e *encoder, m *GetAsyncReply) { e.async13(&m.AsyncConfig) }),
		def(message, v13, v13, 28, (*decoder).async13, func(e *encoder, m *SetAsync) { e.async13(&m.AsyncConfig) }),
		def(message, v14, v15, 27, func(d *decoder) *GetAsyncReply { return &GetAsyncReply{d.async14().AsyncConfig} }, (*encoder).getAsync14),
		def(message, v14, v15, 28, (*decoder).async14, (*encoder).setAsync14),
		def(message, v13, v15, 29, (*decoder).meterMod, (*encoder).meterMod),
		def(message, v14, v15, 33, (*decoder).bundleControl, (*encoder).bundleControl),
		def(message, v14, v15, 34, (*decoder).bundleAdd, (*encoder).bundleAdd),
		def(onfMessage, v13, v13, 2300, (*decoder).bundleControl, (*encoder).bundleControl),
		def(onfMessage, v13, v13, 2301, (*decoder).bundleAdd, (*encoder).bundleAdd),

		alt(nxMessage, v10, v15, 10, (*decoder).roleRequestNX, (*encoder).roleRequestNX, func(_ Proto, m *RoleRequest) bool { return m.Nicira }),
		alt(nxMessage, v10, v15, 11, (*decoder).roleReplyNX, (*encoder).roleReplyNX, func(_ Proto, m *RoleReply) bool { return m.Nicira }),
		def(nxMessage, v10, v10, 12, (*decoder).setFlowFormat, (*encoder).setFlowFormat),
		alt(nxMessage, v10, v10, 13, (*decoder).flowModNX, (*encoder).flowModNX, func(p Proto, m *FlowMod) bool { return p.NXM || !fits10(&m.Match) || m.CookieMask != 0 }),
		alt(nxMessage, v10, v10, 14, (*decoder).flowRemovedNX, (*encoder).flowRemovedNX, func(p Proto, m *FlowRemoved) bool { return p.NXM }),
		def(nxMessage, v10, v10, 15, (*decoder).setTableID, (*encoder).setTableID),
		def(nxMessage, v10, v15, 16, (*decoder).setPacketInFormat, (*encoder).setPacketInFormat),
		alt(nxMessage, v10, v15, 17, (*decoder).packetInNX, (*encoder).packetInNX, func(p Proto, _ *PacketIn) bool { return p.PacketIn == PacketInNXT }),
		alt(nxMessage, v10, v13, 27, (*decoder).asyncNX2, (*encoder).setAsync14, func(_ Proto, m *SetAsync) bool { return m.Properties }),
		alt(nxMessage, v10, v13, 19, (*decoder).asyncNX, func(e *encoder, m *SetAsync) { e.async13(&m.AsyncConfig) }, func(p Proto, m *SetAsync) bool { return m.Nicira }),
		def(nxMessage, v10, v15, 20, (*decoder).setControllerID, (*encoder).setControllerID),
		def(nxMessage, v10, v15, 24, (*decoder).tlvTableMod, (*encoder).tlvTableMod),
		empty(nxMessage, v10, v15, 25, func() *TLVTableRequest { return &TLVTableRequest{} }),
		def(nxMessage, v10, v15, 26, (*decoder).tlvTable, (*encoder).tlvTable),
		def(nxMessage, v10, v15, 29, (*decoder).ctFlushZone, (*encoder).ctFlushZone),
		def(nxMessage, v10, v15, 32, (*decoder).ctFlush, (*encoder).ctFlush),
		def(nxMessage, v10, v10, 31, (*decoder).groupMod15, (*encoder).groupMod15),
		alt(nxMessage, v10, v15, 30, (*decoder).packetInNX2, (*encoder).packetInNX2, func(p Proto, _ *PacketIn) bool { return p.PacketIn == PacketInNXT2 }),

		empty(request, v10, v15, 0, func() *DescRequest { return &DescRequest{} }),
		def(reply, v10, v15, 0, (*decoder).desc, (*encoder).desc),
		def(request, v10, v15, 1, (*decoder).flowStatsRequest, (*encoder).flowStatsRequest),
		def(reply, v10, v10, 1, (*decoder).flowStats10, (*encoder).flowStats10),
		def(reply, v13, v14, 1, (*decoder).flowStats13, (*encoder).flowStats13),
		def(reply, v15, v15, 1, (*decoder).flowStats15, (*encoder).flowStats15),
		def(request, v10, v15, 2, (*decoder).aggregateRequest, (*encoder).aggregateRequest),
		def(reply, v10, v14, 2, (*decoder).aggregate, (*encoder).aggregate),
		def(reply, v15, v15, 2, (*decoder).aggregate15, (*encoder).aggregate15),
		empty(request, v10, v15, 3, func() *TableStatsRequest { return &TableStatsRequest{} }),
		def(reply, v10, v10, 3, (*decoder).tableStats10, (*encoder).tableStats10),
		def(reply, v13, v15, 3, (*decoder).tableStats13, (*encoder).tableStats13),
		def(request, v10, v15, 4, (*decoder).portStatsRequest, (*encoder).portStatsRequest),
		def(reply, v10, v15, 4, (*decoder).portStats, (*encoder).portStats),
		def(request, v10, v15, 5, (*decoder).queueStatsRequest, (*encoder).queueStatsRequest),
		def(reply, v10, v15, 5, (*decoder).queueStats, (*encoder).queueStats),
		def(request, v13, v15, 6, func(d *decoder) *GroupStatsRequest { return &GroupStatsRequest{d.id()} }, func(e *encoder, m *GroupStatsRequest) { e.id(m.Group) }),
		def(reply, v13, v15, 6, (*decoder).groupStats, (*encoder).groupStats),
		def(request, v13, v15, 7, (*decoder).groupDescRequest, (*encoder).groupDescRequest),
		def(reply, v13, v15, 7, (*decoder).groupDesc, (*encoder).groupDesc),
		empty(request, v13, v15, 8, func() *GroupFeaturesRequest { return &GroupFeaturesRequest{} }),
		def(reply, v13, v15, 8, (*decoder).groupFeatures, (*encoder).groupFeatures),
		def(request, v13, v15, 9, func(d *decoder) *MeterStatsRequest { return &MeterStatsRequest{d.id()} }, func(e *encoder, m *MeterStatsRequest) { e.id(m.Meter) }),
		def(reply, v13, v15, 9, (*decoder).meterStats, (*encoder).meterStats),
		def(request, v13, v15, 10, func(d *decoder) *MeterConfigRequest { return &MeterConfigRequest{d.id()} }, func(e *encoder, m *MeterConfigRequest) { e.id(m.Meter) }),
		def(reply, v13, v15, 10, (*decoder).meterConfig, (*encoder).meterConfig),
		empty(request, v13, v15, 11, func() *MeterFeaturesRequest { return &MeterFeaturesRequest{} }),
		def(reply, v13, v15, 11, (*decoder).meterFeatures, (*encoder).meterFeatures),
		def(request, v13, v15, 12, (*decoder).tableFeaturesRequest, (*encoder).tableFeaturesRequest),
		def(reply, v13, v15, 12, (*decoder).tableFeatures, (*encoder).tableFeatures),
		def(request, v10, v15, 13, (*decoder).portDescRequest, (*encoder).portDescRequest),
		def(reply, v10, v15, 13, (*decoder).portDescReply, (*encoder).portDescReply),
		empty(request, v14, v15, 14, func() *TableDescRequest { return &TableDescRequest{} }),
		def(reply, v14, v15, 14, (*decoder).tableDesc, (*encoder).tableDesc),
		def(request, v14, v15, 15, (*decoder).queueConfigRequest, (*encoder).queueConfigRequest),
		def(reply, v14, v15, 15, (*decoder).queueDesc, (*encoder).queueDesc),

		def(request, v14, v15, 16, (*decoder).flowMonitorRequest, (*encoder).flowMonitorRequest),
		def(reply, v14, v15, 16, func(*decoder) *FlowMonitorPaused { return nil }, func(e *encoder, _ *FlowMonitorPaused) { e.flowUpdate(&FlowUpdate{Event: UpdatePaused}) }),
		def(reply, v14, v15, 16, func(*decoder) *FlowMonitorResumed { return nil }, func(e *encoder, _ *FlowMonitorResumed) { e.flowUpdate(&FlowUpdate{Event: UpdateResumed}) }),
		def(reply, v14, v15, 16, (*decoder).flowMonitorReply, (*encoder).flowMonitorReply), // what is read, of the three
		def(onfRequest, v13, v13, 1870, (*decoder).flowMonitorRequest, (*encoder).flowMonitorRequest),
		def(onfReply, v13, v13, 1870, (*decoder).flowMonitorReply, (*encoder).flowMonitorReply),
		def(onfMessage, v13, v13, 1870, (*decoder).flowMonitorCancel, func(e *encoder, m *FlowMonitorCancel) { e.U32(m.ID) }),
		empty(onfMessage, v13, v13, 1871, func() *FlowMonitorPaused { return &FlowMonitorPaused{} }),
		empty(onfMessage, v13, v13, 1872, func() *FlowMonitorResumed { return &FlowMonitorResumed{} }),
		def(nxRequest, v10, v10, 2, (*decoder).flowMonitorRequest, (*encoder).flowMonitorRequest),
		def(nxReply, v10, v10, 2, (*decoder).flowMonitorReply, (*encoder).flowMonitorReply),
		def(nxMessage, v10, v10, 21, (*decoder).flowMonitorCancel, func(e *encoder, m *FlowMonitorCancel) { e.U32(m.ID) }),
		empty(nxMessage, v10, v10, 22, func() *FlowMonitorPaused { return &FlowMonitorPaused{} }),
		empty(nxMessage, v10, v10, 23, func() *FlowMonitorResumed { return &FlowMonitorResumed{} }),

		alt(nxRequest, v10, v10, 0, (*decoder).flowStatsRequestNX, (*encoder).flowStatsRequestNX, func(_ Proto, m *FlowStatsRequest) bool { return m.Nicira }),
		alt(nxReply, v10, v10, 0, (*decoder).flowStatsNX, (*encoder).flowStatsNX, func(_ Proto, m *FlowStatsReply) bool { return m.Nicira }),
		def(nxRequest, v10, v10, 7, func(d *decoder) *GroupStatsRequest { return &GroupStatsRequest{d.id()} }, func(e *encoder, m *GroupStatsRequest) { e.id(m.Group) }),
		def(nxReply, v10, v10, 7, (*decoder).groupStats, (*encoder).groupStats),
		def(nxRequest, v10, v10, 8, (*decoder).groupDescRequest, (*encoder).groupDescRequest),
		def(nxReply, v10, v10, 8, (*decoder).groupDesc, (*encoder).groupDesc),
		empty(nxRequest, v10, v10, 9, func() *GroupFeaturesRequest { return &GroupFeaturesRequest{} }),
		def(nxReply, v10, v10, 9, (*decoder).groupFeatures, (*encoder).groupFeatures),
		alt(nxRequest, v10, v10, 1, (*decoder).aggregateRequestNX, (*encoder).aggregateRequestNX, func(_ Proto, m *AggregateRequest) bool { return m.Nicira }),
		alt(nxReply, v10, v10, 1, (*decoder).aggregateNX, (*encoder).aggregate, func(_ Proto, m *AggregateReply) bool { return m.Nicira }),
	}
}

// rowOf returns the row of a message by its headers alone; nil if there is none.
func rowOf(b []byte) *row {
	if len(b) < HeaderLen {
		return nil
	}
	h := ParseHeader(b)
	l := layoutOf(h.Version)
	if l == nil {
		return nil
	}
	r := ofp.NewReader(b[HeaderLen:], ofp.BRCBadLen)
	std, nx, fo := l.requestIn, l.nxRequestIn, l.onfRequestIn
	switch h.Type {
	case typeExperimenter:
		vendor, sub := r.U32(), r.U32()
		switch {
		case r.Err() != nil:
		case vendor == nicira:
			return l.niciraIn[sub]
		case vendor == onf:
			return l.onfIn[sub]
		}
		return nil
	case l.statsReply:
		std, nx, fo = l.replyIn, l.nxReplyIn, l.onfReplyIn
	case l.statsRequest:
	default:
		return l.in[uint32(h.Type)]
	}
	typ := r.U16()
	r.Skip(2)
	if h.Version > ofp.V10 {
		r.Skip(4)
	}
	if typ != 0xffff {
		if r.Err() != nil {
			return nil
		}
		return std[uint32(typ)]
	}
	vendor, sub := r.U32(), r.U32()
	switch {
	case r.Err() != nil:
	case vendor == nicira:
		return nx[sub]
	case vendor == onf:
		return fo[sub]
	}
	return nil
}

// FromSwitch says what a switch answers to a message that only switches send, whatever is in
// it: ofp.BRCBadType, or ofp.BRCBadLen if it has not even the length of such a message.
// ofp.NoError: b is not known for one.
func FromSwitch(b []byte) ofp.Kind {
	r := rowOf(b)
	if r == nil || r.typ == nil {
		return ofp.NoError
	}
	m, ok := reflect.New(r.typ.Elem()).Interface().(Message)
	if !ok {
		return ofp.NoError
	}
	v := ParseHeader(b).Version
	step := 8 // a message is longer than the least by a multiple of this; 0: never
	old := func(v10, since13 int) int {
		switch {
		case v == ofp.V10:
			return v10
		case v == ofp.V13:
			return since13
		}
		return 8
	}
	switch m.(type) {
	case *FlowMonitorPaused, *FlowMonitorResumed, *GetConfigReply, *RoleReply, *BarrierReply, *DescReply, *GroupFeaturesReply, *MeterFeaturesReply:
		step = 0
	case *FeaturesReply:
		if step = 0; v == ofp.V10 {
			step = portLen10
		}
	case *PortStatus:
		step = old(0, 0)
	case *FlowRemoved:
		step = old(0, 8)
	case *AggregateReply:
		if v < ofp.V15 {
			step = 0
		}
	case *GetAsyncReply:
		step = old(0, 0)
	case *PacketIn, *FlowStatsReply:
		step = 1
	case *TableStatsReply:
		if step = 64; v > ofp.V10 {
			step = 24
		}
	case *PortStatsReply:
		step = old(104, 112)
	case *PortDescReply:
		step = old(portLen10, portLen13)
	case *QueueStatsReply:
		step = old(32, 40)
	case *FlowMonitorReply:
	case *QueueGetConfigReply, *TLVTableReply, *TableStatus, *TableFeaturesReply, *TableDescReply, *GroupDescReply,
		*GroupStatsReply, *MeterConfigReply, *MeterStatsReply:
	default:
		return ofp.NoError
	}
	least, err := Encode(Proto{Version: v}, 0, m)
	if r.space == nxMessage {
		switch m.(type) {
		case *RoleReply:
			least = make([]byte, 20)
		case *TLVTableReply:
			least = make([]byte, 32)
		default:
			return ofp.BRCBadType
		}
	}
	if err != nil {
		return ofp.BRCBadType
	}
	n := len(b) - len(least)
	switch m.(type) {
	case *PortStatus, *PacketIn, *FlowRemoved, *TableStatus, *AggregateReply, *FlowStatsReply:
		if v > ofp.V13 && n < 0 { // what we write has properties that need not be there
			n = len(b) - 2*HeaderLen
		}
	}
	if n < 0 || step == 0 && n != 0 || step > 1 && n%step != 0 {
		return ofp.BRCBadLen
	}
	return ofp.BRCBadType
}
