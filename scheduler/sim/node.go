package sim

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// node is one machine: its disk, its agent process and its workloads. What the
// agent decides is package reconcile; how it saves, reports and connects follows
// package agent.
type node struct {
	w        *world
	id       workload.NodeID
	devices  []workload.Device
	boot     int
	bootedAt time.Duration // so that the boot clock is now - bootedAt
	skew     time.Duration // of its real clock
	disk     disk
	full     bool          // the disk takes no writes
	off      bool          // without power
	cut      bool          // no network
	paused   time.Duration // the agent does nothing before
	procs    map[reconcile.RunID]*proc
	metas    map[reconcile.RunID]reconcile.Run // what is stored with each run
	ends     []reconcile.RunEnd                // not released

	// Of the agent process.
	instance int // 0: none yet
	up       bool
	st       reconcile.State
	mem      disk   // what the agent believes is on disk
	loaded   uint64 // newest report on disk when it began
	link     *link
	backOff  time.Duration
}

// disk is the agent's record.
type disk struct {
	durable reconcile.Durable
	plan    *workload.NodePlan
	journal []reconcile.Report
	// The market clock as last told, by the node's own real clock.
	market, told, late workload.Instant
}

func (d disk) clone() disk {
	d.journal = slices.Clone(d.journal)
	return d
}

func (n *node) clock() reconcile.Now {
	wall := n.w.wall().Add(n.skew)
	now := reconcile.Now{Wall: wall, Boot: n.w.now - n.bootedAt, Speed: 1}
	if n.mem.market != 0 {
		now.Market, now.Late = n.mem.market+wall-n.mem.told, n.mem.late
	}
	return now
}

// awake runs do in the agent's loop: not at all when that process has gone,
// later while it is stopped.
func (n *node) awake(instance int, do func()) {
	if !n.up || n.instance != instance {
		return
	}
	if n.w.now < n.paused {
		n.w.after(n.paused-n.w.now, func() { n.awake(instance, do) })
		return
	}
	do()
}

// begin starts an agent process.
func (n *node) begin() {
	if n.up || n.off {
		return
	}
	n.instance++
	n.up, n.mem, n.backOff = true, n.disk.clone(), 100*time.Millisecond
	n.loaded = n.mem.durable.Seq
	n.st = reconcile.New(n.id, n.mem.durable, n.mem.plan)
	e := reconcile.Restarted{Boot: workload.BootID(fmt.Sprint(n.boot)), Ended: slices.Clone(n.ends)}
	for _, id := range sorted(n.procs) {
		p := n.procs[id]
		p.spawn(0) // one that was just begun gets a moment
		run := n.metas[id]
		run.PID, run.StartTicks, run.Deadline = p.pid, uint64(p.pid), p.deadline
		e.Live = append(e.Live, run)
		n.w.cover["adopted"]++
	}
	n.w.tracef("%s agent %d begins: %d live, %d ended", n.id, n.instance, len(e.Live), len(e.Ended))
	saved := n.step(e)
	if saved {
		for _, end := range e.Ended {
			n.release(end.Run.ID)
		}
	}
	instance := n.instance
	n.w.every(time.Second, func() bool {
		n.awake(instance, func() { n.step(reconcile.Tick{}); n.pump() })
		return n.up && n.instance == instance
	})
	n.w.every(2*time.Second, func() bool {
		n.awake(instance, n.heartbeat)
		return n.up && n.instance == instance
	})
	n.connectLater(instance)
}

// kill ends the agent process; what it started goes on.
func (n *node) kill() {
	if !n.up {
		return
	}
	n.w.tracef("%s agent dies", n.id)
	n.up, n.paused = false, 0
	if l := n.link; l != nil {
		l.closeAgent()
	}
	for _, id := range sorted(n.procs) {
		if p := n.procs[id]; !p.live && n.w.chance(50) {
			delete(n.procs, id) // its shim was not even started
			delete(n.metas, id)
		}
	}
}

// crash takes the power away.
func (n *node) crash() {
	n.kill()
	n.off = true
	for _, id := range sorted(n.procs) {
		if n.procs[id].live {
			n.ends = append(n.ends, reconcile.RunEnd{Run: n.metas[id], Exit: reconcile.Exited{Run: id, Code: -1, Cause: reconcile.CauseReboot}})
		}
		delete(n.procs, id)
	}
	n.w.tracef("%s loses power", n.id)
}

func (n *node) powerUp() {
	n.off = false
	n.boot++
	n.bootedAt = n.w.now
	n.begin()
}

// step steps the reconciler and executes its effects, as the agent does. It
// reports whether all that had to be on disk is.
func (n *node) step(e reconcile.Event) bool {
	var effects []reconcile.Effect
	n.st, effects = reconcile.Step(n.st, e, n.clock())
	saved := true
	for _, e := range effects {
		switch e := e.(type) {
		case reconcile.Persist:
			n.mem.durable = e.Durable
			saved = n.save()
		case reconcile.Emit:
			n.mem.journal = append(n.mem.journal, e.Report)
			n.w.cover["report "+e.Report.Kind]++
			n.w.tracef("%s %s %s epoch %d job %d.%d %s", n.id, e.Report.Kind, e.Report.Device, e.Report.Epoch, e.Report.Job, e.Report.Attempt, e.Report.Note)
		case reconcile.Start:
			n.start(e.Run, saved)
		case reconcile.Stop:
			if p := n.procs[e.Run]; p != nil {
				n.w.tracef("%s stop %s: %s", n.id, e.Run, e.Why)
				p.stop(e.Grace, reconcile.CauseOrder)
			}
		case reconcile.Adopt:
			if saved && n.procs[e.Run.ID] != nil {
				n.metas[e.Run.ID] = e.Run
				n.w.cover["miner kept"]++
			}
		case reconcile.Extend:
			if p := n.procs[e.Run]; p != nil && saved {
				p.extend(e)
			}
		}
	}
	return saved
}

func (n *node) save() bool {
	if n.full {
		n.w.cover["save refused"]++
		return false
	}
	for _, d := range sorted(n.disk.durable.Epochs) {
		if was := n.disk.durable.Epochs[d]; n.mem.durable.Epochs[d] < was {
			n.w.fail("I2", "the epoch of %s falls from %d to %d", d, was, n.mem.durable.Epochs[d])
		}
	}
	n.disk = n.mem.clone()
	return true
}

func (n *node) release(id reconcile.RunID) {
	n.ends = slices.DeleteFunc(n.ends, func(e reconcile.RunEnd) bool { return e.Run.ID == id })
	delete(n.metas, id)
}

// Session.

func (n *node) connectLater(instance int) {
	n.w.after(n.w.between(n.backOff/4, n.backOff+n.backOff/4), func() { n.awake(instance, func() { n.connect(instance) }) })
	n.backOff = min(2*n.backOff, 5*time.Second)
}

func (n *node) connect(instance int) {
	if n.link != nil {
		return
	}
	s := n.w.leader
	if n.cut || s == nil || s.down || n.w.chance(5) {
		n.connectLater(instance)
		return
	}
	n.w.cover["sessions"]++
	now := n.clock().Boot
	l := &link{w: n.w, node: n, server: s, instance: instance, atAgent: true, atServer: true, hello: now, heard: now, sentBeats: map[uint64]time.Duration{}}
	n.link = l
	reg := state.NodeRegistered{Node: n.id, Site: "north", Boot: workload.BootID(fmt.Sprint(n.boot)), Instance: fmt.Sprint(instance), Address: string(n.id) + ":1",
		Devices: n.devices, Sim: true}
	for _, id := range n.st.RunIDs() {
		if run := n.st.Runs[id]; run.Phase != reconcile.RunStarting {
			reg.Running = append(reg.Running, state.Running{Devices: run.Devices, Epoch: run.Epoch(), Pid: run.PID})
		}
	}
	l.toServer(func(s *server) { s.hello(l, reg) })
	n.heartbeat()
}

// silence is how long a session may say nothing.
const silence = 11 * time.Second

func (n *node) heartbeat() {
	l := n.link
	if l == nil {
		return
	}
	now := n.clock().Boot
	if now-l.heard > silence {
		l.closeAgent()
		n.connectLater(n.instance)
		return
	}
	l.beats++
	beat := l.beats
	l.sentBeats[beat] = now
	l.toServer(func(s *server) {
		if !s.heardFrom(l) || s.w.leader != s {
			return
		}
		l.toAgent(func(n *node) {
			n.backOff = 100 * time.Millisecond
			if !l.obeyed {
				return
			}
			n.step(reconcile.HeartbeatAcked{SentAt: l.sentBeats[beat]})
			delete(l.sentBeats, beat)
		})
	})
}

func (n *node) closed(l *link) {
	l.closeAgent()
	n.connectLater(n.instance)
}

func (n *node) welcomed(l *link, last uint64, market workload.Instant) {
	now := n.clock()
	n.mem.market, n.mem.told, n.mem.late = market, now.Wall, workload.Instant((now.Boot - l.hello).Milliseconds())
	n.renumber(last)
	n.drop(last)
	l.up = true
	n.pump()
}

func (n *node) renumber(last uint64) {
	from := n.loaded
	n.loaded = math.MaxUint64
	if last <= from {
		return
	}
	n.w.cover["journal renumbered"]++
	for i := range n.mem.journal {
		if r := &n.mem.journal[i]; r.Seq > from {
			r.Seq += last - from
		}
	}
	n.st.Seq += last - from
	n.mem.durable.Seq = n.st.Seq
	n.save()
}

func (n *node) planned(l *link, p *workload.NodePlan) {
	if wall := n.clock().Wall; p.Serial < n.st.Serial || wall >= p.ExpiresAt {
		n.w.cover["stale plan refused"]++
		return
	}
	n.mem.plan, l.obeyed = p, true
	n.step(reconcile.PlanReceived{Plan: p, Heard: l.hello})
	n.pump()
}

func (n *node) drop(through uint64) {
	n.mem.journal = slices.DeleteFunc(slices.Clone(n.mem.journal), func(r reconcile.Report) bool { return r.Seq <= through })
}

// pump sends reports that were not sent in this session.
func (n *node) pump() {
	l := n.link
	if l == nil || !l.up {
		return
	}
	for _, r := range n.mem.journal {
		if r.Seq <= l.posted {
			continue
		}
		l.posted = r.Seq
		e := state.WorkloadEvent{Seq: r.Seq, Kind: state.EventKind(r.Kind), Device: r.Device, Epoch: r.Epoch, Job: r.Job, Attempt: r.Attempt,
			Pid: r.PID, Code: r.ExitCode, Saved: r.Saved, Cause: r.Cause, Note: r.Note}
		l.toServer(func(s *server) {
			if s.heardFrom(l) {
				s.report(l, e)
			}
		})
	}
}
