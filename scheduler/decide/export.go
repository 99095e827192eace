package decide

import (
	"fmt"
	"math/big"
	"slices"
)

// Program is the linear relaxation of a problem in exact decimals: what
// Result.LPObjective is about, built from the checker's sums and not from the
// solver's, so that a foreign solver's optimum judges both.
type Program struct {
	rows []progRow
	cols []progCol
}

type progRow struct {
	name    string
	lo, up  int64 // in units of 10^-digits
	hasLo   bool
	hasUp   bool
	digits  int // decimals of bounds and coefficients
	entries []progEntry
}

type progEntry struct {
	at    int // column in a row, row in a column
	value int64
}

type progCol struct {
	name    string
	nano    int64 // objective, nano per hour
	lo, up  int64
	noUp    bool
	whole   bool
	job     int // of an offer's column, from 1
	entries []progEntry
}

// Export builds the relaxation of p in which every tier may miss what the
// result's plan misses. The result must be one that Verify accepts for p.
func Export(p *Problem, r *Result) (*Program, error) {
	if err := Verify(p, r); err != nil {
		return nil, err
	}
	nothing := Plan{Cells: make([]CellPlan, len(p.Mining)), Jobs: make([]int, len(p.Jobs))}
	for j := range nothing.Jobs {
		nothing.Jobs[j] = None
	}
	a, err := newAudit(p, &nothing)
	if err != nil {
		return nil, err
	}
	x := &exporter{Program: &Program{}, a: a, p: p, slots: a.slotRows()}
	x.limits()
	x.soft(r.Cert.Tiers)
	x.add(progCol{name: "one", nano: a.value, lo: 1, up: 1}) // a parked fleet
	x.cells()
	x.jobs()
	return x.Program, x.err
}

type exporter struct {
	*Program
	a     *audit
	p     *Problem
	slots []slotRow

	class, zone, place, row []int // rows, or None
	moves                   int
	coin                    []int // rows that add up a coin's gross
	err                     error
}

// whole is what a row of a counted kind takes, in its smallest unit.
func (x *exporter) whole(r int, v *big.Int) int64 {
	if !v.IsInt64() && x.err == nil {
		x.err = fmt.Errorf("decide: export: rows[%d]: a coefficient of %s is too large for the exported program", r, v)
	}
	return v.Int64()
}

// inMoney tells whether a row is counted in money.
func inMoney(row Row) bool {
	return row.Kind == RowCoin || row.Kind == RowCash || row.Kind == RowShare && row.Measure == MeasureRevenue
}

func (x *exporter) most(name string, up int64, digits int) int {
	x.rows = append(x.rows, progRow{name: name, up: up, hasUp: true, digits: digits})
	return len(x.rows) - 1
}

func (x *exporter) least(name string, lo int64, digits int) int {
	x.rows = append(x.rows, progRow{name: name, lo: lo, hasLo: true, digits: digits})
	return len(x.rows) - 1
}

func (x *exporter) add(c progCol) {
	for _, e := range c.entries {
		x.rows[e.at].entries = append(x.rows[e.at].entries, progEntry{len(x.cols), e.value})
	}
	x.cols = append(x.cols, c)
}

// put adds a coefficient unless it or the row is missing.
func (c *progCol) put(row int, v int64) {
	if row != None && v != 0 {
		c.entries = append(c.entries, progEntry{row, v})
	}
}

func (x *exporter) limits() {
	p := x.p
	x.moves = None
	for c, cl := range p.Classes {
		x.class = append(x.class, x.most(fmt.Sprintf("class_%d", c), cl.Devices, 0))
	}
	for z, zone := range p.Zones {
		x.zone = append(x.zone, None)
		if zone.CapW >= 0 { // kW above the idle draw
			x.zone[z] = x.most(fmt.Sprintf("zone_%d", z), x.a.ceiling(z)-x.a.floor[z], 3)
		}
	}
	for i, s := range x.slots {
		x.place = append(x.place, x.most(fmt.Sprintf("place_%d", i), s.places, 0))
	}
	if m := p.Policy.MaxMoves; m > 0 {
		x.moves = x.most("moves", m, 0)
	}
}

// soft adds the rows of targets and tenants, the columns of shortfall, and what
// each tier may miss. Shares of devices are counted in devices, of power in
// watts, of revenue in whole units of money.
func (x *exporter) soft(tiers []TierProof) {
	p := x.p
	x.coin = make([]int, p.Coins)
	for m := range x.coin {
		x.coin[m] = None
	}
	total := None
	for r, row := range p.Rows {
		name := fmt.Sprintf("row_%d", r)
		switch {
		case row.Kind == RowTenant:
			x.row = append(x.row, x.most(name, row.Limit, 0))
			continue
		case x.a.counted(row.Kind):
			digits := 6
			if inMoney(row) {
				digits = 12
			}
			x.row = append(x.row, x.least(name, -x.whole(r, x.a.constant(r)), digits))
			continue
		case row.Kind == RowAIShare && row.Measure == MeasureOwned:
			x.row = append(x.row, x.least(name, row.side()*row.SharePPM*x.a.base[r], 6))
		default:
			x.row = append(x.row, x.least(name, 0, 6))
		}
		if row.Kind == RowCoin && total == None {
			total = x.equal("gross")
		}
		if row.Kind == RowCoin && x.coin[row.Coin] == None {
			x.coin[row.Coin] = x.equal(fmt.Sprintf("coin_%d", row.Coin))
		}
	}
	limits := make([]int, len(x.a.order))
	for t, tier := range x.a.order {
		digits := 6
		if slices.ContainsFunc(p.Rows, func(r Row) bool { return inMoney(r) && r.Tier == tier }) {
			digits = 12
		}
		limits[t] = x.most(fmt.Sprintf("tier_%d", tier), tiers[t].Short, digits)
	}
	for r, row := range p.Rows {
		t := slices.Index(x.a.order, row.Tier)
		if row.Kind == RowTenant || tiers[t].Short == 0 {
			continue
		}
		c := progCol{name: fmt.Sprintf("short_%d", r), noUp: true}
		c.put(x.row[r], pow10(x.rows[x.row[r]].digits))
		c.put(limits[t], pow10(x.rows[limits[t]].digits))
		x.add(c)
	}
	x.money(total)
}

// money adds the columns that hold gross revenue per coin and in total, so that
// a coin's row has two coefficients instead of one per cell.
func (x *exporter) money(total int) {
	if total == None {
		return
	}
	all := progCol{name: "gross_all", noUp: true}
	all.put(total, -PPM)
	for r, row := range x.p.Rows {
		if row.Kind == RowCoin {
			all.put(x.row[r], -row.side()*row.SharePPM)
		}
	}
	x.add(all)
	for m := range x.coin {
		if x.coin[m] == None {
			x.coin[m] = total // nobody asks for it alone
			continue
		}
		c := progCol{name: fmt.Sprintf("gross_%d", m), noUp: true}
		c.put(x.coin[m], -PPM)
		c.put(total, PPM)
		for r, row := range x.p.Rows {
			if row.Kind == RowCoin && row.Coin == m {
				c.put(x.row[r], row.side()*PPM)
			}
		}
		x.add(c)
	}
}

func (x *exporter) equal(name string) int {
	x.rows = append(x.rows, progRow{name: name, hasLo: true, hasUp: true, digits: 6})
	return len(x.rows) - 1
}

// side is 1 for a floor and -1 for a ceiling.
func (r *Row) side() int64 {
	if r.Sense == AtMost {
		return -1
	}
	return 1
}

// common adds what cells and offers have in common: n devices of a class that
// draw w watts above idle.
func (x *exporter) common(c *progCol, class int, n, w int64) {
	c.put(x.class[class], n)
	for z := x.p.Classes[class].Zone; z != None; z = x.p.Zones[z].Parent {
		c.put(x.zone[z], w)
	}
}

func (x *exporter) cells() {
	p := x.p
	for k, m := range p.Mining {
		if m.Banned {
			continue
		}
		cl := p.Classes[m.Class]
		above := m.WattsMeter - cl.IdleWatts
		c := progCol{name: fmt.Sprintf("keep_%d", k), whole: true, lo: x.a.hold[k], up: min(m.Current, cl.Devices),
			nano: m.GrossMicroPerHour*(PPM-m.HaircutPPM)/1000 - above*p.Zones[cl.Zone].EnergyMicroPerKWh}
		x.common(&c, m.Class, 1, above)
		c.put(x.coin[m.Coin], m.GrossMicroPerHour)
		for r, row := range p.Rows {
			switch {
			case x.a.counted(row.Kind):
				c.put(x.row[r], x.whole(r, x.a.cellAdds(r, k)))
			case !x.a.inRow[r][m.Class] || row.Measure == MeasureOwned:
			case row.Measure == MeasurePower:
				c.put(x.row[r], -row.side()*row.SharePPM*m.WattsMeter)
			default:
				c.put(x.row[r], -row.side()*row.SharePPM)
			}
		}
		if m.Current > 0 {
			x.add(c)
		}
		c.name, c.lo, c.up = fmt.Sprintf("enter_%d", k), 0, cl.Devices
		c.nano -= x.a.hourly(m.EnterMicro)
		c.entries = slices.Clone(c.entries)
		c.put(x.moves, 1)
		x.add(c)
	}
}

func (x *exporter) jobs() {
	p := x.p
	ways := make([]int, len(p.Jobs))
	use := func(f int) bool {
		o := p.Offers[f]
		return x.a.runnable[f] && (!x.a.stay[o.Job] || p.Jobs[o.Job].Current == f)
	}
	for f, o := range p.Offers {
		if use(f) {
			ways[o.Job]++
		}
	}
	once := None // row of the job at hand
	for f, o := range p.Offers {
		if f == 0 || p.Offers[f-1].Job != o.Job {
			if once = None; ways[o.Job] > 1 {
				once = x.most(fmt.Sprintf("job_%d", o.Job), 1, 0)
			}
		}
		if use(f) {
			x.offer(f, once)
		}
	}
}

func (x *exporter) offer(f, once int) {
	p, o := x.p, x.p.Offers[f]
	job, cl := p.Jobs[o.Job], p.Classes[o.Class]
	above := o.WattsMeter - o.Width*cl.IdleWatts
	c := progCol{name: fmt.Sprintf("run_%d", f), whole: true, up: 1, job: o.Job + 1, nano: o.NetMicroPerHour*1000 - above*p.Zones[cl.Zone].EnergyMicroPerKWh}
	if job.Current != None {
		c.nano += x.a.hourly(job.KillMicro) // the parked fleet has stopped it
		switch {
		case job.Current == f:
		case p.Offers[job.Current].Class == o.Class:
			c.nano -= x.a.hourly(job.ResizeMicro)
		default:
			c.nano -= x.a.hourly(job.MigrateMicro)
		}
	}
	if x.a.stay[o.Job] {
		c.lo = 1
	}
	x.common(&c, o.Class, o.Width, above)
	for i, s := range x.slots {
		if s.class == o.Class {
			c.put(x.place[i], x.a.taken(f, s))
		}
	}
	if job.Current != f {
		c.put(x.moves, o.Width)
	}
	for r, row := range p.Rows {
		if row.Kind == RowTenant && row.Tenant == job.Tenant {
			c.put(x.row[r], o.Width)
		}
		if x.a.counted(row.Kind) {
			c.put(x.row[r], x.whole(r, x.a.offerAdds(r, f)))
			continue
		}
		if !x.a.inRow[r][o.Class] {
			continue
		}
		n, rate := o.Width, PPM-row.SharePPM
		if row.Measure == MeasurePower {
			n = o.WattsMeter
		}
		if row.Measure == MeasureOwned {
			rate = PPM
		}
		c.put(x.row[r], row.side()*rate*n)
	}
	c.put(once, 1)
	x.add(c)
}
