package planner

import (
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// restartCost is the run time that a preempted job loses besides what it needs
// to save itself: starting again and reading its checkpoint.
const restartSeconds = 60

func (b *Board) addJobs() {
	for _, id := range b.live {
		j, _, runs := b.attempt(id)
		switch {
		case j.Phase == workload.Queued:
			if j.NotBefore > b.Wall {
				continue // backing off; its reason says so
			}
			b.addQueued(j)
		case runs:
			b.addRunning(j)
		}
	}
}

// addQueued offers a job to every class it may run on. Where there is none, the
// filter that it came furthest through is the reason.
func (b *Board) addQueued(j state.Job) {
	bid := market.Bid(b.Policy, j.Spec)
	pos := -1
	why := obstacle{b: b, j: j}
	local, bound := b.localTo(j)
	for ci := range b.classes {
		c := b.classes[ci]
		if c.kind != workload.GPU || c.key.noTrain || !b.eligible(j, c) {
			continue
		}
		money, ok := market.TrainingMoney(b.Policy.Profile(c.key.model), bid, c.pue, b.sites[c.site].micro)
		if !ok {
			why.noProfile = c.key.model
			continue
		}
		for _, w := range widths(j.Spec.Gang, len(c.devices)) {
			why.place(w, len(c.devices))
			if w > len(c.devices) {
				continue
			}
			if bound && b.room(ci, local, min(j.Spec.Gang.PerNode, w)) < w {
				why.local = true
				continue
			}
			if pos < 0 {
				pos = b.addJob(j, decide.Job{Current: decide.None, Arrived: !answered(j.Reason.Code)})
			}
			b.addOffer(pos, ci, w, j.Spec.Gang.PerNode, money)
		}
	}
	if pos < 0 {
		b.waits[j.ID] = why.reason()
		return
	}
	if bound {
		b.localise(pos, local)
	}
}

// obstacle remembers how far a job came through the filters.
type obstacle struct {
	b          *Board
	j          state.Job
	noProfile  workload.ModelName
	need, have int
	local      bool
}

func (o *obstacle) place(need, have int) {
	if o.need == 0 || have > o.have || have == o.have && need < o.need {
		o.need, o.have = need, have
	}
}

func (o *obstacle) reason() workload.Reason {
	switch {
	case o.local:
		return workload.Why(workload.CodeDataLocal)
	case o.need > 0:
		return workload.Why(workload.CodeNoFit, workload.Count("needs", int64(o.need)), workload.Count("best place has", int64(o.have)))
	case o.noProfile != "":
		return workload.Why(workload.CodeNoProfile, workload.Name("model", string(o.noProfile)))
	}
	for _, d := range o.b.asideKind { // there are such devices, but they stand aside
		if state.Eligible(o.j.Spec, d) {
			return workload.Why(workload.CodeNoFit, workload.Count("needs", int64(o.j.Spec.Gang.GPUs)), workload.Count("best place has", 0))
		}
	}
	for _, c := range o.b.classes {
		if c.key.noTrain && o.b.eligible(o.j, c) {
			return c.by
		}
	}
	return workload.Why(workload.CodeNoModel)
}

// eligible reports whether a class's devices are of the kind the gang asks for.
func (b *Board) eligible(j state.Job, c class) bool {
	return state.Eligible(j.Spec, b.View.Devices[b.devices[c.devices[0]]])
}

// maxWidths is how many widths of an elastic gang are offered to one class.
const maxWidths = 12

// widths lists at most maxWidths widths, ascending: all of them, or the ends,
// the one asked for and steps between, with the widest that room allows. At
// least one is returned, so that a gang that is too wide is told so.
func widths(g workload.Gang, room int) []int {
	e := g.Elastic
	if e == nil || e.Step <= 0 || e.Min <= 0 {
		return []int{g.GPUs}
	}
	last := max(0, (min(e.Max, max(room, e.Min))-e.Min)/e.Step)
	var out []int
	if last < maxWidths {
		for i := range last + 1 {
			out = append(out, e.Min+i*e.Step)
		}
		return out
	}
	const even = maxWidths - 1
	for i := range even {
		out = append(out, e.Min+i*last/(even-1)*e.Step)
	}
	if g.GPUs <= e.Min+last*e.Step && !slices.Contains(out, g.GPUs) {
		out = append(out, g.GPUs)
		slices.Sort(out)
	}
	return out
}

// addRunning offers a running job what it holds, and nothing else: it is kept
// or stopped, never moved under way.
func (b *Board) addRunning(j state.Job) {
	if _, ends := b.ends[j.ID]; ends {
		return
	}
	a, _ := j.Current()
	on := map[int]int64{}
	ci := decide.None
	for _, dev := range a.Devices {
		i, inside := b.place[dev]
		if !inside {
			return // left alone as a whole
		}
		d := b.Inventory.Devices[i]
		ci = d.Class
		on[d.Node]++
	}
	c := b.classes[ci]
	money, _ := market.TrainingMoney(b.Policy.Profile(c.key.model), market.Bid(b.Policy, j.Spec), c.pue, b.sites[c.site].micro)
	width := len(a.Devices)
	lost := money.Gross.Over(j.Spec.Checkpoint.Grace.Milliseconds()+restartSeconds*1000, workload.Up)
	if every := j.Spec.Checkpoint.Every; every > 0 {
		lost += money.Gross.Over(every.Milliseconds()/2, workload.Up)
	}
	job := decide.Job{KillMicro: min(int64(lost), maxBidMicro) * int64(width), Current: len(b.offers), Protected: b.protected(j, a, ci)}
	for node, n := range on { // sorted below
		job.On = append(job.On, decide.NodeUse{Node: node, Devices: n})
	}
	slices.SortFunc(job.On, func(x, y decide.NodeUse) int { return x.Node - y.Node })
	pos := b.addJob(j, job)
	b.addOffer(pos, ci, width, j.Spec.Gang.PerNode, money)
}

// protected reports whether a running job may not be preempted: inside its own
// protected time, still starting, out of preemptions, or inside the minimum
// dwell with no new job to make room for. Without the dwell a job that has only
// just started would be stopped again for any better idea of the next round.
func (b *Board) protected(j state.Job, a state.Attempt, class int) bool {
	if a.Phase != workload.Running {
		return true
	}
	hold := j.Spec.Limits.Protected
	if !b.lifted[class] {
		hold = max(hold, b.Cluster.MinDwell)
	}
	if b.Now-a.Started < workload.Instant(hold.Milliseconds()) {
		return true
	}
	if limit := j.Spec.Limits.Preemptions; limit > 0 {
		n := 0
		for _, old := range j.Attempts {
			if old.Phase == workload.Preempted {
				n++
			}
		}
		return n >= limit
	}
	return false
}

func (b *Board) addJob(j state.Job, job decide.Job) int {
	switch j.Spec.Value.Priority {
	case workload.Low:
		job.Priority = -1
	case workload.High:
		job.Priority = 1
	}
	job.Tenant = b.tenant(j.Spec.Tenant)
	job.Key = uint64(j.ID)
	pos := len(b.jobs)
	b.jobs = append(b.jobs, j.ID)
	b.jobAt[j.ID] = pos
	b.Problem.Jobs = append(b.Problem.Jobs, job)
	return pos
}

func (b *Board) addOffer(job, ci, width, perNode int, money market.Money) {
	c := b.classes[ci]
	b.offers = append(b.offers, offer{job: job, class: ci, width: width, money: money})
	if perNode > width {
		perNode = width
	}
	b.Problem.Offers = append(b.Problem.Offers, decide.Offer{Job: job, Class: ci, Width: int64(width), PerNode: int64(perNode),
		NetMicroPerHour: min(int64(money.Gross), maxBidMicro) * int64(width), WattsMeter: max(money.Watts, c.idle.Watts) * int64(width)})
}

// What a decision can count has an end (decide.Validate): figures beyond are
// cut, so that one absurd bid or price cannot end all deciding.
const (
	maxBidMicro    = 1_000_000_000_000   // per device and hour
	maxOffersMicro = 100_000_000_000_000 // of all jobs together
	maxMiningMicro = 3_000_000_000_000   // gross of the fleet per hour
)

// clamp lowers the ceiling on single figures until their sums can be counted.
func (b *Board) clamp() {
	for ceiling := int64(maxBidMicro); b.offered() > maxOffersMicro && ceiling > 1; ceiling /= 10 {
		for i := range b.Problem.Offers {
			o := &b.Problem.Offers[i]
			o.NetMicroPerHour = min(o.NetMicroPerHour, ceiling*o.Width)
			if j := &b.Problem.Jobs[o.Job]; j.Current == i {
				j.KillMicro = min(j.KillMicro, ceiling*o.Width)
			}
		}
	}
	for ceiling := int64(maxMiningMicro); b.mined() > maxMiningMicro && ceiling > 1; ceiling /= 10 {
		for i := range b.Problem.Mining {
			m := &b.Problem.Mining[i]
			m.GrossMicroPerHour, m.EnterMicro = min(m.GrossMicroPerHour, ceiling), min(m.EnterMicro, ceiling)
		}
	}
}

// offered is the most that all jobs together could bring or cost.
func (b *Board) offered() int64 {
	sum, best := int64(0), int64(0)
	for i, o := range b.Problem.Offers {
		kill := b.Problem.Jobs[o.Job].KillMicro * 60 / b.Problem.Policy.HorizonMinutes
		if best = max(best, o.NetMicroPerHour, kill); i+1 == len(b.Problem.Offers) || b.Problem.Offers[i+1].Job != o.Job {
			if sum, best = sum+best, 0; sum > maxOffersMicro {
				return sum
			}
		}
	}
	return sum
}

func (b *Board) mined() int64 {
	sum, best := int64(0), int64(0)
	for i, m := range b.Problem.Mining {
		if best = max(best, m.GrossMicroPerHour, m.EnterMicro); i+1 == len(b.Problem.Mining) || b.Problem.Mining[i+1].Class != m.Class {
			n := max(b.Problem.Classes[m.Class].Devices, 1)
			if best > (maxMiningMicro-sum)/n {
				return maxMiningMicro + 1
			}
			sum, best = sum+best*n, 0
		}
	}
	return sum
}

func (b *Board) tenant(name workload.TenantName) int {
	if i := slices.Index(b.tenants, name); i >= 0 {
		return i
	}
	b.tenants = append(b.tenants, name)
	return len(b.tenants) - 1
}
