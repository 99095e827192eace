package config

import (
	"context"

	"github.com/sluice-project/sluice/workload"
)

// Snapshot is the policy as a source holds it at a revision.
type Snapshot struct {
	// Revision grows with every change; etcd's, or 0 of an empty store.
	Revision int64 `json:"revision"`
	// Documents that are valid, sorted by Key. Where the stored text of one is
	// invalid, its last good version that the source has seen stands here.
	Documents []Document `json:"documents"`
	// Invalid are the faults of stored documents, for an alarm.
	Invalid []Issue `json:"invalid,omitempty"`
	// Regressed means that the store went back in time (restored from a
	// backup). Documents are then those of before, as far as this source has
	// seen any; a reader keeps the policy that it has until a person confirms.
	Regressed bool `json:"regressed,omitempty"`
}

// Set returns the snapshot's documents as a policy.
func (s Snapshot) Set() *Set { return NewSet(s.Documents...) }

// Edit is one change of a document: Put, or Delete of a key.
type Edit struct {
	Put    *Document `json:"put,omitempty"`
	Delete *Key      `json:"delete,omitempty"`
}

// Key returns what the edit is about.
func (e Edit) Key() Key {
	if e.Put != nil {
		return e.Put.Key()
	}
	if e.Delete != nil {
		return *e.Delete
	}
	return Key{}
}

// Batch is edits that are made together or not at all.
type Batch struct {
	Edits   []Edit `json:"edits"`
	Actor   string `json:"actor"`
	Comment string `json:"comment,omitempty"`
	// At is the writer's clock, recorded with each document.
	At workload.Instant `json:"at"`
}

// Version is one past state of a document.
type Version struct {
	Revision int64            `json:"revision"`
	Document *Document        `json:"document,omitempty"` // nil: deleted here, or the text is invalid
	Text     string           `json:"text,omitempty"`     // as stored
	Actor    string           `json:"actor,omitempty"`
	Comment  string           `json:"comment,omitempty"`
	At       workload.Instant `json:"at,omitempty"`
	Deleted  bool             `json:"deleted,omitempty"`
}

// AnyRevision as the check of Apply overwrites whatever is there.
const AnyRevision int64 = -1

// Source stores the policy. Every call ends by its own deadline.
type Source interface {
	// Load reads the whole policy. Errors: Unavailable.
	Load(ctx context.Context) (Snapshot, error)
	// Watch delivers the whole policy after every change beyond revision after,
	// the newest only where the reader is slow. It survives outages and
	// compaction, and closes the channel when ctx ends.
	Watch(ctx context.Context, after int64) <-chan Snapshot
	// Apply makes the edits if no document of the policy changed after revision
	// check (or with AnyRevision regardless) and returns the new revision.
	// Errors: Invalid (the policy would be), Conflict (something changed since
	// check), Exhausted (too many or too large), Unavailable.
	Apply(ctx context.Context, batch Batch, check int64) (int64, error)
	// History lists what is still known of a document, newest first.
	// Errors: NotFound, Unavailable.
	History(ctx context.Context, key Key) ([]Version, error)
}
