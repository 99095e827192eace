package scheduler

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/orders"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// hub keeps what only the leader knows and nobody needs after it: who is
// connected, when each node was last heard, and the newest samples. None of it
// is ever logged.
type hub struct {
	mu       sync.Mutex
	since    time.Time // when this server began to lead
	leading  bool
	sessions map[workload.NodeID]*session
	heard    map[workload.NodeID]time.Time
	samples  map[workload.DeviceID]workload.Sample
}

func newHub() *hub {
	return &hub{sessions: map[workload.NodeID]*session{}, heard: map[workload.NodeID]time.Time{}, samples: map[workload.DeviceID]workload.Sample{}}
}

// session is one agent's stream.
type session struct {
	node     workload.NodeID
	instance string
	out      chan *sluicev1.ServerMessage
	cancel   context.CancelCauseFunc

	mu       sync.Mutex
	events   []state.WorkloadEvent
	wake     chan struct{} // has room for one: events wait to be proposed
	touched  uint64        // node's Touched as last sent
	revision int64         // policy revision as last sent
	sent     time.Time
	readers  map[uint64]func(*sluicev1.LogChunk)
	nextRead uint64
}

// lead opens or closes the hub for agents. Closing ends every session: an agent
// must never take a word of a server that no longer leads.
func (h *hub) lead(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leading, h.since = on, time.Now()
	clear(h.heard)
	if !on {
		for _, s := range h.sessions {
			s.cancel(workload.Errorf(workload.NotLeader, "this server no longer leads"))
		}
		clear(h.sessions)
	}
}

// join enters a session. Another agent process that speaks for the same node is
// refused while the first is alive; the same process may reconnect.
func (h *hub) join(s *session) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.leading {
		return workload.Errorf(workload.NotLeader, "this server does not lead")
	}
	if old, ok := h.sessions[s.node]; ok {
		if old.instance != s.instance && time.Since(h.heard[s.node]) < orders.SuspectAfter {
			return workload.Errorf(workload.Conflict, "another agent already speaks for node %s", s.node).
				Hint("stop one of the two, or give it another node name")
		}
		old.cancel(workload.Errorf(workload.Conflict, "node %s has connected anew", s.node))
	}
	h.sessions[s.node] = s
	h.heard[s.node] = time.Now()
	return nil
}

func (h *hub) leave(s *session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.node] == s {
		delete(h.sessions, s.node)
	}
}

// touch notes that a node was heard; it reports false when the session is no
// longer the node's.
func (h *hub) touch(s *session) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.sessions[s.node] != s {
		return false
	}
	h.heard[s.node] = time.Now()
	return true
}

// lastHeard is when a node was last heard, or when this server began to lead
// if it has not been since; the second result tells which.
func (h *hub) lastHeard(id workload.NodeID) (time.Time, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at, ok := h.heard[id]
	if !ok {
		return h.since, false
	}
	return at, true
}

func (h *hub) all() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]*session, 0, len(h.sessions))
	for _, s := range h.sessions {
		out = append(out, s)
	}
	return out
}

func (h *hub) session(id workload.NodeID) *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions[id]
}

func (h *hub) sample(id workload.DeviceID) (workload.Sample, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s, ok := h.samples[id]
	return s, ok
}

// send queues a message; a session that does not drain its queue is ended
// rather than waited for.
func (s *session) send(m *sluicev1.ServerMessage) {
	select {
	case s.out <- m:
	default:
		s.cancel(workload.Errorf(workload.Exhausted, "node %s does not read what it is sent", s.node))
	}
}
