package reconcile

import (
	"math"
	"slices"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// step is one Step in progress.
type step struct {
	State
	now     Now
	effects []Effect
	later   []Effect // what acts in the name of what must be on disk first
	dirty   bool     // Durable has changed since it was last persisted
	plan    bool     // so has the plan
}

// Step takes one event. Effects are to be executed in order; each Persist must
// be on disk before the next effect begins.
func Step(state State, event Event, now Now) (State, []Effect) {
	s := &step{State: state.clone(), now: now}
	switch e := event.(type) {
	case Restarted:
		s.restarted(e)
	case PlanReceived:
		if !s.obey(e) {
			return state, nil
		}
	case Started:
		s.started(e)
	case StartFailed:
		s.startFailed(e)
	case Exited:
		s.exited(e)
	case HeartbeatAcked:
		s.Heard = max(s.Heard, e.SentAt)
	case Tick:
	}
	s.converge()
	s.extend()
	s.persist()
	return s.State, append(s.effects, s.later...)
}

// do appends an effect. Stopping waits for nothing; whatever else acts on the
// world comes after the one Persist of the step, so that a whole node's starts
// cost one sync.
func (s *step) do(e Effect) {
	if _, ok := e.(Stop); ok {
		s.effects = append(s.effects, e)
		return
	}
	s.later = append(s.later, e)
}

func (s *step) persist() {
	if !s.dirty && !s.plan {
		return
	}
	s.effects = append(s.effects, Persist{Durable: s.Durable.clone(), Plan: s.plan})
	s.dirty, s.plan = false, false
}

// emit numbers and sends one report.
func (s *step) emit(r Report) {
	s.Seq++
	s.dirty = true
	r.Seq, r.At = s.Seq, s.now.Wall
	s.effects = append(s.effects, Emit{Report: r})
}

// emitRun reports about every device of a run.
func (s *step) emitRun(run Run, r Report) {
	r.Job, r.Attempt = run.Attempt()
	r.PID, r.StartTicks = run.PID, run.StartTicks
	for i, d := range run.Devices {
		r.Device, r.Epoch = d, run.Epochs[i]
		s.emit(r)
	}
}

func (s *step) restarted(e Restarted) {
	if s.Boot != e.Boot {
		s.Boot, s.dirty = e.Boot, true
	}
	// Whatever the last process was told does not count as told to this one.
	s.Live, s.Heard = false, -1
	for _, run := range e.Live {
		run.Phase = RunRunning
		s.Runs[run.ID] = run
		for i, d := range run.Devices {
			s.raise(d, run.Epochs[i])
		}
		if !s.Begun[run.ID] {
			s.begun(run, "")
		}
	}
	for _, end := range e.Ended {
		if slices.Contains(s.Closed, end.Run.ID) {
			continue
		}
		s.Runs[end.Run.ID] = end.Run
		s.exited(end.Exit)
	}
	for id := range s.Begun {
		if _, live := s.Runs[id]; !live {
			delete(s.Begun, id)
			s.dirty = true
		}
	}
}

// obey takes a plan; it reports false where the plan is stale.
func (s *step) obey(e PlanReceived) bool {
	p := e.Plan
	if p == nil || p.Node != s.Node || p.Serial < s.Serial || s.now.Wall >= p.ExpiresAt {
		return false
	}
	s.Plan, s.Serial, s.Live = p, p.Serial, true
	s.dirty, s.plan = true, true
	s.Heard = max(s.Heard, e.Heard)
	return true
}

func (s *step) started(e Started) {
	run, ok := s.Runs[e.Run]
	if !ok {
		return
	}
	run.PID, run.StartTicks, run.Began = e.PID, e.StartTicks, s.now.Boot
	if run.Phase == RunStarting {
		run.Phase = RunRunning
	}
	s.Runs[e.Run] = run
	s.begun(run, "")
}

// begun reports a start.
func (s *step) begun(run Run, note string) {
	s.Begun[run.ID] = true
	s.emitRun(run, Report{Kind: DidStart, Note: note})
}

func (s *step) startFailed(e StartFailed) {
	run, ok := s.Runs[e.Run]
	if !ok {
		return
	}
	s.close(e.Run)
	if run.Phase == RunStopping {
		s.emitRun(run, Report{Kind: Stopped, Cause: CauseOrder, Note: e.Note})
		s.end(run)
		return
	}
	s.emitRun(run, Report{Kind: StartFail, Note: e.Note})
	s.end(run)
	s.backOff(run)
}

func (s *step) exited(e Exited) {
	run, ok := s.Runs[e.Run]
	if !ok {
		return
	}
	s.close(e.Run)
	kind := Stopped
	if e.Cause == CauseSelf || e.Cause == CauseReboot {
		kind = DidExit
	}
	s.emitRun(run, Report{Kind: kind, ExitCode: e.Code, Cause: e.Cause, Saved: e.Saved, Note: e.Note})
	s.end(run)
	if e.Cause == CauseSelf {
		s.backOff(run)
	}
}

// keptClosed is how many ended runs are remembered; their directories are
// released within moments of the report.
const keptClosed = 64

func (s *step) close(id RunID) {
	delete(s.Runs, id)
	delete(s.Begun, id)
	closed := append(slices.Clone(s.Closed), id)
	s.Closed, s.dirty = closed[max(len(closed)-keptClosed, 0):], true
}

// end closes an epoch for training for good.
func (s *step) end(run Run) {
	if run.Kind != workload.Training {
		return
	}
	for i, d := range run.Devices {
		if s.Ended[d] < run.Epochs[i] {
			s.Ended[d], s.dirty = run.Epochs[i], true
		}
	}
}

// Mining that fails is tried again after 1 s, 2 s, 4 s ... 64 s; a run that
// lasted a minute clears the account.
const (
	firstWait = time.Second
	steady    = time.Minute
)

func (s *step) backOff(run Run) {
	if run.Kind != workload.Mining {
		return
	}
	for _, d := range run.Devices {
		failures := s.waits[d].failures
		if run.Phase != RunStarting && s.now.Boot-run.Began >= steady {
			failures = 0
		}
		s.waits[d] = wait{failures: failures + 1, until: s.now.Boot + firstWait<<min(failures, 6)}
	}
}

func (s *step) raise(d workload.DeviceID, e workload.Epoch) {
	if s.Epochs[d] < e {
		s.Epochs[d], s.dirty = e, true
	}
}

// curfewSlack is how much earlier a curfew must have become before a lease is cut
// short for it: clocks that are told anew differ by some milliseconds.
const curfewSlack = 250 * time.Millisecond

// extend moves the leases of what the plan still wants, counting from when the
// leader was certainly still there. A move of less than a twentieth of a lease,
// or of half of what is left of it, waits: it would cost a message to every shim
// each heartbeat, and a lease that ends a little early is safe. A miner's lease
// is cut short by a ban that was not known when it was given.
func (s *step) extend() {
	if s.Expired(s.now) {
		return
	}
	for _, id := range s.RunIDs() {
		run := s.Runs[id]
		if run.Phase != RunRunning {
			continue
		}
		limit := s.leaseLimit(run)
		if run.Deadline-curfewSlack > limit {
			s.lease(run, limit, true)
			continue
		}
		deadline := min(s.Heard+run.Lease, limit)
		worth := max(curfewSlack, min(run.Lease/20, (run.Deadline-s.now.Boot)/2))
		if s.Heard < 0 || !s.Live || deadline < run.Deadline+worth || !s.wanted(run) {
			continue
		}
		s.lease(run, deadline, false)
	}
}

func (s *step) lease(run Run, deadline time.Duration, exact bool) {
	run.Deadline = deadline
	s.Runs[run.ID] = run
	s.do(Extend{Run: run.ID, Deadline: deadline, Epoch: run.Epoch(), Exact: exact})
}

// leaseLimit is what no lease of a run may exceed. Training has none: bans are
// about mining, and its leases are short.
func (s *step) leaseLimit(run Run) time.Duration {
	if run.Kind != workload.Mining {
		return math.MaxInt64
	}
	return s.curfew(s.now, run.StopGrace)
}

// wanted reports whether the plan grants exactly this run.
func (s *step) wanted(run Run) bool {
	for i, d := range run.Devices {
		a, ok := s.assignment(d)
		if !ok || a.Epoch != run.Epochs[i] || a.Hold || !s.fits(run, a) {
			return false
		}
	}
	return true
}

func (s *step) assignment(d workload.DeviceID) (workload.Assignment, bool) {
	if s.Plan == nil {
		return workload.Assignment{}, false
	}
	i := slices.IndexFunc(s.Plan.Assignments, func(a workload.Assignment) bool { return a.Device == d })
	if i < 0 {
		return workload.Assignment{}, false
	}
	return s.Plan.Assignments[i], true
}
