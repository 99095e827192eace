package stratum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of Submit beside a pool's *Error.
var (
	ErrNotConnected = errors.New("stratum: not connected")
	ErrStale        = errors.New("stratum: the job belongs to an earlier session")
	ErrBusy         = errors.New("stratum: too many requests in flight")
)

// Config says which pools to use and how. Durations left zero take the
// defaults named beside them.
type Config struct {
	Endpoints   []Endpoint // in order of preference; the first is the primary
	User        string
	Password    string
	Agent       string   // announced to the pool; default "sluice/1"
	VersionMask uint32   // version bits we can roll; 0 = none
	AllowHosts  []string // where client.reconnect may send us: "host" or "host:port"

	// Entropy jitters the back-off. Required: this package draws none itself.
	Entropy func() uint64

	Dial          func(ctx context.Context, e Endpoint) (net.Conn, error) // default: TCP, TLS 1.2+
	Handshake     time.Duration                                           // until authorised; 10 s
	Idle          time.Duration                                           // without a line from the pool; 5 min
	Reply         time.Duration                                           // until a submit is answered; 10 s
	BackoffMin    time.Duration                                           // 1 s
	BackoffMax    time.Duration                                           // 60 s
	Stable        time.Duration                                           // a shorter session counts as a failure; 30 s
	ReturnAfter   time.Duration                                           // primary healthy this long: go back; 10 min
	ProbeEvery    time.Duration                                           // of the primary while on a backup; 1 min
	ReconnectWait time.Duration                                           // longest wait a pool may ask for; 60 s

	Log *slog.Logger // nil discards
}

func (c *Config) setDefaults() error {
	if len(c.Endpoints) == 0 {
		return errors.New("stratum: no endpoint")
	}
	if c.User == "" {
		return errors.New("stratum: no user")
	}
	if c.Entropy == nil {
		return errors.New("stratum: no entropy")
	}
	if c.Agent == "" {
		c.Agent = "sluice/1"
	}
	if c.Dial == nil {
		c.Dial = dial
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{
		{&c.Handshake, 10 * time.Second}, {&c.Idle, 5 * time.Minute}, {&c.Reply, 10 * time.Second},
		{&c.BackoffMin, time.Second}, {&c.BackoffMax, time.Minute}, {&c.Stable, 30 * time.Second},
		{&c.ReturnAfter, 10 * time.Minute}, {&c.ProbeEvery, time.Minute}, {&c.ReconnectWait, time.Minute},
	} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	return nil
}

// Assignment is what to mine now: the latest job and the terms it came under.
type Assignment struct {
	Job         Job
	Extranonce1 []byte
	EN2Size     int // bytes
	Difficulty  Difficulty
	Mask        uint32 // version bits the pool lets us roll
	Generation  uint64 // changes with every assignment
	session     *session
}

// Work prepares the assignment's n-th search space: n becomes extranonce 2
// and, where version rolling is agreed, the rolled bits.
func (a Assignment) Work(n uint64) Work {
	en2 := make([]byte, a.EN2Size)
	for i, v := len(en2)-1, n; i >= 0; i, v = i-1, v>>8 {
		en2[i] = byte(v)
	}
	return NewWork(a.Job, a.Extranonce1, en2, a.Difficulty, a.Mask, uint32(n)<<13)
}

// Client keeps one authorised session with the best reachable pool.
type Client struct {
	cfg     Config
	changed chan struct{}
	gen     atomic.Uint64

	mu    sync.Mutex
	cur   Assignment
	have  bool
	stats Stats
}

// NewClient checks the configuration; Run connects.
func NewClient(cfg Config) (*Client, error) {
	if err := cfg.setDefaults(); err != nil {
		return nil, err
	}
	return &Client{cfg: cfg, changed: make(chan struct{}, 1), stats: Stats{Rejected: map[Code]uint64{}}}, nil
}

// Changed receives after the assignment changed or was lost. One pending
// signal stands for any number of changes.
func (c *Client) Changed() <-chan struct{} { return c.changed }

// Generation is cheap enough for a hashing loop: work of another generation
// is out of date.
func (c *Client) Generation() uint64 { return c.gen.Load() }

// Assignment returns the current one; false while there is none.
func (c *Client) Assignment() (Assignment, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cur, c.have
}

func (c *Client) publish(a Assignment) {
	c.mu.Lock()
	c.stats.Jobs++
	c.stats.Difficulty = a.Difficulty
	c.setCurrent(a, true)
	c.mu.Unlock()
}

// setCurrent is called with mu held.
func (c *Client) setCurrent(a Assignment, have bool) {
	a.Generation = c.gen.Add(1)
	c.cur, c.have = a, have
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// Submit sends a share of assignment a and waits for the verdict: nil when
// accepted, *Error when the pool refused it, ErrStale when the session that
// issued the job is over, ErrBusy, or the session's or context's error.
func (c *Client) Submit(ctx context.Context, a Assignment, s Share) error {
	if a.session == nil {
		return ErrNotConnected
	}
	c.mu.Lock()
	current := c.have && c.cur.session == a.session
	if !current {
		c.stats.Stale++
	}
	c.mu.Unlock()
	if !current {
		return ErrStale
	}
	s.Worker = c.cfg.User
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Reply)
	defer cancel()
	reply, err := a.session.call(ctx, "mining.submit", nil, s.Params()...)
	if err == nil && string(reply) != "true" {
		err = &Error{Code: CodeOther, Message: "share not accepted"}
	}
	c.count(err)
	return err
}

func (c *Client) count(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var refused *Error
	switch {
	case err == nil:
		c.stats.Accepted++
		c.stats.LastShare = time.Now()
	case errors.As(err, &refused):
		c.stats.Rejected[refused.Code]++
		if refused.Code == CodeStale {
			c.stats.Stale++
		}
	default:
		c.stats.Unanswered++
	}
}

// Run connects and reconnects until ctx ends, then returns nil.
func (c *Client) Run(ctx context.Context) error {
	at, attempt := 0, 0
	var redirect *Endpoint
	for ctx.Err() == nil {
		ep := c.cfg.Endpoints[at]
		if redirect != nil {
			ep, redirect = *redirect, nil
		}
		end := c.serve(ctx, ep, at)
		if ctx.Err() != nil {
			break
		}
		c.cfg.Log.Warn("pool session ended", "pool", ep.String(), "lived", end.lived, "err", end.err)
		var wait time.Duration
		switch {
		case end.move != nil:
			redirect, wait = end.move, end.wait
		case errors.Is(end.err, errReturn):
			at, attempt = 0, 0
		case end.lived >= c.cfg.Stable:
			// A good session was lost: begin again with the best pool.
			at, attempt = 0, 0
			wait = c.backoff(0)
		default:
			wait = c.backoff(attempt)
			if at++; at == len(c.cfg.Endpoints) {
				at = 0
				attempt++
			}
		}
		sleep(ctx, wait)
	}
	return nil
}

func (c *Client) backoff(attempt int) time.Duration {
	return Backoff(attempt, c.cfg.BackoffMin, c.cfg.BackoffMax, c.cfg.Entropy())
}

// ending says how a session ended. move is set when the pool sent us on.
type ending struct {
	err   error
	lived time.Duration // since authorised; 0 = never was
	move  *Endpoint
	wait  time.Duration
}

var (
	errReturn = errors.New("stratum: the primary pool is healthy again")
	errMoved  = errors.New("stratum: the pool sent us to another endpoint")
)

// serve runs one session to its end.
func (c *Client) serve(ctx context.Context, ep Endpoint, at int) ending {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s, err := c.open(ctx, ep, c.publish)
	if err != nil {
		c.mu.Lock()
		c.stats.Failures++
		c.setCurrent(Assignment{}, false)
		c.mu.Unlock()
		end := ending{err: fmt.Errorf("stratum: %s: %w", ep, err)}
		if s != nil && s.move != nil {
			end.move, end.wait = s.move, min(s.wait, c.cfg.ReconnectWait)
		}
		return end
	}
	began := time.Now()
	c.mu.Lock()
	c.stats.Connected, c.stats.Pool, c.stats.Endpoint, c.stats.Since = true, ep.String(), at, began
	c.stats.Sessions++
	c.mu.Unlock()
	c.cfg.Log.Info("pool session began", "pool", ep.String(), "index", at)
	var wg sync.WaitGroup
	if at > 0 {
		wg.Go(func() { c.watchPrimary(ctx, cancel) })
	}
	var end ending
	select {
	case <-ctx.Done():
		end.err = context.Cause(ctx)
	case <-s.done:
		end.err = s.err
		end.move, end.wait = s.move, min(s.wait, c.cfg.ReconnectWait)
	}
	end.lived = time.Since(began)
	cancel(nil)
	s.close(end.err)
	<-s.done
	wg.Wait()
	c.mu.Lock()
	c.stats.Connected = false
	c.setCurrent(Assignment{}, false)
	c.mu.Unlock()
	return end
}

// watchPrimary ends a session with a backup once the primary has answered
// every full handshake for ReturnAfter. One good probe is not enough: a
// flapping primary would cost a switch each time.
func (c *Client) watchPrimary(ctx context.Context, cancel context.CancelCauseFunc) {
	var since time.Time
	for sleep(ctx, c.cfg.ProbeEvery) {
		s, err := c.open(ctx, c.cfg.Endpoints[0], nil)
		if err != nil {
			since = time.Time{}
			continue
		}
		s.close(nil)
		<-s.done
		if since.IsZero() {
			since = time.Now()
		}
		if time.Since(since) >= c.cfg.ReturnAfter {
			cancel(errReturn)
			return
		}
	}
}

// sleep waits for d and reports whether ctx still lives.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return ctx.Err() == nil
	}
}
