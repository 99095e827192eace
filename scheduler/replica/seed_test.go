package replica

import (
	"net"
	"path/filepath"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

// A planted group goes on behind the index and term it was planted with, and
// does so again after a restart; a second server catches up with it.
func TestPlantedGroupGoesOn(t *testing.T) {
	g := newGroup(t)
	const index, term = 1 << 40, 7
	old := newTally()
	old.taken[0], old.last = 1, index
	state, err := old.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(g.dir, "s1")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	seed := Seed{ID: "s1", Address: l.Addr().String(), Index: index, Term: term, State: state}
	if err := Plant(dir, seed); err != nil {
		t.Fatal(err)
	}
	if err := Plant(dir, seed); workload.KindOf(err) != workload.Conflict {
		t.Errorf("planted twice: %v", err)
	}
	here := func(c *Config) { c.Listener, c.Timers = l, LoneTimers() }
	m := g.start("s1", here)
	g.waitLeader(m)
	if i := g.must(m, 1); i <= index {
		t.Errorf("the first entry is %d", i)
	}
	if s := m.Stats(); s.Term <= term || len(s.Servers) != 1 || s.Servers[0].Address != seed.Address {
		t.Errorf("%+v", s)
	}
	g.kill(m)

	m = g.start("s1", func(c *Config) { c.Listener, c.Timers = listenOn(t, seed.Address), LoneTimers() })
	g.waitLeader(m)
	g.must(m, 2)
	second := g.start("s2")
	if err := m.AddVoter(t.Context(), "s2", second.Address()); err != nil {
		t.Fatal(err)
	}
	g.caughtUp(second, g.must(m, 3))
	m.machine.check(t, "s1", 4)
	second.machine.check(t, "s2", 4)
}
