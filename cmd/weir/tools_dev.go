// SPDX-License-Identifier: Apache-2.0

//go:build dev

package main

import (
	"github.com/weirswitch/weir/cmd/internal/agent"
	"github.com/weirswitch/weir/cmd/internal/emulate"
)

// devTools are what a product image must not or need not have.
func devTools() []tool {
	return []tool{
		{"agent", "test images: run commands that come over a device", agent.Main},
		{"emulate", "build a board's image and boot it in QEMU", emulate.Main},
	}
}
