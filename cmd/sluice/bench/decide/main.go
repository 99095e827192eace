// Command decide prints the figures of the allocation decision, one
// `name value unit` line each, on generated fleets with fixed seeds. Times are
// processor time of this process with GOMAXPROCS=1, collector included, so that
// neighbours on the machine disturb them little. Every result on the way must
// pass Verify. Without -full it is a subset of a few minutes; the campaign takes
// hours and prints the same names with larger counts.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
)

func main() {
	full := flag.Bool("full", false, "the whole campaign")
	only := flag.String("only", "", "only parts whose name contains this")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("# %s %s/%s, GOMAXPROCS=1 of %d cores, load at start %s, %s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		firstField(string(load)), map[bool]string{true: "full campaign", false: "quick subset"}[*full])
	b := &bench{full: *full}
	for _, part := range []struct {
		name string
		run  func(*bench)
	}{
		{"instances", instances}, {"cold", coldGaps}, {"ticks", ticks}, {"large", large}, {"nogang", withoutGangs}, {"steady", steady},
		{"stability", stability}, {"arrival", arrival}, {"place", placing}, {"cbc", againstCBC},
	} {
		if !strings.Contains(part.name, *only) {
			continue
		}
		start := time.Now()
		part.run(b)
		fmt.Printf("# %s took %.0f s, load %s\n", part.name, time.Since(start).Seconds(), loadNow())
	}
	if b.failed > 0 {
		fmt.Fprintf(os.Stderr, "bench-decide: %d results failed Verify\n", b.failed)
		os.Exit(1)
	}
}

func loadNow() string {
	load, _ := os.ReadFile("/proc/loadavg")
	return firstField(string(load))
}

func firstField(s string) string {
	if f := strings.Fields(s); len(f) > 0 {
		return f[0]
	}
	return "unknown"
}

type bench struct {
	full   bool
	failed int
}

// pick is the campaign's count or the quick one.
func (b *bench) pick(quick, full int) int {
	if b.full {
		return full
	}
	return quick
}

func say(name string, value float64, unit string) {
	text := fmt.Sprintf("%.4f", value)
	text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	fmt.Println(name, text, unit)
}

// spread prints the middle, the 95th percentile, the largest and the count.
func spread(name, unit string, xs []float64) {
	if len(xs) == 0 {
		return
	}
	xs = slices.Sorted(slices.Values(xs))
	at := func(p int) float64 { return xs[min(len(xs)*p/100, len(xs)-1)] }
	say(name+"_p50", at(50), unit)
	say(name+"_p95", at(95), unit)
	say(name+"_max", xs[len(xs)-1], unit)
	say(name+"_n", float64(len(xs)), "count")
}

// share is the part of xs that is at most limit, in percent.
func share(xs []float64, limit float64) float64 {
	n := 0
	for _, x := range xs {
		if x <= limit {
			n++
		}
	}
	return 100 * float64(n) / float64(max(1, len(xs)))
}

func mean(xs []float64) float64 {
	sum := 0.0
	for _, x := range xs {
		sum += x
	}
	return sum / float64(max(1, len(xs)))
}

// cpu is the processor time spent so far.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// timed solves and returns the processor time in milliseconds. The result is
// verified afterwards.
func (b *bench) timed(what string, p *decide.Problem, w *decide.Warm, budget decide.Budget) (decide.Result, *decide.Warm, float64) {
	r, next, took := clocked(p, w, budget)
	if err := decide.Verify(p, &r); err != nil {
		b.failed++
		fmt.Fprintf(os.Stderr, "bench-decide: %s: %v\n", what, err)
	}
	return r, next, took
}

// sampled verifies in the campaign only: at 100,000 devices Verify takes longer
// than all the rest.
func (b *bench) sampled(what string, p *decide.Problem, w *decide.Warm, budget decide.Budget) (decide.Result, *decide.Warm, float64) {
	if b.full {
		return b.timed(what, p, w, budget)
	}
	return clocked(p, w, budget)
}

func clocked(p *decide.Problem, w *decide.Warm, budget decide.Budget) (decide.Result, *decide.Warm, float64) {
	runtime.GC()
	start := cpu()
	r, next := decide.Solve(p, w, budget)
	return r, next, float64((cpu() - start).Microseconds()) / 1000
}

func percent(ppm int64) float64 { return float64(ppm) / 10_000 }
