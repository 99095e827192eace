package decide

import "slices"

// WhatIf answers a changed question beside the present one. Both are solved in
// full from the same warm prices with the same budget, and each is offered the
// other's plan, so that the difference is not the luck of two searches. The
// results verify against p and against Changed(p, d). A delta with a wrong
// reference, or one that makes the problem invalid, is answered as infeasible.
func WhatIf(p *Problem, w *Warm, b Budget, d Delta) Answer {
	in := compile(p)
	var from *start
	if w != nil {
		from = w.carry(in)
	}
	before, bw := fresh(in, from, b.withDefaults())
	q, ok := Changed(p, d)
	if !ok || len(Validate(&q)) > 0 {
		return Answer{Before: before, After: before, Evicted: []int{}, Admitted: []int{}}
	}
	after := fromPlan(&q, bw, before.Plan, b)
	// A plan for the changed question that is allowed and better here corrects
	// the first answer.
	if s := newState(compile(p)); s.load(&after.Plan) && s.value+s.in.base > before.Cert.ValueNano {
		again := fromPlan(p, bw, after.Plan, b)
		if again.Cert.ValueNano > before.Cert.ValueNano && shortSame(&again, &before) {
			before = again
		}
	}
	return pair(p, d, before, after)
}

func shortSame(a, b *Result) bool { return slices.Equal(a.Cert.Tiers, b.Cert.Tiers) }

// fromPlan solves q from another question's prices and plan.
func fromPlan(q *Problem, w *Warm, pl Plan, b Budget) Result {
	in := compile(q)
	r, _ := fresh(in, w.towards(in, pl, 0), b.withDefaults())
	return r
}

// towards is w as a start for another question about the same fleet, from a plan
// of that question. settled is the gap, in ppm, that is not worth a dive.
func (w *Warm) towards(in *instance, pl Plan, settled int64) *start {
	x := w.carry(in)
	if x != nil {
		x.plan, x.settled, x.tree = pl, settled, nil
	}
	return x
}

func pair(p *Problem, d Delta, before, after Result) Answer {
	a := Answer{Feasible: true, Before: before, After: after, Evicted: []int{}, Admitted: []int{},
		ValueDeltaMicro: floorDiv(after.Cert.ValueNano-before.Cert.ValueNano, 1000),
		BoundDeltaMicro: floorDiv(after.Cert.BoundNano-before.Cert.BoundNano, 1000)}
	a.BelowResolution = a.ValueDeltaMicro < 0 && a.BoundDeltaMicro > 0 || a.ValueDeltaMicro > 0 && a.BoundDeltaMicro < 0
	for j := range p.Jobs {
		x, y := before.Plan.Jobs[j], after.Plan.Jobs[j]
		switch {
		case x == y:
			continue
		case y == None:
			a.Evicted = append(a.Evicted, j)
		case x == None:
			a.Admitted = append(a.Admitted, j)
		}
		if y != None {
			a.MovedDevices += p.Offers[y].Width
		}
	}
	for k := range p.Mining {
		x, y := before.Plan.Cells[k], after.Plan.Cells[k]
		a.MovedDevices += max(0, y.Keep+y.Enter-x.Keep-x.Enter)
	}
	switch d.Kind {
	case ForceIn:
		a.Feasible = after.Plan.Jobs[d.Job] != None && (d.Offer == None || after.Plan.Jobs[d.Job] == d.Offer)
	case ForceOut:
		a.Feasible = after.Plan.Jobs[d.Job] == None
	}
	return a
}

// Changed applies a delta to a copy of the problem. ok is false when the delta
// refers to nothing.
func Changed(p *Problem, d Delta) (q Problem, ok bool) {
	q = *p
	switch d.Kind {
	case ForceIn, ForceOut, Bid:
		if d.Job < 0 || d.Job >= len(p.Jobs) {
			return q, false
		}
	case DropRow, ChangeRow:
		if d.Row < 0 || d.Row >= len(p.Rows) {
			return q, false
		}
		q.Rows = slices.Clone(p.Rows)
	case AddPower:
		if d.Zone < 0 || d.Zone >= len(p.Zones) || p.Zones[d.Zone].CapW < 0 || d.Watts > MaxScalar || d.Watts < -MaxScalar {
			return q, false
		}
		q.Zones = slices.Clone(p.Zones)
		q.Zones[d.Zone].CapW = max(0, q.Zones[d.Zone].CapW+d.Watts)
		return q, true
	default:
		return q, false
	}
	switch d.Kind {
	case ForceIn:
		return q, forceIn(&q, d)
	case ForceOut:
		// A tenant of its own that may hold nothing: the job stops and its lost
		// work is charged.
		q.Jobs = slices.Clone(p.Jobs)
		q.Jobs[d.Job].Tenant = q.Tenants
		q.Jobs[d.Job].Pinned, q.Jobs[d.Job].Protected = false, false
		q.Tenants++
		q.Rows = append(slices.Clone(p.Rows), Row{Kind: RowTenant, Sense: AtMost, Tenant: q.Tenants - 1})
	case Bid:
		if d.Micro < 0 || d.Micro > MaxScalar/MaxCount {
			return q, false
		}
		q.Offers = slices.Clone(p.Offers)
		for f := range q.Offers {
			if q.Offers[f].Job == d.Job {
				q.Offers[f].NetMicroPerHour = d.Micro * q.Offers[f].Width
			}
		}
	case DropRow:
		r := &q.Rows[d.Row]
		switch {
		case r.Kind == RowTenant || r.Kind == RowPreempt:
			r.Limit = MaxCount
		case r.Kind == RowPower:
			r.Limit = maxTotalGross
		case r.Kind == RowCash: // a row of the same unit that nothing misses
			*r = Row{Kind: RowShare, Part: PartMining, Tier: r.Tier, Sense: AtLeast, Measure: MeasureRevenue}
		case r.Sense == AtLeast:
			r.SharePPM = 0
		default:
			r.SharePPM = PPM
		}
	case ChangeRow:
		q.Rows[d.Row] = d.Change
	}
	return q, true
}

// forceIn turns the wanted offer into a pinned current one. What a change of
// class or width costs is taken off its revenue.
func forceIn(q *Problem, d Delta) bool {
	f := d.Offer
	if f == None {
		in := compile(q)
		for x := in.offLo[d.Job]; x < in.offLo[d.Job+1]; x++ {
			if in.usable[x] && (f == None || in.value[x]*q.Offers[f].Width > in.value[f]*q.Offers[x].Width) {
				f = x
			}
		}
	}
	if f < 0 || f >= len(q.Offers) || q.Offers[f].Job != d.Job {
		return false
	}
	q.Jobs, q.Offers = slices.Clone(q.Jobs), slices.Clone(q.Offers)
	j := &q.Jobs[d.Job]
	if j.Current != None && j.Current != f {
		cost := j.MigrateMicro
		if q.Offers[j.Current].Class == q.Offers[f].Class {
			cost = j.ResizeMicro
		}
		q.Offers[f].NetMicroPerHour = max(0, q.Offers[f].NetMicroPerHour-mulDivCeil(cost, 60, q.Policy.HorizonMinutes))
	}
	if j.Current != f {
		j.On = nil
	}
	j.Current, j.Pinned = f, true
	return true
}
