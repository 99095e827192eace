package decide

import "github.com/sluice-project/sluice/scheduler/decide/lp"

// crash rests everything where plan s has it, so that the simplex method starts
// from that plan and not from an idle fleet: a full class has its largest use of
// mining basic in the place of its row, a zone at its cap one more.
func (x *relaxation) crash(s *state) {
	in, p := x.in, x.in.p
	nC, nZ, nP := len(p.Classes), len(p.Zones), len(in.places)
	for _, f := range s.offer {
		if f != None && x.has[f] {
			x.offAt[f] = lp.AtUpper
		}
	}
	spare := make([]int, nC) // the second largest use, for a zone's row
	for c := range p.Classes {
		first, second := x.inner(s, c)
		spare[c] = second
		if first == None {
			continue
		}
		if s.usedC[c] >= p.Classes[c].Devices {
			x.rowAt[c] = lp.AtUpper
			x.makeBasic(s, first)
		} else {
			spare[c] = first
		}
	}
	for z, cap := range in.capZ {
		if cap < 0 {
			continue
		}
		at, most := None, int64(0)
		for c := range p.Classes {
			if k := spare[c]; k != None && seen(in.above[c], z) && in.cellW[k] > cap-s.usedW[z] && s.count[k] > most {
				at, most = k, s.count[k]
			}
		}
		if at != None {
			x.rowAt[nC+z] = lp.AtUpper
			x.makeBasic(s, at)
			spare[p.Mining[at].Class] = None
		}
	}
	rows0 := nC + nZ + nP
	for r := range in.rows {
		if in.rows[r].soft && s.act[r] < 0 {
			x.rowAt[rows0+r], x.auxAt[r] = lp.AtLower, lp.Basic
		}
	}
	coin0 := x.base - x.coinN - 1
	for a := 0; x.coinN > 0 && a <= x.coinN; a++ {
		x.rowAt[coin0+a], x.auxAt[len(p.Rows)+a] = lp.AtLower, lp.Basic
	}
	for k := range p.Mining {
		if p.Mining[k].Current > 0 && x.keepAt[k] != lp.Basic && s.count[k] >= min(p.Mining[k].Current, in.limit[k]) {
			x.keepAt[k] = lp.AtUpper
		}
	}
}

// inner is the class's two largest cells between their bounds.
func (x *relaxation) inner(s *state, c int) (first, second int) {
	in := x.in
	first, second = None, None
	for k := in.cellLo[c]; k < in.cellLo[c+1]; k++ {
		n := s.count[k]
		if n <= in.lock[k] || n == x.in.p.Mining[k].Current {
			continue
		}
		switch {
		case first == None || n > s.count[first]:
			first, second = k, first
		case second == None || n > s.count[second]:
			second = k
		}
	}
	return first, second
}

// makeBasic picks the column of cell k that is between its bounds.
func (x *relaxation) makeBasic(s *state, k int) {
	if s.count[k] > x.in.p.Mining[k].Current {
		x.entAt[k] = lp.Basic
	} else {
		x.keepAt[k] = lp.Basic
	}
}
