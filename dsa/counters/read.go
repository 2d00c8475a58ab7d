// SPDX-License-Identifier: Apache-2.0

package counters

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/nlattr"
	"github.com/weirswitch/weir/dsa/nlconn"
	"github.com/weirswitch/weir/dsa/nlerr"
)

// Reader reads counters of one network namespace. It is for one goroutine.
type Reader struct {
	route, generic *nlconn.Conn
	ethtool        nlconn.Family
	sock           int
}

// Open opens the network namespace of the calling thread.
func Open() (*Reader, error) {
	route, err := nlconn.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	generic, err := nlconn.Dial(unix.NETLINK_GENERIC)
	if err != nil {
		return nil, errors.Join(err, route.Close())
	}
	r := &Reader{route: route, generic: generic, sock: -1}
	// A kernel without ethtool over netlink has no standard groups.
	if r.ethtool, err = generic.Family("ethtool"); err != nil && nlerr.Classify(err) != nlerr.Absent {
		return nil, errors.Join(err, r.Close())
	}
	if r.sock, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Close frees what r holds.
func (r *Reader) Close() error {
	err := errors.Join(r.route.Close(), r.generic.Close())
	if r.sock >= 0 {
		err = errors.Join(err, unix.Close(r.sock))
	}
	return err
}

// Port returns a port's counters. bridged says that its chip may forward its
// frames past the CPU. A device that is gone is an error of nlerr.Gone; what a
// driver does not have is unknown, with the reason as Source.
func (r *Reader) Port(p dsa.Port, bridged bool) (Counters, error) {
	link, err := r.link(p.Index)
	if err != nil {
		return Counters{}, fmt.Errorf("counters of %s: %w", p.Name, err)
	}
	var standard *Counters
	var stats map[string]uint64
	if p.OnChip() && bridged {
		if standard, err = r.standard(p.Index); err != nil {
			return Counters{}, fmt.Errorf("counters of %s: %w", p.Name, err)
		}
		if standard == nil || !standard.usable() {
			if stats, err = r.named(p.Name); err != nil {
				return Counters{}, fmt.Errorf("counters of %s: %w", p.Name, err)
			}
		}
	}
	return choose(p, bridged, standard, stats, link), nil
}

// link reads IFLA_STATS64 (struct rtnl_link_stats64, linux/if_link.h).
func (r *Reader) link(index int) (*LinkStats, error) {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	msgs, err := r.route.Get(unix.RTM_GETLINK, 0, b)
	if err != nil {
		return nil, err
	}
	for _, m := range msgs {
		if len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		a := nlattr.Parse(m.Data[unix.SizeofIfInfomsg:], nlattr.Native)
		for a.Next() {
			if v := a.Bytes(); a.Type() == unix.IFLA_STATS64 && len(v) >= 9*8 {
				n := func(i int) uint64 { return binary.NativeEndian.Uint64(v[8*i:]) }
				return &LinkStats{n(0), n(1), n(2), n(3), n(4), n(5), n(6), n(7), n(8)}, nil
			}
		}
		if err := a.Err(); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

const (
	cmdStatsGet    = 32 // ETHTOOL_MSG_STATS_GET
	statsHeader    = 2
	statsGroups    = 3
	headerDevIndex = 1
	bitsetNoMask   = 1
	bitsetSize     = 2
	bitsetValue    = 4
	groupsWanted   = 1<<idPHY | 1<<idMAC | 1<<idRMON
	groupsSize     = 5 // __ETHTOOL_STATS_CNT grows; unknown bits may be left out
)

// standard asks for the standard groups; nil if the driver has none.
func (r *Reader) standard(index int) (*Counters, error) {
	if r.ethtool.ID == 0 {
		return nil, nil
	}
	msgs, err := r.generic.GenGet(r.ethtool, cmdStatsGet, func(w *nlattr.Builder) {
		w.Nest(statsHeader, func() { w.Uint32(headerDevIndex, uint32(index)) })
		w.Nest(statsGroups, func() {
			w.Bytes(bitsetNoMask, nil)
			w.Uint32(bitsetSize, groupsSize-1)
			w.Uint32(bitsetValue, groupsWanted)
		})
	})
	switch nlerr.Classify(err) {
	case nlerr.None:
	case nlerr.NotSupported, nlerr.Invalid:
		return nil, nil
	default:
		return nil, err
	}
	for _, m := range msgs {
		c, err := fromStandard(m.Data)
		if err != nil {
			return nil, err
		}
		return &c, nil
	}
	return nil, nil
}

// linux/ethtool.h.
const (
	ethtoolGStrings  = 0x1b
	ethtoolGStats    = 0x1d
	ethtoolGSSetInfo = 0x37
	ethSSStats       = 1
	stringLen        = 32 // ETH_GSTRING_LEN
	maxStats         = 4096
)

// ifreqPtr is struct ifreq with ifr_data; 40 bytes or 32.
type ifreqPtr struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [24 - unsafe.Sizeof(uintptr(0))]byte
}

func (r *Reader) ioctl(name string, b []byte) error {
	if len(name) >= unix.IFNAMSIZ {
		return unix.ENODEV
	}
	req := ifreqPtr{data: unsafe.Pointer(&b[0])}
	copy(req.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(r.sock), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	runtime.KeepAlive(b)
	if errno != 0 {
		return errno
	}
	return nil
}

// named reads ethtool -S; nil if the driver has none. The counts of names and
// values are asked and given apart, so a set that changed in between gives
// none this time.
func (r *Reader) named(name string) (map[string]uint64, error) {
	ne := binary.NativeEndian
	info := make([]byte, 16+4) // cmd, reserved, mask of 8 bytes, one count
	ne.PutUint32(info, ethtoolGSSetInfo)
	ne.PutUint64(info[8:], 1<<ethSSStats)
	if err := r.ioctl(name, info); nlerr.Classify(err) == nlerr.NotSupported {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("ethtool statistics: %w", err)
	}
	n := int(ne.Uint32(info[16:]))
	if ne.Uint64(info[8:]) == 0 || n == 0 {
		return nil, nil
	}
	if n > maxStats {
		return nil, fmt.Errorf("ethtool statistics: %d are more than %d", n, maxStats)
	}
	texts := make([]byte, 12+n*stringLen) // cmd, set, count
	ne.PutUint32(texts, ethtoolGStrings)
	ne.PutUint32(texts[4:], ethSSStats)
	ne.PutUint32(texts[8:], uint32(n))
	values := make([]byte, 8+n*8) // cmd, count
	ne.PutUint32(values, ethtoolGStats)
	ne.PutUint32(values[4:], uint32(n))
	if err := errors.Join(r.ioctl(name, texts), r.ioctl(name, values)); err != nil {
		return nil, fmt.Errorf("ethtool statistics: %w", err)
	}
	if int(ne.Uint32(texts[8:])) != n || int(ne.Uint32(values[4:])) != n {
		return nil, nil
	}
	stats := make(map[string]uint64, n)
	for i := range n {
		stats[unix.ByteSliceToString(texts[12+i*stringLen:12+(i+1)*stringLen])] = ne.Uint64(values[8+i*8:])
	}
	return stats, nil
}
