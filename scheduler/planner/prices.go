package planner

import (
	"fmt"
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

// PowerPrice is what a little more or less power below one cap is worth, by
// deciding again with it.
type PowerPrice struct {
	Zone       string
	StepW      int64         // of which More and Less speak
	More, Less workload.Rate // gained with a step more, lost with a step less
	LessOK     bool          // a step less can be kept
	SaturatesW int64         // how much of the step brings all of More
}

// powerStep is the round figure, a power of ten, that is a tenth of a cap or
// less: a megawatt where there are ten.
func powerStep(capW int64) int64 {
	step := int64(1)
	for step*100 <= capW {
		step *= 10
	}
	return min(step, 1_000_000)
}

// PowerPrices are those of the binding caps above a class; with -1, of all.
// Fleets too large to decide again while a person waits have none.
func (r *Round) PowerPrices(class int) []PowerPrice {
	b := r.Board
	if len(b.devices) > whatIfLimit {
		return nil
	}
	var out []PowerPrice
	for _, bind := range r.Result.Binding {
		if bind.Scope != "zone" || class >= 0 && !b.above(class, bind.Index) {
			continue
		}
		asked := r.Result
		asked.Binding = []decide.RowReport{bind}
		for _, m := range decide.Marginals(&b.Problem, &asked, r.warm, decide.Budget{}, powerStep(bind.Limit)) {
			out = append(out, PowerPrice{Zone: b.zoneName(m.Index), StepW: m.Step, More: workload.Rate(m.MoreMicro), Less: workload.Rate(m.LessMicro),
				LessOK: m.LessOK, SaturatesW: m.Saturates})
		}
	}
	return out
}

// above tells whether a zone is a class's or around it.
func (b *Board) above(class, zone int) bool {
	for z := b.classes[class].key.zone; z != decide.None; z = b.Problem.Zones[z].Parent {
		if z == zone {
			return true
		}
	}
	return false
}

// figures are the price as parts of a reason.
func (p PowerPrice) figures() []workload.Figure {
	more := workload.FormatWatts(p.StepW)
	out := []workload.Figure{workload.RateOf(more+" more at "+p.Zone+" brings", p.More)}
	if p.More > 0 && p.SaturatesW < p.StepW {
		out = append(out, workload.Power("all of it with", p.SaturatesW))
	}
	if p.LessOK {
		out = append(out, workload.RateOf(more+" less costs", p.Less))
	}
	return out
}

// limits names what keeps a missed target from getting closer.
func (r *Round) limits(rep decide.TargetReport) []string {
	b := r.Board
	tier := b.Problem.Rows[rep.Row].Tier
	at := slices.IndexFunc(r.Result.Cert.Tiers, func(t decide.TierProof) bool { return t.Tier == tier })
	if at < 0 {
		return nil
	}
	if rep.With != decide.None {
		return []string{b.rowText(rep.With)}
	}
	var out []string
	classes := 0
	for _, l := range decide.Limiting(&b.Problem, &r.Result.Cert.Tiers[at]) {
		switch l.Scope {
		case "zone":
			out = append(out, "power of "+b.zoneName(l.Index))
		case "row":
			out = append(out, b.rowText(l.Index))
		case "class":
			classes++
		case "moves":
			out = append(out, "Cluster.maxMoves")
		}
	}
	if classes > 0 {
		out = append(out, "devices")
	}
	if len(out) == 0 {
		out = append(out, "fitting jobs")
	}
	const most = 4
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("%d more", len(out)-most))
	}
	return out
}

func (b *Board) rowText(row int) string {
	n := b.rows[row]
	switch b.Problem.Rows[row].Kind {
	case decide.RowPower:
		return "energyQuota of " + n.name
	case decide.RowCash:
		return "Cluster.cashFloor"
	case decide.RowPreempt:
		return "Cluster.maxPreemptions"
	}
	return string(n.kind) + "/" + n.name
}

// Costs puts beside the targets what those cost that decide something: each is
// left out in turn and the rest decided anew. Fleets too large for it keep the
// plain codes.
func (r *Round) Costs(list []Target) []Target {
	b := r.Board
	if len(b.devices) > whatIfLimit {
		return list
	}
	out := slices.Clone(list)
	for _, c := range decide.Costs(&b.Problem, &r.Result, r.warm, decide.Budget{}) {
		n := b.rows[c.Row]
		i := slices.IndexFunc(out, func(t Target) bool { return n.kind == config.KindTarget && t.Name == n.name })
		if i < 0 || out[i].Code != string(decide.TargetMet) {
			continue
		}
		out[i].Code = string(c.Code)
		out[i].Cost, out[i].PlanCost = workload.Rate(c.BoundMicro), workload.Rate(c.PlanMicro)
	}
	return out
}
