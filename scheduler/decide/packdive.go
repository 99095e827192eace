package decide

const diveRounds = 2 // of new packs after each decision

// dive makes the last solution of the program whole: class by class it settles
// on the pack that runs most, lets the others price that in, and goes on. A pack
// that leaves no solution is passed over. The plan it ends with is left in
// m.share; false when it stopped before.
func (m *master) dive(sc *scenario, at point) bool {
	in := m.in
	done := make([]bool, len(in.p.Classes))
	defer func() {
		for i := range m.pool {
			m.pool[i].out = false
		}
	}()
	bold := true
	for try := 0; try < 3*len(done) && m.work < m.limit; try++ {
		fix := m.firmest(done, bold)
		if len(fix) == 0 {
			return true
		}
		next := sc.clone()
		for _, i := range fix {
			next.settleOn(&m.pool[i])
		}
		sp, ok := next.reserve()
		if ok {
			pf := m.settle(next, &sp, at, diveRounds, 0)
			if ok = pf.split != nil; ok {
				sc, at = next, pf.at
				for _, i := range fix {
					done[m.pool[i].class] = true
				}
			}
		}
		if !ok && len(fix) == 1 { // solved again without it
			m.pool[fix[0]].out = true
			sp, _ := sc.reserve()
			at = m.settle(sc, &sp, at, diveRounds, 0).at
		}
		bold = ok
	}
	return false
}

// firmest lists the pack that runs most of those split, and when bold all that
// run almost in full; each of a class not done, and no job twice.
func (m *master) firmest(done []bool, bold bool) []int {
	p := m.in.p
	best := None
	var firm []int
	for i, y := range m.part {
		if y < 1e-6 || y > 0.999 || done[m.pool[i].class] || m.pool[i].out {
			continue
		}
		if best == None || y > m.part[best] {
			best = i
		}
		if y > 0.9 {
			firm = append(firm, i)
		}
	}
	if best == None {
		return nil
	}
	fix := []int{best}
	taken := map[int]bool{}
	note := func(i int) bool {
		for _, f := range m.pool[i].offers {
			if taken[p.Offers[f].Job] {
				return false
			}
		}
		for _, f := range m.pool[i].offers {
			taken[p.Offers[f].Job] = true
		}
		return true
	}
	note(best)
	for _, i := range firm {
		if bold && i != best && note(i) {
			fix = append(fix, i)
		}
	}
	return fix
}

// settleOn narrows the scenario to one pack for its class.
func (sc *scenario) settleOn(k *pack) {
	p := sc.in.p
	for f, o := range p.Offers {
		if o.Class == k.class && !sc.on[o.Job] {
			sc.ban[f] = true
		}
	}
	for _, f := range k.offers {
		j := p.Offers[f].Job
		sc.on[j] = true
		for g := sc.in.offLo[j]; g < sc.in.offLo[j+1]; g++ {
			sc.ban[g] = g != f
		}
	}
}

// diveOffers is dive by single offers: the one that runs most devices in part
// runs in full, with all that run almost in full.
func (m *master) diveOffers(sc *scenario, at point) bool {
	p := m.in.p
	for try := 0; try < 80 && m.work < m.limit; try++ {
		best, score := None, 0.0
		next := sc
		for f, y := range m.share {
			if y < 0.001 || y > 0.999 || sc.ban[f] {
				continue
			}
			if y > 0.9 {
				next = next.assume([]int{f}, true)
			}
			if v := float64(y * float64(p.Offers[f].Width)); v > score {
				best, score = f, v
			}
		}
		if best == None {
			return true
		}
		next = next.assume([]int{best}, true)
		sp, ok := next.reserve()
		if ok {
			pf := m.settle(next, &sp, at, diveRounds, 0)
			if ok = pf.split != nil; ok {
				sc, at = next, pf.at
			}
		}
		if !ok {
			sc = sc.assume([]int{best}, false)
			if sp, ok = sc.reserve(); !ok || m.settle(sc, &sp, at, diveRounds, 0).split == nil {
				return false
			}
		}
	}
	return false
}
