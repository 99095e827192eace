package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// machine draws commands, sensible and not, from what the state and some old
// views of it hold.
type machine struct {
	s      *State
	t      *rapid.T
	rng    *rand.Rand // seeded by rapid for each command: rapid's own numbers lean to the small
	log    []Command
	seq    map[workload.NodeID]uint64
	boots  int
	at     workload.Instant
	stale  *View
	epochs map[workload.DeviceID]workload.Epoch
	phases map[workload.JobID]workload.Phase
	// How often the machine got somewhere; a machine that never does proves nothing.
	reached map[string]int
}

func (m *machine) node() workload.NodeID {
	return oneOf(m, []workload.NodeID{"n1", "n2", "n3"})
}

func (m *machine) device() workload.DeviceID { return workload.NewDeviceID(m.node(), m.n(0, 2)) }

// job is mostly one that can still change.
func (m *machine) job() workload.JobID {
	var open []workload.JobID
	for _, id := range m.s.JobIDs() {
		if !m.s.Jobs[id].Phase.Final() {
			open = append(open, id)
		}
	}
	if len(open) > 0 && m.chance(90) {
		return oneOf(m, open)
	}
	return workload.JobID(m.n(0, int(m.s.NextJob)))
}

func oneOf[T any](m *machine, list []T) T { return list[m.rng.IntN(len(list))] }

func (m *machine) n(from, to int) int      { return from + m.rng.IntN(to-from+1) }
func (m *machine) chance(percent int) bool { return m.rng.IntN(100) < percent }

func (m *machine) command() Command {
	m.rng = rand.New(rand.NewPCG(rapid.Uint64().Draw(m.t, "command"), 1))
	m.at += workload.Instant(oneOf(m, []int64{0, 0, 1, 1000, 60_000, 4_000_000, -5000}))
	c := Command{Version: 1, Actor: "test", At: m.at, Wall: m.at - 1000}
	if m.chance(80) {
		c.Request = NewRequestID(m.at, fmt.Sprint(len(m.log)))
	}
	switch k := m.n(0, 99); {
	case k < 8:
		c.Node = m.registration()
	case k < 10:
		c.Silent = &NodesSilent{Nodes: []workload.NodeID{m.node(), "ghost"}}
	case k < 11:
		id := m.node()
		c.Fence = &NodeFenced{Node: id, Boot: oneOf(m, []workload.BootID{m.s.Nodes[id].Boot, m.s.Nodes[id].Boot, "0"})}
	case k < 16:
		c.Lost = &AttemptLost{Job: m.job(), Attempt: m.n(0, 4)}
	case k < 30:
		c.Submit = m.submission()
	case k < 32:
		c.Cancel = &JobCancelled{Job: m.job()}
	case k < 38:
		c.Quotes = &QuotesObserved{Observations: []market.Observation{hashprice(int64(m.n(0, 1_000_000)), m.at)},
			Energy: energy(int64(m.n(-100_000, 300_000))), Baseline: &ledger.Baseline{AllMining: workload.Rate(m.n(-9, 9))}}
	case k < 40:
		c.Policy = &PolicyChanged{Revision: int64(len(m.log)), Documents: policy()}
	case k < 42:
		c.Devices = &DevicesChanged{Node: m.node(), Devices: []workload.Device{gpu("n1", 0)}}
	case k < 43 && len(m.log) > 0:
		return m.log[m.n(0, len(m.log)-1)]
	case k < 44:
		c.Consume = &TokenConsumed{ID: "t"}
		c.Cancel = &JobCancelled{Job: 1} // two bodies
	case k < 66:
		c.Plan = m.plan()
	default:
		c.Events = m.events()
	}
	return c
}

func (m *machine) registration() *NodeRegistered {
	id := m.node()
	if m.chance(25) || m.s.Nodes[id].fencedNow() && m.chance(75) {
		m.boots++
	}
	reg := registration(string(id), min(3, m.n(1, 9)))
	reg.Boot = workload.BootID(fmt.Sprint(m.boots))
	for _, d := range m.s.Nodes[id].Devices {
		if m.chance(40) {
			reg.Running = append(reg.Running, Running{Devices: []workload.DeviceID{d}, Epoch: m.s.Devices[d].Epoch - workload.Epoch(m.n(0, 1)), Pid: 7})
		}
	}
	return reg
}

func (m *machine) submission() *JobSubmitted {
	spec := workload.Spec{Name: oneOf(m, []string{"a", "b", "-", "No"}), Gang: workload.Gang{GPUs: m.n(0, 4)},
		Run: workload.Run{Command: []string{"true"}}, Limits: workload.Limits{Attempts: m.n(1, 3), Time: time.Hour}}
	if m.chance(30) {
		spec.After = []workload.After{{Job: m.job().String(), On: oneOf(m, []string{"", "success", "end"})}}
	}
	return &JobSubmitted{Spec: spec}
}

// plan is drawn from the present state, or from an old view of it.
func (m *machine) plan() *Plan {
	from := m.s
	if m.stale != nil && m.chance(25) {
		from = m.stale
	}
	p := &Plan{Basis: from.Index, PlanSummary: PlanSummary{Stage: "random"}}
	free := slices.DeleteFunc(from.DeviceIDs(), func(id workload.DeviceID) bool { // held devices only now and then
		return from.Devices[id].Assigned.Kind == workload.Training && !m.chance(20)
	})
	take := func() (workload.DeviceID, workload.Epoch) {
		if len(free) == 0 || m.chance(5) {
			id := m.device()
			return id, from.Devices[id].Epoch
		}
		i := m.n(0, len(free)-1)
		id := free[i]
		free = slices.Delete(free, i, i+1)
		return id, from.Devices[id].Epoch
	}
	for range m.n(0, 5) / 4 {
		if j := from.Jobs[m.job()]; len(j.Attempts) > 0 {
			a, _ := j.Current()
			why := workload.Why(oneOf(m, []workload.Code{workload.CodePreempted, workload.CodeTimeLimit}))
			p.Stops = append(p.Stops, Stop{Group: m.n(0, 2), Job: j.ID, Attempt: a.Number, Reason: why})
		}
	}
	for range m.n(0, 2) {
		st := Start{Group: m.n(0, 2), Job: m.job(), Reason: workload.Why(workload.CodeJob)}
		for try := 0; try < 5 && from.Jobs[st.Job].Phase != workload.Queued; try++ {
			st.Job = m.job()
		}
		for range from.Jobs[st.Job].Spec.Gang.GPUs {
			id, e := take()
			st.Devices = append(st.Devices, Seat{Device: id, Epoch: e, Work: Work{Watts: 300, Rate: 1_000_000, Tenant: "default"}})
		}
		p.Starts = append(p.Starts, st)
	}
	for range m.n(0, 3) {
		id, e := take()
		mv := Move{Group: m.n(0, 2), Device: id, Epoch: e, Use: workload.Use{Kind: workload.Parked}, Reason: workload.Why(workload.CodePrice)}
		if m.chance(60) {
			mv.Use, mv.Work = workload.Use{Kind: workload.Mining, Option: "KAS"}, Work{Watts: 279, Hash: 1e12, Coin: "KAS"}
		}
		p.Moves = append(p.Moves, mv)
	}
	for id := range m.s.NextJob {
		p.Waits = append(p.Waits, Wait{Job: id, Reason: workload.Why(workload.CodeNoFit)})
	}
	id, e := take()
	p.Reasons = []DeviceReason{{Device: id, Epoch: e, Reason: workload.Why(workload.CodeHeld)}}
	return p
}

// events are mostly those that a node would really send next.
func (m *machine) events() *WorkloadsReported {
	node := m.node()
	w := &WorkloadsReported{Node: node}
	for range m.n(1, 6) {
		id := workload.NewDeviceID(node, m.n(0, 2))
		if m.chance(3) {
			id = m.device()
		}
		d := m.s.Devices[id]
		if !m.chance(10) {
			m.seq[node]++
		}
		e := WorkloadEvent{Seq: m.seq[node], Device: id, Epoch: d.Epoch, Pid: 9, Note: oneOf(m, []string{"", "reboot"}),
			Kind: oneOf(m, []EventKind{EventFreed, EventFreed, EventFreed, EventStarted, EventStarted, EventStopped, EventExited, EventStartFailed, EventRefused, "?"})}
		if m.chance(10) {
			e.Epoch -= workload.Epoch(m.n(0, 3))
		}
		job := d.Assigned.Job
		if d.Leaving != 0 {
			job = d.Leaving
		}
		if m.chance(5) {
			job = m.job()
		}
		if a, ok := m.s.Jobs[job].Current(); ok && e.Kind != EventFreed {
			e.Job, e.Attempt, e.Epoch = job, a.Number-m.n(0, 9)/9, a.Epoch
			if m.chance(70) {
				e.Kind = map[workload.AttemptPhase]EventKind{workload.Starting: EventStarted, workload.Running: EventExited, workload.Stopping: EventStopped}[a.Phase]
			}
			e.Code = m.n(0, 5) / 5
			e.Cause = oneOf(m, []string{"", "self", "self", "self", "order", "lease", "reboot"})
		}
		w.Events = append(w.Events, e)
	}
	return w
}

// legal moves of a job. Cancelled at submission is legal: it waits on a job
// that failed before.
var legal = map[workload.Phase][]workload.Phase{
	"":               {workload.Waiting, workload.Queued, workload.Cancelled},
	workload.Waiting: {workload.Queued, workload.Cancelled},
	workload.Queued:  {workload.Active, workload.Cancelled, workload.Failed},
	workload.Active:  {workload.Queued, workload.Succeeded, workload.Failed, workload.Cancelled},
}

func (m *machine) after() {
	for id, d := range m.s.Devices {
		if d.Epoch < m.epochs[id] {
			m.t.Fatalf("I2: epoch of %s fell from %d to %d", id, m.epochs[id], d.Epoch)
		}
		m.epochs[id] = d.Epoch
		m.reached["use "+string(d.Use.Kind)]++
	}
	for id, j := range m.s.Jobs {
		if was := m.phases[id]; was != j.Phase && !slices.Contains(legal[was], j.Phase) {
			m.t.Fatalf("I7: job %d went from %q to %s", id, was, j.Phase)
		}
		m.phases[id] = j.Phase
		m.reached["job "+string(j.Phase)]++
		for _, a := range j.Attempts {
			m.reached["attempt "+string(a.Phase)]++
		}
	}
	if err := invariants(m.s); err != nil {
		m.t.Fatalf("after %s: %v", asText(m.t, m.log[len(m.log)-1]), err)
	}
}

func TestStateMachine(t *testing.T) {
	plain := t
	reached := map[string]int{}
	property := func(t *rapid.T) {
		m := &machine{s: New(), t: t, seq: map[workload.NodeID]uint64{}, at: epochOfTests, reached: reached,
			epochs: map[workload.DeviceID]workload.Epoch{}, phases: map[workload.JobID]workload.Phase{}}
		twin, index := New(), uint64(0)
		for _, c := range []Command{{Policy: &PolicyChanged{Revision: 1, Documents: policy()}}, {Node: registration("n1", 3)}, {Node: registration("n2", 2)}} {
			c.At, c.Wall = m.at, m.at
			m.log = append(m.log, c)
			index++
			m.s.Apply(index, c)
			twin.Apply(index, c)
		}
		cut := rapid.IntRange(0, 100).Draw(t, "cut")
		var view *View
		var seen string
		var snapshot *State
		var snapped []byte
		for step := range rapid.SampledFrom([]int{1, 10, 50, 100, 150}).Draw(t, "steps") {
			c := m.command()
			m.log = append(m.log, c)
			index += uint64(m.n(1, 2))
			known, repeated := m.s.Requests[c.Request]
			before := m.s.View()
			r := m.s.Apply(index, c)
			if repeated && c.Request != "" {
				want := known.Result
				want.Repeat = true
				if asText(t, r) != asText(t, want) || asText(t, strip(before)) != asText(t, strip(m.s.View())) {
					t.Fatalf("I4: a repeat gave %+v and the first %+v, or changed something", r, want)
				}
				m.reached["repeat"]++
			} else if r.Error != "" && asText(t, strip(before)) != asText(t, strip(m.s.View())) {
				t.Fatalf("a refused command changed something: %+v", r)
			}
			if v := m.s.View(); !reflect.DeepEqual(v.Jobs, m.s.Jobs) || !reflect.DeepEqual(v.Devices, m.s.Devices) || !reflect.DeepEqual(v.Nodes, m.s.Nodes) {
				t.Fatalf("a view is out of date after %s", asText(t, c))
			}
			for _, refusal := range r.Refused {
				m.reached["refused "+refusal.Text]++
			}
			m.after()

			// Another server decodes the same bytes, and may start from a snapshot.
			data, err := Encode(c)
			if err != nil {
				t.Fatal(err)
			}
			decoded, err := Decode(data)
			if err != nil {
				t.Fatal(err)
			}
			if got := twin.Apply(index, decoded); asText(t, got) != asText(t, r) {
				t.Fatalf("I5: results differ: %+v, %+v", got, r)
			}
			if step == cut {
				snapshot = m.s.Clone()
				snapped = save(plain, m.s)
				var buf bytes.Buffer
				if err := twin.Save(&buf); err != nil {
					t.Fatal(err)
				}
				if twin, err = Load(&buf); err != nil {
					t.Fatal(err)
				}
			}
			if view != nil && asText(t, view) != seen {
				t.Fatalf("a view changed after it was taken, by %s", asText(t, c))
			}
			if view == nil || m.chance(20) {
				view, m.stale = m.s.View(), view
				seen = asText(t, view)
			}
		}
		if snapshot != nil && !bytes.Equal(save(plain, snapshot), snapped) {
			t.Fatalf("a snapshot changed after it was taken:\n%s\n%s", save(plain, snapshot), snapped)
		}
		var a, b bytes.Buffer
		if err := m.s.Save(&a); err != nil {
			t.Fatal(err)
		}
		if err := twin.Save(&b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			t.Fatalf("I5: two servers differ:\n%s\n%s", a.Bytes(), b.Bytes())
		}
	}
	// What a round of draws reaches is luck; all of it is reached in a few.
	var missing []string
	for range 10 {
		if rapid.Check(t, property); t.Failed() {
			return
		}
		if missing = unreached(reached); len(missing) == 0 {
			t.Logf("%v", reached)
			return
		}
	}
	t.Errorf("the machine never reached %q", missing)
}

// unreached lists what the machine is meant to reach and has not.
func unreached(reached map[string]int) []string {
	return slices.DeleteFunc([]string{"use parked", "use mining", "use training", "use draining", "use offline", "use unknown", "repeat",
		"job waiting", "job queued", "job active", "job succeeded", "job failed", "job cancelled",
		"attempt reserved", "attempt starting", "attempt running", "attempt stopping", "attempt exited", "attempt preempted", "attempt lost",
		"refused was given to something else meanwhile", "refused another part of its group no longer applies"},
		func(what string) bool { return reached[what] > 0 })
}

func asText(t *rapid.T, v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// strip takes away what every command changes: index and time, and with time
// the prices' integrals.
func strip(v *View) *View {
	c := *v
	c.Index, c.At, c.Wall, c.Book = 0, 0, 0, nil
	return &c
}
