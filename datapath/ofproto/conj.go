// SPDX-License-Identifier: Apache-2.0

package ofproto

import (
	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/classifier"
)

// conjunctive reports whether a rule with these instructions only says that a clause of a
// conjunction is fulfilled. The codec takes care that it does nothing else (but notes).
func conjunctive(in *action.Instructions) bool {
	for _, a := range in.Apply {
		if _, ok := a.(action.Conjunction); ok {
			return true
		}
	}
	return false
}

// Conjunctive reports whether r only fulfils clauses of conjunctions.
func (r *Rule) Conjunctive() bool { return r.cr.Soft() }

// clauses calls yield for every clause that r fulfils.
func clauses(r *Rule, yield func(classifier.Clause)) {
	for _, a := range r.Instr.Apply {
		if c, ok := a.(action.Conjunction); ok {
			yield(classifier.Clause{ID: c.ID, N: c.Clause, Of: c.Clauses})
		}
	}
}
