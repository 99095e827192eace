package planner

import (
	"maps"

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

// BidLimit is the largest fleet, in devices, for which bids are searched.
const BidLimit = 2_000

// StartingBid finds the bid per GPU-hour at which a queued job would start now,
// by deciding anew at other bids: the prices of one decision move with the bid,
// so that a break-even read off them may fall short. ok is false when no bid
// helps, or when the fleet is too large to ask.
func (r *Round) StartingBid(id workload.JobID, guess workload.Rate) (bid workload.Rate, ok bool) {
	b := r.Board
	pos, known := b.jobAt[id]
	if !known || b.Problem.Jobs[pos].Current != decide.None || len(r.Jobs[pos]) > 0 || len(b.View.Devices) > BidLimit {
		return 0, false
	}
	starts := func(bid workload.Rate) bool {
		v := *b.View
		v.Jobs = maps.Clone(b.View.Jobs)
		j := v.Jobs[id]
		j.Spec.Value.Bid = bid
		v.Jobs[id] = j
		at, _ := Compose(&v, b.Policy, b.Now, b.Wall).Decide(nil, decide.Budget{})
		pos, known := at.Board.jobAt[id]
		return known && len(at.Jobs[pos]) > 0
	}
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
