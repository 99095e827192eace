//go:build linux

package shim

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// LogHalf bounds one of the two files a log is kept in: a flood of output
// costs at most twice this, and at least the newest LogHalf bytes are kept.
const LogHalf = 8 << 20

// ring writes a log as at most two files, each named by the offset of its
// first byte in all that the workload ever wrote, so that a reader's offset
// stays right however much has been dropped.
type ring struct {
	dir      string
	half     int64
	file     *os.File
	start    int64
	size     int64
	previous string
}

func newRing(dir string, half int64) (*ring, error) {
	r := &ring{dir: dir, half: half}
	return r, r.open(0)
}

func (r *ring) open(offset int64) error {
	name := filepath.Join(r.dir, fmt.Sprintf("log.%d", offset))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if r.file != nil {
		r.file.Close()
		if r.previous != "" {
			os.Remove(r.previous)
		}
		r.previous = r.file.Name()
	}
	r.file, r.start, r.size = f, offset, 0
	return nil
}

// Write never fails towards the workload: when the disk is full the bytes are
// dropped, as a job must not stop for its log. The offset still counts them by
// starting a new file.
func (r *ring) Write(p []byte) (int, error) {
	if r.size >= r.half {
		if r.open(r.start+r.size) != nil {
			r.file.Truncate(0)
			r.file.Seek(0, 0)
			r.size = 0
		}
	}
	n, err := r.file.Write(p)
	r.size += int64(n)
	if err != nil {
		r.open(r.start + r.size + int64(len(p)-n))
	}
	return len(p), nil
}

// LogPart is one stored span of a log.
type LogPart struct {
	Path  string
	Start int64
}

// LogParts lists the stored spans of a run's log, oldest first.
func LogParts(dir string) ([]LogPart, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var parts []LogPart
	for _, e := range entries {
		digits, ok := strings.CutPrefix(e.Name(), "log.")
		if !ok {
			continue
		}
		if start, err := strconv.ParseInt(digits, 10, 64); err == nil && start >= 0 {
			parts = append(parts, LogPart{filepath.Join(dir, e.Name()), start})
		}
	}
	slices.SortFunc(parts, func(a, b LogPart) int { return int(min(max(a.Start-b.Start, -1), 1)) })
	return parts, nil
}

// ReadLog reads from an offset of all that the workload ever wrote. It returns
// the offset of the first byte read, which is later than asked where the log
// has been dropped, and no bytes at the end.
func ReadLog(dir string, offset int64, buf []byte) (int, int64, error) {
	parts, err := LogParts(dir)
	if err != nil {
		return 0, offset, err
	}
	for i, p := range parts {
		last := i == len(parts)-1
		if !last && parts[i+1].Start <= offset {
			continue
		}
		at := max(offset, p.Start)
		f, err := os.Open(p.Path)
		if os.IsNotExist(err) {
			continue // dropped between listing and opening
		}
		if err != nil {
			return 0, offset, err
		}
		n, err := f.ReadAt(buf, at-p.Start)
		f.Close()
		if n > 0 {
			return n, at, nil
		}
		if err != nil && err.Error() != "EOF" {
			return 0, offset, err
		}
	}
	return 0, offset, nil
}
