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
	s.putJob(job)
	s.settleDependency(job.ID)
	s.forget()
	return Result{Job: job.ID}
}

// Fits reports whether the fleet as registered could ever hold the narrowest
// form of a gang, with an error that says what is missing. It stops counting as
// soon as there is enough, so that only a refusal looks at the whole fleet.
func (s *State) Fits(spec workload.Spec) *workload.Error {
	need, p := spec.Gang.GPUs, spec.Gang.PerNode
	if e := spec.Gang.Elastic; e != nil {
		need = e.Min
	}
	fit, trainable, nodes := 0, 0, 0
	for _, n := range s.Nodes { // counts and a yes or no: order does not matter
		here := 0
		for _, id := range n.Devices {
			d := s.Devices[id]
			if d.Trainable() {
				trainable++
			}
			if Eligible(spec, d) {
				here++
			}
		}
		fit += here
		if p > 0 && here >= p {
			nodes++
		}
		if fit >= need && (p <= 0 || nodes*p >= need) {
			return nil
		}
	}
	if fit < need {
		return workload.Errorf(workload.Invalid, "gang.gpus: the job needs %d GPUs at once, the fleet has %d that fit (of %d)", need, fit, trainable).
			Hint("ask for fewer GPUs, or name other models; sluice gpu list shows what there is")
	}
	return workload.Errorf(workload.Invalid, "gang.perNode: the job needs %d nodes with %d GPUs each, the fleet has %d", (need+p-1)/p, p, nodes).
		Hint("ask for fewer GPUs a node")
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
	newest := workload.JobID(0)
	for id, j := range s.Jobs { // a maximum: order does not matter
		if id > newest && j.Spec.Name == idOrName {
			newest = id
		}
	}
	if newest > 0 {
		return newest, nil
	}
	return 0, workload.Errorf(workload.NotFound, "there is no job named %q", idOrName).Hint("sluice job list --all")
}

// settleDependency moves a job between Waiting and Queued, or cancels it when
// what it waits on can no longer succeed.
func (s *State) settleDependency(id workload.JobID) {
	j := s.Jobs[id]
	for _, after := range j.Spec.After {
		on, err := s.FindJob(after.Job)
		if err != nil {
			continue // cannot be: a job is kept while others wait on it
		}
		other := s.Jobs[on]
		switch {
		case !other.Phase.Final():
			if j.Phase != workload.Waiting {
				s.Waiting = append(s.Waiting, id) // the newest job, so that the list ascends
			}
			j.Phase, j.Reason = workload.Waiting, workload.Why(workload.CodeWaitsOn, workload.Name("job", after.Job))
			s.putJob(j)
			return
		case after.On != "end" && other.Phase != workload.Succeeded:
			j.Phase, j.Ended = workload.Cancelled, s.At
			j.Reason = workload.Why(workload.CodeWaitsOn, workload.Name("job", after.Job), workload.Name("ended", string(other.Phase)))
			s.putJob(j)
			s.Finished = append(s.Finished, id)
			return
		}
	}
	if j.Phase == workload.Waiting {
		j.Phase, j.Reason, j.Queued = workload.Queued, workload.Why(workload.CodeNew), s.At
		s.putJob(j)
	}
}

// settleDependents looks at every waiting job once. A job can only wait on an
// older one, so that in ascending order one pass carries an end as far as it
// goes.
func (s *State) settleDependents() {
	var still []workload.JobID
	for _, id := range s.Waiting {
		if s.Jobs[id].Phase == workload.Waiting {
			s.settleDependency(id)
		}
		if s.Jobs[id].Phase == workload.Waiting {
			still = append(still, id)
		}
	}
	s.Waiting = still
}

// ended notes that a job has reached a final phase: those that wait on it are
// settled and jobs that ended long ago are forgotten.
func (s *State) ended(id workload.JobID) {
	s.Finished = append(s.Finished, id)
	s.settleDependents()
	s.forget()
}

// forget drops the jobs that ended longest ago, a tenth at a time. What a
// waiting job still needs stays, and so does a cancelled job whose processes
// are still being stopped. Ids are never used again, and the history holds
// every job for good.
func (s *State) forget() {
	if len(s.Finished) <= FinishedKept+FinishedKept/10 {
		return
	}
	needed := map[string]bool{}
	for _, id := range s.Waiting {
		for _, after := range s.Jobs[id].Spec.After {
			needed[after.Job] = true
		}
	}
	drop := len(s.Finished) - FinishedKept
	var kept []workload.JobID
	for _, id := range s.Finished {
		a, tried := s.Jobs[id].Current()
		if drop > 0 && !needed[id.String()] && (!tried || a.Phase.Final()) {
			s.dropJob(id)
			drop--
			continue
		}
		kept = append(kept, id)
	}
	s.Finished = kept
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
	s.putJob(j)
	s.stop(c.Job, why, false)
	s.ended(c.Job)
	return Result{Job: c.Job}
}
