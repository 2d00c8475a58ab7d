// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
)

// Lengths of a port description.
const (
	portLen10 = 48
	portLen13 = 64
)

// configBits are the settings that versions after 1.0 have.
const configBits = ConfigDown | ConfigNoRecv | ConfigNoFwd | ConfigNoPacketIn

// OpenFlow 1.0 has no speeds above 10 Gbit/s: the media bits follow at 7.
const (
	feature10Speeds = 1<<7 - 1
	feature10Media  = 7
	mediaShift      = 11
	mediaBits       = 0x1f
)

func (d *decoder) portFeatures() PortFeatures {
	w := d.U32()
	if d.Version == ofp.V10 {
		w = w&feature10Speeds | w>>feature10Media&mediaBits<<mediaShift
	}
	return PortFeatures(w)
}

func (e *encoder) portFeatures(f PortFeatures) {
	w := uint32(f)
	if e.Version == ofp.V10 {
		w = w&feature10Speeds | w>>mediaShift&mediaBits<<feature10Media
	}
	e.U32(w)
}

func (d *decoder) portConfig() PortConfig {
	c := PortConfig(d.U32())
	if d.Version == ofp.V10 {
		return c & (1<<7 - 1)
	}
	return c & configBits
}

func (e *encoder) portConfig(c PortConfig) {
	if e.Version != ofp.V10 {
		c &= configBits
	}
	e.U32(uint32(c))
}

func (v wireVersion) portState() PortState {
	if ofp.Version(v) == ofp.V10 {
		return StateLinkDown | StateSTPMask
	}
	return StateLinkDown | StateBlocked | StateLive
}

func (d *decoder) portDesc() (p PortDesc) {
	p.No = d.port(0, 0)
	n := 0
	switch {
	case d.Version == ofp.V10:
	case d.Version < ofp.V14:
		d.Skip(4)
	default:
		n = int(d.U16())
		d.Skip(2)
	}
	p.HWAddr = d.MAC()
	if d.Version > ofp.V10 {
		d.Skip(2)
	}
	p.Name = d.String(16)
	p.Config = d.portConfig()
	p.State = PortState(d.U32()) & wireVersion(d.Version).portState()
	if d.Version < ofp.V14 {
		d.ethernet(&p)
		return p
	}
	if n < 40 {
		d.Failf(ofp.BPCBadLen, "port of %d bytes", n)
		return p
	}
	props := d.sub(n - 40)
	props.elements(func() {
		typ, b := ofpact.Property(props.Reader, ofp.BPCBadLen)
		sub := d.with(b)
		switch typ {
		case 0: // Ethernet
			b.Skip(4)
			sub.ethernet(&p)
		default:
			b.Skip(b.Len())
		}
		props.join(sub)
	})
	d.join(props)
	return p
}

// ethernet reads the features and, after OpenFlow 1.0, speeds.
func (d *decoder) ethernet(p *PortDesc) {
	p.Curr, p.Advertised, p.Supported, p.Peer = d.portFeatures(), d.portFeatures(), d.portFeatures(), d.portFeatures()
	if d.Version > ofp.V10 {
		p.CurrSpeed, p.MaxSpeed = d.U32(), d.U32()
	}
}

func (e *encoder) portDesc(p *PortDesc) {
	start := e.Len()
	e.port(p.No, 0, 4) // 1.4: length and padding
	e.Bytes(p.HWAddr[:])
	if e.Version > ofp.V10 {
		e.Zero(2)
	}
	e.String(p.Name, 16)
	e.portConfig(p.Config)
	e.U32(uint32(p.State & wireVersion(e.Version).portState()))
	eth := func() {
		for _, f := range []PortFeatures{p.Curr, p.Advertised, p.Supported, p.Peer} {
			e.portFeatures(f)
		}
		if e.Version > ofp.V10 {
			e.U32(p.CurrSpeed)
			e.U32(p.MaxSpeed)
		}
	}
	if e.Version < ofp.V14 {
		eth()
		return
	}
	ofpact.PutProperty(&e.Writer, 0, func() { e.Zero(4); eth() })
	e.SetU16(start+4, uint16(e.Len()-start))
}

func (d *decoder) portStatus() *PortStatus {
	m := &PortStatus{Reason: PortReason(d.U8())}
	if m.Reason > PortModified {
		d.Failf(ofp.NXBRCBadReason, "port status reason %d", m.Reason)
	}
	d.Skip(7)
	m.Desc = d.portDesc()
	return m
}

func (e *encoder) portStatus(m *PortStatus) {
	e.U8(uint8(m.Reason))
	e.Zero(7)
	e.portDesc(&m.Desc)
}

func (d *decoder) portMod10() *PortMod {
	m := &PortMod{No: ofp.PortFrom10(d.U16()), HWAddr: d.MAC(), Config: d.portConfig(), Mask: d.portConfig(), Advertise: d.portFeatures()}
	d.Skip(4)
	m.Config &= m.Mask
	return m
}

func (e *encoder) portMod10(m *PortMod) {
	e.U16(ofp.PortTo10(m.No))
	e.Bytes(m.HWAddr[:])
	e.portConfig(m.Config)
	e.portConfig(m.Mask)
	e.portFeatures(m.Advertise)
	e.Zero(4)
}

func (d *decoder) portMod13() *PortMod {
	if d.Version >= ofp.V14 {
		d.whole8()
	}
	m := &PortMod{No: d.port32()}
	d.Skip(4)
	m.HWAddr = d.MAC()
	d.Skip(2)
	m.Config, m.Mask = d.portConfig(), d.portConfig()
	if d.Version < ofp.V14 {
		m.Advertise = d.portFeatures()
		d.Skip(4)
	} else {
		d.elements(func() {
			typ, b := ofpact.Property(d.Reader, ofp.BPCBadLen)
			switch {
			case typ == 0:
				m.Advertise = PortFeatures(b.U32())
			case typ == 0xffff:
				b.Failf(ofp.BPCBadExperimenter, "property of experimenter")
			default:
				b.Failf(ofp.BPCBadType, "property %d", typ)
			}
			if err := b.Close(); err != nil {
				d.Fail(err)
			}
		})
	}
	m.Config &= m.Mask
	return m
}

func (e *encoder) portMod13(m *PortMod) {
	e.U32(uint32(m.No))
	e.Zero(4)
	e.Bytes(m.HWAddr[:])
	e.Zero(2)
	e.portConfig(m.Config)
	e.portConfig(m.Mask)
	switch {
	case e.Version < ofp.V14:
		e.portFeatures(m.Advertise)
		e.Zero(4)
	default:
		ofpact.PutProperty(&e.Writer, 0, func() { e.portFeatures(m.Advertise) })
	}
}

func (d *decoder) portStatsRequest() *PortStatsRequest { return &PortStatsRequest{d.port(6, 4)} }

func (e *encoder) portStatsRequest(m *PortStatsRequest) { e.port(m.Port, 6, 4) }

func (d *decoder) portStats() *PortStatsReply {
	m := &PortStatsReply{}
	d.elements(func() {
		if d.Version < ofp.V14 {
			s := PortStats{No: d.port(6, 4)}
			d.portCounters(&s)
			d.ethernetCounters(&s)
			if d.Version > ofp.V10 {
				s.Duration = d.lifetime()
			}
			m.Ports = append(m.Ports, s)
			return
		}
		n := int(d.U16())
		d.Skip(2)
		el := d.sub(n - 4)
		s := PortStats{No: el.port32(), Duration: el.lifetime()}
		el.portCounters(&s)
		s.RxFrameErr, s.RxOverErr, s.RxCRCErr, s.Collisions = ^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)
		el.elements(func() {
			typ, b := ofpact.Property(el.Reader, ofp.BPCBadLen)
			sub := d.with(b)
			if typ == 0 {
				b.Skip(4)
				sub.ethernetCounters(&s)
			}
			b.Skip(b.Len())
			el.join(sub)
		})
		d.join(el)
		m.Ports = append(m.Ports, s)
	})
	return m
}

func (s *PortStats) counters() []*uint64 {
	return []*uint64{&s.RxPackets, &s.TxPackets, &s.RxBytes, &s.TxBytes, &s.RxDropped, &s.TxDropped, &s.RxErrors, &s.TxErrors}
}

func (s *PortStats) ethernetCounters() []*uint64 {
	return []*uint64{&s.RxFrameErr, &s.RxOverErr, &s.RxCRCErr, &s.Collisions}
}

func (d *decoder) portCounters(s *PortStats) {
	for _, c := range s.counters() {
		*c = d.U64()
	}
}

func (d *decoder) ethernetCounters(s *PortStats) {
	for _, c := range s.ethernetCounters() {
		*c = d.U64()
	}
}

func (e *encoder) portStats(m *PortStatsReply) {
	for i := range m.Ports {
		s := &m.Ports[i]
		put := func(cs []*uint64) {
			for _, c := range cs {
				e.U64(*c)
			}
		}
		e.element(func() {
			start := e.Len()
			if e.Version < ofp.V14 {
				e.port(s.No, 6, 4)
				put(s.counters())
				put(s.ethernetCounters())
				if e.Version > ofp.V10 {
					e.lifetime(s.Duration)
				}
				return
			}
			e.Zero(4)
			e.U32(uint32(s.No))
			e.lifetime(s.Duration)
			put(s.counters())
			ofpact.PutProperty(&e.Writer, 0, func() { e.Zero(4); put(s.ethernetCounters()) })
			e.SetU16(start, uint16(e.Len()-start))
		})
	}
}

func (d *decoder) portDescRequest() *PortDescRequest {
	m := &PortDescRequest{Port: anyPort}
	if d.Version >= ofp.V15 {
		m.Port = d.port(0, 4)
	}
	return m
}

func (e *encoder) portDescRequest(m *PortDescRequest) {
	if e.Version >= ofp.V15 {
		e.port(m.Port, 0, 4)
	}
}

func (d *decoder) portDescReply() *PortDescReply {
	m := &PortDescReply{}
	d.elements(func() { m.Ports = append(m.Ports, d.portDesc()) })
	return m
}

func (e *encoder) portDescReply(m *PortDescReply) {
	for i := range m.Ports {
		e.element(func() { e.portDesc(&m.Ports[i]) })
	}
}

func (d *decoder) queueStatsRequest() *QueueStatsRequest {
	return &QueueStatsRequest{Port: d.port(2, 0), Queue: d.U32()}
}

func (e *encoder) queueStatsRequest(m *QueueStatsRequest) {
	e.port(m.Port, 2, 0)
	e.U32(m.Queue)
}

func (d *decoder) queueStats() *QueueStatsReply {
	m := &QueueStatsReply{}
	d.elements(func() {
		n := 0
		if d.Version >= ofp.V14 {
			n = int(d.U16())
			d.Skip(6)
		}
		s := QueueStats{Port: d.port(2, 0), Queue: d.U32(), TxBytes: d.U64(), TxPackets: d.U64(), TxErrs: d.U64()}
		if d.Version > ofp.V10 {
			s.Duration = d.lifetime()
		}
		if d.Version >= ofp.V14 {
			if n < 48 {
				d.Failf(ofp.BRCBadLen, "queue of %d bytes", n)
			}
			d.Skip(n - 48)
		}
		m.Queues = append(m.Queues, s)
	})
	return m
}

func (e *encoder) queueStats(m *QueueStatsReply) {
	for i := range m.Queues {
		s := &m.Queues[i]
		e.element(func() {
			if e.Version >= ofp.V14 {
				e.U16(48)
				e.Zero(6)
			}
			e.port(s.Port, 2, 0)
			e.U32(s.Queue)
			e.U64(s.TxBytes)
			e.U64(s.TxPackets)
			e.U64(s.TxErrs)
			if e.Version > ofp.V10 {
				e.lifetime(s.Duration)
			}
		})
	}
}
