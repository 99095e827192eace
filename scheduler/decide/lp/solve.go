package lp

import "math"

// DefaultLimit is the number of pivots that Solve makes at most when it is told
// none: far more than a program of the given size needs.
func DefaultLimit(m *Model) int64 { return 2000 + 20*int64(m.Rows()+m.Cols()) }

// Solve optimises the model from the given start (nil: the row activities)
// with at most limit pivots (0: DefaultLimit). A start that is dual feasible
// goes on with the dual method, any other with the primal one. It panics on a
// model that Check refuses.
func Solve(m *Model, start *Basis, limit int64) Solution {
	if err := m.Check(); err != nil {
		panic(err)
	}
	if limit <= 0 {
		limit = DefaultLimit(m)
	}
	s := newSimplex(m)
	s.limit = limit
	for k := range s.lo {
		if s.lo[k] > s.up[k] {
			s.load(start)
			return s.solution(m, Infeasible)
		}
	}
	s.load(start)
	return s.solution(m, s.run())
}

// run alternates the two methods until one of them ends on true bounds.
func (s *simplex) run() Status {
	st := Limited
	for round := 0; round < 6; round++ {
		if !s.feasible() && s.dualReady() {
			s.dual() // whatever it says, primal has the last word
		}
		st = s.primal(round < 3)
		if !s.perturbed {
			if st == Optimal && !s.feasible() {
				continue
			}
			return st
		}
		s.restore()
		switch {
		case st == Limited && s.pivots >= s.limit:
			return st
		case st == Infeasible:
			// Wider bounds had no solution, so the true ones have none.
			return st
		}
	}
	return Limited
}

// solution undoes the scaling.
func (s *simplex) solution(mo *Model, st Status) Solution {
	n, m := s.n, s.m
	if len(s.f.etaSlot) > 0 {
		s.refactor()
	}
	s.truePrices()
	out := Solution{Status: st, X: make([]float64, n), Activity: make([]float64, m), Dual: make([]float64, m),
		Reduced: make([]float64, n), Pivots: s.pivots,
		Basis: Basis{Cols: append([]Place{}, s.place[:n]...), Rows: append([]Place{}, s.place[n:]...)}}
	sign := 1.0
	if mo.Maximize {
		sign = -1
	}
	for j := 0; j < n; j++ {
		// What rests on a bound gets it exactly.
		switch s.place[j] {
		case AtLower:
			out.X[j] = mo.lo[j]
		case AtUpper:
			out.X[j] = mo.up[j]
		default:
			out.X[j] = s.x[j] * s.colScale[j]
		}
		if math.IsInf(out.X[j], 0) {
			out.X[j] = 0
		}
		out.Objective += float64(mo.cost[j] * out.X[j])
		out.Reduced[j] = sign * s.d[j] / (s.colScale[j] * s.costScale)
		rows, coefficients := mo.Col(j)
		for t, i := range rows {
			out.Activity[i] += float64(coefficients[t] * out.X[j])
		}
	}
	for i := range out.Dual {
		out.Dual[i] = sign * s.y[i] * s.rowScale[i] / s.costScale
	}
	return out
}
