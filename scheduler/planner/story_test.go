package planner

import (
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func TestMinesBestAndSettles(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 4)
	w.node("n2", "north", "a1", 2)
	w.run()
	w.wantUses(map[string]int{"KAS": 4, "BTC": 2})
	w.wantReason("KAS", workload.CodePrice)
	w.settled()
}

func TestBanParksMiningAndKeepsTraining(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 4)
	job := w.submit("train", 2, "0.5")
	w.run()
	w.wantUses(map[string]int{"KAS": 2, "job 1": 2})
	// The dwell has not ended: law goes before it.
	w.set("\nkind: Calendar\nname: winter\nterritory: DE\nforbids: [mine]\nuntil: 2026-03-15\n")
	w.run()
	w.wantUses(map[string]int{"parked": 2, "job 1": 2})
	w.wantReason("parked", workload.CodeBan)
	w.wantJob(job, workload.Active, workload.CodeJob)
	w.settled()
	w.pass(60 * 24 * time.Hour)
	w.run()
	w.wantUses(map[string]int{"KAS": 2, "job 1": 2})
}

func TestBanBindsFrozenAndUndescribedDevices(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.node("n2", "north", "g2", 1)
	w.run()
	w.set("\nkind: Override\nname: hold\nscope: {node: n1}\nfreeze: true\nreason: inspection\n",
		"\nkind: Calendar\nname: winter\nforbids: [mine]\n")
	w.drop(config.KindDeviceProfile, "g2")
	w.run()
	w.wantUses(map[string]int{"parked": 3})
	w.settled()
}

func TestUnknownEnergyPriceParks(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.run()
	w.wantUses(map[string]int{"KAS": 2})
	w.pass(time.Hour)
	w.set("\nkind: Site\nname: north\nzone: Europe/Berlin\npower: {cooling: {pue: 1.0}}\n")
	w.run()
	w.wantUses(map[string]int{"parked": 2})
	w.wantReason("parked", workload.CodeNoPrice)
	w.settled()
}

func TestStaleCoinPriceParks(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	w.run()
	w.at += workload.Instant((49 * time.Hour).Milliseconds())
	w.do(state.Command{Quotes: &state.QuotesObserved{}})
	w.run()
	w.wantUses(map[string]int{"parked": 1})
	w.wantReason("parked", workload.CodeNoPrice)
}

func price(micro string) string {
	return "\nkind: Tariff\nname: flat\ncurrency: USD\nbands: [{price: " + micro + " USD/kWh}]\n"
}

func TestPriceRiseParks(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.run()
	w.pass(time.Hour)
	w.set(price("0.2")) // 200 W cost 0.04, KAS brings 0.025
	w.run()
	w.wantUses(map[string]int{"parked": 2})
	w.wantReason("parked", workload.CodeUnprofit)
	w.settled()
}

func TestDwellKeepsUntilItEnds(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.run()
	w.pass(9 * time.Minute)
	w.set(price("0.2"))
	w.run()
	w.wantUses(map[string]int{"KAS": 2})
	w.wantReason("KAS", workload.CodeDwell)
	w.settled()
	w.pass(time.Minute)
	w.run()
	w.wantUses(map[string]int{"parked": 2})
}

func TestSwitchCostKeeps(t *testing.T) {
	w := newWorld(t)
	w.set("\nkind: DeviceProfile\nmodel: g1\nmodes:\n  - {algorithm: kheavyhash, hashrate: 1GH/s, power: 200W}\n  - {algorithm: kawpow, hashrate: 40MH/s, power: 250W}\nidle: 20W\nswitch: {warmup: 10m}\n")
	w.node("n1", "north", "g1", 1)
	w.run()
	w.wantUses(map[string]int{"KAS": 1})
	w.pass(time.Hour)
	// RVN nets 0.0185, KAS 0.015: 0.0035/h more. The switch costs a sixth of
	// 0.0310 + 0.0125 = 0.00725 and pays back in over two hours.
	w.set("\nkind: Feed\nname: rvn\nsources: [{value: 0.0186}]\ncurrency: USD\nunit: USD/MH/day\n")
	w.run()
	w.wantUses(map[string]int{"KAS": 1})
	w.wantReason("KAS", workload.CodeStable)
	w.set("\nkind: Cluster\nname: default\nminDwell: 10m\nhorizon: 4h\n")
	w.warm = nil
	w.run()
	w.wantUses(map[string]int{"RVN": 1})
}

func TestPowerCapsBindAtEveryLevel(t *testing.T) {
	site := func(power string) string {
		return "\nkind: Site\nname: north\nzone: Europe/Berlin\nterritory: DE\npower: " + power + "\ntariff: flat\n"
	}
	for name, tt := range map[string]struct {
		power string
		extra string
		want  int // devices that still mine of 4 at 200 W, idle 20 W
	}{
		"none":        {"{halls: [{name: h, racks: [{name: r}]}]}", "", 4},
		"site":        {"{cap: 620W}", "", 3}, // 3 x 200 + 20
		"hall":        {"{halls: [{name: h, cap: 440W}]}", "", 2},
		"rack":        {"{halls: [{name: h, cap: 700W, racks: [{name: r, cap: 260W}]}]}", "", 1},
		"below idle":  {"{cap: 50W}", "", 0},
		"override":    {"{cap: 620W}", "\nkind: Override\nname: o\nscope: {site: north}\npower: {to: 440W}\nreason: grid\n", 2},
		"hall over":   {"{halls: [{name: h}]}", "\nkind: Override\nname: o\nscope: {site: north, hall: h}\npower: {to: 0W}\nreason: grid\n", 0},
		"node over":   {"{halls: [{name: h}]}", "\nkind: Override\nname: o\nscope: {node: n1}\npower: {to: 220W}\nreason: heat\n", 3},
		"device over": {"{halls: [{name: h}]}", "\nkind: Override\nname: o\nscope: {device: n1/0}\npower: {to: 100W}\nreason: heat\n", 3},
		"calendar":    {"{cap: 620W}", "\nkind: Calendar\nname: c\nsite: north\nreduce: {by: 180W}\n", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, site(tt.power))
			if tt.extra != "" {
				w.set(tt.extra)
			}
			w.node("n1", "north/h/r", "g1", 2)
			w.node("n2", "north/h/r", "g1", 2)
			w.run()
			if got := w.uses()["KAS"]; got != tt.want {
				t.Fatalf("%d devices mine, want %d", got, tt.want)
			}
			if tt.want < 4 {
				w.wantReason("parked", workload.CodeCap)
			}
			w.settled()
		})
	}
}

func TestOverrides(t *testing.T) {
	over := func(what string) string {
		return "\nkind: Override\nname: o\nscope: {node: n1}\n" + what + "\nreason: test\n"
	}
	t.Run("park stops a job with a device there", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 1)
		w.node("n2", "north", "g1", 1)
		job := w.submit("train", 2, "0.5")
		w.run()
		w.set(over("use: park"))
		w.run()
		w.wantUses(map[string]int{"parked": 1, "KAS": 1})
		w.wantReason("parked", workload.CodeOverride)
		w.run()
		w.wantJob(job, workload.Queued, workload.CodeNoFit)
		w.settled()
	})
	t.Run("mine keeps jobs off", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 2)
		job := w.submit("train", 1, "0.5")
		w.run()
		w.set(over("use: mine"))
		w.run()
		w.wantUses(map[string]int{"KAS": 2})
		w.run()
		w.wantJob(job, workload.Queued, workload.CodeOverride)
		w.settled()
	})
	t.Run("train keeps miners off", func(t *testing.T) {
		w := newWorld(t, over("use: train"))
		w.node("n1", "north", "g1", 2)
		w.submit("train", 1, "0.5")
		w.run()
		w.wantUses(map[string]int{"job 1": 1, "parked": 1})
		w.wantReason("parked", workload.CodeOverride)
		w.settled()
	})
	t.Run("freeze leaves all as it is", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 2)
		w.run()
		w.pass(time.Hour)
		w.set(over("freeze: true"), price("0.2"))
		w.run()
		w.wantUses(map[string]int{"KAS": 2})
		w.wantReason("KAS", workload.CodeOverride)
		w.settled()
	})
	t.Run("one that has ended does nothing", func(t *testing.T) {
		w := newWorld(t, over("use: park\nuntil: 2026-01-15T12:30:00Z"))
		w.node("n1", "north", "g1", 1)
		w.run()
		w.wantUses(map[string]int{"parked": 1})
		w.pass(time.Hour)
		w.run()
		w.wantUses(map[string]int{"KAS": 1})
	})
}
