// SPDX-License-Identifier: Apache-2.0

package ofprint

import (
	"fmt"

	"github.com/weirswitch/weir/datapath/openflow"
)

// meterID returns a meter's number or what a reserved one stands for (OpenFlow 1.3,
// A.3.4.4, enum ofp_meter).
func meterID(id uint32) string {
	switch id {
	case 0xfffffffd:
		return "slowpath"
	case 0xfffffffe:
		return "controller"
	case 0xffffffff:
		return "all"
	}
	return fmt.Sprint(id)
}

var (
	meterFlagNames    = []string{"kbps", "pktps", "burst", "stats"}
	meterCommandNames = []string{"ADD", "MOD", "DEL"}
	bandNames         = []string{1: "drop", 2: "dscp_remark"}
)

func (p *printer) meterMod(m *openflow.MeterMod) {
	p.WriteByte(' ')
	if int(m.Command) < len(meterCommandNames) {
		p.WriteString(meterCommandNames[m.Command])
	} else {
		p.printf("cmd:%d", m.Command)
	}
	p.WriteByte(' ')
	p.meter(&m.MeterConfig)
}

func (p *printer) meter(m *openflow.MeterConfig) {
	p.printf("meter=%s ", meterID(m.Meter))
	p.meterFlags(uint32(m.Flags))
	p.WriteString("bands=\n")
	for _, b := range m.Bands {
		if int(b.Type) < len(bandNames) && bandNames[b.Type] != "" {
			p.WriteString("type=" + bandNames[b.Type])
		} else {
			p.printf("type=%d", b.Type)
		}
		p.printf(" rate=%d", b.Rate)
		if m.Flags&openflow.MeterBurst != 0 {
			p.printf(" burst_size=%d", b.Burst)
		}
		if b.Type == 2 {
			p.printf(" prec_level=%d", b.PrecLevel)
		}
		p.WriteByte('\n')
	}
}

func (p *printer) meterFlags(f uint32) {
	for i, n := range meterFlagNames {
		if f&(1<<i) != 0 {
			p.WriteString(n + " ")
			f &^= 1 << i
		}
	}
	if f != 0 {
		p.printf("flags:0x%x ", f)
	}
}

func (p *printer) meterConfigs(m *openflow.MeterConfigReply) {
	for i := range m.Meters {
		p.WriteByte('\n')
		p.meter(&m.Meters[i])
	}
}

func (p *printer) meterStats(m *openflow.MeterStatsReply) {
	for _, s := range m.Meters {
		p.printf("\nmeter:%s flow_count:%d packet_in_count:%d byte_in_count:%d duration:%s bands:\n",
			meterID(s.Meter), s.Flows, s.Packets, s.Bytes, duration(s.Lifetime))
		for i, b := range s.Bands {
			p.printf("%d: packet_count:%d byte_count:%d\n", i, b.Packets, b.Bytes)
		}
	}
}

func (p *printer) meterFeatures(m *openflow.MeterFeaturesReply) {
	p.printf("\nmax_meter:%d max_bands:%d max_color:%d\n", m.MaxMeters, m.MaxBands, m.MaxColor)
	p.printf("band_types: %s\ncapabilities: %s\n", bits(m.BandTypes, bandNames, " "), bits(m.Capabilities, meterFlagNames, " "))
}
