package scheduler

import (
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sluice-project/sluice/scheduler/backup"
	"github.com/sluice-project/sluice/scheduler/history"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/replica"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// machine joins the replicated state and the history: every applied entry goes
// to both. It gives readers views and wakes those who wait for a change.
type machine struct {
	history *history.Log
	fatal   func(error)

	mu      sync.Mutex
	state   *state.State
	view    *state.View // of the state as it is, or nil
	changed chan struct{}
	stopped error // why nothing is applied any more
	sums    *sums

	book      *ledger.Book // copy for readers
	bookIndex uint64
	bookMade  time.Time
}

var (
	_ replica.Machine       = (*machine)(nil)
	_ replica.BatchObserver = (*machine)(nil)
)

func newMachine(self string, h *history.Log, fatal func(error)) *machine {
	return &machine{history: h, fatal: fatal, state: state.New(), changed: make(chan struct{}), sums: newSums(self)}
}

// Apply takes one entry. An entry that this version cannot read stops the
// server: skipping it would make its state differ from the others'.
func (m *machine) Apply(index, term uint64, command []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped != nil {
		return encodeResult(state.Result{Kind: workload.Internal, Error: m.stopped.Error()})
	}
	c, err := state.Decode(command)
	if err == nil {
		err = m.history.Append(history.Entry{Index: index, Term: term, At: int64(c.Wall), Command: command})
	}
	if err != nil {
		m.stopped = err
		go m.fatal(fmt.Errorf("applying entry %d: %w", index, err))
		return encodeResult(state.Result{Kind: workload.Internal, Error: err.Error()})
	}
	r := m.state.Apply(index, c)
	if c.Summed != nil {
		err = m.sums.agree(*c.Summed)
	}
	if err == nil && due(m.state) {
		err = m.sums.take(m.state)
	}
	if err != nil {
		m.stopped = err
		go m.fatal(fmt.Errorf("after entry %d: %w", index, err))
	}
	return encodeResult(r)
}

func encodeResult(r state.Result) []byte {
	data, err := json.Marshal(r)
	if err != nil { // a Result holds nothing that cannot be encoded
		panic(err)
	}
	return data
}

// BatchApplied wakes the readers once for many commands.
func (m *machine) BatchApplied(uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.view = nil
	close(m.changed)
	m.changed = make(chan struct{})
}

// View returns a consistent copy of the state; it must not be changed.
func (m *machine) View() *state.View {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.view == nil {
		m.view = m.state.View()
	}
	return m.view
}

// Changed returns a channel that is closed at the next change. Take it before
// the view whose successor is waited for.
func (m *machine) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// bookAt returns a copy of the accounts, carried on to an instant. It is shared
// between readers for a moment, so it must not be changed.
func (m *machine) bookAt(now workload.Instant) *ledger.Book {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.state.Book == nil {
		return ledger.New(now)
	}
	if m.book == nil || m.bookIndex != m.state.Index || time.Since(m.bookMade) > bookFresh {
		m.book, m.bookIndex, m.bookMade = m.state.Book.Clone(), m.state.Index, time.Now()
		m.book.Advance(now)
	}
	return m.book
}

// bookFresh is how long a copy of the accounts may be shown while nothing
// happens.
const bookFresh = 500 * time.Millisecond

// clone copies the whole state for a comparison.
func (m *machine) clone() *state.State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state.Clone()
}

type snapshotWriter struct {
	history *history.Log
	head    history.Head
	state   *state.State
}

// Snapshot copies the state and remembers where the history stands.
func (m *machine) Snapshot() (io.WriterTo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return &snapshotWriter{history: m.history, head: m.history.Head(), state: m.state.Clone()}, nil
}

// capture is Snapshot for a backup, with the index of what it holds.
func (m *machine) capture() (io.WriterTo, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stopped != nil {
		return nil, 0, m.stopped
	}
	s := m.state.Clone()
	return &snapshotWriter{history: m.history, head: m.history.Head(), state: s}, s.Index, nil
}

// WriteTo syncs the history first: the Raft log behind the snapshot is cut
// afterwards, and the history could not be made again.
func (s *snapshotWriter) WriteTo(w io.Writer) (int64, error) {
	if err := s.history.Sync(); err != nil {
		return 0, err
	}
	return backup.Body{History: s.head, State: s.state}.WriteTo(w)
}

// Restore replaces the state. The history up to the snapshot may have to be
// fetched from another server; Adopt notes what is missing.
func (m *machine) Restore(r io.Reader) error {
	b, err := backup.ReadBody(r)
	if err != nil {
		return err
	}
	if err := m.history.Adopt(b.History); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.view = b.State, nil
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}
