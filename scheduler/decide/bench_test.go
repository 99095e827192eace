package decide

import (
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
