package scheduler

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Silence after which a node is suspect. Heartbeats come every 2 s.
const suspectAfter = 10 * time.Second

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
		if old.instance != s.instance && time.Since(h.heard[s.node]) < suspectAfter {
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

// agents implements AgentService.
type agents struct {
	sluicev1.UnimplementedAgentServiceServer
	s *Server
}

// Session is one agent's conversation with the leader.
func (a *agents) Session(stream sluicev1.AgentService_SessionServer) error {
	return wire.ToStatus(a.s.serveAgent(stream))
}

func (s *Server) serveAgent(stream sluicev1.AgentService_SessionServer) error {
	first, err := stream.Recv()
	if err != nil {
		return err
	}
	hello := first.GetHello()
	if hello == nil {
		return workload.Errorf(workload.Invalid, "a session begins with Hello")
	}
	if err := identity.MaySpeakFor(identity.CallerFrom(stream.Context()), identity.Agent, hello.Node); err != nil {
		return err
	}
	if !s.awaitLeader(stream.Context()) {
		return stream.Send(&sluicev1.ServerMessage{Body: &sluicev1.ServerMessage_Redirect{Redirect: &sluicev1.Redirect{Leader: s.leaderGRPC()}}})
	}
	ctx, cancel := context.WithCancelCause(stream.Context())
	defer cancel(nil)
	ses := &session{node: workload.NodeID(hello.Node), instance: hello.Instance, cancel: cancel,
		out: make(chan *sluicev1.ServerMessage, 256), wake: make(chan struct{}, 1), readers: map[uint64]func(*sluicev1.LogChunk){}}
	if err := s.hub.join(ses); err != nil {
		return err
	}
	defer s.hub.leave(ses)

	cmd, err := registration(hello)
	if err != nil {
		return err
	}
	if _, _, err := s.Propose(ctx, state.Command{Actor: "node/" + hello.Node, Node: cmd}); err != nil {
		return err
	}
	v := s.machine.View()
	ses.send(&sluicev1.ServerMessage{Body: &sluicev1.ServerMessage_Welcome{Welcome: &sluicev1.Welcome{
		Server: s.conf.ID, MarketMs: int64(s.clock.Now()), MarketSpeed: s.clock.Speed(), LastSeq: v.Nodes[ses.node].LastSeq}}})
	s.sendPlan(ses, v, true)

	go s.proposeEvents(ctx, ses)
	received := make(chan error, 1)
	go func() { received <- s.receive(stream, ses) }()
	for {
		select {
		case m := <-ses.out:
			if err := stream.Send(m); err != nil {
				return err
			}
		case err := <-received:
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// leaderWait is how long an agent is held while no server leads: longer than an
// election, so that a fleet need not come back again and again during one.
const leaderWait = 2 * time.Second

// awaitLeader waits a moment until some server leads and reports whether it is
// this one. A server that was elected but has not taken up its duties yet would
// send its agents to itself.
func (s *Server) awaitLeader(ctx context.Context) bool {
	late := time.NewTimer(leaderWait)
	defer late.Stop()
	for !s.leads() {
		leader, changed := s.replica.LeaderChanged()
		if leader.ID != "" && leader.ID != s.conf.ID {
			return false
		}
		select {
		case <-ctx.Done():
			return false
		case <-late.C:
			return false
		case <-changed:
		case <-time.After(10 * time.Millisecond):
		}
	}
	return true
}

func registration(h *sluicev1.Hello) (*state.NodeRegistered, error) {
	cmd := &state.NodeRegistered{Node: workload.NodeID(h.Node), Site: workload.SiteName(h.Site), Hall: workload.HallName(h.Hall),
		Rack: workload.RackName(h.Rack), Boot: workload.BootID(h.BootId), Instance: h.Instance, Version: h.Version, Address: h.Address, Sim: h.Sim}
	if len(h.Devices) > 4096 {
		return nil, workload.Errorf(workload.Exhausted, "a node may report at most 4096 devices")
	}
	for _, d := range h.Devices {
		cmd.Devices = append(cmd.Devices, wire.DeviceFromProto(d))
	}
	for _, r := range h.Running {
		run := state.Running{Epoch: workload.Epoch(r.Epoch), Pid: r.Pid}
		for _, id := range r.Devices {
			run.Devices = append(run.Devices, workload.DeviceID(id))
		}
		cmd.Running = append(cmd.Running, run)
	}
	return cmd, nil
}

func (s *Server) receive(stream sluicev1.AgentService_SessionServer, ses *session) error {
	for {
		m, err := stream.Recv()
		if err != nil {
			return err
		}
		if !s.hub.touch(ses) {
			return workload.Errorf(workload.Conflict, "node %s has another session", ses.node)
		}
		switch body := m.Body.(type) {
		case *sluicev1.AgentMessage_Heartbeat:
			// A word of a leader: only while this server is one.
			if s.leads() {
				ses.send(&sluicev1.ServerMessage{Body: &sluicev1.ServerMessage_Heartbeat{Heartbeat: &sluicev1.HeartbeatAck{
					Seq: body.Heartbeat.Seq, WallMs: int64(Wall())}}})
			}
		case *sluicev1.AgentMessage_Event:
			ses.queue(event(body.Event))
		case *sluicev1.AgentMessage_Report:
			s.takeReport(stream.Context(), ses, body.Report)
		case *sluicev1.AgentMessage_Log:
			ses.mu.Lock()
			deliver := ses.readers[body.Log.Id]
			ses.mu.Unlock()
			if deliver != nil {
				deliver(body.Log)
			}
		case *sluicev1.AgentMessage_Hello:
			return workload.Errorf(workload.Invalid, "a session has one Hello")
		}
	}
}

func event(e *sluicev1.WorkloadEvent) state.WorkloadEvent {
	return state.WorkloadEvent{Seq: e.Seq, Kind: state.EventKind(e.Kind), Device: workload.DeviceID(e.Device), Epoch: workload.Epoch(e.Epoch),
		Job: workload.JobID(e.Job), Attempt: int(e.Attempt), Pid: e.Pid, Code: int(e.ExitCode), Saved: e.Saved, Cause: e.Cause, Note: clip(e.Note)}
}

// clip bounds a text that a node sends into the log.
func clip(s string) string {
	if len(s) > 512 {
		return s[:512]
	}
	return s
}

func (ses *session) queue(e state.WorkloadEvent) {
	ses.mu.Lock()
	ses.events = append(ses.events, e)
	ses.mu.Unlock()
	select {
	case ses.wake <- struct{}{}:
	default:
	}
}

// proposeEvents commits what a node reports, all that waits in one entry, and
// acknowledges it only then: the agent keeps an event until it is certain.
func (s *Server) proposeEvents(ctx context.Context, ses *session) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ses.wake:
		}
		ses.mu.Lock()
		events := ses.events
		ses.events = nil
		ses.mu.Unlock()
		if len(events) == 0 {
			continue
		}
		_, _, err := s.Propose(ctx, state.Command{Actor: "node/" + string(ses.node), Events: &state.WorkloadsReported{Node: ses.node, Events: events}})
		if err != nil {
			ses.cancel(err)
			return
		}
		ses.send(&sluicev1.ServerMessage{Body: &sluicev1.ServerMessage_Event{Event: &sluicev1.EventAck{Seq: events[len(events)-1].Seq}}})
	}
}

// takeReport keeps samples in memory and proposes only what changes a
// device's description.
func (s *Server) takeReport(ctx context.Context, ses *session, r *sluicev1.Report) {
	s.hub.mu.Lock()
	for _, m := range r.Samples {
		sample := wire.SampleFromProto(m)
		if sample.Device.Node() == ses.node {
			s.hub.samples[sample.Device] = sample
		}
	}
	s.hub.mu.Unlock()
	if len(r.Devices) == 0 {
		return
	}
	v := s.machine.View()
	var changed []workload.Device
	for _, m := range r.Devices {
		if d := wire.DeviceFromProto(m); v.Devices[d.ID].Device != d {
			changed = append(changed, d)
		}
	}
	if len(changed) == 0 {
		return
	}
	if _, _, err := s.Propose(ctx, state.Command{Actor: "node/" + string(ses.node), Devices: &state.DevicesChanged{Node: ses.node, Devices: changed}}); err != nil {
		s.log.Warn("a device report was not committed", "node", ses.node, "err", err)
	}
}

// dispatch sends each connected node its plan whenever what it shall do has
// changed, and anew well before the last one expires.
func (s *Server) dispatch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		changed := s.machine.Changed()
		v := s.machine.View()
		for _, ses := range s.hub.all() {
			s.sendPlan(ses, v, false)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-tick.C:
		}
	}
}

// renewPlan is how often a plan is sent though nothing changed, so that its
// expiry and its bans stay far ahead.
const renewPlan = planLife / 8

func (s *Server) sendPlan(ses *session, v *state.View, force bool) {
	node := v.Nodes[ses.node]
	ses.mu.Lock()
	if !force && ses.sent.IsZero() {
		ses.mu.Unlock()
		return // its node has not registered yet: serveAgent sends the first plan
	}
	due := force || node.Touched != ses.touched || v.Revision != ses.revision || time.Since(ses.sent) > renewPlan/time.Duration(s.clock.Speed())
	if due {
		ses.touched, ses.revision, ses.sent = node.Touched, v.Revision, time.Now()
	}
	ses.mu.Unlock()
	if !due {
		return
	}
	body, err := json.Marshal(nodePlan(v, s.trust.Cluster, ses.node, s.marketNow(v), Wall()))
	if err != nil {
		s.log.Error("a plan cannot be encoded", "node", ses.node, "err", err)
		return
	}
	ses.send(&sluicev1.ServerMessage{Body: &sluicev1.ServerMessage_Plan{Plan: &sluicev1.SignedPlan{Body: body, Signature: s.planKey.SignPlan(body)}}})
}

// watchLiveness turns silence into state: unknown first, lost by lease later.
func (s *Server) watchLiveness(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		v := s.machine.View()
		var silent []workload.NodeID
		for _, id := range v.NodeIDs() {
			heard, _ := s.hub.lastHeard(id)
			if !v.Nodes[id].Silent && time.Since(heard) > suspectAfter {
				silent = append(silent, id)
			}
		}
		if len(silent) > 0 {
			if _, _, err := s.Propose(ctx, state.Command{Actor: "scheduler", Silent: &state.NodesSilent{Nodes: silent}}); err != nil {
				s.log.Warn("silent nodes were not recorded", "nodes", len(silent), "err", err)
			}
			// A node is known again only by registering, so that one that was
			// merely stopped for a while must open a new session.
			for _, id := range silent {
				if ses := s.hub.session(id); ses != nil {
					ses.cancel(workload.Errorf(workload.Unavailable, "node %s was silent for more than %s", id, suspectAfter))
				}
			}
		}
		for _, lost := range s.expired(v) {
			if _, _, err := s.Propose(ctx, state.Command{Actor: "scheduler", Lost: &lost}); err != nil {
				s.log.Warn("a lost attempt was not recorded", "job", lost.Job, "err", err)
			}
		}
	}
}

// leaseMargin is added to lease and grace before a device is granted anew.
const leaseMargin = 15 * time.Second

// expired lists the attempts whose lease has certainly run out: lease, grace
// and margin after a node of theirs was last heard, counted at the earliest
// from this server's own takeover.
func (s *Server) expired(v *state.View) []state.AttemptLost {
	var out []state.AttemptLost
	for _, id := range v.JobIDs() {
		j := v.Jobs[id]
		a, ok := j.Current()
		if !ok || a.Phase.Final() {
			continue
		}
		for i, dev := range a.Devices {
			if a.Done[i] {
				continue // known to be gone; the attempt waits for its other ranks
			}
			node := v.Nodes[dev.Node()]
			heard, _ := s.hub.lastHeard(node.ID)
			grace := min(j.Spec.Checkpoint.Grace, v.Policy.Cluster().MaxGrace)
			if node.Silent && time.Since(heard) > j.Spec.Limits.Lease+grace+leaseMargin {
				out = append(out, state.AttemptLost{Job: id, Attempt: a.Number})
				break
			}
		}
	}
	return out
}
