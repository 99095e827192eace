package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

// tally is a machine that counts how often it took each command, so that one
// lost or taken twice shows.
type tally struct {
	mu       sync.Mutex
	taken    map[uint64]int
	last     uint64
	restores int
	batches  int
}

func newTally() *tally { return &tally{taken: map[uint64]int{}} }

var (
	_ Machine       = (*tally)(nil)
	_ BatchObserver = (*tally)(nil)
)

func (m *tally) Apply(index, term uint64, command []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if index <= m.last {
		panic(fmt.Sprintf("entry %d after entry %d", index, m.last))
	}
	m.last = index
	m.taken[binary.BigEndian.Uint64(command)]++
	return append([]byte("took "), command...)
}

func (m *tally) BatchApplied(last uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.batches++
	if last != m.last {
		panic(fmt.Sprintf("told of entry %d at entry %d", last, m.last))
	}
}

type tallyState struct {
	Taken map[uint64]int
	Last  uint64
}

func (m *tally) Snapshot() (io.WriterTo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := json.Marshal(tallyState{m.taken, m.last})
	return bytes.NewBuffer(b), err
}

func (m *tally) Restore(r io.Reader) error {
	var s tallyState
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.taken, m.last = s.Taken, s.Last
	if m.taken == nil {
		m.taken = map[uint64]int{}
	}
	m.restores++
	return nil
}

// check fails unless each command from 0 to n-1 was taken exactly once.
func (m *tally) check(t *testing.T, who string, n uint64) {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range n {
		if m.taken[i] != 1 {
			t.Errorf("%s took command %d %d times", who, i, m.taken[i])
			return
		}
	}
}

func command(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// group is some servers in this process that talk TLS over loopback.
type group struct {
	t       testing.TB
	ca      *identity.CA
	dir     string
	mu      sync.Mutex
	members map[string]*member
}

type member struct {
	*Replica
	machine  *tally
	restored chan uint64 // what OnRestore was told
	fatal    chan error
}

func newGroup(t testing.TB) *group {
	t.Helper()
	dir := t.TempDir()
	ca, err := identity.CreateCA(filepath.Join(dir, "ca"), "test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &group{t: t, ca: ca, dir: dir, members: map[string]*member{}}
}

// credential is a certificate of the group's authority.
func (g *group) credential(role identity.Role, name string, now time.Time) *identity.Credential {
	g.t.Helper()
	req, err := identity.NewRequest()
	if err != nil {
		g.t.Fatal(err)
	}
	der, err := g.ca.Issue(req.CSR, role, name, nil, now)
	if err != nil {
		g.t.Fatal(err)
	}
	c, err := req.Accept(g.ca.Trust, der)
	if err != nil {
		g.t.Fatal(err)
	}
	return c
}

// Propose carries a command to a member of this process, as Peer.Propose does.
func (g *group) Propose(ctx context.Context, leader Server, command []byte) (uint64, []byte, error) {
	m := g.member(leader.ID)
	if m == nil {
		return 0, nil, workload.Errorf(workload.Unavailable, "%s is gone", leader.ID)
	}
	return m.Apply(ctx, command)
}

func (g *group) member(id string) *member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members[id]
}

// start opens a server, again on its old address where it had one.
func (g *group) start(id string, set ...func(*Config)) *member {
	g.t.Helper()
	m := &member{machine: newTally(), restored: make(chan uint64, 8), fatal: make(chan error, 1)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		g.t.Fatal(err)
	}
	conf := Config{
		ID: id, Dir: filepath.Join(g.dir, id), Machine: m.machine, Listener: l,
		TLS:       identity.RaftTLS(g.credential(identity.Server, id, time.Now())),
		Forwarder: g,
		Fatal:     func(err error) { m.fatal <- err },
		OnRestore: func(i uint64) { m.restored <- i },
		Logger:    slog.New(slog.NewTextHandler(testWriter{g.t}, &slog.HandlerOptions{Level: slog.LevelError})),
	}
	for _, f := range set {
		f(&conf)
	}
	if conf.Listener != l {
		l.Close()
	}
	m.Replica, err = Open(conf)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	g.members[id] = m
	g.mu.Unlock()
	g.t.Cleanup(func() { m.Close() })
	return m
}

// kill closes a server without any goodbye.
func (g *group) kill(m *member) {
	g.mu.Lock()
	delete(g.members, m.conf.ID)
	g.mu.Unlock()
	if err := m.Close(); err != nil {
		g.t.Errorf("closing %s: %v", m.conf.ID, err)
	}
}

// three starts a group of three voters and returns them, the leader first.
func (g *group) three(set ...func(*Config)) []*member {
	g.t.Helper()
	ctx := context.Background()
	first := g.start("s1", append(set, func(c *Config) { c.Bootstrap = true })...)
	g.waitLeader(first)
	ms := []*member{first}
	for _, id := range []string{"s2", "s3"} {
		m := g.start(id, set...)
		// A busy machine can make the first server lose its lease while the new
		// one is still catching up: whoever leads then adds it.
		g.poll(id+" joins", func() bool { return g.waitLeader(ms...).AddVoter(ctx, id, m.conf.Advertise) == nil })
		ms = append(ms, m)
	}
	g.poll("s1 leads", func() bool {
		if leader := g.waitLeader(ms...); leader != first {
			_ = leader.Transfer(ctx, "s1") // tried until it leads
		}
		return first.IsLeader()
	})
	for _, m := range ms[1:] {
		g.poll("followers know the leader", func() bool { l, ok := m.Leader(); return ok && l.ID == "s1" })
	}
	return ms
}

func (g *group) waitLeader(ms ...*member) *member {
	g.t.Helper()
	var leader *member
	g.poll("a leader", func() bool {
		for _, m := range ms {
			if m.IsLeader() {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

func (g *group) poll(what string, f func() bool) {
	g.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for !f() {
		if time.Now().After(end) {
			g.t.Fatalf("waited 30 s for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// must proposes until it is acknowledged. A command whose leader was lost is not
// sent again here, as the machine of this test would take it twice.
func (g *group) must(m *member, n uint64) uint64 {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	i, result, err := m.Propose(ctx, command(n))
	if err != nil {
		g.t.Fatalf("command %d through %s: %v", n, m.conf.ID, err)
	}
	if want := append([]byte("took "), command(n)...); !bytes.Equal(result, want) {
		g.t.Fatalf("command %d through %s was answered %q", n, m.conf.ID, result)
	}
	return i
}

func (g *group) caughtUp(m *member, index uint64) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := m.WaitApplied(ctx, index); err != nil {
		g.t.Fatalf("%s did not reach entry %d: %v", m.conf.ID, index, err)
	}
}

// testWriter gives log lines to the test that caused them.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	defer func() { recover() }() // raft's goroutines may outlive a test by a line
	w.t.Logf("%s", bytes.TrimSpace(p))
	return len(p), nil
}

var errTest = errors.New("made up by the test")
