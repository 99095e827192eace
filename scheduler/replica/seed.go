package replica

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/sluice-project/sluice/workload"
)

// Seed is the state that a new group begins with.
type Seed struct {
	ID, Address string // of the group's only server; see Config
	Index, Term uint64 // of the last entry that the state holds
	State       io.WriterTo
}

// keyTerm is where raft keeps the term that a server has seen.
var keyTerm = []byte("CurrentTerm")

// Plant makes, in an empty directory, a group of one server that begins with a
// state. Open finds it there; Bootstrap is not needed. Errors: Conflict for a
// directory that holds a log or a snapshot.
func Plant(dir string, s Seed) error {
	if !workload.ValidName(s.ID) || s.Address == "" || s.Index == 0 || s.Term == 0 {
		return workload.Errorf(workload.Invalid, "a group is planted with a server's id and address, an index and a term, not with %q at %q, %d and %d", s.ID, s.Address, s.Index, s.Term)
	}
	if HasState(dir) {
		return workload.Errorf(workload.Conflict, "%s holds the log of a server", dir).Hint("choose an empty directory")
	}
	if err := claim(dir, s.ID); err != nil {
		return err
	}
	snaps, err := raft.NewFileSnapshotStore(dir, 2, io.Discard)
	if err != nil {
		return fmt.Errorf("making the snapshots in %s: %w", dir, err)
	}
	if had, err := snaps.List(); err != nil || len(had) > 0 {
		return errors.Join(err, workload.Errorf(workload.Conflict, "%s holds a snapshot", dir).Hint("choose an empty directory"))
	}
	address, trans := raft.NewInmemTransport(raft.ServerAddress(s.Address)) // writes addresses as text, no more
	defer trans.Close()
	only := raft.Configuration{Servers: []raft.Server{{Suffrage: raft.Voter, ID: raft.ServerID(s.ID), Address: address}}}
	sink, err := snaps.Create(raft.SnapshotVersionMax, s.Index, s.Term, only, s.Index, trans)
	if err != nil {
		return err
	}
	if err := (&snapshot{state: s.State, index: s.Index, term: s.Term}).Persist(sink); err != nil {
		return err
	}
	if err := sink.Close(); err != nil {
		return err
	}
	// A server that voted in a lower term than that of its newest entry would
	// make entries that look older than their predecessors.
	logDir := filepath.Join(dir, "log")
	if err := os.MkdirAll(logDir, 0o700); err != nil {
		return err
	}
	log, err := wal.Open(logDir)
	if err != nil {
		return err
	}
	return errors.Join(log.SetUint64(keyTerm, s.Term), log.Close())
}
