package planner

import (
	"maps"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

// gateTries is how often a round is decided anew before it starts no job at all.
const gateTries = 6

// Decide answers the board. It returns the warm state for the next round.
//
// No running job is stopped for one that then finds no place: a decision counts
// devices, and the nodes may not bear out what it counted. Where they do not,
// the jobs left without a place are withheld and the rest is decided anew, so
// that Round.Board may be another board than this.
func (b *Board) Decide(w *decide.Warm, budget decide.Budget) (*Round, *decide.Warm) {
	for try := 0; ; try++ {
		result, next := decide.Solve(&b.Problem, w, budget)
		r := b.settle(result)
		r.warm = next
		vain := r.vain()
		if len(vain) == 0 {
			return r, next
		}
		withheld := maps.Clone(b.withheld)
		if withheld == nil {
			withheld = map[workload.JobID]bool{}
		}
		for _, id := range vain {
			withheld[id] = true
		}
		if try >= gateTries {
			for id, j := range b.View.Jobs { // a set: order does not matter
				if j.Phase == workload.Queued {
					withheld[id] = true
				}
			}
		}
		b = compose(b.View, b.Policy, b.Now, b.Wall, withheld)
	}
}

// vain lists the queued jobs for which running ones would be stopped although
// they have no complete placement.
func (r *Round) vain() []workload.JobID {
	b := r.Board
	stops := map[int]bool{} // by class
	for pos := range b.jobs {
		if f := b.Problem.Jobs[pos].Current; f != decide.None && len(r.Jobs[pos]) == 0 {
			stops[b.offers[f].class] = true
		}
	}
	var out []workload.JobID
	for _, pos := range r.Placed.Unplaced {
		f := r.Result.Plan.Jobs[pos]
		if b.Problem.Jobs[pos].Current == decide.None && f != decide.None && stops[b.offers[f].class] {
			out = append(out, b.jobs[pos])
		}
	}
	for _, x := range b.exchanges {
		if len(r.Jobs[x.pos]) != len(x.devices) {
			out = append(out, x.job)
		}
	}
	return out
}

// addWithheld says why the jobs wait that the gate held back.
func (b *Board) addWithheld() {
	for id := range b.withheld { // each stands alone: order does not matter
		j := b.View.Jobs[id]
		if _, bound := b.localTo(j); bound {
			b.waits[id] = workload.Why(workload.CodeDataLocal)
			continue
		}
		b.waits[id] = workload.Why(workload.CodeNoFit, workload.Count("needs", int64(narrowest(j.Spec.Gang))))
	}
}
