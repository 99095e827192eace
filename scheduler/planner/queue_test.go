package planner

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

const minute = workload.Instant(60_000)

func TestUrgency(t *testing.T) {
	for name, tt := range map[string]struct {
		slack, left workload.Instant
		factor      workload.PPM
		level       claimLevel
		dated       bool
	}{
		"far":                   {slack: 1000 * minute, left: 100 * minute, factor: workload.One, dated: true},
		"as long as the run":    {slack: 100 * minute, left: 100 * minute, factor: workload.One, dated: true},
		"half the run":          {slack: 50 * minute, left: 100 * minute, factor: 2_500_000, dated: true},
		"short runs use 1 h":    {slack: 30 * minute, left: minute, factor: 2_500_000, dated: true},
		"unknown run uses 1 h":  {slack: 15 * minute, left: 0, factor: 3_250_000, dated: true},
		"last moment":           {slack: 10 * minute, left: 100 * minute, factor: urgencyMost, level: critical, dated: true},
		"just late":             {slack: -10 * minute, left: 100 * minute, factor: urgencyMost, level: critical, dated: true},
		"lost":                  {slack: -10*minute - 1, left: 100 * minute, factor: workload.One},
		"just before the edge":  {slack: 10*minute + 1, left: 20 * minute, factor: 3_499_999, dated: true},
		"absurdly far from now": {slack: 1 << 50, left: 1 << 50, factor: workload.One, dated: true},
	} {
		t.Run(name, func(t *testing.T) {
			factor, level, dated := urgencyOf(tt.slack, tt.left)
			if factor != tt.factor || level != tt.level || dated != tt.dated {
				t.Errorf("factor %d level %d dated %v, want %+v", factor, level, dated, tt)
			}
		})
	}
}

// Uplifts decide between jobs, never between a job and a coin.
func TestWorthNeverCrossesTheOtherUse(t *testing.T) {
	money := func(gross workload.Rate) market.Money { return market.Money{Gross: gross, Energy: 100} }
	const other, top = workload.Rate(1000), workload.Rate(9000)
	for name, tt := range map[string]struct {
		gross workload.Rate
		claim claim
		want  workload.Rate
	}{
		"plain":             {gross: 3100, claim: claim{factor: workload.One}, want: 3100},
		"high":              {gross: 3100, claim: claim{factor: highFactor}, want: 5100},
		"low still pays":    {gross: 3100, claim: claim{factor: lowFactor}, want: 2100},
		"a day":             {gross: 3100, claim: claim{factor: workload.One, age: workload.One}, want: 3100 + 9000},
		"an hour":           {gross: 3100, claim: claim{factor: workload.One, age: workload.One / 24}, want: 3100 + 374},
		"at the edge ages":  {gross: 1100, claim: claim{factor: workload.One, age: workload.One}, want: 1100 + 9000},
		"losing stays":      {gross: 1099, claim: claim{factor: highFactor, age: workload.One, level: critical}, want: 1099},
		"critical":          {gross: 3100, claim: claim{factor: workload.One, level: critical}, want: 3100 + 36_000},
		"nothing to nobody": {gross: 0, claim: claim{factor: lowFactor}, want: 0},
	} {
		if got := tt.claim.worth(money(tt.gross), other, top); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}

func TestWaitedLeavesRunsOut(t *testing.T) {
	j := state.Job{Submitted: 100 * minute, Attempts: []state.Attempt{{Created: 110 * minute, Ended: 130 * minute}, {Created: 135 * minute}}}
	if got := waited(&j, 200*minute); got != 15*minute {
		t.Errorf("waited %d min, want 15", got/minute)
	}
	j.Queued = 104 * minute // it waited on another job before
	if got := waited(&j, 900*minute); got != 11*minute {
		t.Errorf("waited %d min, want 11", got/minute)
	}
}

func high(s *workload.Spec) { s.Value.Priority = workload.High }
func low(s *workload.Spec)  { s.Value.Priority = workload.Low }

func limit(d time.Duration) func(*workload.Spec) {
	return func(s *workload.Spec) { s.Limits.Time = d }
}

func of(tenant string) func(*workload.Spec) {
	return func(s *workload.Spec) { s.Tenant = workload.TenantName(tenant) }
}

func (w *world) due(d time.Duration) func(*workload.Spec) {
	return func(s *workload.Spec) { s.Value.Deadline = w.at.Add(d) }
}

func tenant(name string, guarantee, borrow int) string {
	return fmt.Sprintf("\nkind: Tenant\nname: %s\nguarantee: %d GPU\nborrow: %d GPU\n", name, guarantee, borrow)
}

// TestPriorityMeansMoney: a device that mines nets 0.015 USD/h and one that
// trains at 0.5 nets 0.485: twice the surplus of 0.470 is that of a bid of 0.970.
func TestPriorityMeansMoney(t *testing.T) {
	for name, tt := range map[string]struct {
		other string
		first bool
	}{"more than an equal": {"0.5", true}, "more than a somewhat better bid": {"0.96", true}, "less than a much better one": {"0.98", false}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.node("n1", "north", "g1", 1)
			w.submit("other", 1, tt.other)
			mine := w.submit("mine", 1, "0.5", high)
			w.run()
			if got := w.s.Jobs[mine].Phase == workload.Active; got != tt.first {
				t.Errorf("%v, want %v: %v", got, tt.first, w.uses())
			}
			w.settled()
		})
	}
	t.Run("low still goes before a coin", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 1)
		w.submit("low", 1, "0.031", low)
		w.run()
		w.wantUses(map[string]int{"job 1": 1})
		w.settled()
	})
	t.Run("high does not go before a coin that pays more", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 1)
		id := w.submit("high", 1, "0.029", high)
		w.run()
		w.wantJob(id, workload.Queued, workload.CodePrice)
		w.settled()
	})
}

func TestDeadlines(t *testing.T) {
	t.Run("an urgent job goes before a better bid", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 1)
		w.submit("rich", 1, "1")
		id := w.submit("soon", 1, "0.5", limit(2*time.Hour), w.due(150*time.Minute)) // laxity 30 of 120 min: x 3.25
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
	})
	t.Run("not while there is time", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 1)
		id := w.submit("later", 1, "0.5", limit(2*time.Hour), w.due(5*time.Hour))
		rich := w.submit("rich", 1, "1")
		w.run()
		w.wantJob(rich, workload.Active, workload.CodeJob)
		w.wantJob(id, workload.Queued, workload.CodeNoFit)
	})
	t.Run("a critical one displaces a running job", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 1)
		rich := w.submit("rich", 1, "1")
		w.run()
		w.pass(15 * time.Minute)
		w.warm = nil
		id := w.submit("now", 1, "0.5", limit(2*time.Hour), w.due(125*time.Minute))
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
		w.run()
		w.wantJob(rich, workload.Queued, workload.CodeNoFit)
		w.pass(30 * time.Minute) // while it runs its slack stays
		w.warm = nil
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
	})
	t.Run("a lost deadline costs no other job", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 1)
		id := w.submit("late", 1, "0.5", limit(2*time.Hour), w.due(time.Hour))
		rich := w.submit("rich", 1, "0.6")
		w.run()
		w.wantJob(rich, workload.Active, workload.CodeJob)
		w.wantJob(id, workload.Queued, workload.CodeNoFit)
	})
}

func TestGuarantee(t *testing.T) {
	t.Run("is served before better bids and before coins", func(t *testing.T) {
		w := newWorld(t, tenant("lab", 2, 0))
		w.node("n1", "north", "g1", 3)
		w.submit("rich", 2, "2")
		id := w.submit("lab", 2, "0", of("lab"))
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
		w.settled()
	})
	t.Run("takes back what was borrowed, with the least loss", func(t *testing.T) {
		w := newWorld(t, tenant("lab", 2, 0), tenant("guest", 1, 8))
		w.node("n1", "north", "g1", 4)
		keep := w.submit("within", 1, "0.1", of("guest"))
		w.run()
		dear := w.submit("dear", 2, "2", of("guest"))
		cheap := w.submit("cheap", 1, "0.2", of("guest"))
		w.run()
		w.wantJob(cheap, workload.Active, workload.CodeJob)
		w.pass(15 * time.Minute)
		id := w.submit("lab", 1, "0.01", of("lab"))
		w.run()
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
		w.wantJob(cheap, workload.Queued, workload.CodeNoFit)
		w.wantJob(keep, workload.Active, workload.CodeJob)
		w.wantJob(dear, workload.Active, workload.CodeJob)
		w.settled()
	})
	t.Run("is never preempted", func(t *testing.T) {
		w := newWorld(t, tenant("lab", 2, 0))
		w.node("n1", "north", "g1", 2)
		id := w.submit("lab", 2, "0.01", of("lab"))
		w.run()
		w.pass(time.Hour)
		w.submit("rich", 2, "5")
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
		w.settled()
	})
	t.Run("what is beyond it may be", func(t *testing.T) {
		w := newWorld(t, tenant("lab", 1, 4))
		w.node("n1", "north", "g1", 2)
		id := w.submit("lab", 2, "0.1", of("lab")) // too wide for the guarantee: borrowed as a whole
		w.run()
		w.pass(time.Hour)
		rich := w.submit("rich", 2, "5")
		w.run()
		w.run()
		w.wantJob(rich, workload.Active, workload.CodeJob)
		if w.s.Jobs[id].Phase != workload.Queued {
			t.Error("a borrowing job was kept")
		}
	})
	t.Run("over the limit never", func(t *testing.T) {
		w := newWorld(t, tenant("lab", 1, 1))
		w.node("n1", "north", "g1", 4)
		for i := range 4 {
			w.submit(fmt.Sprint("j", i), 1, "2", of("lab"), high)
		}
		w.run()
		if got := w.uses()["KAS"]; got != 2 {
			t.Errorf("%d devices mine, want 2: %v", got, w.uses())
		}
		w.settled()
	})
	t.Run("the tenant's own high priority takes it over", func(t *testing.T) {
		w := newWorld(t, tenant("lab", 1, 1))
		w.node("n1", "north", "g1", 1)
		old := w.submit("old", 1, "0.5", of("lab"))
		w.run()
		w.pass(15 * time.Minute)
		id := w.submit("high", 1, "0.5", of("lab"), high)
		w.run()
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
		if w.s.Jobs[old].Phase != workload.Queued {
			t.Error("the old job was kept")
		}
		w.settled()
	})
}

func TestReservationOfAGang(t *testing.T) {
	// Two nodes of four. A gang of eight waits for the job on n1, which has a
	// time limit; n2 is free and keeps mining for it.
	begin := func(t *testing.T) (*world, workload.JobID) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 4)
		w.submit("first", 4, "2", limit(time.Hour), func(s *workload.Spec) { s.Limits.Protected = 2 * time.Hour })
		w.run()
		w.node("n2", "north", "g1", 4)
		w.pass(15 * time.Minute)
		gang := w.submit("gang", 8, "1")
		w.run()
		w.wantJob(gang, workload.Queued, workload.CodeNoFit)
		w.wantUses(map[string]int{"job 1": 4, "KAS": 4})
		return w, gang
	}
	t.Run("weaker jobs wait behind it", func(t *testing.T) {
		w, gang := begin(t)
		small := w.submit("small", 1, "0.5", limit(2*time.Hour))
		w.run()
		w.wantJob(small, workload.Queued, workload.CodeReserved)
		w.wantUses(map[string]int{"job 1": 4, "KAS": 4})
		x := w.round.ExplainJob(small)
		if len(x.Reasons) != 2 || x.Reasons[0].Code != workload.CodeReserved || x.Reasons[0].Figures[0].Value != int64(gang) || x.Reasons[1].Code != workload.CodeQueue || x.Reasons[1].Figures[0].Value != 2 {
			t.Errorf("%+v", x.Reasons)
		}
		y := w.round.ExplainJob(gang)
		at := workload.Instant(0)
		for _, f := range y.Reasons[0].Figures {
			if f.Name == "starts by" {
				at = workload.Instant(f.Value)
			}
		}
		if want := start + 60*minute + 30_000; at != want { // its limit and its grace
			t.Errorf("starts by %s, want %s: %+v", at.Time(), want.Time(), y.Reasons)
		}
		w.settled()
		w.pass(46 * time.Minute)
		w.run()
		w.run()
		w.wantJob(gang, workload.Active, workload.CodeJob)
	})
	t.Run("one that ends in time fills in", func(t *testing.T) {
		w, gang := begin(t)
		small := w.submit("small", 2, "0.5", limit(30*time.Minute))
		w.run()
		w.wantJob(small, workload.Active, workload.CodeJob)
		w.pass(46 * time.Minute)
		w.run()
		w.run()
		w.run()
		w.wantJob(gang, workload.Active, workload.CodeJob)
	})
	t.Run("one that ends too late does not", func(t *testing.T) {
		w, _ := begin(t)
		small := w.submit("small", 2, "0.5", limit(45*time.Minute))
		w.run()
		w.wantJob(small, workload.Queued, workload.CodeReserved)
	})
	t.Run("what is beyond it may be had", func(t *testing.T) {
		w, _ := begin(t)
		w.node("n3", "north", "g1", 1)
		a := w.submit("a", 1, "0.5")
		b := w.submit("b", 1, "0.4")
		w.run()
		w.wantJob(a, workload.Active, workload.CodeJob)
		w.wantJob(b, workload.Queued, workload.CodeReserved)
	})
	t.Run("a stronger job does not wait", func(t *testing.T) {
		w, _ := begin(t)
		rich := w.submit("rich", 1, "1.5")
		w.run()
		w.wantJob(rich, workload.Active, workload.CodeJob)
	})
	t.Run("whole nodes are kept whole", func(t *testing.T) {
		w := newWorld(t)
		per := func(n int) func(*workload.Spec) { return func(s *workload.Spec) { s.Gang.PerNode = n } }
		held := func(s *workload.Spec) { s.Limits.Protected = 2 * time.Hour }
		// n1 is full, n2 has two free and n3 and n4 one each: what is free beside
		// the share on n2 would do for two, but on no node together.
		w.node("n1", "north", "g1", 4)
		w.submit("first", 4, "2", limit(time.Hour), held)
		w.run()
		w.node("n2", "north", "g1", 4)
		w.submit("second", 2, "2", held)
		w.run()
		for _, n := range []string{"n3", "n4"} {
			w.node(n, "north", "g1", 4)
			w.submit("on-"+n, 3, "2", held, per(3))
			w.run()
		}
		w.pass(15 * time.Minute)
		gang := w.submit("gang", 4, "1", per(2))
		w.run()
		w.wantJob(gang, workload.Queued, workload.CodeNoFit)
		small := w.submit("small", 2, "0.5", per(2))
		spread := w.submit("spread", 2, "0.4")
		w.run()
		w.wantJob(small, workload.Queued, workload.CodeNoFit)
		w.run()
		w.wantUses(map[string]int{"job 1": 4, "job 2": 2, "job 3": 3, "job 4": 3, "KAS": 4})
		w.do(state.Command{Cancel: &state.JobCancelled{Job: small}})
		w.run()
		w.wantJob(spread, workload.Active, workload.CodeJob)
		for _, d := range w.s.Jobs[spread].Attempts[0].Devices {
			if d.Node() == "n2" {
				t.Error("a device of n2 was taken from the reservation")
			}
		}
	})
	t.Run("a gang that its bid keeps waiting holds nothing", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 4)
		w.submit("first", 4, "2")
		w.run()
		w.node("n2", "north", "g1", 4)
		w.submit("poor", 8, "0.02", high)
		small := w.submit("small", 1, "0.031", low)
		w.run()
		w.wantJob(small, workload.Active, workload.CodeJob)
	})
	t.Run("a gang that a quota keeps waiting holds nothing", func(t *testing.T) {
		w := newWorld(t, tenant("lab", 0, 7))
		w.node("n1", "north", "g1", 4)
		w.submit("first", 4, "2")
		w.run()
		w.node("n2", "north", "g1", 4)
		w.submit("lab", 8, "1", of("lab"))
		small := w.submit("small", 1, "0.5")
		w.run()
		w.wantJob(small, workload.Active, workload.CodeJob)
	})
	t.Run("a gang that a cap keeps waiting holds nothing", func(t *testing.T) {
		w := newWorld(t, "\nkind: Site\nname: north\nzone: Europe/Berlin\npower: {cap: 2300W}\ntariff: flat\n") // eight at 300 W are 2400 W
		w.node("n1", "north", "g1", 4)
		w.submit("first", 4, "2")
		w.run()
		w.node("n2", "north", "g1", 4)
		w.submit("gang", 8, "1")
		small := w.submit("small", 1, "0.5")
		w.run()
		w.wantJob(small, workload.Active, workload.CodeJob)
	})
}

// Victims among equals are those that lose least.
func TestTheVictimLosesLeast(t *testing.T) {
	every := func(d time.Duration) func(*workload.Spec) {
		return func(s *workload.Spec) { s.Checkpoint.Every = d }
	}
	t.Run("the one that has run least", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 2)
		old := w.submit("old", 1, "0.5")
		w.run()
		w.pass(30 * time.Minute)
		young := w.submit("young", 1, "0.5")
		w.run()
		w.pass(11 * time.Minute)
		w.submit("rich", 1, "5")
		w.run()
		w.wantJob(old, workload.Active, workload.CodeJob)
		if w.s.Jobs[young].Phase == workload.Active && w.uses()["job 2"] > 0 {
			t.Error("the young job was kept")
		}
	})
	t.Run("the one that has just saved itself", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 2)
		saved := w.submit("saved", 1, "0.5", every(40*time.Minute))
		w.run()
		w.pass(20 * time.Minute)
		other := w.submit("other", 1, "0.5", every(40*time.Minute))
		w.run()
		w.pass(21 * time.Minute) // 1 and 21 min since the last checkpoint
		w.submit("rich", 1, "5")
		w.run()
		w.wantJob(other, workload.Active, workload.CodeJob)
		if w.uses()["job 1"] > 0 {
			t.Errorf("job %d was kept", saved)
		}
	})
	t.Run("lost work can outweigh a better bid", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 1)
		id := w.submit("long", 1, "0.5")
		w.run()
		w.pass(20 * time.Hour)
		w.submit("better", 1, "5") // ten times as much an hour: less than 20 h of work
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
	})
}

func TestUnsaved(t *testing.T) {
	run := func(started workload.Instant, old ...state.Attempt) state.Job {
		return state.Job{Attempts: append(old, state.Attempt{Phase: workload.Running, Started: started})}
	}
	preempted := func(saved bool) state.Attempt {
		return state.Attempt{Phase: workload.Preempted, Preempted: true, Started: 1, Ended: 2, Saved: saved}
	}
	for name, tt := range map[string]struct {
		j     state.Job
		every time.Duration
		want  workload.Instant
	}{
		"never saved":        {run(10 * minute), 0, 90 * minute},
		"by schedule":        {run(10 * minute), 40 * time.Minute, 10 * minute},
		"saved when told":    {run(10*minute, preempted(true)), 0, 0},
		"did not when told":  {run(10*minute, preempted(true), preempted(false)), 0, 90 * minute},
		"told before it ran": {run(10*minute, preempted(true), state.Attempt{Phase: workload.Preempted, Preempted: true}), 0, 0},
		"starting":           {run(0), 0, 0},
	} {
		a, _ := tt.j.Current()
		tt.j.Spec.Checkpoint.Every = tt.every
		if got := unsaved(&tt.j, a, 100*minute); got != tt.want {
			t.Errorf("%s: %d min, want %d", name, got/minute, tt.want/minute)
		}
	}
}

func TestQueueOfOneKindIsAskedFromItsHead(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 4)
	var ids []workload.JobID
	for i := range 3000 {
		ids = append(ids, w.submit(fmt.Sprint("j", i), 1, "0.5", func(s *workload.Spec) {
			if i%3 == 0 {
				s.Gang.GPUs = 2
			}
		}))
	}
	w.run()
	if n := len(w.round.Board.Problem.Jobs); n > 2*(4+kinSpare) {
		t.Fatalf("the decision saw %d jobs", n)
	}
	if got := w.uses()["KAS"]; got != 0 {
		t.Fatalf("%d devices mine: %v", got, w.uses())
	}
	w.decide()
	x := w.round.ExplainJob(ids[2999])
	if len(x.Reasons) != 1 || x.Reasons[0].Code != workload.CodeQueue {
		t.Fatalf("%+v", x.Reasons)
	}
	st, ok := w.round.Board.Standing(ids[2999])
	if !ok || st.Asked || st.Queue < 2996 || st.Position != st.Queue || st.OfKind != st.Kind || st.Kind < 1996 {
		t.Errorf("the last stands at %+v", st)
	}
	for i := 0; i < len(ids); i += 500 {
		if st, ok := w.round.Board.Standing(ids[i]); ok && (st.Position < 1 || st.Position > st.Queue || st.OfKind > st.Kind) {
			t.Errorf("job %d stands at %+v", ids[i], st)
		}
	}
}

func TestEveryKindIsAskedOnce(t *testing.T) {
	w := newWorld(t)
	w.caps = false
	for i := range 100 {
		w.node(fmt.Sprintf("n%03d", i), "north", "g1", 8)
	}
	for i := range 900 {
		w.submit(fmt.Sprint("same", i), 1, "3")
	}
	for i := range 300 {
		w.submit(fmt.Sprint("own", i), 1, "0.5", func(s *workload.Spec) { s.Value.Bid += workload.Rate(i) })
	}
	v := w.s.View()
	b := Compose(v, v.Policy, w.at, w.at)
	if len(b.Problem.Jobs) != maxAsked || len(b.asked) != maxAsked {
		t.Fatalf("asks about %d of 1200", len(b.Problem.Jobs))
	}
	for i := range b.kins {
		if b.kins[i].asked == 0 {
			t.Fatalf("kind %d of %d is not asked about", i, len(b.kins))
		}
	}
	if issues := decide.Validate(&b.Problem); len(issues) > 0 {
		t.Fatal(issues)
	}
}

// Time in which a job waits on another job is no wait for devices.
func TestWaitingOnAnotherJobIsNotQueueing(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	first := w.submit("first", 1, "0.5")
	then := w.submit("then", 1, "0.5", func(s *workload.Spec) { s.After = []workload.After{{Job: "first"}} })
	w.run()
	w.pass(5 * time.Hour)
	w.report(state.WorkloadEvent{Kind: state.EventExited, Device: "n1/0", Epoch: w.s.Devices["n1/0"].Epoch, Job: first, Attempt: 1})
	w.pass(20 * time.Minute)
	if j := w.s.Jobs[then]; j.Phase != workload.Queued || waited(&j, w.at) != 20*minute {
		t.Errorf("%s, waited %d min, want 20", j.Phase, waited(&j, w.at)/minute)
	}
}
