package practice

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/stratum"
)

// Bounds on one session.
const (
	requestLine = 4 << 10 // bytes; a miner has nothing longer to say
	outbox      = 32      // lines a miner may leave unread
	writeTime   = 5 * time.Second
	drainTime   = 100 * time.Millisecond
)

// conn is one miner's session. Fields below the line are guarded by the
// pool's mutex, because the job clock reads them too.
type conn struct {
	p    *Pool
	nc   net.Conn
	en1  [en1Size]byte
	out  chan []byte
	stop chan struct{}
	once sync.Once
	bad  int // consecutive refused shares; the reader's own

	// --
	subscribed bool
	workers    map[string]bool
	mask       uint32
	difficulty stratum.Difficulty            // for the next job
	announced  stratum.Difficulty            // last one the miner was told
	terms      map[string]stratum.Difficulty // of each job sent
	vardiff    vardiff
}

func newConn(p *Pool, nc net.Conn, serial uint32) *conn {
	c := &conn{
		p: p, nc: nc,
		out: make(chan []byte, outbox), stop: make(chan struct{}),
		workers: map[string]bool{}, terms: map[string]stratum.Difficulty{},
		difficulty: p.cfg.Difficulty,
	}
	binary.BigEndian.PutUint32(c.en1[:], serial)
	c.vardiff = vardiff{
		interval: p.cfg.ShareEvery, low: 1 << 8, high: 1 << 52,
		hashes: p.cfg.Difficulty.Target().Hashes(), began: time.Now(),
	}
	return c
}

// serve runs the session to its end.
func (c *conn) serve() {
	var wg sync.WaitGroup
	wg.Go(c.write)
	err := c.read()
	c.p.drop(c)
	close(c.stop)
	wg.Wait()
	c.nc.Close()
	c.p.cfg.Log.Debug("session ended", "remote", c.nc.RemoteAddr().String(), "err", err)
}

func (c *conn) read() error {
	r := stratum.NewReader(c.nc, requestLine)
	begun := time.Now()
	for {
		limit := time.Now().Add(c.p.cfg.Idle)
		if !c.authorised() {
			limit = begun.Add(c.p.cfg.Handshake)
		}
		c.nc.SetReadDeadline(limit)
		m, err := r.Read()
		if err != nil {
			return err
		}
		if m.Method == "" {
			continue // an answer to something we never ask
		}
		if err := c.handle(m); err != nil {
			return err
		}
	}
}

func (c *conn) authorised() bool {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.subscribed && len(c.workers) > 0
}

// write sends what is queued. A miner that does not read is cut off rather
// than waited for. When the session ends, what is queued still goes out: it
// says why.
func (c *conn) write() {
	flush := func(line []byte, limit time.Duration) bool {
		c.nc.SetWriteDeadline(time.Now().Add(limit))
		if _, err := c.nc.Write(line); err != nil {
			c.nc.Close()
			return false
		}
		return true
	}
	for {
		select {
		case line := <-c.out:
			if !flush(line, writeTime) {
				return
			}
		case <-c.stop:
			for {
				select {
				case line := <-c.out:
					if !flush(line, drainTime) {
						return
					}
				default:
					return
				}
			}
		}
	}
}

func (c *conn) send(m stratum.Message, err error) error {
	if err != nil {
		return err
	}
	line, err := m.Encode()
	if err != nil {
		return err
	}
	select {
	case c.out <- line:
		return nil
	default:
		c.nc.Close()
		return errors.New("practice: the miner does not read")
	}
}

func (c *conn) reply(m stratum.Message, result any, refused *stratum.Error) error {
	return c.send(stratum.NewReply(m.ID, result, refused))
}

func (c *conn) handle(m stratum.Message) error {
	now := time.Now()
	switch m.Method {
	case "mining.configure":
		return c.configure(m)
	case "mining.subscribe":
		return c.subscribe(m, now)
	case "mining.authorize":
		var p []string
		if err := json.Unmarshal(m.Params, &p); err != nil || len(p) < 1 {
			return c.reply(m, nil, &stratum.Error{Code: stratum.CodeOther, Message: "authorize needs a user"})
		}
		password := ""
		if len(p) > 1 {
			password = p[1]
		}
		if refused := c.p.authorize(c, p[0], password, now); refused != nil {
			return c.reply(m, nil, refused)
		}
		return c.reply(m, true, nil)
	case "mining.submit":
		return c.submit(m, now)
	case "mining.extranonce.subscribe":
		return c.reply(m, true, nil)
	case "mining.suggest_difficulty":
		return c.suggest(m)
	default:
		return c.reply(m, nil, &stratum.Error{Code: stratum.CodeOther, Message: "unknown method"})
	}
}

func (c *conn) configure(m stratum.Message) error {
	var p []json.RawMessage
	var names []string
	var opts struct {
		Mask string `json:"version-rolling.mask"`
	}
	if json.Unmarshal(m.Params, &p) != nil || len(p) < 2 ||
		json.Unmarshal(p[0], &names) != nil || json.Unmarshal(p[1], &opts) != nil {
		return c.reply(m, nil, &stratum.Error{Code: stratum.CodeOther, Message: "configure needs names and options"})
	}
	result := map[string]any{}
	for _, name := range names {
		if name != "version-rolling" || len(names) > 16 {
			continue
		}
		asked := uint32(0xffffffff)
		if b, err := hex.DecodeString(opts.Mask); err == nil && len(b) == 4 {
			asked = binary.BigEndian.Uint32(b)
		}
		c.p.mu.Lock()
		c.mask = asked & c.p.cfg.Mask
		mask := binary.BigEndian.AppendUint32(nil, c.mask)
		c.p.mu.Unlock()
		result["version-rolling"] = true
		result["version-rolling.mask"] = hex.EncodeToString(mask)
	}
	return c.reply(m, result, nil)
}

func (c *conn) subscribe(m stratum.Message, now time.Time) error {
	id := hex.EncodeToString(c.en1[:])
	if err := c.reply(m, []any{
		[][]string{{"mining.set_difficulty", id}, {"mining.notify", id}}, id, en2Size,
	}, nil); err != nil {
		return err
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	c.subscribed = true
	c.offer(c.p.chain.current(), now)
	return nil
}

// suggest lets a miner name its starting difficulty, within vardiff's bounds.
// It holds from the next job on.
func (c *conn) suggest(m stratum.Message) error {
	var p []json.RawMessage
	if err := json.Unmarshal(m.Params, &p); err != nil || len(p) != 1 {
		return c.reply(m, nil, &stratum.Error{Code: stratum.CodeOther, Message: "suggest_difficulty needs one value"})
	}
	d, err := stratum.ParseDifficulty(string(p[0]))
	if err != nil {
		return c.reply(m, nil, &stratum.Error{Code: stratum.CodeOther, Message: "not a difficulty"})
	}
	c.p.mu.Lock()
	hashes := d.Target().Hashes()
	ok := c.p.cfg.ShareEvery > 0 && hashes >= c.vardiff.low && hashes <= c.vardiff.high
	if ok {
		c.difficulty, c.vardiff.hashes = d, hashes
	}
	c.p.mu.Unlock()
	return c.reply(m, ok, nil)
}

// offer sends the job under this session's terms. Called with the pool's mutex
// held; it never blocks.
func (c *conn) offer(j *job, now time.Time) {
	if !c.subscribed {
		return
	}
	if c.p.cfg.ShareEvery > 0 {
		if d, changed := c.vardiff.retarget(now); changed {
			c.difficulty = d
		}
	}
	// The order matters: a difficulty counts from the next notify on.
	if c.announced != c.difficulty {
		c.announced = c.difficulty
		if c.send(stratum.NewCall(0, "mining.set_difficulty", c.difficulty)) != nil {
			return
		}
	}
	if j.Clean {
		clear(c.terms)
	}
	for id := range c.terms {
		if c.p.chain.find(id) == nil {
			delete(c.terms, id)
		}
	}
	c.terms[j.ID] = c.difficulty
	c.send(stratum.NewCall(0, "mining.notify", j.Params()...))
}

func (c *conn) submit(m stratum.Message, now time.Time) error {
	refused := c.judge(m, now)
	if refused == nil {
		c.bad = 0
		return c.reply(m, true, nil)
	}
	if err := c.reply(m, nil, refused); err != nil {
		return err
	}
	if c.bad++; c.bad > c.p.cfg.MaxBadShare {
		return errors.New("practice: too many refused shares")
	}
	return nil
}

func (c *conn) judge(m stratum.Message, now time.Time) *stratum.Error {
	c.p.mu.Lock()
	subscribed := c.subscribed
	c.p.mu.Unlock()
	if !subscribed {
		return &stratum.Error{Code: stratum.CodeNotSubscribed, Message: "subscribe first"}
	}
	s, err := stratum.ParseSubmit(m.Params)
	if err != nil {
		return &stratum.Error{Code: stratum.CodeOther, Message: err.Error()}
	}
	return c.p.submit(c, s, now)
}
