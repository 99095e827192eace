package decide

import "slices"

// ladder is one Solve under way: the best plan so far, the prices, and the
// relaxation that both lean on.
type ladder struct {
	in    *instance
	g     *pricer
	w     *start // nil: cold
	b     Budget
	work  Budget
	s     *state
	x     *relaxation
	early Duals     // of the walk
	seen  []*state  // plans tried
	root  []float64 // shares of the relaxation

	settled int64 // gap after the last dive, ppm

	goal   []int64       // per tier: what the relaxation may miss
	free   *instance     // without money; nil while no target is missed
	tiers  []*Duals      // per tier: prices that prove what it must miss, or nil
	guides []*relaxation // of the tiers served
}

// warmUp finds prices good enough to start the relaxation from.
func (l *ladder) warmUp() {
	in, g := l.in, l.g
	for r := range in.rows {
		if in.rows[r].soft {
			g.relax[r] = float64(in.leastShort(r))
		}
	}
	if l.w != nil {
		g.start(&l.w.duals)
		if l.w.basis != nil {
			g.best = g.sweep(0)
			g.save()
			l.early = g.duals()
			return
		}
	}
	l.work.PriceSweeps = max(1, l.b.PriceSweeps/2)
	if l.w != nil {
		g.run(l.work.PriceSweeps, 0.03, 0.0003)
	} else {
		g.run(l.work.PriceSweeps, 0.15, 0.0005)
	}
	l.early = g.duals()
}

// driftPPM is how much worse than after the last dive a plan may be before
// another one.
const driftPPM = 5000

// A dive may take the relaxation up to so many times the pivots it had, counted
// from a sensible least when it started warm.
const (
	diveTimes = 3
	leastDive = 4000
)

// gap is the best plan's distance from the relaxation, in ppm of the turnover.
func (l *ladder) gap() int64 {
	return share(int64(l.x.value)-l.in.base-l.s.value, l.in.turnover(l.s))
}

// offer keeps a plan that is better than the best so far.
func (l *ladder) offer(t *state) {
	if l.s == nil || better(t.shorts(), t.value, l.s.shorts(), l.s.value) {
		l.s = t
	}
}

// search is greedy and local search on one order.
func (l *ladder) search(order []candidate, parts int64) {
	t := greedy(l.in, l.g, order)
	l.work.Moves += improve(t, order, l.b.Moves/parts)
	l.offer(t)
	l.seen = append(l.seen, t)
}

// first finds a plan that tells which targets can be served: the old one where
// it still stands and misses none, else greedy at the prices at hand.
func (l *ladder) first() {
	if l.w != nil {
		if old := newState(l.in); old.load(&l.w.plan) {
			l.offer(old)
			if !anyPositive(old.shorts()) {
				return
			}
		}
	}
	order := l.g.candidates(leads[0])
	l.offer(greedy(l.in, l.g, order))
	if l.w == nil {
		l.s = l.s.clone()
		l.work.Moves += improve(l.s, order, l.b.Moves/4)
	}
}

// relax solves the relaxation for the targets that the plan serves and rounds
// its values to other plans. It tells whether the prices in the pricer are the
// relaxation's.
func (l *ladder) relax() bool {
	if l.b.Pivots == Quick.Pivots {
		l.g.restore()
		return false
	}
	l.x = newRelaxation(l.in, l.g)
	x := l.x
	x.short = l.goal
	if l.w != nil && l.w.basis != nil {
		x.resume(l.w.basis)
	}
	for _, f := range l.s.offer {
		if f != None {
			x.bring(f)
		}
	}
	if l.w == nil || l.w.basis == nil { // else pricing finds what is missing
		for _, c := range l.g.candidates(1) {
			for i, f := range c.offers {
				if i < 3 {
					x.bring(f)
				}
			}
		}
		x.crash(l.s)
	}

	solved := x.sift(l.b.Pivots)
	l.work.Pivots = x.pivots
	if !solved {
		l.g.start(&l.early)
		l.g.sweep(0)
		l.g.save()
		for _, lead := range leads {
			l.search(l.g.candidates(lead), int64(len(leads)))
		}
		return false
	}
	l.g.save()
	x.mark()
	l.root = slices.Clone(x.share)
	x.purge()
	for _, guide := range l.guides {
		l.search(l.guided(guide), 4)
	}
	if l.w == nil {
		for _, lead := range leads {
			l.search(l.g.candidates(lead), 4)
		}
		l.search(x.order(1), 4)
	} else { // mostly the old plan, to be mended where prices moved
		order := l.g.candidates(leads[0])
		l.settled = l.w.settled
		t := l.s.clone()
		l.work.Moves += improve(t, order, l.b.Moves/4)
		l.offer(t)
		if l.gap() > l.settled+driftPPM/4 {
			l.search(order, 4)
		}
	}
	// The dive costs more than all else. Its plan lives on in the plans of the
	// next rounds, so it is made again only when those have drifted from it.
	if l.w == nil || l.gap() > l.settled+driftPPM {
		l.dive(min(l.b.Pivots, diveTimes*max(x.pivots, leastDive)))
		l.settled = l.gap()
	}
	return true
}

// dive makes two plans of the relaxation's dive: the one that it ends with,
// completed, and one from its order of jobs.
func (l *ladder) dive(limit int64) {
	t := l.x.dive(limit)
	l.work.Pivots = l.x.pivots
	order := l.x.order(1)
	t.complete(l.g, order)
	l.work.Moves += improve(t, order, l.b.Moves/4)
	l.offer(t)
	l.seen = append(l.seen, t)
	l.search(order, 4)
}

// prove returns the integer prices that bound plans missing short the best.
func (l *ladder) prove(short []int64, solved bool) Duals {
	in, g := l.in, l.g
	if solved && !slices.Equal(short, l.x.short) {
		l.x.short = short
		if solved = l.x.sift(l.b.Pivots); solved {
			g.save()
		}
		l.work.Pivots = l.x.pivots
	} else if !solved && anyPositive(short) {
		for r := range in.rows {
			if in.rows[r].soft {
				g.relax[r] = float64(max(0, -l.s.act[r]))
			}
		}
		g.restore()
		g.best = inf
		g.run(l.b.PriceSweeps/2, 0.05, 0.0005)
		l.work.PriceSweeps += l.b.PriceSweeps / 2
	}
	duals := g.duals()
	if in.bound(&l.early, short) < in.bound(&duals, short) {
		return l.early
	}
	return duals
}
