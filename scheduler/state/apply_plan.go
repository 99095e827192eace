package state

import (
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// applyPlan takes each part of a plan whose devices are still at the epoch it
// was decided on, per group all or nothing, and returns the rest.
func (s *State) applyPlan(p Plan) Result {
	c := &planCheck{s: s, p: p, bad: map[int]bool{}, taken: map[workload.DeviceID]bool{}, stopped: map[workload.JobID]bool{}, started: map[workload.JobID]bool{}}
	parts := c.check()
	for _, st := range parts.stops {
		s.stop(st.Job, st.Reason, st.Reason.Code != workload.CodeTimeLimit)
	}
	for _, m := range parts.moves {
		s.order(s.Devices[m.Device], m.Use, m.Work, m.Reason, s.Index)
	}
	for _, st := range parts.starts {
		s.start(st)
	}
	for _, w := range p.Waits {
		if j, ok := s.Jobs[w.Job]; ok && (j.Phase == workload.Queued) {
			j.Reason = w.Reason
			s.putJob(j)
		}
	}
	for _, r := range p.Reasons {
		if d, ok := s.Devices[r.Device]; ok && d.Epoch == r.Epoch {
			d.Reason, d.Plan = r.Reason, s.Index
			s.put(d)
		}
	}
	if p.Baseline != nil {
		s.Book.Base = *p.Baseline
	}
	moves := len(parts.moves)
	for _, st := range parts.starts {
		moves += len(st.Devices)
	}
	s.Plan = PlanRecord{ID: s.Index, At: s.At, PlanSummary: p.PlanSummary, Moves: moves}
	return Result{Refused: c.refused}
}

func (s *State) start(st Start) {
	j := s.Jobs[st.Job]
	n := len(st.Devices)
	last, _ := j.Current()
	a := Attempt{Number: last.Number + 1, Phase: workload.Reserved, Epoch: workload.Epoch(s.Index), Created: s.At,
		Freed: make([]bool, n), Up: make([]bool, n), Done: make([]bool, n), Reason: st.Reason}
	for rank, seat := range st.Devices {
		a.Devices = append(a.Devices, seat.Device)
		s.order(s.Devices[seat.Device], workload.Use{Kind: workload.Training, Job: st.Job, Rank: rank}, seat.Work, st.Reason, s.Index)
	}
	j.Attempts = append(slices.Clone(j.Attempts[max(0, len(j.Attempts)-AttemptsKept+1):]), a)
	j.Phase, j.Reason = workload.Active, st.Reason
	s.putJob(j)
}

// planCheck finds out which parts of a plan still apply, before any does.
type planCheck struct {
	s       *State
	p       Plan
	bad     map[int]bool               // groups that do not apply
	stopped map[workload.JobID]bool    // jobs whose attempt this plan stops
	started map[workload.JobID]bool    // jobs that this plan starts
	taken   map[workload.DeviceID]bool // devices that a part has claimed
	refused []Refusal
}

type planParts struct {
	stops  []Stop
	moves  []Move
	starts []Start
}

// check runs until no further group falls: a group that falls may take the
// stops with it that another part relied on.
func (c *planCheck) check() planParts {
	for {
		before := len(c.bad)
		parts := c.pass()
		if len(c.bad) == before {
			return parts
		}
	}
}

func (c *planCheck) pass() planParts {
	clear(c.taken)
	clear(c.stopped)
	clear(c.started)
	c.refused = nil
	var out planParts
	for _, st := range c.p.Stops {
		a, ok := c.s.Jobs[st.Job].Current()
		if ok && a.Number == st.Attempt && !a.Phase.Final() && a.Phase != workload.Stopping && !c.bad[st.Group] {
			c.stopped[st.Job] = true
			out.stops = append(out.stops, st)
			continue
		}
		c.refuse(st.Group, Refusal{Job: st.Job, Text: "its attempt has ended meanwhile"})
	}
	for _, m := range c.p.Moves {
		text := "may only be moved to mine or to park"
		if m.Use.Kind == workload.Mining || m.Use.Kind == workload.Parked {
			text = c.claim(m.Device, m.Epoch, m.Group, m.Work)
		}
		if text != "" {
			c.refuse(m.Group, Refusal{Device: m.Device, Text: text})
			continue
		}
		out.moves = append(out.moves, m)
	}
	for _, st := range c.p.Starts {
		if text := c.checkStart(st); text != "" {
			c.refuse(st.Group, Refusal{Job: st.Job, Text: text})
			continue
		}
		c.started[st.Job] = true
		out.starts = append(out.starts, st)
	}
	return out
}

func (c *planCheck) checkStart(st Start) string {
	j, ok := c.s.Jobs[st.Job]
	switch {
	case !ok || j.Phase != workload.Queued:
		return "the job is no longer queued"
	case c.started[st.Job]:
		return "the plan starts the job twice"
	case !slices.Contains(j.Spec.Gang.Widths(), len(st.Devices)):
		return "the gang is not of a width the job can run at"
	case c.bad[st.Group]:
		return "another part of its group no longer applies"
	}
	for _, seat := range st.Devices {
		if text := c.claim(seat.Device, seat.Epoch, st.Group, seat.Work); text != "" {
			return string(seat.Device) + " " + text
		}
		if d := c.s.Devices[seat.Device]; !d.Usable() || !Eligible(j.Spec, d) {
			return string(seat.Device) + " can no longer train it"
		}
	}
	return ""
}

// claim reserves a device for one part, or says why it cannot be had.
func (c *planCheck) claim(id workload.DeviceID, epoch workload.Epoch, group int, work Work) string {
	d, ok := c.s.Devices[id]
	switch {
	case !ok:
		return "is not known"
	case c.bad[group]:
		return "another part of its group no longer applies"
	case d.Epoch != epoch:
		return "was given to something else meanwhile"
	case c.taken[id]:
		return "stands in the plan twice"
	case work.Watts < 0 || work.Hash < 0 || work.Rate < 0:
		return "would draw or earn less than nothing"
	case d.Assigned.Kind == workload.Training && !c.stopped[d.Assigned.Job]:
		return "trains a job that the plan does not stop"
	}
	c.taken[id] = true
	return ""
}

func (c *planCheck) refuse(group int, r Refusal) {
	if group > 0 {
		c.bad[group] = true
	}
	c.refused = append(c.refused, r)
}
