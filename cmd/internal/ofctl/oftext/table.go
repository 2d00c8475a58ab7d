// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// TableSetting is one setting of mod-table.
type TableSetting struct {
	// Versions are those of OpenFlow that have the setting.
	Versions ofp.Versions
	// Miss is what packets without a flow meet in OpenFlow 1.1 and 1.2: no version that package
	// openflow speaks has it.
	Miss           bool
	Evict, NoEvict bool
	Vacancy        bool
	Down, Up       uint8 // of Vacancy, per cent
	NoVacancy      bool
	Rename         bool
	Name           string
}

// ParseTableSetting reads a setting of a table (ovs-ofctl(8), mod-table).
func ParseTableSetting(s string) (t TableSetting, err error) {
	t.Versions = ofp.VersionSet(ofp.V14, ofp.V15)
	switch {
	case s == "drop" || s == "continue" || s == "controller":
		t.Miss, t.Versions = true, ofp.VersionSet(ofp.V11, ofp.V12)
	case strings.HasPrefix(s, "name:"):
		t.Rename, t.Name, t.Versions = true, s[len("name:"):], ofp.VersionSet(ofp.V13, ofp.V14, ofp.V15)
	case s == "evict":
		t.Evict = true
	case s == "noevict":
		t.NoEvict = true
	case s == "novacancy":
		t.NoVacancy = true
	case strings.HasPrefix(s, "vacancy:"):
		t.Vacancy = true
		t.Down, t.Up, err = parseVacancy(s[len("vacancy:"):])
	default:
		err = fmt.Errorf("invalid table_mod setting %s", s)
	}
	return t, err
}

func parseVacancy(s string) (down, up uint8, err error) {
	low, high, ok := strings.Cut(s, ",")
	d, err := strconv.ParseUint(low, 0, 8)
	if err != nil || d > 100 {
		return 0, 0, fmt.Errorf("Invalid vacancy down value \"%s\"", low)
	}
	if !ok || high == "" {
		return 0, 0, errors.New("Vacancy up value missing")
	}
	u, err := strconv.ParseUint(high, 0, 8)
	switch {
	case err != nil || u > 100:
		return 0, 0, fmt.Errorf("Invalid vacancy up value \"%s\"", high)
	case d > u:
		return 0, 0, fmt.Errorf("Invalid vacancy range, vacancy up should be greater than vacancy down (%v)", ofp.BPCBadValue)
	}
	return uint8(d), uint8(u), nil
}
