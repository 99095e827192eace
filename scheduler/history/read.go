package history

import (
	"bytes"
	"fmt"
	"iter"
	"path/filepath"
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// Read yields the entries with an index beyond after, as far as the log reached
// when the loop began, and checks them on the way. An error ends it: of kind
// Unavailable at a gap, Internal for a damaged line.
func (l *Log) Read(after uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for line, err := range l.lines(after) {
			if err != nil {
				yield(Entry{}, err)
				return
			}
			line.Command = bytes.Clone(line.Command)
			if !yield(line.Entry, nil) {
				return
			}
		}
	}
}

// Lines yields what Read does as the lines in the files, line feed included, for
// another server's Import. A line is good until the next step of the loop.
func (l *Log) Lines(after uint64) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var out []byte
		for line, err := range l.lines(after) {
			if err != nil {
				yield(nil, err)
				return
			}
			out = append(append(out[:0], line.raw...), '\n')
			if !yield(out, nil) {
				return
			}
		}
	}
}

type rawEntry struct {
	Entry
	raw []byte
}

func (l *Log) lines(after uint64) iter.Seq2[rawEntry, error] {
	return func(yield func(rawEntry, error) bool) {
		l.mu.Lock()
		segs, head := slices.Clone(l.segs), l.head
		l.mu.Unlock()
		var at Head // the last entry seen or skipped
		for _, s := range segs {
			if s.end.Index <= after {
				at = s.end
				continue
			}
			if s.prev != at.Hash {
				yield(rawEntry{}, missing(at, s.first))
				return
			}
			stop := false
			err := s.each(l.dir, func(e rawEntry) bool {
				if e.Index > after {
					stop = !yield(e, nil)
				}
				return !stop
			})
			if stop {
				return
			}
			if err != nil {
				yield(rawEntry{}, err)
				return
			}
			at = s.end
		}
		if at.Index < head.Index && after < head.Index {
			yield(rawEntry{}, missing(at, head.Index+1))
		}
	}
}

func missing(at Head, next uint64) error {
	return workload.Errorf(workload.Unavailable, "the history between entry %d and entry %d is not on this server yet", at.Index, next).
		Hint("it is fetched from another server; ask again later or ask that one")
}

// each reads one file as far as it is known to reach, and checks it again.
func (s segment) each(dir string, f func(rawEntry) bool) error {
	r, err := openLines(filepath.Join(dir, s.name), 0, s.size)
	if err != nil {
		return err
	}
	defer r.close()
	prev := s.prev
	for n := int64(1); n <= s.lines; n++ {
		line, err := r.next()
		if err == nil && line == nil {
			err = fmt.Errorf("%w: the file is shorter than it was", errLine)
		}
		var e Entry
		if err == nil {
			e, err = parseLine(line)
		}
		if err == nil && e.Prev != prev {
			err = fmt.Errorf("%w: it does not follow the line before it", errLine)
		}
		if err != nil {
			return (&Problem{Kind: Altered, File: s.name, Line: n, Text: err.Error()}).error(dir)
		}
		prev = e.Hash
		if !f(rawEntry{e, line}) {
			return nil
		}
	}
	return nil
}

// cursor reads on where the last repeated entry was found, because Raft repeats
// entries in their order.
type cursor struct {
	r    *lineReader
	name string
	seen uint64
}

func (c *cursor) close() error {
	if c == nil {
		return nil
	}
	return c.r.close()
}

// find returns the entry with an index; kind NotFound when there is none. The
// Command is good until the next call. mu is held.
func (l *Log) find(index uint64) (Entry, error) {
	i, ok := slices.BinarySearchFunc(l.segs, index, func(s segment, want uint64) int {
		switch {
		case s.end.Index < want:
			return -1
		case s.first > want:
			return 1
		}
		return 0
	})
	none := workload.Errorf(workload.NotFound, "the history has no entry %d", index)
	if !ok {
		return Entry{}, none
	}
	s := l.segs[i]
	if c := l.again; c == nil || c.name != s.name || c.seen >= index {
		l.again.close()
		l.again = nil
		r, err := openLines(filepath.Join(l.dir, s.name), 0, -1)
		if err != nil {
			return Entry{}, err
		}
		l.again = &cursor{r: r, name: s.name}
	}
	for {
		line, err := l.again.r.next()
		if err == nil && line == nil {
			return Entry{}, none
		}
		var e Entry
		if err == nil {
			e, err = parseLine(line)
		}
		if err != nil {
			return Entry{}, workload.Errorf(workload.Internal, "%s before byte %d: %w", filepath.Join(l.dir, s.name), l.again.r.offset, err).
				Hint("the file was damaged while this server ran; stop it and restore the file from another server")
		}
		l.again.seen = e.Index
		if e.Index == index {
			return e, nil
		}
		if e.Index > index {
			return Entry{}, none
		}
	}
}
