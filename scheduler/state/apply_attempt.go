package state

import (
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// attempt replaces a job's newest attempt.
func (s *State) attempt(id workload.JobID, a Attempt) {
	j := s.Jobs[id]
	j.Attempts = slices.Clone(j.Attempts)
	j.Attempts[len(j.Attempts)-1] = a
	s.putJob(j)
}

// stop takes the devices from a job's live attempt. What runs is stopped by the
// agents, who say when it is gone.
func (s *State) stop(id workload.JobID, why workload.Reason, preempted bool) {
	a, ok := s.Jobs[id].Current()
	if !ok || a.Phase.Final() || a.Phase == workload.Stopping {
		return
	}
	a.Preempted = preempted
	if a.Phase == workload.Reserved { // nothing of it has started
		s.attempt(id, a)
		s.finish(id, workload.Preempted, why)
		return
	}
	s.halt(id, a, why)
}

// halt turns a live attempt to Stopping and parks its devices.
func (s *State) halt(id workload.JobID, a Attempt, why workload.Reason) {
	a.Phase, a.Reason = workload.Stopping, why
	s.attempt(id, a)
	s.release(id, a, why)
}

// release parks the devices that are still ordered to an attempt, under a new
// epoch, so that the next plan may use them. A device on which a rank may still
// run remembers whose it is.
func (s *State) release(id workload.JobID, a Attempt, why workload.Reason) {
	for i, dev := range a.Devices {
		if d := s.Devices[dev]; d.holds(id, a) {
			if a.Phase == workload.Stopping && !a.Done[i] {
				d.Leaving = id
			}
			s.order(d, workload.Use{Kind: workload.Parked}, Work{}, why, 0)
		}
	}
}

// holds reports whether the device is ordered to run a job's attempt.
func (d Device) holds(id workload.JobID, a Attempt) bool {
	return d.Assigned.Kind == workload.Training && d.Assigned.Job == id && d.Epoch == a.Epoch
}

// seatFreed notes that a device is ready for its gang, and releases the ranks
// to start once all are.
func (s *State) seatFreed(d Device) {
	j, ok := s.Jobs[d.Assigned.Job]
	if !ok {
		return
	}
	a, ok := j.Current()
	if !ok || a.Phase != workload.Reserved || !d.holds(j.ID, a) {
		return
	}
	a.Freed = slices.Clone(a.Freed)
	a.Freed[d.Assigned.Rank] = true
	if !slices.Contains(a.Freed, false) {
		a.Phase = workload.Starting
		for _, dev := range a.Devices {
			s.touch(dev.Node())
		}
	}
	s.attempt(j.ID, a)
}

// startedOn notes that a job's process on a node runs.
func (s *State) startedOn(id workload.JobID, number int, node workload.NodeID, pid int64) {
	a, ok := s.Jobs[id].Current()
	if !ok || a.Number != number || a.Phase.Final() || a.Phase == workload.Reserved {
		return // before the gang is free no rank may start, whatever a node says
	}
	a.Up = slices.Clone(a.Up)
	for i, dev := range a.Devices {
		if dev.Node() != node || a.Done[i] {
			continue
		}
		a.Up[i] = true
		d := s.Devices[dev]
		switch {
		case d.holds(id, a):
			d.Busy, d.Pid, d.Failures = true, pid, 0
			d.turn(d.Assigned)
		case !d.working(): // it was started before the order to stop arrived
			d.Busy, d.Pid = true, pid
			d.turn(workload.Use{Kind: workload.Draining})
		}
		s.put(d)
	}
	if a.Phase == workload.Starting && !slices.Contains(a.Up, false) {
		a.Phase, a.Started = workload.Running, s.At
		if j := s.Jobs[id]; j.Started == 0 {
			j.Started = s.At
			s.putJob(j)
		}
	}
	s.attempt(id, a)
}

// ending is how a job's process on a node came to its end.
type ending struct {
	code  int
	saved bool
	lost  bool   // by reboot or lease: no fault of the job
	cause string // for the reason
}

// endedOn notes that a job's process on a node is gone. The gang policy: when
// one rank ends with an error or is lost, the others are stopped, and the
// attempt ends when all are gone, so that no rank of the next attempt can run
// beside one of this; when all end well, the job has succeeded.
func (s *State) endedOn(id workload.JobID, number int, node workload.NodeID, e ending) {
	a, ok := s.Jobs[id].Current()
	if !ok || a.Number != number {
		return
	}
	a.Done = slices.Clone(a.Done)
	for i, dev := range a.Devices {
		if dev.Node() == node {
			a.Done[i] = true
			s.vacate(dev, id, a)
		}
	}
	if a.Phase.Final() {
		return
	}
	if a.Code == 0 && !e.lost {
		a.Code = e.code
	}
	a.Saved = a.Saved || e.saved
	s.attempt(id, a)
	s.advanceEnd(id, a, node, e)
}

// advanceEnd decides what the end of some ranks means for their attempt.
func (s *State) advanceEnd(id workload.JobID, a Attempt, node workload.NodeID, e ending) {
	why := workload.Why(workload.CodeExit, workload.Count("exit code", int64(a.Code)))
	switch {
	case e.lost && e.cause == causeFence:
		why = workload.Why(workload.CodeFenced, workload.Name("node", string(node)))
	case e.lost:
		why = workload.Why(workload.CodeLost, workload.Name("cause", e.cause), workload.Name("node", string(node)))
	case e.code != 0:
		why = workload.Why(workload.CodeExit, workload.Count("exit code", int64(e.code)), workload.Name("node", string(node)))
		if e.cause != "" {
			why.Code = workload.CodeStartFailed
			why.Figures = append(why.Figures, workload.Name("because", e.cause))
		}
	}
	if a.Phase == workload.Stopping {
		why = a.Reason // what began the end is its reason
	}
	switch {
	case slices.Contains(a.Done, false) && a.Phase != workload.Reserved:
		if a.Phase != workload.Stopping && (e.lost || e.code != 0) {
			s.halt(id, a, why)
		}
	case a.Preempted:
		s.finish(id, workload.Preempted, why)
	case why.Code == workload.CodeLost || why.Code == workload.CodeFenced:
		s.finish(id, workload.Lost, why)
	default:
		s.finish(id, workload.Exited, why)
	}
}

// vacate notes that no process of an attempt is left on a device. A device that
// meanwhile works for something else is not touched.
func (s *State) vacate(dev workload.DeviceID, id workload.JobID, a Attempt) {
	d, ok := s.Devices[dev]
	if !ok {
		return
	}
	if d.Leaving == id {
		d.Leaving = 0
	}
	if d.Epoch == a.Epoch || !d.working() {
		d.idle()
	}
	s.put(d)
}

// left ends the seat of an attempt that was told to leave a device, now that
// the device is known to be free of it.
func (s *State) left(dev workload.DeviceID) {
	id := s.Devices[dev].Leaving
	if id == 0 {
		return
	}
	d := s.Devices[dev]
	d.Leaving = 0
	s.put(d)
	a, ok := s.Jobs[id].Current()
	i := slices.Index(a.Devices, dev)
	if !ok || a.Phase != workload.Stopping || i < 0 {
		return
	}
	a.Done = slices.Clone(a.Done)
	a.Done[i] = true
	s.attempt(id, a)
	s.advanceEnd(id, a, dev.Node(), ending{})
}

// finish ends an attempt for good and says what becomes of its job.
func (s *State) finish(id workload.JobID, phase workload.AttemptPhase, why workload.Reason) {
	a, ok := s.Jobs[id].Current()
	if !ok || a.Phase.Final() {
		return
	}
	a.Phase, a.Ended, a.Reason = phase, s.At, why
	s.attempt(id, a)
	s.release(id, a, workload.Why(workload.CodeFreed, workload.Name("job", id.String())))
	j := s.Jobs[id]
	for _, dev := range a.Devices {
		if a.Started != 0 && !slices.Contains(j.CheckpointNodes, dev.Node()) {
			j.CheckpointNodes = append(slices.Clone(j.CheckpointNodes), dev.Node())
		}
	}
	concluded := false
	if !j.Phase.Final() {
		s.concludeJob(&j, a)
		concluded = j.Phase.Final()
	}
	s.putJob(j)
	if concluded {
		s.ended(id)
	}
}

func (s *State) concludeJob(j *Job, a Attempt) {
	end := func(phase workload.Phase, why workload.Reason) {
		j.Phase, j.Reason, j.Ended, j.ExitCode = phase, why, s.At, a.Code
	}
	switch {
	case a.Reason.Code == workload.CodeTimeLimit:
		end(workload.Failed, a.Reason)
	case a.Phase == workload.Exited && a.Code == 0:
		end(workload.Succeeded, a.Reason)
	case a.Phase == workload.Exited:
		j.Failures++
		if j.Failures >= j.Spec.Limits.Attempts {
			end(workload.Failed, workload.Why(workload.CodeRetries, workload.Count("attempts", int64(a.Number)), workload.Count("exit code", int64(a.Code))))
			return
		}
		j.Phase, j.Reason, j.NotBefore = workload.Queued, a.Reason, s.Wall+backoff(j.Failures)
	default: // preempted or lost: no fault of the job
		j.Phase, j.Reason = workload.Queued, a.Reason
	}
}
