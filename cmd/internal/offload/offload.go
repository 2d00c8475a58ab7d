// SPDX-License-Identifier: Apache-2.0

// Package offload is the tool "weir offload": who forwards what arrives on each port, and why
// the switch chip does not. It asks the running daemon, as ovs-appctl does.
package offload

import (
	"context"
	"fmt"

	"github.com/weirswitch/weir/cmd/internal/appctl"
	"github.com/weirswitch/weir/cmd/internal/env"
)

const usage = `usage: weir offload [-t TARGET] show

Prints for every port of a switch chip that is a port of a bridge whether the chip forwards
what arrives there ("bridged") or this switch does ("standalone"), and why. TARGET is as in ovs-appctl.
`

// Main runs the tool. e.Args are its arguments without its name.
func Main(ctx context.Context, e env.Env) int {
	args := e.Args
	var target []string
	if len(args) >= 2 && args[0] == "-t" {
		target, args = args[:2], args[2:]
	}
	if len(args) == 1 && (args[0] == "-h" || args[0] == "--help") {
		fmt.Fprint(e.Stdout, usage)
		return 0
	}
	if len(args) != 1 || args[0] != "show" {
		fmt.Fprint(e.Stderr, usage)
		return 2
	}
	e.Args = append(append([]string{}, target...), "weir/offload-show")
	return appctl.Main(ctx, e)
}
