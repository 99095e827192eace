package practice

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/stratum"
)

// The helper process of TestMinerStopsOnSIGTERM is this binary run again.
const minerProcessEnv = "SLUICE_TEST_MINER_POOL"

func TestMain(m *testing.M) {
	if pool := os.Getenv(minerProcessEnv); pool != "" {
		cfg := MinerConfig{Pools: []string{pool}, Worker: "child", API: "127.0.0.1:0"}
		if err := RunMiner(context.Background(), cfg, os.Stdout); err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func startMiner(t *testing.T, cfg MinerConfig) (*Miner, context.CancelFunc) {
	t.Helper()
	cfg.Entropy = rand.Uint64
	m, err := NewMiner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("miner ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return m, stop
}

func TestEndToEnd(t *testing.T) {
	p := startPool(t, PoolConfig{Difficulty: stratum.MustDifficulty("0.000001"), JobEvery: 200 * time.Millisecond, BlockEvery: 3})
	var log syncBuffer
	start := time.Now()
	m, stop := startMiner(t, MinerConfig{Pools: []string{p.Addr()}, Worker: "n1/gpu0", DutyPPM: 100_000, Out: &log, API: "127.0.0.1:0", Token: "secret"})
	waitFor(t, func() bool { return m.Stats().Accepted > 3 })
	if took := time.Since(start); took > 2*time.Second && !raceEnabled {
		t.Errorf("four shares took %v", took)
	}
	waitFor(t, func() bool { return p.Stats().Height >= 2 && m.Stats().Jobs > 8 })
	if got := get(t, m, "Bearer secret"); got.Connection.Accepted <= 3 || got.Results.HashesTotal == 0 ||
		got.Algo != "sha256d" || got.Connection.Pool != "stratum+tcp://"+p.Addr() {
		t.Errorf("summary %+v", got)
	}
	stop()

	s, ms := p.Stats(), m.Stats()
	if len(s.Workers) != 1 || s.Workers[0].Name != "n1/gpu0" {
		t.Fatalf("workers %+v", s.Workers)
	}
	w := s.Workers[0]
	if w.Accepted < ms.Accepted || w.Accepted > ms.Accepted+ms.Unanswered {
		t.Errorf("pool accepted %d, miner counts %d (%d unanswered)", w.Accepted, ms.Accepted, ms.Unanswered)
	}
	for code, n := range w.Rejected {
		if code != stratum.CodeStale {
			t.Errorf("%d shares rejected: %v", n, code)
		}
	}
	// Credit is an unbiased measure of the hashes really done: with n shares
	// the deviation is about 1/sqrt(n); five of those never happen by chance.
	hashes := float64(m.Hashes())
	if n := float64(w.Accepted); n > 25 {
		ratio, slack := float64(w.CreditedHashes)/hashes, 5/sqrt(n)+0.3
		if ratio < 1-slack || ratio > 1+slack {
			t.Errorf("credited %d for %.0f hashes", w.CreditedHashes, hashes)
		}
	}
	if lines := strings.Count(log.String(), " accepted ("); uint64(lines) != ms.Accepted {
		t.Errorf("%d log lines for %d accepted shares:\n%s", lines, ms.Accepted, log.String())
	}
	if strings.Contains(log.String(), "secret") {
		t.Error("the token is in the log")
	}
}

func sqrt(x float64) float64 {
	r := x
	for range 40 {
		r = (r + x/r) / 2
	}
	return r
}

func get(t *testing.T, m *Miner, auth string) (s struct {
	Algo    string
	Results struct {
		HashesTotal uint64 `json:"hashes_total"`
	}
	Connection struct {
		Pool     string
		Accepted uint64
	}
	Hashrate struct{ Total []*float64 }
}) {
	t.Helper()
	if code := request(t, http.MethodGet, m, "/2/summary", auth, &s); code != http.StatusOK {
		t.Errorf("status %d", code)
	}
	return s
}

func request(t *testing.T, method string, m *Miner, path, auth string, into any) int {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+m.APIAddr()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", auth)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil && resp.StatusCode == http.StatusOK {
		if err := json.Unmarshal(body, into); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
	}
	return resp.StatusCode
}

func TestAPIAccess(t *testing.T) {
	p := startPool(t, PoolConfig{})
	m, _ := startMiner(t, MinerConfig{Pools: []string{p.Addr()}, Worker: "w", API: "127.0.0.1:0", Token: "secret"})
	for _, tt := range []struct {
		method, path, auth string
		want               int
	}{
		{"GET", "/2/summary", "Bearer secret", 200}, {"GET", "/1/summary", "Bearer secret", 200},
		{"GET", "/2/summary", "", 401}, {"GET", "/2/summary", "Bearer secre", 401}, {"GET", "/2/summary", "secret", 401},
		{"GET", "/1/config", "Bearer secret", 404}, {"PUT", "/2/summary", "Bearer secret", 405},
	} {
		if got := request(t, tt.method, m, tt.path, tt.auth, nil); got != tt.want {
			t.Errorf("%s %s with %q: %d, want %d", tt.method, tt.path, tt.auth, got, tt.want)
		}
	}
}

func TestNewMinerRefuses(t *testing.T) {
	good := MinerConfig{Pools: []string{"127.0.0.1:1"}, Worker: "w", API: "127.0.0.1:0", Token: "t", Entropy: rand.Uint64}
	for name, edit := range map[string]func(*MinerConfig){
		"no pool": func(c *MinerConfig) { c.Pools = nil }, "bad pool": func(c *MinerConfig) { c.Pools = []string{"x"} },
		"no worker": func(c *MinerConfig) { c.Worker = "" }, "duty": func(c *MinerConfig) { c.DutyPPM = 1_000_001 },
		"no token": func(c *MinerConfig) { c.Token = "" }, "open api": func(c *MinerConfig) { c.API = "0.0.0.0:0" },
		"no entropy": func(c *MinerConfig) { c.Entropy = nil },
	} {
		c := good
		edit(&c)
		if m, err := NewMiner(c); err == nil {
			m.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	m, err := NewMiner(good)
	if err != nil {
		t.Fatal(err)
	}
	m.Close()
}

func TestMinerStopsOnSIGTERM(t *testing.T) {
	p := startPool(t, PoolConfig{Difficulty: stratum.MustDifficulty("0.000001")})
	var out syncBuffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), minerProcessEnv+"="+p.Addr(), TokenEnv+"=t", "GOMAXPROCS=1", "GOMEMLIMIT=16MiB")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return p.Stats().Accepted > 0 })
	start := time.Now()
	cmd.Process.Signal(syscall.SIGTERM)
	err := cmd.Wait()
	took := time.Since(start)
	if err != nil {
		t.Errorf("exit: %v\n%s", err, out.String())
	}
	if took > 200*time.Millisecond && !raceEnabled {
		t.Errorf("took %v to end", took)
	}
	if !strings.Contains(out.String(), "api listening on 127.0.0.1:") {
		t.Errorf("output %s", out.String())
	}
}

func TestPacing(t *testing.T) {
	duty := &Miner{cfg: MinerConfig{DutyPPM: DefaultDutyPPM}}
	if got := duty.rest(1, 2*time.Millisecond); got != 248*time.Millisecond {
		t.Errorf("rest after 2 ms at 0.8 %%: %v", got)
	}
	if duty.enough(256, time.Millisecond) || !duty.enough(256, 2*time.Millisecond) {
		t.Error("a burst at 0.8 % lasts 2 ms")
	}
	if got := duty.rest(1, time.Second); got != longestRest {
		t.Errorf("rest after a preempted burst: %v", got)
	}
	fixed := &Miner{cfg: MinerConfig{DutyPPM: DefaultDutyPPM, TargetHashrate: 10_000}}
	if fixed.enough(2499, time.Millisecond) || !fixed.enough(2500, time.Millisecond) {
		t.Error("a burst at 10 kH/s has 2500 hashes")
	}
	if got := fixed.rest(2500, time.Millisecond); got != 249*time.Millisecond {
		t.Errorf("rest after 2500 hashes at 10 kH/s: %v", got)
	}
	full := &Miner{cfg: MinerConfig{DutyPPM: 1_000_000}}
	if got := full.rest(1, time.Second); got != 0 {
		t.Errorf("rest at full duty: %v", got)
	}
}

func TestRateMeter(t *testing.T) {
	var r rateMeter
	for sec := range int64(70) {
		r.add(sec, 100)
	}
	hashes, highest, total := r.rates(70)
	if hashes != [3]uint64{1000, 6000, 0} || highest != 100 || total != 7000 {
		t.Errorf("after 70 s: %v %d %d", hashes, highest, total)
	}
	// Idle for longer than the ring: everything is forgotten but the totals.
	if hashes, highest, total = r.rates(5000); hashes != [3]uint64{} || highest != 100 || total != 7000 {
		t.Errorf("after idling: %v %d %d", hashes, highest, total)
	}
}
