//go:build unix

package decide

import (
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"testing"
)

// spent is the processor time of this process in milliseconds: on a machine
// with other work on it the clock on the wall measures that work too.
func spent() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Sec+u.Stime.Sec)*1e3 + float64(u.Utime.Usec+u.Stime.Usec)/1e3
}

// BenchmarkScale prints the figures of DESIGN.md, in processor time, for one
// fleet each: the first certified plan and the full one from cold, then price
// ticks (p50 and p95 of 40), a job of one device that arrives, an hour's finished
// jobs, and held rounds. Run it with GOMAXPROCS=1 and -benchtime 1x.
func BenchmarkScale(b *testing.B) {
	for _, size := range [][2]int{{1000, 120}, {2000, 200}, {10_000, 1000}, {100_000, 5000}} {
		for seed := uint64(1); seed <= 3; seed++ {
			b.Run(fmt.Sprintf("%d/%d", size[0], seed), func(b *testing.B) {
				p := Generate(size[0], size[1], ShapeDefault, seed)
				p.Policy.HoldGapPPM = 0
				for j := range p.Jobs {
					p.Jobs[j].Key = uint64(j + 1)
				}
				for b.Loop() {
					scaleOnce(b, p)
				}
			})
		}
	}
}

func scaleOnce(b *testing.B, p Problem) {
	b.ReportMetric(float64(len(p.Offers)), "offers")
	timed := func(name string, p *Problem, w *Warm, budget Budget) (Result, *Warm) {
		runtime.GC()
		at := spent()
		r, next := Solve(p, w, budget)
		b.ReportMetric(spent()-at, name+"_ms")
		b.ReportMetric(float64(r.GapPPM), name+"_ppm")
		return r, next
	}
	timed("quick", &p, nil, Quick)
	first, w := timed("cold", &p, nil, Budget{})
	mustVerify(b, &p, &first)
	rng := splitmix(1)
	q := p
	var took, gaps []float64
	for range 40 {
		q = coinTick(q, &rng)
		at := spent()
		var r Result
		r, w = Solve(&q, w, Budget{})
		took, gaps = append(took, spent()-at), append(gaps, float64(r.GapPPM))
	}
	slices.Sort(took)
	slices.Sort(gaps)
	b.ReportMetric(took[20], "tick_p50_ms")
	b.ReportMetric(took[38], "tick_p95_ms")
	b.ReportMetric(gaps[20], "tick_p50_ppm")
	b.ReportMetric(gaps[39], "tick_most_ppm")

	h := coinTick(q, &rng)
	h.Policy.HoldGapPPM = 80_000
	if r, _ := timed("hold", &h, w, Budget{}); r.Stage != StageHeld {
		b.Logf("not held: stage %s, gap %d", r.Stage, r.GapPPM)
	}
	one := withJob(h, 1<<40, 1, 5_000_000)
	if r, _ := timed("arrival", &one, w, Budget{}); r.Plan.Jobs[len(h.Jobs)] == None || r.Work.Pivots > 0 {
		b.Fatalf("a job of one device waits: %+v", r.Work)
	}
	ended := q
	for j := len(p.Jobs) - 1; j >= 0; j -= 100 {
		ended = without(ended, j)
	}
	timed("ended", &ended, w, Budget{})
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		b.ReportMetric(float64(u.Maxrss)/1024, "most_MB")
	}
}
