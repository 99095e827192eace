package decide

import (
	"cmp"
	"slices"
)

// order lists the jobs as the relaxation sees them: those it runs in full,
// those it splits by their share, then the rest by surplus at its prices.
func (x *relaxation) order(lead float64) []candidate {
	g := x.g
	x.mark()
	list := g.candidates(lead)
	class := make([]int, len(x.in.p.Jobs))
	share := make([]float64, len(x.in.p.Jobs))
	for i := range list {
		c := &list[i]
		slices.SortStableFunc(c.offers, func(a, b int) int { return cmp.Compare(x.share[b], x.share[a]) })
		top := x.share[c.offers[0]]
		switch {
		case top > 0.999:
			class[c.job] = 2
		case top > 0.001:
			class[c.job] = 1
			share[c.job] = float64(top * lead)
			if x.in.p.Offers[c.offers[0]].Width < 16 {
				share[c.job] = top
			}
		}
	}
	slices.SortStableFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(class[b.job], class[a.job]), cmp.Compare(share[b.job], share[a.job]))
	})
	return list
}

// mark tells the pricer which offers the relaxation runs, in full or in part.
func (x *relaxation) mark() {
	clear(x.g.chosen)
	for _, f := range x.work {
		x.g.chosen[f] = float32(x.share[f])
	}
}

// dive makes the relaxation whole: it fixes the offers that run almost in full
// and the widest ones split, a few at a time, solves and prices again, and goes
// on until nothing wide is split. Prices follow what was fixed, which plain
// rounding cannot do. The jobs that then run are returned as a plan without mining
// beyond what is promised; where things rested before is put back.
func (x *relaxation) dive(limit int64) *state {
	root := *x
	x.rowAt, x.jobAt, x.auxAt = slices.Clone(x.rowAt), slices.Clone(x.jobAt), slices.Clone(x.auxAt)
	x.keepAt, x.entAt, x.offAt = slices.Clone(x.keepAt), slices.Clone(x.entAt), slices.Clone(x.offAt)
	x.share, x.z = slices.Clone(x.share), slices.Clone(x.z)
	in := x.in
	offers := in.p.Offers
	// What is fixed is a plan of its own: only what fits beside it is tried, so
	// that the program keeps a solution.
	s := newState(in)
	s.promises()
	var split []int
	for size := 1 << 30; x.pivots < limit; {
		split = split[:0]
		for _, f := range x.work {
			if x.fixed[f] == 0 && x.share[f] > 0.001 && x.share[f] < 0.999 {
				split = append(split, f)
			}
		}
		if len(split) == 0 {
			break
		}
		weight := func(f int) float64 { return float64(x.share[f] * float64(offers[f].Width)) }
		slices.SortFunc(split, func(a, b int) int { return cmp.Or(cmp.Compare(weight(b), weight(a)), cmp.Compare(a, b)) })
		some := s.fix(x.fixed, split, min(size, 1+len(split)/24+max(0, len(split)-48)/8))
		if x.sift(limit) {
			size = 1 << 30
			continue
		}
		for _, f := range some {
			x.fixed[f] = 0
			s.setOffer(offers[f].Job, None)
		}
		if len(some) > 1 {
			size = len(some) / 2 // the shares are still those before
			continue
		}
		if len(some) == 1 {
			x.fixed[some[0]] = -1
		}
		if !x.sift(limit) {
			break
		}
	}
	clear(x.fixed)
	split = append(split[:0], x.work...)
	slices.SortFunc(split, func(a, b int) int {
		return cmp.Or(cmp.Compare(offers[b].Width, offers[a].Width), cmp.Compare(x.share[b], x.share[a]), cmp.Compare(a, b))
	})
	for _, f := range split {
		if j := offers[f].Job; x.share[f] > 0.5 && s.offer[j] == None && s.fits(f) {
			s.setOffer(j, f)
		}
	}
	x.rowAt, x.jobAt, x.auxAt, x.keepAt, x.entAt, x.z, x.value = root.rowAt, root.jobAt, root.auxAt, root.keepAt, root.entAt, root.z, root.value
	x.offAt = root.offAt // offers brought in meanwhile rest at nothing
	return s
}

// fix marks up to n of the offers as running, in order, and returns them; those
// that find no room beside the rest are marked as not running.
func (s *state) fix(marks []int8, list []int, n int) []int {
	var out []int
	for _, f := range list {
		if len(out) == n {
			break
		}
		j := s.in.p.Offers[f].Job
		if s.offer[j] != None || !s.fits(f) {
			marks[f] = -1
			continue
		}
		marks[f] = 1
		s.setOffer(j, f)
		out = append(out, f)
	}
	return out
}
