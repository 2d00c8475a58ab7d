// SPDX-License-Identifier: Apache-2.0

// Package action holds the OpenFlow actions and instructions as version-free
// values. The wire formats of the OpenFlow versions are a border in package
// openflow, the text of ovs-ofctl in this package's text.go, the meaning in
// package xlate.
//
// What one version says with an instruction and another with an action (OpenFlow
// 1.0's output list is OpenFlow 1.3's apply-actions) has one form here: an
// Instructions value, whose Apply list is the action list of OpenFlow 1.0.
//
// An action is a small value without behaviour. A List is never changed in
// place once it is in a rule: rules, megaflows and monitors share it.
package action
