// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/boards"
	"github.com/weirswitch/weir/firmware/base/order"
)

// Identity reads the device tree's compatible strings and the DMI fields; of what the
// machine does not have it says nothing.
func (m *Machine) Identity() boards.Identity {
	id := boards.Identity{DMI: map[string]string{}}
	if text, err := os.ReadFile(filepath.Join(m.Sys, "firmware/devicetree/base/compatible")); err == nil {
		for _, c := range strings.Split(string(text), "\x00") {
			if c != "" {
				id.Compatible = append(id.Compatible, c)
			}
		}
	}
	for _, k := range []string{"sys_vendor", "product_name", "product_version", "board_vendor", "board_name"} {
		if v := line(filepath.Join(m.Sys, "class/dmi/id", k)); v != "" {
			id.DMI[k] = v
		}
	}
	return id
}

// Devices reads the network devices that have a bus device behind them, in the order of
// their interface indexes: what software made is no port of a board.
func (m *Machine) Devices() ([]boards.Device, error) {
	dir := filepath.Join(m.Sys, "class/net")
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no network in this kernel
	} else if err != nil {
		return nil, fmt.Errorf("network devices: %w", err)
	}
	type indexed struct {
		n int
		d boards.Device
	}
	var found []indexed
	for _, e := range entries {
		at := filepath.Join(dir, e.Name())
		bus, err := filepath.EvalSymlinks(filepath.Join(at, "device"))
		if err != nil {
			continue // not there, or gone since
		}
		d := boards.Device{
			Name: e.Name(), Path: bus, PhysPortName: line(filepath.Join(at, "phys_port_name")),
			MAC: line(filepath.Join(at, "address")),
		}
		// Renamed PCI functions keep the driver on the bus device; virtio's is on the
		// virtio device, which is what "device" points to.
		if drv, err := os.Readlink(filepath.Join(bus, "driver")); err == nil {
			d.Driver = filepath.Base(drv)
		}
		if flags, err := strconv.ParseUint(line(filepath.Join(at, "flags")), 0, 32); err == nil {
			d.Up = flags&1 != 0 // IFF_UP of linux/if.h
		}
		n, _ := strconv.Atoi(line(filepath.Join(at, "ifindex")))
		found = append(found, indexed{n, d})
	}
	order.Sort(found, func(a, b indexed) int {
		return cmp.Or(cmp.Compare(a.n, b.n), cmp.Compare(a.d.Name, b.d.Name))
	})
	out := make([]boards.Device, len(found))
	for i, f := range found {
		out[i] = f.d
	}
	return out, nil
}
