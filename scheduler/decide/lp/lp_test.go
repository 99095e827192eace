package lp

import (
	"bytes"
	"math"
	"reflect"
	"strings"
	"testing"
)

// vertices finds the optimum of a tiny program with finite column bounds by
// trying every basis with every choice of bounds for the rest.
func vertices(m *Model) (bool, float64) {
	n, r := m.Cols(), m.Rows()
	lo, up := append(append([]float64{}, m.lo...), m.rowLo...), append(append([]float64{}, m.up...), m.rowUp...)
	col := make([][]float64, n+r)
	for k := range col {
		col[k] = make([]float64, r)
		if k >= n {
			col[k][k-n] = -1
			continue
		}
		rows, val := m.Col(k)
		for t, i := range rows {
			col[k][i] = val[t]
		}
	}
	best, found := math.Inf(1), false
	x := make([]float64, n+r)
	var try func(k int, basic []int)
	check := func(basic []int) {
		a := make([][]float64, r)
		for i := range a {
			a[i] = make([]float64, r+1)
			for t, k := range basic {
				a[i][t] = col[k][i]
			}
		}
		isBasic := make([]bool, n+r)
		for _, k := range basic {
			isBasic[k] = true
		}
		for k := range col {
			for i := 0; !isBasic[k] && i < r; i++ {
				a[i][r] -= col[k][i] * x[k]
			}
		}
		for p := 0; p < r; p++ {
			at := p
			for i := p; i < r; i++ {
				if math.Abs(a[i][p]) > math.Abs(a[at][p]) {
					at = i
				}
			}
			if math.Abs(a[at][p]) < 1e-9 {
				return
			}
			a[p], a[at] = a[at], a[p]
			for i := 0; i < r; i++ {
				if i == p {
					continue
				}
				f := a[i][p] / a[p][p]
				for t := p; t <= r; t++ {
					a[i][t] -= f * a[p][t]
				}
			}
		}
		value := 0.0
		for t, k := range basic {
			v := a[t][r] / a[t][t]
			if v < lo[k]-1e-7 || v > up[k]+1e-7 {
				return
			}
			if k < n {
				value += m.cost[k] * v
			}
		}
		for k := 0; k < n; k++ {
			if !isBasic[k] {
				value += m.cost[k] * x[k]
			}
		}
		if m.Maximize {
			value = -value
		}
		found, best = true, math.Min(best, value)
	}
	try = func(k int, basic []int) {
		if k == n+r {
			if len(basic) == r {
				check(basic)
			}
			return
		}
		if len(basic) < r {
			try(k+1, append(basic[:len(basic):len(basic)], k))
		}
		if n+r-k-1 < r-len(basic) {
			return
		}
		free := true
		for _, v := range []float64{lo[k], up[k]} {
			if !math.IsInf(v, 0) && (free || lo[k] != up[k]) {
				free = false
				x[k] = v
				try(k+1, basic)
			}
		}
		if free {
			x[k] = 0
			try(k+1, basic)
		}
	}
	try(0, nil)
	if m.Maximize {
		best = -best
	}
	return found, best
}

func tiny(seed uint64) *Model {
	s := stream(seed)
	m := &Model{Maximize: s.chance(50)}
	n, r := 1+s.below(4), 1+s.below(3)
	for range r {
		a, b := s.whole(6), s.whole(6)
		lo, up := math.Min(a, b), math.Max(a, b)
		switch s.below(4) {
		case 0:
			lo = -Inf
		case 1:
			up = Inf
		case 2:
			if s.chance(30) {
				lo, up = -Inf, Inf
			}
		}
		m.AddRow(lo, up)
	}
	for range n {
		var rows []int32
		var val []float64
		for i := range r {
			if v := s.whole(3); v != 0 {
				rows, val = append(rows, int32(i)), append(val, v)
			}
		}
		lo := s.whole(3)
		m.AddCol(s.whole(5), lo, lo+float64(s.below(5)), rows, val)
	}
	return m
}

func TestAgreesWithEnumeration(t *testing.T) {
	seen := [4]int{}
	for seed := range uint64(3000) {
		m := tiny(seed)
		r := Solve(m, nil, 0)
		found, want := vertices(m)
		seen[r.Status]++
		if found != (r.Status == Optimal) || (!found && r.Status != Infeasible) {
			t.Fatalf("seed %d: %s, a vertex exists: %v", seed, r.Status, found)
		}
		if !found {
			continue
		}
		audit(t, m, &r)
		if math.Abs(r.Objective-want) > 1e-9*math.Max(1, math.Abs(want)) {
			t.Fatalf("seed %d: %.12g, best vertex %.12g", seed, r.Objective, want)
		}
	}
	if seen[Infeasible] < 100 {
		t.Errorf("only %d infeasible programs", seen[Infeasible])
	}
}

func TestSmallPrograms(t *testing.T) {
	for name, c := range map[string]struct {
		build func(m *Model)
		want  Status
		value float64
	}{
		"no rows":     {func(m *Model) { m.AddCol(-2, 0, 3, nil, nil) }, Optimal, -6},
		"nothing":     {func(m *Model) {}, Optimal, 0},
		"no columns":  {func(m *Model) { m.AddRow(1, 2) }, Infeasible, 0},
		"open":        {func(m *Model) { m.AddCol(-1, 0, Inf, nil, nil) }, Unbounded, 0},
		"crossed":     {func(m *Model) { m.AddCol(1, 2, 1, nil, nil) }, Infeasible, 0},
		"free column": {func(m *Model) { m.AddRow(3, Inf); m.AddCol(2, -Inf, Inf, []int32{0}, []float64{1}) }, Optimal, 6},
		"free row": {func(m *Model) {
			m.AddRow(-Inf, Inf)
			m.AddCol(-1, 0, 4, []int32{0}, []float64{7})
		}, Optimal, -4},
		"twins": {func(m *Model) {
			m.AddRow(-Inf, 5)
			for range 6 {
				m.AddCol(-3, 0, 2, []int32{0}, []float64{1})
			}
		}, Optimal, -15},
		"cycling": {func(m *Model) { // Beale's example
			m.AddRow(-Inf, 0)
			m.AddRow(-Inf, 0)
			m.AddRow(-Inf, 1)
			m.AddCol(-0.75, 0, Inf, []int32{0, 1}, []float64{0.25, 0.5})
			m.AddCol(150, 0, Inf, []int32{0, 1}, []float64{-60, -90})
			m.AddCol(-0.02, 0, Inf, []int32{0, 1, 2}, []float64{-0.04, -0.02, 1})
			m.AddCol(6, 0, Inf, []int32{0, 1}, []float64{9, 3})
		}, Optimal, -0.05},
	} {
		var m Model
		c.build(&m)
		r := Solve(&m, nil, 0)
		if r.Status != c.want || (c.want == Optimal && math.Abs(r.Objective-c.value) > 1e-9) {
			t.Errorf("%s: %s %g, want %s %g", name, r.Status, r.Objective, c.want, c.value)
		}
	}
}

// A changed bound is answered from the last basis, by the dual method, in fewer
// pivots than from nothing; so is a model that grew by columns.
func TestGoesOnFromABasis(t *testing.T) {
	warm, cold := int64(0), int64(0)
	for seed := range uint64(60) {
		m := random(seed*5, plain)
		first := Solve(m, nil, 0)
		if first.Status != Optimal {
			continue
		}
		s := stream(seed)
		for range 3 {
			i := s.below(m.Rows())
			if lo, up := m.rowLo[i], m.rowUp[i]; !math.IsInf(up, 1) {
				m.SetRow(i, lo, up+s.unit())
			}
		}
		m.AddCol(s.whole(5), 0, 1, []int32{0}, []float64{s.whole(3)})
		a, b := Solve(m, &first.Basis, 0), Solve(m, nil, 0)
		if a.Status != b.Status || (a.Status == Optimal && math.Abs(a.Objective-b.Objective) > 1e-8*math.Max(1, math.Abs(b.Objective))) {
			t.Fatalf("seed %d: %s %.12g from a basis, %s %.12g from nothing", seed, a.Status, a.Objective, b.Status, b.Objective)
		}
		warm, cold = warm+a.Pivots, cold+b.Pivots
	}
	if warm*3 > cold {
		t.Errorf("%d pivots from a basis, %d from nothing", warm, cold)
	}
}

// A start that is singular, of the wrong size or full of nonsense costs time,
// not the answer; the same start gives the same bits.
func TestMendsAnyStart(t *testing.T) {
	for seed := range uint64(200) {
		m := random(seed, shape(seed%uint64(wild)))
		want := Solve(m, nil, 0)
		s := stream(seed)
		var b Basis
		for range m.Cols() + s.below(3) - 1 {
			b.Cols = append(b.Cols, Place(s.below(6)-1))
		}
		for range m.Rows() + s.below(3) - 1 {
			b.Rows = append(b.Rows, Place(s.below(6)-1))
		}
		got := Solve(m, &b, 0)
		if got.Status != want.Status || (got.Status == Optimal && math.Abs(got.Objective-want.Objective) > 1e-7*math.Max(1, math.Abs(want.Objective))) {
			t.Fatalf("seed %d: %s %g, want %s %g", seed, got.Status, got.Objective, want.Status, want.Objective)
		}
		if again := Solve(m, &b, 0); !reflect.DeepEqual(got, again) {
			t.Fatalf("seed %d: two answers", seed)
		}
	}
}

func TestStopsAtTheLimit(t *testing.T) {
	m := random(10, plain)
	full := Solve(m, nil, 0)
	if full.Status != Optimal || full.Pivots < 4 {
		t.Fatalf("%s after %d pivots: no use as an example", full.Status, full.Pivots)
	}
	if r := Solve(m, nil, full.Pivots/2); r.Status != Limited || r.Pivots > full.Pivots/2 {
		t.Errorf("%s after %d pivots of %d", r.Status, r.Pivots, full.Pivots/2)
	}
}

func TestRefusesBrokenModels(t *testing.T) {
	for name, m := range map[string]func(m *Model){
		"unknown row": func(m *Model) { m.AddCol(1, 0, 1, []int32{3}, []float64{1}) },
		"row twice":   func(m *Model) { m.AddRow(0, 1); m.AddCol(1, 0, 1, []int32{0, 0}, []float64{1, 1}) },
		"NaN":         func(m *Model) { m.AddRow(0, 1); m.AddCol(1, 0, 1, []int32{0}, []float64{math.NaN()}) },
		"cost":        func(m *Model) { m.AddCol(Inf, 0, 1, nil, nil) },
		"bound":       func(m *Model) { m.AddRow(Inf, Inf) },
		"uneven":      func(m *Model) { m.AddRow(0, 1); m.AddCol(1, 0, 1, []int32{0}, nil) },
	} {
		var x Model
		m(&x)
		if x.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestWriteMPS(t *testing.T) {
	m := &Model{Maximize: true}
	m.AddRow(1, 4)
	m.AddRow(-Inf, Inf)
	m.AddCol(2, 0, 1, []int32{0}, []float64{0.1})
	m.AddCol(-1, -Inf, Inf, []int32{0, 1}, []float64{1, 5})
	var b bytes.Buffer
	if err := WriteMPS(&b, m, func(j int) bool { return j == 0 }); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{" G R0", " N R1", "'INTORG'", " C0 COST -2", " C0 R0 0.10000000000000001", " RNG R0 3", " UP BND C0 1", " FR BND C1"} {
		if !strings.Contains(b.String(), line+"\n") {
			t.Errorf("no line %q in\n%s", line, b.String())
		}
	}
}

func FuzzSolve(f *testing.F) {
	f.Add([]byte{2, 2, 1, 9, 3, 200, 7, 7, 1, 0, 5, 5, 5, 90, 1, 2, 3})
	f.Add([]byte{5, 3, 0, 0, 0, 0, 255, 255, 255, 128, 127, 64, 3, 3, 3, 9, 8, 7, 6, 5, 4, 3, 2, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() float64 {
			if len(data) == 0 {
				return 0
			}
			v := int8(data[0])
			data = data[1:]
			if v > 100 { // now and then a size far off
				return math.Ldexp(1, int(v)-110)
			}
			return float64(v)
		}
		var m Model
		n, r := int(math.Abs(next()))%12, int(math.Abs(next()))%9
		m.Maximize = next() > 0
		for range r {
			lo, up := next(), next()
			if lo < -60 {
				lo = -Inf
			}
			if up < -60 {
				up = Inf
			}
			m.AddRow(lo, up)
		}
		for range n {
			c, lo, up := next(), next(), next()
			if lo < -60 {
				lo = -Inf
			}
			if up < -60 {
				up = Inf
			}
			var rows []int32
			var val []float64
			for i := range r {
				if v := next(); v != 0 {
					rows, val = append(rows, int32(i)), append(val, v)
				}
			}
			m.AddCol(c, lo, up, rows, val)
		}
		s := Solve(&m, nil, 0)
		for _, x := range s.X {
			if math.IsNaN(x) || math.IsInf(x, 0) {
				t.Fatalf("%s with %g", s.Status, x)
			}
		}
	})
}
