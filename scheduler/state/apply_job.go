package state

import (
	"slices"
	"strconv"

	"github.com/sluice-project/sluice/workload"
)

func (s *State) applySubmit(c JobSubmitted, actor string) Result {
	spec := c.Spec.Default()
	if ps := spec.Validate(); len(ps) > 0 {
		return refuse(workload.Errorf(workload.Invalid, "%s %s", ps[0].Path, ps[0].Text))
	}
	if err := s.Fits(spec); err != nil {
		return refuse(err)
	}
	job := Job{ID: s.NextJob, Spec: spec, YAML: c.YAML, Actor: actor, Phase: workload.Queued,
		Reason: workload.Why(workload.CodeNew), Submitted: s.At}
	for i, after := range spec.After {
		id, err := s.FindJob(after.Job)
		if err != nil {
			return refuse(err)
		}
		job.Spec.After = slices.Clone(job.Spec.After)
		job.Spec.After[i].Job = id.String()
	}
	s.NextJob++
	s.Jobs[job.ID] = job
	s.settleDependency(job.ID)
	return Result{Job: job.ID}
}

// Fits reports whether the fleet as registered could ever hold the narrowest
// form of a gang, with an error that says what is missing.
func (s *State) Fits(spec workload.Spec) *workload.Error {
	fit, trainable := 0, 0
	perNode := map[workload.NodeID]int{}
	for _, d := range s.Devices {
		if !d.Trainable() {
			continue
		}
		trainable++
		if Eligible(spec, d) {
			fit++
			perNode[d.Node]++
		}
	}
	need := spec.Gang.GPUs
	if e := spec.Gang.Elastic; e != nil {
		need = e.Min
	}
	if fit < need {
		return workload.Errorf(workload.Invalid, "gang.gpus: the job needs %d GPUs at once, the fleet has %d that fit (of %d)", need, fit, trainable).
			Hint("ask for fewer GPUs, or name other models; sluice gpu list shows what there is")
	}
	if p := spec.Gang.PerNode; p > 0 {
		nodes := 0
		for _, n := range perNode {
			if n >= p {
				nodes++
			}
		}
		if nodes*p < need {
			return workload.Errorf(workload.Invalid, "gang.perNode: the job needs %d nodes with %d GPUs each, the fleet has %d", (need+p-1)/p, p, nodes).
				Hint("ask for fewer GPUs a node")
		}
	}
	return nil
}

// Eligible reports whether a device is of the kind a gang asks for, whatever it
// does now.
func Eligible(spec workload.Spec, d Device) bool {
	g := spec.Gang
	return d.Trainable() && (len(g.Models) == 0 || slices.Contains(g.Models, d.Model)) &&
		d.Memory >= g.Memory && (g.Site == "" || g.Site == d.Site)
}

// FindJob resolves an id, or the name of the newest job that bears it.
func (s *State) FindJob(idOrName string) (workload.JobID, *workload.Error) {
	if n, err := strconv.ParseUint(idOrName, 10, 64); err == nil {
		if _, ok := s.Jobs[workload.JobID(n)]; ok {
			return workload.JobID(n), nil
		}
		return 0, workload.Errorf(workload.NotFound, "there is no job %s", idOrName).Hint("sluice job list --all")
	}
	ids := s.JobIDs()
	for i := len(ids) - 1; i >= 0; i-- {
		if s.Jobs[ids[i]].Spec.Name == idOrName {
			return ids[i], nil
		}
	}
	return 0, workload.Errorf(workload.NotFound, "there is no job named %q", idOrName).Hint("sluice job list --all")
}

// settleDependency moves a job between Waiting and Queued, or cancels it when
// what it waits on can no longer succeed.
func (s *State) settleDependency(id workload.JobID) {
	j := s.Jobs[id]
	if j.Phase != workload.Queued && j.Phase != workload.Waiting {
		return
	}
	for _, after := range j.Spec.After {
		on, err := s.FindJob(after.Job)
		if err != nil {
			continue
		}
		other := s.Jobs[on]
		switch {
		case !other.Phase.Final():
			j.Phase, j.Reason = workload.Waiting, workload.Why(workload.CodeWaitsOn, workload.Name("job", after.Job))
			s.Jobs[id] = j
			return
		case after.On != "end" && other.Phase != workload.Succeeded:
			j.Phase, j.Ended = workload.Cancelled, s.At
			j.Reason = workload.Why(workload.CodeWaitsOn, workload.Name("job", after.Job), workload.Name("ended", string(other.Phase)))
			s.Jobs[id] = j
			s.settleDependents()
			return
		}
	}
	if j.Phase == workload.Waiting {
		j.Phase, j.Reason = workload.Queued, workload.Why(workload.CodeNew)
		s.Jobs[id] = j
	}
}

func (s *State) settleDependents() {
	for _, id := range s.JobIDs() {
		if s.Jobs[id].Phase == workload.Waiting {
			s.settleDependency(id)
		}
	}
}

func (s *State) applyCancel(c JobCancelled) Result {
	j, ok := s.Jobs[c.Job]
	switch {
	case !ok:
		return refuse(workload.Errorf(workload.NotFound, "there is no job %d", c.Job).Hint("sluice job list --all"))
	case j.Phase == workload.Cancelled:
		return Result{Job: c.Job}
	case j.Phase.Final():
		return refuse(workload.Errorf(workload.Conflict, "job %d has already %s", c.Job, j.Phase))
	}
	why := workload.Why(workload.CodeCancelled)
	j.Phase, j.Reason, j.Ended = workload.Cancelled, why, s.At
	s.Jobs[c.Job] = j
	s.stop(c.Job, why, false)
	s.settleDependents()
	return Result{Job: c.Job}
}

// attempt replaces a job's newest attempt.
func (s *State) attempt(id workload.JobID, a Attempt) {
	j := s.Jobs[id]
	j.Attempts = slices.Clone(j.Attempts)
	j.Attempts[len(j.Attempts)-1] = a
	s.Jobs[id] = j
}

// stop takes the devices from a job's live attempt. What runs is stopped by the
// agents, who say when it is gone.
func (s *State) stop(id workload.JobID, why workload.Reason, preempted bool) {
	a, ok := s.Jobs[id].Current()
	if !ok || a.Phase.Final() || a.Phase == workload.Stopping {
		return
	}
	a.Reason, a.Preempted = why, preempted
	if a.Phase == workload.Reserved { // nothing of it has started
		s.attempt(id, a)
		s.finish(id, workload.Preempted, why)
		return
	}
	a.Phase = workload.Stopping
	s.attempt(id, a)
	s.release(id, a, why)
}

// release parks the devices that are still ordered to an attempt, under a new
// epoch, so that the next plan may use them.
func (s *State) release(id workload.JobID, a Attempt, why workload.Reason) {
	for _, dev := range a.Devices {
		if d := s.Devices[dev]; d.Assigned.Kind == workload.Training && d.Assigned.Job == id && d.Epoch == a.Epoch {
			s.order(d, workload.Use{Kind: workload.Parked}, Work{}, why, 0)
		}
	}
}

// seatFreed notes that a device is ready for its gang, and releases the ranks
// to start once all are.
func (s *State) seatFreed(d Device) {
	j, ok := s.Jobs[d.Assigned.Job]
	if !ok {
		return
	}
	a, ok := j.Current()
	if !ok || a.Phase != workload.Reserved || a.Epoch != d.Epoch {
		return
	}
	a.Freed = slices.Clone(a.Freed)
	for i, dev := range a.Devices {
		if dev == d.ID {
			a.Freed[i] = true
		}
	}
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
	j := s.Jobs[id]
	a, ok := j.Current()
	if !ok || a.Number != number || a.Phase.Final() {
		return
	}
	a.Up = slices.Clone(a.Up)
	for i, dev := range a.Devices {
		if dev.Node() != node {
			continue
		}
		a.Up[i] = true
		d := s.Devices[dev]
		d.Busy, d.Pid = true, pid
		if d.Epoch == a.Epoch && d.Use.Kind != workload.Unknown {
			d.Use, d.Failures = d.Assigned, 0
		}
		s.put(d)
	}
	if a.Phase == workload.Starting && !slices.Contains(a.Up, false) {
		a.Phase, a.Started = workload.Running, s.At
		if j.Started == 0 {
			j.Started = s.At
			s.Jobs[id] = j
		}
	}
	s.attempt(id, a)
}

// endedOn notes that a job's process on a node is gone. The gang policy: when
// one rank ends with an error the whole attempt ends; when all end well, the
// job has succeeded.
func (s *State) endedOn(id workload.JobID, number int, node workload.NodeID, code int, saved bool, cause string) {
	j := s.Jobs[id]
	a, ok := j.Current()
	if !ok || a.Number != number {
		return
	}
	a.Done = slices.Clone(a.Done)
	for i, dev := range a.Devices {
		if dev.Node() != node {
			continue
		}
		a.Done[i] = true
		d := s.Devices[dev]
		d.Busy, d.Pid = false, 0
		if d.Use.Kind != workload.Unknown {
			d.Use = workload.Use{Kind: workload.Draining}
			if d.Assigned.Kind == workload.Parked {
				d.Use = d.Assigned
			}
		}
		s.put(d)
	}
	if a.Phase.Final() {
		return
	}
	if code != 0 && a.Code == 0 {
		a.Code = code
	}
	a.Saved = a.Saved || saved
	s.attempt(id, a)
	switch {
	case cause == "reboot" || cause == "lease":
		s.finish(id, workload.Lost, workload.Why(workload.CodeLost, workload.Name("cause", cause), workload.Name("node", string(node))))
	case !slices.Contains(a.Done, false):
		phase := workload.Exited
		if a.Preempted {
			phase = workload.Preempted
		}
		why := workload.Why(workload.CodeExit, workload.Count("exit code", int64(a.Code)))
		if a.Phase == workload.Stopping {
			why = a.Reason
		}
		s.finish(id, phase, why)
	case code != 0 && a.Phase != workload.Stopping:
		a.Phase = workload.Stopping
		a.Reason = workload.Why(workload.CodeExit, workload.Count("exit code", int64(code)), workload.Name("node", string(node)))
		s.attempt(id, a)
		s.release(id, a, a.Reason)
	}
}

// finish ends an attempt for good and says what becomes of its job.
func (s *State) finish(id workload.JobID, phase workload.AttemptPhase, why workload.Reason) {
	j := s.Jobs[id]
	a, ok := j.Current()
	if !ok || a.Phase.Final() {
		return
	}
	a.Phase, a.Ended, a.Reason = phase, s.At, why
	s.attempt(id, a)
	s.release(id, a, workload.Why(workload.CodeFreed, workload.Name("job", id.String())))
	j = s.Jobs[id]
	for _, dev := range a.Devices {
		if a.Started != 0 && !slices.Contains(j.CheckpointNodes, dev.Node()) {
			j.CheckpointNodes = append(slices.Clone(j.CheckpointNodes), dev.Node())
		}
	}
	if !j.Phase.Final() {
		s.concludeJob(&j, a)
	}
	s.Jobs[id] = j
	if j.Phase.Final() {
		s.settleDependents()
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
			end(workload.Failed, workload.Why(workload.CodeRetries, workload.Count("attempts", int64(len(j.Attempts))), workload.Count("exit code", int64(a.Code))))
			return
		}
		j.Phase, j.Reason, j.NotBefore = workload.Queued, a.Reason, s.Wall+backoff(j.Failures)
	default: // preempted or lost: no fault of the job
		j.Phase, j.Reason = workload.Queued, a.Reason
	}
}
