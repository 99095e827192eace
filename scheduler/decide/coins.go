package decide

import "slices"

// balanceCoins serves coin ceilings that single shifts cannot: with several
// coins at their limit, parking one device lowers the total and breaks the
// others. With the total T fixed each ceiling is a plain capacity, share x T,
// so mining is filled from nothing against those; the largest T that the fill
// reaches again satisfies every ratio. Called only when mend gave up.
func (s *state) balanceCoins() {
	in := s.in
	bad := false
	for _, r := range in.coins {
		bad = bad || s.act[r] < 0
	}
	if !bad {
		return
	}
	old, short, value := slices.Clone(s.count), s.shorts(), s.value
	var total int64
	for _, g := range s.gross {
		total += g
	}
	lo, hi := int64(0), total
	for i := 0; i < 12 && lo < hi; i++ {
		mid := lo + (hi-lo+1)/2
		if s.fillUnder(mid) >= mid {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	s.fillUnder(lo)
	s.polish(nil)
	if !better(s.shorts(), s.value, short, value) {
		s.setCounts(old)
	}
}

// fillUnder refills all mining as if the total gross were t and returns what it
// is then.
func (s *state) fillUnder(t int64) int64 {
	in := s.in
	s.setCounts(in.lock)
	s.coinCap = make([]int64, in.p.Coins)
	for m := range s.coinCap {
		s.coinCap[m] = 1 << 62
	}
	for _, r := range in.coins {
		m := in.rows[r].coin
		s.coinCap[m] = min(s.coinCap[m], ratioOf(t, in.rows[r].share))
	}
	s.fill(nil)
	s.coinCap = nil
	var total int64
	for _, g := range s.gross {
		total += g
	}
	return total
}

// ratioOf is t x ppm / 1e6, rounded down; t is far below 2^62/1e6.
func ratioOf(t, ppm int64) int64 { return t/PPM*ppm + t%PPM*ppm/PPM }

func (s *state) setCounts(to []int64) {
	for k, n := range to {
		if d := n - s.count[k]; d < 0 {
			s.add(k, d)
		}
	}
	for k, n := range to {
		s.add(k, n-s.count[k])
	}
}
