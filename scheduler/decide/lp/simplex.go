package lp

import "math"

// Tolerances, all on the scaled program.
const (
	feasTol   = 1e-9  // a bound may be missed by this much
	costTol   = 1e-9  // a reduced cost this small is zero
	alphaTol  = 1e-9  // an entry this small never pivots
	degenerat = 1e-11 // a step this short makes no progress
)

// simplex is the scaled program as a minimisation with the row activities as
// columns of their own: [A -I] x = 0. Column k >= n is the activity of row k-n.
type simplex struct {
	n, m     int
	start    []int32
	index    []int32
	value    []float64
	rowStart []int32
	rowCol   []int32
	rowVal   []float64
	one      []int32 // 0..m-1, the logical columns' rows
	minus    []float64

	cost, lo, up []float64 // as solved, perhaps perturbed
	trueLo       []float64
	trueUp       []float64
	x            []float64
	place        []Place
	head         []int32 // per slot: its column
	rowScale     []float64
	colScale     []float64
	costScale    float64

	f      factor
	y      []float64
	d      []float64
	alpha  *sparse   // ftran of the entering column
	rho    *sparse   // row of the inverse of the leaving slot
	col    *sparse   // right-hand side of a sparse solve, zero between them
	unit   *sparse   // the same by slot
	miss   []float64 // per slot: by how much it is outside its bounds
	bad    int       // slots that are
	stale  bool      // y has to be worked out afresh
	tmp    []float64
	cb     []float64
	norm   []float64
	weight []float64
	acc    []float64
	hit    []int32
	cand   []int32
	cursor int
	breaks []breakpoint

	pivots, limit int64
	perturbed     bool
	seed          uint64
	bans          int
}

type breakpoint struct {
	t, slope float64
	at       int32
	upper    bool
}

// compare orders by ratio, then the steeper first, then by column.
func (x breakpoint) compare(y breakpoint) int {
	switch {
	case x.t < y.t:
		return -1
	case x.t > y.t:
		return 1
	case x.slope > y.slope:
		return -1
	case x.slope < y.slope:
		return 1
	}
	return int(x.at) - int(y.at)
}

// column is the scaled column k.
func (s *simplex) column(k int) ([]int32, []float64) {
	if k >= s.n {
		i := k - s.n
		return s.one[i : i+1], s.minus[i : i+1]
	}
	return s.index[s.start[k]:s.start[k+1]], s.value[s.start[k]:s.start[k+1]]
}

// dot is v times column k.
func (s *simplex) dot(v []float64, k int) float64 {
	if k >= s.n {
		return -v[k-s.n]
	}
	t := 0.0
	for q := s.start[k]; q < s.start[k+1]; q++ {
		t += float64(v[s.index[q]] * s.value[q])
	}
	return t
}

func newSimplex(mo *Model) *simplex {
	n, m := mo.Cols(), mo.Rows()
	s := &simplex{n: n, m: m, seed: 1}
	s.scale(mo)
	k := n + m
	s.one, s.minus = make([]int32, m), make([]float64, m)
	for i := range s.one {
		s.one[i], s.minus[i] = int32(i), -1
	}
	s.rowStart = make([]int32, m+1)
	for _, i := range s.index {
		s.rowStart[i+1]++
	}
	for i := 0; i < m; i++ {
		s.rowStart[i+1] += s.rowStart[i]
	}
	s.rowCol, s.rowVal = make([]int32, len(s.index)), make([]float64, len(s.index))
	fill := append([]int32(nil), s.rowStart[:m]...)
	for j := 0; j < n; j++ {
		for q := s.start[j]; q < s.start[j+1]; q++ {
			at := fill[s.index[q]]
			s.rowCol[at], s.rowVal[at] = int32(j), s.value[q]
			fill[s.index[q]]++
		}
	}
	s.x, s.d, s.norm, s.acc = make([]float64, k), make([]float64, k), make([]float64, k), make([]float64, k)
	s.place, s.head = make([]Place, k), make([]int32, m)
	s.y, s.tmp, s.cb, s.weight, s.miss = make([]float64, m), make([]float64, m), make([]float64, m), make([]float64, m), make([]float64, m)
	s.alpha, s.rho, s.col, s.unit = newSparse(m), newSparse(m), newSparse(m), newSparse(m)
	for j := 0; j < n; j++ {
		t := 1.0
		for q := s.start[j]; q < s.start[j+1]; q++ {
			t += float64(s.value[q] * s.value[q])
		}
		s.norm[j] = 1 / math.Sqrt(t)
	}
	for i := n; i < k; i++ {
		s.norm[i] = math.Sqrt(0.5)
	}
	return s
}

// load takes a start, mends what does not fit, and factors it.
func (s *simplex) load(b *Basis) {
	for k := range s.place {
		p := AtLower
		switch {
		case b != nil && k < s.n && k < len(b.Cols):
			p = b.Cols[k]
		case b != nil && k >= s.n && k-s.n < len(b.Rows):
			p = b.Rows[k-s.n]
		case k >= s.n:
			p = Basic
		}
		s.place[k] = p
	}
	slot := 0
	for k := len(s.place) - 1; k >= 0; k-- { // rows first: they never depend on one another
		if s.place[k] != Basic {
			continue
		}
		if slot == s.m {
			s.place[k] = AtLower
			continue
		}
		s.head[slot] = int32(k)
		slot++
	}
	for i := 0; i < s.m && slot < s.m; i++ {
		if k := s.n + i; s.place[k] != Basic {
			s.place[k] = Basic
			s.head[slot] = int32(k)
			slot++
		}
	}
	for k := range s.place {
		s.rest(k)
	}
	s.refactor()
}

// rest puts a column that is not basic on a bound that it has.
func (s *simplex) rest(k int) {
	if s.place[k] == Basic {
		return
	}
	lo, up := !math.IsInf(s.lo[k], 0), !math.IsInf(s.up[k], 0)
	switch {
	case !lo && !up:
		s.place[k] = AtZero
		s.x[k] = 0
		return
	case s.place[k] == AtUpper && !up, s.place[k] == AtZero && lo, s.place[k] < AtLower, s.place[k] > AtZero:
		s.place[k] = AtLower
	case s.place[k] == AtZero:
		s.place[k] = AtUpper
	}
	if s.place[k] == AtLower && !lo {
		s.place[k] = AtUpper
	}
	if s.place[k] == AtLower {
		s.x[k] = s.lo[k]
	} else {
		s.x[k] = s.up[k]
	}
}

// refactor builds the LU afresh, replaces dependent columns by row activities,
// and works out the basic values.
func (s *simplex) refactor() {
	for {
		slots, rows := s.f.build(s.m, func(slot int) ([]int32, []float64) { return s.column(int(s.head[slot])) })
		if len(slots) == 0 {
			break
		}
		for t, slot := range slots {
			k := s.head[slot]
			s.place[k] = AtLower
			s.rest(int(k))
			in := int32(s.n) + rows[t]
			s.head[slot] = in
			s.place[in] = Basic
			s.weight[slot] = 1
		}
	}
	s.values()
}

// values recomputes the basic values from the others.
func (s *simplex) values() {
	b := s.tmp
	clear(b)
	for k, p := range s.place {
		if p == Basic || s.x[k] == 0 {
			continue
		}
		idx, val := s.column(k)
		for t, i := range idx {
			b[i] -= float64(val[t] * s.x[k])
		}
	}
	s.f.ftran(b, s.cb)
	s.bad, s.stale = 0, true
	for slot, k := range s.head {
		s.x[k] = s.cb[slot]
		s.miss[slot] = s.missed(k)
		if s.miss[slot] != 0 {
			s.bad++
		}
	}
}

// prices sets y for the given basic costs, which it destroys.
func (s *simplex) prices(cb []float64) { s.f.btran(cb, s.y) }

// truePrices sets y and all reduced costs for the real objective.
func (s *simplex) truePrices() {
	for slot, k := range s.head {
		s.cb[slot] = s.cost[k]
	}
	s.prices(s.cb)
	s.stale = true // for primal, whose prices may be those of the first phase
	for k := range s.d {
		s.d[k] = 0
		if s.place[k] != Basic {
			s.d[k] = s.cost[k] - s.dot(s.y, k)
		}
	}
}

// enter replaces the column of a slot by column q, whose ftran is alpha, after a
// step of q; the old one rests where the caller says.
func (s *simplex) enter(slot, q int, rest Place, step float64, one bool) {
	s.advance(step, slot, one)
	k := s.head[slot]
	if d := sign(s.miss[slot]); d != 0 {
		s.bad--
		s.miss[slot] = 0
	}
	s.place[k] = rest
	s.rest(int(k))
	s.head[slot] = int32(q)
	s.place[q] = Basic
	s.note(int32(slot), int32(q), one)
	s.f.update(slot, s.alpha)
	s.pivots++
	if s.f.stale() || math.Abs(s.alpha.v[slot]) < 1e-6 {
		s.refactor()
	}
	s.follow()
}

// solveColumn sets alpha to the ftran of column q.
func (s *simplex) solveColumn(q int) {
	idx, val := s.column(q)
	for t, i := range idx {
		s.col.note(i)
		s.col.v[i] = val[t]
	}
	s.f.ftranSparse(s.col, s.alpha)
}

// solveRow sets rho to the row of the inverse that belongs to a slot.
func (s *simplex) solveRow(slot int) {
	s.unit.note(int32(slot))
	s.unit.v[slot] = 1
	s.f.btranSparse(s.unit, s.rho)
}

// noise is a fixed stream in [0.5, 1).
func (s *simplex) noise() float64 {
	s.seed = s.seed*6364136223846793005 + 1442695040888963407
	return 0.5 + float64(s.seed>>12)/float64(uint64(1)<<53)
}

// perturb widens every bound by a little, so that ties between ratios break
// and degenerate vertices come apart. restore undoes it.
func (s *simplex) perturb() {
	s.perturbed = true
	for k := range s.lo {
		if s.lo[k] == s.up[k] && s.place[k] != Basic {
			continue
		}
		if !math.IsInf(s.lo[k], 0) {
			s.lo[k] = s.trueLo[k] - float64(1e-6*s.noise()*math.Max(1, math.Abs(s.trueLo[k])))
		}
		if !math.IsInf(s.up[k], 0) {
			s.up[k] = s.trueUp[k] + float64(1e-6*s.noise()*math.Max(1, math.Abs(s.trueUp[k])))
		}
		s.rest(k)
	}
	s.refactor()
}

func (s *simplex) restore() {
	s.perturbed = false
	copy(s.lo, s.trueLo)
	copy(s.up, s.trueUp)
	for k := range s.place {
		s.rest(k)
	}
	s.refactor()
}

// missed is by how much column k is outside its bounds: negative below,
// positive above.
func (s *simplex) missed(k int32) float64 {
	if v := s.x[k] - s.lo[k]; v < -feasTol {
		return v
	}
	if v := s.x[k] - s.up[k]; v > feasTol {
		return v
	}
	return 0
}

func (s *simplex) feasible() bool { return s.bad == 0 }
