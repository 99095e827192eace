package planner

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/workload"
)

// TestNothingStarves lets jobs that pay better arrive for ever, by a third more
// work than the fleet can do, and holds the wait of a cheap one of low priority
// against its bound: what arrives more than an agingSpan after it stands behind
// it, so that it waits no longer than the work takes that came before.
func TestNothingStarves(t *testing.T) {
	const run, step = 2 * time.Hour, 30 * time.Minute
	const before = 1 + agingSpan/(3*step) + 1 // the one that runs, and one every three steps
	const bound = before*run + 2*step
	longest := time.Duration(0)
	for seed := range uint64(6) {
		rng := rand.New(rand.NewPCG(seed, 7))
		w := newWorld(t)
		w.caps = false
		devices := 1 + rng.IntN(2)
		w.node("n1", "north", "g1", devices)
		arrivals := 0
		rich := func() {
			arrivals++
			w.submit(fmt.Sprint("rich", arrivals), devices, []string{"1", "2", "4"}[rng.IntN(3)], limit(run))
		}
		rich()
		w.run()
		cheap := w.submit("cheap", 1+rng.IntN(devices), []string{"0.031", "0.1", "0.9"}[rng.IntN(3)], limit(run), low)
		waited := time.Duration(0)
		for i := 0; w.s.Jobs[cheap].Started == 0; i++ {
			if waited > bound {
				t.Fatalf("seed %d: waits for %s, bound %s: %s", seed, waited, bound, w.s.Jobs[cheap].Reason.Sentence("USD"))
			}
			if i%3 == 0 {
				rich()
			}
			w.pass(step)
			waited += step
			w.run()
			w.run()
		}
		longest = max(longest, waited)
	}
	if longest < 6*time.Hour {
		t.Errorf("the longest wait was %s: nothing was kept waiting", longest)
	}
}

// TestBackfillNeverDelaysAGang: whatever small jobs come meanwhile, a gang with
// a reservation starts when it was told, at the latest.
func TestBackfillNeverDelaysAGang(t *testing.T) {
	filled, told := 0, 0
	property := func(rt *rapid.T) {
		w := newWorld(rt)
		w.caps = false
		nodes := rapid.IntRange(2, 3).Draw(rt, "nodes")
		for i := range nodes {
			w.node(fmt.Sprint("n", i), "north", "g1", 2)
		}
		for i := range rapid.IntRange(1, nodes).Draw(rt, "running") {
			w.submit(fmt.Sprint("run", i), rapid.IntRange(1, 2).Draw(rt, "width"), "3", limit(time.Duration(rapid.IntRange(20, 60).Draw(rt, "limit"))*time.Minute),
				func(s *workload.Spec) { s.Limits.Protected = 4 * time.Hour })
		}
		w.run()
		per := func(s *workload.Spec) {
			if rapid.Bool().Draw(rt, "whole nodes") {
				s.Gang.PerNode = 2
			}
		}
		gang := w.submit("gang", 2*nodes, "1", per)
		w.run()
		if w.s.Jobs[gang].Phase != workload.Queued {
			return
		}
		h, ok := w.round.Board.holdOf(gang)
		if !ok || !h.known() {
			rt.Fatalf("the gang waits without a reservation: %s", w.s.Jobs[gang].Reason.Sentence("USD"))
		}
		told++
		const step = 10 * time.Minute
		due := h.at.Add(2 * step) // a step to notice the end of a limit, one for the devices to come free
		for i := 0; w.s.Jobs[gang].Started == 0; i++ {
			if w.at > due {
				rt.Fatalf("the gang was to start by %s and waits at %s: %v", h.at.Time(), w.at.Time(), w.uses())
			}
			id := w.submit(fmt.Sprint("small", i), rapid.IntRange(1, 2).Draw(rt, "small"), "0.9", func(s *workload.Spec) {
				s.Limits.Time = time.Duration(rapid.SampledFrom([]int{0, 10, 15, 30, 300}).Draw(rt, "small limit")) * time.Minute
				s.Checkpoint.Grace = time.Second
			})
			w.run()
			if w.s.Jobs[id].Phase == workload.Active {
				filled++
			}
			w.pass(step)
			w.run()
			w.run()
		}
	}
	for range 5 {
		if rapid.Check(t, property); filled >= 20 && told >= 20 {
			return
		}
	}
	t.Errorf("%d jobs filled in before %d gangs", filled, told)
}
