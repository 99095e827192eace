package planner

import (
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// restartSeconds is the run time that a preempted job loses besides what it
// needs to save itself: starting again and reading its checkpoint.
const restartSeconds = 60

// addJobs puts the running jobs on the board, and those of the queue that this
// round asks about, in order of id.
func (b *Board) addJobs() {
	b.addOthers()
	b.addWithheld()
	b.addHolds()
	b.addExchanges()
	b.admit()
	ids := slices.Concat(b.active, b.asked)
	slices.Sort(ids)
	for _, id := range ids {
		j, _, runs := b.attempt(id)
		switch {
		case runs:
			b.addRunning(j)
		case j.Phase == workload.Queued:
			if x := b.exchangeOf(id); x != nil {
				b.addExchanged(x)
			} else {
				b.addQueued(j)
			}
		}
	}
	b.putFirst()
}

// addOthers finds what each class nets best without a job, and the greatest
// surplus that a job could bring over it.
func (b *Board) addOthers() {
	b.others = make([]workload.Rate, len(b.classes))
	for ci := range b.classes {
		_, b.others[ci] = b.bestOther(ci, decide.Use{Kind: decide.UseJob, Index: decide.None})
	}
	for ci, c := range b.classes {
		if money, ok := market.TrainingMoney(b.Policy.Profile(c.key.model), b.topBid, c.pue, b.sites[c.site].micro); ok {
			b.top = max(b.top, min(money.Net()-b.others[ci], maxBidMicro))
		}
	}
}

// addQueued offers a job to every class it may run on. Where there is none, the
// filter that it came furthest through is the reason.
func (b *Board) addQueued(j state.Job) {
	if t := b.Policy.Tenant(j.Spec.Tenant); t != nil && t.Guarantee+t.Borrow > 0 && narrowest(j.Spec.Gang) > t.Guarantee+t.Borrow {
		b.waits[j.ID] = workload.Why(workload.CodeQuota, workload.Name("rule", string(config.KindTenant)+"/"+string(j.Spec.Tenant)),
			workload.Count("needs", int64(narrowest(j.Spec.Gang))), workload.Count("may have", int64(t.Guarantee+t.Borrow)))
		return
	}
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
		admitted := b.admittedWidth(j.ID, ci)
		for _, w := range widths(j.Spec.Gang, len(c.devices)) {
			why.place(w, len(c.devices))
			if w > len(c.devices) {
				continue
			}
			if w > admitted {
				why.reserved = true
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
		b.setLocal(pos, b.positions(local))
		b.bound[pos] = true
	} else {
		b.keepOff(pos, j.ID)
	}
}

// obstacle remembers how far a job came through the filters.
type obstacle struct {
	b          *Board
	j          state.Job
	noProfile  workload.ModelName
	need, have int
	local      bool
	reserved   bool
}

func (o *obstacle) place(need, have int) {
	if o.need == 0 || have > o.have || have == o.have && need < o.need {
		o.need, o.have = need, have
	}
}

func (o *obstacle) reason() workload.Reason {
	switch {
	case o.reserved:
		if why, ok := o.b.whyReserved(o.j.ID); ok {
			return why
		}
		return workload.Why(workload.CodeReserved)
	case o.local:
		if h, ok := o.b.holdOf(o.j.ID); ok && h.known() {
			return workload.Why(workload.CodeDataLocal, workload.Count("needs", int64(h.width)), workload.Count("reserved", int64(h.free)), workload.When("starts by", h.at))
		}
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
	if _, ends := b.ends[j.ID]; ends || b.yields(j.ID) {
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
	b.claims[j.ID] = b.claimOf(&j)
	job := decide.Job{KillMicro: b.killMicro(&j, a, money), Current: len(b.offers), On: nodeUses(on), Protected: b.protected(j, a, ci)}
	pos := b.addJob(j, job)
	b.addOffer(pos, ci, width, j.Spec.Gang.PerNode, money)
}

func nodeUses(on map[int]int64) []decide.NodeUse {
	out := make([]decide.NodeUse, 0, len(on))
	for node, n := range on { // sorted below
		out = append(out, decide.NodeUse{Node: node, Devices: n})
	}
	slices.SortFunc(out, func(x, y decide.NodeUse) int { return x.Node - y.Node })
	return out
}

// killMicro is what stopping a running job loses: the grace and the restart, and
// the work since the last checkpoint that can be relied on.
func (b *Board) killMicro(j *state.Job, a state.Attempt, money market.Money) int64 {
	lost := j.Spec.Checkpoint.Grace.Milliseconds() + restartSeconds*1000 + int64(unsaved(j, a, b.Now))
	return min(int64(money.Gross.Over(lost, workload.Up)), maxBidMicro) * int64(len(a.Devices))
}

// unsaved is the run time, in milliseconds, that a stop would lose of a running
// attempt. A job that saves itself on a schedule loses what it did since the
// last time that was due. One that saved itself when it was told to stop before
// loses nothing; one that never has may lose its whole run.
func unsaved(j *state.Job, a state.Attempt, now workload.Instant) workload.Instant {
	if a.Started == 0 {
		return 0
	}
	ran := now - a.Started
	if every := workload.Instant(j.Spec.Checkpoint.Every.Milliseconds()); every > 0 {
		return ran % every
	}
	for i := len(j.Attempts) - 1; i >= 0; i-- {
		if old := j.Attempts[i]; old.Phase.Final() && old.Preempted && old.Started != 0 {
			if old.Saved {
				return 0
			}
			break
		}
	}
	return ran
}

// protected reports whether a running job may not be preempted: within its
// tenant's guarantee, inside its own protected time, still starting, out of
// preemptions, or inside the minimum dwell with no new job to make room for.
// Without the dwell a job that has only just started would be stopped again for
// any better idea of the next round.
func (b *Board) protected(j state.Job, a state.Attempt, class int) bool {
	return !b.preemptible(&j, a) || !b.lifted[class] && b.Now-a.Started < workload.Instant(b.Cluster.MinDwell.Milliseconds())
}

// preemptible is what the job itself allows, whatever the dwell says.
func (b *Board) preemptible(j *state.Job, a state.Attempt) bool {
	if a.Phase != workload.Running || b.owed[j.ID] || b.Now-a.Started < workload.Instant(j.Spec.Limits.Protected.Milliseconds()) {
		return false
	}
	limit := j.Spec.Limits.Preemptions
	return limit == 0 || preemptions(j) < limit
}

// preemptions counts how often a job gave way while it ran.
func preemptions(j *state.Job) int {
	n := 0
	for _, old := range j.Attempts {
		if old.Phase == workload.Preempted {
			n++
		}
	}
	return n
}

func (b *Board) addJob(j state.Job, job decide.Job) int {
	job.Priority = priorityOf(j.Spec.Value.Priority)
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
		NetMicroPerHour: b.worth(job, ci, money) * int64(width), WattsMeter: max(money.Watts, c.idle.Watts) * int64(width)})
}

// worth is what one device counts for in a job's offers, gross per hour.
func (b *Board) worth(pos, ci int, money market.Money) int64 {
	return min(int64(b.claims[b.jobs[pos]].worth(money, b.others[ci], b.top)), maxBidMicro)
}

// putFirst lifts the queued jobs that a guarantee covers above all else that the
// devices could do: by more, for each device, than any one job that would have
// to give way brings, its lost work included. Once they run they are protected
// and count for their bid alone, so that the lift leaves the figures again.
func (b *Board) putFirst() {
	p := &b.Problem
	lift := int64(0)
	owed := func(pos int) bool { return p.Jobs[pos].Current == decide.None && b.owed[b.jobs[pos]] }
	any := false
	best := int64(0)
	for i, o := range p.Offers {
		if owed(o.Job) { // a bid of nothing has to carry the energy, too
			any = true
			lift = max(lift, int64(b.others[b.offers[i].class]+b.offers[i].money.Energy))
		}
		if j := p.Jobs[o.Job]; !owed(o.Job) && !j.Protected {
			kill := int64(0)
			if j.Current == i {
				kill = workload.MulDiv(j.KillMicro, 60, b.horizonMinutes(), workload.Up)
			}
			best = max(best, o.NetMicroPerHour+kill)
		}
	}
	if lift = min(lift+best+1, maxBidMicro); !any {
		return
	}
	for i := range p.Offers {
		if o := &p.Offers[i]; owed(o.Job) {
			o.NetMicroPerHour += lift * int64(narrowest(b.View.Jobs[b.jobs[o.Job]].Spec.Gang))
		}
	}
}

func (b *Board) horizonMinutes() int64 { return max(int64(b.Cluster.Horizon.Minutes()), 1) }

// uplift is by how much an offer counts for more than its money, per hour.
func (b *Board) uplift(f int) int64 {
	return b.Problem.Offers[f].NetMicroPerHour - min(int64(b.offers[f].money.Gross), maxBidMicro)*int64(b.offers[f].width)
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
		kill := b.Problem.Jobs[o.Job].KillMicro * 60 / b.horizonMinutes()
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
