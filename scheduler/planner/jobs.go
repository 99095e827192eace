package planner

import (
	"slices"
	"strings"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// restartCost is the run time that a preempted job loses besides what it needs
// to save itself: starting again and reading its checkpoint.
const restartSeconds = 60

func (b *Board) addJobs() {
	for _, id := range b.View.JobIDs() {
		j := b.View.Jobs[id]
		switch j.Phase {
		case workload.Queued:
			if j.NotBefore > b.Wall {
				continue // backing off; its reason says so
			}
			b.addQueued(j)
		case workload.Active:
			b.addRunning(j)
		}
	}
}

// addQueued offers a job to every class it may run on. Where there is none, the
// first filter that left nothing is the reason.
func (b *Board) addQueued(j state.Job) {
	bid := market.Bid(b.Policy, j.Spec)
	pos := -1
	why := workload.Why(workload.CodeNoModel)
	local, bound := b.localNodes(j)
	for ci := range b.classes {
		c := b.classes[ci]
		if c.kind != workload.GPU || c.key.noTrain || !b.eligible(j, c) {
			continue
		}
		money, ok := market.TrainingMoney(b.Policy.Profile(c.key.model), bid, c.pue, b.sites[c.site].micro)
		if !ok {
			why = workload.Why(workload.CodeNoProfile, workload.Name("model", string(c.key.model)))
			continue
		}
		here := len(c.devices)
		if bound {
			here = b.countOn(c, local)
		}
		for _, w := range j.Spec.Gang.Widths() {
			if bound && w > here && w <= len(c.devices) {
				// Counted as placeable it would keep others out and never start.
				why = workload.Why(workload.CodeDataLocal)
				continue
			}
			if w > len(c.devices) {
				if why.Code == workload.CodeNoModel {
					why = workload.Why(workload.CodeNoFit, workload.Count("needs", int64(w)), workload.Count("best place has", int64(len(c.devices))))
				}
				continue
			}
			if pos < 0 {
				pos = b.addJob(j, decide.Job{Current: decide.None, Arrived: j.Reason.Code == workload.CodeNew})
			}
			b.addOffer(pos, ci, w, j.Spec.Gang.PerNode, money)
		}
	}
	if pos < 0 {
		b.waits[j.ID] = why
		return
	}
	if bound {
		b.localise(pos, local)
	}
}

// eligible reports whether a class's devices are of the kind the gang asks for.
func (b *Board) eligible(j state.Job, c class) bool {
	return state.Eligible(j.Spec, b.View.Devices[b.devices[c.devices[0]]])
}

// addRunning offers a running job what it holds, and nothing else: it is kept
// or stopped, never moved under way.
func (b *Board) addRunning(j state.Job) {
	a, ok := j.Current()
	if !ok || a.Phase == workload.Stopping || a.Phase.Final() {
		return
	}
	ci := -1
	on := map[int]int64{}
	for _, dev := range a.Devices {
		i, inside := b.place[dev]
		if !inside {
			return // left alone as a whole
		}
		d := b.Inventory.Devices[i]
		if ci >= 0 && d.Class != ci {
			b.freeze(a)
			return
		}
		ci = d.Class
		on[d.Node]++
	}
	c := b.classes[ci]
	money, ok := market.TrainingMoney(b.Policy.Profile(c.key.model), market.Bid(b.Policy, j.Spec), c.pue, b.sites[c.site].micro)
	if !ok {
		b.freeze(a)
		return
	}
	width := len(a.Devices)
	lost := money.Gross.Over(j.Spec.Checkpoint.Grace.Milliseconds()+restartSeconds*1000, workload.Up)
	if every := j.Spec.Checkpoint.Every; every > 0 {
		lost += money.Gross.Over(every.Milliseconds()/2, workload.Up)
	}
	job := decide.Job{KillMicro: int64(lost) * int64(width), Current: len(b.offers), Protected: b.protected(j, a)}
	for node, n := range on {
		job.On = append(job.On, decide.NodeUse{Node: node, Devices: n})
	}
	slices.SortFunc(job.On, func(x, y decide.NodeUse) int { return x.Node - y.Node })
	pos := b.addJob(j, job)
	b.addOffer(pos, ci, width, j.Spec.Gang.PerNode, money)
}

// protected reports whether a running job may not be preempted: inside the
// minimum dwell or its own protected time, still starting, or out of
// preemptions. Without the dwell a job that has only just started would be
// stopped again for any better idea of the next round.
func (b *Board) protected(j state.Job, a state.Attempt) bool {
	if a.Phase != workload.Running {
		return true
	}
	if p := max(j.Spec.Limits.Protected, b.Cluster.MinDwell); p > 0 && b.Now-a.Started < workload.Instant(p.Milliseconds()) {
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

// freeze takes the devices of an attempt that no single class describes out of
// the decision. Their draw was counted with their class's, so nothing is lost
// but the freedom to stop the job this round.
func (b *Board) freeze(a state.Attempt) {
	for _, dev := range a.Devices {
		i := b.place[dev]
		ci := b.Inventory.Devices[i].Class
		b.fixed[dev] = workload.Why(workload.CodeJob)
		b.classes[ci].devices = slices.DeleteFunc(slices.Clone(b.classes[ci].devices), func(k int) bool { return k == i })
		b.Problem.Classes[ci].Devices--
		b.Problem.Classes[ci].Nodes = b.shapes(ci)
		b.deduct(b.classes[ci].key.zone, b.draw(dev))
	}
}

func (b *Board) addJob(j state.Job, job decide.Job) int {
	job.Priority = map[workload.Priority]int{workload.Low: -1, workload.High: 1}[j.Spec.Value.Priority]
	job.Tenant = b.tenant(j.Spec.Tenant)
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
		NetMicroPerHour: int64(money.Gross) * int64(width), WattsMeter: max(money.Watts, c.idle.Watts) * int64(width)})
}

func (b *Board) tenant(name workload.TenantName) int {
	if i := slices.Index(b.tenants, name); i >= 0 {
		return i
	}
	b.tenants = append(b.tenants, name)
	return len(b.tenants) - 1
}

// localNodes are the nodes that may hold the checkpoint of a job that has run
// before; bound is false where any node will do, because it has none or because
// its directory lies under a path the site shares.
func (b *Board) localNodes(j state.Job) (nodes []int, bound bool) {
	if j.Spec.Checkpoint.Dir == "" || len(j.CheckpointNodes) == 0 {
		return nil, false
	}
	for d := range b.Policy.OfKind(config.KindSite) {
		for _, shared := range d.Site.SharedPaths {
			if strings.HasPrefix(j.Spec.Checkpoint.Dir, strings.TrimSuffix(shared, "/")+"/") {
				return nil, false
			}
		}
	}
	for _, n := range j.CheckpointNodes {
		if at, ok := b.nodeAt[n]; ok {
			nodes = append(nodes, at)
		}
	}
	slices.Sort(nodes)
	return nodes, true
}

// countOn counts the devices of a class on some nodes.
func (b *Board) countOn(c class, nodes []int) int {
	n := 0
	for _, i := range c.devices {
		if slices.Contains(nodes, b.Inventory.Devices[i].Node) {
			n++
		}
	}
	return n
}

// localise restricts a job to nodes.
func (b *Board) localise(pos int, nodes []int) {
	for len(b.Inventory.Local) <= pos {
		b.Inventory.Local = append(b.Inventory.Local, nil)
	}
	b.Inventory.Local[pos] = append([]int{}, nodes...)
}
