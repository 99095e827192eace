package sim

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/sluice-project/sluice/scheduler/orders"
	"github.com/sluice-project/sluice/scheduler/state"
)

// link is one session: a stream in either direction that keeps its order, may
// stall for a long time, and whose two ends learn of its end at different times.
// What was sent before an end is still delivered at the other, as by TCP.
type link struct {
	w         *world
	node      *node
	server    *server
	instance  int
	atAgent   bool // the agent's end is open
	atServer  bool
	agentAt   time.Duration // when the newest message to the agent arrives
	serverAt  time.Duration
	stalled   time.Duration // nothing arrives before
	welcomed  bool          // by the server
	touched   uint64        // the node's Touched as last sent
	sent      time.Duration
	events    []state.WorkloadEvent
	proposing bool
	hello     time.Duration // agent's boot clock when Hello was sent
	heard     time.Duration // agent's boot clock at the last message
	up        bool          // welcomed, as the agent knows
	obeyed    bool          // a plan of this session is in force
	posted    uint64
	beats     uint64
	sentBeats map[uint64]time.Duration
}

func (l *link) arrival(last *time.Duration) time.Duration {
	at := l.w.now + l.w.between(time.Millisecond, 60*time.Millisecond)
	*last = max(*last, at, l.stalled)
	return *last - l.w.now
}

func (l *link) toServer(do func(*server)) {
	l.w.after(l.arrival(&l.serverAt), func() {
		if l.w.now < l.stalled { // it stalled while this was under way
			l.toServer(do)
			return
		}
		if l.atServer && !l.server.down {
			do(l.server)
		}
	})
}

func (l *link) toAgent(do func(*node)) {
	l.w.after(l.arrival(&l.agentAt), func() {
		if l.w.now < l.stalled {
			l.toAgent(do)
			return
		}
		l.node.awake(l.instance, func() {
			if l.atAgent && l.node.link == l {
				l.heard = l.node.clock().Boot
				do(l.node)
			}
		})
	})
}

// plan sends the node what a view says it shall do.
func (l *link) plan(v *state.View) {
	if !l.atServer {
		return
	}
	l.touched, l.sent = v.Nodes[l.node.id].Touched, l.w.now
	p := orders.NodePlan(v, "sim", l.node.id, max(l.w.wall(), v.At), l.w.wall().Add(l.server.skew))
	l.toAgent(func(n *node) { n.planned(l, &p) })
}

// closeServer ends the server's end; the agent learns of it later.
func (l *link) closeServer() {
	if !l.atServer {
		return
	}
	l.atServer = false
	if l.server.links[l.node.id] == l {
		delete(l.server.links, l.node.id)
	}
	l.toAgent(func(n *node) { n.closed(l) })
}

// closeAgent ends the agent's end.
func (l *link) closeAgent() {
	if !l.atAgent {
		return
	}
	l.atAgent = false
	if l.node.link == l {
		l.node.link = nil
	}
	l.toServer(func(*server) { l.closeServer() })
}

func sorted[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
