package decide

import (
	"bufio"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/scheduler/decide/lp"
)

func pow10(digits int) int64 {
	x := int64(1)
	for range digits {
		x *= 10
	}
	return x
}

// decimal writes x units of 10^-digits without rounding.
func decimal(x int64, digits int) string {
	s, sign := strconv.FormatInt(x, 10), ""
	if s[0] == '-' {
		s, sign = s[1:], "-"
	}
	if len(s) <= digits {
		s = strings.Repeat("0", digits-len(s)+1) + s
	}
	whole, rest := s[:len(s)-digits], strings.TrimRight(s[len(s)-digits:], "0")
	if rest == "" {
		return sign + whole
	}
	return sign + whole + "." + rest
}

// WriteMPS writes the program in free MPS form, as a minimisation of the
// negative objective in micro per hour.
func (x *Program) WriteMPS(w io.Writer) error {
	b := bufio.NewWriter(w)
	b.WriteString("NAME SLUICE FREE\nROWS\n N profit\n")
	for _, r := range x.rows {
		kind := "G"
		switch {
		case r.hasLo && r.hasUp:
			kind = "E"
		case r.hasUp:
			kind = "L"
		}
		fmt.Fprintf(b, " %s %s\n", kind, r.name)
	}
	b.WriteString("COLUMNS\n")
	marked := false
	for j, c := range x.cols {
		if c.whole != marked {
			marked = c.whole
			fmt.Fprintf(b, " M%d 'MARKER' '%s'\n", j, map[bool]string{true: "INTORG", false: "INTEND"}[marked])
		}
		fmt.Fprintf(b, " %s profit %s\n", c.name, decimal(-c.nano, 3))
		for _, e := range c.entries {
			fmt.Fprintf(b, " %s %s %s\n", c.name, x.rows[e.at].name, decimal(e.value, x.rows[e.at].digits))
		}
	}
	if marked {
		b.WriteString(" MEND 'MARKER' 'INTEND'\n")
	}
	b.WriteString("RHS\n")
	for _, r := range x.rows {
		if side := r.lo + r.up; side != 0 { // only one of them is ever set
			fmt.Fprintf(b, " RHS %s %s\n", r.name, decimal(side, r.digits))
		}
	}
	b.WriteString("BOUNDS\n")
	for _, c := range x.cols {
		switch {
		case c.noUp:
			fmt.Fprintf(b, " PL BND %s\n", c.name)
		case c.lo == c.up:
			fmt.Fprintf(b, " FX BND %s %d\n", c.name, c.lo)
		default:
			fmt.Fprintf(b, " LO BND %s %d\n UP BND %s %d\n", c.name, c.lo, c.name, c.up)
		}
	}
	b.WriteString("ENDATA\n")
	return b.Flush()
}

// WriteLP writes the program in the LP form that cbc and glpk share.
func (x *Program) WriteLP(w io.Writer) error {
	b := bufio.NewWriter(w)
	line := 0
	term := func(v, name string) {
		sign := "+"
		if v[0] == '-' {
			sign, v = "-", v[1:]
		}
		if line%6 == 5 { // readers limit the length of a line
			b.WriteString("\n ")
		}
		line++
		fmt.Fprintf(b, " %s %s %s", sign, v, name)
	}
	b.WriteString("Maximize\n profit:")
	for _, c := range x.cols {
		term(decimal(c.nano, 3), c.name)
	}
	b.WriteString("\nSubject To\n")
	for _, r := range x.rows {
		if len(r.entries) == 0 {
			continue // of constants alone, which some readers refuse
		}
		line = 0
		fmt.Fprintf(b, " %s:", r.name)
		for _, e := range r.entries {
			term(decimal(e.value, r.digits), x.cols[e.at].name)
		}
		op := ">="
		switch {
		case r.hasLo && r.hasUp:
			op = "="
		case r.hasUp:
			op = "<="
		}
		fmt.Fprintf(b, " %s %s\n", op, decimal(r.lo+r.up, r.digits))
	}
	b.WriteString("Bounds\n")
	for _, c := range x.cols {
		if !c.noUp {
			fmt.Fprintf(b, " %d <= %s <= %d\n", c.lo, c.name, c.up)
		}
	}
	b.WriteString("General\n")
	for _, c := range x.cols {
		if c.whole {
			fmt.Fprintf(b, " %s\n", c.name)
		}
	}
	b.WriteString("End\n")
	return b.Flush()
}

// Model is the program for package lp, the objective in micro per hour.
func (x *Program) Model() *lp.Model {
	m := &lp.Model{Maximize: true}
	for _, r := range x.rows {
		lo, up, unit := -lp.Inf, lp.Inf, float64(pow10(r.digits))
		if r.hasLo {
			lo = float64(r.lo) / unit
		}
		if r.hasUp {
			up = float64(r.up) / unit
		}
		m.AddRow(lo, up)
	}
	for _, c := range x.cols {
		var rows []int32
		var values []float64
		for _, e := range c.entries {
			rows, values = append(rows, int32(e.at)), append(values, float64(e.value)/float64(pow10(x.rows[e.at].digits)))
		}
		up := float64(c.up)
		if c.noUp {
			up = lp.Inf
		}
		m.AddCol(float64(c.nano)/1000, float64(c.lo), up, rows, values)
	}
	return m
}

// SplitJobs counts the jobs that a solution of the program, one value per
// column, runs in part.
func (x *Program) SplitJobs(values []float64) int {
	const whole = 1e-6
	n, last := 0, 0
	for j, c := range x.cols {
		if v := values[j]; c.job > 0 && c.job != last && v > whole && v < 1-whole {
			n, last = n+1, c.job
		}
	}
	return n
}
