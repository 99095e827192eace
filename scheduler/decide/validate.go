package decide

import (
	"fmt"
	"math/bits"
	"slices"
)

// Totals above which sums could leave int64; see DESIGN.md, "Numbers".
const (
	maxTotalWatts   = 4_000_000_000_000     // watts of the whole fleet at full draw
	maxTotalGross   = 4_000_000_000_000     // micro per hour of the whole fleet
	maxTotalMoney   = 2_000_000_000_000_000 // micro per hour: revenue, energy and one-off costs together
	maxTotalDevices = MaxCount
	maxDepth        = 32
	maxRows         = 4096
)

// Validate names every defect of a problem, in document order; nil means that
// Solve accepts it. Money is micro-units, power watts, shares ppm.
func Validate(p *Problem) []Issue {
	v := &validator{p: p}
	v.zones()
	v.classes()
	v.policy()
	v.cells()
	v.offers()
	v.jobs()
	v.rows()
	if len(v.issues) == 0 {
		v.totals()
	}
	return v.issues
}

type validator struct {
	p      *Problem
	issues []Issue
}

func (v *validator) bad(path, format string, args ...any) {
	v.issues = append(v.issues, Issue{Path: path, Problem: fmt.Sprintf(format, args...)})
}

// figure checks a non-negative amount.
func (v *validator) figure(path string, i int, field string, x, most int64) {
	switch {
	case x < 0:
		v.bad(fmt.Sprintf("%s[%d].%s", path, i, field), "is negative (%d)", x)
	case x > most:
		v.bad(fmt.Sprintf("%s[%d].%s", path, i, field), "is above %d (%d)", most, x)
	}
}

// ref checks a reference into a list of n entries.
func (v *validator) ref(path string, i int, field string, x, n int) bool {
	if x < 0 || x >= n {
		v.bad(fmt.Sprintf("%s[%d].%s", path, i, field), "refers to %d of %d entries", x, n)
		return false
	}
	return true
}

func (v *validator) zones() {
	depth := make([]int, len(v.p.Zones))
	for i, z := range v.p.Zones {
		if z.Parent >= 0 && z.Parent < i {
			if depth[i] = depth[z.Parent] + 1; depth[i] == maxDepth {
				v.bad(fmt.Sprintf("zones[%d].parent", i), "makes the tree deeper than %d zones", maxDepth)
			}
		}
		if z.Parent != None && (z.Parent < 0 || z.Parent >= i) {
			v.bad(fmt.Sprintf("zones[%d].parent", i), "must be -1 or an earlier zone, is %d", z.Parent)
		}
		if z.CapW > MaxScalar {
			v.bad(fmt.Sprintf("zones[%d].cap_w", i), "is above %d W", int64(MaxScalar))
		}
		if z.EnergyMicroPerKWh > MaxScalar || z.EnergyMicroPerKWh < -MaxScalar {
			v.bad(fmt.Sprintf("zones[%d].energy_micro_per_kwh", i), "is beyond %d micro per kWh", int64(MaxScalar))
		}
	}
}

func (v *validator) classes() {
	for i, c := range v.p.Classes {
		v.ref("classes", i, "zone", c.Zone, len(v.p.Zones))
		v.figure("classes", i, "devices", c.Devices, MaxCount)
		v.figure("classes", i, "node_size", c.NodeSize, MaxCount)
		v.figure("classes", i, "idle_watts", c.IdleWatts, MaxScalar)
		var sum int64
		for n, s := range c.Nodes {
			path := fmt.Sprintf("classes[%d].nodes[%d]", i, n)
			if s.Node < 0 || (n > 0 && c.Nodes[n-1].Node >= s.Node) {
				v.bad(path+".node", "must be non-negative and ascending without duplicates")
			}
			if s.Free < 0 || s.Total < s.Free || s.Total > MaxCount {
				v.bad(path, "needs 0 <= free <= total devices, has %d of %d", s.Free, s.Total)
				continue
			}
			sum += s.Total
		}
		if len(c.Nodes) > 0 && sum != c.Devices {
			v.bad(fmt.Sprintf("classes[%d].nodes", i), "hold %d devices, the class %d", sum, c.Devices)
		}
	}
}

func (v *validator) policy() {
	p := v.p.Policy
	if p.HorizonMinutes < 1 || p.HorizonMinutes > MaxCount {
		v.bad("policy.horizon_minutes", "must be 1 to %d minutes, is %d", MaxCount, p.HorizonMinutes)
	}
	if p.HoldGapPPM < 0 || p.HoldGapPPM > PPM {
		v.bad("policy.hold_gap_ppm", "must be 0 to %d ppm, is %d", PPM, p.HoldGapPPM)
	}
	if p.MaxMoves < 0 || p.MaxMoves > MaxCount {
		v.bad("policy.max_moves", "must be 0 (no limit) to %d devices, is %d", MaxCount, p.MaxMoves)
	}
	if v.p.Tenants < 0 || v.p.Tenants > MaxCount {
		v.bad("tenants", "must be 0 to %d, is %d", MaxCount, v.p.Tenants)
	}
	if v.p.Coins < 0 || v.p.Coins > MaxCount {
		v.bad("coins", "must be 0 to %d, is %d", MaxCount, v.p.Coins)
	}
}

func (v *validator) cells() {
	now := make([]int64, len(v.p.Classes))
	for i, m := range v.p.Mining {
		if i > 0 {
			b := v.p.Mining[i-1]
			if m.Class < b.Class || (m.Class == b.Class && m.Option <= b.Option) {
				v.bad(fmt.Sprintf("mining[%d]", i), "must ascend by (class, option) without duplicates")
			}
		}
		v.figure("mining", i, "option", int64(m.Option), MaxCount)
		v.ref("mining", i, "coin", m.Coin, v.p.Coins)
		v.figure("mining", i, "gross_micro_per_hour", m.GrossMicroPerHour, MaxScalar)
		v.figure("mining", i, "haircut_ppm", m.HaircutPPM, PPM)
		v.figure("mining", i, "watts_meter", m.WattsMeter, MaxScalar)
		v.figure("mining", i, "enter_micro", m.EnterMicro, MaxScalar)
		v.figure("mining", i, "current", m.Current, MaxCount)
		v.figure("mining", i, "locked", m.Locked, MaxCount)
		if m.Locked > m.Current {
			v.bad(fmt.Sprintf("mining[%d].locked", i), "%d devices, but only %d are on the option", m.Locked, m.Current)
		}
		if !v.ref("mining", i, "class", m.Class, len(v.p.Classes)) {
			continue
		}
		if m.WattsMeter < v.p.Classes[m.Class].IdleWatts {
			v.bad(fmt.Sprintf("mining[%d].watts_meter", i), "%d W is below the class's idle draw", m.WattsMeter)
		}
		now[m.Class] += min(max(m.Current, 0), MaxCount)
	}
	for c, n := range now {
		if n > v.p.Classes[c].Devices {
			v.bad(fmt.Sprintf("classes[%d].devices", c), "%d, but %d mine now; count lost devices out of current", v.p.Classes[c].Devices, n)
		}
	}
}

func (v *validator) offers() {
	for i, o := range v.p.Offers {
		if i > 0 && o.Job < v.p.Offers[i-1].Job {
			v.bad(fmt.Sprintf("offers[%d]", i), "must ascend by job")
		}
		for k := i - 1; k >= 0 && v.p.Offers[k].Job == o.Job && i-k < 64; k-- {
			if b := v.p.Offers[k]; b.Class == o.Class && b.Width == o.Width && b.PerNode == o.PerNode {
				v.bad(fmt.Sprintf("offers[%d]", i), "repeats offer %d", k)
			}
		}
		v.ref("offers", i, "job", o.Job, len(v.p.Jobs))
		v.figure("offers", i, "width", o.Width, MaxCount)
		v.figure("offers", i, "per_node", o.PerNode, MaxCount)
		v.figure("offers", i, "net_micro_per_hour", o.NetMicroPerHour, MaxScalar)
		v.figure("offers", i, "watts_meter", o.WattsMeter, MaxScalar)
		if o.Width == 0 {
			v.bad(fmt.Sprintf("offers[%d].width", i), "must be at least 1 device")
		}
		if o.PerNode > 0 && o.Width%o.PerNode != 0 {
			v.bad(fmt.Sprintf("offers[%d].per_node", i), "%d does not divide the width %d", o.PerNode, o.Width)
		}
		if !v.ref("offers", i, "class", o.Class, len(v.p.Classes)) {
			continue
		}
		c := v.p.Classes[o.Class]
		if o.Width <= MaxCount && c.IdleWatts <= MaxScalar/MaxCount && o.WattsMeter < o.Width*c.IdleWatts {
			v.bad(fmt.Sprintf("offers[%d].watts_meter", i), "%d W is below the idle draw of %d devices", o.WattsMeter, o.Width)
		}
	}
}

func (v *validator) jobs() {
	for i, j := range v.p.Jobs {
		v.ref("jobs", i, "tenant", j.Tenant, v.p.Tenants)
		v.figure("jobs", i, "kill_micro", j.KillMicro, MaxScalar)
		v.figure("jobs", i, "migrate_micro", j.MigrateMicro, MaxScalar)
		v.figure("jobs", i, "resize_micro", j.ResizeMicro, MaxScalar)
		if j.Current != None && v.ref("jobs", i, "current", j.Current, len(v.p.Offers)) {
			o := v.p.Offers[j.Current]
			if o.Job != i {
				v.bad(fmt.Sprintf("jobs[%d].current", i), "offer %d belongs to job %d", j.Current, o.Job)
			}
			v.on(i, j, o)
		}
		if j.Current == None && (j.Pinned || j.Protected || len(j.On) > 0) {
			v.bad(fmt.Sprintf("jobs[%d]", i), "is pinned, protected or placed but does not run")
		}
	}
}

func (v *validator) on(i int, j Job, o Offer) {
	var sum int64
	for n, u := range j.On {
		path := fmt.Sprintf("jobs[%d].on[%d]", i, n)
		if u.Node < 0 || (n > 0 && j.On[n-1].Node >= u.Node) {
			v.bad(path+".node", "must be non-negative and ascending without duplicates")
		}
		if u.Devices < 1 || u.Devices > MaxCount {
			v.bad(path+".devices", "must be 1 to %d, is %d", MaxCount, u.Devices)
			continue
		}
		sum += u.Devices
	}
	if len(j.On) > 0 && sum != o.Width {
		v.bad(fmt.Sprintf("jobs[%d].on", i), "holds %d devices, the offer %d", sum, o.Width)
	}
}

func (v *validator) rows() {
	unit := map[int]string{}
	if len(v.p.Rows) > maxRows {
		v.bad("rows", "are more than %d", maxRows)
	}
	for i, r := range v.p.Rows {
		path := fmt.Sprintf("rows[%d]", i)
		v.figure("rows", i, "tier", int64(r.Tier), MaxCount)
		v.figure("rows", i, "share_ppm", r.SharePPM, PPM)
		most := int64(MaxCount)
		if r.Kind == RowPower || r.Kind == RowCash {
			most = maxTotalGross
		}
		v.figure("rows", i, "limit", r.Limit, most)
		kind, senses := string(r.Kind), []Sense{AtMost}
		switch r.Kind {
		case RowTenant:
			v.ref("rows", i, "tenant", r.Tenant, v.p.Tenants)
		case RowCoin:
			kind = "money"
			v.ref("rows", i, "coin", r.Coin, v.p.Coins)
		case RowAIShare, RowShare:
			senses = []Sense{AtMost, AtLeast}
			kind = v.share(i, r)
		case RowPower, RowPreempt:
		case RowCash:
			kind, senses = "money", []Sense{AtLeast}
			for _, m := range r.Coins {
				v.ref("rows", i, "coins", m, v.p.Coins)
			}
		default:
			v.bad(path+".kind", "is %q, not ai_share, share, tenant_devices, coin_share, power, cash or preemptions", r.Kind)
		}
		if r.Kind == RowAIShare || r.Kind == RowShare || r.Kind == RowPower {
			for _, z := range r.Zones {
				v.ref("rows", i, "zones", z, len(v.p.Zones))
			}
			for _, c := range r.Classes {
				v.ref("rows", i, "classes", c, len(v.p.Classes))
			}
		}
		if !slices.Contains(senses, r.Sense) {
			v.bad(path+".sense", "is %q, which this kind does not take", r.Sense)
		}
		if r.Kind == RowTenant {
			continue
		}
		if seen, ok := unit[r.Tier]; ok && seen != kind {
			v.bad(path+".tier", "tier %d already holds rows counted in %s", r.Tier, seen)
		} else if !ok {
			unit[r.Tier] = kind
		}
	}
}

// share checks what a share counts and returns the unit.
func (v *validator) share(i int, r Row) string {
	path := fmt.Sprintf("rows[%d]", i)
	if r.Kind == RowShare {
		switch r.Part {
		case PartJobs, PartMining:
		case PartCoin:
			v.ref("rows", i, "coin", r.Coin, v.p.Coins)
		case PartTenant:
			v.ref("rows", i, "tenant", r.Tenant, v.p.Tenants)
		default:
			v.bad(path+".part", "is %q, not jobs, mining, coin or tenant", r.Part)
		}
	}
	switch {
	case r.Measure == MeasureOwned || r.Measure == MeasureActive:
		return "devices"
	case r.Measure == MeasurePower:
		return "power"
	case r.Measure == MeasureRevenue && r.Kind == RowShare:
		return "money"
	case r.Kind == RowShare:
		v.bad(path+".measure", "is %q, not owned, active, power or revenue", r.Measure)
	default:
		v.bad(path+".measure", "is %q, not owned, active or power", r.Measure)
	}
	return "devices"
}

// sum adds a*b to t and sticks at the largest value.
func sum(t, a, b int64) int64 {
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	if hi > 0 || lo > 1<<62 || uint64(t)+lo > 1<<62 {
		return 1 << 62
	}
	return t + int64(lo)
}

// totals rejects fleets whose sums could overflow although each figure is fine.
func (v *validator) totals() {
	p := v.p
	var devices, watts, gross, money int64
	var tariff int64
	for _, z := range p.Zones {
		tariff = max(tariff, z.EnergyMicroPerKWh, -z.EnergyMicroPerKWh)
	}
	w, g, e := make([]int64, len(p.Classes)), make([]int64, len(p.Classes)), make([]int64, len(p.Classes))
	for _, m := range p.Mining {
		w[m.Class] = max(w[m.Class], m.WattsMeter)
		g[m.Class] = max(g[m.Class], m.GrossMicroPerHour)
		e[m.Class] = max(e[m.Class], perHour(m.EnterMicro, p.Policy.HorizonMinutes))
	}
	for c, k := range p.Classes {
		devices = sum(devices, k.Devices, 1)
		watts = sum(watts, k.Devices, max(w[c], k.IdleWatts))
		gross = sum(gross, k.Devices, g[c])
		money = sum(sum(money, k.Devices, g[c]), k.Devices, e[c])
	}
	jw, jn := make([]int64, len(p.Jobs)), make([]int64, len(p.Jobs))
	for _, o := range p.Offers {
		jw[o.Job] = max(jw[o.Job], o.WattsMeter)
		jn[o.Job] = max(jn[o.Job], o.NetMicroPerHour)
	}
	for j, job := range p.Jobs {
		watts = sum(watts, jw[j], 1)
		money = sum(sum(money, jn[j], 1), perHour(max(job.KillMicro, job.MigrateMicro, job.ResizeMicro), p.Policy.HorizonMinutes), 1)
	}
	money = sum(money, min(watts, maxTotalWatts)/1000+1, tariff)
	if devices > maxTotalDevices {
		v.bad("classes", "hold more than %d devices", int64(maxTotalDevices))
	}
	if watts > maxTotalWatts {
		v.bad("classes", "could draw more than %d W together with the jobs", int64(maxTotalWatts))
	}
	if gross > maxTotalGross {
		v.bad("mining", "could gross more than %d micro per hour", int64(maxTotalGross))
	}
	if rows := money; rows > maxTotalGross && v.countsMoney() {
		v.bad("rows", "of cash or of shares of revenue allow no more than %d micro per hour in all", int64(maxTotalGross))
	}
	if money > maxTotalMoney {
		v.bad("offers", "and mining, energy and one-off costs could exceed %d micro per hour", int64(maxTotalMoney))
	}
}

// countsMoney tells whether a row adds up the money of jobs, which then has to
// stay as small as what mining brings: rows count in ppm.
func (v *validator) countsMoney() bool {
	return slices.ContainsFunc(v.p.Rows, func(r Row) bool {
		return r.Kind == RowCash || r.Kind == RowShare && r.Measure == MeasureRevenue
	})
}

// perHour spreads a one-off cost over the horizon, rounded up; it sticks at
// MaxScalar, which totals then rejects.
func perHour(micro, horizon int64) int64 {
	hi, lo := bits.Mul64(uint64(micro), 60)
	if hi > 0 || lo > 1<<62 {
		return MaxScalar
	}
	return min(MaxScalar, int64(lo)/horizon+1)
}
