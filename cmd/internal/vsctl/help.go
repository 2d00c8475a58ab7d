// SPDX-License-Identifier: Apache-2.0

package vsctl

import (
	"fmt"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/env"
	"github.com/weirswitch/weir/cmd/internal/getopt"
	"github.com/weirswitch/weir/cmd/internal/version"
	"github.com/weirswitch/weir/cmd/internal/vsctl/ctl"
)

// information returns the text of options that only print something.
func information(e env.Env, option string, cmds []*ctl.Command) (string, bool) {
	switch option {
	case "help":
		return help(e), true
	case "version":
		return fmt.Sprintf("%s (Weir) %s\nDB Schema 8.3.1\n", e.Name, version.String()), true
	case "commands":
		var b strings.Builder
		for _, c := range cmds {
			for o := range strings.SplitSeq(c.Options, ",") {
				if o != "" {
					b.WriteString("[" + o + "] ")
				}
			}
			b.WriteString("," + c.Name + "," + c.Args + "\n")
		}
		return b.String(), true
	case "options":
		var b strings.Builder
		for _, o := range options() {
			arg := ""
			if o.Arg != getopt.No {
				arg = "ARG"
			}
			b.WriteString("--" + o.Long)
			if arg != "" {
				b.WriteString("=" + arg)
			}
			b.WriteByte('\n')
			if o.Short != 0 {
				b.WriteString(strings.TrimRight(fmt.Sprintf("-%c %s", o.Short, arg), " ") + "\n")
			}
		}
		return b.String(), true
	}
	return "", false
}

func help(e env.Env) string {
	return fmt.Sprintf(`%s: changes and prints the configuration of a switch
usage: %s [OPTIONS] COMMAND [ARG...] [-- COMMAND [ARG...]]...

Switch:
  init                        make the database's first row if it is empty
  show                        print an overview of the configuration
  emer-reset                  drop controllers, mirrors and other settings

Bridges:
  add-br BRIDGE               create BRIDGE
  add-br BRIDGE PARENT VLAN   create BRIDGE as the VLAN of PARENT
  del-br BRIDGE               delete BRIDGE with its ports
  list-br                     print the bridges' names
  br-exists BRIDGE            exit with 2 if there is no BRIDGE
  br-to-vlan BRIDGE           print the VLAN that BRIDGE is on
  br-to-parent BRIDGE         print the parent of BRIDGE
  br-set-external-id BRIDGE KEY [VALUE]  set KEY of BRIDGE, or remove it
  br-get-external-id BRIDGE [KEY]        print KEY of BRIDGE, or all keys

Ports (a bond is one port):
  list-ports BRIDGE           print the names of the ports of BRIDGE
  add-port BRIDGE PORT [COL=VALUE...]            add PORT to BRIDGE
  add-bond BRIDGE PORT IFACE... [COL=VALUE...]   add the bond PORT to BRIDGE
  del-port [BRIDGE] PORT      delete PORT
  port-to-br PORT             print the bridge that has PORT
  add-bond-iface BOND IFACE   add IFACE to BOND
  del-bond-iface [BOND] IFACE delete IFACE from its bond
  list-ifaces BRIDGE          print the names of the interfaces of BRIDGE
  iface-to-br IFACE           print the bridge that has IFACE

Controllers and managers:
  get-controller BRIDGE, del-controller BRIDGE
  [--inactivity-probe=MSECS] set-controller BRIDGE TARGET...
  get-fail-mode BRIDGE, del-fail-mode BRIDGE
  set-fail-mode BRIDGE standalone|secure
  get-manager, del-manager
  [--inactivity-probe=MSECS] set-manager TARGET...
  get-ssl, del-ssl, [--bootstrap] set-ssl PRIV-KEY CERT CA-CERT

Connection tracking zones:
  [--may-exist] add-zone-tp DATAPATH zone=N KEY=SECONDS..., [--if-exists] del-zone-tp DATAPATH zone=N
  list-zone-tp DATAPATH, list-dp-cap DATAPATH

Auto Attach:
  add-aa-mapping BRIDGE I-SID VLAN, del-aa-mapping BRIDGE I-SID VLAN, get-aa-mapping BRIDGE

Database:
  list TBL [REC...]           print records
  find TBL CONDITION...       print the records that satisfy the conditions
  get TBL REC COL[:KEY]...    print values
  set TBL REC COL[:KEY]=VALUE...   set values
  add TBL REC COL [KEY=]VALUE...   add to a set or map
  remove TBL REC COL KEY|VALUE|KEY=VALUE...  remove from a set or map
  clear TBL REC COL...        empty columns
  create TBL COL[:KEY]=VALUE...    make a record
  destroy TBL REC...          delete records
  wait-until TBL REC [CONDITION...]  wait until the record is like that

Options:
  --db=DATABASE               where the database server is
                              (default: unix:%s/db.sock)
  --no-wait                   do not wait until the switch has taken the change
  --retry                     try to connect until it works
  -t, --timeout=SECS          give up after SECS seconds
  --dry-run                   change nothing
  --oneline                   print one line for each command
  -f, --format=FORMAT         table, list, html, csv or json
  -d, --data=FORMAT           string, bare or json
  --no-headings, --pretty, --bare, --max-column-width=N
  -p, --private-key=FILE  -c, --certificate=FILE  -C, --ca-cert=FILE
  -h, --help                  this text
  -V, --version               the version
`, e.Name, e.Name, e.RunDir())
}
