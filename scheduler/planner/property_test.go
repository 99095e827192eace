package planner

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// fleet draws a random small cluster with caps, targets, tenants and jobs.
func fleet(t *rapid.T, most int) *world {
	cents := func(name string, lo, hi int) string {
		return workload.Decimal(int64(rapid.IntRange(lo, hi).Draw(t, name))*1000, 6)
	}
	limit := rapid.IntRange(1, 12000).Draw(t, "cap")
	if rapid.Bool().Draw(t, "ample") {
		limit += 40_000
	}
	w := newWorld(t, fmt.Sprintf("\nkind: Site\nname: north\nzone: Europe/Berlin\nterritory: DE\npower: {cap: %dW, halls: [{name: h, cap: %dW, cooling: {pue: 1.2}}]}\ntariff: flat\n",
		limit, rapid.IntRange(1, limit).Draw(t, "hall cap")),
		price(cents("energy", -50, 300)),
		fmt.Sprintf("\nkind: Feed\nname: kas\nsources: [{value: %s}]\ncurrency: USD\nunit: USD/GH/day\n", cents("kas", 1, 1500)),
		fmt.Sprintf("\nkind: Feed\nname: rvn\nsources: [{value: %s}]\ncurrency: USD\nunit: USD/MH/day\n", cents("rvn", 1, 40)),
		"\nkind: Tenant\nname: lab\nguarantee: 3 GPU\n")
	if rapid.Bool().Draw(t, "switch costs") {
		w.set("\nkind: DeviceProfile\nmodel: g2\nmodes:\n  - {algorithm: kheavyhash, hashrate: 2GH/s, power: 350W}\n  - {algorithm: kawpow, hashrate: 90MH/s, power: 400W}\ntraining: {speed: 2.0, power: 500W}\nidle: 30W\nswitch: {warmup: 5m}\n")
	}
	if rapid.Bool().Draw(t, "target") {
		w.set(target(fmt.Sprintf("measure: %s\nmin: %d%%", rapid.SampledFrom([]string{"devices", "power"}).Draw(t, "measure"), rapid.IntRange(0, 100).Draw(t, "min"))))
	}
	if rapid.Bool().Draw(t, "share") {
		w.set(fmt.Sprintf("\nkind: Coin\nname: KAS\nalgorithm: kheavyhash\nhashprice: {feed: kas}\nrisk: {haircut: 5%%, maxShare: %d%%}\n", rapid.IntRange(1, 100).Draw(t, "max share")))
	}
	left := most
	for i := range rapid.IntRange(1, 4).Draw(t, "nodes") {
		n := rapid.IntRange(1, max(1, min(left-3+i, 4))).Draw(t, "devices")
		left -= n
		w.node(fmt.Sprintf("n%d", i), rapid.SampledFrom([]string{"north", "north/h"}).Draw(t, "place"), rapid.SampledFrom([]string{"g1", "g2", "a1"}).Draw(t, "model"), n)
	}
	return w
}

// offer submits a random job if the fleet could ever hold it.
func offerJob(t *rapid.T, w *world, i int) (workload.JobID, bool) {
	spec := workload.Spec{Name: fmt.Sprintf("j%d", i), Run: workload.Run{Command: []string{"true"}},
		Gang:  workload.Gang{GPUs: rapid.IntRange(1, 4).Draw(t, "gpus")},
		Value: workload.Value{Bid: workload.Rate(rapid.IntRange(0, rapid.SampledFrom([]int{20_000, 200_000}).Draw(t, "up to")).Draw(t, "bid"))}}
	if rapid.Bool().Draw(t, "lab") {
		spec.Tenant = "lab"
	}
	if rapid.Bool().Draw(t, "per node") && spec.Gang.GPUs%2 == 0 {
		spec.Gang.PerNode = 2
	} else if rapid.Bool().Draw(t, "elastic") {
		spec.Gang.Elastic = &workload.Elastic{Min: 1, Max: 6, Step: 1}
	}
	spec.Checkpoint.Dir = rapid.SampledFrom([]string{"", "ck"}).Draw(t, "checkpoint")
	if w.s.Fits(spec.Default()) != nil {
		return 0, false
	}
	return w.do(state.Command{Actor: "ann", Submit: &state.JobSubmitted{Spec: spec}}).Job, true
}

// Whatever happens, every problem is valid, every result verifies, every plan
// applies in full to the view it was made from and keeps the caps; and once all
// is done, nothing moves (L5).
func TestEveryPlanAppliesAndSettles(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := fleet(rt, 12)
		for i := range rapid.IntRange(0, 8).Draw(rt, "events") {
			switch rapid.IntRange(0, 5).Draw(rt, "event") {
			case 0, 1:
				offerJob(rt, w, i)
			case 2:
				w.pass(time.Duration(rapid.IntRange(1, 120).Draw(rt, "minutes")) * time.Minute)
			case 3:
				w.set(price(workload.Decimal(int64(rapid.IntRange(-50, 300).Draw(rt, "energy"))*1000, 6)))
			case 4:
				w.do(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{"n0"}}})
			case 5:
				if len(w.s.Nodes) > 1 {
					w.set("\nkind: Override\nname: o\nscope: {node: n1}\n" + rapid.SampledFrom([]string{"use: park", "use: mine", "use: train", "freeze: true", "power: {to: 200W}"}).Draw(rt, "override") + "\nreason: r\n")
				}
			}
			if rapid.Bool().Draw(rt, "agents are quick") {
				w.run()
			} else {
				w.step()
			}
		}
		for range 3 { // a victim's devices come free only when it has gone
			w.run()
		}
		w.settled()
	})
}

func TestSamePlanForSameView(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := fleet(rt, 12)
		for i := range 5 {
			offerJob(rt, w, i)
		}
		v := w.s.View()
		var first string
		for range 3 {
			r, _ := Compose(v, v.Policy, w.at, w.at).Decide(nil, decide.Budget{})
			p, _ := r.Plan()
			data, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			if text := string(data); first == "" {
				first = text
			} else if text != first {
				rt.Fatalf("two plans for one view:\n%s\n%s", first, text)
			}
		}
	})
}

// A job that waits for its price is placed when it comes again with the bid that
// the explanation names, and not with much less.
func TestBreakEvenBidIsTrue(t *testing.T) {
	asked := 0
	property := func(rt *rapid.T) {
		w := fleet(rt, 8)
		var last workload.JobID
		for i := range rapid.IntRange(1, 3).Draw(rt, "jobs") {
			if id, ok := offerJob(rt, w, i); ok {
				last = id
			}
		}
		w.decide()
		x := w.round.ExplainJob(last)
		if len(x.Reasons) == 0 || x.Reasons[0].Code != workload.CodePrice || x.BreakEvenBid < 0 {
			return
		}
		asked++
		for _, f := range x.Reasons[0].Figures {
			if f.Name == postedPrice || f.Name == "would start at" && f.Value != int64(x.BreakEvenBid) {
				rt.Fatalf("two bids are named: %d and %+v", x.BreakEvenBid, f)
			}
		}
		if less := x.BreakEvenBid - x.BreakEvenBid/bidPrecision - shownBid - 1; less > w.s.Jobs[last].Spec.Value.Bid && w.round.Board.startsAt(last, less) {
			rt.Fatalf("told to bid %d, but %d would do", x.BreakEvenBid, less)
		}
		spec := w.s.Jobs[last].Spec
		spec.Value.Bid = x.BreakEvenBid
		w.do(state.Command{Actor: "ann", Cancel: &state.JobCancelled{Job: last}})
		again := w.do(state.Command{Actor: "ann", Submit: &state.JobSubmitted{Spec: spec}}).Job
		w.warm = nil
		w.step()
		if w.s.Jobs[again].Phase != workload.Active {
			rt.Fatalf("job %d waits with the bid %d it was told: %s", again, x.BreakEvenBid, w.s.Jobs[again].Reason.Sentence("USD"))
		}
	}
	// Few of the drawn clusters have a job that waits for its price.
	for range 20 {
		if rapid.Check(t, property); asked >= 5 {
			return
		}
	}
	t.Fatalf("only %d jobs waited for their price", asked)
}

// Without switching costs a miner parks just above the energy price that its
// explanation names, and not just below it.
func TestParksAboveIsTrue(t *testing.T) {
	tried := 0
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, price(workload.Decimal(int64(rapid.IntRange(1, 90).Draw(rt, "energy"))*1000, 6)),
			fmt.Sprintf("\nkind: Feed\nname: kas\nsources: [{value: %s}]\ncurrency: USD\nunit: USD/GH/day\n", workload.Decimal(int64(rapid.IntRange(1, 1500).Draw(rt, "kas"))*1000, 6)),
			fmt.Sprintf("\nkind: Coin\nname: KAS\nalgorithm: kheavyhash\nhashprice: {feed: kas}\nrisk: {haircut: %d%%}\n", rapid.IntRange(0, 30).Draw(rt, "haircut")))
		w.node("n1", "north", "g1", 1)
		w.run()
		w.pass(time.Hour)
		w.decide()
		x, err := w.round.ExplainDevice("n1/0")
		if err != nil {
			t.Fatal(err)
		}
		if x.Now.Use.Kind != workload.Mining {
			return
		}
		tried++
		for _, tt := range []struct {
			micro int64
			want  workload.UseKind
		}{{x.ParksAbove - 2, workload.Mining}, {x.ParksAbove + 2, workload.Parked}} {
			w.set(price(workload.Decimal(tt.micro, 6)))
			v := w.s.View()
			r, _ := Compose(v, v.Policy, w.at, w.at).Decide(nil, decide.Budget{})
			if got, _ := r.Board.useOf(0, r.Placed.Uses[0]); got.Kind != tt.want {
				rt.Fatalf("at %d micro/kWh it is %s, threshold %d", tt.micro, got.Kind, x.ParksAbove)
			}
		}
	})
	if tried < 20 {
		t.Fatalf("only %d devices mined", tried)
	}
}

// The lines of an explanation add up, and everything the device could do stands
// among them.
func TestExplainDeviceIsCompleteAndAddsUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := fleet(rt, 10)
		for i := range 4 {
			offerJob(rt, w, i)
		}
		w.run()
		w.decide()
		for _, id := range w.s.DeviceIDs() {
			x, err := w.round.ExplainDevice(id)
			if err != nil {
				t.Fatal(err)
			}
			d := w.s.Devices[id]
			seen := map[workload.Use]bool{}
			now := 0
			for _, a := range x.Alternatives {
				m := a.Money
				if want := workload.MulDiv(m.Watts, x.Micro, 1000, workload.Up); int64(m.Energy) != want {
					rt.Fatalf("%s %s: %d W at %d micro/kWh are %d, not %d", id, a.Use, m.Watts, x.Micro, want, m.Energy)
				}
				if a.Reason.Code == "" || seen[a.Use] {
					rt.Fatalf("%s: %s has no reason, or stands twice", id, a.Use)
				}
				seen[a.Use] = true
				if a.Now {
					now++
				}
			}
			if now != 1 || !x.Alternatives[0].Now || !seen[d.Assigned] {
				rt.Fatalf("%s does %s: %+v", id, d.Assigned, x.Alternatives)
			}
			if _, inside := w.round.Board.place[id]; inside && !seen[workload.Use{Kind: workload.Parked}] {
				rt.Fatalf("%s: parking is missing", id)
			}
		}
	})
}
