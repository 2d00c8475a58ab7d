// SPDX-License-Identifier: Apache-2.0

package ofconn

import (
	"slices"
	"time"

	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// Bounds of requests in parts (OpenFlow 1.3.5, 7.3.5), of one connection. The stock switch bounds
// the bytes of each request only.
const (
	maxPartBytes = 4 << 20         // of all that wait, headers included
	maxPartial   = 64              // requests that wait
	partTimeout  = 1 * time.Second // after the last part
)

// parts puts multipart requests together whose parts come one by one: those with the flag "more"
// and what follows them with the same transaction id. It belongs to the goroutine that reads.
type parts struct {
	waiting []*partial // in the order of their last part
	bytes   int
}

// partial is a request that has begun.
type partial struct {
	xid     uint32
	kind    openflow.PartKind
	pieces  [][]byte
	bytes   int
	expires time.Time
}

func (p *parts) drop(w *partial) {
	p.bytes -= w.bytes
	p.waiting = slices.DeleteFunc(p.waiting, func(o *partial) bool { return o == w })
}

// add takes a message. It returns those pieces of the request that it completes that have a body
// (one piece at least), b itself if it is a whole message, nothing if more is to come. The error is an ofp.Kind.
func (p *parts) add(b []byte, proto openflow.Proto, now time.Time) ([][]byte, error) {
	part, ok := openflow.ParsePart(b)
	if !ok || openflow.ParseHeader(b).Version != proto.Version || !part.More && len(p.waiting) == 0 {
		return [][]byte{b}, nil
	}
	if part.More {
		// What can be said of a part by itself: an unknown type, and a body of a wrong length.
		if _, err := openflow.Decode(b, proto); err != nil {
			switch k := ofp.KindOf(err); k {
			case ofp.BRCBadStat, ofp.BRCBadVendor, ofp.BRCBadSubtype:
				return nil, k
			case ofp.BRCBadLen:
				if part.Body > 0 {
					return nil, k
				}
			}
		}
	}
	xid := openflow.ParseHeader(b).XID
	var w *partial
	for _, o := range p.waiting {
		if o.xid == xid {
			w = o
		}
	}
	switch {
	case w == nil && !part.More:
		return [][]byte{b}, nil
	case w != nil && w.kind != part.Kind:
		p.drop(w)
		return nil, ofp.BRCBadStat
	case p.bytes+len(b) > maxPartBytes, w == nil && len(p.waiting) >= maxPartial:
		if w != nil {
			p.drop(w)
		}
		return nil, ofp.BRCMultipartBufferOverflow
	}
	if w == nil {
		w = &partial{xid: xid, kind: part.Kind}
	} else {
		p.drop(w)
	}
	w.pieces = append(w.pieces, slices.Clone(b))
	w.bytes += len(b)
	w.expires = now.Add(partTimeout)
	if part.More {
		p.waiting = append(p.waiting, w)
		p.bytes += w.bytes
		return nil, nil
	}
	bodies := slices.DeleteFunc(slices.Clone(w.pieces), func(m []byte) bool {
		q, _ := openflow.ParsePart(m)
		return q.Body == 0
	})
	if len(bodies) == 0 {
		bodies = [][]byte{b}
	}
	return bodies, nil
}

// deadline returns when the first request that waits expires; zero: none waits.
func (p *parts) deadline() (t time.Time) {
	if len(p.waiting) > 0 {
		t = p.waiting[0].expires
	}
	return t
}

// expired takes away the requests whose time is over and returns the first piece of each.
func (p *parts) expired(now time.Time) (first [][]byte) {
	for len(p.waiting) > 0 && !now.Before(p.waiting[0].expires) {
		first = append(first, p.waiting[0].pieces[0])
		p.drop(p.waiting[0])
	}
	return first
}
