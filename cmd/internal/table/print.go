// SPDX-License-Identifier: Apache-2.0

package table

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/weirswitch/weir/cmd/internal/getopt"
	"github.com/weirswitch/weir/ovsdb"
	"github.com/weirswitch/weir/ovsdb/jsontree"
)

// Layout is how a table as a whole is printed.
type Layout uint8

// The layouts of -f.
const (
	Grid Layout = iota
	List
	HTML
	CSV
	JSONLayout
)

// Style is what the options say.
type Style struct {
	Layout   Layout
	Cells    Notation
	Headings bool
	Pretty   bool // JSON with indentation
	Width    int  // of a Grid's column, in bytes; 0: unlimited
	Stamps   bool // --timestamp was given
}

// Options are the options that SetOption takes.
func Options() []getopt.Option {
	return []getopt.Option{
		{Long: "format", Short: 'f', Arg: getopt.Required},
		{Long: "data", Short: 'd', Arg: getopt.Required},
		{Long: "no-headings"},
		{Long: "pretty"},
		{Long: "bare"},
		{Long: "max-column-width", Arg: getopt.Required},
		{Long: "timestamp"},
	}
}

// SetOption applies an option and reports whether it is one of Options.
func (s *Style) SetOption(o getopt.Found) (ok bool, err error) {
	switch o.Name {
	case "format":
		l, ok := map[string]Layout{"table": Grid, "list": List, "html": HTML, "csv": CSV, "json": JSONLayout}[o.Value]
		if !ok {
			return true, fmt.Errorf("unknown output format \"%s\"", o.Value)
		}
		s.Layout = l
	case "data":
		n, ok := map[string]Notation{"string": String, "bare": Bare, "json": JSONData}[o.Value]
		if !ok {
			return true, fmt.Errorf("unknown data format \"%s\"", o.Value)
		}
		s.Cells = n
	case "no-headings":
		s.Headings = false
	case "pretty":
		s.Pretty = true
	case "bare":
		s.Layout, s.Cells, s.Headings = List, Bare, false
	case "max-column-width":
		n, err := strconv.Atoi(o.Value)
		if err != nil || n < 0 {
			return true, fmt.Errorf("invalid --max-column-width \"%s\"", o.Value)
		}
		s.Width = n
	case "timestamp":
		s.Stamps = true
	default:
		return false, nil
	}
	return true, nil
}

// Printer prints tables one after the other.
type Printer struct {
	Style Style
	out   io.Writer
	more  bool
}

// NewPrinter returns a printer.
func NewPrinter(out io.Writer, s Style) *Printer { return &Printer{Style: s, out: out} }

// Print prints a table.
func (p *Printer) Print(t *Table) error {
	var b strings.Builder
	if p.Style.Layout == JSONLayout {
		b.WriteString(p.json(t))
		b.WriteByte('\n')
	} else {
		if p.more && p.Style.Layout != HTML {
			b.WriteByte('\n')
		}
		p.more = true
		p.text(&b, t)
	}
	if _, err := io.WriteString(p.out, b.String()); err != nil {
		return fmt.Errorf("write to stdout failed")
	}
	return nil
}

func (p *Printer) text(b *strings.Builder, t *Table) {
	if p.Style.Layout == HTML {
		p.html(b, t)
		return
	}
	if t.Stamp != "" {
		b.WriteString(t.Stamp + " ")
	}
	if t.Caption != "" {
		b.WriteString(t.Caption)
	}
	if t.Stamp != "" || t.Caption != "" {
		b.WriteByte('\n')
	}
	switch p.Style.Layout {
	case Grid:
		p.grid(b, t)
	case List:
		p.list(b, t)
	case CSV:
		p.csv(b, t)
	}
}

func (p *Printer) cells(row []Cell) []string {
	out := make([]string, len(row))
	for i, c := range row {
		out[i] = c.in(p.Style.Cells)
	}
	return out
}

func (p *Printer) grid(b *strings.Builder, t *Table) {
	var lines [][]string
	for _, r := range t.Rows {
		lines = append(lines, p.cells(r))
	}
	width := make([]int, len(t.Headings))
	for i := range width {
		for _, l := range lines {
			width[i] = max(width[i], len(l[i]))
		}
		if p.Style.Width > 0 {
			width[i] = min(width[i], p.Style.Width)
		}
		if p.Style.Headings {
			width[i] = max(width[i], len(t.Headings[i]))
		}
	}
	line := func(cells []string) {
		blanks := 0 // written when something follows
		for i, c := range cells {
			if len(c) > width[i] {
				c = c[:width[i]]
			}
			if c != "" {
				b.WriteString(strings.Repeat(" ", blanks) + c)
				blanks = 0
			}
			blanks += width[i] - len(c) + 1
		}
		b.WriteByte('\n')
	}
	if p.Style.Headings {
		line(t.Headings)
		rule := make([]string, len(width))
		for i, w := range width {
			rule[i] = strings.Repeat("-", w)
		}
		line(rule)
	}
	for _, l := range lines {
		line(l)
	}
}

func (p *Printer) list(b *strings.Builder, t *Table) {
	for i, r := range t.Rows {
		if i > 0 {
			b.WriteByte('\n')
		}
		for j, c := range p.cells(r) {
			if p.Style.Headings {
				fmt.Fprintf(b, "%-20s: ", t.Headings[j])
			}
			b.WriteString(c + "\n")
		}
	}
}

func (p *Printer) csv(b *strings.Builder, t *Table) {
	line := func(cells []string) {
		for i, c := range cells {
			if i > 0 {
				b.WriteByte(',')
			}
			if strings.ContainsAny(c, "\n\",") {
				c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
			}
			b.WriteString(c)
		}
		b.WriteByte('\n')
	}
	if p.Style.Headings {
		line(t.Headings)
	}
	for _, r := range t.Rows {
		line(p.cells(r))
	}
}

func (p *Printer) html(b *strings.Builder, t *Table) {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
	b.WriteString("<table border=1>\n")
	if t.Caption != "" {
		b.WriteString("    <caption>" + escape.Replace(t.Caption) + "</caption>\n")
	}
	row := func(element string, cells []string) {
		b.WriteString("  <tr>\n")
		for i, c := range cells {
			kind := "href=\"#"
			if t.Headings[i] == "_uuid" {
				kind = "name=\""
			}
			b.WriteString("    <" + element + ">" + links(escape.Replace(c), kind) + "</" + element + ">\n")
		}
		b.WriteString("  </tr>\n")
	}
	if p.Style.Headings {
		row("th", t.Headings)
	}
	for _, r := range t.Rows {
		row("td", p.cells(r))
	}
	b.WriteString("</table>\n")
}

// links makes each UUID in a text an HTML link that shows its first digits.
func links(text, kind string) string {
	const size = 36
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if i+size <= len(text) {
			if _, err := ovsdb.ParseUUID(text[i : i+size]); err == nil {
				u := text[i : i+size]
				b.WriteString("<a " + kind + u + "\">" + u[:8] + "</a>")
				i += size - 1
				continue
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

func (p *Printer) json(t *Table) string {
	b := []byte{'{'}
	if t.Caption != "" {
		b = append(b, `"caption":`...)
		b = jsontree.AppendString(b, t.Caption)
		b = append(b, ',')
	}
	b = append(b, `"data":[`...)
	for i, r := range t.Rows {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '[')
		for j, c := range r {
			if j > 0 {
				b = append(b, ',')
			}
			b = append(b, c.asJSON()...)
		}
		b = append(b, ']')
	}
	b = append(b, `],"headings":[`...)
	for i, h := range t.Headings {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsontree.AppendString(b, h)
	}
	b = append(b, ']')
	if t.Stamp != "" {
		b = append(b, `,"time":`...)
		b = jsontree.AppendString(b, t.Stamp)
	}
	b = append(b, '}')
	if p.Style.Pretty {
		return Indent(string(b))
	}
	return string(b)
}

// Indent lays compact JSON out over lines as the stock tools do: two blanks a
// level, each member and element on a line of its own, closing brackets behind
// the last one.
func Indent(compact string) string {
	var b strings.Builder
	depth, inString := 0, false
	newline := func() {
		b.WriteByte('\n')
		b.WriteString(strings.Repeat("  ", depth))
	}
	for i := 0; i < len(compact); i++ {
		c := compact[i]
		b.WriteByte(c)
		switch {
		case inString && c == '\\':
			i++
			b.WriteByte(compact[i])
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			if next := compact[i+1]; next != '}' && next != ']' {
				newline()
			}
		case c == '}' || c == ']':
			depth--
		case c == ',':
			newline()
		case c == ':':
			b.WriteByte(' ')
		}
	}
	return b.String()
}
