// Package runner starts workloads under their shims, finds them again after
// the agent was restarted, and reports each end exactly once. It hides
// processes, run directories and sockets from the agent; the shim itself is
// package runner/shim, kept apart so that it stays small.
package runner

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/agent/runner/shim"
	"github.com/sluice-project/sluice/workload"
)

// Config of a Runner.
type Config struct {
	Root string // directory of run directories; made if missing
	// Shim is the command that becomes a shim when a run directory is appended,
	// such as {"/usr/bin/sluice", "shim"}.
	Shim []string
	// ShimEnv is added to the otherwise empty environment of shims.
	ShimEnv []string
	// Contain forces a way of containment; empty takes the strongest.
	Contain string
	// KeepEnded is how many directories of ended runs stay for their logs.
	KeepEnded int // default 64
	Log       *slog.Logger
}

// Spec is one workload to start.
type Spec struct {
	ID      string
	Argv    []string
	Env     []string // in addition to PATH and HOME
	Dir     string
	User    string // empty = the agent's own
	Devices []workload.DeviceID
	Epoch   workload.Epoch
	// Deadline of the lease on CLOCK_BOOTTIME.
	Deadline time.Duration
	Signal   unix.Signal
	Grace    time.Duration
	Meta     json.RawMessage // given back on adoption
	// MakeDir is made before the start and belongs to the workload's account.
	MakeDir string
	// Progress is the file to which the workload appends a line with
	// "checkpoint":true once it has saved; see shim.Spec.
	Progress string
}

// Run is one live workload.
type Run struct {
	ID    string
	Dir   string
	State shim.State
	Meta  json.RawMessage
}

// Ended is one workload that is no more.
type Ended struct {
	ID   string
	Dir  string
	Exit shim.Exit
	Meta json.RawMessage
}

// Runner owns the run directories of one agent.
type Runner struct {
	config Config
	boot   string
	ends   chan Ended

	mu      sync.Mutex
	watched map[string]*shim.Client // by run id; nil where the shim has gone
	closed  bool
	wg      sync.WaitGroup
}

// New prepares the root directory. It returns an Unavailable error when the
// directory cannot be used.
func New(config Config) (*Runner, error) {
	if len(config.Shim) == 0 {
		return nil, workload.Errorf(workload.Invalid, "runner has no shim command")
	}
	if config.KeepEnded == 0 {
		config.KeepEnded = 64
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	// 0711: a workload under another account must reach its own directory, and
	// nobody may list those of others.
	if err := os.MkdirAll(config.Root, 0o711); err != nil {
		return nil, workload.Errorf(workload.Unavailable, "run directory: %w", err)
	}
	boot, err := shim.BootID()
	if err != nil {
		return nil, workload.Errorf(workload.Unavailable, "boot id: %w", err)
	}
	return &Runner{config: config, boot: boot, ends: make(chan Ended, 256), watched: map[string]*shim.Client{}}, nil
}

// Ends delivers each end of a started or adopted workload once.
func (r *Runner) Ends() <-chan Ended { return r.ends }

// Dir is the directory of a run.
func (r *Runner) Dir(id string) string { return filepath.Join(r.config.Root, id) }

// WorkDir is where the workload itself may write, such as its progress file.
func (r *Runner) WorkDir(id string) string { return filepath.Join(r.Dir(id), "work") }

// startLimit bounds the time from fork of the shim to its answer.
const startLimit = 15 * time.Second

// Start runs a workload under a new shim and returns once it runs. A failed
// start leaves no process; its directory is removed.
func (r *Runner) Start(ctx context.Context, spec Spec) (Run, error) {
	run, err := r.start(ctx, spec)
	if err != nil {
		return Run{}, workload.Errorf(workload.Unavailable, "start %s: %w", spec.ID, err)
	}
	return run, nil
}

func (r *Runner) start(ctx context.Context, spec Spec) (Run, error) {
	file, err := r.compile(spec)
	if err != nil {
		return Run{}, err
	}
	dir := r.Dir(spec.ID)
	if err := os.Mkdir(dir, 0o711); err != nil {
		return Run{}, err
	}
	if spec.MakeDir != "" {
		err = makeDir(spec.MakeDir, file)
	}
	var run Run
	if err == nil {
		run, err = r.launch(ctx, dir, file)
	}
	if err != nil {
		r.abandon(dir)
		return Run{}, err
	}
	run.Meta = spec.Meta
	return run, nil
}

func makeDir(dir string, file shim.Spec) error {
	if err := os.MkdirAll(dir, 0o755); err != nil || !file.Switch {
		return err
	}
	// Lchown: a link put there beforehand must not hand away what it names.
	return os.Lchown(dir, int(file.UID), int(file.GID))
}

func (r *Runner) launch(ctx context.Context, dir string, file shim.Spec) (Run, error) {
	work := filepath.Join(dir, "work")
	if err := os.Mkdir(work, 0o700); err != nil {
		return Run{}, err
	}
	if file.Switch {
		if err := os.Chown(work, int(file.UID), int(file.GID)); err != nil {
			return Run{}, err
		}
	}
	if file.Dir == "" {
		file.Dir = work
	}
	if err := shim.WriteJSON(dir, shim.SpecFile, file, false); err != nil {
		return Run{}, err
	}
	log, err := os.OpenFile(filepath.Join(dir, shim.ShimLog), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return Run{}, err
	}
	defer log.Close()
	answer, ready, err := os.Pipe()
	if err != nil {
		return Run{}, err
	}
	defer answer.Close()
	argv := append(slices.Clone(r.config.Shim), dir)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append([]string{"PATH=" + defaultPath}, r.config.ShimEnv...)
	cmd.Stderr = log
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{ready}
	// A session of its own: a terminal's Ctrl-C must not reach it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	ready.Close()
	if err != nil {
		return Run{}, err
	}
	go cmd.Wait() // collects the shim should it end before us
	stop := context.AfterFunc(ctx, func() { answer.SetReadDeadline(time.Now()) })
	defer stop()
	answer.SetReadDeadline(time.Now().Add(startLimit))
	line, err := bufio.NewReader(io.LimitReader(answer, 4096)).ReadString('\n')
	if err != nil {
		return Run{}, fmt.Errorf("shim gave no answer: %w", err)
	}
	if line = strings.TrimSpace(line); line != "ok" {
		return Run{}, errors.New(line)
	}
	run := Run{ID: filepath.Base(dir), Dir: dir}
	if err := shim.ReadJSON(dir, shim.StateFile, &run.State); err != nil {
		return Run{}, err
	}
	return run, r.watch(run, file.Meta)
}

// watch reports the end of a run: its shim's socket closes when the shim ends.
func (r *Runner) watch(run Run, meta json.RawMessage) error {
	client, err := shim.Dial(run.Dir)
	if err != nil {
		// It may have ended within the last millisecond; then its exit is there.
		if _, statErr := os.Stat(filepath.Join(run.Dir, shim.ExitFile)); statErr != nil {
			if run.State.Shim.Alive() && !leaves(run.State.Shim) {
				return err
			}
		}
		client = nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return errors.New("runner is closed")
	}
	r.watched[run.ID] = client
	r.wg.Add(1)
	go func() {
		defer r.wg.Done()
		if client != nil {
			client.Wait()
			client.Close()
		}
		r.mu.Lock()
		closed := r.closed
		delete(r.watched, run.ID)
		r.mu.Unlock()
		if !closed {
			r.ends <- r.collect(run, meta)
		}
	}()
	return nil
}

// leaves waits a moment for a shim that no longer listens to end.
func leaves(p shim.Process) bool {
	for range 100 {
		if !p.Alive() {
			return true
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// collect reads the exit of a run whose shim is gone. Without one the shim
// itself was killed, and nobody enforces the lease any more: whatever is left
// of the workload is ended here.
func (r *Runner) collect(run Run, meta json.RawMessage) Ended {
	ended := Ended{ID: run.ID, Dir: run.Dir, Meta: meta}
	if shim.ReadJSON(run.Dir, shim.ExitFile, &ended.Exit) == nil {
		return ended
	}
	var state shim.State
	if shim.ReadJSON(run.Dir, shim.StateFile, &state) != nil {
		state = run.State
	}
	if state.BootID == r.boot {
		shim.KillOrphan(state)
	}
	ended.Exit = shim.Exit{Code: 128 + int(unix.SIGKILL), Cause: shim.CauseOrder, AtMs: time.Now().UnixMilli(), Killed: true, Contain: state.Contain,
		Note: "its shim was killed; the workload was ended with it"}
	if err := shim.WriteJSON(run.Dir, shim.ExitFile, ended.Exit, true); err != nil {
		r.config.Log.Warn("exit not written", "run", run.ID, "error", err)
	}
	return ended
}

// abandon clears up after a failed start.
func (r *Runner) abandon(dir string) {
	var state shim.State
	if shim.ReadJSON(dir, shim.StateFile, &state) == nil && state.BootID == r.boot {
		state.Shim.Signal(unix.SIGKILL)
		shim.KillOrphan(state)
	}
	os.RemoveAll(dir)
}

// Extend moves a lease, within one epoch only forward unless exact. It returns an
// Unavailable error when the shim does not answer; its end is then reported by
// Ends.
func (r *Runner) Extend(id string, deadline time.Duration, epoch workload.Epoch, exact bool) error {
	_, err := r.ask(id, shim.Request{Op: "extend", Deadline: int64(deadline), Epoch: uint64(epoch), Exact: exact})
	return err
}

// Stop asks a workload to save and end, and has it killed after grace. The end
// is reported by Ends.
func (r *Runner) Stop(id string, sig unix.Signal, grace time.Duration) error {
	_, err := r.ask(id, shim.Request{Op: "stop", Signal: int(sig), Grace: grace})
	return err
}

// Status asks a shim.
func (r *Runner) Status(id string) (shim.State, error) {
	return r.ask(id, shim.Request{Op: "status"})
}

func (r *Runner) ask(id string, request shim.Request) (shim.State, error) {
	client, err := shim.Dial(r.Dir(id))
	if err != nil {
		return shim.State{}, workload.Errorf(workload.Unavailable, "run %s: %w", id, err)
	}
	defer client.Close()
	state, err := client.Do(request, 5*time.Second)
	if err != nil {
		return state, workload.Errorf(workload.Unavailable, "run %s: %w", id, err)
	}
	return state, nil
}

// Close lets go of all workloads without stopping any.
func (r *Runner) Close() {
	r.mu.Lock()
	r.closed = true
	for _, client := range r.watched {
		if client != nil {
			client.Close()
		}
	}
	r.mu.Unlock()
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	for {
		select {
		case <-r.ends: // a watcher may be about to report
		case <-done:
			return
		}
	}
}

// Remember replaces the note that Adopt gives back for a run.
func (r *Runner) Remember(id string, meta json.RawMessage) error {
	var spec shim.Spec
	if err := shim.ReadJSON(r.Dir(id), shim.SpecFile, &spec); err != nil {
		return err
	}
	spec.Meta = meta
	return shim.WriteJSON(r.Dir(id), shim.SpecFile, spec, false)
}
