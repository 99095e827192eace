package replica

import (
	"context"
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

// A group takes commands through any server, survives its leader (A1), and a
// server that was killed comes back with all of them.
func TestThreeServersLoseNothingWhenTheLeaderDies(t *testing.T) {
	g := newGroup(t)
	ms := g.three()
	const before = 1000
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for n := w; n < before; n += 10 {
				g.must(ms[n%3], uint64(n))
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	old := ms[0].Stats()
	if old.State != "leader" || len(old.Servers) != 3 || old.Leader.ID != "s1" || old.Broken != nil {
		t.Errorf("the leader says of itself %+v", old)
	}

	killed := time.Now()
	g.kill(ms[0])
	// The first tries may meet the dead leader; each has its own number, and
	// what it was told is checked below.
	n, acked := uint64(before), []uint64{}
	for ; len(acked) < 1; n++ {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		if _, _, err := ms[1].Propose(ctx, command(n)); err == nil {
			acked = append(acked, n)
		} else if k := workload.KindOf(err); k != workload.Unavailable {
			t.Fatalf("while the leader is gone: kind %v: %v", k, err)
		} else {
			<-time.After(time.Millisecond) // the dead leader is still believed in
		}
		cancel()
	}
	took := time.Since(killed)
	t.Logf("first write accepted %s after the leader was closed", took.Round(time.Millisecond))
	if took > 10*time.Second {
		t.Errorf("failover took %s", took)
	}
	for i := range uint64(20) {
		g.must(ms[1+i%2], n+i)
		acked = append(acked, n+i)
	}

	again := g.start("s1", func(c *Config) { c.Listener = listenOn(t, ms[0].conf.Advertise) })
	last := g.must(ms[2], n+20)
	for _, m := range []*member{again, ms[1], ms[2]} {
		g.caughtUp(m, last)
		m.machine.check(t, m.conf.ID, before)
		m.machine.mu.Lock()
		for _, a := range acked {
			if m.machine.taken[a] != 1 {
				t.Errorf("%s took the acknowledged command %d %d times", m.conf.ID, a, m.machine.taken[a])
			}
		}
		m.machine.mu.Unlock()
	}
	if len(again.restored) != 0 {
		t.Error("a replay of its own log was reported as a restore")
	}
}

func listenOn(t *testing.T, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	// While the server was down, some other connection of this machine may have
	// been given its port for a moment.
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if l, err = net.Listen("tcp", addr); err == nil {
			return l
		}
	}
	t.Fatal(err)
	return nil
}

func TestLoneServerLeadsAtOnceAndReplaysItsLog(t *testing.T) {
	g := newGroup(t)
	lone := func(c *Config) { c.Bootstrap, c.Timers = true, LoneTimers() }
	begin := time.Now()
	m := g.start("s1", lone)
	g.waitLeader(m)
	t.Logf("leads after %s", time.Since(begin).Round(time.Millisecond))
	if lead := <-m.LeaderCh(); !lead {
		t.Error("LeaderCh says that it does not lead")
	}
	ctx := t.Context()
	for n := range uint64(50) {
		g.must(m, n)
	}
	if err := m.Barrier(ctx); err != nil {
		t.Error(err)
	}
	if err := m.VerifyLeader(ctx); err != nil {
		t.Error(err)
	}
	if err := m.Remove(ctx, "s1"); workload.KindOf(err) != workload.Conflict {
		t.Errorf("the last voter was removed: %v", err)
	}
	if !HasState(m.conf.Dir) {
		t.Error("a directory in use has no state")
	}
	g.kill(m)
	if _, _, err := m.Propose(ctx, command(1)); workload.KindOf(err) != workload.Unavailable {
		t.Errorf("a closed server answers %v", err)
	}

	m = g.start("s1", lone) // another port: its own address in the log is old
	g.waitLeader(m)
	if err := m.Barrier(ctx); err != nil {
		t.Fatal(err)
	}
	m.machine.check(t, "s1", 50)
	g.kill(m)

	l, _ := net.Listen("tcp", "127.0.0.1:0")
	_, err := Open(Config{ID: "s2", Dir: m.conf.Dir, Machine: newTally(), Listener: l})
	if workload.KindOf(err) != workload.Conflict {
		t.Errorf("the log of s1 was opened as s2: %v", err)
	}
}

// A fresh server far behind gets a snapshot, is told so, and then follows.
func TestFreshServerGetsASnapshot(t *testing.T) {
	tiny := func(c *Config) {
		c.Snapshots = Snapshots{Interval: time.Hour, Threshold: 1 << 30, Trailing: 2}
		// The log serves what was cut from its head until a whole file goes.
		c.segmentSize = 4 << 10
	}
	g := newGroup(t)
	first := g.start("s1", tiny, func(c *Config) { c.Bootstrap = true })
	g.waitLeader(first)
	var last uint64
	for n := range uint64(200) {
		last = g.must(first, n)
	}
	if err := first.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	late := g.start("s2", tiny)
	if err := first.AddVoter(t.Context(), "s2", late.conf.Advertise); err != nil {
		t.Fatal(err)
	}
	g.caughtUp(late, last)
	late.machine.check(t, "s2", 200)
	select {
	case i := <-late.restored:
		if i != last {
			t.Errorf("told of a snapshot up to entry %d, not %d", i, last)
		}
	default:
		t.Error("the restore from another server was not reported")
	}
	last = g.must(late, 200)
	g.caughtUp(late, last)
	late.machine.check(t, "s2", 201)

	// Its own snapshot at the next start is no news.
	if err := late.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.kill(late)
	late = g.start("s2", tiny, func(c *Config) { c.Listener = listenOn(t, late.conf.Advertise) })
	last = g.must(first, 201)
	g.caughtUp(late, last)
	late.machine.check(t, "s2", 202)
	if late.machine.restores != 1 || len(late.restored) != 0 {
		t.Errorf("%d restores, %d of them reported as from another server", late.machine.restores, len(late.restored))
	}
}

func TestMembersComeAndGo(t *testing.T) {
	g := newGroup(t)
	ms := g.three()
	ctx := t.Context()
	if err := ms[1].AddVoter(ctx, "s9", "127.0.0.1:1"); workload.KindOf(err) != workload.NotLeader {
		t.Errorf("a follower added a member: %v", err)
	}
	if err := ms[0].AddVoter(ctx, "s2", ms[1].conf.Advertise); err != nil {
		t.Errorf("a member that asks again: %v", err)
	}
	if err := ms[0].AddVoter(ctx, "s4", ms[1].conf.Advertise); workload.KindOf(err) != workload.Conflict {
		t.Errorf("two members with one address: %v", err)
	}
	if err := ms[0].Remove(ctx, "s9"); workload.KindOf(err) != workload.NotFound {
		t.Errorf("removing a stranger: %v", err)
	}
	if err := ms[0].Transfer(ctx, "s2"); err != nil {
		t.Fatal(err)
	}
	g.poll("s2 leads", ms[1].IsLeader)
	g.must(ms[0], 0)
	if err := ms[1].Remove(ctx, "s1"); err != nil {
		t.Fatal(err)
	}
	last := g.must(ms[1], 1)
	g.caughtUp(ms[2], last)
	ms[2].machine.check(t, "s3", 2)
	if n := len(ms[2].Servers()); n != 2 {
		t.Errorf("%d members after one was removed", n)
	}
}

// A6: without a majority writes are refused within 2 s, with who and since when.
func TestNoMajorityIsSaidQuickly(t *testing.T) {
	g := newGroup(t)
	ms := g.three()
	g.caughtUp(ms[2], g.must(ms[0], 0))
	g.poll("s3 knows the group", func() bool { return len(ms[2].Servers()) == 3 })
	g.kill(ms[0])
	g.kill(ms[1])
	g.poll("the leader is given up", func() bool { _, ok := ms[2].Leader(); return !ok })
	begin := time.Now()
	_, _, err := ms[2].Propose(t.Context(), command(1))
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("refused after %s", took)
	}
	if workload.KindOf(err) != workload.Unavailable || !strings.Contains(err.Error(), "since") ||
		!strings.Contains(err.Error(), "s1") || !strings.Contains(workload.NextOf(err), "2 of the voters s1, s2, s3") {
		t.Errorf("said %v; next: %s", err, workload.NextOf(err))
	}
}

func TestServerInNoGroupSaysSo(t *testing.T) {
	g := newGroup(t)
	m := g.start("s1", func(c *Config) { c.LeaderWait = 10 * time.Millisecond })
	_, _, err := m.Propose(t.Context(), command(0))
	if workload.KindOf(err) != workload.Unavailable || !strings.Contains(err.Error(), "in no group yet") {
		t.Errorf("said %v", err)
	}
	if _, _, err := m.Apply(t.Context(), command(0)); workload.KindOf(err) != workload.NotLeader {
		t.Errorf("a forwarded command was answered %v", err)
	}
	if _, _, err := m.Propose(t.Context(), make([]byte, MaxCommand+1)); workload.KindOf(err) != workload.Invalid {
		t.Errorf("a command that is too long was answered %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.WaitApplied(ctx, 5); err != context.Canceled {
		t.Errorf("waiting for an entry that never comes: %v", err)
	}
}

// Only servers of this cluster reach Raft: no agent, no other cluster, nobody
// whose certificate has run out.
func TestRaftPortTakesOnlyServers(t *testing.T) {
	g, stranger := newGroup(t), newGroup(t)
	m := g.start("s1", func(c *Config) { c.Bootstrap = true })
	now := time.Now()
	for _, c := range []struct {
		name string
		tls  *tls.Config
		good bool
	}{
		{"a server", identity.RaftTLS(g.credential(identity.Server, "s2", now)), true},
		{"an agent", identity.RaftTLS(g.credential(identity.Agent, "n1", now)), false},
		{"a server with an old certificate", identity.RaftTLS(g.credential(identity.Server, "s2", now.Add(-8*24*time.Hour))), false},
		{"a server of another cluster", func() *tls.Config {
			c := identity.RaftTLS(stranger.credential(identity.Server, "s2", now))
			c.VerifyConnection = nil // trusts anybody, to show who refuses
			return c
		}(), false},
		{"nobody", identity.ClientTLS(g.ca.Trust), false},
	} {
		conn, err := tls.Dial("tcp", m.conf.Advertise, c.tls)
		if err == nil {
			// In TLS 1.3 a refusal arrives with the first read.
			conn.SetDeadline(time.Now().Add(300 * time.Millisecond))
			_, err = conn.Read(make([]byte, 1))
			conn.Close()
		}
		ne, ok := err.(net.Error)
		silent := ok && ne.Timeout() // connected: raft waits for the first call
		if silent != c.good {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Open(Config{ID: "s1", Dir: t.TempDir(), Machine: newTally(), Listener: listenOn(t, "127.0.0.1:0"),
		TLS: identity.ClientTLS(g.ca.Trust)}); workload.KindOf(err) != workload.Invalid {
		t.Errorf("opened with TLS that asks nobody for a certificate: %v", err)
	}
}

// A13: a damaged snapshot is not applied.
func TestDamagedSnapshotIsRefused(t *testing.T) {
	g := newGroup(t)
	lone := func(c *Config) {
		c.Bootstrap, c.Timers = true, LoneTimers()
		c.Snapshots = Snapshots{Interval: time.Hour, Threshold: 1 << 30, Trailing: 1}
	}
	m := g.start("s1", lone)
	g.waitLeader(m)
	for n := range uint64(20) {
		g.must(m, n)
	}
	if err := m.Snapshot(t.Context()); err != nil {
		t.Fatal(err)
	}
	g.kill(m)
	states, err := filepath.Glob(filepath.Join(m.conf.Dir, "snapshots", "*", "state.bin"))
	if err != nil || len(states) != 1 {
		t.Fatalf("%d snapshots: %v", len(states), err)
	}
	data, err := os.ReadFile(states[0])
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 4
	if err := os.WriteFile(states[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	conf := m.conf
	conf.Machine, conf.Listener = newTally(), listenOn(t, "127.0.0.1:0")
	if r, err := Open(conf); err == nil {
		r.Close()
		t.Error("a damaged snapshot was applied")
	} else if workload.NextOf(err) == "" {
		t.Errorf("no next step in %v", err)
	}
}

// L4: a server that was closed leaves no goroutine behind.
func TestCloseLeavesNothingRunning(t *testing.T) {
	before := goleak.IgnoreCurrent()
	g := newGroup(t)
	ms := g.three()
	g.must(ms[1], 0)
	for _, m := range ms {
		g.kill(m)
	}
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}
