package state

import (
	"cmp"
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// applyNode takes a node's own account of itself. What it says runs is the
// truth; what the state believed and the node does not confirm no longer runs.
func (s *State) applyNode(c NodeRegistered) Result {
	if !workload.ValidName(string(c.Node)) {
		return refuse(workload.Errorf(workload.Invalid, "%q is not a node name", c.Node))
	}
	old, known := s.Nodes[c.Node]
	rebooted := known && old.Boot != c.Boot
	node := Node{ID: c.Node, Site: c.Site, Hall: c.Hall, Rack: c.Rack, Boot: c.Boot, Instance: c.Instance,
		Version: c.Version, Address: c.Address, Sim: c.Sim, LastSeq: old.LastSeq, Devices: slices.Clone(old.Devices), Touched: s.Index}

	running := map[workload.DeviceID]Running{}
	for _, r := range c.Running {
		for _, id := range r.Devices {
			running[id] = r
		}
	}
	present := map[workload.DeviceID]bool{}
	for _, desc := range c.Devices {
		if desc.ID.Node() != c.Node || desc.ID.Slot() < 0 {
			continue // a node speaks only for its own devices
		}
		present[desc.ID] = true
		d, seen := s.Devices[desc.ID]
		if !seen {
			node.Devices = append(node.Devices, desc.ID)
			d = Device{Use: workload.Use{Kind: workload.Parked}, Assigned: workload.Use{Kind: workload.Parked},
				Epoch: workload.Epoch(s.Index), AssignedAt: s.At, Reason: workload.Why(workload.CodeNew)}
		}
		d.Device, d.Node, d.Site, d.Hall, d.Rack = desc, c.Node, c.Site, c.Hall, c.Rack
		r, runs := running[desc.ID]
		d.Busy, d.Pid = runs, 0
		switch {
		case runs && r.Epoch == d.Epoch:
			d.Use, d.Pid = d.Assigned, r.Pid
		case runs || d.Assigned.Kind != workload.Parked:
			d.Use = workload.Use{Kind: workload.Draining}
		default:
			d.Use = workload.Use{Kind: workload.Parked}
		}
		s.put(d)
	}
	slices.SortFunc(node.Devices, func(a, b workload.DeviceID) int { return cmp.Compare(a.Slot(), b.Slot()) })
	s.Nodes[c.Node] = node
	for _, id := range node.Devices {
		if !present[id] {
			d := s.Devices[id]
			d.Use, d.Busy, d.Note = workload.Use{Kind: workload.Offline}, false, "its driver no longer lists it"
			s.put(d)
		}
	}
	if rebooted {
		for _, id := range s.JobIDs() {
			s.endHere(id, c.Node, "reboot")
		}
	}
	return Result{}
}

// endHere ends the part of a job's attempt that ran on a node and cannot run
// any more.
func (s *State) endHere(id workload.JobID, node workload.NodeID, cause string) {
	a, ok := s.Jobs[id].Current()
	if !ok || a.Phase.Final() {
		return
	}
	for _, dev := range a.Devices {
		if dev.Node() == node {
			s.endedOn(id, a.Number, node, 1, false, cause)
			return
		}
	}
}

func (s *State) applyDevices(c DevicesChanged) Result {
	if _, ok := s.Nodes[c.Node]; !ok {
		return refuse(workload.Errorf(workload.NotFound, "node %s is not registered", c.Node))
	}
	for _, desc := range c.Devices {
		if d, seen := s.Devices[desc.ID]; seen && d.Node == c.Node {
			d.Device = desc
			s.put(d)
		}
	}
	return Result{}
}

// applySilent marks nodes unknown. A gang that was only being assembled there
// is given up at once: none of its ranks has been released to start.
func (s *State) applySilent(c NodesSilent) Result {
	for _, id := range c.Nodes {
		node, ok := s.Nodes[id]
		if !ok || node.Silent {
			continue
		}
		node.Silent = true
		s.Nodes[id] = node
		for _, dev := range node.Devices {
			d := s.Devices[dev]
			if d.Use.Kind != workload.Offline {
				d.Use = workload.Use{Kind: workload.Unknown}
				s.put(d)
			}
		}
		for _, job := range s.JobIDs() {
			a, ok := s.Jobs[job].Current()
			if ok && a.Phase == workload.Reserved && slices.ContainsFunc(a.Devices, func(d workload.DeviceID) bool { return d.Node() == id }) {
				s.finish(job, workload.Lost, workload.Why(workload.CodeSilent, workload.Name("node", string(id))))
			}
		}
	}
	return Result{}
}

// applyLost ends an attempt whose lease has run out unheard: its processes have
// certainly been stopped by their shims, so its devices may be given anew.
func (s *State) applyLost(c AttemptLost) Result {
	a, ok := s.Jobs[c.Job].Current()
	if !ok || a.Number != c.Attempt || a.Phase.Final() {
		return refuse(workload.Errorf(workload.Conflict, "attempt %d of job %d is already over", c.Attempt, c.Job))
	}
	s.finish(c.Job, workload.Lost, workload.Why(workload.CodeLost))
	return Result{}
}

// applyEvents takes a node's journal in order, each event once.
func (s *State) applyEvents(c WorkloadsReported) Result {
	node, ok := s.Nodes[c.Node]
	if !ok {
		return refuse(workload.Errorf(workload.NotFound, "node %s is not registered", c.Node))
	}
	for _, e := range c.Events {
		if e.Seq <= node.LastSeq {
			continue
		}
		node.LastSeq = e.Seq
		s.Nodes[c.Node] = node
		if e.Device.Node() == c.Node {
			s.applyEvent(e)
		}
	}
	return Result{}
}

func (s *State) applyEvent(e WorkloadEvent) {
	d, seen := s.Devices[e.Device]
	if !seen {
		return
	}
	if e.Job != 0 {
		s.applyTrainingEvent(d, e)
		return
	}
	current := e.Epoch == d.Epoch
	switch e.Kind {
	case EventFreed:
		d.Busy, d.Pid = false, 0
		if current && d.Use.Kind != workload.Unknown {
			d.Use = workload.Use{Kind: workload.Draining}
			if d.Assigned.Kind == workload.Parked {
				d.Use = d.Assigned
			}
		}
		s.put(d)
		if current && d.Assigned.Kind == workload.Training {
			s.seatFreed(d)
		}
	case EventStarted:
		if !current {
			return // it is already being stopped again
		}
		d.Use, d.Busy, d.Pid, d.Failures = d.Assigned, true, e.Pid, 0
		s.put(d)
	case EventStopped, EventExited:
		d.Busy, d.Pid = false, 0
		if d.Assigned.Kind == workload.Parked {
			d.Use = d.Assigned
		} else {
			d.Use = workload.Use{Kind: workload.Draining}
		}
		s.put(d)
	case EventStartFailed:
		if !current {
			return
		}
		d.Busy, d.Pid = false, 0
		d.Failures++
		d.NotBefore = s.Wall + backoff(d.Failures)
		s.order(d, workload.Use{Kind: workload.Parked}, Work{}, workload.Why(workload.CodeStartFailed,
			workload.Count("failures", int64(d.Failures)), workload.Name("because", e.Note)), 0)
	}
}

// backoff doubles from 10 s to 10 min, by the real clock.
func backoff(failures int) workload.Instant {
	return workload.Instant(min(10_000<<min(max(failures-1, 0), 10), 600_000))
}

func (s *State) applyTrainingEvent(d Device, e WorkloadEvent) {
	switch e.Kind {
	case EventFreed:
		d.Busy = false
		s.put(d)
		if e.Epoch == d.Epoch {
			s.seatFreed(d)
		}
	case EventStarted:
		s.startedOn(e.Job, e.Attempt, e.Device.Node(), e.Pid)
	case EventStopped, EventExited:
		s.endedOn(e.Job, e.Attempt, e.Device.Node(), e.Code, e.Saved, e.Cause)
	case EventStartFailed:
		code := e.Code
		if code == 0 {
			code = 127
		}
		s.endedOn(e.Job, e.Attempt, e.Device.Node(), code, false, e.Note)
	}
}
