package practice

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/stratum"
)

func startPool(t *testing.T, cfg PoolConfig) *Pool {
	t.Helper()
	p, err := NewPool(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("pool ended with %v", err)
		}
	})
	return p
}

// peer is a miner written by hand, so that a test can misbehave.
type peer struct {
	t    *testing.T
	nc   net.Conn
	r    *stratum.Reader
	id   uint64
	en1  []byte
	diff stratum.Difficulty
	job  stratum.Job
	jobs int
}

func connect(t *testing.T, p *Pool) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return &peer{t: t, nc: nc, r: stratum.NewReader(nc, 0)}
}

// next reads one message and keeps what notifications say.
func (c *peer) next() stratum.Message {
	c.t.Helper()
	m, err := c.r.Read()
	if err != nil {
		c.t.Fatalf("read: %v", err)
	}
	switch m.Method {
	case "mining.notify":
		if c.job, err = stratum.ParseNotify(m.Params); err != nil {
			c.t.Fatal(err)
		}
		c.jobs++
	case "mining.set_difficulty":
		var p []json.RawMessage
		if err := json.Unmarshal(m.Params, &p); err != nil {
			c.t.Fatal(err)
		}
		if c.diff, err = stratum.ParseDifficulty(string(p[0])); err != nil {
			c.t.Fatal(err)
		}
	}
	return m
}

func (c *peer) call(method string, params ...any) stratum.Message {
	c.t.Helper()
	c.id++
	m, err := stratum.NewCall(c.id, method, params...)
	if err != nil {
		c.t.Fatal(err)
	}
	line, err := m.Encode()
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.nc.Write(line); err != nil {
		c.t.Fatal(err)
	}
	for {
		if m := c.next(); m.Method == "" {
			return m
		}
	}
}

func (c *peer) login(worker string) {
	c.t.Helper()
	c.call("mining.configure", []string{"version-rolling"}, map[string]string{"version-rolling.mask": "000fe000"})
	var sub []json.RawMessage
	if err := json.Unmarshal(c.call("mining.subscribe", "test").Result, &sub); err != nil || len(sub) != 3 {
		c.t.Fatal("bad subscribe result")
	}
	var en1 string
	if err := json.Unmarshal(sub[1], &en1); err != nil {
		c.t.Fatal(err)
	}
	c.en1 = []byte{0, 0, 0, 0}
	for i := range c.en1 {
		c.en1[i] = unhexByte(c.t, en1[2*i:2*i+2])
	}
	if m := c.call("mining.authorize", worker, "x"); string(m.Result) != "true" {
		c.t.Fatalf("authorize: %+v", m)
	}
	for c.jobs == 0 {
		c.next()
	}
}

func unhexByte(t *testing.T, s string) byte {
	t.Helper()
	n := strings.IndexByte("0123456789abcdef", s[0])<<4 | strings.IndexByte("0123456789abcdef", s[1])
	if n < 0 {
		t.Fatalf("bad hex %q", s)
	}
	return byte(n)
}

const peerMask = 0x000fe000

// solve finds a share whose hash meets, or with met false misses, the target.
func (c *peer) solve(worker string, met bool, from uint32) stratum.Share {
	c.t.Helper()
	w := stratum.NewWork(c.job, c.en1, []byte{0, 0, 0, 9}, c.diff, peerMask, 0x2000)
	for n := from; ; n++ {
		if w.Target.Met(w.Hash(n)) == met {
			s := w.Share(n)
			s.Worker = worker
			return s
		}
	}
}

func (c *peer) submit(s stratum.Share) *stratum.Error {
	c.t.Helper()
	m := c.call("mining.submit", s.Params()...)
	if m.Error == nil && string(m.Result) != "true" {
		c.t.Fatalf("submit: neither accepted nor refused: %+v", m)
	}
	return m.Error
}

func TestPoolJudgesEveryShare(t *testing.T) {
	p := startPool(t, PoolConfig{Difficulty: stratum.MustDifficulty("1e-7"), JobEvery: time.Hour, Seed: 3,
		Allow: func(user, password string) bool { return user != "mallory" }})
	c := connect(t, p)
	c.login("alice")

	good := c.solve("alice", true, 0)
	for _, tt := range []struct {
		name string
		edit func(*stratum.Share)
		want stratum.Code
	}{
		{"low difficulty", func(s *stratum.Share) { *s = c.solve("alice", false, 0) }, stratum.CodeLowDifficulty},
		{"wrong nonce", func(s *stratum.Share) { s.Nonce ^= 0x80000000 }, stratum.CodeLowDifficulty},
		{"other extranonce", func(s *stratum.Share) { s.Extranonce2 = []byte{9, 9, 9, 9} }, stratum.CodeLowDifficulty},
		{"unknown job", func(s *stratum.Share) { s.JobID = "ffff" }, stratum.CodeStale},
		{"unknown worker", func(s *stratum.Share) { s.Worker = "bob" }, stratum.CodeUnauthorized},
		{"time too early", func(s *stratum.Share) { s.Time-- }, stratum.CodeOther},
		{"time too late", func(s *stratum.Share) { s.Time += maxAhead + 60 }, stratum.CodeOther},
		{"bits outside the mask", func(s *stratum.Share) { s.VersionBits = 0x10000000 }, stratum.CodeOther},
		{"short extranonce", func(s *stratum.Share) { s.Extranonce2 = s.Extranonce2[1:] }, stratum.CodeOther},
		{"good", func(*stratum.Share) {}, 0},
		{"duplicate", func(*stratum.Share) {}, stratum.CodeDuplicate},
		{"another good one", func(s *stratum.Share) { *s = c.solve("alice", true, good.Nonce+1) }, 0},
	} {
		s := good
		tt.edit(&s)
		err := c.submit(s)
		var got stratum.Code
		if err != nil {
			got = err.Code
		}
		if got != tt.want {
			t.Errorf("%s: got %v (%v), want code %v", tt.name, got, err, tt.want)
		}
	}
	if m := c.call("mining.authorize", "mallory", "x"); m.Error == nil || m.Error.Code != stratum.CodeUnauthorized {
		t.Errorf("mallory: %+v", m)
	}
	if m := c.call("mining.submit", "alice"); m.Error == nil || m.Error.Code != stratum.CodeOther {
		t.Errorf("malformed submit: %+v", m)
	}

	s := p.Stats()
	if len(s.Workers) != 1 {
		t.Fatalf("workers %+v", s.Workers)
	}
	w := s.Workers[0]
	wantRejected := map[stratum.Code]uint64{stratum.CodeLowDifficulty: 3, stratum.CodeStale: 1, stratum.CodeOther: 4, stratum.CodeDuplicate: 1}
	if w.Name != "alice" || w.Accepted != 2 || !reflect.DeepEqual(w.Rejected, wantRejected) {
		t.Errorf("account %+v", w)
	}
	if want := 2 * c.diff.Target().Hashes(); w.CreditedHashes != want {
		t.Errorf("credited %d hashes, want %d", w.CreditedHashes, want)
	}
	if s.Rejected[stratum.CodeUnauthorized] != 1 {
		t.Errorf("pool counts %+v", s.Rejected)
	}
}

func TestPoolRefusesBeforeLogin(t *testing.T) {
	p := startPool(t, PoolConfig{JobEvery: time.Hour})
	c := connect(t, p)
	submit := []any{"alice", "1", "00000000", "00000000", "00000000"}
	if m := c.call("mining.submit", submit...); m.Error == nil || m.Error.Code != stratum.CodeNotSubscribed {
		t.Errorf("not subscribed: %+v", m)
	}
	c.call("mining.subscribe")
	if m := c.call("mining.submit", submit...); m.Error == nil || m.Error.Code != stratum.CodeUnauthorized {
		t.Errorf("not authorised: %+v", m)
	}
	if m := c.call("mining.get_rich"); m.Error == nil {
		t.Errorf("unknown method: %+v", m)
	}
}

func TestPoolCallsOldJobsStale(t *testing.T) {
	p := startPool(t, PoolConfig{Difficulty: stratum.MustDifficulty("1e-8"), JobEvery: time.Hour})
	c := connect(t, p)
	c.login("alice")
	old := c.solve("alice", true, 0)

	p.mu.Lock() // a job of the same height: the old one still counts
	p.newJob(time.Now())
	p.mu.Unlock()
	for c.jobs < 2 {
		c.next()
	}
	if c.job.Clean {
		t.Error("a job of the same height must not void earlier ones")
	}
	if err := c.submit(old); err != nil {
		t.Errorf("share of the previous job of this height: %v", err)
	}
	late := c.solve("alice", true, 0)
	p.mu.Lock()
	p.newBlock([32]byte{})
	p.newJob(time.Now())
	p.mu.Unlock()
	for c.jobs < 3 {
		c.next()
	}
	if !c.job.Clean {
		t.Error("a new height must void earlier jobs")
	}
	if err := c.submit(late); err == nil || err.Code != stratum.CodeStale {
		t.Errorf("share of the previous height: %v", err)
	}
}

// A share that meets the job's own target moves the chain on by itself.
func TestPoolTakesSolvedBlock(t *testing.T) {
	p := startPool(t, PoolConfig{Difficulty: stratum.MustDifficulty("1e-8"), JobEvery: time.Hour})
	p.mu.Lock()
	p.chain.current().Bits = 0x207fffff
	p.mu.Unlock()
	c := connect(t, p)
	c.login("alice")
	s := c.solve("alice", true, 0)
	header := c.job.Header(c.en1, s, peerMask)
	if err := c.submit(s); err != nil {
		t.Fatal(err)
	}
	for c.jobs < 2 {
		c.next()
	}
	if c.job.PrevHash != stratum.Sum(header[:]) || !c.job.Clean {
		t.Error("the next job does not build on the solved block")
	}
	if st := p.Stats(); st.Blocks != 1 || st.Height != 1 {
		t.Errorf("stats %+v", st)
	}
}

// Vardiff on the wire: a far too easy start is corrected within a few jobs,
// and a share is judged by the terms its job came under.
func TestPoolRetargets(t *testing.T) {
	p := startPool(t, PoolConfig{Difficulty: stratum.MustDifficulty("1e-7"), JobEvery: time.Hour, ShareEvery: time.Hour})
	c := connect(t, p)
	c.login("alice")
	easy := c.diff
	var nonce uint32
	for range vardiffShares {
		s := c.solve("alice", true, nonce)
		nonce = s.Nonce + 1
		if err := c.submit(s); err != nil {
			t.Fatal(err)
		}
	}
	late := c.solve("alice", true, nonce)
	p.mu.Lock()
	p.newJob(time.Now())
	p.mu.Unlock()
	for c.jobs < 2 {
		c.next()
	}
	if want := stratum.DifficultyOfHashes(vardiffStep * easy.Target().Hashes()); c.diff != want {
		t.Errorf("difficulty %s after %s, want %s", c.diff, easy, want)
	}
	if err := c.submit(late); err != nil {
		t.Errorf("a share of the easier job: %v", err)
	}
}

func TestPoolLimits(t *testing.T) {
	p := startPool(t, PoolConfig{MaxConns: 2, Handshake: 100 * time.Millisecond, JobEvery: time.Hour, MaxBadShare: 3})

	long := connect(t, p)
	io.WriteString(long.nc, strings.Repeat("x", requestLine+1))
	if _, err := long.r.Read(); !closed(err) {
		t.Errorf("overlong line: %v", err)
	}
	junk := connect(t, p)
	io.WriteString(junk.nc, "GET / HTTP/1.1\r\n\r\n")
	if _, err := junk.r.Read(); !closed(err) {
		t.Errorf("not Stratum: %v", err)
	}
	silent := connect(t, p)
	if _, err := silent.r.Read(); !closed(err) {
		t.Errorf("no handshake: %v", err)
	}
	waitFor(t, func() bool { return p.Stats().Connections == 0 })

	a, b := connect(t, p), connect(t, p)
	a.login("a")
	b.login("b")
	if _, err := connect(t, p).r.Read(); !closed(err) {
		t.Errorf("third connection: %v", err)
	}
	if p.Stats().Refused != 1 {
		t.Errorf("refused %d", p.Stats().Refused)
	}
	bad := a.solve("a", false, 0)
	for range 4 {
		if err := a.submit(bad); err == nil {
			t.Fatal("bad share accepted")
		}
	}
	if _, err := a.r.Read(); !closed(err) {
		t.Errorf("four bad shares: %v", err)
	}
}

func closed(err error) bool {
	var ne net.Error
	return err != nil && !(errors.As(err, &ne) && ne.Timeout())
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("condition not met in time")
		}
	}
}

func TestPoolBindsLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "localhost:0", "192.0.2.1:0", "127.0.0.1"} {
		if p, err := NewPool(PoolConfig{Listen: addr}); err == nil {
			p.Close()
			t.Errorf("%s: accepted", addr)
		}
	}
}

func TestChainIsDeterministic(t *testing.T) {
	build := func(seed uint64) []stratum.Job {
		c := newChain(seed)
		var jobs []stratum.Job
		for i := range uint32(6) {
			if i%2 == 1 {
				c.advance([32]byte{})
			}
			jobs = append(jobs, c.next(1000+i).Job)
		}
		return jobs
	}
	if !reflect.DeepEqual(build(5), build(5)) {
		t.Error("same seed, different chain")
	}
	if reflect.DeepEqual(build(5)[0].PrevHash, build(6)[0].PrevHash) {
		t.Error("different seed, same chain")
	}
}

func TestVardiffConverges(t *testing.T) {
	const rate = 40_000 // hashes/s
	for _, start := range []uint64{1 << 8, 400_000, 1 << 40} {
		now := time.Unix(0, 0)
		v := vardiff{interval: 10 * time.Second, low: 1 << 8, high: 1 << 52, hashes: start, began: now}
		done := 0.0
		for range 4000 { // a job every 15 s
			now = now.Add(15 * time.Second)
			done += rate * 15
			for done >= float64(v.hashes) {
				done -= float64(v.hashes)
				v.shares++
			}
			v.retarget(now)
		}
		if every := v.hashes / rate; every < 7 || every > 14 {
			t.Errorf("from %d: a share every %d s, want about 10", start, every)
		}
	}
}

// A flood of lines must not make the pool keep an unread backlog.
func TestPoolDropsMinerThatDoesNotRead(t *testing.T) {
	p := startPool(t, PoolConfig{JobEvery: time.Hour})
	c := connect(t, p)
	w := bufio.NewWriter(c.nc)
	line := []byte(`{"id":"` + strings.Repeat("i", 50) + `","method":"nope"}` + "\n")
	var err error
	for range 2_000_000 {
		if _, err = w.Write(line); err != nil {
			break
		}
	}
	if err == nil {
		t.Error("the pool took every line of a miner that never reads")
	}
}
