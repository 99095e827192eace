package etcd

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Apply makes a batch of edits in one transaction. See config.Source.
func (s *Source) Apply(ctx context.Context, batch config.Batch, check int64) (int64, error) {
	ops, err := s.operations(batch)
	if err != nil {
		return 0, err
	}
	for tries := 1; ; tries++ {
		now, err := s.Load(ctx)
		if err != nil {
			return 0, err
		}
		if now.Regressed {
			return 0, workload.Errorf(workload.Conflict, "etcd went back in time: policy is frozen").
				Hint("check the policy in etcd and confirm it, or restore the newer data")
		}
		if err := admit(now.Set(), batch.Edits); err != nil {
			return 0, err
		}
		against := check
		if check == config.AnyRevision {
			against = now.Revision
		} else if err := s.unchanged(ctx, check, now); err != nil {
			return 0, err
		}
		revision, ok, err := s.commit(ctx, ops, against)
		if err != nil {
			return 0, err
		}
		if ok {
			return revision, nil
		}
		if check != config.AnyRevision || tries == 3 {
			return 0, conflict(against)
		}
	}
}

func conflict(check int64) error {
	return workload.Errorf(workload.Conflict, "the policy changed after revision %d", check).Hint("plan again against the policy of now")
}

// operations turns edits into operations on etcd and checks their size.
func (s *Source) operations(batch config.Batch) ([]clientv3.Op, error) {
	if len(batch.Edits) == 0 {
		return nil, workload.Errorf(workload.Invalid, "nothing to apply")
	}
	if len(batch.Edits) > MaxEdits {
		return nil, workload.Errorf(workload.Exhausted, "%d documents at once; at most %d", len(batch.Edits), MaxEdits).Hint("apply them in parts")
	}
	n := note{Actor: batch.Actor, At: batch.At, Comment: batch.Comment}
	size, seen := len(n.line()), map[config.Key]bool{}
	var ops []clientv3.Op
	for _, e := range batch.Edits {
		key := e.Key()
		if seen[key] {
			return nil, workload.Errorf(workload.Invalid, "%s is edited twice", key)
		}
		seen[key] = true
		at := s.prefix + key.String()
		if e.Put == nil {
			ops = append(ops, clientv3.OpDelete(at))
			continue
		}
		// What cannot be read back must not be written.
		text := encode(n, *e.Put)
		back, err := decode(key, key.String(), []byte(text))
		if err != nil {
			return nil, workload.Errorf(workload.Invalid, "%w", err)
		}
		if !reflect.DeepEqual(*back, *e.Put) {
			return nil, workload.Errorf(workload.Invalid, "%s holds values that its kind cannot express", key)
		}
		if size += len(at) + len(text); size > MaxBytes {
			return nil, workload.Errorf(workload.Exhausted, "%d bytes and more at once; at most %d", size, MaxBytes).Hint("apply them in parts")
		}
		ops = append(ops, clientv3.OpPut(at, text))
	}
	return append(ops, clientv3.OpPut(s.prefix+metaKey, n.line())), nil
}

// admit refuses edits that would make the policy worse than it is; faults that
// it already has do not stand in the way of mending them one by one.
func admit(now *config.Set, edits []config.Edit) error {
	for _, e := range edits {
		if e.Delete != nil {
			if _, ok := now.Get(*e.Delete); !ok {
				return workload.Errorf(workload.NotFound, "there is no %s", *e.Delete)
			}
		}
	}
	known := map[config.Issue]bool{}
	for _, i := range config.Validate(now) {
		known[i] = true
	}
	var texts []string
	for _, i := range config.Validate(now.With(edits...)) {
		if !known[i] {
			text := i.String()
			if i.Next != "" {
				text += " - " + i.Next
			}
			texts = append(texts, text)
		}
	}
	if len(texts) > 0 {
		return workload.Errorf(workload.Invalid, "%s", strings.Join(texts, "\n"))
	}
	return nil
}

// unchanged notices what the comparison of a transaction cannot: keys that
// somebody deleted by hand after the revision checked.
func (s *Source) unchanged(ctx context.Context, check int64, now config.Snapshot) error {
	if check > now.Revision {
		return workload.Errorf(workload.Conflict, "revision %d is ahead of the policy's revision %d", check, now.Revision).Hint("plan again against the policy of now")
	}
	if check == now.Revision || check == 0 {
		return nil
	}
	call, cancel := s.call(ctx)
	defer cancel()
	then, err := s.client.Get(call, s.prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithRev(check))
	if errors.Is(err, rpctypes.ErrCompacted) {
		return workload.Errorf(workload.Conflict, "revision %d is too old to compare with", check).Hint("plan again against the policy of now")
	}
	if err != nil {
		return s.failure("compare policy", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kv := range then.Kvs {
		if key, err := config.ParseKey(strings.TrimPrefix(string(kv.Key), s.prefix)); err == nil {
			if _, ok := s.parsed[key]; !ok {
				return conflict(check)
			}
		}
	}
	return nil
}

// commit writes if nothing under the prefix changed after the revision.
func (s *Source) commit(ctx context.Context, ops []clientv3.Op, against int64) (int64, bool, error) {
	call, cancel := s.call(ctx)
	defer cancel()
	unchanged := clientv3.Compare(clientv3.ModRevision(s.prefix), "<", against+1).WithPrefix()
	resp, err := s.client.Txn(call).If(unchanged).Then(ops...).Commit()
	if err != nil {
		err := s.failure("write policy", err)
		if workload.KindOf(err) == workload.Unavailable {
			return 0, false, workload.Errorf(workload.Unavailable, "%w; whether it was written is not known", err).
				Hint("read the policy again before applying again: %s", workload.NextOf(err))
		}
		return 0, false, err
	}
	return resp.Header.Revision, resp.Succeeded, nil
}

// History lists what etcd still knows of a document, newest first.
func (s *Source) History(ctx context.Context, key config.Key) ([]config.Version, error) {
	call, cancel := s.call(ctx)
	defer cancel()
	at := s.prefix + key.String()
	now, err := s.client.Get(call, at)
	if err != nil {
		return nil, s.failure("read history", err)
	}
	events, oldest, err := s.events(call, at, now.Header.Revision)
	if err != nil {
		return nil, err
	}
	var out []config.Version
	if oldest > 1 {
		// What stood when etcd last forgot; it is the oldest that is known.
		if then, err := s.client.Get(call, at, clientv3.WithRev(oldest)); err == nil && len(then.Kvs) == 1 && then.Kvs[0].ModRevision < oldest {
			out = append(out, version(key, then.Kvs[0].ModRevision, string(then.Kvs[0].Value)))
		}
	}
	for _, e := range events {
		if e.Type == clientv3.EventTypePut {
			out = append(out, version(key, e.Kv.ModRevision, string(e.Kv.Value)))
			continue
		}
		v := config.Version{Revision: e.Kv.ModRevision, Deleted: true}
		if meta, err := s.client.Get(call, s.prefix+metaKey, clientv3.WithRev(e.Kv.ModRevision)); err == nil && len(meta.Kvs) == 1 && meta.Kvs[0].ModRevision == e.Kv.ModRevision {
			n := noteOf(header + string(meta.Kvs[0].Value))
			v.Actor, v.Comment, v.At = n.Actor, n.Comment, n.At
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, workload.Errorf(workload.NotFound, "nothing is known of %s", key)
	}
	for i, j := 0, len(out)-1; i < j; i, j = i+1, j-1 {
		out[i], out[j] = out[j], out[i]
	}
	return out, nil
}

func version(key config.Key, revision int64, text string) config.Version {
	n := noteOf(text)
	v := config.Version{Revision: revision, Text: text, Actor: n.Actor, Comment: n.Comment, At: n.At}
	v.Document, _ = decode(key, fmt.Sprintf("%s@%d", key, revision), []byte(text)) // nil: invalid then
	return v
}

// events replays a key's changes up to a revision, from the oldest that etcd
// still has.
func (s *Source) events(ctx context.Context, at string, until int64) ([]*clientv3.Event, int64, error) {
	for from := int64(1); ; {
		events, compacted, err := s.replay(ctx, at, from, until)
		if err != nil {
			return nil, 0, s.failure("read history", err)
		}
		if compacted <= from {
			return events, from, nil
		}
		from = compacted
	}
}

// replay reads events from one revision to another; a revision compacted is
// that from which to try again.
func (s *Source) replay(ctx context.Context, at string, from, until int64) (out []*clientv3.Event, compacted int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ch := s.client.Watch(ctx, at, clientv3.WithRev(from))
	// etcd answers a request for progress only once the watch has caught up, and
	// forgets it otherwise.
	ask := time.NewTicker(20 * time.Millisecond)
	defer ask.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		case <-ask.C:
			if err := s.client.RequestProgress(ctx); err != nil {
				return nil, 0, err
			}
		case resp, ok := <-ch:
			switch {
			case !ok:
				return nil, 0, errors.New("the watch ended")
			case resp.CompactRevision > from:
				return nil, resp.CompactRevision, nil
			case resp.Err() != nil:
				return nil, 0, resp.Err()
			}
			for _, e := range resp.Events {
				if e.Kv.ModRevision <= until {
					out = append(out, e)
				}
			}
			if n := len(resp.Events); resp.IsProgressNotify() && resp.Header.Revision >= until || n > 0 && resp.Events[n-1].Kv.ModRevision >= until {
				return out, 0, nil
			}
		}
	}
}
