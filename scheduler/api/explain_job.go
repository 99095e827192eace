package api

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func (o *operator) ExplainJob(ctx context.Context, req *sluicev1.ExplainJobRequest) (*sluicev1.JobExplanation, error) {
	m, err := o.explainJob(ctx, req.GetId())
	return answer(o, "ExplainJob", m, err)
}

func (o *operator) explainJob(ctx context.Context, text string) (*sluicev1.JobExplanation, error) {
	v := o.core.View()
	j, err := find(v, text)
	if err != nil {
		return nil, err
	}
	now, wall := o.clock(v)
	currency := v.Policy.Cluster().Currency
	m := &sluicev1.JobExplanation{Job: job(v, j), Plan: summary(v, o.core.Round()), Currency: currency, BreakEvenBid: -1}
	x := planner.JobExplanation{BreakEvenBid: -1}
	if j.Phase == workload.Active || j.Phase == workload.Queued && j.NotBefore <= wall {
		if x, err = o.explainDecided(ctx, v, j); err != nil {
			return nil, err
		}
		m.BreakEvenBid = int64(max(x.BreakEvenBid, -1))
	}
	if len(x.Reasons) == 0 {
		x.Reasons = []workload.Reason{j.Reason}
	}
	for _, why := range x.Reasons {
		m.Reasons = append(m.Reasons, reason(why, currency))
	}
	because := capital(x.Reasons[0].Sentence(currency)) + "."
	if x.Reasons[0].Code == workload.CodePrice && x.Tried {
		because = fmt.Sprintf("It bids %s and would start now at %s.", bidText(market.Bid(v.Policy, j.Spec), currency), bidText(x.BreakEvenBid, currency))
	}
	m.Verdict = jobVerdict(j, because, now, wall)
	m.Ways = ways(v, j, x, currency)
	return m, nil
}

// explainDecided asks the decision what a job waits on and what bid would start
// it, or why it goes on.
func (o *operator) explainDecided(ctx context.Context, v *state.View, j state.Job) (planner.JobExplanation, error) {
	done, err := o.solve(ctx)
	if err != nil {
		return planner.JobExplanation{}, err
	}
	defer done()
	r := o.roundFor(v, func(decided *state.View) bool {
		was, ok := decided.Jobs[j.ID]
		return ok && was.Phase == j.Phase && len(was.Attempts) == len(j.Attempts)
	})
	return r.ExplainJob(j.ID), nil
}

// jobVerdict says in one or two sentences where a job stands and why.
func jobVerdict(j state.Job, because string, now, wall workload.Instant) string {
	a, _ := j.Current()
	switch j.Phase {
	case workload.Queued:
		if j.NotBefore > wall {
			return fmt.Sprintf("Tries again in %s, after attempt %d ended. %s", workload.FormatSpan(j.NotBefore.Sub(wall)), a.Number, because)
		}
		return fmt.Sprintf("Queued for %s. %s", workload.FormatSpan(now.Sub(j.Submitted)), because)
	case workload.Active:
		return activeVerdict(a, now)
	case workload.Waiting, workload.Held:
		return because
	}
	return fmt.Sprintf("%s %s after it was submitted. %s", capital(string(j.Phase)), workload.FormatSpan(j.Ended.Sub(j.Submitted)), because)
}

func activeVerdict(a state.Attempt, now workload.Instant) string {
	n := fmt.Sprintf("%d device", len(a.Devices))
	if len(a.Devices) != 1 {
		n += "s"
	}
	switch a.Phase {
	case workload.Reserved:
		free := 0
		for _, f := range a.Freed {
			if f {
				free++
			}
		}
		return fmt.Sprintf("Has %s; %d of them are free, and it starts when all are.", n, free)
	case workload.Starting:
		return fmt.Sprintf("Is starting on %s of %s.", n, nodesOf(a))
	case workload.Stopping:
		return fmt.Sprintf("Is stopping on %s of %s.", n, nodesOf(a))
	}
	return fmt.Sprintf("Runs on %s of %s for %s, attempt %d.", n, nodesOf(a), workload.FormatSpan(now.Sub(a.Started)), a.Number)
}

func nodesOf(a state.Attempt) string {
	var names []string
	for _, d := range a.Devices {
		if n := string(d.Node()); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if len(names) > 3 {
		return fmt.Sprintf("%d nodes", len(names))
	}
	return strings.Join(names, ", ")
}

// ways lists what a person can do, each with the command to type at its end.
func ways(v *state.View, j state.Job, x planner.JobExplanation, currency string) []string {
	var out []string
	way := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	id := j.ID.String()
	switch j.Phase {
	case workload.Queued:
		if bid := market.Bid(v.Policy, j.Spec); x.BreakEvenBid > bid {
			way("set value.bid to %s in its file (it bids %s), cancel it and submit it again: sluice job cancel %s && sluice job submit FILE",
				bidText(x.BreakEvenBid, currency), bidText(bid, currency), id)
		}
		for _, e := range x.Evicts {
			way("wait for job %s, which a start now would stop: sluice job show %s", e, e)
		}
		if len(x.Reasons) > 0 {
			switch x.Reasons[0].Code {
			case workload.CodeNoModel, workload.CodeNoFit, workload.CodeNoProfile:
				way("see which devices there are: sluice gpu list")
			case workload.CodeQuota, workload.CodeCap, workload.CodeTarget:
				way("see the rules in force: sluice policy get")
			}
		}
		way("give it up: sluice job cancel %s", id)
	case workload.Waiting:
		for _, after := range j.Spec.After {
			way("see the job it waits on: sluice explain job %s", after.Job)
		}
	case workload.Active:
		way("read what it writes: sluice job logs %s", id)
		way("stop it: sluice job cancel %s", id)
	case workload.Failed:
		way("read what it wrote: sluice job logs %s", id)
	}
	return out
}
