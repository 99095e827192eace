package decide

import (
	"fmt"
	"math/big"
	"slices"
)

// The checker's own reading of soft rows. Each is "constant + what the columns
// add >= 0" in ppm of its unit; a ceiling is turned round.

func (a *audit) counted(kind RowKind) bool { // by columns, not by the sums of shares
	return kind == RowShare || kind == RowPower || kind == RowCash || kind == RowPreempt
}

// covers tells whether a class stands in a row's scope.
func (a *audit) covers(r, class int) bool {
	p, row := a.p, a.p.Rows[r]
	in := len(row.Zones) == 0
	for z := p.Classes[class].Zone; z != None && !in; z = p.Zones[z].Parent {
		in = slices.Contains(row.Zones, z)
	}
	if !in || len(row.Classes) > 0 && !slices.Contains(row.Classes, class) {
		return false
	}
	byCount := row.Measure == MeasureOwned || row.Measure == MeasureActive
	return p.Classes[class].Trainable || !byCount
}

func (a *audit) price(class int) int64 { return a.p.Zones[a.p.Classes[class].Zone].EnergyMicroPerKWh }

// constant is a row's left side with everything parked and every job stopped.
func (a *audit) constant(r int) *big.Int {
	p, row := a.p, a.p.Rows[r]
	c := new(big.Int)
	switch row.Kind {
	case RowPower, RowPreempt:
		c = mul(row.Limit, PPM)
	case RowCash:
		c = mul(row.Limit, -PPM)
	}
	if row.Kind == RowPreempt {
		for _, j := range p.Jobs {
			if j.Current != None {
				c.Sub(c, bi(PPM))
			}
		}
	}
	for i, cl := range p.Classes {
		switch {
		case !a.covers(r, i) || row.Kind == RowCoin:
		case row.Measure == MeasureOwned && row.Sense == AtMost:
			c.Add(c, mul(cl.Devices, row.SharePPM))
		case row.Measure == MeasureOwned:
			c.Sub(c, mul(cl.Devices, row.SharePPM))
		case row.Kind == RowPower:
			c.Sub(c, mul(cl.Devices, cl.IdleWatts, PPM))
		case row.Kind == RowCash:
			c.Sub(c, mul(cl.Devices, cl.IdleWatts, a.price(i), 1000))
		}
	}
	return c
}

// cellAdds is what one device on cell k adds to row r.
func (a *audit) cellAdds(r, k int) *big.Int {
	row, m := a.p.Rows[r], a.p.Mining[k]
	if !a.covers(r, m.Class) {
		return new(big.Int)
	}
	above := m.WattsMeter - a.p.Classes[m.Class].IdleWatts
	var counts bool
	unit := int64(1)
	switch row.Kind {
	case RowPower:
		return mul(-PPM, above)
	case RowPreempt:
		return new(big.Int)
	case RowCash:
		x := mul(-1000, above, a.price(m.Class))
		if slices.Contains(row.Coins, m.Coin) {
			x.Add(x, mul(m.GrossMicroPerHour, PPM-m.HaircutPPM))
		}
		return x
	case RowCoin:
		counts, unit = m.Coin == row.Coin, m.GrossMicroPerHour
	case RowShare:
		counts = row.Part == PartMining || (row.Part == PartCoin && m.Coin == row.Coin)
	}
	return a.adds(row, counts, unit, m.WattsMeter, m.GrossMicroPerHour)
}

// offerAdds is what offer f adds to row r.
func (a *audit) offerAdds(r, f int) *big.Int {
	row, o := a.p.Rows[r], a.p.Offers[f]
	job := a.p.Jobs[o.Job]
	if !a.covers(r, o.Class) || row.Kind == RowCoin {
		return new(big.Int)
	}
	above := o.WattsMeter - o.Width*a.p.Classes[o.Class].IdleWatts
	switch row.Kind {
	case RowPower:
		return mul(-PPM, above)
	case RowPreempt:
		if job.Current == None {
			return new(big.Int)
		}
		return bi(PPM)
	case RowCash:
		x := mul(-1000, above, a.price(o.Class))
		return x.Add(x, mul(o.NetMicroPerHour, PPM))
	}
	if row.Part == PartCoin {
		return new(big.Int) // of mining alone
	}
	counts := row.Kind == RowAIShare || row.Part == PartJobs || (row.Part == PartTenant && row.Tenant == job.Tenant)
	return a.adds(row, counts, o.Width, o.WattsMeter, o.NetMicroPerHour)
}

// adds is unit x (1e6 if it counts, less the share if the unit is part of the
// whole), turned round for a ceiling.
func (a *audit) adds(row Row, counts bool, unit, watts, money int64) *big.Int {
	switch row.Measure {
	case MeasurePower:
		unit = watts
	case MeasureRevenue:
		unit = money
	}
	rate := int64(0)
	if counts {
		rate = PPM
	}
	if row.Measure != MeasureOwned {
		rate -= row.SharePPM
	}
	if row.Sense == AtMost {
		rate = -rate
	}
	return mul(rate, unit)
}

// countRow adds a row of those kinds up column by column.
func (a *audit) countRow(r int) {
	p, row := a.p, a.p.Rows[r]
	left := a.constant(r)
	sign := bi(1)
	if row.Sense == AtMost {
		sign = bi(-1)
	}
	share := row // what counts, and what it is a share of, both as floors of nothing
	share.SharePPM, share.Sense, share.Measure = 0, AtLeast, row.Measure
	part, base := new(big.Int), new(big.Int)
	whole := func(class int, counts bool, n, unit, watts, money int64) {
		if row.Kind != RowShare || !a.covers(r, class) {
			return
		}
		x := a.adds(share, true, unit, watts, money)
		x.Mul(x, bi(n))
		if row.Measure != MeasureOwned {
			base.Add(base, x)
		}
		if counts {
			part.Add(part, x)
		}
	}
	for k, x := range a.plan.Cells {
		m, n := p.Mining[k], x.Keep+x.Enter
		left.Add(left, new(big.Int).Mul(a.cellAdds(r, k), bi(n)))
		whole(m.Class, row.Part == PartMining || (row.Part == PartCoin && row.Coin == m.Coin), n, 1, m.WattsMeter, m.GrossMicroPerHour)
	}
	for j, f := range a.plan.Jobs {
		if f == None {
			continue
		}
		o := p.Offers[f]
		left.Add(left, a.offerAdds(r, f))
		if row.Part == PartCoin {
			continue
		}
		whole(o.Class, row.Part == PartJobs || (row.Part == PartTenant && row.Tenant == p.Jobs[j].Tenant), 1, o.Width, o.WattsMeter, o.NetMicroPerHour)
	}
	a.rowSum[r] = left.Int64()
	switch {
	case row.Kind != RowShare:
		a.base[r] = row.Limit
		a.part[r] = row.Limit + new(big.Int).Div(left.Mul(left, sign), bi(PPM)).Int64()
	default:
		for c, cl := range p.Classes {
			if row.Measure == MeasureOwned && a.covers(r, c) {
				base.Add(base, mul(cl.Devices, PPM))
			}
		}
		a.part[r], a.base[r] = part.Div(part, bi(PPM)).Int64(), base.Div(base, bi(PPM)).Int64()
	}
}

// leastMissed is what the prices of a tier's proof show that every plan misses
// which misses no more than this one of the stronger tiers: minus the largest
// value, over all choices of columns, of the priced slacks. Everything is in
// units of 1e-9 row unit.
func (a *audit) leastMissed(tier int, d *Duals) (*big.Int, error) {
	p := a.p
	const fine = 1_000_000_000
	rows := a.slotRows()
	if len(d.Class) != len(p.Classes) || len(d.Zone) != len(p.Zones) || len(d.Row) != len(p.Rows) || len(d.Place) != len(rows) {
		return nil, fmt.Errorf("the proof of tier %d has the wrong shape", tier)
	}
	for _, x := range slices.Concat(d.Class, d.Zone, d.Row, d.Place, []int64{d.Moves}) {
		if x < 0 || x > 1_000_000_000_000_000 {
			return nil, fmt.Errorf("tier %d: dual %d is out of range", tier, x)
		}
	}
	if d.Moves > 0 && p.Policy.MaxMoves == 0 {
		return nil, fmt.Errorf("tier %d: moves have a price but no limit", tier)
	}
	total := mul(d.Moves, fine, p.Policy.MaxMoves)
	top := map[int]int64{}
	for r, row := range p.Rows {
		switch {
		case row.Kind == RowTenant:
			total.Add(total, mul(d.Row[r], fine, row.Limit))
			continue
		case row.Tier > tier && d.Row[r] > 0:
			return nil, fmt.Errorf("tier %d: its proof prices row %d, which is weaker", tier, r)
		case row.Tier == tier && d.Row[r] > fine:
			return nil, fmt.Errorf("tier %d: its proof counts row %d more than once", tier, r)
		}
		total.Add(total, new(big.Int).Mul(a.constant(r), bi(d.Row[r])))
		if row.Tier < tier {
			top[row.Tier] = max(top[row.Tier], d.Row[r])
		}
	}
	for t, x := range top { // a sum: order does not matter
		total.Add(total, mul(x, a.short[t]))
	}
	for c, cl := range p.Classes {
		total.Add(total, mul(d.Class[c], fine, cl.Devices))
	}
	for z, zone := range p.Zones {
		switch {
		case zone.CapW >= 0:
			total.Add(total, mul(d.Zone[z], 1000, a.ceiling(z)-a.floor[z]))
		case d.Zone[z] > 0:
			return nil, fmt.Errorf("tier %d: zone %d has a price but no cap", tier, z)
		}
	}
	for i, s := range rows {
		total.Add(total, mul(d.Place[i], fine, s.places))
	}
	watt := func(class int) *big.Int {
		w := new(big.Int)
		for z := p.Classes[class].Zone; z != None; z = p.Zones[z].Parent {
			w.Add(w, mul(d.Zone[z], 1000))
		}
		return w
	}
	for k, m := range p.Mining {
		if m.Banned {
			continue
		}
		cl := p.Classes[m.Class]
		x := mul(-d.Class[m.Class], fine)
		x.Sub(x, new(big.Int).Mul(watt(m.Class), bi(m.WattsMeter-cl.IdleWatts)))
		for r, row := range p.Rows {
			if row.Kind != RowTenant && d.Row[r] > 0 {
				x.Add(x, new(big.Int).Mul(a.cellAdds(r, k), bi(d.Row[r])))
			}
		}
		stay := min(m.Current, cl.Devices)
		if x.Sign() < 0 {
			stay = a.hold[k]
		}
		total.Add(total, new(big.Int).Mul(x, bi(stay)))
		if x.Sub(x, mul(d.Moves, fine)); x.Sign() > 0 {
			total.Add(total, x.Mul(x, bi(cl.Devices)))
		}
	}
	best := make([]*big.Int, len(p.Jobs))
	for f, o := range p.Offers {
		job := p.Jobs[o.Job]
		if !a.runnable[f] || a.stay[o.Job] && job.Current != f {
			continue
		}
		cl := p.Classes[o.Class]
		each := d.Class[o.Class]
		if job.Current != f {
			each += d.Moves
		}
		x := mul(-each, fine, o.Width)
		x.Sub(x, new(big.Int).Mul(watt(o.Class), bi(o.WattsMeter-o.Width*cl.IdleWatts)))
		for r, row := range p.Rows {
			switch {
			case d.Row[r] == 0:
			case row.Kind != RowTenant:
				x.Add(x, new(big.Int).Mul(a.offerAdds(r, f), bi(d.Row[r])))
			case row.Tenant == job.Tenant:
				x.Sub(x, mul(d.Row[r], fine, o.Width))
			}
		}
		for i, s := range rows {
			if s.class == o.Class && d.Place[i] > 0 {
				x.Sub(x, mul(d.Place[i], fine, a.taken(f, s)))
			}
		}
		if best[o.Job] == nil && !a.stay[o.Job] {
			best[o.Job] = new(big.Int) // it may also not run
		}
		if best[o.Job] == nil || x.Cmp(best[o.Job]) > 0 {
			best[o.Job] = x
		}
	}
	for _, x := range best {
		if x != nil {
			total.Add(total, x)
		}
	}
	return new(big.Int).Neg(roundUp(total, fine)), nil
}
