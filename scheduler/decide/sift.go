package decide

import (
	"cmp"
	"math"
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide/lp"
)

// siftRounds is far more than pricing ever needs.
const siftRounds = 60

// sift solves, prices all other offers, and goes on until none pays. It tells
// whether the prices now in g are those of the whole relaxation.
func (x *relaxation) sift(limit int64) bool {
	in, p, g := x.in, x.in.p, x.g
	type paying struct {
		f int
		v float64
	}
	var list []paying
	slack := 0.0
	if x.aim > 0 {
		slack = 1e-3 // of a device is 1e6: the figures of a tier carry no scale of their own
	}
	for round := 0; round < siftRounds; round++ {
		if x.solve(limit-x.pivots) != lp.Optimal {
			return false
		}
		copy(g.relax, x.z)
		bound := g.sweep(0)

		if bound-x.value <= float64(1e-8*math.Abs(x.value)) {
			return true
		}
		added := false
		for j, job := range p.Jobs {
			if in.must[j] {
				continue
			}
			tenant := g.tenantPrice(j)
			held := 0.0
			list = list[:0]
			for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
				if !in.usable[f] || x.fixed[f] < 0 {
					continue
				}
				v := g.offerRC(f, tenant, job.Current) - float64(in.out[j])
				if x.has[f] {
					held = math.Max(held, v)
				} else if v > slack {
					list = append(list, paying{f, v})
				}
			}
			slices.SortFunc(list, func(a, b paying) int { return cmp.Or(cmp.Compare(b.v, a.v), cmp.Compare(a.f, b.f)) })
			for i, o := range list {
				if i == 3 || o.v <= held+slack+float64(1e-9*math.Abs(float64(in.value[o.f]))) {
					break
				}
				added = x.bring(o.f) || added
			}
		}
		if !added {
			return true
		}
	}
	return false
}

// farPPM is how far below paying, in parts of its value, an offer may be and
// still stay in the program for the next round.
const farPPM = 20_000

// purge takes out what the optimum does not use and is far from using: offers
// at nothing whose reduced value is well below zero. Where a job keeps one offer
// only, its row goes, and what was basic against it rests at its bound: else
// the next round would start from no basis at all.
func (x *relaxation) purge() {
	in, p, g := x.in, x.in.p, x.g
	left := make([]int32, len(p.Jobs))
	n := 0
	for _, f := range x.work {
		j := p.Offers[f].Job
		if x.offAt[f] == lp.AtLower && x.share[f] == 0 {
			v := g.offerRC(f, g.tenantPrice(j), p.Jobs[j].Current) - float64(in.out[j])
			if row := x.jobDual[j]; v-row < -float64(farPPM*math.Abs(float64(in.value[f])))/PPM {
				x.has[f] = false
				continue
			}
		}
		left[j]++
		x.work[n] = f
		n++
	}
	x.work = x.work[:n]
	for _, f := range x.work {
		j := p.Offers[f].Job
		if left[j] == 1 && x.jobAt[j] != lp.Basic && x.offAt[f] == lp.Basic {
			x.offAt[f] = lp.AtUpper
		}
	}
	for j, k := range left {
		if k < 2 {
			x.jobAt[j] = lp.Basic
		}
	}
}
