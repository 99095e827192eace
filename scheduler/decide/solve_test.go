package decide

import (
	"encoding/json"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustVerify(t testing.TB, p *Problem, r *Result) {
	t.Helper()
	if err := Verify(p, r); err != nil {
		t.Fatalf("%v\n%.2000s", err, dump(p))
	}
}

func TestEmptyProblemsHaveACertifiedPlan(t *testing.T) {
	for _, p := range []Problem{
		{Policy: Policy{HorizonMinutes: 60}},
		{Policy: Policy{HorizonMinutes: 60}, Tenants: 1, Jobs: []Job{{Current: None}}},
		{Policy: Policy{HorizonMinutes: 60}, Zones: []Zone{{Parent: None, CapW: 0, EnergyMicroPerKWh: 100_000}}, Classes: []Class{{Devices: 3, IdleWatts: 10}}},
	} {
		if issues := Validate(&p); issues != nil {
			t.Fatal(issues)
		}
		r, w := Solve(&p, nil, Budget{})
		mustVerify(t, &p, &r)
		if r.Stage != StageOptimal || w == nil {
			t.Errorf("stage %s, warm %v", r.Stage, w)
		}
	}
}

func TestShapesAreCertified(t *testing.T) {
	for _, shape := range []string{ShapeDefault, ShapeTightPower, ShapeTightCoin, ShapeHardAI} {
		for seed := range uint64(2) {
			p := Generate(600, 60, shape, seed)
			if issues := Validate(&p); issues != nil {
				t.Fatal(issues)
			}
			r, _ := Solve(&p, nil, Budget{})
			mustVerify(t, &p, &r)
			again, _ := Solve(&p, nil, Budget{})
			if !reflect.DeepEqual(r, again) {
				t.Fatal("the same problem gave two results")
			}
			short := int64(0)
			for _, x := range r.Cert.Tiers {
				short += x.Short
			}
			if shape == ShapeHardAI && !slices.ContainsFunc(r.Targets, func(x TargetReport) bool { return x.Code == TargetUnattainable && x.BestPossiblePPM < x.WantedPPM }) {
				t.Errorf("%s %d: no target is reported out of reach: %+v", shape, seed, r.Targets[0])
			}
			if shape != ShapeHardAI && short > 0 {
				t.Errorf("%s %d: misses targets by %d", shape, seed, short)
			}
			t.Logf("%s %d: gap %d ppm, shortfalls %v", shape, seed, r.GapPPM, r.Cert.Tiers)
		}
	}
}

func TestHoldKeepsThePlanUntilSomethingMatters(t *testing.T) {
	p := Generate(800, 60, ShapeDefault, 3)
	p.Policy.HoldGapPPM = 150_000
	first, w := Solve(&p, nil, Budget{})
	tick := p
	tick.Mining = slices.Clone(p.Mining)
	for k := range tick.Mining {
		tick.Mining[k].GrossMicroPerHour += tick.Mining[k].GrossMicroPerHour * int64(k%5-2) / 400
	}
	held, same := Solve(&tick, w, Budget{})
	mustVerify(t, &tick, &held)
	if held.Stage != StageHeld || same != w || !reflect.DeepEqual(held.Plan, first.Plan) {
		t.Fatalf("stage %s gap %d: a small tick must hold the plan", held.Stage, held.GapPPM)
	}
	for name, change := range map[string]func(*Problem){
		"gap": func(q *Problem) { q.Policy.HoldGapPPM = 0 },
		"curtailed": func(q *Problem) {
			q.Zones = slices.Clone(q.Zones)
			q.Zones[0].CapW /= 2
		},
		"banned": func(q *Problem) {
			q.Mining = slices.Clone(q.Mining)
			for k, c := range first.Plan.Cells {
				q.Mining[k].Banned = q.Mining[k].Banned || c.Keep+c.Enter > 0
			}
		},
		"zones": func(q *Problem) { q.Zones = append(slices.Clone(q.Zones), Zone{Parent: None, CapW: -1}) },
	} {
		q := tick
		change(&q)
		r, _ := Solve(&q, w, Budget{})
		mustVerify(t, &q, &r)
		if r.Stage == StageHeld {
			t.Errorf("%s: the plan was held", name)
		}
	}
}

// withJob appends a job that bids per device and hour for width devices of every
// class that trains.
func withJob(p Problem, key uint64, width, bid int64) Problem {
	p.Jobs, p.Offers = slices.Clone(p.Jobs), slices.Clone(p.Offers)
	p.Jobs = append(p.Jobs, Job{Tenant: p.Tenants, Key: key, Current: None, Arrived: true})
	p.Tenants++
	for c, cl := range p.Classes {
		if cl.Trainable && cl.Devices >= width {
			p.Offers = append(p.Offers, Offer{Job: len(p.Jobs) - 1, Class: c, Width: width, NetMicroPerHour: bid * width, WattsMeter: width * (cl.IdleWatts + 100)})
		}
	}
	return p
}

// without takes a job out, and all that follow move up one position.
func without(p Problem, job int) Problem {
	p.Jobs = slices.Delete(slices.Clone(p.Jobs), job, job+1)
	was := p.Offers
	p.Offers = nil
	for _, o := range was {
		if o.Job == job {
			continue
		}
		if o.Job > job {
			o.Job--
		}
		p.Offers = append(p.Offers, o)
	}
	return p
}

func TestArrivalsAreServedWhileThePlanIsHeld(t *testing.T) {
	p := Generate(800, 60, ShapeDefault, 3)
	p.Policy.HoldGapPPM = 150_000
	for j := range p.Jobs {
		p.Jobs[j].Key = uint64(1000 + j)
	}
	first, w := Solve(&p, nil, Budget{})
	held, w2 := Solve(&p, w, Budget{})
	if held.Stage != StageHeld || w2 != w {
		t.Fatalf("stage %s without any change", held.Stage)
	}
	// A small job that pays starts at once, and nothing else is stopped for it.
	q := withJob(p, 7, 1, 5_000_000)
	r, next := Solve(&q, w, Budget{})
	mustVerify(t, &q, &r)
	if r.Plan.Jobs[len(q.Jobs)-1] == None || r.Work.Pivots > 0 || r.Stage != StageImproved {
		t.Fatalf("stage %s, offer %d, %d pivots", r.Stage, r.Plan.Jobs[len(q.Jobs)-1], r.Work.Pivots)
	}
	for j, f := range first.Plan.Jobs {
		if f != None && r.Plan.Jobs[j] == None {
			t.Errorf("job %d was stopped for it", j)
		}
	}
	// One that pays nothing does not disturb the plan.
	poor := withJob(p, 8, 1, 1)
	if r, _ := Solve(&poor, w, Budget{}); r.Stage != StageHeld || !slices.Equal(r.Plan.Jobs[:len(p.Jobs)], first.Plan.Jobs) {
		t.Errorf("stage %s for a job that does not pay", r.Stage)
	}
	// One that pays and finds no room is worth a new plan.
	wide := withJob(p, 9, 16, 5_000_000)
	r, _ = Solve(&wide, w, Budget{})
	mustVerify(t, &wide, &r)
	if r.Plan.Jobs[len(p.Jobs)] == None {
		t.Errorf("stage %s: a wide job that pays a thousandfold waits", r.Stage)
	}
	// A job ends: all others are known again by their keys.
	end := slices.IndexFunc(r.Plan.Jobs[:len(p.Jobs)-1], func(f int) bool { return f != None })
	less := without(q, end)
	less.Policy.HoldGapPPM = 0
	less.Jobs[len(less.Jobs)-1].Arrived = false
	r, _ = Solve(&less, next, Budget{})
	mustVerify(t, &less, &r)
	cold, _ := Solve(&less, nil, Budget{})
	if d := r.LPObjective - cold.LPObjective; slices.Equal(shortsOf(&r), shortsOf(&cold)) && max(d, -d) > cold.Cert.ScaleNano/100_000_000 {
		t.Errorf("bound %d after a job ended, %d from nothing", r.LPObjective, cold.LPObjective)
	}
	in := compile(&less)
	from := next.carry(in)
	if from == nil || from.basis == nil || !from.ended || !from.whole || from.fresh != nil {
		t.Fatalf("a job ended, and the warm start became %+v", from)
	}
	pivots := func(b *relaxBasis) int64 {
		x := newRelaxation(in, newPricer(in))
		x.short = shortsOf(&r)
		if b != nil {
			x.resume(b)
		}
		for f := range less.Offers {
			x.bring(f)
		}
		if !x.sift(10_000) {
			t.Fatal("the relaxation was not solved")
		}
		return x.pivots
	}
	if warm, all := pivots(from.basis), pivots(nil); warm*4 > all {
		t.Errorf("%d pivots after a job ended, %d from nothing", warm, all)
	}
}

func TestWarmSurvivesJSON(t *testing.T) {
	p := Generate(700, 60, ShapeDefault, 1)
	p.Policy.HoldGapPPM = PPM
	_, w := Solve(&p, nil, Budget{})
	b, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var back Warm
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	x, _ := Solve(&p, w, Budget{})
	y, _ := Solve(&p, &back, Budget{})
	if x.Stage != StageHeld || !reflect.DeepEqual(x, y) {
		t.Errorf("stage %s; a stored Warm answers differently", x.Stage)
	}
	if err := json.Unmarshal([]byte("{"), &back); err == nil {
		t.Error("broken JSON accepted")
	}
}

func TestJSONRoundTrip(t *testing.T) {
	p := Generate(500, 40, ShapeTightCoin, 2)
	r, _ := Solve(&p, nil, Budget{})
	var q Problem
	var s Result
	for from, to := range map[any]any{&p: &q, &r: &s} {
		b, err := json.Marshal(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, to); err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(p, q) || !reflect.DeepEqual(r, s) {
		t.Error("a value changed on its way through JSON")
	}
	mustVerify(t, &q, &s)
	b, _ := json.Marshal(r)
	for _, name := range []string{"objective_micro_per_hour", "bound_micro_per_hour", "gap_ppm", "gap_micro_per_hour", "stage", "lp_objective", "moves", "preemptions"} {
		if !strings.Contains(string(b), `"`+name+`":`) {
			t.Errorf("result has no field %s", name)
		}
	}
}

// Every number and string of a result, changed by itself, must be refused.
func TestVerifyRefusesEveryChangedField(t *testing.T) {
	tiny8 := func() Problem {
		for seed := splitmix(0); ; seed++ {
			rng := seed
			p := tiny(func(n int) int { return int(rng.below(int64(n))) })
			if len(p.Rows) > 1 && len(p.Jobs) > 1 && len(p.Mining) > 2 {
				return p
			}
		}
	}()
	for _, p := range []Problem{Generate(200, 24, ShapeTightPower, 1), Generate(200, 24, ShapeHardAI, 2), tiny8} {
		r, _ := Solve(&p, nil, Budget{})
		mustVerify(t, &p, &r)
		n := 0
		var walk func(path string, v reflect.Value)
		refuse := func(path string) {
			n++
			if Verify(&p, &r) == nil {
				t.Errorf("Verify accepts a changed %s", path)
			}
		}
		walk = func(path string, v reflect.Value) {
			switch v.Kind() {
			case reflect.Struct:
				for i := range v.NumField() {
					if name := v.Type().Field(i).Name; name != "Work" {
						walk(path+"."+name, v.Field(i))
					}
				}
			case reflect.Slice:
				step := 1 + v.Len()/6
				for i := 0; i < v.Len(); i += step {
					walk(path+"[]", v.Index(i))
				}
				if v.Len() > 0 {
					old := reflect.ValueOf(v.Interface())
					v.Set(old.Slice(0, old.Len()-1))
					refuse(path + " shortened")
					v.Set(old)
				}
			case reflect.Int64, reflect.Int:
				// A dual may be changed without touching the bound only where it
				// has no effect on it, so check the duals by their own test.
				if strings.Contains(path, ".Duals") || strings.Contains(path, ".Job") || strings.Contains(path, ".Quota") {
					return
				}
				for _, d := range []int64{1, -1} {
					old := v.Int()
					v.SetInt(old + d)
					refuse(path)
					v.SetInt(old)
				}
			case reflect.String:
				old := v.String()
				v.SetString("x")
				refuse(path)
				v.SetString(old)
			case reflect.Bool:
				old := v.Bool()
				v.SetBool(!old)
				if !old || r.Cert.BoundNano != r.Cert.ValueNano {
					refuse(path)
				}
				v.SetBool(old)
			}
		}
		walk("Result", reflect.ValueOf(&r).Elem())
		mustVerify(t, &p, &r)
		t.Logf("%d changes refused", n)
	}
}

func TestVerifyRecomputesTheBoundFromEveryDual(t *testing.T) {
	p := Generate(200, 24, ShapeTightPower, 1)
	p.Policy.MaxMoves = 80
	r, _ := Solve(&p, nil, Budget{})
	mustVerify(t, &p, &r)
	d := &r.Cert.Duals
	for name, list := range map[string][]int64{"class": d.Class, "zone": d.Zone, "row": d.Row, "place": d.Place} {
		for i := range list {
			if name == "zone" && p.Zones[i].CapW < 0 {
				continue
			}
			old := list[i]
			list[i] = old + 100_000_000_000_000 // far out: small changes may trade evenly
			if err := Verify(&p, &r); err == nil {
				t.Errorf("%s dual %d can be changed", name, i)
			}
			list[i] = -1
			if err := Verify(&p, &r); err == nil {
				t.Errorf("%s dual %d can be negative", name, i)
			}
			list[i] = old
		}
	}
	d.Moves += 1_000_000
	if Verify(&p, &r) == nil {
		t.Error("the dual of the moves can be changed")
	}
}

// shuffled renumbers classes, options and jobs.
func shuffled(p Problem, rng *rand.Rand) Problem {
	q := p
	classAt := rng.Perm(len(p.Classes)) // new position of each class
	jobAt := rng.Perm(len(p.Jobs))
	optionAt := rng.Perm(100)
	q.Classes = make([]Class, len(p.Classes))
	for c, x := range p.Classes {
		q.Classes[classAt[c]] = x
	}
	q.Mining = slices.Clone(p.Mining)
	for k := range q.Mining {
		q.Mining[k].Class, q.Mining[k].Option = classAt[q.Mining[k].Class], optionAt[q.Mining[k].Option]
	}
	slices.SortFunc(q.Mining, func(a, b MiningCell) int { return (a.Class-b.Class)*1000 + a.Option - b.Option })
	type tagged struct {
		Offer
		was int
	}
	var list []tagged
	for f, o := range p.Offers {
		o.Job, o.Class = jobAt[o.Job], classAt[o.Class]
		list = append(list, tagged{o, f})
	}
	slices.SortStableFunc(list, func(a, b tagged) int { return a.Job - b.Job })
	offerAt := map[int]int{None: None}
	q.Offers = nil
	for f, x := range list {
		q.Offers = append(q.Offers, x.Offer)
		offerAt[x.was] = f
	}
	q.Jobs = make([]Job, len(p.Jobs))
	for j, x := range p.Jobs {
		x.Current = offerAt[x.Current]
		q.Jobs[jobAt[j]] = x
	}
	return q
}

func TestOrderOfInputDoesNotChangeTheObjective(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := splitmix(rapid.Uint64().Draw(t, "seed"))
		p := tiny(func(n int) int { return int(rng.below(int64(n))) })
		q := shuffled(p, rand.New(rand.NewPCG(rng.next(), 1)))
		if issues := Validate(&q); issues != nil {
			t.Fatal(issues)
		}
		a, _ := Solve(&p, nil, Budget{})
		b, _ := Solve(&q, nil, Budget{})
		// Equal gangs are packed in order of their ids, so fleets with nodes may
		// differ where two have the same size.
		if a.ObjectiveMicroPerHour != b.ObjectiveMicroPerHour || !slices.Equal(shortsOf(&a), shortsOf(&b)) {
			t.Fatalf("objective %d %v, shuffled %d %v\n%s", a.ObjectiveMicroPerHour, a.Cert.Tiers, b.ObjectiveMicroPerHour, b.Cert.Tiers, dump(&p))
		}
	})
}

func TestEveryTinyFleetIsCertifiedColdWarmAndStarved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := tiny(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "x") })
		if issues := Validate(&p); issues != nil {
			t.Fatal(issues)
		}
		r, w := Solve(&p, nil, Budget{})
		if err := Verify(&p, &r); err != nil {
			t.Fatal(err)
		}
		low, _ := Solve(&p, nil, Budget{PriceSweeps: 1, Moves: 1, Nodes: 1})
		if err := Verify(&p, &low); err != nil {
			t.Fatal(err)
		}
		again, _ := Solve(&p, w, Budget{})
		if err := Verify(&p, &again); err != nil {
			t.Fatal(err)
		}
		if p.Policy.HoldGapPPM == 0 && again.Cert.ValueNano != r.Cert.ValueNano {
			t.Fatalf("warm %d, cold %d", again.Cert.ValueNano, r.Cert.ValueNano)
		}
		if len(p.Zones) > 0 && p.Zones[0].CapW >= 0 { // more power is never worse
			q, _ := Changed(&p, Delta{Kind: AddPower, Zone: 0, Watts: 500})
			more, _ := Solve(&q, nil, Budget{})
			if better(shortsOf(&r), r.Cert.ValueNano, shortsOf(&more), more.Cert.ValueNano) && !slices.ContainsFunc(p.Mining, func(m MiningCell) bool { return m.Locked > 0 }) &&
				!slices.ContainsFunc(p.Jobs, func(j Job) bool { return j.Current != None && (j.Pinned || j.Protected) }) {
				t.Fatalf("500 W more are worth %d instead of %d", more.Cert.ValueNano, r.Cert.ValueNano)
			}
		}
	})
}

func shortsOf(r *Result) []int64 {
	var out []int64
	for _, x := range r.Cert.Tiers {
		out = append(out, x.Short)
	}
	return out
}

func FuzzSolve(f *testing.F) {
	for seed := range uint64(20) {
		rng := splitmix(seed)
		p := tiny(func(n int) int { return int(rng.below(int64(n))) })
		b, _ := json.Marshal(p)
		f.Add(b)
	}
	big := Generate(60, 8, ShapeDefault, 1)
	b, _ := json.Marshal(big)
	f.Add(b)
	f.Add([]byte(`{"zones":[{"parent":-1,"cap_w":9223372036854775807}],"policy":{"horizon_minutes":1}}`))
	f.Add([]byte(`{"tenants":-1,"rows":[{"kind":"tenant_devices","tenant":5}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Problem
		if json.Unmarshal(b, &p) != nil || len(Validate(&p)) > 0 || p.Tenants > 1000 || p.Coins > 1000 {
			return
		}
		r, w := Solve(&p, nil, Budget{PriceSweeps: 20, Moves: 20, Nodes: 2000})
		if err := Verify(&p, &r); err != nil {
			t.Fatal(err)
		}
		r, _ = Solve(&p, w, Budget{PriceSweeps: 20, Moves: 20, Nodes: 2000})
		if err := Verify(&p, &r); err != nil {
			t.Fatal(err)
		}
	})
}
