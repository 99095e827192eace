package sim

import (
	"time"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// plague draws the faults of a run: at least five, at times of their own.
func (w *world) plague() {
	for range 5 + w.rng.IntN(8) {
		w.after(w.between(4*time.Second, w.o.Faults), func() {
			if !w.calm {
				w.fault()
			}
		})
	}
}

// for a while, but not beyond the time of faults.
func (w *world) lasting(lo, hi time.Duration, end func()) time.Duration {
	d := min(w.between(lo, hi), w.o.Faults-w.now)
	w.after(d, end)
	return d
}

func (w *world) fault() {
	n := pick(w, w.nodes)
	switch w.rng.IntN(13) {
	case 0:
		w.cover["fault: leadership moves"]++
		w.elect(pick(w, w.servers))
	case 1:
		if w.leader == nil {
			return
		}
		w.cover["fault: leader dies"]++
		dead := w.leader
		dead.down = true
		w.lose()
		w.after(w.between(300*time.Millisecond, 3*time.Second), w.replace)
		w.lasting(5*time.Second, time.Minute, func() { dead.down = false })
	case 2:
		w.cover["fault: quorum lost"]++
		w.lose()
		w.lasting(5*time.Second, 90*time.Second, w.replace)
	case 3, 4:
		w.cover["fault: agent killed"]++
		n.kill()
		w.lasting(100*time.Millisecond, pick(w, []time.Duration{time.Second, 2 * time.Minute}), n.begin)
	case 5:
		w.cover["fault: agent stopped"]++
		n.paused = w.now + w.lasting(time.Second, 2*time.Minute, func() {})
	case 6:
		if n.off {
			return
		}
		w.cover["fault: power lost"]++
		n.crash()
		w.lasting(10*time.Second, time.Minute, n.powerUp)
		if w.chance(60) {
			w.after(w.between(5*time.Second, 40*time.Second), n.fence)
		}
	case 7, 8:
		w.cover["fault: network cut"]++
		n.cut = true
		d := w.lasting(time.Second, 2*time.Minute, func() { n.cut = false })
		if l := n.link; l != nil {
			l.stalled = w.now + d + w.between(0, 2*time.Second) // what was on its way comes late
		}
	case 9:
		if l := n.link; l != nil {
			w.cover["fault: stream cut"]++
			if w.chance(50) {
				l.closeServer()
			} else {
				n.closed(l)
			}
		}
	case 10:
		if l := n.link; l != nil {
			w.cover["fault: stream stalls"]++
			l.stalled = w.now + w.between(time.Second, 20*time.Second)
		}
	case 11:
		w.cover["fault: disk full"]++
		n.full = true
		w.lasting(time.Second, 30*time.Second, func() { n.full = false })
	case 12:
		w.cover["fault: device fails"]++
		w.health(n, workload.Failing)
		w.lasting(5*time.Second, time.Minute, func() { w.health(n, workload.Healthy) })
	}
}

// fence is a person who stands before the machine, sees that it is off and says
// so, naming the boot that the cluster knows. The word may be committed late,
// when the machine runs again. It is never given about a machine that is on.
func (n *node) fence() {
	w := n.w
	boot := w.state.Nodes[n.id].Boot
	if !n.off || w.leader == nil || boot == "" {
		return
	}
	w.propose(w.leader, state.Command{Actor: "ann", Fence: &state.NodeFenced{Node: n.id, Boot: boot}}, func(_ state.Result, err error) {
		switch {
		case err == nil:
			w.cover["fault: fenced while off"]++
		case err != errUnknown:
			w.cover["fence refused"]++
		}
	})
}

// health changes the health of a node's first device, as its driver reports it.
func (w *world) health(n *node, h workload.Health) {
	d := n.devices[0]
	d.Health = h
	n.devices = append([]workload.Device{d}, n.devices[1:]...)
	if l := n.link; l != nil {
		l.toServer(func(s *server) {
			if s.heardFrom(l) {
				w.propose(s, state.Command{Actor: "node/" + string(n.id), Devices: &state.DevicesChanged{Node: n.id, Devices: []workload.Device{d}}}, func(state.Result, error) {})
			}
		})
	}
}

// lose leaves the cluster without a leader.
func (w *world) lose() {
	old := w.leader
	w.leader = nil
	w.term++
	w.orphan()
	if old != nil {
		w.depose(old)
	}
}

// replace elects some server that is up.
func (w *world) replace() {
	if w.leader != nil {
		return
	}
	for _, s := range w.rng.Perm(len(w.servers)) {
		if !w.servers[s].down {
			w.elect(w.servers[s])
			return
		}
	}
	w.after(time.Second, w.replace)
}

// heal ends all faults.
func (w *world) heal() {
	w.calm = true
	w.tracef("all faults are over")
	for _, s := range w.servers {
		s.down = false
	}
	w.replace()
	for _, n := range w.nodes {
		n.cut, n.full = false, false
		if n.off {
			n.powerUp()
		}
		n.begin()
		w.health(n, workload.Healthy)
	}
}
