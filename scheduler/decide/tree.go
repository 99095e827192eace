package decide

import "slices"

// TreeNode is one case of a proof by cases, in preorder: an inner node is
// followed by the cases where none of its Offers runs, then by those where one
// of them does. All offers of a node are of one job, and a job runs at most one
// offer, so the two cover every plan. A leaf has no Offers.
//
// A leaf is proven by prices: its bound is the Lagrangian of DESIGN.md, "Proof",
// in which each job pays Job for running at all and each class then takes the
// set of jobs that earns it most within its devices and places. Or no plan is
// left in it: what has to run does not fit.
type TreeNode struct {
	Offers     []int   `json:"offers,omitempty"`
	BoundNano  int64   `json:"bound_nano_per_hour"`  // leaf: proven for its case
	Impossible bool    `json:"impossible,omitempty"` // leaf: no plan is left
	Duals      *Duals  `json:"duals,omitempty"`      // leaf, not when Impossible; as the rest
	Quota      []int64 `json:"quota,omitempty"`      // nano per place of a tenant, see quotas.go
	Job        []int64 `json:"job,omitempty"`        // nano per job; of a job that may not run at least what not running brings
	Packs      []int64 `json:"packs,omitempty"`      // per class: nano that its best set of jobs gains at most
}

// scenario is the set of plans that a node of the tree speaks about.
type scenario struct {
	in  *instance
	ban []bool // per offer: does not run
	on  []bool // per job: runs one of the others
}

// everything is the scenario of all plans.
func (in *instance) everything() *scenario {
	p := in.p
	sc := &scenario{in: in, ban: make([]bool, len(p.Offers)), on: slices.Clone(in.must)}
	for f, o := range p.Offers {
		sc.ban[f] = !in.usable[f] || (in.must[o.Job] && p.Jobs[o.Job].Current != f)
	}
	return sc
}

func (sc *scenario) clone() *scenario {
	return &scenario{in: sc.in, ban: slices.Clone(sc.ban), on: slices.Clone(sc.on)}
}

// assume narrows a copy of the scenario: one of the offers runs, or none does.
func (sc *scenario) assume(offers []int, one bool) *scenario {
	t := &scenario{in: sc.in, ban: slices.Clone(sc.ban), on: sc.on}
	if !one {
		for _, f := range offers {
			t.ban[f] = true
		}
		return t
	}
	j := sc.in.p.Offers[offers[0]].Job
	t.on = slices.Clone(sc.on)
	t.on[j] = true
	for f := sc.in.offLo[j]; f < sc.in.offLo[j+1]; f++ {
		if !slices.Contains(offers, f) {
			t.ban[f] = true
		}
	}
	return t
}

// choice tells what is left to job j: how many offers, and the last of them.
func (sc *scenario) choice(j int) (n, f int) {
	f = None
	for g := sc.in.offLo[j]; g < sc.in.offLo[j+1]; g++ {
		if !sc.ban[g] {
			n, f = n+1, g
		}
	}
	return n, f
}

// space is what the jobs without a choice leave to the others.
type space struct {
	forced   []int   // per job: the offer it has to run, or None
	held     [][]int // per class: those offers
	room     []int64 // per class: devices
	places   []int64 // per place row
	contract []int64 // per tenant: devices
}

// reserve seats the jobs that have no choice beside the miners that must stay.
// ok is false when they do not fit classes, places or tenants.
func (sc *scenario) reserve() (sp space, ok bool) {
	in, p := sc.in, sc.in.p
	sp = space{make([]int, len(p.Jobs)), make([][]int, len(p.Classes)), make([]int64, len(p.Classes)), make([]int64, len(in.places)), make([]int64, p.Tenants)}
	for c := range sp.room {
		sp.room[c] = p.Classes[c].Devices
	}
	for k, m := range p.Mining {
		sp.room[m.Class] -= in.lock[k]
	}
	for i, r := range in.places {
		sp.places[i] = r.limit
	}
	for t, rows := range in.tenRow {
		sp.contract[t] = MaxScalar
		for _, r := range rows {
			sp.contract[t] = min(sp.contract[t], p.Rows[r].Limit)
		}
	}
	ok = true
	for j := range p.Jobs {
		sp.forced[j] = None
		if !sc.on[j] {
			continue
		}
		n, f := sc.choice(j)
		if n == 0 {
			ok = false
		}
		if n != 1 {
			continue
		}
		sp.forced[j] = f
		sp.held[p.Offers[f].Class] = append(sp.held[p.Offers[f].Class], f)
		sp.room[p.Offers[f].Class] -= p.Offers[f].Width
		sp.contract[p.Jobs[j].Tenant] -= p.Offers[f].Width
		for _, u := range in.placesAt(f) {
			sp.places[u.row] -= u.n
		}
	}
	for _, n := range slices.Concat(sp.room, sp.places, sp.contract) {
		ok = ok && n >= 0
	}
	return sp, ok
}

// bound is the Lagrangian of the scenario at the given prices, in nano per hour
// and with base; it fills in the leaf's Packs and, where wanted, the offers that
// each class would take.
func (sc *scenario) bound(leaf *TreeNode, sp *space, short []int64, sets [][]int) int64 {
	in, p, d := sc.in, sc.in.p, leaf.Duals
	total, power, moves := in.withoutJobs(d, short)
	for i, r := range in.quotas {
		var t int128
		t.addMul(leaf.Quota[i], dualUnit)
		total.add(t.times(r.limit))
	}
	sacks := make([]sack, len(p.Classes))
	for c := range sacks {
		sacks[c] = sack{in: in, room: sp.room[c], sp: sp}
	}
	bills := in.priceKinds(d, power, moves)
	for j := range p.Jobs {
		tenant := bills.tenant(j)
		pay := leaf.Job[j]
		if !sc.on[j] {
			pay = max(pay, in.out[j]) // it may also not run
			leaf.Job[j] = pay
		}
		if sp.forced[j] == None {
			total.addMul(pay, dualUnit)
		} else {
			leaf.Job[j] = 0 // it has no choice to pay for
		}
		for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
			if sc.ban[f] {
				continue
			}
			o := &p.Offers[f]
			rc := bills.offer(f, tenant)
			for _, i := range in.tenQuota[p.Jobs[j].Tenant] {
				rc.addMul(-leaf.Quota[i], dualUnit*(o.Width/in.quotas[i].t))
			}
			if sp.forced[j] != None {
				total.add(rc)
				break
			}
			rc.addMul(-pay, dualUnit)
			if rc.positive() && o.Width <= min(sp.room[o.Class], sp.contract[p.Jobs[j].Tenant]) {
				sacks[o.Class].add(j, f, o.Width, rc)
			}
		}
	}
	leaf.Packs = make([]int64, len(p.Classes))
	for c := range sacks {
		v, set := sacks[c].best()
		leaf.Packs[c] = v
		total.addMul(v, dualUnit)
		if sets != nil {
			sets[c] = append(sets[c][:0], set...)
		}
	}
	return total.divCeil(dualUnit)
}

// rowCount is about how many rows the program of a tree has.
func (in *instance) rowCount() int {
	p := in.p
	return 2*len(p.Classes) + len(p.Zones) + len(p.Rows) + len(p.Jobs) + p.Coins
}

// refresh proves a tree's leaves at the present problem and the given
// shortfalls and returns what they prove together; false where that is nothing.
// It writes into the leaves, so they must be the caller's own.
func (in *instance) refresh(tree []TreeNode, short []int64) (top int64, ok bool) {
	if len(tree) == 0 {
		return 0, false
	}
	in.compileQuotas()
	if !in.suits(tree) {
		return 0, false
	}
	top = -1 << 63
	var walk func(sc *scenario, rest []TreeNode) []TreeNode
	walk = func(sc *scenario, rest []TreeNode) []TreeNode {
		n := &rest[0]
		if len(n.Offers) > 0 {
			return walk(sc.assume(n.Offers, true), walk(sc.assume(n.Offers, false), rest[1:]))
		}
		sp, fits := sc.reserve()
		n.Impossible = !fits
		if !fits {
			*n = TreeNode{Impossible: true}
			return rest[1:]
		}
		if n.Duals == nil { // it was impossible before
			ok = false
			return rest[1:]
		}
		in.repair(n.Duals)
		n.BoundNano = sc.bound(n, &sp, short, nil)
		top = max(top, n.BoundNano)
		return rest[1:]
	}
	ok = true
	walk(in.everything(), tree)
	return top, ok && top > -1<<63
}

// suits tells whether a tree, which may be of an earlier round, speaks of this
// problem's offers and rows: jobs come and go, and contracts with them.
func (in *instance) suits(tree []TreeNode) bool {
	p := in.p
	var walk func(sc *scenario, rest []TreeNode) ([]TreeNode, bool)
	walk = func(sc *scenario, rest []TreeNode) ([]TreeNode, bool) {
		if len(rest) == 0 {
			return nil, false
		}
		n, rest := &rest[0], rest[1:]
		if len(n.Offers) == 0 {
			d := n.Duals
			return rest, d == nil || len(n.Job) == len(p.Jobs) && len(n.Quota) == len(in.quotas) && len(n.Packs) == len(p.Classes) &&
				len(d.Class) == len(p.Classes) && len(d.Zone) == len(p.Zones) && len(d.Row) == len(p.Rows) && len(d.Place) == len(in.places)
		}
		for i, f := range n.Offers {
			if f < 0 || f >= len(p.Offers) || sc.ban[f] || p.Offers[f].Job != p.Offers[n.Offers[0]].Job || i > 0 && f <= n.Offers[i-1] {
				return nil, false
			}
		}
		rest, ok := walk(sc.assume(n.Offers, false), rest)
		if !ok {
			return nil, false
		}
		return walk(sc.assume(n.Offers, true), rest)
	}
	rest, ok := walk(in.everything(), tree)
	return ok && len(rest) == 0
}

// branchDevices is the largest fleet whose proof is taken apart into cases.
const branchDevices = 1500

func (in *instance) branches() bool { return in.total > tinyFleet && in.total <= branchDevices }

func cloneTree(tree []TreeNode) []TreeNode {
	out := slices.Clone(tree)
	for i := range out {
		n := &out[i]
		n.Offers, n.Job, n.Quota, n.Packs = slices.Clone(n.Offers), slices.Clone(n.Job), slices.Clone(n.Quota), slices.Clone(n.Packs)
		if n.Duals != nil {
			d := n.Duals.clone()
			n.Duals = &d
		}
	}
	return out
}
