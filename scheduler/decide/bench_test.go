package decide

import (
	"fmt"
	"slices"
	"testing"
)

func benchSolve(b *testing.B, devices, jobs int) {
	p := Generate(devices, jobs, ShapeDefault, 1)
	if issues := Validate(&p); issues != nil {
		b.Fatal(issues)
	}
	var r Result
	for b.Loop() {
		r, _ = Solve(&p, nil, Budget{})
	}
	mustVerify(b, &p, &r)
	b.ReportMetric(float64(r.GapPPM), "gap_ppm")
}

func BenchmarkSolve1k(b *testing.B)  { benchSolve(b, 1000, 120) }
func BenchmarkSolve10k(b *testing.B) { benchSolve(b, 10000, 1000) }

// tick moves every price a little.
func tick(p Problem, rng *splitmix) Problem {
	p.Mining = slices.Clone(p.Mining)
	for k := range p.Mining {
		p.Mining[k].GrossMicroPerHour = p.Mining[k].GrossMicroPerHour * rng.between(995, 1005) / 1000
	}
	return p
}

func BenchmarkHold10k(b *testing.B) {
	p := Generate(10000, 1000, ShapeDefault, 1)
	p.Policy.HoldGapPPM = 80_000
	_, w := Solve(&p, nil, Budget{})
	rng := splitmix(1)
	q := tick(p, &rng)
	var r Result
	for b.Loop() {
		r, _ = Solve(&q, w, Budget{})
	}
	if r.Stage != StageHeld {
		b.Fatalf("stage %s, gap %d", r.Stage, r.GapPPM)
	}
	b.ReportMetric(float64(r.GapPPM), "gap_ppm")
}

func BenchmarkWarm10k(b *testing.B) {
	p := Generate(10000, 1000, ShapeDefault, 1)
	p.Policy.HoldGapPPM = 0
	_, w := Solve(&p, nil, Budget{})
	rng := splitmix(1)
	q := tick(p, &rng)
	var r Result
	for b.Loop() {
		r, _ = Solve(&q, w, Budget{})
	}
	b.ReportMetric(float64(r.GapPPM), "gap_ppm")
}

// BenchmarkSeeds is the table of DESIGN.md: per instance the cold solve, then
// one round after every coin moved (standard deviation about 1 %), with the gap
// of both.
func BenchmarkSeeds(b *testing.B) {
	for _, size := range [][2]int{{1000, 120}, {2000, 200}, {10000, 1000}} {
		for seed := uint64(1); seed <= 6; seed++ {
			p := Generate(size[0], size[1], ShapeDefault, seed)
			p.Policy.HoldGapPPM = 0
			name := fmt.Sprintf("%d/%d", size[0], seed)
			var r Result
			var w *Warm
			b.Run(name+"/cold", func(b *testing.B) {
				for b.Loop() {
					r, w = Solve(&p, nil, Budget{})
				}
				mustVerify(b, &p, &r)
				b.ReportMetric(float64(r.GapPPM), "gap_ppm")
				b.ReportMetric(float64(r.Work.Pivots), "pivots")
			})
			b.Run(name+"/tick", func(b *testing.B) {
				if w == nil {
					_, w = Solve(&p, nil, Budget{})
				}
				rng := splitmix(1)
				q := coinTick(p, &rng)
				for b.Loop() {
					r, _ = Solve(&q, w, Budget{})
				}
				mustVerify(b, &q, &r)
				b.ReportMetric(float64(r.GapPPM), "gap_ppm")
				b.ReportMetric(float64(r.Work.Pivots), "pivots")
			})
			b.Run(name+"/hold", func(b *testing.B) {
				rng := splitmix(1)
				q := coinTick(p, &rng)
				q.Policy.HoldGapPPM = 80_000
				for b.Loop() {
					r, _ = Solve(&q, w, Budget{})
				}
				b.ReportMetric(float64(r.GapPPM), "gap_ppm")
			})
		}
	}
}

// coinTick moves each coin as a whole: the sum of twelve even draws is close to
// normal, here with a standard deviation of 1 %.
func coinTick(p Problem, rng *splitmix) Problem {
	factor := make([]int64, p.Coins)
	for m := range factor {
		factor[m] = 1_000_000
		for range 12 {
			factor[m] += rng.between(-5000, 5000)
		}
	}
	p.Mining = slices.Clone(p.Mining)
	for k := range p.Mining {
		c := &p.Mining[k]
		c.GrossMicroPerHour = c.GrossMicroPerHour * factor[c.Coin] / 1_000_000
	}
	return p
}

func BenchmarkVerify10k(b *testing.B) {
	p := Generate(10000, 1000, ShapeDefault, 1)
	r, _ := Solve(&p, nil, Budget{})
	for b.Loop() {
		if err := Verify(&p, &r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlace10k(b *testing.B) {
	p := Generate(10000, 1000, ShapeDefault, 1)
	r, _ := Solve(&p, nil, Budget{})
	inv := inventoryOf(&p)
	for b.Loop() {
		Place(inv, Placement{}, &p, r.Plan)
	}
}
