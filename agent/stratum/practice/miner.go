package practice

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
)

// Pacing of the miner. Bursts are short so that a neighbour on the core waits
// little, and few so that waking up costs less than hashing.
const (
	DefaultDutyPPM = 8000 // 0.8 % of one core
	burstPeriod    = 250 * time.Millisecond
	burstHashes    = 256             // between looks at the clock and the job
	longestRest    = 2 * time.Second // a burst stretched by preemption must not stall us
)

// MinerConfig says what to mine, how hard, and where to report.
type MinerConfig struct {
	Pools    []string // stratum endpoints in order of preference
	Worker   string
	Password string

	// DutyPPM is the share of one core to use, in parts per million, 1 to
	// 1,000,000; 0 means DefaultDutyPPM. TargetHashrate, in hashes/s, replaces
	// it where set.
	DutyPPM        int64
	TargetHashrate uint64

	API   string // loopback host:port of the statistics API; empty = none
	Token string // bearer token of the API; required with API

	AllowHosts []string      // where a pool's client.reconnect may send us
	Entropy    func() uint64 // jitter of reconnects; required
	Out        io.Writer     // human log, one line each; nil discards
}

// Miner mines SHA-256d on one goroutine.
type Miner struct {
	cfg    MinerConfig
	client *stratum.Client
	log    *slog.Logger
	out    *lineWriter
	ln     net.Listener // of the API; nil = none
	rate   rateMeter
	began  time.Time
	finds  chan find
	lost   atomic.Uint64 // finds dropped because the submitter was behind
	ping   atomic.Int64  // of the last submit, in milliseconds
}

type find struct {
	from  stratum.Assignment
	share stratum.Share
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

// NewMiner checks the configuration and binds the API.
func NewMiner(cfg MinerConfig) (*Miner, error) {
	if cfg.DutyPPM == 0 {
		cfg.DutyPPM = DefaultDutyPPM
	}
	if cfg.DutyPPM < 1 || cfg.DutyPPM > 1_000_000 {
		return nil, fmt.Errorf("practice: miner: duty of %d ppm is not in 1..1000000", cfg.DutyPPM)
	}
	if cfg.Out == nil {
		cfg.Out = io.Discard
	}
	m := &Miner{cfg: cfg, out: &lineWriter{w: cfg.Out}, began: time.Now(), finds: make(chan find, 64)}
	m.log = slog.New(slog.NewTextHandler(m.out, nil))
	sc := stratum.Config{
		User: cfg.Worker, Password: cfg.Password, Agent: minerAgent, VersionMask: 0x1fffe000,
		AllowHosts: cfg.AllowHosts, Entropy: cfg.Entropy, Log: m.log,
	}
	for _, p := range cfg.Pools {
		e, err := stratum.ParseEndpoint(p)
		if err != nil {
			return nil, fmt.Errorf("practice: miner: %w", err)
		}
		sc.Endpoints = append(sc.Endpoints, e)
	}
	var err error
	if m.client, err = stratum.NewClient(sc); err != nil {
		return nil, fmt.Errorf("practice: miner: %w", err)
	}
	if cfg.API != "" {
		if err := m.bindAPI(); err != nil {
			return nil, fmt.Errorf("practice: miner: api: %w", err)
		}
	}
	return m, nil
}

// Stats are those of the pool session.
func (m *Miner) Stats() stratum.Stats { return m.client.Stats() }

// Hashes is the number of hashes computed so far.
func (m *Miner) Hashes() uint64 {
	_, _, total := m.rate.rates(m.second())
	return total
}

func (m *Miner) second() int64 { return int64(time.Since(m.began) / time.Second) }

// Run mines until ctx ends and returns nil, or returns what broke.
func (m *Miner) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() { m.client.Run(ctx) })
	wg.Go(func() { m.submitAll(ctx) })
	if m.ln != nil {
		wg.Go(func() { m.serveAPI(ctx) })
	}
	return m.mine(ctx)
}

// mine is the hashing goroutine: take the assignment, hash in bursts, rest.
func (m *Miner) mine(ctx context.Context) error {
	var work uint64 // extranonce 2; never repeats within a session
	for ctx.Err() == nil {
		a, ok := m.client.Assignment()
		if !ok {
			select {
			case <-ctx.Done():
			case <-m.client.Changed():
			}
			continue
		}
		work++
		s, err := newScanner(a.Work(work))
		if err != nil {
			return err
		}
		if err := m.exhaust(ctx, a, s); err != nil {
			return err
		}
	}
	return nil
}

// exhaust hashes the nonces of one work until they are used up, the
// assignment changes or ctx ends.
func (m *Miner) exhaust(ctx context.Context, a stratum.Assignment, s *scanner) error {
	found := func(nonce uint32) {
		select {
		case m.finds <- find{a, s.work.Share(nonce)}:
		default:
			m.lost.Add(1)
		}
	}
	for nonce := uint64(0); nonce < 1<<32; {
		var hashed uint64
		start := time.Now()
		for !m.enough(hashed, time.Since(start)) && nonce < 1<<32 && m.client.Generation() == a.Generation {
			if err := s.scan(uint32(nonce), burstHashes, found); err != nil {
				return err
			}
			nonce += burstHashes
			hashed += burstHashes
		}
		m.rate.add(m.second(), hashed)
		if !pause(ctx, m.rest(hashed, time.Since(start))) || m.client.Generation() != a.Generation {
			return nil
		}
	}
	return nil
}

// enough says whether a burst of so many hashes in so much time is over.
func (m *Miner) enough(hashed uint64, took time.Duration) bool {
	if m.cfg.TargetHashrate > 0 {
		return hashed > 0 && (hashed >= mulDiv(m.cfg.TargetHashrate, uint64(burstPeriod), uint64(time.Second)) || took >= burstPeriod)
	}
	return hashed > 0 && took >= burstPeriod*time.Duration(m.cfg.DutyPPM)/1_000_000
}

// rest is the pause that a burst has earned.
func (m *Miner) rest(hashed uint64, took time.Duration) time.Duration {
	var d time.Duration
	if m.cfg.TargetHashrate > 0 {
		d = time.Duration(hashed*uint64(time.Second)/m.cfg.TargetHashrate) - took
	} else {
		d = time.Duration(mulDiv(uint64(took), uint64(1_000_000-m.cfg.DutyPPM), uint64(m.cfg.DutyPPM)))
	}
	return min(max(d, 0), longestRest)
}

// submitAll sends finds one after the other and logs each verdict.
func (m *Miner) submitAll(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-m.finds:
			m.submit(ctx, f)
		}
	}
}

func (m *Miner) submit(ctx context.Context, f find) {
	start := time.Now()
	err := m.client.Submit(ctx, f.from, f.share)
	took := time.Since(start).Milliseconds()
	m.ping.Store(took)
	st := m.client.Stats()
	stamp := time.Now().UTC().Format(time.DateTime)
	var refused *stratum.Error
	switch {
	case err == nil:
		fmt.Fprintf(m.out, "%s accepted (%d/%d) diff %s job %s %s (%d ms)\n",
			stamp, st.Accepted, st.Rejects(), f.from.Difficulty, f.share.JobID, m.rateText(), took)
	case errors.As(err, &refused):
		fmt.Fprintf(m.out, "%s rejected (%d/%d) diff %s job %s: %s (%d ms)\n",
			stamp, st.Accepted, st.Rejects(), f.from.Difficulty, f.share.JobID, refused.Message, took)
	case ctx.Err() == nil && !errors.Is(err, stratum.ErrStale):
		fmt.Fprintf(m.out, "%s share of job %s without a verdict: %v\n", stamp, f.share.JobID, err)
	}
}

// rateText is the ten-second hashrate, or the average since the start while
// that window fills.
func (m *Miner) rateText() string {
	sec := m.second()
	windows, _, total := m.rate.rates(sec)
	rate := windows[0] / uint64(rateWindows[0])
	if sec < rateWindows[0] {
		rate = total / uint64(sec+1)
	}
	return fmt.Sprintf("%d.%02d kH/s", rate/1000, rate%1000/10)
}
