package decide

import (
	"cmp"
	"slices"
)

// park stands for "no cell" as source or target of a shift.
const park = -1

// mineAll gives every device that no job holds its best use: by posted prices
// first, then by true value within what the rows still allow.
func (s *state) mineAll(g *pricer) {
	s.byPrices(g)
	s.mend(8, 400)
	s.polish(nil)
	s.mend(8, 400)
	s.balanceCoins()
}

// byPrices takes options in the order of value above posted prices.
func (s *state) byPrices(g *pricer) {
	in := s.in
	type unit struct {
		k  int
		n  int64
		rc float64
	}
	var units []unit
	for c := range in.p.Classes {
		units = units[:0]
		for k := in.cellLo[c]; k < in.cellLo[c+1]; k++ {
			if in.limit[k] == 0 {
				continue
			}
			rc := g.floats[k]
			if now := in.p.Mining[k].Current; now > 0 && rc+g.keepF[k] >= 0 {
				units = append(units, unit{k, now, rc + g.keepF[k]})
			}
			if e := rc + g.enterF[k] - g.moves; e >= 0 {
				units = append(units, unit{k, in.limit[k], e})
			}
		}
		slices.SortStableFunc(units, func(a, b unit) int { return cmp.Compare(b.rc, a.rc) })
		for _, u := range units {
			n := min(u.n, s.roomCell(u.k))
			if now := in.p.Mining[u.k].Current; u.n == now && now > 0 {
				n = min(n, max(0, now-s.count[u.k]))
			}
			s.addCell(u.k, n)
			if s.usedC[c] >= in.p.Classes[c].Devices {
				break
			}
		}
	}
}

// last is what the next device taken off a cell loses, and how many in a row
// lose the same; next is the same for adding. Parking is worth 0.
func (s *state) last(k int) (int64, int64) {
	if k == park {
		return 0, 1 << 40
	}
	if now := s.in.p.Mining[k].Current; s.count[k] > now {
		return s.in.enter[k], s.count[k] - max(now, s.in.lock[k])
	}
	return s.in.keep[k], s.count[k] - s.in.lock[k]
}

func (s *state) next(k int) (int64, int64) {
	if k == park {
		return 0, 1 << 40
	}
	if now := s.in.p.Mining[k].Current; s.count[k] < now {
		return s.in.keep[k], min(now, s.in.limit[k]) - s.count[k]
	}
	return s.in.enter[k], s.in.limit[k] - s.count[k]
}

// most is how many devices of class c can go from a to b within the hard
// limits at one marginal value; power tells whether to heed the caps.
func (s *state) most(c, a, b int, power bool) int64 {
	in := s.in
	_, n := s.last(a)
	_, m := s.next(b)
	n = min(n, m)
	if a == park {
		n = min(n, in.p.Classes[c].Devices-s.usedC[c])
	}
	if w := in.watts(b) - in.watts(a); w > 0 && power {
		for _, z := range in.above[c] {
			n = min(n, (in.capZ[z]-s.usedW[z])/w)
		}
	}
	if cap := in.p.Policy.MaxMoves; cap > 0 && s.entering(b, 0) && !s.entering(a, -1) {
		n = min(n, cap-s.moves)
	}
	return max(0, n)
}

// entering tells whether the next device on k (d 0) or the last one there
// (d -1) counts as a move.
func (s *state) entering(k int, d int64) bool {
	return k != park && s.count[k]+d >= s.in.p.Mining[k].Current
}

func (in *instance) watts(k int) int64 {
	if k == park {
		return 0
	}
	return in.cellW[k]
}

func (in *instance) rowAt(r, k int) int64 {
	if k == park {
		return 0
	}
	return in.cellRow(r, k)
}

// allowed is how many of n devices can go from a to b without making any soft
// row worse than met.
func (s *state) allowed(c, a, b int, n int64) int64 {
	coins := s.in.coins
	if s.coinCap != nil && b != park {
		coins = nil
		if m := &s.in.p.Mining[b]; m.GrossMicroPerHour > 0 {
			n = min(n, max(0, s.coinCap[m.Coin]-s.gross[m.Coin])/m.GrossMicroPerHour)
		}
	}
	for _, list := range [2][]int{s.in.scope[c], coins} {
		for _, r := range list {
			if d := s.in.rowAt(r, b) - s.in.rowAt(r, a); d < 0 {
				n = min(n, max(0, s.act[r])/-d)
			}
		}
		if n <= 0 {
			return 0
		}
	}
	return n
}

func (s *state) shift2(a, b int, n int64) {
	if a != park {
		s.add(a, -n)
	}
	if b != park {
		s.add(b, n)
	}
}

// mend shifts mining until no soft row is missed that mining can serve, the
// cheapest loss per unit first. One row's cure can be another's illness, so it
// goes round until nothing changes, at most so many rounds with so many shifts
// for each row. It returns the shifts made.
func (s *state) mend(rounds, shifts int) int64 {
	var made int64
	for round := 0; round < rounds; round++ {
		changed := false
		for t := range s.in.tiers {
			for r := range s.in.rows {
				if cr := &s.in.rows[r]; cr.soft && cr.tier == t {
					for i := 0; i < shifts && s.act[r] < 0 && s.mendRow(r); i++ {
						changed = true
						made++
					}
				}
			}
		}
		if !changed {
			break
		}
	}
	return made
}

// mendRow makes the cheapest shift that helps row r.
func (s *state) mendRow(r int) bool {
	in := s.in
	bestA, bestB, bestLoss := park, park, 0.0
	var bestN, bestGain int64
	for c := range in.p.Classes {
		if in.rows[r].coin == None && !seen(in.scope[c], r) {
			continue
		}
		for a := in.cellLo[c] - 1; a < in.cellLo[c+1]; a++ {
			from := a
			if a < in.cellLo[c] {
				from = park
			} else if s.count[a] <= in.lock[a] {
				continue
			}
			out, _ := s.last(from)
			for b := in.cellLo[c] - 1; b < in.cellLo[c+1]; b++ {
				to := b
				if b < in.cellLo[c] {
					to = park
				}
				if to == from || (to != park && in.limit[to] == 0) {
					continue
				}
				gain := in.rowAt(r, to) - in.rowAt(r, from)
				if gain <= 0 {
					continue
				}
				add, _ := s.next(to)
				loss := float64(out-add) / float64(gain)
				if bestN > 0 && loss >= bestLoss {
					continue
				}
				n := s.most(c, from, to, true)
				if n = s.spared(c, r, from, to, n); n > 0 {
					bestA, bestB, bestN, bestGain, bestLoss = from, to, n, gain, loss
				}
			}
		}
	}
	if bestN == 0 {
		return false
	}
	s.shift2(bestA, bestB, min(bestN, (-s.act[r]+bestGain-1)/bestGain))
	return true
}

// spared is allowed with row r itself and weaker tiers left out.
func (s *state) spared(c, r, a, b int, n int64) int64 {
	tier := s.in.rows[r].tier
	for _, list := range [2][]int{s.in.scope[c], s.in.coins} {
		for _, q := range list {
			if q == r || s.in.rows[q].tier > tier {
				continue
			}
			if d := s.in.rowAt(q, b) - s.in.rowAt(q, a); d < 0 {
				n = min(n, max(0, s.act[q])/-d)
			}
		}
	}
	return max(0, n)
}

// polish shifts devices to better paid uses while rows and caps allow it:
// parked ones first by value per watt, then upgrades. only, when not nil,
// restricts it to the classes marked.
func (s *state) polish(only []bool) {
	s.fill(only)
	for c := range s.in.p.Classes {
		if only == nil || only[c] {
			s.upgrade(c)
		}
	}
}

// fill is the first half of polish: it only adds.
func (s *state) fill(only []bool) {
	in := s.in
	type option struct {
		c, k int
		d    float64
	}
	var list []option
	for c, cl := range in.p.Classes {
		if (only != nil && !only[c]) || s.usedC[c] >= cl.Devices {
			continue
		}
		for k := in.cellLo[c]; k < in.cellLo[c+1]; k++ {
			if v, n := s.next(k); v > 0 && n > 0 {
				list = append(list, option{c, k, float64(v) / float64(in.cellW[k]+1)})
			}
		}
	}
	slices.SortStableFunc(list, func(a, b option) int { return cmp.Compare(b.d, a.d) })
	for _, o := range list {
		for i := 0; i < 2; i++ { // staying and entering have different values
			if v, _ := s.next(o.k); v <= 0 || s.usedC[o.c] >= in.p.Classes[o.c].Devices {
				break
			}
			if n := s.allowed(o.c, park, o.k, s.most(o.c, park, o.k, true)); n > 0 {
				s.add(o.k, n)
			}
		}
	}
}

// upgrade moves devices of one class to better options, the largest gain per
// device first, while watts and rows allow it.
func (s *state) upgrade(c int) {
	in := s.in
	for round := 0; round < 32; round++ {
		bestA, bestB := park, park
		var bestN, bestGain int64
		for a := in.cellLo[c]; a < in.cellLo[c+1]; a++ {
			if s.count[a] <= in.lock[a] {
				continue
			}
			out, _ := s.last(a)
			for b := in.cellLo[c] - 1; b < in.cellLo[c+1]; b++ {
				to := b
				if b < in.cellLo[c] {
					to = park
				}
				add, _ := s.next(to)
				if to == a || add-out <= bestGain || (to != park && in.limit[to] == 0) {
					continue
				}
				if n := s.allowed(c, a, to, s.most(c, a, to, true)); n > 0 {
					bestA, bestB, bestN, bestGain = a, to, n, add-out
				}
			}
		}
		if bestGain <= 0 {
			return
		}
		s.shift2(bestA, bestB, bestN)
	}
}
