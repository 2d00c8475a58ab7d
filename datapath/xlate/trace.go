// SPDX-License-Identifier: Apache-2.0

package xlate

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
)

// MaxTrace bounds a trace, in nodes: a resubmit loop has thousands of tables with
// any number of actions. What comes after is left out.
const MaxTrace = 20_000

// NodeKind says what a Node of a trace stands for.
type NodeKind uint8

const (
	NodeBridge NodeKind = iota // a bridge that the packet enters; below it the table
	NodeTable                  // a table searched, or the action set; below it what was done
	NodeAction                 // an action or instruction, as ovs-actions(7) writes it
	NodeDetail                 // what came of the action before
	NodeWarn                   // why it did less than it says
	NodeError                  // why the translation fails
)

// Node is one decision of a translation. Nodes are in the order of the decisions; what happened
// within a bridge or a table is below it, so a table that a resubmit searched follows the
// resubmit and has a list of its own.
type Node struct {
	Kind NodeKind
	Text string
	// Of a NodeTable that is the search of a table:
	Table    uint8
	Matched  bool
	Priority int32
	Cookie   uint64
	Subs     []*Node
}

// Trace is the record of a translation.
type Trace struct {
	Nodes []*Node
	// Start and Final are the packet at the start and at the end of the tables of the
	// first bridge, metadata and registers included.
	Start, Final flow.Key
	MaxTags      int  // the most VLAN tags that the packet had on its way
	Cut          bool // MaxTrace was reached
}

// tracer collects the nodes; nil collects nothing.
type tracer struct {
	list    *[]*Node
	n       int
	cut     bool
	tags    int
	learned []Learn
}

// add appends a node to the current list and returns it.
func (t *tracer) add(k NodeKind, text string) *Node {
	n := &Node{Kind: k, Text: text}
	if t.n >= MaxTrace {
		t.cut = true
		return n
	}
	t.n++
	*t.list = append(*t.list, n)
	return n
}

func (c *ctx) note(k NodeKind, text string) {
	if c.tr != nil {
		c.tr.add(k, text)
	}
}

func (c *ctx) notef(k NodeKind, format string, args ...any) {
	if c.tr != nil {
		c.tr.add(k, fmt.Sprintf(format, args...))
	}
}

// enter makes the list below a node the current one; leave takes what it returns.
func (c *ctx) enter(n *Node) *[]*Node {
	if c.tr == nil {
		return nil
	}
	old := c.tr.list
	c.tr.list = &n.Subs
	return old
}

func (c *ctx) leave(old *[]*Node) {
	if c.tr != nil {
		c.tr.list = old
	}
}

// enterBridge notes a bridge.
func (c *ctx) enterBridge() *[]*Node {
	if c.tr == nil {
		return nil
	}
	return c.enter(c.tr.add(NodeBridge, fmt.Sprintf("bridge(%q)", c.br.Name)))
}

// enterLast goes on with the list of the table searched last, where an action set
// is noted.
func (c *ctx) enterLast() *[]*Node {
	if c.tr == nil {
		return nil
	}
	if l := *c.tr.list; len(l) > 0 && l[len(l)-1].Kind == NodeTable {
		return c.enter(l[len(l)-1])
	}
	return c.tr.list
}

// enterTable notes the outcome of a search.
func (c *ctx) enterTable(tab uint8, r *ofproto.Rule, drop, packetIn bool) *[]*Node {
	if c.tr == nil {
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%2d. ", tab)
	switch {
	case r != nil:
		m := r.Match()
		if s := m.String(); s != "" {
			b.WriteString(s + ", ")
		}
		fmt.Fprintf(&b, "priority %d", r.Priority())
		if r.Cookie != 0 {
			fmt.Fprintf(&b, ", cookie 0x%x", r.Cookie)
		}
	case drop:
		b.WriteString(`Packets are IP fragments and the fragment handling mode is "drop".`)
	case packetIn:
		b.WriteString(`No match, and a "packet-in" is called for.`)
	default:
		b.WriteString("No match.")
	}
	n := c.tr.add(NodeTable, b.String())
	n.Table = tab
	if r != nil {
		n.Matched, n.Priority, n.Cookie = true, r.Priority(), r.Cookie
	}
	old := c.enter(n)
	switch {
	case r != nil && len(r.Instr.Apply) == 0 && r.Instr.String() == "drop", r == nil && !packetIn:
		c.note(NodeAction, "drop")
	case r == nil:
		c.note(NodeAction, "controller(reason=)") // as the stock switch prints its reason
	}
	return old
}

// enterSet notes the action set.
func (c *ctx) enterSet() *[]*Node {
	if c.tr == nil {
		return nil
	}
	return c.enter(c.tr.add(NodeTable, "--. Executing action set:"))
}

// noteNow notes the value that a subfield has got.
func (c *ctx) noteNow(s flow.Subfield) {
	if c.tr == nil {
		return
	}
	v := s.Get(&c.flow)
	text := ""
	if int(s.N) == s.Field.Bits() {
		text = flow.FormatValue(s.Field, v, flow.Ones(s.Field.Bits()))
	} else {
		text = flow.FormatValue(flow.FieldXXReg0, v, flow.Ones(128)) // plainly hexadecimal
	}
	c.notef(NodeDetail, "%v is now %s", s, text)
}

// noteSet notes the action set, "was" before it is emptied, "is" after additions.
func (c *ctx) noteSet(verb string) {
	if c.tr == nil {
		return
	}
	if list := orderSet(c.set); len(list) > 0 {
		c.notef(NodeDetail, "action set %s: %v", verb, list)
	} else {
		c.notef(NodeDetail, "action set %s empty", verb)
	}
}

// noteInstr notes an instruction.
func (c *ctx) noteInstr(in action.Instructions) {
	if c.tr != nil {
		c.note(NodeAction, in.String())
	}
}

// noteLearn notes an address that was new, once.
func (c *ctx) noteLearn(l Learn) {
	if c.tr == nil {
		return
	}
	for i, e := range c.tr.learned {
		if e == l {
			c.tr.learned = append(c.tr.learned[:i:i], c.tr.learned[i+1:]...)
			c.notef(NodeDetail, "learned that %s is on port %s in VLAN %d",
				flow.FormatValue(flow.FieldEthSrc, flow.U128{Lo: l.MAC}, flow.Ones(48)), c.br.Port(l.Port).Name, l.VLAN)
			return
		}
	}
}

// noteErr notes why the translation fails.
func (c *ctx) noteErr(err error) {
	switch err {
	case ErrTooDeep:
		c.notef(NodeError, "over max translation depth %d", MaxDepth)
	case ErrTooManyResubmits:
		c.notef(NodeError, "over %d resubmit actions", MaxResubmits)
	case ErrPushLabel:
		c.notef(NodeError, "dropping packet on which an MPLS push action can't be performed as it would have more MPLS LSEs than the %d supported.", MaxLabels)
	case ErrPopLabel:
		c.notef(NodeError, "dropping packet on which an MPLS pop action can't be performed as it has more MPLS LSEs than the %d supported.", MaxLabels)
	case ErrStackFull:
		c.notef(NodeError, "stack size exceeds %d", MaxStack)
	default:
		c.note(NodeError, err.Error())
	}
}
