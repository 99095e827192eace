package decide

import (
	"fmt"
	"math/big"
	"slices"
)

// serve bounds, for a floor, what the fleet could at most put into it: per
// class by its jobs and its devices, per tenant by its jobs and its contract.
// Mining inside its dwell counts against active and power shares.
func (a *audit) serve(r int) int64 {
	p, row := a.p, a.p.Rows[r]
	rate := PPM - row.SharePPM
	if row.Measure == MeasureOwned {
		rate = PPM
	}
	worth := func(f int) int64 {
		if row.Measure == MeasurePower {
			return rate * p.Offers[f].WattsMeter
		}
		return rate * p.Offers[f].Width
	}
	asked, rich := make([]*big.Int, len(p.Classes)), make([]int64, len(p.Classes))
	for c := range asked {
		asked[c] = new(big.Int)
	}
	wanted, keen := make([]*big.Int, p.Tenants), make([]int64, p.Tenants)
	for t := range wanted {
		wanted[t] = new(big.Int)
	}
	top := make([]int64, len(p.Jobs))
	for f, o := range p.Offers {
		if !a.runnable[f] || !a.inRow[r][o.Class] {
			continue
		}
		w, t := worth(f), p.Jobs[o.Job].Tenant
		each := roundUp(bi(w), o.Width).Int64()
		asked[o.Class].Add(asked[o.Class], bi(w))
		rich[o.Class], keen[t], top[o.Job] = max(rich[o.Class], each), max(keen[t], each), max(top[o.Job], w)
	}
	for j, w := range top {
		t := p.Jobs[j].Tenant
		wanted[t].Add(wanted[t], bi(w))
	}
	byClass, byTenant, dwell := new(big.Int), new(big.Int), new(big.Int)
	free := make([]int64, len(p.Classes))
	for c, cl := range p.Classes {
		free[c] = cl.Devices
	}
	for k, m := range p.Mining {
		free[m.Class] -= a.hold[k]
		if !a.inRow[r][m.Class] {
			continue
		}
		switch row.Measure {
		case MeasureActive:
			dwell.Sub(dwell, mul(a.hold[k], row.SharePPM))
		case MeasurePower:
			dwell.Sub(dwell, mul(a.hold[k], row.SharePPM, m.WattsMeter))
		}
	}
	for c := range p.Classes {
		byClass.Add(byClass, least(asked[c], mul(max(0, free[c]), rich[c])))
	}
	for t, w := range wanted {
		for _, q := range p.Rows {
			if q.Kind == RowTenant && q.Tenant == t {
				w = least(w, mul(q.Limit, keen[t]))
			}
		}
		byTenant.Add(byTenant, w)
	}
	return dwell.Add(dwell, least(byClass, byTenant)).Int64()
}

func least(x, y *big.Int) *big.Int {
	if x.Cmp(y) < 0 {
		return x
	}
	return y
}

// unavoidable is the least shortfall row r can have.
func (a *audit) unavoidable(r int) int64 {
	row := a.p.Rows[r]
	if row.Kind != RowAIShare || row.Sense == AtMost {
		return 0
	}
	need := int64(0)
	if row.Measure == MeasureOwned {
		need = row.SharePPM * a.base[r]
	}
	return max(0, need-a.serve(r))
}

func (a *audit) tierProofs(r *Result) error {
	if len(r.Cert.Tiers) != len(a.order) {
		return fmt.Errorf("certificate has %d tiers of %d", len(r.Cert.Tiers), len(a.order))
	}
	for i, tier := range a.order {
		least := new(big.Int)
		for q, row := range a.p.Rows {
			if row.Kind != RowTenant && row.Tier == tier {
				least.Add(least, bi(a.unavoidable(q)))
			}
		}
		proof := r.Cert.Tiers[i]
		if proof.Duals != nil {
			proven, err := a.leastMissed(tier, proof.Duals)
			if err != nil {
				return err
			}
			if least.Cmp(proven) < 0 {
				least = proven
			}
		}
		if bound := least.Int64(); proof.Tier != tier || proof.Short != a.short[tier] || !least.IsInt64() || proof.ShortBound != min(bound, a.short[tier]) {
			return fmt.Errorf("tier %d is said to miss %d and at least %d, should be %d and %d", proof.Tier, proof.Short, proof.ShortBound, a.short[tier], bound)
		}
	}
	return nil
}

func (a *audit) targets(r *Result) error {
	i := 0
	for q, row := range a.p.Rows {
		if row.Kind == RowTenant {
			continue
		}
		if i >= len(r.Targets) {
			return fmt.Errorf("row %d has no target report", q)
		}
		proof := r.Cert.Tiers[slices.Index(a.order, row.Tier)]
		t := TargetReport{Row: q, WantedPPM: row.SharePPM, Short: max(0, -a.rowSum[q]), With: None, AchievedPPM: parts(a.part[q], a.base[q]), BestPossiblePPM: a.reach(q, proof.ShortBound)}
		if row.Kind == RowPower || row.Kind == RowCash || row.Kind == RowPreempt {
			t.WantedPPM = PPM
		}
		price := r.Cert.Duals.Row[q]
		switch {
		case t.Short == 0 && price > 0:
			t.Code = TargetMet
		case t.Short == 0:
			t.Code = TargetNotBinding
		case a.unavoidable(q) > 0:
			t.Code = TargetUnattainable
		case proof.Duals != nil && proof.Duals.Row[q] > 0:
			t.Code = TargetUnattainable
			for o, other := range a.p.Rows {
				if o == q || other.Kind == RowTenant || proof.Duals.Row[o] == 0 || (a.rowSum[o] < 0 && other.Tier >= row.Tier) {
					continue
				}
				t.Code, t.With = TargetConflict, o
				break
			}
		default:
			if t.With = a.rival(q, r.Cert.Duals.Row); t.With != None {
				t.Code = TargetConflict
			} else if r.Cert.Enumerated {
				t.Code = TargetUnattainable
			} else {
				t.Code = TargetMissed
			}
		}
		if r.Targets[i] != t {
			return fmt.Errorf("target report is %+v, should be %+v", r.Targets[i], t)
		}
		i++
	}
	if i != len(r.Targets) {
		return fmt.Errorf("%d target reports for %d rows", len(r.Targets), i)
	}
	return nil
}

func parts(x, of int64) int64 {
	if x <= 0 || of <= 0 {
		return 0
	}
	return new(big.Int).Div(mul(x, PPM), bi(of)).Int64()
}

// reach is the best share of row r that no proof excludes; least is what its
// tier must miss.
func (a *audit) reach(r int, least int64) int64 {
	row := a.p.Rows[r]
	best, constant := int64(PPM), row.Limit
	switch {
	case row.Sense == AtMost:
		best = 0
	case a.counted(row.Kind):
	case row.Measure == MeasureOwned:
		best = min(PPM, parts(a.serve(r)/PPM, a.base[r]))
	default:
		best = 0
		for f, o := range a.p.Offers {
			if a.runnable[f] && a.inRow[r][o.Class] {
				best = PPM
			}
		}
	}
	want := int64(PPM)
	if row.Kind == RowAIShare || row.Kind == RowShare {
		if row.Measure != MeasureOwned {
			return best
		}
		constant, want = a.base[r], row.SharePPM
	}
	for q, other := range a.p.Rows {
		if row.Kind == RowCoin || q != r && other.Kind != RowTenant && other.Tier == row.Tier {
			return best // the tier's proof does not speak of this row alone
		}
	}
	if least <= 0 {
		return best
	}
	if row.Sense == AtMost {
		at := mul(constant, want)
		return max(best, parts(roundUp(at.Add(at, bi(least)), PPM).Int64(), constant))
	}
	at := mul(constant, want)
	return min(best, parts(at.Sub(at, bi(least)).Div(at, bi(PPM)).Int64(), constant))
}

// rival is the first tight row of a stronger tier that shares a class with r.
func (a *audit) rival(r int, price []int64) int {
	sees := func(q, c int) bool {
		return a.p.Rows[q].Kind == RowCoin || a.inRow[q][c] || a.counted(a.p.Rows[q].Kind) && a.covers(q, c)
	}
	for q, row := range a.p.Rows {
		if row.Kind == RowTenant || row.Tier >= a.p.Rows[r].Tier || (a.rowSum[q] > 0 && price[q] == 0) {
			continue
		}
		for c := range a.p.Classes {
			if sees(q, c) && sees(r, c) {
				return q
			}
		}
	}
	return None
}

func (a *audit) bindings(r *Result) error {
	p, d := a.p, &r.Cert.Duals
	var want []RowReport
	for z, zone := range p.Zones {
		if zone.CapW >= 0 && (d.Zone[z] > 0 || a.draw[z] >= a.ceiling(z)) {
			want = append(want, RowReport{"zone", z, a.draw[z], zone.CapW, d.Zone[z] / 1_000_000})
		}
	}
	for c, cl := range p.Classes {
		if cl.Devices > 0 && a.devices[c] == cl.Devices {
			want = append(want, RowReport{"class", c, a.devices[c], cl.Devices, d.Class[c] / 1000})
		}
	}
	for i, row := range p.Rows {
		if row.Kind == RowTenant && (d.Row[i] > 0 || a.tenant[row.Tenant] >= row.Limit) {
			want = append(want, RowReport{"row", i, a.tenant[row.Tenant], row.Limit, d.Row[i] / 1000})
		}
	}
	if m := p.Policy.MaxMoves; m > 0 && (d.Moves > 0 || a.moves >= m) {
		want = append(want, RowReport{"moves", None, a.moves, m, d.Moves / 1000})
	}
	if !slices.Equal(r.Binding, want) {
		return fmt.Errorf("binding limits are %v, should be %v", r.Binding, want)
	}
	return nil
}
