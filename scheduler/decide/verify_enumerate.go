package decide

import "fmt"

// maxEnumeration bounds the plans Verify looks at for one enumerated proof.
const maxEnumeration = 20_000_000

// enumerate proves, by going through every plan of a tiny fleet device by
// device, that none has less shortfall, or as little and more profit.
func (a *audit) enumerate() error {
	p := a.p
	var devices int64
	for _, c := range p.Classes {
		devices += c.Devices
	}
	if devices > 8 {
		return fmt.Errorf("an enumeration was claimed for %d devices", devices)
	}
	e := &enumerator{a: a, plan: Plan{Cells: make([]CellPlan, len(p.Mining)), Jobs: make([]int, len(p.Jobs))}, count: make([]int64, len(p.Mining)),
		free: make([]int64, len(p.Classes)), left: maxEnumeration, clean: true}
	for c := range p.Classes {
		e.free[c] = p.Classes[c].Devices
	}
	for _, s := range a.short {
		e.clean = e.clean && s == 0
	}
	e.prepare()
	e.jobs(0, 0)
	if e.left < 0 {
		return fmt.Errorf("the enumeration is too large to repeat")
	}
	return e.found
}

type enumerator struct {
	a     *audit
	plan  Plan
	count []int64
	free  []int64
	pay   []int64 // per cell: the most one device can bring above idle
	peak  []int64 // per class: the most one device can bring by mining
	gain  []int64 // per offer: value above idle
	from  []int   // per job, one more entry: its first offer
	later []int64 // per job: the most this and later jobs can bring
	left  int64
	clean bool // the plan under test misses no target
	found error
}

func (e *enumerator) prepare() {
	a, p := e.a, e.a.p
	e.pay, e.peak = make([]int64, len(p.Mining)), make([]int64, len(p.Classes))
	for k, m := range p.Mining {
		cl := p.Classes[m.Class]
		e.pay[k] = m.GrossMicroPerHour*(PPM-m.HaircutPPM)/1000 - (m.WattsMeter-cl.IdleWatts)*p.Zones[cl.Zone].EnergyMicroPerKWh
		if m.Current == 0 {
			e.pay[k] -= a.hourly(m.EnterMicro)
		}
		if !m.Banned {
			e.peak[m.Class] = max(e.peak[m.Class], e.pay[k])
		}
	}
	e.gain, e.later = make([]int64, len(p.Offers)), make([]int64, len(p.Jobs)+1)
	for f, o := range p.Offers {
		cl, job := p.Classes[o.Class], p.Jobs[o.Job]
		e.gain[f] = o.NetMicroPerHour*1000 - (o.WattsMeter-o.Width*cl.IdleWatts)*p.Zones[cl.Zone].EnergyMicroPerKWh
		if job.Current != None && job.Current != f {
			if p.Offers[job.Current].Class == o.Class {
				e.gain[f] -= a.hourly(job.ResizeMicro)
			} else {
				e.gain[f] -= a.hourly(job.MigrateMicro)
			}
		}
	}
	e.from = make([]int, len(p.Jobs)+1)
	e.from[len(p.Jobs)] = len(p.Offers)
	for j, f := len(p.Jobs)-1, len(p.Offers); j >= 0; j-- {
		for f > 0 && p.Offers[f-1].Job == j {
			f--
		}
		e.from[j] = f
	}
	for j := len(p.Jobs) - 1; j >= 0; j-- {
		most := e.lose(j)
		for f := e.from[j]; f < e.from[j+1]; f++ {
			if a.runnable[f] {
				most = max(most, e.gain[f])
			}
		}
		e.later[j] = e.later[j+1] + most
	}
}

func (e *enumerator) lose(j int) int64 {
	if e.a.p.Jobs[j].Current == None {
		return 0
	}
	return -e.a.hourly(e.a.p.Jobs[j].KillMicro)
}

// idle is the value of the whole fleet parked.
func (e *enumerator) idle() int64 {
	var v int64
	for _, c := range e.a.p.Classes {
		v -= c.Devices * c.IdleWatts * e.a.p.Zones[c.Zone].EnergyMicroPerKWh
	}
	return v
}

// dull tells that no completion can beat the plan under test.
func (e *enumerator) dull(value int64, from int) bool {
	if !e.clean {
		return false
	}
	value += e.idle()
	for c := from; c < len(e.free); c++ {
		value += e.free[c] * e.peak[c]
	}
	return value <= e.a.value
}

func (e *enumerator) step() bool {
	e.left--
	return e.left >= 0 && e.found == nil
}

func (e *enumerator) jobs(j int, value int64) {
	p := e.a.p
	if !e.step() || e.dull(value+e.later[min(j, len(p.Jobs))], 0) {
		return
	}
	if j == len(p.Jobs) {
		e.mine(0, value)
		return
	}
	e.plan.Jobs[j] = None
	if !e.a.stay[j] {
		e.jobs(j+1, value+e.lose(j))
	}
	for f := e.from[j]; f < e.from[j+1]; f++ {
		o := p.Offers[f]
		if !e.a.runnable[f] || o.Width > e.free[o.Class] || (e.a.stay[j] && f != p.Jobs[j].Current) {
			continue
		}
		e.plan.Jobs[j] = f
		e.free[o.Class] -= o.Width
		e.jobs(j+1, value+e.gain[f])
		e.free[o.Class] += o.Width
	}
	e.plan.Jobs[j] = None
}

// mine goes through the cells in order, each with every count that is left.
func (e *enumerator) mine(k int, value int64) {
	p := e.a.p
	if !e.step() {
		return
	}
	if k == len(p.Mining) {
		e.judge()
		return
	}
	m := p.Mining[k]
	if k > 0 && p.Mining[k-1].Class != m.Class && e.dull(value, m.Class) {
		return
	}
	most := e.free[m.Class]
	if m.Banned {
		most = 0
	}
	enter := e.a.hourly(m.EnterMicro)
	for n := e.a.hold[k]; n <= most; n++ {
		v := value + n*e.pay[k]
		if m.Current > 0 {
			v -= max(0, n-m.Current) * enter
		}
		e.free[m.Class] -= n
		if !e.dull(v, m.Class) {
			stay := min(n, m.Current)
			e.plan.Cells[k] = CellPlan{Keep: stay, Enter: n - stay}
			e.mine(k+1, v)
			e.plan.Cells[k] = CellPlan{}
		}
		e.free[m.Class] += n
	}
}

// judge compares one complete plan with the one under test.
func (e *enumerator) judge() {
	b, err := tally(e.a.p, &e.plan)
	if err != nil || b.limits(nil) != nil || b.packing(nil) != nil {
		return
	}
	for _, tier := range e.a.order {
		if x, y := b.short[tier], e.a.short[tier]; x != y {
			if x < y {
				e.found = fmt.Errorf("tier %d: a plan leaves a shortfall of %d, this one %d", tier, x, y)
			}
			return
		}
	}
	if b.value > e.a.value {
		e.found = fmt.Errorf("a plan is worth %d nano per hour, this one %d", b.value, e.a.value)
	}
}
