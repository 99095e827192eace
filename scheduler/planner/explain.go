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
	// ParksBelow is the gross below which what it mines nets less than parking,
	// ParksAbove the energy price, in micro-units per kWh, above which everything
	// it may mine does. Negative where there is none.
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
	x.Alternatives = append(x.Alternatives, r.jobAlternatives(ci, d.Assigned)...)
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

// maxJobsShown is how many queued jobs, the best first, stand beside what a
// device does.
const maxJobsShown = 20

// jobAlternatives is what a device would bring in the gangs that could have it.
func (r *Round) jobAlternatives(ci int, assigned workload.Use) []Alternative {
	b := r.Board
	var best []offer // the first of each job: a device brings the same at every width
	for i, o := range b.offers {
		if o.class == ci && (len(best) == 0 || best[len(best)-1].job != o.job) && (b.Problem.Jobs[o.job].Current == decide.None ||
			b.Problem.Jobs[o.job].Current == i && assigned.Kind == workload.Training && assigned.Job == b.jobs[o.job]) {
			best = append(best, o)
		}
	}
	slices.SortStableFunc(best, func(p, q offer) int { return cmp.Compare(q.money.Net(), p.money.Net()) })
	var out []Alternative
	var x *decide.Explainer
	for _, o := range best {
		id := b.jobs[o.job]
		alt := Alternative{Use: workload.Use{Kind: workload.Training, Job: id}, Money: o.money}
		switch {
		case b.Problem.Jobs[o.job].Current != decide.None:
			alt.Use.Rank = assigned.Rank
		case len(out) >= maxJobsShown:
			continue
		case len(r.Jobs[o.job]) > 0:
			alt.Reason = workload.Why(workload.CodeJob, workload.Name("placed on", string(b.devices[r.Jobs[o.job][0]])))
		default:
			if x == nil {
				x = decide.NewExplainer(&b.Problem, &r.Result)
			}
			alt.Reason = r.whyJob(x, o.job)
			for _, f := range alt.Reason.Figures {
				if f.Name == postedPrice {
					alt.WouldWinAt = &f
				}
			}
		}
		out = append(out, alt)
	}
	return out
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
	var power []PowerPrice // asked for once, when a cap is the reason
	for k := range x.Alternatives {
		alt := &x.Alternatives[k]
		if alt.Now || alt.Reason.Code != "" {
			continue
		}
		alt.Reason = r.whyNot(ci, own, assigned, *alt)
		if alt.Reason.Code == workload.CodeCap {
			if power == nil {
				power = append([]PowerPrice{}, r.PowerPrices(ci)...)
			}
			for _, p := range power {
				alt.Reason.Figures = append(slices.Clone(alt.Reason.Figures), p.figures()...)
			}
		}
		if alt.Money.Net() <= own.Net() && alt.Use.Kind == workload.Mining {
			f := workload.RateOf("net above", own.Net())
			alt.WouldWinAt = &f
		}
	}
	x.Now = x.Alternatives[now]
	if assigned.Kind != workload.Mining {
		return
	}
	for k, cl := range b.cells {
		if cl.class != ci || b.Problem.Mining[k].Banned {
			continue
		}
		below, above := b.thresholds(k)
		x.ParksAbove = max(x.ParksAbove, above)
		if cl.option.ID == assigned.Option {
			x.ParksBelow = below
		}
	}
}

// whyNot compares an alternative with what the device does.
func (r *Round) whyNot(ci int, own market.Money, assigned workload.Use, alt Alternative) workload.Reason {
	b := r.Board
	gain := alt.Money.Net() - own.Net()
	if gain <= 0 {
		return workload.Why(workload.CodePrice, workload.RateOf("nets less by", -gain))
	}
	for k, cl := range b.cells {
		if cl.class == ci && alt.Use.Kind == workload.Mining && cl.option.ID == alt.Use.Option {
			if late, ok := r.late(k, gain); ok {
				return workload.Why(workload.CodeStable, append([]workload.Figure{workload.RateOf("gain", gain)}, late...)...)
			}
		}
	}
	if assigned.Kind == workload.Training {
		return r.whyKept(ci, assigned.Job, gain)
	}
	return workload.Why(r.limit(ci, alt.Use.Kind != workload.Parked), workload.RateOf("gain", gain))
}

// thresholds are the gross and the energy price at which a cell nets what
// parking does: gross x (1 - haircut) = (watts - idle) x price. They are worked
// out from what is decided on, not from the rounded money that is shown.
func (b *Board) thresholds(k int) (below workload.Rate, above int64) {
	m := b.Problem.Mining[k]
	c := b.Problem.Classes[m.Class]
	watts := m.WattsMeter - c.IdleWatts
	if m.GrossMicroPerHour <= 0 || watts <= 0 || m.HaircutPPM >= decide.PPM {
		return -1, -1
	}
	kept := decide.PPM - m.HaircutPPM
	energy := workload.MulDiv(watts, max(b.Problem.Zones[c.Zone].EnergyMicroPerKWh, 0), 1, workload.Up)
	return workload.Rate(workload.MulDiv(energy, 1000, kept, workload.Up)), m.GrossMicroPerHour * kept / 1000 / watts
}

// JobExplanation says what a job waits on and what would start it.
type JobExplanation struct {
	Reasons []workload.Reason
	// BreakEvenBid is the bid per GPU-hour at which it would start now, tried out
	// by deciding anew; negative where no bid helps. On a fleet too large to try
	// (Tried is false) it is what posted prices ask.
	BreakEvenBid workload.Rate
	Tried        bool
	Width        int64
	Evicts       []workload.JobID // what a forced start would displace
	EvictCost    workload.Rate
}

// ExplainJob explains a queued job of a decided round: what it waits for, then
// where it stands in the queue. Jobs in another phase carry their reason
// themselves.
func (r *Round) ExplainJob(id workload.JobID) JobExplanation {
	b := r.Board
	x := JobExplanation{BreakEvenBid: -1}
	pos, asked := b.jobAt[id]
	if why, ok := b.waits[id]; ok {
		x.Reasons = append(x.Reasons, why)
	} else if asked && b.Problem.Jobs[pos].Current != decide.None {
		if len(r.Jobs[pos]) > 0 { // else it gives way with this round
			x.Reasons = append(x.Reasons, r.whyRuns(pos))
		}
		return x
	} else if asked && len(r.Jobs[pos]) > 0 {
		return x // it starts with this round
	} else if asked {
		r.explainWaiting(&x, pos)
	}
	if stands, ok := b.standingReason(id); ok {
		x.Reasons = append(x.Reasons, stands)
	}
	return x
}

// explainWaiting says why the decision did not place a job that it weighed.
func (r *Round) explainWaiting(x *JobExplanation, pos int) {
	b := r.Board
	id := b.jobs[pos]
	explainer := decide.NewExplainer(&b.Problem, &r.Result)
	why := r.whyJob(explainer, pos)
	x.Reasons = append(x.Reasons, why)
	switch why.Code { // those that a bid may do something about
	case workload.CodePrice, workload.CodeIntegrality, workload.CodeHeld, workload.CodeNoFit:
		for _, l := range explainer.Explain(decide.Query{Class: decide.None, Cell: decide.None, Job: pos}).Lines {
			if l.Code == decide.CodeBid {
				x.Width = int64(b.Problem.Offers[l.Offer].Width)
				r.askBid(x, id, b.bidFor(l))
			}
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
}

// whatIfLimit bounds the fleets for which an explanation solves the whole
// problem once more.
const whatIfLimit = 20_000
