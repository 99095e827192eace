package planner

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

// Eight cards under 1 kW: 160 W are idle draw, so that four mine, at 180 W more
// and 0.016 USD/h net more each. A hundred watts more are 100/180 of that.
func TestACapHasAPrice(t *testing.T) {
	w := newWorld(t, "\nkind: Site\nname: north\nzone: Europe/Berlin\nterritory: DE\npower: {cap: 1kW, cooling: {pue: 1.0}}\ntariff: flat\n")
	w.node("n1", "north", "g1", 8)
	w.run()
	w.wantUses(map[string]int{"KAS": 4, "parked": 4})
	got := w.round.PowerPrices(-1)
	if len(got) != 1 || got[0].Zone != "north" || got[0].StepW != 100 || got[0].More < 8_880 || got[0].More > 8_900 || !got[0].LessOK || got[0].SaturatesW != 100 {
		t.Errorf("%+v", got)
	}
	for _, id := range w.s.DeviceIDs() {
		x, err := w.round.ExplainDevice(id)
		if err != nil {
			t.Fatal(err)
		}
		if x.Now.Use.Kind != workload.Parked {
			continue
		}
		found := false
		for _, alt := range x.Alternatives {
			if alt.Reason.Code == workload.CodeCap {
				found = true
				if text := alt.Reason.Sentence("USD"); !strings.Contains(text, "100 W more at north brings 0.0089 USD/h") {
					t.Error(text)
				}
			}
		}
		if !found {
			t.Errorf("%s: no alternative names the cap: %+v", id, x.Alternatives)
		}
	}
}

func TestAMissedTargetSaysHowFarAndWhy(t *testing.T) {
	w := newWorld(t, target("measure: devices\nmin: 80%"))
	w.node("n1", "north", "g1", 10)
	for i := range 3 {
		w.submit("j"+string(rune('a'+i)), 1, "0.001")
	}
	w.run()
	ts := w.round.Targets()
	if len(ts) != 1 || ts[0].Code != string(decide.TargetUnattainable) || ts[0].Best != 300_000 || ts[0].Actual != 300_000 || !slices.Equal(ts[0].Limits, []string{"fitting jobs"}) {
		t.Errorf("%+v", ts)
	}
	w.set("\nkind: Tenant\nname: default\nguarantee: 2 GPU\n")
	w.decide()
	if ts = w.round.Targets(); ts[0].Best != 200_000 {
		t.Errorf("with a tenant's limit: %+v", ts)
	}
}

func TestATargetHasItsCost(t *testing.T) {
	w := newWorld(t, target("measure: devices\nmin: 30%"))
	w.node("n1", "north", "g1", 10)
	for i := range 4 {
		w.submit("j"+string(rune('a'+i)), 1, "0.001")
	}
	w.run()
	// A g1 nets 0.025 - 0.010 with KAS and 0.001 - 0.015 with such a job.
	ts := w.round.Costs(w.round.Targets())
	if len(ts) != 1 || ts[0].Code != string(decide.TargetMetCost) || ts[0].Cost != 3*29_000 || ts[0].PlanCost != 3*29_000 {
		t.Errorf("%+v", ts)
	}
}
