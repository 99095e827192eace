package replica

import (
	"bufio"
	"fmt"
	"io"
	"sync"

	"github.com/hashicorp/raft"
)

// fsm lets raft drive a Machine and remembers how far it got.
type fsm struct {
	machine   Machine
	onRestore func(index uint64)

	mu      sync.Mutex
	applied uint64        // of the last entry the machine took
	term    uint64        // of that entry
	moved   chan struct{} // closed and replaced when applied grows
}

var (
	_ raft.FSM         = (*fsm)(nil)
	_ raft.BatchingFSM = (*fsm)(nil)
)

func newFSM(m Machine, onRestore func(uint64)) *fsm {
	return &fsm{machine: m, onRestore: onRestore, moved: make(chan struct{})}
}

func (f *fsm) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	out := make([]any, len(logs))
	var last, term uint64
	for i, l := range logs {
		if l.Type != raft.LogCommand {
			continue
		}
		out[i] = f.machine.Apply(l.Index, l.Term, l.Data)
		last, term = l.Index, l.Term
	}
	if last == 0 {
		return out
	}
	if b, ok := f.machine.(BatchObserver); ok {
		b.BatchApplied(last)
	}
	f.advance(last, term)
	return out
}

func (f *fsm) advance(index, term uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied, f.term = index, term
	close(f.moved)
	f.moved = make(chan struct{})
}

// position returns the last index taken and a channel closed at the next one.
func (f *fsm) position() (uint64, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied, f.moved
}

// snapshotHeader precedes the machine's own bytes. Raft does not tell a machine
// which entry a snapshot ends with, and another format must be refused by name.
const snapshotHeader = "sluice-snapshot 1 %d %d\n"

func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	w, err := f.machine.Snapshot()
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return &snapshot{state: w, index: f.applied, term: f.term}, nil
}

func (f *fsm) Restore(rc io.ReadCloser) error {
	defer rc.Close()
	r := bufio.NewReaderSize(rc, 64<<10)
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("reading the snapshot's first line: %w", err)
	}
	var index, term uint64
	if n, err := fmt.Sscanf(string(line), snapshotHeader, &index, &term); n != 2 || err != nil {
		return fmt.Errorf("the snapshot begins with %.40q, which this version cannot read", line)
	}
	if err := f.machine.Restore(r); err != nil {
		return err
	}
	if f.onRestore != nil {
		f.onRestore(index)
	}
	f.advance(index, term)
	return nil
}

type snapshot struct {
	state       io.WriterTo
	index, term uint64
}

func (s *snapshot) Persist(sink raft.SnapshotSink) error {
	w := bufio.NewWriterSize(sink, 64<<10)
	_, err := fmt.Fprintf(w, snapshotHeader, s.index, s.term)
	if err == nil {
		_, err = s.state.WriteTo(w)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		sink.Cancel()
		return err
	}
	// Raft closes the sink itself, and reports that close's error.
	return nil
}

func (s *snapshot) Release() {}
