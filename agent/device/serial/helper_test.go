package serial

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device/serial/emulate"
	"github.com/sluice-project/sluice/agent/stratum"
	"github.com/sluice-project/sluice/agent/stratum/practice"
)

// emulated starts a chain that ends with the test.
func emulated(t testing.TB, cfg emulate.Config) *emulate.Chain {
	t.Helper()
	c, err := emulate.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	background(t, c.Run)
	return c
}

// background runs something until the test ends and fails it on an error.
func background(t testing.TB, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func pool(t testing.TB, difficulty string) *practice.Pool {
	t.Helper()
	p, err := practice.NewPool(practice.PoolConfig{Difficulty: stratum.MustDifficulty(difficulty), JobEvery: time.Second, BlockEvery: 3, MaxBadShare: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	background(t, p.Run)
	return p
}

// until polls for a state; text says what is there so far.
func until(t testing.TB, limit time.Duration, what string, f func() (bool, any)) {
	t.Helper()
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		ok, state := f()
		if ok {
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s: %+v", what, limit, state)
		}
	}
}

// patience is far more than anything takes: a busy machine is no failure.
const patience = 60 * time.Second

func testMiner(t testing.TB, cfg MinerConfig) *Miner {
	t.Helper()
	cfg.Worker, cfg.Entropy = "test.chain", rand.Uint64
	if cfg.Ramp == 0 {
		cfg.Ramp = time.Microsecond
	}
	m, err := NewMiner(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// refused counts shares that the pool did not take for another reason than that
// a block came in between, which is nobody's fault.
func refused(m *Miner) uint64 {
	st := m.Stats()
	return st.Rejects() - st.Rejected[stratum.CodeStale]
}
