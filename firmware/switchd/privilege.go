// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// needed are the capabilities (capabilities(7)) without which there is no switch: devices
// are made and followed by rtnetlink, the latter in a network namespace that is entered.
var needed = []struct {
	bit  uint
	name string
}{
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
}

// privileged says what the process lacks; nothing has been made or changed by then.
func privileged() error {
	var caps [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &caps[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	var missing []string
	for _, n := range needed {
		if caps[n.bit/32].Effective>>(n.bit%32)&1 == 0 {
			missing = append(missing, n.name)
		}
	}
	if missing != nil {
		return fmt.Errorf("the switch must be started as root, or with the capabilities of root: %s is missing: %w", strings.Join(missing, ", "), unix.EPERM)
	}
	return nil
}
