// SPDX-License-Identifier: Apache-2.0

package dsa

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// WriteText writes t for a person: the chips with their ports without netdev,
// then a table of ports.
func (t Topology) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, s := range t.Switches {
		fmt.Fprintf(&b, "switch %s (%s)\n", s.ID, s.Kind)
		for _, c := range s.Chips {
			fmt.Fprintf(&b, "  chip %s%s\n", c.Handle, prefixed(" driver ", c.Driver))
			names := make([]string, 0, len(c.Versions))
			for n := range c.Versions {
				names = append(names, n)
			}
			slices.Sort(names)
			for _, n := range names {
				fmt.Fprintf(&b, "    version %s %s\n", n, c.Versions[n])
			}
			for _, p := range c.Ports {
				if p.Flavour == FlavourCPU || p.Flavour == FlavourDSA || p.Flavour == FlavourUnused {
					fmt.Fprintf(&b, "    port %d %s\n", p.Number, p.Flavour)
				}
			}
			for _, r := range c.Resources {
				used := "?"
				if r.Used != nil {
					used = fmt.Sprint(*r.Used)
				}
				size := fmt.Sprint(r.Size)
				if r.Size == math.MaxUint64 {
					size = "any number"
				}
				fmt.Fprintf(&b, "    table %s %s of %s used\n", r.Name, used, size)
			}
		}
	}
	tw := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	fmt.Fprintln(tw, "PORT\tKIND\tSWITCH\tNUMBER\tDRIVER\tCONDUIT\tTAGGING\tMASTER\tLINK\tMTU\tIN THE CHIP\tCOUNTERS")
	for _, p := range t.Ports {
		number := "-"
		if p.Number != NoNumber {
			number = fmt.Sprint(p.Number)
		}
		conduit := p.Conduit
		if p.IsConduit {
			conduit = "(is one)"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", p.Name, p.Kind, dash(p.Switch), number, dash(p.Driver),
			dash(conduit), dash(p.Tagging), dash(p.Master), linkText(p), p.MTU, p.Caps.text(), p.Caps.Stats)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	// tabwriter pads the last column of a row, too.
	for line := range strings.Lines(b.String()) {
		if _, err := io.WriteString(w, strings.TrimRight(line, " \n")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func linkText(p Port) string {
	switch {
	case !p.Up:
		return "off"
	case !p.Carrier:
		return "no carrier"
	}
	return "up"
}

// text lists what the driver does, what it may do with a question mark.
func (c Capabilities) text() string {
	var words []string
	for _, f := range [...]struct {
		name string
		s    Support
	}{
		{"bridge", c.Bridge}, {"vlan", c.VLAN}, {"fdb", c.FDB}, {"mdb", c.MDB}, {"lag", c.LAG}, {"mst", c.MST},
		{"mirror", c.Mirror}, {"police", c.Police}, {"learning", c.Learning}, {"flood", c.Flood},
	} {
		switch f.s {
		case Yes:
			words = append(words, f.name)
		case Unknown:
			words = append(words, f.name+"?")
		}
	}
	return dash(strings.Join(words, ","))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func prefixed(prefix, s string) string {
	if s == "" {
		return ""
	}
	return prefix + s
}
