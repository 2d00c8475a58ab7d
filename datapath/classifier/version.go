// SPDX-License-Identifier: Apache-2.0

package classifier

// Version numbers the states of a classifier that lookups can see. It counts up by one and wraps;
// only neighbours are compared, because a rule that has settled has none. 0 is no version: a rule
// from 0 was always there, and one until 0 stays.
type Version uint32

// Next returns the version after v.
func (v Version) Next() Version {
	if v++; v == 0 {
		v = 1
	}
	return v
}

// before reports whether v is older than o.
func (v Version) before(o Version) bool { return int32(v-o) < 0 }

// Span is the versions from From until before Until; 0: no such end. The zero Span is all.
type Span struct{ From, Until Version }

// In reports whether at is one of them.
func (s Span) In(at Version) bool {
	return s == Span{} || (s.From == 0 || !at.before(s.From)) && (s.Until == 0 || at.before(s.Until))
}

// In reports whether r is there in version at.
func (r *Rule[V]) In(at Version) bool { return r.span.In(at) }

// From returns the version with which r came; 0: it was always there.
func (r *Rule[V]) From() Version { return r.span.From }

// Retire says that r is not there in version until and later; 0: it stays. It still takes its
// place until Remove.
func (r *Rule[V]) Retire(until Version) { r.span.Until = until }

// Settle says that r, which was there since a version that all lookups see, was always there.
func (r *Rule[V]) Settle() { r.span.From = 0 }
