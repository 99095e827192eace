package decide

import (
	"cmp"
	"slices"
)

const (
	branchWork   = 4_000_000 // rows x pivots for one tree
	branchPivots = 10_000    // and no more pivots than this, or Budget.Pivots
	branchNodes  = 20
	branchRounds = 4  // of new packs per node below the root
	closeEnough  = 20 // ppm: a gap that is not worth more work
)

// branching grows the tree of a proof: best bound first, after every split down
// the side that runs the offer until that side is settled. Every node solved
// also makes a plan.
type branching struct {
	l     *ladder
	m     *master
	nodes []branchNode
	moves int64 // of local search left for plans
}

type branchNode struct {
	sc     *scenario
	proof  proof
	dead   bool  // no plan is left in it
	offers []int // split on these
	kids   [2]int
}

// branch tightens the bound of the plan in hand and looks for better ones. The
// tree it returns is empty where the plain prices are as good.
func (l *ladder) branch(limit int64) []TreeNode {
	short := l.s.shorts()
	d := l.g.duals()
	b := &branching{l: l, m: newMaster(l.in, short, l.x.rest(), &d, limit), moves: l.b.Moves}
	b.m.learnPlan(l.s.runs)
	sc := l.in.everything()
	sp, ok := sc.reserve()
	if !ok {
		return nil
	}
	for _, t := range l.seen {
		b.m.learnPlan(t.runs)
	}
	b.m.seed(&sp, l.root)
	// First near the relaxation's prices, then free; the larger half of the work
	// is left for plans.
	b.m.pause = limit / 4
	root := b.m.settle(sc, &sp, b.m.from(&d), 60, l.value())
	b.m.unbox()
	b.m.pause = limit * 2 / 5
	root = b.m.settle(sc, &sp, root.at, 60, l.value())
	b.m.pause, b.m.each = limit, solvePivots
	b.add(sc, root)
	b.round(&root)
	// Two ways down: by whole packs of a class, and by single offers. Neither is
	// always the better one.
	for _, way := range []func(*scenario, point) bool{b.m.dive, b.m.diveOffers} {
		b.m.impose(sc, &sp)
		if _, _, ok := b.m.solve(); ok && way(sc, root.at) {
			b.plan(b.m.parts())
		}
	}
	for next := None; len(b.nodes) < branchNodes && b.m.work < limit; {
		if next == None {
			next = b.widest()
		}
		if next == None {
			break
		}
		next = b.split(next)
	}
	l.work.Pivots += b.m.work
	l.work.Nodes += int64(len(b.nodes))
	top := b.top()
	return b.prune(0, top, nil)
}

// value is the best plan's, with base.
func (l *ladder) value() int64 { return l.s.value + l.in.base }

func (b *branching) add(sc *scenario, p proof) int {
	b.nodes = append(b.nodes, branchNode{sc: sc, proof: p, kids: [2]int{None, None}})
	return len(b.nodes) - 1
}

// top is the bound that the leaves prove.
func (b *branching) top() int64 {
	top := int64(-1 << 63)
	for _, n := range b.nodes {
		if n.kids[0] == None && !n.dead {
			top = max(top, n.proof.leaf.BoundNano)
		}
	}
	return top
}

// widest is the leaf with the highest bound, where more work may pay.
func (b *branching) widest() int {
	at := None
	for i, n := range b.nodes {
		if n.kids[0] == None && !n.dead && (at == None || n.proof.leaf.BoundNano > b.nodes[at].proof.leaf.BoundNano) {
			at = i
		}
	}
	if at == None || share(b.nodes[at].proof.leaf.BoundNano-b.l.value(), b.l.in.turnover(b.l.s)) <= closeEnough || b.choose(at) == nil {
		return None
	}
	return at
}

// choose picks the offer to split on: the one whose split moves most devices.
func (b *branching) choose(i int) []int {
	p := b.l.in.p
	best, at := 0.0, None
	for _, x := range b.nodes[i].proof.split {
		if x.share < 0.001 || x.share > 0.999 {
			continue
		}
		if v := float64(min(x.share, float64(2*(1-x.share))) * float64(p.Offers[x.offer].Width)); v > best {
			best, at = v, x.offer
		}
	}
	if at == None {
		return nil
	}
	return []int{at}
}

// split makes the two children of a leaf and returns the one to go on with.
func (b *branching) split(i int) int {
	offers := b.choose(i)
	if offers == nil {
		return None
	}
	next := None
	for side := range 2 {
		sc := b.nodes[i].sc.assume(offers, side == 1)
		p := proof{leaf: &TreeNode{Impossible: true}}
		sp, ok := sc.reserve()
		if ok {
			p = b.m.settle(sc, &sp, b.nodes[i].proof.at, branchRounds, b.l.value())
		}
		k := b.add(sc, p)
		b.nodes[k].dead = !ok
		b.nodes[i].kids[side] = k
		if ok {
			b.round(&p)
			if side == 1 && p.leaf.BoundNano > b.l.value() && b.choose(k) != nil {
				next = k
			}
		}
	}
	b.nodes[i].offers = offers
	return next
}

// prune writes the tree out, and a node that needs no split as a leaf.
func (b *branching) prune(i int, top int64, out []TreeNode) []TreeNode {
	n := &b.nodes[i]
	if n.kids[0] == None || !n.dead && n.proof.leaf.BoundNano <= top {
		return append(out, *n.proof.leaf)
	}
	out = append(out, TreeNode{Offers: n.offers})
	return b.prune(n.kids[1], top, b.prune(n.kids[0], top, out))
}

// parts lists what the last solution of the program runs.
func (m *master) parts() []part {
	var out []part
	for f, y := range m.share {
		if y > 1e-6 {
			out = append(out, part{f, y})
		}
	}
	return out
}

// round makes a plan of a node's solution.
func (b *branching) round(p *proof) {
	if p.split != nil {
		b.plan(p.split)
	}
}

// plan runs the offers with the largest shares that fit, lets miners have the
// rest, and improves that.
func (b *branching) plan(split []part) {
	l := b.l
	if b.moves <= 0 {
		return
	}
	split = slices.Clone(split)
	slices.SortStableFunc(split, func(x, y part) int { return cmp.Compare(y.share, x.share) })
	order := l.g.candidates(1)
	t := newState(l.in)
	t.promises()
	for _, x := range split {
		if j := l.in.p.Offers[x.offer].Job; x.share > 0.3 && t.offer[j] == None && t.fits(x.offer) && !t.breaksCeiling(x.offer) {
			t.setOffer(j, x.offer)
		}
	}
	t.fillFloors()
	t.mineAll(l.g)
	used := improve(t, order, min(b.moves, l.b.Moves/4))
	b.moves -= used + l.b.Moves/80 // setting it up is work too
	l.work.Moves += used
	l.offer(t)
}
