package runner

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/agent/runner/shim"
)

// doneFile marks a run whose end has been recorded; the directory only stays
// for its log.
const doneFile = "done"

// Adopt finds what an earlier agent started: live is watched again, ended is
// what ended meanwhile and was never released. A process counts as ours only
// by boot id, pid and start time together; a stranger under an old pid is
// never signalled.
func (r *Runner) Adopt() (live []Run, ended []Ended, err error) {
	entries, err := os.ReadDir(r.config.Root)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		dir := r.Dir(e.Name())
		if _, err := os.Stat(filepath.Join(dir, doneFile)); err == nil || !e.IsDir() {
			continue
		}
		run, end, ok := r.adoptOne(e.Name(), dir)
		switch {
		case !ok:
			os.RemoveAll(dir)
		case end != nil:
			ended = append(ended, *end)
		default:
			live = append(live, run)
		}
	}
	return live, ended, nil
}

// adoptOne judges one directory; ok is false where nothing ever ran.
func (r *Runner) adoptOne(id, dir string) (Run, *Ended, bool) {
	var spec shim.Spec
	if shim.ReadJSON(dir, shim.SpecFile, &spec) != nil {
		return Run{}, nil, false
	}
	run := Run{ID: id, Dir: dir, Meta: spec.Meta}
	end := &Ended{ID: id, Dir: dir, Meta: spec.Meta}
	if shim.ReadJSON(dir, shim.ExitFile, &end.Exit) == nil {
		return run, end, true
	}
	// A shim writes its state before the workload starts and the workload's
	// identity right after; one that was just begun gets a moment.
	for range 200 {
		err := shim.ReadJSON(dir, shim.StateFile, &run.State)
		if err == nil && (run.State.BootID != r.boot || run.State.Work.PID != 0 || !run.State.Shim.Alive()) {
			break
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	switch {
	case run.State.BootID == "":
		return run, nil, false
	case run.State.BootID != r.boot:
		end.Exit = shim.Exit{Code: 128 + int(unix.SIGKILL), Cause: shim.CauseReboot, AtMs: time.Now().UnixMilli(), Note: "the machine was restarted"}
		if err := shim.WriteJSON(dir, shim.ExitFile, end.Exit, true); err != nil {
			r.config.Log.Warn("exit not written", "run", id, "error", err)
		}
		return run, end, true
	case run.State.Work.PID == 0 && !run.State.Shim.Alive():
		// Died before the start; its cgroup, if any, is empty or holds the one
		// process that nobody recorded.
		shim.KillOrphan(run.State)
		return run, nil, false
	case run.State.Shim.Alive() && r.watch(run, spec.Meta) == nil:
		return run, nil, true
	}
	*end = r.collect(run, spec.Meta)
	return run, end, true
}

// Release says that the end of a run has been recorded for good. With keep the
// directory stays for its log, as one of the newest KeepEnded.
func (r *Runner) Release(id string, keep bool) {
	dir := r.Dir(id)
	if !keep {
		os.RemoveAll(dir)
		return
	}
	os.WriteFile(filepath.Join(dir, doneFile), nil, 0o600)
	r.prune()
}

func (r *Runner) prune() {
	entries, err := os.ReadDir(r.config.Root)
	if err != nil {
		return
	}
	type old struct {
		id string
		at time.Time
	}
	var done []old
	for _, e := range entries {
		if s, err := os.Stat(filepath.Join(r.Dir(e.Name()), doneFile)); err == nil {
			done = append(done, old{e.Name(), s.ModTime()})
		}
	}
	slices.SortFunc(done, func(a, b old) int { return a.at.Compare(b.at) })
	for len(done) > r.config.KeepEnded {
		os.RemoveAll(r.Dir(done[0].id))
		done = done[1:]
	}
}

// StopAll ends every watched workload and waits until their shims are gone; it
// kills at the end of grace, and gives up with ctx. No end is reported by Ends
// afterwards. It is for an agent whose workloads must not outlive it.
func (r *Runner) StopAll(ctx context.Context, grace time.Duration) error {
	r.mu.Lock()
	ids := make([]string, 0, len(r.watched))
	for id := range r.watched {
		ids = append(ids, id)
	}
	r.mu.Unlock()
	slices.Sort(ids)
	var wg sync.WaitGroup
	for _, id := range ids {
		wg.Go(func() {
			if r.Stop(id, 0, grace) != nil {
				// It ended by itself, or its shim hangs: then it dies with it.
				var s shim.State
				if shim.ReadJSON(r.Dir(id), shim.StateFile, &s) == nil && s.BootID == r.boot {
					s.Shim.Signal(unix.SIGKILL)
				}
			}
		})
	}
	wg.Wait()
	done := make(chan struct{})
	go func() { r.wg.Wait(); close(done) }()
	for {
		select {
		case end := <-r.ends:
			r.Release(end.ID, false)
		case <-done:
			for {
				select {
				case end := <-r.ends:
					r.Release(end.ID, false)
				default:
					return os.RemoveAll(r.config.Root)
				}
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
