package decide

import "testing"

// BenchmarkUnattainable is a fleet whose strongest target cannot be met: cold,
// then after every coin moved.
func BenchmarkUnattainable(b *testing.B) {
	p := Generate(10_000, 1000, ShapeHardAI, 1)
	p.Policy.HoldGapPPM = 0
	var r Result
	var w *Warm
	report := func(b *testing.B) {
		b.ReportMetric(float64(r.GapPPM), "gap_ppm")
		b.ReportMetric(float64(r.Cert.Tiers[0].Short-r.Cert.Tiers[0].ShortBound)/PPM, "devices_unproven")
		b.ReportMetric(float64(r.Work.Pivots), "pivots")
	}
	b.Run("cold", func(b *testing.B) {
		for b.Loop() {
			r, w = Solve(&p, nil, Budget{})
		}
		mustVerify(b, &p, &r)
		report(b)
	})
	b.Run("tick", func(b *testing.B) {
		if w == nil {
			_, w = Solve(&p, nil, Budget{})
		}
		rng := splitmix(1)
		q := coinTick(p, &rng)
		for b.Loop() {
			r, _ = Solve(&q, w, Budget{})
		}
		mustVerify(b, &q, &r)
		report(b)
	})
}
