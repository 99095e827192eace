package feed

import (
	"os"
	"time"
)

// modTime is when a file last changed.
func modTime(path string) (time.Time, error) {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}
