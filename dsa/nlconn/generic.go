// SPDX-License-Identifier: Apache-2.0

package nlconn

import (
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa/nlattr"
)

// Family is a generic netlink family (linux/genetlink.h) as the kernel
// numbered it.
type Family struct {
	Name   string
	ID     uint16
	Groups map[string]uint32 // multicast groups for Dial
}

// Family asks for a family by name: "devlink", "ethtool", "netdev". A kernel
// without it answers nlerr.Absent. c is of unix.NETLINK_GENERIC.
func (c *Conn) Family(name string) (Family, error) {
	var w nlattr.Builder
	w.Raw(genHeader(unix.CTRL_CMD_GETFAMILY))
	w.String(unix.CTRL_ATTR_FAMILY_NAME, name)
	b, err := w.Payload()
	if err != nil {
		return Family{}, err
	}
	msgs, err := c.Get(unix.GENL_ID_CTRL, 0, b)
	if err != nil {
		return Family{}, fmt.Errorf("ask for netlink family %s: %w", name, err)
	}
	f := Family{Name: name, Groups: map[string]uint32{}}
	for _, m := range msgs {
		if len(m.Data) < genHeaderLen {
			continue
		}
		a := nlattr.Parse(m.Data[genHeaderLen:], nlattr.Native)
		for a.Next() {
			switch a.Type() {
			case unix.CTRL_ATTR_FAMILY_ID:
				f.ID = a.Uint16()
			case unix.CTRL_ATTR_MCAST_GROUPS:
				for g := a.Nested(); g.Next(); {
					var id uint32
					var group string
					for i := g.Nested(); i.Next(); {
						switch i.Type() {
						case unix.CTRL_ATTR_MCAST_GRP_ID:
							id = i.Uint32()
						case unix.CTRL_ATTR_MCAST_GRP_NAME:
							group = i.String()
						}
					}
					f.Groups[group] = id
				}
			}
		}
		if err := a.Err(); err != nil {
			return Family{}, fmt.Errorf("ask for netlink family %s: %w", name, err)
		}
	}
	if f.ID == 0 {
		return Family{}, fmt.Errorf("ask for netlink family %s: %w", name, unix.ENOENT)
	}
	return f, nil
}

const genHeaderLen = 4 // struct genlmsghdr: command, version, reserved

func genHeader(cmd uint8) []byte { return []byte{cmd, 1, 0, 0} }

// GenDump dumps by a command of a generic family; fill appends attributes and
// may be nil. The messages' data begin behind the generic header.
func (c *Conn) GenDump(f Family, cmd uint8, fill func(*nlattr.Builder)) ([]Message, error) {
	return c.gen(f, cmd, fill, func(b []byte) ([]Message, error) { return c.Dump(f.ID, b) })
}

// GenGet asks for one object.
func (c *Conn) GenGet(f Family, cmd uint8, fill func(*nlattr.Builder)) ([]Message, error) {
	return c.gen(f, cmd, fill, func(b []byte) ([]Message, error) { return c.Get(f.ID, 0, b) })
}

func (c *Conn) gen(f Family, cmd uint8, fill func(*nlattr.Builder), ask func([]byte) ([]Message, error)) ([]Message, error) {
	var w nlattr.Builder
	w.Raw(genHeader(cmd))
	if fill != nil {
		fill(&w)
	}
	b, err := w.Payload()
	if err != nil {
		return nil, err
	}
	msgs, err := ask(b)
	if err != nil {
		return nil, fmt.Errorf("%s command %d: %w", f.Name, cmd, err)
	}
	out := msgs[:0]
	for _, m := range msgs {
		if len(m.Data) >= genHeaderLen {
			m.Data = m.Data[genHeaderLen:]
			out = append(out, m)
		}
	}
	return out, nil
}
