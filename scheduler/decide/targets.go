package decide

import "math/bits"

// leastShort is a proven lower bound on row r's shortfall: the row alone
// against the devices, jobs and tenants that could serve it. Only floors have
// one above zero; what could serve a ceiling (stopping everything) is always
// allowed except for promises.
func (in *instance) leastShort(r int) int64 {
	cr := &in.rows[r]
	if !cr.soft || cr.coin != None || in.p.Rows[r].Sense != AtLeast {
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
func (in *instance) targets(s *state, d *Duals, complete bool) []TargetReport {
	out := []TargetReport{}
	for r, pr := range in.p.Rows {
		if !in.rows[r].soft {
			continue
		}
		t := TargetReport{Row: r, WantedPPM: pr.SharePPM, Short: max(0, -s.act[r]), With: None}
		base := in.rowBase(s, r)
		part := in.rowPart(s, r)
		t.AchievedPPM = ratio(part, base)
		t.BestPossiblePPM = in.bestShare(r)
		least := in.leastShort(r)
		switch {
		case t.Short == 0 && d.Row[r] == 0:
			t.Code = TargetNotBinding
		case t.Short == 0:
			t.Code = TargetMet
		case least > 0:
			t.Code = TargetUnattainable
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

// rowBase is what the row's share is a share of, rowPart what counts.
func (in *instance) rowBase(s *state, r int) int64 {
	p, pr := in.p, in.p.Rows[r]
	var sum int64
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
