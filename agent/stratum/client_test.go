package stratum

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// scriptedPool answers the handshake like a pool and then does what the test
// says.
type scriptedPool struct {
	t        *testing.T
	ln       net.Listener
	greeting []Message // sent once a miner is authorised
	answer   func(Message) (any, *Error)

	mu       sync.Mutex
	sessions int
	conns    []net.Conn
	submits  []Message
}

func newScriptedPool(t *testing.T) *scriptedPool {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &scriptedPool{t: t, ln: ln}
	p.greeting = []Message{note(t, "mining.set_difficulty", 8192), {Method: "mining.notify", Params: json.RawMessage(workedNotify)}}
	t.Cleanup(p.close)
	return p
}

func note(t *testing.T, method string, params ...any) Message {
	t.Helper()
	m, err := NewCall(0, method, params...)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (p *scriptedPool) start() *scriptedPool {
	go func() {
		for {
			nc, err := p.ln.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns = append(p.conns, nc)
			p.mu.Unlock()
			go p.serve(nc)
		}
	}()
	return p
}

func (p *scriptedPool) serve(nc net.Conn) {
	defer nc.Close()
	r := NewReader(nc, 0)
	say := func(m Message, err error) {
		if line, err2 := m.Encode(); err == nil && err2 == nil {
			nc.Write(line)
		}
	}
	for {
		m, err := r.Read()
		if err != nil {
			return
		}
		var result any = true
		var refused *Error
		switch m.Method {
		case "mining.configure":
			result = map[string]any{"version-rolling": true, "version-rolling.mask": "1fffe000"}
		case "mining.subscribe":
			result = []any{[]any{}, workedExtranonce1, 4}
		case "mining.submit":
			p.mu.Lock()
			p.submits = append(p.submits, m)
			p.mu.Unlock()
		}
		if p.answer != nil {
			if r, e := p.answer(m); r != nil || e != nil {
				result, refused = r, e
			}
		}
		say(NewReply(m.ID, result, refused))
		if m.Method == "mining.authorize" && refused == nil {
			for _, g := range p.greeting {
				say(g, nil)
			}
			p.mu.Lock()
			p.sessions++
			p.mu.Unlock()
		}
	}
}

func (p *scriptedPool) seen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions
}

func (p *scriptedPool) endpoint() Endpoint {
	e, err := ParseEndpoint(p.ln.Addr().String())
	if err != nil {
		p.t.Fatal(err)
	}
	return e
}

// close ends the listener and every session.
func (p *scriptedPool) close() {
	p.ln.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, nc := range p.conns {
		nc.Close()
	}
}

func startClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	cfg.User, cfg.VersionMask = "bench", 0x1fffe000
	cfg.Entropy = func() uint64 { return 0 }
	cfg.BackoffMin, cfg.BackoffMax = time.Millisecond, 5*time.Millisecond
	c, err := NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { c.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return c
}

func waitFor(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func mining(c *Client) func() bool { return func() bool { _, ok := c.Assignment(); return ok } }

// The worked share through the client: what the pool receives is byte for byte
// what the real miner sent.
func TestClientSubmitsWorkedShare(t *testing.T) {
	p := newScriptedPool(t)
	var refuse *Error
	p.answer = func(m Message) (any, *Error) {
		if m.Method == "mining.submit" {
			return true, refuse
		}
		return nil, nil
	}
	p.start()
	c := startClient(t, Config{Endpoints: []Endpoint{p.endpoint()}})
	waitFor(t, "assignment", mining(c))
	a, _ := c.Assignment()
	if a.Difficulty != MustDifficulty("8192") || a.Mask != workedMask || a.EN2Size != 4 {
		t.Errorf("assignment %+v", a)
	}
	w := NewWork(a.Job, a.Extranonce1, unhex(t, "17000000"), a.Difficulty, a.Mask, 0x00b44000)
	if !w.Target.Met(w.Hash(0x7552034c)) {
		t.Fatal("the worked share does not meet its target")
	}
	share := w.Share(0x7552034c)
	if err := c.Submit(context.Background(), a, share); err != nil {
		t.Fatal(err)
	}
	if got := string(p.submits[0].Params); got != workedSubmit {
		t.Errorf("pool received %s, want %s", got, workedSubmit)
	}
	for code := CodeOther; code <= CodeNotSubscribed; code++ {
		p.mu.Lock()
		refuse = &Error{Code: code, Message: "no"}
		p.mu.Unlock()
		var got *Error
		if err := c.Submit(context.Background(), a, share); !errors.As(err, &got) || got.Code != code {
			t.Errorf("code %d: %v", code, err)
		}
		if n := c.Stats().Rejected[code]; n != 1 {
			t.Errorf("code %d counted %d times", code, n)
		}
	}
	s := c.Stats()
	if s.Accepted != 1 || s.Rejects() != 6 || s.Stale != 1 || s.LastShare.IsZero() {
		t.Errorf("stats %+v", s)
	}
}

// A difficulty and an extranonce count from the next job on, the mask at once.
func TestClientTermsTakeEffectInOrder(t *testing.T) {
	p := newScriptedPool(t)
	p.greeting = append(p.greeting,
		note(t, "mining.set_difficulty", json.Number("0.25")), note(t, "mining.set_extranonce", "aabb", 8),
		note(t, "mining.set_version_mask", "00ffe000"), note(t, "client.show_message", "hello"))
	p.start()
	c := startClient(t, Config{Endpoints: []Endpoint{p.endpoint()}})
	waitFor(t, "mask", func() bool { a, _ := c.Assignment(); return a.Mask == 0x00ffe000 })
	a, _ := c.Assignment()
	if a.Difficulty != MustDifficulty("8192") || a.EN2Size != 4 {
		t.Errorf("terms of the running job changed: %+v", a)
	}
	line, err := Message{Method: "mining.notify", Params: json.RawMessage(workedNotify)}.Encode()
	if err != nil {
		t.Fatal(err)
	}
	p.conns[0].Write(line)
	waitFor(t, "next job", func() bool { next, _ := c.Assignment(); return next.Generation != a.Generation })
	if a, _ = c.Assignment(); a.Difficulty != MustDifficulty("0.25") || a.EN2Size != 8 || string(a.Extranonce1) != "\xaa\xbb" {
		t.Errorf("terms of the next job: %+v", a)
	}
	if w := a.Work(0x0102); w.Share(0).VersionBits != 0x0102<<13&0x00ffe000 || string(w.Share(0).Extranonce2) != "\x00\x00\x00\x00\x00\x00\x01\x02" {
		t.Errorf("work %+v", w.Share(0))
	}
}

// F3m: pools are tried in order; a refused login counts as a dead pool, and
// the client returns to the primary only after it was healthy for a while.
func TestF3mFailoverAndReturn(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	primary, err := ParseEndpoint(dead.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dead.Close()
	strict := newScriptedPool(t)
	strict.answer = func(m Message) (any, *Error) {
		if m.Method == "mining.authorize" {
			return nil, &Error{CodeUnauthorized, "no"}
		}
		return nil, nil
	}
	strict.start()
	backup := newScriptedPool(t).start()
	c := startClient(t, Config{
		Endpoints:  []Endpoint{primary, strict.endpoint(), backup.endpoint()},
		ProbeEvery: 5 * time.Millisecond, ReturnAfter: 40 * time.Millisecond,
	})
	waitFor(t, "the backup", func() bool { s := c.Stats(); return s.Connected && s.Endpoint == 2 })
	if s := c.Stats(); s.Failures != 2 || s.Pool != backup.endpoint().String() {
		t.Errorf("on the way to the backup: %+v", s)
	}
	waitFor(t, "assignment", mining(c))
	a, _ := c.Assignment()

	back := newScriptedPool(t)
	back.ln.Close()
	if back.ln, err = net.Listen("tcp", primary.Addr()); err != nil {
		t.Skipf("the primary's port was taken meanwhile: %v", err)
	}
	revived := time.Now()
	back.start()
	waitFor(t, "the primary", func() bool { s := c.Stats(); return s.Connected && s.Endpoint == 0 })
	if took := time.Since(revived); took < 40*time.Millisecond {
		t.Errorf("returned after %v, before the primary had proved itself", took)
	}
	if err := c.Submit(context.Background(), a, Share{}); !errors.Is(err, ErrStale) {
		t.Errorf("share of the earlier session: %v", err)
	}
}

// F4m: client.reconnect to a stranger is ignored and counted; the session and
// its job go on.
func TestF4mReconnectElsewhereIsIgnored(t *testing.T) {
	thief := newScriptedPool(t).start()
	p := newScriptedPool(t)
	e := thief.endpoint()
	p.greeting = append(p.greeting, note(t, "client.reconnect", "localhost", e.Port, 0),
		note(t, "client.reconnect", "127.0.0.1", strconv.Itoa(e.Port), 0), note(t, "client.reconnect", "", e.Port))
	p.start()
	c := startClient(t, Config{Endpoints: []Endpoint{p.endpoint()}, AllowHosts: []string{"pool.example", "127.0.0.1:1"}})
	waitFor(t, "three refusals", func() bool { return c.Stats().Hijacks == 3 })
	waitFor(t, "assignment", mining(c))
	a, _ := c.Assignment()
	if err := c.Submit(context.Background(), a, Share{JobID: "x"}); err != nil {
		t.Errorf("the session did not survive: %v", err)
	}
	if s := c.Stats(); thief.seen() != 0 || s.Sessions != 1 || s.Redirects != 0 {
		t.Errorf("thief saw %d sessions, stats %+v", thief.seen(), s)
	}
}

func TestReconnectToAllowedHost(t *testing.T) {
	other := newScriptedPool(t).start()
	p := newScriptedPool(t)
	p.greeting = append(p.greeting, note(t, "client.reconnect", "127.0.0.1", other.endpoint().Port, 0))
	p.start()
	c := startClient(t, Config{Endpoints: []Endpoint{p.endpoint()}, AllowHosts: []string{other.endpoint().Addr()}})
	waitFor(t, "the other pool", func() bool { s := c.Stats(); return s.Connected && s.Pool == other.endpoint().String() })
	if s := c.Stats(); s.Redirects != 1 || s.Hijacks != 0 {
		t.Errorf("stats %+v", s)
	}
	// Once it is gone, the list counts again.
	n := p.seen()
	p.mu.Lock()
	p.greeting = p.greeting[:2]
	p.mu.Unlock()
	other.close()
	waitFor(t, "the primary", func() bool { return p.seen() > n && c.Stats().Pool == p.endpoint().String() })
}

func TestRedirectRules(t *testing.T) {
	at := Endpoint{"pool.example", 3333, true}
	for _, tt := range []struct {
		host  string
		port  int
		allow string
		want  string
		ok    bool
	}{
		{"", 0, "", "stratum+ssl://pool.example:3333", true},
		{"pool.example", 3333, "", "stratum+ssl://pool.example:3333", true},
		{"", 4444, "", "", false},
		{"evil.example", 3333, "pool.example", "", false},
		{"pool.example.evil.example", 3333, "pool.example", "", false},
		{"b.example", 1, "B.example", "stratum+ssl://b.example:1", true},
		{"b.example", 1, "b.example:2", "", false},
		{"b.example", 70000, "b.example", "", false},
		{"b.example", -1, "b.example", "", false},
	} {
		to, ok := at.redirect(tt.host, tt.port, []string{tt.allow})
		if ok != tt.ok || ok && to.String() != tt.want {
			t.Errorf("%+v: %v %v", tt, to, ok)
		}
	}
}

// A pool that talks nonsense loses us, and we come back.
func TestClientDropsBrokenPool(t *testing.T) {
	for name, bad := range map[string]string{
		"not JSON": "hello\n", "bad notify": `{"id":null,"method":"mining.notify","params":[1]}` + "\n",
		"difficulty 0": `{"id":null,"method":"mining.set_difficulty","params":[0]}` + "\n",
		"long line":    strings.Repeat("x", MaxLine+4096),
	} {
		t.Run(name, func(t *testing.T) {
			p := newScriptedPool(t).start()
			c := startClient(t, Config{Endpoints: []Endpoint{p.endpoint()}})
			waitFor(t, "assignment", mining(c))
			p.mu.Lock()
			p.conns[0].Write([]byte(bad))
			p.mu.Unlock()
			waitFor(t, "a second session", func() bool { return p.seen() >= 2 && mining(c)() })
		})
	}
}

func TestParseEndpoint(t *testing.T) {
	for in, want := range map[string]string{
		"pool.example:3333": "stratum+tcp://pool.example:3333", "stratum+tcp://[::1]:1": "stratum+tcp://[::1]:1",
		"stratum+ssl://a.example:443": "stratum+ssl://a.example:443", "stratum+tls://a.example:443": "stratum+ssl://a.example:443",
	} {
		if e, err := ParseEndpoint(in); err != nil || e.String() != want {
			t.Errorf("%s: %v, %v", in, e, err)
		}
	}
	for _, in := range []string{"", "x", ":1", "a:0", "a:65536", "a:http", "http://a:1", "stratum+tcp://u@a:1", "stratum+tcp://a:1/x"} {
		if e, err := ParseEndpoint(in); err == nil {
			t.Errorf("%q: accepted as %v", in, e)
		}
	}
}

func FuzzParseEndpoint(f *testing.F) {
	for _, s := range []string{"a:1", "stratum+ssl://a.example:443", "stratum+tcp://[::1]:1", "://"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEndpoint(s)
		if err != nil {
			return
		}
		if again, err := ParseEndpoint(e.String()); err != nil || again != e {
			t.Fatalf("%q -> %v -> %v, %v", s, e, again, err)
		}
	})
}

func TestBackoff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 1000).Draw(t, "attempt")
		d := Backoff(n, time.Second, time.Minute, rapid.Uint64().Draw(t, "entropy"))
		ceiling := time.Minute
		if n < 6 {
			ceiling = time.Second << n
		}
		if d < ceiling/2 || d > ceiling {
			t.Fatalf("attempt %d: %v not in %v..%v", n, d, ceiling/2, ceiling)
		}
	})
	if Backoff(3, time.Second, time.Minute, 1) == Backoff(3, time.Second, time.Minute, 2) {
		t.Error("no jitter")
	}
}
