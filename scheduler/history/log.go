package history

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/sluice-project/sluice/workload"
)

// segmentSize is how long a file grows, in bytes, before the next one begins.
const segmentSize = 8 << 20

// Head names an entry by its place and its hash. The zero Head precedes all.
type Head struct {
	Index uint64 `json:"index"`
	Hash  Hash   `json:"hash"`
}

// Log is the history of one server. Its methods may be called from any
// goroutine; Append is meant for the one that applies.
type Log struct {
	dir     string
	rotate  int64 // segmentSize, or less in tests
	cut     Cut
	syncing sync.Mutex // one Sync or Import at a time; taken before mu

	mu     sync.Mutex
	segs   []segment // in order; all of them closed files but the last
	staged []segment // imported into the first gap, which they do not close yet
	tail   *os.File  // of the last segment; nil when the next Append begins one
	head   Head
	broken error   // why nothing can be appended any more
	again  *cursor // where the last repeated entry was found
	line   []byte  // reused by Append
	text   bytes.Buffer
}

// segment is one file.
type segment struct {
	name  string
	first uint64
	prev  Hash // what its first entry follows
	end   Head // its last entry
	lines int64
	size  int64
}

func segmentName(first uint64) string { return fmt.Sprintf("history-%020d.jsonl", first) }

// Cut tells what Open took off the end of the newest file: entries that were
// being written when the server died. Raft applies them again.
type Cut struct {
	File   string
	Line   int64 // the first one that was cut
	Bytes  int64
	Reason string
}

// Head returns the newest entry.
func (l *Log) Head() Head {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.head
}

// Recovered returns what Open cut; its Bytes are 0 when all was whole.
func (l *Log) Recovered() Cut { return l.cut }

// Append adds an entry. One whose index is not beyond the head must be the
// entry that is there already, as Raft applies the end of its log again after a
// restart; nothing is written then. Errors are of kind Conflict when it is
// another one, which means that this server's state is not that of the others,
// Invalid for a command that is not JSON or is too long, and Internal when the
// disk fails, after which nothing more is taken.
func (l *Log) Append(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	l.text.Reset()
	if err := json.Compact(&l.text, e.Command); err != nil {
		return workload.Errorf(workload.Invalid, "history entry %d is not JSON: %w", e.Index, err)
	}
	e.Command = l.text.Bytes()
	if e.Index == 0 {
		return workload.Errorf(workload.Invalid, "history entries are numbered from 1")
	}
	if e.Index <= l.head.Index {
		return l.repeated(e)
	}
	e.Prev = l.head.Hash
	line, hash := appendLine(l.line[:0], e)
	l.line = line
	if len(line) > maxLine {
		l.line = nil
		return workload.Errorf(workload.Invalid, "history entry %d of %d bytes is longer than %d", e.Index, len(line), maxLine)
	}
	if err := l.write(e, line, hash); err != nil {
		l.broken = workload.Errorf(workload.Internal, "history entry %d: %w", e.Index, err).
			Hint("look at the disk under %s and start this server again", l.dir)
		return l.broken
	}
	l.head = Head{e.Index, hash}
	return nil
}

func (l *Log) write(e Entry, line []byte, hash Hash) error {
	if l.tail != nil && l.segs[len(l.segs)-1].size+int64(len(line)) > l.rotate {
		if err := l.closeTail(); err != nil {
			return err
		}
	}
	if l.tail == nil {
		name := segmentName(e.Index)
		f, err := os.OpenFile(filepath.Join(l.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
		if err != nil {
			return err
		}
		l.tail = f
		l.segs = append(l.segs, segment{name: name, first: e.Index, prev: e.Prev, end: Head{0, e.Prev}})
	}
	if _, err := l.tail.Write(line); err != nil {
		return err // Open cuts what part of the line was written
	}
	s := &l.segs[len(l.segs)-1]
	s.end = Head{e.Index, hash}
	s.lines++
	s.size += int64(len(line))
	return nil
}

// closeTail makes the newest file durable and ends it.
func (l *Log) closeTail() error {
	if l.tail == nil {
		return nil
	}
	err := errors.Join(l.tail.Sync(), l.tail.Close(), syncDir(l.dir))
	l.tail = nil
	return err
}

// repeated checks an entry that should be there already.
func (l *Log) repeated(e Entry) error {
	had, err := l.find(e.Index)
	if err != nil {
		return err
	}
	e.Prev = had.Prev
	line, hash := appendLine(l.line[:0], e)
	l.line = line
	if hash != had.Hash {
		return workload.Errorf(workload.Conflict, "history entry %d was %.200s and is applied again as %.200s", e.Index, had.Command, e.Command).
			Hint("this server's state may differ from the others': stop it, keep %s for a report, remove the server and join it again empty", l.dir)
	}
	return nil
}

// Adopt says that the state was replaced by one whose history ends at head.
// Where that lies beyond this log, the entries between are missing until Import
// brings them, and appending goes on behind head. Where it lies within, the
// entry there must be the same; the error is of kind Conflict when it is not.
func (l *Log) Adopt(head Head) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	if head.Index > l.head.Index {
		if err := l.closeTail(); err != nil {
			l.broken = err
			return err
		}
		l.head = head
		return nil
	}
	if head.Index == 0 || head == l.head {
		return nil
	}
	for _, s := range l.segs {
		if s.prev == head.Hash {
			return nil
		}
	}
	had, err := l.find(head.Index)
	switch {
	case err != nil && workload.KindOf(err) == workload.NotFound:
		// It lies in a gap; Import will compare.
		return nil
	case err != nil:
		return err
	case had.Hash != head.Hash:
		return workload.Errorf(workload.Conflict, "history entry %d has hash %s here and %s in the snapshot", head.Index, had.Hash, head.Hash).
			Hint("one of them was altered; `sluice` cannot tell which: compare with another server's history")
	}
	return nil
}

// Contiguous returns the entry behind which Import goes on: the last one before
// the first gap, or the last one imported into it. complete is true when nothing
// is missing.
func (l *Log) Contiguous() (end Head, complete bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	end, _ = l.gap()
	complete = end == l.head
	if n := len(l.staged); n > 0 {
		end = l.staged[n-1].end
	}
	return end, complete
}

// gap returns the end of the unbroken beginning and the number of segments in it.
func (l *Log) gap() (Head, int) {
	var end Head
	for i, s := range l.segs {
		if s.prev != end.Hash {
			return end, i
		}
		end = s.end
	}
	return end, len(l.segs)
}

// Sync makes every entry appended so far durable. It is called before a
// snapshot is persisted, since Raft may forget what is behind one. Entries go on
// being appended meanwhile.
func (l *Log) Sync() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	tail, broken := l.tail, l.broken
	var m mark
	if n := len(l.segs); n > 0 {
		s := l.segs[n-1]
		m = mark{File: s.name, Size: s.size, Head: s.end}
	}
	l.mu.Unlock()
	if broken != nil {
		return broken
	}
	if m.File == "" {
		return nil
	}
	if tail != nil {
		// A file that was ended meanwhile was synced by that.
		if err := tail.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
			// What the kernel kept of these pages is unknown: never try again.
			err = workload.Errorf(workload.Internal, "syncing the history: %w", err).
				Hint("look at the disk under %s and start this server again", l.dir)
			l.mu.Lock()
			l.broken = err
			l.mu.Unlock()
			return err
		}
		l.mu.Lock()
		broken = l.broken
		l.mu.Unlock()
		if broken != nil {
			return broken // the file was ended meanwhile, and that failed
		}
	}
	return writeMark(l.dir, m)
}

// Close syncs and closes the files.
func (l *Log) Close() error {
	err := l.Sync()
	l.mu.Lock()
	defer l.mu.Unlock()
	err = errors.Join(err, l.again.close(), l.closeTail())
	l.again = nil
	if l.broken == nil {
		l.broken = workload.Errorf(workload.Unavailable, "the history is closed")
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
