// Package trainee is a small training job that behaves like a large one: it
// fits a neural network by gradient descent, reports progress, saves
// checkpoints on schedule and on signal, and resumes bit for bit. It is what
// the runner is tested with and what `sluice dev` runs as its example jobs.
//
// Contract with whoever starts it: SIGUSR1 saves and goes on; SIGTERM and
// SIGINT save and end with ExitSaved (75), which means "run me again with the
// same directory"; 0 means the last step is done; 1 means failure. With
// SLUICE_PROGRESS set, one JSON object per report or checkpoint is appended to
// that file. Of several ranks (RANK, WORLD_SIZE) only rank 0 trains and saves;
// the others keep its pace.
package trainee

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

// ExitSaved is the exit status for "stopped early, state saved, to be
// resumed": EX_TEMPFAIL of sysexits.h.
const ExitSaved = 75

// ErrSaved reports that the run was asked to stop and saved its state first.
var ErrSaved = errors.New("trainee: stopped; state saved, to be resumed")

// ErrOtherRun reports a sound checkpoint made under another configuration.
// Resuming from it, or writing over it, would both be wrong.
var ErrOtherRun = errors.New("trainee: the checkpoint belongs to another run")

// ExitCode is the process status for what Run returned.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, ErrSaved):
		return ExitSaved
	}
	return 1
}

// Config describes a run. Zero values take the defaults named.
type Config struct {
	Dir             string        // of the checkpoints; required
	Resume          []string      // further directories to look for a newer checkpoint in; only read
	Steps           int64         // 2000
	CheckpointEvery int64         // steps; 200
	ReportEvery     int64         // steps; 20
	StepEvery       time.Duration // pace; 50 ms, negative = as fast as possible
	Seed            uint64        // of data, first weights and batches
	Out             io.Writer     // progress for people; nil discards

	Signals <-chan os.Signal    // nil = the process's own SIGUSR1, SIGTERM and SIGINT
	Getenv  func(string) string // nil = os.Getenv
}

func (c *Config) setDefaults() error {
	if c.Dir == "" {
		return errors.New("trainee: no checkpoint directory")
	}
	if c.Out == nil {
		c.Out = io.Discard
	}
	if c.Getenv == nil {
		c.Getenv = os.Getenv
	}
	if c.StepEvery == 0 {
		c.StepEvery = 50 * time.Millisecond
	}
	for _, d := range []struct {
		v   *int64
		def int64
	}{{&c.Steps, 2000}, {&c.CheckpointEvery, 200}, {&c.ReportEvery, 20}} {
		if *d.v < 0 {
			return errors.New("trainee: a number of steps is negative")
		}
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	return nil
}

// rank reads RANK and WORLD_SIZE, which launchers set together.
func (c *Config) rank() (int, error) {
	get := func(name string, def int) (int, error) {
		s := c.Getenv(name)
		if s == "" {
			return def, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil {
			return 0, fmt.Errorf("trainee: %s=%q is not a number", name, s)
		}
		return n, nil
	}
	rank, err := get("RANK", 0)
	if err != nil {
		return 0, err
	}
	world, err := get("WORLD_SIZE", rank+1)
	if err != nil {
		return 0, err
	}
	if rank < 0 || rank >= world {
		return 0, fmt.Errorf("trainee: rank %d is not in a world of %d", rank, world)
	}
	return rank, nil
}

// Run trains to the last step and returns nil; or returns ErrSaved after
// SIGTERM, SIGINT or the end of ctx; or what went wrong.
func Run(ctx context.Context, cfg Config) error {
	if err := cfg.setDefaults(); err != nil {
		return err
	}
	rank, err := cfg.rank()
	if err != nil {
		return err
	}
	if cfg.Signals == nil {
		ch := make(chan os.Signal, 4)
		signal.Notify(ch, syscall.SIGUSR1, syscall.SIGTERM, os.Interrupt)
		defer signal.Stop(ch)
		cfg.Signals = ch
	}
	r := &run{cfg: cfg, net: newNetwork(cfg.Seed), lead: rank == 0}
	if err := r.restore(); err != nil {
		return err
	}
	if r.lead {
		if err := r.openProgress(); err != nil {
			return err
		}
		defer r.closeProgress()
	}
	fmt.Fprintf(cfg.Out, "rank=%d start step=%d steps=%d\n", rank, r.net.step, cfg.Steps)
	return r.loop(ctx)
}

type run struct {
	cfg      Config
	net      *network
	store    store
	lead     bool // rank 0
	progress *os.File
	saved    int64 // step of the newest checkpoint on disk; -1 = none
}

func (r *run) restore() error {
	r.store = store{dir: r.cfg.Dir, config: digest(r.cfg.Seed)}
	if r.lead {
		if err := r.store.prepare(); err != nil {
			return err
		}
	}
	r.saved = -1
	ck, found, err := r.store.load(r.cfg.Resume, func(format string, args ...any) {
		fmt.Fprintf(r.cfg.Out, format+"\n", args...)
	})
	if err != nil || !found {
		return err
	}
	r.net.step = ck.step
	copy(r.net.params, ck.params)
	if ck.own {
		r.saved, r.store.previous = ck.step, ck.step
	}
	fmt.Fprintf(r.cfg.Out, "resumed step=%d\n", ck.step)
	return nil
}

// loop takes one step a tick. Signals are looked at between steps only, so a
// checkpoint always holds a whole step.
func (r *run) loop(ctx context.Context) error {
	var tick <-chan time.Time
	if r.cfg.StepEvery > 0 {
		t := time.NewTicker(r.cfg.StepEvery)
		defer t.Stop()
		tick = t.C
	} else {
		always := make(chan time.Time)
		close(always)
		tick = always
	}
	for r.net.step < r.cfg.Steps {
		// Signals first: select alone would pick at random when a tick is
		// ready as well.
		select {
		case s := <-r.cfg.Signals:
			if err := r.signalled(s); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
			return r.stop("context ended")
		default:
		}
		select {
		case s := <-r.cfg.Signals:
			if err := r.signalled(s); err != nil {
				return err
			}
		case <-ctx.Done():
			return r.stop("context ended")
		case <-tick:
			if err := r.step(); err != nil {
				return err
			}
		}
	}
	if err := r.save(); err != nil {
		return err
	}
	fmt.Fprintf(r.cfg.Out, "done step=%d\n", r.net.step)
	return nil
}

func (r *run) step() error {
	if !r.lead {
		r.net.step++ // keeps pace; the numbers are rank 0's
		return nil
	}
	r.net.train()
	if r.net.step%r.cfg.ReportEvery == 0 || r.net.step == r.cfg.Steps {
		loss, acc := r.net.evaluate()
		fmt.Fprintf(r.cfg.Out, "step=%d loss=%.4f acc=%.2f\n", r.net.step, loss, acc)
		if err := r.report(loss, 0); err != nil {
			return err
		}
	}
	if r.net.step%r.cfg.CheckpointEvery == 0 {
		return r.save()
	}
	return nil
}

func (r *run) signalled(s os.Signal) error {
	if s == syscall.SIGUSR1 {
		return r.save()
	}
	return r.stop(s.String())
}

func (r *run) stop(why string) error {
	if err := r.save(); err != nil {
		return err
	}
	fmt.Fprintf(r.cfg.Out, "stopped step=%d: %s\n", r.net.step, why)
	return ErrSaved
}

// save makes the current step durable; it does nothing when that is done.
func (r *run) save() error {
	if !r.lead || r.saved == r.net.step {
		return nil
	}
	bytes, err := r.store.save(r.net.step, r.net.params)
	if err != nil {
		return err
	}
	r.saved = r.net.step
	loss, _ := r.net.evaluate()
	fmt.Fprintf(r.cfg.Out, "checkpoint step=%d bytes=%d\n", r.net.step, bytes)
	return r.report(loss, bytes)
}
