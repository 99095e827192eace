package scheduler

import (
	"bufio"
	"context"
	"io"
	"slices"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/backup"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/replica"
	"github.com/sluice-project/sluice/workload"
)

// clusterService is what an admin asks of the servers themselves.
type clusterService struct {
	sluicev1.UnimplementedClusterServer
	s *Server
}

// describe is what only this server knows of itself.
func (s *Server) describe() *sluicev1.DescribeResponse {
	st := s.replica.Stats()
	m := &sluicev1.DescribeResponse{Id: s.conf.ID, State: st.State, Version: s.conf.Version, Term: st.Term,
		Applied: s.machine.View().Index, LastIndex: st.LastIndex, CommitIndex: st.Commit, WallMs: int64(Wall()),
		CertificateUntilMs: s.cred.Leaf().NotAfter.UnixMilli(), HistoryComplete: s.historyComplete()}
	m.DiskFree, m.DiskSize = diskSpace(s.conf.Dir)
	return m
}

// diskSpace is what a file system may still take and its size, in bytes; -1
// where it does not tell.
func diskSpace(dir string) (free, size int64) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return -1, -1
	}
	return int64(fs.Bavail) * fs.Bsize, int64(fs.Blocks) * fs.Bsize
}

// describeWait bounds the question to one other server.
const describeWait = time.Second

// ask describes a server; nil where it does not answer. The second result is
// how long the answer took, and the third is this server's clock half way.
func (s *Server) ask(ctx context.Context, m replica.Server) (d *sluicev1.DescribeResponse, took time.Duration, middle workload.Instant) {
	if m.ID == s.conf.ID {
		return s.describe(), 0, Wall()
	}
	conn, err := s.dial(s.machine.View().Servers[m.ID].GRPC)
	if err != nil {
		return nil, 0, 0
	}
	ctx, cancel := context.WithTimeout(ctx, describeWait)
	defer cancel()
	began, wall := time.Now(), Wall()
	if d, err = sluicev1.NewPeerClient(conn).Describe(ctx, &sluicev1.DescribeRequest{}); err != nil {
		return nil, 0, 0
	}
	took = time.Since(began)
	return d, took, wall.Add(took / 2)
}

// GetMembers asks every server about itself.
func (c *clusterService) GetMembers(ctx context.Context, _ *sluicev1.GetMembersRequest) (*sluicev1.GetMembersResponse, error) {
	s := c.s
	v, st := s.machine.View(), s.replica.Stats()
	out := &sluicev1.GetMembersResponse{Cluster: s.trust.Cluster, Leader: st.Leader.ID, Term: st.Term, CommitIndex: st.Commit, Self: s.conf.ID,
		Members: make([]*sluicev1.Member, len(st.Servers))}
	if doc, frozen := s.freezer(v); frozen {
		out.Frozen, out.FrozenBy, out.FrozenBecause = true, doc.Name, doc.Override.Reason
	}
	var all sync.WaitGroup
	for i, m := range st.Servers {
		all.Go(func() { out.Members[i] = s.member(ctx, m, v.Servers[m.ID].GRPC) })
	}
	all.Wait()
	for _, m := range out.Members { // the leader's word, where it is heard
		out.CommitIndex = max(out.CommitIndex, m.Behind)
	}
	for _, m := range out.Members {
		m.Behind = 0
		if m.State != "unreachable" {
			m.Behind = max(out.CommitIndex, m.AppliedIndex) - m.AppliedIndex
		}
	}
	return out, nil
}

// member describes one server; Behind holds the commit index it told.
func (s *Server) member(ctx context.Context, m replica.Server, grpc string) *sluicev1.Member {
	out := &sluicev1.Member{Id: m.ID, State: "unreachable", Voter: m.Voter, GrpcAddress: grpc, RaftAddress: m.Address, DiskFree: -1, DiskSize: -1}
	d, took, middle := s.ask(ctx, m)
	if d == nil {
		return out
	}
	out.State, out.Version, out.Term, out.LastIndex, out.AppliedIndex, out.Behind = d.State, d.Version, d.Term, d.LastIndex, d.Applied, d.CommitIndex
	out.ClockMs, out.ClockErrorMs = d.WallMs-int64(middle), (took/2).Milliseconds()+1
	out.CertificateUntilMs, out.DiskFree, out.DiskSize, out.HistoryComplete = d.CertificateUntilMs, d.DiskFree, d.DiskSize, d.HistoryComplete
	return out
}

// passedOn marks a request that came from another server, which goes no further.
const passedOn = "sluice-passed-on"

// passOn returns where to pass a request on that only the leader can answer, nil
// where this server leads. The caller's own token goes with it.
func (s *Server) passOn(ctx context.Context) (sluicev1.ClusterClient, context.Context, error) {
	if s.leads() {
		return nil, ctx, nil
	}
	md, _ := metadata.FromIncomingContext(ctx)
	leader, known := s.replica.Leader()
	addr := s.leaderGRPC()
	if !known || leader.ID == s.conf.ID || addr == "" || len(md.Get(passedOn)) > 0 {
		return nil, nil, workload.Errorf(workload.NotLeader, "server %s does not lead, and knows of none that does", s.conf.ID).
			Hint("wait for an election; sluice cluster status shows who is reachable")
	}
	conn, err := s.dial(addr)
	if err != nil {
		return nil, nil, err
	}
	return sluicev1.NewClusterClient(conn), metadata.NewOutgoingContext(ctx, metadata.MD{"authorization": md.Get("authorization"), passedOn: {s.conf.ID}}), nil
}

// byLeader has a request answered here or by the leader.
func byLeader[Q, R any](ctx context.Context, s *Server, req Q, here func(context.Context, Q) (R, error), there func(sluicev1.ClusterClient, context.Context, Q) (R, error)) (R, error) {
	var none R
	leader, ctx, err := s.passOn(ctx)
	if err != nil {
		return none, wire.ToStatus(err)
	}
	if leader != nil {
		return there(leader, ctx, req)
	}
	resp, err := here(ctx, req)
	if err != nil {
		return none, wire.ToStatus(err)
	}
	return resp, nil
}

// TransferLeadership hands over in the orderly way: the other server is brought
// up to date first, so nobody waits for an election.
func (c *clusterService) TransferLeadership(ctx context.Context, req *sluicev1.TransferLeadershipRequest) (*sluicev1.TransferLeadershipResponse, error) {
	return byLeader(ctx, c.s, req, c.s.transfer, func(l sluicev1.ClusterClient, ctx context.Context, req *sluicev1.TransferLeadershipRequest) (*sluicev1.TransferLeadershipResponse, error) {
		return l.TransferLeadership(ctx, req)
	})
}

func (s *Server) transfer(ctx context.Context, req *sluicev1.TransferLeadershipRequest) (*sluicev1.TransferLeadershipResponse, error) {
	st := s.replica.Stats()
	if req.Server == s.conf.ID {
		return &sluicev1.TransferLeadershipResponse{From: s.conf.ID, Leader: s.conf.ID, Term: st.Term}, nil
	}
	others := slices.DeleteFunc(st.Servers, func(m replica.Server) bool { return m.ID == s.conf.ID || !m.Voter })
	if len(others) == 0 {
		return nil, workload.Errorf(workload.Conflict, "server %s is the only voter: there is nobody to hand over to", s.conf.ID)
	}
	if i := slices.IndexFunc(others, func(m replica.Server) bool { return m.ID == req.Server }); req.Server != "" {
		if i < 0 {
			return nil, workload.Errorf(workload.NotFound, "server %q is not a voter of the group", req.Server).Hint("sluice cluster members")
		}
		if d, _, _ := s.ask(ctx, others[i]); d == nil {
			return nil, workload.Errorf(workload.Unavailable, "server %s is not reachable", req.Server).Hint("sluice cluster status")
		}
	}
	began := time.Now()
	_, changed := s.replica.LeaderChanged()
	if err := s.replica.Transfer(ctx, req.Server); err != nil {
		return nil, err
	}
	for {
		leader, next := s.replica.LeaderChanged()
		if leader.ID != "" && leader.ID != s.conf.ID {
			s.log.Info("leadership was handed over", "from", s.conf.ID, "to", leader.ID, "by", identity.CallerFrom(ctx).Actor())
			return &sluicev1.TransferLeadershipResponse{From: s.conf.ID, Leader: leader.ID, Term: s.replica.Stats().Term, Milliseconds: time.Since(began).Milliseconds()}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		case <-time.After(5 * time.Millisecond):
		}
		changed = next
	}
}

// RemoveServer takes a server out of the group, one at a time.
func (c *clusterService) RemoveServer(ctx context.Context, req *sluicev1.RemoveServerRequest) (*sluicev1.RemoveServerResponse, error) {
	return byLeader(ctx, c.s, req, c.s.remove, func(l sluicev1.ClusterClient, ctx context.Context, req *sluicev1.RemoveServerRequest) (*sluicev1.RemoveServerResponse, error) {
		return l.RemoveServer(ctx, req)
	})
}

func (s *Server) remove(ctx context.Context, req *sluicev1.RemoveServerRequest) (*sluicev1.RemoveServerResponse, error) {
	if req.Server == s.conf.ID {
		return nil, workload.Errorf(workload.Conflict, "server %s leads", req.Server).Hint("sluice cluster transfer, then remove it")
	}
	voters, live := 0, 0
	for _, m := range s.replica.Servers() {
		if m.ID == req.Server || !m.Voter {
			continue
		}
		voters++
		if d, _, _ := s.ask(ctx, m); d != nil {
			live++
		}
	}
	if need := voters/2 + 1; live < need && !req.Force {
		return nil, workload.Errorf(workload.Conflict, "of the %d voters that would stay %d can be reached, and %d must agree on anything", voters, live, need).
			Hint("start the others first; --force removes %s all the same", req.Server)
	}
	if err := s.replica.Remove(ctx, req.Server); err != nil {
		return nil, err
	}
	out := &sluicev1.RemoveServerResponse{Server: req.Server}
	for _, m := range s.replica.Servers() {
		out.Members = append(out.Members, m.ID)
	}
	s.log.Info("a server was removed from the group", "removed", req.Server, "by", identity.CallerFrom(ctx).Actor(), "forced", req.Force)
	return out, nil
}

// snapshotPiece is how much of a backup travels in one message.
const snapshotPiece = 64 << 10

// SaveSnapshot streams a backup of all that the leader acknowledged until now.
// Where no server leads, this one gives what it has and says so in the file.
func (c *clusterService) SaveSnapshot(req *sluicev1.SaveSnapshotRequest, stream sluicev1.Cluster_SaveSnapshotServer) error {
	s, ctx := c.s, stream.Context()
	leader, out, err := s.passOn(ctx)
	switch {
	case err != nil && workload.KindOf(err) != workload.NotLeader:
		return wire.ToStatus(err)
	case leader != nil:
		from, err := leader.SaveSnapshot(out, req)
		for err == nil {
			var m *sluicev1.SaveSnapshotResponse
			if m, err = from.Recv(); err == nil {
				err = stream.Send(m)
			}
		}
		if err == io.EOF {
			return nil
		}
		return err
	}
	h := backup.Header{Cluster: s.trust.Cluster, Server: s.conf.ID, Version: s.conf.Version, Wall: Wall(), Stale: err != nil}
	if !h.Stale {
		if err := s.replica.Barrier(ctx); err != nil {
			return wire.ToStatus(err)
		}
	}
	body, index, err := s.machine.capture()
	if err != nil {
		return wire.ToStatus(err)
	}
	h.Index, h.Term = index, s.replica.Stats().Term
	w := bufio.NewWriterSize(&pieces{send: stream.Send}, snapshotPiece)
	err = backup.Write(w, h, body)
	if err == nil {
		err = w.Flush()
	}
	s.log.Info("a backup was taken", "index", h.Index, "by", identity.CallerFrom(ctx).Actor(), "err", err)
	return wire.ToStatus(err)
}

// pieces sends what is written in messages of bounded size.
type pieces struct {
	send func(*sluicev1.SaveSnapshotResponse) error
}

func (p *pieces) Write(data []byte) (int, error) {
	for piece := range slices.Chunk(data, snapshotPiece) {
		// Sending encodes the message before it returns, so the bytes may be reused.
		if err := p.send(&sluicev1.SaveSnapshotResponse{Data: piece}); err != nil {
			return 0, err
		}
	}
	return len(data), nil
}
