// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"context"
	"errors"
	"runtime/debug"
	"time"

	"github.com/weirswitch/weir/datapath/action"
	"github.com/weirswitch/weir/datapath/bpf"
	"github.com/weirswitch/weir/datapath/dpif"
	"github.com/weirswitch/weir/datapath/openflow"
	"github.com/weirswitch/weir/datapath/soft"
	"github.com/weirswitch/weir/datapath/upcall"
	"github.com/weirswitch/weir/firmware/switchd/wanted"
)

// tier is a datapath that runs, with what decides for it.
type tier struct {
	kind    wanted.Kind
	dp      dpif.Datapath
	sw      *upcall.Switch
	running context.Context // ends with the tier
	stop    context.CancelFunc
	done    chan error
	gone    dpif.PortStats // of ports that have left; the reconciler's
}

// startTier runs sw over dp until the tier is closed.
func startTier(kind wanted.Kind, dp dpif.Datapath, sw *upcall.Switch) *tier {
	ctx, stop := context.WithCancel(context.Background())
	t := &tier{kind: kind, dp: dp, sw: sw, running: ctx, stop: stop, done: make(chan error, 1)}
	go func() { t.done <- sw.Run(ctx) }()
	return t
}

// remember adds the counters of a port that is about to leave.
func (t *tier) remember(no dpif.Port) {
	s, err := t.dp.PortStats(no)
	if err != nil {
		return
	}
	t.gone.RxPackets += s.RxPackets
	t.gone.UpcallPackets += s.UpcallPackets
	t.gone.UpcallDropped += s.UpcallDropped
}

// totals sums the counters of all ports there are and have been.
func (t *tier) totals(ports map[string]wanted.Attached) dpif.PortStats {
	sum := t.gone
	for _, a := range ports {
		if a.Kind != t.kind {
			continue
		}
		if s, err := t.dp.PortStats(a.No); err == nil {
			sum.RxPackets += s.RxPackets
			sum.UpcallPackets += s.UpcallPackets
			sum.UpcallDropped += s.UpcallDropped
		}
	}
	return sum
}

// closeTimeout bounds the wait for a tier's goroutines.
const closeTimeout = 5 * time.Second

// close ends the tier: the datapath forwards nothing from then on.
func (t *tier) close() error {
	t.stop()
	var err error
	select {
	case err = <-t.done:
	case <-time.After(closeTimeout):
		err = errors.New("the upcall handlers did not end")
	}
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, t.dp.Close())
}

// openTier opens a datapath and starts what decides for it. Devices are those
// of the calling thread's network namespace. barrier is upcall.Options.Barrier, stats the counters of a device.
func openTier(kind wanted.Kind, cfg Config, b *bridges, devs *devices, barrier func(*tier, string), stats func(device string) (openflow.PortStats, bool)) (*tier, error) {
	var dp dpif.Datapath
	log := cfg.Log.Logger("dpif")
	switch kind {
	case wanted.BPF:
		d, err := bpf.New(bpf.Config{Log: log})
		if err != nil {
			return nil, err
		}
		dp = d
	default:
		dp = soft.New(soft.Config{Log: log})
	}
	var t *tier
	sw := upcall.New(dp, upcall.Options{
		Now: cfg.Now, Log: cfg.Log.Logger("upcall"), Async: b.async, Monitor: b.monitor,
		Barrier:   func(bridge string) { barrier(t, bridge) },
		FlowLimit: upcall.FlowLimitFor(debug.SetMemoryLimit(-1)),
		PortStats: func(_ string, _ action.Port, name string) (openflow.PortStats, bool) { return stats(name) },
		PortDown: func(_, port string, down bool) {
			if err := devs.SetUp(port, !down); err != nil {
				log.Warn("set port as its controller asked", "port", port, "down", down, "err", err)
			}
		},
	})
	t = startTier(kind, dp, sw)
	return t, nil
}
