package planner

import (
	"cmp"
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Preview is what a policy change would do now: both policies decided from the
// same view at the same instant.
type Preview struct {
	Before, After *Round
	Moves         []PreviewMove
	MovedDevices  int
	Displaced     []workload.JobID // jobs that run now and would be stopped
	// Cost is what the change takes from the bound, PlanCost from the plan. Where
	// the two disagree in sign the cost is below the resolution of the decision.
	Cost, PlanCost  workload.Rate
	BelowResolution bool
}

// PreviewMove counts devices of a model that would change from one use to
// another.
type PreviewMove struct {
	Devices  int
	Model    workload.ModelName
	From, To workload.Use // without rank
}

// PlanChange decides a changed policy beside the present one, each with the
// tariffs and constant prices that it names.
func PlanChange(v *state.View, changed *config.Set, now, wall workload.Instant) Preview {
	before := Compose(reprice(v, v.Policy, now), v.Policy, now, wall)
	after := Compose(reprice(v, changed, now), changed, now, wall)
	p := Preview{}
	var warm *decide.Warm
	p.Before, warm = before.Decide(nil, decide.Budget{})
	p.After, _ = after.Decide(warm, decide.Budget{})
	after = p.After.Board
	p.Cost = workload.Rate(p.Before.Result.BoundMicroPerHour - p.After.Result.BoundMicroPerHour)
	p.PlanCost = workload.Rate(p.Before.Result.ObjectiveMicroPerHour - p.After.Result.ObjectiveMicroPerHour)
	p.BelowResolution = p.Cost > 0 && p.PlanCost < 0 || p.Cost < 0 && p.PlanCost > 0
	p.countMoves(v)
	for _, id := range after.active {
		pos, on := after.jobAt[id]
		_, ends := after.ends[id]
		if ends || on && after.Problem.Jobs[pos].Current != decide.None && len(p.After.Jobs[pos]) == 0 {
			p.Displaced = append(p.Displaced, id)
		}
	}
	return p
}

func (p *Preview) countMoves(v *state.View) {
	b := p.After.Board
	counts := map[PreviewMove]int{}
	add := func(id workload.DeviceID, to workload.Use) {
		d := v.Devices[id]
		from := d.Assigned
		from.Rank, to.Rank = 0, 0
		if from != to {
			counts[PreviewMove{Model: d.Model, From: from, To: to}]++
			p.MovedDevices++
		}
	}
	for i, id := range b.devices {
		use := p.After.Placed.Uses[i]
		to, _ := b.useOf(i, use)
		if use.Kind == decide.UseJob {
			to = workload.Use{Kind: workload.Training, Job: b.jobs[b.offers[use.Index].job]}
		}
		add(id, to)
	}
	for id := range b.forced {
		add(id, workload.Use{Kind: workload.Parked})
	}
	for m, n := range counts {
		m.Devices = n
		p.Moves = append(p.Moves, m)
	}
	slices.SortFunc(p.Moves, func(a, b PreviewMove) int {
		return cmp.Or(cmp.Compare(b.Devices, a.Devices), cmp.Compare(a.Model, b.Model), cmp.Compare(a.From.String(), b.From.String()), cmp.Compare(a.To.String(), b.To.String()))
	})
}

// Target is the standing of one target.
type Target struct {
	Name     string
	Use      string
	Actual   workload.PPM
	Min, Max workload.PPM // negative = none
	Code     string
	// Best is the share that no plan can better, as far as is proven, and Limits
	// what stands in the way; of a target that is missed.
	Best   workload.PPM
	Limits []string
	// Cost is what it takes from the best possible profit, PlanCost from the plan's;
	// see Round.Costs.
	Cost, PlanCost workload.Rate
}

// Targets reports every target that this round decided, in order of name, with
// a floor and a ceiling of one target on one line.
func (r *Round) Targets() []Target {
	b := r.Board
	var out []Target
	at := map[string]int{}
	for _, rep := range r.Result.Targets {
		n := b.rows[rep.Row]
		if n.kind != config.KindTarget {
			continue
		}
		i, seen := at[n.name]
		if !seen {
			i = len(out)
			at[n.name] = i
			out = append(out, Target{Name: n.name, Use: n.target.Use, Min: -1, Max: -1, Code: string(rep.Code)})
		}
		t := &out[i]
		t.Actual = workload.PPM(rep.AchievedPPM)
		if b.Problem.Rows[rep.Row].Sense == decide.AtLeast {
			t.Min = workload.PPM(rep.WantedPPM)
		} else {
			t.Max = workload.PPM(rep.WantedPPM)
		}
		if rank(rep.Code) > rank(decide.TargetCode(t.Code)) {
			t.Code = string(rep.Code)
		}
		if rep.Short > 0 {
			t.Best, t.Limits = workload.PPM(rep.BestPossiblePPM), r.limits(rep)
		}
	}
	return out
}

func rank(c decide.TargetCode) int {
	return slices.Index([]decide.TargetCode{decide.TargetNotBinding, decide.TargetMet, decide.TargetMissed, decide.TargetConflict, decide.TargetUnattainable}, c)
}
