// SPDX-License-Identifier: Apache-2.0

package switchd

import (
	"os"
	"strings"
)

// osRelease returns ID and VERSION_ID of os-release(5), for the columns
// system_type and system_version; "unknown" where there is none, as stock.
func osRelease(text string) (id, version string) {
	id, version = "unknown", "unknown"
	for line := range strings.Lines(text) {
		k, v, ok := strings.Cut(strings.TrimSpace(line), "=")
		v = strings.Trim(v, `"'`)
		switch {
		case !ok || v == "":
		case k == "ID":
			id = v
		case k == "VERSION_ID":
			version = v
		}
	}
	return id, version
}

func readOSRelease() string {
	for _, f := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if b, err := os.ReadFile(f); err == nil {
			return string(b)
		}
	}
	return ""
}
