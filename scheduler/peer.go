package scheduler

import (
	"bytes"
	"context"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/replica"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// peer implements what servers ask of one another.
type peer struct {
	sluicev1.UnimplementedPeerServer
	s *Server
}

// Propose takes a command that another server forwards. It never forwards in
// turn: a server that no longer leads says so.
func (p *peer) Propose(ctx context.Context, r *sluicev1.ProposeRequest) (*sluicev1.ProposeResponse, error) {
	index, result, err := p.s.replica.Apply(ctx, r.Command)
	if err != nil {
		return nil, wire.ToStatus(err)
	}
	return &sluicev1.ProposeResponse{Index: index, Result: result}, nil
}

// Join adds the caller as a voter. The caller's certificate names it.
func (p *peer) Join(ctx context.Context, r *sluicev1.JoinRequest) (*sluicev1.JoinResponse, error) {
	if err := identity.MaySpeakFor(identity.CallerFrom(ctx), identity.Server, r.Id); err != nil {
		return nil, wire.ToStatus(err)
	}
	if err := p.s.replica.AddVoter(ctx, r.Id, r.RaftAddress); err != nil {
		return nil, wire.ToStatus(err)
	}
	return &sluicev1.JoinResponse{Leader: p.s.conf.ID}, nil
}

// historyChunk is about how much of the history travels in one message.
const historyChunk = 256 << 10

// FetchHistory streams history lines to a server whose state came as a
// snapshot.
func (p *peer) FetchHistory(r *sluicev1.FetchHistoryRequest, stream sluicev1.Peer_FetchHistoryServer) error {
	var buf bytes.Buffer
	for line, err := range p.s.history.Lines(r.After) {
		if err != nil {
			return wire.ToStatus(err)
		}
		buf.Write(line)
		if buf.Len() == 0 || buf.Bytes()[buf.Len()-1] != '\n' {
			buf.WriteByte('\n')
		}
		if buf.Len() >= historyChunk {
			if err := stream.Send(&sluicev1.HistoryChunk{Lines: bytes.Clone(buf.Bytes())}); err != nil {
				return err
			}
			buf.Reset()
		}
	}
	if buf.Len() == 0 {
		return nil
	}
	return stream.Send(&sluicev1.HistoryChunk{Lines: buf.Bytes()})
}

// Describe tells what only this server knows.
func (p *peer) Describe(context.Context, *sluicev1.DescribeRequest) (*sluicev1.DescribeResponse, error) {
	st := "follower"
	if p.s.replica.IsLeader() {
		st = "leader"
	}
	return &sluicev1.DescribeResponse{Id: p.s.conf.ID, State: st, Applied: p.s.machine.View().Index, Version: p.s.conf.Version}, nil
}

// peerConns keeps one connection per address.
type peerConns struct {
	mu    sync.Mutex
	conns map[string]*grpc.ClientConn
}

func (s *Server) dial(addr string) (*grpc.ClientConn, error) {
	if addr == "" {
		return nil, workload.Errorf(workload.Unavailable, "the leader's address is not known yet")
	}
	s.peers.mu.Lock()
	defer s.peers.mu.Unlock()
	if c, ok := s.peers.conns[addr]; ok {
		return c, nil
	}
	c, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(identity.AgentTLS(s.cred))),
		grpc.WithConnectParams(quickReconnect))
	if err != nil {
		return nil, err
	}
	if s.peers.conns == nil {
		s.peers.conns = map[string]*grpc.ClientConn{}
	}
	s.peers.conns[addr] = c
	return c, nil
}

func (p *peerConns) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// forwarder carries proposals to the leader.
type forwarder Server

// Propose implements replica.Forwarder.
func (f *forwarder) Propose(ctx context.Context, leader replica.Server, command []byte) (uint64, []byte, error) {
	s := (*Server)(f)
	addr := s.machine.View().Servers[leader.ID].GRPC
	if addr == "" {
		return 0, nil, workload.Errorf(workload.NotLeader, "the address of server %s is not known yet", leader.ID)
	}
	conn, err := s.dial(addr)
	if err != nil {
		return 0, nil, err
	}
	r, err := sluicev1.NewPeerClient(conn).Propose(ctx, &sluicev1.ProposeRequest{Command: command})
	if err != nil {
		return 0, nil, wire.FromStatus(err)
	}
	return r.Index, r.Result, nil
}

// enter joins the group where this server is not yet of it, and makes its
// addresses known.
func (s *Server) enter(ctx context.Context) error {
	for !s.announced() {
		if s.isMember() {
			// Forwarding needs nothing but the leader's own announcement.
			if _, _, err := s.Propose(ctx, state.Command{Actor: "server/" + s.conf.ID, Server: s.announcement()}); err == nil {
				break
			}
		} else {
			s.askToJoin(ctx)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *Server) isMember() bool {
	for _, m := range s.replica.Servers() {
		if m.ID == s.conf.ID {
			return true
		}
	}
	return false
}

func (s *Server) announced() bool {
	a := s.announcement()
	return a.Raft != "" && s.machine.View().Servers[s.conf.ID] == *a
}

func (s *Server) askToJoin(ctx context.Context) {
	for _, addr := range s.conf.Join {
		conn, err := s.dial(addr)
		if err != nil {
			continue
		}
		call, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err = sluicev1.NewPeerClient(conn).Join(call, &sluicev1.JoinRequest{Id: s.conf.ID, RaftAddress: s.replica.Address(), GrpcAddress: s.advertise(s.grpcListener)})
		cancel()
		if err == nil {
			return
		}
		s.log.Info("has not joined yet", "through", addr, "err", wire.FromStatus(err))
	}
}

// fetchHistory gets what a snapshot from another server stands on, until the
// history has no gap.
func (s *Server) fetchHistory(uint64) {
	for range 100 {
		end, complete := s.history.Contiguous()
		if complete {
			return
		}
		if err := s.fetchHistoryAfter(end.Index); err != nil {
			s.log.Warn("the history is not complete yet", "after", end.Index, "err", err)
			time.Sleep(time.Second)
		}
	}
}

func (s *Server) fetchHistoryAfter(index uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	addr := s.leaderGRPC()
	if addr == "" && len(s.conf.Join) > 0 {
		addr = s.conf.Join[0]
	}
	conn, err := s.dial(addr)
	if err != nil {
		return err
	}
	stream, err := sluicev1.NewPeerClient(conn).FetchHistory(ctx, &sluicev1.FetchHistoryRequest{After: index})
	if err != nil {
		return wire.FromStatus(err)
	}
	r, w := io.Pipe()
	go func() {
		for {
			chunk, err := stream.Recv()
			if err != nil {
				w.CloseWithError(err) // io.EOF ends the reader cleanly
				return
			}
			if _, err := w.Write(chunk.Lines); err != nil {
				return
			}
		}
	}()
	_, err = s.history.Import(r)
	r.CloseWithError(io.ErrClosedPipe)
	return err
}
