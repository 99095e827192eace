package scheduler

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

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
	cmd.Drivers = wire.DriversFromProto(h.Drivers)
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
	if len(r.Devices) == 0 && len(r.Drivers) == 0 {
		return
	}
	v := s.machine.View()
	var changed []workload.Device
	for _, m := range r.Devices {
		if d := wire.DeviceFromProto(m); v.Devices[d.ID].Device != d {
			changed = append(changed, d)
		}
	}
	drivers := wire.DriversFromProto(r.Drivers)
	if slices.Equal(drivers, v.Nodes[ses.node].Drivers) {
		drivers = nil
	}
	if len(changed) == 0 && drivers == nil {
		return
	}
	if _, _, err := s.Propose(ctx, state.Command{Actor: "node/" + string(ses.node), Devices: &state.DevicesChanged{Node: ses.node, Devices: changed, Drivers: drivers}}); err != nil {
		s.log.Warn("a device report was not committed", "node", ses.node, "err", err)
	}
}
