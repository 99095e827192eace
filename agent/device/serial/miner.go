package serial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-project/sluice/agent/stratum"
	"github.com/sluice-project/sluice/workload"
)

// Agent is what pools are told that mines.
const Agent = "sluice-serial/1"

// poolMask is which version bits chips can roll: those that are set aside for
// it.
const poolMask = 0x1fffe000

// MinerConfig says which chain mines for whom. Durations left zero take the
// defaults named.
type MinerConfig struct {
	Port     PortSpec
	Pools    []string // stratum endpoints in order of preference
	Worker   string
	Password string
	// AllowHosts is where a pool's client.reconnect may send us; all else is
	// ignored.
	AllowHosts []string

	API   string // loopback host:port of the statistics API; empty = none
	Token string // bearer token of the API; required with API

	MHz    int           // clock; 0 = the model's
	Ramp   time.Duration // between steps of the clock; 100 ms
	Ticket int           // zero bits beyond the least, less one; 0 = chosen by rate
	// Silence is how long no good nonce may come before the chain is brought up
	// anew; 120 s.
	Silence time.Duration

	// Cycle takes the power, or at least the reset line, of the chips away and
	// gives it back. Default: what the port's USB identity allows.
	Cycle   func(ctx context.Context) error
	Entropy func() uint64 // jitter of reconnects; required
	Out     io.Writer     // human log; nil discards
}

// Miner mines on one chain. Its Run owns the port.
type Miner struct {
	cfg    MinerConfig
	client *stratum.Client
	log    *slog.Logger
	ln     net.Listener // of the API; nil = none
	began  time.Time
	shares chan *share
	unsent atomic.Uint64 // shares dropped because the pool was behind
	slow   bool          // the fast line speed has failed

	mu       sync.Mutex
	status   Status
	meter    meter
	started  int64 // second at which mining began; -1 = not yet
	bringUps int
}

// NewMiner checks the configuration and binds the API.
func NewMiner(cfg MinerConfig) (*Miner, error) {
	if cfg.Out == nil {
		cfg.Out = io.Discard
	}
	if cfg.Silence <= 0 {
		cfg.Silence = 2 * time.Minute
	}
	if cfg.Ramp <= 0 {
		cfg.Ramp = rampEvery
	}
	cfg.Out = &lineWriter{w: cfg.Out}
	m := &Miner{cfg: cfg, log: slog.New(slog.NewTextHandler(cfg.Out, nil)), began: time.Now(), shares: make(chan *share, 256), started: -1}
	m.status = unknownStatus(cfg.Port, workload.Instant(m.began.UnixMilli()))
	m.status.State = "bring-up"
	sc := stratum.Config{User: cfg.Worker, Password: cfg.Password, Agent: Agent, VersionMask: poolMask, AllowHosts: cfg.AllowHosts, Entropy: cfg.Entropy, Log: m.log}
	for _, p := range cfg.Pools {
		e, err := stratum.ParseEndpoint(p)
		if err != nil {
			return nil, workload.Errorf(workload.Invalid, "%w", err)
		}
		sc.Endpoints = append(sc.Endpoints, e)
	}
	var err error
	if m.client, err = stratum.NewClient(sc); err != nil {
		return nil, workload.Errorf(workload.Invalid, "%w", err)
	}
	if cfg.API != "" {
		if err := m.bindAPI(); err != nil {
			return nil, workload.Errorf(workload.Invalid, "statistics API: %w", err)
		}
	}
	return m, nil
}

// lineWriter keeps lines of several goroutines apart.
type lineWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lineWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// Stats are those of the pool session.
func (m *Miner) Stats() stratum.Stats { return m.client.Stats() }

func (m *Miner) second() int64 { return int64(time.Since(m.began) / time.Second) }

// lockWait is how long a miner waits for an agent that is just looking what is
// on its port.
const lockWait = 15 * time.Second

// errSilent: the chips return nothing any more.
var errSilent = errors.New("no good nonce for too long")

// Run mines until ctx ends and returns nil, or returns why it cannot go on: the
// port is gone, or the chips stay silent through every remedy. Whoever started
// it decides whether to try again.
func (m *Miner) Run(ctx context.Context) error {
	lock, err := acquireWait(ctx, m.cfg.Port.Path, lockWait)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	defer lock.release()
	wg.Go(func() { lock.serve(m.Status) })
	wg.Go(func() { m.client.Run(ctx) })
	for range submitters {
		wg.Go(func() { m.submitAll(ctx) })
	}
	if m.ln != nil {
		wg.Go(func() { m.serveAPI(ctx) })
	}
	return m.persist(ctx)
}

// persist runs sessions. A chain that has gone silent is brought up anew; when
// that was in vain, its power is cycled first; when that too was in vain, it is
// given up. A session in which nonces came begins the ladder anew.
func (m *Miner) persist(ctx context.Context) error {
	for rung := 0; ; rung++ {
		fruitful, err := m.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if fruitful {
			rung = 0
		}
		m.log.Warn("chain", "error", err, "rung", rung)
		m.note("silent", err.Error())
		if kind := workload.KindOf(err); errors.Is(err, errGone) || kind == workload.Invalid || kind == workload.Denied || kind == workload.Conflict {
			return err
		}
		switch {
		case rung == 0: // bring it up anew
		case rung == 1:
			if cycleErr := m.cycle(ctx); cycleErr != nil {
				m.log.Warn("power cycle", "error", cycleErr)
			}
		default:
			return err
		}
		if !pause(ctx, time.Second) {
			return nil
		}
	}
}

func (m *Miner) cycle(ctx context.Context) error {
	if m.cfg.Cycle != nil {
		return m.cfg.Cycle(ctx)
	}
	return cyclePort(ctx, sysfs, m.cfg.Port.Path)
}

// session opens the port, brings the chain up and mines on it. fruitful tells
// that good nonces came.
func (m *Miner) session(ctx context.Context) (fruitful bool, err error) {
	m.note("bring-up", "")
	p, err := openPort(m.cfg.Port.Path)
	if workload.KindOf(err) == workload.NotFound {
		return false, workload.Errorf(workload.NotFound, "%w: %v", errGone, err)
	}
	if err != nil {
		return false, err
	}
	l := newLink(p)
	defer l.close()
	c, err := openChain(ctx, l, m.cfg.Port)
	if err != nil {
		return false, err
	}
	c.ramp, c.kHz, c.mask, c.slow = m.cfg.Ramp, m.cfg.MHz*1000, poolMask, m.slow
	err = c.bringUp(ctx)
	m.slow = c.slow // what did not work once is not tried again
	if err != nil {
		return false, err
	}
	s := &session{m: m, chain: c, work: newWork(c.model, m.cfg.Port.base(), c.chips)}
	s.work.ticket, s.work.easier = c.ticket, c.ticket
	m.begin(c)
	fmt.Fprintf(m.cfg.Out, "%d %s at %d MHz, %d baud\n", c.chips, c.model.Name, c.pll.KHz()/1000, c.baud)
	err = s.run(ctx)
	if err == nil {
		err = c.rest() // it would hash on for nobody, and heat
	}
	return s.work.books.good > 0, err
}

// submitters is how many shares may wait for the pool's verdict at once.
const submitters = 8

func (m *Miner) submitAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-m.shares:
			m.submit(ctx, s)
		}
	}
}

func (m *Miner) submit(ctx context.Context, s *share) {
	err := m.client.Submit(ctx, s.from, s.Share)
	st := m.client.Stats()
	stamp := time.Now().UTC().Format(time.DateTime)
	var refused *stratum.Error
	switch {
	case err == nil:
		fmt.Fprintf(m.cfg.Out, "%s accepted (%d/%d) diff %s job %s\n", stamp, st.Accepted, st.Rejects(), s.from.Difficulty, s.JobID)
	case errors.As(err, &refused):
		fmt.Fprintf(m.cfg.Out, "%s rejected (%d/%d) diff %s job %s: %s\n", stamp, st.Accepted, st.Rejects(), s.from.Difficulty, s.JobID, refused.Message)
	case ctx.Err() == nil && !errors.Is(err, stratum.ErrStale):
		fmt.Fprintf(m.cfg.Out, "%s share of job %s without a verdict: %v\n", stamp, s.JobID, err)
	}
}
