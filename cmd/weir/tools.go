// SPDX-License-Identifier: Apache-2.0

package main

// tools is the list of what this program can be.
func tools() []tool {
	return []tool{
		{"version", "print the version", printVersion},
	}
}
