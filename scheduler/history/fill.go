package history

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// importName is written while lines arrive; a leftover is overwritten.
const importName = "history.import"

// Import fills the first gap with lines that another server's Lines gave, from
// behind Contiguous on. Every line must follow the one before it, and the last
// must be what the entries behind the gap follow. Lines that are here already
// are passed over. It returns how many were added; some may be even when there
// is an error, and a later call goes on behind them.
//
// Errors are of kind Conflict when the lines belong to another history, and
// Invalid when they are none.
func (l *Log) Import(r io.Reader) (added int, err error) {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	in := newLineReader(r)
	for !l.complete() {
		n, more, err := l.importFile(in)
		added += n
		if err != nil || !more {
			return added, err
		}
	}
	return added, nil
}

func (l *Log) complete() bool {
	_, done := l.Contiguous()
	return done
}

// importFile adds at most one file's worth of lines; more is false at the end of
// the input.
func (l *Log) importFile(in *lineReader) (added int, more bool, err error) {
	l.mu.Lock()
	at, place := l.gap()
	bound, want := l.head.Index, l.head.Hash // the gap's far end
	if place < len(l.segs) {
		bound, want = l.segs[place].first-1, l.segs[place].prev
	}
	l.mu.Unlock()

	temp := filepath.Join(l.dir, importName)
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, false, err
	}
	defer func() {
		f.Close()
		os.Remove(temp) // gone when it was renamed
	}()
	s := segment{prev: at.Hash, end: at}
	for s.size < l.rotate && s.end.Hash != want {
		line, err := in.next()
		if err == nil && line == nil {
			break
		}
		var e Entry
		if err == nil {
			e, err = parseLine(line)
		}
		switch {
		case err != nil && errors.Is(err, errLine):
			// What came before is good; the line is the sender's or the network's.
			err = workload.Errorf(workload.Invalid, "importing history after entry %d: %w", s.end.Index, err)
			return int(s.lines), false, errors.Join(err, l.adoptFile(f, s, place))
		case err != nil:
			return int(s.lines), false, errors.Join(err, l.adoptFile(f, s, place))
		case e.Index <= s.end.Index:
			continue
		case e.Prev != s.end.Hash, e.Index > bound:
			// Nothing of this file is kept: it may be what does not fit.
			return 0, false, workload.Errorf(workload.Conflict, "importing history: entry %d follows %s, but here it is %s after entry %d and before %s",
				e.Index, e.Prev, s.end.Hash, s.end.Index, want).
				Hint("the two servers hold different histories; compare with a third before either is trusted")
		}
		if s.lines == 0 {
			s.first, s.name = e.Index, segmentName(e.Index)
		}
		n, err := f.Write(append(line[:len(line):len(line)], '\n'))
		if err != nil {
			return 0, false, err
		}
		s.size += int64(n)
		s.lines++
		s.end = Head{e.Index, e.Hash}
	}
	more = s.end.Hash == want || s.size >= l.rotate
	return int(s.lines), more, l.adoptFile(f, s, place)
}

// adoptFile puts an imported file into its place.
func (l *Log) adoptFile(f *os.File, s segment, place int) error {
	if s.lines == 0 {
		return nil
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("importing history: %w", err)
	}
	if err := os.Rename(f.Name(), filepath.Join(l.dir, s.name)); err != nil {
		return err
	}
	if err := syncDir(l.dir); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	// Only the far end of segs can have moved meanwhile: place is still right.
	l.segs = slices.Insert(l.segs, place, s)
	return nil
}
