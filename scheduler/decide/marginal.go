package decide

import "slices"

// Marginal is what a little more or less of one limit is worth, found by solving
// the relaxation again with it: never a dual price, which holds for the first
// watt and often not for the second. Money is micro per hour; both figures are
// how much the best possible profit rises or falls.
type Marginal struct {
	Scope     string `json:"scope"` // as in RowReport
	Index     int    `json:"index"`
	Step      int64  `json:"step"`       // watts, devices or moves
	MoreMicro int64  `json:"more_micro"` // gained with one step more
	LessMicro int64  `json:"less_micro"` // lost with one step less
	LessOK    bool   `json:"less_ok"`    // one step less can be kept at all
	// Saturates is how much of one step more brings all of MoreMicro, to a
	// sixteenth of the step: beyond it more is worth nothing.
	Saturates int64 `json:"saturates"`
}

// TargetCost is what serving a target takes from the profit: the difference of
// the best possible profits with and without it, and beside it that of the two
// plans. Codes: TargetMetCost, TargetBelowResolution when the two disagree in
// sign, TargetMet when it costs nothing.
type TargetCost struct {
	Row        int        `json:"row"`
	Code       TargetCode `json:"code"`
	BoundMicro int64      `json:"bound_micro_per_hour"`
	PlanMicro  int64      `json:"plan_micro_per_hour"`
}

// The codes of a TargetCost besides TargetMet.
const (
	TargetMetCost         TargetCode = "TARGET_MET_COST"
	TargetBelowResolution TargetCode = "BELOW_RESOLUTION"
)

// Marginals prices the binding limits of a result with steps of a megawatt, or
// of stepW watts where that is not zero, of a device and of a move. w is what
// Solve returned with the result, or nil. Limits whose programs do not come to
// an end within the budget are left out.
func Marginals(p *Problem, r *Result, w *Warm, b Budget, stepW int64) []Marginal {
	if stepW <= 0 {
		stepW = 1_000_000
	}
	m, ok := newProber(p, r, w, b)
	if !ok {
		return nil
	}
	var out []Marginal
	for _, bind := range r.Binding {
		one := Marginal{Scope: bind.Scope, Index: bind.Index, Step: 1}
		if bind.Scope == "zone" {
			one.Step = stepW
		}
		more, ok := m.with(bind, one.Step)
		if !ok {
			continue
		}
		one.MoreMicro = max(0, ceilDiv(more-m.now, 1000))
		if less, ok := m.with(bind, -one.Step); ok {
			one.LessMicro, one.LessOK = max(0, floorDiv(m.now-less, 1000)), true
		}
		one.Saturates = m.saturation(bind, one.Step, more)
		out = append(out, one)
	}
	return out
}

// prober solves the relaxation of one problem again and again, each time from
// the same basis with one limit moved.
type prober struct {
	in    *instance
	short []int64
	basis *relaxBasis
	left  int64
	now   int64
}

func newProber(p *Problem, r *Result, w *Warm, b Budget) (*prober, bool) {
	m := &prober{in: compile(p), left: b.withDefaults().Pivots}
	if w != nil {
		if from := w.carry(m.in); from != nil {
			m.basis = from.basis
		}
	}
	s := newState(m.in)
	if len(r.Plan.Cells) != len(p.Mining) || len(r.Plan.Jobs) != len(p.Jobs) || !s.load(&r.Plan) {
		return nil, false
	}
	m.short = s.shorts()
	x, ok := m.solve(m.in)
	if !ok {
		return nil, false
	}
	m.basis, m.now = x.rest(), m.value(m.in, x)
	return m, true
}

// solve is the relaxation of an instance from the common basis.
func (m *prober) solve(in *instance) (*relaxation, bool) {
	x := newRelaxation(in, newPricer(in))
	x.short = m.short
	if m.basis != nil {
		x.resume(m.basis)
	} else {
		for _, c := range x.g.candidates(1) {
			x.bring(c.offers[0])
		}
	}
	ok := x.sift(max(1, m.left))
	m.left -= x.pivots
	return x, ok
}

// value is the proven bound at the relaxation's prices, in nano per hour.
func (m *prober) value(in *instance, x *relaxation) int64 {
	x.g.save()
	d := x.g.duals()
	return in.bound(&d, m.short)
}

// with is the bound with a limit moved by a step.
func (m *prober) with(bind RowReport, step int64) (int64, bool) {
	in, ok := m.in.moved(bind, step)
	if !ok {
		return 0, false
	}
	x, ok := m.solve(in)
	if !ok {
		return 0, false
	}
	return m.value(in, x), true
}

// saturation halves the step towards the least that is worth as much as all of
// it: what a limit is worth bends only downwards.
func (m *prober) saturation(bind RowReport, step, full int64) int64 {
	if full <= m.now {
		return 0
	}
	enough := full - (full-m.now)/1000
	lo, hi := int64(0), step
	for hi-lo > max(step/16, 1) {
		mid := lo + (hi-lo)/2
		if v, ok := m.with(bind, mid); ok && v >= enough {
			hi = mid
		} else {
			lo = mid
		}
	}
	return hi
}

// moved is the instance with one limit changed. What could not run at all before
// stays out, so that the basis still fits: the figure can only be too small by
// that.
func (in *instance) moved(bind RowReport, step int64) (*instance, bool) {
	out, p := *in, *in.p
	out.p = &p
	switch bind.Scope {
	case "zone":
		if in.capZ[bind.Index] < 0 {
			return nil, false
		}
		out.capZ = slices.Clone(in.capZ)
		out.capZ[bind.Index] = max(0, max(p.Zones[bind.Index].CapW+step, 0)-in.idle[bind.Index])
		if step < 0 && p.Zones[bind.Index].CapW+step < in.idle[bind.Index] {
			return nil, false
		}
	case "class":
		p.Classes = slices.Clone(p.Classes)
		p.Classes[bind.Index].Devices += step
		if p.Classes[bind.Index].Devices < 0 {
			return nil, false
		}
		// The new device draws its idle power as the others do.
		idle := p.Classes[bind.Index].IdleWatts * step
		out.base -= idle * in.tariff(bind.Index)
		out.capZ = slices.Clone(in.capZ)
		for _, z := range in.above[bind.Index] {
			out.capZ[z] = max(0, out.capZ[z]-idle)
		}
		out.limit = slices.Clone(in.limit)
		for k := in.cellLo[bind.Index]; k < in.cellLo[bind.Index+1]; k++ {
			if out.limit[k] > 0 {
				out.limit[k] = max(0, out.limit[k]+step)
			}
		}
	case "row":
		p.Rows = slices.Clone(p.Rows)
		if p.Rows[bind.Index].Limit += step; p.Rows[bind.Index].Limit < 0 {
			return nil, false
		}
	case "moves":
		if p.Policy.MaxMoves += step; p.Policy.MaxMoves < 1 {
			return nil, false
		}
	default:
		return nil, false
	}
	return &out, true
}

// Costs says what each target that decides something costs. With and without
// it, the plan of the result is mended at the new prices from one basis with one
// budget, and neither side dives, so that the difference of the plans is not the
// luck of a search; a plan without the target that happens to keep it counts for
// both.
func Costs(p *Problem, r *Result, w *Warm, b Budget) []TargetCost {
	var out []TargetCost
	if w == nil || w.carry(compile(p)) == nil {
		return nil
	}
	var before Result
	for _, t := range r.Targets {
		if t.Code != TargetMet {
			continue
		}
		q, ok := Changed(p, Delta{Kind: DropRow, Row: t.Row})
		if !ok || len(Validate(&q)) > 0 {
			continue
		}
		if before.Stage == "" {
			before = mended(p, w, r.Plan, b)
		}
		after := mended(&q, w, before.Plan, b)
		with := before.Cert.ValueNano
		if s := newState(compile(p)); s.load(&after.Plan) && !better(before.shorts(), 0, s.shorts(), 0) {
			with = max(with, s.value+s.in.base)
		}
		c := TargetCost{Row: t.Row, Code: TargetMetCost, BoundMicro: floorDiv(after.Cert.BoundNano-before.Cert.BoundNano, 1000),
			PlanMicro: floorDiv(after.Cert.ValueNano-with, 1000)}
		switch {
		case c.BoundMicro < 0 && c.PlanMicro > 0 || c.BoundMicro > 0 && c.PlanMicro < 0:
			c.Code = TargetBelowResolution
		case c.BoundMicro <= 0 && c.PlanMicro <= 0:
			c.Code = TargetMet
		}
		out = append(out, c)
	}
	return out
}

// mended solves q from a plan and the basis of a round without a new dive.
func mended(q *Problem, w *Warm, pl Plan, b Budget) Result {
	in := compile(q)
	r, _ := fresh(in, w.towards(in, pl, PPM), b.withDefaults())
	return r
}

func (r *Result) shorts() []int64 {
	var out []int64
	for _, t := range r.Cert.Tiers {
		out = append(out, t.Short)
	}
	return out
}

// Limiting names what keeps a tier from missing less: the limits that its proof
// prices, in the order zones, tenants and rows, classes, moves. Where nothing
// else is named it is the jobs themselves: there are no more of them.
func Limiting(p *Problem, proof *TierProof) []RowReport {
	d := proof.Duals
	if d == nil || len(d.Zone) != len(p.Zones) || len(d.Row) != len(p.Rows) || len(d.Class) != len(p.Classes) {
		return nil
	}
	var out []RowReport
	for z, x := range d.Zone {
		if x > 0 {
			out = append(out, RowReport{Scope: "zone", Index: z, Limit: p.Zones[z].CapW})
		}
	}
	for r, x := range d.Row {
		if x > 0 && (p.Rows[r].Kind == RowTenant || p.Rows[r].Tier != proof.Tier) {
			out = append(out, RowReport{Scope: "row", Index: r, Limit: p.Rows[r].Limit})
		}
	}
	for c, x := range d.Class {
		if x > 0 {
			out = append(out, RowReport{Scope: "class", Index: c, Limit: p.Classes[c].Devices})
		}
	}
	if d.Moves > 0 {
		out = append(out, RowReport{Scope: "moves", Index: None, Limit: p.Policy.MaxMoves})
	}
	return out
}
