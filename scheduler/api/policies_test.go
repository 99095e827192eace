package api

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/workload"
)

func target(floor string) string {
	return "kind: Target\nname: ai-share\nmeasure: devices\nof: owned\nuse: training\nmin: " + floor + "\n"
}

func TestListPolicies(t *testing.T) {
	f, op := working(t)
	f.invalid = []config.Issue{{Document: config.Key{Kind: config.KindCoin, Name: "X"}, Text: "is broken"}}
	m, err := op.ListPolicies(t.Context(), &sluicev1.ListPoliciesRequest{})
	if err != nil || len(m.Policies) != 14 || m.Revision != 101 || m.Invalid[0] != "Coin/X: is broken" {
		t.Fatalf("%d documents, %v, %v", len(m.GetPolicies()), m, err)
	}
	for _, p := range m.Policies { // what is listed can be applied again
		docs, err := config.Parse("again", []byte(p.Yaml))
		if err != nil || docs[0].Key().String() != p.Kind+"/"+p.Name {
			t.Errorf("%s/%s: %v", p.Kind, p.Name, err)
		}
	}
	if m, err = op.ListPolicies(t.Context(), &sluicev1.ListPoliciesRequest{Kind: "feed", Name: "kas"}); err != nil || len(m.Policies) != 1 {
		t.Errorf("%v, %v", m, err)
	}
	if _, err = op.ListPolicies(t.Context(), &sluicev1.ListPoliciesRequest{Kind: "Feed", Name: "none"}); kindOf(err) != workload.NotFound {
		t.Errorf("unknown name: %v", err)
	}
	if _, err = op.ListPolicies(t.Context(), &sluicev1.ListPoliciesRequest{Kind: "Fed"}); kindOf(err) != workload.Invalid {
		t.Errorf("unknown kind: %v", err)
	}
}

// TestPreviewIsWhatApplyDoes previews changes of several kinds, applies them,
// lets prices and the decision follow, and compares.
func TestPreviewIsWhatApplyDoes(t *testing.T) {
	for _, c := range []struct {
		name, document string
		remove         []string
		moves          bool
	}{
		{name: "target", document: target("50%"), moves: true},
		{name: "tariff", document: "kind: Tariff\nname: flat\ncurrency: USD\nbands: [{price: 0.9 USD/kWh}]", moves: true},
		{name: "cheaper tariff", document: "kind: Tariff\nname: flat\ncurrency: USD\nbands: [{price: 0.05 USD/kWh}]"},
		{name: "hashprice", document: "kind: Feed\nname: rvn\nsources: [{value: \"0.2\"}]\nunit: USD/MH/day", moves: true},
		{name: "cap", document: "kind: Site\nname: hall-1\nzone: UTC\npower: {cap: 1kW, cooling: {pue: 1.04}}\ntariff: flat", moves: true},
		{name: "override", document: `{kind: Override, name: stop, use: park, reason: test}`, moves: true},
		{name: "removal", remove: []string{"Pool/kas-pool"}, moves: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, op := working(t)
			f.must2(op.SubmitJob(as(t, "sue", identity.Submitter), &sluicev1.SubmitJobRequest{Document: jobText("cheap", 4, "0.05")}))
			f.work()
			f.advance(15 * time.Minute)
			f.observe()
			before := f.bytes()
			p, err := op.PlanPolicy(t.Context(), &sluicev1.PlanPolicyRequest{Document: c.document, Delete: c.remove})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(before, f.bytes()) {
				t.Error("a preview changed the state")
			}
			if p.CheckIndex != 101 || len(p.Changes) != 1 || (p.MovedDevices > 0) != c.moves || p.Currency != "USD" {
				t.Errorf("preview %v", p)
			}
			was := f.View()
			if _, err := op.ApplyPolicy(as(t, "ann", identity.Admin), &sluicev1.ApplyPolicyRequest{Document: c.document, Delete: c.remove, CheckIndex: p.CheckIndex}); err != nil {
				t.Fatal(err)
			}
			f.observe()
			f.decide()
			if got := perHour(f.Round().Round.Money()); got.String() != p.After.String() {
				t.Errorf("preview says %v after, the decision %v", p.After, got)
			}
			f.settle()
			if s, err := op.GetStatus(t.Context(), &sluicev1.GetStatusRequest{}); err != nil || s.MoneyPerHour.String() != p.After.String() {
				t.Errorf("preview says %v after, the accounts %v, %v", p.After, s.GetMoneyPerHour(), err)
			}
			v, moved := f.View(), int64(0)
			for id, d := range v.Devices {
				if a, b := was.Devices[id].Assigned, d.Assigned; a.Kind != b.Kind || a.Option != b.Option || a.Job != b.Job {
					moved++
				}
			}
			if moved != p.MovedDevices {
				t.Errorf("preview moves %d devices (%v), the plan %d", p.MovedDevices, p.Moves, moved)
			}
			var sum int64
			for _, m := range p.Moves {
				sum += m.Devices
			}
			if sum != p.MovedDevices {
				t.Errorf("the moves add up to %d of %d", sum, p.MovedDevices)
			}
		})
	}
}

func (f *fake) must2(_ *sluicev1.SubmitJobResponse, err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestPlanPolicyWords(t *testing.T) {
	f, op := working(t)
	f.must2(op.SubmitJob(as(t, "sue", identity.Submitter), &sluicev1.SubmitJobRequest{Document: jobText("cheap", 4, "0.05")}))
	f.apply(target("10%"))
	f.advance(15 * time.Minute)
	p, err := op.PlanPolicy(t.Context(), &sluicev1.PlanPolicyRequest{Document: target("50%"), File: "t.yaml"})
	if err != nil {
		t.Fatal(err)
	}
	if ch := p.Changes[0]; ch.Kind != "Target" || ch.Name != "ai-share" || ch.What != "changed" || len(ch.Fields) != 1 || ch.Fields[0] != "min 10% -> 50%" {
		t.Errorf("changes %v", p.Changes)
	}
	if tg := p.Targets[0]; tg.Name != "ai-share" || tg.MinPpm != 500_000 || tg.MaxPpm != -1 || tg.ActualPpm != 500_000 || !strings.Contains(tg.Text, "50.00 % of at least 50.00 %") {
		t.Errorf("targets %v", p.Targets)
	}
}

func TestRefusedPolicyChangesNothing(t *testing.T) {
	f, op := working(t)
	before := f.bytes()
	for _, c := range []struct {
		name, document string
		remove         []string
		roles          []identity.Role
		check          int64
		kind           workload.Kind
		want           string
	}{
		{name: "place", document: "kind: Target\nname: x\nmin: 20", kind: workload.Invalid, want: "p.yaml:3:6"},
		{name: "reference", document: "kind: Pool\nname: p\ncoin: KAZ\nendpoints: [stratum+tcp://a.example:1]\nscheme: PPS\nwallet: kas", kind: workload.Invalid, want: `no Coin named "KAZ"`},
		{name: "unsupported", document: target("5%") + "scope: {tenant: default}\n", kind: workload.Invalid, want: "not decided by this version"},
		{name: "dangling", remove: []string{"Feed/kas"}, kind: workload.Invalid, want: `Coin/KAS: hashprice.feed: there is no Feed named "kas"`},
		{name: "unknown removal", remove: []string{"Feed/none"}, kind: workload.NotFound, want: "Feed/none"},
		{name: "bad key", remove: []string{"kas"}, kind: workload.Invalid, want: "Kind/name"},
		{name: "nothing", kind: workload.Invalid, want: "no document"},
		{name: "role", document: "kind: Tenant\nname: x", roles: []identity.Role{identity.Finance}, kind: workload.Denied, want: "may not change a Tenant"},
		{name: "removal by role", remove: []string{"Tenant/research"}, roles: []identity.Role{identity.Finance}, kind: workload.Denied, want: "Tenant"},
		{name: "index", document: target("5%"), check: 7, kind: workload.Conflict, want: "revision 101, not 7"},
		{name: "negative index", document: target("5%"), check: -1, kind: workload.Invalid, want: "check_index"},
	} {
		if c.roles == nil {
			c.roles = []identity.Role{identity.Operator}
		}
		_, err := op.ApplyPolicy(as(t, "fin", c.roles...), &sluicev1.ApplyPolicyRequest{Document: c.document, File: "p.yaml", Delete: c.remove, CheckIndex: c.check})
		if kindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.kind, c.want)
		}
		if c.check != 0 || c.kind == workload.Denied {
			continue
		}
		_, err = op.PlanPolicy(t.Context(), &sluicev1.PlanPolicyRequest{Document: c.document, File: "p.yaml", Delete: c.remove})
		if kindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("preview of %s: %v, want %v with %q", c.name, err, c.kind, c.want)
		}
	}
	if !bytes.Equal(before, f.bytes()) {
		t.Error("a refused policy changed the state")
	}
}

func TestApplyPolicy(t *testing.T) {
	f, op := working(t)
	ctx := as(t, "fin", identity.Finance)
	m, err := op.ApplyPolicy(ctx, &sluicev1.ApplyPolicyRequest{Document: target("5%"), CheckIndex: 101, Comment: "board"})
	if err != nil || m.Revision != 102 || m.Changes[0].What != "added" || f.source.comment != "fin: board" || f.View().Revision != 102 {
		t.Fatalf("%v, %v, %q", m, err, f.source.comment)
	}
	if m, err = op.ApplyPolicy(ctx, &sluicev1.ApplyPolicyRequest{Delete: []string{"target/ai-share"}}); err != nil || m.Changes[0].What != "removed" {
		t.Errorf("%v, %v", m, err)
	}
	f.source.down = true
	_, err = op.ApplyPolicy(ctx, &sluicev1.ApplyPolicyRequest{Document: target("5%")})
	if kindOf(err) != workload.Unavailable || nextOf(err) == "" {
		t.Errorf("store down: %v, next %q", err, nextOf(err))
	}
	f.source.down, f.source.frozen = false, true // stored, but the log is slow
	if m, err = op.ApplyPolicy(ctx, &sluicev1.ApplyPolicyRequest{Document: target("5%")}); err != nil || m.Revision != 104 {
		t.Errorf("slow log: %v, %v", m, err)
	}
}

func TestTargetText(t *testing.T) {
	for _, c := range []struct {
		target planner.Target
		want   string
	}{
		{planner.Target{Code: "TARGET_MET", Actual: 200_000, Min: 200_000, Max: -1}, "holds, and decides: 20.00 % of at least 20.00 %"},
		{planner.Target{Code: "TARGET_UNATTAINABLE", Actual: 50_000, Min: 200_000, Max: 600_000}, "cannot be reached now: 5.00 % of at least 20.00 % and at most 60.00 %"},
		{planner.Target{Code: "TARGET_NOT_BINDING", Actual: 0, Min: -1, Max: 600_000}, "holds without deciding anything: 0.00 % of at most 60.00 %"},
		{planner.Target{Code: "TARGET_CONFLICT", Actual: 50_000, Min: 200_000, Max: -1, Best: 60_000, Limits: []string{"Target/mine", "power of north"}},
			"yields to a stronger rule: 5.00 % of at least 20.00 %; best possible now 6.00 %, limited by Target/mine, power of north"},
		{planner.Target{Code: "TARGET_MET_COST", Actual: 200_000, Min: 200_000, Max: -1, Cost: 1_460_000, PlanCost: 1_520_000},
			"holds at a price: 20.00 % of at least 20.00 %; costs 1.4600 USD/h = 35.04 USD/day at today's prices (plans differ by 1.5200 USD/h)"},
	} {
		if got := targetText(c.target, "USD"); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
