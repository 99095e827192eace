package reconcile

import (
	"fmt"
	"slices"

	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/mining"
	"github.com/sluice-project/sluice/workload/training"
)

// DefaultSignal asks a workload to save and end.
const DefaultSignal = workload.DefaultSignal

// converge compares what runs with what the plan wants and takes every step
// that may be taken now. It is idempotent: at a fixed point it does nothing.
func (s *step) converge() {
	if s.Plan == nil {
		// A node that never had a plan, or lost it with its disk, has no
		// permission for mining; training is left to its lease.
		s.stopMining("no plan")
		return
	}
	assignments := slices.Clone(s.Plan.Assignments)
	slices.SortFunc(assignments, func(a, b workload.Assignment) int {
		if a.Device.Less(b.Device) {
			return -1
		}
		return 1
	})
	assignments = slices.CompactFunc(assignments, func(a, b workload.Assignment) bool { return a.Device == b.Device })

	// 1. Refuse what is too old; take note of the rest.
	granted := assignments[:0]
	for _, a := range assignments {
		if a.Device.Node() != s.Node {
			continue
		}
		if a.Epoch < s.Epochs[a.Device] {
			s.refuse(a)
			continue
		}
		granted = append(granted, a)
	}
	// 2. Stop what is not wanted.
	if s.Expired(s.now) {
		s.stopMining("the plan has expired")
		return
	}
	s.stopUnwanted(assignments, granted)
	// 3. Keep, free and start.
	for _, a := range granted {
		s.serve(a, granted)
	}
}

func (s *step) refuse(a workload.Assignment) {
	if s.refused[a.Device] == a.Epoch && a.Epoch != 0 {
		return
	}
	if _, said := s.refused[a.Device]; said && a.Epoch == 0 {
		return
	}
	s.refused[a.Device] = a.Epoch
	var job workload.JobID
	var attempt int
	if a.Train != nil {
		job, attempt = a.Train.Job, a.Train.Attempt
	}
	s.emit(Report{Kind: DidRefuse, Device: a.Device, Epoch: a.Epoch, Job: job, Attempt: attempt,
		Note: fmt.Sprintf("epoch %d is below %d", a.Epoch, s.Epochs[a.Device])})
}

// stop begins the end of a run, once.
func (s *step) stop(run Run, why string) {
	if run.Phase == RunStopping {
		return
	}
	run.Phase = RunStopping
	s.Runs[run.ID] = run
	signal := DefaultSignal
	if run.Train != nil && run.Train.Spec.Checkpoint.Signal != "" {
		signal = run.Train.Spec.Checkpoint.Signal
	}
	s.do(Stop{Run: run.ID, Signal: signal, Grace: run.StopGrace, Why: why})
}

func (s *step) stopMining(why string) {
	for _, id := range s.RunIDs() {
		if run := s.Runs[id]; run.Kind == workload.Mining {
			s.stop(run, why)
		}
	}
}

// stopUnwanted stops each run that some device of it is no longer granted to.
// A device whose assignment was refused keeps what it has: an old order must
// not stop what a newer one started.
func (s *step) stopUnwanted(all, granted []workload.Assignment) {
	for _, id := range s.RunIDs() {
		run := s.Runs[id]
		if run.Kind == workload.Mining && s.Banned(s.now, run.StopGrace) {
			s.stop(run, "a ban window is open")
			continue
		}
		// Under a plan of an earlier agent process nothing new is decided: a
		// plan this process was not sent may be older than what runs.
		for i, d := range run.Devices {
			g := slices.IndexFunc(granted, func(a workload.Assignment) bool { return a.Device == d })
			if g < 0 {
				if !slices.ContainsFunc(all, func(a workload.Assignment) bool { return a.Device == d }) && s.Live {
					s.stop(run, fmt.Sprintf("%s is not in the plan", d))
					break
				}
				continue
			}
			a := granted[g]
			if a.Epoch < run.Epochs[i] || (a.Epoch == run.Epochs[i] && !a.Hold && s.fits(run, a)) {
				continue
			}
			if run.Kind == workload.Mining && !a.Hold && s.fits(run, a) {
				continue // newer grant of equal work: taken over below
			}
			s.stop(run, fmt.Sprintf("%s shall be %s", d, a.Use))
			break
		}
	}
}

// fits reports whether a run already is what an assignment asks for.
func (s *step) fits(run Run, a workload.Assignment) bool {
	if run.Kind != a.Use.Kind {
		return false
	}
	switch run.Kind {
	case workload.Mining:
		return a.Mine != nil && run.Mine != nil && run.Option == a.Use.Option && mining.SameProcess(*run.Mine, *a.Mine)
	case workload.Training:
		return a.Train != nil && run.Train != nil && run.Train.Job == a.Train.Job && run.Train.Attempt == a.Train.Attempt
	}
	return false
}

// serve brings one granted device closer to its assignment.
func (s *step) serve(a workload.Assignment, granted []workload.Assignment) {
	run, busy := s.RunOn(a.Device)
	if busy {
		if run.Kind == workload.Mining && run.Phase == RunRunning && !a.Hold && run.Epochs[0] < a.Epoch && s.fits(run, a) {
			s.takeOver(run, a)
		}
		return
	}
	switch {
	case a.Hold, a.Use.Kind == workload.Parked, a.Use.Kind == "":
		if s.Freed[a.Device] < a.Epoch || (s.Freed[a.Device] == 0 && a.Hold) {
			s.raise(a.Device, a.Epoch)
			s.Freed[a.Device] = a.Epoch
			r := Report{Kind: Freed, Device: a.Device, Epoch: a.Epoch}
			if a.Train != nil {
				r.Job, r.Attempt = a.Train.Job, a.Train.Attempt
			}
			s.emit(r)
		}
	case a.Use.Kind == workload.Mining && a.Mine != nil:
		s.startMining(a)
	case a.Use.Kind == workload.Training && a.Train != nil:
		s.startTraining(a, granted)
	}
}

// takeOver keeps a miner running under a newer grant of the same work.
func (s *step) takeOver(run Run, a workload.Assignment) {
	s.raise(a.Device, a.Epoch)
	run.Epochs = []workload.Epoch{a.Epoch}
	run.Mine, run.Lease, run.StopGrace = a.Mine, a.Lease, a.StopGrace
	if s.Heard >= 0 {
		run.Deadline = min(s.Heard+a.Lease, s.leaseLimit(run))
	}
	s.Runs[run.ID] = run
	s.do(Adopt{Run: run})
	s.do(Extend{Run: run.ID, Deadline: run.Deadline, Epoch: a.Epoch})
	s.begun(run, "kept running")
}

// startMining starts a miner. It may without
// a leader, under an unexpired plan; its lease then counts from now.
func (s *step) startMining(a workload.Assignment) {
	w := s.waits[a.Device]
	if s.now.Boot < w.until || s.Banned(s.now, a.StopGrace) || a.Lease <= 0 {
		return
	}
	from := s.now.Boot
	if s.Live && s.Heard >= 0 {
		from = s.Heard
	}
	deadline := min(from+a.Lease, s.curfew(s.now, a.StopGrace))
	if deadline <= s.now.Boot {
		return
	}
	s.raise(a.Device, a.Epoch)
	s.Starts++
	s.dirty = true
	run := Run{ID: RunID(fmt.Sprintf("m%d-e%d-s%d", a.Device.Slot(), a.Epoch, s.Starts)), Devices: []workload.DeviceID{a.Device},
		Epochs: []workload.Epoch{a.Epoch}, Kind: workload.Mining, Option: a.Use.Option, Mine: a.Mine, Lease: a.Lease, StopGrace: a.StopGrace,
		Try: w.failures, Deadline: deadline}
	s.Runs[run.ID] = run
	s.do(Start{Run: run})
}

// startTraining starts the one process of a gang on this node, once every
// device of the gang here is granted, not held, and empty.
func (s *step) startTraining(a workload.Assignment, granted []workload.Assignment) {
	if !s.Live || s.Heard < 0 || s.Heard+a.Lease <= s.now.Boot {
		return
	}
	devices := training.OnNode(a.Train.Devices, s.Node)
	if len(devices) == 0 || !slices.Contains(devices, a.Device) {
		return
	}
	run := Run{Devices: devices, Kind: workload.Training, Train: a.Train, Lease: a.Lease, StopGrace: a.StopGrace, Deadline: s.Heard + a.Lease}
	for i, d := range devices {
		g := slices.IndexFunc(granted, func(b workload.Assignment) bool { return b.Device == d })
		if g < 0 || slices.Index(devices, d) != i {
			return
		}
		b := granted[g]
		if b.Hold || b.Use.Kind != workload.Training || b.Train == nil || b.Train.Job != a.Train.Job || b.Train.Attempt != a.Train.Attempt || b.Epoch <= s.Ended[d] {
			return
		}
		if _, busy := s.RunOn(d); busy {
			return
		}
		run.Epochs = append(run.Epochs, b.Epoch)
	}
	for i, d := range devices {
		s.raise(d, run.Epochs[i])
	}
	s.Starts++
	s.dirty = true
	run.ID = RunID(fmt.Sprintf("j%d-a%d-s%d", a.Train.Job, a.Train.Attempt, s.Starts))
	s.Runs[run.ID] = run
	s.do(Start{Run: run})
}
