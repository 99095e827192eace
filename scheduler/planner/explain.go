package planner

import (
	"cmp"
	"slices"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// Alternative is one thing a device does or could do, at the prices now.
type Alternative struct {
	Use    workload.Use
	Money  market.Money
	Now    bool            // it does this
	Reason workload.Reason // why it does not, or does
	// WouldWinAt is what has to change for it to be chosen; nil where no single
	// figure decides.
	WouldWinAt *workload.Figure
}

// DeviceExplanation says why a device does what it does.
type DeviceExplanation struct {
	Device       workload.DeviceID
	Now          Alternative
	Alternatives []Alternative // Now first, then by net
	// ParksBelow is the gross below which, ParksAbove the energy price above
	// which it would park; negative where none.
	ParksBelow workload.Rate
	ParksAbove int64
	PUE        workload.PPM
	Micro      int64 // per kWh
	Priced     bool
	QuoteAt    workload.Instant // of the oldest price used; 0 when there is none
	Horizon    time.Duration
}

// ExplainDevice explains one device of a decided round. It returns NotFound for
// a device that the view does not know.
func (r *Round) ExplainDevice(id workload.DeviceID) (DeviceExplanation, error) {
	b := r.Board
	d, ok := b.View.Devices[id]
	if !ok {
		return DeviceExplanation{}, workload.Errorf(workload.NotFound, "there is no device %s", id).Hint("sluice gpu list")
	}
	site := b.sites[d.Site]
	x := DeviceExplanation{Device: id, ParksBelow: -1, ParksAbove: -1, Micro: site.micro, Priced: site.known,
		PUE: market.PUE(b.Policy, d.Site, d.Hall), Horizon: b.Cluster.Horizon}
	i, inside := b.place[id]
	if !inside {
		why := d.Reason
		if forced, ok := b.forced[id]; ok {
			why = forced
		} else if fixed, ok := b.fixed[id]; ok {
			why = fixed
		}
		x.Now = Alternative{Use: d.Assigned, Now: true, Reason: why, Money: market.Money{Watts: d.Work.Watts, Gross: d.Work.Rate,
			Energy: market.EnergyRate(d.Work.Watts, site.micro)}}
		x.Alternatives = []Alternative{x.Now}
		return x, nil
	}
	ci := b.Inventory.Devices[i].Class
	c := b.classes[ci]
	parked := Alternative{Use: workload.Use{Kind: workload.Parked}, Money: c.idle}
	x.Alternatives = append(x.Alternatives, parked)
	for k, cl := range b.cells {
		if cl.class == ci {
			x.Alternatives = append(x.Alternatives, r.miningAlternative(&x, k))
		}
	}
	for pos, job := range b.jobs {
		if alt, ok := r.jobAlternative(ci, pos, job, d.Assigned); ok {
			x.Alternatives = append(x.Alternatives, alt)
		}
	}
	r.settleNow(&x, i, d.Assigned, d.Reason)
	slices.SortStableFunc(x.Alternatives, func(p, q Alternative) int {
		if p.Now != q.Now {
			if p.Now {
				return -1
			}
			return 1
		}
		return cmp.Compare(q.Money.Net(), p.Money.Net())
	})
	return x, nil
}

func (r *Round) miningAlternative(x *DeviceExplanation, k int) Alternative {
	b := r.Board
	cl := b.cells[k]
	_, at, ok := market.Yield(b.Policy, cl.option.Coin, b.View.Quotes, b.Now)
	if ok && (x.QuoteAt == 0 || at < x.QuoteAt) {
		x.QuoteAt = at
	}
	alt := Alternative{Use: workload.Use{Kind: workload.Mining, Option: cl.option.ID}, Money: cl.money}
	if b.Problem.Mining[k].Banned {
		alt.Reason = workload.Why(workload.CodeNoPrice, workload.Name("coin", string(cl.option.Coin)))
		if ban := b.classes[cl.class].banned; ban != "" {
			alt.Reason = workload.Why(workload.CodeBan, workload.Name("calendar", ban))
		}
	}
	return alt
}

// jobAlternative is what a device would bring in a job's gang.
func (r *Round) jobAlternative(ci, pos int, job workload.JobID, assigned workload.Use) (Alternative, bool) {
	b := r.Board
	for _, o := range b.offers {
		if o.job != pos || o.class != ci {
			continue
		}
		alt := Alternative{Use: workload.Use{Kind: workload.Training, Job: job}, Money: o.money}
		if assigned.Kind == workload.Training && assigned.Job == job {
			alt.Use.Rank = assigned.Rank
			return alt, true
		}
		if b.Problem.Jobs[pos].Current != decide.None {
			return alt, false // it runs elsewhere and is not moved
		}
		if len(r.Jobs[pos]) > 0 {
			alt.Reason = workload.Why(workload.CodeJob, workload.Name("placed on", string(b.devices[r.Jobs[pos][0]])))
			return alt, true
		}
		alt.Reason = r.WhyJob(pos)
		for _, f := range alt.Reason.Figures {
			if f.Name == "would start at" {
				alt.WouldWinAt = &f
			}
		}
		return alt, true
	}
	return Alternative{}, false
}

// settleNow finds what the device does among its alternatives, and why not each
// of the others.
func (r *Round) settleNow(x *DeviceExplanation, i int, assigned workload.Use, recorded workload.Reason) {
	b := r.Board
	ci := b.Inventory.Devices[i].Class
	now := -1
	for k := range x.Alternatives {
		if x.Alternatives[k].Use == assigned {
			now = k
		}
	}
	if now < 0 { // it does something that no price knows
		x.Alternatives = append(x.Alternatives, Alternative{Use: assigned})
		now = len(x.Alternatives) - 1
	}
	x.Alternatives[now].Now, x.Alternatives[now].Reason = true, recorded
	own := x.Alternatives[now].Money
	for k := range x.Alternatives {
		alt := &x.Alternatives[k]
		if alt.Now || alt.Reason.Code != "" {
			continue
		}
		alt.Reason = r.whyNot(ci, own, assigned, *alt)
		if alt.Money.Net() <= own.Net() && alt.Use.Kind == workload.Mining {
			f := workload.RateOf("net above", own.Net())
			alt.WouldWinAt = &f
		}
	}
	x.Now = x.Alternatives[now]
	if assigned.Kind == workload.Mining {
		x.ParksBelow, x.ParksAbove = thresholds(own, b.classes[ci].idle)
	}
}

// whyNot compares an alternative with what the device does.
func (r *Round) whyNot(ci int, own market.Money, assigned workload.Use, alt Alternative) workload.Reason {
	b := r.Board
	gain := alt.Money.Net() - own.Net()
	if gain <= 0 {
		return workload.Why(workload.CodePrice, workload.RateOf("nets less by", -gain))
	}
	if alt.Use.Kind == workload.Mining {
		var cost workload.Money
		for k, cl := range b.cells {
			if cl.class == ci && cl.option.ID == alt.Use.Option {
				cost = workload.Money(b.Problem.Mining[k].EnterMicro)
			}
		}
		if payback := time.Duration(workload.MulDiv(int64(cost), workload.HourMillis, int64(gain), workload.Up)) * time.Millisecond; payback > b.Cluster.Horizon {
			return workload.Why(workload.CodeStable, workload.RateOf("gain", gain), workload.Amount("switch costs", cost),
				workload.Span("pays back in", payback), workload.Span("horizon", b.Cluster.Horizon))
		}
	}
	if assigned.Kind == workload.Training {
		return r.whyKept(ci, assigned.Job, gain)
	}
	return workload.Why(r.limit(ci), workload.RateOf("gain", gain))
}

// thresholds are the gross and the energy price at which a mining device would
// rather park: gross x (1 - haircut) = (watts - idle) x price.
func thresholds(own, idle market.Money) (below workload.Rate, above int64) {
	below, above = -1, -1
	if own.Gross <= 0 || own.Watts <= idle.Watts {
		return below, above
	}
	kept := own.Gross - own.Risk
	if kept > 0 {
		below = workload.Rate(workload.MulDiv(int64(max(own.Energy-idle.Energy, 0)), int64(own.Gross), int64(kept), workload.Up))
	}
	above = workload.MulDiv(int64(kept), 1000, own.Watts-idle.Watts, workload.Down)
	return below, above
}

// JobExplanation says what a job waits on and what would start it.
type JobExplanation struct {
	Reasons []workload.Reason
	// BreakEvenBid is the bid per GPU-hour at which it would pay now; negative
	// where no bid helps.
	BreakEvenBid workload.Rate
	Width        int64
	Evicts       []workload.JobID // what a forced start would displace
	EvictCost    workload.Rate
}

// ExplainJob explains a queued job of a decided round. Jobs in another phase
// carry their reason themselves.
func (r *Round) ExplainJob(id workload.JobID) JobExplanation {
	b := r.Board
	x := JobExplanation{BreakEvenBid: -1}
	if why, ok := b.waits[id]; ok {
		x.Reasons = append(x.Reasons, why)
		return x
	}
	pos, ok := b.jobAt[id]
	if !ok || b.Problem.Jobs[pos].Current != decide.None {
		return x
	}
	x.Reasons = append(x.Reasons, r.WhyJob(pos))
	lines := decide.Explain(&b.Problem, &r.Result, decide.Query{Class: decide.None, Cell: decide.None, Job: pos}).Lines
	for _, l := range lines {
		if l.Code == decide.CodeBid {
			x.BreakEvenBid, x.Width = b.bidFor(l), l.Need
		}
	}
	if len(b.devices) <= whatIfLimit {
		a := decide.WhatIf(&b.Problem, nil, decide.Budget{}, decide.Delta{Kind: decide.ForceIn, Job: pos, Offer: decide.None})
		if a.Feasible {
			for _, e := range a.Evicted {
				x.Evicts = append(x.Evicts, b.jobs[e])
			}
			x.EvictCost = workload.Rate(-a.ValueDeltaMicro)
		}
	}
	return x
}

// whatIfLimit bounds the fleets for which an explanation solves the whole
// problem once more.
const whatIfLimit = 20_000
