package state

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

func TestStoryOfOneJob(t *testing.T) {
	c := newCluster(t)
	c.do(Command{Policy: &PolicyChanged{Revision: 1, Documents: policy()}})
	c.do(Command{Quotes: &QuotesObserved{Energy: energy(100_000)}})
	c.register("n1", 2)
	c.do(Command{Plan: &Plan{Moves: []Move{c.mine("n1/0")}}})
	c.report(c.event(EventFreed, "n1/0"), c.event(EventStarted, "n1/0"))
	c.use("n1/0", workload.Mining)
	job := c.submit("a", 2)
	c.expect(job, workload.Queued, "")
	c.start(job, "n1/0", "n1/1")
	c.expect(job, workload.Active, workload.Reserved)
	c.use("n1/0", workload.Draining)
	c.freed("n1/1")
	c.expect(job, workload.Active, workload.Reserved)
	c.report(c.event(EventStopped, "n1/0", func(e *WorkloadEvent) { e.Epoch-- }))
	c.freed("n1/0")
	c.expect(job, workload.Active, workload.Starting)
	c.report(c.event(EventStarted, "n1/0", c.rank(job)))
	c.expect(job, workload.Active, workload.Running)
	c.use("n1/1", workload.Training)
	c.pass(workload.HourMillis)
	c.report(c.event(EventExited, "n1/0", c.rank(job), exit(0)))
	c.expect(job, workload.Succeeded, workload.Exited)
	j := c.s.Jobs[job]
	if a := j.Attempts[0]; j.Started != epochOfTests || j.Ended != c.at || a.Number != 1 || a.Code != 0 || !slices.Equal(j.CheckpointNodes, []workload.NodeID{"n1"}) {
		t.Errorf("%+v", j)
	}
	c.use("n1/0", workload.Parked)
	// Two GPUs for an hour at a rate of 1 USD each.
	if tot := c.s.Book.Totals(); tot.Revenue < 1_999_990 || tot.Revenue > 2_000_000 {
		t.Errorf("earned %d", tot.Revenue)
	}
}

// A node whose report frees the last device of a gang, and tells something else
// besides, must be given the order to start: the second event once undid the
// note that its orders had changed.
func TestReleaseReachesTheNodeWhoseReportCausedIt(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 2)
	c.register("n2", 1)
	c.do(Command{Plan: &Plan{Moves: []Move{c.mine("n1/1")}}})
	job := c.submit("a", 2)
	c.start(job, "n1/0", "n2/0")
	c.freed("n2/0")
	c.report(c.event(EventFreed, "n1/0"), c.event(EventStarted, "n1/1"))
	c.expect(job, workload.Active, workload.Starting)
	for _, n := range []workload.NodeID{"n1", "n2"} {
		if c.s.Nodes[n].Touched != c.s.Index {
			t.Errorf("the orders of %s changed at %d, noted is %d", n, c.s.Index, c.s.Nodes[n].Touched)
		}
	}
}

func TestStoryOfAGangWithOneFailingRank(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 2)
	c.register("n2", 2)
	job := c.submit("a", 4)
	c.run(job, "n1/0", "n1/1", "n2/0", "n2/1")
	c.report(c.event(EventExited, "n2/0", c.rank(job), exit(9)))
	c.expect(job, workload.Active, workload.Stopping)
	c.use("n1/0", workload.Draining)
	c.use("n2/0", workload.Parked)
	c.report(c.event(EventStopped, "n1/0", c.rank(job), func(e *WorkloadEvent) { e.Code, e.Cause, e.Saved = 143, "order", true }))
	c.expect(job, workload.Queued, workload.Exited)
	j := c.s.Jobs[job]
	if a := j.Attempts[0]; a.Code != 9 || !a.Saved || j.Failures != 1 || j.NotBefore != c.at+10_000 {
		t.Errorf("%+v", j)
	}
	for attempt := 2; attempt <= 3; attempt++ { // three attempts are the default
		c.run(job, "n1/0", "n1/1", "n2/0", "n2/1")
		c.report(c.event(EventExited, "n1/1", c.rank(job), exit(1)))
		c.report(c.event(EventExited, "n2/1", c.rank(job), exit(1)))
	}
	c.expect(job, workload.Failed, workload.Exited)
	if j := c.s.Jobs[job]; j.Reason.Code != workload.CodeRetries || j.ExitCode != 1 || len(j.Attempts) != 3 {
		t.Errorf("%+v", j)
	}
}

func preemption(c *cluster, old, next workload.JobID, stale bool) *Plan {
	a, _ := c.s.Jobs[old].Current()
	seats := c.seats("n1/0", "n1/1")
	if stale {
		seats[1].Epoch--
	}
	return &Plan{Stops: []Stop{{Group: 1, Job: old, Attempt: a.Number, Reason: workload.Why(workload.CodePreempted)}},
		Moves:  []Move{{Group: 1, Device: "n1/2", Epoch: c.s.Devices["n1/2"].Epoch, Use: workload.Use{Kind: workload.Parked}}},
		Starts: []Start{{Group: 1, Job: next, Devices: seats, Reason: workload.Why(workload.CodeJob)}}}
}

func TestStoryOfPreemption(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 3)
	old, next := c.submit("old", 2), c.submit("next", 2)
	c.run(old, "n1/0", "n1/1")
	before := c.s.Devices["n1/2"]

	r := c.try(Command{Plan: preemption(c, old, next, true)})
	if len(r.Refused) == 0 {
		t.Fatal("a stale epoch was taken")
	}
	c.expect(old, workload.Active, workload.Running)
	c.expect(next, workload.Queued, "")
	if asJSON(t, before) != asJSON(t, c.s.Devices["n1/2"]) {
		t.Error("a move of a refused group applied")
	}

	c.do(Command{Plan: preemption(c, old, next, false)})
	c.expect(old, workload.Active, workload.Stopping)
	c.expect(next, workload.Active, workload.Reserved)
	c.report(c.event(EventStopped, "n1/0", c.rank(old), func(e *WorkloadEvent) { e.Code, e.Saved = 143, true }))
	c.expect(old, workload.Queued, workload.Preempted)
	c.expect(next, workload.Active, workload.Reserved)
	c.freed("n1/0", "n1/1")
	c.expect(next, workload.Active, workload.Starting)
	if j := c.s.Jobs[old]; j.Failures != 0 || j.NotBefore != 0 {
		t.Errorf("preemption counts as a failure: %+v", j)
	}
}

// The freed device of the successor also tells that a rank of the victim that
// was never started is not coming.
func TestPreemptionOfAGangThatHadNotStarted(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 3)
	old, next := c.submit("old", 2), c.submit("next", 2)
	c.start(old, "n1/0", "n1/1")
	c.freed("n1/0", "n1/1")
	c.expect(old, workload.Active, workload.Starting)
	c.do(Command{Plan: preemption(c, old, next, false)})
	c.freed("n1/0")
	c.expect(old, workload.Active, workload.Stopping)
	c.freed("n1/1")
	c.expect(old, workload.Queued, workload.Preempted)
	c.expect(next, workload.Active, workload.Starting)
}

func TestPlanStartsAJobOnce(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 2)
	job := c.submit("a", 1)
	r := c.try(Command{Plan: &Plan{Starts: []Start{{Job: job, Devices: c.seats("n1/0")}, {Job: job, Devices: c.seats("n1/1")}}}})
	if len(r.Refused) != 1 || len(c.s.Jobs[job].Attempts) != 1 {
		t.Errorf("%+v, %d attempts", r, len(c.s.Jobs[job].Attempts))
	}
	c.use("n1/1", workload.Parked)
}

// A group that falls takes along the stop that another group relied on.
func TestGroupsFallTogether(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 3)
	old, next := c.submit("old", 1), c.submit("next", 1)
	c.run(old, "n1/0")
	r := c.try(Command{Plan: &Plan{
		Starts: []Start{{Group: 2, Job: next, Devices: c.seats("n1/0")}},
		Stops:  []Stop{{Group: 1, Job: old, Attempt: 1}},
		Moves:  []Move{{Group: 1, Device: "n1/9"}, c.mine("n1/2")}}})
	if len(r.Refused) != 3 {
		t.Errorf("%+v", r.Refused)
	}
	c.expect(old, workload.Active, workload.Running)
	c.expect(next, workload.Queued, "")
	if c.s.Devices["n1/2"].Assigned.Kind != workload.Mining {
		t.Error("a part without group fell with the others")
	}
}

func TestStoryOfAReboot(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	c.register("n2", 1)
	job := c.submit("a", 2)
	c.run(job, "n1/0", "n2/0")
	boot := registration("n1", 1)
	boot.Boot = "boot-2"
	c.do(Command{Node: boot})
	// The rank on n2 may still run: until it has gone the job must not start again.
	c.expect(job, workload.Active, workload.Stopping)
	c.use("n1/0", workload.Parked)
	c.use("n2/0", workload.Draining)
	c.report(c.event(EventStopped, "n2/0", c.rank(job), func(e *WorkloadEvent) { e.Code = 143 }))
	c.expect(job, workload.Queued, workload.Lost)
	if j := c.s.Jobs[job]; j.Failures != 0 || j.Reason.Code != workload.CodeLost {
		t.Errorf("%+v", j)
	}
	c.start(job, "n1/0", "n2/0")
	boot.Boot = "boot-3"
	c.do(Command{Node: boot})
	c.expect(job, workload.Queued, workload.Lost) // reserved: nothing ran anywhere
}

func TestStoryOfSilence(t *testing.T) {
	c := newCluster(t)
	c.do(Command{Policy: &PolicyChanged{Revision: 1, Documents: policy()}})
	c.register("n1", 1)
	c.register("n2", 2)
	job := c.submit("a", 2)
	c.run(job, "n1/0", "n2/0")
	c.do(Command{Silent: &NodesSilent{Nodes: []workload.NodeID{"n1", "ghost"}}})
	c.use("n1/0", workload.Unknown)
	c.expect(job, workload.Active, workload.Running)
	c.pass(900_000)
	if got, _ := c.s.Book.Peek("n1/0"); got.Rate != 1_000_000 || got.Watts != 300 {
		t.Errorf("silence is taken for idleness: %+v", got)
	}
	if r := c.try(Command{Lost: &AttemptLost{Job: job, Attempt: 2}}); r.Kind != workload.Conflict {
		t.Errorf("%+v", r)
	}
	c.do(Command{Lost: &AttemptLost{Job: job, Attempt: 1}})
	c.expect(job, workload.Active, workload.Stopping) // n2 is heard and has to say
	c.report(c.event(EventStopped, "n2/0", c.rank(job)))
	c.expect(job, workload.Queued, workload.Lost)

	// It comes back with the old rank's end in its journal; meanwhile its device mines.
	stopped := c.event(EventStopped, "n1/0", c.rank(job), func(e *WorkloadEvent) { e.Cause = "lease" })
	c.do(Command{Plan: &Plan{Moves: []Move{c.mine("n1/0")}}})
	c.use("n1/0", workload.Unknown)
	again := registration("n1", 1)
	again.Running = []Running{{Devices: []workload.DeviceID{"n1/0"}, Epoch: c.s.Devices["n1/0"].Epoch, Pid: 5}}
	c.do(Command{Node: again})
	c.use("n1/0", workload.Mining)
	c.report(stopped)
	c.use("n1/0", workload.Mining)
	if r := c.try(Command{Lost: &AttemptLost{Job: job, Attempt: 1}}); r.Kind != workload.Conflict {
		t.Errorf("%+v", r)
	}

	// A gang that was only being assembled is given up at once.
	c.start(job, "n2/0", "n2/1")
	if r := c.try(Command{Lost: &AttemptLost{Job: job, Attempt: 2}}); r.Kind != workload.Conflict {
		t.Errorf("lost while its node is heard: %+v", r)
	}
	c.do(Command{Silent: &NodesSilent{Nodes: []workload.NodeID{"n2"}}})
	c.expect(job, workload.Queued, workload.Lost)
	if got, _ := c.s.Book.Peek("n2/1"); got.Watts != 22 {
		t.Errorf("an unheard parked device draws its idle power, not %d W", got.Watts)
	}
}

func TestCancelAtEachPhase(t *testing.T) {
	for phase, prepare := range map[workload.AttemptPhase]func(c *cluster, job workload.JobID){
		"":                func(c *cluster, job workload.JobID) {},
		workload.Reserved: func(c *cluster, job workload.JobID) { c.start(job, "n1/0", "n2/0") },
		workload.Starting: func(c *cluster, job workload.JobID) { c.start(job, "n1/0", "n2/0"); c.freed("n1/0", "n2/0") },
		workload.Running:  func(c *cluster, job workload.JobID) { c.run(job, "n1/0", "n2/0") },
		workload.Stopping: func(c *cluster, job workload.JobID) {
			c.run(job, "n1/0", "n2/0")
			c.report(c.event(EventExited, "n1/0", c.rank(job), exit(1)))
		},
	} {
		t.Run("phase "+string(phase), func(t *testing.T) {
			c := newCluster(t)
			c.register("n1", 1)
			c.register("n2", 1)
			job := c.submit("a", 2)
			prepare(c, job)
			c.expectAttempt(job, phase)
			c.do(Command{Cancel: &JobCancelled{Job: job}})
			if p := c.s.Jobs[job].Phase; p != workload.Cancelled {
				t.Fatalf("%s", p)
			}
			c.do(Command{Cancel: &JobCancelled{Job: job}}) // again: no harm
			for _, id := range []workload.DeviceID{"n1/0", "n2/0"} {
				if d := c.s.Devices[id]; d.Assigned.Kind != workload.Parked {
					t.Errorf("%s is still assigned to %s", id, d.Assigned)
				}
				c.freed(id)
				c.use(id, workload.Parked)
			}
			c.check()
			if a, ok := c.s.Jobs[job].Current(); ok && !a.Phase.Final() && phase != workload.Running && phase != workload.Stopping {
				t.Errorf("its attempt is %s", a.Phase)
			}
			if phase == workload.Running {
				c.expect(job, workload.Cancelled, workload.Exited)
			}
		})
	}
	c := newCluster(t)
	c.register("n1", 1)
	job := c.submit("a", 1)
	c.run(job, "n1/0")
	c.report(c.event(EventExited, "n1/0", c.rank(job), exit(0)))
	if r := c.try(Command{Cancel: &JobCancelled{Job: job}}); r.Kind != workload.Conflict {
		t.Errorf("%+v", r)
	}
	if r := c.try(Command{Cancel: &JobCancelled{Job: 99}}); r.Kind != workload.NotFound {
		t.Errorf("%+v", r)
	}
}

func (c *cluster) expectAttempt(job workload.JobID, phase workload.AttemptPhase) {
	c.t.Helper()
	if a, _ := c.s.Jobs[job].Current(); a.Phase != phase {
		c.t.Fatalf("attempt of job %d is %q, want %q", job, a.Phase, phase)
	}
}

func after(on string, jobs ...string) func(*workload.Spec) {
	return func(s *workload.Spec) {
		for _, j := range jobs {
			s.After = append(s.After, workload.After{Job: j, On: on})
		}
	}
}

func TestDependencies(t *testing.T) {
	for _, code := range []int{0, 1} {
		c := newCluster(t)
		c.register("n1", 1)
		first := c.submit("first", 1, func(s *workload.Spec) { s.Limits.Attempts = 1 })
		onSuccess := c.submit("on-success", 1, after("success", "first"))
		onEnd := c.submit("on-end", 1, after("end", "1"))
		chained := c.submit("chained", 1, after("", "on-success", "on-end"))
		c.expect(chained, workload.Waiting, "")
		if r := c.try(Command{Plan: &Plan{Starts: []Start{{Job: onEnd, Devices: c.seats("n1/0")}}}}); len(r.Refused) != 1 {
			t.Error("a waiting job was started")
		}
		c.run(first, "n1/0")
		c.report(c.event(EventExited, "n1/0", c.rank(first), exit(code)))
		c.expect(onEnd, workload.Queued, "")
		if code == 0 {
			c.expect(onSuccess, workload.Queued, "")
			c.expect(chained, workload.Waiting, "")
			continue
		}
		c.expect(onSuccess, workload.Cancelled, "")
		c.expect(chained, workload.Cancelled, "")
		late := c.submit("late", 1, after("success", "first"))
		c.expect(late, workload.Cancelled, "")
		if r := c.try(Command{Submit: &JobSubmitted{Spec: workload.Spec{Name: "x", Gang: workload.Gang{GPUs: 1}, Run: workload.Run{Command: []string{"x"}}, After: []workload.After{{Job: "nobody"}}}}}); r.Kind != workload.NotFound {
			t.Errorf("%+v", r)
		}
	}
}

func TestStartFailureBacksOff(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	for i, want := range []workload.Instant{10_000, 20_000, 40_000} {
		c.do(Command{Plan: &Plan{Moves: []Move{c.mine("n1/0")}}})
		c.report(c.event(EventStartFailed, "n1/0", func(e *WorkloadEvent) { e.Note = "no such file" }))
		d := c.s.Devices["n1/0"]
		if d.Failures != i+1 || d.NotBefore != c.at+want || d.Assigned.Kind != workload.Parked || d.Reason.Code != workload.CodeStartFailed {
			t.Errorf("%+v", d)
		}
	}
	if backoff(100) != 600_000 || backoff(0) != 10_000 {
		t.Error("the back-off has no bounds")
	}
	c.do(Command{Plan: &Plan{Moves: []Move{c.mine("n1/0")}}})
	c.report(c.event(EventStarted, "n1/0"))
	if c.s.Devices["n1/0"].Failures != 0 {
		t.Error("a start that succeeds forgives")
	}
	job := c.submit("a", 1)
	c.start(job, "n1/0")
	c.freed("n1/0") // a device that works is not free, whatever an old event says
	c.report(c.event(EventStopped, "n1/0", func(e *WorkloadEvent) { e.Epoch-- }), c.event(EventFreed, "n1/0"))
	c.report(c.event(EventStartFailed, "n1/0", c.rank(job), func(e *WorkloadEvent) { e.Note = "lease" })) // a note is no cause
	c.expect(job, workload.Queued, workload.Exited)
	if j := c.s.Jobs[job]; j.Attempts[0].Code != 127 || j.Reason.Code != workload.CodeStartFailed || j.NotBefore != c.at+10_000 {
		t.Errorf("%+v", j)
	}
}

func TestJournalInAnyOrder(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	c.register("n2", 1)
	job := c.submit("a", 1)
	c.run(job, "n1/0")
	exited := c.event(EventExited, "n1/0", c.rank(job), exit(0))
	c.report(exited)
	before := save(t, c.s)
	done := c.s.Jobs[job]
	old := exited
	old.Seq, old.Code = 1, 1
	c.report(exited, old) // both taken before
	stray := exited
	stray.Device = "n2/0" // another node's device
	stray.Seq = 50
	c.do(Command{Events: &WorkloadsReported{Node: "n1", Events: []WorkloadEvent{stray}}})
	c.seq["n1"] = 60
	mine := c.mine("n1/0")
	c.do(Command{Plan: &Plan{Moves: []Move{mine}}})
	c.report(c.event(EventStarted, "n1/0"))
	c.use("n1/0", workload.Mining)
	same := c.event(EventExited, "n1/0")
	same.Seq-- // the number of the event before: taken already
	c.report(same)
	c.freed("n1/0") // of before the start
	c.use("n1/0", workload.Mining)
	future := exited
	future.Seq, future.Epoch, future.Job = 90, 1<<40, 0
	c.report(future)
	if asJSON(t, done) != asJSON(t, c.s.Jobs[job]) || bytes.Equal(before, save(t, c.s)) {
		t.Error("an event was taken twice, or nothing was applied at all")
	}
	if r := c.try(Command{Events: &WorkloadsReported{Node: "n9", Events: []WorkloadEvent{exited}}}); r.Kind != workload.NotFound {
		t.Errorf("%+v", r)
	}
}

func TestHostileNode(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	job := c.submit("a", 1)
	c.start(job, "n1/0")
	c.report(c.event(EventStarted, "n1/0", c.rank(job)), c.event(EventExited, "n1/0", c.rank(job), exit(0)), c.event(EventStarted, "n1/0"))
	c.expect(job, workload.Active, workload.Reserved)
	reg := registration("n1", 1)
	reg.Running = []Running{{Devices: []workload.DeviceID{"n1/0"}, Epoch: c.s.Devices["n1/0"].Epoch}}
	reg.Devices = append(reg.Devices, gpu("n2", 0), workload.Device{ID: "n1/+1"}, workload.Device{ID: "n1/01"}, workload.Device{ID: "n1/x"}, gpu("n1", 0))
	c.do(Command{Node: reg})
	c.use("n1/0", workload.Draining)
	if len(c.s.Devices) != 1 {
		t.Errorf("%v", c.s.DeviceIDs())
	}
	if r := c.try(Command{Node: &NodeRegistered{Node: "../etc"}}); r.Kind != workload.Invalid {
		t.Errorf("%+v", r)
	}
	if r := c.try(Command{Devices: &DevicesChanged{Node: "n7"}}); r.Kind != workload.NotFound {
		t.Errorf("%+v", r)
	}
	reg.Devices = nil
	c.do(Command{Node: reg})
	c.use("n1/0", workload.Offline)
	c.register("n1", 1)
	c.use("n1/0", workload.Draining)
}

func TestRefusedSubmitChangesNothing(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 4)
	c.register("n2", 2)
	for text, edit := range map[string]func(*workload.Spec){
		"the fleet has 6":          func(s *workload.Spec) { s.Gang.GPUs = 7 },
		"needs 2 nodes with 3":     func(s *workload.Spec) { s.Gang.GPUs, s.Gang.PerNode = 6, 3 },
		"0 that fit (of 6)":        func(s *workload.Spec) { s.Gang.Models = []workload.ModelName{"other"} },
		"has 0 that fit":           func(s *workload.Spec) { s.Gang.Memory = 25 << 30 },
		"the fleet has 0 that fit": func(s *workload.Spec) { s.Gang.Site = "south" },
		"name":                     func(s *workload.Spec) { s.Name = "No Name" },
	} {
		spec := workload.Spec{Name: "a", Gang: workload.Gang{GPUs: 1}, Run: workload.Run{Command: []string{"true"}}}
		edit(&spec)
		before := c.s.View()
		before.Index = 0
		r := c.try(Command{Submit: &JobSubmitted{Spec: spec}})
		if r.Kind != workload.Invalid || !strings.Contains(r.Error, text) || r.Err() == nil {
			t.Errorf("%s: %+v", text, r)
		}
		now := c.s.View()
		now.Index = 0
		if asJSON(t, before) != asJSON(t, now) {
			t.Errorf("%s: something changed", text)
		}
	}
	c.submit("wide", 6)
	c.submit("per-node", 4, func(s *workload.Spec) { s.Gang.PerNode = 2 })
	c.submit("elastic", 8, func(s *workload.Spec) { s.Gang.Elastic = &workload.Elastic{Min: 6, Max: 8, Step: 2} })
}

func TestRequests(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	spec := workload.Spec{Name: "a", Gang: workload.Gang{GPUs: 1}, Run: workload.Run{Command: []string{"true"}}}
	cmd := Command{Request: NewRequestID(c.at, "one"), Submit: &JobSubmitted{Spec: spec}}
	first := c.do(cmd)
	again := c.do(cmd)
	if again.Job != first.Job || !again.Repeat || first.Repeat || len(c.s.Jobs) != 1 {
		t.Errorf("%+v then %+v", first, again)
	}
	word := cmd
	word.Request = "announce-1" // eight letters are a number in base 36, but no date
	c.do(word)
	word.Request = "f47ac10b-58cc-4372-a567-0e02b2c3d479"
	c.do(word)
	late := cmd
	late.Request = NewRequestID(c.at-RequestMemory-1, "late")
	if r := c.try(late); r.Kind != workload.Conflict {
		t.Errorf("%+v", r)
	}
	late.Request = NewRequestID(c.at+2*workload.HourMillis, "early")
	if r := c.try(late); r.Kind != workload.Invalid {
		t.Errorf("%+v", r)
	}
	if len(c.s.Jobs) != 3 {
		t.Errorf("%d jobs", len(c.s.Jobs))
	}
	c.pass(RequestMemory + workload.HourMillis + 1)
	c.do(Command{Server: &ServerAnnounced{ID: "s1"}})
	if len(c.s.Requests) != 1 {
		t.Errorf("%d requests are remembered after a day", len(c.s.Requests))
	}
	if r := c.try(cmd); r.Kind != workload.Conflict || len(c.s.Jobs) != 3 {
		t.Errorf("a forgotten request was applied twice: %+v", r)
	}
}

func TestTime(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	before := save(t, c.s)
	for _, cmd := range []Command{
		{At: c.at + MaxLeap + 1, Submit: &JobSubmitted{}}, {Wall: c.at + MaxLeap + 1, Server: &ServerAnnounced{ID: "x"}},
		{At: math.MaxInt64, Token: &TokenIssued{ID: "t"}},
	} {
		if r := c.try(cmd); r.Kind != workload.Invalid {
			t.Fatalf("%+v", r)
		}
	}
	c.s.Index = 1
	if !bytes.Equal(before, save(t, c.s)) {
		t.Error("a refused clock changed something")
	}
	c.s.Index = uint64(len(c.log))
	c.do(Command{At: c.at + MaxLeap, Server: &ServerAnnounced{ID: "x"}})
	back := c.s.Apply(c.s.Index+1, Command{At: 5, Wall: 5, Server: &ServerAnnounced{ID: "y"}})
	if back.Error != "" || c.s.At != c.at+MaxLeap {
		t.Error("time ran backwards")
	}
	if r := c.s.Apply(c.s.Index, Command{Server: &ServerAnnounced{ID: "z"}}); r.Kind != workload.Internal || r.Error == "" {
		t.Error("an index returned")
	}
	if r := New().Apply(1, Command{At: math.MaxInt64, Server: &ServerAnnounced{ID: "z"}}); r.Error == "" {
		t.Error("the first command may lie beyond all time")
	}
}

// Commands without a market clock may come first; the years since 1970 are not
// booked to anybody.
func TestTimeBeginsWithTheFirstClock(t *testing.T) {
	s := New()
	s.Apply(1, Command{Node: registration("n1", 1)})
	s.Apply(2, Command{At: epochOfTests, Server: &ServerAnnounced{ID: "x"}})
	s.Apply(3, Command{At: epochOfTests + 5, Server: &ServerAnnounced{ID: "x"}})
	if err := invariants(s); err != nil {
		t.Fatal(err)
	}
	if got := s.Book.Totals().DeviceMillis; got != 5 || s.Devices["n1/0"].Since != epochOfTests {
		t.Errorf("%d ms, since %d", got, s.Devices["n1/0"].Since)
	}
}

func TestTokens(t *testing.T) {
	c := newCluster(t)
	c.do(Command{Token: &TokenIssued{ID: "t", Hash: "h", Role: "node", Expires: c.at + 1000}})
	for _, cmd := range []Command{{Token: &TokenIssued{ID: "t"}}, {Consume: &TokenConsumed{ID: "t", Hash: "x"}}, {Consume: &TokenConsumed{ID: "u", Hash: "h"}}} {
		if r := c.try(cmd); r.Error == "" {
			t.Errorf("%+v", r)
		}
	}
	if r := c.do(Command{Consume: &TokenConsumed{ID: "t", Hash: "h", Name: "n1"}}); r.Role != "node" {
		t.Errorf("%+v", r)
	}
	if r := c.try(Command{Consume: &TokenConsumed{ID: "t", Hash: "h", Name: "n2"}}); r.Kind != workload.Denied {
		t.Errorf("I16: a token worked twice: %+v", r)
	}
	c.do(Command{Token: &TokenIssued{ID: "u", Hash: "h", Expires: c.at + 1000}})
	c.pass(1001)
	if r := c.try(Command{Consume: &TokenConsumed{ID: "u", Hash: "h"}}); r.Kind != workload.Denied {
		t.Errorf("%+v", r)
	}
}

func TestQuotes(t *testing.T) {
	c := newCluster(t)
	c.do(Command{Policy: &PolicyChanged{Revision: 3, Documents: policy()}})
	stray := hashprice(1, c.at)
	stray.Feed = "gone"
	ahead := hashprice(9_000, c.at+workload.HourMillis)
	c.do(Command{Quotes: &QuotesObserved{Observations: append(slices.Clip([]market.Observation{stray}), ahead), Energy: energy(50_000)}})
	if q := c.s.Quotes["kas"]; q.Value != 9_000 || q.At != c.at || len(c.s.Quotes) != 1 {
		t.Errorf("%+v", c.s.Quotes)
	}
	if y := c.s.Book.Yields["KAS"]; y.Now.MicroPerHour != 9_000 || !y.Known {
		t.Errorf("%+v", y)
	}
	if p, ok := c.s.EnergyPrice("north"); p != 50_000 || !ok {
		t.Errorf("%d", p)
	}
	c.pass(37 * workload.HourMillis) // stale, though nobody observes anything
	c.do(Command{Server: &ServerAnnounced{ID: "x"}})
	if y := c.s.Book.Yields["KAS"]; y.Now.MicroPerHour != 9_000 || y.Known {
		t.Errorf("a stale price passes for known: %+v", y)
	}
	if r := c.try(Command{Policy: &PolicyChanged{}}); r.Kind != workload.Invalid {
		t.Errorf("%+v", r)
	}
}

func TestPolicyChangesWhatIdlingCosts(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	c.do(Command{Policy: &PolicyChanged{Revision: 1, Documents: policy()}})
	if w := c.s.Book.Open["n1/0"].Watts; w != 22 { // 20 W at a PUE of 1.1
		t.Errorf("%d W", w)
	}
	c.do(Command{Policy: &PolicyChanged{Revision: 2, Documents: config.NewSet()}})
	if w := c.s.Book.Open["n1/0"].Watts; w != 0 {
		t.Errorf("%d W by a policy that knows no profile", w)
	}
}

func TestTimeLimitFails(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	job := c.submit("a", 1, func(s *workload.Spec) { s.Limits.Time = time.Hour })
	c.run(job, "n1/0")
	c.do(Command{Plan: &Plan{Stops: []Stop{{Job: job, Attempt: 1, Reason: workload.Why(workload.CodeTimeLimit)}}}})
	c.report(c.event(EventStopped, "n1/0", c.rank(job)))
	c.expect(job, workload.Failed, workload.Exited)
}

func TestFinishedJobsAreForgotten(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	needed := c.submit("needed", 1)
	blocker := c.submit("blocker", 1)
	waiting := c.submit("waiting", 1, after("end", "needed", "blocker"))
	cancel := func(id workload.JobID) { c.s.Apply(c.s.Index+1, Command{At: c.at, Cancel: &JobCancelled{Job: id}}) }
	cancel(needed)
	spec := workload.Spec{Name: "many", Gang: workload.Gang{GPUs: 1}, Run: workload.Run{Command: []string{"true"}}}
	var last workload.JobID
	for range FinishedKept + FinishedKept/10 + 5 {
		last = c.s.Apply(c.s.Index+1, Command{At: c.at, Submit: &JobSubmitted{Spec: spec}}).Job
		cancel(last)
	}
	if n := len(c.s.Finished); n < FinishedKept || n > FinishedKept+FinishedKept/10 || len(c.s.Jobs) != n+2 {
		t.Errorf("%d finished, %d jobs", n, len(c.s.Jobs))
	}
	if _, ok := c.s.Jobs[needed]; !ok {
		t.Error("a job was forgotten that another waits on")
	}
	if _, ok := c.s.Jobs[waiting+1]; ok {
		t.Error("the oldest was kept")
	}
	cancel(blocker)
	if c.s.Jobs[waiting].Phase != workload.Queued || c.s.NextJob != last+1 {
		t.Errorf("%+v, next %d", c.s.Jobs[waiting], c.s.NextJob)
	}
	if err := invariants(c.s); err != nil {
		t.Error(err)
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	job := c.submit("a", 1)
	for i := range AttemptsKept + 10 {
		c.start(job, "n1/0")
		c.do(Command{Plan: &Plan{Stops: []Stop{{Job: job, Attempt: i + 1}}}})
	}
	a, _ := c.s.Jobs[job].Current()
	if n := len(c.s.Jobs[job].Attempts); n != AttemptsKept || a.Number != AttemptsKept+10 {
		t.Errorf("%d attempts, the last is %d", n, a.Number)
	}
}
