package e2e

import (
	"testing"
	"time"
)

// The harness itself must be able to see a leak and a wrong figure.
func TestHarness(t *testing.T) {
	h := newHome(t)
	p := h.start("pool", nil, "practice", "pool", "--listen", freePort(t))
	poll(t, 10*time.Second, "the pool is seen", func() (bool, string) { return len(h.left()) == 1, "no process" })
	if got := h.left()[0]; got.pid != p.pid || got.ticks == 0 {
		t.Errorf("found %v, want pid %d", got, p.pid)
	}
	p.kill(t)
	if code := p.exit(t, time.Second); code != 128+9 {
		t.Errorf("exit code %d after kill -9", code)
	}
	h.noneLeft()
	c := cli{h: h}
	if a := c.run("", "job", "sumbit"); a.code != 2 || a.err == "" {
		t.Errorf("a wrong verb: exit code %d, %q", a.code, a.err)
	}
	var d []time.Duration
	for i := range 200 {
		d = append(d, time.Duration(200-i)*time.Millisecond)
	}
	if s := spreadOf(d); s.p50 != 100*time.Millisecond || s.p99 != 198*time.Millisecond || s.max != 200*time.Millisecond {
		t.Errorf("figures of 1..200 ms: %v", s)
	}
}
