// SPDX-License-Identifier: Apache-2.0

package netdev

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net"
	"strings"

	"golang.org/x/sys/unix"
)

// Internal is an internal port as it should be.
type Internal struct {
	Name string           // of the near end, at most 15 bytes
	MAC  net.HardwareAddr // of the near end; nil: leave as it is
	MTU  int              // of both ends; 0: leave as it is
}

// InternalPort is an internal port as it is.
type InternalPort struct {
	Name string
	Near Link // zero if it was moved to another network namespace
	Far  Link // the datapath's
	// Elsewhere says that the near end is in another network namespace.
	Elsewhere bool
}

const (
	farPrefix   = "weir-"
	aliasPrefix = "weir internal port "
)

// FarName returns the name of the far end of the internal port of that name:
// "weir-" and 10 characters from a hash, 15 bytes, since the name itself may
// have that many.
func FarName(name string) string {
	h := sha256.Sum256([]byte(name))
	return farPrefix + strings.ToLower(base32.StdEncoding.EncodeToString(h[:]))[:unix.IFNAMSIZ-1-len(farPrefix)]
}

// Op is a step that makes an internal port what it should be.
type Op struct {
	Kind  OpKind
	Name  string           // of the internal port
	Index int              // of the device; 0 in OpCreate and what follows it: its near or far end by Far
	Far   bool             // the step is for the far end
	MAC   net.HardwareAddr // OpSetMAC
	MTU   int              // OpSetMTU
}

// OpKind says what an Op does.
type OpKind uint8

const (
	OpDelete OpKind = iota + 1 // the pair of device Index
	OpCreate                   // the pair
	OpQuiet                    // no IPv6 on the far end, and an alias that says whose it is
	OpSetMAC
	OpSetMTU
	OpSetUp
)

func (o Op) String() string {
	end := "near"
	if o.Far {
		end = "far"
	}
	switch o.Kind {
	case OpDelete:
		return fmt.Sprintf("delete device %d of %s", o.Index, o.Name)
	case OpCreate:
		return fmt.Sprintf("create %s, %s", o.Name, FarName(o.Name))
	case OpQuiet:
		return fmt.Sprintf("quiet far end of %s", o.Name)
	case OpSetMAC:
		return fmt.Sprintf("set address %v of %s end of %s", o.MAC, end, o.Name)
	case OpSetMTU:
		return fmt.Sprintf("set MTU %d of %s end of %s", o.MTU, end, o.Name)
	case OpSetUp:
		return fmt.Sprintf("set %s end of %s up", end, o.Name)
	}
	return "nothing"
}

// PlanInternals returns the steps, in order, from the devices that are present
// to the internal ports that are wanted. A pair that is there is adopted, never
// made anew, wherever its near end is now; one whose near end got another name
// is deleted. Without keep, pairs that are not wanted are deleted. A wanted
// name that another device has is left alone and in the error.
func PlanInternals(present []Link, wanted []Internal, keep bool) (ops []Op, err error) {
	byName := map[string]*Link{}
	for i := range present {
		byName[present[i].Name] = &present[i]
	}
	want := map[string]bool{}
	for _, w := range wanted {
		want[FarName(w.Name)] = true
	}
	if !keep {
		for _, p := range pairs(present) {
			if !want[p.Far.Name] {
				ops = append(ops, Op{Kind: OpDelete, Name: p.Name, Index: p.Far.Index})
			}
		}
	}
	var foreign []string
	for _, w := range wanted {
		near, far := byName[w.Name], byName[FarName(w.Name)]
		ours := far != nil && far.Kind == "veth"
		switch {
		case ours && far.PeerElsewhere && near == nil:
			ops = append(ops, adjust(w, nil, far)...)
			continue
		case ours && near != nil && !far.PeerElsewhere && far.Peer == near.Index:
			ops = append(ops, adjust(w, near, far)...)
			continue
		case near != nil:
			foreign = append(foreign, w.Name)
			continue
		case far != nil:
			ops = append(ops, Op{Kind: OpDelete, Name: w.Name, Index: far.Index})
		}
		ops = append(ops, Op{Kind: OpCreate, Name: w.Name}, Op{Kind: OpQuiet, Name: w.Name, Far: true})
		if w.MAC != nil {
			ops = append(ops, Op{Kind: OpSetMAC, Name: w.Name, MAC: w.MAC})
		}
		if w.MTU != 0 {
			ops = append(ops, Op{Kind: OpSetMTU, Name: w.Name, MTU: w.MTU}, Op{Kind: OpSetMTU, Name: w.Name, Far: true, MTU: w.MTU})
		}
		ops = append(ops, Op{Kind: OpSetUp, Name: w.Name, Far: true})
	}
	if foreign != nil {
		err = fmt.Errorf("internal port %s: a device of that name is there: %w", strings.Join(foreign, ", "), unix.EEXIST)
	}
	return ops, err
}

// adjust returns the steps for a pair that is there.
func adjust(w Internal, near, far *Link) (ops []Op) {
	if !far.Up { // half made
		ops = append(ops, Op{Kind: OpQuiet, Name: w.Name, Index: far.Index, Far: true})
	}
	if near != nil && w.MAC != nil && !bytes.Equal(w.MAC, near.MAC) {
		ops = append(ops, Op{Kind: OpSetMAC, Name: w.Name, Index: near.Index, MAC: w.MAC})
	}
	if w.MTU != 0 && near != nil && w.MTU != near.MTU {
		ops = append(ops, Op{Kind: OpSetMTU, Name: w.Name, Index: near.Index, MTU: w.MTU})
	}
	if w.MTU != 0 && w.MTU != far.MTU {
		ops = append(ops, Op{Kind: OpSetMTU, Name: w.Name, Index: far.Index, Far: true, MTU: w.MTU})
	}
	if !far.Up {
		ops = append(ops, Op{Kind: OpSetUp, Name: w.Name, Index: far.Index, Far: true})
	}
	return ops
}

// pairs returns the internal ports among the devices: veths whose name and
// alias, or name and peer's name, agree.
func pairs(present []Link) (ps []InternalPort) {
	byIndex := map[int]*Link{}
	for i := range present {
		byIndex[present[i].Index] = &present[i]
	}
	for _, f := range present {
		if f.Kind != "veth" || !strings.HasPrefix(f.Name, farPrefix) {
			continue
		}
		p := InternalPort{Far: f, Elsewhere: f.PeerElsewhere}
		if n := byIndex[f.Peer]; n != nil && !f.PeerElsewhere {
			p.Near = *n
		}
		name, ok := strings.CutPrefix(f.Alias, aliasPrefix)
		if !ok {
			name = p.Near.Name
		}
		if p.Name = name; name != "" && FarName(name) == f.Name {
			ps = append(ps, p)
		}
	}
	return ps
}
