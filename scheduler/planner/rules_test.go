package planner

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

func cluster(more string) string {
	return "\nkind: Cluster\nname: default\ncurrency: USD\nminDwell: 10m\nhorizon: 1h\n" + more + "\n"
}

// Every share that a target can name moves devices: a g1 earns most with KAS,
// and these jobs pay more than that.
func TestSharesOfEveryKind(t *testing.T) {
	share := func(use, body string) string {
		return "\nkind: Target\nname: t\nuse: " + use + "\n" + body + "\n"
	}
	for name, tt := range map[string]struct {
		target string
		bid    string
		want   map[string]int // of 8 devices with 6 jobs of one
	}{
		"mining keeps a floor":          {share("mining", "measure: devices\nof: owned\nmin: 50%"), "0.5", map[string]int{"KAS": 4}},
		"mining has a ceiling":          {share("mining", "measure: devices\nof: owned\nmax: 25%"), "0.001", map[string]int{"KAS": 2}},
		"mining has a ceiling of power": {share("mining", "measure: power\nof: active\nmax: 25%"), "0.5", map[string]int{"KAS": 2}}, // 400 W of 2200
		"a coin has a floor":            {share("coin/RVN", "measure: devices\nof: owned\nmin: 50%"), "0.001", map[string]int{"RVN": 4, "KAS": 4}},
		"a coin has a ceiling of power": {share("coin/KAS", "measure: power\nof: active\nmax: 50%"), "0.001", map[string]int{"KAS": 4, "RVN": 4}}, // 800 W of 1800
		"a coin has a floor at a site":  {share("coin/RVN", "measure: revenue\nof: active\nmin: 40%\nscope: {site: north}"), "0.001", map[string]int{"RVN": 4, "KAS": 4}},
		"a tenant has a floor":          {share("tenant/default", "measure: devices\nof: owned\nmin: 25%"), "0.001", map[string]int{"KAS": 6}},
		"training has revenue":          {share("training", "measure: revenue\nof: active\nmin: 10%"), "0.01", map[string]int{"KAS": 6}}, // 2 x 0.01 of 0.17
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.set(tt.target)
			for d := range w.docs.OfKind(config.KindTarget) {
				if text := Unsupported(d); text != "" {
					t.Fatal(text)
				}
			}
			w.node("n1", "north", "g1", 8)
			for i := range 6 {
				w.submit("j"+string(rune('a'+i)), 1, tt.bid)
			}
			w.run()
			for coin, n := range tt.want {
				got := 0
				for use, k := range w.uses() {
					if strings.HasPrefix(use, coin) {
						got += k
					}
				}
				if got != n {
					t.Errorf("%d devices mine %s, want %d: %v", got, coin, n, w.uses())
				}
			}
			w.settled()
		})
	}
}

func TestCashFloorPrefersCoinsThatAreSold(t *testing.T) {
	kept := "\nkind: Coin\nname: KAS\nalgorithm: kheavyhash\nhashprice: {feed: kas}\nrisk: {convert: never}\n"
	w := newWorld(t, kept, cluster("cashFloor: 0.01 USD/h"))
	w.node("n1", "north", "g1", 10)
	w.run()
	// n x 0.020 for RVN less n x 0.0125 and (10-n) x 0.010 for power: 7 do, 6 do not.
	w.wantUses(map[string]int{"KAS": 3, "RVN": 7})
}

func TestMovesAndPreemptionsHaveABudget(t *testing.T) {
	w := newWorld(t, cluster("maxMoves: 3"))
	w.node("n1", "north", "g1", 8)
	for _, want := range []int{3, 6, 8, 8} {
		w.run()
		if got := w.uses()["KAS"]; got != want {
			t.Fatalf("%v, want %d mining", w.uses(), want)
		}
	}
	for limit, stopped := range map[string]int{"": 2, "maxPreemptions: 1": 0, "maxPreemptions: 2": 2} {
		w := newWorld(t, cluster(limit))
		w.node("n1", "north", "g1", 2)
		w.submit("a", 1, "0.2")
		w.submit("b", 1, "0.2")
		w.run()
		w.pass(30 * time.Minute)
		w.submit("gang", 2, "5")
		p := w.step()
		if len(p.Stops) != stopped {
			t.Errorf("%q: %d jobs stopped, want %d", limit, len(p.Stops), stopped)
		}
	}
}

func quotaSite(amount, per string) string {
	return "\nkind: Site\nname: north\nzone: Europe/Berlin\nterritory: DE\npower: {cooling: {pue: 1.0}}\ntariff: flat\nenergyQuota: {amount: " + amount + ", per: " + per + "}\n"
}

// Eleven hours of the day are left. Eight idle cards draw 160 W, each that mines
// 180 W more: 10 kWh are 909 W all the time, which is four of them.
func TestEnergyQuotaLastsForItsPeriod(t *testing.T) {
	w := newWorld(t, quotaSite("10kWh", "day"))
	w.node("n1", "north", "g1", 8)
	w.run()
	w.wantUses(map[string]int{"KAS": 4, "parked": 4})
	q := w.round.Board.Quotas()["north"]
	if q.LeftWh != 10_000 || q.LimitW != 909 || q.MicroPerKWh != 0 {
		t.Errorf("%+v", q)
	}
	// What was drawn is counted: 880 W for five hours leave 5.6 kWh for six.
	w.pass(5 * time.Hour)
	w.run()
	if q = w.round.Board.Quotas()["north"]; q.LeftWh != 5_600 || q.LimitW != 933 {
		t.Errorf("after five hours: %+v", q)
	}
	// A new day, a new quota: more than 24 hours of four.
	w.pass(6*time.Hour + time.Minute)
	w.run()
	if q = w.round.Board.Quotas()["north"]; q.LeftWh < 9_980 || q.LimitW > 420 {
		t.Errorf("next day: %+v", q)
	}
}

// With a dear hour now and cheap ones to come the quota waits for those.
func TestEnergyQuotaWaitsForCheapHours(t *testing.T) {
	w := newWorld(t, "\nkind: Tariff\nname: flat\ncurrency: USD\nbands: [{price: 0.08 USD/kWh, hours: \"12:00-16:00\"}, {price: 0.02 USD/kWh}]\n", quotaSite("10kWh", "day"))
	w.node("n1", "north", "g1", 8)
	w.run()
	w.wantUses(map[string]int{"parked": 8})
	if q := w.round.Board.Quotas()["north"]; q.MicroPerKWh == 0 {
		t.Errorf("no price for the quota: %+v", q)
	}
	w.pass(3 * time.Hour)
	w.run()
	w.wantUses(map[string]int{"KAS": 5, "parked": 3}) // 9.52 kWh for eight hours
	// An exhausted quota parks what is not inside its dwell.
	w.set(quotaSite("100Wh", "day"))
	w.pass(15 * time.Minute)
	w.run()
	w.wantUses(map[string]int{"parked": 8})
	for _, rep := range w.round.Result.Targets {
		if rep.Code != decide.TargetUnattainable {
			t.Errorf("%s", rep.Code)
		}
	}
}

func TestGridCallsOnlyWithinItsStrike(t *testing.T) {
	promise := func(more string) string {
		return "\nkind: Calendar\nname: reserve\nsite: north\nreduce: {to: 1kW}\nwindow: {hours: \"14:00-20:00\", ramp: 10m}\n" + more + "\n"
	}
	for more, want := range map[string]int64{
		"": 1000,
		"strike: {low: 40 USD/MWh, high: 60 USD/MWh}":  1000,
		"strike: {low: 90 USD/MWh, high: 250 USD/MWh}": -1,
	} {
		w := newWorld(t, promise(more))
		w.node("n1", "north", "g1", 8)
		w.run()
		if got, _ := w.round.Board.SiteCap("north"); got != -1 {
			t.Errorf("an hour ahead the cap is %d", got)
		}
		w.pass(55 * time.Minute) // within the ramp
		w.run()
		if got, _ := w.round.Board.SiteCap("north"); got != want {
			t.Errorf("%q: cap %d, want %d", more, got, want)
		}
	}
}

// Sums of money too large to count in ppm leave the rows of money out, and
// deciding goes on.
func TestAbsurdBidsDoNotEndDeciding(t *testing.T) {
	w := newWorld(t, cluster("cashFloor: 0.01 USD/h"))
	w.node("n1", "north", "g1", 2)
	w.submit("a", 1, "900000000")
	w.submit("b", 1, "0.2", func(s *workload.Spec) {})
	w.run() // validates and verifies
}

func TestGangStaysInOneRack(t *testing.T) {
	w := newWorld(t)
	for i, rack := range []string{"r1", "r2", "r1", "r2"} {
		w.node("n"+string(rune('1'+i)), "north/hall/"+rack, "g1", 2)
	}
	id := w.submit("gang", 4, "5", func(s *workload.Spec) { s.Gang.PerNode = 2 })
	w.run()
	a, ok := w.s.Jobs[id].Current()
	racks := map[workload.RackName]bool{}
	for _, d := range a.Devices {
		racks[w.s.Devices[d].Rack] = true
	}
	if !ok || len(racks) != 1 {
		t.Errorf("gang on %v: racks %v", a.Devices, racks)
	}
}
