package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/reconcile"
	"github.com/sluice-project/sluice/agent/runner"
	"github.com/sluice-project/sluice/agent/runner/shim"
	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/mining"
	"github.com/sluice-project/sluice/workload/training"
)

// apply steps the reconciler and executes what it asks for, in order. When the
// disk refuses, what had to be on it first is not done: it fails as a start
// does and is tried again later.
func (a *Agent) apply(event reconcile.Event) {
	var effects []reconcile.Effect
	a.state, effects = reconcile.Step(a.state, event, a.now())
	saved := true
	for _, e := range effects {
		switch e := e.(type) {
		case reconcile.Persist:
			a.record.Durable = e.Durable
			saved = a.save()
		case reconcile.Emit:
			a.record.Journal = trim(append(a.record.Journal, e.Report))
			a.config.Log.Info("workload", "event", e.Report.Kind, "device", e.Report.Device, "epoch", e.Report.Epoch, "job", e.Report.Job, "note", e.Report.Note)
		case reconcile.Stop:
			if w := a.workers[e.Run]; w != nil {
				a.config.Log.Info("stop", "run", e.Run, "why", e.Why)
				w.do(func() { w.stop(e) })
			}
		case reconcile.Start:
			w := a.worker(meta{Run: e.Run})
			if !saved {
				w.post(reconcile.StartFailed{Run: e.Run.ID, Note: "the agent's state cannot be written"})
				continue
			}
			w.do(w.start)
		case reconcile.Adopt:
			if w := a.workers[e.Run.ID]; w != nil && saved {
				w.do(func() { w.adopt(e.Run) })
			}
		case reconcile.Extend:
			if w := a.workers[e.Run]; w != nil && saved {
				w.do(func() { w.extend(e) })
			}
		}
	}
}

// save writes the record; failures are loud and harmless to what runs.
func (a *Agent) save() bool {
	if err := a.store.save(a.record); err != nil {
		a.config.Log.Error("agent state not written", "error", err)
		a.dirty, a.failed = true, true
		return false
	}
	a.dirty, a.failed = false, false
	return true
}

// worker executes the effects on one run one after another, so that the loop
// never waits for a process.
type worker struct {
	agent *Agent
	ctx   context.Context
	meta  meta
	ops   chan func()
	ok    bool // the run's process exists; only its goroutine touches it
}

// worker makes the worker of a run; it ends with the run.
func (a *Agent) worker(m meta) *worker {
	ctx, cancel := context.WithCancel(a.ctx)
	w := &worker{agent: a, ctx: ctx, meta: m, ops: make(chan func(), 64)}
	a.workers[m.Run.ID] = w
	a.wg.Go(func() {
		defer cancel()
		for op := range w.ops {
			op()
		}
	})
	return w
}

// do queues an operation. A queue that is full belongs to a shim that has not
// answered for minutes; stops wait for it, and nothing else is worth it.
func (w *worker) do(op func()) {
	select {
	case w.ops <- op:
	default:
		w.agent.config.Log.Error("workload does not answer; an order is dropped", "run", w.meta.Run.ID)
	}
}

func (w *worker) close() { close(w.ops) }

// post sends an event to the loop without blocking it when called from there.
func (w *worker) post(e reconcile.Event) {
	a := w.agent
	go a.call(w.ctx, func() { a.answered(w, e) })
}

func (a *Agent) answered(w *worker, e reconcile.Event) {
	a.apply(e)
	if _, failed := e.(reconcile.StartFailed); failed {
		delete(a.workers, w.meta.Run.ID)
		w.close()
	}
}

func (w *worker) start() {
	a, run := w.agent, w.meta.Run
	select {
	case a.starts <- struct{}{}:
		defer func() { <-a.starts }()
	case <-w.ctx.Done():
		return
	}
	spec, err := w.compile()
	var live runner.Run
	if err == nil {
		live, err = a.runner.Start(w.ctx, spec)
	}
	if err != nil {
		if w.ctx.Err() == nil {
			w.post(reconcile.StartFailed{Run: run.ID, Note: err.Error()})
		}
		return
	}
	w.ok = true
	a.call(w.ctx, func() {
		// It may have ended before this is read; then all of it has been told.
		if _, known := a.state.Runs[run.ID]; known {
			w.use()
			a.apply(reconcile.Started{Run: run.ID, PID: int64(live.State.Work.PID), StartTicks: live.State.Work.StartTicks})
		}
	})
}

// use tells the driver what its devices do now.
func (w *worker) use() {
	run := w.meta.Run
	activity := device.Activity{Use: run.Kind}
	switch {
	case run.Mine != nil:
		activity.Hashrate, activity.Watts = run.Mine.Hashrate, run.Mine.Watts
	case run.Train != nil:
		activity.Watts = run.Train.Watts
	}
	for _, d := range run.Devices {
		w.agent.devices.SetUse(d, activity)
	}
}

func (w *worker) stop(e reconcile.Stop) {
	if !w.ok {
		return // its start failed and was reported
	}
	a := w.agent
	if err := a.runner.Stop(string(e.Run), signals[e.Signal], e.Grace); err == nil {
		return
	}
	// A shim that cannot be spoken to cannot be trusted with its lease either:
	// it dies, and the runner ends what it leaves.
	var s shim.State
	if shim.ReadJSON(a.runner.Dir(string(e.Run)), shim.StateFile, &s) == nil && s.BootID == string(a.boot) {
		s.Shim.Signal(unix.SIGKILL)
	}
}

func (w *worker) extend(e reconcile.Extend) {
	if !w.ok {
		return
	}
	if err := w.agent.runner.Extend(string(e.Run), e.Deadline, e.Epoch, e.Exact); err != nil && w.ctx.Err() == nil {
		w.agent.config.Log.Warn("lease not extended", "run", e.Run, "error", err)
	}
}

func (w *worker) adopt(run reconcile.Run) {
	m := w.meta
	m.Run = run
	data, err := json.Marshal(m)
	if err == nil {
		err = w.agent.runner.Remember(string(run.ID), data)
	}
	if err != nil {
		w.agent.config.Log.Warn("run not updated", "run", run.ID, "error", err)
	}
}

var signals = map[string]unix.Signal{"SIGTERM": unix.SIGTERM, "SIGINT": unix.SIGINT, "SIGUSR1": unix.SIGUSR1, "SIGUSR2": unix.SIGUSR2, "SIGHUP": unix.SIGHUP}

// compile turns the run into what the runner starts.
func (w *worker) compile() (runner.Spec, error) {
	run := w.meta.Run
	spec := runner.Spec{ID: string(run.ID), Devices: run.Devices, Epoch: run.Epoch(), Deadline: run.Deadline, Signal: unix.SIGTERM, Grace: run.StopGrace}
	var err error
	if run.Train != nil {
		err = w.compileTraining(&spec)
	} else {
		err = w.compileMining(&spec)
	}
	if err != nil {
		return spec, err
	}
	if spec.Argv[0] == "sluice" {
		spec.Argv[0] = w.agent.config.SelfPath
	}
	spec.Meta, err = json.Marshal(w.meta)
	return spec, err
}

func (w *worker) compileMining(spec *runner.Spec) error {
	a, run := w.agent, w.meta.Run
	dev, ok := a.devices.Device(run.Devices[0])
	if !ok {
		return workload.Errorf(workload.NotFound, "device %s is not on this node", run.Devices[0])
	}
	// The port is free when it is asked for; should another program take it
	// before the miner does, the miner fails and is started again with another.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	w.meta.Port = l.Addr().(*net.TCPAddr).Port
	l.Close()
	var token [16]byte
	if _, err := rand.Read(token[:]); err != nil {
		return err
	}
	w.meta.Token = hex.EncodeToString(token[:])
	spec.Argv, err = mining.Command(*run.Mine, mining.Local{Node: a.config.Node, DeviceUUID: dev.UUID, Slot: dev.ID.Slot(), APIPort: w.meta.Port, Endpoint: run.Try})
	if err != nil {
		return err
	}
	spec.Env = []string{"SLUICE_MINER_TOKEN=" + w.meta.Token, "SLUICE_DEVICE=" + string(dev.ID), "CUDA_VISIBLE_DEVICES=" + dev.UUID, "NVIDIA_VISIBLE_DEVICES=" + dev.UUID}
	equipment, own, err := a.devices.Equip(dev.ID)
	if err != nil {
		return err
	}
	if own {
		spec.Env = append(spec.Env, equipment...)
		return nil
	}
	w.capPower(run.Mine.PowerCap)
	return nil
}

// capPower sets the limit of every device of the run; 0 lifts what the last
// workload had.
func (w *worker) capPower(watts int64) {
	for _, d := range w.meta.Run.Devices {
		if _, err := w.agent.devices.SetPowerCap(w.ctx, d, watts); err != nil && watts > 0 {
			w.agent.config.Log.Warn("power cap not set", "device", d, "watts", watts, "error", err)
		}
	}
}

func (w *worker) compileTraining(spec *runner.Spec) error {
	a, run := w.agent, w.meta.Run
	local := training.Local{Node: a.config.Node, Epoch: run.Epoch(), Devices: a.devices.Devices(), Progress: a.progressFile(string(run.ID))}
	order := *run.Train
	if dir := order.Spec.Checkpoint.Dir; dir != "" && !filepath.IsAbs(dir) {
		order.Spec.Checkpoint.Dir = filepath.Join(a.config.DataDir, dir)
	}
	if dir := training.CheckpointDir(order); dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for _, e := range entries {
			local.Earlier = append(local.Earlier, e.Name())
		}
	}
	p, err := training.Build(order, local)
	if err != nil {
		return err
	}
	spec.Argv, spec.Env, spec.Dir, spec.User = p.Argv, p.Env, p.Dir, p.User
	if s, ok := signals[run.Train.Spec.Checkpoint.Signal]; ok {
		spec.Signal = s
	}
	spec.MakeDir, spec.Progress = p.CheckpointDir, local.Progress
	w.capPower(0)
	return nil
}

func (a *Agent) progressFile(run string) string {
	return filepath.Join(a.runner.WorkDir(run), "progress")
}

// ended hands an end to the reconciler; only when it is on disk is the run's
// own record given up.
func (a *Agent) ended(end runner.Ended) {
	m, err := decodeMeta(end.Meta)
	if err != nil {
		m.Run.ID = reconcile.RunID(end.ID)
	}
	if w := a.workers[m.Run.ID]; w != nil {
		delete(a.workers, m.Run.ID)
		w.close()
	}
	for _, d := range m.Run.Devices {
		a.devices.SetUse(d, device.Activity{Use: workload.Parked})
		delete(a.samples.stats, d)
	}
	if _, known := a.state.Runs[m.Run.ID]; known {
		// A process that ends at once can be reported before its start is.
		if run := a.state.Runs[m.Run.ID]; run.Phase == reconcile.RunStarting || run.PID == 0 {
			var s shim.State
			if shim.ReadJSON(end.Dir, shim.StateFile, &s) == nil {
				a.apply(reconcile.Started{Run: m.Run.ID, PID: int64(s.Work.PID), StartTicks: s.Work.StartTicks})
			}
		}
		a.apply(a.exitOf(m.Run.ID, end))
	}
	a.release(end)
}

func (a *Agent) release(end runner.Ended) {
	if a.failed {
		return // not on disk: it is found again by the next agent
	}
	m, _ := decodeMeta(end.Meta)
	a.runner.Release(end.ID, m.Run.Train != nil)
}

func (a *Agent) exitOf(id reconcile.RunID, end runner.Ended) reconcile.Exited {
	e := reconcile.Exited{Run: id, Code: end.Exit.Code, Cause: end.Exit.Cause, Note: end.Exit.Note}
	if end.Exit.Killed && e.Note == "" {
		e.Note = "killed when its grace was over"
	}
	if end.Exit.Strays > 0 && e.Note == "" {
		e.Note = fmt.Sprintf("%d processes outlived it and were ended", end.Exit.Strays)
	}
	if p, err := a.readProgress(end.ID); err == nil {
		e.Saved = p.Complete()
	}
	return e
}

// readProgress reads a file that a foreign program writes: no link is
// followed, and no pipe is waited for.
func (a *Agent) readProgress(run string) (training.Progress, error) {
	fd, err := unix.Open(a.progressFile(run), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return training.Progress{}, err
	}
	defer unix.Close(fd)
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		return training.Progress{}, err
	}
	buf := make([]byte, training.ProgressTail)
	n, err := unix.Pread(fd, buf, max(stat.Size-training.ProgressTail, 0))
	if err != nil {
		return training.Progress{}, err
	}
	return training.ParseProgress(buf[:n])
}

// skewLimit is how far the leader's clock may be from ours without a warning.
const skewLimit = 2 * time.Second
