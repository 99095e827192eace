package decide

import "math/bits"

// leastShort is a proven lower bound on row r's shortfall: the row alone
// against the devices, jobs and tenants that could serve it. Only floors have
// one above zero; what could serve a ceiling (stopping everything) is always
// allowed except for promises.
func (in *instance) leastShort(r int) int64 {
	cr := &in.rows[r]
	if in.p.Rows[r].Kind != RowAIShare || in.p.Rows[r].Sense != AtLeast {
		return 0
	}
	return max(0, -(cr.c + in.mostFor(r)))
}

// mulStick is a*b for non-negative values, limited to 1<<62.
func mulStick(a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi > 0 || lo > 1<<62 {
		return 1 << 62
	}
	return int64(lo)
}

// targets reports every soft row.
func (in *instance) targets(s *state, d *Duals, complete bool, tiers []TierProof) []TargetReport {
	out := []TargetReport{}
	for r := range in.p.Rows {
		if !in.rows[r].soft {
			continue
		}
		pr, proof := &in.p.Rows[r], &tiers[in.rows[r].tier]
		t := TargetReport{Row: r, WantedPPM: pr.wanted(), Short: max(0, -s.act[r]), With: None}
		base := in.rowBase(s, r)
		t.AchievedPPM = ratio(in.rowPart(s, r), base)
		t.BestPossiblePPM = in.bestShare(r)
		if in.alone(r) && pr.constantBase() {
			t.BestPossiblePPM = pr.nearest(t.BestPossiblePPM, base, proof.ShortBound)
		}
		switch {
		case t.Short == 0 && d.Row[r] == 0:
			t.Code = TargetNotBinding
		case t.Short == 0:
			t.Code = TargetMet
		case in.leastShort(r) > 0:
			t.Code = TargetUnattainable
		case proof.Duals != nil && proof.Duals.Row[r] > 0:
			t.Code = TargetUnattainable
			if t.With = in.inTheWay(s, proof.Duals, r); t.With != None {
				t.Code = TargetConflict
			}
		default:
			t.Code = TargetMissed
			if t.With = in.stronger(s, d, r); t.With != None {
				t.Code = TargetConflict
			} else if complete {
				t.Code = TargetUnattainable // every plan was looked at
			}
		}
		out = append(out, t)
	}
	return out
}

// alone tells whether a soft row is the only one of its tier: the tier's proof
// then speaks of it.
func (in *instance) alone(r int) bool {
	for q := range in.rows {
		if q != r && in.rows[q].soft && in.rows[q].tier == in.rows[r].tier {
			return false
		}
	}
	return true
}

// inTheWay is the first row, not missed itself, to which the proof of r's
// tier gives a price, or None.
func (in *instance) inTheWay(s *state, d *Duals, r int) int {
	for q := range in.rows {
		if q != r && in.rows[q].soft && d.Row[q] > 0 && (s.act[q] >= 0 || in.rows[q].tier < in.rows[r].tier) {
			return q
		}
	}
	return None
}

// stronger is the first row of a stronger tier that sees the same devices and
// is tight, or None.
func (in *instance) stronger(s *state, d *Duals, r int) int {
	for q := range in.rows {
		if !in.rows[q].soft || in.rows[q].tier >= in.rows[r].tier || (s.act[q] > 0 && d.Row[q] == 0) {
			continue
		}
		for c := range in.scope {
			if (seen(in.scope[c], q) || in.rows[q].coin != None) && (seen(in.scope[c], r) || in.rows[r].coin != None) {
				return q
			}
		}
	}
	return None
}

// rowBase is what the row's share is a share of, rowPart what counts. Of a row
// with a limit the limit is the base.
func (in *instance) rowBase(s *state, r int) int64 {
	p, pr := in.p, in.p.Rows[r]
	var sum int64
	if pr.absolute() {
		return pr.Limit
	}
	if pr.Kind == RowShare {
		return in.shareOf(s, r, true)
	}
	for k, n := range s.count {
		m := &p.Mining[k]
		switch {
		case pr.Kind == RowCoin:
			sum += n * m.GrossMicroPerHour
		case !seen(in.scope[m.Class], r):
		case pr.Measure == MeasureActive:
			sum += n
		case pr.Measure == MeasurePower:
			sum += n * m.WattsMeter
		}
	}
	if pr.Kind == RowAIShare && pr.Measure == MeasureOwned {
		for c := range p.Classes {
			if seen(in.scope[c], r) {
				sum += p.Classes[c].Devices
			}
		}
		return sum
	}
	if pr.Kind == RowAIShare {
		sum += in.rowPart(s, r)
	}
	return sum
}

func (in *instance) rowPart(s *state, r int) int64 {
	p, pr := in.p, in.p.Rows[r]
	var sum int64
	switch {
	case pr.Kind == RowCash:
		return pr.Limit + floorDiv(s.act[r], PPM)
	case pr.absolute():
		return pr.Limit - s.act[r]/PPM
	case pr.Kind == RowShare:
		return in.shareOf(s, r, false)
	}
	if pr.Kind == RowCoin {
		for k, n := range s.count {
			if p.Mining[k].Coin == pr.Coin {
				sum += n * p.Mining[k].GrossMicroPerHour
			}
		}
		return sum
	}
	for _, f := range s.offer {
		if f == None || !seen(in.scope[p.Offers[f].Class], r) {
			continue
		}
		if pr.Measure == MeasurePower {
			sum += p.Offers[f].WattsMeter
		} else {
			sum += p.Offers[f].Width
		}
	}
	return sum
}

// ratio is part/base in ppm, rounded down; 0 of 0 is 0.
func ratio(part, base int64) int64 {
	if part <= 0 || base <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(part), PPM)
	q, _ := bits.Div64(hi, lo, uint64(base))
	return int64(q)
}

// bestShare is the row's proven limit: for owned floors from mostFor, for
// active and power floors everything unless nothing can run; ceilings can
// always go to zero but for promises.
func (in *instance) bestShare(r int) int64 {
	p, pr := in.p, in.p.Rows[r]
	if pr.Sense == AtMost {
		return 0
	}
	if in.rows[r].special {
		return PPM
	}
	if pr.Measure != MeasureOwned {
		for f, o := range p.Offers {
			if in.usable[f] && seen(in.scope[o.Class], r) {
				return PPM
			}
		}
		return 0
	}
	var owned int64
	for c := range p.Classes {
		if seen(in.scope[c], r) {
			owned += p.Classes[c].Devices
		}
	}
	return min(PPM, ratio(in.mostFor(r)/PPM, owned))
}
