package planner

import (
	"maps"
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Round is a decided board.
type Round struct {
	Board  *Board
	Result decide.Result
	Placed decide.Placement
	// Jobs says, by position on the board, which devices each placed job gets.
	Jobs [][]int
	// draw is what the plan draws in each zone with all below it, in watts.
	draw []int64
	warm *decide.Warm // to ask further questions from
}

// settle maps the counts of an answer to devices.
func (b *Board) settle(result decide.Result) *Round {
	r := &Round{Board: b, Result: result, Jobs: make([][]int, len(b.jobs))}
	r.Placed, _ = decide.Place(b.Inventory, b.placement(), &b.Problem, result.Plan)
	for i, use := range r.Placed.Uses {
		if use.Kind == decide.UseJob {
			job := b.offers[use.Index].job
			r.Jobs[job] = append(r.Jobs[job], i)
		}
	}
	r.draw = r.drawn()
	return r
}

// drawn adds up what the placement draws, by zone.
func (r *Round) drawn() []int64 {
	b := r.Board
	draw := make([]int64, len(b.zones))
	for i, use := range r.Placed.Uses {
		c := &b.classes[b.Inventory.Devices[i].Class]
		watts := c.idle.Watts
		switch use.Kind {
		case decide.UseMining:
			watts = b.Problem.Mining[use.Index].WattsMeter
		case decide.UseJob:
			watts = b.Problem.Offers[use.Index].WattsMeter / b.Problem.Offers[use.Index].Width
		}
		draw[c.key.zone] += watts
	}
	for z := len(draw) - 1; z >= 0; z-- { // a parent stands before its children
		if up := b.Problem.Zones[z].Parent; up != decide.None {
			draw[up] += draw[z]
		}
	}
	return draw
}

// quickFleet is the size, in devices, above which the linear relaxation from
// cold takes longer than a person who submits a job should wait.
const quickFleet = 2_000

// Budget is how much work a round of the leader may do. From cold, an arrival on
// a large fleet gets the first certified plan, which takes a fraction of the
// time; the round after it improves on that in full. From a warm start the full
// round is as fast.
func (b *Board) Budget(w *decide.Warm) decide.Budget {
	if w == nil && len(b.devices) > quickFleet && slices.ContainsFunc(b.Problem.Jobs, func(j decide.Job) bool { return j.Arrived }) {
		return decide.Quick
	}
	return decide.Budget{}
}

// placement is what the inventory is ordered to do now.
func (b *Board) placement() decide.Placement {
	uses := make([]decide.Use, len(b.devices))
	cellOf := map[classOption]int{}
	for i, c := range b.cells {
		cellOf[classOption{c.class, c.option.ID}] = i
	}
	for i, id := range b.devices {
		d := b.View.Devices[id]
		uses[i] = decide.Use{Kind: decide.UseParked, Index: decide.None}
		switch d.Assigned.Kind {
		case workload.Mining:
			if c, ok := cellOf[classOption{b.Inventory.Devices[i].Class, d.Assigned.Option}]; ok {
				uses[i] = decide.Use{Kind: decide.UseMining, Index: c}
			}
		case workload.Training:
			if j, ok := b.jobAt[d.Assigned.Job]; ok {
				if o := b.Problem.Jobs[j].Current; o != decide.None {
					uses[i] = decide.Use{Kind: decide.UseJob, Index: o}
				}
			}
		}
	}
	for _, x := range b.exchanges {
		for _, i := range x.devices {
			uses[i] = decide.Use{Kind: decide.UseJob, Index: b.Problem.Jobs[x.pos].Current}
		}
	}
	return decide.Placement{Uses: uses}
}

type classOption struct {
	class  int
	option workload.OptionID
}

// Plan names what has to change, or returns false when nothing does.
func (r *Round) Plan() (state.Plan, bool) {
	b := r.Board
	p := state.Plan{Basis: b.View.Index, PlanSummary: state.PlanSummary{
		Stage: string(r.Result.Stage), GapPPM: r.Result.GapPPM, Gap: workload.Rate(r.Result.GapMicroPerHour),
		Objective: workload.Rate(r.Result.ObjectiveMicroPerHour - r.uplift()), Bound: workload.Rate(r.Result.BoundMicroPerHour - r.uplift())}}
	mining, parked := b.Baseline()
	p.Baseline = &ledger.Baseline{AllMining: mining, AllParked: parked}

	groups := r.addStops(&p)
	r.addMoves(&p, groups)
	r.addStarts(&p, groups)
	r.addWaits(&p)
	changes := len(p.Stops)+len(p.Moves)+len(p.Starts)+len(p.Waits)+len(p.Reasons) > 0
	return p, changes
}

// uplift is what the plan's jobs count for beyond their money; people are told
// money.
func (r *Round) uplift() int64 {
	sum := int64(0)
	for _, f := range r.Result.Plan.Jobs {
		if f != decide.None {
			sum += r.Board.uplift(f)
		}
	}
	return sum
}

// addStops preempts the running jobs that the plan does not keep, each as a
// group of its own, and returns the group of every device so freed.
func (r *Round) addStops(p *state.Plan) map[workload.DeviceID]int {
	b := r.Board
	groups := map[workload.DeviceID]int{}
	for pos, id := range b.jobs {
		if b.Problem.Jobs[pos].Current == decide.None || len(r.Jobs[pos]) > 0 || b.exchangeOf(id) != nil {
			continue
		}
		a, _ := b.View.Jobs[id].Current()
		group := len(p.Stops) + 1
		why := workload.Why(workload.CodePreempted, workload.RateOf("bid", market.Bid(b.Policy, b.View.Jobs[id].Spec)))
		if c := b.classes[b.offers[b.Problem.Jobs[pos].Current].class]; c.key.noTrain {
			why = c.by
		}
		p.Stops = append(p.Stops, state.Stop{Group: group, Job: id, Attempt: a.Number, Reason: why})
		for _, dev := range a.Devices {
			groups[dev] = group
		}
	}
	for _, x := range b.exchanges {
		group := len(p.Stops) + 1
		for _, id := range x.victims {
			a, _ := b.View.Jobs[id].Current()
			p.Stops = append(p.Stops, state.Stop{Group: group, Job: id, Attempt: a.Number,
				Reason: workload.Why(workload.CodePreempted, workload.Count("for job", int64(x.job)))})
			for _, dev := range a.Devices {
				groups[dev] = group
			}
		}
	}
	// What ends whatever the decision stands in no group: nothing that takes the
	// devices may hinder it.
	for _, id := range b.active {
		if why, ends := b.ends[id]; ends {
			a, _ := b.View.Jobs[id].Current()
			p.Stops = append(p.Stops, state.Stop{Job: id, Attempt: a.Number, Reason: why})
		}
	}
	return groups
}

func (r *Round) addMoves(p *state.Plan, groups map[workload.DeviceID]int) {
	b := r.Board
	known := map[reasonKey]workload.Reason{}
	for i, id := range b.devices {
		use := r.Placed.Uses[i]
		if use.Kind == decide.UseJob {
			continue
		}
		d := b.View.Devices[id]
		want, work := b.useOf(i, use)
		key := r.keyOf(i, d, use)
		why, ok := known[key]
		if !ok {
			why = r.reason(key)
			known[key] = why
		}
		switch {
		case d.Assigned != want:
			p.Moves = append(p.Moves, state.Move{Group: groups[id], Device: id, Epoch: d.Epoch, Use: want, Work: work, Reason: why})
		case work != d.Work && want.Kind == workload.Mining:
			// Same use, other figures (a new profile or fee): the ledger must know.
			p.Moves = append(p.Moves, state.Move{Device: id, Epoch: d.Epoch, Use: want, Work: work, Reason: why})
		case d.Reason.Code != why.Code:
			p.Reasons = append(p.Reasons, state.DeviceReason{Device: id, Epoch: d.Epoch, Reason: why})
		}
	}
	for _, id := range b.ids {
		d := b.View.Devices[id]
		if why, forced := b.forced[id]; forced && d.Assigned.Kind != workload.Parked {
			p.Moves = append(p.Moves, state.Move{Device: id, Epoch: d.Epoch, Use: workload.Use{Kind: workload.Parked},
				Work: state.Work{Watts: b.draw(id)}, Reason: why})
		} else if !forced {
			if why, forced = b.fixed[id]; !forced || b.mates[id] {
				continue
			}
			r.note(p, d, why)
		} else {
			r.note(p, d, why)
		}
	}
}

// note records why a device that is not moved does what it does.
func (r *Round) note(p *state.Plan, d state.Device, why workload.Reason) {
	if d.Reason.Code != why.Code {
		p.Reasons = append(p.Reasons, state.DeviceReason{Device: d.ID, Epoch: d.Epoch, Reason: why})
	}
}

// useOf translates a use back into names, with the work it comes to.
func (b *Board) useOf(i int, use decide.Use) (workload.Use, state.Work) {
	c := b.classes[b.Inventory.Devices[i].Class]
	if use.Kind != decide.UseMining {
		return workload.Use{Kind: workload.Parked}, state.Work{Watts: c.idle.Watts}
	}
	cell := b.cells[use.Index]
	return workload.Use{Kind: workload.Mining, Option: cell.option.ID},
		state.Work{Watts: cell.money.Watts, Hash: cell.option.Hash, Coin: cell.option.Coin}
}

// addStarts grants gangs to the jobs that the plan newly places. A gang that
// takes devices from a stopped job shares that stop's group: neither happens
// without the other.
func (r *Round) addStarts(p *state.Plan, groups map[workload.DeviceID]int) {
	b := r.Board
	for pos, id := range b.jobs {
		if b.Problem.Jobs[pos].Current != decide.None && b.exchangeOf(id) == nil || len(r.Jobs[pos]) == 0 {
			continue
		}
		o := b.offers[r.Placed.Uses[r.Jobs[pos][0]].Index]
		st := state.Start{Job: id, Reason: r.whyTrains(o)}
		for _, i := range r.Jobs[pos] {
			dev := b.devices[i]
			if g := groups[dev]; g > 0 {
				st.Group = merge(p, groups, st.Group, g)
			}
			st.Devices = append(st.Devices, state.Seat{Device: dev, Epoch: b.View.Devices[dev].Epoch,
				Work: state.Work{Watts: o.money.Watts, Rate: o.money.Gross, Tenant: b.View.Jobs[id].Spec.Tenant}})
		}
		p.Starts = append(p.Starts, st)
	}
	for i := range p.Starts { // a later merge may have renamed a group
		for _, seat := range p.Starts[i].Devices {
			if g := groups[seat.Device]; g > 0 {
				p.Starts[i].Group = g
			}
		}
	}
}

// merge makes two groups one and returns it.
func merge(p *state.Plan, groups map[workload.DeviceID]int, a, b int) int {
	if a == 0 || a == b {
		return b
	}
	for dev, g := range groups {
		if g == a {
			groups[dev] = b
		}
	}
	for i := range p.Stops {
		if p.Stops[i].Group == a {
			p.Stops[i].Group = b
		}
	}
	for i := range p.Moves {
		if p.Moves[i].Group == a {
			p.Moves[i].Group = b
		}
	}
	return b
}

// addWaits says of every job that stays queued why it does. While a plan is
// held nothing has changed much, so that only jobs without a reason are asked
// about.
func (r *Round) addWaits(p *state.Plan) {
	b := r.Board
	note := func(id workload.JobID, why workload.Reason) {
		if b.View.Jobs[id].Reason.Code != why.Code {
			p.Waits = append(p.Waits, state.Wait{Job: id, Reason: why})
		}
	}
	var x *decide.Explainer
	asked := slices.Concat(b.asked, slices.Collect(maps.Keys(b.withheld)))
	slices.Sort(asked)
	for _, id := range slices.Compact(asked) {
		if why, ok := b.waits[id]; ok {
			note(id, why)
			continue
		}
		pos, ok := b.jobAt[id]
		if !ok || b.Problem.Jobs[pos].Current != decide.None || len(r.Jobs[pos]) > 0 {
			continue
		}
		if r.Result.Stage == decide.StageHeld && answered(b.View.Jobs[id].Reason.Code) {
			continue
		}
		if x == nil {
			x = decide.NewExplainer(&b.Problem, &r.Result)
		}
		note(id, r.whyJob(x, pos))
	}
}

// answered reports whether a queued job's code is one that a round gave it: it
// has been decided on since it was queued.
func answered(c workload.Code) bool {
	switch c {
	case workload.CodeNoFit, workload.CodeNoModel, workload.CodeNoProfile, workload.CodeOverride, workload.CodePrice, workload.CodeCap,
		workload.CodeQuota, workload.CodeDataLocal, workload.CodeHeld, workload.CodeIntegrality, workload.CodeReserved, workload.CodeQueue:
		return true
	}
	return false
}
