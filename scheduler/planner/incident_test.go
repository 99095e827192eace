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

// Incidents that users of other schedulers and miners reported, replayed through
// the planner and the state. A test bears the project and number of the thread
// that tells of it.

func hashprice(kas string) string {
	return "\nkind: Feed\nname: kas\nsources: [{value: " + kas + "}]\ncurrency: USD\nunit: USD/GH/day\ngate: {stale: 48h}\n"
}

// withWarmup makes a change of coin cost ten minutes of hashing.
const withWarmup = "\nkind: DeviceProfile\nmodel: g1\nmodes:\n  - {algorithm: kheavyhash, hashrate: 1GH/s, power: 200W}\n  - {algorithm: kawpow, hashrate: 40MH/s, power: 200W}\ntraining: {speed: 1.0, power: 300W}\nidle: 20W\nswitch: {warmup: 10m}\n"

// switches steps through hours of prices, one a minute, and counts the changes
// of coin.
func (w *world) switches(minutes int, kas func(minute int) string) int {
	w.t.Helper()
	n := 0
	for m := range minutes {
		w.pass(time.Minute)
		w.set(hashprice(kas(m)))
		p := w.run()
		n += len(p.Moves)
	}
	return n
}

// Two coins that pay nearly the same change places every minute, and the miner
// with them.
func TestIncident_RainbowMiner_114(t *testing.T) {
	w := newWorld(t, withWarmup)
	w.node("n1", "north", "g1", 2)
	w.run()
	before := w.uses()
	if n := w.switches(120, func(m int) string { return []string{"0.47", "0.49"}[m%2] }); n > 0 { // RVN stands at 0.48
		t.Errorf("%d changes for 2 %%, from %v to %v", n, before, w.uses())
	}
}

// The better coin changes every three minutes by so much that a change would
// pay, were it not taken back at once.
func TestIncident_MultiPoolMiner_1328(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	w.run()
	if n := w.switches(120, func(m int) string { return []string{"0.3", "0.9"}[m/3%2] }); n > 120/10 {
		t.Errorf("%d changes in 120 min at a dwell of 10 min", n)
	}
}

// The miner stays on its coin for days after another has become better.
func TestIncident_MultiPoolMiner_986(t *testing.T) {
	w := newWorld(t, withWarmup)
	w.node("n1", "north", "g1", 1)
	w.run()
	w.pass(time.Hour)
	w.wantUses(map[string]int{"KAS": 1})
	w.set(hashprice("0.3")) // RVN now brings 60 % more: ten minutes of it pay back in half an hour
	w.run()
	w.wantUses(map[string]int{"RVN": 1})
}

// Nobody can tell why a workload waits. Each of these waits for another reason,
// and the answer names it, with figures, and the place in the queue.
func TestIncident_kueue_2833(t *testing.T) {
	w := newWorld(t, tenant("lab", 0, 1))
	w.node("n1", "north", "g1", 4)
	w.submit("runs", 3, "3", limit(time.Hour), func(s *workload.Spec) { s.Limits.Protected = time.Hour })
	w.run()
	w.pass(11 * time.Minute)
	want := map[workload.JobID]workload.Code{
		w.submit("gang", 4, "2"):                     workload.CodeNoFit,
		w.submit("behind", 1, "1"):                   workload.CodeReserved,
		w.submit("cheap", 1, "0.001"):                workload.CodeReserved,
		w.submit("quota", 2, "2.5", of("lab"), high): workload.CodeQuota,
	}
	w.run()
	w.decide()
	for id, code := range want {
		x := w.round.ExplainJob(id)
		if len(x.Reasons) != 2 || x.Reasons[0].Code != code || len(x.Reasons[0].Figures) == 0 || x.Reasons[1].Code != workload.CodeQueue {
			t.Errorf("job %d: %v, want %s and its place", id, x.Reasons, code)
		}
		if w.s.Jobs[id].Reason.Code != code {
			t.Errorf("job %d: recorded is %s, want %s", id, w.s.Jobs[id].Reason.Code, code)
		}
	}
}

// The position in the queue that a person is told is the order of service.
func TestIncident_kueue_10852(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	w.submit("runs", 1, "9", limit(time.Hour))
	w.run()
	var ids []workload.JobID
	for i, bid := range []string{"0.3", "0.5", "0.4"} {
		ids = append(ids, w.submit(fmt.Sprint("j", i), 1, bid, limit(time.Hour)))
	}
	ids = append(ids, w.submit("high", 1, "0.3", high, limit(time.Hour)))
	w.run()
	w.decide()
	told := make([]workload.JobID, len(ids))
	for _, id := range ids {
		st, _ := w.round.Board.Standing(id)
		told[st.Position-1] = id
	}
	var served []workload.JobID
	for range 12 {
		w.pass(61 * time.Minute)
		w.run()
		w.run()
		for _, id := range ids {
			if w.s.Jobs[id].Phase != workload.Queued && !slices.Contains(served, id) {
				served = append(served, id)
			}
		}
	}
	if !slices.Equal(told, served) {
		t.Errorf("told %v, served %v", told, served)
	}
}

// Workloads preempt one another in a circle, hundreds of times. With nothing
// arriving, each change of running jobs makes the fleet worth more at claims
// that do not move, so that it ends.
func TestIncident_kueue_3779(t *testing.T) {
	stops := 0
	property := func(rt *rapid.T) {
		w := newWorld(rt, tenant("a", rapid.IntRange(0, 3).Draw(rt, "guarantee a"), 8), tenant("b", rapid.IntRange(0, 3).Draw(rt, "guarantee b"), 8))
		for i := range rapid.IntRange(1, 3).Draw(rt, "nodes") {
			w.node(fmt.Sprint("n", i), "north", "g1", 4)
		}
		for i := range rapid.IntRange(2, 8).Draw(rt, "jobs") {
			w.submit(fmt.Sprint("j", i), rapid.IntRange(1, 4).Draw(rt, "gpus"), rapid.SampledFrom([]string{"0.5", "0.5", "0.6", "2"}).Draw(rt, "bid"), func(s *workload.Spec) {
				s.Tenant = rapid.SampledFrom([]workload.TenantName{"a", "b", "c"}).Draw(rt, "tenant")
				s.Value.Priority = rapid.SampledFrom([]workload.Priority{workload.Low, workload.Normal, workload.High}).Draw(rt, "priority")
				s.Checkpoint.Dir = rapid.SampledFrom([]string{"", "ck"}).Draw(rt, "dir")
			})
			stops += len(w.run().Stops)
			w.pass(15 * time.Minute)
		}
		for i := 0; ; i++ {
			p := w.run()
			stops += len(p.Stops)
			if len(p.Stops)+len(p.Starts) == 0 {
				break
			}
			if i == 12 {
				rt.Fatalf("still stops %+v and starts %+v", p.Stops, p.Starts)
			}
		}
		w.settled()
	}
	if rapid.Check(t, property); stops == 0 {
		t.Error("nothing was ever preempted")
	}
}

// Two queues of one cohort take the same quota back from each other without end.
func TestIncident_kueue_7101(t *testing.T) {
	w := newWorld(t, tenant("a", 2, 2), tenant("b", 2, 2))
	w.node("n1", "north", "g1", 4)
	for i, who := range []string{"a", "a", "b", "b"} {
		w.submit(fmt.Sprint(who, i), 2, "0.5", of(who))
	}
	stops := 0
	for range 30 {
		stops += len(w.run().Stops)
		w.pass(15 * time.Minute)
	}
	if stops > 1 {
		t.Errorf("%d preemptions between two tenants of equal right", stops)
	}
}

// Eleven running jobs were destroyed for two small ones that then could not use
// what was freed.
func TestIncident_spur_888(t *testing.T) {
	w := newWorld(t)
	for i := range 11 {
		w.node(fmt.Sprintf("n%02d", i), "north", "g1", 4)
		w.submit(fmt.Sprint("long", i), 4, "0.5")
	}
	w.run()
	w.pass(7 * time.Hour)
	// They ask for memory that only a node in service has, and one lies bound to it.
	reg := &state.NodeRegistered{Node: "big", Site: "north", Boot: "b", Instance: "i"}
	d := device("big", 0, "g1")
	d.Memory, d.Health, d.Note = 80<<30, workload.Failing, "Xid 79"
	reg.Devices = []workload.Device{d}
	w.do(state.Command{Node: reg})
	for i := range 2 {
		w.submit(fmt.Sprint("small", i), 1, "50", high, func(s *workload.Spec) { s.Gang.Memory = 40 << 30 })
	}
	for range 5 {
		if p := w.run(); len(p.Stops) > 0 {
			t.Fatalf("stops %+v", p.Stops)
		}
		w.pass(15 * time.Minute)
	}
	w.wantJob(12, workload.Queued, workload.CodeNoFit)
	w.wantJob(13, workload.Queued, workload.CodeNoFit)
}

// More is evicted than the successor needs.
func TestIncident_kueue_2596(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 8)
	for i := range 8 {
		w.submit(fmt.Sprint("j", i), 1, "0.5")
	}
	w.run()
	w.pass(15 * time.Minute)
	w.submit("rich", 3, "5")
	if p := w.run(); len(p.Stops) != 3 || len(p.Starts) != 1 || len(p.Starts[0].Devices) != 3 {
		t.Fatalf("%d stopped for a gang of 3", len(p.Stops))
	}
}

// The preemptor's place is taken by another while its victim still leaves.
func TestIncident_nomad_27820(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.submit("low", 2, "0.1")
	w.run()
	w.pass(15 * time.Minute)
	rich := w.submit("rich", 2, "2")
	w.step() // the victim has been told, and has not gone
	w.submit("other", 1, "1.9")
	w.step()
	w.step()
	w.obey()
	w.run()
	w.wantJob(rich, workload.Active, workload.CodeJob)
}

// Two gangs hold half of the devices each and neither can start.
func TestIncident_volcano_3373(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 4)
	w.node("n2", "north", "g1", 4)
	a := w.submit("a", 6, "0.5")
	b := w.submit("b", 6, "0.5")
	for range 6 {
		w.run()
		held := map[workload.JobID]int{}
		for _, d := range w.s.Devices {
			if d.Assigned.Kind == workload.Training {
				held[d.Assigned.Job]++
			}
		}
		if n := held[a] + held[b]; n != 6 || held[a] != 0 && held[b] != 0 {
			t.Fatalf("a holds %d, b %d", held[a], held[b])
		}
		w.pass(15 * time.Minute)
	}
	if w.uses()["KAS"] != 2 {
		t.Errorf("what no gang holds stands idle: %v", w.uses())
	}
}

// A gang that lost a member stays below its size for ever.
func TestIncident_volcano_5805(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.node("n2", "north", "g1", 2)
	gang := w.submit("gang", 4, "0.5")
	w.run()
	w.pass(time.Minute)
	dev := w.s.Jobs[gang].Attempts[0].Devices[0]
	reg := &state.NodeRegistered{Node: dev.Node(), Site: "north", Boot: "b2", Instance: "i2"}
	for i := range 2 {
		reg.Devices = append(reg.Devices, device(string(dev.Node()), i, "g1"))
	}
	w.do(state.Command{Node: reg}) // it was rebooted
	for range 4 {
		w.run()
		w.pass(time.Minute)
	}
	w.wantJob(gang, workload.Active, workload.CodeJob)
	if a, _ := w.s.Jobs[gang].Current(); a.Number != 2 || len(a.Devices) != 4 || a.Phase != workload.Running {
		t.Errorf("attempt %d on %d devices is %s", a.Number, len(a.Devices), a.Phase)
	}
}

// Failures of the control plane to reach a node restart a healthy job again and
// again.
func TestIncident_skypilot_10155(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.node("n2", "north", "g1", 2)
	id := w.submit("train", 2, "0.5")
	w.run()
	node := w.s.Jobs[id].Attempts[0].Devices[0].Node()
	for range 25 {
		w.do(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{node}}})
		w.run()
		w.pass(15 * time.Minute)
		w.run()
		reg := &state.NodeRegistered{Node: node, Site: "north", Boot: "b1", Instance: "i1", Address: string(node) + ":1"}
		for i := range 2 {
			reg.Devices = append(reg.Devices, device(string(node), i, "g1"))
			reg.Running = append(reg.Running, state.Running{Devices: []workload.DeviceID{workload.NewDeviceID(node, i)}, Epoch: w.s.Devices[workload.NewDeviceID(node, i)].Epoch, Pid: 7})
		}
		w.do(state.Command{Node: reg})
		w.run()
	}
	if a, _ := w.s.Jobs[id].Current(); a.Number != 1 || a.Phase != workload.Running {
		t.Errorf("attempt %d is %s after 25 losses of contact", a.Number, a.Phase)
	}
}

// The save that a preemption asks for does not happen. The next decision counts
// on none, and the work at stake protects the job as far as it is worth.
func TestIncident_spd_677(t *testing.T) {
	for name, saved := range map[string]bool{"saved": true, "not saved": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.node("n1", "north", "g1", 1)
			id := w.submit("train", 1, "0.5")
			w.run()
			w.pass(15 * time.Minute)
			first := w.submit("first", 1, "5")
			w.step()
			e := state.WorkloadEvent{Kind: state.EventStopped, Device: "n1/0", Epoch: w.s.Devices["n1/0"].Epoch, Job: id, Attempt: 1, Saved: saved}
			w.report(e)
			w.obey()
			w.wantJob(first, workload.Active, workload.CodeJob)
			w.do(state.Command{Cancel: &state.JobCancelled{Job: first}})
			w.obey()
			w.run()
			w.run()
			w.wantJob(id, workload.Active, workload.CodeJob)
			w.pass(20 * time.Hour)
			w.submit("second", 1, "5")
			w.run()
			if gone := w.uses()["job 1"] == 0; gone != saved {
				t.Errorf("stopped: %v, with a save that works: %v", gone, saved)
			}
		})
	}
}

// A stamp of an old preemption makes a job unpreemptible for ever.
func TestIncident_slurm_216(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	id := w.submit("low", 1, "0.1", func(s *workload.Spec) { s.Limits.Protected = 30 * time.Minute; s.Checkpoint.Every = 10 * time.Minute })
	for i := range 3 {
		w.run()
		w.run()
		w.wantJob(id, workload.Active, workload.CodeJob)
		w.pass(31 * time.Minute)
		rich := w.submit(fmt.Sprint("rich", i), 1, "5")
		w.run()
		w.wantJob(rich, workload.Active, workload.CodeJob)
		w.do(state.Command{Cancel: &state.JobCancelled{Job: rich}})
		w.obey()
	}
	if n := preemptions(func() *state.Job { j := w.s.Jobs[id]; return &j }()); n != 3 {
		t.Errorf("preempted %d times, want 3", n)
	}
}

// A job that can never start wins every cycle, and all others starve.
func TestIncident_KAI_2075(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	doomed := w.submit("doomed", 1, "9", high)
	good := w.submit("good", 1, "0.5", limit(time.Hour))
	ran := false
	for range 200 {
		w.run()
		d := w.s.Devices["n1/0"]
		if d.Assigned.Kind == workload.Training && d.Assigned.Job == doomed {
			a, _ := w.s.Jobs[doomed].Current()
			w.report(state.WorkloadEvent{Kind: state.EventStartFailed, Device: "n1/0", Epoch: d.Epoch, Job: doomed, Attempt: a.Number, Code: 127, Note: "no such image"})
		}
		ran = ran || w.s.Jobs[good].Started != 0
		w.pass(time.Second)
	}
	if !ran || w.s.Jobs[doomed].Phase != workload.Failed {
		t.Errorf("the good job ran: %v; the doomed one is %s", ran, w.s.Jobs[doomed].Phase)
	}
}

// A job that fits no device is offered one all the same, by a count of memory
// that two places keep differently.
func TestIncident_KAI_416(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	w.submit("runs", 1, "0.1")
	reg := &state.NodeRegistered{Node: "n2", Site: "north", Boot: "b", Instance: "i"}
	d := device("n2", 0, "g1")
	d.Memory = 80 << 30
	reg.Devices = []workload.Device{d}
	w.do(state.Command{Node: reg})
	big := w.submit("big", 1, "9", func(s *workload.Spec) { s.Gang.Memory = 80 << 30 })
	w.run()
	w.pass(15 * time.Minute)
	next := w.submit("next", 1, "9", func(s *workload.Spec) { s.Gang.Memory = 80 << 30 })
	for range 5 {
		if p := w.run(); len(p.Stops) > 0 {
			t.Fatalf("stops %+v", p.Stops)
		}
	}
	w.wantJob(big, workload.Active, workload.CodeJob)
	w.wantJob(next, workload.Queued, workload.CodeNoFit)
	w.wantUses(map[string]int{"job 1": 1, "job 2": 1})
}
