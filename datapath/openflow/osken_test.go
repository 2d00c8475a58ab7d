// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"bytes"
	"context"
	"encoding/hex"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// osken runs testdata/osken.py.
func osken(t *testing.T, mode string, in []byte) []string {
	t.Helper()
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import os_ken").Run(); err != nil {
		t.Skip("os-ken is not installed (Debian: python3-os-ken)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, python, "testdata/osken.py", mode)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("osken.py %s: %v\n%s", mode, err, errs.String())
	}
	return strings.Split(strings.TrimSpace(out.String()), "\n")
}

// TestOskenEncodes: flow_mods of os-ken's making mean what its script says.
func TestOskenEncodes(t *testing.T) {
	ls := osken(t, "encode", nil)
	if len(ls) != 18 {
		t.Errorf("%d flows", len(ls))
	}
	for _, l := range ls {
		vs, rest, _ := strings.Cut(l, " ")
		hexBytes, want, _ := strings.Cut(rest, " ")
		n, _ := strconv.Atoi(vs)
		b, err := hex.DecodeString(hexBytes)
		if err != nil {
			t.Fatal(err)
		}
		m, err := Decode(b, Proto{Version: ofp.Version(n)})
		if err != nil {
			t.Errorf("%s\n %v", l, err)
			continue
		}
		fm := m.(*FlowMod)
		got := fm.Match.String() + " actions=" + fm.Instructions.String()
		if got != want || fm.NewCookie != 7 || fm.Priority != 9 || n > 1 && fm.Table != 3 {
			t.Errorf("%s\n is %s %+v", l, got, fm)
		}
	}
}

// TestOskenDecodes: os-ken reads what a switch sends as what it is, values
// included where its own words show them.
func TestOskenDecodes(t *testing.T) {
	for _, v := range []ofp.Version{ofp.V10, ofp.V13} {
		want := map[string][]string{
			"*openflow.FeaturesReply":   {"OFPSwitchFeatures"},
			"*openflow.GetConfigReply":  {"OFPGetConfigReply", "miss_send_len=129"},
			"*openflow.PacketIn":        {"OFPPacketIn", "total_len=200", "reason=1"},
			"*openflow.FlowRemoved":     {"OFPFlowRemoved", "cookie=153", "priority=11", "reason=1", "byte_count=10", "packet_count=9"},
			"*openflow.PortStatus":      {"OFPPortStatus", "reason=2", "02:01:02:03:04:05"},
			"*openflow.BarrierReply":    {"OFPBarrierReply"},
			"*openflow.DescReply":       {"OFPDescStatsReply", "maker"},
			"*openflow.FlowStatsReply":  {"OFPFlowStatsReply", "cookie=1234605616436508552", "packet_count=12345678901"},
			"*openflow.AggregateReply":  {"OFPAggregateStatsReply", "packet_count=1"},
			"*openflow.TableStatsReply": {"OFPTableStatsReply", "lookup_count=6"},
			"*openflow.PortStatsReply":  {"OFPPortStatsReply", "rx_crc_err=11"},
			"*openflow.QueueStatsReply": {"OFPQueueStatsReply", "tx_errors=7"},
		}
		if v > ofp.V10 {
			want["*openflow.PortDescReply"] = []string{"OFPPortDescStatsReply", "max_speed=10000000"}
			want["*openflow.RoleReply"] = nil
			want["*openflow.GroupDescReply"] = []string{"OFPGroupDescStatsReply"}
			want["*openflow.GroupStatsReply"] = []string{"OFPGroupStatsReply", "ref_count=2"}
			want["*openflow.GroupFeaturesReply"] = []string{"OFPGroupFeaturesStatsReply"}
			want["*openflow.MeterFeaturesReply"] = []string{"OFPMeterFeaturesStatsReply", "max_meter=100"}
			want["*openflow.MeterConfigReply"] = []string{"OFPMeterConfigStatsReply"}
			want["*openflow.MeterStatsReply"] = []string{"OFPMeterStatsReply", "flow_count=4"}
			want["*openflow.TableFeaturesReply"] = []string{"OFPTableFeaturesStatsReply", "max_entries=1000"}
			want["*openflow.GetAsyncReply"] = []string{"OFPGetAsyncReply"}
		}
		var in strings.Builder
		var names []string
		for _, m := range samples(v) {
			name := typeName(m)
			if want[name] == nil {
				continue
			}
			switch m := m.(type) {
			case *FlowStatsReply:
				if m.Nicira {
					continue
				}
			case *AggregateReply:
				if m.Nicira {
					continue
				}
			}
			b, err := Encode(Proto{Version: v}, 1, m)
			if err != nil {
				t.Fatal(err)
			}
			in.WriteString(hex.EncodeToString(b) + "\n")
			names = append(names, name)
		}
		ls := osken(t, "decode", []byte(in.String()))
		if len(ls) != len(names) {
			t.Fatalf("%v: %d messages, %d lines", v, len(names), len(ls))
		}
		for i, name := range names {
			for j, w := range want[name] {
				if j == 0 && !strings.HasPrefix(ls[i], w+" ") || !strings.Contains(ls[i], w) {
					t.Errorf("%v: %s is read as %s, which lacks %q", v, name, ls[i], w)
				}
			}
		}
	}
}
