package decide

import (
	"flag"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var treeInstances = flag.Int("tree-instances", 1000, "random tiny instances whose proof by cases is compared with brute force")

// small draws like tiny, but more devices than are enumerated, so that the tree
// has to prove the plan; every count stays within reach of brute force.
func small(seed int) Problem {
	rng := splitmix(seed)
	pick := func(n int) int { return int(rng.below(int64(n))) }
	for {
		p := tiny(pick)
		n := int64(0)
		for c := range p.Classes {
			cl := &p.Classes[c]
			if len(cl.Nodes) == 0 {
				cl.Devices += int64(3 + pick(3))
			} else {
				cl.Nodes = append(cl.Nodes, NodeShape{Node: 100, Free: 4, Total: 4})
				cl.Devices += 4
			}
			n += cl.Devices
		}
		p.Policy.HoldGapPPM = 0
		if n > tinyFleet && n <= 13 && len(p.Mining) <= 4 && len(p.Jobs) > 0 && Validate(&p) == nil {
			return p
		}
	}
}

// No plan is above the bound of a tree, and a plan called optimal is the best.
func TestTreesHoldAgainstBruteForce(t *testing.T) {
	n := *treeInstances
	if testing.Short() {
		n = min(n, 200)
	}
	compared, trees, split, optimal := 0, 0, 0, 0
	for seed := range n {
		p := small(seed)
		r, _ := Solve(&p, nil, Budget{})
		mustVerify(t, &p, &r)
		short, value, ok := brute(&p)
		if !ok {
			continue
		}
		compared++
		if len(r.Cert.Tree) > 0 {
			trees++
		}
		if len(r.Cert.Tree) > 1 {
			split++
		}
		all := make([]int64, 7)
		for _, x := range r.Cert.Tiers {
			all[x.Tier] = x.Short
		}
		if better(all, r.Cert.ValueNano, short, value) {
			t.Fatalf("seed %d: brute force finds less than the plan\n%s", seed, dump(&p))
		}
		if slices.Equal(all, short) && value > r.Cert.BoundNano {
			t.Fatalf("seed %d: a plan is worth %d, the bound is %d\n%s", seed, value, r.Cert.BoundNano, dump(&p))
		}
		if r.Stage == StageOptimal {
			optimal++
			if !slices.Equal(all, short) || value != r.Cert.ValueNano {
				t.Fatalf("seed %d: optimal is %d, brute force finds %d\n%s", seed, r.Cert.ValueNano, value, dump(&p))
			}
		}
	}
	t.Logf("%d instances: %d with a tree, %d of them split, %d proven optimal", compared, trees, split, optimal)
	if n >= 200 && (compared < n/2 || trees < n/50 || optimal < n/20) {
		t.Errorf("instances too tame: %d compared, %d trees, %d split, %d optimal", compared, trees, split, optimal)
	}
}

// withTree solves until a problem has a tree with a split, so that every kind of
// node is there to be broken.
func withTree(t *testing.T) (Problem, Result) {
	t.Helper()
	for seed := uint64(1); seed < 40; seed++ {
		p := Generate(150, 30, ShapeDefault, seed)
		r, _ := Solve(&p, nil, Budget{})
		mustVerify(t, &p, &r)
		if len(r.Cert.Tree) >= 3 {
			return p, r
		}
	}
	t.Fatal("no instance needed a split")
	return Problem{}, Result{}
}

// Every way to weaken a proof by cases is found out.
func TestVerifyRefusesBrokenTrees(t *testing.T) {
	p, r := withTree(t)
	t.Logf("a tree of %d nodes", len(r.Cert.Tree))
	leaf := slices.IndexFunc(r.Cert.Tree, func(n TreeNode) bool { return n.Duals != nil })
	refuse := func(name, want string, change func(s *Result)) {
		s := r
		s.Cert.Tree = cloneTree(r.Cert.Tree)
		change(&s)
		if reflect.DeepEqual(s, r) {
			t.Errorf("%s: nothing was changed", name)
		}
		if err := Verify(&p, &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want an error with %q, got %v", name, want, err)
		}
	}
	top := func(s *Result) { // the claim that the broken tree would support
		v := int64(-1 << 62)
		for _, n := range s.Cert.Tree {
			if n.Duals != nil {
				v = max(v, n.BoundNano)
			}
		}
		s.Cert.BoundNano, s.BoundMicroPerHour = v, ceilDiv(v, 1000)
		s.GapMicroPerHour, s.GapPPM = ceilDiv(v-s.Cert.ValueNano, 1000), share(v-s.Cert.ValueNano, s.Cert.ScaleNano)
	}
	refuse("a dropped leaf", "a case is missing", func(s *Result) { s.Cert.Tree = s.Cert.Tree[:len(s.Cert.Tree)-1]; top(s) })
	refuse("a leaf too many", "belong to nothing", func(s *Result) { s.Cert.Tree = append(s.Cert.Tree, s.Cert.Tree[leaf]) })
	refuse("one leaf for all", "tree: ", func(s *Result) { s.Cert.Tree = s.Cert.Tree[leaf : leaf+1]; top(s) })
	refuse("a case called impossible", "impossible", func(s *Result) { s.Cert.Tree[leaf] = TreeNode{Impossible: true}; top(s) })
	refuse("a bound lowered", "claims", func(s *Result) { s.Cert.Tree[leaf].BoundNano--; top(s) })
	refuse("an inner node with a claim", "inner node", func(s *Result) { s.Cert.Tree[0].BoundNano = 1 })
	refuse("offers of two jobs", "one job", func(s *Result) {
		n := &s.Cert.Tree[0]
		for f, o := range p.Offers {
			if f > n.Offers[0] && o.Job != p.Offers[n.Offers[0]].Job {
				n.Offers = append(n.Offers, f)
				break
			}
		}
	})
	refuse("no such offer", "one job", func(s *Result) { s.Cert.Tree[0].Offers = []int{len(p.Offers)} })
	refuse("prices of another shape", "wrong shape", func(s *Result) { s.Cert.Tree[leaf].Job = s.Cert.Tree[leaf].Job[1:] })
	refuse("a negative price", "out of range", func(s *Result) { s.Cert.Tree[leaf].Duals.Class[0] = -1 })
	refuse("a claim beside an enumeration", "beside an enumeration", func(s *Result) { s.Cert.Enumerated = true })
	for c, v := range r.Cert.Tree[leaf].Packs {
		if v == 0 {
			continue
		}
		// Less than the class can gain, with the bound that would follow.
		refuse("a class's sets understated", "can gain more", func(s *Result) {
			n := &s.Cert.Tree[leaf]
			n.Packs[c]--
			n.BoundNano--
			top(s)
		})
	}
	if len(r.Cert.Tree[leaf].Quota) > 0 {
		refuse("a quota paid negatively", "quota is negative", func(s *Result) { s.Cert.Tree[leaf].Quota[0] = -1 })
	}
}

// A price changed so far that it cannot trade evenly is always found out.
func TestVerifyRecomputesALeafFromEveryPrice(t *testing.T) {
	p, r := withTree(t)
	r.Cert.Tree = cloneTree(r.Cert.Tree)
	for i := range r.Cert.Tree {
		n := &r.Cert.Tree[i]
		if n.Duals == nil {
			continue
		}
		for name, list := range map[string][]int64{"class": n.Duals.Class, "zone": n.Duals.Zone, "row": n.Duals.Row, "place": n.Duals.Place, "job": n.Job, "quota": n.Quota} {
			for k := 0; k < len(list); k += 1 + len(list)/8 {
				old := list[k]
				list[k] = old + 100_000_000_000_000
				if Verify(&p, &r) == nil {
					t.Errorf("node %d: %s price %d can be changed", i, name, k)
				}
				list[k] = old
			}
		}
		break // the leaves are alike
	}
	mustVerify(t, &p, &r)
}

// The knapsack of a class with place rows and contracts against all its sets.
func TestSetsOfAClassAgainstEnumeration(t *testing.T) {
	for seed := range 400 {
		rng := splitmix(seed)
		in := &instance{p: &Problem{Tenants: 2}}
		room := 3 + rng.below(20)
		sp := &space{places: []int64{rng.below(5)}, contract: []int64{rng.below(20), MaxScalar}}
		s := sack{in: in, sp: sp, room: room}
		type choice struct {
			job   int
			width int64
			gain  int64
			place int64
		}
		var all []choice
		for j := range 1 + int(rng.below(6)) {
			in.p.Jobs = append(in.p.Jobs, Job{Tenant: int(rng.below(2))})
			for range 1 + rng.below(2) {
				x := choice{j, 1 + rng.below(8), 1 + rng.below(1000), rng.below(3)}
				all = append(all, x)
				in.p.Offers = append(in.p.Offers, Offer{Job: j, Width: x.width})
				in.kind = append(in.kind, int32(len(in.kinds)))
				in.kinds = append(in.kinds, kind{uses: []placeUse{{0, x.place}}})
				var g int128
				g.addMul(x.gain, dualUnit)
				s.add(j, len(all)-1, x.width, g)
			}
		}
		want := int64(0)
		for mask := range 1 << len(all) {
			used, place, first, gain, jobs, ok := int64(0), int64(0), int64(0), int64(0), 0, true
			for i, x := range all {
				if mask>>i&1 == 0 {
					continue
				}
				ok = ok && jobs>>x.job&1 == 0
				jobs |= 1 << x.job
				used, place, gain = used+x.width, place+x.place, gain+x.gain
				if in.p.Jobs[x.job].Tenant == 0 {
					first += x.width
				}
			}
			if ok && used <= room && place <= sp.places[0] && first <= sp.contract[0] {
				want = max(want, gain)
			}
		}
		got, set := s.best()
		sum := int64(0)
		for _, f := range set {
			sum += all[f].gain
		}
		if got != want || sum != want {
			t.Fatalf("seed %d: best set gains %d (listed %d), enumeration %d", seed, got, sum, want)
		}
	}
}

// A contract that changes changes which quotas there are; the tree of the round
// before then speaks of another problem.
func TestTreeOfAnotherContractIsDropped(t *testing.T) {
	trees := 0
	for seed := range uint64(60) {
		p := Generate(60, 12, ShapeDefault, seed)
		p.Policy.HoldGapPPM = PPM
		_, w := Solve(&p, nil, Budget{})
		if len(w.s.Tree) == 0 {
			continue
		}
		trees++
		for i := range p.Rows {
			if p.Rows[i].Kind == RowTenant {
				p.Rows[i].Limit = MaxCount
			}
		}
		r, _ := Solve(&p, w, Budget{})
		if err := Verify(&p, &r); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
	if trees == 0 {
		t.Error("no proof by cases was made")
	}
}
