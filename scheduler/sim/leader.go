package sim

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/orders"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// server is one scheduler. The leader's duties follow package scheduler: what it
// orders and concludes is its code (package orders), when it does so is here.
type server struct {
	w     *world
	id    string
	skew  time.Duration // of its real clock
	down  bool
	since time.Duration // when it began to lead
	links map[workload.NodeID]*link
	heard map[workload.NodeID]time.Duration
	stale *state.View // what a deposed leader that has not noticed still believes
	warm  *decide.Warm
}

// elect makes s the leader of a new term. The old one loses what it had
// proposed; it may go on for a while in the belief that it leads.
func (w *world) elect(s *server) {
	old := w.leader
	w.term++
	w.leader = s
	w.cover["leader elected"]++
	w.tracef("%s leads term %d", s.id, w.term)
	w.orphan()
	if old != nil && old != s {
		w.depose(old)
	}
	s.since, s.links, s.heard, s.stale, s.warm = w.now, map[workload.NodeID]*link{}, map[workload.NodeID]time.Duration{}, nil, nil
	term := w.term
	leads := func() bool { return w.term == term && w.leader == s }
	w.every(time.Second, func() bool { return leads() && s.liveness() })
	w.every(500*time.Millisecond, func() bool { return leads() && s.dispatch(w.state.View()) })
	round := func() bool { return leads() && s.round() }
	w.every(time.Duration(700+w.rng.IntN(600))*time.Millisecond, round)
}

// depose ends a leader's sessions at once, or lets it speak for a while from
// what it knew: a server that was stopped and goes on, or cannot hear the others.
func (w *world) depose(s *server) {
	end := func() {
		for _, id := range sorted(s.links) {
			s.links[id].closeServer()
		}
		s.links, s.stale = nil, nil
	}
	if s.down || w.chance(50) {
		end()
		return
	}
	w.cover["deposed leader goes on"]++
	s.stale = w.state.View()
	until := w.now + w.between(100*time.Millisecond, 30*time.Second)
	w.every(300*time.Millisecond, func() bool {
		if s.stale == nil || w.leader == s {
			return false // it leads again, in its own right
		}
		if w.now > until || s.down {
			end()
			return false
		}
		for _, id := range sorted(s.links) {
			if w.chance(30) {
				s.links[id].plan(s.stale)
				w.cover["plan of a deposed leader"]++
			}
		}
		return true
	})
}

func (s *server) silence(id workload.NodeID) time.Duration {
	if at, ok := s.heard[id]; ok {
		return s.w.now - at
	}
	return s.w.now - s.since
}

func (s *server) liveness() bool {
	w := s.w
	v := w.state.View()
	if silent := orders.Suspect(v, s.silence); len(silent) > 0 {
		w.cover["node silent"] += len(silent)
		w.propose(s, state.Command{Actor: "scheduler", Silent: &state.NodesSilent{Nodes: silent}}, func(state.Result, error) {})
		for _, id := range silent {
			if l := s.links[id]; l != nil {
				l.closeServer()
			}
		}
	}
	for _, lost := range orders.Expired(v, s.silence) {
		w.cover["attempt lost by lease"]++
		w.propose(s, state.Command{Actor: "scheduler", Lost: &lost}, func(state.Result, error) {})
	}
	return true
}

func (s *server) dispatch(v *state.View) bool {
	for _, id := range sorted(s.links) {
		if l := s.links[id]; l.welcomed && (v.Nodes[id].Touched != l.touched || s.w.now-l.sent > orders.PlanLife/8) {
			l.plan(v)
		}
	}
	return true
}

// round decides. A decision takes a while, in which the state moves on.
func (s *server) round() bool {
	w := s.w
	v := w.state.View()
	if len(v.Nodes) == 0 || len(w.log.waiting) > 3 {
		return true
	}
	var p state.Plan
	some := false
	if w.o.Decide {
		board := planner.Compose(v, v.Policy, max(w.wall(), v.At), w.wall().Add(s.skew))
		if issues := decide.Validate(&board.Problem); len(issues) > 0 {
			w.fail("decision", "the problem is not valid: %v", issues)
			return false
		}
		var r *planner.Round
		r, s.warm = board.Decide(s.warm, decide.Budget{})
		if r.Result.Stage != decide.StageHeld {
			if err := decide.Verify(&board.Problem, &r.Result); err != nil {
				w.fail("decision", "%v", err)
				return false
			}
		}
		p, some = r.Plan()
		w.cover["decided by the planner"]++
	} else {
		p, some = w.draw(v, w.wall().Add(s.skew))
	}
	if some {
		w.cover["plans"]++
		term := w.term
		w.after(w.between(0, 50*time.Millisecond), func() {
			if w.term == term {
				w.propose(s, state.Command{Actor: "scheduler", Plan: &p}, func(r state.Result, _ error) { w.cover["plan parts refused"] += len(r.Refused) })
			}
		})
	}
	return true
}

// hello opens a session: the registration is committed, then the agent is
// welcomed and sent its plan.
func (s *server) hello(l *link, reg state.NodeRegistered) {
	w := s.w
	if w.leader != s {
		l.closeServer()
		return
	}
	if old := s.links[l.node.id]; old != nil {
		if old.instance != l.instance && s.silence(l.node.id) < orders.SuspectAfter {
			w.cover["second agent refused"]++
			l.closeServer()
			return
		}
		old.closeServer()
	}
	s.links[l.node.id] = l
	s.heard[l.node.id] = w.now
	w.propose(s, state.Command{Actor: "node/" + string(l.node.id), Node: &reg}, func(_ state.Result, err error) {
		if err != nil || !l.atServer {
			l.closeServer()
			return
		}
		v := w.state.View()
		seq, market := v.Nodes[l.node.id].LastSeq, max(w.wall(), v.At)
		l.toAgent(func(n *node) { n.welcomed(l, seq, market) })
		l.welcomed = true
		l.plan(v)
	})
}

// heardFrom notes a sign of life; it reports false on a session that is no
// longer the node's.
func (s *server) heardFrom(l *link) bool {
	if s.links[l.node.id] != l {
		return false
	}
	s.heard[l.node.id] = s.w.now
	return true
}

// report commits events of one node, all that wait in one entry.
func (s *server) report(l *link, e state.WorkloadEvent) {
	l.events = append(l.events, e)
	if l.proposing {
		return
	}
	s.flush(l)
}

func (s *server) flush(l *link) {
	events := slices.Clone(l.events)
	l.events, l.proposing = nil, true
	s.w.propose(s, state.Command{Actor: "node/" + string(l.node.id), Events: &state.WorkloadsReported{Node: l.node.id, Events: events}}, func(_ state.Result, err error) {
		l.proposing = false
		if err != nil {
			l.closeServer()
			return
		}
		l.toAgent(func(n *node) { n.drop(events[len(events)-1].Seq) })
		if len(l.events) > 0 {
			s.flush(l)
		}
	})
}
