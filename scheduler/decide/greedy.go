package decide

import (
	"cmp"
	"slices"
)

// greedy turns prices into a plan: promises first, then the jobs that pay most
// above the posted prices, then what floors still miss, then mining.
func greedy(in *instance, g *pricer, order []candidate) *state {
	s := newState(in)
	s.promises()
	s.complete(g, order)
	return s
}

// complete lets the jobs in that still fit, then mining.
func (s *state) complete(g *pricer, order []candidate) {
	for _, c := range order {
		if s.offer[c.job] == None {
			s.tryOffers(c.job, c.offers)
		}
	}
	s.fillFloors()
	s.mineAll(g)
}

// promises places what must stay: locked miners and held jobs.
func (s *state) promises() {
	for j, must := range s.in.must {
		if must {
			s.setOffer(j, s.in.p.Jobs[j].Current)
		}
	}
	for k, n := range s.in.lock {
		s.addCell(k, n)
	}
}

type candidate struct {
	job    int
	rank   float64 // surplus per device at the posted prices
	offers []int   // by falling surplus
	near   int     // leading offers that the prices cannot tell apart
}

// candidates lists the jobs whose best offer pays at the prices, best first.
// An offer that the late sweeps kept choosing is close to the relaxed optimum,
// so it leads.
//
// lead multiplies the rank of gangs of 16 and more, which find room only while
// classes are empty; how much that is worth differs from fleet to fleet.
func (g *pricer) candidates(lead float64) []candidate {
	in, p := g.in, g.in.p
	g.restore()
	g.sweep(0)
	out := make([]candidate, 0, len(p.Jobs))
	var arena []int
	var top [leadOffers]scored
	for j := range p.Jobs {
		if in.must[j] {
			continue
		}
		n := g.leading(j, &top)
		if n == 0 {
			continue
		}
		if cap(arena)-len(arena) < n {
			arena = make([]int, 0, 4096)
		}
		from := len(arena)
		c := candidate{job: j, rank: top[0].v / float64(p.Offers[top[0].f].Width)}
		for i, x := range top[:n] {
			arena = append(arena, x.f)
			o := &p.Offers[x.f]
			if i == c.near && c.rank-x.v/float64(o.Width) <= float64(0.05*g.scale[o.Class]) {
				c.near++
			}
		}
		c.offers = arena[from:len(arena):len(arena)]
		if p.Offers[top[0].f].Width >= 16 {
			c.rank = float64(c.rank * lead)
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.rank, a.rank), cmp.Compare(p.Jobs[b.job].Priority, p.Jobs[a.job].Priority))
	})
	return out
}

// leadOffers is how many offers of a job the heuristics look at.
const leadOffers = 16

type scored struct {
	f int
	v float64
}

// leading puts the offers of job j that pay at the prices of the last sweep, or
// nearly, into top, best first, and returns their number.
func (g *pricer) leading(j int, top *[leadOffers]scored) int {
	in := g.in
	current := in.p.Jobs[j].Current
	tenant, out, n := g.tenantPrice(j), float64(in.out[j]), 0
	for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
		k := in.kind[f]
		rc := g.offerRC(f, tenant, current) - out
		slack := g.slackK[k]
		if !(rc+slack >= 0) && g.chosen[f] == 0 {
			continue
		}
		if !in.usable[f] {
			continue
		}
		v := rc + float64(2*slack*float64(g.chosen[f]))
		if n == leadOffers && !(v > top[n-1].v) {
			continue
		}
		if n < leadOffers {
			n++
		}
		i := n - 1
		for ; i > 0 && top[i-1].v < v; i-- {
			top[i] = top[i-1]
		}
		top[i] = scored{f, v}
	}
	return n
}

// tryOffers puts job j on the first offer that fits and pays or is needed.
func (s *state) tryOffers(j int, offers []int) bool {
	for _, f := range offers {
		if s.fits(f) && !s.breaksCeiling(f) {
			s.put(j, f)
			return true
		}
	}
	return false
}

// breaksCeiling: an AI ceiling in owned devices cannot be repaired by mining.
func (s *state) breaksCeiling(f int) bool {
	for _, r := range s.in.scope[s.in.p.Offers[f].Class] {
		if s.in.p.Rows[r].Sense == AtMost && s.in.p.Rows[r].Measure == MeasureOwned && s.act[r]+s.in.offerRow(r, f) < 0 {
			return true
		}
	}
	return false
}

// fillFloors admits jobs at a loss while a floor is missed, strongest tier
// first, cheapest loss per unit of share first.
func (s *state) fillFloors() {
	in, p := s.in, s.in.p
	for t := range in.tiers {
		for r := range in.rows {
			cr := &in.rows[r]
			if !cr.soft || cr.tier != t || s.act[r] >= 0 || cr.coin != None || p.Rows[r].Sense != AtLeast {
				continue
			}
			type entry struct {
				f int
				v float64
			}
			var list []entry
			mines := in.bestMining()
			for f, o := range p.Offers {
				if s.offer[o.Job] == None && in.usable[f] && seen(in.scope[o.Class], r) && in.offerRow(r, f) > 0 {
					// The loss is against what the devices would mine.
					loss := float64(in.value[f]) - float64(o.Width)*float64(mines[o.Class])
					list = append(list, entry{f, loss / float64(max(1, in.offerRow(r, f)))})
				}
			}
			slices.SortStableFunc(list, func(a, b entry) int { return cmp.Compare(b.v, a.v) })
			for _, e := range list {
				if s.act[r] >= 0 {
					break
				}
				if s.offer[p.Offers[e.f].Job] == None && s.fits(e.f) && !s.breaksCeiling(e.f) {
					s.setOffer(p.Offers[e.f].Job, e.f)
				}
			}
		}
	}
}

// bestMining is what a device of each class is worth on its best open cell, 0
// where parking is better.
func (in *instance) bestMining() []int64 {
	best := make([]int64, len(in.p.Classes))
	for k, m := range in.p.Mining {
		if in.limit[k] > 0 {
			best[m.Class] = max(best[m.Class], in.keep[k])
		}
	}
	return best
}

func seen(list []int, x int) bool {
	for _, y := range list {
		if x == y {
			return true
		}
	}
	return false
}
