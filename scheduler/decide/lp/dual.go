package lp

import (
	"math"
	"slices"
)

// dualReady moves what is not basic to the bound its reduced cost asks for and
// tells whether the basis is dual feasible then.
func (s *simplex) dualReady() bool {
	s.truePrices()
	ok, moved := true, false
	for k, p := range s.place {
		if p == Basic || s.lo[k] == s.up[k] {
			continue
		}
		d := s.d[k]
		switch {
		case p == AtLower && d < -costTol:
			if math.IsInf(s.up[k], 1) {
				ok = false
				continue
			}
			s.place[k], moved = AtUpper, true
			s.rest(k)
		case p == AtUpper && d > costTol:
			if math.IsInf(s.lo[k], -1) {
				ok = false
				continue
			}
			s.place[k], moved = AtLower, true
			s.rest(k)
		case p == AtZero && math.Abs(d) > costTol:
			ok = false
		}
	}
	if moved && ok {
		s.values()
	} else if moved {
		s.refactor()
	}
	return ok
}

// dual walks from a dual feasible basis to a primal feasible one. Optimal
// means that nothing is outside its bounds any more; the caller cleans up with
// primal. Anything else is for primal to judge.
func (s *simplex) dual() Status {
	for i := range s.weight {
		s.weight[i] = 1
	}
	idle, sum, rejected := 0, math.Inf(1), 0
	for {
		if s.pivots >= s.limit {
			return Limited
		}
		slot, miss, total := s.worst()
		if slot < 0 {
			return Optimal
		}
		if total < sum-float64(1e-9*(1+sum)) || math.IsInf(sum, 1) {
			sum, idle = total, 0
		} else if idle++; idle > 500+s.m {
			return Limited
		}
		s.solveRow(slot)
		s.rowOf()
		s.rho.clear()
		q := s.enteringDual(miss)
		if q < 0 {
			return Infeasible
		}
		s.solveColumn(q)
		a := s.alpha.v[slot]
		if math.Abs(a-s.acc[q]) > 1e-7*(1+math.Abs(a)) || math.Abs(a) < alphaTol {
			if rejected++; rejected > 3 {
				return Limited
			}
			s.refactor()
			if !s.dualReady() {
				return Limited
			}
			continue
		}
		k := s.head[slot]
		theta := s.d[q] / a
		for _, j := range s.hit {
			s.d[j] -= float64(theta * s.acc[j])
		}
		s.d[q], s.d[k] = 0, -theta
		target, rest := s.up[k], AtUpper
		if miss < 0 {
			target, rest = s.lo[k], AtLower
		}
		step := (s.x[k] - target) / a
		w := math.Max(1, s.weight[slot]/float64(a*a))
		for _, i := range s.alpha.at {
			if int(i) != slot {
				r := s.alpha.v[i] / a
				s.weight[i] = math.Max(s.weight[i], float64(float64(r*r)*s.weight[slot]))
			}
		}
		s.weight[slot] = w
		s.x[q] += step
		s.enter(slot, q, rest, step, false)
		if len(s.f.etaSlot) == 0 && !s.dualReady() {
			return Limited
		}
	}
}

// worst is the slot furthest outside its bounds by its weight, with the sum over
// all slots.
func (s *simplex) worst() (int, float64, float64) {
	at, miss, score, total := -1, 0.0, 0.0, 0.0
	for slot, v := range s.miss {
		if v == 0 {
			continue
		}
		total += math.Abs(v)
		if t := float64(v*v) / s.weight[slot]; t > score {
			at, miss, score = slot, v, t
		}
	}
	return at, miss, total
}

// rowOf multiplies rho into every column that is not basic: acc, with the
// columns touched in hit.
func (s *simplex) rowOf() {
	for _, k := range s.hit {
		s.acc[k] = 0
	}
	s.hit = s.hit[:0]
	note := func(k int32, v float64) {
		if s.place[k] == Basic {
			return
		}
		if s.acc[k] == 0 {
			s.hit = append(s.hit, k)
		}
		s.acc[k] += v
	}
	for _, i := range s.rho.at {
		r := s.rho.v[i]
		if math.Abs(r) < dropTol {
			continue
		}
		note(int32(s.n)+i, -r)
		for q := s.rowStart[i]; q < s.rowStart[i+1]; q++ {
			note(s.rowCol[q], float64(r*s.rowVal[q]))
		}
	}
	// An entry that cancelled to zero and grew again is listed twice.
	slices.Sort(s.hit)
	s.hit = slices.Compact(s.hit)
}

// enteringDual picks the column that keeps the reduced costs right, passing
// over columns that can go to their other bound instead.
func (s *simplex) enteringDual(miss float64) int {
	sign := 1.0
	if miss < 0 {
		sign = -1
	}
	b := s.breaks[:0]
	for _, k := range s.hit {
		a := float64(sign * s.acc[k])
		if math.Abs(a) <= alphaTol || s.lo[k] == s.up[k] {
			continue
		}
		p := s.place[k]
		if (p == AtLower && a < 0) || (p == AtUpper && a > 0) {
			continue
		}
		b = append(b, breakpoint{math.Max(0, math.Abs(s.d[k])/math.Abs(a)), math.Abs(a), k, false})
	}
	s.breaks = b
	if len(b) == 0 {
		return -1
	}
	slices.SortFunc(b, breakpoint.compare)
	slope, last := math.Abs(miss), len(b)-1
	for i, x := range b {
		slope -= float64(x.slope * (s.up[x.at] - s.lo[x.at]))
		if !(slope > 0) {
			last = i
			break
		}
	}
	if slope > 0 {
		return -1 // even with all of them at the other bound
	}
	// Harris: of those whose reduced cost may miss by the tolerance, the largest.
	limit := math.Inf(1)
	for _, x := range b[last:] {
		limit = math.Min(limit, x.t+costTol/x.slope)
	}
	best := last
	for i := last; i < len(b) && b[i].t <= limit; i++ {
		if b[i].slope > b[best].slope {
			best = i
		}
	}
	for best > 0 && b[best].slope < 1e-5 && b[best-1].slope > 10*b[best].slope {
		best--
	}
	flipped := false
	for i := 0; i < best; i++ {
		k := int(b[i].at)
		if math.IsInf(s.up[k]-s.lo[k], 1) || b[i].t >= b[best].t {
			continue
		}
		was := s.x[k]
		if s.place[k] == AtLower {
			s.place[k] = AtUpper
		} else {
			s.place[k] = AtLower
		}
		s.rest(k)
		idx, val := s.column(k)
		for t, r := range idx {
			s.col.note(r)
			s.col.v[r] += float64(val[t] * (s.x[k] - was))
		}
		flipped = true
	}
	if flipped {
		s.f.ftranSparse(s.col, s.alpha)
		s.advance(1, -1, false)
	}
	return int(b[best].at)
}
