package decide

import "slices"

// Tiers are served in order by linear programs of their own: the first lets
// every target go but minimises what the strongest tier misses, the next holds
// that down and minimises the second, and so on; the relaxation of profit then
// holds them all. There is no common currency between a device short of a target
// and a dollar, so none is invented: the prices of one tier's program are in
// units of that tier's rows.

const (
	// unmet stands for "as much as may be" among what tiers may miss.
	unmet = int64(1) << 61
	// oneUnit is the price of a shortfall in its own tier, in units of Duals.Row.
	oneUnit = dualUnit
)

// worthless is the instance with no money in it: only shortfalls tell its plans
// apart.
func (in *instance) worthless() *instance {
	free := *in
	free.base = 0
	free.keep, free.enter = make([]int64, len(in.keep)), make([]int64, len(in.enter))
	free.value, free.out = make([]int64, len(in.value)), make([]int64, len(in.out))
	return &free
}

// serveTiers finds what each tier must miss, from the first one on that the plan
// in hand misses something of, and sets it as the goal of the relaxation. A tier
// whose program does not come to an end keeps what the plan misses.
func (l *ladder) serveTiers() {
	l.goal = l.s.shorts()
	if !anyPositive(l.goal) || l.b.Pivots == Quick.Pivots {
		return
	}
	l.free = l.in.worthless()
	l.tiers = make([]*Duals, len(l.goal))
	have := slices.Clone(l.goal)
	tighter := false
	for t := range l.goal {
		if !tighter && have[t] == 0 {
			continue
		}
		least, ok := l.serveTier(t)
		if !ok { // everything from here on as in the plan, which is one point that keeps it
			copy(l.goal, have)
			return
		}
		if least < have[t] || tighter {
			l.goal[t] = least
			tighter = true
		}
	}
}

// serveTier minimises what tier t misses while the stronger ones keep to the
// goal. What it returns leaves the next programs a little room for rounding.
func (l *ladder) serveTier(t int) (least int64, ok bool) {
	g := newPricer(l.free)
	x := newRelaxation(l.free, g)
	x.aim = t + 1
	x.short = make([]int64, len(l.goal))
	for i := range x.short {
		x.short[i] = unmet
		if i < t {
			x.short[i] = l.goal[i]
		}
	}
	for _, f := range l.s.offer {
		if f != None {
			x.bring(f)
		}
	}
	solved := x.sift(max(1, l.b.Pivots-l.work.Pivots))
	l.work.Pivots += x.pivots
	if !solved {
		return 0, false
	}
	var sum float64
	for r := range l.in.rows {
		if !l.in.rows[r].soft {
			continue
		}
		switch at := l.in.rows[r].tier; {
		case at == t:
			sum += x.z[r]
			g.row[r] = min(g.row[r], 1)
		case at > t:
			g.row[r] = 0
		}
	}
	g.save()
	d := g.duals()
	l.tiers[t] = &d
	l.guides = append(l.guides, x)
	return int64(sum) + int64(float64(sum*1e-6)) + PPM, true
}

// tierProofs adds to a result what the tiers' programs prove about it.
func (l *ladder) tierProofs(r *Result, s *state) {
	if l.tiers == nil {
		return
	}
	shorts := s.shorts()
	for t, d := range l.tiers {
		p := &r.Cert.Tiers[t]
		if d == nil || p.ShortBound >= p.Short {
			continue
		}
		if least := l.free.leastMissed(t, d, shorts); least > p.ShortBound {
			p.ShortBound, p.Duals = min(least, p.Short), d
		}
	}
	r.Targets = l.in.targets(s, &r.Cert.Duals, r.Cert.Enumerated, r.Cert.Tiers)
}

// leastMissed is the proven least shortfall of tier t among plans that miss no
// more of the stronger tiers than shorts: minus the Lagrangian of an instance
// without money, with prices in row units. Each row of the tier is priced at one
// at most, so its shortfall is counted at most once; weaker rows have no price.
func (in *instance) leastMissed(t int, d *Duals, shorts []int64) int64 {
	stronger := make([]int64, len(shorts))
	copy(stronger, shorts[:t])
	return max(0, -in.bound(d, stronger))
}

// guided is an order of jobs for a plan that serves a tier: what its program
// runs comes first, the rest as its profit at posted prices says.
func (l *ladder) guided(x *relaxation) []candidate {
	var out []candidate
	first := make([]bool, len(l.in.p.Jobs))
	for _, c := range x.order(1) {
		if x.share[c.offers[0]] > 0.001 {
			first[c.job] = true
			out = append(out, c)
		}
	}
	for _, c := range l.g.candidates(leads[0]) {
		if !first[c.job] {
			out = append(out, c)
		}
	}
	return out
}

// refine looks for profit once the shortfalls are known, where serving a target
// to the last device has left little of it: the relaxation is solved for what
// the plan misses, so that its prices and its dive speak of plans like this one.
func (l *ladder) refine() bool {
	short := l.s.shorts()
	if l.tiers == nil || l.gap() <= driftPPM {
		return true
	}
	x := l.x
	x.short = short
	if !x.sift(l.b.Pivots) {
		return false
	}
	l.g.save()
	order := l.g.candidates(leads[0])
	t := l.s.clone()
	l.work.Moves += improve(t, order, l.b.Moves)
	l.offer(t)
	if l.w == nil {
		l.dive(l.b.Pivots)
	}
	l.work.Pivots = x.pivots
	return true
}
