// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/dsa/counters"
)

// chipStatistics returns Interface:statistics of a chip's port, of which the CPU has counted own. Once a chip
// has forwarded for the port, these are the chip's counters: keys that it has no counter for are absent, and
// what the CPU has seen of it has keys of its own (cpu_rx_packets and so on, beyond ovs-vswitchd.conf.db(5)).
func (r *reconciler) chipStatistics(name string, own map[string]int64) map[string]int64 {
	if r.offload.chips == nil {
		return own
	}
	c, ok := r.offload.chips.Counters(name)
	if !ok || c.OfDevice() {
		return own
	}
	m := map[string]int64{}
	for _, k := range []string{"rx_packets", "rx_bytes", "tx_packets", "tx_bytes"} {
		if n, ok := own[k]; ok {
			m["cpu_"+k] = n
		}
	}
	for k, n := range map[string]counters.Count{
		"collisions": c.Coll,
		"rx_bytes":   c.RxBytes, "rx_packets": c.RxPackets, "rx_dropped": c.RxDropped, "rx_errors": c.RxErrors,
		"rx_crc_err": c.RxCRC, "rx_frame_err": c.RxFrame, "rx_over_err": c.RxOver, "rx_multicast_packets": c.RxMulticast,
		"tx_bytes": c.TxBytes, "tx_packets": c.TxPackets, "tx_dropped": c.TxDropped, "tx_errors": c.TxErrors,
	} {
		if n.Known {
			m[k] = int64(n.Value)
		}
	}
	return m
}

// portStats returns the counters of a port as OpenFlow has them, of a chip's port those of the chip; false: they
// are the datapath's to tell. Any goroutine may call it.
func (r *reconciler) portStats(name string) (openflow.PortStats, bool) {
	if r.offload.chips != nil {
		if c, ok := r.offload.chips.Counters(name); ok && !c.OfDevice() {
			return chipPortStats(&c), true
		}
	}
	return r.devs.counters(name)
}

// chipPortStats has all ones where a counter is not known (OpenFlow 1.3.5, section 7.3.5.6).
func chipPortStats(c *counters.Counters) (s openflow.PortStats) {
	for _, x := range []struct {
		to   *uint64
		from counters.Count
	}{
		{&s.RxPackets, c.RxPackets}, {&s.RxBytes, c.RxBytes}, {&s.RxDropped, c.RxDropped}, {&s.RxErrors, c.RxErrors},
		{&s.RxFrameErr, c.RxFrame}, {&s.RxOverErr, c.RxOver}, {&s.RxCRCErr, c.RxCRC},
		{&s.TxPackets, c.TxPackets}, {&s.TxBytes, c.TxBytes}, {&s.TxDropped, c.TxDropped}, {&s.TxErrors, c.TxErrors}, {&s.Collisions, c.Coll},
	} {
		if *x.to = ^uint64(0); x.from.Known {
			*x.to = x.from.Value
		}
	}
	return s
}
