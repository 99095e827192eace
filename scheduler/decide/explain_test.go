package decide

import (
	"fmt"
	"math/big"
	"testing"
)

// hall is one node of eight GPUs and a few things to do with them.
func hall() Problem {
	return Problem{
		Coins: 2, Tenants: 2, Policy: Policy{HorizonMinutes: 60, HoldGapPPM: 1000},
		Zones: []Zone{{Parent: None, CapW: 10_000, EnergyMicroPerKWh: 100_000}},
		Classes: []Class{{NodeSize: 8, Devices: 8, IdleWatts: 20, Trainable: true, Nodes: []NodeShape{{0, 8, 8}}},
			{NodeSize: 4, Devices: 4, IdleWatts: 20, Nodes: []NodeShape{{1, 4, 4}}}},
		Mining: []MiningCell{
			{Class: 0, Option: 0, Coin: 0, GrossMicroPerHour: 73_100, HaircutPPM: 40_000, WattsMeter: 290, EnterMicro: 8000, Current: 8},
			{Class: 0, Option: 1, Coin: 1, GrossMicroPerHour: 75_000, HaircutPPM: 40_000, WattsMeter: 290, EnterMicro: 8000},
			{Class: 1, Option: 0, Coin: 1, GrossMicroPerHour: 900, WattsMeter: 120},
		},
		Jobs: []Job{{Tenant: 0, Current: None}, {Tenant: 0, Current: None}, {Tenant: 1, Current: None}, {Tenant: 0, Current: None}},
		Offers: []Offer{
			{Job: 0, Class: 0, Width: 2, NetMicroPerHour: 400_000, WattsMeter: 600},              // runs
			{Job: 1, Class: 0, Width: 8, PerNode: 8, NetMicroPerHour: 100_000, WattsMeter: 2400}, // too big beside job 0
			{Job: 2, Class: 0, Width: 2, NetMicroPerHour: 500_000, WattsMeter: 600},              // over its tenant's limit
			{Job: 3, Class: 0, Width: 2, NetMicroPerHour: 40_000, WattsMeter: 600},               // bids too little
		},
		Rows: []Row{{Kind: RowTenant, Sense: AtMost, Tenant: 1, Limit: 1}},
	}
}

func TestExplainOrdersReasons(t *testing.T) {
	p := hall()
	if issues := Validate(&p); issues != nil {
		t.Fatal(issues)
	}
	r, _ := Solve(&p, nil, Budget{})
	mustVerify(t, &p, &r)
	for _, c := range []struct {
		name string
		q    Query
		want string
	}{
		{"running job", Query{Job: 0}, "[RUNNING]"},
		{"gang beside another", Query{Job: 1}, "[NO_FIT BID]"},
		{"tenant limit", Query{Job: 2}, "[QUOTA BID]"},
		{"low bid", Query{Job: 3}, "[PRICE BID]"},
		{"miner with a better coin", Query{Device: true, Class: 0, Cell: 0, Job: None}, "[NOW STABLE PARK]"},
		{"miner and a job of another class", Query{Device: true, Class: 1, Cell: None, Job: 0}, "[NOW PRICE ELIGIBILITY]"},
		{"nonsense", Query{Device: true, Class: 7}, "[]"},
	} {
		var codes []Code
		for _, l := range Explain(&p, &r, c.q).Lines {
			codes = append(codes, l.Code)
		}
		if got := fmt.Sprint(codes); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	lines := Explain(&p, &r, Query{Device: true, Class: 0, Cell: 0, Job: None}).Lines
	now, next, at := lines[0], lines[1], lines[2]
	if now.Gross != 73_100 || now.Risk != 2924 || now.Energy != 29_000 || now.Net != 41_176 {
		t.Errorf("ledger of the device: %+v", now)
	}
	// 1824 micro/h more for a switch of 8000 micro: 264 minutes.
	if next.Cell != 1 || next.SwitchMicro != 8000 || next.PaybackMinutes != 264 || next.HorizonMinutes != 60 {
		t.Errorf("best alternative: %+v", next)
	}
	// Parks when gross x 0.96 <= 270 W x 0.1: 28125; tariff 70176/270 W.
	if at.ParkBelowGross != 28_125 || at.ParkAboveKWh != 259_911 {
		t.Errorf("thresholds: %+v", at)
	}
	fit := Explain(&p, &r, Query{Job: 1}).Lines[0]
	if fit.Need != 8 || fit.Have != 6 {
		t.Errorf("NO_FIT needs %d has %d, want 8 and 6", fit.Need, fit.Have)
	}
	if quota := Explain(&p, &r, Query{Job: 2}).Lines[0]; quota.Row != 0 {
		t.Errorf("QUOTA names row %d", quota.Row)
	}
}

func TestBreakEvenBidIsWhereTheJobStarts(t *testing.T) {
	p := hall()
	r, w := Solve(&p, nil, Budget{})
	line := Explain(&p, &r, Query{Job: 3}).Lines[1]
	if line.Code != CodeBid || line.BidMicro <= 20_000 {
		t.Fatalf("no break-even bid: %+v", line)
	}
	for _, c := range []struct {
		bid  int64
		runs bool
	}{{line.BidMicro * 8 / 10, false}, {line.BidMicro * 13 / 10, true}} {
		a := WhatIf(&p, w, Budget{}, Delta{Kind: Bid, Job: 3, Micro: c.bid})
		if got := a.After.Plan.Jobs[3] != None; got != c.runs {
			t.Errorf("at a bid of %d (break-even %d) runs: %v", c.bid, line.BidMicro, got)
		}
	}
}

func TestWhatIfPairsPlans(t *testing.T) {
	p := hall()
	p.Zones[0].CapW = 2100
	p.Rows = append(p.Rows, Row{Kind: RowAIShare, Tier: 3, Sense: AtLeast, Measure: MeasureOwned, SharePPM: 500_000})
	_, w := Solve(&p, nil, Budget{})
	for _, c := range []struct {
		name     string
		d        Delta
		feasible bool
		sign     int // of the value difference
	}{
		{"force a job in", Delta{Kind: ForceIn, Job: 3, Offer: None}, true, 0},
		{"force one over its tenant's limit", Delta{Kind: ForceIn, Job: 2, Offer: 2}, false, 0},
		{"force the payer out", Delta{Kind: ForceOut, Job: 0}, true, -1},
		{"drop the target", Delta{Kind: DropRow, Row: 1}, true, 1},
		{"more power", Delta{Kind: AddPower, Zone: 0, Watts: 500}, true, 1},
		{"less power", Delta{Kind: AddPower, Zone: 0, Watts: -500}, true, -1},
		{"no such job", Delta{Kind: ForceOut, Job: 9}, false, 0},
		{"invalid row", Delta{Kind: ChangeRow, Row: 1, Change: Row{Kind: "x"}}, false, 0},
	} {
		a := WhatIf(&p, w, Budget{}, c.d)
		mustVerify(t, &p, &a.Before)
		if q, ok := Changed(&p, c.d); ok && len(Validate(&q)) == 0 {
			mustVerify(t, &q, &a.After)
		}
		if a.Feasible != c.feasible {
			t.Errorf("%s: feasible %v", c.name, a.Feasible)
		}
		if c.sign > 0 && a.ValueDeltaMicro <= 0 || c.sign < 0 && a.ValueDeltaMicro >= 0 {
			t.Errorf("%s: value changes by %d", c.name, a.ValueDeltaMicro)
		}
		if a.ValueDeltaMicro != a.After.ObjectiveMicroPerHour-a.Before.ObjectiveMicroPerHour && a.Feasible {
			if d := a.ValueDeltaMicro - (a.After.ObjectiveMicroPerHour - a.Before.ObjectiveMicroPerHour); d < -1 || d > 1 {
				t.Errorf("%s: difference %d does not fit the two plans", c.name, a.ValueDeltaMicro)
			}
		}
	}
}

// Loosening a limit never looks worse, on fleets that only the heuristics see.
func TestWhatIfIsMonotone(t *testing.T) {
	for seed := range uint64(2) {
		p := Generate(250, 25, ShapeTightPower, seed)
		_, w := Solve(&p, nil, Budget{})
		for _, d := range []Delta{{Kind: AddPower, Zone: 0, Watts: 50_000}, {Kind: DropRow, Row: len(p.Rows) - 1}} {
			if a := WhatIf(&p, w, Budget{}, d); a.ValueDeltaMicro < 0 {
				t.Errorf("seed %d: %s is worth %d", seed, d.Kind, a.ValueDeltaMicro)
			}
		}
	}
}

func TestValidateNamesEveryDefect(t *testing.T) {
	for path, breakIt := range map[string]func(*Problem){
		"zones[0].parent":                func(p *Problem) { p.Zones[0].Parent = 3 },
		"zones[0].cap_w":                 func(p *Problem) { p.Zones[0].CapW = 1 << 60 },
		"zones[0].energy_micro_per_kwh":  func(p *Problem) { p.Zones[0].EnergyMicroPerKWh = -(1 << 62) },
		"classes[1].zone":                func(p *Problem) { p.Classes[1].Zone = 1 },
		"classes[0].devices":             func(p *Problem) { p.Classes[0].Devices = -1 },
		"classes[0].idle_watts":          func(p *Problem) { p.Classes[0].IdleWatts = -1 },
		"classes[0].nodes":               func(p *Problem) { p.Classes[0].Devices = 9 },
		"classes[0].nodes[0]":            func(p *Problem) { p.Classes[0].Nodes[0].Free = 9 },
		"mining[1]":                      func(p *Problem) { p.Mining[1].Option = 0 },
		"mining[0].coin":                 func(p *Problem) { p.Mining[0].Coin = 2 },
		"mining[0].gross_micro_per_hour": func(p *Problem) { p.Mining[0].GrossMicroPerHour = MaxScalar + 1 },
		"mining[0].haircut_ppm":          func(p *Problem) { p.Mining[0].HaircutPPM = PPM + 1 },
		"mining[0].watts_meter":          func(p *Problem) { p.Mining[0].WattsMeter = 3 },
		"mining[0].enter_micro":          func(p *Problem) { p.Mining[0].EnterMicro = -1 },
		"mining[0].locked":               func(p *Problem) { p.Mining[0].Locked = 9 },
		"jobs[0].tenant":                 func(p *Problem) { p.Jobs[0].Tenant = -1 },
		"jobs[0].kill_micro":             func(p *Problem) { p.Jobs[0].KillMicro = -5 },
		"jobs[0].current":                func(p *Problem) { p.Jobs[0].Current = 1 },
		"jobs[0]":                        func(p *Problem) { p.Jobs[0].Pinned = true },
		"offers[1].per_node":             func(p *Problem) { p.Offers[1].PerNode = 3 },
		"offers[0].width":                func(p *Problem) { p.Offers[0].Width = 0 },
		"offers[0].class":                func(p *Problem) { p.Offers[0].Class = 2 },
		"offers[3].job":                  func(p *Problem) { p.Offers[3].Job = 4 },
		"offers[0].net_micro_per_hour":   func(p *Problem) { p.Offers[0].NetMicroPerHour = -1 },
		"rows[0].tenant":                 func(p *Problem) { p.Rows[0].Tenant = 2 },
		"rows[0].sense":                  func(p *Problem) { p.Rows[0].Sense = AtLeast },
		"rows[0].kind":                   func(p *Problem) { p.Rows[0].Kind = "" },
		"policy.horizon_minutes":         func(p *Problem) { p.Policy.HorizonMinutes = 0 },
		"policy.max_moves":               func(p *Problem) { p.Policy.MaxMoves = -1 },
		"mining":                         func(p *Problem) { p.Mining[0].GrossMicroPerHour = MaxScalar },
	} {
		p := hall()
		breakIt(&p)
		found := false
		for _, x := range Validate(&p) {
			found = found || x.Path == path
		}
		if !found {
			t.Errorf("%s: not named in %v", path, Validate(&p))
		}
	}
}

func TestInt128MatchesBig(t *testing.T) {
	rng := splitmix(7)
	for range 5000 {
		var x int128
		want := new(big.Int)
		for range 4 {
			a, b := int64(rng.next())>>rng.below(40), int64(rng.next())>>(8+rng.below(50))
			x.addMul(a, b)
			want.Add(want, new(big.Int).Mul(big.NewInt(a), big.NewInt(b)))
		}
		d := rng.between(1, 1<<40)
		got := x.divCeil(d)
		if up := roundUp(want, d); up.IsInt64() && up.Int64() != got {
			t.Fatalf("%s / %d: got %d, want %s", want, d, got, up)
		}
		if x.positive() != (want.Sign() > 0) {
			t.Fatalf("sign of %s", want)
		}
	}
}
