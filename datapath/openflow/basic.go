// SPDX-License-Identifier: Apache-2.0

package openflow

import (
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/datapath/openflow/ofpact"
)

// helloBitmap is the hello element that lists versions (OpenFlow 1.3.5, 7.5.1).
const helloBitmap = 1

// readHello reads the elements of a hello; those that it does not know are
// passed over.
func readHello(r *ofp.Reader, v ofp.Version) *Hello {
	m := &Hello{}
	for r.Len() >= 4 {
		typ, p := ofpact.Property(r, ofp.BRCBadLen)
		if typ == helloBitmap && p.Len() >= 4 && m.Versions == 0 {
			m.Versions = ofp.Versions(p.U32())
		}
	}
	r.Skip(r.Len())
	if m.Versions == 0 {
		for i := ofp.V10; i <= v && i < 32; i++ {
			m.Versions |= ofp.VersionSet(i)
		}
	}
	return m
}

// hello writes a bitmap unless the header alone says the same, as the stock
// switch does: older peers need not know about elements.
func (e *encoder) hello(m *Hello) {
	max := m.Versions.Max()
	e.B[e.start] = uint8(max)
	plain := ofp.Versions(1)<<(max+1) - 1<<ofp.V10
	if m.Versions == plain {
		return
	}
	ofpact.PutProperty(&e.Writer, helloBitmap, func() { e.U32(uint32(m.Versions)) })
}

// Numbers of errors by experimenters.
const (
	errorExperimenter = 0xffff // OpenFlow 1.2 and later
	errorVendor       = 0xb0c2 // Nicira's for 1.0 and 1.1: NXET_VENDOR
)

func (d *decoder) errorMsg() *Error {
	n := ofp.Numbers{Type: d.U16(), Code: d.U16()}
	switch {
	case n.Type == errorVendor && d.Version < ofp.V12 && n.Code == 0:
		n = ofp.Numbers{Experimenter: d.U32(), Type: d.U16(), Code: d.U16()}
	case n.Type == errorExperimenter && d.Version >= ofp.V12:
		n = ofp.Numbers{Type: n.Code, Experimenter: d.U32()}
	}
	if d.Err() != nil {
		return nil
	}
	return &Error{Kind: ofp.KindFor(d.Version, n), Numbers: n, Data: d.Rest()}
}

func (e *encoder) errorMsg(m *Error) {
	n := m.Numbers
	if m.Kind != ofp.NoError {
		var ok bool
		if n, ok = m.Kind.Numbers(e.Version); !ok {
			n, _ = ofp.NXBRCUnencodableError.Numbers(e.Version)
		}
	}
	switch {
	case n.Experimenter == 0:
		e.U16(n.Type)
		e.U16(n.Code)
	case e.Version < ofp.V12:
		e.U16(errorVendor)
		e.U16(0)
		e.U32(n.Experimenter)
		e.U16(n.Type)
		e.U16(n.Code)
	default:
		e.U16(errorExperimenter)
		e.U16(n.Type)
		e.U32(n.Experimenter)
	}
	e.Bytes(m.Data[:min(len(m.Data), MaxLen-(e.Len()-e.start))]) // what fits
}

func (e *encoder) experimenter(m *Experimenter) {
	e.U32(m.Vendor)
	e.U32(m.Subtype)
	e.Bytes(m.Data)
}

// capabilities maps the bits that are not alike in all versions.
func (v wireVersion) capabilities(c Capabilities) Capabilities {
	common := CapFlowStats | CapTableStats | CapPortStats | CapIPReasm | CapQueueStats
	switch {
	case ofp.Version(v) == ofp.V10:
		return c & (common | CapSTP | CapARPMatchIP)
	case ofp.Version(v) < ofp.V14:
		return c & (common | CapGroupStats | CapPortBlocked)
	}
	return c & (common | CapGroupStats | CapPortBlocked | CapBundles | CapFlowMonitor)
}

// wireVersion names the conversions of a version.
type wireVersion ofp.Version

func (d *decoder) features() *FeaturesReply {
	m := &FeaturesReply{DatapathID: d.U64(), Buffers: d.U32(), Tables: d.U8()}
	if d.Version == ofp.V10 {
		d.Skip(3)
		c := d.U32()
		m.Capabilities = wireVersion(d.Version).capabilities(Capabilities(c))
		if c&(1<<3) != 0 {
			m.Capabilities |= CapSTP
		}
		if c&(1<<7) != 0 {
			m.Capabilities |= CapARPMatchIP
		}
		m.Actions = d.U32()
		d.elements(func() { m.Ports = append(m.Ports, d.portDesc()) })
		return m
	}
	m.AuxID = d.U8()
	d.Skip(2)
	m.Capabilities = wireVersion(d.Version).capabilities(Capabilities(d.U32()))
	d.Skip(4)
	return m
}

func (e *encoder) features(m *FeaturesReply) {
	e.U64(m.DatapathID)
	e.U32(m.Buffers)
	e.U8(m.Tables)
	c := wireVersion(e.Version).capabilities(m.Capabilities)
	if e.Version == ofp.V10 {
		e.Zero(3)
		w := uint32(c &^ (CapSTP | CapARPMatchIP))
		if c&CapSTP != 0 {
			w |= 1 << 3
		}
		if c&CapARPMatchIP != 0 {
			w |= 1 << 7
		}
		e.U32(w)
		e.U32(m.Actions)
		for i := range m.Ports {
			if e.Len()-e.start+portLen10 > MaxLen {
				break // as the stock switch: the rest is in the port description
			}
			e.portDesc(&m.Ports[i])
		}
		return
	}
	e.U8(m.AuxID)
	e.Zero(2)
	e.U32(uint32(c))
	e.Zero(4)
}

// Flags of a configuration.
const (
	configFragMask   = 3
	configInvalidTTL = 4
)

// setConfig refuses flags that are not known, which a reply may have.
func (d *decoder) setConfig() *SetConfig {
	known := uint16(configFragMask)
	if d.Version < ofp.V13 {
		known |= configInvalidTTL
	}
	if b := d.Peek(2); b != nil {
		if f := uint16(b[0])<<8 | uint16(b[1]); f&^known != 0 {
			d.Failf(ofp.SCFCBadFlags, "flags %#x", f)
		}
	}
	return &SetConfig{d.config()}
}

func (d *decoder) config() Config {
	f := d.U16()
	return Config{
		Frag:        FragMode(f & configFragMask),
		InvalidTTL:  f&configInvalidTTL != 0 && d.Version < ofp.V13,
		MissSendLen: d.U16(),
	}
}

func (e *encoder) config(c Config) {
	f := uint16(c.Frag) & configFragMask
	if c.InvalidTTL && e.Version < ofp.V13 {
		f |= configInvalidTTL
	}
	e.U16(f)
	e.U16(c.MissSendLen)
}
