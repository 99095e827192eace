package planner

import (
	"time"

	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// What makes one job's claim on devices stronger than another's of the same bid.
// DESIGN.md has the formulae.
const (
	// agingSpan is the wait after which a job that pays its way has as good a
	// claim as the best newcomer, agingStep the step in which waiting counts, so
	// that a quiet queue asks the same question round after round.
	agingSpan = 24 * time.Hour
	agingStep = 10 * time.Minute
	agingMost = 100 * workload.One

	lowFactor  = workload.One / 2
	highFactor = 2 * workload.One

	// urgencyMost is the factor at which a deadline counts just before it is
	// critical; it begins to count when the slack is as long as the run that is
	// left, or shortRun for shorter ones.
	urgencyMost = 4 * workload.One
	shortRun    = time.Hour
	// criticalSlack is the slack at which a job goes before all bids, and past
	// which, below zero, its deadline is lost and no longer counts.
	criticalSlack = 10 * time.Minute
)

// level is what goes before any bid.
type claimLevel int

const (
	plain      claimLevel = iota
	critical              // its deadline is lost unless it starts now
	guaranteed            // within its tenant's guarantee
)

// claim is a job's standing against other jobs. It holds for a running job as
// for a queued one: what it had when it started it keeps, or the next round
// would take back what the last one gave.
type claim struct {
	bid    workload.Rate
	factor workload.PPM // priority x urgency
	age    workload.PPM // time waited, in agingSpans
	level  claimLevel
	waited workload.Instant // ms, by the market clock
	slack  workload.Instant // ms until it has to run without pause; only with a deadline
	dated  bool             // it has a deadline that can still be met
}

// claimOf works out a job's standing at an instant of the market clock. The
// guarantee of its tenant is not known here; see guarantee.go.
func (b *Board) claimOf(j *state.Job) claim {
	c := claim{bid: market.Bid(b.Policy, j.Spec), factor: workload.One}
	switch j.Spec.Value.Priority {
	case workload.Low:
		c.factor = lowFactor
	case workload.High:
		c.factor = highFactor
	}
	c.waited = waited(j, b.Now)
	step := workload.Instant(agingStep.Milliseconds())
	c.age = min(workload.PPM(workload.MulDiv(int64(c.waited/step*step), int64(workload.One), agingSpan.Milliseconds(), workload.Down)), agingMost)
	if j.Spec.Value.Deadline == 0 {
		return c
	}
	left := runLeft(j, b.Now)
	c.slack = j.Spec.Value.Deadline - b.Now - left
	urgency := workload.One
	urgency, c.level, c.dated = urgencyOf(c.slack, left)
	c.factor = workload.PPM(urgency.Of(int64(c.factor), workload.Down))
	return c
}

// urgencyOf is how much a deadline adds to a claim, from the slack before it and
// the run time that is left, both in milliseconds: nothing while the slack is
// longer than the run, then rising evenly to urgencyMost, then the level above
// bids. A deadline that is lost counts no more, so that it costs no other.
func urgencyOf(slack, left workload.Instant) (factor workload.PPM, level claimLevel, dated bool) {
	edge := workload.Instant(criticalSlack.Milliseconds())
	span := max(left, workload.Instant(shortRun.Milliseconds()))
	switch {
	case slack < -edge:
		return workload.One, plain, false
	case slack <= edge:
		return urgencyMost, critical, true
	case slack >= span:
		return workload.One, plain, true
	}
	return workload.One + workload.PPM(workload.MulDiv(int64(urgencyMost-workload.One), int64(span-slack), int64(span), workload.Down)), plain, true
}

// runLeft is how long a job still has to run, in milliseconds: what its time
// limit leaves, since nothing else is known of its length.
func runLeft(j *state.Job, now workload.Instant) workload.Instant {
	limit := workload.Instant(j.Spec.Limits.Time.Milliseconds())
	if limit == 0 {
		return 0
	}
	return max(limit-ranFor(*j, now), 0)
}

// waited is how long a job has stood in the queue, in milliseconds, over all its
// waits: since it was queued, less the time in which it held devices.
func waited(j *state.Job, now workload.Instant) workload.Instant {
	from := j.Submitted
	if j.Queued != 0 {
		from = j.Queued
	}
	sum := now - from
	for _, a := range j.Attempts {
		switch {
		case a.Ended == 0:
			sum -= now - a.Created
		default:
			sum -= a.Ended - a.Created
		}
	}
	return max(sum, 0)
}

// first reports whether it is the job's turn, whatever others bring: it has
// waited for an agingSpan, or goes before all bids.
func (c claim) first() bool { return c.age >= workload.One || c.level != plain }

// score is what a job counts for per reference GPU where jobs are only ranked,
// top being the best bid in the queue.
func score(base int64, age workload.PPM, top workload.Rate) int64 {
	return base + workload.MulDiv(int64(top), int64(age), int64(workload.One), workload.Down)
}

// base is what a claim counts for per reference GPU before any wait.
func (c claim) base() int64 {
	return workload.MulDiv(int64(c.bid), int64(c.factor), int64(workload.One), workload.Down)
}

// worth is what one device counts for in the decision, gross per hour, when it
// runs a job that brings money and could bring other at the best other use. Only
// the surplus over that use is scaled: priority, age and deadline decide between
// jobs and never between a job and a coin; what loses against a coin counts for
// its money alone. top is the greatest surplus of any job.
func (c claim) worth(money market.Money, other, top workload.Rate) workload.Rate {
	surplus := money.Net() - other
	if surplus < 0 {
		return money.Gross
	}
	scaled := workload.Rate(workload.MulDiv(int64(surplus), int64(c.factor), int64(workload.One), workload.Down))
	scaled += workload.Rate(workload.MulDiv(int64(top), int64(c.age), int64(workload.One), workload.Down))
	if c.level == critical {
		scaled += workload.Rate(workload.MulDiv(int64(top), int64(urgencyMost), int64(workload.One), workload.Down))
	}
	return max(money.Gross+scaled-surplus, 0)
}
