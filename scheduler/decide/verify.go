package decide

import (
	"fmt"
	"math/big"
	"slices"
)

// Verify recomputes a result from the problem alone: every hard limit, the
// plan's value and shortfalls, the bound from the duals (or by enumeration) and
// every derived figure. It shares no code with Solve. Not checked, because
// nothing in the two values decides them: Work, and which of held, rounded and
// improved produced the plan.
func Verify(p *Problem, r *Result) error {
	if issues := Validate(p); len(issues) > 0 {
		return fmt.Errorf("decide: verify: problem invalid: %s %s", issues[0].Path, issues[0].Problem)
	}
	a, err := newAudit(p, &r.Plan)
	if err != nil {
		return fmt.Errorf("decide: verify: %w", err)
	}
	for _, check := range []func(*Result) error{a.limits, a.kept, a.packing, a.figures, a.tierProofs, a.bounds, a.targets, a.bindings} {
		if err := check(r); err != nil {
			return fmt.Errorf("decide: verify: %w", err)
		}
	}
	return nil
}

// audit is a plan's use of everything, added up from scratch.
type audit struct {
	p        *Problem
	plan     *Plan
	devices  []int64  // per class
	draw     []int64  // per zone with its subtree, watts at the meter
	floor    []int64  // per zone with its subtree, idle draw of everything
	tenant   []int64  // devices
	on       [][]int  // per class: offers in the plan
	moves    int64    // devices entering
	value    int64    // nano per hour
	scale    int64    // nano per hour
	rowSum   []int64  // per row: left side minus right side, >= 0 is met
	part     []int64  // per row: what counts towards the share
	base     []int64  // per row: what it is a share of
	hold     []int64  // per cell: devices that must stay
	stay     []bool   // per job: must stay on its offer
	inRow    [][]bool // per row and class
	order    []int    // tiers, ascending
	short    map[int]int64
	runnable []bool // per offer
	slots    []slotRow
}

func newAudit(p *Problem, plan *Plan) (*audit, error) {
	a, err := tally(p, plan)
	if err != nil {
		return nil, err
	}
	a.runs()
	a.promises()
	return a, nil
}

// tally adds a plan up without asking what else could run.
func tally(p *Problem, plan *Plan) (*audit, error) {
	if len(plan.Cells) != len(p.Mining) || len(plan.Jobs) != len(p.Jobs) {
		return nil, fmt.Errorf("plan has %d cells and %d jobs, the problem %d and %d", len(plan.Cells), len(plan.Jobs), len(p.Mining), len(p.Jobs))
	}
	a := &audit{p: p, plan: plan, devices: make([]int64, len(p.Classes)), draw: make([]int64, len(p.Zones)), floor: make([]int64, len(p.Zones)),
		tenant: make([]int64, p.Tenants), on: make([][]int, len(p.Classes)), rowSum: make([]int64, len(p.Rows)),
		part: make([]int64, len(p.Rows)), base: make([]int64, len(p.Rows)), short: map[int]int64{}}
	a.membership()
	for _, cl := range p.Classes {
		a.burn(cl.Zone, cl.Devices*cl.IdleWatts)
		a.climb(a.floor, cl.Zone, cl.Devices*cl.IdleWatts)
	}
	for k, x := range plan.Cells {
		m := p.Mining[k]
		switch {
		case x.Keep < 0 || x.Enter < 0 || x.Keep > MaxCount || x.Enter > MaxCount:
			return nil, fmt.Errorf("cell %d: count out of range", k)
		case x.Keep > m.Current:
			return nil, fmt.Errorf("cell %d: keeps %d of %d", k, x.Keep, m.Current)
		case x.Enter > 0 && x.Keep < m.Current:
			return nil, fmt.Errorf("cell %d: enters while others leave", k)
		case m.Banned && x.Keep+x.Enter > 0:
			return nil, fmt.Errorf("cell %d: banned but used", k)
		}
		n := x.Keep + x.Enter
		a.devices[m.Class] += n
		a.moves += x.Enter
		a.value += n*(m.GrossMicroPerHour*(PPM-m.HaircutPPM)/1000) - x.Enter*a.hourly(m.EnterMicro)
		a.scale += n * m.GrossMicroPerHour * 1000
		a.burn(p.Classes[m.Class].Zone, n*(m.WattsMeter-p.Classes[m.Class].IdleWatts))
	}
	for j, f := range plan.Jobs {
		job := p.Jobs[j]
		if f == None {
			if job.Current != None {
				a.value -= a.hourly(job.KillMicro)
			}
			continue
		}
		if f < 0 || f >= len(p.Offers) || p.Offers[f].Job != j {
			return nil, fmt.Errorf("job %d: offer %d is not its own", j, f)
		}
		o := p.Offers[f]
		a.devices[o.Class] += o.Width
		a.tenant[job.Tenant] += o.Width
		a.on[o.Class] = append(a.on[o.Class], f)
		a.value += o.NetMicroPerHour * 1000
		a.scale += o.NetMicroPerHour * 1000
		a.burn(p.Classes[o.Class].Zone, o.WattsMeter-o.Width*p.Classes[o.Class].IdleWatts)
		if job.Current == f {
			continue
		}
		a.moves += o.Width
		if job.Current != None && p.Offers[job.Current].Class == o.Class {
			a.value -= a.hourly(job.ResizeMicro)
		} else if job.Current != None {
			a.value -= a.hourly(job.MigrateMicro)
		}
	}
	a.energy()
	a.shares()
	return a, nil
}

// hourly spreads a one-off cost over the horizon, in nano per hour, rounded up.
func (a *audit) hourly(micro int64) int64 {
	x := new(big.Int).Mul(big.NewInt(micro), big.NewInt(60_000))
	h := big.NewInt(a.p.Policy.HorizonMinutes)
	x.Add(x, new(big.Int).Sub(h, big.NewInt(1)))
	return x.Div(x, h).Int64()
}

// burn adds watts to a zone and all zones around it.
func (a *audit) burn(zone int, w int64) { a.climb(a.draw, zone, w) }

func (a *audit) climb(list []int64, zone int, w int64) {
	for ; zone != None; zone = a.p.Zones[zone].Parent {
		list[zone] += w
	}
}

// energy charges each zone's own draw at its own tariff.
func (a *audit) energy() {
	for z, zone := range a.p.Zones {
		own := a.draw[z]
		for y := range a.p.Zones {
			if a.p.Zones[y].Parent == z {
				own -= a.draw[y]
			}
		}
		cost := own * zone.EnergyMicroPerKWh
		a.value -= cost
		a.scale += max(cost, -cost)
	}
}

func (a *audit) membership() {
	p := a.p
	a.inRow = make([][]bool, len(p.Rows))
	for r, row := range p.Rows {
		a.inRow[r] = make([]bool, len(p.Classes))
		if row.Kind != RowTenant && !slices.Contains(a.order, row.Tier) {
			a.order = append(a.order, row.Tier)
		}
		for c, cl := range p.Classes {
			zoneOK := len(row.Zones) == 0
			for z := cl.Zone; z != None; z = p.Zones[z].Parent {
				zoneOK = zoneOK || slices.Contains(row.Zones, z)
			}
			classOK := len(row.Classes) == 0 || slices.Contains(row.Classes, c)
			a.inRow[r][c] = row.Kind == RowAIShare && zoneOK && classOK && (cl.Trainable || row.Measure == MeasurePower)
		}
	}
	slices.Sort(a.order)
}

// shares works out each soft row as part, base and the signed distance
// part x 1e6 - share x base (or its negative for a ceiling).
func (a *audit) shares() {
	p := a.p
	for r, row := range p.Rows {
		if row.Kind == RowTenant {
			continue
		}
		if a.counted(row.Kind) {
			a.countRow(r)
			a.short[row.Tier] += max(0, -a.rowSum[r])
			continue
		}
		for k, x := range a.plan.Cells {
			m, n := p.Mining[k], x.Keep+x.Enter
			switch {
			case row.Kind == RowCoin:
				a.base[r] += n * m.GrossMicroPerHour
				if m.Coin == row.Coin {
					a.part[r] += n * m.GrossMicroPerHour
				}
			case a.inRow[r][m.Class] && row.Measure == MeasureActive:
				a.base[r] += n
			case a.inRow[r][m.Class] && row.Measure == MeasurePower:
				a.base[r] += n * m.WattsMeter
			}
		}
		for c, cl := range p.Classes {
			if !a.inRow[r][c] {
				continue
			}
			if row.Measure == MeasureOwned {
				a.base[r] += cl.Devices
			}
			for _, f := range a.on[c] {
				n := p.Offers[f].Width
				if row.Measure == MeasurePower {
					n = p.Offers[f].WattsMeter
				}
				a.part[r] += n
				if row.Measure != MeasureOwned {
					a.base[r] += n
				}
			}
		}
		a.rowSum[r] = a.part[r]*PPM - row.SharePPM*a.base[r]
		if row.Sense == AtMost {
			a.rowSum[r] = -a.rowSum[r]
		}
		a.short[row.Tier] += max(0, -a.rowSum[r])
	}
}

// ceiling is what zone z may draw: its cap, or the idle draw that no plan can
// avoid.
func (a *audit) ceiling(z int) int64 { return max(a.p.Zones[z].CapW, a.floor[z]) }

func (a *audit) limits(*Result) error {
	p := a.p
	for c, cl := range p.Classes {
		if a.devices[c] > cl.Devices {
			return fmt.Errorf("class %d: %d of %d devices used", c, a.devices[c], cl.Devices)
		}
	}
	for z, zone := range p.Zones {
		if zone.CapW >= 0 && a.draw[z] > a.ceiling(z) {
			return fmt.Errorf("zone %d: draws %d W of %d", z, a.draw[z], zone.CapW)
		}
	}
	for i, row := range p.Rows {
		if row.Kind == RowTenant && a.tenant[row.Tenant] > row.Limit {
			return fmt.Errorf("row %d: tenant %d holds %d of %d devices", i, row.Tenant, a.tenant[row.Tenant], row.Limit)
		}
	}
	if m := p.Policy.MaxMoves; m > 0 && a.moves > m {
		return fmt.Errorf("moves %d of at most %d", a.moves, m)
	}
	for j, f := range a.plan.Jobs {
		if f != None && !p.Classes[p.Offers[f].Class].Trainable {
			return fmt.Errorf("job %d: class %d cannot run jobs", j, p.Offers[f].Class)
		}
	}
	return nil
}

func (a *audit) kept(*Result) error {
	for k, n := range a.hold {
		if x := a.plan.Cells[k]; x.Keep+x.Enter < n {
			return fmt.Errorf("cell %d: %d devices left inside their minimum dwell", k, n-x.Keep-x.Enter)
		}
	}
	for j, must := range a.stay {
		if must && a.plan.Jobs[j] != a.p.Jobs[j].Current {
			return fmt.Errorf("job %d: pinned or protected but not kept", j)
		}
	}
	return nil
}

func (a *audit) packing(*Result) error {
	for c := range a.p.Classes {
		if !a.packable(c, a.on[c]) {
			return fmt.Errorf("class %d: gangs do not fit its nodes", c)
		}
	}
	return nil
}

func (a *audit) figures(r *Result) error {
	var stopped int64
	for j, f := range a.plan.Jobs {
		if f == None && a.p.Jobs[j].Current != None {
			stopped++
		}
	}
	gap := new(big.Int).Sub(big.NewInt(r.Cert.BoundNano), big.NewInt(a.value))
	if gap.Sign() < 0 {
		return fmt.Errorf("bound %d is below the value %d", r.Cert.BoundNano, a.value)
	}
	ppm := new(big.Int)
	switch {
	case gap.Sign() == 0:
	case a.scale == 0:
		ppm.SetInt64(PPM)
	default:
		ppm = roundUp(new(big.Int).Mul(gap, big.NewInt(PPM)), a.scale)
		if ppm.Cmp(big.NewInt(1<<62)) > 0 {
			ppm.SetInt64(1 << 62)
		}
	}
	down := new(big.Int).Neg(roundUp(new(big.Int).Neg(big.NewInt(a.value)), 1000))
	for _, x := range []struct {
		name      string
		got, want int64
	}{
		{"value_nano_per_hour", r.Cert.ValueNano, a.value},
		{"scale_nano_per_hour", r.Cert.ScaleNano, a.scale},
		{"objective_micro_per_hour", r.ObjectiveMicroPerHour, down.Int64()},
		{"bound_micro_per_hour", r.BoundMicroPerHour, roundUp(big.NewInt(r.Cert.BoundNano), 1000).Int64()},
		{"gap_micro_per_hour", r.GapMicroPerHour, roundUp(gap, 1000).Int64()},
		{"gap_ppm", r.GapPPM, ppm.Int64()},
		{"moves", r.Moves, a.moves},
		{"preemptions", r.Preemptions, stopped},
	} {
		if x.got != x.want {
			return fmt.Errorf("%s is %d, should be %d", x.name, x.got, x.want)
		}
	}
	missed := false
	for _, s := range a.short {
		missed = missed || s > 0
	}
	closed := gap.Sign() == 0 && (r.Cert.Enumerated || !missed)
	if closed != (r.Stage == StageOptimal) || !slices.Contains([]Stage{StageRounded, StageImproved, StageHeld, StageOptimal}, r.Stage) {
		return fmt.Errorf("stage %q does not fit a gap of %s nano per hour", r.Stage, gap)
	}
	return nil
}

// roundUp is x/d rounded towards plus infinity, d > 0.
func roundUp(x *big.Int, d int64) *big.Int {
	q, m := new(big.Int).DivMod(x, big.NewInt(d), new(big.Int))
	if m.Sign() > 0 {
		q.Add(q, big.NewInt(1))
	}
	return q
}
