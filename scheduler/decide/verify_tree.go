package decide

import (
	"fmt"
	"math/big"
	"slices"
)

// maxSearch bounds the sets that Verify looks at to believe one class's figure.
const maxSearch = 2_000_000

// treeBound checks a proof by cases: that the nodes are one whole tree, that the
// two children of each cover its plans, and every leaf. It returns the highest
// leaf, nil where no leaf has a plan.
func (a *audit) treeBound(tree []TreeNode) (*big.Int, error) {
	t := &treeAudit{a: a, slots: a.slotRows(), quotas: a.quotaSlots()}
	all := caseOf{barred: make([]bool, len(a.p.Offers)), need: slices.Clone(a.stay)}
	for f, o := range a.p.Offers {
		all.barred[f] = !a.runnable[f] || a.stay[o.Job] && a.p.Jobs[o.Job].Current != f
	}
	rest, err := t.walk(all, tree)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("tree: %d nodes belong to nothing", len(rest))
	}
	return t.top, nil
}

type treeAudit struct {
	a      *audit
	slots  []slotRow
	quotas []quotaSlot
	top    *big.Int
}

// caseOf is what a node assumes: offers that do not run, jobs that do.
type caseOf struct{ barred, need []bool }

func (t *treeAudit) walk(c caseOf, nodes []TreeNode) ([]TreeNode, error) {
	if len(nodes) == 0 {
		return nil, fmt.Errorf("tree: a case is missing")
	}
	n, rest := &nodes[0], nodes[1:]
	if len(n.Offers) == 0 {
		return rest, t.leaf(c, n)
	}
	if n.BoundNano != 0 || n.Impossible || n.Duals != nil || n.Job != nil || n.Quota != nil || n.Packs != nil {
		return nil, fmt.Errorf("tree: an inner node claims something")
	}
	none := caseOf{slices.Clone(c.barred), c.need}
	one := caseOf{slices.Clone(c.barred), slices.Clone(c.need)}
	p := t.a.p
	for i, f := range n.Offers {
		if f < 0 || f >= len(p.Offers) || i > 0 && (f <= n.Offers[i-1] || p.Offers[f].Job != p.Offers[n.Offers[0]].Job) {
			return nil, fmt.Errorf("tree: a split on offers %v, which are not of one job or not in order", n.Offers)
		}
		if c.barred[f] {
			return nil, fmt.Errorf("tree: a split on offer %d, which cannot run there", f)
		}
		none.barred[f] = true
	}
	j := p.Offers[n.Offers[0]].Job
	one.need[j] = true
	for f, o := range p.Offers {
		if o.Job == j && !slices.Contains(n.Offers, f) {
			one.barred[f] = true
		}
	}
	rest, err := t.walk(none, rest)
	if err != nil {
		return nil, err
	}
	return t.walk(one, rest)
}

// seats is what is left of everything once the jobs without a choice sit.
type seats struct {
	options [][]int // per job
	class   []int64
	slot    []int64
	tenant  []int64
}

func (t *treeAudit) seat(c caseOf) (s seats, ok bool) {
	a, p := t.a, t.a.p
	s = seats{options: make([][]int, len(p.Jobs)), class: make([]int64, len(p.Classes)), tenant: make([]int64, p.Tenants)}
	for f, o := range p.Offers {
		if !c.barred[f] {
			s.options[o.Job] = append(s.options[o.Job], f)
		}
	}
	for i, cl := range p.Classes {
		s.class[i] = cl.Devices
	}
	for k, n := range a.hold {
		s.class[p.Mining[k].Class] -= n
	}
	for _, x := range t.slots {
		s.slot = append(s.slot, x.places)
	}
	for i := range s.tenant {
		s.tenant[i] = MaxScalar
	}
	for _, r := range p.Rows {
		if r.Kind == RowTenant {
			s.tenant[r.Tenant] = min(s.tenant[r.Tenant], r.Limit)
		}
	}
	ok = true
	for j, list := range s.options {
		if c.need[j] && len(list) == 0 {
			ok = false
		}
		if c.need[j] && len(list) == 1 {
			t.sit(&s, list[0], 1)
		}
	}
	for _, left := range slices.Concat(s.class, s.slot, s.tenant) {
		ok = ok && left >= 0
	}
	return s, ok
}

// sit lets an offer take, n times, what it needs.
func (t *treeAudit) sit(s *seats, f int, n int64) {
	o := t.a.p.Offers[f]
	s.class[o.Class] -= n * o.Width
	s.tenant[t.a.p.Jobs[o.Job].Tenant] -= n * o.Width
	for i, x := range t.slots {
		if x.class == o.Class {
			s.slot[i] -= n * t.a.taken(f, x)
		}
	}
}

func (t *treeAudit) leaf(c caseOf, n *TreeNode) error {
	s, ok := t.seat(c)
	if n.Impossible || !ok {
		if ok || !n.Impossible || n.BoundNano != 0 || n.Duals != nil || n.Job != nil || n.Quota != nil || n.Packs != nil {
			return fmt.Errorf("tree: a leaf is called impossible and is not, or is and is not called so")
		}
		return nil
	}
	a, p := t.a, t.a.p
	if n.Duals == nil || len(n.Job) != len(p.Jobs) || len(n.Quota) != len(t.quotas) || len(n.Packs) != len(p.Classes) {
		return fmt.Errorf("tree: a leaf has prices of the wrong shape")
	}
	if err := a.fitDuals(n.Duals, t.slots); err != nil {
		return fmt.Errorf("tree: %w", err)
	}
	for _, x := range slices.Concat(n.Job, n.Quota) {
		if x > MaxScalar || x < -MaxScalar {
			return fmt.Errorf("tree: price %d is out of range", x)
		}
	}
	if slices.ContainsFunc(n.Quota, func(x int64) bool { return x < 0 }) {
		return fmt.Errorf("tree: a price of a quota is negative")
	}
	const fine = 1_000_000_000
	total, watt := a.withoutJobs(n.Duals, t.slots)
	for i, q := range t.quotas {
		total.Add(total, mul(n.Quota[i], fine, q.places))
	}
	items := make([][]setItem, len(p.Classes))
	for j, list := range s.options {
		pay := n.Job[j]
		if !c.need[j] {
			out := int64(0)
			if p.Jobs[j].Current != None {
				out = -a.hourly(p.Jobs[j].KillMicro)
			}
			if pay < out {
				return fmt.Errorf("tree: job %d pays %d, less than not running brings", j, pay)
			}
		}
		sits := c.need[j] && len(list) == 1
		if !sits {
			total.Add(total, mul(pay, fine))
		} else if n.Job[j] != 0 {
			return fmt.Errorf("tree: job %d pays although it has no choice", j)
		}
		for _, f := range list {
			o := p.Offers[f]
			net := a.offerNet(n.Duals, t.slots, watt, f)
			for i, q := range t.quotas {
				if q.tenant == p.Jobs[j].Tenant {
					net.Sub(net, mul(n.Quota[i], fine, o.Width/q.t))
				}
			}
			if sits {
				total.Add(total, net)
				continue
			}
			net.Sub(net, mul(pay, fine))
			if net.Sign() > 0 && o.Width <= s.class[o.Class] && o.Width <= s.tenant[p.Jobs[j].Tenant] {
				items[o.Class] = append(items[o.Class], setItem{f, j, o.Width, net})
			}
		}
	}
	for cl, list := range items {
		if err := t.noneBetter(&s, cl, list, n.Packs[cl]); err != nil {
			return err
		}
		total.Add(total, mul(n.Packs[cl], fine))
	}
	bound := roundUp(total, fine)
	if bound.Cmp(bi(n.BoundNano)) != 0 {
		return fmt.Errorf("tree: a leaf claims %d, its prices give %s", n.BoundNano, bound)
	}
	if t.top == nil || bound.Cmp(t.top) > 0 {
		t.top = bound
	}
	return nil
}

type setItem struct {
	offer, job int
	width      int64
	net        *big.Int // fine units
}

// noneBetter proves that no set of a class's offers gains more than claimed:
// because all of them together do not, or all that fit by width, or by going
// through the sets.
func (t *treeAudit) noneBetter(s *seats, class int, items []setItem, claim int64) error {
	sum := new(big.Int)
	for _, x := range items {
		sum.Add(sum, x.net)
	}
	if claim >= 0 && roundUp(sum, 1_000_000_000).Cmp(bi(claim)) <= 0 {
		return nil
	}
	wrong := fmt.Errorf("tree: jobs of class %d can gain more than the %d that a leaf says", class, claim)
	if claim < 0 {
		return wrong
	}
	room := s.class[class]
	if sum.BitLen() > 92 || room > maxSearch/int64(len(items)+1) {
		return fmt.Errorf("tree: the sets of class %d are too many to check", class)
	}
	h := &setSearch{t: t, s: s, claim: claim, left: maxSearch}
	for i := 0; i < len(items); {
		group := []setItem{}
		for j := items[i].job; i < len(items) && items[i].job == j; i++ {
			group = append(group, items[i])
		}
		h.groups = append(h.groups, group)
	}
	byDevice := func(x, y setItem) int {
		return new(big.Int).Mul(x.net, bi(y.width)).Cmp(new(big.Int).Mul(y.net, bi(x.width)))
	}
	slices.SortStableFunc(h.groups, func(x, y []setItem) int { // best per device first
		return byDevice(slices.MaxFunc(y, byDevice), slices.MaxFunc(x, byDevice))
	})
	h.most = make([][]int64, len(h.groups)+1)
	h.most[len(h.groups)] = make([]int64, room+1)
	for g := len(h.groups) - 1; g >= 0; g-- {
		h.most[g] = slices.Clone(h.most[g+1])
		for w := range h.most[g] {
			for _, x := range h.groups[g] {
				if int(x.width) <= w {
					h.most[g][w] = max(h.most[g][w], h.most[g+1][w-int(x.width)]+x.gain())
				}
			}
		}
	}
	switch h.above(0, int(room), 0) {
	case true:
		return wrong
	default:
		if h.left < 0 {
			return fmt.Errorf("tree: the sets of class %d are too many to check", class)
		}
		return nil
	}
}

func (x setItem) gain() int64 { return roundUp(x.net, 1_000_000_000).Int64() }

type setSearch struct {
	t      *treeAudit
	s      *seats
	groups [][]setItem
	most   [][]int64 // per group and room: what it and later ones gain by width alone
	claim  int64
	left   int64
}

// above tells whether a set gains more than claimed.
func (h *setSearch) above(g, room int, have int64) bool {
	if have > h.claim {
		return true
	}
	if h.left--; h.left < 0 || have+h.most[g][room] <= h.claim || g == len(h.groups) {
		return false
	}
	for _, x := range h.groups[g] {
		if int(x.width) > room || have+x.gain()+h.most[g+1][room-int(x.width)] <= h.claim {
			continue
		}
		h.t.sit(h.s, x.offer, 1)
		fits := true
		for _, n := range slices.Concat(h.s.slot, h.s.tenant) {
			fits = fits && n >= 0
		}
		found := fits && h.above(g+1, room-int(x.width), have+x.gain())
		h.t.sit(h.s, x.offer, -1)
		if found {
			return true
		}
	}
	return h.above(g+1, room, have)
}

// quotaSlot is the checker's own form of a quota row.
type quotaSlot struct {
	tenant int
	t      int64
	places int64
}

func (a *audit) quotaSlots() []quotaSlot {
	p := a.p
	var out []quotaSlot
	for _, r := range p.Rows {
		if r.Kind != RowTenant {
			continue
		}
		var widths []int64
		for f, o := range p.Offers {
			if a.runnable[f] && p.Jobs[o.Job].Tenant == r.Tenant && o.Width > 1 {
				widths = append(widths, o.Width)
			}
		}
		slices.Sort(widths)
		for _, t := range slices.Compact(widths) {
			if r.Limit%t > 0 {
				out = append(out, quotaSlot{r.Tenant, t, r.Limit / t})
			}
		}
	}
	return out
}
