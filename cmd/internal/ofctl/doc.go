// SPDX-License-Identifier: Apache-2.0

// Package ofctl is ovs-ofctl: it asks and changes an OpenFlow switch, ours or
// the stock one, and prints what it says (ovs-ofctl(8)).
//
// A command line is read by [parse] into a plan (options.go); package oftext makes messages of texts of
// flows, groups, meters and packets, with the set of flow formats that can carry them;
// both are pure. What talks is conn.go and the commands: each opens a
// connection, sends requests and prints replies with package ofprint.
//
// Texts, errors and exit codes are those of Open vSwitch 3.1; the test runs
// both programs against the same switch. Exit codes: 0 success, 1 an error, 2
// diff-flows found a difference, 142 --timeout passed, 143 and 130 ended by a
// signal.
//
// # What is there
//
// Switches: show, dump-desc, dump-tables, dump-table-features, dump-table-desc, mod-table, mod-port,
// get-frags, set-frags, dump-ports, dump-ports-desc, queue-stats, queue-get-config; flows: add-flow(s),
// mod-flows, del-flows, replace-flows, diff-flows, dump-flows, dump-aggregate, packet-out; groups:
// add-group(s), mod-group, del-groups, insert-buckets, remove-buckets, dump-groups, dump-group-stats,
// dump-group-features; meters: add-meter, mod-meter, del-meter(s), dump-meter(s), meter-stats,
// meter-features; bundle, and --bundle with what changes flows and groups; add-tlv-map, del-tlv-map, dump-tlv-map;
// ct-flush, ct-flush-zone; monitor, snoop; probe, ping, benchmark; ofp-parse, and of stock's own test
// commands parse-flow(s), parse-group and ofp-print.
//
// # What is not
//
// monitor's "watch:": the codec has no flow monitors. dump-ipfix-bridge and dump-ipfix-flow: nothing
// exports IPFIX. mod-table's drop, continue and controller: they are of OpenFlow 1.1 and 1.2, which the codec
// does not speak. dump-table-features prints no instructions and actions, which the codec does not keep.
// ofp-parse-pcap. --peer-ca-cert; --unixctl and the commands of a running monitor.
//
// # Threads
//
// One goroutine. A command's reading ends when its context does.
package ofctl
