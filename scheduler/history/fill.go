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

// stagedPrefix begins the names of files that hold imported lines of a gap which
// is still open. They are not part of the log: until the last line meets the
// entries behind the gap, nothing says that they are ours.
const stagedPrefix = "import-"

// Import fills the first gap with lines that another server's Lines gave, from
// behind Contiguous on. Every line must follow the one before it, and the last
// must be what the entries behind the gap follow; only then are they read by
// anybody. Lines that are here already are passed over. It returns how many were
// added. Input that ends early, also with an error, is no loss: a later call
// goes on behind it.
//
// Errors are of kind Conflict when the lines belong to another history, after
// which the gap is to be filled from its beginning, and Invalid when they are
// no lines at all.
func (l *Log) Import(r io.Reader) (added int, err error) {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	in := newLineReader(r)
	for !l.complete() {
		n, more, err := l.importFile(in)
		added += n
		if err != nil {
			if workload.KindOf(err) == workload.Conflict {
				err = errors.Join(err, l.dropStaged())
			}
			return added, err
		}
		if !more {
			break
		}
	}
	return added, nil
}

func (l *Log) complete() bool {
	_, done := l.Contiguous()
	return done
}

// importFile stages at most one file's worth of lines; more is false at the end
// of the input.
func (l *Log) importFile(in *lineReader) (added int, more bool, err error) {
	l.mu.Lock()
	at, place := l.gap()
	bound, exact, want := l.head.Index, true, l.head.Hash // the gap's far end
	if place < len(l.segs) {
		// Which entry precedes the first one there is known by its hash alone.
		bound, exact, want = l.segs[place].first-1, false, l.segs[place].prev
	}
	if n := len(l.staged); n > 0 {
		at = l.staged[n-1].end
	}
	l.mu.Unlock()

	temp := filepath.Join(l.dir, stagedPrefix+"tmp")
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return 0, false, err
	}
	defer func() {
		f.Close()
		os.Remove(temp) // gone when it was renamed
	}()
	s := segment{prev: at.Hash, end: at}
	var stop error
	for s.size < l.rotate && s.end.Hash != want && stop == nil {
		line, err := in.next()
		if err == nil && line == nil {
			break
		}
		var e Entry
		if err == nil {
			e, err = parseLine(line)
		}
		switch {
		case errors.Is(err, errLine):
			stop = workload.Errorf(workload.Invalid, "importing history after entry %d: %w", s.end.Index, err)
			continue
		case err != nil:
			stop = err
			continue
		case e.Index <= s.end.Index:
			continue
		case e.Prev != s.end.Hash, e.Index > bound, exact && e.Index == bound && e.Hash != want:
			return 0, false, workload.Errorf(workload.Conflict, "importing history: entry %d with hash %s does not lie between entry %d and what is here behind the gap", e.Index, e.Hash, s.end.Index).
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
	closed := s.end.Hash == want
	if s.lines > 0 {
		if err := f.Sync(); err != nil {
			return 0, false, fmt.Errorf("importing history: %w", err)
		}
		if err := os.Rename(temp, filepath.Join(l.dir, stagedPrefix+s.name)); err != nil {
			return 0, false, err
		}
		l.mu.Lock()
		l.staged = append(l.staged, s)
		l.mu.Unlock()
	}
	if closed {
		if err := l.adoptStaged(place); err != nil {
			return int(s.lines), false, err
		}
	}
	return int(s.lines), closed || s.size >= l.rotate, stop
}

// adoptStaged puts the imported files into their place. Those that a crash
// leaves behind are part of the same sound chain, with a smaller gap.
func (l *Log) adoptStaged(place int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.staged {
		if err := os.Rename(filepath.Join(l.dir, stagedPrefix+s.name), filepath.Join(l.dir, s.name)); err != nil {
			return err
		}
	}
	if err := syncDir(l.dir); err != nil {
		return err
	}
	// Only the far end of segs can have grown meanwhile: place is still right.
	l.segs = slices.Insert(l.segs, place, l.staged...)
	l.staged = nil
	return nil
}

func (l *Log) dropStaged() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, s := range l.staged {
		err = errors.Join(err, os.Remove(filepath.Join(l.dir, stagedPrefix+s.name)))
	}
	l.staged = nil
	return err
}
