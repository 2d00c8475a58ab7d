// SPDX-License-Identifier: Apache-2.0

//go:build !dev

package main

// devTools are in binaries that are built with -tags dev: see tools_dev.go.
func devTools() []tool { return nil }
