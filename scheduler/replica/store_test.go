package replica

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"github.com/sluice-project/sluice/workload"
)

// badDisk hangs or fails on demand.
type badDisk struct {
	store
	hang   chan struct{} // writes wait for its end when not nil
	stuck  atomic.Bool
	failed atomic.Pointer[error]
	inside atomic.Int32 // writes in flight
	most   atomic.Int32
	writes atomic.Int32
}

func (d *badDisk) write(f func() error) error {
	d.writes.Add(1)
	n := d.inside.Add(1)
	defer d.inside.Add(-1)
	for m := d.most.Load(); n > m && !d.most.CompareAndSwap(m, n); m = d.most.Load() {
	}
	if d.stuck.Load() {
		<-d.hang
	}
	if err := d.failed.Load(); err != nil {
		return *err
	}
	return f()
}

func (d *badDisk) StoreLogs(ls []*raft.Log) error {
	return d.write(func() error { return d.store.StoreLogs(ls) })
}
func (d *badDisk) DeleteRange(a, b uint64) error {
	return d.write(func() error { return d.store.DeleteRange(a, b) })
}
func (d *badDisk) Set(k, v []byte) error { return d.write(func() error { return d.store.Set(k, v) }) }
func (d *badDisk) SetUint64(k []byte, v uint64) error {
	return d.write(func() error { return d.store.SetUint64(k, v) })
}
func (d *badDisk) IsMonotonic() bool { return true }

// memory is a store without a disk.
type memory struct{ *raft.InmemStore }

func (memory) Close() error { return nil }

// A9: a write that hangs becomes an error at its deadline, and none is ever
// issued beside it or after it, also when it comes back to life.
func TestHungWriteBreaksTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &badDisk{store: memory{raft.NewInmemStore()}, hang: make(chan struct{})}
		var broke atomic.Int32
		s := newDeadlineStore(disk, 3*time.Second, func(error) { broke.Add(1) })
		if err := s.StoreLog(&raft.Log{Index: 1, Term: 1}); err != nil {
			t.Fatal(err)
		}
		disk.stuck.Store(true)
		begin := time.Now()
		err := s.StoreLog(&raft.Log{Index: 2, Term: 1})
		if !errors.Is(err, errBroken) || time.Since(begin) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		begin = time.Now()
		if err := s.Set([]byte("LastVoteCand"), []byte("x")); !errors.Is(err, errBroken) || time.Since(begin) != 0 {
			t.Errorf("a vote was kept after %s: %v", time.Since(begin), err)
		}
		if err := s.SetUint64(currentTermKey, 7); err != nil {
			t.Errorf("raft would panic: %v", err)
		}
		if err := s.SetUint64([]byte("LastVoteTerm"), 7); !errors.Is(err, errBroken) {
			t.Errorf("the term of a vote was kept: %v", err)
		}
		writes := disk.writes.Load()
		close(disk.hang) // the disk thaws
		synctest.Wait()
		if err := s.StoreLog(&raft.Log{Index: 2, Term: 1}); !errors.Is(err, errBroken) {
			t.Errorf("written again after a timeout: %v", err)
		}
		if broke.Load() != 1 || disk.most.Load() != 1 || disk.writes.Load() != writes {
			t.Errorf("hook called %d times, %d writes at once, %d writes after the break", broke.Load(), disk.most.Load(), disk.writes.Load()-writes)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestWritesWaitForOneAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &badDisk{store: memory{raft.NewInmemStore()}, hang: make(chan struct{})}
		disk.stuck.Store(true)
		s := newDeadlineStore(disk, 3*time.Second, func(err error) { t.Errorf("broke: %v", err) })
		done := make(chan error, 2)
		go func() { done <- s.Set([]byte("a"), nil) }()
		go func() { done <- s.Set([]byte("b"), nil) }()
		time.Sleep(2 * time.Second) // virtual
		disk.stuck.Store(false)
		close(disk.hang)
		if err := errors.Join(<-done, <-done); err != nil {
			t.Error(err)
		}
		if disk.most.Load() != 1 {
			t.Errorf("%d writes at once", disk.most.Load())
		}
	})
}

// A9 and A11 through the whole group: the leader with the bad disk goes, its
// hook is called, and the others serve.
func TestLeaderWithABadDiskLeaves(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(*badDisk)
		want string
	}{
		{"A9 hang", func(d *badDisk) { d.stuck.Store(true) }, "the disk hangs"},
		{"A11 fsync error", func(d *badDisk) { d.failed.Store(&errTest) }, errTest.Error()},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := newGroup(t)
			disks := map[string]*badDisk{}
			ms := g.three(func(conf *Config) {
				conf.WriteDeadline = 500 * time.Millisecond
				conf.wrapStore = func(s store) store {
					d := &badDisk{store: s, hang: make(chan struct{})}
					disks[conf.ID] = d
					return d
				}
			})
			g.must(ms[0], 0)
			c.do(disks["s1"])
			begin := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			if _, _, err := ms[0].Propose(ctx, command(1)); err == nil {
				t.Error("a write to a bad disk was acknowledged")
			}
			if err := <-ms[0].fatal; !strings.Contains(err.Error(), c.want) || workload.NextOf(err) == "" {
				t.Errorf("the hook was told %v", err)
			}
			g.waitLeader(ms[1], ms[2])
			var last uint64
			for n := uint64(2); last == 0; n++ {
				i, _, err := ms[1].Propose(ctx, command(n))
				if err == nil {
					last = i
				} else if ctx.Err() != nil {
					t.Fatal(err)
				}
			}
			t.Logf("first write accepted %s after the fault, write deadline %s", time.Since(begin).Round(time.Millisecond), ms[0].conf.WriteDeadline)
			if s := ms[0].Stats(); s.State != "stopped" || s.Broken == nil {
				t.Errorf("the server with the bad disk says %+v", s)
			}
			if _, _, err := ms[0].Propose(ctx, command(1)); workload.KindOf(err) != workload.Unavailable || !strings.Contains(err.Error(), "its disk failed") {
				t.Errorf("the server with the bad disk answers %v", err)
			}
			g.caughtUp(ms[2], last)
			ms[2].machine.check(t, "s3", 1)
			close(disks["s1"].hang)
		})
	}
}
