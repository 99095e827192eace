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
// rounding cannot do. The shares of the last program are left in x.share; where
// things rested before is put back.
func (x *relaxation) dive(limit int64) {
	root := *x
	x.rowAt, x.jobAt, x.auxAt = slices.Clone(x.rowAt), slices.Clone(x.jobAt), slices.Clone(x.auxAt)
	x.keepAt, x.entAt, x.offAt = slices.Clone(x.keepAt), slices.Clone(x.entAt), slices.Clone(x.offAt)
	x.share, x.z = slices.Clone(x.share), slices.Clone(x.z)
	offers := x.in.p.Offers
	var split []int
	size := 1 << 30
	for round := 0; round < 60 && x.pivots < limit; round++ {
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
		some := split[:min(size, 1+len(split)/8)]
		for _, f := range some {
			x.fixed[f] = 1
		}
		if x.sift(limit) {
			size = 1 << 30
			continue
		}
		for _, f := range some {
			x.fixed[f] = 0
		}
		if len(some) > 1 {
			size = len(some) / 2 // the shares are still those before
			continue
		}
		x.fixed[some[0]] = -1
		if !x.sift(limit) {
			break
		}
	}
	clear(x.fixed)
	x.rowAt, x.jobAt, x.auxAt, x.keepAt, x.entAt, x.z, x.value = root.rowAt, root.jobAt, root.auxAt, root.keepAt, root.entAt, root.z, root.value
	x.offAt = root.offAt // offers brought in meanwhile rest at nothing
}
