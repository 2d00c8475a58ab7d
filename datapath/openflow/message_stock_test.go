// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

func messageFile(v ofp.Version) string {
	return filepath.Join("testdata", "messages."+v.String()+".txt")
}

// typeName names the type of m.
func typeName(m Message) string { return fmt.Sprintf("%T", m) }

func mustMatch(s string) flow.Match {
	m, err := flow.ParseMatch(s)
	if err != nil {
		panic(err)
	}
	return m
}

func mustInstr(s string) action.Instructions {
	in, err := action.Parse(s)
	if err != nil {
		panic(err)
	}
	return in
}

// samples are the messages of TestMessagesStock. All values differ from each
// other and from zero, so that a field in the wrong place shows.
func samples(v ofp.Version) (ms []Message) {
	port := PortDesc{
		No: 3, HWAddr: [6]byte{2, 1, 2, 3, 4, 5}, Name: "eth3", Config: ConfigNoFwd | ConfigNoPacketIn, State: StateLinkDown,
		Curr: Feature1GbFD | FeatureCopper | FeatureAutoneg, Advertised: Feature10MbHD | FeatureFiber,
		Supported: Feature100MbFD | FeaturePause, Peer: Feature10GbFD | FeaturePauseAsym,
	}
	local := PortDesc{No: action.PortLocal, HWAddr: [6]byte{2, 9, 9, 9, 9, 9}, Name: "br0", Config: ConfigDown}
	if v > ofp.V10 {
		port.CurrSpeed, port.MaxSpeed = 1000000, 10000000
	}
	features := &FeaturesReply{DatapathID: 0x123456789abcdef0, Buffers: 5, Tables: 254, Capabilities: CapFlowStats | CapTableStats | CapPortStats | CapQueueStats}
	if v == ofp.V10 {
		features.Capabilities |= CapARPMatchIP
		features.Actions = 0xfff
		features.Ports = []PortDesc{port, local}
	} else {
		features.AuxID = 7
	}
	flowStats := func(nx bool) *FlowStatsReply {
		r := &FlowStatsReply{Nicira: nx, Flows: []FlowStats{
			{
				Table: 1, Priority: 7, Match: mustMatch("tcp,in_port=1,nw_dst=10.0.0.0/8,tp_dst=80"), Cookie: 0x1122334455667788,
				Lifetime: Lifetime{100, 5000000}, IdleAge: -1, HardAge: -1, IdleTimeout: 10, HardTimeout: 20,
				Packets: 12345678901, Bytes: 98765432109876, Instructions: mustInstr("dec_ttl,output:2"),
			},
			{Table: 2, Priority: 0, IdleAge: -1, HardAge: -1, Lifetime: Lifetime{1, 2}, Instructions: mustInstr("NORMAL")},
		}}
		if nx {
			r.Flows[0].IdleAge, r.Flows[0].HardAge = 3, 4
			r.Flows[1].Match = mustMatch("reg0=5/0xff,metadata=9")
		} else if v >= ofp.V13 {
			r.Flows[0].Flags = FlagSendFlowRem | FlagResetCounts
			if v >= ofp.V14 {
				r.Flows[0].Importance = 9
			}
			r.Flows[1].Instructions = mustInstr("output:1,write_actions(output:2),goto_table:5")
		}
		return r
	}
	stats := PortStats{
		No: 3, RxPackets: 1, TxPackets: 2, RxBytes: 3, TxBytes: 4, RxDropped: 5, TxDropped: 6, RxErrors: 7, TxErrors: 8,
		RxFrameErr: 9, RxOverErr: 10, RxCRCErr: 11, Collisions: 12,
	}
	queue := QueueStats{Port: 3, Queue: 4, TxBytes: 5, TxPackets: 6, TxErrs: 7}
	table := TableStats{Table: 3, Active: 5, Lookups: 6, Matched: 7}
	removed := &FlowRemoved{
		Match: mustMatch("udp,in_port=2,tp_src=53"), Cookie: 0x99, Priority: 11, Reason: RemovedHard, Table: TableAll,
		Lifetime: Lifetime{5, 6}, IdleTimeout: 7, Packets: 9, Bytes: 10,
	}
	in := &PacketIn{BufferID: NoBuffer, TotalLen: 200, Reason: ReasonAction, Cookie: noCookie, Data: []byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x08\x00payload")}
	in.Metadata.SetU64(flow.FieldInPort, 5)
	if v > ofp.V10 {
		stats.Duration, queue.Duration = Lifetime{13, 14}, Lifetime{15, 16}
		removed.HardTimeout, removed.Table = 8, 4
		in.Cookie, in.Table = 0x77, 6
		in.Metadata = mustMatch("in_port=5,metadata=0x1234,reg1=7,tun_id=8")
	} else {
		table.Name, table.MaxEntries = "three", 1000
	}
	queuePort := action.Port(3)
	if v >= ofp.V14 {
		queuePort = action.PortAny // each queue has its own there
	}
	ms = append(ms,
		&EchoRequest{Data: []byte("ping")}, &EchoReply{}, &FeaturesRequest{}, features,
		&GetConfigRequest{}, &GetConfigReply{Config{Frag: FragDrop, MissSendLen: 129}}, &SetConfig{Config{Frag: FragNXMatch, MissSendLen: 55}},
		&BarrierRequest{}, &BarrierReply{}, in, removed,
		&PortStatus{Reason: PortModified, Desc: port},
		&PacketOut{BufferID: NoBuffer, InPort: action.PortController, Actions: action.List{action.Output{Port: 3}}, Data: []byte("\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x08\x00")},
		&PortMod{No: 3, HWAddr: [6]byte{2, 1, 2, 3, 4, 5}, Config: ConfigDown, Mask: ConfigDown | ConfigNoFwd, Advertise: Feature1GbFD},
		&DescRequest{}, &DescReply{Manufacturer: "maker", Hardware: "hw", Software: "sw", Serial: "42", Datapath: "dp"},
		flowStats(false),
		&AggregateReply{Packets: 1, Bytes: 2, Flows: 3},
		&TableStatsRequest{}, &TableStatsReply{Tables: []TableStats{table}},
		&PortStatsRequest{Port: 3}, &PortStatsRequest{Port: action.PortAny}, &PortStatsReply{Ports: []PortStats{stats}},
		&PortDescReply{Ports: []PortDesc{port, local}},
		&QueueStatsRequest{Port: 3, Queue: 4}, &QueueStatsReply{Queues: []QueueStats{queue}},
		&QueueGetConfigRequest{Port: 3, Queue: ^uint32(0)},
		&QueueGetConfigReply{Port: queuePort, Queues: []QueueConfig{{Port: 3, ID: 1, MinRate: 100, MaxRate: 500}}},
		&FlowStatsRequest{FlowFilter: FlowFilter{Match: mustMatch("ip"), Table: 3, OutPort: 4, OutGroup: action.GroupAny}},
		&AggregateRequest{FlowFilter: FlowFilter{Table: TableAll, OutPort: action.PortAny, OutGroup: action.GroupAny}},
		&SetPacketInFormat{PacketInNXT}, &SetControllerID{7},
		&TLVTableRequest{}, &TLVTableReply{Space: 256, Fields: 64, Maps: []TLVMap{{Class: 0x102, Type: 0x80, Len: 4, Index: 3}}},
		&TLVTableMod{Command: TLVDelete, Maps: []TLVMap{{Class: 0x102, Type: 0x80, Len: 124, Index: 63}, {Class: 1, Type: 2, Len: 0, Index: 0}}}, &CTFlushZone{Zone: 77},
		&CTFlush{}, &CTFlush{Proto: 17, Orig: CTTuple{Src: netip.MustParseAddr("10.0.0.1"), DstPort: 53}, Zone: 7, HasZone: true},
		&CTFlush{Proto: 58, Orig: CTTuple{ID: 3, Type: 128}, Reply: CTTuple{Dst: netip.MustParseAddr("fd00::1"), Code: 1}},
		&RoleRequest{Role: RolePrimary, Nicira: true}, &RoleReply{Role: RoleSecondary, Nicira: true},
		&GroupDescRequest{Group: action.GroupAll},
		&GroupDescReply{Groups: []GroupDesc{{Group: 5, Type: GroupTypeSelect, Buckets: []Bucket{{Weight: 3, WatchPort: action.PortAny, WatchGroup: action.GroupAny, Actions: action.List{action.Output{Port: 2}}}}}}},
		&GroupStatsRequest{Group: 5},
		&GroupStatsReply{Groups: []GroupStats{{Group: 5, RefCount: 2, Packets: 3, Bytes: 4, Lifetime: Lifetime{5, 6}, Buckets: []BucketStats{{7, 8}}}}},
		&GroupFeaturesRequest{}, &GroupFeaturesReply{Types: 15, Capabilities: 7, MaxGroups: [4]uint32{1, 2, 3, 4}, Actions: [4]uint32{1, 1 << 17, 1 << 22, 1 << 25}},
	)
	if v == ofp.V10 {
		ms = append(ms, flowStats(true), &AggregateReply{Packets: 1, Bytes: 2, Flows: 3, Nicira: true},
			&FlowStatsRequest{FlowFilter: FlowFilter{Match: mustMatch("ip,reg0=3"), Table: 3, OutPort: 4, OutGroup: action.GroupAny, Cookie: 5, CookieMask: 7}, Nicira: true},
			&SetFlowFormat{NXM: true}, &SetFlowModTableID{On: true})
		return ms
	}
	ms = append(ms,
		&RoleRequest{Role: RolePrimary, HasGen: true, GenerationID: 5}, &RoleReply{Role: RoleEqual},
		&GetAsyncRequest{}, &GetAsyncReply{AsyncConfig{Primary: [NumAsync]uint32{3, 7, 5}, Secondary: [NumAsync]uint32{1, 2, 4}}},
		&SetAsync{
			AsyncConfig: AsyncConfig{Primary: [NumAsync]uint32{3, 7, 5}, Secondary: [NumAsync]uint32{1, 2, 4}},
			SetPrimary:  [NumAsync]bool{true, true, true}, SetSecondary: [NumAsync]bool{true, true, true},
		},
		&MeterFeaturesRequest{}, &MeterFeaturesReply{MaxMeters: 100, BandTypes: 2, Capabilities: 15, MaxBands: 8, MaxColor: 1},
		&MeterConfigRequest{Meter: 3}, &MeterConfigReply{Meters: []MeterConfig{{Meter: 3, Flags: MeterKbps | MeterBurst | MeterStat, Bands: []MeterBand{{Type: 1, Rate: 10, Burst: 20}}}}},
		&MeterStatsRequest{Meter: 3}, &MeterStatsReply{Meters: []MeterStats{{Meter: 3, Flows: 4, Packets: 5, Bytes: 6, Lifetime: Lifetime{7, 8}, Bands: []BucketStats{{9, 10}}}}},
		&MeterMod{Command: MeterDelete, MeterConfig: MeterConfig{Meter: 0xffffffff}},
		&MeterMod{Command: MeterModify, MeterConfig: MeterConfig{Meter: 3, Flags: MeterPktps, Bands: []MeterBand{{Type: 1, Rate: 10}}}},
		&TableFeaturesRequest{},
		&TableFeaturesReply{Tables: []TableFeatures{{Table: 3, Name: "three", MetadataMatch: ^uint64(0), MetadataMask: 5, MaxEntries: 1000, Next: []uint8{4, 5}, Match: []flow.Field{flow.FieldInPort, flow.FieldEthDst, flow.FieldReg0}, Wildcards: []flow.Field{flow.FieldEthDst}, SetField: []flow.Field{flow.FieldEthSrc}}}},
		&PortDescRequest{Port: action.PortAny},
	)
	inner := &FlowMod{Priority: 5, Match: mustMatch("tcp,tp_dst=80"), NewCookie: 9, BufferID: NoBuffer, OutPort: action.PortAny, OutGroup: action.GroupAny, Instructions: mustInstr("output:3")}
	ms = append(ms, &BundleControl{ID: 7, Type: BundleCommitRequest, Flags: BundleAtomic | BundleOrdered}, &BundleAdd{ID: 7, Flags: BundleOrdered, Msg: inner})
	mod := &GroupMod{Command: GroupModify, CommandBucket: BucketAll, GroupDesc: GroupDesc{Group: 5, Type: GroupTypeFF, Buckets: []Bucket{{WatchPort: 2, WatchGroup: action.GroupAny, Actions: action.List{action.Output{Port: 2}}}}}}
	ms = append(ms, mod)
	if v >= ofp.V15 {
		mod.Buckets[0].ID = 77
		sel := GroupDesc{
			Group: 6, Type: GroupTypeSelect, Selection: Selection{"hash", 9, []SelectField{{flow.FieldIPSrc, flow.U128{Lo: 0xffffff00}}, {flow.FieldTCPDst, flow.U128{Lo: 0xffff}}}},
			Buckets: []Bucket{{ID: 3, Weight: 0, WatchPort: 4, WatchGroup: 5, Actions: action.List{action.Group{ID: 8}}}},
		}
		ms = append(ms, &GroupMod{CommandBucket: BucketAll, GroupDesc: sel}, &GroupDescReply{Groups: []GroupDesc{sel}},
			&GroupMod{Command: GroupInsertBucket, CommandBucket: BucketFirst, GroupDesc: GroupDesc{Group: 6, Type: GroupTypeAll, Buckets: []Bucket{{ID: 1, WatchPort: action.PortAny, WatchGroup: action.GroupAny}}}},
			&GroupMod{Command: GroupRemoveBucket, CommandBucket: 5, GroupDesc: GroupDesc{Group: 6}})
	}
	if v >= ofp.V14 {
		ms = append(ms, &TableDescRequest{}, &TableDescReply{Tables: []TableDesc{
			{Table: 3, Eviction: true}, {Table: 4, Vacancy: true, VacancyDown: 10, VacancyUp: 90, Free: 55}}},
			&TableMod{Table: 3, Set: true, Eviction: true}, &TableMod{Table: TableAll, Set: true, Vacancy: true, VacancyDown: 20, VacancyUp: 80},
			&TableStatus{Reason: TableVacancyUp, Desc: TableDesc{Table: 4, Vacancy: true, VacancyDown: 10, VacancyUp: 90, Free: 91}})
	}
	return ms
}

// TestMessagesStock: what we write is what the stock program reads (its words
// are kept in testdata and reviewed there), and what we read.
func TestMessagesStock(t *testing.T) {
	for _, v := range testVersions {
		t.Run(v.String(), func(t *testing.T) {
			var b strings.Builder
			fmt.Fprintf(&b, "# Made by `go test -run TestMessagesStock -update`: our bytes and what `ovs-ofctl ofp-print` (3.1.0) says of them.\n\n")
			for _, m := range samples(v) {
				p := Proto{Version: v}
				msg, err := Encode(p, 0x10, m)
				if err != nil {
					t.Errorf("%T: %v", m, err)
					continue
				}
				got, err := Decode(msg, p)
				if err != nil {
					t.Errorf("%T %x: %v", m, msg, err)
					continue
				}
				if !reflect.DeepEqual(m, got) {
					t.Errorf("%T\n wrote %+v\n read  %+v\n bytes %x", m, m, got, msg)
				}
				fmt.Fprintf(&b, "%T\nbytes %s\n", m, hex.EncodeToString(msg))
				if *update {
					for _, l := range strings.Split(stockPrint(t, msg), "\n") {
						fmt.Fprintf(&b, "stock %s\n", l)
					}
				}
				b.WriteByte('\n')
			}
			if *update {
				if err := os.WriteFile(messageFile(v), []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(messageFile(v))
			if err != nil {
				t.Fatal(err)
			}
			ws := bytesLines(string(want))
			if gs := bytesLines(b.String()); !reflect.DeepEqual(gs, ws) {
				t.Errorf("bytes differ from those that the stock program was shown: run with -update and review\n%s", strings.Join(gs, "\n"))
			}
		})
	}
}

// bytesLines returns the lines with bytes.
func bytesLines(s string) (ls []string) {
	for _, l := range strings.Split(s, "\n") {
		if strings.HasPrefix(l, "bytes ") {
			ls = append(ls, l)
		}
	}
	return ls
}
