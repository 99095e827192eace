package decide

import "testing"

// Ten miners of 300 W under a cap that lets six work: a kilowatt more is worth
// four of them, of which the rest of the kilowatt is idle.
func TestMarginalsAreFiniteSteps(t *testing.T) {
	p := Problem{Zones: []Zone{{Parent: None, CapW: 1800, EnergyMicroPerKWh: 50_000}}, Coins: 1, Policy: Policy{HorizonMinutes: 60},
		Classes: []Class{{Devices: 10}}, Mining: []MiningCell{{GrossMicroPerHour: 100_000, WattsMeter: 300}}}
	r, w := Solve(&p, nil, Budget{})
	got := Marginals(&p, &r, w, Budget{}, 2400)
	if len(got) != 1 {
		t.Fatalf("%+v", got)
	}
	m := got[0]
	// A miner nets 0.085 USD/h; the dual alone would say 2400/300 = 8 of them.
	if m.Scope != "zone" || m.MoreMicro != 4*85_000 || m.Saturates < 1200 || m.Saturates > 1350 || m.LessOK {
		t.Errorf("%+v", m)
	}
	if got = Marginals(&p, &r, w, Budget{}, 600); got[0].MoreMicro != 2*85_000 || got[0].LessMicro != 2*85_000 || !got[0].LessOK || got[0].Saturates != 600 {
		t.Errorf("%+v", got)
	}
}

// A step more is never worth more than a step less costs, and a result of the
// other problem never beats what the step promises.
func TestMarginalsBoundWhatReallyHappens(t *testing.T) {
	priced := 0
	for seed := range uint64(3) {
		p := Generate(300, 30, ShapeTightPower, seed)
		p.Policy.MaxMoves = 0
		r, w := Solve(&p, nil, Budget{})
		for _, m := range Marginals(&p, &r, w, Budget{}, 1000) {
			if m.MoreMicro > 0 {
				priced++
			}
			if m.LessOK && m.MoreMicro > m.LessMicro+1+r.BoundMicroPerHour/100_000 {
				t.Errorf("seed %d: %+v: more is worth more than less", seed, m)
			}
			if m.Scope != "zone" {
				continue
			}
			q, _ := Changed(&p, Delta{Kind: AddPower, Zone: m.Index, Watts: m.Step})
			after, _ := Solve(&q, nil, Budget{})
			mustVerify(t, &q, &after)
			if got := after.ObjectiveMicroPerHour - r.BoundMicroPerHour; got > m.MoreMicro+1+r.BoundMicroPerHour/100_000 {
				t.Errorf("seed %d: %+v: the plan really gained %d", seed, m, got)
			}
		}
	}
	if priced == 0 {
		t.Error("no limit had a price")
	}
}

func TestTargetsHaveTheirCost(t *testing.T) {
	p := Generate(1000, 100, ShapeDefault, 3)
	for i := range p.Rows {
		if p.Rows[i].Kind == RowAIShare && p.Rows[i].Measure == MeasureOwned {
			p.Rows[i].SharePPM = 600_000
		}
	}
	for f := range p.Offers { // jobs that pay less than coins
		p.Offers[f].NetMicroPerHour /= 6
	}
	r, w := Solve(&p, nil, Budget{})
	costs := Costs(&p, &r, w, Budget{})
	met := 0
	for _, x := range r.Targets {
		if x.Code == TargetMet {
			met++
		}
	}
	if len(costs) != met || met == 0 {
		t.Fatalf("%d costs for %d targets that decide: %+v", len(costs), met, r.Targets)
	}
	for _, c := range costs {
		if c.BoundMicro < 0 || c.PlanMicro < 0 && c.Code == TargetMetCost {
			t.Errorf("%+v: to do without a target gains nothing", c)
		}
	}
}
