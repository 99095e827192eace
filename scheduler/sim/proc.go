package sim

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/workload"
)

// proc is one workload under its shim, which enforces the lease whether or not
// an agent is there.
type proc struct {
	n        *node
	run      reconcile.Run
	pid      int64
	live     bool           // spawned; before, its start is under way
	deadline time.Duration  // boot clock
	epoch    workload.Epoch // as its shim knows it
	stopping bool
	halt     func() // a stop that waits for the start to finish
	deaf     bool   // takes no notice of signals
}

// start is the runner's: a shim is started, then the workload.
func (n *node) start(run reconcile.Run, saved bool) {
	instance := n.instance
	fails := func(note string) {
		n.w.after(n.w.between(time.Millisecond, 50*time.Millisecond), func() {
			n.awake(instance, func() { n.step(reconcile.StartFailed{Run: run.ID, Note: note}); n.pump() })
		})
	}
	if !saved {
		fails("the agent's state cannot be written")
		return
	}
	if n.procs[run.ID] != nil {
		n.w.fail("I1", "run id %s is used twice on %s", run.ID, n.id)
		return
	}
	if n.w.chance(2) && !n.w.calm {
		fails("no program")
		return
	}
	n.w.serial++
	p := &proc{n: n, run: run, pid: int64(n.w.serial), deadline: run.Deadline, epoch: run.Epoch(), deaf: n.w.chance(10)}
	n.procs[run.ID] = p
	n.metas[run.ID] = run
	boot := n.boot
	n.w.after(n.w.between(10*time.Millisecond, 400*time.Millisecond), func() {
		if n.procs[run.ID] != p || n.boot != boot || n.off {
			return // the machine or the agent went first
		}
		p.spawn(instance)
	})
}

func (p *proc) spawn(instance int) {
	n, w := p.n, p.n.w
	if p.live {
		return // an agent that began meanwhile has waited for it
	}
	p.live = true
	w.tracef("%s spawns %s on %v", n.id, p.run.ID, p.run.Devices)
	w.spawned(p)
	n.awake(instance, func() {
		if _, known := n.st.Runs[p.run.ID]; known {
			n.step(reconcile.Started{Run: p.run.ID, PID: p.pid, StartTicks: uint64(p.pid)})
			n.pump()
		}
	})
	p.watchLease()
	if life := w.lifeOf(p); life > 0 {
		w.after(life, func() {
			if p.stillThere() && !p.stopping {
				p.end(w.exitOf(p), reconcile.CauseSelf)
			}
		})
	}
	if p.halt != nil {
		p.halt()
	}
}

func (p *proc) stillThere() bool { return p.live && p.n.procs[p.run.ID] == p }

func (p *proc) boot() time.Duration { return p.n.w.now - p.n.bootedAt }

// watchLease stops the workload when its lease is over.
func (p *proc) watchLease() {
	p.n.w.after(p.deadline-p.boot(), func() {
		switch {
		case !p.stillThere() || p.stopping:
		case p.boot() < p.deadline:
			p.watchLease()
		default:
			p.n.w.cover["ended by lease"]++
			p.stop(p.run.StopGrace, reconcile.CauseLease)
		}
	})
}

// extend moves the lease: within one epoch only forward, unless
// exact.
func (p *proc) extend(e reconcile.Extend) {
	if e.Epoch > p.epoch || e.Epoch == p.epoch && (e.Exact || e.Deadline > p.deadline) {
		p.deadline, p.epoch = e.Deadline, e.Epoch
		if p.live {
			p.watchLease()
		}
	}
}

// stop asks it to end and ends it when its grace is over.
func (p *proc) stop(grace time.Duration, cause string) {
	if !p.live {
		p.halt = func() { p.stop(grace, cause) }
		return
	}
	if p.stopping {
		return
	}
	p.stopping = true
	takes := grace
	if !p.deaf {
		takes = min(grace, p.n.w.between(0, 2*time.Second))
	}
	p.n.w.after(takes, func() {
		if p.stillThere() {
			p.end(0, cause)
		}
	})
}

// end takes the processes away; the agent hears of it, now or when it is back.
func (p *proc) end(code int, cause string) {
	n, id := p.n, p.run.ID
	p.live = false
	delete(n.procs, id)
	n.w.tracef("%s %s ends (%s, %d)", n.id, id, cause, code)
	end := reconcile.RunEnd{Run: n.metas[id], Exit: reconcile.Exited{Run: id, Code: code, Cause: cause, Saved: cause != reconcile.CauseSelf && !p.deaf}}
	n.ends = append(n.ends, end)
	instance := n.instance
	n.w.after(n.w.between(0, 50*time.Millisecond), func() {
		n.awake(instance, func() {
			if !slices.ContainsFunc(n.ends, func(e reconcile.RunEnd) bool { return e.Run.ID == id }) {
				return // the agent found it when it began
			}
			if n.step(end.Exit) {
				n.release(id)
			}
			n.pump()
		})
	})
}
