package decide

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"testing"
)

// Published figures name a shape and a seed: what those make never changes.
func TestPublishedInstancesStayWhatTheyWere(t *testing.T) {
	for _, c := range []struct {
		devices, jobs int
		shape         string
		want          string
	}{
		{1000, 120, ShapeDefault, "cc0e713139d2e0fa"},
		{1000, 120, ShapeTightPower, "47b1e441266e845c"},
		{1000, 120, ShapeTightCoin, "4b8d15e21541216c"},
		{1000, 120, ShapeHardAI, "ca5cfe693434f6db"},
		{10_000, 50, ShapeDefault, "638dcd412106a3cd"},
		{100_000, 20, ShapeDefault, "3bcc040a3ddca536"},
	} {
		p := Generate(c.devices, c.jobs, c.shape, 1)
		if issues := Validate(&p); issues != nil {
			t.Errorf("%d %s: %v", c.devices, c.shape, issues[0])
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		h := fnv.New64a()
		h.Write(b)
		if got := fmt.Sprintf("%016x", h.Sum64()); got != c.want {
			t.Errorf("%d devices, %d jobs, %s: the file has the sum %s, had %s", c.devices, c.jobs, c.shape, got, c.want)
		}
	}
}

// The shapes are what they are called.
func TestShapesBindWhatTheyName(t *testing.T) {
	p := Generate(100_000, 300, ShapeDefault, 1)
	options := map[int]bool{}
	for _, m := range p.Mining {
		options[m.Option] = true
	}
	if len(p.Zones) != 24 || len(options) != 60 || p.Coins != 40 || len(p.Jobs) != 300 {
		t.Errorf("%d sites, %d options, %d coins, %d jobs", len(p.Zones), len(options), p.Coins, len(p.Jobs))
	}
	if gpus := len(genModels) - 4; gpus != 7 {
		t.Errorf("%d GPU models", gpus)
	}
	full := func(p Problem) (caps, draw int64) {
		best := make([]int64, len(p.Classes))
		for _, m := range p.Mining {
			best[m.Class] = max(best[m.Class], m.WattsMeter)
		}
		for c, k := range p.Classes {
			draw += k.Devices * best[c]
		}
		for _, z := range p.Zones {
			caps += z.CapW
		}
		return caps, draw
	}
	caps, draw := full(Generate(2000, 100, ShapeDefault, 1))
	tight, _ := full(Generate(2000, 100, ShapeTightPower, 1))
	if caps < draw*7/10 || tight > draw*65/100 {
		t.Errorf("caps %d and %d W of %d", caps, tight, draw)
	}
	for _, shape := range []string{ShapeTightCoin, ShapeHardAI} {
		q := Generate(1500, 20, shape, 1)
		r, _ := Solve(&q, nil, BudgetOf(1))
		code := map[TargetCode]int{}
		for _, x := range r.Targets {
			if shape == ShapeHardAI || q.Rows[x.Row].Kind == RowCoin {
				code[x.Code]++
			}
		}
		if shape == ShapeHardAI && code[TargetUnattainable] == 0 || shape == ShapeTightCoin && code[TargetNotBinding] == 40 {
			t.Errorf("%s: %v", shape, code)
		}
	}
}
