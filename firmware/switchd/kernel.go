// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/weirswitch/weir/datapath/netdev"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// devices is the kernel of the reconciler on rtnetlink.
type devices struct {
	links *netdev.Links

	mu  sync.Mutex
	all map[string]netdev.Link // by name, as of the last Devices
	far map[string]netdev.Link // of internal ports, by the near end's name
}

func openDevices() (*devices, error) {
	l, err := netdev.OpenLinks()
	if err != nil {
		return nil, err
	}
	return &devices{links: l}, nil
}

// watch calls changed whenever a device comes, goes or changes, until ctx ends.
func (d *devices) watch(ctx context.Context, changed func()) error {
	return d.links.Watch(ctx, func(netdev.Event) { changed() })
}

// Devices returns what is there. A pair that is an internal port of a Weir
// counts as ours only if it is claimed: another daemon's is not to be touched.
func (d *devices) Devices(claimed map[string]bool) (map[string]wanted.Device, error) {
	list, err := d.links.List()
	if err != nil {
		return nil, err
	}
	internals := netdev.InternalsAmong(list)
	all, far := make(map[string]netdev.Link, len(list)), map[string]netdev.Link{}
	hidden := map[int]bool{}
	m := make(map[string]wanted.Device, len(list))
	for _, p := range internals {
		far[p.Name] = p.Far
		hidden[p.Far.Index] = true
		if p.Elsewhere && claimed[p.Name] {
			m[p.Name] = wanted.Device{
				Name: p.Name, MTU: p.Far.MTU, Up: p.Far.Carrier, Carrier: p.Far.Carrier,
				Leg: p.Far.Name, LegIx: p.Far.Index, Ours: true, Away: true,
			}
		}
	}
	for _, l := range list {
		if hidden[l.Index] {
			continue
		}
		all[l.Name] = l
		dev := wanted.Device{Name: l.Name, Ifindex: l.Index, MTU: l.MTU, Up: l.Up, Carrier: l.Carrier, Leg: l.Name, LegIx: l.Index}
		if len(l.MAC) == 6 {
			dev.MAC = wanted.MAC(l.MAC)
		}
		if f, ok := far[l.Name]; ok && claimed[l.Name] {
			dev.Ours, dev.Leg, dev.LegIx = true, f.Name, f.Index
		}
		m[l.Name] = dev
	}
	d.mu.Lock()
	d.all, d.far = all, far
	d.mu.Unlock()
	return m, nil
}

// Link tells what the status columns say beyond wanted.Device.
func (d *devices) Link(dev wanted.Device) wanted.Link {
	d.mu.Lock()
	link, far := d.all[dev.Name], d.far[dev.Name]
	d.mu.Unlock()
	e := d.links.Ethtool(dev.Name)
	l := wanted.Link{Speed: int64(e.SpeedBps), FullDuplex: e.Duplex == "full", HalfDuplex: e.Duplex == "half"}
	if e.Driver != "" {
		l.Driver = map[string]string{"driver_name": e.Driver, "driver_version": e.DriverVersion, "firmware_version": e.Firmware}
	}
	s := link.Stats
	if dev.Ours {
		// Of an internal port the switch receives what the host sends.
		s = far.Stats
	}
	l.Statistics = map[string]int64{
		"collisions":           int64(s.Collisions),
		"rx_bytes":             int64(s.RxBytes),
		"rx_crc_err":           int64(s.RxCrcErrors),
		"rx_dropped":           int64(s.RxDropped),
		"rx_errors":            int64(s.RxErrors),
		"rx_packets":           int64(s.RxPackets),
		"rx_over_err":          int64(s.RxOverErrors),
		"rx_frame_err":         int64(s.RxFrameErrors),
		"rx_multicast_packets": int64(s.Multicast),
		"tx_bytes":             int64(s.TxBytes),
		"tx_dropped":           int64(s.TxDropped),
		"tx_errors":            int64(s.TxErrors),
		"tx_packets":           int64(s.TxPackets),
	}
	return l
}

// counters returns the counters of a port's device now, as OpenFlow has them; any
// goroutine may ask.
func (d *devices) counters(name string) (openflow.PortStats, bool) {
	d.mu.Lock()
	if f, ok := d.far[name]; ok {
		name = f.Name
	}
	d.mu.Unlock()
	l, err := d.links.ByName(name)
	if err != nil {
		return openflow.PortStats{}, false
	}
	s := l.Stats
	return openflow.PortStats{
		RxPackets: s.RxPackets, RxBytes: s.RxBytes, RxDropped: s.RxDropped, RxErrors: s.RxErrors,
		RxFrameErr: s.RxFrameErrors, RxOverErr: s.RxOverErrors, RxCRCErr: s.RxCrcErrors,
		TxPackets: s.TxPackets, TxBytes: s.TxBytes, TxDropped: s.TxDropped, TxErrors: s.TxErrors, Collisions: s.Collisions,
	}, true
}

func (d *devices) CreateInternal(name string, mac wanted.MAC, mtu int) error {
	_, err := d.links.EnsureInternal(netdev.Internal{Name: name, MAC: net.HardwareAddr(mac[:]), MTU: mtu})
	return err
}

func (d *devices) DeleteInternal(name string) error { return d.links.DeleteInternal(name) }

func (d *devices) SetMAC(name string, mac wanted.MAC) error {
	l, err := d.byName(name)
	if err != nil {
		return err
	}
	return d.links.SetMAC(l.Index, mac[:])
}

func (d *devices) SetMTU(name string, mtu int) error {
	l, err := d.byName(name)
	if err != nil {
		return err
	}
	return d.links.SetMTU(l.Index, mtu)
}

// SetUp sets a device up or down.
func (d *devices) SetUp(name string, up bool) error {
	l, err := d.byName(name)
	if err != nil {
		return err
	}
	return d.links.SetUp(l.Index, up)
}

func (d *devices) byName(name string) (netdev.Link, error) {
	l, err := d.links.ByName(name)
	if err != nil {
		return l, fmt.Errorf("device %s: %w", name, err)
	}
	return l, nil
}
