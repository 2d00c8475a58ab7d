// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestBest(t *testing.T) {
	for _, c := range []struct {
		b      Better
		vs     []float64
		best   float64
		spread float64
	}{
		{Higher, nil, math.NaN(), 0},
		{Higher, []float64{3}, 3, 0},
		{Higher, []float64{3, 4, 2}, 4, 0.5},
		{Lower, []float64{3, 4, 2}, 2, 1},
		{Lower, []float64{math.NaN(), 5}, 5, 0},
	} {
		if got := c.b.Best(c.vs); got != c.best && !(math.IsNaN(got) && math.IsNaN(c.best)) {
			t.Errorf("Best(%v, %v) = %v, want %v", c.b, c.vs, got, c.best)
		}
		if got := c.b.Spread(c.vs); got != c.spread {
			t.Errorf("Spread(%v, %v) = %v, want %v", c.b, c.vs, got, c.spread)
		}
	}
}

func TestNumber(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.256: "0.26", 9.999: "10.00", 12.34: "12.3", 123.4: "123", 1234: "1,234", 1234567: "1,234,567", -1234: "-1,234", 999: "999",
	} {
		if got := Number(v); got != want {
			t.Errorf("Number(%v) = %q, want %q", v, got, want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	row := func(what string, b Better, goal, weir, stock float64) Row {
		r := Row{What: what, Unit: "u", Better: b, Goal: goal}
		r.Add(Weir, weir, nil)
		r.Add(Stock, stock, nil)
		return r
	}
	refused := Row{What: "refused", Goal: 2}
	refused.Add(Weir, 0, errors.New("says no"))
	refused.Add(Stock, 5, nil)
	third := row("third", Higher, 1, 20, 10)
	third.Add(BPF, 30, nil)
	rows := []Row{third, row("won", Lower, 0.7, 1, 4), row("lost", Lower, 0.7, 4, 1), row("missed", Higher, 1.5, 11, 10), refused}
	Sort(rows)
	var b strings.Builder
	if err := Markdown(&b, rows); err != nil {
		t.Fatal(err)
	}
	want := `|           |    Weir | Weir, eBPF | OVS's userspace datapath | ratio            | goal              |
|-----------|--------:|-----------:|-------------------------:|------------------|-------------------|
| refused   | says no |          – |                     5.00 | –                | ≥ 2: not measured |
| lost, u   |    4.00 |          – |                     1.00 | 4.00             | ≤ 0.7: missed     |
| missed, u |    11.0 |          – |                     10.0 | 1.10             | ≥ 1.5: missed     |
| third, u  |    20.0 |       30.0 |                     10.0 | 2.00 (eBPF 3.00) | ≥ 1: met          |
| won, u    |    1.00 |          – |                     4.00 | 0.25             | ≤ 0.7: met        |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
