package replica

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// store is a log that also keeps term and vote.
type store interface {
	raft.LogStore
	raft.StableStore
	io.Closer
}

// currentTermKey is the name under which raft keeps the term.
var currentTermKey = []byte("CurrentTerm")

// deadlineStore turns a disk that hangs into one that fails.
//
// Raft sends heartbeats from other goroutines than the one that writes, so a
// leader whose disk hangs keeps its followers quiet for ever and acknowledges
// nothing. Here a write that outlives its deadline, or that fails, breaks the
// store for good: every later write is refused at once, raft steps down, and
// the Fatal hook ends the process.
//
// There is one writer and one write in flight. An abandoned write may still
// reach the disk; nothing is ever written beside or after it, because a log
// whose older write lands last would hold an index twice. Nor is a failed fsync
// tried again: what the kernel kept of those pages is unknown.
type deadlineStore struct {
	inner    store
	deadline time.Duration
	onBreak  func(error)

	token chan struct{} // holds one element while no write is in flight
	gone  chan struct{} // closed when broken

	once  sync.Once
	cause error // set before gone is closed
}

var (
	_ store                  = (*deadlineStore)(nil)
	_ raft.MonotonicLogStore = (*deadlineStore)(nil)
)

// errBroken is the cause of every refusal after the first failure.
var errBroken = errors.New("the log of this server is out of use")

func newDeadlineStore(inner store, deadline time.Duration, onBreak func(error)) *deadlineStore {
	s := &deadlineStore{inner: inner, deadline: deadline, onBreak: onBreak,
		token: make(chan struct{}, 1), gone: make(chan struct{})}
	s.token <- struct{}{}
	return s
}

func (s *deadlineStore) shatter(err error) {
	s.once.Do(func() {
		s.cause = err
		close(s.gone)
		go s.onBreak(err)
	})
}

func (s *deadlineStore) refusal() error {
	return fmt.Errorf("%w: %w", errBroken, s.cause)
}

// write runs f as the only write in flight.
func (s *deadlineStore) write(what string, f func() error) error {
	timer := time.NewTimer(s.deadline)
	defer timer.Stop()
	select {
	case <-s.gone:
		return s.refusal()
	default:
	}
	select {
	case <-s.token:
	case <-s.gone:
		return s.refusal()
	case <-timer.C:
		s.shatter(fmt.Errorf("%s waited %s for the write before it: the disk hangs", what, s.deadline))
		return s.refusal()
	}
	done := make(chan error, 1)
	go func() {
		err := f()
		if err != nil {
			s.shatter(fmt.Errorf("%s: %w", what, err))
		}
		done <- err
		s.token <- struct{}{}
	}()
	select {
	case err := <-done:
		if err != nil {
			return s.refusal()
		}
		return nil
	case <-timer.C:
		s.shatter(fmt.Errorf("%s took longer than %s: the disk hangs", what, s.deadline))
		return s.refusal()
	}
}

func (s *deadlineStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

func (s *deadlineStore) StoreLogs(ls []*raft.Log) error {
	return s.write("writing the log", func() error { return s.inner.StoreLogs(ls) })
}

func (s *deadlineStore) DeleteRange(low, high uint64) error {
	return s.write("cutting the log", func() error { return s.inner.DeleteRange(low, high) })
}

func (s *deadlineStore) Set(k, v []byte) error {
	return s.write("writing the vote", func() error { return s.inner.Set(k, v) })
}

// SetUint64 keeps terms. Raft panics where the current term cannot be written,
// which would end the process before the Fatal hook could say why. A broken
// server may go on with a term that is only in memory: it can neither vote nor
// take an entry in it, as both are written here too, so after a restart it is a
// server that never heard of that term.
func (s *deadlineStore) SetUint64(k []byte, v uint64) error {
	err := s.write("writing the term", func() error { return s.inner.SetUint64(k, v) })
	if bytes.Equal(k, currentTermKey) {
		return nil
	}
	return err
}

func (s *deadlineStore) FirstIndex() (uint64, error)        { return s.inner.FirstIndex() }
func (s *deadlineStore) LastIndex() (uint64, error)         { return s.inner.LastIndex() }
func (s *deadlineStore) GetLog(i uint64, l *raft.Log) error { return s.inner.GetLog(i, l) }
func (s *deadlineStore) Get(k []byte) ([]byte, error)       { return s.inner.Get(k) }
func (s *deadlineStore) GetUint64(k []byte) (uint64, error) { return s.inner.GetUint64(k) }

// IsMonotonic tells raft to empty the log before it stores entries beyond a
// gap, as the write-ahead log underneath demands.
func (s *deadlineStore) IsMonotonic() bool {
	m, ok := s.inner.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// Close waits for a write in flight, but not for one that hangs: closing the
// files below it would hang too.
func (s *deadlineStore) Close() error {
	timer := time.NewTimer(s.deadline)
	defer timer.Stop()
	select {
	case <-s.token:
		return s.inner.Close()
	case <-timer.C:
		return errors.New("closing the log: a write still hangs, its files stay open")
	}
}
