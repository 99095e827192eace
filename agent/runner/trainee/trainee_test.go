package trainee

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The helper process of the signal tests is this binary run again.
const childEnv = "SLUICE_TEST_TRAINEE_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		err := Run(context.Background(), Config{Dir: dir, Steps: 400, CheckpointEvery: 50, StepEvery: time.Millisecond, Seed: 1, Out: os.Stdout})
		if err != nil {
			fmt.Println(err)
		}
		os.Exit(ExitCode(err))
	}
	os.Exit(m.Run())
}

func env(kv map[string]string) func(string) string { return func(k string) string { return kv[k] } }

func fast(dir string) Config {
	return Config{Dir: dir, Steps: 300, CheckpointEvery: 50, ReportEvery: 10, StepEvery: -1, Seed: 1, Getenv: env(nil)}
}

// watcher is an output that acts when a line with the given text appears.
type watcher struct {
	mu   sync.Mutex
	b    bytes.Buffer
	when map[string]func()
}

func (w *watcher) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for text, act := range w.when {
		if strings.Contains(string(p), text) {
			act()
		}
	}
	return w.b.Write(p)
}

func (w *watcher) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func final(t *testing.T, dir string, step int64) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, fileName(step)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTrainsSomething(t *testing.T) {
	var out watcher
	cfg := fast(t.TempDir())
	cfg.Steps, cfg.Out = 1000, &out
	if err := Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^step=(\d+) loss=([0-9.]+) acc=([0-9.]+)$`).FindAllStringSubmatch(out.String(), -1)
	if len(lines) != 100 {
		t.Fatalf("%d progress lines", len(lines))
	}
	number := func(s string) float64 {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	first, last := lines[0], lines[len(lines)-1]
	if number(last[2]) > number(first[2])/2 || number(last[3]) < 0.95 {
		t.Errorf("no learning: first %v, last %v", first, last)
	}
	if names := files(t, cfg.Dir); len(names) != 2 {
		t.Errorf("two checkpoints are kept, have %v", names)
	}
}

// The promise of the package: stopped anywhere and resumed, the run ends with
// the very bytes of an undisturbed one.
func TestResumeIsBitExact(t *testing.T) {
	want := fast(t.TempDir())
	if err := Run(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	cfg := fast(t.TempDir())
	for _, stop := range []string{"step=10 ", "step=130 ", "step=290 "} {
		sig := make(chan os.Signal, 1)
		out := &watcher{when: map[string]func(){stop: func() { sig <- syscall.SIGTERM }}}
		cfg.Signals, cfg.Out = sig, out
		if err := Run(context.Background(), cfg); !errors.Is(err, ErrSaved) {
			t.Fatalf("stop at %s: %v\n%s", stop, err, out.String())
		}
		if !strings.Contains(out.String(), "stopped "+strings.TrimSpace(stop)+":") {
			t.Fatalf("did not stop at %s:\n%s", stop, out.String())
		}
	}
	// A different place for the last leg, as after a move to another node.
	moved := fast(t.TempDir())
	moved.Resume = []string{cfg.Dir}
	out := &watcher{}
	moved.Out = out
	if err := Run(context.Background(), moved); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out.String(), "resumed step=290") {
		t.Errorf("did not resume:\n%s", out.String())
	}
	if !bytes.Equal(final(t, want.Dir, 300), final(t, moved.Dir, 300)) {
		t.Error("interrupted and undisturbed run differ")
	}
	other := fast(t.TempDir())
	other.Seed = 2
	if err := Run(context.Background(), other); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(final(t, want.Dir, 300), final(t, other.Dir, 300)) {
		t.Error("another seed gave the same weights: the comparison proves nothing")
	}
}

func TestDamagedCheckpoints(t *testing.T) {
	base := fast(t.TempDir())
	if err := Run(context.Background(), base); err != nil {
		t.Fatal(err)
	}
	want := final(t, base.Dir, 300)
	for name, damage := range map[string]func([]byte) []byte{
		"truncated":   func(b []byte) []byte { return b[:len(b)/2] },
		"empty":       func([]byte) []byte { return nil },
		"longer":      func(b []byte) []byte { return append(b, 0) },
		"flipped bit": func(b []byte) []byte { b[200] ^= 4; return b },
		"zero tail":   func(b []byte) []byte { clear(b[len(b)-512:]); return b },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := fast(t.TempDir())
			if err := os.CopyFS(cfg.Dir, os.DirFS(base.Dir)); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(cfg.Dir, fileName(300))
			if err := os.WriteFile(path, damage(bytes.Clone(want)), 0o600); err != nil {
				t.Fatal(err)
			}
			out := &watcher{}
			cfg.Out = out
			if err := Run(context.Background(), cfg); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), "resumed step=250") || !strings.Contains(out.String(), "torn") {
				t.Errorf("output:\n%s", out.String())
			}
			if !bytes.Equal(final(t, cfg.Dir, 300), want) {
				t.Error("the repeated steps gave other weights")
			}
		})
	}
}

func TestOtherRunIsRefused(t *testing.T) {
	cfg := fast(t.TempDir())
	if err := Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	before := files(t, cfg.Dir)
	cfg.Seed = 99
	if err := Run(context.Background(), cfg); !errors.Is(err, ErrOtherRun) {
		t.Errorf("got %v", err)
	}
	if after := files(t, cfg.Dir); fmt.Sprint(before) != fmt.Sprint(after) {
		t.Errorf("files changed: %v, %v", before, after)
	}
}

func TestSaveOnUSR1GoesOn(t *testing.T) {
	dir, prog := t.TempDir(), filepath.Join(t.TempDir(), "progress")
	sig := make(chan os.Signal, 1)
	cfg := fast(dir)
	cfg.Steps, cfg.CheckpointEvery = 120, 100
	cfg.Signals, cfg.Getenv = sig, env(map[string]string{ProgressEnv: prog})
	cfg.Out = &watcher{when: map[string]func(){"step=30 ": func() { sig <- syscall.SIGUSR1 }}}
	if err := os.WriteFile(filepath.Join(dir, prefix+"x"+tempMark), []byte("left"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(prog)
	if err != nil {
		t.Fatal(err)
	}
	var saved []int64
	for line := range strings.Lines(string(raw)) {
		var p Progress
		if err := json.Unmarshal([]byte(line), &p); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if p.Steps != 120 || p.Loss <= 0 || p.Checkpoint != (p.Bytes == int64(fileSize)) {
			t.Errorf("progress %+v", p)
		}
		if p.Checkpoint {
			saved = append(saved, p.Step)
		}
	}
	if fmt.Sprint(saved) != "[30 100 120]" {
		t.Errorf("checkpoints at %v", saved)
	}
	if got := files(t, dir); fmt.Sprint(got) != fmt.Sprint([]string{fileName(100), fileName(120)}) {
		t.Errorf("files %v", got)
	}
}

func TestOtherRanksOnlyKeepPace(t *testing.T) {
	cfg := fast(filepath.Join(t.TempDir(), "none"))
	out := &watcher{}
	cfg.Out, cfg.Getenv = out, env(map[string]string{"RANK": "1", "WORLD_SIZE": "2"})
	if err := Run(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cfg.Dir); !os.IsNotExist(err) {
		t.Errorf("rank 1 touched the directory: %v", err)
	}
	if !strings.Contains(out.String(), "done step=300") || strings.Contains(out.String(), "loss=") {
		t.Errorf("output:\n%s", out.String())
	}
	for _, kv := range []map[string]string{{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "x"}, {"RANK": "-1"}} {
		cfg.Getenv = env(kv)
		if err := Run(context.Background(), cfg); err == nil {
			t.Errorf("%v accepted", kv)
		}
	}
}

func TestEndOfContextSaves(t *testing.T) {
	cfg := fast(t.TempDir())
	ctx, cancel := context.WithCancel(context.Background())
	cfg.Out = &watcher{when: map[string]func(){"step=70 ": cancel}}
	if err := Run(ctx, cfg); !errors.Is(err, ErrSaved) {
		t.Fatal(err)
	}
	final(t, cfg.Dir, 70)
}

// As a process: SIGTERM gives the documented status, SIGKILL loses at most the
// steps since the last checkpoint, and both end in the same weights.
func TestProcessSignals(t *testing.T) {
	want := t.TempDir()
	child := func(dir string, at string, sig syscall.Signal) (int, string) {
		t.Helper()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+dir)
		out := &watcher{}
		if sig != 0 {
			out.when = map[string]func(){at: func() { cmd.Process.Signal(sig) }}
		}
		cmd.Stdout, cmd.Stderr = out, out
		err := cmd.Run()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), out.String()
	}
	if code, out := child(want, "", 0); code != 0 {
		t.Fatalf("exit %d\n%s", code, out)
	}
	dir := t.TempDir()
	if code, out := child(dir, "step=40 ", syscall.SIGTERM); code != ExitSaved {
		t.Fatalf("SIGTERM: exit %d\n%s", code, out)
	}
	if code, out := child(dir, "step=120 ", syscall.SIGKILL); code != -1 || !strings.Contains(out, "resumed step=4") {
		t.Fatalf("SIGKILL: exit %d\n%s", code, out)
	}
	code, out := child(dir, "", 0)
	if code != 0 || !strings.Contains(out, "resumed step=1") {
		t.Fatalf("last leg: exit %d\n%s", code, out)
	}
	if !bytes.Equal(final(t, want, 400), final(t, dir, 400)) {
		t.Error("weights differ from the undisturbed run")
	}
}

func FuzzDecode(f *testing.F) {
	config := digest(1)
	good := encode(7, config, make([]float64, numParams))
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte(magic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		step, params, err := decode(b, config)
		if err != nil {
			return
		}
		if !bytes.Equal(encode(step, config, params), b) {
			t.Fatal("decoded file encodes differently")
		}
	})
}

func BenchmarkStep(b *testing.B) {
	n := newNetwork(1)
	for b.Loop() {
		n.train()
	}
}
