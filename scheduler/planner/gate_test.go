package planner

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// exchangeable has a bound job waiting for n1, where two jobs run.
func exchangeable(t *testing.T, bid string, edit ...func(*workload.Spec)) (w *world, id workload.JobID, there []workload.JobID, elsewhere workload.JobID) {
	w = newWorld(t)
	w.node("n1", "north", "g1", 2)
	id = w.submit("bound", 2, bid, ckpt("ck/{job}"))
	w.run()
	w.pass(time.Minute)
	w.report(state.WorkloadEvent{Kind: state.EventExited, Device: "n1/0", Epoch: w.s.Devices["n1/0"].Epoch, Job: id, Attempt: 1, Code: 3})
	w.wantJob(id, workload.Queued, workload.CodeExit) // and backs off
	for i := range 2 {
		there = append(there, w.submit(fmt.Sprint("there", i), 1, "0.2", edit...))
	}
	w.run()
	w.node("n2", "north", "g1", 2)
	elsewhere = w.submit("elsewhere", 2, "0.2", edit...)
	w.run()
	w.wantUses(map[string]int{"job 2": 1, "job 3": 1, "job 4": 2})
	w.pass(11 * time.Minute)
	return w, id, there, elsewhere
}

func TestExchange(t *testing.T) {
	t.Run("displaces the jobs on its nodes and no other", func(t *testing.T) {
		w, id, there, elsewhere := exchangeable(t, "1")
		p := w.step()
		if len(p.Stops) != 2 || len(p.Starts) != 1 || p.Starts[0].Job != id {
			t.Fatalf("stops %+v starts %+v", p.Stops, p.Starts)
		}
		for _, st := range p.Stops {
			if st.Group == 0 || st.Group != p.Starts[0].Group || !slices.Contains(there, st.Job) {
				t.Errorf("stop %+v, start in group %d", st, p.Starts[0].Group)
			}
		}
		w.obey()
		w.wantJob(id, workload.Active, workload.CodeJob)
		w.run()
		w.wantJob(elsewhere, workload.Active, workload.CodeJob)
		for range 3 {
			w.run()
		}
		w.wantJob(id, workload.Active, workload.CodeJob)
		w.settled()
	})
	t.Run("not for less than they bring", func(t *testing.T) {
		w, id, _, _ := exchangeable(t, "0.15")
		w.run()
		w.wantJob(id, workload.Queued, workload.CodeDataLocal)
		w.wantUses(map[string]int{"job 2": 1, "job 3": 1, "job 4": 2})
		w.settled()
	})
	t.Run("not while one of them is protected", func(t *testing.T) {
		w, id, _, _ := exchangeable(t, "1", func(s *workload.Spec) { s.Limits.Protected = time.Hour })
		w.run()
		w.wantJob(id, workload.Queued, workload.CodeDataLocal)
		w.settled()
	})
	t.Run("one victim is enough where one is", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 4)
		id := w.submit("bound", 1, "1", ckpt("ck/{job}"))
		w.run()
		w.pass(time.Minute)
		w.report(state.WorkloadEvent{Kind: state.EventExited, Device: "n1/0", Epoch: w.s.Devices["n1/0"].Epoch, Job: id, Attempt: 1, Code: 3})
		for i, bid := range []string{"0.4", "0.2", "0.3", "0.5"} {
			w.submit(fmt.Sprint("j", i), 1, bid)
		}
		w.run()
		w.pass(11 * time.Minute)
		p := w.step()
		if len(p.Stops) != 1 || p.Stops[0].Job != 3 || len(p.Starts) != 1 {
			t.Fatalf("stops %+v", p.Stops)
		}
	})
	t.Run("stays below a cap", func(t *testing.T) {
		w, id, _, _ := exchangeable(t, "1")
		w.set("\nkind: Site\nname: north\nzone: Europe/Berlin\npower: {cap: 1201W}\ntariff: flat\n")
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob) // as much as its victims
	})
}

// Two jobs are bound to n1, which has room for one of them. By counts the other
// fits in place of the weak job on n2, where it may not run.
func TestNoVictimWithoutAPlaceForTheSuccessor(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 4)
	a := w.submit("a", 2, "1", ckpt("ck/{job}"))
	b := w.submit("b", 2, "1", ckpt("ck/{job}"))
	w.run()
	w.pass(time.Minute)
	for _, id := range []workload.JobID{a, b} {
		on := w.s.Jobs[id].Attempts[0].Devices[0]
		w.report(state.WorkloadEvent{Kind: state.EventExited, Device: on, Epoch: w.s.Devices[on].Epoch, Job: id, Attempt: 1, Code: 3})
	}
	w.submit("rich", 2, "5")
	w.run()
	w.node("n2", "north", "g1", 4)
	weak := w.submit("weak", 4, "0.2", func(s *workload.Spec) { s.Gang.PerNode = 4 })
	w.run()
	w.pass(11 * time.Minute)
	p := w.step()
	if len(p.Stops) != 0 || len(p.Starts) != 1 {
		t.Fatalf("stops %+v, starts %+v", p.Stops, p.Starts)
	}
	w.obey()
	w.wantJob(weak, workload.Active, workload.CodeJob)
	w.settled()
}

// TestEveryStopHasASuccessor draws clusters whose jobs are bound, in shares of
// nodes, guaranteed and urgent, and looks at each stop for a better use: its
// devices are the successor's in the same plan, or mine for more.
func TestEveryStopHasASuccessor(t *testing.T) {
	stops := 0
	property := func(rt *rapid.T) {
		w := fleet(rt, 12)
		for i := range rapid.IntRange(2, 6).Draw(rt, "events") {
			offerJob(rt, w, i)
			if rapid.Bool().Draw(rt, "later") {
				w.pass(time.Duration(rapid.IntRange(1, 90).Draw(rt, "minutes")) * time.Minute)
			}
			p := w.step()
			taken := map[workload.DeviceID]bool{}
			for _, st := range p.Starts {
				for _, seat := range st.Devices {
					taken[seat.Device] = true
				}
			}
			for _, st := range p.Stops {
				if st.Reason.Code != workload.CodePreempted {
					continue
				}
				stops++
				j := w.s.Jobs[st.Job]
				a, _ := j.Current()
				used := false
				for _, dev := range a.Devices {
					used = used || taken[dev]
				}
				if !used && len(w.round.Placed.Unplaced) > 0 {
					rt.Fatalf("job %d was stopped and its devices went to nobody while %v found no place", st.Job, w.round.Placed.Unplaced)
				}
			}
			w.obey()
		}
	}
	for range 10 { // few of the drawn clusters see one
		if rapid.Check(t, property); stops >= 5 {
			return
		}
	}
	t.Fatalf("only %d jobs were stopped", stops)
}
