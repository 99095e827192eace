package reconcile

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/workload"
)

// world executes effects with virtual processes and checks what is promised
// after every step. It may lose its agent or its power at any time.
type world struct {
	t       *rapid.T
	s       State
	now     Now
	disk    Durable
	plan    *workload.NodePlan // on disk
	boot    int
	procs   map[RunID]*proc
	ends    []RunEnd // on disk, not released
	seq     uint64
	stops   map[RunID]bool // stop asked, end not told yet
	begun   map[workload.Epoch]map[workload.DeviceID]RunID
	serial  uint64
	epoch   workload.Epoch
	attempt int
}

type proc struct {
	run  Run
	live bool // its process runs, else it is being started
}

func (w *world) step(e Event) {
	before := w.s
	var effects []Effect
	w.s, effects = Step(w.s, e, w.now)
	again, repeat := Step(before, e, w.now)
	if tell(repeat) != tell(effects) || fmt.Sprint(again.Durable) != fmt.Sprint(w.s.Durable) {
		w.t.Fatalf("the same step gives\n%s\nand\n%s", tell(effects), tell(repeat))
	}
	var held []Report // emitted, not yet on disk
	for _, e := range effects {
		switch e := e.(type) {
		case Persist:
			for d, epoch := range w.disk.Epochs {
				if e.Durable.Epochs[d] < epoch {
					w.t.Fatalf("I2: epoch of %s goes from %d to %d", d, epoch, e.Durable.Epochs[d])
				}
			}
			w.disk = e.Durable
			if e.Plan {
				w.plan = w.s.Plan
			}
			w.tell(held)
			held = nil
		case Start:
			w.start(e.Run)
		case Stop:
			if w.procs[e.Run] == nil {
				w.t.Fatalf("stop of %s, which does not exist", e.Run)
			}
			w.stops[e.Run] = true
		case Extend:
			if p := w.procs[e.Run]; p == nil || !p.live {
				w.t.Fatalf("extend of %s, which does not run", e.Run)
			} else if p.run.Kind == workload.Training && !w.s.Live {
				w.t.Fatalf("training %s is extended without a leader", e.Run)
			}
		case Adopt:
			w.procs[e.Run.ID].run = e.Run
		case Emit:
			held = append(held, e.Report)
		}
	}
	if len(held) > 0 {
		w.t.Fatalf("reports are not on disk at the end of a step: %v", held)
	}
	for _, id := range w.s.RunIDs() {
		run := w.s.Runs[id]
		if run.Kind == workload.Mining && run.Phase != RunStopping && (w.s.Expired(w.now) || w.s.Banned(w.now, run.StopGrace)) {
			w.t.Fatalf("promise 6: %s mines though it must not", id)
		}
	}
}

func (w *world) start(run Run) {
	for i, d := range run.Devices {
		if w.disk.Epochs[d] != run.Epochs[i] {
			w.t.Fatalf("%s starts under epoch %d of %s, persisted is %d", run.ID, run.Epochs[i], d, w.disk.Epochs[d])
		}
		for _, p := range w.procs {
			if slices.Contains(p.run.Devices, d) {
				w.t.Fatalf("I1: %s starts on %s, which %s holds", run.ID, d, p.run.ID)
			}
		}
		if run.Kind == workload.Training {
			if !w.s.Live {
				w.t.Fatalf("%s starts without a leader", run.ID)
			}
			if w.begun[run.Epochs[i]] == nil {
				w.begun[run.Epochs[i]] = map[workload.DeviceID]RunID{}
			}
			if old, ok := w.begun[run.Epochs[i]][d]; ok {
				w.t.Fatalf("%s starts on %s under epoch %d, as %s did", run.ID, d, run.Epochs[i], old)
			}
			w.begun[run.Epochs[i]][d] = run.ID
		}
	}
	if run.Deadline <= w.now.Boot {
		w.t.Fatalf("%s starts after its lease", run.ID)
	}
	if w.procs[run.ID] != nil {
		w.t.Fatalf("run id %s is used again", run.ID)
	}
	w.procs[run.ID] = &proc{run: run}
}

func (w *world) tell(reports []Report) {
	for _, r := range reports {
		w.seq++
		if r.Seq != w.seq {
			w.t.Fatalf("report %d comes where %d is due", r.Seq, w.seq)
		}
	}
}

// end takes a process away; the agent hears of it now or finds it later.
func (w *world) end(id RunID, exit Exited, heard bool) {
	p := w.procs[id]
	delete(w.procs, id)
	exit.Run = id
	if !heard {
		w.ends = append(w.ends, RunEnd{Run: p.run, Exit: exit})
		return
	}
	told := w.seq
	w.step(exit)
	if w.stops[id] && w.seq == told {
		w.t.Fatalf("%s was stopped and nothing is reported", id)
	}
	delete(w.stops, id)
}

func (w *world) restart(reboot bool) {
	if reboot {
		w.boot++
		w.now.Boot = time.Minute
		for _, id := range w.ids() {
			if p := w.procs[id]; p.live {
				w.ends = append(w.ends, RunEnd{Run: p.run, Exit: Exited{Run: id, Code: 137, Cause: CauseReboot}})
			} else {
				w.forget(p.run)
			}
			delete(w.procs, id)
		}
	}
	var live []Run
	for _, id := range w.ids() {
		p := w.procs[id]
		p.live = true // its shim finished the start alone
		live = append(live, p.run)
	}
	clear(w.stops)
	w.s = New(node, w.disk, w.plan)
	w.step(Restarted{Boot: workload.BootID(fmt.Sprint("b", w.boot)), Live: live, Ended: w.ends})
	w.ends = nil
	for id := range w.s.Runs {
		if w.s.Runs[id].Phase == RunStopping {
			w.stops[id] = true
		}
	}
}

// forget undoes the record of a training that never had a process.
func (w *world) forget(run Run) {
	for i, d := range run.Devices {
		delete(w.begun[run.Epochs[i]], d)
	}
}

func (w *world) ids() []RunID {
	var ids []RunID
	for id := range w.procs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (w *world) randomPlan() *workload.NodePlan {
	t := w.t
	w.serial++
	p := &workload.NodePlan{Node: node, Serial: w.serial, ExpiresAt: w.now.Wall + workload.Instant(rapid.IntRange(-1, 300_000).Draw(t, "life"))}
	if rapid.IntRange(0, 9).Draw(t, "old serial") == 0 {
		p.Serial = uint64(rapid.IntRange(0, int(w.serial)).Draw(t, "serial"))
	}
	for slot := 0; slot < 4; slot++ {
		epoch := w.epoch
		switch rapid.IntRange(0, 9).Draw(t, "epoch") {
		case 0, 1, 2:
			w.epoch++
			epoch = w.epoch
		case 3:
			epoch = workload.Epoch(rapid.IntRange(0, int(w.epoch)).Draw(t, "old epoch"))
		}
		switch rapid.IntRange(0, 5).Draw(t, "use") {
		case 0:
		case 1:
			p.Assignments = append(p.Assignments, parked(slot, epoch))
		case 2, 3:
			a := mine(slot, epoch)
			a.Mine.Wallet = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "wallet")
			p.Assignments = append(p.Assignments, a)
		default:
			// A gang of this slot and perhaps the next; the log numbers attempts
			// so that one epoch never serves two.
			w.epoch++
			w.attempt++
			slots := []int{slot}
			if slot < 3 && rapid.Bool().Draw(t, "two") {
				slots = append(slots, slot+1)
			}
			as := train(workload.JobID(1+w.attempt%3), w.attempt, w.epoch, slots...)
			hold := rapid.Bool().Draw(t, "hold")
			for i := range as {
				as[i].Hold = hold
			}
			p.Assignments = append(p.Assignments, as...)
			slot = slots[len(slots)-1]
		}
	}
	if rapid.IntRange(0, 4).Draw(t, "ban") == 0 {
		from := w.now.Market + workload.Instant(rapid.IntRange(-60_000, 60_000).Draw(t, "from"))
		p.Bans = []workload.Window{{From: from, Until: from + 30_000}}
	}
	return p
}

func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, now: clock(), procs: map[RunID]*proc{}, stops: map[RunID]bool{}, begun: map[workload.Epoch]map[workload.DeviceID]RunID{}, epoch: 3, serial: 3}
		w.restart(false)
		var last *workload.NodePlan
		pick := func() *proc {
			if len(w.procs) == 0 {
				return nil
			}
			return w.procs[rapid.SampledFrom(w.ids()).Draw(t, "run")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"plan": func(*rapid.T) {
				last = w.randomPlan()
				w.step(PlanReceived{Plan: last, Heard: w.now.Boot})
			},
			"release": func(*rapid.T) {
				if last == nil {
					return
				}
				p := *last
				w.serial++
				p.Serial = w.serial
				p.Assignments = slices.Clone(p.Assignments)
				for i := range p.Assignments {
					p.Assignments[i].Hold = false
				}
				last = &p
				w.step(PlanReceived{Plan: last, Heard: w.now.Boot})
			},
			"again": func(*rapid.T) {
				if last != nil {
					w.step(PlanReceived{Plan: last, Heard: w.now.Boot})
				}
			},
			"started": func(*rapid.T) {
				if p := pick(); p != nil && !p.live {
					p.live = true
					w.step(Started{Run: p.run.ID, PID: 7})
				}
			},
			"start failed": func(*rapid.T) {
				if p := pick(); p != nil && !p.live {
					delete(w.procs, p.run.ID)
					w.step(StartFailed{Run: p.run.ID})
					delete(w.stops, p.run.ID)
				}
			},
			"stopped": func(*rapid.T) {
				if p := pick(); p != nil && p.live && w.stops[p.run.ID] {
					w.end(p.run.ID, Exited{Code: 143, Cause: CauseOrder}, true)
				}
			},
			"exits": func(t *rapid.T) {
				if p := pick(); p != nil && p.live {
					w.end(p.run.ID, Exited{Code: rapid.IntRange(0, 2).Draw(t, "code"), Cause: rapid.SampledFrom([]string{CauseSelf, CauseLease}).Draw(t, "cause")}, true)
				}
			},
			"agent dies, a job ends, agent returns": func(t *rapid.T) {
				for _, id := range w.ids() {
					if p := w.procs[id]; p.live && rapid.Bool().Draw(t, "ends") {
						w.end(id, Exited{Cause: CauseSelf}, false)
					}
				}
				w.restart(false)
			},
			"reboot":    func(*rapid.T) { w.restart(true) },
			"heartbeat": func(*rapid.T) { w.step(HeartbeatAcked{SentAt: w.now.Boot}) },
			"time": func(t *rapid.T) {
				ms := rapid.IntRange(1, 60_000).Draw(t, "ms")
				w.now.Wall += workload.Instant(ms)
				w.now.Market += workload.Instant(ms)
				w.now.Boot += time.Duration(ms) * time.Millisecond
				w.step(Tick{})
			},
		})
		// L5: once every process has answered, nothing goes on for ever.
		for range 20 {
			for _, id := range w.ids() {
				p := w.procs[id]
				switch {
				case !p.live:
					p.live = true
					w.step(Started{Run: id})
				case w.stops[id]:
					w.end(id, Exited{Code: 143, Cause: CauseOrder}, true)
				}
			}
		}
		if _, effects := Step(w.s, Tick{}, w.now); len(effects) != 0 {
			t.Fatalf("a quiet node goes on:\n%s", tell(effects))
		}
		if len(w.stops) != 0 {
			t.Fatalf("stops without an end: %v", w.stops)
		}
	})
}
