// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/weirswitch/weir/cmd/internal/appctl"
	"github.com/weirswitch/weir/cmd/internal/demo"
	"github.com/weirswitch/weir/cmd/internal/initd"
	"github.com/weirswitch/weir/cmd/internal/ofctl"
	"github.com/weirswitch/weir/cmd/internal/offload"
	"github.com/weirswitch/weir/cmd/internal/ovsdbclient"
	"github.com/weirswitch/weir/cmd/internal/ports"
	"github.com/weirswitch/weir/cmd/internal/switchd"
	"github.com/weirswitch/weir/cmd/internal/vsctl"
)

// tools is the list of what this program can be.
func tools() []tool {
	return append([]tool{
		{"switchd", "the daemon: database server and switch in one", switchd.Main},
		{"demo", "a switch and three hosts in network namespaces, shown and explained", demo.Main},
		{"ovs-vsctl", "configure the switch", vsctl.Main},
		{"ovs-ofctl", "ask and change an OpenFlow switch", ofctl.Main},
		{"ovs-appctl", "ask and command a running daemon", appctl.Main},
		{"ovsdb-client", "talk to a database server", ovsdbclient.Main},
		{"offload", "who forwards what arrives on each port of a switch chip, and why", offload.Main},
		{"init", "process 1 of a firmware image; elsewhere print what it would do", initd.Main},
		{"poweroff", "end weir init and turn the machine off", initd.End},
		{"reboot", "end weir init and restart the machine", initd.End},
		{"ports", "the Ethernet ports and switch chips of this machine", ports.Main},
		{"version", "print the version", printVersion},
	}, devTools()...)
}
