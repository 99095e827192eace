package planner

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// hall fills a world with nodes of eight, one tenth of them training.
func hall(b *testing.B, devices, jobs int) *world {
	w := newWorld(b)
	w.caps = false
	for i := range 16 {
		w.set(fmt.Sprintf("\nkind: Site\nname: s%d\nzone: UTC\npower: {cap: %dkW, cooling: {pue: 1.1}}\ntariff: flat\n", i, devices/10/16+1))
	}
	models := []string{"g1", "g2", "a1"}
	for i := range devices / 8 {
		w.node(fmt.Sprintf("n%05d", i), fmt.Sprintf("s%d", i%16), models[i/16%3], 8)
	}
	for i := range jobs {
		w.submit(fmt.Sprintf("j%d", i), 1<<(i%5), "0.3", func(s *workload.Spec) { s.Value.Bid += workload.Rate(i % 97 * 1000) })
	}
	return w
}

// A price-only round: everything runs as planned and one price moves.
func benchRound(b *testing.B, devices, jobs int, hold bool) {
	w := hall(b, devices, jobs)
	w.step()
	w.pass(time.Hour)
	w.decide()
	w.do(state.Command{Plan: func() *state.Plan { p, _ := w.round.Plan(); return &p }()})
	w.decide()
	v := w.s.View()
	var compose, solve, plan time.Duration
	for b.Loop() {
		t0 := time.Now()
		board := Compose(v, v.Policy, w.at, w.at)
		compose += time.Since(t0)
		warm := w.warm
		if !hold {
			warm = nil
		}
		t1 := time.Now()
		result, _ := decide.Solve(&board.Problem, warm, decide.Budget{})
		solve += time.Since(t1)
		t2 := time.Now()
		r := board.settle(result)
		r.Plan()
		plan += time.Since(t2)
	}
	n := float64(b.N)
	b.ReportMetric(float64(compose.Microseconds())/n/1000, "compose-ms")
	b.ReportMetric(float64(solve.Microseconds())/n/1000, "solve-ms")
	b.ReportMetric(float64(plan.Microseconds())/n/1000, "place+plan-ms")
	b.ReportMetric(float64(len(w.round.Board.classes)), "classes")
}

func BenchmarkRound1k(b *testing.B)       { benchRound(b, 1000, 120, false) }
func BenchmarkRound10k(b *testing.B)      { benchRound(b, 10_000, 1000, false) }
func BenchmarkRound10kHeld(b *testing.B)  { benchRound(b, 10_000, 1000, true) }
func BenchmarkRound100kHeld(b *testing.B) { benchRound(b, 100_000, 2000, true) }

// A queue of 100,000 jobs of some five hundred kinds on 10,000 devices: what a
// round's question costs, with the view it is made from.
func BenchmarkComposeQueue100k(b *testing.B) {
	for _, jobs := range []int{0, 1_000, 100_000} {
		b.Run(fmt.Sprint(jobs), func(b *testing.B) {
			w := hall(b, 10_000, jobs)
			v := w.s.View()
			var board *Board
			for b.Loop() {
				board = Compose(v, v.Policy, w.at, w.at)
			}
			b.ReportMetric(float64(len(board.Problem.Jobs)), "asked")
			b.ReportMetric(float64(len(board.kins)), "kinds")
		})
	}
}
