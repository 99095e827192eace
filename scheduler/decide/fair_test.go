package decide

import "testing"

// floorProblem has one class of miners, all within their dwell or none, jobs
// that lose money, and a floor that only those jobs can meet.
func floorProblem(locked int64, jobs int) Problem {
	p := Problem{Policy: Policy{HorizonMinutes: 60, HoldGapPPM: 5000}, Tenants: 1, Coins: 1,
		Zones:   []Zone{{Parent: None, CapW: -1, EnergyMicroPerKWh: 50_000}},
		Classes: []Class{{Devices: 8, IdleWatts: 20, Trainable: true}},
		Mining:  []MiningCell{{Coin: 0, GrossMicroPerHour: 40_000, WattsMeter: 220, Current: 8, Locked: locked}},
		Rows:    []Row{{Kind: RowAIShare, Tier: 3, Sense: AtLeast, Measure: MeasureOwned, SharePPM: 500_000}},
	}
	for j := range jobs {
		p.Jobs = append(p.Jobs, Job{Current: None})
		p.Offers = append(p.Offers, Offer{Job: j, Class: 0, Width: 1, NetMicroPerHour: 2_000, WattsMeter: 320})
	}
	return p
}

func placed(r Result) (jobs []int) {
	for j, f := range r.Plan.Jobs {
		if f != None {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

// A target that dwell kept out of reach is met once dwell is over: a held plan
// is proven in profit, not in what it misses.
func TestHoldEndsWhenAMissedTargetMayBeMet(t *testing.T) {
	p := floorProblem(8, 6)
	if issues := Validate(&p); issues != nil {
		t.Fatal(issues)
	}
	r, w := Solve(&p, nil, Budget{})
	mustVerify(t, &p, &r)
	if len(placed(r)) != 0 || r.Targets[0].Code != TargetUnattainable {
		t.Fatalf("jobs %v start and the target is %s while every device is within its dwell", placed(r), r.Targets[0].Code)
	}
	again, w := Solve(&p, w, Budget{})
	if again.Stage != StageHeld && again.Stage != StageOptimal {
		t.Errorf("stage %s: nothing has changed", again.Stage)
	}
	for _, locked := range []int64{3, 0} {
		p.Mining[0].Locked = locked
		r, w = Solve(&p, w, Budget{})
		mustVerify(t, &p, &r)
		if want := min(4, int(8-locked)); len(placed(r)) != want {
			t.Errorf("%d locked: jobs %v run, want %d of them; target %s", locked, placed(r), want, r.Targets[0].Code)
		}
	}
}

func TestTwinsStartInOrderOfArrival(t *testing.T) {
	for jobs := 4; jobs <= 7; jobs++ {
		p := floorProblem(0, jobs)
		r, _ := Solve(&p, nil, Budget{})
		mustVerify(t, &p, &r)
		if got := placed(r); len(got) != 4 || got[3] != 3 {
			t.Errorf("of %d equal jobs %v start, want the first four", jobs, got)
		}
	}
	// A higher bid still goes first.
	p := floorProblem(0, 6)
	p.Offers[5].NetMicroPerHour = 9_000
	r, _ := Solve(&p, nil, Budget{})
	mustVerify(t, &p, &r)
	if got := placed(r); len(got) != 4 || got[2] != 2 || got[3] != 5 {
		t.Errorf("jobs %v start, want 0, 1, 2 and the better 5", got)
	}
}

// A floor is filled where it costs least against mining, from the first plan on.
func TestFloorsTakeTheDevicesThatMineWorst(t *testing.T) {
	p := floorProblem(0, 6)
	p.Classes = append(p.Classes, Class{Devices: 2, IdleWatts: 15, Trainable: true})
	p.Mining = append(p.Mining, MiningCell{Class: 1, GrossMicroPerHour: 20_000, WattsMeter: 170, Current: 2})
	offers := p.Offers
	p.Offers = nil
	for _, o := range offers {
		slow := o
		slow.Class, slow.NetMicroPerHour, slow.WattsMeter = 1, 1_400, 269
		p.Offers = append(p.Offers, o, slow)
	}
	if issues := Validate(&p); issues != nil {
		t.Fatal(issues)
	}
	r, _ := Solve(&p, nil, Budget{})
	mustVerify(t, &p, &r)
	slow := 0
	for _, f := range r.Plan.Jobs {
		if f != None && p.Offers[f].Class == 1 {
			slow++
		}
	}
	if slow != 2 || len(placed(r)) != 5 {
		t.Errorf("jobs %v, %d on the class that mines worst; gap %d ppm", placed(r), slow, r.GapPPM)
	}
}
