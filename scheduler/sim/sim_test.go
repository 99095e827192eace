package sim

import (
	"flag"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 40, "how many seeds to play; every tenth decides with the real planner")
	first = flag.Uint64("seed", 1, "the first of them; with -seeds 1 its trace is printed")
	limit = flag.Duration("for", 0, "play for this long instead of a number of seeds")
)

// needed is what must have happened in a campaign of some length: a simulator
// that met no fault proves nothing.
var needed = []string{
	"fault: leadership moves", "fault: leader dies", "fault: quorum lost", "fault: agent killed", "fault: agent stopped", "fault: power lost",
	"fault: network cut", "fault: stream cut", "fault: stream stalls", "fault: disk full", "fault: device fails", "fault: fenced while off", "fence refused",
	"leader elected", "deposed leader goes on", "plan of a deposed leader", "committed but unknown", "asked again", "repeat answered",
	"node silent", "attempt lost by lease", "ended by lease", "adopted", "miner kept", "save refused", "journal renumbered", "second agent refused",
	"plan parts refused", "preemptions", "cancels", "job succeeded", "job failed", "job cancelled", "snapshot restored", "accounts checked", "checked in a ban",
	"decided by the planner",
}

func optionsOf(seed uint64) Options { return Options{Seed: seed, Decide: seed%10 == 0} }

// TestSeeds plays clusters and stops at the first broken promise.
func TestSeeds(t *testing.T) {
	if *seeds == 1 {
		o := optionsOf(*first)
		o.Trace = func(s string) { fmt.Println(s) }
		if _, v := Run(o); v != nil {
			t.Fatal(v)
		}
		return
	}
	var (
		mu    sync.Mutex
		total = Coverage{}
		next  = *first
		bad   *Violation
		wg    sync.WaitGroup
		start = time.Now()
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				mu.Lock()
				seed := next
				next++
				done := bad != nil || *limit == 0 && seed >= *first+uint64(*seeds) || *limit > 0 && time.Since(start) > *limit
				mu.Unlock()
				if done {
					return
				}
				cover, v := Run(optionsOf(seed))
				mu.Lock()
				for k, n := range cover {
					total[k] += n
				}
				if v != nil && (bad == nil || v.Seed < bad.Seed) {
					bad = v
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for _, k := range sorted(total) {
		t.Logf("%9d %s", total[k], k)
	}
	if bad != nil {
		t.Fatalf("%v\nreplay: go test ./scheduler/sim -run TestSeeds -v -args -seeds 1 -seed %d", bad, bad.Seed)
	}
	played := total["runs"]
	for _, k := range needed {
		if total[k] == 0 && played >= 300 {
			t.Errorf("never happened: %s", k)
		}
	}
	t.Logf("violations 0 seeds %d", played)
}

// The same seed gives the same run, to the last line of its trace.
func TestSameSeedSameRun(t *testing.T) {
	for _, seed := range []uint64{7, 10} {
		var traces [2][]string
		for i := range traces {
			o := optionsOf(seed)
			o.Trace = func(s string) { traces[i] = append(traces[i], s) }
			Run(o)
		}
		if len(traces[0]) < 100 || len(traces[0]) != len(traces[1]) {
			t.Fatalf("seed %d: traces of %d and %d lines", seed, len(traces[0]), len(traces[1]))
		}
		for i, line := range traces[0] {
			if line != traces[1][i] {
				t.Fatalf("seed %d differs at line %d:\n%s\n%s", seed, i+1, line, traces[1][i])
			}
		}
	}
}

func BenchmarkSeed(b *testing.B) {
	events := 0
	for i := range b.N {
		cover, v := Run(optionsOf(uint64(i + 1)))
		if v != nil {
			b.Fatal(v)
		}
		events += cover["events"]
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
