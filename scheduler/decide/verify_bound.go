package decide

import (
	"fmt"
	"math/big"
	"slices"
)

// slotRow is the checker's own form of a place row (see DESIGN.md).
type slotRow struct {
	class  int
	t      int64
	places int64
	asOne  bool
}

func (a *audit) slotRows() []slotRow {
	p := a.p
	var out []slotRow
	for c, cl := range p.Classes {
		var per, wide []int64
		for f, o := range p.Offers {
			if o.Class != c || !a.runnable[f] {
				continue
			}
			if len(cl.Nodes) > 0 && o.PerNode > 1 {
				per = append(per, o.PerNode)
			}
			if o.Width > 1 {
				wide = append(wide, o.Width)
			}
		}
		slices.Sort(per)
		slices.Sort(wide)
		for _, t := range slices.Compact(per) {
			var places, lost int64
			for _, n := range cl.Nodes {
				places, lost = places+n.Free/t, lost+n.Free%t
			}
			if lost > 0 {
				out = append(out, slotRow{c, t, places, false})
			}
		}
		for _, t := range slices.Compact(wide) {
			if cl.Devices%t != 0 {
				out = append(out, slotRow{c, t, cl.Devices / t, true})
			}
		}
	}
	return out
}

// taken is how many places of row s offer f takes.
func (a *audit) taken(f int, s slotRow) int64 {
	o := a.p.Offers[f]
	job := a.p.Jobs[o.Job]
	if s.asOne {
		return o.Width / s.t
	}
	if job.Current == f && len(job.On) > 0 {
		n := int64(0)
		for _, u := range job.On {
			n += u.Devices / s.t
		}
		return n
	}
	if o.PerNode == 0 {
		return 0
	}
	return (o.PerNode / s.t) * (o.Width / o.PerNode)
}

func bi(x int64) *big.Int { return big.NewInt(x) }

func mul(xs ...int64) *big.Int {
	z := bi(1)
	for _, x := range xs {
		z.Mul(z, bi(x))
	}
	return z
}

// bounds checks the duals' shape, the Lagrangian they give, and the claimed
// bound against it or against an enumeration of all plans.
func (a *audit) bounds(r *Result) error {
	d := &r.Cert.Duals
	rows := a.slotRows()
	if err := a.fitDuals(d, rows); err != nil {
		return err
	}
	l := a.lagrangian(d, rows)
	if got := roundUp(l, 1000); !got.IsInt64() || got.Int64() != r.LPObjective {
		return fmt.Errorf("lp_objective is %d, should be %s", r.LPObjective, got)
	}
	if !r.Cert.Enumerated {
		proven, by := l, "duals"
		if len(r.Cert.Tree) > 0 {
			top, err := a.treeBound(r.Cert.Tree)
			if err != nil {
				return err
			}
			if top == nil {
				return fmt.Errorf("tree: no leaf has a plan")
			}
			proven, by = top, "leaves"
		}
		if proven.Cmp(bi(r.Cert.BoundNano)) != 0 {
			return fmt.Errorf("bound_nano_per_hour is %d, the %s give %s", r.Cert.BoundNano, by, proven)
		}
		return nil
	}
	if len(r.Cert.Tree) > 0 {
		return fmt.Errorf("a tree beside an enumeration")
	}
	if r.Cert.BoundNano != a.value {
		return fmt.Errorf("enumerated bound %d differs from the value %d", r.Cert.BoundNano, a.value)
	}
	return a.enumerate()
}

// fitDuals checks the shape and the range of prices.
func (a *audit) fitDuals(d *Duals, rows []slotRow) error {
	p := a.p
	if len(d.Class) != len(p.Classes) || len(d.Zone) != len(p.Zones) || len(d.Row) != len(p.Rows) || len(d.Place) != len(rows) {
		return fmt.Errorf("duals have the wrong shape")
	}
	for _, x := range slices.Concat(d.Class, d.Zone, d.Row, d.Place, []int64{d.Moves}) {
		if x < 0 || x > 1_000_000_000_000_000 {
			return fmt.Errorf("dual %d is out of range", x)
		}
	}
	for z, x := range d.Zone {
		if x > 0 && p.Zones[z].CapW < 0 {
			return fmt.Errorf("zone %d has a price but no cap", z)
		}
	}
	if d.Moves > 0 && p.Policy.MaxMoves == 0 {
		return fmt.Errorf("moves have a price but no limit")
	}
	return nil
}

// lagrangian is the bound in nano per hour, rounded up. All terms are summed
// exactly in units of 1e-9 nano.
func (a *audit) lagrangian(d *Duals, rows []slotRow) *big.Int {
	const fine = 1_000_000_000
	total, watt := a.withoutJobs(d, rows)
	for _, x := range a.jobsBest(d, rows, watt) {
		total.Add(total, x)
	}
	return roundUp(total, fine)
}

// withoutJobs sums what no job has a say in, in fine units, and returns it with
// the price of a watt per class.
func (a *audit) withoutJobs(d *Duals, rows []slotRow) (*big.Int, []*big.Int) {
	p := a.p
	const fine = 1_000_000_000
	total := new(big.Int)
	for z, zone := range p.Zones { // idle draw, by the zone that bills it
		own := a.floor[z]
		for y := range p.Zones {
			if p.Zones[y].Parent == z {
				own -= a.floor[y]
			}
		}
		total.Sub(total, mul(own, zone.EnergyMicroPerKWh, fine))
		if zone.CapW >= 0 {
			total.Add(total, mul(d.Zone[z], 1000, a.ceiling(z)-a.floor[z]))
		}
	}
	for c, cl := range p.Classes {
		total.Add(total, mul(d.Class[c], fine, cl.Devices))
	}
	for i, s := range rows {
		total.Add(total, mul(d.Place[i], fine, s.places))
	}
	total.Add(total, mul(d.Moves, fine, p.Policy.MaxMoves))
	for _, tier := range a.order {
		var top int64
		for r, row := range p.Rows {
			if row.Kind != RowTenant && row.Tier == tier {
				top = max(top, d.Row[r])
			}
		}
		total.Add(total, mul(top, a.short[tier]))
	}
	for r, row := range p.Rows {
		switch {
		case a.counted(row.Kind):
			total.Add(total, new(big.Int).Mul(a.constant(r), bi(d.Row[r])))
		case row.Kind == RowTenant:
			total.Add(total, mul(d.Row[r], fine, row.Limit))
		case row.Measure == MeasureOwned && row.Kind == RowAIShare:
			sign := int64(-1)
			if row.Sense == AtMost {
				sign = 1
			}
			total.Add(total, mul(d.Row[r], sign*row.SharePPM, a.base[r]))
		}
	}
	watt := make([]*big.Int, len(p.Classes)) // fine units per watt in a class
	for c, cl := range p.Classes {
		watt[c] = new(big.Int)
		for z := cl.Zone; z != None; z = p.Zones[z].Parent {
			watt[c].Add(watt[c], mul(d.Zone[z], 1000))
		}
	}
	gross := a.grossPrices(d)
	for k, m := range p.Mining {
		if m.Banned {
			continue
		}
		cl := p.Classes[m.Class]
		above := m.WattsMeter - cl.IdleWatts
		earn := m.GrossMicroPerHour*(PPM-m.HaircutPPM)/1000 - above*p.Zones[cl.Zone].EnergyMicroPerKWh
		net := mul(earn-d.Class[m.Class], fine)
		net.Sub(net, new(big.Int).Mul(watt[m.Class], bi(above)))
		net.Add(net, new(big.Int).Mul(gross[m.Coin], bi(m.GrossMicroPerHour)))
		for r, row := range p.Rows {
			if a.counted(row.Kind) {
				net.Add(net, new(big.Int).Mul(a.cellAdds(r, k), bi(d.Row[r])))
			}
			if !a.inRow[r][m.Class] || row.Measure == MeasureOwned {
				continue
			}
			unit := int64(1)
			if row.Measure == MeasurePower {
				unit = m.WattsMeter
			}
			x := mul(d.Row[r], row.SharePPM, unit)
			if row.Sense == AtLeast {
				x.Neg(x)
			}
			net.Add(net, x)
		}
		if net.Sign() > 0 {
			total.Add(total, new(big.Int).Mul(net, bi(min(m.Current, cl.Devices))))
		} else {
			total.Add(total, new(big.Int).Mul(net, bi(a.hold[k])))
		}
		net.Sub(net, mul(a.hourly(m.EnterMicro)+d.Moves, fine))
		if net.Sign() > 0 {
			total.Add(total, new(big.Int).Mul(net, bi(cl.Devices)))
		}
	}
	return total, watt
}

// jobsBest is, per job, what its best allowed use is worth at the prices.
func (a *audit) jobsBest(d *Duals, rows []slotRow, watt []*big.Int) []*big.Int {
	p := a.p
	const fine = 1_000_000_000
	best := make([]*big.Int, len(p.Jobs))
	for j, job := range p.Jobs {
		if !a.stay[j] {
			best[j] = new(big.Int)
			if job.Current != None {
				best[j] = mul(-a.hourly(job.KillMicro), fine)
			}
		}
	}
	for f, o := range p.Offers {
		job := p.Jobs[o.Job]
		if !a.runnable[f] || (a.stay[o.Job] && job.Current != f) {
			continue
		}
		if x := a.offerNet(d, rows, watt, f); best[o.Job] == nil || x.Cmp(best[o.Job]) > 0 {
			best[o.Job] = x
		}
	}
	return best
}

// grossPrices is, per coin, the price of one micro of gross in fine units.
func (a *audit) grossPrices(d *Duals) []*big.Int {
	all := new(big.Int)
	own := make([]*big.Int, a.p.Coins)
	for m := range own {
		own[m] = new(big.Int)
	}
	for r, row := range a.p.Rows {
		if row.Kind == RowCoin {
			all.Add(all, mul(d.Row[r], row.SharePPM))
			own[row.Coin].Sub(own[row.Coin], mul(d.Row[r], PPM))
		}
	}
	for m := range own {
		own[m].Add(own[m], all)
	}
	return own
}

func (a *audit) offerNet(d *Duals, rows []slotRow, watt []*big.Int, f int) *big.Int {
	p := a.p
	const fine = 1_000_000_000
	o := p.Offers[f]
	job, cl := p.Jobs[o.Job], p.Classes[o.Class]
	above := o.WattsMeter - o.Width*cl.IdleWatts
	earn := o.NetMicroPerHour*1000 - above*p.Zones[cl.Zone].EnergyMicroPerKWh
	x := mul(-d.Class[o.Class], o.Width)
	switch {
	case job.Current == f || job.Current == None:
	case p.Offers[job.Current].Class == o.Class:
		earn -= a.hourly(job.ResizeMicro)
	default:
		earn -= a.hourly(job.MigrateMicro)
	}
	x.Add(x, bi(earn))
	if job.Current != f {
		x.Sub(x, mul(d.Moves, o.Width))
	}
	for r, row := range p.Rows {
		if row.Kind == RowTenant && row.Tenant == job.Tenant {
			x.Sub(x, mul(d.Row[r], o.Width))
		}
	}
	for i, s := range rows {
		if s.class == o.Class && d.Place[i] > 0 {
			x.Sub(x, mul(d.Place[i], a.taken(f, s)))
		}
	}
	x.Mul(x, bi(fine))
	x.Sub(x, new(big.Int).Mul(watt[o.Class], bi(above)))
	for r, row := range p.Rows {
		if a.counted(row.Kind) && d.Row[r] > 0 {
			x.Add(x, new(big.Int).Mul(a.offerAdds(r, f), bi(d.Row[r])))
		}
		if !a.inRow[r][o.Class] || d.Row[r] == 0 {
			continue
		}
		unit, rate := o.Width, PPM-row.SharePPM
		if row.Measure == MeasurePower {
			unit = o.WattsMeter
		}
		if row.Measure == MeasureOwned {
			rate = PPM
		}
		y := mul(d.Row[r], rate, unit)
		if row.Sense == AtMost {
			y.Neg(y)
		}
		x.Add(x, y)
	}
	return x
}
