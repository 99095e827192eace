package decide

// Default budgets; a zero field of Budget takes these.
const (
	defaultSweeps = 320
	defaultMoves  = 12000
	defaultNodes  = 400_000
	defaultPivots = 150_000
)

// Quick is the budget of the first certified plan: greedy at the prices of the
// walk, with a little local search and no relaxation. From cold at 100,000
// devices it takes a tenth of a full round.
var Quick = Budget{Pivots: 1, PriceSweeps: 320, Moves: 4000}

// Solve answers a problem that Validate accepts. The result is always a plan
// that keeps every hard limit, with a certificate. w may be nil (cold) or what
// an earlier Solve returned; it never weakens the certificate. The returned
// Warm is for the next round.
func Solve(p *Problem, w *Warm, b Budget) (Result, *Warm) {
	in := compile(p)
	b = b.withDefaults()
	var from *start
	if w != nil {
		from = w.carry(in)
	}
	if from != nil {
		if r, next, ok := hold(in, from); ok {
			if next == nil {
				next = w
			}
			return r, next
		}
	}
	return fresh(in, from, b)
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
	if b.Pivots <= 0 {
		b.Pivots = defaultPivots
	}
	return b
}

// leads are the advantages that big gangs get in the greedy order.
var leads = [...]float64{1.5, 1, 4}

// fresh is the full ladder: prices, greedy plan, relaxation, guided plans with
// local search, exhaustive search on tiny fleets, certificate.
func fresh(in *instance, w *start, b Budget) (Result, *Warm) {
	l := &ladder{in: in, g: newPricer(in), w: w, b: b}
	// 1. Prices: a short walk, or the last round's as they are.
	l.warmUp()
	// 2. A first plan at those prices, or the last one where it is better: it
	//    says which targets may be missed; those are then served tier by tier.
	l.first()
	l.serveTiers()
	// 3. The relaxation's exact optimum, its prices, and plans rounded from its
	//    values; more plans at the walk's prices where it did not come to an end.
	solved := l.relax()
	if solved {
		solved = l.refine()
	}
	// 4. A proof by cases, and the plans found on the way.
	var tree []TreeNode
	if w != nil {
		tree = cloneTree(w.tree)
	}
	if solved && l.w == nil && in.branches() {
		tree = l.branch(min(b.Pivots, branchPivots, 500+10*in.total, branchWork/int64(1+in.rowCount())))
	}
	// 5. Tiny fleets exactly.
	complete := false
	if in.total <= tinyFleet {
		l.s, complete, l.work.Nodes = exact(l.s, b.Nodes)
	}
	l.s.firstComeFirst()
	// 6. Prices for the shortfalls that the plan has after all: the proof is
	//    about profit given those.
	short := l.s.shorts()
	duals := l.prove(short, solved)
	r := report(in, l.s, &duals, tree, short, StageImproved, complete)
	l.tierProofs(&r, l.s)
	r.Work = l.work
	next := store(in, duals, &r.Plan, short, cloneTree(tree))
	if solved {
		next.s.Basis, next.s.Settled = l.x.keepBasis(), l.settled
	} else if w != nil { // a quick round between two full ones does not cost the second its start
		next.s.Basis, next.s.Settled = w.basis.named(in), w.settled
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
