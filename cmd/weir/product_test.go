// SPDX-License-Identifier: Apache-2.0

//go:build !dev

package main

import (
	"slices"
	"testing"
)

// Whoever reaches the agent's device is root: a product must not have it.
func TestProductHasNoAgent(t *testing.T) {
	if slices.ContainsFunc(tools(), func(t tool) bool { return t.name == "agent" }) {
		t.Error("the product's binary has the tool agent, which is for test images")
	}
}
