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
		Version: c.Version, Address: c.Address, Sim: c.Sim, LastSeq: old.LastSeq, Devices: slices.Clone(old.Devices), Drivers: c.Drivers, Touched: s.Index}
	if old.fencedNow() && !rebooted {
		node.Fenced, node.FencedBy = old.Fenced, old.FencedBy
	}

	running := map[workload.DeviceID]Running{}
	for _, r := range c.Running {
		for _, id := range r.Devices {
			running[id] = r
		}
	}
	present := map[workload.DeviceID]bool{}
	for _, desc := range c.Devices {
		if slot := desc.ID.Slot(); slot < 0 || desc.ID != workload.NewDeviceID(c.Node, slot) {
			continue // a node speaks only for its own devices, each under its one name
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
		case node.fencedNow():
			d.Use = workload.Use{Kind: workload.Unknown}
		case runs && r.Epoch == d.Epoch && s.mayRun(d):
			d.Use, d.Pid = d.Assigned, r.Pid
		case runs || d.Assigned.Kind != workload.Parked:
			d.Use = workload.Use{Kind: workload.Draining}
		default:
			d.Use = workload.Use{Kind: workload.Parked}
		}
		s.put(d)
	}
	slices.SortFunc(node.Devices, func(a, b workload.DeviceID) int { return cmp.Compare(a.Slot(), b.Slot()) })
	s.putNode(node)
	for _, id := range node.Devices {
		if !present[id] {
			d := s.Devices[id]
			d.Use, d.Busy, d.Note = workload.Use{Kind: workload.Offline}, false, "its driver no longer lists it"
			s.put(d)
		}
	}
	if rebooted {
		for _, id := range s.jobsOn(node) {
			s.endHere(id, c.Node, "reboot")
		}
	}
	return Result{}
}

// mayRun reports whether a workload may run on the device under its epoch.
func (s *State) mayRun(d Device) bool {
	switch d.Assigned.Kind {
	case workload.Mining:
		return true
	case workload.Training:
		a, ok := s.Jobs[d.Assigned.Job].Current()
		return ok && a.Phase != workload.Reserved && d.holds(d.Assigned.Job, a)
	}
	return false
}

// jobsOn lists the jobs whose newest attempt may have a rank on a node,
// ascending.
func (s *State) jobsOn(node Node) []workload.JobID {
	var ids []workload.JobID
	for _, dev := range node.Devices {
		d := s.Devices[dev]
		if d.Assigned.Kind == workload.Training {
			ids = append(ids, d.Assigned.Job)
		}
		if d.Leaving != 0 {
			ids = append(ids, d.Leaving)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// endHere ends the part of a job's attempt that ran on a node and cannot run
// any more.
func (s *State) endHere(id workload.JobID, node workload.NodeID, cause string) {
	if a, ok := s.Jobs[id].Current(); ok && !a.Phase.Final() {
		s.endedOn(id, a.Number, node, ending{lost: true, cause: cause})
	}
}

func (s *State) applyDevices(c DevicesChanged) Result {
	node, ok := s.Nodes[c.Node]
	if !ok {
		return refuse(workload.Errorf(workload.NotFound, "node %s is not registered", c.Node))
	}
	if c.Drivers != nil {
		node.Drivers = c.Drivers
		s.putNode(node)
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
		s.putNode(node)
		for _, dev := range node.Devices {
			d := s.Devices[dev]
			if d.Use.Kind != workload.Offline {
				d.Use = workload.Use{Kind: workload.Unknown}
				s.put(d)
			}
		}
		for _, job := range s.jobsOn(node) {
			a, ok := s.Jobs[job].Current()
			if ok && a.Phase == workload.Reserved {
				s.finish(job, workload.Lost, workload.Why(workload.CodeSilent, workload.Name("node", string(id))))
			}
		}
	}
	return Result{}
}

// applyLost ends the ranks of an attempt whose lease has run out unheard: on
// the nodes that are silent their shims have certainly stopped them. Ranks on
// nodes that answer may still run, so they are stopped first, and the attempt
// is over when they have gone.
func (s *State) applyLost(c AttemptLost) Result {
	a, ok := s.Jobs[c.Job].Current()
	if !ok || a.Number != c.Attempt || a.Phase.Final() {
		return refuse(workload.Errorf(workload.Conflict, "attempt %d of job %d is already over", c.Attempt, c.Job))
	}
	var silent []workload.NodeID
	for _, dev := range a.Devices {
		if n := dev.Node(); s.Nodes[n].Silent && !slices.Contains(silent, n) {
			silent = append(silent, n)
		}
	}
	if len(silent) == 0 {
		return refuse(workload.Errorf(workload.Conflict, "every node of attempt %d of job %d is heard", c.Attempt, c.Job))
	}
	for _, n := range silent {
		s.endHere(c.Job, n, "lease")
	}
	return Result{}
}

// applyEvents takes a node's journal in order, each event once.
func (s *State) applyEvents(c WorkloadsReported) Result {
	if _, ok := s.Nodes[c.Node]; !ok {
		return refuse(workload.Errorf(workload.NotFound, "node %s is not registered", c.Node))
	}
	for _, e := range c.Events {
		node := s.Nodes[c.Node] // anew: an event may have changed the node's orders
		if e.Seq <= node.LastSeq {
			continue
		}
		node.LastSeq = e.Seq
		s.putNode(node)
		if d, seen := s.Devices[e.Device]; seen && d.Node == c.Node {
			s.applyEvent(d, e)
		}
	}
	return Result{}
}

// applyEvent takes one event of a device. An event of an earlier epoch speaks
// of a workload that was ended since: it may tell that the device became free,
// but never touches a device that already works under a later one.
func (s *State) applyEvent(d Device, e WorkloadEvent) {
	if e.Epoch > d.Epoch {
		return // no such order was ever given
	}
	current := e.Epoch == d.Epoch
	switch {
	case e.Kind == EventFreed:
		if !current || d.working() {
			return
		}
		d.idle()
		s.put(d)
		s.left(d.ID)
		s.seatFreed(s.Devices[d.ID])
	case e.Job != 0:
		s.applyTrainingEvent(e)
	case e.Kind == EventStarted:
		if !current || d.Assigned.Kind != workload.Mining {
			return // it is already being stopped again
		}
		d.Busy, d.Pid, d.Failures = true, e.Pid, 0
		d.turn(d.Assigned)
		s.put(d)
		s.left(d.ID)
	case e.Kind == EventStopped || e.Kind == EventExited:
		if current || !d.working() {
			d.idle()
			s.put(d)
		}
	case e.Kind == EventStartFailed:
		if !current || d.Assigned.Kind == workload.Training {
			return
		}
		d.idle()
		d.Failures++
		d.NotBefore = s.Wall + backoff(d.Failures)
		s.order(d, workload.Use{Kind: workload.Parked}, Work{}, workload.Why(workload.CodeStartFailed,
			workload.Count("failures", int64(d.Failures)), workload.Name("because", e.Note)), 0)
		s.left(d.ID)
	}
}

// working reports whether the device is known to run what its newest epoch
// orders.
func (d Device) working() bool { return d.Busy && d.Use == d.Assigned }

// idle notes that nothing of ours runs on the device.
func (d *Device) idle() {
	d.Busy, d.Pid = false, 0
	if d.Assigned.Kind == workload.Parked {
		d.turn(d.Assigned)
	} else {
		d.turn(workload.Use{Kind: workload.Draining})
	}
}

// turn changes the use, but a device that is silent or gone stays so until its
// node registers anew.
func (d *Device) turn(use workload.Use) {
	if d.Use.Kind != workload.Unknown && d.Use.Kind != workload.Offline {
		d.Use = use
	}
}

// backoff doubles from 10 s to 10 min, by the real clock.
func backoff(failures int) workload.Instant {
	return workload.Instant(min(10_000<<min(max(failures-1, 0), 10), 600_000))
}

func (s *State) applyTrainingEvent(e WorkloadEvent) {
	a, ok := s.Jobs[e.Job].Current()
	if !ok || a.Number != e.Attempt || !slices.Contains(a.Devices, e.Device) {
		return // of an attempt that is long over
	}
	node := e.Device.Node()
	switch e.Kind {
	case EventStarted:
		s.startedOn(e.Job, e.Attempt, node, e.Pid)
	case EventStopped, EventExited:
		if a.Phase != workload.Reserved { // nothing of it can have run
			s.endedOn(e.Job, e.Attempt, node, ending{code: e.Code, saved: e.Saved, lost: e.Cause == "lease" || e.Cause == "reboot", cause: lostCause(e.Cause)})
		}
	case EventStartFailed:
		code := e.Code
		if code == 0 {
			code = 127
		}
		note := e.Note
		if note == "" {
			note = "not told"
		}
		s.endedOn(e.Job, e.Attempt, node, ending{code: code, cause: note})
	}
}

// lostCause keeps the causes that mean a loss; the others explain nothing that
// the exit code does not.
func lostCause(cause string) string {
	if cause == "lease" || cause == "reboot" {
		return cause
	}
	return ""
}
