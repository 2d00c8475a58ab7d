// SPDX-License-Identifier: Apache-2.0

package main_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"time"

	"github.com/weirswitch/weir/cmd/internal/bench"
	"github.com/weirswitch/weir/ovsdb/client"
)

// database measures transactions on the running switch: one column of one row, as a
// controller that keeps a counter there.
func (c *contest) database() {
	var clients [bench.Sides]*client.Client
	for _, s := range two {
		cl, err := client.Dial(context.Background(), "unix:"+filepath.Join(c.rigs[s].dir, "db.sock"), client.Options{})
		if err != nil {
			c.Fatal(err)
		}
		defer cl.Close()
		clients[s] = cl
	}
	for _, k := range []struct {
		what     string
		n, depth int
		durable  bool
	}{
		{"OVSDB transactions, one at a time", 2000, 1, false},
		{"OVSDB transactions, 64 under way", 6000, 64, false},
		{"OVSDB transactions, one at a time, durable", 200, 1, true},
		{"OVSDB transactions, 64 under way, durable", 1000, 64, true},
	} {
		c.rounds(c.row(k.what, "1/s", bench.Higher, 1), *benchRounds, two, func(s bench.Side) (float64, error) {
			start := time.Now()
			if err := transact(clients[s], k.n, k.depth, k.durable); err != nil {
				return 0, err
			}
			return float64(k.n) / time.Since(start).Seconds(), nil
		})
	}
}

// transact runs n transactions, of which at most depth are under way.
func transact(cl *client.Client, n, depth int, durable bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	type m = map[string]any
	calls := make(chan *client.Call, max(depth-2, 0)) // one more is waited for, one waits to enter
	done := make(chan error, 1)
	wait := func(call *client.Call) error {
		raw, err := call.Wait(ctx)
		if err != nil {
			return err
		}
		var results []json.RawMessage
		if err := json.Unmarshal(raw, &results); err != nil {
			return err
		}
		return client.Failed(results)
	}
	go func() {
		for call := range calls {
			if err := wait(call); err != nil {
				done <- err
				cancel()
				return
			}
		}
		done <- nil
	}()
	for i := range n {
		ops := []any{"Open_vSwitch", m{
			"op": "update", "table": "Open_vSwitch", "where": []any{},
			"row": m{"external_ids": []any{"map", [][2]string{{"n", fmt.Sprint(i)}}}},
		}}
		if durable {
			ops = append(ops, m{"op": "commit", "durable": true})
		}
		call, err := cl.Start("transact", ops)
		if err != nil {
			return err
		}
		if depth == 1 {
			if err := wait(call); err != nil {
				return err
			}
			continue
		}
		select {
		case calls <- call:
		case <-ctx.Done():
			return <-done
		}
	}
	close(calls)
	return <-done
}
