package planner

import (
	"slices"
	"testing"

	"github.com/sluice-project/sluice/scheduler/config"
)

func TestNotActedOn(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"kind: Site\nname: s\nzone: UTC\npower: {cap: 1kW}\n", nil},
		{"kind: Site\nname: s\nzone: UTC\npower: {cap: 1kW}\nenergyQuota: {amount: 1MWh, per: month}\n", nil},
		{"kind: Feed\nname: f\nsources: [{value: 1}, {value: 2}]\ncurrency: USD\ngate: {stale: 1h, agree: 2}\n", []string{"gate.agree"}},
		{"kind: Calendar\nname: c\nsite: s\nreduce: {to: 1kW}\nwindow: {hours: \"17:00-21:00\", notice: 10m, ramp: 2m}\n", []string{"window.notice"}},
	} {
		docs, err := config.Parse("x.yaml", []byte(c.text))
		if err != nil {
			t.Fatal(err)
		}
		if got := NotActedOn(docs[0]); !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.text, got, c.want)
		}
	}
}
