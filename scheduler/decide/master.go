package decide

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide/lp"
)

// master is the program over packs: a pack is a set of jobs that fits one class
// together, and a class takes at most one pack, in part or in full. It is
// tighter than the relaxation because a class can no longer run fractions of
// gangs that do not fit beside one another; packs that pay at the program's
// prices are brought in as they are found (scenario.bound looks for them).
//
// There is one model for all nodes of a tree: a scenario only changes bounds, so
// the dual method goes on from where the last node ended.
type master struct {
	in    *instance
	x     *relaxation // rows and mining
	m     *lp.Model
	start lp.Basis
	pool  []pack
	of    [][]int // per class: its packs
	limit int64
	pause int64 // pivots at which to stop for now
	each  int64 // most pivots of one program
	work  int64 // pivots so far

	conv   int       // first convexity row
	jobs   int       // first job row
	quotas int       // first quota row
	boxed  int       // column of the first box
	first  int       // column of the first pack
	share  []float64 // per offer, of the last solve
	part   []float64 // per pack, of the last solve
}

// pack is a set of offers of one class; those of jobs without a choice included.
type pack struct {
	class  int
	offers []int // ascending
	open   bool  // may run in the scenario imposed last
	out    bool  // passed over by a dive
}

// point is where prices stand: one figure per row of the proof.
type point []float64

// newMaster lays out rows and mining; from is where the relaxation rested.
func newMaster(in *instance, short []int64, from *relaxBasis, d *Duals, limit int64) *master {
	p := in.p
	in.compileQuotas()
	m := &master{in: in, x: newRelaxation(in, nil), of: make([][]int, len(p.Classes)), limit: limit, pause: limit, each: limit, share: make([]float64, len(p.Offers))}
	m.x.short = short
	if from != nil {
		b := *from
		b.work, b.Offer = nil, nil
		m.x.resume(&b)
	}
	m.start = m.x.build()
	m.m = m.x.m
	for i := range in.places { // every pack keeps them
		m.m.SetRow(len(p.Classes)+len(p.Zones)+i, -lp.Inf, lp.Inf)
	}
	m.conv = m.m.Rows()
	for range p.Classes {
		m.m.AddRow(-lp.Inf, 1)
	}
	m.jobs = m.m.Rows()
	for range p.Jobs {
		m.m.AddRow(-lp.Inf, 1)
	}
	m.quotas = m.m.Rows()
	for _, r := range in.quotas {
		m.m.AddRow(-lp.Inf, float64(r.limit))
	}
	for len(m.start.Rows) < m.m.Rows() {
		m.start.Rows = append(m.start.Rows, lp.Basic)
	}
	m.boxed = m.m.Cols()
	at := m.from(d)
	m.box(at)
	m.first = m.m.Cols()
	return m
}

// boxWidth is how far, relative, the first prices of classes and jobs may go from
// those of the relaxation.
const boxWidth = 0.03

// box keeps the prices of classes and jobs near a point, by columns that sell
// and buy their rows a little below and above it. A program that knows few packs
// yet has wild prices otherwise. unbox takes them out.
func (m *master) box(at point) {
	p := m.in.p
	jobs := m.fixedRows() + len(m.in.quotas)
	side := func(row int, price, slack float64) {
		m.m.AddCol(-(price + slack), 0, lp.Inf, []int32{int32(row)}, []float64{-1})
		m.m.AddCol(math.Max(0, price-slack), 0, lp.Inf, []int32{int32(row)}, []float64{1})
		m.start.Cols = append(m.start.Cols, lp.AtLower, lp.AtLower)
	}
	for c := range p.Classes {
		side(c, at[c], float64(boxWidth*at[c])+1)
	}
	for j := range p.Jobs {
		pay := at[jobs+j] - float64(m.in.out[j])
		width := 0.0
		for f := m.in.offLo[j]; f < m.in.offLo[j+1]; f++ {
			width = math.Max(width, float64(float64(p.Offers[f].Width)*at[p.Offers[f].Class]))
		}
		side(m.jobs+j, math.Max(0, pay), float64(boxWidth*(pay+width))+1)
	}
}

func (m *master) unbox() {
	for c := m.boxed; c < m.first; c++ {
		m.m.SetCol(c, 0, 0)
	}
}

// learn puts a set of offers into the program, not to run until a scenario or
// the caller says so, and returns its place in the pool.
func (m *master) learn(class int, offers []int) int {
	k := pack{class: class, offers: slices.Clone(offers)}
	slices.Sort(k.offers)
	for _, i := range m.of[class] {
		if slices.Equal(m.pool[i].offers, k.offers) {
			return i
		}
	}
	m.pool = append(m.pool, k)
	m.of[class] = append(m.of[class], len(m.pool)-1)
	m.column(&k)
	return len(m.pool) - 1
}

// learnPlan learns what each class runs in a plan.
func (m *master) learnPlan(runs [][]int) {
	for c, list := range runs {
		if len(list) > 0 {
			m.learn(c, list)
		}
	}
}

// seed learns packs close to a solution of the relaxation: per class what fits of
// the offers it runs, those that run most first, and once more with each split
// offer in front. Without them the program starts stuck at the plans it knows.
func (m *master) seed(sp *space, share []float64) {
	p := m.in.p
	parts := make([][]int, len(p.Classes))
	for f, y := range share {
		if y > 1e-6 {
			parts[p.Offers[f].Class] = append(parts[p.Offers[f].Class], f)
		}
	}
	for c, list := range parts {
		slices.SortStableFunc(list, func(a, b int) int { return cmp.Compare(share[b], share[a]) })
		for i, f := range list {
			if i > 0 && share[f] > 0.999 {
				continue
			}
			lead := append([]int{f}, slices.Delete(slices.Clone(list), i, i+1)...)
			m.learn(c, m.fitting(sp, c, lead))
		}
	}
}

// fitting lists the leading offers that fit a class together.
func (m *master) fitting(sp *space, c int, list []int) []int {
	p := m.in.p
	room := sp.room[c]
	var out []int
	for _, f := range list {
		double := slices.ContainsFunc(out, func(g int) bool { return p.Offers[g].Job == p.Offers[f].Job })
		if !double && p.Offers[f].Width <= room && sp.forced[p.Offers[f].Job] == None && sp.take(m.in, f, 1) {
			room -= p.Offers[f].Width
			out = append(out, f)
		}
	}
	for _, f := range out {
		sp.take(m.in, f, -1)
	}
	return append(out, sp.held[c]...)
}

// column adds the column of a pack.
func (m *master) column(k *pack) {
	in, p := m.in, m.in.p
	sum := map[int32]float64{}
	var rows []int32
	put := func(row int, v float64) {
		if _, ok := sum[int32(row)]; !ok {
			rows = append(rows, int32(row))
		}
		sum[int32(row)] += v
	}
	nC := len(p.Classes)
	rows0 := nC + len(p.Zones) + len(in.places)
	value := 0.0
	for _, f := range k.offers {
		o := &p.Offers[f]
		value += float64(in.value[f] - in.out[o.Job])
		put(o.Class, float64(o.Width))
		for _, z := range in.above[o.Class] {
			put(nC+z, float64(in.offW[f]))
		}
		for _, r := range in.scope[o.Class] {
			put(rows0+r, float64(in.offerRow(r, f))/PPM)
		}
		for _, r := range in.tenRow[p.Jobs[o.Job].Tenant] {
			put(rows0+r, float64(o.Width))
		}
		if p.Jobs[o.Job].Current != f {
			put(rows0+len(p.Rows), float64(o.Width))
		}
		put(m.jobs+o.Job, 1)
		for _, i := range in.tenQuota[p.Jobs[o.Job].Tenant] {
			if n := o.Width / in.quotas[i].t; n > 0 {
				put(m.quotas+i, float64(n))
			}
		}
	}
	put(m.conv+k.class, 1)
	vals := make([]float64, len(rows))
	for t, r := range rows {
		vals[t] = sum[r]
	}
	m.m.AddCol(value, 0, 0, rows, vals)
	m.start.Cols = append(m.start.Cols, lp.AtLower)
}

// impose sets the bounds of a scenario: packs that run what it bans, lack what
// it forces, or do not fit beside that, are out.
func (m *master) impose(sc *scenario, sp *space) {
	for c, held := range sp.held {
		lo := -lp.Inf
		if len(held) > 0 {
			lo = 1
			m.learn(c, held)
		}
		m.m.SetRow(m.conv+c, lo, 1)
	}
	for j, f := range sp.forced {
		lo := -lp.Inf
		if sc.on[j] && f == None {
			lo = 1
		}
		m.m.SetRow(m.jobs+j, lo, 1)
	}
	for i := range m.pool {
		m.admit(i, !m.pool[i].out && m.seats(sc, sp, &m.pool[i]))
	}
}

func (m *master) admit(i int, yes bool) {
	up := 0.0
	if yes {
		up = lp.Inf
	}
	m.pool[i].open = yes
	m.m.SetCol(m.first+i, 0, up)
}

// seats tells whether a scenario allows a pack.
func (m *master) seats(sc *scenario, sp *space, k *pack) bool {
	p := m.in.p
	held, n, width := 0, 0, int64(0)
	for n < len(k.offers) {
		f := k.offers[n]
		if sp.forced[p.Offers[f].Job] == f {
			held++
		} else if width += p.Offers[f].Width; sc.ban[f] || !sp.take(m.in, f, 1) {
			break
		}
		n++
	}
	for _, f := range k.offers[:n] {
		if sp.forced[p.Offers[f].Job] != f {
			sp.take(m.in, f, -1)
		}
	}
	return n == len(k.offers) && held == len(sp.held[k.class]) && width <= sp.room[k.class]
}

// solve optimises the model as it stands.
func (m *master) solve() (lp.Solution, float64, bool) {
	in, p := m.in, m.in.p
	s := lp.Solve(m.m, &m.start, max(1, min(m.limit-m.work, m.each)))
	m.work += s.Pivots
	if s.Status != lp.Optimal {
		return s, 0, false
	}
	m.start = s.Basis
	clear(m.share)
	m.part = append(m.part[:0], s.X[m.first:]...)
	for i, y := range m.part {
		if y > 0 {
			for _, f := range m.pool[i].offers {
				m.share[f] += y
			}
		}
	}
	value := s.Objective + float64(in.base)
	for j := range p.Jobs {
		value += float64(in.out[j])
	}
	return s, value, true
}

// point reads the prices of a solution: those of the relaxation's rows, of the
// quota rows, and what each job pays (its row, and what not running is worth).
func (m *master) point(s *lp.Solution) point {
	in, p := m.in, m.in.p
	n := m.fixedRows()
	v := make(point, n, n+len(in.quotas)+len(p.Jobs))
	for i := range v {
		v[i] = math.Max(0, s.Dual[i])
	}
	rows0 := len(p.Classes) + len(p.Zones) + len(in.places)
	for r := range p.Rows {
		if in.rows[r].soft {
			v[rows0+r] = math.Max(0, -s.Dual[rows0+r]/PPM)
		}
	}
	for i := range in.quotas {
		v = append(v, math.Max(0, s.Dual[m.quotas+i]))
	}
	for j := range p.Jobs {
		v = append(v, s.Dual[m.jobs+j]+float64(in.out[j]))
	}
	return v
}

// fixedRows counts the rows that have a price in Duals.
func (m *master) fixedRows() int {
	p := m.in.p
	return len(p.Classes) + len(p.Zones) + len(m.in.places) + len(p.Rows) + 1
}

// leaf rounds prices to those of a proof.
func (m *master) leaf(v point) *TreeNode {
	in, p := m.in, m.in.p
	take := func(n int) []float64 {
		t := v[:n]
		v = v[n:]
		return t
	}
	g := pricer{in: in}
	g.bestAt.class, g.bestAt.zone, g.bestAt.node, g.bestAt.row = take(len(p.Classes)), take(len(p.Zones)), take(len(in.places)), take(len(p.Rows))
	g.bestAt.moves = take(1)[0]
	d := g.duals()
	t := &TreeNode{Duals: &d, Quota: make([]int64, len(in.quotas)), Job: make([]int64, len(p.Jobs))}
	for i, x := range take(len(in.quotas)) {
		t.Quota[i] = rounded(x, maxDual)
	}
	for j, x := range v {
		t.Job[j] = int64(math.Max(-maxDual, math.Min(maxDual, math.Round(x))))
	}
	return t
}

// gain is what one unit of a pack would add at the prices of a solution.
func (m *master) gain(i int, v point, s *lp.Solution) float64 {
	in, p, k := m.in, m.in.p, &m.pool[i]
	nC, nZ := len(p.Classes), len(p.Zones)
	rows0 := nC + nZ + len(in.places)
	moves := rows0 + len(p.Rows)
	quotas := moves + 1
	jobs := quotas + len(in.quotas)
	t := -s.Dual[m.conv+k.class]
	for _, f := range k.offers {
		o := &p.Offers[f]
		w := float64(o.Width)
		t += float64(in.value[f]) - v[jobs+o.Job] - float64(w*v[o.Class])
		for _, z := range in.above[o.Class] {
			t -= float64(float64(in.offW[f]) * v[nC+z])
		}
		for _, u := range in.placesAt(f) {
			t -= float64(float64(u.n) * v[nC+nZ+u.row])
		}
		for _, r := range in.scope[o.Class] {
			t += float64(float64(in.offerRow(r, f)) * v[rows0+r])
		}
		for _, r := range in.tenRow[p.Jobs[o.Job].Tenant] {
			t -= float64(w * v[rows0+r])
		}
		for _, q := range in.tenQuota[p.Jobs[o.Job].Tenant] {
			t -= float64(float64(o.Width/in.quotas[q].t) * v[quotas+q])
		}
		if p.Jobs[o.Job].Current != f {
			t -= float64(w * v[moves])
		}
	}
	return t
}

// proof is the best leaf found for a scenario.
type proof struct {
	leaf  *TreeNode
	at    point   // its prices before rounding
	solid bool    // the program was solved to the end
	value float64 // of the program
	split []part
}

// tailed is the distance of bound and program, relative, at which more packs are
// not worth their time.
const tailed = 2e-4

// calm is how far prices stay with those of the best proof.
const calm = 0.8

// solvePivots is the most that one program below the root gets; it takes more only where it
// stalls, most often on the way to having no solution.
const solvePivots = 1200

// part is an offer that the program runs in part or in full.
type part struct {
	offer int
	share float64
}

// settle solves the program of a scenario, bringing packs in for at most rounds
// rounds, and starting from the given prices, whose proof is the worst it can
// return. It stops once the bound is not above enough.
func (m *master) settle(sc *scenario, sp *space, from point, rounds int, enough int64) (best proof) {
	sets := make([][]int, len(m.in.p.Classes))
	short := m.x.short
	whole := func(c int) []int { return append(slices.Clone(sp.held[c]), sets[c]...) }
	best = proof{leaf: m.leaf(from), at: from, value: math.Inf(1)}
	best.leaf.BoundNano = sc.bound(best.leaf, sp, short, sets)
	for c := range sets {
		if set := whole(c); len(set) > 0 {
			m.learn(c, set)
		}
	}
	m.impose(sc, sp)
	defer func() {
		if !math.IsInf(best.value, 1) {
			for f, y := range m.share {
				if y > 1e-6 {
					best.split = append(best.split, part{f, y})
				}
			}
		}
	}()
	for round := 0; round < rounds && m.work < min(m.limit, m.pause); round++ {
		s, value, ok := m.solve()
		if !ok {
			return best
		}
		best.value = value
		if float64(best.leaf.BoundNano)-value <= float64(tailed*math.Abs(value)) || best.leaf.BoundNano <= enough {
			best.solid = true
			return best
		}
		v := m.point(&s)
		added := false
		for _, lean := range [2]float64{calm, 0} {
			w := make(point, len(v))
			for i := range w {
				w[i] = float64(lean*best.at[i]) + float64((1-lean)*v[i])
			}
			leaf := m.leaf(w)
			leaf.BoundNano = sc.bound(leaf, sp, short, sets)
			for c := range sets {
				if len(sets[c]) == 0 {
					continue
				}
				i := m.learn(c, whole(c))
				if !m.pool[i].open && m.gain(i, v, &s) > float64(1e-9*math.Abs(value)) {
					m.admit(i, true)
					added = true
				}
			}
			if leaf.BoundNano < best.leaf.BoundNano {
				best.leaf, best.at = leaf, w
			}
			if added {
				break
			}
		}
		if !added {
			best.solid = true
			return best
		}
	}
	return best
}

// from takes the prices of the relaxation as a start: each job pays what its
// best offer leaves over, so that no set gains.
func (m *master) from(d *Duals) point {
	in, p := m.in, m.in.p
	power := in.zonePrices(d)
	moves := int64(0)
	if p.Policy.MaxMoves > 0 {
		moves = d.Moves
	}
	var at point
	for _, x := range d.Class {
		at = append(at, float64(x))
	}
	for _, x := range d.Zone {
		at = append(at, float64(x)/1e6)
	}
	for _, x := range d.Place {
		at = append(at, float64(x))
	}
	for r, x := range d.Row {
		v := float64(x)
		if p.Rows[r].Kind != RowTenant {
			v /= 1e9
		}
		at = append(at, v)
	}
	at = append(at, float64(d.Moves))
	at = append(at, make(point, len(in.quotas))...)
	bills := in.priceKinds(d, power, moves)
	for j := range p.Jobs {
		x := bills.jobBound(j)
		at = append(at, float64(x.divCeil(dualUnit)))
	}
	return at
}
