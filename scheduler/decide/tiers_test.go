package decide

import (
	"slices"
	"testing"
)

// A fleet of ten where one target can only be served to a certain point: what a
// person is told about it has to name that point and what stands in its way.
func TestTargetCodes(t *testing.T) {
	base := Problem{Zones: []Zone{{Parent: None, CapW: -1, EnergyMicroPerKWh: 50_000}}, Tenants: 1, Coins: 1, Policy: Policy{HorizonMinutes: 60},
		Classes: []Class{{Devices: 20, IdleWatts: 10, Trainable: true}},
		Mining:  []MiningCell{{GrossMicroPerHour: 100_000, WattsMeter: 300}}}
	for j := range 4 {
		base.Jobs = append(base.Jobs, Job{Current: None})
		base.Offers = append(base.Offers, Offer{Job: j, Width: 3, NetMicroPerHour: 60_000, WattsMeter: 900})
	}
	ai := func(tier int, share int64) Row {
		return Row{Kind: RowAIShare, Tier: tier, Sense: AtLeast, Measure: MeasureOwned, SharePPM: share}
	}
	mines := func(tier int, share int64) Row {
		return Row{Kind: RowShare, Part: PartMining, Tier: tier, Sense: AtLeast, Measure: MeasureOwned, SharePPM: share}
	}
	for _, c := range []struct {
		name     string
		rows     []Row
		codes    []TargetCode
		achieved []int64
		best     int64 // of the last row
		with     int
	}{
		{"met at a price", []Row{ai(3, 300_000)}, []TargetCode{TargetMet}, []int64{300_000}, 600_000, None},
		{"not binding", []Row{mines(3, 300_000)}, []TargetCode{TargetNotBinding}, []int64{1_000_000}, PPM, None},
		{"too few jobs", []Row{ai(3, 900_000)}, []TargetCode{TargetUnattainable}, []int64{600_000}, 600_000, None},
		{"too few jobs for tenants", []Row{{Kind: RowTenant, Sense: AtMost, Limit: 6}, ai(3, 900_000)}, []TargetCode{TargetUnattainable}, []int64{300_000}, 300_000, None},
		{"the stronger stands in the way", []Row{mines(3, 800_000), ai(4, 450_000)}, []TargetCode{TargetNotBinding, TargetConflict}, []int64{850_000, 150_000}, 200_000, 0},
		{"and the other way round", []Row{mines(4, 800_000), ai(3, 450_000)}, []TargetCode{TargetConflict, TargetMet}, []int64{550_000, 450_000}, 600_000, None},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := base
			p.Rows = c.rows
			r, _ := Solve(&p, nil, Budget{})
			mustVerify(t, &p, &r)
			for i, rep := range r.Targets {
				if rep.Code != c.codes[i] || rep.AchievedPPM != c.achieved[i] {
					t.Errorf("row %d: %s, %d achieved, want %s, %d (%+v)", rep.Row, rep.Code, rep.AchievedPPM, c.codes[i], c.achieved[i], r.Cert.Tiers)
				}
			}
			last := r.Targets[len(r.Targets)-1]
			if last.BestPossiblePPM != c.best || last.With != c.with {
				t.Errorf("best possible %d with %d, want %d with %d", last.BestPossiblePPM, last.With, c.best, c.with)
			}
		})
	}
}

// What a tier is proven to miss can be no more than what the best plan misses,
// and every price of the proof counts.
func TestTierProofsHoldAgainstBruteForce(t *testing.T) {
	proofs, tight := 0, 0
	for seed := range uint64(500) {
		rng := splitmix(seed + 77_000)
		p := tiny(func(n int) int { return int(rng.below(int64(n))) })
		r, _ := Solve(&p, nil, Budget{})
		if err := Verify(&p, &r); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, dump(&p))
		}
		for i, x := range r.Cert.Tiers {
			if x.Duals == nil {
				continue
			}
			proofs++
			if x.ShortBound == x.Short {
				tight++
			}
			forged := r
			forged.Cert.Tiers = slices.Clone(r.Cert.Tiers)
			d := x.Duals.clone()
			forged.Cert.Tiers[i].Duals = &d
			for q := range p.Rows {
				if p.Rows[q].Kind != RowTenant && p.Rows[q].Tier == x.Tier && x.Short > 0 {
					d.Row[q] = oneUnit + 1
					if Verify(&p, &forged) == nil {
						t.Fatalf("seed %d: a row counted more than once was not refused", seed)
					}
					d.Row[q] = x.Duals.Row[q]
				}
			}
			forged.Cert.Tiers[i].ShortBound++
			if Verify(&p, &forged) == nil {
				t.Fatalf("seed %d: a better proof than the prices give was not refused", seed)
			}
		}
	}
	t.Logf("%d proofs, %d tight", proofs, tight)
	if proofs < 40 || tight < 20 {
		t.Errorf("too tame: %d proofs by prices, %d tight", proofs, tight)
	}
}

func TestUnattainableTargetsAreServedAsFarAsTheyGo(t *testing.T) {
	for seed := range uint64(3) {
		p := Generate(500, 50, ShapeHardAI, seed)
		r, _ := Solve(&p, nil, Budget{})
		mustVerify(t, &p, &r)
		for _, x := range r.Cert.Tiers {
			if x.Short > 0 {
				t.Logf("seed %d tier %d: misses %d, at least %d (%.2f %% off)", seed, x.Tier, x.Short, x.ShortBound, 100*float64(x.Short-x.ShortBound)/float64(x.Short))
			}
		}
		first := r.Cert.Tiers[0]
		if first.Short == 0 || first.Short-first.ShortBound > first.Short/20 {
			t.Errorf("seed %d: the first tier misses %d, proven %d", seed, first.Short, first.ShortBound)
		}
	}
}

// A held plan misses a target only as long as nothing more is possible: a lower
// floor, or better prices where it is money that is short, end the hold.
func TestMissedRowsDoNotHoldWhenRoomGrows(t *testing.T) {
	p := Problem{Zones: []Zone{{Parent: None, CapW: -1, EnergyMicroPerKWh: 50_000}}, Tenants: 1, Coins: 3, Policy: Policy{HorizonMinutes: 60, HoldGapPPM: 1_000_000},
		Classes: []Class{{Devices: 20, IdleWatts: 10, Trainable: true}},
		Mining: []MiningCell{{Option: 0, Coin: 0, GrossMicroPerHour: 100_000, WattsMeter: 300, Current: 20}, {Option: 1, Coin: 1, GrossMicroPerHour: 30_000, WattsMeter: 300},
			{Option: 2, Coin: 2, GrossMicroPerHour: 20_000, WattsMeter: 300}},
		Rows: []Row{{Kind: RowCash, Tier: 5, Sense: AtLeast, Limit: 500_000, Coins: []int{1, 2}}}}
	r, w := Solve(&p, nil, Budget{})
	mustVerify(t, &p, &r)
	if r.Targets[0].Code != TargetUnattainable || r.Plan.Cells[1].Enter != 20 {
		t.Fatalf("%+v %+v", r.Targets, r.Plan)
	}
	q := p
	q.Mining = slices.Clone(p.Mining)
	q.Mining[2].GrossMicroPerHour = 45_000 // the other coin would do now
	again, _ := Solve(&q, w, Budget{})
	mustVerify(t, &q, &again)
	if again.Stage == StageHeld || again.Targets[0].Short > 0 {
		t.Errorf("stage %s, %+v", again.Stage, again.Targets)
	}
}
