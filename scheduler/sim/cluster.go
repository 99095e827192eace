package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// policy is what every simulated cluster runs under. Mining is forbidden from
// 13:01 to 13:02 local time, a minute after the run begins.
const policy = `
kind: Cluster
name: default
currency: USD
minDwell: 5s
horizon: 1h
maxGrace: 10s
---
kind: Site
name: north
zone: Europe/Berlin
territory: DE
power: {cap: 20kW}
tariff: flat
---
kind: Tariff
name: flat
currency: USD
bands: [{price: 0.05 USD/kWh}]
---
kind: Calendar
name: noon
site: north
forbids: [mine]
window: {hours: "13:01-13:02"}
---
kind: Feed
name: kas
sources: [{value: 0.6}]
currency: USD
unit: USD/GH/day
gate: {stale: 48h}
---
kind: Feed
name: rvn
sources: [{value: 0.012}]
currency: USD
unit: USD/MH/day
gate: {stale: 48h}
---
kind: Coin
name: KAS
algorithm: kheavyhash
hashprice: {feed: kas}
---
kind: Coin
name: RVN
algorithm: kawpow
hashprice: {feed: rvn}
---
kind: Wallet
name: w-kas
coin: KAS
address: practice
---
kind: Wallet
name: w-rvn
coin: RVN
address: practice
---
kind: Pool
name: kas
coin: KAS
endpoints: ["stratum+tcp://127.0.0.1:3333"]
scheme: FPPS
wallet: w-kas
---
kind: Pool
name: rvn
coin: RVN
endpoints: ["stratum+tcp://127.0.0.1:3333"]
scheme: FPPS
wallet: w-rvn
---
kind: Miner
name: practice
algorithms: [kheavyhash, kawpow]
devices: [sim]
args: [mine]
---
kind: DeviceProfile
model: g1
modes:
  - {algorithm: kheavyhash, hashrate: 1GH/s, power: 200W}
  - {algorithm: kawpow, hashrate: 40MH/s, power: 250W}
training: {speed: 1.0, power: 300W}
idle: 20W
---
kind: Tenant
name: default
transferPrice: 0.20 USD/GPU-h
`

// documents is the parsed policy; it is immutable and shared by all runs.
var documents = func() *config.Set {
	docs, err := config.Parse("sim.yaml", []byte(strings.TrimPrefix(policy, "\n")))
	if err != nil {
		panic(err)
	}
	return config.NewSet(docs...)
}()

// options lists what a device may mine.
var options = func() []market.Option {
	return market.Options(documents, "g1", market.DeviceClassOf(workload.Device{Kind: workload.GPU, Driver: "sim", Sim: true}))
}()

// build makes servers, nodes and a client, and draws what will go wrong.
func (w *world) build() {
	for i := range 3 {
		w.servers = append(w.servers, &server{w: w, id: fmt.Sprintf("s%d", i+1), skew: w.between(-time.Minute, time.Minute)})
	}
	w.elect(w.servers[0])
	w.commit(state.Command{Actor: "s1", Policy: &state.PolicyChanged{Revision: 1, Documents: documents}})
	quotes := state.QuotesObserved{Energy: map[workload.SiteName][]ledger.Step{}}
	for d := range documents.OfKind(config.KindFeed) {
		o, err := market.ConvertQuote(d.Name, d.Feed.Sources[0].Value, d.Feed.Unit, d.Feed.Currency, w.wall(), "constant")
		if err != nil {
			panic(err)
		}
		quotes.Observations = append(quotes.Observations, o)
	}
	w.commit(state.Command{Actor: "s1", Quotes: &quotes})
	w.commit(state.Command{Actor: "s1", Quotes: &state.QuotesObserved{Energy: map[workload.SiteName][]ledger.Step{
		"north": planner.EnergySteps(documents, w.state.Quotes, "north", w.wall(), w.wall()+48*workload.HourMillis)}}})
	for i := range 2 + w.rng.IntN(3) {
		n := &node{w: w, id: workload.NodeID(fmt.Sprintf("n%d", i+1)), boot: 1, bootedAt: -w.between(0, time.Hour), skew: w.between(-10*time.Minute, 10*time.Minute),
			procs: map[reconcile.RunID]*proc{}, metas: map[reconcile.RunID]reconcile.Run{}}
		for slot := range 1 + w.rng.IntN(3) {
			id := workload.NewDeviceID(n.id, slot)
			n.devices = append(n.devices, workload.Device{ID: id, UUID: "sim-" + string(id), Kind: workload.GPU, Model: "g1", Memory: 24 << 30,
				Driver: "sim", Sim: true, Health: workload.Healthy})
		}
		w.nodes = append(w.nodes, n)
		w.after(w.between(0, 3*time.Second), n.begin)
	}
	w.client.w = w
	w.client.begin()
	w.plague()
}
