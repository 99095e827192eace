package decide

import "math/bits"

// report turns a finished state into a Result with its certificate.
func report(in *instance, s *state, d *Duals, tree []TreeNode, short []int64, stage Stage, complete bool) Result {
	p := in.p
	r := Result{Stage: stage, Plan: s.plan(), Moves: s.moves}
	r.Cert = Certificate{ValueNano: in.base + s.value, Duals: *d, Enumerated: complete, Tiers: []TierProof{}}
	lp := in.bound(d, short)
	r.LPObjective = ceilDiv(lp, 1000)
	r.Cert.BoundNano = lp
	if top, ok := in.refresh(tree, short); ok && top < lp {
		r.Cert.BoundNano, r.Cert.Tree = top, tree
	}
	if complete {
		r.Cert.BoundNano, r.Cert.Tree = r.Cert.ValueNano, nil
	}
	r.Cert.ScaleNano = in.turnover(s)
	least := make([]int64, len(in.tiers))
	for q := range in.rows {
		if in.rows[q].soft {
			least[in.rows[q].tier] += in.leastShort(q)
		}
	}
	for t, tier := range in.tiers {
		r.Cert.Tiers = append(r.Cert.Tiers, TierProof{Tier: tier, Short: short[t], ShortBound: min(least[t], short[t])})
	}
	gap := r.Cert.BoundNano - r.Cert.ValueNano
	if gap == 0 && (complete || !anyPositive(short)) {
		r.Stage = StageOptimal
	}
	r.ObjectiveMicroPerHour = floorDiv(r.Cert.ValueNano, 1000)
	r.BoundMicroPerHour = ceilDiv(r.Cert.BoundNano, 1000)
	r.GapMicroPerHour = ceilDiv(gap, 1000)
	r.GapPPM = share(gap, r.Cert.ScaleNano)
	for j, f := range s.offer {
		if p.Jobs[j].Current != None && f == None {
			r.Preemptions++
		}
	}
	r.Targets = in.targets(s, d, complete, r.Cert.Tiers)
	r.Binding = in.binding(s, d)
	return r
}

// turnover is gross revenue plus the absolute cost of all energy, in nano per
// hour: the scale of the gap, meaningful for a mostly parked hall too.
func (in *instance) turnover(s *state) int64 {
	p := in.p
	var gross int64
	watts := make([]int64, len(p.Zones))
	for _, c := range p.Classes {
		watts[c.Zone] += c.Devices * c.IdleWatts
	}
	for k, n := range s.count {
		gross += n * p.Mining[k].GrossMicroPerHour * 1000
		watts[p.Classes[p.Mining[k].Class].Zone] += n * in.cellW[k]
	}
	for _, f := range s.offer {
		if f != None {
			gross += p.Offers[f].NetMicroPerHour * 1000
			watts[p.Classes[p.Offers[f].Class].Zone] += in.offW[f]
		}
	}
	for z, w := range watts {
		if e := w * p.Zones[z].EnergyMicroPerKWh; e < 0 {
			gross -= e
		} else {
			gross += e
		}
	}
	return gross
}

// share is gap/scale in ppm, rounded up.
func share(gap, scale int64) int64 {
	switch {
	case gap <= 0:
		return 0
	case scale <= 0:
		return PPM
	}
	hi, lo := bits.Mul64(uint64(gap), PPM)
	if hi >= uint64(scale) {
		return 1 << 62
	}
	q, rem := bits.Div64(hi, lo, uint64(scale))
	if q >= 1<<62 {
		return 1 << 62
	}
	if rem > 0 {
		q++
	}
	return int64(q)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b != 0 && (a < 0) != (b < 0) {
		q--
	}
	return q
}

func ceilDiv(a, b int64) int64 { return -floorDiv(-a, b) }

// binding lists the hard limits that the plan exhausts or that have a price.
func (in *instance) binding(s *state, d *Duals) []RowReport {
	p := in.p
	out := []RowReport{}
	for z, cap := range in.capZ {
		if cap >= 0 && (d.Zone[z] > 0 || s.usedW[z] >= cap) {
			out = append(out, RowReport{Scope: "zone", Index: z, Used: s.usedW[z] + in.idle[z], Limit: p.Zones[z].CapW, PriceMicroUnit: d.Zone[z] / 1_000_000})
		}
	}
	for c, k := range p.Classes {
		if k.Devices > 0 && s.usedC[c] == k.Devices {
			out = append(out, RowReport{Scope: "class", Index: c, Used: s.usedC[c], Limit: k.Devices, PriceMicroUnit: d.Class[c] / 1000})
		}
	}
	for r, pr := range p.Rows {
		if pr.Kind == RowTenant && (d.Row[r] > 0 || s.usedT[pr.Tenant] >= pr.Limit) {
			out = append(out, RowReport{Scope: "row", Index: r, Used: s.usedT[pr.Tenant], Limit: pr.Limit, PriceMicroUnit: d.Row[r] / 1000})
		}
	}
	if cap := p.Policy.MaxMoves; cap > 0 && (d.Moves > 0 || s.moves >= cap) {
		out = append(out, RowReport{Scope: "moves", Index: None, Used: s.moves, Limit: cap, PriceMicroUnit: d.Moves / 1000})
	}
	return out
}
