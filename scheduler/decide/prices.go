package decide

import "math"

// pricer finds prices for the coupling rows by a damped subgradient descent on
// the Lagrangian bound. It is the one place that uses floats: whatever it
// returns is rounded to integers and stays a valid bound. Every product is
// wrapped so that no compiler fuses it with an addition.
type pricer struct {
	in      *instance
	class   []float64 // nano per device
	zone    []float64 // nano per watt
	row     []float64 // nano per row unit (tenant: per device)
	node    []float64 // nano per place of a place row
	moves   float64
	best    float64
	bestAt  floatDuals
	slack   []float64 // rhs - use, same order as at
	scale   []float64
	mom     []float64
	sq      []float64
	relax   []float64 // per row: shortfall that the plan may have
	floor   []float64
	top     []int
	perDev  []float64
	perW    []float64
	mineDev []float64
	mineW   []float64
	zprice  []float64
	chosen  []float32 // per offer: share of the late sweeps that chose it
	useC    []float64
	wattC   []float64
	jobDevC []float64
	jobWC   []float64
	minDevC []float64
	minWC   []float64
	gross   []float64
	floats  []float64 // keep, enter, value as floats in one block
	keepF   []float64
	enterF  []float64
	cellWF  []float64
	meterF  []float64
	grossF  []float64
	kinds   []kindPrice
	slackK  []float64 // per kind: how far from paying an offer is still looked at
}

// kindPrice is what an offer of a kind pays at the prices of this sweep: fixed
// for its devices and places, more per watt and, to its tenant, per device.
type kindPrice struct {
	fixed, watt, width float64
}

type floatDuals struct {
	class, zone, row, node []float64
	moves                  float64
}

func floatsOf(xs []int64) []float64 {
	out := make([]float64, len(xs))
	for i, x := range xs {
		out[i] = float64(x)
	}
	return out
}

func newPricer(in *instance) *pricer {
	p := in.p
	nC, nZ, nR := len(p.Classes), len(p.Zones), len(p.Rows)
	n := nC + nZ + nR + len(in.places) + 1
	g := &pricer{in: in, best: math.Inf(1),
		class: make([]float64, nC), zone: make([]float64, nZ), row: make([]float64, nR), node: make([]float64, len(in.places)),
		slack: make([]float64, n), scale: make([]float64, n), mom: make([]float64, n), sq: make([]float64, n),
		relax: make([]float64, nR), floor: make([]float64, nC), top: make([]int, nC),
		perDev: make([]float64, nC), perW: make([]float64, nC), mineDev: make([]float64, nC), mineW: make([]float64, nC),
		zprice: make([]float64, nC), chosen: make([]float32, len(p.Offers)),
		useC: make([]float64, nC), wattC: make([]float64, nC), jobDevC: make([]float64, nC), jobWC: make([]float64, nC),
		minDevC: make([]float64, nC), minWC: make([]float64, nC), gross: make([]float64, p.Coins),
		keepF: floatsOf(in.keep), enterF: floatsOf(in.enter), cellWF: floatsOf(in.cellW)}
	g.meterF, g.grossF = make([]float64, len(p.Mining)), make([]float64, len(p.Mining))
	for k, m := range p.Mining {
		g.meterF[k], g.grossF[k] = float64(m.WattsMeter), float64(m.GrossMicroPerHour)
	}
	g.kinds = make([]kindPrice, len(in.kinds))
	g.scales()
	g.slackK = make([]float64, len(in.kinds))
	for i := 1; i < len(in.kinds); i++ {
		g.slackK[i] = float64(0.02 * float64(in.kinds[i].width) * g.scale[in.kinds[i].class])
	}
	return g
}

// scales gives every price a natural step: what a device, a watt or a row unit
// earns at most in its scope.
func (g *pricer) scales() {
	in, p := g.in, g.in.p
	nC, nZ := len(p.Classes), len(p.Zones)
	dev, watt := make([]float64, nC), make([]float64, nC)
	var topDev float64
	for k, m := range p.Mining {
		if in.limit[k] > 0 {
			dev[m.Class] = math.Max(dev[m.Class], g.enterF[k])
			watt[m.Class] = math.Max(watt[m.Class], g.enterF[k]/math.Max(1, g.cellWF[k]))
		}
	}
	for f, o := range p.Offers {
		if in.usable[f] {
			v := float64(in.value[f])
			dev[o.Class] = math.Max(dev[o.Class], v/float64(o.Width))
			watt[o.Class] = math.Max(watt[o.Class], v/math.Max(1, float64(in.offW[f])))
		}
	}
	for c := 0; c < nC; c++ {
		topDev = math.Max(topDev, dev[c])
		g.scale[c] = math.Max(dev[c], 1)
		for _, z := range in.above[c] {
			g.scale[nC+z] = math.Max(g.scale[nC+z], watt[c])
		}
	}
	for r, pr := range p.Rows {
		s := topDev
		switch {
		case pr.Kind == RowTenant:
		case pr.Kind == RowCoin || pr.Kind == RowCash || pr.Measure == MeasureRevenue:
			s = 1000.0 / PPM
		case pr.Kind == RowPreempt:
			s = 0
			for j := range in.out {
				s = math.Max(s, -float64(in.out[j]))
			}
			s = float64(s+topDev) / PPM
		case pr.Kind == RowPower || pr.Measure == MeasurePower:
			s = 0
			for c := range watt {
				s = math.Max(s, watt[c])
			}
			s /= PPM
		default:
			s = topDev / PPM
		}
		g.scale[nC+nZ+r] = s
	}
	for i, n := range in.places {
		g.scale[nC+nZ+len(p.Rows)+i] = float64(dev[n.class] * float64(n.t))
	}
	g.scale[len(g.scale)-1] = topDev
}

// run makes up to sweeps passes with steps falling from hot to cold, relative
// to the scales, and leaves the best prices in bestAt.
func (g *pricer) run(sweeps int64, hot, cold float64) {
	if sweeps <= 0 {
		return
	}
	for i := range g.mom {
		g.mom[i], g.sq[i] = 0, 0
	}
	for i := range g.chosen {
		g.chosen[i] = 0
	}
	weight := 2 / float64(sweeps)
	for it := int64(0); it < sweeps; it++ {
		late := 0.0
		if 2*it >= sweeps {
			late = weight
		}
		if l := g.sweep(late); l < g.best {
			g.best = l
			g.save()
		}
		rest := float64(sweeps-it) / float64(sweeps)
		g.move(float64(hot*float64(rest*float64(rest*rest))) + cold)
	}
	if l := g.sweep(0); l < g.best {
		g.best = l
		g.save()
	}
}

func (g *pricer) save() {
	g.bestAt.class = append(g.bestAt.class[:0], g.class...)
	g.bestAt.zone = append(g.bestAt.zone[:0], g.zone...)
	g.bestAt.row = append(g.bestAt.row[:0], g.row...)
	g.bestAt.node = append(g.bestAt.node[:0], g.node...)
	g.bestAt.moves = g.moves
}

func (g *pricer) restore() {
	copy(g.class, g.bestAt.class)
	copy(g.zone, g.bestAt.zone)
	copy(g.row, g.bestAt.row)
	copy(g.node, g.bestAt.node)
	g.moves = g.bestAt.moves
}

// move steps every price against its slack, normalised by the slack's own
// recent size, so that rows in devices, watts and money settle alike.
func (g *pricer) move(step float64) {
	nC, nZ, nR := len(g.class), len(g.zone), len(g.row)
	for i, s := range g.slack {
		g.mom[i] = float64(0.7*g.mom[i]) + float64(0.3*s)
		g.sq[i] = math.Max(float64(0.95*g.sq[i]), math.Abs(s))
		if g.sq[i] == 0 {
			continue
		}
		d := float64(float64(step*g.scale[i]) * (g.mom[i] / g.sq[i]))
		var x *float64
		switch {
		case i < nC:
			x = &g.class[i]
		case i < nC+nZ:
			x = &g.zone[i-nC]
		case i < nC+nZ+nR:
			x = &g.row[i-nC-nZ]
		case i < nC+nZ+nR+len(g.node):
			x = &g.node[i-nC-nZ-nR]
		default:
			x = &g.moves
		}
		*x = math.Min(math.Max(0, *x-d), float64(8*g.scale[i]))
	}
}

// sweep prices every column once: it returns the bound and fills the slacks.
func (g *pricer) sweep(late float64) float64 {
	in, p := g.in, g.in.p
	nC, nZ := len(p.Classes), len(p.Zones)
	total := float64(in.base)
	for i := nC + nZ; i < len(g.slack); i++ {
		g.slack[i] = 0
	}
	var coinShare float64
	for i := range g.gross {
		g.gross[i] = 0
	}
	coinOwn := g.gross // reused: first own price per coin, then gross use
	for _, r := range in.coins {
		coinShare += float64(g.row[r] * float64(in.rows[r].share))
		coinOwn[in.rows[r].coin] += float64(g.row[r] * PPM)
	}
	for c := 0; c < nC; c++ {
		z := 0.0
		for _, a := range in.above[c] {
			z += g.zone[a]
		}
		g.zprice[c] = z
		jd, jw, md, mw := 0.0, 0.0, 0.0, 0.0
		for _, r := range in.scope[c] {
			cr := &in.rows[r]
			jd += float64(g.row[r] * float64(cr.jobDev))
			jw += float64(g.row[r] * float64(cr.jobW))
			md += float64(g.row[r] * float64(cr.mineDev))
			mw += float64(g.row[r] * float64(cr.mineW))
		}
		g.perDev[c], g.perW[c], g.mineDev[c], g.mineW[c] = jd, jw, md, mw
		g.useC[c], g.wattC[c], g.jobDevC[c], g.jobWC[c], g.minDevC[c], g.minWC[c] = 0, 0, 0, 0, 0, 0
		g.floor[c], g.top[c] = 0, -1
	}
	rcs := g.keepRC()
	for k := range p.Mining {
		m := &p.Mining[k]
		c := m.Class
		gr := float64(g.grossF[k] * (coinShare - coinOwn[m.Coin]))
		adj := gr + g.mineDev[c] + float64(g.mineW[c]*g.meterF[k]) - float64(g.zprice[c]*g.cellWF[k])
		if in.wide != nil {
			for _, r := range in.wide[c] {
				adj += float64(g.row[r] * float64(in.cellRow(r, k)))
			}
		}
		rcs[k] = adj
		if in.limit[k] > 0 {
			if e := adj + g.enterF[k] - g.moves; e > g.floor[c] {
				g.floor[c], g.top[c] = e, k
			}
		}
	}
	for i := range g.gross {
		g.gross[i] = 0
	}
	moved := 0.0
	for c := 0; c < nC; c++ {
		g.class[c] = math.Max(g.class[c], g.floor[c])
		total += float64(g.class[c] * float64(p.Classes[c].Devices))
	}
	g.priceKinds()
	for j := range p.Jobs {
		l, mv := g.sweepJob(j, late)
		total += l
		moved += mv
	}
	for k := range p.Mining {
		q := p.Mining[k].Current
		if q == 0 || in.limit[k] == 0 {
			continue
		}
		c := p.Mining[k].Class
		rc := rcs[k] + g.keepF[k] - g.class[c]
		n := float64(q)
		if rc < 0 {
			n = float64(in.lock[k])
		}
		if n > 0 {
			total += float64(n * rc)
			g.mine(k, n)
		}
	}
	for c := 0; c < nC; c++ {
		left := float64(p.Classes[c].Devices) - g.useC[c]
		if g.top[c] >= 0 && left > 0 && g.class[c] <= g.floor[c] {
			g.mine(g.top[c], left)
			moved += left
		}
	}
	return total + g.slacks(nC, nZ, moved)
}

func (g *pricer) keepRC() []float64 {
	if g.floats == nil {
		g.floats = make([]float64, len(g.keepF))
	}
	return g.floats
}

func (g *pricer) mine(k int, n float64) {
	m := &g.in.p.Mining[k]
	g.useC[m.Class] += n
	g.wattC[m.Class] += float64(n * g.cellWF[k])
	g.minDevC[m.Class] += n
	g.minWC[m.Class] += float64(n * g.meterF[k])
	g.gross[m.Coin] += float64(n * g.grossF[k])
	if g.in.wide != nil {
		for _, r := range g.in.wide[m.Class] {
			g.slack[len(g.class)+len(g.zone)+r] += float64(n * float64(g.in.cellRow(r, k)))
		}
	}
}

// wideOffer is what the rows counted column by column pay for an offer.
func (g *pricer) wideOffer(f int) float64 {
	if g.in.wide == nil {
		return 0
	}
	v := 0.0
	for _, r := range g.in.wide[g.in.p.Offers[f].Class] {
		v += float64(g.row[r] * float64(g.in.offerRow(r, f)))
	}
	return v
}

// priceKinds prepares what sweepJob and offerRC look up.
func (g *pricer) priceKinds() {
	in, p := g.in, g.in.p
	g.kinds[0] = kindPrice{fixed: math.Inf(1)}
	for i := 1; i < len(g.kinds); i++ {
		k := &in.kinds[i]
		c := k.class
		w := float64(k.width)
		// Watts at the meter are those above idle and the idle draw of the width.
		per := g.class[c] + g.moves - g.perDev[c] - float64(g.perW[c]*float64(p.Classes[c].IdleWatts))
		fixed := float64(w * per)
		for _, u := range k.uses {
			fixed += float64(float64(u.n) * g.node[u.row])
		}
		g.kinds[i] = kindPrice{fixed: fixed, watt: g.zprice[c] - g.perW[c], width: w}
	}
}

// sweepJob returns the job's best reduced value and the devices it moves.
func (g *pricer) sweepJob(j int, late float64) (float64, float64) {
	in, p := g.in, g.in.p
	job := &p.Jobs[j]
	lo, hi := in.offLo[j], in.offLo[j+1]
	best, at := float64(in.out[j]), None
	if in.must[j] {
		lo, hi = job.Current, job.Current+1
		best = math.Inf(-1)
	}
	tenant := g.tenantPrice(j)
	value, offW, kinds := in.value[lo:hi], in.offW[lo:hi], in.kind[lo:hi]
	offW, kinds = offW[:len(value)], kinds[:len(value)]
	for i, v := range value {
		k := &g.kinds[kinds[i]]
		rc := float64(v) - k.fixed - float64(k.width*tenant) - float64(float64(offW[i])*k.watt)
		if lo+i == job.Current {
			rc += float64(k.width * g.moves)
		}
		if in.wide != nil {
			rc += g.wideOffer(lo + i)
		}
		if rc > best {
			best, at = rc, lo+i
		}
	}
	if at == None {
		return best, 0
	}
	return best, g.choose(j, at, late)
}

// tenantPrice is what a device of job j costs beside its class.
func (g *pricer) tenantPrice(j int) float64 {
	t := 0.0
	for _, r := range g.in.tenRow[g.in.p.Jobs[j].Tenant] {
		t += g.row[r]
	}
	return t
}

// choose books offer f for its job and returns the devices that move.
func (g *pricer) choose(j, f int, late float64) float64 {
	in, p := g.in, g.in.p
	o := &p.Offers[f]
	w := float64(o.Width)
	g.chosen[f] += float32(late)
	c := o.Class
	g.useC[c] += w
	g.wattC[c] += float64(in.offW[f])
	g.jobDevC[c] += w
	g.jobWC[c] += float64(o.WattsMeter)
	for _, r := range in.tenRow[p.Jobs[j].Tenant] {
		g.slack[len(g.class)+len(g.zone)+r] -= w
	}
	for _, u := range in.placesAt(f) {
		g.slack[len(g.class)+len(g.zone)+len(g.row)+u.row] -= float64(u.n)
	}
	if in.wide != nil {
		for _, r := range in.wide[c] {
			g.slack[len(g.class)+len(g.zone)+r] += float64(in.offerRow(r, f))
		}
	}
	if f != p.Jobs[j].Current {
		return w
	}
	return 0
}

// offerRC is an offer's reduced value at the prices of the last sweep; tenant
// is tenantPrice of its job, current what that runs on.
func (g *pricer) offerRC(f int, tenant float64, current int) float64 {
	k := &g.kinds[g.in.kind[f]]
	v := float64(g.in.value[f]) - k.fixed - float64(k.width*tenant) - float64(float64(g.in.offW[f])*k.watt)
	if f == current {
		v += float64(k.width * g.moves)
	}
	return v + g.wideOffer(f)
}

// slacks turns the sums of a sweep into rhs - use per row and returns the rhs
// side of the bound. Tenant slacks hold minus the use on entry.
func (g *pricer) slacks(nC, nZ int, moved float64) float64 {
	in, p := g.in, g.in.p
	var total float64
	for z := 0; z < nZ; z++ {
		g.slack[nC+z] = 0
		if in.capZ[z] >= 0 {
			total += float64(g.zone[z] * float64(in.capZ[z]))
			g.slack[nC+z] = float64(in.capZ[z])
		}
	}
	for c := 0; c < nC; c++ {
		g.slack[c] = float64(p.Classes[c].Devices) - g.useC[c]
		for _, z := range in.above[c] {
			g.slack[nC+z] -= g.wattC[c]
		}
	}
	grossAll := 0.0
	for _, x := range g.gross {
		grossAll += x
	}
	for r, pr := range p.Rows {
		i := nC + nZ + r
		if pr.Kind == RowTenant {
			total += float64(g.row[r] * float64(pr.Limit))
			g.slack[i] += float64(pr.Limit)
			continue
		}
		cr := &in.rows[r]
		act := float64(cr.c) + g.relax[r]
		total += float64(g.row[r] * act)
		if cr.coin != None {
			act += float64(float64(cr.share)*grossAll) - float64(PPM*g.gross[cr.coin])
		}
		g.slack[i] += act
	}
	for c := 0; c < nC; c++ {
		for _, r := range in.scope[c] {
			cr := &in.rows[r]
			g.slack[nC+nZ+r] += float64(float64(cr.jobDev)*g.jobDevC[c]) + float64(float64(cr.jobW)*g.jobWC[c]) +
				float64(float64(cr.mineDev)*g.minDevC[c]) + float64(float64(cr.mineW)*g.minWC[c])
		}
	}
	for i, n := range in.places {
		total += float64(g.node[i] * float64(n.limit))
		g.slack[nC+nZ+len(p.Rows)+i] += float64(n.limit)
	}
	last := len(g.slack) - 1
	if p.Policy.MaxMoves > 0 {
		total += float64(g.moves * float64(p.Policy.MaxMoves))
		g.slack[last] = float64(p.Policy.MaxMoves) - moved
	}
	return total
}

// duals rounds the best prices to the certificate's integers and raises the
// class prices so that entering an option never pays above them.
func (g *pricer) duals() Duals {
	in, p := g.in, g.in.p
	d := Duals{Class: make([]int64, len(p.Classes)), Zone: make([]int64, len(p.Zones)), Row: make([]int64, len(p.Rows)), Place: make([]int64, len(in.places))}
	if g.bestAt.class == nil {
		return d
	}
	for c, x := range g.bestAt.class {
		d.Class[c] = rounded(x, maxDual)
	}
	for z, x := range g.bestAt.zone {
		if in.capZ[z] >= 0 {
			d.Zone[z] = rounded(x*1e6, maxZone)
		}
	}
	for r, x := range g.bestAt.row {
		if p.Rows[r].Kind != RowTenant {
			x *= 1e9
		}
		d.Row[r] = rounded(x, maxDual)
	}
	for i, x := range g.bestAt.node {
		d.Place[i] = rounded(x, maxDual)
	}
	if p.Policy.MaxMoves > 0 {
		d.Moves = rounded(g.bestAt.moves, maxDual)
	}
	in.repair(&d)
	return d
}

func rounded(x, most float64) int64 {
	if !(x > 0) {
		return 0
	}
	return int64(math.Min(x+0.5, most))
}

// start takes integer prices as the point to go on from.
func (g *pricer) start(d *Duals) {
	for c := range g.class {
		g.class[c] = float64(d.Class[c])
	}
	for z := range g.zone {
		g.zone[z] = float64(d.Zone[z]) / 1e6
	}
	for r := range g.row {
		g.row[r] = float64(d.Row[r])
		if g.in.p.Rows[r].Kind != RowTenant {
			g.row[r] /= 1e9
		}
	}
	for i := range g.node {
		if len(d.Place) == len(g.node) { // offers may have become unusable since
			g.node[i] = float64(d.Place[i])
		}
	}
	g.moves = float64(d.Moves)
}
