package decide

import (
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"testing"

	"github.com/sluice-project/sluice/scheduler/decide/lp"
)

// whole is the relaxation of p with every offer in it.
func whole(p *Problem, short []int64) (*relaxation, lp.Solution) {
	in := compile(p)
	x := newRelaxation(in, newPricer(in))
	x.short = short
	for f := range p.Offers {
		x.bring(f)
	}
	b := x.build()
	return x, lp.Solve(x.m, &b, 0)
}

// Sifting must end at the optimum of the program with all offers, and the exact
// bound at its prices must be that optimum but for rounding.
func TestSiftingReachesTheRelaxation(t *testing.T) {
	for _, shape := range []string{ShapeDefault, ShapeTightPower, ShapeTightCoin, ShapeHardAI} {
		for seed := range uint64(2) {
			p := Generate(300, 40, shape, seed)
			p.Policy.MaxMoves = int64(seed) * 200
			r, w := Solve(&p, nil, Budget{})
			mustVerify(t, &p, &r)
			if w.s.Basis == nil {
				t.Fatalf("%s %d: the relaxation was not solved", shape, seed)
			}
			x, all := whole(&p, w.s.Shorts)
			if all.Status != lp.Optimal {
				t.Fatalf("%s %d: %s", shape, seed, all.Status)
			}
			want := all.Objective + float64(x.in.base)
			for _, v := range x.in.out {
				want += float64(v)
			}
			if d := float64(r.LPObjective)*1000 - want; math.Abs(d) > 2e-6*math.Abs(want) {
				t.Errorf("%s %d: bound %d micro, relaxation %.0f nano", shape, seed, r.LPObjective, want)
			}
		}
	}
}

// The relaxation must be at least as large as every plan, whatever it holds:
// tiny fleets say what the best plan is.
func TestRelaxationIsAboveTheBestPlan(t *testing.T) {
	for seed := range uint64(400) {
		rng := splitmix(seed)
		p := tiny(func(n int) int { return int(rng.below(int64(n))) })
		r, _ := Solve(&p, nil, Budget{})
		x, all := whole(&p, shortsOf(&r))
		if all.Status != lp.Optimal {
			t.Fatalf("seed %d: %s\n%s", seed, all.Status, dump(&p))
		}
		top := all.Objective + float64(x.in.base)
		for _, v := range x.in.out {
			top += float64(v)
		}
		if top < float64(r.Cert.ValueNano)-1e-6*math.Max(1e6, math.Abs(top)) {
			t.Fatalf("seed %d: relaxation %.0f below the plan %d\n%s", seed, top, r.Cert.ValueNano, dump(&p))
		}
	}
}

func TestWithoutPivotsTheWalkStillProves(t *testing.T) {
	for seed := range uint64(4) {
		p := Generate(600, 60, ShapeDefault, seed)
		r, w := Solve(&p, nil, Budget{})
		low, lw := Solve(&p, nil, Budget{Pivots: 1})
		mustVerify(t, &p, &low)
		if lw.s.Basis != nil || low.Work.Pivots > 1 || low.Cert.BoundNano < r.Cert.BoundNano || low.GapPPM < r.GapPPM {
			t.Errorf("seed %d: %d pivots, bound %d against %d", seed, low.Work.Pivots, low.Cert.BoundNano, r.Cert.BoundNano)
		}
		p.Policy.HoldGapPPM = 0
		// Either kind of start serves either kind of round.
		for _, start := range []*Warm{w, lw} {
			for _, b := range []Budget{{}, {Pivots: 1}} {
				again, _ := Solve(&p, start, b)
				mustVerify(t, &p, &again)
			}
		}
	}
}

func TestAnyStoredBasisWillDo(t *testing.T) {
	p := Generate(600, 60, ShapeDefault, 5)
	p.Policy.HoldGapPPM = 0
	_, w := Solve(&p, nil, Budget{})
	stored, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var back Warm
	if err := json.Unmarshal(stored, &back); err != nil {
		t.Fatal(err)
	}
	good, _ := Solve(&p, w, Budget{})
	same, _ := Solve(&p, &back, Budget{})
	if !reflect.DeepEqual(good, same) {
		t.Error("a stored basis answers differently")
	}
	cold, _ := Solve(&p, nil, Budget{})
	if good.Work.Pivots*5 > cold.Work.Pivots {
		t.Errorf("%d pivots from a basis, %d from nothing", good.Work.Pivots, cold.Work.Pivots)
	}
	for name, spoil := range map[string]func(b *relaxBasis){
		"short":    func(b *relaxBasis) { b.Row = b.Row[1:] },
		"foreign":  func(b *relaxBasis) { b.Work[0].Job = 1 << 30 },
		"negative": func(b *relaxBasis) { b.Work[0].Kind = -1 },
		"nonsense": func(b *relaxBasis) {
			for i := range b.Enter {
				b.Enter[i] = lp.Place(i%9 - 2)
			}
			b.Job[0] = 77
		},
		"twice": func(b *relaxBasis) { b.Work[1] = b.Work[0] },
	} {
		if err := json.Unmarshal(stored, &back); err != nil {
			t.Fatal(err)
		}
		spoil(back.s.Basis)
		r, _ := Solve(&p, &back, Budget{})
		if err := Verify(&p, &r); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !slices.Equal(shortsOf(&r), shortsOf(&good)) || r.Cert.BoundNano > good.Cert.BoundNano+good.Cert.ScaleNano/1000 {
			t.Errorf("%s: bound %d, was %d", name, r.Cert.BoundNano, good.Cert.BoundNano)
		}
	}
}
