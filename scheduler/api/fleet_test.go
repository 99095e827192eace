package api

import (
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func TestGpusShowWhatTheyDoAndEarn(t *testing.T) {
	f, op := working(t)
	s := workload.UnknownSample("n01/0", workload.InstantOf(time.Now()))
	s.Watts, s.Hashrate, s.Accepted, s.ProcessHashrate = 280, 600_000_000_000, 12, 5000
	f.samples["n01/0"] = s
	stale := s
	stale.At -= workload.Instant(2 * sampleLife.Milliseconds())
	f.samples["n01/1"] = stale

	m, err := op.ListGpus(t.Context(), &sluicev1.ListGpusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Gpus) != 8 || m.Currency != "USD" {
		t.Fatalf("%d gpus in %q", len(m.Gpus), m.Currency)
	}
	g, old := m.Gpus[0], m.Gpus[1]
	if g.Use != "mining" || g.Assigned != "mining" || g.Coin != "KAS" || g.Option != "KAS" || g.Reason != "PRICE" || !strings.Contains(g.ReasonText, "nets most") || g.Pid != 4242 {
		t.Errorf("gpu: %v", g)
	}
	// 280 W x 1.04 measured; 279 W x 1.04 accounted, rounded up.
	if g.Watts != 292 || g.SharesAccepted != 12 || g.SharesRejected != -1 || g.Hashrate != 600_000_000_000 {
		t.Errorf("measured: %v", g)
	}
	if old.Watts != 291 || old.SharesAccepted != -1 || old.Hashrate != -1 || old.ProcessHashrate != -1 {
		t.Errorf("a stale sample is shown: %v", old)
	}
	// 612 MH/s x 0.00287 USD/MH/day; 291 W x 0.1 USD/kWh.
	if mph := g.MoneyPerHour; mph.Revenue != 73_184 || mph.Energy != 29_100 || mph.Net != mph.Revenue-mph.Energy {
		t.Errorf("money: %v", mph)
	}
	if m, err = op.ListGpus(t.Context(), &sluicev1.ListGpusRequest{Node: "n02"}); err != nil || len(m.Gpus) != 4 {
		t.Errorf("one node: %d, %v", len(m.GetGpus()), err)
	}
	if _, err = op.ListGpus(t.Context(), &sluicev1.ListGpusRequest{Node: "n99"}); kindOf(err) != workload.NotFound {
		t.Errorf("an unknown node: %v", err)
	}
}

func TestParkedDevicesCostEnergy(t *testing.T) {
	f, op := working(t)
	f.apply(`{kind: Override, name: stop, use: park, reason: test}`)
	f.work()
	m, err := op.ListGpus(t.Context(), &sluicev1.ListGpusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range m.Gpus {
		// 22 W x 1.04 is 23 W at the meter.
		if g.Use != "parked" || g.MoneyPerHour.Energy != 2_300 || g.MoneyPerHour.Net != -2_300 || g.Watts != 23 {
			t.Errorf("%s: %s, %v, %d W", g.Id, g.Use, g.MoneyPerHour, g.Watts)
		}
	}
}

// apply changes policy as a person would.
func (f *fake) apply(document string) {
	f.t.Helper()
	op := NewOperator(f, quiet())
	if _, err := op.ApplyPolicy(as(f.t, "ann", identity.Admin), &sluicev1.ApplyPolicyRequest{Document: document}); err != nil {
		f.t.Fatal(err)
	}
}

func TestStatusAddsUp(t *testing.T) {
	f, op := working(t)
	f.submit(4)
	f.work()
	f.must(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{"n02"}}})
	f.decide()
	s, err := op.GetStatus(t.Context(), &sluicev1.GetStatusRequest{})
	if err != nil {
		t.Fatal(err)
	}
	d := s.Devices
	if d.Total != 8 || d.Mining+d.Training+d.Parked+d.Other != 8 || d.Other != 4 || d.Trainable != 8 {
		t.Errorf("devices: %v", d)
	}
	if want := d.Training * 125_000; s.AiSharePpm != want {
		t.Errorf("AI share %d of %d training, want %d", s.AiSharePpm, d.Training, want)
	}
	gpus, _ := op.ListGpus(t.Context(), &sluicev1.ListGpusRequest{})
	var watts, revenue, energy int64
	for _, g := range gpus.Gpus {
		watts += g.Watts
		revenue += g.MoneyPerHour.Revenue
		energy += g.MoneyPerHour.Energy
	}
	if s.PowerW.Now != watts || s.PowerW.Cap != 3000 || s.Sites[0].NowW != watts || s.Sites[0].CapW != 3000 || s.Sites[0].EnergyMicroPerKwh != 100_000 {
		t.Errorf("power %v, sites %v, gpus %d W", s.PowerW, s.Sites, watts)
	}
	if s.MoneyPerHour.Revenue != revenue || s.MoneyPerHour.Energy != energy || s.MoneyPerHour.Net != revenue-energy || revenue == 0 {
		t.Errorf("money %v, gpus %d - %d", s.MoneyPerHour, revenue, energy)
	}
	// All eight devices are counted by the standing plan's baseline of the round before.
	if s.AllMining.Net == 0 || s.AllParked.Net >= 0 {
		t.Errorf("baselines %v %v", s.AllMining, s.AllParked)
	}
	if s.Plan.Id != f.View().Plan.ID || s.Plan.Milliseconds != 2 || s.Plan.Stage == "" {
		t.Errorf("plan %v", s.Plan)
	}
	if len(s.Quotes) != 2 || s.Quotes[0].Feed != "kas" || s.Quotes[0].Stale || s.Quotes[0].Unit != "micro_per_hour" {
		t.Errorf("quotes %v", s.Quotes)
	}
	if s.Jobs.Active != 1 || s.Cluster != "test" || s.Leader != "s1" || s.ConfigState != "ok" || !s.Sim || s.MarketSpeed != 60 {
		t.Errorf("status %v", s)
	}
	n, err := op.ListNodes(t.Context(), &sluicev1.ListNodesRequest{})
	if err != nil || len(n.Nodes) != 2 || n.Nodes[0].State != "ready" || n.Nodes[1].State != "unknown" || n.Nodes[0].LastSeenMs != 77 || n.Nodes[0].Devices.Total != 4 {
		t.Errorf("nodes %v, %v", n, err)
	}
	if n.Nodes[0].Watts+n.Nodes[1].Watts != watts {
		t.Errorf("nodes draw %d + %d W, gpus %d", n.Nodes[0].Watts, n.Nodes[1].Watts, watts)
	}
}

func TestMoneyReAdds(t *testing.T) {
	f, op := working(t)
	f.advance(90 * time.Minute)
	f.submit(4)
	f.work()
	f.advance(45 * time.Minute)
	f.apply("kind: Tariff\nname: flat\ncurrency: USD\nbands: [{price: 0.11 USD/kWh}]")
	f.work()
	f.advance(50 * time.Minute)
	f.observe()

	m, err := op.GetMoney(t.Context(), &sluicev1.GetMoneyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	sum := &sluicev1.MoneyTotals{}
	for _, p := range m.Points {
		if p.Net != p.Revenue-p.Energy || p.Revenue != p.MiningRevenue+p.TrainingRevenue {
			t.Errorf("point does not add up: %v", p)
		}
		add(sum, p)
	}
	if len(m.Points) != 4 || sum.String() != m.Totals.String() || sum.MiningRevenue == 0 || sum.TrainingRevenue == 0 {
		t.Errorf("%d points, sum %v, totals %v", len(m.Points), sum, m.Totals)
	}
	if last := m.Points[3]; last.Millis != (20 * time.Minute).Milliseconds() {
		t.Errorf("the running hour is %d ms long", last.Millis)
	}
	v := f.state.Book.Totals()
	if int64(v.Net()) != m.Totals.Net {
		t.Errorf("ledger nets %d, answer %d", v.Net(), m.Totals.Net)
	}

	tl, err := op.GetTimeline(t.Context(), &sluicev1.GetTimelineRequest{Hours: 4})
	if err != nil {
		t.Fatal(err)
	}
	var revenue, energy int64
	for _, d := range tl.Devices {
		at := int64(0)
		for _, iv := range d.Intervals {
			if at != 0 && iv.FromMs != at {
				t.Errorf("%s: a gap before %d", d.Id, iv.FromMs)
			}
			at = iv.ToMs
			revenue += iv.Revenue
			energy += iv.Energy
		}
		if at != 0 {
			t.Errorf("%s: its last interval has ended", d.Id)
		}
	}
	if revenue != m.Totals.Revenue || energy != m.Totals.Energy {
		t.Errorf("intervals add up to %d - %d, hours to %d - %d", revenue, energy, m.Totals.Revenue, m.Totals.Energy)
	}
	if n := len(tl.Energy); n != 2 || tl.Energy[1].MicroPerKwh != 110_000 || !tl.Energy[1].Known || tl.Energy[1].Site != "hall-1" {
		t.Errorf("price steps %v", tl.Energy)
	}
	for _, hours := range []int64{-1, 25} {
		if _, err := op.GetTimeline(t.Context(), &sluicev1.GetTimelineRequest{Hours: hours}); kindOf(err) != workload.Invalid {
			t.Errorf("%d hours: %v", hours, err)
		}
	}
	if m, err := op.GetMoney(t.Context(), &sluicev1.GetMoneyRequest{Hours: 1}); err != nil || len(m.Points) != 1 {
		t.Errorf("one hour: %v, %v", m, err)
	}
}

// TestSilentMinersGoOn: what a silent node mines is still mining's revenue.
func TestSilentMinersGoOn(t *testing.T) {
	f, op := working(t)
	f.must(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{"n01", "n02"}}})
	f.advance(time.Hour)
	f.observe()
	m, err := op.GetMoney(t.Context(), &sluicev1.GetMoneyRequest{Hours: 1})
	if err != nil || m.Totals.TrainingRevenue != 0 || m.Totals.MiningRevenue == 0 {
		t.Errorf("%v, %v", m, err)
	}
}

func TestSiteWithoutCap(t *testing.T) {
	f, op := working(t)
	f.apply("kind: Site\nname: hall-1\nzone: UTC\npower: {cooling: {pue: 1.04}}\ntariff: flat\n---\n" +
		"kind: Site\nname: hall-2\nzone: UTC\npower: {cap: 5kW}")
	s, err := op.GetStatus(t.Context(), &sluicev1.GetStatusRequest{})
	if err != nil || s.PowerW.Cap != -1 || s.Sites[0].CapW != -1 || s.Sites[1].CapW != 5000 {
		t.Errorf("%v, %v", s, err)
	}
}

func TestLedgerAndTokens(t *testing.T) {
	f, op := working(t)
	r, err := op.VerifyLedger(t.Context(), &sluicev1.VerifyLedgerRequest{})
	if err != nil || !r.Ok || r.Entries != 7 || r.Net != 6 {
		t.Errorf("%v, %v", r, err)
	}
	ctx := as(t, "ann", identity.Admin)
	ok, err := op.IssueToken(ctx, &sluicev1.IssueTokenRequest{Kind: "node", Name: "n03"})
	if err != nil || ok.Token != "secret" || f.issued[0] != "node n03 [] 1h0m0s by ann" {
		t.Errorf("%v, %v, %v", ok, err, f.issued)
	}
	for name, bad := range map[string]*sluicev1.IssueTokenRequest{
		"kind":         {Kind: "root"},
		"no name":      {Kind: "person", Roles: []string{"viewer"}},
		"no role":      {Kind: "person", Name: "bob"},
		"node's roles": {Kind: "node", Roles: []string{"admin"}},
		"life":         {Kind: "node", LifeMs: -1},
		"long life":    {Kind: "node", LifeMs: 1 << 60},
		"expiry":       {Kind: "person", Name: "bob", Roles: []string{"viewer"}, LifeMs: 5},
	} {
		if m, err := op.IssueToken(ctx, bad); kindOf(err) != workload.Invalid || m != nil {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	if len(f.issued) != 1 {
		t.Errorf("issued %v", f.issued)
	}
}
