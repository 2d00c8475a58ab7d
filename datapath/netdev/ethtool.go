// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"encoding/binary"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// EthInfo is what ethtool knows of a device.
type EthInfo struct {
	SpeedBps      uint64 // bits per second; 0: unknown
	Duplex        string // "full", "half", or "" for unknown
	Driver        string
	DriverVersion string
	Firmware      string
}

// ethtoolCmd is struct ethtool_cmd (linux/ethtool.h), for ETHTOOL_GSET:
//
//	0 cmd 4 supported 8 advertising 12 speed (16 bits, low) 14 duplex
//	15 port 16 phy 17 transceiver 18 autoneg 19 mdio 20 maxtx 24 maxrx
//	28 speed (16 bits, high) 30 mdix 31 mdix ctrl 32 lp_advertising 36 reserved
type ethtoolCmd [44]byte

const ethtoolGSet = 1 // ETHTOOL_GSET

// ifreqPtr is struct ifreq with ifr_data; 40 bytes or 32.
type ifreqPtr struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [24 - unsafe.Sizeof(uintptr(0))]byte
}

// Ethtool asks the driver of a device. What it does not know is zero.
func (l *Links) Ethtool(name string) (e EthInfo) {
	if d, err := unix.IoctlGetEthtoolDrvinfo(l.eth, name); err == nil {
		e.Driver = unix.ByteSliceToString(d.Driver[:])
		e.DriverVersion = unix.ByteSliceToString(d.Version[:])
		e.Firmware = unix.ByteSliceToString(d.Fw_version[:])
	}
	if len(name) >= unix.IFNAMSIZ {
		return e
	}
	var c ethtoolCmd
	binary.NativeEndian.PutUint32(c[:], ethtoolGSet)
	r := ifreqPtr{data: unsafe.Pointer(&c)}
	copy(r.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(l.eth), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&r)))
	runtime.KeepAlive(&c)
	if errno != 0 {
		return e
	}
	mbps := uint32(binary.NativeEndian.Uint16(c[12:])) | uint32(binary.NativeEndian.Uint16(c[28:]))<<16
	if mbps != ^uint32(0) && mbps != 0xffff {
		e.SpeedBps = uint64(mbps) * 1_000_000
	}
	switch c[14] {
	case 0:
		e.Duplex = "half"
	case 1:
		e.Duplex = "full"
	}
	return e
}
