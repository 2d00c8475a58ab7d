// SPDX-License-Identifier: Apache-2.0

package ofp

import "errors"

// Kind is a reason to refuse a message, independent of the version: its String
// is the name in the specification or in Open vSwitch ("OFPBRC_BAD_LEN").
type Kind uint16

// Experimenter numbers.
const (
	nicira = 0x00002320
	onf    = 0x4f4e4600
	none   = 0xffffffff
)

// Numbers are the wire numbers of a Kind in one version. For an experimenter's
// error in version 1.0 and 1.1, Type and Code are those within the vendor's
// structure (16 bits each); from 1.2 on only Type exists there.
type Numbers struct {
	Experimenter uint32 // 0: a standard error
	Type, Code   uint16
}

// stretch is a run of versions, from one up to the next stretch.
type stretch struct {
	from         Version
	experimenter uint32
	typ, code    uint16
}

type kindInfo struct {
	name string
	wire []stretch
}

// Numbers returns the wire numbers of k in version v; ok is false if v has no
// such error.
func (k Kind) Numbers(v Version) (n Numbers, ok bool) {
	if k >= numKinds {
		return n, false
	}
	for _, s := range kinds[k].wire {
		if s.from <= v {
			n, ok = Numbers{s.experimenter, s.typ, s.code}, s.experimenter != none
		}
	}
	if !ok {
		n = Numbers{}
	}
	return n, ok
}

// KindFor returns the kind that has the numbers n in version v, NoError if none
// has. Where several kinds share numbers it is the first.
func KindFor(v Version, n Numbers) Kind {
	for k := NoError + 1; k < numKinds; k++ {
		if m, ok := k.Numbers(v); ok && m == n {
			return k
		}
	}
	return NoError
}

func (k Kind) String() string {
	if k > NoError && k < numKinds {
		return kinds[k].name
	}
	return "no error"
}

// Error makes a Kind usable as an error and as a target of errors.Is.
func (k Kind) Error() string { return k.String() }

// Kinds returns all kinds, in order.
func Kinds() []Kind {
	ks := make([]Kind, 0, numKinds-1)
	for k := NoError + 1; k < numKinds; k++ {
		ks = append(ks, k)
	}
	return ks
}

// KindOf returns the Kind that err wraps; BRCBadLen, the least specific of the
// reasons to refuse a message, if there is none.
func KindOf(err error) Kind {
	var k Kind
	if errors.As(err, &k) {
		return k
	}
	return BRCBadLen
}
