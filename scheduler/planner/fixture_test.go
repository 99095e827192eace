package planner

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// start is Thursday 2026-01-15, 12:00 UTC: 13:00 at the test site.
var start = workload.InstantOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC))

// basePolicy has two kinds of GPU and one of ASIC. A g1 grosses 0.025 USD/h on
// KAS at 200 W and 0.020 on RVN at 250 W, an a1 0.2 on BTC at 3 kW.
const basePolicy = `
kind: Cluster
name: default
currency: USD
minDwell: 10m
horizon: 1h
---
kind: Site
name: north
zone: Europe/Berlin
territory: DE
power: {cooling: {pue: 1.0}}
tariff: flat
---
kind: Tariff
name: flat
currency: USD
bands: [{price: 0.05 USD/kWh}]
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
kind: Feed
name: btc
sources: [{value: 0.048}]
currency: USD
unit: USD/TH/day
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
kind: Coin
name: BTC
algorithm: sha256d
hashprice: {feed: btc}
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
kind: Wallet
name: w-btc
coin: BTC
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
kind: Pool
name: btc
coin: BTC
endpoints: ["stratum+tcp://127.0.0.1:3333"]
scheme: FPPS
wallet: w-btc
---
kind: Miner
name: practice
algorithms: [sha256d, kheavyhash, kawpow]
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
kind: DeviceProfile
model: g2
modes:
  - {algorithm: kheavyhash, hashrate: 2GH/s, power: 350W}
training: {speed: 2.0, power: 500W}
idle: 30W
---
kind: DeviceProfile
model: a1
modes:
  - {algorithm: sha256d, hashrate: 100TH/s, power: 3kW}
idle: 20W
---
kind: Tenant
name: default
transferPrice: 0.20 USD/GPU-h
`

// world is a cluster made of real commands, one clock for market and wall.
type world struct {
	t     tester
	s     *state.State
	at    workload.Instant
	reqs  int
	seq   map[workload.NodeID]uint64
	docs  *config.Set
	warm  *decide.Warm
	caps  bool // check the draw against the caps after every plan
	round *Round
}

// tester is what *testing.T and *rapid.T have in common.
type tester interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func newWorld(t tester, yaml ...string) *world {
	t.Helper()
	w := &world{t: t, s: state.New(), at: start, seq: map[workload.NodeID]uint64{}, docs: config.NewSet(), caps: true}
	w.set(append([]string{basePolicy}, yaml...)...)
	return w
}

func (w *world) do(c state.Command) state.Result {
	w.t.Helper()
	w.reqs++
	c.Version, c.Request, c.At, c.Wall = state.SchemaVersion, state.NewRequestID(w.at, fmt.Sprint(w.reqs)), w.at, w.at
	r := w.s.Apply(w.s.Index+1, c)
	if r.Error != "" || len(r.Refused) > 0 {
		w.t.Fatalf("refused: %+v", r)
	}
	return r
}

// set adds or replaces documents and lets quotes and energy follow, as the
// leader does.
func (w *world) set(yaml ...string) {
	w.t.Helper()
	for _, text := range yaml {
		docs, err := config.Parse("test.yaml", []byte(strings.TrimPrefix(text, "\n")))
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range docs {
			w.docs = w.docs.With(config.Edit{Put: &docs[i]})
		}
	}
	w.do(state.Command{Policy: &state.PolicyChanged{Revision: w.s.Revision + 1, Documents: w.docs}})
	w.observe()
}

func (w *world) drop(kind config.Kind, name string) {
	w.t.Helper()
	w.docs = w.docs.With(config.Edit{Delete: &config.Key{Kind: kind, Name: name}})
	w.do(state.Command{Policy: &state.PolicyChanged{Revision: w.s.Revision + 1, Documents: w.docs}})
	w.observe()
}

func (w *world) observe() {
	w.t.Helper()
	q := state.QuotesObserved{Energy: map[workload.SiteName][]ledger.Step{}}
	for d := range w.docs.OfKind(config.KindFeed) {
		if v := d.Feed.Sources[0].Value; v != "" {
			o, err := market.ConvertQuote(d.Name, v, d.Feed.Unit, d.Feed.Currency, w.at, "constant")
			if err != nil {
				w.t.Fatal(err)
			}
			q.Observations = append(q.Observations, o)
		}
	}
	w.do(state.Command{Quotes: &q})
	q = state.QuotesObserved{Energy: map[workload.SiteName][]ledger.Step{}}
	for d := range w.docs.OfKind(config.KindSite) {
		site := workload.SiteName(d.Name)
		q.Energy[site] = EnergySteps(w.docs, w.s.Quotes, site, w.at, w.at+48*workload.HourMillis)
	}
	w.do(state.Command{Quotes: &q})
}

func (w *world) pass(d time.Duration) {
	w.t.Helper()
	w.at += workload.Instant(d.Milliseconds())
	w.observe()
}

func device(node string, slot int, model string) workload.Device {
	id := workload.NewDeviceID(workload.NodeID(node), slot)
	d := workload.Device{ID: id, UUID: "sim-" + string(id), Kind: workload.GPU, Model: workload.ModelName(model), Memory: 24 << 30,
		Driver: "sim", Sim: true, Health: workload.Healthy}
	if strings.HasPrefix(model, "a") {
		d.Kind, d.Memory = workload.ASIC, 0
	}
	return d
}

// node registers a node at "site", "site/hall" or "site/hall/rack" with n
// devices of a model.
func (w *world) node(name, place, model string, n int) {
	w.t.Helper()
	reg := &state.NodeRegistered{Node: workload.NodeID(name), Boot: "b1", Instance: "i1", Address: name + ":1"}
	parts := append(strings.Split(place, "/"), "", "")
	reg.Site, reg.Hall, reg.Rack = workload.SiteName(parts[0]), workload.HallName(parts[1]), workload.RackName(parts[2])
	for i := range n {
		reg.Devices = append(reg.Devices, device(name, i, model))
	}
	w.do(state.Command{Node: reg})
}

func (w *world) submit(name string, gpus int, bid string, edit ...func(*workload.Spec)) workload.JobID {
	w.t.Helper()
	micro, err := workload.ParseMicro(bid)
	if err != nil {
		w.t.Fatal(err)
	}
	spec := workload.Spec{Name: name, Gang: workload.Gang{GPUs: gpus}, Run: workload.Run{Command: []string{"true"}}, Value: workload.Value{Bid: workload.Rate(micro)}}
	for _, f := range edit {
		f(&spec)
	}
	return w.do(state.Command{Actor: "ann", Submit: &state.JobSubmitted{Spec: spec}}).Job
}

// decide answers the view now and checks the answer in every way that holds for
// all of them.
func (w *world) decide() (state.Plan, bool) {
	w.t.Helper()
	v := w.s.View()
	b := Compose(v, v.Policy, w.at, w.at)
	if issues := decide.Validate(&b.Problem); len(issues) > 0 {
		w.t.Fatalf("the problem is not valid: %v", issues)
	}
	w.round, w.warm = b.Decide(w.warm, decide.Budget{})
	if w.round.Result.Stage != decide.StageHeld {
		if err := decide.Verify(&w.round.Board.Problem, &w.round.Result); err != nil {
			w.t.Fatalf("the result does not verify: %v", err)
		}
	}
	return w.round.Plan()
}

// step decides and applies; nothing may be refused, since the view is current.
func (w *world) step() state.Plan {
	w.t.Helper()
	p, some := w.decide()
	if some {
		w.do(state.Command{Plan: &p})
	}
	if w.caps {
		w.checkCaps()
	}
	return p
}

// run steps and lets the agents do what they were told.
func (w *world) run() state.Plan {
	w.t.Helper()
	p := w.step()
	w.obey()
	return p
}

// obey reports that everything ordered has happened.
func (w *world) obey() {
	w.t.Helper()
	for range 3 { // a gang starts once its last device is free
		for _, id := range w.s.DeviceIDs() {
			d := w.s.Devices[id]
			if d.Use.Kind == workload.Unknown || d.Use.Kind == workload.Offline || d.Settled() && d.Leaving == 0 {
				continue
			}
			w.report(state.WorkloadEvent{Kind: state.EventFreed, Device: id, Epoch: d.Epoch})
			e := state.WorkloadEvent{Kind: state.EventStarted, Device: id, Epoch: d.Epoch, Pid: 7}
			switch d.Assigned.Kind {
			case workload.Training:
				a, _ := w.s.Jobs[d.Assigned.Job].Current()
				if a.Phase == workload.Reserved {
					continue
				}
				e.Job, e.Attempt = d.Assigned.Job, a.Number
			case workload.Parked:
				continue
			}
			w.report(e)
		}
	}
}

func (w *world) report(e state.WorkloadEvent) {
	w.t.Helper()
	n := e.Device.Node()
	w.seq[n]++
	e.Seq = w.seq[n]
	w.do(state.Command{Events: &state.WorkloadsReported{Node: n, Events: []state.WorkloadEvent{e}}})
}

// checkCaps adds up what every device may draw, by code of its own, and holds it
// against site, hall and rack caps. What nobody can decide (idle draw, devices
// that stand aside) may exceed them.
func (w *world) checkCaps() {
	w.t.Helper()
	type sum struct{ draw, least int64 }
	at := map[zoneKey]*sum{}
	for _, id := range w.s.DeviceIDs() {
		d := w.s.Devices[id]
		idle := market.ParkedMoney(w.docs.Profile(d.Model), market.PUE(w.docs, d.Site, d.Hall), 0).Watts
		draw := idle
		if d.Assigned.Kind == workload.Mining || d.Assigned.Kind == workload.Training {
			draw = d.Work.Watts
		}
		least := idle
		if _, fixed := w.round.Board.fixed[id]; fixed {
			least = draw
		}
		keys := []zoneKey{{site: d.Site}}
		if d.Hall != "" {
			keys = append(keys, zoneKey{site: d.Site, hall: d.Hall})
		}
		if d.Rack != "" {
			keys = append(keys, zoneKey{site: d.Site, hall: d.Hall, rack: d.Rack})
		}
		for _, k := range keys {
			if at[k] == nil {
				at[k] = &sum{}
			}
			at[k].draw += draw
			at[k].least += least
		}
	}
	check := func(k zoneKey, limit int64) {
		if s := at[k]; s != nil && limit > 0 && s.draw > max(limit, s.least) {
			w.t.Fatalf("zone %v draws %d W, its cap is %d W", k, s.draw, limit)
		}
	}
	for d := range w.docs.OfKind(config.KindSite) {
		site := workload.SiteName(d.Name)
		check(zoneKey{site: site}, d.Site.Power.Cap)
		for _, h := range d.Site.Power.Halls {
			check(zoneKey{site: site, hall: h.Name}, h.Cap)
			for _, r := range h.Racks {
				check(zoneKey{site: site, hall: h.Name, rack: r.Name}, r.Cap)
			}
		}
	}
}

// uses counts what devices are ordered to do: "parked", "KAS", "job 3".
func (w *world) uses() map[string]int {
	out := map[string]int{}
	for _, d := range w.s.Devices {
		out[nameUse(d.Assigned)]++
	}
	return out
}

func nameUse(u workload.Use) string {
	switch u.Kind {
	case workload.Mining:
		return string(u.Option)
	case workload.Training:
		return fmt.Sprintf("job %d", u.Job)
	}
	return string(u.Kind)
}

func (w *world) wantUses(want map[string]int) {
	w.t.Helper()
	if got := w.uses(); !maps.Equal(got, want) {
		w.t.Fatalf("devices do %v, want %v", got, want)
	}
}

// wantReason checks the recorded reason of every device with a use.
func (w *world) wantReason(use string, code workload.Code) {
	w.t.Helper()
	n := 0
	for _, id := range w.s.DeviceIDs() {
		if d := w.s.Devices[id]; nameUse(d.Assigned) == use {
			n++
			if d.Reason.Code != code {
				w.t.Fatalf("%s: reason of %s is %s, want %s", id, use, d.Reason.Sentence("USD"), code)
			}
		}
	}
	if n == 0 {
		w.t.Fatalf("no device does %s: %v", use, w.uses())
	}
}

func (w *world) wantJob(id workload.JobID, phase workload.Phase, code workload.Code) {
	w.t.Helper()
	if j := w.s.Jobs[id]; j.Phase != phase || j.Reason.Code != code {
		w.t.Fatalf("job %d is %s (%s), want %s (%s)", id, j.Phase, j.Reason.Sentence("USD"), phase, code)
	}
}

// settled decides again and again until nothing changes, and fails when uses
// change at all or reasons for long.
func (w *world) settled() {
	w.t.Helper()
	for i := range 4 {
		p, some := w.decide()
		if len(p.Moves)+len(p.Starts)+len(p.Stops) > 0 {
			w.t.Fatalf("L5: round %d after everything was done still moves: %+v", i+1, p)
		}
		if !some {
			return
		}
		w.do(state.Command{Plan: &p})
	}
	p, _ := w.decide()
	w.t.Fatalf("L5: reasons never settle: %+v %+v", p.Waits, p.Reasons)
}
