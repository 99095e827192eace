package decide

import (
	"fmt"
	"testing"
)

func benchSolve(b *testing.B, devices, jobs int) {
	p := Generate(devices, jobs, ShapeDefault, 1)
	if issues := Validate(&p); issues != nil {
		b.Fatal(issues)
	}
	var r Result
	b.ResetTimer()
	for b.Loop() {
		r, _ = Solve(&p, nil, Budget{})
	}
	b.ReportMetric(float64(r.GapPPM), "gap_ppm")
}

func BenchmarkSolve1k(b *testing.B)  { benchSolve(b, 1000, 120) }
func BenchmarkSolve10k(b *testing.B) { benchSolve(b, 10000, 1000) }

func TestProbe(t *testing.T) {
	for _, n := range []int{1000, 10000} {
		for seed := uint64(1); seed <= 4; seed++ {
			p := Generate(n, n/10, ShapeDefault, seed)
			if is := Validate(&p); is != nil {
				t.Fatal(is[0])
			}
			r, _ := Solve(&p, nil, Budget{})
			if err := Verify(&p, &r); err != nil {
				t.Error(err)
			}
			var jd int64
			nj := 0
			for _, f := range r.Plan.Jobs {
				if f >= 0 {
					jd += p.Offers[f].Width
					nj++
				}
			}
			fmt.Println(n, seed, r.GapPPM, r.ObjectiveMicroPerHour, r.BoundMicroPerHour, r.Stage, "jobs", nj, jd, "offers", len(p.Offers), "cells", len(p.Mining), r.Cert.Tiers, r.Work)
		}
	}
}
