package history

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"

	"github.com/sluice-project/sluice/workload"
)

var segmentPattern = regexp.MustCompile(`^history-([0-9]{20})\.jsonl$`)

// Open reads and checks the whole history in dir, which is made where missing.
// An entry at the end that was being written when the server died is cut, see
// Recovered. Everything else that is wrong is an error of kind Internal that
// names the file and line, and nothing is changed then.
func Open(dir string) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the history directory: %w", err)
	}
	m, err := readMark(dir)
	if err != nil {
		return nil, err
	}
	names, err := segmentNames(dir)
	if err != nil {
		return nil, err
	}
	if err := removeStaged(dir); err != nil {
		return nil, err
	}
	l := &Log{dir: dir, rotate: segmentSize}
	marked := m.File == ""
	for i, name := range names {
		s, bad, err := scan(dir, name, func(e Entry, end int64) error {
			if name == m.File && end == m.Size {
				marked = e.Hash == m.Hash && e.Index == m.Index
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if bad != nil {
			durable := int64(0)
			if name == m.File {
				durable = m.Size
			}
			if i < len(names)-1 || s.size < durable {
				return nil, bad.error(dir)
			}
			if err := l.cutTail(s, bad); err != nil {
				return nil, err
			}
		}
		if s.lines == 0 {
			continue // cutTail removed it
		}
		if n := len(l.segs); n > 0 && s.first <= l.segs[n-1].end.Index {
			return nil, workload.Errorf(workload.Internal, "%s begins with entry %d, which %s holds already", filepath.Join(dir, name), s.first, l.segs[n-1].name).
				Hint("one of the two does not belong here; move it away and start again")
		}
		l.segs = append(l.segs, s)
		l.head = s.end
	}
	if !marked {
		return nil, workload.Errorf(workload.Internal, "the history in %s ends before entry %d, which was there and durable: its tail is missing", dir, m.Index).
			Hint("restore %s from a backup of this server, or move the directory away, remove this server from the group and join it again", m.File)
	}
	if n := len(l.segs); n > 0 && l.segs[n-1].size < l.rotate {
		l.tail, err = os.OpenFile(filepath.Join(dir, l.segs[n-1].name), os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			return nil, err
		}
	}
	return l, nil
}

// cutTail shortens the newest file to its whole lines.
func (l *Log) cutTail(s segment, bad *Problem) error {
	file := filepath.Join(l.dir, s.name)
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	l.cut = Cut{File: file, Line: bad.Line, Bytes: info.Size() - s.size, Reason: bad.Text}
	if s.lines == 0 {
		return errors.Join(os.Remove(file), syncDir(l.dir))
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(s.size), f.Sync(), f.Close())
}

// removeStaged drops what an import that was not finished left behind.
func removeStaged(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, stagedPrefix+"*"))
	for _, file := range left {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

func segmentNames(dir string) ([]string, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range all {
		if segmentPattern.MatchString(d.Name()) {
			names = append(names, d.Name())
		}
	}
	slices.Sort(names) // the numbers have one width
	return names, nil
}

// scan reads one file from its beginning. The segment returned describes the
// lines that are good; bad says what is wrong behind them, nil when nothing is.
// each is told every good entry and where in the file it ends.
func scan(dir, name string, each func(e Entry, end int64) error) (s segment, bad *Problem, err error) {
	s = segment{name: name}
	r, err := openLines(filepath.Join(dir, name), 0, -1)
	if err != nil {
		return s, nil, err
	}
	defer r.close()
	for {
		line, err := r.next()
		if line == nil && err == nil {
			break
		}
		var e Entry
		if err == nil {
			e, err = parseLine(line)
		}
		switch {
		case err != nil && !errors.Is(err, errLine):
			return s, nil, err
		case err == nil && s.lines == 0 && name != segmentName(e.Index):
			err = fmt.Errorf("it holds entry %d, which is not the one in the file's name", e.Index)
		case err == nil && s.lines > 0 && e.Index <= s.end.Index:
			err = fmt.Errorf("entry %d follows entry %d", e.Index, s.end.Index)
		case err == nil && s.lines > 0 && e.Prev != s.end.Hash:
			err = fmt.Errorf("entry %d does not follow the entry before it: one between was taken out or altered", e.Index)
		}
		if err != nil {
			at := s.end.Index + 1
			if s.lines == 0 {
				digits := segmentPattern.FindStringSubmatch(name)[1]
				at, _ = strconv.ParseUint(digits, 10, 64)
			}
			kind := Altered
			if errors.Is(err, errTorn) {
				kind = Missing
			}
			return s, &Problem{Kind: kind, After: s.end.Index, Index: at, File: name, Line: s.lines + 1, Text: err.Error()}, nil
		}
		if s.lines == 0 {
			s.first, s.prev = e.Index, e.Prev
		}
		s.lines++
		s.size = r.offset
		s.end = Head{e.Index, e.Hash}
		if err := each(e, r.offset); err != nil {
			return s, nil, err
		}
	}
	if s.lines == 0 {
		bad = &Problem{Kind: Missing, File: name, Line: 1, Text: "the file is empty"}
	}
	return s, bad, nil
}
