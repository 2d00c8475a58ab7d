// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"slices"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
)

// FlowLearn is a flow that packets make the switch learn.
type FlowLearn struct {
	Bridge *Bridge
	Flow   *ofproto.Learn
}

// Equal reports whether f and o are the same.
func (f FlowLearn) Equal(o FlowLearn) bool { return f.Bridge == o.Bridge && f.Flow.Equal(o.Flow) }

// Fin shortens the timeouts of a rule, to these seconds, when a packet has FIN or RST.
type Fin struct {
	Bridge     *Bridge
	Rule       *ofproto.Rule
	Idle, Hard uint16
}

// learnFlow executes a learn. The caller of Translate does what it asks for.
func (c *ctx) learnFlow(a *action.Learn) {
	for i := range a.Specs {
		if s := &a.Specs[i].Src; s.Field != flow.FieldNone {
			c.needField(s.Field, s.Mask())
		}
	}
	if c.noLearn {
		c.note(NodeWarn, "suppressing side effects, so learn action ignored")
		return
	}
	if len(c.res.Flows) >= MaxActions {
		c.fail(ErrTooManyActions)
		return
	}
	l := ofproto.NewLearn(a, &c.flow)
	if c.tr != nil {
		c.note(NodeDetail, l.String())
	}
	room := true
	switch {
	case l.Table >= ofproto.HiddenTable:
		c.notef(NodeError, "LEARN action execution failed (%v).", ofp.BRCEperm)
	default:
		if a.Limit != 0 {
			room = c.room(l)
		}
		if room && !slices.ContainsFunc(c.res.Flows, func(f FlowLearn) bool { return f.Equal(FlowLearn{c.br, l}) }) {
			c.res.Flows = append(c.res.Flows, FlowLearn{c.br, l})
		}
	}
	if a.Result.Field != flow.FieldNone && a.Result.Valid() {
		v := flow.U128{}
		if room {
			v.Lo = 1
		}
		c.setField(a.Result.Field, v.Lsh(uint(a.Result.Ofs)), a.Result.Mask())
		c.noteNow(a.Result)
	}
	if !room {
		c.note(NodeDetail, "Limit exceeded, learn failed")
	}
}

// room reports whether the limit of l lets it be in its table. The translation depends on that: on the
// rule if it is there, else on how many there are.
func (c *ctx) room(l *ofproto.Learn) bool {
	r, room := c.br.OF.Learned(l)
	d := Dep{Bridge: c.br, Kind: DepRoom, Port: action.Port(l.Table), MAC: l.Cookie}
	if r != nil {
		d = Dep{Bridge: c.br, Kind: DepLearned, Port: action.Port(l.Table), Rule: r}
	}
	if !slices.Contains(c.res.Deps, d) {
		c.res.Deps = append(c.res.Deps, d)
	}
	return room
}

// finTimeout executes a fin_timeout. Which packets end a connection the datapath tells.
func (c *ctx) finTimeout(a action.FinTimeout) {
	c.needField(flow.FieldIPProto, flow.Ones(8))
	if f := (Fin{c.br, c.rule, a.Idle, a.Hard}); c.rule != nil && !slices.Contains(c.res.Fins, f) {
		c.res.Fins = append(c.res.Fins, f)
	}
}
