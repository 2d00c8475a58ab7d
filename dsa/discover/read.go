// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/weirswitch/weir/dsa"
	"github.com/weirswitch/weir/dsa/nlattr"
	"github.com/weirswitch/weir/dsa/nlconn"
	"github.com/weirswitch/weir/dsa/nlerr"
)

// Commands of the generic families (linux/devlink.h, netdev.h, ethtool_netlink.h).
const (
	cmdPortGet      = 5
	cmdInfoGet      = 51
	cmdResourceDump = 36
	cmdDevGet       = 1
	cmdFeaturesGet  = 11
)

// Reader reads one network namespace.
type Reader struct {
	route, generic *nlconn.Conn
	sysfs          string
}

// Open opens the network namespace of the calling thread. sysfs is where a
// sysfs of that namespace is mounted: "/sys".
func Open(sysfs string) (*Reader, error) {
	route, err := nlconn.Dial(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, err
	}
	generic, err := nlconn.Dial(unix.NETLINK_GENERIC)
	if err != nil {
		return nil, errors.Join(err, route.Close())
	}
	return &Reader{route: route, generic: generic, sysfs: sysfs}, nil
}

// Close frees what r holds.
func (r *Reader) Close() error { return errors.Join(r.route.Close(), r.generic.Close()) }

// Record reads the raw facts.
func (r *Reader) Record() (*Record, error) {
	rec := &Record{Order: nlattr.Native, Facts: map[string]string{}}
	var uts unix.Utsname
	if unix.Uname(&uts) == nil {
		rec.Kernel = unix.ByteSliceToString(uts.Release[:])
	}
	links, err := r.route.Dump(unix.RTM_GETLINK, make([]byte, ifinfomsgLen))
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	rec.Links = data(links)
	if err := r.readDevlink(rec); err != nil {
		return nil, err
	}
	if rec.Devs, err = r.dump("netdev", cmdDevGet, nil); err != nil {
		return nil, err
	}
	features, err := r.dump("ethtool", cmdFeaturesGet, func(w *nlattr.Builder) {
		w.Nest(featuresHeader, func() {})
	})
	if err != nil {
		return nil, err
	}
	hwTC := map[int]bool{}
	for _, m := range features {
		i, on, err := decodeFeatures(m, rec.Order)
		if err != nil {
			return nil, err
		}
		hwTC[i] = on
	}
	for _, m := range rec.Links {
		if l, ethernet, err := decodeLink(m, rec.Order); err == nil && ethernet {
			r.readSysfs(rec, l.Name)
			if hwTC[l.Index] {
				rec.Facts[l.Name+"/hw-tc-offload"] = "on"
			}
		}
	}
	return rec, nil
}

// Topology reads and builds. What could not be decoded is reported beside
// what could.
func (r *Reader) Topology() (dsa.Topology, error) {
	rec, err := r.Record()
	if err != nil {
		return dsa.Topology{}, err
	}
	return Build(rec)
}

func (r *Reader) dump(family string, cmd uint8, fill func(*nlattr.Builder)) ([][]byte, error) {
	f, err := r.generic.Family(family)
	if nlerr.Classify(err) == nlerr.Absent {
		return nil, nil // this kernel has no such family
	}
	if err != nil {
		return nil, err
	}
	msgs, err := r.generic.GenDump(f, cmd, fill)
	if nlerr.Classify(err) == nlerr.NotSupported {
		return nil, nil
	}
	return data(msgs), err
}

// readDevlink asks for the ports of all chips, then each chip for what not
// all have.
func (r *Reader) readDevlink(rec *Record) error {
	ports, err := r.dump("devlink", cmdPortGet, nil)
	if err != nil || ports == nil {
		return err
	}
	rec.Ports = ports
	f, err := r.generic.Family("devlink")
	if err != nil {
		return err
	}
	var handles []string
	for _, m := range ports {
		if p, err := decodeDevlinkPort(m, rec.Order); err == nil && !slices.Contains(handles, p.chip) {
			handles = append(handles, p.chip)
		}
	}
	for _, h := range handles {
		bus, dev, _ := strings.Cut(h, "/")
		one := func(w *nlattr.Builder) {
			w.String(dlBusName, bus)
			w.String(dlDevName, dev)
		}
		for _, q := range []struct {
			cmd  uint8
			into *[][]byte
		}{{cmdInfoGet, &rec.Infos}, {cmdResourceDump, &rec.Resources}} {
			msgs, err := r.generic.GenGet(f, q.cmd, one)
			switch nlerr.Classify(err) {
			case nlerr.None:
				*q.into = append(*q.into, data(msgs)...)
			case nlerr.NotSupported, nlerr.Gone, nlerr.Absent, nlerr.Invalid: // not every driver has it; a chip may go while we ask
			default:
				return fmt.Errorf("ask devlink %s: %w", h, err)
			}
		}
	}
	return nil
}

func (r *Reader) readSysfs(rec *Record, name string) {
	dir := filepath.Join(r.sysfs, "class/net", name)
	if target, err := os.Readlink(filepath.Join(dir, "device/driver")); err == nil {
		rec.Facts[name+"/device/driver"] = filepath.Base(target)
	}
	if b, err := fs.ReadFile(os.DirFS(dir), "dsa/tagging"); err == nil {
		rec.Facts[name+"/dsa/tagging"] = strings.TrimSpace(string(b))
	}
}

func data(msgs []nlconn.Message) [][]byte {
	out := make([][]byte, len(msgs))
	for i, m := range msgs {
		out[i] = m.Data
	}
	return out
}
