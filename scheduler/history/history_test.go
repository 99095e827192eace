package history

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

func entry(i uint64) Entry {
	return Entry{Index: i, Term: 1 + i/50, At: 1764500000000 + int64(i), Command: json.RawMessage(fmt.Sprintf(`{"kind":"test","n":%d,"text":"a \" \\ z"}`, i))}
}

// indexes are what Raft leaves: every seventh entry is its own.
func indexes(from, to uint64) []uint64 {
	var out []uint64
	for i := from; i <= to; i++ {
		if i%7 != 0 {
			out = append(out, i)
		}
	}
	return out
}

func open(t testing.TB, dir string) *Log {
	t.Helper()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	l.rotate = 4096 // some 18 lines a file
	t.Cleanup(func() { l.Close() })
	return l
}

func fill(t testing.TB, l *Log, from, to uint64) {
	t.Helper()
	for _, i := range indexes(from, to) {
		if err := l.Append(entry(i)); err != nil {
			t.Fatal(err)
		}
	}
}

// same fails unless the log yields exactly the entries that fill wrote.
func same(t *testing.T, l *Log, from, to uint64) {
	t.Helper()
	want := indexes(from+1, to)
	n := 0
	for e, err := range l.Read(from) {
		if err != nil {
			t.Fatalf("after entry %d: %v", from, err)
		}
		w := entry(want[n])
		if e.Index != w.Index || e.Term != w.Term || e.At != w.At || !bytes.Equal(e.Command, w.Command) {
			t.Fatalf("entry %d is %+v", want[n], e)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d entries after %d, want %d", n, from, len(want))
	}
	if r, err := l.Verify(); err != nil || from == 0 && r.Problem != nil {
		t.Errorf("verify: %+v, %v", r.Problem, err)
	}
}

func TestEntriesComeBack(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	fill(t, l, 1, 200)
	same(t, l, 0, 200)
	same(t, l, 99, 200)
	head := l.Head()
	if files, _ := segmentNames(dir); len(files) < 5 {
		t.Errorf("only %d files", len(files))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(entry(201)); workload.KindOf(err) != workload.Unavailable {
		t.Errorf("appended to a closed log: %v", err)
	}

	l = open(t, dir)
	if l.Head() != head || l.Recovered().Bytes != 0 {
		t.Errorf("reopened at %+v, cut %+v", l.Head(), l.Recovered())
	}
	fill(t, l, 150, 260) // Raft applies the end of its log again
	same(t, l, 0, 260)
	// Two servers' files are equal byte for byte, however they were restarted.
	other := open(t, t.TempDir())
	fill(t, other, 1, 260)
	if other.Head() != l.Head() {
		t.Error("two servers with the same entries have different heads")
	}
}

func TestLineIsCheckedBySha256sum(t *testing.T) {
	l := open(t, t.TempDir())
	if err := l.Append(Entry{Index: 3, Term: 2, At: 5, Command: json.RawMessage("{ \"a\" : [1,\n2] }")}); err != nil {
		t.Fatal(err)
	}
	for line := range l.Lines(0) {
		body, rest, _ := strings.Cut(string(line), `,"h":"`)
		if want := `{"i":3,"t":2,"at":5,"prev":"` + strings.Repeat("0", 64) + `","c":{"a":[1,2]}`; body != want {
			t.Errorf("line is %s", line)
		}
		if want := fmt.Sprintf("%x\"}\n", sha256.Sum256([]byte(body))); rest != want {
			t.Errorf("hash is %q, want %q", rest, want)
		}
		if !json.Valid(line) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestOtherEntriesAreRefused(t *testing.T) {
	l := open(t, t.TempDir())
	fill(t, l, 1, 100)
	altered := entry(50)
	altered.Command = json.RawMessage(`{"kind":"test","n":51}`)
	for _, c := range []struct {
		name string
		e    Entry
		kind workload.Kind
	}{
		{"another command", altered, workload.Conflict},
		{"another term", Entry{Index: 50, Term: 9, At: entry(50).At, Command: entry(50).Command}, workload.Conflict},
		{"an index that was Raft's own", entry(49), workload.NotFound},
		{"not JSON", Entry{Index: 101, Term: 1, Command: json.RawMessage(`{`)}, workload.Invalid},
		{"no index", Entry{Command: json.RawMessage(`1`)}, workload.Invalid},
		{"too long", Entry{Index: 101, Term: 1, Command: json.RawMessage(`"` + strings.Repeat("x", maxLine) + `"`)}, workload.Invalid},
	} {
		if err := l.Append(c.e); err == nil || workload.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	fill(t, l, 101, 120)
	same(t, l, 0, 120)
}

// A12: what was being written when the server died is cut, and only that.
func TestTornTailIsCut(t *testing.T) {
	build := func(t *testing.T) (string, string, []byte) {
		dir := t.TempDir()
		l := open(t, dir)
		fill(t, l, 1, 100)
		if err := l.Sync(); err != nil {
			t.Fatal(err)
		}
		fill(t, l, 101, 103) // not synced
		names, _ := segmentNames(dir)
		file := filepath.Join(dir, names[len(names)-1])
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return dir, file, data
	}
	dir, file, whole := build(t)
	m, err := readMark(dir)
	if err != nil || m.File != filepath.Base(file) || m.Index != 100 {
		t.Fatalf("marked %+v: %v", m, err)
	}
	for size := range whole {
		if size%17 != 0 && len(whole)-size > 3 && int64(size) != m.Size && int64(size) != m.Size-1 {
			continue // each place takes some fsyncs
		}
		dir, file, data := build(t)
		if err := os.WriteFile(file, data[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := Open(dir)
		if int64(size) < m.Size {
			if err == nil {
				t.Fatalf("durable entries were cut at byte %d and nobody said so", size)
			}
			continue
		}
		if err != nil {
			t.Fatalf("cut at byte %d: %v", size, err)
		}
		if torn := size > 0 && data[size-1] != '\n'; torn != (l.Recovered().Bytes > 0) {
			t.Fatalf("cut at byte %d: recovered %+v", size, l.Recovered())
		}
		fill(t, l, 90, 110)
		same(t, l, 0, 110)
		l.Close()
	}
	// Zeros that a file system left in place of the last lines.
	dir, file, data := build(t)
	clear(data[m.Size:])
	os.WriteFile(file, data, 0o600)
	l := open(t, dir)
	if l.Recovered().Bytes == 0 || l.Head().Index != 100 {
		t.Errorf("zeros at the end: %+v at %d", l.Recovered(), l.Head().Index)
	}
}

// F9, A13: any flipped bit or missing piece of what was durable is found at the
// next start, with the place and the next step.
func TestCorruptionIsFound(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	fill(t, l, 1, 120)
	l.Close()
	names, _ := filepath.Glob(filepath.Join(dir, "*"))
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 400 {
		file := names[rng.IntN(len(names))]
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		bad := bytes.Clone(data)
		at := rng.IntN(len(data))
		if n%4 == 0 {
			bad = bad[:at]
		} else {
			bad[at] ^= 1 << rng.IntN(8)
		}
		os.WriteFile(file, bad, 0o600)
		l, err := Open(dir)
		if err == nil {
			l.Close()
			t.Fatalf("damage of %s at byte %d of %d was not found", filepath.Base(file), at, len(data))
		}
		if !strings.Contains(err.Error(), dir) || workload.NextOf(err) == "" {
			t.Fatalf("said only: %v; next: %s", err, workload.NextOf(err))
		}
		if strings.HasSuffix(file, ".jsonl") && len(bad) == len(data) {
			want := fmt.Sprintf("%s:%d:", file, 1+bytes.Count(data[:at], []byte("\n")))
			if !strings.Contains(err.Error(), want) {
				t.Fatalf("damage at %s was reported as %v", want, err)
			}
		}
		os.WriteFile(file, data, 0o600)
	}
	open(t, dir) // whole again
}

func TestVerifyTellsMissingFromAltered(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func(dir string, names []string)
		kind  Damage
		after uint64
	}{
		{"altered", func(dir string, names []string) {
			edit(dir, names[1], func(b []byte) []byte { return bytes.Replace(b, []byte(`"n":`), []byte(`"m":`), 1) })
		}, Altered, 20},
		{"one line taken out", func(dir string, names []string) {
			edit(dir, names[0], func(b []byte) []byte {
				lines := bytes.SplitAfter(b, []byte("\n"))
				return bytes.Join(append(lines[:3:3], lines[4:]...), nil)
			})
		}, Altered, 3},
		{"tail cut at a line", func(dir string, names []string) {
			edit(dir, names[len(names)-1], func(b []byte) []byte {
				return b[:1+bytes.LastIndexByte(b[:len(b)-1], '\n')]
			})
		}, Missing, 99},
		{"tail cut in a line", func(dir string, names []string) {
			edit(dir, names[len(names)-1], func(b []byte) []byte { return b[:len(b)-5] })
		}, Missing, 99},
		{"file gone", func(dir string, names []string) { os.Remove(filepath.Join(dir, names[1])) }, Missing, 20},
	} {
		dir := t.TempDir()
		l := open(t, dir)
		fill(t, l, 1, 100)
		names, _ := segmentNames(dir)
		c.do(dir, names)
		r, err := l.Verify()
		if err != nil || r.Problem == nil || r.Problem.Kind != c.kind || r.Problem.After != c.after && c.after != 20 ||
			c.after == 20 && r.Problem.After != l.segs[0].end.Index {
			t.Errorf("%s: %+v, %v", c.name, r.Problem, err)
		}
	}
}

func edit(dir, name string, f func([]byte) []byte) {
	file := filepath.Join(dir, name)
	data, _ := os.ReadFile(file)
	os.WriteFile(file, f(data), 0o600)
}

// lines is what a server ships.
func lines(t *testing.T, l *Log, after uint64) []byte {
	t.Helper()
	var b []byte
	for line, err := range l.Lines(after) {
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, line...)
	}
	return b
}

// A server whose state came as a snapshot goes on at once and gets what is
// missing later, in pieces, and across a restart.
func TestGapIsFilledFromAnotherServer(t *testing.T) {
	full := open(t, t.TempDir())
	fill(t, full, 1, 100)
	head := full.Head()
	dir := t.TempDir()
	l := open(t, dir)
	fill(t, l, 1, 20)
	if err := l.Adopt(head); err != nil {
		t.Fatal(err)
	}
	fill(t, full, 101, 300)
	fill(t, l, 101, 150)
	if end, whole := l.Contiguous(); whole || end.Index != 20 {
		t.Errorf("contiguous up to %d, complete: %v", end.Index, whole)
	}
	var last error
	for _, err := range l.Read(0) {
		last = err
	}
	if workload.KindOf(last) != workload.Unavailable {
		t.Errorf("reading over the gap: %v", last)
	}
	if r, _ := l.Verify(); r.Problem == nil || r.Problem.Kind != Missing || r.Problem.After != 20 {
		t.Errorf("verify over the gap: %+v", r.Problem)
	}

	shipped := lines(t, full, 20)
	half := 1 + bytes.IndexByte(shipped[len(shipped)/9:], '\n') + len(shipped)/9
	if n, err := l.Import(bytes.NewReader(shipped[:half])); err != nil || n == 0 {
		t.Fatalf("the first part: %d lines, %v", n, err)
	}
	l.Close()
	l = open(t, dir)
	if err := l.Adopt(head); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 101, 170)
	at, _ := l.Contiguous()
	var wg sync.WaitGroup
	wg.Go(func() { fill(t, l, 171, 200) })
	if _, err := l.Import(bytes.NewReader(lines(t, full, at.Index))); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if end, whole := l.Contiguous(); !whole {
		t.Errorf("still a gap after %d", end.Index)
	}
	same(t, l, 0, 200)
	l.Close()
	same(t, open(t, dir), 0, 200)
}

func TestFreshServerImportsEverything(t *testing.T) {
	full := open(t, t.TempDir())
	fill(t, full, 1, 100)
	dir := t.TempDir()
	l := open(t, dir)
	if err := l.Adopt(full.Head()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Import(bytes.NewReader(lines(t, full, 0))); err != nil {
		t.Fatal(err)
	}
	fill(t, l, 101, 130)
	same(t, l, 0, 130)
}

func TestImportTakesNoOtherHistory(t *testing.T) {
	full, forged := open(t, t.TempDir()), open(t, t.TempDir())
	fill(t, full, 1, 100)
	fill(t, forged, 1, 50)
	e := entry(51)
	e.Command = json.RawMessage(`{"pay":"somebody else"}`)
	if err := forged.Append(e); err != nil {
		t.Fatal(err)
	}
	fill(t, forged, 52, 100)
	good := lines(t, full, 0)
	for _, c := range []struct {
		name string
		in   []byte
		kind workload.Kind
	}{
		{"altered history that is sound in itself", lines(t, forged, 0), workload.Conflict},
		{"the same, one line short", func() []byte { b := lines(t, forged, 0); return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }(), workload.Kind(255)},
		{"a line left out", good[bytes.IndexByte(good, '\n')+1:], workload.Conflict},
		{"garbage", []byte("hello\n"), workload.Invalid},
		{"a torn line", good[:200], workload.Invalid},
	} {
		l := open(t, t.TempDir())
		l.rotate = segmentSize
		if err := l.Adopt(full.Head()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Import(bytes.NewReader(c.in)); c.kind == 255 {
			// Nothing is wrong yet, and nobody reads it yet.
			for e, err := range l.Read(0) {
				if workload.KindOf(err) != workload.Unavailable {
					t.Fatalf("%s: entry %d is read", c.name, e.Index)
				}
			}
			at, _ := l.Contiguous()
			if _, err := l.Import(bytes.NewReader(lines(t, full, at.Index))); workload.KindOf(err) != workload.Conflict {
				t.Errorf("%s, and then the true end: %v", c.name, err)
			}
		} else if err == nil || workload.KindOf(err) != c.kind {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := l.Import(bytes.NewReader(good)); err != nil {
			t.Errorf("the true history after %s: %v", c.name, err)
		}
		same(t, l, 0, 100)
	}
	l := open(t, t.TempDir())
	fill(t, l, 1, 60)
	if err := l.Adopt(Head{Index: 60, Hash: full.Head().Hash}); workload.KindOf(err) != workload.Conflict {
		t.Errorf("a snapshot with another hash: %v", err)
	}
}

func FuzzParseLine(f *testing.F) {
	line, _ := appendLine(nil, entry(7))
	f.Add(bytes.TrimSpace(line))
	f.Add([]byte(`{"i":1,"t":1,"at":-5,"prev":"` + strings.Repeat("0", 64) + `","c":{},"h":"` + strings.Repeat("0", 64) + `"}`))
	f.Add([]byte(``))
	f.Fuzz(func(t *testing.T, in []byte) {
		// As almost nothing has the right hash, the body is also tried with it.
		for _, line := range [][]byte{in, fmt.Appendf(nil, `%s,"h":"%x"}`, in, sha256.Sum256(in))} {
			e, err := parseLine(line)
			if err != nil {
				continue
			}
			again, hash := appendLine(nil, e)
			if hash != e.Hash || !bytes.Equal(again, append(line[:len(line):len(line)], '\n')) {
				t.Fatalf("%q is read and written as %q", line, again)
			}
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	l := open(b, b.TempDir())
	l.rotate = segmentSize
	for i := range uint64(b.N) {
		if err := l.Append(entry(i + 1)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	l := open(b, dir)
	l.rotate = segmentSize
	for i := range uint64(100000) {
		if err := l.Append(entry(i + 1)); err != nil {
			b.Fatal(err)
		}
	}
	l.Close()
	for b.Loop() {
		l, err := Open(dir)
		if err != nil {
			b.Fatal(err)
		}
		l.Close()
	}
	b.ReportMetric(100000*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
