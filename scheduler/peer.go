package scheduler

import (
	"bytes"
	"context"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
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

// Join adds the caller as a voter and answers with the address of the leader;
// another server than the leader answers with that alone, for the caller to ask
// there. The caller's certificate names it.
func (p *peer) Join(ctx context.Context, r *sluicev1.JoinRequest) (*sluicev1.JoinResponse, error) {
	if err := identity.MaySpeakFor(identity.CallerFrom(ctx), identity.Server, r.Id); err != nil {
		return nil, wire.ToStatus(err)
	}
	err := p.s.replica.AddVoter(ctx, r.Id, r.RaftAddress)
	if addr := p.s.leaderGRPC(); err != nil && workload.KindOf(err) == workload.NotLeader && addr != "" {
		return &sluicev1.JoinResponse{Leader: addr}, nil
	}
	if err != nil {
		return nil, wire.ToStatus(err)
	}
	return &sluicev1.JoinResponse{Leader: p.s.advertise(p.s.grpcListener)}, nil
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
	return p.s.describe(), nil
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
	if !connected(ctx, conn) {
		// A leader that just died is still taken for one for a moment; as nothing
		// was sent, the next leader may be asked.
		return 0, nil, workload.Errorf(workload.NotLeader, "server %s at %s cannot be reached", leader.ID, addr)
	}
	r, err := sluicev1.NewPeerClient(conn).Propose(ctx, &sluicev1.ProposeRequest{Command: command})
	if err != nil {
		return 0, nil, wire.FromStatus(err)
	}
	return r.Index, r.Result, nil
}

// connectWait bounds one look at a connection: who leads may change meanwhile.
const connectWait = 100 * time.Millisecond

// connected waits a moment for a connection. One that failed is tried again at
// once: the server behind it may be back.
func connected(ctx context.Context, conn *grpc.ClientConn) bool {
	ctx, cancel := context.WithTimeout(ctx, connectWait)
	defer cancel()
	for {
		st := conn.GetState()
		switch st {
		case connectivity.Ready:
			return true
		case connectivity.Shutdown:
			return false
		case connectivity.TransientFailure:
			conn.ResetConnectBackoff()
		default:
			conn.Connect()
		}
		if !conn.WaitForStateChange(ctx, st) {
			return false
		}
	}
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
		leader, err := s.askOne(ctx, addr)
		if err == nil && leader != addr && leader != "" {
			_, err = s.askOne(ctx, leader)
		}
		if err == nil {
			return
		}
		s.log.Info("has not joined yet", "through", addr, "err", err)
	}
}

func (s *Server) askOne(ctx context.Context, addr string) (leader string, err error) {
	conn, err := s.dial(addr)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	r, err := sluicev1.NewPeerClient(conn).Join(ctx, &sluicev1.JoinRequest{Id: s.conf.ID, RaftAddress: s.replica.Address(), GrpcAddress: s.advertise(s.grpcListener)})
	if err != nil {
		return "", wire.FromStatus(err)
	}
	return r.Leader, nil
}

// keepHistory gets what a snapshot from another server stands on, until the
// history has no gap: also one that was left open when this server last ended.
func (s *Server) keepHistory(ctx context.Context) error {
	for {
		pause := time.Second
		for {
			end, complete := s.history.Contiguous()
			if complete || ctx.Err() != nil {
				break
			}
			if err := s.fetchHistory(ctx, end.Index); err != nil {
				s.log.Warn("the history is not complete yet", "after", end.Index, "next_try", pause, "err", err)
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
				pause = min(2*pause, historyRetryMax)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.restored:
		}
	}
}

// historyRetryMax bounds the pause between two tries: in a cluster restored from
// a backup nobody has what came before, and nobody shall hear of it each second.
const historyRetryMax = 5 * time.Minute

// fetchHistory asks the other servers in turn; each has what it was there for,
// and any may lack a part itself.
func (s *Server) fetchHistory(ctx context.Context, after uint64) error {
	err := error(workload.Errorf(workload.Unavailable, "no other server is known"))
	for _, addr := range s.others() {
		var added int
		if added, err = s.fetchHistoryFrom(ctx, addr, after); added > 0 || err == nil && s.historyComplete() {
			return nil
		}
		if err == nil {
			err = workload.Errorf(workload.Unavailable, "the server at %s does not have it either", addr)
		}
	}
	return err
}

func (s *Server) historyComplete() bool {
	_, complete := s.history.Contiguous()
	return complete
}

// others lists the gRPC addresses of the other servers, the leader's first.
func (s *Server) others() []string {
	v := s.machine.View()
	own := s.advertise(s.grpcListener)
	var out []string
	add := func(addr string) {
		if addr != "" && addr != own && !slices.Contains(out, addr) {
			out = append(out, addr)
		}
	}
	add(s.leaderGRPC())
	for _, id := range slices.Sorted(maps.Keys(v.Servers)) {
		add(v.Servers[id].GRPC)
	}
	for _, addr := range s.conf.Join {
		add(addr)
	}
	return out
}

func (s *Server) fetchHistoryFrom(ctx context.Context, addr string, after uint64) (added int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := s.dial(addr)
	if err != nil {
		return 0, err
	}
	stream, err := sluicev1.NewPeerClient(conn).FetchHistory(ctx, &sluicev1.FetchHistoryRequest{After: after})
	if err != nil {
		return 0, wire.FromStatus(err)
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
	added, err = s.history.Import(r)
	r.CloseWithError(io.ErrClosedPipe)
	return added, err
}
