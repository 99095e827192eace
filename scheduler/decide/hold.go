package decide

import (
	"cmp"
	"math"
	"slices"
)

// hold keeps the previous plan when it is still allowed and the bound at the old
// prices proves it within Policy.HoldGapPPM. Jobs that arrived are inserted
// first, at those prices; where one that should run finds no room the round is
// not held. The Warm is nil when the plan is what it was.
func hold(in *instance, w *start) (Result, *Warm, bool) {
	s := newState(in)
	if !w.whole || !s.load(&w.plan) {
		return Result{}, nil, false
	}
	duals := w.duals.clone()
	in.repair(&duals)
	waiting := in.arrivals(w, &duals)
	stage := StageHeld
	if len(waiting) > 0 && !insertAll(s, waiting) {
		return Result{}, nil, false
	}
	if w.ended || len(waiting) > 0 {
		s.fill(nil)
		stage = StageImproved
	}
	short := s.shorts()
	for t, v := range short {
		if v > w.short(t) {
			return Result{}, nil, false
		}
	}
	if anyPositive(short) && w.roomier(in) {
		return Result{}, nil, false
	}
	r := report(in, s, &duals, nil, short, stage, false)
	if far := r.Stage != StageOptimal && r.GapPPM > in.p.Policy.HoldGapPPM; far && len(w.tree) > 0 {
		r = report(in, s, &duals, cloneTree(w.tree), short, stage, false)
	}
	if r.Stage != StageOptimal && r.GapPPM > in.p.Policy.HoldGapPPM {
		return Result{}, nil, false
	}
	if stage == StageHeld {
		return r, nil, true
	}
	next := store(in, duals, &r.Plan, short, w.tree)
	next.s.Basis, next.s.Settled = w.basis.named(in), w.settled
	return r, next, true
}

// arrivals lists the new jobs that pay at the given prices, those that pay most
// per device first, each with its best offers.
func (in *instance) arrivals(w *start, d *Duals) []candidate {
	p := in.p
	var bills *kindBills
	var out []candidate
	for j := range p.Jobs {
		if !p.Jobs[j].Arrived && (w.fresh == nil || !w.fresh[j]) || in.must[j] || w.plan.Jobs[j] != None {
			continue
		}
		if bills == nil {
			moves := int64(0)
			if p.Policy.MaxMoves > 0 {
				moves = d.Moves
			}
			bills = in.priceKinds(d, in.zonePrices(d), moves)
		}
		var list []scored
		for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
			if v, _ := bills.about(f, float64(bills.tenant(j))); in.usable[f] && v > float64(in.out[j]) {
				list = append(list, scored{f, v - float64(in.out[j])})
			}
		}
		if len(list) == 0 {
			continue
		}
		slices.SortStableFunc(list, func(a, b scored) int { return cmp.Compare(b.v, a.v) })
		c := candidate{job: j, rank: list[0].v / float64(p.Offers[list[0].f].Width)}
		for _, x := range list[:min(len(list), leadOffers)] {
			c.offers = append(c.offers, x.f)
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(p.Jobs[b.job].Priority, p.Jobs[a.job].Priority))
	})
	return out
}

// insertAll puts every candidate on one of its offers, in place of miners or, if
// need be, of jobs, where that earns more; it stops at the first that finds none.
func insertAll(s *state, list []candidate) bool {
	im := newImprover(s, math.MaxInt64)
	s.undo = true
	defer func() { s.undo, s.log = false, nil }()
	for _, c := range list {
		enters := func(evict bool) bool {
			return slices.ContainsFunc(c.offers, func(f int) bool {
				return im.trial(func() bool { return im.insert(c.job, f, evict) })
			})
		}
		if !enters(false) && !enters(true) {
			return false
		}
		s.log = s.log[:0]
	}
	return true
}
