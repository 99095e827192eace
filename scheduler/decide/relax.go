package decide

import (
	"math"
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide/lp"
)

// relaxation is the linear program of an instance: gangs may run in part, and
// every tier may miss what the plan in hand misses. Only the offers worth
// looking at are in it; the others are priced after each solve and brought in
// when they pay (sifting). A job has a row of its own only once two of its
// offers are in; until then an upper bound of one does.
//
// Its duals are a proposal: they become integers and are evaluated exactly like
// those of the price walk, so a bad figure here can only make the bound worse.
type relaxation struct {
	in    *instance
	g     *pricer
	short []int64 // per tier: what may be missed, or unmet
	aim   int     // 1 + the tier whose shortfall is minimised in place of money; 0: none
	work  []int   // offers in the program, in order of arrival
	has   []bool  // per offer
	fixed []int8  // per offer: 1 must run, -1 must not (dives)
	share []float64
	z     []float64 // per row: shortfall, row units
	value float64   // of the last solve, with base

	// Where everything rests, by identity, so that it survives a rebuild.
	rowAt  []lp.Place // fixed rows
	jobAt  []lp.Place
	keepAt []lp.Place
	entAt  []lp.Place
	offAt  []lp.Place
	auxAt  []lp.Place // shortfalls, coins, their total
	pivots int64

	jobDual []float64 // per job: what its row is worth

	coinOf []int // per coin: its aggregator, or None
	coinN  int
	base   int // fixed rows
	// layout of the current model
	m       *lp.Model
	keepCol []int
	entCol  []int
	auxCol  int
	offCol  []int
	jobRow  []int
}

func newRelaxation(in *instance, g *pricer) *relaxation {
	p := in.p
	x := &relaxation{in: in, g: g, has: make([]bool, len(p.Offers)), fixed: make([]int8, len(p.Offers)), share: make([]float64, len(p.Offers)),
		z: make([]float64, len(p.Rows)), jobAt: make([]lp.Place, len(p.Jobs)), keepAt: make([]lp.Place, len(p.Mining)),
		entAt: make([]lp.Place, len(p.Mining)), offAt: make([]lp.Place, len(p.Offers)), coinOf: make([]int, p.Coins),
		keepCol: make([]int, len(p.Mining)), entCol: make([]int, len(p.Mining)), offCol: make([]int, len(p.Offers)), jobRow: make([]int, len(p.Jobs)), jobDual: make([]float64, len(p.Jobs))}
	for m := range x.coinOf {
		x.coinOf[m] = None
	}
	for _, r := range in.coins {
		if m := in.rows[r].coin; x.coinOf[m] == None {
			x.coinOf[m] = x.coinN
			x.coinN++
		}
	}
	x.base = len(p.Classes) + len(p.Zones) + len(in.places) + len(p.Rows) + 1 + len(in.tiers)
	if x.coinN > 0 {
		x.base += x.coinN + 1
	}
	x.rowAt = make([]lp.Place, x.base)
	for i := range x.rowAt {
		x.rowAt[i] = lp.Basic
	}
	for j := range x.jobAt {
		x.jobAt[j] = lp.Basic
	}
	x.auxAt = make([]lp.Place, len(p.Rows)+x.coinN+1)
	return x
}

// bring puts an offer into the program.
func (x *relaxation) bring(f int) bool {
	in := x.in
	o := in.p.Offers[f]
	if x.has[f] || !in.usable[f] || (in.must[o.Job] && in.p.Jobs[o.Job].Current != f) {
		return false
	}
	x.has[f] = true
	x.work = append(x.work, f)
	return true
}

// build lays out rows and columns for the offers in work.
func (x *relaxation) build() lp.Basis {
	in, p := x.in, x.in.p
	m := &lp.Model{Maximize: true}
	x.m = m
	b := lp.Basis{Rows: slices.Clone(x.rowAt)}
	for _, c := range p.Classes {
		m.AddRow(-lp.Inf, float64(c.Devices))
	}
	for _, cap := range in.capZ {
		if cap < 0 {
			m.AddRow(-lp.Inf, lp.Inf)
		} else {
			m.AddRow(-lp.Inf, float64(cap))
		}
	}
	for _, n := range in.places {
		m.AddRow(-lp.Inf, float64(n.limit))
	}
	for r, pr := range p.Rows {
		if pr.Kind == RowTenant {
			m.AddRow(-lp.Inf, float64(pr.Limit))
		} else {
			m.AddRow(-float64(in.rows[r].c)/PPM, lp.Inf)
		}
	}
	if p.Policy.MaxMoves > 0 {
		m.AddRow(-lp.Inf, float64(p.Policy.MaxMoves))
	} else {
		m.AddRow(-lp.Inf, lp.Inf)
	}
	for t := range in.tiers {
		if x.short[t] == unmet {
			m.AddRow(-lp.Inf, lp.Inf)
		} else {
			m.AddRow(-lp.Inf, float64(x.short[t])/PPM)
		}
	}
	for i := 0; x.coinN > 0 && i <= x.coinN; i++ {
		m.AddRow(0, 0)
	}
	offers := make([]int32, len(p.Jobs))
	for _, f := range x.work {
		offers[p.Offers[f].Job]++
	}
	for _, f := range x.work {
		// A job that runs in full holds its row tight. With its column basic in
		// the row's place, the row's price keeps its other offers from looking
		// better than they are.
		if j := p.Offers[f].Job; offers[j] > 1 && x.offAt[f] == lp.AtUpper && x.jobAt[j] == lp.Basic && x.fixed[f] == 0 {
			x.offAt[f], x.jobAt[j] = lp.Basic, lp.AtUpper
		}
	}
	for j := range x.jobRow {
		x.jobRow[j] = None
		if offers[j] > 1 {
			x.jobRow[j] = m.AddRow(-lp.Inf, 1)
			b.Rows = append(b.Rows, x.jobAt[j])
		}
	}
	b.Cols = x.columns(b.Cols)
	return b
}

func (x *relaxation) columns(at []lp.Place) []lp.Place {
	in, p := x.in, x.in.p
	nC, nZ, nP := len(p.Classes), len(p.Zones), len(in.places)
	rows0, moves := nC+nZ+nP, nC+nZ+nP+len(p.Rows)
	tiers0 := moves + 1
	coin0 := tiers0 + len(in.tiers)
	var rows []int32
	var vals []float64
	put := func(row int, v float64) {
		if v != 0 {
			rows, vals = append(rows, int32(row)), append(vals, v)
		}
	}
	for k, cell := range p.Mining {
		x.keepCol[k], x.entCol[k] = None, None
		if in.limit[k] == 0 {
			continue
		}
		rows, vals = rows[:0], vals[:0]
		put(cell.Class, 1)
		for _, z := range in.above[cell.Class] {
			put(nC+z, float64(in.cellW[k]))
		}
		for _, r := range in.scope[cell.Class] {
			put(rows0+r, float64(in.cellRow(r, k))/PPM)
		}
		if x.coinN > 0 {
			if a := x.coinOf[cell.Coin]; a != None {
				put(coin0+a, float64(cell.GrossMicroPerHour))
			} else {
				put(coin0+x.coinN, float64(cell.GrossMicroPerHour))
			}
		}
		if cell.Current > 0 {
			x.keepCol[k] = x.m.AddCol(float64(in.keep[k]), float64(in.lock[k]), float64(min(cell.Current, in.limit[k])), rows, vals)
			at = append(at, x.keepAt[k])
		}
		put(moves, 1)
		x.entCol[k] = x.m.AddCol(float64(in.enter[k]), 0, lp.Inf, rows, vals)
		at = append(at, x.entAt[k])
	}
	x.auxCol = x.m.Cols()
	for r := range p.Rows {
		rows, vals = rows[:0], vals[:0]
		up, cost := 0.0, 0.0
		if in.rows[r].soft {
			if x.aim == 1+in.rows[r].tier {
				cost = -PPM
			}
			put(rows0+r, 1)
			put(tiers0+in.rows[r].tier, 1)
			if x.short[in.rows[r].tier] > 0 {
				up = lp.Inf
			}
		}
		x.m.AddCol(cost, 0, up, rows, vals)
	}
	for a := 0; x.coinN > 0 && a <= x.coinN; a++ { // gross per coin, then in total
		rows, vals = rows[:0], vals[:0]
		put(coin0+a, -1)
		if a < x.coinN {
			put(coin0+x.coinN, 1)
		}
		for _, r := range in.coins {
			if a == x.coinN {
				put(rows0+r, float64(in.rows[r].share)/PPM)
			} else if x.coinOf[in.rows[r].coin] == a {
				put(rows0+r, -1)
			}
		}
		x.m.AddCol(0, -lp.Inf, lp.Inf, rows, vals)
	}
	at = append(at, x.auxAt[:x.m.Cols()-x.auxCol]...)
	for _, f := range x.work {
		o := &p.Offers[f]
		rows, vals = rows[:0], vals[:0]
		put(o.Class, float64(o.Width))
		for _, z := range in.above[o.Class] {
			put(nC+z, float64(in.offW[f]))
		}
		for _, u := range in.placesAt(f) {
			put(nC+nZ+u.row, float64(u.n))
		}
		for _, r := range in.scope[o.Class] {
			put(rows0+r, float64(in.offerRow(r, f))/PPM)
		}
		for _, r := range in.tenRow[p.Jobs[o.Job].Tenant] {
			put(rows0+r, float64(o.Width))
		}
		if p.Jobs[o.Job].Current != f {
			put(moves, float64(o.Width))
		}
		if x.jobRow[o.Job] != None {
			put(x.jobRow[o.Job], 1)
		}
		lo, up := 0.0, 1.0
		if in.must[o.Job] || x.fixed[f] > 0 {
			lo = 1
		}
		if x.fixed[f] < 0 {
			up = 0
		}
		x.offCol[f] = x.m.AddCol(float64(in.value[f]-in.out[o.Job]), lo, up, rows, vals)
		at = append(at, x.offAt[f])
	}
	return at
}

// solve builds the program, solves it from where things rest, and takes over
// values and prices.
func (x *relaxation) solve(limit int64) lp.Status {
	b := x.build()
	s := lp.Solve(x.m, &b, max(1, limit))

	x.pivots += s.Pivots
	if s.Status != lp.Optimal {
		return s.Status
	}
	x.take(&s)
	return s.Status
}

func (x *relaxation) take(s *lp.Solution) {
	in, p, g := x.in, x.in.p, x.g
	nC, nZ, nP := len(p.Classes), len(p.Zones), len(in.places)
	copy(x.rowAt, s.Basis.Rows)
	for j, r := range x.jobRow {
		x.jobAt[j], x.jobDual[j] = lp.Basic, 0
		if r != None {
			x.jobAt[j], x.jobDual[j] = s.Basis.Rows[r], math.Max(0, s.Dual[r])
		}
	}
	for k := range p.Mining {
		if c := x.keepCol[k]; c != None {
			x.keepAt[k] = s.Basis.Cols[c]
		}
		if c := x.entCol[k]; c != None {
			x.entAt[k] = s.Basis.Cols[c]
		}
	}
	first := x.m.Cols() - len(x.work)
	copy(x.auxAt, s.Basis.Cols[x.auxCol:first])
	for _, f := range x.work {
		x.offAt[f] = s.Basis.Cols[x.offCol[f]]
		x.share[f] = s.X[x.offCol[f]]
	}
	x.value = s.Objective + float64(in.base)
	for j := range p.Jobs {
		x.value += float64(in.out[j])
	}
	for c := range g.class {
		g.class[c] = math.Max(0, s.Dual[c])
	}
	for z := range g.zone {
		g.zone[z] = math.Max(0, s.Dual[nC+z])
	}
	for i := range g.node {
		g.node[i] = math.Max(0, s.Dual[nC+nZ+i])
	}
	for r := range p.Rows {
		d := s.Dual[nC+nZ+nP+r]
		if in.rows[r].soft {
			d = -d / PPM
		}
		g.row[r] = math.Max(0, d)
		x.z[r] = s.X[x.auxCol+r] * PPM
	}
	g.moves = math.Max(0, s.Dual[nC+nZ+nP+len(p.Rows)])
}
