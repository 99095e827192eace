package planner

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// bestOther is the best a device of a class could net on another use than the
// given one, among those that are open now.
func (b *Board) bestOther(ci int, use decide.Use) (other decide.Use, net workload.Rate) {
	other, net = decide.Use{Kind: decide.UseParked, Index: decide.None}, -b.classes[ci].idle.Energy
	if use.Kind == decide.UseParked {
		net = -1 << 62
	}
	for i, c := range b.cells {
		if c.class == ci && !b.Problem.Mining[i].Banned && (use.Kind != decide.UseMining || use.Index != i) && c.money.Net() > net {
			other, net = decide.Use{Kind: decide.UseMining, Index: i}, c.money.Net()
		}
	}
	return other, net
}

func (b *Board) nameOf(use decide.Use) string {
	if use.Kind == decide.UseMining {
		return "mining " + string(b.cells[use.Index].option.ID)
	}
	return "parked"
}

// reasonKey is all that the reason of a mining or parked device depends on.
type reasonKey struct {
	class int
	use   decide.Use
	kept  bool // it mines the same already
	dwell bool
}

func (r *Round) keyOf(i int, d state.Device, use decide.Use) reasonKey {
	k := reasonKey{class: r.Board.Inventory.Devices[i].Class, use: use}
	if use.Kind == decide.UseMining {
		k.kept = d.Assigned.Kind == workload.Mining && d.Assigned.Option == r.Board.cells[use.Index].option.ID
		k.dwell = k.kept && r.Board.Inventory.Devices[i].Dwell
	}
	return k
}

// reason says why a device mines or parks, with the figures that made it so.
func (r *Round) reason(k reasonKey) workload.Reason {
	other, net := r.Board.bestOther(k.class, k.use)
	if k.use.Kind == decide.UseMining {
		return r.whyMining(k, other, net)
	}
	return r.whyParked(k.class, other, net)
}

func (r *Round) whyMining(k reasonKey, other decide.Use, otherNet workload.Rate) workload.Reason {
	b := r.Board
	own := b.cells[k.use.Index].money.Net()
	gain := otherNet - own
	if gain <= 0 {
		return workload.Why(workload.CodePrice, workload.RateOf("net", own), workload.Name("next", b.nameOf(other)), workload.RateOf("next nets", otherNet))
	}
	figures := []workload.Figure{workload.RateOf("net", own), workload.Name("better", b.nameOf(other)), workload.RateOf("gain", gain)}
	if k.dwell {
		return workload.Why(workload.CodeDwell, append(figures, workload.Span("dwell", b.Cluster.MinDwell))...)
	}
	if k.kept && other.Kind == decide.UseMining {
		if late, ok := r.late(other.Index, gain); ok {
			return workload.Why(workload.CodeStable, append(figures, late...)...)
		}
	}
	return workload.Why(r.limit(k.class, other.Kind == decide.UseMining), figures...)
}

// late says that a change to a cell does not pay back within the horizon, if so.
func (r *Round) late(cell int, gain workload.Rate) ([]workload.Figure, bool) {
	cost := workload.Money(r.Board.Problem.Mining[cell].EnterMicro)
	payback := time.Duration(workload.MulDiv(int64(cost), workload.HourMillis, int64(gain), workload.Up)) * time.Millisecond
	horizon := r.Board.Cluster.Horizon
	return []workload.Figure{workload.Amount("switch costs", cost), workload.Span("pays back in", payback), workload.Span("horizon", horizon)}, payback > horizon
}

func (r *Round) whyParked(ci int, other decide.Use, otherNet workload.Rate) workload.Reason {
	b := r.Board
	c := b.classes[ci]
	idle := -c.idle.Energy
	switch {
	case c.key.noMine:
		return c.by
	case c.banned != "":
		return workload.Why(workload.CodeBan, workload.Name("calendar", c.banned))
	case !c.priced:
		return workload.Why(workload.CodeNoPrice, workload.Name("missing", "energy price of site "+string(c.site)))
	case len(c.options) == 0:
		return workload.Why(workload.CodeNoProfile, workload.Name("missing", "a coin, pool and miner for "+string(c.key.model)))
	case other.Kind != decide.UseMining:
		return workload.Why(workload.CodeNoPrice, workload.Name("missing", "a fresh price of any coin for "+string(c.key.model)))
	case otherNet <= idle:
		return workload.Why(workload.CodeUnprofit, workload.Name("best", b.nameOf(other)), workload.RateOf("would net", otherNet), workload.RateOf("parked nets", idle))
	}
	gain := otherNet - idle
	if late, ok := r.late(other.Index, gain); ok {
		return workload.Why(workload.CodeStable, append([]workload.Figure{workload.Name("better", b.nameOf(other)), workload.RateOf("gain", gain)}, late...)...)
	}
	return workload.Why(r.limit(ci, true), workload.Name("best", b.nameOf(other)), workload.RateOf("would net", otherNet))
}

// limit names the rule that keeps a class from its better use: a power cap
// above it, a target or a coin's share, or the hold. works tells that the better
// use draws more than parking.
func (r *Round) limit(ci int, works bool) workload.Code {
	b := r.Board
	for z := b.classes[ci].key.zone; works && z != decide.None; z = b.Problem.Zones[z].Parent {
		if limit := b.Problem.Zones[z].CapW; limit >= 0 && r.draw[z]+b.headroomStep(ci) > limit {
			return workload.CodeCap
		}
	}
	for _, bind := range r.Result.Binding {
		if bind.Scope == "row" && b.rows[bind.Index].kind != config.KindTenant {
			return workload.CodeTarget
		}
	}
	for _, rep := range r.Result.Targets {
		if rep.Code != decide.TargetNotBinding {
			return workload.CodeTarget
		}
	}
	return workload.CodeHeld
}

// headroomStep is the least that one more working device of a class would add.
func (b *Board) headroomStep(ci int) int64 {
	step := int64(-1)
	for i, c := range b.cells {
		if c.class == ci && !b.Problem.Mining[i].Banned {
			if more := b.Problem.Mining[i].WattsMeter - b.classes[ci].idle.Watts; step < 0 || more < step {
				step = more
			}
		}
	}
	return max(step, 0)
}

// postedPrice names what a job's devices, power and shares cost per GPU at the
// prices of a decision. Those move with its bid, so it is close to the bid that
// would start it and not the same: only ExplainJob, which tries bids out, names
// that.
const postedPrice = "prices ask"

// whyJob says why a queued job is not placed.
func (r *Round) whyJob(x *decide.Explainer, pos int) workload.Reason {
	b := r.Board
	id := b.jobs[pos]
	if b.bound[pos] && r.Result.Plan.Jobs[pos] != decide.None {
		return workload.Why(workload.CodeDataLocal)
	}
	lines := x.Explain(decide.Query{Class: decide.None, Cell: decide.None, Job: pos}).Lines
	if len(lines) == 0 {
		return workload.Why(workload.CodeNoFit)
	}
	l := lines[0]
	bid := market.Bid(b.Policy, b.View.Jobs[id].Spec)
	if h, ok := b.holdOf(id); ok && l.Code != decide.CodeQuota {
		return b.whyHeld(h)
	}
	switch l.Code {
	case decide.CodeNoFit, decide.CodeEligibility, decide.CodeRunning:
		if why, ok := b.whyReserved(id); ok {
			return why
		}
	}
	switch l.Code {
	case decide.CodeNoFit, decide.CodeEligibility:
		return workload.Why(workload.CodeNoFit, workload.Count("needs", l.Need), workload.Count("best place has", l.Have))
	case decide.CodePrice, decide.CodeStable:
		return workload.Why(workload.CodePrice, workload.RateOf("bids per GPU", bid), workload.RateOf(postedPrice, b.bidFor(l)))
	case decide.CodeQuota:
		if l.Zone != decide.None {
			return workload.Why(workload.CodeCap, workload.Name("zone", b.zoneName(l.Zone)))
		}
		name := ""
		if l.Row != decide.None && l.Row < len(b.rows) {
			name = string(b.rows[l.Row].kind) + "/" + b.rows[l.Row].name
		}
		return workload.Why(workload.CodeQuota, workload.Name("rule", name))
	case decide.CodeRunning: // the counts place it, the concrete nodes do not
		return workload.Why(workload.CodeNoFit, workload.Count("needs", l.Need))
	case decide.CodeHeld:
		return workload.Why(workload.CodeHeld)
	}
	return workload.Why(workload.CodeIntegrality, workload.RateOf("bids per GPU", bid), workload.RateOf(postedPrice, b.bidFor(l)))
}

// bidFor converts a break-even per device and hour into the bid for a
// reference GPU, rounded up.
func (b *Board) bidFor(l decide.Line) workload.Rate {
	speed := workload.One
	if l.Offer != decide.None {
		if p := b.Policy.Profile(b.classes[b.offers[l.Offer].class].key.model); p != nil && p.Training != nil {
			speed = p.Training.Speed
		}
	}
	return workload.Rate(workload.MulDiv(l.BidMicro, int64(workload.One), int64(max(speed, 1)), workload.Up))
}

func (b *Board) zoneName(z int) string {
	k := b.zones[z].key
	name := string(k.site)
	if k.hall != "" {
		name += "/" + string(k.hall)
	}
	if k.rack != "" {
		name += "/" + string(k.rack)
	}
	return name
}

// whyTrains says why a gang gets devices of a class: it pays best there, or a
// target asks for it at a loss against the better use.
func (r *Round) whyTrains(o offer) workload.Reason {
	figures := []workload.Figure{workload.RateOf("pays", o.money.Gross), workload.RateOf("energy", o.money.Energy), workload.Count("devices", int64(o.width))}
	other, net := r.Board.bestOther(o.class, decide.Use{Kind: decide.UseJob, Index: decide.None})
	if less := net - o.money.Net(); less > 0 {
		if target := r.floorOver(o.class, int64(o.width)); target != "" {
			return workload.Why(workload.CodeTarget, append(figures, workload.Name("target", target), workload.Name("instead of", r.Board.nameOf(other)),
				workload.RateOf("gives up", less))...)
		}
	}
	return workload.Why(workload.CodeJob, figures...)
}

// whyRuns says why a running job goes on: it pays best where it is, or why it
// stays though another use would pay more there now.
func (r *Round) whyRuns(pos int) workload.Reason {
	o := r.Board.offers[r.Board.Problem.Jobs[pos].Current]
	_, net := r.Board.bestOther(o.class, decide.Use{Kind: decide.UseJob, Index: decide.None})
	if gain := net - o.money.Net(); gain > 0 {
		return r.whyKept(o.class, r.Board.jobs[pos], gain)
	}
	return r.whyTrains(o)
}

// floorOver names the target that would be missed, or missed by more, without a
// job of that width on the class; empty when none would.
func (r *Round) floorOver(ci int, width int64) string {
	b := r.Board
	trainable := int64(0)
	for _, c := range b.Problem.Classes {
		if c.Trainable {
			trainable += c.Devices
		}
	}
	for _, rep := range r.Result.Targets {
		row, n := b.Problem.Rows[rep.Row], b.rows[rep.Row]
		if n.kind != config.KindTarget || row.Kind != decide.RowAIShare || row.Sense != decide.AtLeast {
			continue
		}
		if len(row.Classes) > 0 && !slices.Contains(row.Classes, ci) {
			continue
		}
		if rep.Code != decide.TargetNotBinding || rep.AchievedPPM-width*int64(workload.One)/max(trainable, 1) < rep.WantedPPM {
			return n.name
		}
	}
	return ""
}

// whyKept says why a device stays with its job while another use pays more.
func (r *Round) whyKept(ci int, job workload.JobID, gain workload.Rate) workload.Reason {
	b := r.Board
	figures := []workload.Figure{workload.Count("job", int64(job)), workload.RateOf("gain", gain)}
	pos, ok := b.jobAt[job]
	if !ok || b.Problem.Jobs[pos].Current == decide.None {
		return workload.Why(workload.CodeJob, figures...)
	}
	width := b.Problem.Offers[b.Problem.Jobs[pos].Current].Width
	switch target := r.floorOver(ci, width); {
	case target != "":
		return workload.Why(workload.CodeTarget, append(figures, workload.Name("target", target))...)
	case b.Problem.Jobs[pos].Protected:
		return workload.Why(workload.CodeDwell, figures...)
	case r.Result.Stage == decide.StageHeld:
		return workload.Why(workload.CodeHeld, figures...)
	}
	return workload.Why(workload.CodeStable, append(figures, workload.Amount("stopping costs", workload.Money(b.Problem.Jobs[pos].KillMicro)),
		workload.Span("horizon", b.Cluster.Horizon))...)
}
