package planner

import (
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// addLive lists the jobs that a decision can concern: of the ten thousand that
// a state remembers most have ended. It looks at each job once, since a queue
// may be long.
func (b *Board) addLive() {
	at := map[kinKey]int{}
	for id, j := range b.View.Jobs { // sorted below, kinds and their members in addQueue
		switch {
		case j.Phase == workload.Active:
			b.active = append(b.active, id)
			b.topBid = max(b.topBid, market.Bid(b.Policy, j.Spec))
		case j.Phase == workload.Queued && j.NotBefore <= b.Wall && !b.withheld[id]:
			b.lineUp(&j, at) // others back off or have no placement: their reason says so
		}
	}
	slices.Sort(b.active)
}

// attempt returns a job's attempt if it holds devices that may be decided on.
func (b *Board) attempt(id workload.JobID) (state.Job, state.Attempt, bool) {
	j := b.View.Jobs[id]
	a, ok := j.Current()
	return j, a, ok && j.Phase == workload.Active && !a.Phase.Final() && a.Phase != workload.Stopping
}

// setAside fixes what the decision must leave alone, and forces what must park
// whatever it nets.
func (b *Board) setAside() {
	for _, id := range b.ids {
		d := b.View.Devices[id]
		if d.Use.Kind == workload.Unknown || d.Use.Kind == workload.Offline {
			b.fixed[id] = workload.Why(workload.CodeSilent) // nobody hears an order
			continue
		}
		if d.Health == workload.InQuarantine { // what runs there is moved, and nothing follows it
			b.forced[id] = unhealthy(d)
			continue
		}
		why, aside := b.unfit(d)
		frozen := false
		for _, doc := range b.overrides {
			o := doc.Override
			if !o.Freeze && o.Use != config.OverridePark || !inScope(o.Scope, d) {
				continue
			}
			by := workload.Why(workload.CodeOverride, workload.Name("override", doc.Name), workload.Name("because", o.Reason))
			if o.Freeze {
				why, aside, frozen = by, true, true
			} else if _, twice := b.forced[id]; !twice {
				b.forced[id] = by
			}
		}
		if frozen { // nothing changes, not even by another person's order
			delete(b.forced, id)
		}
		if _, forced := b.forced[id]; forced || !aside {
			continue
		}
		// Neither a fault nor a person may let a device mine where it is
		// forbidden, and what no profile describes cannot be told how to mine.
		if d.Assigned.Kind == workload.Mining {
			if ban := b.sites[d.Site].ban; ban != "" {
				b.forced[id] = workload.Why(workload.CodeBan, workload.Name("calendar", ban))
				continue
			}
			if why.Code == workload.CodeNoProfile {
				b.forced[id] = why
				continue
			}
		}
		b.fixed[id] = why
	}
}

// unfit says why a device can be given no work, if so.
func (b *Board) unfit(d state.Device) (workload.Reason, bool) {
	switch {
	case d.Foreign != "":
		return workload.Why(workload.CodeForeign, workload.Name("by", d.Foreign)), true
	case !d.Usable():
		return unhealthy(d), true
	case b.Policy.Profile(d.Model) == nil:
		return workload.Why(workload.CodeNoProfile, workload.Name("model", string(d.Model))), true
	case d.NotBefore > b.Wall && d.Assigned.Kind == workload.Parked:
		why := workload.Why(workload.CodeStartFailed, workload.Count("failures", int64(d.Failures)))
		if d.Reason.Code == workload.CodeStartFailed {
			why = d.Reason
		}
		return why, true
	}
	return workload.Reason{}, false
}

// unhealthy names what is wrong with a device.
func unhealthy(d state.Device) workload.Reason {
	if d.Code == "" {
		return workload.Why(workload.CodeUnhealthy, workload.Name("note", d.Note))
	}
	return workload.Why(workload.CodeUnhealthy, workload.Name("fault", d.Code), workload.Name("note", d.Note))
}

// setAsideGangs treats every gang as one: it ends as a whole where a time limit
// or a forced device ends it, and is left alone as a whole where one device is,
// or where no single class describes it.
func (b *Board) setAsideGangs(keys map[workload.DeviceID]classKey) {
	for _, id := range b.active {
		j, a, ok := b.attempt(id)
		if !ok {
			continue
		}
		if why, ends := b.endOf(j, a); ends {
			b.ends[id] = why
			continue
		}
		why, aside := b.standsAside(a, keys)
		if !aside {
			continue
		}
		b.outside[j.Spec.Tenant] += int64(len(a.Devices))
		for _, dev := range a.Devices {
			if _, also := b.fixed[dev]; !also {
				b.fixed[dev], b.mates[dev] = why, true
			}
		}
	}
}

// endOf says why a running job must stop whatever the decision.
func (b *Board) endOf(j state.Job, a state.Attempt) (workload.Reason, bool) {
	for _, dev := range a.Devices {
		if why, ok := b.forced[dev]; ok {
			return why, true
		}
	}
	limit := j.Spec.Limits.Time
	if a.Phase == workload.Running && limit > 0 && ranFor(j, b.Now) >= workload.Instant(limit.Milliseconds()) {
		return workload.Why(workload.CodeTimeLimit, workload.Span("limit", limit)), true
	}
	return workload.Reason{}, false
}

func (b *Board) standsAside(a state.Attempt, keys map[workload.DeviceID]classKey) (workload.Reason, bool) {
	for _, dev := range a.Devices {
		if why, ok := b.fixed[dev]; ok {
			return why, true
		}
	}
	first := a.Devices[0]
	for _, dev := range a.Devices {
		if keys[dev] != keys[first] {
			return workload.Why(workload.CodeJob), true
		}
	}
	if p := b.Policy.Profile(b.View.Devices[first].Model); p == nil || p.Training == nil {
		return workload.Why(workload.CodeJob), true // what it nets is no longer known
	}
	return workload.Reason{}, false
}

// ranFor adds up a job's run time over its attempts, by the market clock.
func ranFor(j state.Job, now workload.Instant) workload.Instant {
	var sum workload.Instant
	for _, a := range j.Attempts {
		switch {
		case a.Started == 0:
		case a.Ended != 0:
			sum += a.Ended - a.Started
		default:
			sum += now - a.Started
		}
	}
	return sum
}

// draw is what a device outside the decision takes from its zone.
func (b *Board) draw(id workload.DeviceID) int64 {
	d := b.View.Devices[id]
	if _, forced := b.forced[id]; !forced && (d.Assigned.Kind == workload.Mining || d.Assigned.Kind == workload.Training) {
		return d.Work.Watts
	}
	if d.Use.Kind == workload.Offline {
		return 0
	}
	return market.ParkedMoney(b.Policy.Profile(d.Model), market.PUE(b.Policy, d.Site, d.Hall), 0).Watts
}
