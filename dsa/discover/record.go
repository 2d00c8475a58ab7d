// SPDX-License-Identifier: Apache-2.0

package discover

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Record is what was read of a machine, undecoded. Each message is without
// netlink header; those of generic families without the generic header too.
type Record struct {
	Kernel    string           // release, for the reader
	Order     binary.ByteOrder // of the numbers in the messages
	Links     [][]byte         // RTM_GETLINK dump: struct ifinfomsg and attributes
	Ports     [][]byte         // devlink: DEVLINK_CMD_PORT_GET dump
	Infos     [][]byte         // devlink: DEVLINK_CMD_INFO_GET, one a chip that has it
	Resources [][]byte         // devlink: DEVLINK_CMD_RESOURCE_DUMP
	Devs      [][]byte         // netdev: NETDEV_CMD_DEV_GET dump
	// Facts are short values that no dump above has: "NAME/device/driver" (the
	// basename of that link in sysfs), "NAME/dsa/tagging", and
	// "NAME/hw-tc-offload" ("on"; a dump of ethtool's features is kilobytes).
	Facts map[string]string
}

const recordHead = "weir record 1"

// Bounds of a text that ParseRecord takes.
const (
	maxRecordLine     = 256 << 10 // bytes
	maxRecordMessages = 100_000
)

func (r *Record) sections() []struct {
	name string
	msgs *[][]byte
} {
	return []struct {
		name string
		msgs *[][]byte
	}{
		{"links", &r.Links}, {"devlink-ports", &r.Ports}, {"devlink-info", &r.Infos}, {"devlink-resources", &r.Resources},
		{"netdev", &r.Devs},
	}
}

// WriteTo writes r as text: a head, then sections of one message a line in
// hex, then the facts.
func (r *Record) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	order := "little"
	if r.Order == binary.ByteOrder(binary.BigEndian) {
		order = "big"
	}
	fmt.Fprintf(&b, "%s %s %s\n", recordHead, order, r.Kernel)
	for _, s := range r.sections() {
		fmt.Fprintf(&b, "[%s]\n", s.name)
		for _, m := range *s.msgs {
			fmt.Fprintf(&b, "%x\n", m)
		}
	}
	fmt.Fprintf(&b, "[facts]\n")
	for _, k := range slices.Sorted(maps.Keys(r.Facts)) {
		fmt.Fprintf(&b, "%s=%s\n", k, r.Facts[k])
	}
	n, err := io.WriteString(w, b.String())
	return int64(n), err
}

// ParseRecord reads what WriteTo wrote.
func ParseRecord(rd io.Reader) (*Record, error) {
	in := bufio.NewScanner(rd)
	in.Buffer(nil, maxRecordLine)
	r := &Record{Facts: map[string]string{}}
	sections := r.sections()
	var into *[][]byte
	inFacts, total := false, 0
	for n := 1; in.Scan(); n++ {
		line := in.Text()
		switch {
		case n == 1:
			rest, ok := strings.CutPrefix(line, recordHead+" ")
			order, kernel, _ := strings.Cut(rest, " ")
			switch {
			case ok && order == "little":
				r.Order = binary.LittleEndian
			case ok && order == "big":
				r.Order = binary.BigEndian
			default:
				return nil, fmt.Errorf("parse record, line 1: want %q and a byte order", recordHead)
			}
			r.Kernel = kernel
		case strings.HasPrefix(line, "["):
			inFacts, into = line == "[facts]", nil
			for _, s := range sections {
				if line == "["+s.name+"]" {
					into = s.msgs
				}
			}
			if !inFacts && into == nil {
				return nil, fmt.Errorf("parse record, line %d: no section is named %s", n, line)
			}
		case inFacts:
			k, v, ok := strings.Cut(line, "=")
			if !ok {
				return nil, fmt.Errorf("parse record, line %d: want name=value", n)
			}
			r.Facts[k] = v
		case into != nil:
			m, err := hex.DecodeString(line)
			if err != nil {
				return nil, fmt.Errorf("parse record, line %d: %w", n, err)
			}
			*into = append(*into, m)
		default:
			return nil, fmt.Errorf("parse record, line %d: a line before the first section", n)
		}
		if total++; total > maxRecordMessages {
			return nil, fmt.Errorf("parse record: more than %d lines", maxRecordMessages)
		}
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("parse record: %w", err)
	}
	if r.Order == nil {
		return nil, fmt.Errorf("parse record: it is empty")
	}
	return r, nil
}
