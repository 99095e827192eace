package sim

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// memory is what the checks remember between events.
type memory struct {
	jobs       map[workload.JobID]state.Job
	ends       map[attemptKey]time.Duration // when an attempt's work is done
	codes      map[attemptKey]int
	lastChange time.Duration // when something was last committed
}

type attemptKey struct {
	job     workload.JobID
	attempt int
}

// check holds after every event.
func (w *world) check() {
	w.checkBans()
}

// spawned holds I1 at the instant a process comes to life.
func (w *world) spawned(p *proc) {
	for _, n := range w.nodes {
		for _, id := range sorted(n.procs) {
			q := n.procs[id]
			if q == p || !q.live {
				continue
			}
			for _, d := range p.run.Devices {
				if slices.Contains(q.run.Devices, d) {
					w.fail("I1", "%s runs on %s, which %s holds", p.run.ID, d, q.run.ID)
				}
			}
			if p.run.Train != nil && q.run.Train != nil && p.run.Train.Job == q.run.Train.Job && p.run.Train.Attempt != q.run.Train.Attempt {
				w.fail("I1", "attempt %d of job %d starts on %s while attempt %d still runs on %s", p.run.Train.Attempt, p.run.Train.Job, p.n.id, q.run.Train.Attempt, n.id)
			}
		}
	}
	for i, d := range p.run.Devices {
		if persisted := p.n.disk.durable.Epochs[d]; persisted != p.run.Epochs[i] && p.n.metas[p.run.ID].Epochs[i] < persisted {
			w.fail("I2", "%s starts on %s under epoch %d, persisted is %d", p.run.ID, d, p.run.Epochs[i], persisted)
		}
	}
}

// banSlack is what an agent's clock may lag behind: a message and a tick.
const banSlack = 1500 * time.Millisecond

// bans are the windows of a run in which nothing may mine.
var bans = func() []workload.Window {
	var out []workload.Window
	site := documents.Site("north")
	for d := range documents.OfKind(config.KindCalendar) {
		for at := began; at < began+workload.HourMillis; {
			edge, more := d.Calendar.NextEdge(at, site.Location())
			if !more {
				break
			}
			if d.Calendar.ActiveAt(at, site.Location()) {
				out = append(out, workload.Window{From: at, Until: edge, Name: d.Name})
			}
			at = edge
		}
	}
	return out
}()

// checkBans holds I10: nothing mines in a window that forbids it.
func (w *world) checkBans() {
	for _, ban := range bans {
		if at := w.wall(); at < ban.From.Add(banSlack) || at >= ban.Until {
			continue
		}
		w.cover["checked in a ban"]++
		for _, n := range w.nodes {
			for id, p := range n.procs { // a yes or no: order does not matter
				if p.live && p.run.Kind == workload.Mining {
					w.fail("I10", "%s mines in %s", id, ban.Name)
				}
			}
		}
	}
}

// applied holds what every command must leave intact.
func (w *world) applied(c state.Command, r state.Result) {
	w.seen.lastChange = w.now
	for id, now := range w.state.Jobs { // each by itself: order does not matter
		if was, known := w.seen.jobs[id]; known {
			w.checkJob(was, now)
		}
		w.seen.jobs[id] = now
	}
	for id := range w.seen.jobs {
		if _, there := w.state.Jobs[id]; !there {
			w.fail("I4", "job %d is gone", id)
		}
	}
	if w.log.applied%31 == 0 {
		if err := w.state.Book.Check(); err != nil {
			w.fail("I9", "%v", err)
		}
		w.cover["accounts checked"]++
	}
}

func (w *world) checkJob(was, now state.Job) {
	if was.Phase == now.Phase && len(was.Attempts) == len(now.Attempts) {
		return
	}
	allowed := map[workload.Phase][]workload.Phase{
		workload.Waiting: {workload.Queued, workload.Cancelled, workload.Failed},
		workload.Held:    {workload.Queued, workload.Cancelled},
		workload.Queued:  {workload.Active, workload.Cancelled, workload.Failed},
		workload.Active:  {workload.Queued, workload.Succeeded, workload.Failed, workload.Cancelled},
	}
	if was.Phase != now.Phase && !slices.Contains(allowed[was.Phase], now.Phase) {
		w.fail("I7", "job %d goes from %s to %s", now.ID, was.Phase, now.Phase)
	}
	for _, a := range was.Attempts {
		i := slices.IndexFunc(now.Attempts, func(b state.Attempt) bool { return b.Number == a.Number })
		if i < 0 {
			continue // only the newest are kept
		}
		if b := now.Attempts[i]; a.Phase.Final() && b.Phase != a.Phase {
			w.fail("I7", "attempt %d of job %d goes from %s to %s", a.Number, now.ID, a.Phase, b.Phase)
		}
	}
	w.cover["job "+string(now.Phase)]++
	for _, a := range now.Attempts[:max(len(now.Attempts)-1, 0)] {
		if !a.Phase.Final() {
			w.fail("I7", "job %d has a newer attempt while %d is %s", now.ID, a.Number, a.Phase)
		}
	}
}

// checkRest holds once faults are over and the cluster had time to come to rest.
func (w *world) checkRest() {
	s := w.state
	for id, name := range w.client.acked {
		if j, ok := s.Jobs[id]; !ok || j.Spec.Name != name {
			w.fail("I4", "job %d (%s) was acknowledged and is not there", id, name)
		}
	}
	for _, n := range w.nodes {
		if s.Nodes[n.id].Silent || !n.up || n.link == nil || !n.link.up {
			w.fail("L2", "node %s has not come back", n.id)
		}
		if len(n.mem.journal) > 0 {
			w.fail("L2", "node %s still holds %d reports", n.id, len(n.mem.journal))
		}
		w.checkProcs(n)
	}
	for _, id := range s.DeviceIDs() {
		if d := s.Devices[id]; !d.Settled() || d.Leaving != 0 {
			w.fail("L2", "device %s is %s, ordered to be %s, left by job %d", id, d.Use, d.Assigned, d.Leaving)
		}
	}
	for _, id := range s.JobIDs() {
		if j := s.Jobs[id]; j.Phase == workload.Active || j.Phase == workload.Queued && (j.Reason.Code == workload.CodeNew || !w.o.Decide) {
			w.fail("L3", "job %d is %s: %s", id, j.Phase, j.Reason.Sentence("USD"))
		}
	}
	if w.now-w.seen.lastChange <= quiet {
		w.fail("L5", "the log goes on after %s without a fault", w.o.Settle)
	}
}

// checkProcs compares what runs with what the state says.
func (w *world) checkProcs(n *node) {
	holds := map[workload.DeviceID]reconcile.RunID{}
	for _, id := range sorted(n.procs) {
		for _, d := range n.procs[id].run.Devices {
			holds[d] = id
		}
	}
	for _, d := range n.devices {
		use := w.state.Devices[d.ID].Use.Kind
		if id, busy := holds[d.ID]; busy != (use == workload.Mining || use == workload.Training) {
			w.fail("L2", "the state has %s on %s, which runs %q", use, d.ID, id)
		}
	}
}

func describe(c state.Command, r state.Result) string {
	var what string
	switch {
	case c.Plan != nil:
		for _, s := range c.Plan.Stops {
			what += fmt.Sprintf(" stop %d.%d", s.Job, s.Attempt)
		}
		for _, m := range c.Plan.Moves {
			what += fmt.Sprintf(" %s@%d:%s", m.Device, m.Epoch, m.Use)
		}
		for _, s := range c.Plan.Starts {
			what += fmt.Sprintf(" start %d on", s.Job)
			for _, seat := range s.Devices {
				what += fmt.Sprintf(" %s@%d", seat.Device, seat.Epoch)
			}
		}
		what = "plan" + what
	case c.Events != nil:
		what = "events"
		for _, e := range c.Events.Events {
			what += fmt.Sprintf(" %d:%s %s@%d", e.Seq, e.Kind, e.Device, e.Epoch)
		}
	case c.Node != nil:
		what = fmt.Sprintf("node boot %s instance %s running %v", c.Node.Boot, c.Node.Instance, c.Node.Running)
	case c.Silent != nil:
		what = fmt.Sprint("silent ", c.Silent.Nodes)
	case c.Lost != nil:
		what = fmt.Sprintf("lost %d.%d", c.Lost.Job, c.Lost.Attempt)
	case c.Fence != nil:
		what = fmt.Sprintf("fence %s, boot %s", c.Fence.Node, c.Fence.Boot)
	case c.Submit != nil:
		what = fmt.Sprintf("submit %s, %d GPUs: job %d", c.Submit.Spec.Name, c.Submit.Spec.Gang.GPUs, r.Job)
	case c.Cancel != nil:
		what = fmt.Sprintf("cancel %d", c.Cancel.Job)
	case c.Devices != nil:
		what = fmt.Sprintf("devices %s %s", c.Devices.Devices[0].ID, c.Devices.Devices[0].Health)
	default:
		what = "policy or quotes"
	}
	if text := cmp.Or(r.Error, fmt.Sprint(r.Refused)); text != "[]" {
		what += " refused: " + text
	}
	return what
}
