package scheduler

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config/etcd"
	"github.com/sluice-project/sluice/scheduler/replica"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// testGroup runs servers of one cluster in this process.
type testGroup struct {
	t     *testing.T
	dir   string
	store string
	stop  map[string]func()
}

func newTestGroup(t *testing.T) *testGroup {
	dir, err := os.MkdirTemp("", "slj") // short, for the sockets of etcd
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	e, err := etcd.Embed(filepath.Join(dir, "etcd"), etcd.EmbedOptions{Volatile: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	g := &testGroup{t: t, dir: dir, store: e.Endpoint(), stop: map[string]func(){}}
	t.Cleanup(func() {
		for _, stop := range g.stop {
			stop()
		}
	})
	return g
}

// start runs a server whose log is folded into a snapshot all the time, so that
// hardly any entry is left in it.
func (g *testGroup) start(id string, join ...string) *Server {
	g.t.Helper()
	s, err := New(Config{ID: id, Dir: filepath.Join(g.dir, id), GRPC: "127.0.0.1:0", HTTP: "127.0.0.1:0", Raft: "127.0.0.1:0",
		CADir: filepath.Join(g.dir, "ca"), Bootstrap: len(join) == 0, Join: join, Etcd: etcd.Options{Endpoints: []string{g.store}},
		// Patient, as entries of 2 MiB take their time where the race detector
		// looks on.
		Timers:    replica.Timers{Heartbeat: time.Second, Election: time.Second, Lease: time.Second, Commit: 25 * time.Millisecond},
		Snapshots: replica.Snapshots{Interval: 20 * time.Millisecond, Threshold: 8, Trailing: 2},
		Fatal:     func(err error) { g.t.Errorf("server %s: %v", id, err) }})
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	g.stop[id] = func() {
		cancel()
		if err := <-done; err != nil {
			g.t.Errorf("server %s: %v", id, err)
		}
		if err := s.Close(); err != nil {
			g.t.Errorf("closing server %s: %v", id, err)
		}
		delete(g.stop, id)
	}
	return s
}

func (g *testGroup) await(what string, ok func() bool) {
	g.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			g.t.Fatalf("not within 20 s: %s", what)
		}
	}
}

// A server that joins when most of the log has been folded away gets its state
// as a snapshot and the history from the others, and can then recompute all.
func TestJoinerBySnapshotHasWholeHistory(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 20 MiB to each of four servers")
	}
	g := newTestGroup(t)
	ctx := t.Context()
	s1 := g.start("s1")
	g.await("s1 leads", s1.leads)
	grow := func(s *Server, n int) {
		t.Helper()
		for i := range n {
			if _, err := s.IssueToken(ctx, "person", fmt.Sprintf("p%d", i), []string{"viewer"}, 0, "test"); err != nil {
				t.Fatal(err)
			}
		}
	}
	// One joins through the leader, the next through a follower.
	s2 := g.start("s2", s1.GRPCAddr())
	g.await("s2 is announced", s2.announced)
	s3 := g.start("s3", s2.GRPCAddr())
	g.await("s3 is announced", s3.announced)
	grow(s2, 100)
	// The log lets go of what a snapshot holds by whole files of 16 MiB only: it
	// takes that much for the beginning to be gone.
	bulk := strings.Repeat("# refused, and recorded all the same\n", 2<<20/37)
	for range 9 {
		spec := workload.Spec{Name: "bulk", Gang: workload.Gang{GPUs: 1}, Run: workload.Run{Command: []string{"true"}}}
		_, _, err := s1.Propose(ctx, state.Command{Actor: "test", Submit: &state.JobSubmitted{Spec: spec, YAML: bulk}})
		if workload.KindOf(err) != workload.Invalid {
			t.Fatalf("a job for no device: %v", err)
		}
	}
	grow(s3, 20)
	s4 := g.start("s4", s3.GRPCAddr())
	g.await("s4 is announced", s4.announced)
	if s4.restores.Load() == 0 {
		t.Error("s4 was given no snapshot: the test shows nothing")
	}
	g.await("s4 has the whole history", s4.historyComplete)
	v, err := (*core)(s4).VerifyHistory(ctx)
	if err != nil || !v.OK || v.Entries < 130 {
		t.Fatalf("server s4: %+v, %v", v, err)
	}
}
