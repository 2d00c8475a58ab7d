// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/weirswitch/weir/datapath/flow"
	"github.com/weirswitch/weir/datapath/ofproto"
	"github.com/weirswitch/weir/datapath/trace"
	"github.com/weirswitch/weir/datapath/upcall"
	"github.com/weirswitch/weir/firmware/base/unixctl"
	"github.com/weirswitch/weir/firmware/switchd/odp"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// errNoBridge is stock's text for a bridge that is not there.
var errNoBridge = errors.New("no such bridge")

// commands returns the control commands of the switch. Each runs in the
// reconciler's goroutine, between two runs. Those that only look answer with an
// error if they panic; a panic in one that changes something ends the daemon, for
// what it leaves may be half changed, and a new one starts from what is whole.
func (r *reconciler) commands(ctx context.Context) []unixctl.Command {
	changes := func(f func(args []string) (string, error)) func([]string) (string, error) {
		return func(args []string) (text string, err error) {
			if e := r.do(ctx, func() { text, err = f(args) }); e != nil {
				return "", e
			}
			return text, err
		}
	}
	in := func(f func(args []string) (string, error)) func([]string) (string, error) {
		return changes(func(args []string) (string, error) { return r.contain(f, args) })
	}
	traced := func(args []string) (string, error) {
		req, err := trace.ParseRequest(args)
		if err != nil {
			return "", err
		}
		look := in
		if req.Generate {
			look = changes
		}
		return look(func([]string) (string, error) { return r.ofprotoTrace(req) })(args)
	}
	return []unixctl.Command{
		{Name: "fdb/show", Usage: "bridge", Min: 1, Max: 1, Run: in(r.fdbShow)},
		{Name: "fdb/flush", Usage: "[bridge]", Max: 1, Run: changes(r.fdbFlush)},
		{Name: "fdb/stats-show", Usage: "bridge", Min: 1, Max: 1, Run: in(r.fdbStats)},
		{Name: "ofproto/list", Run: in(r.ofprotoList)},
		{Name: "ofproto/trace", Usage: trace.Usage, Min: 1, Max: 8, Run: traced},
		{Name: "bridge/dump-flows", Usage: "[--offload-stats] bridge", Min: 1, Max: 2, Run: in(r.dumpTables)},
		{Name: "dpif/show", Run: in(r.dpifShow)},
		{Name: "dpif/dump-dps", Run: in(r.dumpDatapaths)},
		{Name: "dpif/dump-flows", Usage: "[-m] [--names | --no-names] bridge", Min: 1, Max: 4, Run: in(r.dumpBridgeMegaflows)},
		{Name: "dpctl/dump-dps", Run: in(r.dumpDatapaths)},
		{Name: "dpctl/show", Usage: "[-s] [dp...]", Max: 8, Run: in(r.dpctlShow)},
		{Name: "dpctl/dump-flows", Usage: "[-m] [--names] [dp]", Max: 8, Run: in(r.dumpMegaflows)},
		{Name: "upcall/show", Run: in(r.upcallShow)},
		{Name: "revalidator/purge", Run: changes(r.purge)},
		{Name: "coverage/show", Run: in(r.coverage)},
		{Name: "memory/show", Run: in(r.memory)},
		{Name: "weir/tiers", Run: in(r.tiersShow)},
		{Name: "weir/offload-show", Run: in(r.offloadShow)},
	}
}

// falling, deferred, puts a panic of the reconciler's goroutine into the log, with the stack,
// and lets it end the process. The runtime prints it on standard error too.
func (r *reconciler) falling() {
	if p := recover(); p != nil {
		r.log.Error("panic, the daemon ends", "panic", p, "stack", string(debug.Stack()))
		panic(p)
	}
}

// contain runs a command that changes nothing; a panic becomes its error.
func (r *reconciler) contain(f func([]string) (string, error), args []string) (text string, err error) {
	defer func() {
		if p := recover(); p != nil {
			r.log.Error("panic in a control command", "args", args, "panic", p, "stack", string(debug.Stack()))
			text, err = "", fmt.Errorf("panic: %v", p)
		}
	}()
	return f(args)
}

// bridgeState finds a bridge in the plan in effect.
func (r *reconciler) bridgeState(name string) (*wanted.BridgeState, *tier, error) {
	for i := range r.plan.Bridges {
		if b := &r.plan.Bridges[i]; b.Name == name {
			if t := r.tiers[b.Kind]; t != nil {
				return b, t, nil
			}
		}
	}
	return nil, nil, errNoBridge
}

// sorted returns the tiers in a fixed order.
func (r *reconciler) sorted() []*tier {
	var list []*tier
	for _, k := range slices.Sorted(maps.Keys(r.tiers)) {
		list = append(list, r.tiers[k])
	}
	return list
}

func (r *reconciler) fdbShow(args []string) (string, error) {
	_, t, err := r.bridgeState(args[0])
	if err != nil {
		return "", err
	}
	return t.sw.FDBShow(args[0], r.cfg.Now())
}

func (r *reconciler) fdbStats(args []string) (string, error) {
	_, t, err := r.bridgeState(args[0])
	if err != nil {
		return "", err
	}
	return t.sw.FDBStats(args[0])
}

func (r *reconciler) fdbFlush(args []string) (string, error) {
	for _, b := range r.plan.Bridges {
		if len(args) > 0 && b.Name != args[0] {
			continue
		}
		if t := r.tiers[b.Kind]; t != nil {
			if err := t.sw.FDBFlush(b.Name); err != nil {
				return "", err
			}
			r.flushMACs(b.Name)
		}
		if len(args) > 0 {
			return "table successfully flushed", nil
		}
	}
	if len(args) > 0 {
		return "", errNoBridge
	}
	return "table successfully flushed", nil
}

func (r *reconciler) ofprotoList([]string) (string, error) {
	var b strings.Builder
	for _, br := range r.plan.Bridges {
		fmt.Fprintln(&b, br.Name)
	}
	return b.String(), nil
}

// hits returns how many packets a tier's megaflows matched and how many none did.
func (r *reconciler) hits(t *tier) (hit, missed uint64) {
	missed = t.sw.Stats().Misses
	if seen := t.totals(r.attached).RxPackets; seen > missed {
		hit = seen - missed
	}
	return hit, missed
}

func (r *reconciler) dpifShow([]string) (string, error) {
	var b strings.Builder
	for _, t := range r.sorted() {
		hit, missed := r.hits(t)
		fmt.Fprintf(&b, "%s: hit:%d missed:%d\n", datapathName(t.kind), hit, missed)
		for i := range r.plan.Bridges {
			br := &r.plan.Bridges[i]
			if br.Kind != t.kind {
				continue
			}
			fmt.Fprintf(&b, "  %s:\n", br.Name)
			for j := range br.Ports {
				ps := &br.Ports[j]
				if ps.No == 0 {
					continue
				}
				dp := "none"
				if ps.Iface.Type != wanted.Patch {
					dp = fmt.Sprint(uint32(ps.DP))
				}
				fmt.Fprintf(&b, "    %s %d/%s: (%s)\n", ps.Iface.Name, ps.No, dp, typeName(ps.Iface))
			}
		}
	}
	return b.String(), nil
}

func (r *reconciler) dumpDatapaths([]string) (string, error) {
	var b strings.Builder
	for _, t := range r.sorted() {
		fmt.Fprintln(&b, datapathName(t.kind))
	}
	return b.String(), nil
}

func (r *reconciler) dpctlShow(args []string) (string, error) {
	var b strings.Builder
	for _, t := range r.sorted() {
		if !selects(args, t) {
			continue
		}
		hit, missed := r.hits(t)
		fmt.Fprintf(&b, "%s:\n  lookups: hit:%d missed:%d lost:%d\n  flows: %d\n",
			datapathName(t.kind), hit, missed, t.totals(r.attached).UpcallDropped, t.sw.Stats().Flows)
		names := slices.SortedFunc(maps.Keys(r.attached), func(a, b string) int { return int(r.attached[a].No) - int(r.attached[b].No) })
		for _, name := range names {
			a := r.attached[name]
			if a.Kind != t.kind {
				continue
			}
			note := ""
			if a.Leg != name {
				note = " (internal)"
			}
			fmt.Fprintf(&b, "  port %d: %s%s\n", a.No, name, note)
		}
	}
	return b.String(), nil
}

// selects reports whether arguments of dpctl name a tier, or none.
func selects(args []string, t *tier) bool {
	named := false
	for _, a := range args {
		if strings.HasPrefix(a, "-") || strings.Contains(a, "=") {
			continue
		}
		named = true
		if a == datapathName(t.kind) || strings.HasPrefix(datapathName(t.kind), a+"@") {
			return true
		}
	}
	return !named
}

// maxDump bounds the text of one dump of megaflows, in bytes: the control
// socket's messages are bounded, and so is the memory for them.
const maxDump = 8 << 20

func (r *reconciler) megaflows(t *tier, keep func(*upcall.Megaflow) bool) string {
	var b strings.Builder
	now := r.cfg.Now()
	left := 0
	t.sw.Megaflows(func(m upcall.Megaflow) bool {
		switch {
		case keep != nil && !keep(&m):
		case b.Len() > maxDump:
			left++
		default:
			b.WriteString(odp.Flow(&m.Match, m.Actions, m.Stats, now))
			if m.Slow != "" {
				fmt.Fprintf(&b, " (slow path: %s)", m.Slow)
			}
			b.WriteByte('\n')
		}
		return true
	})
	if left > 0 {
		fmt.Fprintf(&b, "(%d more are not shown)\n", left)
	}
	return b.String()
}

func (r *reconciler) dumpMegaflows(args []string) (string, error) {
	var b strings.Builder
	for _, t := range r.sorted() {
		if selects(args, t) {
			b.WriteString(r.megaflows(t, nil))
		}
	}
	return b.String(), nil
}

func (r *reconciler) dumpBridgeMegaflows(args []string) (string, error) {
	br, t, err := r.bridgeState(args[len(args)-1])
	if err != nil {
		return "", err
	}
	ports := map[uint32]bool{}
	for _, ps := range br.Ports {
		if ps.No != 0 && ps.Iface.Type != wanted.Patch {
			ports[uint32(ps.DP)] = true
		}
	}
	return r.megaflows(t, func(m *upcall.Megaflow) bool { return ports[m.Match.Key.InPort()] }), nil
}

func (r *reconciler) upcallShow([]string) (string, error) {
	var b strings.Builder
	for _, t := range r.sorted() {
		s := t.sw.Stats()
		f := t.dp.Features()
		fmt.Fprintf(&b, "%s:\n", datapathName(t.kind))
		fmt.Fprintf(&b, "  flows         : (current %d) (limit %d)\n", s.Flows, f.MaxFlows)
		fmt.Fprintf(&b, "  upcalls       : misses %d, actions %d, dropped %d\n", s.Misses, s.Actions, t.totals(r.attached).UpcallDropped)
	}
	return b.String(), nil
}

// purge deletes all megaflows; the packets that come bring back what is needed.
func (r *reconciler) purge([]string) (string, error) {
	for _, t := range r.sorted() {
		t.sw.Flush()
	}
	return "", nil
}

func (r *reconciler) coverage([]string) (string, error) {
	var b strings.Builder
	b.WriteString("Event coverage, totals since the start:\n")
	line := func(name string, n uint64) { fmt.Fprintf(&b, "%-30s total: %d\n", name, n) }
	line("bridge_reconfigure", r.runs)
	line("reconcile_operations", r.ops)
	line("reconcile_failures", r.failures)
	for _, t := range r.sorted() {
		s := t.sw.Stats()
		for _, c := range []struct {
			name string
			n    uint64
		}{
			{"upcall_miss", s.Misses}, {"upcall_action", s.Actions}, {"flow_installed", s.Installed}, {"flow_duplicate", s.Duplicates},
			{"flow_not_installed", s.NotInstalled}, {"flow_at_limit", s.AtLimit}, {"flow_expired", s.Expired},
			{"flow_revalidated", s.Revalidated}, {"flow_replaced", s.Replaced}, {"flow_deleted", s.Deleted},
			{"packet_malformed", s.Malformed}, {"packet_no_port", s.NoPort}, {"execute_failed", s.ExecuteFailed},
			{"packet_in_drop", s.PacketInDrops}, {"xlate_too_long", s.TooLong},
		} {
			line(t.kind.String()+"_"+c.name, c.n)
		}
	}
	return b.String(), nil
}

// dumpTables prints the rules of a bridge, hidden ones too.
func (r *reconciler) dumpTables(args []string) (string, error) {
	name := args[len(args)-1]
	_, t, err := r.bridgeState(name)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	now := r.cfg.Now()
	err = t.sw.Rules(name, func(rule ofproto.Rule, m flow.Match, priority int32) bool {
		if rule.Table != 0 {
			fmt.Fprintf(&b, "table_id=%d, ", rule.Table)
		}
		fmt.Fprintf(&b, "duration=%ds, n_packets=%d, n_bytes=%d, priority=%d", int(now.Sub(rule.Created).Seconds()), rule.Packets, rule.Bytes, priority)
		if text := m.String(); text != "" {
			fmt.Fprintf(&b, ",%s", text)
		}
		fmt.Fprintf(&b, ",actions=%s\n", rule.Instr)
		return b.Len() < maxDump
	})
	return b.String(), err
}

func (r *reconciler) memory([]string) (string, error) {
	runtime.GC() // so that heap-kB is what is in use
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	ports, flows := len(r.attached), 0
	for _, t := range r.sorted() {
		flows += int(t.sw.Stats().Flows)
	}
	return fmt.Sprintf("goroutines:%d heap-kB:%d sys-kB:%d ports:%d udpif keys:%d bridges:%d",
		runtime.NumGoroutine(), m.HeapAlloc>>10, m.Sys>>10, ports, flows, len(r.plan.Bridges)), nil
}

// tiersShow says which tier forwarded how many packets.
func (r *reconciler) tiersShow([]string) (string, error) {
	forwarded := map[wanted.Kind]uint64{}
	var slow uint64
	for _, t := range r.sorted() {
		hit, missed := r.hits(t)
		forwarded[t.kind] = hit
		slow += missed
	}
	var b strings.Builder
	fmt.Fprintf(&b, "chip            none on this machine\n")
	if _, ok := r.tiers[wanted.BPF]; ok {
		fmt.Fprintf(&b, "eBPF            %d packets forwarded by megaflows\n", forwarded[wanted.BPF])
	} else if why := r.broken[wanted.BPF]; why != "" {
		fmt.Fprintf(&b, "eBPF            not available: %s\n", why)
	} else {
		fmt.Fprintf(&b, "eBPF            not in use: no bridge asks for it\n")
	}
	if _, ok := r.tiers[wanted.Soft]; ok {
		fmt.Fprintf(&b, "Go, megaflows   %d packets\n", forwarded[wanted.Soft])
	}
	fmt.Fprintf(&b, "Go, translated  %d packets, the first of each flow\n", slow)
	return b.String(), nil
}
