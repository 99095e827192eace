package planner

import (
	"maps"
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

// Bounds of the search for a bid: the highest that is tried, per GPU and hour,
// and how close it comes, as a part of the bid found.
const (
	highestBid   workload.Rate = 1_000_000_000
	bidPrecision               = 200
	bidSteps                   = 40
)

// shownBid is the step in which bids are shown, four decimals: one that is named
// must be enough as it is read.
const shownBid workload.Rate = 100

// askBid puts the bid that would start a job into its explanation, in the place
// of what posted prices ask, so that one number is named.
func (r *Round) askBid(x *JobExplanation, id workload.JobID, posted workload.Rate) {
	if len(r.Board.View.Devices) > bidLimit {
		if x.Reasons[0].Code != workload.CodeNoFit { // prices do not say what would make room
			x.BreakEvenBid = posted
		}
		return
	}
	bid, ok := r.startingBid(id, posted)
	if !ok {
		return
	}
	x.BreakEvenBid, x.Tried = (bid+shownBid-1)/shownBid*shownBid, true
	figures := slices.Clone(x.Reasons[0].Figures)
	for i := range figures {
		if figures[i].Name == postedPrice {
			figures[i] = workload.RateOf("would start at", x.BreakEvenBid)
		}
	}
	x.Reasons[0].Figures = figures
}

// startsAt decides the view with another bid of one job.
func (b *Board) startsAt(id workload.JobID, bid workload.Rate) bool {
	v := *b.View
	v.Jobs = maps.Clone(b.View.Jobs)
	j := v.Jobs[id]
	j.Spec.Value.Bid = bid
	v.Jobs[id] = j
	at, _ := Compose(&v, b.Policy, b.Now, b.Wall).Decide(nil, decide.Budget{})
	pos, known := at.Board.jobAt[id]
	return known && len(at.Jobs[pos]) > 0
}

// bidLimit is the largest fleet, in devices, for which bids are searched.
const bidLimit = 2_000

// startingBid finds the bid per GPU-hour at which a queued job would start now,
// by deciding anew at other bids: the prices of one decision move with the bid,
// so that a break-even read off them may fall short. ok is false when no bid
// helps, or when the fleet is too large to ask.
func (r *Round) startingBid(id workload.JobID, guess workload.Rate) (bid workload.Rate, ok bool) {
	b := r.Board
	pos, known := b.jobAt[id]
	if !known || b.Problem.Jobs[pos].Current != decide.None || len(r.Jobs[pos]) > 0 || len(b.View.Devices) > bidLimit {
		return 0, false
	}
	starts := func(bid workload.Rate) bool { return b.startsAt(id, bid) }
	if !starts(highestBid) {
		return 0, false
	}
	low, high := workload.Rate(0), highestBid
	for step := 0; step < bidSteps && high-low > max(high/bidPrecision, 1); step++ {
		try := low + (high-low)/2
		switch {
		case step == 0 && guess > low && guess < high:
			try = guess // what the posted prices say is seldom far off
		case low > 0 && low < high/4:
			try = low * 2
		}
		if starts(try) {
			high = try
		} else {
			low = try
		}
	}
	return high, true
}
