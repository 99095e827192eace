package decide

// Default budgets; a zero field of Budget takes these.
const (
	defaultSweeps = 320
	defaultMoves  = 12000
	defaultNodes  = 400_000
)

// Solve answers a problem that Validate accepts. The result is always a plan
// that keeps every hard limit, with a certificate. w may be nil (cold) or what
// an earlier Solve returned; it never weakens the certificate. The returned
// Warm is for the next round.
func Solve(p *Problem, w *Warm, b Budget) (Result, *Warm) {
	in := compile(p)
	b = b.withDefaults()
	if w != nil && (!w.suits(p) || len(w.duals.Place) != len(in.places)) {
		w = nil
	}
	if w != nil {
		if r, ok := hold(in, w); ok {
			return r, w
		}
	}
	return fresh(in, w, b)
}

func (b Budget) withDefaults() Budget {
	if b.PriceSweeps <= 0 {
		b.PriceSweeps = defaultSweeps
	}
	if b.Moves <= 0 {
		b.Moves = defaultMoves
	}
	if b.Nodes <= 0 {
		b.Nodes = defaultNodes
	}
	return b
}

// leads are the advantages that big gangs get in the greedy order.
var leads = [...]float64{1.5, 1, 4}

// fresh is the full ladder: prices, greedy plan, local search, exhaustive
// search on tiny fleets, certificate.
func fresh(in *instance, w *Warm, b Budget) (Result, *Warm) {
	var work Budget
	// 1. Prices: from scratch, or a short walk from the last round's.
	g := newPricer(in)
	for r := range in.rows {
		if in.rows[r].soft {
			g.relax[r] = float64(in.leastShort(r))
		}
	}
	work.PriceSweeps = b.PriceSweeps
	if w != nil {
		g.start(&w.duals)
		work.PriceSweeps = max(1, b.PriceSweeps/4)
		g.run(work.PriceSweeps, 0.03, 0.0003)
	} else {
		g.run(work.PriceSweeps, 0.15, 0.0005)
	}
	// 2. Greedy plan at those prices, or the last plan where it still is better.
	//    Several leads for big gangs are tried, each with its local search.
	stage := StageImproved
	var s *state
	for i, lead := range leads {
		order := g.candidates(lead)
		t := greedy(in, g, order)
		if w != nil && i == 0 {
			if old := newState(in); old.load(&w.plan) && better(old.shorts(), old.value, t.shorts(), t.value) {
				t = old
			}
		}
		// 3. Local search.
		work.Moves += improve(t, order, b.Moves/int64(len(leads)))
		if s == nil || better(t.shorts(), t.value, s.shorts(), s.value) {
			s = t
		}
	}
	// 4. Tiny fleets exactly.
	complete := false
	if in.total <= tinyFleet {
		s, complete, work.Nodes = exact(s, b.Nodes)
	}
	s.firstComeFirst()
	// 5. Prices again where the plan misses targets: the proof is about profit
	// given that shortfall.
	short := s.shorts()
	if anyPositive(short) {
		for r := range in.rows {
			if in.rows[r].soft {
				g.relax[r] = float64(max(0, -s.act[r]))
			}
		}
		g.restore()
		g.best = inf
		g.run(b.PriceSweeps/2, 0.05, 0.0005)
		work.PriceSweeps += b.PriceSweeps / 2
	}
	duals := g.duals()
	r := report(in, s, &duals, short, stage, complete)
	r.Work = work
	next := &Warm{duals: duals, plan: r.Plan, shorts: short, shape: shapeOf(in.p)}
	if anyPositive(short) {
		next.room = in.roomOf()
	}
	return r, next
}

func anyPositive(xs []int64) bool {
	for _, x := range xs {
		if x > 0 {
			return true
		}
	}
	return false
}

// hold keeps the previous plan when it is still allowed, nothing arrived, and
// the bound at the old prices proves it within Policy.HoldGapPPM.
func hold(in *instance, w *Warm) (Result, bool) {
	for _, j := range in.p.Jobs {
		if j.Arrived {
			return Result{}, false
		}
	}
	s := newState(in)
	if !s.load(&w.plan) {
		return Result{}, false
	}
	short := s.shorts()
	for t, v := range short {
		if v > w.short(t) {
			return Result{}, false
		}
	}
	if anyPositive(short) && w.roomier(in) {
		return Result{}, false
	}
	duals := w.duals.clone()
	in.repair(&duals)
	r := report(in, s, &duals, short, StageHeld, false)
	return r, r.Stage == StageOptimal || r.GapPPM <= in.p.Policy.HoldGapPPM
}
