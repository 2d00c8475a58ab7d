// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/weirswitch/weir/cmd/internal/demo"
	"github.com/weirswitch/weir/cmd/internal/switchd"
)

// tools is the list of what this program can be.
func tools() []tool {
	return []tool{
		{"switchd", "the daemon: database server and switch in one", switchd.Main},
		{"demo", "a switch and three hosts in network namespaces, shown and explained", demo.Main},
		{"version", "print the version", printVersion},
	}
}
