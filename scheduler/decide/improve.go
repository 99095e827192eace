package decide

// improver is the local search: it inserts, exchanges and drops jobs, lets
// mining fill what is left each time, and keeps what is better by tiers and
// then profit. One trial is one unit of work.
type improver struct {
	s      *state
	left   int64
	used   int64
	shorts []int64
	only   []bool
	few    []int   // victims
	zoneCl [][]int // per zone: classes in its subtree, for zones with a cap
}

func newImprover(s *state, budget int64) *improver {
	im := &improver{s: s, left: budget, only: make([]bool, len(s.in.p.Classes)), zoneCl: make([][]int, len(s.in.p.Zones))}
	for c := range s.in.p.Classes {
		for _, z := range s.in.above[c] {
			im.zoneCl[z] = append(im.zoneCl[z], c)
		}
	}
	return im
}

func improve(s *state, order []candidate, budget int64) int64 {
	im := newImprover(s, budget)
	s.undo = true
	for pass := 0; pass < 3 && im.left > 0; pass++ {
		before, old := s.shorts(), s.value
		im.inserts(order)
		im.drops()
		im.exchangeAll()
		s.log = s.log[:0]
		if !better(s.shorts(), s.value, before, old) {
			break
		}
	}
	im.shakeAll(order)
	s.undo = false
	s.log = nil
	return im.used
}

// trial runs f and keeps its changes when the plan became better.
func (im *improver) trial(f func() bool) bool {
	if im.left <= 0 {
		return false
	}
	im.left--
	im.used++
	s := im.s
	mark, short, value := len(s.log), s.shorts(), s.value
	if f() && better(s.shorts(), s.value, short, value) {
		s.log = s.log[:0]
		return true
	}
	s.rollback(mark)
	return false
}

func (im *improver) inserts(order []candidate) {
	s := im.s
	for _, c := range order {
		if im.left <= 0 {
			return
		}
		for i, f := range c.offers {
			if i == 4 {
				break
			}
			if s.offer[c.job] == f {
				if i+1 >= c.near {
					break // worse offers follow
				}
				continue
			}
			if im.trial(func() bool { return im.insert(c.job, f, true) }) {
				break
			}
		}
	}
}

// insert puts job j on offer f and clears the way: mining first, then the jobs
// of the class that earn least per device, unless evict is false.
func (im *improver) insert(j, f int, evict bool) bool {
	s, in := im.s, im.s.in
	if !in.usable[f] || in.must[j] {
		return false
	}
	c := in.p.Offers[f].Class
	w := in.p.Offers[f].Width
	from := None
	if s.offer[j] != None {
		from = in.p.Offers[s.offer[j]].Class
		s.put(j, None)
	}
	s.clearMining(c, w)
	if !s.fits(f) && evict {
		for _, v := range im.victims(c, f) {
			s.put(v, None)
			if s.fits(f) {
				break
			}
		}
	}
	if !s.fits(f) && !im.clearPower(c, f) {
		return false
	}
	s.put(j, f)
	im.refill(c, from)
	return true
}

// clearMining parks the least paid miners of class c until w devices are free.
func (s *state) clearMining(c int, w int64) {
	in := s.in
	for s.usedC[c]+w > in.p.Classes[c].Devices {
		worst, at := int64(0), park
		for k := in.cellLo[c]; k < in.cellLo[c+1]; k++ {
			if s.count[k] > in.lock[k] {
				if v, _ := s.last(k); at == park || v < worst {
					worst, at = v, k
				}
			}
		}
		if at == park {
			return
		}
		_, n := s.last(at)
		s.add(at, -min(n, s.usedC[c]+w-in.p.Classes[c].Devices))
	}
}

// clearPower parks miners in the zones that offer f overloads, least value per
// watt first.
func (im *improver) clearPower(c, f int) bool {
	s, in := im.s, im.s.in
	for _, z := range in.above[c] {
		for s.usedW[z]+in.offW[f] > in.capZ[z] {
			at, worst := park, 0.0
			for _, x := range im.zoneCl[z] {
				for k := in.cellLo[x]; k < in.cellLo[x+1]; k++ {
					if s.count[k] <= in.lock[k] || in.cellW[k] <= 0 {
						continue
					}
					v, _ := s.last(k)
					if d := float64(v) / float64(in.cellW[k]); at == park || d < worst {
						at, worst = k, d
					}
				}
			}
			if at == park {
				return false
			}
			need := s.usedW[z] + in.offW[f] - in.capZ[z]
			_, n := s.last(at)
			s.add(at, -min(n, (need+in.cellW[at]-1)/in.cellW[at]))
		}
	}
	return s.fits(f)
}

// mostVictims is how many jobs one insertion may stop.
const mostVictims = 8

// victims lists jobs of a class that may be stopped for offer f, least earning
// per device first.
func (im *improver) victims(c, f int) []int {
	s, in := im.s, im.s.in
	var per [mostVictims]float64
	list := im.few[:0]
	limit := float64(1.5 * (float64(in.value[f]) / float64(in.p.Offers[f].Width)))
	for _, x := range s.runs[c] {
		j := in.p.Offers[x].Job
		if in.must[j] {
			continue
		}
		v := float64(in.value[x]-in.out[j]) / float64(in.kinds[in.kind[x]].width)
		if v > limit {
			continue
		}
		i := len(list)
		for i > 0 && (v < per[i-1] || v == per[i-1] && j < list[i-1]) {
			i--
		}
		if i == mostVictims {
			continue
		}
		if len(list) < mostVictims {
			list = append(list, 0)
		}
		copy(list[i+1:], list[i:])
		copy(per[i+1:], per[i:])
		list[i], per[i] = j, v
	}
	im.few = list
	return list
}

// refill lets jobs that wait and mining use what a change left over.
func (im *improver) refill(classes ...int) {
	s := im.s
	for i := range im.only {
		im.only[i] = false
	}
	for _, c := range classes {
		if c == None {
			continue
		}
		im.only[c] = true
		for _, z := range s.in.above[c] {
			if free := s.in.capZ[z] - s.usedW[z]; free > 0 && len(im.zoneCl[z]) <= 64 {
				for _, x := range im.zoneCl[z] {
					im.only[x] = im.only[x] || s.usedC[x] < s.in.p.Classes[x].Devices
				}
			}
		}
	}
	s.polish(im.only)
	for r := range s.in.rows {
		if s.in.rows[r].soft && s.act[r] < 0 {
			// A shift looks at all pairs of options, so it is charged by them.
			work := (1 + s.mend(2, 30)) * int64(1+len(s.count)/50)
			im.left -= work
			im.used += work
			return
		}
	}
}

// shakeAll spends what is left of the budget on clearing parts of one class and
// filling them anew in another order. Single exchanges cannot replace three
// small jobs by one gang; this can. The order comes from a fixed stream.
func (im *improver) shakeAll(order []candidate) {
	in := im.s.in
	var classes []int
	for c := range in.p.Classes {
		if in.p.Classes[c].Trainable && in.p.Classes[c].Devices > 0 {
			classes = append(classes, c)
		}
	}
	if len(order) == 0 || len(classes) == 0 {
		return
	}
	rng := splitmix(1)
	cost := int64(len(order)/8 + 8)
	for im.left >= cost {
		im.left -= cost - 1 // trial takes the last one
		im.used += cost - 1
		c := classes[rng.below(int64(len(classes)))]
		skip, keep := rng.next(), uint64(rng.below(4))
		im.trial(func() bool { return im.shake(c, order, skip, keep) })
	}
}

// shake empties class c of the jobs that skip picks, fewer for a larger keep,
// and lets the waiting jobs in, a quarter of them last.
func (im *improver) shake(c int, order []candidate, skip, keep uint64) bool {
	s, in := im.s, im.s.in
	for i, f := range append([]int{}, s.runs[c]...) {
		if j := in.p.Offers[f].Job; !in.must[j] && (skip>>(i%60))&3 >= keep {
			s.put(j, None)
		}
	}
	s.clearMining(c, in.p.Classes[c].Devices)
	for _, second := range [2]bool{false, true} {
		for i := range order {
			o := &order[i]
			if last := (skip>>(o.job%61))&3 == 0; last == second && s.offer[o.job] == None {
				s.tryOffers(o.job, o.offers)
			}
		}
	}
	im.refill(c)
	return true
}

// drops stops jobs that keep better use from their devices.
func (im *improver) drops() {
	s := im.s
	for j, f := range s.offer {
		if f == None || s.in.must[j] {
			continue
		}
		im.trial(func() bool {
			s.put(j, None)
			im.refill(s.in.p.Offers[f].Class)
			return true
		})
	}
}

// exchangeAll trades watts inside each capped zone: a use that earns little per
// watt gives way to one that earns more.
func (im *improver) exchangeAll() {
	for z, classes := range im.zoneCl {
		for i := 0; len(classes) > 0 && i < 64; i++ {
			if !im.trial(func() bool { return im.exchange(z, classes) }) {
				break
			}
		}
	}
}

func (im *improver) exchange(z int, classes []int) bool {
	s, in := im.s, im.s.in
	type step struct {
		c, a, b int
		d       float64
		w, n    int64
	}
	up, down := step{n: 0}, step{n: 0}
	for _, c := range classes {
		for a := in.cellLo[c] - 1; a < in.cellLo[c+1]; a++ {
			from := a
			if a < in.cellLo[c] {
				from = park
				if s.usedC[c] >= in.p.Classes[c].Devices {
					continue
				}
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
				add, _ := s.next(to)
				w := in.watts(to) - in.watts(from)
				if w > 0 && add > out {
					if d := float64(add-out) / float64(w); up.n == 0 || d > up.d {
						if n := s.most(c, from, to, false); n > 0 && s.allowed(c, from, to, n) > 0 {
							up = step{c, from, to, d, w, n}
						}
					}
				}
				if w < 0 {
					if d := float64(out-add) / float64(-w); down.n == 0 || d < down.d {
						if n := s.most(c, from, to, true); n > 0 && s.allowed(c, from, to, n) > 0 {
							down = step{c, from, to, d, -w, n}
						}
					}
				}
			}
		}
	}
	if up.n == 0 || down.n == 0 || up.d <= down.d {
		return false
	}
	free := in.capZ[z] - s.usedW[z]
	n := min(up.n, (free+down.n*down.w)/up.w)
	if n <= 0 {
		return false
	}
	m := max(0, (n*up.w-free+down.w-1)/down.w)
	m = min(s.allowed(down.c, down.a, down.b, m), s.most(down.c, down.a, down.b, true))
	s.shift2(down.a, down.b, m)
	n = min(n, s.allowed(up.c, up.a, up.b, s.most(up.c, up.a, up.b, true)))
	s.shift2(up.a, up.b, n)
	im.refill(up.c, down.c)
	return true
}
