package sim

import (
	"time"

	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// draw makes a plan that the rules allow and no reason stands behind. Once all
// is calm it only starts what fits and mines with the rest.
func (w *world) draw(v *state.View, wall workload.Instant) (state.Plan, bool) {
	p := state.Plan{Basis: v.Index, PlanSummary: state.PlanSummary{Stage: "drawn"}}
	d := drawing{w: w, v: v, p: &p, free: map[workload.DeviceID]bool{}}
	for _, id := range v.DeviceIDs() {
		dev := v.Devices[id]
		d.free[id] = dev.Usable() && dev.NotBefore <= wall && (dev.Assigned.Kind != workload.Training) && dev.Leaving == 0
	}
	if !w.calm {
		d.preempt()
	}
	for _, id := range v.JobIDs() {
		j := v.Jobs[id]
		if j.Phase == workload.Queued && j.NotBefore <= wall && (w.calm || w.chance(60)) {
			d.start(j, 0)
		}
	}
	for _, id := range v.DeviceIDs() {
		if dev := v.Devices[id]; d.free[id] && (dev.Assigned.Kind == workload.Parked || !w.calm && w.chance(5)) {
			d.mine(dev)
		}
	}
	return p, len(p.Stops)+len(p.Moves)+len(p.Starts)+len(p.Waits) > 0
}

type drawing struct {
	w      *world
	v      *state.View
	p      *state.Plan
	free   map[workload.DeviceID]bool
	groups int
}

func (d *drawing) mine(dev state.Device) {
	use, work := workload.Use{Kind: workload.Parked}, state.Work{Watts: 20}
	if o := pick(d.w, options); d.w.calm || d.w.chance(80) {
		use, work = workload.Use{Kind: workload.Mining, Option: o.ID}, state.Work{Watts: o.Mode.Power, Hash: int64(o.Mode.Hashrate), Coin: o.Coin}
	}
	d.p.Moves = append(d.p.Moves, state.Move{Device: dev.ID, Epoch: dev.Epoch, Use: use, Work: work, Reason: workload.Why(workload.CodePrice)})
}

// preempt stops a running job, now and then for another that waits.
func (d *drawing) preempt() {
	for _, id := range d.v.JobIDs() {
		a, ok := d.v.Jobs[id].Current()
		if !ok || a.Phase.Final() || a.Phase == workload.Stopping || !d.w.chance(3) {
			continue
		}
		d.groups++
		d.p.Stops = append(d.p.Stops, state.Stop{Group: d.groups, Job: id, Attempt: a.Number, Reason: workload.Why(workload.CodePrice)})
		d.w.cover["preemptions"]++
		if d.w.chance(50) {
			for _, dev := range a.Devices {
				d.free[dev] = d.v.Devices[dev].Usable() && d.v.Devices[dev].Assigned.Job == id
			}
			for _, other := range d.v.JobIDs() {
				if j := d.v.Jobs[other]; other != id && j.Phase == workload.Queued && d.start(j, d.groups) {
					break
				}
			}
			for _, dev := range a.Devices {
				d.free[dev] = false
			}
		}
	}
}

// start places a job at random at one of its widths, or notes why it waits.
func (d *drawing) start(j state.Job, group int) bool {
	for _, st := range d.p.Starts {
		if st.Job == j.ID {
			return false
		}
	}
	widths := j.Spec.Gang.Widths()
	for range 3 {
		if seats := d.seats(j.Spec, pick(d.w, widths)); seats != nil {
			if group == 0 {
				d.groups++
				group = d.groups
			}
			d.p.Starts = append(d.p.Starts, state.Start{Group: group, Job: j.ID, Devices: seats, Reason: workload.Why(workload.CodeJob)})
			for _, s := range seats {
				d.free[s.Device] = false
			}
			return true
		}
	}
	if j.Reason.Code != workload.CodeNoFit {
		d.p.Waits = append(d.p.Waits, state.Wait{Job: j.ID, Reason: workload.Why(workload.CodeNoFit)})
	}
	return false
}

func (d *drawing) seats(spec workload.Spec, width int) []state.Seat {
	var out []state.Seat
	bid := market.Bid(documents, spec)
	nodes := d.v.NodeIDs()
	for _, i := range d.w.rng.Perm(len(nodes)) {
		per := width - len(out)
		if spec.Gang.PerNode > 0 {
			per = min(per, spec.Gang.PerNode)
		}
		var here []state.Seat
		for _, id := range d.v.Nodes[nodes[i]].Devices {
			if dev := d.v.Devices[id]; d.free[id] && len(here) < per && state.Eligible(spec, dev) {
				here = append(here, state.Seat{Device: id, Epoch: dev.Epoch, Work: state.Work{Watts: 300, Rate: bid, Tenant: spec.Tenant}})
			}
		}
		if spec.Gang.PerNode == 0 || len(here) == per {
			out = append(out, here...)
		}
		if len(out) == width {
			return out
		}
	}
	return nil
}

// lifeOf is how long a workload runs by itself; 0 means until it is told.
func (w *world) lifeOf(p *proc) time.Duration {
	if p.run.Train == nil {
		if w.calm || !w.chance(5) {
			return 0
		}
		return w.between(time.Second, time.Minute)
	}
	k := attemptKey{p.run.Train.Job, p.run.Train.Attempt}
	if _, begun := w.seen.ends[k]; !begun {
		w.seen.ends[k] = w.now + w.between(2*time.Second, 25*time.Second)
		if w.chance(25) && !w.calm {
			w.seen.codes[k] = 1
		}
	}
	return max(w.seen.ends[k]-w.now, time.Millisecond) + w.between(0, 300*time.Millisecond)
}

func (w *world) exitOf(p *proc) int {
	if p.run.Train == nil {
		return 1
	}
	return w.seen.codes[attemptKey{p.run.Train.Job, p.run.Train.Attempt}]
}
