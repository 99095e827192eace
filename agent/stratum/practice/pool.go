package practice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/stratum"
)

// PoolConfig says how the practice pool behaves; zero values take the defaults
// named.
type PoolConfig struct {
	Listen     string             // loopback host:port; default 127.0.0.1:0
	Difficulty stratum.Difficulty // of a new session; default 0.00005, a share every 215 k hashes
	JobEvery   time.Duration      // 15 s
	BlockEvery int                // jobs until someone else finds a block; 8
	ShareEvery time.Duration      // vardiff goal for each session; 0 = fixed difficulty
	Mask       uint32             // version bits miners may roll; default 1fffe000
	Seed       uint64             // of the template chain

	// Allow decides who may mine; nil admits any worker name.
	Allow func(user, password string) bool

	MaxConns    int           // 256
	MaxWorkers  int           // names remembered in the statistics; 4096
	Handshake   time.Duration // to subscribe and authorise; 10 s
	Idle        time.Duration // without a line from the miner; 10 min
	Log         *slog.Logger  // nil discards
	MaxBadShare int           // consecutive refused shares until a session ends; 200
}

func (c *PoolConfig) setDefaults() {
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Difficulty.IsZero() {
		c.Difficulty = stratum.MustDifficulty("0.00005")
	}
	if c.Mask == 0 {
		c.Mask = 0x1fffe000
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.JobEvery, 15 * time.Second}, {&c.Handshake, 10 * time.Second}, {&c.Idle, 10 * time.Minute}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.BlockEvery, 8}, {&c.MaxConns, 256}, {&c.MaxWorkers, 4096}, {&c.MaxBadShare, 200}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
}

// Pool is a Stratum v1 server. NewPool binds, Run serves.
type Pool struct {
	cfg PoolConfig
	ln  net.Listener

	mu      sync.Mutex
	chain   *chain
	conns   map[*conn]struct{}
	workers map[string]*WorkerStats
	stats   PoolStats
	nextEN1 uint32
	age     int // jobs since the last block
}

// NewPool binds the listener. It refuses an address that is not loopback: the
// pool authenticates nobody.
func NewPool(cfg PoolConfig) (*Pool, error) {
	cfg.setDefaults()
	if err := checkLoopback(cfg.Listen); err != nil {
		return nil, fmt.Errorf("practice: pool: %w", err)
	}
	ln, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("practice: pool: %w", err)
	}
	p := &Pool{cfg: cfg, ln: ln, chain: newChain(cfg.Seed), conns: map[*conn]struct{}{}, workers: map[string]*WorkerStats{}}
	p.stats.Rejected = map[stratum.Code]uint64{}
	p.stats.Jobs++
	p.chain.next(uint32(time.Now().Unix()))
	return p, nil
}

// checkLoopback takes literal addresses only: a name could resolve to
// something else by the time it is bound.
func checkLoopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		return fmt.Errorf("%q is not a loopback address such as 127.0.0.1", host)
	}
	return nil
}

// Addr is the bound host:port.
func (p *Pool) Addr() string { return p.ln.Addr().String() }

// Close frees the listener of a pool that will not run. After Run it is not
// needed.
func (p *Pool) Close() error { return p.ln.Close() }

// Run serves until ctx ends, closes every session and returns nil, or returns
// the listener's error.
func (p *Pool) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer p.closeAll()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.ln.Close(); p.closeAll() })
	defer stop()
	wg.Go(func() { p.issue(ctx) })
	for {
		nc, err := p.ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("practice: pool: %w", err)
		case err != nil: // out of descriptors, or an aborted connection: not fatal
			p.cfg.Log.Warn("accept failed", "err", err)
			if !pause(ctx, 100*time.Millisecond) {
				return nil
			}
			continue
		}
		c, ok := p.admit(ctx, nc)
		if !ok {
			nc.Close()
			continue
		}
		wg.Go(c.serve)
	}
}

// admit registers a connection unless the pool is full or closing.
func (p *Pool) admit(ctx context.Context, nc net.Conn) (*conn, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.conns) >= p.cfg.MaxConns || ctx.Err() != nil {
		p.stats.Refused++
		return nil, false
	}
	p.nextEN1++
	c := newConn(p, nc, p.nextEN1)
	p.conns[c] = struct{}{}
	return c, true
}

func (p *Pool) closeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		c.nc.Close()
	}
}

func (p *Pool) drop(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// issue replaces the job on schedule.
func (p *Pool) issue(ctx context.Context) {
	t := time.NewTicker(p.cfg.JobEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			p.mu.Lock()
			if p.age++; p.age >= p.cfg.BlockEvery {
				p.newBlock([32]byte{})
			}
			p.newJob(now)
			p.mu.Unlock()
		}
	}
}

// newBlock and newJob are called with mu held.
func (p *Pool) newBlock(hash [32]byte) {
	p.age = 0
	p.chain.advance(hash)
}

func (p *Pool) newJob(now time.Time) {
	j := p.chain.next(uint32(now.Unix()))
	p.stats.Jobs++
	for c := range p.conns {
		c.offer(j, now)
	}
}

// submit judges a share and keeps the books.
func (p *Pool) submit(c *conn, s stratum.Share, now time.Time) *stratum.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.workers[s.Worker]
	v, refused := p.judge(c, s, now)
	if refused != nil {
		p.stats.Rejected[refused.Code]++
		if w != nil && c.workers[s.Worker] {
			w.Rejected[refused.Code]++
		}
		return refused
	}
	d := c.terms[s.JobID]
	w.Accepted++
	w.CreditedHashes += d.Target().Hashes()
	w.Difficulty = d
	w.LastShare = now
	if best := v.hash.Difficulty(); best.Cmp(w.Best) > 0 {
		w.Best = best
	}
	p.stats.Accepted++
	c.vardiff.shares++
	if v.block {
		p.stats.Blocks++
		p.cfg.Log.Info("block solved", "height", p.chain.height, "hash", v.hash.String(), "worker", s.Worker)
		p.newBlock(v.hash)
		p.newJob(now)
	}
	return nil
}

func (p *Pool) judge(c *conn, s stratum.Share, now time.Time) (verdict, *stratum.Error) {
	if !c.workers[s.Worker] {
		return verdict{}, &stratum.Error{Code: stratum.CodeUnauthorized, Message: "worker not authorised"}
	}
	j := p.chain.find(s.JobID)
	d, sent := c.terms[s.JobID]
	if j == nil || !sent {
		return verdict{}, &stratum.Error{Code: stratum.CodeStale, Message: "job not found"}
	}
	return j.judge(s, c.en1[:], d, c.mask, now.Unix())
}

// authorize admits a worker name on a session and opens its account.
func (p *Pool) authorize(c *conn, user, password string, now time.Time) *stratum.Error {
	refused := &stratum.Error{Code: stratum.CodeUnauthorized, Message: "worker not authorised"}
	if user == "" || len(user) > 128 || p.cfg.Allow != nil && !p.cfg.Allow(user, password) {
		return refused
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.workers[user]
	if w == nil {
		if len(p.workers) >= p.cfg.MaxWorkers {
			return refused
		}
		w = &WorkerStats{Name: user, Since: now, Rejected: map[stratum.Code]uint64{}}
		p.workers[user] = w
	}
	if len(c.workers) >= 16 { // names on one session
		return refused
	}
	w.Difficulty = c.difficulty
	c.workers[user] = true
	return nil
}

// Stats returns a copy, workers sorted by name.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats.clone()
	s.Addr, s.Height, s.Connections = p.Addr(), p.chain.height, len(p.conns)
	for _, w := range p.workers {
		s.Workers = append(s.Workers, w.clone())
	}
	slices.SortFunc(s.Workers, func(a, b WorkerStats) int { return strings.Compare(a.Name, b.Name) })
	return s
}

// pause waits for d and reports whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
