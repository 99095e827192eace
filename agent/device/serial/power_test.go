package serial

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// control is the control port of a board: it answers each request as told.
type control struct {
	asked   []byte
	answers io.Reader
}

func (c *control) Write(p []byte) (int, error) { c.asked = append(c.asked, p...); return len(p), nil }
func (c *control) Read(p []byte) (int, error)  { return c.answers.Read(p) }

func TestResetLine(t *testing.T) {
	c := &control{answers: bytes.NewReader([]byte{1, 0, 1, 0, 1, 0, 2, 1})}
	if err := pulseReset(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if want := []byte{7, 0, 1, 0, 6, 0, 0, 7, 0, 2, 0, 6, 0, 1}; !bytes.Equal(c.asked, want) {
		t.Errorf("asked % x, want % x", c.asked, want)
	}
	for name, answer := range map[string][]byte{"refusal": {2, 0, 1, 0xff, 0x11}, "another's answer": {1, 0, 9, 0}, "nothing": {}, "half": {1, 0, 1}, "absurd": {0xff, 0xff, 1}} {
		if err := pulseReset(t.Context(), &control{answers: bytes.NewReader(answer)}); workload.KindOf(err) != workload.Unavailable || err == nil {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
}

func TestReauthorise(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "authorized")
	if err := os.WriteFile(file, []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- reauthorise(ctx, dir, "/dev/null") }()
	until(t, patience, "it is off the bus", func() (bool, any) { b, _ := os.ReadFile(file); return string(b) == "0", string(b) })
	cancel() // also then it must come back
	if err := <-done; err == nil {
		t.Error("a cycle that was broken off succeeds")
	}
	if b, _ := os.ReadFile(file); string(b) != "1" {
		t.Errorf("the device is left off the bus: %q", b)
	}
	if err := reauthorise(t.Context(), filepath.Join(dir, "none", "x"), "/dev/null"); workload.KindOf(err) != workload.Denied {
		t.Errorf("without the right: %v", err)
	}
}

func TestCycleWithoutWay(t *testing.T) {
	if err := cyclePort(t.Context(), t.TempDir(), "/dev/null"); workload.KindOf(err) != workload.NotFound {
		t.Errorf("a port that is not on USB: %v", err)
	}
}

// A line that takes nothing fails its sender and nobody else.
type stuckPort struct{ closed chan struct{} }

func (p stuckPort) Read([]byte) (int, error)  { <-p.closed; return 0, io.EOF }
func (p stuckPort) Write([]byte) (int, error) { <-p.closed; return 0, io.ErrClosedPipe }
func (p stuckPort) SetBaud(int) error         { return nil }
func (p stuckPort) Close() error {
	select {
	case <-p.closed:
	default:
		close(p.closed)
	}
	return nil
}

func TestStuckLine(t *testing.T) {
	t.Parallel()
	l := newLink(stuckPort{make(chan struct{})})
	l.limit = 100 * time.Millisecond
	began := time.Now()
	if err := l.send([]byte{1}); err == nil {
		t.Error("a line that takes nothing succeeds")
	}
	if took := time.Since(began); took < l.limit {
		t.Errorf("given up after %v", took)
	}
	l.close()
	if err := l.send([]byte{1}); !errors.Is(err, errGone) {
		t.Errorf("a closed line: %v", err)
	}
}
