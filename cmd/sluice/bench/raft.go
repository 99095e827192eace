package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/replica"
)

// clients is how many proposals are under way at a time.
const clients = 64

// replication measures acknowledged commands of 512 bytes, each synced to disk
// by a majority. Three servers share this machine and its disk.
func replication() ([]row, error) {
	var out []row
	var alone float64
	for _, servers := range []int{1, 3} {
		var failed error
		took := testing.Benchmark(func(b *testing.B) {
			if err := propose(b, servers); err != nil {
				failed = errors.Join(failed, err)
			}
		})
		if failed != nil {
			return out, failed
		}
		rate := float64(took.N) / took.T.Seconds()
		if servers == 1 {
			alone = rate
		}
		out = append(out, row{fmt.Sprintf("raft applies, %d servers, %d clients, synced", servers, clients), took.N,
			fmt.Sprintf("%.0f/s  %.2f of one server", rate, rate/alone)})
	}
	return out, nil
}

func propose(b *testing.B, servers int) error {
	dir, err := os.MkdirTemp("", "sluice-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var leader *replica.Replica
	for i := range servers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		id := fmt.Sprintf("s%d", i+1)
		r, err := replica.Open(replica.Config{ID: id, Dir: filepath.Join(dir, id), Machine: counter{}, Listener: l, Bootstrap: i == 0, Timers: replica.ShippedTimers()})
		if err != nil {
			return err
		}
		defer r.Close()
		if i == 0 {
			leader = r
			if err := leader.Barrier(waitLeader(ctx, leader)); err != nil {
				return err
			}
		} else if err := leader.AddVoter(ctx, id, l.Addr().String()); err != nil {
			return err
		}
	}
	command := make([]byte, 512)
	var next atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			for next.Add(1) <= int64(b.N) {
				if _, _, e := leader.Propose(ctx, command); e != nil {
					once.Do(func() { err = e })
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	return err
}

// waitLeader returns when the server leads, or its context is over.
func waitLeader(ctx context.Context, r *replica.Replica) context.Context {
	for !r.IsLeader() && ctx.Err() == nil {
		_, changed := r.LeaderChanged()
		select {
		case <-changed:
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return ctx
}

// counter is a machine that does nothing: what is left is the log.
type counter struct{}

var _ replica.Machine = counter{}

func (counter) Apply(_, _ uint64, _ []byte) []byte { return nil }
func (counter) Snapshot() (io.WriterTo, error)     { return bytes.NewReader(nil), nil }
func (counter) Restore(r io.Reader) error          { _, err := io.Copy(io.Discard, r); return err }
