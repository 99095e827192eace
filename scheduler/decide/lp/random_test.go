package lp

import (
	"encoding/binary"
	"flag"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var instances = flag.Int("instances", 300, "random instances to compare with clp")

// stream is a small generator fixed by this file.
type stream uint64

func (s *stream) next() uint64 {
	*s += 0x9e3779b97f4a7c15
	z := uint64(*s)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return z ^ (z >> 31)
}

func (s *stream) below(n int) int     { return int(s.next() % uint64(n)) }
func (s *stream) unit() float64       { return float64(s.next()>>11) / (1 << 53) }
func (s *stream) chance(p int) bool   { return s.below(100) < p }
func (s *stream) whole(n int) float64 { return float64(s.below(2*n+1) - n) }

// shape names a kind of random program.
type shape int

const (
	plain      shape = iota // inequalities around a feasible point
	degenerate              // small whole numbers, many ties
	assignment              // transport rows and duplicate columns
	scaled                  // rows and columns off by powers of ten
	wild                    // anything: infeasible, unbounded, free rows
	shapes
)

func random(seed uint64, kind shape) *Model {
	s := stream(seed*977 + uint64(kind))
	n, m := 1+s.below(40), 1+s.below(25)
	if s.chance(15) {
		n, m = 60+s.below(140), 30+s.below(60)
	}
	mo := &Model{Maximize: s.chance(50)}
	point := make([]float64, n)
	cols := make([][]float64, n)
	factor := func() float64 {
		if kind != scaled {
			return 1
		}
		return math.Pow(10, float64(s.below(9)-4))
	}
	rowFactor := make([]float64, m)
	for i := range rowFactor {
		rowFactor[i] = factor()
	}
	dense := 10 + s.below(60)
	activity := make([]float64, m)
	los, ups, costs := make([]float64, n), make([]float64, n), make([]float64, n)
	for j := range cols {
		cols[j] = make([]float64, m)
		cf := factor()
		for i := range cols[j] {
			if !s.chance(dense) {
				continue
			}
			v := s.whole(9)
			switch kind {
			case plain, scaled:
				v = (s.unit() - 0.3) * 10
			case assignment:
				v = 1
			case degenerate:
				v = s.whole(2)
			}
			cols[j][i] = v * rowFactor[i] * cf
		}
		if kind == assignment && j > 0 && s.chance(20) {
			copy(cols[j], cols[s.below(j)])
		}
		lo, up := 0.0, float64(1+s.below(5))/cf
		switch {
		case s.chance(25):
			up = Inf
		case s.chance(5):
			lo = -Inf
		case s.chance(2):
			lo, up = -Inf, Inf
		case s.chance(10):
			lo = -float64(s.below(4)) / cf
		case s.chance(5):
			up = 0
		}
		if openly := kind == wild && s.chance(70); !openly && (math.IsInf(lo, 0) || math.IsInf(up, 0)) {
			// Bounded by the cost alone.
			cost := s.unit() * 20 / cf
			if math.IsInf(lo, 0) {
				cost = -cost
			}
			if mo.Maximize {
				cost = -cost
			}
			if math.IsInf(lo, 0) && math.IsInf(up, 0) {
				cost = 0
			}
			costs[j] = cost
		} else {
			costs[j] = s.whole(20) / cf
		}
		los[j], ups[j] = lo, up
		point[j] = math.Max(lo, -3/cf) + s.unit()*math.Min(3/cf, up-math.Max(lo, -3/cf))
		if kind == degenerate {
			point[j] = math.Max(lo, 0)
		}
		for i, v := range cols[j] {
			activity[i] += v * point[j]
		}
	}
	for i := range activity {
		a := activity[i]
		f := rowFactor[i]
		lo, up := -Inf, a+f*float64(s.below(4))
		switch s.below(5) {
		case 0:
			lo, up = a-f*float64(s.below(3)), Inf
		case 1:
			lo = a - f*float64(s.below(5))
		case 2:
			if s.chance(40) {
				lo, up = a, a
			}
		}
		if kind == wild {
			switch s.below(8) {
			case 0:
				lo, up = -Inf, Inf
			case 1:
				lo, up = s.whole(20), Inf
			case 2:
				up = s.whole(10)
				lo = up
			}
		}
		mo.AddRow(lo, up)
	}
	for j := range cols {
		var rows []int32
		var vals []float64
		for i, v := range cols[j] {
			if v != 0 {
				rows, vals = append(rows, int32(i)), append(vals, v)
			}
		}
		mo.AddCol(costs[j], los[j], ups[j], rows, vals)
	}
	return mo
}

// audit recomputes everything that an optimal solution claims: feasibility,
// signs of the duals, complementary slackness, and the dual objective.
func audit(t testing.TB, m *Model, r *Solution) {
	t.Helper()
	near := func(what string, at int, a, b, size float64) {
		t.Helper()
		if math.Abs(a-b) > 1e-7*math.Max(1, size) {
			t.Fatalf("%s %d: %.12g, should be %.12g", what, at, a, b)
		}
	}
	sign := 1.0
	if m.Maximize {
		sign = -1
	}
	act, mass := make([]float64, m.Rows()), make([]float64, m.Rows())
	value, dual, magnitude := 0.0, 0.0, 1.0
	for _, c := range m.cost {
		magnitude = math.Max(magnitude, math.Abs(c))
	}
	inside := func(what string, at int, x, lo, up, d, size float64) {
		t.Helper()
		tol := 1e-6 * math.Max(1, size)
		if x < lo-tol || x > up+tol {
			t.Fatalf("%s %d: %.12g outside [%g, %g]", what, at, x, lo, up)
		}
		// Minimisation: a positive price holds the lower bound, a negative the upper.
		bound := lo
		if d < 0 {
			bound = up
		}
		if d == 0 {
			return
		}
		if math.IsInf(bound, 0) {
			if math.Abs(d) > 1e-6*magnitude {
				t.Fatalf("%s %d: price %g on no bound", what, at, d)
			}
			return
		}
		dual += d * bound
		magnitude = math.Max(magnitude, math.Abs(d*bound))
		if gap := math.Abs(d * (x - bound)); gap > 1e-6*math.Max(magnitude, math.Abs(r.Objective)) {
			t.Fatalf("%s %d: slack %g at price %g", what, at, x-bound, d)
		}
	}
	for j := range m.cost {
		rows, val := m.Col(j)
		value += m.cost[j] * r.X[j]
		magnitude = math.Max(magnitude, math.Abs(m.cost[j]))
		d, big := m.cost[j], math.Abs(m.cost[j])
		for k, i := range rows {
			act[i] += val[k] * r.X[j]
			mass[i] += math.Abs(val[k] * r.X[j])
			d -= val[k] * r.Dual[i]
			big += math.Abs(val[k] * r.Dual[i])
		}
		near("reduced cost", j, r.Reduced[j], d, big)
	}
	for j := range m.cost {
		inside("column", j, r.X[j], m.lo[j], m.up[j], sign*r.Reduced[j], math.Abs(r.X[j]))
	}
	for i := range act {
		near("activity", i, r.Activity[i], act[i], mass[i])
		inside("row", i, act[i], m.rowLo[i], m.rowUp[i], sign*r.Dual[i], mass[i])
	}
	near("objective", 0, r.Objective, value, math.Abs(value))
	if math.Abs(sign*dual-value) > 1e-6*math.Max(magnitude, math.Abs(value)) {
		t.Fatalf("dual objective %.12g, primal %.12g", sign*dual, value)
	}
}

// clp solves a model with the reference solver: status and objective as a
// minimisation.
func clp(t testing.TB, m *Model) (Status, float64) {
	t.Helper()
	dir := t.TempDir()
	name, sol := filepath.Join(dir, "m.mps"), filepath.Join(dir, "sol")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteMPS(f, m, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("clp", name, "-primalTolerance", "1e-9", "-dualTolerance", "1e-9", "-primalSimplex", "-saveSolution", sol).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text := strings.ToLower(string(out))
	switch {
	case strings.Contains(text, "optimal objective"): // its last word; presolve may have doubted
	case strings.Contains(text, "primal infeasible"):
		return Infeasible, 0
	case strings.Contains(text, "dual infeasible"), strings.Contains(text, "unbounded"):
		return Unbounded, 0
	default:
		t.Fatalf("clp: %s", out)
	}
	b, err := os.ReadFile(sol)
	if err != nil || len(b) < 16 {
		t.Fatalf("clp wrote no solution: %v\n%s", err, out)
	}
	return Optimal, math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))
}

func costless(t testing.TB, m *Model) Status {
	free := *m
	free.cost = make([]float64, m.Cols())
	st, _ := clp(t, &free)
	return st
}

func TestAgreesWithClp(t *testing.T) {
	if _, err := exec.LookPath("clp"); err != nil {
		t.Skip("clp is not installed (Debian: coinor-clp)")
	}
	seen, proven, apart := [4]int{}, 0, 0.0
	for i := range *instances {
		kind := shape(i % int(shapes))
		m := random(uint64(i), kind)
		r := Solve(m, nil, 0)
		st, want := clp(t, m)
		if r.Status == Unbounded && st == Infeasible {
			// clp may call an unbounded program infeasible; without costs it
			// must find a point.
			if st = costless(t, m); st == Optimal {
				st = Unbounded
			}
		} else if r.Status == Infeasible && st == Unbounded {
			st = costless(t, m) // and the other way where both hold
		} else if r.Status == Optimal && st != Optimal && kind == scaled {
			audit(t, m, &r) // a proof of its own, against clp's presolve
			proven++
			continue
		}
		if r.Status != st {
			t.Errorf("instance %d (%d): %s, clp says %s %.12g (here %.12g)", i, kind, r.Status, st, want, r.Objective)
			continue
		}
		seen[st]++
		if st != Optimal {
			continue
		}
		audit(t, m, &r)
		if m.Maximize {
			want = -want
		}
		size := math.Abs(want)
		for j, c := range m.cost { // terms that cancel leave only their digits
			size = math.Max(size, math.Abs(c*r.X[j]))
		}
		apart = math.Max(apart, math.Abs(r.Objective-want)/math.Max(1, size))
		if math.Abs(r.Objective-want) > 1e-9*math.Max(1, size) {
			t.Errorf("instance %d (%d): %.15g, clp %.15g", i, kind, r.Objective, want)
		}
	}
	t.Logf("optimal %d, infeasible %d, unbounded %d", seen[Optimal], seen[Infeasible], seen[Unbounded])
	t.Logf("figure lp_against_clp_n %d instances", *instances)
	t.Logf("figure lp_against_clp_max_relative_difference %.3g ratio", apart)
	if 100*proven > *instances {
		t.Errorf("clp finds no optimum on %d instances", proven)
	}
	if *instances >= 300 && (seen[Infeasible] < 10 || seen[Unbounded] < 10) {
		t.Error("the instances hardly show infeasible or unbounded programs")
	}
}
