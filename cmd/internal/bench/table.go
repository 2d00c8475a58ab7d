// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Better says which way a value gets better.
type Better uint8

const (
	Higher Better = iota // a rate
	Lower                // a time, a size
)

// Best returns the best of measured values, NaN of none. Values that are NaN (the
// round failed) do not count.
func (b Better) Best(vs []float64) float64 {
	best := math.NaN()
	for _, v := range vs {
		if math.IsNaN(best) || b == Higher && v > best || b == Lower && v < best {
			best = v
		}
	}
	return best
}

// Spread returns how far the worst of the values is from the best, as a share of the
// best; 0 for fewer than two.
func (b Better) Spread(vs []float64) float64 {
	best, worst := b.Best(vs), (1 - b).Best(vs)
	if len(vs) < 2 || math.IsNaN(best) || best == 0 {
		return 0
	}
	return math.Abs(worst-best) / best
}

// Side is one of the columns.
type Side uint8

const (
	Weir  Side = iota // the Go datapath where one is involved
	BPF               // Weir's eBPF datapath
	Stock             // Open vSwitch with its userspace datapath
	Sides
)

// Row is one line: the rounds of each side.
type Row struct {
	What   string
	Unit   string
	Better Better
	// Goal is what Weir's value divided by Stock's should be: at least (Higher) or
	// at most (Lower). 0: there is none.
	Goal   float64
	Rounds [Sides][]float64
	// Why says why a side has no value, e.g. "refused: OFPBRC_BAD_TYPE".
	Why [Sides]string
}

// Add adds the result of a round; an error is kept as the reason of a side without
// values.
func (r *Row) Add(s Side, v float64, err error) {
	if err != nil {
		r.Why[s] = err.Error()
		return
	}
	r.Rounds[s] = append(r.Rounds[s], v)
}

// Value returns the best round of a side, NaN without one.
func (r *Row) Value(s Side) float64 { return r.Better.Best(r.Rounds[s]) }

// Ratio returns side s divided by Stock, NaN where one is missing.
func (r *Row) Ratio(s Side) float64 { return r.Value(s) / r.Value(Stock) }

// gain is how many times better Weir is; below 1 it loses. NaN if Weir has no
// value.
func (r *Row) gain() float64 {
	if g := r.Ratio(Weir); r.Better == Higher {
		return g
	} else {
		return 1 / g
	}
}

// verdict compares the ratio with the goal.
func (r *Row) verdict() string {
	g := r.Ratio(Weir)
	switch {
	case r.Goal == 0:
		return ""
	case math.IsNaN(g):
		return fmt.Sprintf("%s %v: not measured", r.sign(), r.Goal)
	case r.Better == Higher && g >= r.Goal, r.Better == Lower && g <= r.Goal:
		return fmt.Sprintf("%s %v: met", r.sign(), r.Goal)
	}
	return fmt.Sprintf("%s %v: missed", r.sign(), r.Goal)
}

func (r *Row) sign() string {
	if r.Better == Higher {
		return "≥"
	}
	return "≤"
}

// Sort puts what Weir cannot do first, then what it loses, the worst first.
func Sort(rows []Row) {
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Compare(a.gain(), b.gain()) // NaN is less than any number
	})
}

// Markdown writes the rows as a table.
func Markdown(w io.Writer, rows []Row) error {
	head := []string{"", "Weir", "Weir, eBPF", "OVS's userspace datapath", "ratio", "goal"}
	cells := [][]string{head}
	for i := range rows {
		r := &rows[i]
		name := r.What
		if r.Unit != "" {
			name += ", " + r.Unit
		}
		ratio := "–"
		if g := r.Ratio(Weir); !math.IsNaN(g) {
			ratio = fmt.Sprintf("%.2f", g)
		}
		if g := r.Ratio(BPF); !math.IsNaN(g) {
			ratio += fmt.Sprintf(" (eBPF %.2f)", g)
		}
		cells = append(cells, []string{name, r.cell(Weir), r.cell(BPF), r.cell(Stock), ratio, r.verdict()})
	}
	width := make([]int, len(head))
	for _, row := range cells {
		for i, c := range row {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	var b strings.Builder
	line := func(row []string) {
		for i, c := range row {
			pad := strings.Repeat(" ", width[i]-len([]rune(c)))
			if i >= 1 && i <= 3 {
				c = pad + c
			} else {
				c += pad
			}
			b.WriteString("| " + c + " ")
		}
		b.WriteString("|\n")
	}
	line(cells[0])
	for i, n := range width {
		if i >= 1 && i <= 3 {
			b.WriteString("|" + strings.Repeat("-", n+1) + ":")
		} else {
			b.WriteString("|" + strings.Repeat("-", n+2))
		}
	}
	b.WriteString("|\n")
	for _, row := range cells[1:] {
		line(row)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Row) cell(s Side) string {
	v := r.Value(s)
	switch {
	case !math.IsNaN(v):
		return Number(v)
	case r.Why[s] != "":
		return r.Why[s]
	}
	return "–"
}

// Number writes v with three significant digits at least and commas.
func Number(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 100 || a == 0:
		return commas(strconv.FormatFloat(v, 'f', 0, 64))
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func commas(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}
