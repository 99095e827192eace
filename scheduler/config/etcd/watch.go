package etcd

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Watch delivers the policy after every change. Each delivery is a whole
// snapshot read at one revision, so that whatever the watch itself loses (an
// outage, a compaction) cannot be missed or applied twice.
func (s *Source) Watch(ctx context.Context, after int64) <-chan config.Snapshot {
	s.mu.Lock()
	// A reader that has seen more than etcd now holds must learn of it.
	s.highest = max(s.highest, after)
	s.mu.Unlock()
	out := make(chan config.Snapshot, 1)
	go func() {
		defer close(out)
		seen, told := after, false
		for ctx.Err() == nil {
			snap, err := s.Load(ctx)
			if err != nil {
				pause(ctx, s.probe/10)
				continue
			}
			if snap.Regressed && !told || !snap.Regressed && (told || snap.Revision > seen) {
				deliver(out, snap)
			}
			told = snap.Regressed
			if !snap.Regressed {
				seen = snap.Revision
			}
			s.await(ctx, seen+1)
		}
	}()
	return out
}

// deliver replaces what a slow reader has not taken yet.
func deliver(out chan config.Snapshot, snap config.Snapshot) {
	select {
	case <-out:
	default:
	}
	out <- snap // one writer: there is room now
}

// await returns when something may have changed from a revision on: an event,
// the end of the watch, or a probe that finds etcd gone back in time, which a
// watch for a later revision would sleep through.
func (s *Source) await(ctx context.Context, from int64) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ch := s.client.Watch(clientv3.WithRequireLeader(ctx), s.prefix, clientv3.WithPrefix(), clientv3.WithRev(from))
	tick := time.NewTicker(s.probe)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case resp, ok := <-ch:
			if !ok || resp.Err() != nil {
				pause(ctx, s.probe/100)
				return
			}
			if len(resp.Events) > 0 {
				return
			}
		case <-tick.C:
			if s.wentBack(ctx, from-1) {
				return
			}
		}
	}
}

// wentBack asks for etcd's revision and cluster.
func (s *Source) wentBack(ctx context.Context, seen int64) bool {
	call, cancel := s.call(ctx)
	defer cancel()
	resp, err := s.client.Get(call, s.prefix+metaKey, clientv3.WithKeysOnly())
	if err != nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.regressed && (resp.Header.Revision < seen || resp.Header.ClusterId != s.cluster)
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
