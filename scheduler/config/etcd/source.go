// Package etcd keeps the policy in etcd: one key for each document, changed by
// compare-and-swap, watched for changes. It is the only home of etcd in Sluice:
// client and, for a lone server, the embedded server.
//
// A document is stored under <prefix><Kind>/<name> as its canonical YAML below
// a header of comments that says who wrote it, when and why, so that what
// etcdctl shows can be read and, in need, written by hand without a header. The
// key <prefix>meta is rewritten with every batch; its revision lets a deletion
// be noticed by compare-and-swap and keeps the name of who deleted.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// DefaultPrefix is where documents live.
	DefaultPrefix = "/sluice/v1/"
	// MaxEdits and MaxBytes bound a batch, below what etcd itself would refuse
	// (128 operations, 1.5 MiB), so that the refusal can say what to do.
	MaxEdits = 100
	MaxBytes = 1 << 20

	metaKey = "meta"
)

// Source is the policy in etcd.
type Source struct {
	client    *clientv3.Client
	prefix    string
	endpoints string
	timeout   time.Duration
	probe     time.Duration

	mu        sync.Mutex
	cluster   uint64 // etcd's cluster id when first seen
	highest   int64  // revision ever seen
	last      config.Snapshot
	parsed    map[config.Key]parsed
	regressed bool
}

var _ config.Source = (*Source)(nil)

// parsed is a document as read at a revision of its key.
type parsed struct {
	mod    int64
	good   *config.Document // the last that was valid, not necessarily of mod
	issues []config.Issue   // of mod
}

// Close ends the client's connections.
func (s *Source) Close() error { return s.client.Close() }

// call bounds one request.
func (s *Source) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.timeout)
}

// failure names an error of etcd in the words and kinds of Sluice.
func (s *Source) failure(op string, err error) error {
	switch {
	case errors.Is(err, rpctypes.ErrNoSpace):
		return workload.Errorf(workload.Exhausted, "%s: etcd has used up its space", op).
			Hint("compact and defragment etcd, then: etcdctl alarm disarm")
	case errors.Is(err, rpctypes.ErrRequestTooLarge), errors.Is(err, rpctypes.ErrTooManyOps):
		return workload.Errorf(workload.Exhausted, "%s: etcd refuses the request as too large: %w", op, err).Hint("apply fewer documents at once")
	}
	switch code := status.Code(err); code {
	case codes.PermissionDenied, codes.Unauthenticated:
		return workload.Errorf(workload.Denied, "%s: etcd refuses this user: %w", op, err)
	case codes.InvalidArgument, codes.FailedPrecondition:
		if _, ok := errors.AsType[rpctypes.EtcdError](err); ok {
			return workload.Errorf(workload.Denied, "%s: etcd refuses: %w", op, err)
		}
	}
	return workload.Errorf(workload.Unavailable, "%s: etcd did not answer within %s at %s: %w", op, s.timeout, s.endpoints, err).
		Hint("check that etcd runs and has a quorum; until then policy is frozen and scheduling goes on with the last good one")
}

// Load reads the whole policy at one revision.
func (s *Source) Load(ctx context.Context) (config.Snapshot, error) {
	call, cancel := s.call(ctx)
	defer cancel()
	resp, err := s.client.Get(call, s.prefix, clientv3.WithPrefix())
	if err != nil {
		return config.Snapshot{}, s.failure("read policy", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster == 0 {
		s.cluster = resp.Header.ClusterId
	}
	if resp.Header.Revision < s.highest || resp.Header.ClusterId != s.cluster {
		s.regressed = true
	}
	if s.regressed {
		return s.frozen(resp.Header.Revision), nil
	}
	snap := config.Snapshot{Revision: resp.Header.Revision}
	live := make(map[config.Key]bool, len(resp.Kvs))
	for _, kv := range resp.Kvs {
		name := strings.TrimPrefix(string(kv.Key), s.prefix)
		if name == metaKey {
			continue
		}
		key, err := config.ParseKey(name)
		if err != nil {
			snap.Invalid = append(snap.Invalid, config.Issue{Document: config.Key{Kind: "etcd", Name: name}, Text: "is no document: " + err.Error()})
			continue
		}
		live[key] = true
		p, ok := s.parsed[key]
		if !ok || p.mod != kv.ModRevision {
			p = s.parse(call, key, string(kv.Key), kv.Value, kv.ModRevision, p)
			s.parsed[key] = p
		}
		if p.good != nil {
			snap.Documents = append(snap.Documents, *p.good)
		}
		snap.Invalid = append(snap.Invalid, p.issues...)
	}
	for key := range s.parsed {
		if !live[key] {
			delete(s.parsed, key)
		}
	}
	slices.SortFunc(snap.Documents, func(a, b config.Document) int { return a.Key().Compare(b.Key()) })
	snap.Invalid = append(snap.Invalid, config.Validate(snap.Set())...)
	s.highest, s.last = max(s.highest, snap.Revision), snap
	return snap, nil
}

// frozen is the snapshot while etcd has gone back in time.
func (s *Source) frozen(now int64) config.Snapshot {
	snap := s.last
	snap.Regressed = true
	snap.Invalid = append(slices.Clone(snap.Invalid), config.Issue{
		Document: config.Key{Kind: "etcd", Name: s.prefix},
		Text:     fmt.Sprintf("etcd went back from revision %d to %d (restored from a backup?): policy is frozen", s.highest, now),
		Next:     "check the policy in etcd and confirm it, or restore the newer data",
	})
	return snap
}

// parse reads one stored document. Where it is invalid the last good one
// stands: the one seen before, or the newest in etcd's history.
func (s *Source) parse(ctx context.Context, key config.Key, file string, value []byte, mod int64, before parsed) parsed {
	d, err := decode(key, file, value)
	if err == nil {
		return parsed{mod: mod, good: d}
	}
	p := parsed{mod: mod, good: before.good, issues: issuesOf(key, err)}
	for rev, tries := mod-1, 0; p.good == nil && rev > 0 && tries < 10; tries++ {
		resp, err := s.client.Get(ctx, file, clientv3.WithRev(rev))
		if err != nil || len(resp.Kvs) == 0 {
			break
		}
		p.good, _ = decode(key, file, resp.Kvs[0].Value)
		rev = resp.Kvs[0].ModRevision - 1
	}
	text := "its last good version stands"
	if p.good == nil {
		text = "no good version of it is known, so that it does not count"
	}
	p.issues = append(p.issues, config.Issue{Document: key, Text: fmt.Sprintf("is invalid since revision %d: %s", mod, text),
		Next: "write it again with: sluice policy apply -f"})
	return p
}

// decode reads a stored document and checks that it lies where it belongs.
func decode(key config.Key, file string, value []byte) (*config.Document, error) {
	docs, err := config.Parse(file, value)
	if err != nil {
		return nil, err
	}
	if len(docs) != 1 || docs[0].Key() != key {
		return nil, workload.Errorf(workload.Invalid, "holds %s instead of this one document", docs[0].Key())
	}
	return &docs[0], nil
}

func issuesOf(key config.Key, err error) []config.Issue {
	all, ok := errors.AsType[*config.Errors](err)
	if !ok {
		return []config.Issue{{Document: key, Text: err.Error()}}
	}
	issues := make([]config.Issue, len(all.List))
	for i, e := range all.List {
		issues[i] = config.Issue{Document: key, Path: e.Path, Text: e.Text}
		if e.Suggestion != "" {
			issues[i].Next = fmt.Sprintf("did you mean %q?", e.Suggestion)
		}
	}
	return issues
}

// AcceptRegression makes the policy that etcd holds now count, after a person
// has looked at it.
func (s *Source) AcceptRegression() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.regressed, s.highest, s.cluster = false, 0, 0
	s.parsed = map[config.Key]parsed{}
}
