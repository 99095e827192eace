package api

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func nextOf(err error) string { return workload.NextOf(wire.FromStatus(err)) }

func explain(t *testing.T, op sluicev1.OperatorServer, id string) *sluicev1.GpuExplanation {
	t.Helper()
	x, err := op.ExplainGpu(t.Context(), &sluicev1.ExplainGpuRequest{Id: id})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestExplainMiningGpu(t *testing.T) {
	f, op := working(t)
	f.apply("kind: Feed\nname: rvn\nsources: [{value: \"0.0380\"}]\nunit: USD/MH/day")
	f.observe()
	f.decide()
	x := explain(t, op, "hall-1/n02/3")
	if want := "Mines KAS for 0.0412 USD/h. RVN pays 0.0032 more, but the switch pays back in 2 h 39 m and the horizon is 1 h."; x.Verdict != want {
		t.Errorf("got  %s\nwant %s", x.Verdict, want)
	}
	b := x.Now
	if b.Gross != 73_184 || b.Risk != 2_928 || b.Energy != 29_100 || b.Net != b.Gross-b.Risk-b.Energy || b.Watts != 291 || b.BoardWatts != 279 || b.PuePpm != 1_040_000 || b.EnergyMicroPerKwh != 100_000 {
		t.Errorf("now %v", b)
	}
	if len(x.Alternatives) != 2 || x.Alternatives[0].Option != "RVN" || x.Alternatives[0].VsNow <= 0 || x.Alternatives[0].Reason.Code != "STABLE" || x.Alternatives[1].Use != "parked" {
		t.Errorf("alternatives %v", x.Alternatives)
	}
	if x.ParksBelowGrossMicroPerHour <= 0 || x.ParksAboveEnergyMicroPerKwh <= 100_000 || x.QuoteAgeMs != (15*time.Minute).Milliseconds() || x.HorizonMs != time.Hour.Milliseconds() || len(x.History) == 0 || x.Gpu.Id != "n02/3" || x.Plan.Id == 0 {
		t.Errorf("explanation %v", x)
	}
	for _, id := range []string{"n02/9", "n9/1", "hall-2/n02/3", "", "a/b/c/d"} {
		if _, err := op.ExplainGpu(t.Context(), &sluicev1.ExplainGpuRequest{Id: id}); kindOf(err) != workload.NotFound || nextOf(err) != "sluice gpu list" && id != "hall-2/n02/3" {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// TestVerdicts takes a device through its states; each is told in a sentence.
func TestVerdicts(t *testing.T) {
	f, op := working(t)
	verdict := func(want string) {
		t.Helper()
		if got := explain(t, op, "n01/0").Verdict; !strings.HasPrefix(got, want) {
			t.Errorf("got  %s\nwant %s...", got, want)
		}
	}
	f.decide()
	verdict("Mines KAS for 0.0412 USD/h. Nothing else pays more: next is RVN with 0.0192 USD/h.")
	f.submit(8)
	f.decide()
	verdict("On its way from one use to another: ordered to train job 1.")
	f.settle()
	f.decide()
	verdict("Trains job 1 for 1.9688 USD/h. Nothing else pays more: next is KAS")
	f.must(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{"n01"}}})
	f.advance(3 * time.Minute)
	verdict("Its node has not been heard for 3 m; it was ordered to train job 1.")

	f, op = working(t)
	f.apply(`{kind: Override, name: stop, use: park, reason: heat}`)
	f.work()
	verdict("Parked, which costs 0.0023 USD/h. A person decided: override stop, because heat.")
	f, op = working(t)
	f.apply("kind: Tariff\nname: flat\ncurrency: USD\nbands: [{price: 0.9 USD/kWh}]")
	f.work()
	verdict("Parked, which costs 0.0207 USD/h. Every use would cost more than parking: best mining KAS")
}

// TestExplainFollowsTheView explains what is, although the newest decision was
// made before the device moved.
func TestExplainFollowsTheView(t *testing.T) {
	f := newFake(t)
	f.work() // decided on a fleet that was parked, and moved it
	op := NewOperator(f, quiet())
	if x := explain(t, op, "n01/1"); !strings.HasPrefix(x.Verdict, "Mines KAS") || x.Now.Gross == 0 {
		t.Errorf("%s %v", x.Verdict, x.Now)
	}
}

func TestExplainJob(t *testing.T) {
	f, op := working(t)
	ask := func(id string) *sluicev1.JobExplanation {
		t.Helper()
		x, err := op.ExplainJob(t.Context(), &sluicev1.ExplainJobRequest{Id: id})
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	f.must2(op.SubmitJob(as(t, "sue", identity.Submitter), &sluicev1.SubmitJobRequest{Document: jobText("cheap", 4, "0.01")}))
	f.decide()
	x := ask("cheap")
	if x.Verdict == "" || x.BreakEvenBid <= 10_000 || x.BreakEvenBid%100 != 0 || x.Reasons[0].Code != "PRICE" || !strings.Contains(x.Ways[0], "sluice job submit FILE") || !strings.Contains(x.Ways[0], "bids 0.0100 USD/GPU-h") {
		t.Errorf("too low a bid: %v", x)
	}
	// The bid it names is enough, and one that is a hundredth less is not.
	for _, c := range []struct {
		bid    int64
		starts bool
	}{{x.BreakEvenBid, true}, {x.BreakEvenBid * 99 / 100, false}} {
		g, op := working(t)
		g.must2(op.SubmitJob(as(t, "sue", identity.Submitter), &sluicev1.SubmitJobRequest{Document: jobText("raised", 4, workload.Decimal(c.bid, 6))}))
		g.decide()
		if j := g.View().Jobs[1]; (j.Phase == workload.Active) != c.starts {
			t.Errorf("at a bid of %d the job is %s: %s", c.bid, j.Phase, j.Reason.Sentence("USD"))
		}
	}
	id := f.submit(8)
	f.decide()
	if x = ask(id); !strings.HasPrefix(x.Verdict, "Has 8 devices; 0 of them are free") {
		t.Errorf("reserved: %s", x.Verdict)
	}
	f.settle()
	f.advance(time.Minute)
	if x = ask(id); x.Verdict != "Runs on 8 devices of n01, n02 for 60 s, attempt 1." || x.BreakEvenBid != -1 || len(x.Ways) != 2 {
		t.Errorf("running: %v", x)
	}
	if x, err := op.CancelJob(as(t, "sue", identity.Submitter), &sluicev1.CancelJobRequest{Id: id}); err != nil || x.Phase != "cancelled" {
		t.Fatal(x, err)
	}
	if x = ask(id); !strings.HasPrefix(x.Verdict, "Cancelled 60 s after it was submitted. A person cancelled it.") {
		t.Errorf("cancelled: %s", x.Verdict)
	}
	if _, err := op.ExplainJob(t.Context(), &sluicev1.ExplainJobRequest{Id: "none"}); kindOf(err) != workload.NotFound {
		t.Errorf("unknown: %v", err)
	}
}
