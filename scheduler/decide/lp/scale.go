package lp

import "math"

// power rounds a positive factor to a power of two, so that scaling loses no
// bits.
func power(v float64) float64 {
	if !(v > 0) || math.IsInf(v, 0) {
		return 1
	}
	_, e := math.Frexp(v)
	return math.Ldexp(1, max(-500, min(500, e-1)))
}

// scale copies the program with rows and columns brought to entries around
// one: two rounds of geometric means.
func (s *simplex) scale(mo *Model) {
	n, m := s.n, s.m
	s.start, s.index = append([]int32{0}, make([]int32, n)...), append([]int32(nil), mo.index...)
	copy(s.start, mo.start)
	s.rowScale, s.colScale = make([]float64, m), make([]float64, n)
	for i := range s.rowScale {
		s.rowScale[i] = 1
	}
	for j := range s.colScale {
		s.colScale[j] = 1
	}
	least, most := make([]float64, m), make([]float64, m)
	for round := 0; round < 2; round++ {
		for i := range least {
			least[i], most[i] = math.Inf(1), 0
		}
		for j := 0; j < n; j++ {
			for q := s.start[j]; q < s.start[j+1]; q++ {
				if v := math.Abs(mo.value[q]) * s.colScale[j]; v > 0 {
					i := s.index[q]
					least[i], most[i] = math.Min(least[i], v), math.Max(most[i], v)
				}
			}
		}
		for i := range least {
			if most[i] > 0 {
				s.rowScale[i] = power(1 / (math.Sqrt(least[i]) * math.Sqrt(most[i])))
			}
		}
		for j := 0; j < n; j++ {
			lo, hi := math.Inf(1), 0.0
			for q := s.start[j]; q < s.start[j+1]; q++ {
				if v := math.Abs(mo.value[q]) * s.rowScale[s.index[q]]; v > 0 {
					lo, hi = math.Min(lo, v), math.Max(hi, v)
				}
			}
			if hi > 0 {
				s.colScale[j] = power(1 / (math.Sqrt(lo) * math.Sqrt(hi)))
			}
		}
	}
	s.value = make([]float64, len(mo.value))
	k := n + m
	s.cost, s.lo, s.up = make([]float64, k), make([]float64, k), make([]float64, k)
	largest, smallest := 0.0, math.Inf(1) // of the costs of columns with coefficients
	for j := 0; j < n; j++ {
		for q := s.start[j]; q < s.start[j+1]; q++ {
			s.value[q] = mo.value[q] * s.rowScale[s.index[q]] * s.colScale[j]
		}
		s.lo[j], s.up[j] = mo.lo[j]/s.colScale[j], mo.up[j]/s.colScale[j]
		s.cost[j] = mo.cost[j] * s.colScale[j]
		if mo.Maximize {
			s.cost[j] = -s.cost[j]
		}
		if v := math.Abs(s.cost[j]); v > 0 && s.start[j] < s.start[j+1] {
			largest, smallest = math.Max(largest, v), math.Min(smallest, v)
		}
	}
	// Costs go around one as well, but not so far that rounding of the largest
	// would pass for a reduced cost.
	s.costScale = 1
	if largest > 0 {
		s.costScale = power(math.Min(1/(math.Sqrt(largest)*math.Sqrt(smallest)), 1e5/largest))
	}
	for j := 0; j < n; j++ {
		s.cost[j] *= s.costScale
	}
	for i := 0; i < m; i++ {
		s.lo[n+i], s.up[n+i] = mo.rowLo[i]*s.rowScale[i], mo.rowUp[i]*s.rowScale[i]
	}
	s.trueLo, s.trueUp = append([]float64(nil), s.lo...), append([]float64(nil), s.up...)
}
