package lp

import (
	"math"
	"slices"
)

// primal walks from the current basis to an optimal one: while something is
// outside its bounds it minimises the sum of that, then the cost. It returns
// how it ended; Optimal means for the bounds in force, which may be perturbed.
func (s *simplex) primal(mayPerturb bool) Status {
	s.cand = s.cand[:0]
	idle, fresh, phase := 0, true, 0
	exact := false // prices were worked out afresh since the last pivot
	stuck := 200 + s.m/4
	for {
		if s.pivots >= s.limit {
			return Limited
		}
		one := s.bad > 0
		now := 2
		if one {
			now = 1
		}
		if now != phase {
			phase, s.stale = now, true
			s.cand = s.cand[:0]
		}
		if s.stale {
			s.phaseCosts(one)
			s.prices(s.cb)
			s.stale, exact = false, true
		}
		bland := idle > 20*stuck
		q, d := s.entering(one, bland)
		if q < 0 {
			if !exact { // prices drift as they follow the pivots
				s.stale = true
				continue
			}
			if len(s.f.etaSlot) > 0 && !fresh {
				s.refactor() // decide on clean figures only
				fresh = true
				continue
			}
			if one {
				return Infeasible
			}
			return Optimal
		}
		s.solveColumn(q)
		// The entering column's own reduced cost, from the ftran this time.
		check := s.reduced(q, one)
		if check*d <= 0 || math.Abs(check-d) > 1e-6*(1+math.Abs(d)) {
			if !exact {
				s.stale = true
				continue
			}
			if !fresh {
				s.refactor()
				fresh = true
				s.cand = s.cand[:0]
				continue
			}
		}
		fresh = false
		dir := 1.0
		if d > 0 {
			dir = -1
		}
		slot, step, upper := s.leaving(q, dir, math.Abs(d), one)
		if slot == -1 {
			if len(s.f.etaSlot) > 0 {
				s.refactor()
				fresh = true
				s.cand = s.cand[:0]
				continue
			}
			if one { // the sum of misses is bounded below, so this is noise
				return Limited
			}
			return Unbounded
		}
		if step*math.Abs(d) > degenerat {
			idle = 0
		} else if idle++; idle > stuck && mayPerturb && !s.perturbed {
			s.perturb()
			idle, fresh = 0, true
			s.cand = s.cand[:0]
			continue
		} else if idle > 60*stuck {
			return Limited
		}
		t := float64(dir * step)
		s.x[q] += t
		if slot == -2 { // to its other bound
			s.pivots++
			if dir > 0 {
				s.place[q] = AtUpper
			} else {
				s.place[q] = AtLower
			}
			s.rest(q)
			s.advance(t, -1, one)
			s.follow()
			exact = exact && !one
			continue
		}
		// Prices follow the pivot by the row of the inverse that leaves.
		s.solveRow(slot)
		theta := check / s.alpha.v[slot]
		for _, i := range s.rho.at {
			s.y[i] += float64(theta * s.rho.v[i])
		}
		s.rho.clear()
		exact = false
		rest := AtLower
		if upper {
			rest = AtUpper
		}
		s.enter(slot, q, rest, t, one)
		fresh = len(s.f.etaSlot) == 0
	}
}

// advance moves the basic columns by step times alpha, except the one of slot
// leave, and books what went outside its bounds or came back. In the first phase
// that changes costs, and the prices follow.
func (s *simplex) advance(step float64, leave int, one bool) {
	for _, i := range s.alpha.at {
		a := s.alpha.v[i]
		if a == 0 || int(i) == leave {
			continue
		}
		k := s.head[i]
		s.x[k] -= float64(step * a)
		s.note(i, k, one)
	}
}

// note works out by how much a basic column is outside its bounds; in the first
// phase the change of its cost is left in unit.
func (s *simplex) note(i, k int32, one bool) {
	old, now := s.miss[i], s.missed(k)
	s.miss[i] = now
	if old != 0 {
		s.bad--
	}
	if now != 0 {
		s.bad++
	}
	if d := sign(now) - sign(old); d != 0 && one {
		s.unit.note(i)
		s.unit.v[i] += d
	}
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return 0
}

// follow takes the changed costs of the first phase over into the prices.
func (s *simplex) follow() {
	if len(s.unit.at) == 0 {
		return
	}
	if s.stale || s.bad == 0 {
		s.unit.clear()
		return
	}
	s.f.btranSparse(s.unit, s.rho)
	for _, i := range s.rho.at {
		s.y[i] += s.rho.v[i]
	}
	s.rho.clear()
}

// phaseCosts fills the basic costs, in the first phase those of what is outside
// its bounds.
func (s *simplex) phaseCosts(one bool) {
	for slot, k := range s.head {
		if one {
			s.cb[slot] = sign(s.miss[slot])
		} else {
			s.cb[slot] = s.cost[k]
		}
	}
}

// reduced is column q's reduced cost from its ftran in alpha.
func (s *simplex) reduced(q int, one bool) float64 {
	t := 0.0
	if !one {
		t = s.cost[q]
	}
	for _, i := range s.alpha.at {
		a := s.alpha.v[i]
		if one {
			t -= float64(sign(s.miss[i]) * a)
		} else {
			t -= float64(s.cost[s.head[i]] * a)
		}
	}
	return t
}

// attraction is the reduced cost of k when entering it pays, else 0.
func (s *simplex) attraction(k int, one bool) float64 {
	p := s.place[k]
	if p == Basic || s.lo[k] == s.up[k] {
		return 0
	}
	d := -s.dot(s.y, k)
	if !one {
		d += s.cost[k]
	}
	switch {
	case p == AtLower && d < -costTol, p == AtUpper && d > costTol, p == AtZero && math.Abs(d) > costTol:
		return d
	}
	return 0
}

// entering picks a column that pays: the best of a short list, refilled by
// scanning sections of the columns in turn; with bland the first one there is.
func (s *simplex) entering(one, bland bool) (int, float64) {
	total := s.n + s.m
	if bland {
		s.cand = s.cand[:0]
		for k := 0; k < total; k++ {
			if d := s.attraction(k, one); d != 0 {
				return k, d
			}
		}
		return -1, 0
	}
	best, bestD, score, n := -1, 0.0, 0.0, 0
	consider := func(k int) bool {
		d := s.attraction(k, one)
		if d == 0 {
			return false
		}
		if v := math.Abs(d) * s.norm[k]; v > score || (v == score && k < best) {
			best, bestD, score = k, d, v
		}
		return true
	}
	for _, k := range s.cand {
		if consider(int(k)) {
			s.cand[n] = k
			n++
		}
	}
	s.cand = s.cand[:n]
	if best >= 0 && n >= 8 {
		return best, bestD
	}
	section := 400 + total/6
	for seen := 0; seen < total; {
		for i := 0; i < section && seen < total; i++ {
			if s.cursor >= total {
				s.cursor = 0
			}
			if consider(s.cursor) {
				s.cand = append(s.cand, int32(s.cursor))
			}
			s.cursor++
			seen++
		}
		if len(s.cand) >= 8 {
			break
		}
	}
	if len(s.cand) > 64 {
		s.shorten(one)
	}
	return best, bestD
}

// shorten keeps the 48 best of a long candidate list.
func (s *simplex) shorten(one bool) {
	type scored struct {
		k int32
		v float64
	}
	list := make([]scored, len(s.cand))
	for i, k := range s.cand {
		list[i] = scored{k, math.Abs(s.attraction(int(k), one)) * s.norm[k]}
	}
	slices.SortFunc(list, func(a, b scored) int {
		switch {
		case a.v > b.v:
			return -1
		case a.v < b.v:
			return 1
		}
		return int(a.k) - int(b.k)
	})
	s.cand = s.cand[:0]
	for i, x := range list {
		if i == 48 || (i > 0 && x.k == list[i-1].k) {
			if i == 48 {
				break
			}
			continue
		}
		s.cand = append(s.cand, x.k)
	}
}

// leaving finds how far column q can go in direction dir: the slot that blocks
// with the step and whether it stops at its upper bound; -2 when q reaches its
// own other bound first, -1 when nothing blocks.
func (s *simplex) leaving(q int, dir, gain float64, one bool) (int, float64, bool) {
	own := s.up[q] - s.lo[q]
	if one {
		return s.leavingOne(dir, gain, own)
	}
	most := math.Inf(1) // Harris: the longest step when bounds give by the tolerance
	for _, slot := range s.alpha.at {
		a := s.alpha.v[slot]
		r := -float64(dir * a)
		k := s.head[slot]
		if r < -alphaTol {
			if t := (s.x[k] - s.lo[k] + feasTol) / -r; t < most {
				most = t
			}
		} else if r > alphaTol {
			if t := (s.up[k] - s.x[k] + feasTol) / r; t < most {
				most = t
			}
		}
	}
	if most >= own {
		if math.IsInf(own, 1) {
			return -1, 0, false
		}
		return -2, own, false
	}
	at, size, step, upper := -1, 0.0, 0.0, false
	for _, slot := range s.alpha.at {
		a := s.alpha.v[slot]
		r := -float64(dir * a)
		k := s.head[slot]
		var t float64
		if r < -alphaTol {
			t = (s.x[k] - s.lo[k]) / -r
		} else if r > alphaTol {
			t = (s.up[k] - s.x[k]) / r
		} else {
			continue
		}
		if t <= most && math.Abs(a) > size {
			at, size, step, upper = int(slot), math.Abs(a), t, r > 0
		}
	}
	step = math.Max(0, step)
	if step >= own {
		return -2, own, false
	}
	return at, step, upper
}

// leavingOne lets the step pass bounds as long as the sum of misses falls.
func (s *simplex) leavingOne(dir, gain, own float64) (int, float64, bool) {
	b := s.breaks[:0]
	for _, slot := range s.alpha.at {
		a := s.alpha.v[slot]
		r := -float64(dir * a)
		if math.Abs(r) <= alphaTol {
			continue
		}
		k := s.head[slot]
		add := func(dist float64, upper bool) {
			if !math.IsInf(dist, 0) {
				b = append(b, breakpoint{math.Max(0, dist/math.Abs(r)), math.Abs(r), slot, upper})
			}
		}
		v := s.miss[slot]
		if r > 0 {
			if v < 0 {
				add(s.lo[k]-s.x[k], false)
			}
			if v <= 0 {
				add(s.up[k]-s.x[k], true)
			}
		} else {
			if v > 0 {
				add(s.x[k]-s.up[k], true)
			}
			if v >= 0 {
				add(s.x[k]-s.lo[k], false)
			}
		}
	}
	s.breaks = b
	slices.SortFunc(b, breakpoint.compare)
	slope := -gain
	for i, x := range b {
		if x.t >= own {
			break
		}
		if slope += x.slope; slope < 0 && i < len(b)-1 {
			continue
		}
		// A tiny pivot is dangerous: step back to a larger one passed before.
		at := i
		for j := i - 1; j >= 0 && b[at].slope < 1e-4 && i-j < 20; j-- {
			if b[j].slope > 10*b[at].slope {
				at = j
			}
		}
		return int(b[at].at), b[at].t, b[at].upper
	}
	if math.IsInf(own, 1) {
		return -1, 0, false
	}
	return -2, own, false
}
