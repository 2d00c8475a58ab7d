// SPDX-License-Identifier: Apache-2.0

package oftext

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/openflow/ofp"
	"github.com/weirswitch/weir/firmware/base/order"
)

// Group is a group, or a change of one, as a user writes it.
type Group struct {
	openflow.GroupMod
	Usable Protocols
}

// noBucketID is the number of a bucket to which the user gave none.
const noBucketID = openflow.BucketAll

// methodMax is the length of the name of a selection method, bytes.
const methodMax = 15

// groupKeys says which keys a group's command takes (ovs-ofctl(8), Group Syntax).
type groupKeys struct{ typ, buckets, command, all bool }

func groupKeysOf(c openflow.GroupModCommand) groupKeys {
	switch c {
	case openflow.GroupAdd, openflow.GroupModify, openflow.GroupAddOrModify:
		return groupKeys{typ: true, buckets: true}
	case openflow.GroupInsertBucket:
		return groupKeys{buckets: true, command: true}
	case openflow.GroupRemoveBucket:
		return groupKeys{command: true, all: true}
	}
	return groupKeys{}
}

// groupCommands are the words that a line of a file may begin with.
var groupCommands = []struct {
	word string
	c    openflow.GroupModCommand
}{
	{"add", openflow.GroupAdd}, {"modify", openflow.GroupModify}, {"add_or_mod", openflow.GroupAddOrModify},
	{"delete", openflow.GroupDelete}, {"insert_bucket", openflow.GroupInsertBucket}, {"remove_bucket", openflow.GroupRemoveBucket},
}

// ParseGroup reads a group for command c.
func ParseGroup(s string, c openflow.GroupModCommand, n Names) (*Group, error) {
	g := &Group{Usable: Any, GroupMod: openflow.GroupMod{Command: c, CommandBucket: openflow.BucketAll}}
	g.Group = action.GroupAny
	keys := groupKeysOf(c)
	s, buckets, hasBuckets := strings.Cut(s, "bucket=")
	if hasBuckets && !keys.buckets {
		return nil, errors.New("bucket is not needed")
	}
	r := groupReader{g: g, keys: keys}
	for _, kv := range keyValues(s) {
		if err := r.key(kv); err != nil {
			return nil, err
		}
	}
	sel := &g.Selection
	switch {
	case g.Group == action.GroupAny:
		return nil, errors.New("must specify a group_id")
	case keys.typ && !r.hasType:
		return nil, errors.New("must specify a type")
	case keys.command && !r.hasCommand && !keys.all:
		return nil, errors.New("must specify a command bucket id")
	case len(sel.Fields) > 0 && sel.Method != "hash":
		return nil, errors.New(`fields may only be specified with "selection_method=hash"`)
	case sel.Param != 0 && sel.Method == "":
		return nil, errors.New(`selection_method_param is only allowed with "selection_method"`)
	}
	if !hasBuckets && (keys.command || sel.Method != "") {
		g.Usable = OF10 | OF10TID | NXM | NXMTID | OXM15 // with buckets stock takes any
	}
	for more := hasBuckets; more; {
		var one string
		one, buckets, more = strings.Cut(buckets, "bucket=")
		b, u, err := parseBucket(one, g.Type, n)
		if err != nil {
			return nil, err
		}
		g.Buckets = append(g.Buckets, b)
		g.Usable = u // of the last one, as in the stock tool
		if b.Weight != 0 && g.Type != openflow.GroupTypeSelect && r.hasType {
			return nil, errors.New("Only select groups can have bucket weights.")
		}
		if g.Type == openflow.GroupTypeIndirect && len(g.Buckets) > 1 {
			return nil, errors.New("Indirect groups can have at most one bucket.")
		}
	}
	numberBuckets(g.Buckets)
	return g, nil
}

// numberBuckets counts the buckets without a number, passing over the numbers of those behind; that one
// before may have it is for the switch to say, as with the stock tool.
func numberBuckets(bs []openflow.Bucket) {
	next := uint32(0)
	for i := range bs {
		if bs[i].ID != noBucketID {
			continue
		}
		for slices.ContainsFunc(bs[i+1:], func(b openflow.Bucket) bool { return b.ID == next }) {
			next++
		}
		bs[i].ID = next
		next++
	}
}

// groupReader reads the words before the buckets.
type groupReader struct {
	g                   *Group
	keys                groupKeys
	hasType, hasCommand bool
}

func (r *groupReader) key(kv keyValue) (err error) {
	g := r.g
	unneeded := func(what string, needed bool) error {
		if needed {
			return nil
		}
		return fmt.Errorf("%s not needed", what)
	}
	switch kv.key {
	case "command_bucket_id":
		if err := unneeded("command bucket id is", r.keys.command); err != nil {
			return err
		}
		r.hasCommand = true
		switch kv.value {
		case "all":
			if !r.keys.all {
				return errors.New("command_bucket_id=all is not permitted")
			}
			g.CommandBucket = openflow.BucketAll
		case "first":
			g.CommandBucket = openflow.BucketFirst
		case "last":
			g.CommandBucket = openflow.BucketLast
		default:
			if g.CommandBucket, err = parseWord(kv.value); err == nil && g.CommandBucket > openflow.BucketMax &&
				(g.CommandBucket < openflow.BucketFirst || g.CommandBucket == openflow.BucketAll && !r.keys.all) {
				err = fmt.Errorf("invalid command bucket id %d", g.CommandBucket)
			}
		}
	case "group_id":
		if g.Group = action.GroupAll; kv.value != "all" {
			if g.Group, err = parseWord(kv.value); err == nil && g.Group != action.GroupAll && g.Group > action.GroupMax {
				err = fmt.Errorf("invalid group id %d", g.Group)
			}
		}
	case "type":
		if err := unneeded("type is", r.keys.typ); err != nil {
			return err
		}
		r.hasType = true
		g.Type, err = parseGroupType(kv.value)
	case "selection_method":
		if err := unneeded("selection method is", r.keys.typ); err != nil {
			return err
		}
		if g.Selection.Method = kv.value; len(kv.value) > methodMax {
			err = fmt.Errorf("selection method is longer than %d bytes long", methodMax)
		}
	case "selection_method_param":
		if err := unneeded("selection method param is", r.keys.typ); err != nil {
			return err
		}
		g.Selection.Param, err = parseU64(kv.value)
	case "fields":
		if err := unneeded("fields are", r.keys.typ); err != nil {
			return err
		}
		g.Selection.Fields, err = parseSelectFields(kv.value)
	default:
		err = fmt.Errorf("unknown keyword %s", kv.key)
	}
	return err
}

func parseGroupType(s string) (openflow.GroupType, error) {
	switch s {
	case "all":
		return openflow.GroupTypeAll, nil
	case "select":
		return openflow.GroupTypeSelect, nil
	case "indirect":
		return openflow.GroupTypeIndirect, nil
	case "ff", "fast_failover":
		return openflow.GroupTypeFF, nil
	}
	return 0, fmt.Errorf("invalid group type %s", s)
}

// parseSelectFields reads the fields of a selection method; a value is a mask.
func parseSelectFields(s string) (fs []openflow.SelectField, err error) {
	for _, kv := range keyValues(s) {
		f, ok := flow.FieldByName(kv.key)
		if !ok {
			return nil, fmt.Errorf(": unknown field %s", kv.key)
		}
		mask := flow.Ones(f.Bits())
		if kv.value != "" {
			if strings.Contains(kv.value, "/") {
				return nil, fmt.Errorf("%s: wildcards not allowed here", kv.value)
			}
			v, _, err := flow.ParseValue(f, kv.value)
			if err != nil {
				return nil, err
			}
			switch mask = v; {
			case mask.IsZero():
				return nil, errors.New(": values are wildcards here and must not be all-zeros")
			case !f.Maskable() && mask != flow.Ones(f.Bits()):
				return nil, fmt.Errorf("%s: invalid mask for field %s", kv.value, kv.key)
			}
		}
		fs = slices.DeleteFunc(fs, func(o openflow.SelectField) bool { return o.Field == f })
		fs = append(fs, openflow.SelectField{Field: f, Mask: mask})
	}
	order.Sort(fs, func(a, b openflow.SelectField) int { return cmp.Compare(a.Field, b.Field) })
	return fs, nil
}

// parseBucket reads what stands behind one "bucket=".
func parseBucket(s string, typ openflow.GroupType, n Names) (openflow.Bucket, Protocols, error) {
	b := openflow.Bucket{ID: noBucketID, WatchPort: action.PortAny, WatchGroup: action.GroupAny}
	if typ == openflow.GroupTypeSelect {
		b.Weight = 1
	}
	var acts []string
	for _, kv := range keyValues(s) {
		var err error
		switch strings.ToLower(kv.key) {
		case "weight":
			b.Weight, err = parseU16(keyValue{key: "weight", value: kv.value})
		case "watch_port":
			if b.WatchPort, err = ParsePort(kv.value, n); err != nil || b.WatchPort > action.PortMax && b.WatchPort != action.PortAny {
				err = fmt.Errorf("%s: invalid watch_port", kv.value)
			}
		case "watch_group":
			if b.WatchGroup, err = parseWord(kv.value); err == nil && b.WatchGroup != action.GroupAny && b.WatchGroup > action.GroupMax {
				err = fmt.Errorf("invalid watch_group id %d", b.WatchGroup)
			}
		case "bucket_id":
			if b.ID, err = parseWord(kv.value); err == nil && b.ID > openflow.BucketMax {
				err = fmt.Errorf("invalid bucket_id id %d", b.ID)
			}
		case "action", "actions":
			acts = append(acts, kv.value)
		default:
			acts = append(acts, kv.word())
		}
		if err != nil {
			return b, 0, err
		}
	}
	if len(acts) == 0 {
		return b, 0, errors.New("bucket must specify actions")
	}
	if typ == openflow.GroupTypeFF && b.WatchPort == action.PortAny && b.WatchGroup == action.GroupAny {
		return b, 0, errors.New("fast failover bucket requires watch_port or watch_group")
	}
	l, err := action.ParseBucket(strings.Join(acts, ","), action.Names{Ports: n.Ports, Tables: n.Tables})
	if err != nil {
		return b, 0, err
	}
	b.Actions = l
	return b, usableList(b.Actions, Any), nil
}

// Sendable refuses what version v has no message for, where Usable does not say it.
func (g *Group) Sendable(v ofp.Version) error {
	if v > ofp.V10 && v < ofp.V15 && g.Command == openflow.GroupInsertBucket {
		return errors.New("insert-bucket needs OpenFlow 1.5 or later ('-O OpenFlow15')")
	}
	return nil
}

// ParseGroups reads the groups of a file; a line may begin with its command, c is
// that of the others. The result says which formats can carry all.
func ParseGroups(name, s string, c openflow.GroupModCommand, n Names) (gs []*Group, usable Protocols, err error) {
	usable = Any
	for _, l := range flowLines(s) {
		cmd, rest := groupCommand(l.text, c)
		g, err := ParseGroup(rest, cmd, n)
		if err != nil {
			return nil, 0, atLine(name, l.number, err)
		}
		usable &= g.Usable
		gs = append(gs, g)
	}
	return gs, usable, nil
}

// groupCommand takes the command off a line.
func groupCommand(s string, c openflow.GroupModCommand) (openflow.GroupModCommand, string) {
	for _, w := range groupCommands {
		if r, ok := strings.CutPrefix(s, w.word); ok && (r == "" || r[0] == ' ' || r[0] == '\t') {
			return w.c, strings.TrimLeft(r, " \t")
		}
	}
	return c, s
}
