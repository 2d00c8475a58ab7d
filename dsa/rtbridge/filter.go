// SPDX-License-Identifier: Apache-2.0

package rtbridge

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/bridge"
	"github.com/weirswitch/weir/dsa/nlattr"
)

// encodeTC returns the requests of the operations that tc does. Making clsact
// may be answered with EEXIST, deleting before making with ENOENT or EINVAL:
// Kernel knows (quiet).
func encodeTC(o bridge.Op, index resolve) ([]request, error) {
	var dev string
	switch o := o.(type) {
	case bridge.SetMirror:
		dev = o.Mirror.From
	case bridge.DelMirror:
		dev = o.Mirror.From
	case bridge.SetPolice:
		dev = o.Police.Port
	case bridge.DelPolice:
		dev = o.Port
	case bridge.SetQdisc:
		dev = o.Qdisc.Port
	case bridge.DelQdisc:
		dev = o.Port
	default:
		return nil, fmt.Errorf("rtnetlink does not know %T: %w", o, unix.EINVAL)
	}
	i, err := index(dev)
	if err != nil {
		return nil, err
	}
	switch o := o.(type) {
	case bridge.SetMirror:
		to, err := index(o.Mirror.To)
		if err != nil {
			return nil, err
		}
		return setFilter(i, o.Mirror.Dir, bridge.MirrorPref, "mirred", func(w *nlattr.Builder) {
			b := make([]byte, mirredLen) // index, capab, action, refcnt, bindcnt, eaction, ifindex
			ne.PutUint32(b[8:], actPipe)
			ne.PutUint32(b[20:], egressMirror)
			ne.PutUint32(b[24:], uint32(to))
			w.Bytes(mirredParms, b)
		})
	case bridge.DelMirror:
		return []request{delFilter(i, o.Mirror.Dir, bridge.MirrorPref)}, nil
	case bridge.SetPolice:
		return setFilter(i, bridge.Ingress, bridge.PolicePref, "police", func(w *nlattr.Builder) { police(w, o.Police) })
	case bridge.DelPolice:
		return []request{delFilter(i, bridge.Ingress, bridge.PolicePref)}, nil
	case bridge.SetQdisc:
		return setQdisc(i, o.Qdisc)
	default: // DelQdisc
		return []request{{unix.RTM_DELQDISC, 0, tcmsg(i, 0, rootParent, 0)}}, nil
	}
}

func tcmsg(index int, handle, parent, info uint32) []byte {
	b := make([]byte, tcmsgLen)
	ne.PutUint32(b[4:], uint32(index))
	ne.PutUint32(b[8:], handle)
	ne.PutUint32(b[12:], parent)
	ne.PutUint32(b[16:], info)
	return b
}

// filterInfo is tcm_info of a filter: the preference above the protocol in
// network order, here all protocols.
func filterInfo(pref uint32) uint32 {
	return pref<<16 | uint32(ne.Uint16([]byte{0, ethPAllNet}))
}

func parentOf(dir bridge.Direction) uint32 {
	if dir == bridge.Egress {
		return egressParent
	}
	return ingressParent
}

// setFilter makes clsact if there is none, removes the filter that is there,
// as matchall cannot be changed in place (net/sched/cls_matchall.c: EEXIST),
// and makes the new one.
func setFilter(index int, dir bridge.Direction, pref uint32, action string, opts func(*nlattr.Builder)) ([]request, error) {
	var q, f nlattr.Builder
	q.Raw(tcmsg(index, clsactHandle, clsactParent, 0))
	q.String(tcaKind, "clsact")
	clsact, err := q.Payload()
	if err != nil {
		return nil, err
	}
	f.Raw(tcmsg(index, 1, parentOf(dir), filterInfo(pref)))
	f.String(tcaKind, "matchall")
	f.Nest(tcaOptions, func() {
		f.Uint32(matchallFlags, skipSW)
		f.Nest(matchallAct, func() {
			f.Nest(1, func() {
				f.String(actKind, action)
				f.Nest(actOptions, func() { opts(&f) })
			})
		})
	})
	filter, err := f.Payload()
	if err != nil {
		return nil, err
	}
	return []request{
		{unix.RTM_NEWQDISC, unix.NLM_F_CREATE | unix.NLM_F_EXCL, clsact},
		delFilter(index, dir, pref),
		{unix.RTM_NEWTFILTER, unix.NLM_F_CREATE | unix.NLM_F_EXCL, filter},
	}, nil
}

// delFilter removes all of a preference: all are ours.
func delFilter(index int, dir bridge.Direction, pref uint32) request {
	return request{unix.RTM_DELTFILTER, 0, tcmsg(index, 0, parentOf(dir), filterInfo(pref))}
}

// police writes a limit: what exceeds is dropped, the rest goes on. Bursts of
// bytes are times at the rate, in ticks of 64 ns (PSCHED_SHIFT 6).
func police(w *nlattr.Builder, p bridge.Police) {
	b := make([]byte, policeLen)
	ne.PutUint32(b[4:], actShot)
	if p.Rate > 0 {
		ne.PutUint32(b[12:], ticks(uint64(p.Burst), p.Rate))
		rateSpec(b[20:], p.Rate)
	}
	w.Bytes(policeTBF, b)
	w.Uint32(policeResult, actPipe)
	if p.Rate > 0 {
		w.Bytes(policeRate, make([]byte, rtabLen)) // unused since Linux 3.8, and asked for
		if p.Rate > 0xffffffff {
			w.Uint64(policeRate64, p.Rate)
		}
		return
	}
	w.Uint64(policePkts, p.Packets)
	w.Uint64(policePBurst, max(p.PBurst, 1))
}

// rateSpec writes struct tc_ratespec: Ethernet, and the rate as far as it fits.
// The cell size is of the table that nobody uses, and may not be 0
// (net/sched/sch_api.c, qdisc_get_rtab).
func rateSpec(b []byte, rate uint64) {
	b[0] = 3
	b[1] = 1 // TC_LINKLAYER_ETHERNET
	ne.PutUint16(b[4:], 0xffff)
	ne.PutUint32(b[8:], uint32(min(rate, 0xffffffff)))
}

const tickNanos = 64

// ticks is how long n bytes take at rate bytes a second.
func ticks(n, rate uint64) uint32 {
	return uint32(min(n*1e9/max(rate, 1)/tickNanos, 0xffffffff))
}

// bytesOf is the way back, rounded.
func bytesOf(ticks uint32, rate uint64) uint64 {
	return (uint64(ticks)*tickNanos*(rate/1000) + 5e5) / 1e6
}

func setQdisc(index int, q bridge.Qdisc) ([]request, error) {
	var w nlattr.Builder
	w.Raw(tcmsg(index, 0, rootParent, 0))
	w.String(tcaKind, q.Kind)
	if q.Kind == "tbf" {
		w.Nest(tcaOptions, func() {
			b := make([]byte, tbfQoptLen)
			rateSpec(b, q.Rate)
			ne.PutUint32(b[24:], q.Limit)
			ne.PutUint32(b[28:], ticks(uint64(q.Burst), q.Rate))
			w.Bytes(tbfParms, b)
			w.Uint32(tbfBurst, q.Burst)
			if q.Rate > 0xffffffff {
				w.Uint64(tbfRate64, q.Rate)
			}
			w.Bytes(tbfRTab, make([]byte, rtabLen))
		})
	}
	b, err := w.Payload()
	return []request{{unix.RTM_NEWQDISC, unix.NLM_F_CREATE | unix.NLM_F_REPLACE, b}}, err
}
