package planner

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

func TestBaselineAndMoneyByHand(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.node("n2", "north", "a1", 1)
	w.submit("train", 1, "0.5")
	w.run()
	w.decide()
	mining, parked := w.round.Board.Baseline()
	// KAS 25 000 - 10 000 twice, BTC 200 000 - 150 000; idle 20 W are 1000 each.
	if mining != 2*15_000+50_000 || parked != -3000 {
		t.Errorf("all mining %d, all parked %d", mining, parked)
	}
	revenue, energy := w.round.Money()
	if revenue != 500_000+25_000+200_000 || energy != 15_000+10_000+150_000 {
		t.Errorf("revenue %d, energy %d", revenue, energy)
	}
	if got := w.round.Result.ObjectiveMicroPerHour; got != int64(revenue-energy) {
		t.Errorf("the decision counts %d", got)
	}
}

func steps(t *testing.T, w *world, from string, hours int) []string {
	t.Helper()
	at, err := time.Parse(time.RFC3339, from)
	if err != nil {
		t.Fatal(err)
	}
	i := workload.InstantOf(at)
	var out []string
	for _, s := range EnergySteps(w.docs, w.s.Quotes, "north", i, i+workload.Instant(hours)*workload.HourMillis) {
		out = append(out, s.At.Time().Format("02T15:04")+" "+workload.Decimal(s.MicroPerKWh, 3))
	}
	return out
}

func TestEnergyStepsFollowTheBands(t *testing.T) {
	w := newWorld(t, `
kind: Tariff
name: flat
currency: USD
bands: [{price: 0.02 USD/kWh, hours: "23:00-07:00"}, {price: 0.09 USD/kWh, hours: "17:00-21:00"}, {price: 0.05 USD/kWh}]
adders: [{name: grid, price: 0.01 USD/kWh}]
`)
	for name, tt := range map[string]struct {
		from  string
		hours int
		want  []string
	}{
		"winter day": {"2026-01-15T12:00:00Z", 24, []string{"15T12:00 0.060", "15T16:00 0.100", "15T20:00 0.060", "15T22:00 0.030", "16T06:00 0.060"}},
		"at an edge": {"2026-01-15T16:00:00Z", 4, []string{"15T16:00 0.100", "15T20:00 0.060"}},
		"before it":  {"2026-01-15T15:59:00Z", 1, []string{"15T15:59 0.060", "15T16:00 0.100"}},
		// On 29 March the clocks go from 2 to 3: the night band ends an hour earlier.
		"spring forward": {"2026-03-28T21:00:00Z", 12, []string{"28T21:00 0.060", "28T22:00 0.030", "29T05:00 0.060"}},
		// On 25 October they go from 3 to 2.
		"fall back": {"2026-10-24T20:00:00Z", 12, []string{"24T20:00 0.060", "24T21:00 0.030", "25T06:00 0.060"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := steps(t, w, tt.from, tt.hours)
			if len(got) != len(tt.want) {
				t.Fatalf("%v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Fatalf("%v, want %v", got, tt.want)
				}
			}
		})
	}
}

func TestPlanChange(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 4)
	w.submit("low", 2, "0.1")
	w.submit("waits", 1, "0.001")
	w.run()
	w.wantUses(map[string]int{"KAS": 2, "job 1": 2})
	w.pass(time.Hour)
	changed := func(yaml ...string) Preview {
		other := newWorld(t)
		other.docs = w.docs
		other.set(yaml...)
		before := w.s.Index
		p := PlanChange(w.s.View(), other.docs, w.at, w.at)
		if w.s.Index != before {
			t.Fatal("a preview changed the state")
		}
		if err := decide.Verify(&p.After.Board.Problem, &p.After.Result); err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Run("nothing", func(t *testing.T) {
		if p := changed(); p.MovedDevices != 0 || p.Cost != 0 || len(p.Displaced) != 0 {
			t.Errorf("%+v", p)
		}
	})
	t.Run("a dearer tariff parks", func(t *testing.T) {
		p := changed(price("0.15"))
		// 2 x 200 W and 2 x 300 W at 0.10 more would be 0.1; the miners park at 20 W.
		if p.MovedDevices != 2 || len(p.Moves) != 1 || p.Moves[0].Devices != 2 || p.Moves[0].To.Kind != workload.Parked {
			t.Errorf("moves %+v", p.Moves)
		}
		if want := workload.Rate(2*15_000 + 2*30_000 + 2*3_000); p.PlanCost != want {
			t.Errorf("costs %d, want %d", p.PlanCost, want)
		}
	})
	t.Run("a floor costs what it takes", func(t *testing.T) {
		p := changed(target("measure: devices\nmin: 75%"))
		// The waiting job brings 0.001 for 0.015 of energy, in place of 0.015 net.
		if p.Cost != 29_000 || p.PlanCost != 29_000 || p.BelowResolution {
			t.Errorf("costs %d (plan %d)", p.Cost, p.PlanCost)
		}
		if ts := p.After.Targets(); len(ts) != 1 || ts[0].Actual != 750_000 || ts[0].Code != string(decide.TargetMet) {
			t.Errorf("targets %+v", ts)
		}
	})
	t.Run("parking displaces the job", func(t *testing.T) {
		p := changed("\nkind: Override\nname: o\nscope: {node: n1}\nuse: park\nreason: r\n")
		if len(p.Displaced) != 1 || p.Displaced[0] != 1 || p.MovedDevices != 4 {
			t.Errorf("%v displaced, %d moved", p.Displaced, p.MovedDevices)
		}
	})
}

func TestUnsupportedTargetsAreNamed(t *testing.T) {
	w := newWorld(t)
	for yaml, ok := range map[string]bool{
		target("measure: devices\nmin: 20%"):                                                                    true,
		target("measure: revenue\nmin: 20%"):                                                                    true,
		"\nkind: Target\nname: t\nmeasure: power\nof: owned\nuse: mining\nmax: 20%\n":                           true,
		"\nkind: Target\nname: t\nmeasure: revenue\nof: owned\nuse: coin/KAS\nmax: 20%\n":                       true,
		"\nkind: Target\nname: t\nmeasure: revenue\nof: owned\nuse: coin/KAS\nmax: 20%\nscope: {site: north}\n": true,
		target("measure: devices\nmin: 20%\nscope: {tenant: default}"):                                          false,
	} {
		other := newWorld(t)
		other.docs = w.docs
		other.set(yaml)
		for d := range other.docs.OfKind("Target") {
			if got := Unsupported(d) == ""; got != ok {
				t.Errorf("%s: supported %v, %s", yaml, got, Unsupported(d))
			}
		}
	}
}
