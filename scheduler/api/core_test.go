package api

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/feed"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// policyText is a small hall. KAS nets most at first; RVN pays a little less.
const policyText = `kind: Cluster
name: default
currency: USD
---
kind: Site
name: hall-1
zone: UTC
power: {cap: 3kW, cooling: {pue: 1.04}}
tariff: flat
---
kind: Tariff
name: flat
currency: USD
bands: [{price: 0.1 USD/kWh}]
---
kind: Coin
name: KAS
algorithm: kheavyhash
hashprice: {feed: kas}
risk: {haircut: 4%}
---
kind: Coin
name: RVN
algorithm: kawpow
hashprice: {feed: rvn}
---
kind: Feed
name: kas
sources: [{value: "0.00287"}]
unit: USD/MH/day
---
kind: Feed
name: rvn
sources: [{value: "0.0250"}]
unit: USD/MH/day
---
kind: Pool
name: kas-pool
coin: KAS
endpoints: [stratum+tcp://a.example:3333]
scheme: PPS
wallet: kas
---
kind: Pool
name: rvn-pool
coin: RVN
endpoints: [stratum+tcp://a.example:3334]
scheme: PPS
wallet: rvn
---
kind: Wallet
name: kas
coin: KAS
address: kaspa-example
---
kind: Wallet
name: rvn
coin: RVN
address: rvn-example
---
kind: Miner
name: practice
algorithms: [kheavyhash, kawpow]
devices: [sim]
args: ["-o", "{pool.endpoint}"]
---
kind: DeviceProfile
model: RTX 3080
modes:
  - {algorithm: kheavyhash, hashrate: 612MH/s, power: 279W}
  - {algorithm: kawpow, hashrate: 46.4MH/s, power: 279W}
training: {speed: 1.0, power: 300W}
idle: 22W
switch: {warmup: 5m}
---
kind: Tenant
name: research
borrow: 8 GPU
`

const start = workload.Instant(1_790_000_000_000 - 1_790_000_000_000%workload.HourMillis)

// fake is a server of one: the real state, ledger, feeds and decision, without
// log and network.
type fake struct {
	t testing.TB

	mu      sync.Mutex
	state   *state.State
	changed chan struct{}
	now     workload.Instant
	round   RoundInfo
	poller  feed.Poller
	source  *memorySource

	// Faults to be set by tests.
	proposeErr error
	leader     string
	logErr     error
	verifyErr  error
	samples    map[workload.DeviceID]workload.Sample
	issued     []string
	invalid    []config.Issue
	feedErrors map[string]string
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, state: state.New(), changed: make(chan struct{}), now: start, leader: "s1", samples: map[workload.DeviceID]workload.Sample{}}
	docs, err := config.Parse("policy.yaml", []byte(policyText))
	if err != nil {
		t.Fatal(err)
	}
	if issues := config.Validate(config.NewSet(docs...)); len(issues) > 0 {
		t.Fatal(issues)
	}
	f.source = &memorySource{f: f, revision: 100, set: config.NewSet()}
	edits := make([]config.Edit, len(docs))
	for i := range docs {
		edits[i].Put = &docs[i]
	}
	for i := range 2 {
		f.register(fmt.Sprintf("n%02d", i+1))
	}
	if _, err := f.source.Apply(t.Context(), config.Batch{Edits: edits}, config.AnyRevision); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fake) register(name string) {
	n := workload.NodeID(name)
	c := &state.NodeRegistered{Node: n, Site: "hall-1", Boot: "b1", Instance: "i1", Version: "test", Address: "192.0.2.1", Sim: true}
	for slot := range 4 {
		id := workload.NewDeviceID(n, slot)
		c.Devices = append(c.Devices, workload.Device{ID: id, UUID: "sim-" + string(id), Kind: workload.GPU, Model: "RTX 3080", Memory: 10 << 30, Driver: "sim", Sim: true, Health: workload.Healthy})
	}
	f.must(state.Command{Node: c})
}

func (f *fake) must(c state.Command) state.Result {
	f.t.Helper()
	_, r, err := f.Propose(context.Background(), c)
	if err != nil {
		f.t.Fatal(err)
	}
	return r
}

// observe reads the feeds and tariffs as the leader does.
func (f *fake) observe() {
	v := f.View()
	q := &state.QuotesObserved{Energy: map[workload.SiteName][]ledger.Step{}}
	for _, r := range f.poller.Poll(context.Background(), v.Policy, f.now) {
		if r.Err != nil {
			f.t.Fatal(r.Err)
		}
		q.Observations = append(q.Observations, r.Observation)
	}
	for d := range v.Policy.OfKind(config.KindSite) {
		site := workload.SiteName(d.Name)
		q.Energy[site] = planner.EnergySteps(v.Policy, v.Quotes, site, f.now, f.now)
	}
	f.must(state.Command{Quotes: q})
}

// decide makes a round and commits what changes.
func (f *fake) decide() {
	v := f.View()
	r, _ := planner.Compose(v, v.Policy, f.now, workload.InstantOf(time.Now())).Decide(nil, decide.Budget{})
	if err := decide.Verify(&r.Board.Problem, &r.Result); err != nil {
		f.t.Fatal(err)
	}
	plan, some := r.Plan()
	plan.Micros = 1234
	f.mu.Lock()
	f.round = RoundInfo{Round: r, Micros: 1234}
	f.mu.Unlock()
	if some {
		f.must(state.Command{Plan: &plan})
	}
}

// settle lets the agents do what they were ordered to.
func (f *fake) settle() {
	for range 3 {
		v := f.View()
		for _, id := range v.DeviceIDs() {
			d := v.Devices[id]
			if d.Settled() || d.Use.Kind == workload.Unknown {
				continue
			}
			e := state.WorkloadEvent{Kind: state.EventStarted, Device: id, Epoch: d.Epoch, Pid: 4242}
			if d.Assigned.Kind == workload.Training {
				j := v.Jobs[d.Assigned.Job]
				a, _ := j.Current()
				e.Job, e.Attempt = j.ID, a.Number
				if a.Phase == workload.Reserved {
					e.Kind = state.EventFreed
				}
			} else if d.Assigned.Kind == workload.Parked {
				e.Kind = state.EventFreed
			}
			f.event(e)
		}
	}
}

func (f *fake) event(e state.WorkloadEvent) {
	node := e.Device.Node()
	e.Seq = f.View().Nodes[node].LastSeq + 1
	f.must(state.Command{Events: &state.WorkloadsReported{Node: node, Events: []state.WorkloadEvent{e}}})
}

// work is a whole turn: prices, decision, agents.
func (f *fake) work() {
	f.observe()
	f.decide()
	f.settle()
}

func (f *fake) advance(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

func (f *fake) bytes() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	var b bytes.Buffer
	if err := f.state.Save(&b); err != nil {
		f.t.Fatal(err)
	}
	return b.Bytes()
}

func (f *fake) View() *state.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.View()
}

func (f *fake) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fake) Book(use func(*ledger.Book)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	use(f.state.Book)
}

func (f *fake) Propose(_ context.Context, c state.Command) (uint64, state.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.proposeErr != nil {
		return 0, state.Result{}, f.proposeErr
	}
	c.Version, c.At, c.Wall = state.SchemaVersion, f.now, workload.InstantOf(time.Now())
	data, err := state.Encode(c)
	if err != nil {
		return 0, state.Result{}, err
	}
	if c, err = state.Decode(data); err != nil {
		return 0, state.Result{}, err
	}
	r := f.state.Apply(f.state.Index+1, c)
	close(f.changed)
	f.changed = make(chan struct{})
	return f.state.Index, r, r.Err()
}

func (f *fake) WaitApplied(context.Context, uint64) error { return nil }

func (f *fake) Market() (workload.Instant, int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now, 60
}

func (f *fake) Policy() config.Source { return f.source }

func (f *fake) PolicyState() (string, time.Duration, []config.Issue) {
	return "ok", time.Second, f.invalid
}
func (f *fake) FeedErrors() map[string]string { return f.feedErrors }

func (f *fake) Group(context.Context) Group {
	return Group{Cluster: "test", Version: "v0", Self: "s1", Leader: f.leader, Term: 3, LogIndex: f.View().Index,
		Servers: []GroupServer{{ID: "s1", Address: "192.0.2.9:7070", State: "leader", Voter: true}}}
}

func (f *fake) Round() RoundInfo {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.round
}

func (f *fake) Sample(id workload.DeviceID) (workload.Sample, bool) {
	s, ok := f.samples[id]
	return s, ok
}

func (f *fake) LastSeen(workload.NodeID) (time.Time, bool) { return time.UnixMilli(77), true }

func (f *fake) JobLog(_ context.Context, job workload.JobID, attempt int, offset int64, follow bool, send func([]byte, int64) error) error {
	if f.logErr != nil {
		return f.logErr
	}
	return send(bytes.Repeat([]byte("x"), 100<<10)[offset:], offset)
}

func (f *fake) IssueToken(_ context.Context, kind, name string, roles []string, life time.Duration, by string) (string, error) {
	f.issued = append(f.issued, fmt.Sprintf("%s %s %v %s by %s", kind, name, roles, life, by))
	return "secret", nil
}

func (f *fake) VerifyHistory(context.Context) (Verification, error) {
	return Verification{OK: true, Entries: 7, ToIndex: f.View().Index, Head: "abc", Text: "agrees", DeviceMillis: 5, Net: 6}, f.verifyErr
}

// memorySource stores policy as etcd would, and puts it in force at once.
type memorySource struct {
	f        *fake
	revision int64
	set      *config.Set
	down     bool
	frozen   bool // stored, but not put in force
	comment  string
}

func (s *memorySource) Load(context.Context) (config.Snapshot, error) { return config.Snapshot{}, nil }
func (s *memorySource) Watch(context.Context, int64) <-chan config.Snapshot {
	return nil
}
func (s *memorySource) History(context.Context, config.Key) ([]config.Version, error) {
	return nil, nil
}

func (s *memorySource) Apply(_ context.Context, b config.Batch, check int64) (int64, error) {
	switch {
	case s.down:
		return 0, workload.Errorf(workload.Unavailable, "the policy store does not answer")
	case check != config.AnyRevision && check != s.revision:
		return 0, workload.Errorf(workload.Conflict, "the policy is at revision %d, not %d", s.revision, check)
	}
	set := s.set.With(b.Edits...)
	if issues := config.Validate(set); len(issues) > 0 {
		return 0, workload.Errorf(workload.Invalid, "%s", issues[0])
	}
	s.set, s.comment = set, b.Actor+": "+b.Comment
	s.revision++
	if !s.frozen {
		s.f.must(state.Command{Policy: &state.PolicyChanged{Revision: s.revision, Documents: set}})
	}
	return s.revision, nil
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// as is a context in which a person with roles calls.
func as(t testing.TB, name string, roles ...identity.Role) context.Context {
	return identity.WithCaller(t.Context(), identity.Caller{Name: name, Roles: roles, TokenID: "t"})
}

// working returns a fleet that mines, and its operator.
func working(t *testing.T) (*fake, sluicev1.OperatorServer) {
	f := newFake(t)
	f.work()
	f.advance(15 * time.Minute) // beyond the minimum dwell
	return f, NewOperator(f, quiet())
}
