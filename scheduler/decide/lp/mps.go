package lp

import (
	"bufio"
	"fmt"
	"io"
	"math"
)

// WriteMPS writes the model in free MPS form as a minimisation (costs of a
// maximisation change sign), rows named R0.. and columns C0... Columns for
// which integer says so are marked; integer may be nil. Figures keep all their
// bits.
func WriteMPS(w io.Writer, m *Model, integer func(col int) bool) error {
	b := bufio.NewWriter(w)
	fmt.Fprint(b, "NAME LP FREE\nROWS\n N COST\n")
	kind := func(i int) byte {
		lo, up := m.rowLo[i], m.rowUp[i]
		switch {
		case math.IsInf(lo, -1) && math.IsInf(up, 1):
			return 'N'
		case lo == up:
			return 'E'
		case math.IsInf(lo, -1):
			return 'L'
		}
		return 'G'
	}
	for i := range m.rowLo {
		fmt.Fprintf(b, " %c R%d\n", kind(i), i)
	}
	fmt.Fprint(b, "COLUMNS\n")
	marked := false
	for j := range m.cost {
		if is := integer != nil && integer(j); is != marked {
			marked = is
			name := "INTEND"
			if is {
				name = "INTORG"
			}
			fmt.Fprintf(b, " M%d 'MARKER' '%s'\n", j, name)
		}
		c := m.cost[j]
		if m.Maximize {
			c = -c
		}
		fmt.Fprintf(b, " C%d COST %.17g\n", j, c)
		rows, coefficients := m.Col(j)
		for t, i := range rows {
			fmt.Fprintf(b, " C%d R%d %.17g\n", j, i, coefficients[t])
		}
	}
	if marked {
		fmt.Fprint(b, " MEND 'MARKER' 'INTEND'\n")
	}
	fmt.Fprint(b, "RHS\n")
	for i := range m.rowLo {
		switch kind(i) {
		case 'E', 'G':
			fmt.Fprintf(b, " RHS R%d %.17g\n", i, m.rowLo[i])
		case 'L':
			fmt.Fprintf(b, " RHS R%d %.17g\n", i, m.rowUp[i])
		}
	}
	fmt.Fprint(b, "RANGES\n")
	for i := range m.rowLo {
		if kind(i) == 'G' && !math.IsInf(m.rowUp[i], 1) {
			fmt.Fprintf(b, " RNG R%d %.17g\n", i, m.rowUp[i]-m.rowLo[i])
		}
	}
	fmt.Fprint(b, "BOUNDS\n")
	for j := range m.cost {
		lo, up := m.lo[j], m.up[j]
		switch {
		case math.IsInf(lo, -1) && math.IsInf(up, 1):
			fmt.Fprintf(b, " FR BND C%d\n", j)
			continue
		case lo == up:
			fmt.Fprintf(b, " FX BND C%d %.17g\n", j, lo)
			continue
		case math.IsInf(lo, -1):
			fmt.Fprintf(b, " MI BND C%d\n", j)
		default:
			fmt.Fprintf(b, " LO BND C%d %.17g\n", j, lo)
		}
		if math.IsInf(up, 1) {
			fmt.Fprintf(b, " PL BND C%d\n", j)
		} else {
			fmt.Fprintf(b, " UP BND C%d %.17g\n", j, up)
		}
	}
	fmt.Fprint(b, "ENDATA\n")
	return b.Flush()
}
