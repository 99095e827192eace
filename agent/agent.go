// Package agent runs on every node: it holds a session with the leader, obeys
// the newest signed plan through the pure reconciler of package reconcile, and
// keeps what must survive it on disk. It assembles; it decides nothing itself.
package agent

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"math/big"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/agent/runner"
	"github.com/sluice-project/sluice/agent/runner/shim"
	pb "github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

// Config of an Agent.
type Config struct {
	Node    workload.NodeID
	Site    workload.SiteName
	Hall    workload.HallName
	Rack    workload.RackName
	Address string // host by which other nodes reach this one
	Version string
	Cluster string
	// VerifyPlan checks a plan's signature; one that fails is refused.
	VerifyPlan func(body, signature []byte, now time.Time) error
	DataDir    string
	Servers    []string // host:port, any of the cluster's
	// TLS is asked for each connection, so that a renewed certificate is used.
	// Without it the session is plain text, which Plaintext must allow.
	TLS       func() (*tls.Config, error)
	Plaintext bool // for tests over loopback
	Drivers   []device.Driver
	// SelfPath is the binary that becomes a shim when called as
	// "SelfPath shim <dir>". A workload whose command is "sluice" runs it too.
	SelfPath string
	// StopWorkloadsOnExit ends everything with the agent, for dev; normally
	// workloads outlive it.
	StopWorkloadsOnExit bool
	Contain             string // see runner.Config

	Heartbeat   time.Duration // default 2 s
	SampleEvery time.Duration // default 2 s
	ReportEvery time.Duration // full report; default 15 s
	PollMiners  time.Duration // default 5 s

	// Boottime is CLOCK_BOOTTIME, Now the real clock, Jitter a random number in
	// [0, n); tests replace them.
	Boottime func() time.Duration
	Now      func() time.Time
	Jitter   func(n int64) int64
	Log      *slog.Logger
}

func (c *Config) defaults() error {
	switch {
	case !workload.ValidName(string(c.Node)):
		return workload.Errorf(workload.Invalid, "node name %q: use 1 to 63 of a-z, 0-9 and -", c.Node)
	case c.DataDir == "" || c.SelfPath == "":
		return workload.Errorf(workload.Invalid, "the agent needs a data directory and the path of its own binary")
	case c.VerifyPlan == nil:
		return workload.Errorf(workload.Invalid, "the agent needs the authority that signs plans")
	case c.TLS == nil && !c.Plaintext:
		return workload.Errorf(workload.Invalid, "the agent needs a certificate")
	}
	for d, standard := range map[*time.Duration]time.Duration{&c.Heartbeat: 2 * time.Second, &c.SampleEvery: 2 * time.Second, &c.ReportEvery: 15 * time.Second, &c.PollMiners: 5 * time.Second} {
		if *d <= 0 {
			*d = standard
		}
	}
	if c.Boottime == nil {
		c.Boottime = func() time.Duration { return time.Duration(shim.Boottime()) }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Jitter == nil {
		c.Jitter = func(n int64) int64 {
			v, err := rand.Int(rand.Reader, big.NewInt(max(n, 1)))
			if err != nil {
				return 0
			}
			return v.Int64()
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Agent is one node's agent. Everything below calls is owned by Run's loop.
type Agent struct {
	config   Config
	store    *store
	runner   *runner.Runner
	devices  *device.Set
	boot     workload.BootID
	instance string

	ctx   context.Context // of Run
	calls chan func()     // from other goroutines into the loop
	ready chan struct{}
	once  sync.Once

	state   reconcile.State
	record  record
	loaded  uint64 // number of the newest report that the state file held when this process began
	dirty   bool   // record differs from the disk in something that can wait
	failed  bool   // the newest save did not succeed
	workers map[reconcile.RunID]*worker
	session *session
	samples samples
	health  watched
	wg      sync.WaitGroup
	starts  chan struct{} // bounds concurrent starts
	drivers map[string]string
	fresh   chan struct{} // asks for a search for devices
}

// New opens the data directory and prepares an agent. Conflict: another agent
// uses the directory. Internal: its state is damaged beyond its previous
// generation.
func New(config Config) (*Agent, error) {
	if err := config.defaults(); err != nil {
		return nil, err
	}
	st, err := openStore(config.DataDir)
	if err != nil {
		return nil, err
	}
	a := &Agent{config: config, store: st, calls: make(chan func(), 256), ready: make(chan struct{}), workers: map[reconcile.RunID]*worker{},
		starts: make(chan struct{}, 4), drivers: map[string]string{}, fresh: make(chan struct{}, 1)}
	if err := a.open(); err != nil {
		st.close()
		return nil, err
	}
	return a, nil
}

func (a *Agent) open() error {
	rec, note, err := a.store.load()
	if err != nil {
		return err
	}
	if note != "" {
		a.config.Log.Error("agent state was damaged; the previous generation is used", "note", note)
	}
	a.record, a.loaded = rec, rec.Durable.Seq
	boot, err := shim.BootID()
	if err != nil {
		return workload.Errorf(workload.Unavailable, "boot id: %w", err)
	}
	a.boot = workload.BootID(boot)
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return workload.Errorf(workload.Unavailable, "entropy: %w", err)
	}
	a.instance = hex.EncodeToString(id[:])
	a.runner, err = runner.New(runner.Config{Root: filepath.Join(a.config.DataDir, "runs"), Shim: []string{a.config.SelfPath, "shim"}, Contain: a.config.Contain, Log: a.config.Log})
	if err != nil {
		return err
	}
	a.devices = device.NewSet(a.config.Node, a.config.Drivers, rec.Slots, 0)
	var plan *workload.NodePlan
	if len(rec.PlanBody) > 0 {
		plan, err = wire.OpenPlan(a.verifyPlan, a.config.Cluster, a.config.Node, &pb.SignedPlan{Body: rec.PlanBody, Signature: rec.PlanSignature})
		if err != nil {
			a.config.Log.Error("the stored plan is not obeyed", "error", err)
		}
	}
	a.state = reconcile.New(a.config.Node, rec.Durable, plan)
	return nil
}

func (a *Agent) verifyPlan(body, signature []byte) error {
	return a.config.VerifyPlan(body, signature, a.config.Now())
}

// Ready is closed once a leader has welcomed the agent.
func (a *Agent) Ready() <-chan struct{} { return a.ready }

// Run works until the context ends. Workloads go on without it, unless
// StopWorkloadsOnExit.
func (a *Agent) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a.ctx = ctx
	a.discover(ctx)
	if err := a.adopt(); err != nil {
		return err
	}
	a.wg.Go(func() { a.connectLoop(ctx) })
	a.wg.Go(func() { a.sampleLoop(ctx) })
	a.wg.Go(func() { a.pollLoop(ctx) })
	a.wg.Go(func() { a.discoverLoop(ctx) })
	for _, d := range a.config.Drivers {
		if w, ok := d.(device.Watcher); ok {
			a.wg.Go(func() { a.watch(ctx, d.Name(), w) })
		}
	}
	tick := time.NewTicker(min(250*time.Millisecond, a.config.Heartbeat))
	defer tick.Stop()
	heartbeat := time.NewTicker(a.config.Heartbeat)
	defer heartbeat.Stop()
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for {
		select {
		case <-ctx.Done():
			return a.leave(cancel)
		case call := <-a.calls:
			call()
		case end := <-a.runner.Ends():
			a.ended(end)
		case <-tick.C:
			a.apply(reconcile.Tick{})
		case <-heartbeat.C:
			a.heartbeat()
		case <-save.C:
			if a.dirty {
				a.save()
			}
		}
		a.pump()
	}
}

// call runs f in the loop, or drops it once the agent ends.
func (a *Agent) call(ctx context.Context, f func()) {
	select {
	case a.calls <- f:
	case <-ctx.Done():
	}
}

// leaveLimit bounds how long an ending agent waits for its workloads.
const leaveLimit = 5 * time.Second

// stopGrace is what workloads get when they must end with the agent: a person
// waits at the keyboard.
const stopGrace = 500 * time.Millisecond

func (a *Agent) leave(cancel context.CancelFunc) error {
	cancel()
	a.dropSession()
	for _, w := range a.workers {
		w.close()
	}
	// Starts that were under way are abandoned with their context; calls into
	// the loop give up on theirs.
	a.wg.Wait()
	if a.dirty {
		a.save()
	}
	if !a.config.StopWorkloadsOnExit {
		a.runner.Close()
		return nil
	}
	ctx, done := context.WithTimeout(context.Background(), leaveLimit)
	defer done()
	return a.runner.StopAll(ctx, stopGrace)
}

// Close lets go of hardware and data directory. Run must have returned.
func (a *Agent) Close() error { return errors.Join(a.devices.Close(), a.store.close()) }

// discover asks the drivers for the first time.
func (a *Agent) discover(ctx context.Context) {
	a.judged(a.devices.Discover(ctx))
	a.judgeDevices()
	if slots := a.devices.Slots(); len(slots) != len(a.record.Slots) {
		a.record.Slots, a.dirty = slots, true
	}
}

// judged says once what each driver's trouble is.
func (a *Agent) judged(status []device.DriverStatus) {
	a.health.drivers = nil
	for _, s := range status {
		a.health.drivers = append(a.health.drivers, s.Report())
		text := ""
		if s.Err != nil {
			text = s.Err.Error()
		}
		if last, known := a.drivers[s.Driver]; known && last == text {
			continue
		}
		a.drivers[s.Driver] = text
		if s.Err != nil {
			a.config.Log.Warn("driver", "driver", s.Driver, "error", s.Err)
		} else {
			a.config.Log.Info("driver", "driver", s.Driver, "devices", s.Devices)
		}
	}
}

// discoverEvery is how often drivers are asked for new and lost devices.
const discoverEvery = 30 * time.Second

func (a *Agent) discoverLoop(ctx context.Context) {
	ticker := time.NewTicker(discoverEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-a.fresh:
		}
		status := a.devices.Discover(ctx)
		a.call(ctx, func() { a.rediscovered(status) })
	}
}

func (a *Agent) rediscovered(status []device.DriverStatus) {
	a.judged(status)
	if slots := a.devices.Slots(); len(slots) != len(a.record.Slots) {
		a.record.Slots, a.dirty = slots, true
	}
	a.judgeDevices()
	a.tellDevices()
}

// adopt takes over what an earlier agent of this node left running.
func (a *Agent) adopt() error {
	live, ended, err := a.runner.Adopt()
	if err != nil {
		return workload.Errorf(workload.Unavailable, "adopt workloads: %w", err)
	}
	event := reconcile.Restarted{Boot: a.boot}
	for _, l := range live {
		m, err := decodeMeta(l.Meta)
		if err != nil {
			a.config.Log.Error("a workload that cannot be read is stopped", "run", l.ID, "error", err)
			a.runner.Stop(l.ID, 0, -1)
			continue
		}
		m.Run.PID, m.Run.StartTicks, m.Run.Deadline = int64(l.State.Work.PID), l.State.Work.StartTicks, time.Duration(l.State.Deadline)
		event.Live = append(event.Live, m.Run)
		w := a.worker(m)
		w.ok = true
		w.use()
		if run := m.Run; run.Mine != nil && run.Mine.PowerCap > 0 {
			w.do(func() { w.capPower(run.Mine.PowerCap) }) // so that it is kept, and lifted when the run ends
		}
		a.config.Log.Info("adopted", "run", l.ID, "pid", l.State.Work.PID)
	}
	for _, e := range ended {
		if m, err := decodeMeta(e.Meta); err == nil {
			event.Ended = append(event.Ended, reconcile.RunEnd{Run: m.Run, Exit: a.exitOf(m.Run.ID, e)})
		}
	}
	a.apply(event)
	for _, e := range ended {
		a.release(e)
	}
	return nil
}

// meta is what is stored with a run.
type meta struct {
	Run   reconcile.Run `json:"run"`
	Port  int           `json:"port,omitempty"` // of the miner's API
	Token string        `json:"token,omitempty"`
}

func decodeMeta(data json.RawMessage) (meta, error) {
	var m meta
	err := json.Unmarshal(data, &m)
	if err == nil && (m.Run.ID == "" || len(m.Run.Devices) == 0 || len(m.Run.Epochs) != len(m.Run.Devices)) {
		err = errors.New("incomplete")
	}
	return m, err
}
