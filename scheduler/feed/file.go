package feed

import (
	"os"
	"time"
)

// stamp tells versions of a file apart: its clock may be too coarse for two
// writes in a row.
type stamp struct {
	changed time.Time
	size    int64
}

func stampOf(path string) (stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}, err
	}
	return stamp{info.ModTime(), info.Size()}, nil
}

// settled reports whether the file has been left alone long enough for its last
// line to be whole.
func (s stamp) settled() bool { return time.Since(s.changed) >= settleTime }
