// Package scheduler assembles a server: the replicated state and its history,
// the leader's duties, the agents' sessions, the policy store and the API. It
// wires and decides nothing: what is decided is in planner and decide, what is
// true in state.
package scheduler

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/reflection"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/api"
	"github.com/sluice-project/sluice/scheduler/api/web"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/config/etcd"
	"github.com/sluice-project/sluice/scheduler/feed"
	"github.com/sluice-project/sluice/scheduler/history"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/replica"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Config says how a server runs. Addresses may have port 0; Server tells which
// ports it got.
type Config struct {
	ID  string // server name, see workload.ValidName
	Dir string // data directory, 0700

	GRPC, HTTP, Raft string // listen addresses
	Advertise        string // host by which others reach this server; default that of GRPC

	// CADir holds the authority, shared by the servers of a cluster; default
	// <Dir>/ca, made where Bootstrap is set and there is none.
	CADir     string
	Bootstrap bool
	Join      []string // gRPC addresses of servers to join

	// Etcd names an etcd to use. Without endpoints one is embedded, which a
	// server with peers must not do: each would have a policy of its own.
	Etcd     etcd.Options
	Volatile bool // the data directory goes when the process does: no fsync of policy

	Clock  *MarketClock // default: the real clock
	Replay bool         // recorded feeds are shifted onto the market clock
	Held   bool         // decide nothing before Begin: who brings a fleet and its work in wants one first plan for all of it
	Timers replica.Timers
	// Snapshots says when the log is folded; tests use low thresholds.
	Snapshots replica.Snapshots

	Version string
	Fatal   func(error) // called once when this server cannot go on
	Log     *slog.Logger
}

// Server is one server. New makes it listen, Run works until its context ends,
// Close undoes New.
type Server struct {
	conf    Config
	log     *slog.Logger
	clock   *MarketClock
	machine *machine
	replica *replica.Replica
	history *history.Log
	source  config.Source
	poller  *feed.Poller
	hub     *hub
	guard   *identity.Guard
	trust   identity.Trust
	ca      *identity.CA
	cred    *identity.Credential
	planKey *identity.PlanKey

	grpcListener, httpListener net.Listener
	grpc                       *grpc.Server
	http                       *http.Server
	peers                      peerConns
	metrics                    *api.Metrics
	restored                   chan struct{} // has room for one: a snapshot came from another server
	restores                   atomic.Uint64 // how many did

	begun chan struct{} // closed when rounds may be decided

	mu     sync.Mutex
	status policyStatus
	feeds  map[string]string
	round_ api.RoundInfo

	undo []func() error // in order of making; Close runs them in reverse
}

// New builds a server and makes it listen. When it fails, what it had made is
// undone.
func New(conf Config) (s *Server, err error) {
	if conf.Log == nil {
		conf.Log = slog.New(slog.DiscardHandler)
	}
	if conf.Fatal == nil {
		conf.Fatal = func(error) {}
	}
	if conf.Clock == nil {
		conf.Clock = NewMarketClock(Wall(), 1)
	}
	if len(conf.Join) > 0 && len(conf.Etcd.Endpoints) == 0 {
		return nil, workload.Errorf(workload.Invalid, "a server with peers needs an etcd that all of them use").
			Hint("give --etcd-endpoints; only a lone server may embed etcd")
	}
	s = &Server{conf: conf, log: conf.Log, clock: conf.Clock, hub: newHub(), feeds: map[string]string{}, restored: make(chan struct{}, 1), begun: make(chan struct{}),
		poller: &feed.Poller{Replay: conf.Replay}, status: policyStatus{text: "not read yet", heard: time.Now()}}
	if !conf.Held {
		s.Begin()
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
			s = nil
		}
	}()
	if err := os.MkdirAll(conf.Dir, 0o700); err != nil {
		return nil, workload.Errorf(workload.Invalid, "data directory: %w", err)
	}
	if err := s.openIdentity(); err != nil {
		return nil, err
	}
	// etcd takes longest to start and nothing below needs it.
	store := make(chan error, 1)
	go func() { store <- s.openPolicy() }()
	err = s.openReplica()
	if err := errors.Join(err, <-store); err != nil {
		return nil, err
	}
	return s, s.openListeners()
}

func (s *Server) onClose(f func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.undo = append(s.undo, f)
}

// Close undoes New, last thing first.
func (s *Server) Close() error {
	s.mu.Lock()
	undo := s.undo
	s.undo = nil
	s.mu.Unlock()
	var errs []error
	for i := len(undo) - 1; i >= 0; i-- {
		errs = append(errs, undo[i]())
	}
	return errors.Join(errs...)
}

// openIdentity makes or takes the authority, and this server's certificate and
// plan key from it.
func (s *Server) openIdentity() error {
	dir := s.conf.CADir
	if dir == "" {
		dir = filepath.Join(s.conf.Dir, "ca")
	}
	now := time.Now()
	ca, err := identity.LoadCA(dir)
	if err != nil && workload.KindOf(err) == workload.NotFound {
		if !s.conf.Bootstrap {
			return workload.Errorf(workload.Invalid, "%s holds no authority", dir).
				Hint("copy the CA directory of the cluster's first server there, or start with --bootstrap to make a new cluster")
		}
		ca, err = identity.CreateCA(dir, "c-"+entropy(4), now)
	}
	if err != nil {
		return err
	}
	s.ca, s.trust = ca, ca.Trust
	if s.cred, err = identity.LoadCredential(s.identityDir()); err != nil {
		s.cred = nil // what cannot be read is replaced as a whole
	}
	if s.cred == nil || now.After(identity.RenewAfter(s.cred.Leaf())) {
		if err := s.takeCertificate(now); err != nil {
			return err
		}
	}
	s.planKey, err = ca.PlanKey(now)
	return err
}

func (s *Server) identityDir() string { return filepath.Join(s.conf.Dir, "identity") }

// takeCertificate gives this server a certificate from its authority, with a new
// key: its first, or another for every connection from now on.
func (s *Server) takeCertificate(now time.Time) error {
	req, err := identity.NewRequest()
	if err != nil {
		return err
	}
	der, err := s.ca.Issue(req.CSR, identity.Server, s.conf.ID, s.hosts(), now)
	if err != nil {
		return err
	}
	if s.cred == nil {
		s.cred, err = req.Accept(s.trust, der)
	} else {
		err = s.cred.Renew(req, der)
	}
	if err != nil {
		return err
	}
	return s.cred.Save(s.identityDir())
}

// keepCertificate renews it in good time for as long as the server runs.
func (s *Server) keepCertificate(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(time.Until(identity.RenewAfter(s.cred.Leaf())), time.Minute)):
		}
		if !time.Now().After(identity.RenewAfter(s.cred.Leaf())) {
			continue // the clock was set back
		}
		if err := s.takeCertificate(time.Now()); err != nil {
			s.log.Error("this server's certificate was not renewed; trying again", "valid until", s.cred.Leaf().NotAfter, "err", err)
			continue
		}
		s.log.Info("certificate renewed", "valid until", s.cred.Leaf().NotAfter)
	}
}

// hosts are the names that this server's certificate is good for.
func (s *Server) hosts() []string {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if s.conf.Advertise != "" {
		hosts = append(hosts, s.conf.Advertise)
	}
	if host, _, err := net.SplitHostPort(s.conf.GRPC); err == nil && host != "" && !isUnspecified(host) {
		hosts = append(hosts, host)
	}
	return hosts
}

func isUnspecified(host string) bool {
	ip := net.ParseIP(host)
	return ip != nil && ip.IsUnspecified()
}

func entropy(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// storeTimeout bounds a call to etcd. A command line asks three servers in turn
// before it gives up, which shall not keep a person for more than five seconds;
// a write that was late all the same may be made again.
const storeTimeout = 1200 * time.Millisecond

func (s *Server) openPolicy() error {
	opts := s.conf.Etcd
	if opts.Timeout <= 0 {
		opts.Timeout = storeTimeout
	}
	if len(opts.Endpoints) == 0 {
		embedded, err := etcd.Embed(filepath.Join(s.conf.Dir, "etcd"), etcd.EmbedOptions{Volatile: s.conf.Volatile})
		if err != nil {
			return err
		}
		s.onClose(embedded.Close)
		opts.Endpoints = []string{embedded.Endpoint()}
	}
	source, err := etcd.Dial(opts)
	if err != nil {
		return err
	}
	s.onClose(source.Close)
	s.source = source
	return nil
}

func (s *Server) openReplica() error {
	var err error
	if s.history, err = history.Open(filepath.Join(s.conf.Dir, "history")); err != nil {
		return err
	}
	s.onClose(s.history.Close)
	s.machine = newMachine(s.conf.ID, s.history, s.conf.Fatal)
	s.guard = &identity.Guard{Trust: s.trust, Tokens: tokenStore{s.machine}}
	listener, err := net.Listen("tcp", s.conf.Raft)
	if err != nil {
		return portError("raft", "--raft", s.conf.Raft, err)
	}
	s.replica, err = replica.Open(replica.Config{
		ID: s.conf.ID, Dir: filepath.Join(s.conf.Dir, "raft"), Machine: s.machine, Listener: listener,
		Advertise: s.advertise(listener), TLS: identity.RaftTLS(s.cred), Timers: s.conf.Timers, Bootstrap: s.conf.Bootstrap,
		Forwarder: (*forwarder)(s), Fatal: s.conf.Fatal, OnRestore: s.onRestore, Snapshots: s.conf.Snapshots, Logger: s.log,
	})
	if err != nil {
		return err
	}
	s.onClose(s.replica.Close)
	return nil
}

func (s *Server) onRestore(uint64) {
	s.restores.Add(1)
	select {
	case s.restored <- struct{}{}:
	default:
	}
}

// advertise is how others reach a listener.
func (s *Server) advertise(l net.Listener) string {
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return l.Addr().String()
	}
	if s.conf.Advertise != "" {
		host = s.conf.Advertise
	}
	return net.JoinHostPort(host, port)
}

func portError(what, flag, addr string, err error) error {
	return workload.Errorf(workload.Unavailable, "cannot listen for %s on %s: %w", what, addr, err).
		Hint("another process may use the port; choose another with %s", flag)
}

func (s *Server) openListeners() error {
	var err error
	if s.grpcListener, err = net.Listen("tcp", s.conf.GRPC); err != nil {
		return portError("gRPC", "--grpc", s.conf.GRPC, err)
	}
	s.onClose(closer(s.grpcListener))
	if s.httpListener, err = net.Listen("tcp", s.conf.HTTP); err != nil {
		return portError("HTTP", "--http", s.conf.HTTP, err)
	}
	s.onClose(closer(s.httpListener))
	if a, ok := s.httpListener.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		return workload.Errorf(workload.Invalid, "HTTP on %s would carry tokens in the clear", a).
			Hint("listen on 127.0.0.1 and put a TLS proxy in front")
	}
	s.metrics = api.NewMetrics((*core)(s), func() int { return len(s.hub.all()) })
	operator := api.NewOperator((*core)(s), s.log)
	s.grpc = grpc.NewServer(append(api.ServerOptions(s.guard), grpc.Creds(credentials.NewTLS(identity.ListenTLS(s.cred))))...)
	sluicev1.RegisterOperatorServer(s.grpc, operator)
	sluicev1.RegisterAgentServiceServer(s.grpc, &agents{s: s})
	sluicev1.RegisterClusterServer(s.grpc, &clusterService{s: s})
	sluicev1.RegisterPeerServer(s.grpc, &peer{s: s})
	reflection.Register(s.grpc)
	handler, err := api.NewHandler(api.Options{Operator: operator, Guard: s.guard, Core: (*core)(s), Dist: web.Dist(), Metrics: s.metrics, Log: s.log})
	if err != nil {
		return err
	}
	s.onClose(handler.Close)
	s.http = api.NewServer(handler, s.log)
	return nil
}

// closer closes a listener that a server may have closed already.
func closer(l net.Listener) func() error {
	return func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	}
}

// Run serves until ctx ends or a part fails.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.grpc.Serve(s.grpcListener) })
	g.Go(func() error {
		if err := s.http.Serve(s.httpListener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error { return s.follow(ctx) })
	g.Go(func() error { return s.enter(ctx) })
	g.Go(func() error { return s.keepHistory(ctx) })
	g.Go(func() error { return s.compareStates(ctx) })
	g.Go(func() error { return s.keepCertificate(ctx) })
	g.Go(func() error {
		<-ctx.Done()
		s.grpc.Stop()
		return s.http.Close()
	})
	err := g.Wait()
	s.peers.close()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Ready waits until a leader is known and its policy and first state are here.
func (s *Server) Ready(ctx context.Context) error {
	for {
		changed := s.machine.Changed()
		if leader, ok := s.replica.Leader(); ok && s.machine.View().Servers[leader.ID].ID != "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for a leader: %w", ctx.Err())
		case <-changed:
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// GRPCAddr and HTTPAddr are where the server listens, CA its authority's file.
func (s *Server) GRPCAddr() string { return s.grpcListener.Addr().String() }
func (s *Server) HTTPAddr() string { return s.httpListener.Addr().String() }
func (s *Server) RaftAddr() string { return s.announcement().Raft }
func (s *Server) CAPEM() []byte    { return s.trust.PEM() }

func (s *Server) announcement() *state.ServerAnnounced {
	raft := ""
	for _, m := range s.replica.Servers() {
		if m.ID == s.conf.ID {
			raft = m.Address
		}
	}
	return &state.ServerAnnounced{ID: s.conf.ID, GRPC: s.advertise(s.grpcListener), HTTP: s.httpListener.Addr().String(), Raft: raft}
}

// leads reports whether this server leads and has taken up its duties.
func (s *Server) leads() bool {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.hub.leading && s.replica.IsLeader()
}

// leaderGRPC is where the leader's gRPC listens, or "".
func (s *Server) leaderGRPC() string {
	leader, ok := s.replica.Leader()
	if !ok {
		return ""
	}
	return s.machine.View().Servers[leader.ID].GRPC
}

// tokenStore looks people's tokens up in the state.
type tokenStore struct{ m *machine }

// Bearer returns the record of a token's id.
func (t tokenStore) Bearer(id string) (identity.BearerRecord, bool) {
	b, ok := t.m.View().Bearers[id]
	rec := identity.BearerRecord{ID: b.ID, HashSHA256: b.Hash, Name: b.Name, CreatedAt: int64(b.Created)}
	for _, r := range b.Roles {
		rec.Roles = append(rec.Roles, identity.Role(r))
	}
	return rec, ok
}

// WaitFor waits until the state satisfies a condition.
func (s *Server) WaitFor(ctx context.Context, ok func(*state.View) bool) error {
	for {
		changed := s.machine.Changed()
		if ok(s.machine.View()) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-changed:
		}
	}
}

// PolicySource is where this server keeps the policy.
func (s *Server) PolicySource() config.Source { return s.source }

// MarketNow is the market clock.
func (s *Server) MarketNow() workload.Instant { return s.marketNow(s.machine.View()) }

// HasPeople reports whether anybody has a token, HasJobs whether any job was
// ever submitted.
func (s *Server) HasPeople() bool { return len(s.machine.View().Bearers) > 0 }
func (s *Server) HasJobs() bool   { return s.machine.View().NextJob > 1 }

// Begin lets a server that was made Held decide. It is called once.
func (s *Server) Begin() { close(s.begun) }
