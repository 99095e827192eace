package decide

import (
	"cmp"
	"slices"
)

const (
	sackTable = 1 << 20 // most entries of one class's table: jobs x devices
	sackSteps = 15000   // most steps of its search
)

// sack finds the jobs that earn one class most at given prices: a knapsack over
// the class's devices with at most one offer per job, and, because
// the set must keep the class's place rows and the tenants' contracts too, a search over what the knapsack leaves. With
// too many jobs or devices it counts every gain, which is a bound as well.
type sack struct {
	in     *instance
	room   int64
	sp     *space // places and contracts are used and given back
	items  []sackItem
	sum    int128 // of all gains, fine units
	groups [][]sackItem
	table  []int64 // per group and width: the most that it and later ones gain
	w      int
	steps  int
	value  int64
	cur    []int
	picked []int
}

type sackItem struct {
	job, offer int
	width      int64
	gain       int64 // nano, rounded up
}

// add puts in an offer with a positive gain.
func (s *sack) add(job, offer int, width int64, gain int128) {
	s.items = append(s.items, sackItem{job, offer, width, gain.divCeil(dualUnit)})
	s.sum.add(gain)
}

// best is the most that a set of offers can gain, in nano, and the set found:
// the first may be above what the second gains.
func (s *sack) best() (int64, []int) {
	if len(s.items) == 0 || s.room <= 0 {
		return 0, nil
	}
	all := s.sum.divCeil(dualUnit)
	if all >= 1<<62 || int64(len(s.items)) > sackTable/(s.room+1) {
		return all, nil
	}
	s.group()
	s.fill()
	s.steps = sackSteps
	s.search(0, s.w-1, 0)
	if s.steps <= 0 {
		return s.table[s.w-1], s.picked
	}
	return s.value, s.picked
}

// group puts the offers of a job together, the best per device first.
func (s *sack) group() {
	for i, x := range s.items {
		if i == 0 || s.items[i-1].job != x.job {
			s.groups = append(s.groups, nil)
		}
		last := len(s.groups) - 1
		s.groups[last] = append(s.groups[last], x)
	}
	dense := func(g []sackItem) float64 {
		d := 0.0
		for _, x := range g {
			d = max(d, float64(x.gain)/float64(x.width))
		}
		return d
	}
	slices.SortStableFunc(s.groups, func(a, b []sackItem) int { return cmp.Compare(dense(b), dense(a)) })
}

// fill works the knapsack out from the last group to the first.
func (s *sack) fill() {
	s.w = int(s.room) + 1
	s.table = make([]int64, (len(s.groups)+1)*s.w)
	for g := len(s.groups) - 1; g >= 0; g-- {
		now, next := s.table[g*s.w:(g+1)*s.w], s.table[(g+1)*s.w:(g+2)*s.w]
		copy(now, next)
		for _, x := range s.groups[g] {
			for n := int(x.width); n < s.w; n++ {
				now[n] = max(now[n], next[n-int(x.width)]+x.gain)
			}
		}
	}
}

// search goes down the groups, best promise first, and gives up a branch that
// the knapsack says cannot beat the best set so far.
func (s *sack) search(g, room int, value int64) {
	if s.steps--; s.steps <= 0 {
		return
	}
	if value > s.value {
		s.value = value
		s.picked = append(s.picked[:0], s.cur...)
	}
	if g == len(s.groups) || value+s.table[g*s.w+room] <= s.value {
		return
	}
	next := s.table[(g+1)*s.w : (g+2)*s.w]
	// A job has few offers in one class; the one that promises most goes first,
	// "none of them" (a gain and width of nothing) in its turn.
	last, lastAt := int64(1<<62), -2
	for range len(s.groups[g]) + 1 {
		at, top := -2, int64(-1)
		see := func(i int, v int64) {
			if (v < last || v == last && i > lastAt) && v > top {
				at, top = i, v
			}
		}
		see(-1, next[room])
		for i, x := range s.groups[g] {
			if int(x.width) <= room {
				see(i, next[room-int(x.width)]+x.gain)
			}
		}
		if at == -2 || value+top <= s.value {
			return
		}
		last, lastAt = top, at
		if at == -1 {
			s.search(g+1, room, value)
			continue
		}
		if x := s.groups[g][at]; s.sp.take(s.in, x.offer, 1) {
			s.cur = append(s.cur, x.offer)
			s.search(g+1, room-int(x.width), value+x.gain)
			s.cur = s.cur[:len(s.cur)-1]
			s.sp.take(s.in, x.offer, -1)
		}
	}
}

// take uses the places and the contract of an offer, or gives them back (n is
// then -1); false, with nothing taken, when they are not there.
func (sp *space) take(in *instance, f int, n int64) bool {
	o := &in.p.Offers[f]
	t := in.p.Jobs[o.Job].Tenant
	if sp.contract[t] < n*o.Width {
		return false
	}
	uses := in.placesAt(f)
	for _, u := range uses {
		if sp.places[u.row] < n*u.n {
			return false
		}
	}
	for _, u := range uses {
		sp.places[u.row] -= n * u.n
	}
	sp.contract[t] -= n * o.Width
	return true
}
