package agent

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/sluice-project/sluice/agent/reconcile"
	pb "github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

// session is one conversation with one server. The loop owns it; its two
// goroutines only carry messages.
type session struct {
	ctx    context.Context
	cancel context.CancelFunc
	out    chan *pb.AgentMessage
	logs   chan *pb.AgentMessage // log chunks wait for everything else
	hello  time.Duration         // when Hello was sent
	sent   map[uint64]time.Duration
	seq    uint64
	heard  time.Duration // last message from the server
	up     bool          // welcomed
	obeyed bool          // a plan of this session is in force
	posted uint64        // highest report sent here
	tails  map[uint64]context.CancelFunc
	skewed bool
}

// Back-off between connections: doubling, with full jitter, so that a fleet
// that lost its leader does not return as one.
const (
	firstBackOff = 100 * time.Millisecond
	lastBackOff  = 5 * time.Second
	steadyAfter  = time.Second // a session this old begins the back-off anew
)

func (a *Agent) connectLoop(ctx context.Context) {
	next, target, redirects := 0, "", 0
	backOff := firstBackOff
	for ctx.Err() == nil {
		if target == "" && len(a.config.Servers) > 0 {
			target = a.config.Servers[next%len(a.config.Servers)]
			next++
		}
		began := a.config.Boottime()
		leader, welcomed, err := a.converse(ctx, target)
		// A leader that worked for a while and is gone says nothing against the
		// next one; one that drops its agents at once must not be hammered.
		if welcomed && a.config.Boottime()-began > steadyAfter {
			backOff, redirects = firstBackOff, 0
		}
		target = leader
		// A redirect is followed at once, but two servers that point at each
		// other must not be chased without pause.
		if leader != "" && redirects < 3 {
			redirects++
			continue
		}
		if ctx.Err() != nil {
			return
		}
		redirects = 0
		if err != nil {
			a.config.Log.Warn("session", "error", err)
		}
		wait := time.Duration(a.config.Jitter(int64(backOff))) + backOff/4
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		backOff = min(2*backOff, lastBackOff)
	}
}

// converse holds one session. It returns the leader it was redirected to, if
// any, and whether a leader welcomed it.
func (a *Agent) converse(ctx context.Context, target string) (leader string, welcomed bool, err error) {
	if target == "" {
		return "", false, errors.New("no server is configured")
	}
	creds := insecure.NewCredentials()
	if a.config.TLS != nil {
		config, err := a.config.TLS()
		if err != nil {
			return "", false, workload.Errorf(workload.Denied, "certificate: %w", err)
		}
		creds = credentials.NewTLS(config)
	}
	conn, err := grpc.NewClient("passthrough:///"+target, grpc.WithTransportCredentials(creds),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.DefaultConfig, MinConnectTimeout: 5 * time.Second}),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 5 * time.Second}))
	if err != nil {
		return "", false, workload.Errorf(workload.Unavailable, "server %s: %w", target, err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := pb.NewAgentServiceClient(conn).Session(ctx)
	if err != nil {
		return "", false, workload.Errorf(workload.Unavailable, "server %s: %w", target, err)
	}
	s := &session{ctx: ctx, cancel: cancel, out: make(chan *pb.AgentMessage, 256), logs: make(chan *pb.AgentMessage, 4), sent: map[uint64]time.Duration{},
		tails: map[uint64]context.CancelFunc{}}
	a.call(ctx, func() { a.openSession(s) })
	defer func() {
		cancel()
		// Not by call, which gives up with the context that is cancelled here.
		select {
		case a.calls <- func() { a.closeSession(s) }:
		case <-time.After(time.Second):
		}
	}()
	sender := make(chan struct{})
	go func() {
		defer close(sender)
		for {
			m := s.next()
			if m == nil || stream.Send(m) != nil {
				return
			}
		}
	}()
	defer func() { cancel(); <-sender }()
	for {
		m, err := stream.Recv()
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = errors.New("closed by the server")
			}
			return "", welcomed, workload.Errorf(workload.Unavailable, "server %s: %w", target, err)
		}
		if r := m.GetRedirect(); r != nil {
			return r.GetLeader(), false, workload.Errorf(workload.NotLeader, "server %s does not lead", target)
		}
		welcomed = welcomed || m.GetWelcome() != nil
		a.call(ctx, func() { a.receive(s, m) })
	}
}

// next waits for the next message to send; logs come last.
func (s *session) next() *pb.AgentMessage {
	select {
	case m := <-s.out:
		return m
	default:
	}
	select {
	case m := <-s.out:
		return m
	case m := <-s.logs:
		return m
	case <-s.ctx.Done():
		return nil
	}
}

// openSession says who we are. It runs in the loop, so that the inventory and
// what runs are of one moment.
func (a *Agent) openSession(s *session) {
	a.dropSession()
	a.session = s
	devices := a.inventory()
	hello := &pb.Hello{Node: string(a.config.Node), BootId: string(a.boot), Version: a.config.Version, Site: string(a.config.Site), Hall: string(a.config.Hall),
		Rack: string(a.config.Rack), Address: a.config.Address, Devices: wire.DevicesToProto(devices), Instance: a.instance, Sim: len(devices) > 0}
	for _, d := range devices {
		hello.Sim = hello.Sim && d.Sim
	}
	for _, id := range a.state.RunIDs() {
		if run := a.state.Runs[id]; run.Phase != reconcile.RunStarting {
			hello.Running = append(hello.Running, wire.RunToProto(run))
		}
	}
	hello.Drivers = wire.DriversToProto(a.health.drivers)
	a.health.remember(devices)
	s.hello = a.config.Boottime()
	s.heard = s.hello
	a.send(&pb.AgentMessage{Body: &pb.AgentMessage_Hello{Hello: hello}})
	a.heartbeat()
}

func (a *Agent) closeSession(s *session) {
	if a.session == s {
		a.dropSession()
	}
}

func (a *Agent) dropSession() {
	if a.session == nil {
		return
	}
	a.session.cancel()
	a.session = nil
	a.samples.sent = nil // the next leader has seen none of them
}

// send queues a message. A queue that is full belongs to a server that does not
// read; the session is given up rather than the loop held.
func (a *Agent) send(m *pb.AgentMessage) {
	if a.session == nil {
		return
	}
	select {
	case a.session.out <- m:
	default:
		a.config.Log.Warn("the server does not read; starting over")
		a.dropSession()
	}
}

// silence is after how many heartbeats without a word a session is given up.
const silence = 5

func (a *Agent) heartbeat() {
	s := a.session
	if s == nil {
		return
	}
	now := a.config.Boottime()
	if now-s.heard > silence*a.config.Heartbeat+time.Second {
		a.config.Log.Warn("the server is silent; starting over")
		a.dropSession()
		return
	}
	s.seq++
	s.sent[s.seq] = now
	delete(s.sent, s.seq-64)
	a.send(&pb.AgentMessage{Body: &pb.AgentMessage_Heartbeat{Heartbeat: &pb.Heartbeat{Seq: s.seq, WallMs: a.config.Now().UnixMilli()}}})
}

// receive handles one message in the loop.
func (a *Agent) receive(s *session, m *pb.ServerMessage) {
	if a.session != s {
		return
	}
	s.heard = a.config.Boottime()
	switch body := m.GetBody().(type) {
	case *pb.ServerMessage_Welcome:
		a.welcomed(s, body.Welcome)
	case *pb.ServerMessage_Plan:
		a.planned(s, body.Plan)
	case *pb.ServerMessage_Heartbeat:
		a.acknowledged(s, body.Heartbeat)
	case *pb.ServerMessage_Event:
		a.drop(body.Event.GetSeq())
	case *pb.ServerMessage_Log:
		a.tail(s, body.Log)
	}
}

func (a *Agent) welcomed(s *session, w *pb.Welcome) {
	// The leader spoke at some time since we said Hello; a message may have lain
	// about for long while this process was stopped.
	speed := max(w.GetMarketSpeed(), 1)
	a.record.Market = market{Wall: workload.Instant(a.config.Now().UnixMilli()), Market: workload.Instant(w.GetMarketMs()), Speed: speed,
		Late: workload.Instant((a.config.Boottime() - s.hello).Milliseconds() * speed)}
	a.dirty = true
	a.renumber(w.GetLastSeq())
	a.drop(w.GetLastSeq())
	s.up = true
	a.once.Do(func() { close(a.ready) })
	a.config.Log.Info("session", "server", w.GetServer())
}

// renumber gives the reports of this process numbers that the leader has not
// seen. It knows later ones than the state file held when this process began if
// that file was older than what had been sent: a save that failed, or a previous
// generation. Reports under those numbers would be taken for repeats.
func (a *Agent) renumber(last uint64) {
	from := a.loaded
	a.loaded = math.MaxUint64 // from here on the leader knows only what we sent
	if last <= from {
		return
	}
	for i := range a.record.Journal {
		if r := &a.record.Journal[i]; r.Seq > from {
			r.Seq += last - from
		}
	}
	a.state.Seq += last - from
	a.record.Durable.Seq = a.state.Seq
	a.save()
}

func (a *Agent) planned(s *session, signed *pb.SignedPlan) {
	plan, err := wire.OpenPlan(a.verifyPlan, a.config.Cluster, a.config.Node, signed)
	if err != nil {
		a.config.Log.Error("plan refused", "error", err)
		return
	}
	if wall := workload.Instant(a.config.Now().UnixMilli()); plan.Serial < a.state.Serial || wall >= plan.ExpiresAt {
		a.config.Log.Warn("plan refused", "serial", plan.Serial, "obeyed", a.state.Serial, "expires", plan.ExpiresAt, "now", wall)
		return
	}
	a.record.PlanBody, a.record.PlanSignature = signed.GetBody(), signed.GetSignature()
	s.obeyed = true
	// The server had certainly seen our Hello when it sent the plan.
	a.apply(reconcile.PlanReceived{Plan: plan, Heard: s.hello})
}

func (a *Agent) acknowledged(s *session, ack *pb.HeartbeatAck) {
	at, ok := s.sent[ack.GetSeq()]
	if !ok {
		return
	}
	delete(s.sent, ack.GetSeq())
	if !s.obeyed {
		return // it would give new life to a plan of before, which this leader may have overtaken
	}
	if skew := time.Duration(a.config.Now().UnixMilli()-ack.GetWallMs()) * time.Millisecond; ack.GetWallMs() != 0 && skew.Abs() > skewLimit && !s.skewed {
		s.skewed = true
		a.config.Log.Warn("clocks differ", "leader", skew.String())
	}
	a.apply(reconcile.HeartbeatAcked{SentAt: at})
}

// drop forgets reports that the leader has taken.
func (a *Agent) drop(through uint64) {
	kept := a.record.Journal
	for len(kept) > 0 && kept[0].Seq <= through {
		kept = kept[1:]
		a.dirty = true
	}
	a.record.Journal = append([]reconcile.Report(nil), kept...)
}

// window is how many reports may be under way at once.
const window = 64

// pump sends reports that have not been sent in this session. It does not wait
// for a disk that takes no writes: what is told twice changes nothing, and what
// is not told keeps devices idle.
func (a *Agent) pump() {
	s := a.session
	if s == nil || !s.up {
		return
	}
	for i, r := range a.record.Journal {
		if i >= window || len(s.out) >= cap(s.out)/2 {
			return
		}
		if r.Seq > s.posted {
			s.posted = r.Seq
			a.send(&pb.AgentMessage{Body: &pb.AgentMessage_Event{Event: wire.ReportToProto(r)}})
		}
	}
}
