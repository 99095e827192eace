package history

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/sluice-project/sluice/workload"
)

// Damage says what kind of thing is wrong.
type Damage string

const (
	// Altered: bytes are not those that were written.
	Altered Damage = "altered"
	// Missing: entries are not there.
	Missing Damage = "missing"
)

// Problem is the first thing that is wrong with a history.
type Problem struct {
	Kind  Damage
	After uint64 // the last good entry before it; 0 = none
	Index uint64 // the first entry that is bad or missing, as far as can be told
	File  string // name within the directory
	Line  int64  // counted from 1
	Text  string
}

func (p *Problem) error(dir string) error {
	return workload.Errorf(workload.Internal, "%s:%d: %s", filepath.Join(dir, p.File), p.Line, p.Text).
		Hint("the file was damaged after it was written; restore it from a backup or copy it from another server, where it is the same byte for byte, then start again")
}

// Report is the outcome of Verify.
type Report struct {
	Entries int64
	Head    Head // the last good entry
	Problem *Problem
}

// Verify reads every file again and checks every hash. The error is for a disk
// that cannot be read; what is wrong with the history is in the report.
func (l *Log) Verify() (Report, error) {
	l.mu.Lock()
	segs, head := slices.Clone(l.segs), l.head
	l.mu.Unlock()
	var rep Report
	for _, s := range segs {
		if s.prev != rep.Head.Hash {
			rep.Problem = &Problem{Kind: Missing, After: rep.Head.Index, Index: rep.Head.Index + 1, File: s.name, Line: 1,
				Text: fmt.Sprintf("the entries between %d and %d are missing", rep.Head.Index, s.first)}
			return rep, nil
		}
		now, bad, err := scan(l.dir, s.name, func(e Entry, end int64) error {
			if end <= s.size { // entries appended since belong to the next check
				rep.Entries++
				rep.Head = Head{e.Index, e.Hash}
			}
			return nil
		})
		switch {
		case os.IsNotExist(err):
			rep.Problem = &Problem{Kind: Missing, After: rep.Head.Index, Index: s.first, File: s.name, Line: 1, Text: "the file is gone"}
			return rep, nil
		case err != nil:
			return rep, err
		case now.size < s.size && bad != nil && bad.Kind == Altered:
			bad.After = rep.Head.Index
			rep.Problem = bad
			return rep, nil
		case now.size < s.size:
			rep.Problem = &Problem{Kind: Missing, After: rep.Head.Index, Index: rep.Head.Index + 1, File: s.name, Line: now.lines + 1,
				Text: fmt.Sprintf("the file ends after entry %d; entries up to %d are missing", rep.Head.Index, s.end.Index)}
			return rep, nil
		case rep.Head != s.end:
			rep.Problem = &Problem{Kind: Altered, After: rep.Head.Index, Index: rep.Head.Index, File: s.name, Line: s.lines,
				Text: "the file holds another history than it did"}
			return rep, nil
		}
	}
	if rep.Head != head {
		rep.Problem = &Problem{Kind: Missing, After: rep.Head.Index, Index: rep.Head.Index + 1,
			Text: fmt.Sprintf("the entries from %d to %d are missing", rep.Head.Index+1, head.Index)}
	}
	return rep, nil
}
