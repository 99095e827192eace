package decide

import "sort"

// tinyFleet is the largest fleet that is solved by complete enumeration, and
// that Verify enumerates again.
const tinyFleet = 8

// searcher is a depth-first search over job offers, then over mining counts
// class by class. It starts from the greedy plan, so it only has to beat it.
type searcher struct {
	in     *instance
	s      *state
	best   *state
	short  []int64
	jobs   []int   // by priority
	rest   []int64 // per position in jobs: the most that later jobs can add
	cells  [][]int // per class: cells, most valuable first
	top    []int64 // per class: value of its best cell
	nodes  int64
	done   bool
	zeroes bool // the incumbent misses no target, so value alone prunes
}

// exact returns the best plan and whether the search was completed.
func exact(s *state, budget int64) (*state, bool, int64) {
	in := s.in
	e := &searcher{in: in, s: newState(in), best: s.clone(), short: s.shorts(), nodes: budget, done: true}
	e.prepare()
	e.note()
	e.job(0)
	return e.best, e.done, budget - max(0, e.nodes)
}

func (e *searcher) prepare() {
	in := e.in
	for j := range in.p.Jobs {
		e.jobs = append(e.jobs, j)
	}
	sort.SliceStable(e.jobs, func(a, b int) bool {
		return in.p.Jobs[e.jobs[a]].Priority > in.p.Jobs[e.jobs[b]].Priority
	})
	e.rest = make([]int64, len(e.jobs)+1)
	for i := len(e.jobs) - 1; i >= 0; i-- {
		j := e.jobs[i]
		gain := int64(0)
		for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
			if in.usable[f] {
				gain = max(gain, in.value[f]-in.out[j])
			}
		}
		e.rest[i] = e.rest[i+1] + gain
	}
	e.cells, e.top = make([][]int, len(in.p.Classes)), make([]int64, len(in.p.Classes))
	for c := range in.p.Classes {
		for k := in.cellLo[c]; k < in.cellLo[c+1]; k++ {
			if in.limit[k] > 0 {
				e.cells[c] = append(e.cells[c], k)
				e.top[c] = max(e.top[c], e.first(k))
			}
		}
		list := e.cells[c]
		sort.SliceStable(list, func(a, b int) bool { return e.first(list[a]) > e.first(list[b]) })
	}
}

// first is the most that one device on cell k can be worth.
func (e *searcher) first(k int) int64 {
	if e.in.p.Mining[k].Current > 0 {
		return e.in.keep[k]
	}
	return e.in.enter[k]
}

func (e *searcher) note() {
	e.zeroes = true
	for _, x := range e.short {
		e.zeroes = e.zeroes && x == 0
	}
}

// hopeless prunes when even the optimistic rest does not beat the incumbent.
func (e *searcher) hopeless(value int64) bool { return e.zeroes && value <= e.best.value }

func (e *searcher) spend() bool {
	if e.nodes--; e.nodes < 0 {
		e.done = false
	}
	return e.done
}

func (e *searcher) free(from int) int64 {
	var v int64
	for c := from; c < len(e.in.p.Classes); c++ {
		v += (e.in.p.Classes[c].Devices - e.s.usedC[c]) * e.top[c]
	}
	return v
}

func (e *searcher) job(i int) {
	if !e.spend() || e.hopeless(e.s.value+e.rest[i]+e.free(0)) {
		return
	}
	in, s := e.in, e.s
	if i == len(e.jobs) {
		for c := range in.p.Classes {
			if in.gangs[c] && !in.packs(c, s.runs[c]) {
				return
			}
		}
		e.class(0)
		return
	}
	j := e.jobs[i]
	for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
		if in.must[j] && f != in.p.Jobs[j].Current {
			continue
		}
		if in.usable[f] && s.holds(f) {
			s.setOffer(j, f)
			e.job(i + 1)
			s.setOffer(j, None)
		}
	}
	if !in.must[j] {
		e.job(i + 1)
	}
}

func (e *searcher) class(c int) {
	if c < len(e.cells) {
		e.cell(c, 0)
		return
	}
	if short := e.s.shorts(); better(short, e.s.value, e.short, e.best.value) {
		e.best, e.short = e.s.clone(), short
		e.note()
	}
}

func (e *searcher) cell(c, i int) {
	if !e.spend() {
		return
	}
	in, s := e.in, e.s
	if i == len(e.cells[c]) {
		if !e.hopeless(s.value + e.free(c+1)) {
			e.class(c + 1)
		}
		return
	}
	k := e.cells[c][i]
	left := in.p.Classes[c].Devices - s.usedC[c]
	best := int64(0)
	for _, x := range e.cells[c][i:] {
		best = max(best, e.first(x))
	}
	if e.hopeless(s.value + left*best + e.free(c+1)) {
		return
	}
	for n := s.roomCell(k); n >= in.lock[k]; n-- {
		s.addCell(k, n)
		e.cell(c, i+1)
		s.addCell(k, -n)
	}
}
