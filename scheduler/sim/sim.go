package sim

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Options describe one run. The zero value of a duration or count means the
// documented default.
type Options struct {
	Seed uint64
	// Faults is how long faults are injected, default 2 minutes of virtual time;
	// the cluster then has Settle, default 30 minutes, to work off its queue and
	// come to rest.
	Faults, Settle time.Duration
	// Decide uses the real planner; otherwise plans are drawn at random, which
	// visits more states in less time.
	Decide bool
	// Trace receives a line for every event of note.
	Trace func(string)
}

// Coverage counts what happened in a run, so that a campaign can prove that it
// met the cases it claims to.
type Coverage map[string]int

// Violation is a broken promise.
type Violation struct {
	Seed uint64
	At   time.Duration // virtual
	Rule string        // I1 .. I10, L1 .. L5
	Text string
}

func (v *Violation) Error() string {
	return fmt.Sprintf("seed %d at %s: %s: %s", v.Seed, v.At, v.Rule, v.Text)
}

// began is when every run begins: Thursday 2026-01-15, 12:00 UTC.
var began = workload.InstantOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC))

// world is one run.
type world struct {
	o       Options
	rng     *rand.Rand
	now     time.Duration
	queue   events
	serial  uint64 // of events: equal instants keep their order
	cover   Coverage
	failed  *Violation
	calm    bool // faults are over
	state   *state.State
	twin    *state.State // applies what was encoded and is restored from snapshots
	log     commits
	servers []*server
	leader  *server
	term    int
	nodes   []*node
	client  client
	seen    memory
}

// Run plays one cluster. It returns what happened, and the first broken promise
// if there was one.
func Run(o Options) (Coverage, *Violation) {
	if o.Faults == 0 {
		o.Faults = 2 * time.Minute
	}
	if o.Settle == 0 {
		o.Settle = 30 * time.Minute
	}
	w := &world{o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x5_1_01CE)), cover: Coverage{}, state: state.New(), twin: state.New(),
		seen: memory{jobs: map[workload.JobID]state.Job{}, ends: map[attemptKey]time.Duration{}, codes: map[attemptKey]int{}}}
	w.cover["runs"] = 1
	w.build()
	w.after(o.Faults, w.heal)
	w.run(o.Faults + o.Settle)
	w.compare()
	if w.failed == nil {
		w.checkRest()
	}
	return w.cover, w.failed
}

func (w *world) run(until time.Duration) {
	for len(w.queue) > 0 && w.failed == nil && !(w.calm && w.now-w.seen.lastChange > quiet) {
		e := heap.Pop(&w.queue).(event)
		if e.at > until {
			return
		}
		w.now = e.at
		w.cover["events"]++
		e.do()
		if w.failed == nil {
			w.check()
		}
	}
}

// quiet is how long nothing may have been committed before a calm cluster counts
// as at rest: longer than any lease with its grace and margin.
const quiet = 100 * time.Second

func (w *world) fail(rule, format string, args ...any) {
	if w.failed == nil {
		w.failed = &Violation{Seed: w.o.Seed, At: w.now, Rule: rule, Text: fmt.Sprintf(format, args...)}
	}
}

func (w *world) tracef(format string, args ...any) {
	if w.o.Trace != nil {
		w.o.Trace(fmt.Sprintf("%9.3f ", w.now.Seconds()) + fmt.Sprintf(format, args...))
	}
}

// event is something that will happen.
type event struct {
	at     time.Duration
	serial uint64
	do     func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].serial < q[j].serial
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(e any)   { *q = append(*q, e.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func (w *world) after(d time.Duration, do func()) {
	w.serial++
	heap.Push(&w.queue, event{w.now + max(d, 0), w.serial, do})
}

// every repeats do for as long as it returns true.
func (w *world) every(d time.Duration, do func() bool) {
	w.after(d, func() {
		if do() {
			w.every(d, do)
		}
	})
}

// Draws.

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

func (w *world) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.rng.Int64N(int64(hi-lo)+1))
}

func pick[T any](w *world, list []T) T { return list[w.rng.IntN(len(list))] }

// wall is the real clock, the same as the market's here: the market runs at the
// speed of the world.
func (w *world) wall() workload.Instant { return began.Add(w.now) }
