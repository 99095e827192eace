// Package feed reads prices, difficulties and tariffs from where the operator
// keeps them: files (CSV, JSON), URLs and constants. It hides their formats and
// the network; what leaves it is a decimal with its instant, converted to fixed
// point by package market.
package feed

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// MaxFile bounds a series file, in bytes.
const MaxFile = 64 << 20

// Point is one value as written, from an instant on.
type Point struct {
	At    workload.Instant
	Value string
}

// Series is a recorded series, ascending by instant. A value holds until the
// next one.
type Series struct {
	Points []Point
}

// ReadFile reads a CSV file with a header line, or a JSON array of objects. The
// time column is the first one; column names the value and may be left out
// where there is only one. Rows whose value is empty are skipped. Errors name
// file and line.
func ReadFile(path, column string) (Series, error) {
	f, err := os.Open(path)
	if err != nil {
		return Series{}, workload.Errorf(workload.Invalid, "cannot open series %s: %w", path, err)
	}
	defer f.Close()
	var r io.Reader = &capped{r: f, left: MaxFile}
	info, err := f.Stat()
	if err != nil {
		return Series{}, workload.Errorf(workload.Unavailable, "cannot read %s: %w", path, err)
	}
	if time.Since(info.ModTime()) < settleTime { // somebody may be writing it
		r = &wholeLines{r: r}
	}
	if strings.HasSuffix(strings.ToLower(path), ".json") {
		return ReadJSON(path, r, column)
	}
	return ReadCSV(path, r, column)
}

// settleTime is how long ago a file must have changed for its last line to count
// without an end of line: "4" may be the beginning of "47.5".
const settleTime = 2 * time.Second

// capped fails where io.LimitReader would quietly cut.
type capped struct {
	r    io.Reader
	left int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("is longer than %d bytes", int64(MaxFile))
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

// wholeLines passes on only what is followed by an end of line.
type wholeLines struct {
	r    io.Reader
	held []byte // read, not passed on
	safe int    // of held, up to the last end of line
	err  error
}

func (w *wholeLines) Read(p []byte) (int, error) {
	for w.safe == 0 && w.err == nil {
		buf := make([]byte, 64<<10)
		n, err := w.r.Read(buf)
		w.held, w.err = append(w.held, buf[:n]...), err
		w.safe = bytes.LastIndexByte(w.held, '\n') + 1
	}
	if w.safe == 0 {
		return 0, w.err
	}
	n := copy(p, w.held[:w.safe])
	w.held, w.safe = w.held[n:], w.safe-n
	return n, nil
}

// Columns returns the header of a CSV file.
func Columns(path string) ([]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "cannot open series %s: %w", path, err)
	}
	defer f.Close()
	header, err := csv.NewReader(io.LimitReader(f, 1<<20)).Read()
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "%s:1: not a CSV header: %w", path, err)
	}
	return header, nil
}

// ReadCSV reads the CSV form; name stands for the file in errors.
func ReadCSV(name string, in io.Reader, column string) (Series, error) {
	r := csv.NewReader(in)
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return Series{}, workload.Errorf(workload.Invalid, "%s:1: not a CSV header: %w", name, err)
	}
	header = slices.Clone(header)
	col := -1
	switch {
	case column != "":
		col = slices.Index(header, column)
	case len(header) == 2:
		col = 1
	}
	if col < 1 {
		return Series{}, workload.Errorf(workload.Invalid, "%s:1: there is no column %q", name, column).
			Hint("columns: %s", strings.Join(header[1:], ", "))
	}
	var s Series
	for {
		rec, err := r.Read()
		if errors.Is(err, io.EOF) {
			return s.checked(name)
		}
		if err != nil {
			return Series{}, workload.Errorf(workload.Invalid, "%s: %w", name, err)
		}
		line, _ := r.FieldPos(0) // would panic where there is no record
		if err := s.add(rec[0], rec[col]); err != nil {
			return Series{}, workload.Errorf(workload.Invalid, "%s:%d: %w", name, line, err)
		}
	}
}

// ReadJSON reads an array of objects. The time stands under "time", "at",
// "date" or "hour_utc".
func ReadJSON(name string, in io.Reader, column string) (Series, error) {
	dec := json.NewDecoder(in)
	dec.UseNumber()
	var rows []map[string]any
	if err := dec.Decode(&rows); err != nil {
		return Series{}, workload.Errorf(workload.Invalid, "%s: not a JSON array of objects: %w", name, err)
	}
	var s Series
	for i, row := range rows {
		at, key := "", ""
		for _, k := range []string{"time", "at", "date", "hour_utc"} {
			if v, ok := row[k]; ok {
				at, key = fmt.Sprint(v), k
				break
			}
		}
		col := column
		if col == "" && len(row) == 2 {
			for k := range row {
				if k != key {
					col = k
				}
			}
		}
		v, ok := row[col]
		if key == "" || !ok {
			return Series{}, workload.Errorf(workload.Invalid, "%s: row %d has no time or no %q", name, i+1, column)
		}
		if v == nil { // null, as an empty field of a table
			continue
		}
		if err := s.add(at, fmt.Sprint(v)); err != nil {
			return Series{}, workload.Errorf(workload.Invalid, "%s: row %d: %w", name, i+1, err)
		}
	}
	return s.checked(name)
}

func (s *Series) add(at, value string) error {
	value = strings.TrimSpace(value)
	if value == "" {
		return nil
	}
	t, err := parseTime(strings.TrimSpace(at))
	if err != nil {
		return err
	}
	if _, err := workload.ParseWhole(value); err != nil {
		return err
	}
	s.Points = append(s.Points, Point{At: t, Value: strings.Clone(value)})
	return nil
}

func (s Series) checked(name string) (Series, error) {
	if len(s.Points) == 0 {
		return Series{}, workload.Errorf(workload.Invalid, "%s: the series is empty", name)
	}
	for i := 1; i < len(s.Points); i++ {
		if s.Points[i].At <= s.Points[i-1].At {
			return Series{}, workload.Errorf(workload.Invalid, "%s: times do not ascend at %s", name, s.Points[i].At.Time().Format(time.RFC3339))
		}
	}
	return s, nil
}

var layouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02T15", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"}

// parseTime reads the forms above (UTC where no zone stands) and Unix seconds.
func parseTime(s string) (workload.Instant, error) {
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return workload.InstantOf(t), nil
		}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n > 0 && n < 1<<40 {
		return workload.Instant(n * 1000), nil
	}
	return 0, fmt.Errorf("%q is not a time: use 2026-11-20, 2026-11-20T15 or RFC 3339", s)
}

const day = 24 * workload.HourMillis

// At returns the value in force at an instant. A series that is replayed is
// shifted by whole days, so that hours of the day stay what they were, and
// begins anew when it has ended.
func (s Series) At(now workload.Instant, replay bool) (Point, bool) {
	if len(s.Points) == 0 {
		return Point{}, false
	}
	var shift workload.Instant
	if first, span := s.Points[0].At, s.span(); replay {
		shift = ((now - first) / span) * span
		if (now-first)%span < 0 {
			shift -= span
		}
	}
	i := sort.Search(len(s.Points), func(i int) bool { return s.Points[i].At+shift > now })
	if i == 0 {
		return Point{}, false
	}
	p := s.Points[i-1]
	p.At += shift
	return p, true
}

// span is the length of the series in whole days, the last value's own step
// included.
func (s Series) span() workload.Instant {
	first, last := s.Points[0].At, s.Points[len(s.Points)-1].At
	step := workload.Instant(workload.HourMillis)
	if n := len(s.Points); n > 1 {
		step = max(s.Points[n-1].At-s.Points[n-2].At, 1)
	}
	days := (last + step - first + day - 1) / day
	return max(days, 1) * day
}
