// SPDX-License-Identifier: Apache-2.0

package bpf

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/datapath/dpif"
)

// limits are the sizes of the maps.
type limits struct {
	flows    int // multiple of segLen
	chunks   int // multiple of segLen
	ports    int // port numbers
	slots    int // ports at a time, and one
	ring     int // bytes
	quota    int // bytes
	cpus     int
	meters   int // 0: none
	maxVLANs int
}

// limitsFor fills what c leaves open for a machine with mem bytes of memory
// and cpus possible CPUs.
func (c *Config) limitsFor(mem uint64, cpus int) limits {
	l := limits{
		flows: c.MaxFlows, ports: c.PortNumbers, slots: c.MaxPorts + 1,
		ring: c.RingBytes, quota: c.UpcallQuota, cpus: cpus, maxVLANs: c.MaxVLANs,
	}
	if l.flows == 0 {
		// A flow costs about 512 bytes; a 32nd of the memory for all.
		l.flows = int(min(max(mem/32/512, 2*segLen), 128*segLen))
	}
	l.flows = (l.flows + segLen - 1) / segLen * segLen
	l.chunks = 2 * l.flows
	if l.ports == 0 {
		l.ports = 65536
	}
	if c.MaxPorts == 0 {
		l.slots = 1024
	}
	if l.ring == 0 {
		l.ring = int(min(max(mem/256, 512<<10), 1<<20))
	}
	l.ring = max(l.ring, os.Getpagesize(), 256<<10)
	if bits.OnesCount(uint(l.ring)) != 1 {
		l.ring = 1 << bits.Len(uint(l.ring))
	}
	if l.quota == 0 {
		l.quota = max(l.ring/4/cpus, 32<<10)
	}
	if cpus <= meterCPUs {
		l.meters = maxMeters
	}
	if l.maxVLANs == 0 {
		l.maxVLANs = 1
	}
	return l
}

func systemMemory() (uint64, error) {
	var si unix.Sysinfo_t
	if err := unix.Sysinfo(&si); err != nil {
		return 0, fmt.Errorf("sysinfo: %w", err)
	}
	return uint64(si.Totalram) * uint64(si.Unit), nil
}

// object's maps by name, with the Go type of their values.
var valueTypes = map[string]any{
	"weir_ctl": cCtl{}, "weir_order": cOrder{}, "weir_masks": cMask{},
	"weir_devs": cDev{}, "weir_ports": cPort{}, "weir_pstats": cPortStats{},
}

// spec returns the programs and maps of the object with sizes l.
func spec(l limits) (*ebpf.CollectionSpec, error) {
	s, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return nil, fmt.Errorf("read BPF object: %w", err)
	}
	for name, v := range valueTypes {
		m := s.Maps[name]
		if m == nil || int(m.ValueSize) != binary.Size(v) {
			return nil, fmt.Errorf("read BPF object: map %s does not hold %T: the object is not of this source", name, v)
		}
	}
	for name, n := range map[string]int{
		"weir_index":   l.flows,
		"weir_flows":   l.flows / segLen,
		"weir_fstats":  l.flows / segLen,
		"weir_acts":    l.chunks / segLen,
		"weir_meters":  maxMeters/segLen + 1,
		"weir_muse":    ((l.meters+1)*(l.cpus+1))/segLen + 1,
		"weir_devs":    l.slots,
		"weir_ports":   l.ports,
		"weir_pstats":  l.slots,
		"weir_quota":   l.slots * l.cpus,
		"weir_upcalls": l.ring,
	} {
		m := s.Maps[name]
		if m == nil {
			return nil, fmt.Errorf("read BPF object: no map %s", name)
		}
		m.MaxEntries = uint32(n)
	}
	inner := func(outer string, t ebpf.MapType, v any) {
		s.Maps[outer].InnerMap = &ebpf.MapSpec{
			Name: outer + "_s", Type: t, KeySize: 4, ValueSize: uint32(binary.Size(v)), MaxEntries: segLen,
		}
	}
	inner("weir_flows", ebpf.Array, cFlow{})
	inner("weir_fstats", ebpf.PerCPUArray, cFlowStats{})
	inner("weir_acts", ebpf.Array, cChunk{})
	inner("weir_meters", ebpf.Array, cMeter{})
	inner("weir_muse", ebpf.Array, cMeterUse{})
	return s, nil
}

// maps are the loaded maps and the program.
type maps struct {
	coll                 *ebpf.Collection
	prog                 *ebpf.Program
	ctl, order, masks    *ebpf.Map
	index, devs, ports   *ebpf.Map
	pstats, quota, ring  *ebpf.Map
	flows, fstats, chunk segments
	meters, muse         segments
	lim                  limits
	ctlNow               cCtl
}

func load(l limits) (*maps, error) {
	s, err := spec(l)
	if err != nil {
		return nil, err
	}
	coll, err := ebpf.NewCollection(s)
	if err != nil {
		return nil, loadError(err)
	}
	m := coll.Maps
	r := &maps{
		coll: coll, prog: coll.Programs["weir_tc"],
		ctl: m["weir_ctl"], order: m["weir_order"], masks: m["weir_masks"],
		index: m["weir_index"], devs: m["weir_devs"], ports: m["weir_ports"],
		pstats: m["weir_pstats"], quota: m["weir_quota"], ring: m["weir_upcalls"],
		flows:  segments{outer: m["weir_flows"], inner: s.Maps["weir_flows"].InnerMap},
		fstats: segments{outer: m["weir_fstats"], inner: s.Maps["weir_fstats"].InnerMap},
		chunk:  segments{outer: m["weir_acts"], inner: s.Maps["weir_acts"].InnerMap},
		meters: segments{outer: m["weir_meters"], inner: s.Maps["weir_meters"].InnerMap},
		muse:   segments{outer: m["weir_muse"], inner: s.Maps["weir_muse"].InnerMap},
		lim:    l,
		ctlNow: cCtl{MaxVLANs: uint32(l.maxVLANs), CPUs: uint32(l.cpus), Quota: uint32(l.quota)},
	}
	if err := r.ctl.Put(uint32(0), &r.ctlNow); err != nil {
		r.close()
		return nil, fmt.Errorf("set up BPF maps: %w", err)
	}
	for _, g := range []*segments{&r.flows, &r.fstats, &r.chunk} {
		if err := g.grow(); err != nil {
			r.close()
			return nil, err
		}
	}
	return r, nil
}

// loadError says what kind of failure it is: the kernel lacks something (then it is a
// *dpif.Unsupported, and package soft can serve), the process does, or the program was refused.
func loadError(err error) error {
	var ve *ebpf.VerifierError
	switch {
	case errors.Is(err, ebpf.ErrNotSupported):
		no := &dpif.Unsupported{Reason: "this kernel lacks something that the BPF program needs (Linux 5.11 with CONFIG_BPF_SYSCALL and CONFIG_NET_CLS_BPF)"}
		return fmt.Errorf("load BPF program: %w: %w", no, err)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("load BPF program: not permitted (CAP_BPF and CAP_NET_ADMIN, or root, are needed): %w", err)
	case errors.As(err, &ve):
		return fmt.Errorf("load BPF program: refused by this kernel's verifier: %w", err)
	}
	return fmt.Errorf("load BPF program: %w", err)
}

func (m *maps) close() {
	m.flows.close()
	m.fstats.close()
	m.chunk.close()
	m.meters.close()
	m.muse.close()
	m.coll.Close()
}

func (m *maps) putMask(n uint32, v *cMask) error {
	if err := m.masks.Put(n, v); err != nil {
		return fmt.Errorf("write mask %d: %w", n, err)
	}
	return nil
}

func (m *maps) putOrder(list uint32, o *cOrder) error {
	if err := m.order.Put(list, o); err != nil {
		return fmt.Errorf("write order of masks %d: %w", list, err)
	}
	return nil
}

func (m *maps) putActive(list uint32) error {
	c := m.ctlNow
	c.Active = list
	if err := m.ctl.Put(uint32(0), &c); err != nil {
		return fmt.Errorf("switch to order of masks %d: %w", list, err)
	}
	m.ctlNow = c
	return nil
}

func (m *maps) barrier() error { return m.flows.barrier() }
