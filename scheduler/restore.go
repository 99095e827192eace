package scheduler

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/sluice-project/sluice/scheduler/backup"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/config/etcd"
	"github.com/sluice-project/sluice/scheduler/replica"
	"github.com/sluice-project/sluice/workload"
)

// RestoreFreeze is the override under which a restored cluster starts: nothing
// is decided before a person has seen which nodes came back, and thaws it.
const RestoreFreeze = "restored"

// Restore says how a backup becomes the data directory of a lone server.
type Restore struct {
	ID, Dir string // as the server will be started; Dir holds nothing but ca/
	Raft    string // address for the other servers' Raft
	// Etcd names the etcd that the server will use. Without endpoints it is the
	// embedded one of Dir, which is filled with the backup's policy.
	Etcd etcd.Options
}

// Restored is what a restore made.
type Restored struct {
	Index     uint64 // of the first state of the new cluster
	Documents int    // policy documents that were written; 0 where etcd had some
}

// Restore makes the data directory; the next start of the server begins a new
// cluster of one. When it fails, what it made is removed. Errors: Conflict for a
// directory that is in use, Unavailable for an etcd that does not answer.
func (o Restore) Restore(ctx context.Context, f *backup.File) (r Restored, err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return r, workload.Errorf(workload.Invalid, "data directory: %w", err)
	}
	entries, err := os.ReadDir(o.Dir)
	if err != nil {
		return r, err
	}
	for _, e := range entries {
		if e.Name() != "ca" {
			return r, workload.Errorf(workload.Conflict, "%s holds %s: a backup is restored into an empty directory", o.Dir, e.Name()).
				Hint("choose another directory; only ca, a copy of the cluster's authority, may be there already")
		}
	}
	defer func() {
		if err != nil {
			for _, made := range []string{"etcd", "raft", "history"} {
				err = errors.Join(err, os.RemoveAll(filepath.Join(o.Dir, made)))
			}
		}
	}()
	documents := slices.Collect(f.State.Policy.All())
	if r.Documents, err = o.restorePolicy(ctx, documents); err != nil {
		return r, err
	}
	f.State.Revive()
	r.Index = f.State.Index
	return r, replica.Plant(filepath.Join(o.Dir, "raft"), replica.Seed{ID: o.ID, Address: o.Raft, Index: r.Index, Term: f.Term, State: f.Body})
}

// restorePolicy freezes the cluster in etcd, and fills an etcd that has no policy.
func (o Restore) restorePolicy(ctx context.Context, documents []config.Document) (written int, err error) {
	opts := o.Etcd
	if opts.Timeout <= 0 {
		opts.Timeout = 10 * time.Second
	}
	if len(opts.Endpoints) == 0 {
		embedded, e := etcd.Embed(filepath.Join(o.Dir, "etcd"), etcd.EmbedOptions{})
		if e != nil {
			return 0, e
		}
		defer func() { err = errors.Join(err, embedded.Close()) }()
		opts.Endpoints = []string{embedded.Endpoint()}
	}
	source, err := etcd.Dial(opts)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	there, err := source.Load(ctx)
	if err != nil {
		return 0, err
	}
	freeze, err := config.Parse("freeze", []byte("kind: Override\nname: "+RestoreFreeze+"\nfreeze: true\nreason: restored from a backup; thaw when the nodes are back\n"))
	if err != nil {
		return 0, err
	}
	edits := []config.Edit{{Put: &freeze[0]}}
	if there.Set().Len() == 0 {
		written = len(documents)
		slices.SortStableFunc(documents, func(a, b config.Document) int { return order(a.Kind) - order(b.Kind) })
		for i, d := range documents {
			if d.Key() != freeze[0].Key() {
				edits = append(edits, config.Edit{Put: &documents[i]})
			}
		}
	}
	for part := range slices.Chunk(edits, 50) {
		if _, err := source.Apply(ctx, config.Batch{Edits: part, Actor: "restore", Comment: "restored from a backup", At: Wall()}, config.AnyRevision); err != nil {
			return 0, err
		}
	}
	return written, nil
}

// writeOrder puts documents behind those they may name, so that each part of a
// large policy is valid by itself.
var writeOrder = []config.Kind{config.KindFeed, config.KindTariff, config.KindSite, config.KindCoin, config.KindWallet, config.KindPool, config.KindTenant}

func order(k config.Kind) int {
	if i := slices.Index(writeOrder, k); i >= 0 {
		return i
	}
	return len(writeOrder)
}
