// SPDX-License-Identifier: Apache-2.0

package ofp

import "fmt"

// Version is an OpenFlow version as it stands on the wire.
type Version uint8

// The versions.
const (
	V10 Version = 1 + iota
	V11
	V12
	V13
	V14
	V15
)

func (v Version) String() string {
	if v >= V10 && v <= V15 {
		return fmt.Sprintf("OpenFlow1%d", v-1)
	}
	return fmt.Sprintf("0x%02x", uint8(v))
}

// ParseVersion reads a name as in Bridge.protocols: "OpenFlow13".
func ParseVersion(s string) (Version, bool) {
	for v := V10; v <= V15; v++ {
		if s == v.String() {
			return v, true
		}
	}
	return 0, false
}

// Versions is a set of versions: bit n stands for version n, as in the bitmap
// of a hello message (OpenFlow 1.3.1, A.5.1).
type Versions uint32

// VersionSet returns the set of vs.
func VersionSet(vs ...Version) (s Versions) {
	for _, v := range vs {
		s |= 1 << v
	}
	return s
}

// Has reports whether v is in s.
func (s Versions) Has(v Version) bool { return v < 32 && s>>v&1 != 0 }

// Max returns the highest version of s, 0 if s is empty.
func (s Versions) Max() (v Version) {
	for i := Version(0); i < 32; i++ {
		if s.Has(i) {
			v = i
		}
	}
	return v
}
