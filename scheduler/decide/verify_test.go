package decide

import (
	"slices"
	"strings"
	"testing"
)

// A plan made for an easier question must be refused for the harder one, and
// for the right reason.
func TestVerifyRefusesPlansThatBreakALimit(t *testing.T) {
	easy := hall()
	easy.Jobs[0].Current, easy.Jobs[3].Current = 0, 3
	easy.Rows[0].Limit = 8
	r, _ := Solve(&easy, nil, Budget{})
	mustVerify(t, &easy, &r)
	if r.Plan.Jobs[0] != 0 || r.Plan.Jobs[2] != 2 || r.Plan.Jobs[3] != None || r.Plan.Cells[0].Keep != 4 {
		t.Fatalf("the plan is not the one this test is about: %+v", r.Plan)
	}
	for want, harden := range map[string]func(*Problem){
		"devices used":                func(p *Problem) { p.Classes[0].Devices, p.Classes[0].Nodes = 7, nil; p.Mining[0].Current = 7 },
		"zone 0: draws":               func(p *Problem) { p.Zones[0].CapW = 2000 },
		"tenant 1 holds":              func(p *Problem) { p.Rows[0].Limit = 1 },
		"banned but used":             func(p *Problem) { p.Mining[0].Banned = true },
		"minimum dwell":               func(p *Problem) { p.Mining[0].Locked = 5 },
		"job 3: pinned":               func(p *Problem) { p.Jobs[3].Pinned = true },
		"gangs do not fit":            func(p *Problem) { p.Offers[0].PerNode, p.Classes[0].Nodes[0].Free = 2, 1 },
		"cannot run jobs":             func(p *Problem) { p.Classes[0].Trainable = false },
		"moves 2 of":                  func(p *Problem) { p.Policy.MaxMoves = 1 },
		"keeps 4 of 3":                func(p *Problem) { p.Mining[0].Current = 3 },
		"value_nano_per_hour":         func(p *Problem) { p.Zones[0].EnergyMicroPerKWh++ },
		"the problem 2 and 4":         func(p *Problem) { p.Mining = p.Mining[:2] },
		"problem invalid: zones[0]":   func(p *Problem) { p.Zones[0].Parent = 0 },
		"enumeration was claimed for": nil,
	} {
		q := easy
		q.Zones, q.Classes, q.Mining = slices.Clone(easy.Zones), slices.Clone(easy.Classes), slices.Clone(easy.Mining)
		q.Jobs, q.Offers, q.Rows = slices.Clone(easy.Jobs), slices.Clone(easy.Offers), slices.Clone(easy.Rows)
		q.Classes[0].Nodes = slices.Clone(easy.Classes[0].Nodes)
		s := r
		if harden != nil {
			harden(&q)
		} else { // a false proof: the bound pulled down to the value
			s.Cert.Enumerated, s.Cert.BoundNano = true, s.Cert.ValueNano
			s.BoundMicroPerHour, s.GapPPM, s.GapMicroPerHour, s.Stage = ceilDiv(s.Cert.ValueNano, 1000), 0, 0, StageOptimal
		}
		if err := Verify(&q, &s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want an error with %q, got %v", want, err)
		}
	}
}

// On a tiny fleet a worse plan that claims to be the best is found out by
// enumeration.
func TestVerifyFindsTheBetterPlan(t *testing.T) {
	p := Problem{Zones: []Zone{{Parent: None, CapW: -1}}, Coins: 1, Policy: Policy{HorizonMinutes: 60},
		Classes: []Class{{Devices: 2}}, Mining: []MiningCell{{Option: 0, GrossMicroPerHour: 5}, {Option: 1, GrossMicroPerHour: 7}}}
	in := compile(&p)
	s := newState(in)
	s.addCell(0, 2)
	d := newPricer(in).duals()
	r := report(in, s, &d, nil, s.shorts(), StageOptimal, true)
	if err := Verify(&p, &r); err == nil || !strings.Contains(err.Error(), "a plan is worth 14000") {
		t.Errorf("got %v", err)
	}
}
