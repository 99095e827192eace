package scheduler

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/metadata"

	"google.golang.org/grpc"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/api"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// quickReconnect suits servers that restart within a second.
var quickReconnect = grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: time.Second}

// core is the Server as the API sees it.
type core Server

var _ api.Core = (*core)(nil)

func (c *core) View() *state.View        { return c.machine.View() }
func (c *core) Changed() <-chan struct{} { return c.machine.Changed() }
func (c *core) Policy() config.Source    { return c.source }

// Book shows the accounts as they stand now: the log's own book ends at its last
// entry, and what has run since is valued at the prices in force.
func (c *core) Book(f func(*ledger.Book)) {
	s := (*Server)(c)
	f(s.machine.bookAt(s.marketNow(s.machine.View())))
}

func (c *core) Propose(ctx context.Context, cmd state.Command) (uint64, state.Result, error) {
	return (*Server)(c).Propose(ctx, cmd)
}

func (c *core) WaitApplied(ctx context.Context, index uint64) error {
	return c.replica.WaitApplied(ctx, index)
}

func (c *core) Market() (workload.Instant, int64) {
	s := (*Server)(c)
	return s.marketNow(s.machine.View()), s.clock.Speed()
}

func (c *core) Sample(id workload.DeviceID) (workload.Sample, bool) { return c.hub.sample(id) }

func (c *core) LastSeen(id workload.NodeID) (time.Time, bool) { return c.hub.lastHeard(id) }

func (c *core) IssueToken(ctx context.Context, kind, name string, roles []string, life time.Duration, by string) (string, error) {
	return (*Server)(c).IssueToken(ctx, kind, name, roles, life, by)
}

// policyStatus is what is known of the policy store.
type policyStatus struct {
	text    string
	heard   time.Time
	invalid []config.Issue
}

func (s *Server) setPolicyState(snap config.Snapshot, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil:
		s.status.text = err.Error()
		return
	case snap.Regressed:
		s.status.text = "the policy store has gone back to an older revision; restart this server to accept it"
	case len(snap.Invalid) > 0:
		s.status.text = "ok, but " + snap.Invalid[0].String()
	default:
		s.status.text = "ok"
	}
	s.status.heard, s.status.invalid = time.Now(), snap.Invalid
}

// PolicyState tells whether policy can be written. Only the leader follows the
// store; a follower asks it anew.
func (c *core) PolicyState() (string, time.Duration, []config.Issue) {
	s := (*Server)(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.replica.IsLeader() {
		return "followed by the leader", 0, nil
	}
	return s.status.text, time.Since(s.status.heard), s.status.invalid
}

func (s *Server) setFeedState(failed map[string]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.feeds = maps.Clone(failed)
}

func (c *core) FeedErrors() map[string]string {
	s := (*Server)(c)
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.feeds)
}

func (s *Server) setRound(r *planner.Round, micros int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round_ = api.RoundInfo{Round: r, Micros: micros}
	s.metrics.ObserveDecision(string(r.Result.Stage), time.Duration(micros)*time.Microsecond)
}

// Round is the leader's last decision; a follower decides its own view, which
// gives the same.
func (c *core) Round() api.RoundInfo {
	s := (*Server)(c)
	s.mu.Lock()
	info := s.round_
	s.mu.Unlock()
	v := s.machine.View()
	if s.leads() && info.Round != nil || v.Revision == 0 || len(v.Nodes) == 0 {
		return info
	}
	start := time.Now()
	board := planner.Compose(v, v.Policy, s.marketNow(v), Wall())
	if len(decide.Validate(&board.Problem)) > 0 {
		return info
	}
	r, _ := board.Decide(nil, decide.Budget{})
	return api.RoundInfo{Round: r, Micros: time.Since(start).Microseconds()}
}

// Group asks every other server how it is.
func (c *core) Group(ctx context.Context) api.Group {
	s := (*Server)(c)
	st := s.replica.Stats()
	leader, _ := s.replica.Leader()
	v := s.machine.View()
	g := api.Group{Cluster: s.trust.Cluster, Version: s.conf.Version, Self: s.conf.ID, Leader: leader.ID, Term: st.Term, LogIndex: st.LastIndex}
	members := s.replica.Servers()
	states := make([]string, len(members))
	done := make(chan int, len(members))
	for i, m := range members {
		go func() {
			states[i] = s.stateOf(ctx, m.ID, v.Servers[m.ID].GRPC, leader.ID)
			done <- i
		}()
	}
	for range members {
		<-done
	}
	for i, m := range members {
		g.Servers = append(g.Servers, api.GroupServer{ID: m.ID, Address: v.Servers[m.ID].GRPC, Voter: m.Voter, State: states[i]})
	}
	return g
}

func (s *Server) stateOf(ctx context.Context, id, addr, leader string) string {
	answer := "follower"
	if id == leader {
		answer = "leader"
	}
	if id == s.conf.ID {
		return answer
	}
	conn, err := s.dial(addr)
	if err != nil {
		return "unreachable"
	}
	ctx, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := sluicev1.NewPeerClient(conn).Describe(ctx, &sluicev1.DescribeRequest{}); err != nil {
		return "unreachable"
	}
	return answer
}

// JobLog reads a job's log from the node of its first rank, through the leader,
// who has the agents' sessions.
func (c *core) JobLog(ctx context.Context, id workload.JobID, attempt int, offset int64, follow bool, send func([]byte, int64) error) error {
	s := (*Server)(c)
	if !s.leads() {
		return s.proxyLog(ctx, id, attempt, offset, follow, send)
	}
	j, ok := s.machine.View().Jobs[id]
	if !ok {
		return workload.Errorf(workload.NotFound, "there is no job %d", id)
	}
	var of state.Attempt
	for _, a := range j.Attempts { // old ones may be forgotten: go by number
		if a.Number == attempt || attempt == 0 {
			of = a
		}
	}
	if of.Number == 0 {
		return workload.Errorf(workload.NotFound, "job %d has no attempt %d", id, max(attempt, 1)).Hint("sluice explain job %d says what it waits on", id)
	}
	attempt = of.Number
	node := of.Devices[0].Node()
	ses := s.hub.session(node)
	if ses == nil {
		return workload.Errorf(workload.Unavailable, "node %s, which holds the log, is not connected", node)
	}
	chunks := make(chan *sluicev1.LogChunk, 64)
	ses.mu.Lock()
	ses.nextRead++
	read := ses.nextRead
	done := make(chan struct{})
	defer close(done)
	ses.readers[read] = func(m *sluicev1.LogChunk) {
		select {
		case chunks <- m:
		case <-done:
		}
	}
	ses.mu.Unlock()
	request := func(cancel bool) {
		ses.send(&sluicev1.ServerMessage{Body: &sluicev1.ServerMessage_Log{Log: &sluicev1.LogRequest{Id: read, Job: uint64(id), Attempt: int32(attempt),
			Offset: offset, Follow: follow, Cancel: cancel}}})
	}
	defer func() {
		ses.mu.Lock()
		delete(ses.readers, read)
		ses.mu.Unlock()
		request(true)
	}()
	request(false)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-chunks:
			if m.Error != "" {
				return workload.Errorf(workload.NotFound, "%s", m.Error)
			}
			if len(m.Data) > 0 {
				if err := send(m.Data, m.Offset); err != nil {
					return err
				}
			}
			if m.End {
				return nil
			}
		case <-time.After(30 * time.Second):
			if s.hub.session(node) != ses {
				return workload.Errorf(workload.Unavailable, "node %s has disconnected", node)
			}
			if !follow {
				return workload.Errorf(workload.Unavailable, "node %s does not send the log", node)
			}
		}
	}
}

// proxyLog asks the leader with the caller's own token.
func (s *Server) proxyLog(ctx context.Context, id workload.JobID, attempt int, offset int64, follow bool, send func([]byte, int64) error) error {
	conn, err := s.dial(s.leaderGRPC())
	if err != nil {
		return err
	}
	if md, ok := metadata.FromIncomingContext(ctx); ok {
		ctx = metadata.NewOutgoingContext(ctx, metadata.MD{"authorization": md.Get("authorization")})
	}
	stream, err := sluicev1.NewOperatorClient(conn).JobLogs(ctx, &sluicev1.JobLogsRequest{Id: id.String(), Attempt: int32(attempt), Offset: offset, Follow: follow})
	if err != nil {
		return wire.FromStatus(err)
	}
	for {
		m, err := stream.Recv()
		if err != nil {
			if strings.HasSuffix(err.Error(), "EOF") {
				return nil
			}
			return wire.FromStatus(err)
		}
		if err := send(m.Data, m.Offset); err != nil {
			return err
		}
	}
}

// VerifyHistory replays the history into a fresh state and compares it, byte by
// byte, with the one in force at the same entry.
func (c *core) VerifyHistory(ctx context.Context) (api.Verification, error) {
	s := (*Server)(c)
	live := s.machine.clone()
	if _, err := s.history.Verify(); err != nil {
		return api.Verification{Text: err.Error()}, nil
	}
	if _, complete := s.history.Contiguous(); !complete {
		return api.Verification{}, workload.Errorf(workload.Unavailable, "the history before this server's snapshot is still being fetched")
	}
	again := state.New()
	v := api.Verification{ToIndex: live.Index, Head: s.history.Head().Hash.String()}
	for e, err := range s.history.Read(0) {
		if err != nil {
			return v, err
		}
		if e.Index > live.Index {
			break
		}
		if err := ctx.Err(); err != nil {
			return v, err
		}
		cmd, err := state.Decode(e.Command)
		if err != nil {
			return v, err
		}
		again.Apply(e.Index, cmd)
		v.Entries++
	}
	if live.Book != nil {
		t := live.Book.Totals()
		v.DeviceMillis, v.Net = t.DeviceMillis, t.Net()
		if err := live.Book.Check(); err != nil {
			v.Text = err.Error()
			return v, nil
		}
	}
	a, err1 := json.Marshal(live)
	b, err2 := json.Marshal(again)
	if err1 != nil || err2 != nil {
		return v, workload.Errorf(workload.Internal, "the state cannot be encoded")
	}
	v.OK = bytes.Equal(a, b)
	if v.OK {
		v.Text = "state and accounts, recomputed from the history, are equal to the last unit"
	} else {
		v.Text = "state and accounts differ from what the history gives"
	}
	return v, nil
}
