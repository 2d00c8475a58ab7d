// SPDX-License-Identifier: Apache-2.0

// Package emulate is `weir emulate BOARD`.
package emulate

import (
	"context"

	"github.com/weirswitch/weir/cmd/internal/env"
)

// Main boots the board.
func Main(_ context.Context, e env.Env) int { return 1 }
