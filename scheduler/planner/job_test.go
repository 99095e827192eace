package planner

import (
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func target(body string) string {
	return "\nkind: Target\nname: ai\nof: owned\nuse: training\n" + body + "\n"
}

func TestTargets(t *testing.T) {
	for name, tt := range map[string]struct {
		target string
		bid    string
		want   int // of 8 devices in 8 jobs of one
	}{
		"floor of devices":    {target("measure: devices\nmin: 50%"), "0.001", 4},
		"ceiling of devices":  {target("measure: devices\nmax: 25%"), "0.5", 2},
		"ceiling of power":    {target("measure: power\nmax: 60%"), "0.5", 4},   // 4 x 300 of 1200 + 800
		"floor of power":      {target("measure: power\nmin: 50%"), "0.001", 3}, // 900 of 1700 W: parking one is cheaper than a fourth
		"other site":          {"\nkind: Site\nname: south\nzone: UTC\npower: {cap: 1kW}\n" + "---" + target("measure: devices\nmin: 50%\nscope: {site: south}"), "0.001", 0},
		"glide before":        {target("measure: devices\nglide: [{date: 2026-02-01, min: 50%}]"), "0.001", 0},
		"glide half way":      {target("measure: devices\nglide: [{date: 2026-01-10, min: 0%}, {date: 2026-01-20, min: 100%}]"), "0.001", 4},
		"glide after":         {target("measure: devices\nglide: [{date: 2026-01-10, min: 25%}]"), "0.001", 2},
		"over":                {target("measure: devices\nmin: 50%\nuntil: 2026-01-14"), "0.001", 0},
		"last day":            {target("measure: devices\nmin: 50%\nuntil: 2026-01-15"), "0.001", 4},
		"floor that pays off": {target("measure: devices\nmin: 50%"), "0.5", 8},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.set(tt.target)
			w.node("n1", "north", "g1", 8)
			for i := range 8 {
				w.submit("j"+string(rune('a'+i)), 1, tt.bid)
			}
			w.run()
			n := 0
			for use, k := range w.uses() {
				if use[0] == 'j' {
					n += k
				}
			}
			if n != tt.want {
				t.Fatalf("%d devices train, want %d: %v", n, tt.want, w.uses())
			}
			w.settled()
		})
	}
}

func TestCoinShareIsKept(t *testing.T) {
	w := newWorld(t, "\nkind: Coin\nname: KAS\nalgorithm: kheavyhash\nhashprice: {feed: kas}\nrisk: {maxShare: 60%}\n")
	w.node("n1", "north", "g1", 10)
	w.run()
	// n x 25 of n x 25 + (10-n) x 20: 5 devices are 55.6 %, 6 are 65.2 %.
	w.wantUses(map[string]int{"KAS": 5, "RVN": 5})
	w.wantReason("RVN", workload.CodeTarget)
	w.settled()
}

func TestTenantQuotaCountsWhatStandsAside(t *testing.T) {
	w := newWorld(t, "\nkind: Tenant\nname: lab\nguarantee: 2 GPU\nborrow: 1 GPU\n")
	lab := func(s *workload.Spec) { s.Tenant = "lab" }
	w.node("n1", "north", "g1", 4)
	w.node("n2", "north", "g1", 4)
	a := w.submit("a", 2, "0.5", lab)
	w.run()
	w.wantJob(a, workload.Active, workload.CodeJob)
	// Its node falls silent: the job may still run, and still counts.
	w.do(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{w.s.Jobs[a].Attempts[0].Devices[0].Node()}}})
	b := w.submit("b", 2, "0.5", lab)
	c := w.submit("c", 1, "0.4", lab)
	w.run()
	w.wantJob(b, workload.Queued, workload.CodeQuota)
	w.wantJob(c, workload.Active, workload.CodeJob)
}

func TestGangShapes(t *testing.T) {
	w := newWorld(t, "\nkind: Site\nname: south\nzone: UTC\npower: {cooling: {pue: 1.0}}\ntariff: flat\n")
	w.node("n1", "north", "g1", 4)
	w.node("n2", "north", "g1", 4)
	w.node("s1", "south", "g1", 4)
	w.node("n3", "north", "g2", 2)
	per := w.submit("per", 4, "0.5", func(s *workload.Spec) {
		s.Gang.PerNode = 2
		s.Gang.Site = "north"
		s.Gang.Models = []workload.ModelName{"g1"}
	})
	model := w.submit("model", 2, "0.5", func(s *workload.Spec) { s.Gang.Models = []workload.ModelName{"g2"} })
	site := w.submit("site", 3, "0.5", func(s *workload.Spec) { s.Gang.Site = "south" })
	w.run()
	nodes := func(id workload.JobID) map[workload.NodeID]int {
		out := map[workload.NodeID]int{}
		a, _ := w.s.Jobs[id].Current()
		for _, d := range a.Devices {
			out[d.Node()]++
		}
		return out
	}
	if n := nodes(per); n["n1"] != 2 || n["n2"] != 2 {
		t.Errorf("two on each of two nodes: %v", n)
	}
	if n := nodes(model); n["n3"] != 2 {
		t.Errorf("model: %v", n)
	}
	if n := nodes(site); n["s1"] != 3 {
		t.Errorf("site: %v", n)
	}
	big := w.submit("big", 6, "0.1", func(s *workload.Spec) { s.Gang.Site = "north" })
	w.run()
	w.wantJob(big, workload.Queued, workload.CodeNoFit)
	w.settled()
}

func TestMemoryOfAGang(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	reg := &state.NodeRegistered{Node: "n2", Site: "north", Boot: "b", Instance: "i"}
	d := device("n2", 0, "g1")
	d.Memory = 80 << 30
	reg.Devices = []workload.Device{d}
	w.do(state.Command{Node: reg})
	id := w.submit("big", 1, "0.5", func(s *workload.Spec) { s.Gang.Memory = 40 << 30 })
	w.run()
	if a, _ := w.s.Jobs[id].Current(); len(a.Devices) != 1 || a.Devices[0] != "n2/0" {
		t.Fatalf("placed on %v", a.Devices)
	}
	w.do(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{"n2"}}})
	other := w.submit("too", 1, "0.5", func(s *workload.Spec) { s.Gang.Memory = 40 << 30 })
	w.run()
	w.wantJob(other, workload.Queued, workload.CodeNoFit) // such a device exists, it is only silent
}

func ckpt(dir string) func(*workload.Spec) {
	return func(s *workload.Spec) { s.Checkpoint.Dir = dir }
}

func TestCheckpointLocality(t *testing.T) {
	for name, tt := range map[string]struct {
		dir   string
		bound bool
	}{
		"relative": {"ck/{job}", true}, "unshared": {"/scratch/ck", true}, "shared": {"/data/ck", false}, "the path itself": {"/data", false},
		"beside a shared path": {"/database/ck", true}, "out of a shared path": {"/data/../scratch", true}, "none": {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "\nkind: Site\nname: north\nzone: Europe/Berlin\npower: {cooling: {pue: 1.0}}\ntariff: flat\nsharedPaths: [/data]\n")
			w.node("n1", "north", "g1", 2)
			w.node("n2", "north", "g1", 2)
			id := w.submit("train", 2, "0.5", ckpt(tt.dir))
			w.run()
			a, _ := w.s.Jobs[id].Current()
			first := a.Devices[0].Node()
			// Its node reboots, and is away when it could start again.
			reg := &state.NodeRegistered{Node: first, Site: "north", Boot: "b2", Instance: "i2"}
			for i := range 2 {
				reg.Devices = append(reg.Devices, device(string(first), i, "g1"))
			}
			w.do(state.Command{Node: reg})
			w.do(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{first}}})
			w.run()
			if tt.bound {
				w.wantJob(id, workload.Queued, workload.CodeDataLocal)
				// What it may not have goes on mining, round after round.
				if w.uses()["KAS"] != 2 {
					t.Fatalf("devices do %v", w.uses())
				}
				w.settled()
				w.do(state.Command{Node: reg})
				w.run()
			}
			w.wantJob(id, workload.Active, workload.CodeJob)
			if a, _ := w.s.Jobs[id].Current(); (a.Devices[0].Node() == first) != tt.bound {
				t.Fatalf("first on %s, then on %s", first, a.Devices[0].Node())
			}
		})
	}
}

func TestPreemption(t *testing.T) {
	full := func(t *testing.T, edit ...func(*workload.Spec)) (*world, workload.JobID) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 4)
		low := w.submit("low", 4, "0.1", edit...)
		w.run()
		w.wantJob(low, workload.Active, workload.CodeJob)
		w.pass(time.Minute)
		return w, low
	}
	t.Run("a better bid displaces, in one group", func(t *testing.T) {
		w, low := full(t)
		high := w.submit("high", 3, "2")
		p := w.run()
		if len(p.Stops) != 1 || len(p.Starts) != 1 || p.Stops[0].Group == 0 || p.Stops[0].Group != p.Starts[0].Group {
			t.Fatalf("stops %+v, starts %+v", p.Stops, p.Starts)
		}
		for _, m := range p.Moves {
			if m.Group != p.Stops[0].Group {
				t.Fatalf("%s moves in group %d", m.Device, m.Group)
			}
		}
		w.wantUses(map[string]int{"job 2": 3, "KAS": 1})
		w.run()
		w.wantJob(low, workload.Queued, workload.CodeNoFit)
		w.wantJob(high, workload.Active, workload.CodeJob)
		w.settled()
	})
	t.Run("not for a little more", func(t *testing.T) {
		// Stopping loses 90 s of 0.4 USD/h: 0.01 over an hour.
		w, low := full(t)
		w.submit("high", 4, "0.102")
		w.run()
		w.wantJob(low, workload.Active, workload.CodeJob)
	})
	t.Run("protected time", func(t *testing.T) {
		w, low := full(t, func(s *workload.Spec) { s.Limits.Protected = time.Hour })
		high := w.submit("high", 4, "2")
		w.run()
		w.wantJob(low, workload.Active, workload.CodeJob)
		w.wantJob(high, workload.Queued, workload.CodeNoFit)
		w.pass(time.Hour)
		w.run()
		w.wantJob(high, workload.Active, workload.CodeJob)
	})
	t.Run("limit of preemptions", func(t *testing.T) {
		w, low := full(t, func(s *workload.Spec) { s.Limits.Preemptions = 1 })
		first := w.submit("first", 4, "2")
		w.run()
		w.do(state.Command{Cancel: &state.JobCancelled{Job: first}})
		w.obey()
		w.run()
		w.run()
		w.wantJob(low, workload.Active, workload.CodeJob)
		w.submit("second", 4, "2")
		w.run()
		w.wantJob(low, workload.Active, workload.CodeJob)
	})
	t.Run("while it starts", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 4)
		low := w.submit("low", 4, "0.1")
		w.step() // reserved, nothing freed yet
		w.submit("high", 4, "2")
		w.step()
		w.wantJob(low, workload.Active, workload.CodeJob)
	})
	t.Run("two victims for one", func(t *testing.T) {
		w := newWorld(t)
		w.node("n1", "north", "g1", 4)
		w.submit("a", 2, "0.1")
		w.submit("b", 2, "0.1")
		w.run()
		w.submit("high", 4, "2")
		p := w.run()
		if len(p.Stops) != 2 || p.Stops[0].Group != p.Starts[0].Group || p.Stops[1].Group != p.Starts[0].Group || p.Starts[0].Group == 0 {
			t.Fatalf("stops %+v starts %+v", p.Stops, p.Starts)
		}
		w.settled()
	})
}

func TestBackOffOfAJob(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	id := w.submit("bad", 1, "0.5")
	w.run()
	w.report(state.WorkloadEvent{Kind: state.EventExited, Device: "n1/0", Epoch: w.s.Devices["n1/0"].Epoch, Job: id, Attempt: 1, Code: 3})
	w.run()
	w.wantUses(map[string]int{"KAS": 1})
	w.wantJob(id, workload.Queued, workload.CodeExit)
	w.pass(11 * time.Second)
	w.run()
	w.wantJob(id, workload.Active, workload.CodeJob)
}

func TestBackOffOfADevice(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	w.step()
	w.report(state.WorkloadEvent{Kind: state.EventStartFailed, Device: "n1/0", Epoch: w.s.Devices["n1/0"].Epoch, Note: "no such program"})
	w.obey()
	w.settled() // it is not ordered to try again at once
	w.wantReason("parked", workload.CodeStartFailed)
	w.pass(11 * time.Second)
	w.run()
	w.wantUses(map[string]int{"KAS": 1})
}

func TestTimeLimit(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	id := w.submit("train", 2, "0.5", func(s *workload.Spec) { s.Limits.Time = time.Hour })
	w.run()
	w.pass(59 * time.Minute)
	w.settled()
	w.pass(time.Minute)
	next := w.submit("next", 2, "0.2")
	p := w.run()
	if len(p.Stops) != 1 || p.Stops[0].Reason.Code != workload.CodeTimeLimit {
		t.Fatalf("stops %+v", p.Stops)
	}
	w.wantJob(id, workload.Failed, workload.CodeTimeLimit)
	w.wantJob(next, workload.Active, workload.CodeJob)
}

func TestSilentDevicesAreLeftAloneAndCounted(t *testing.T) {
	w := newWorld(t, "\nkind: Site\nname: north\nzone: Europe/Berlin\npower: {cap: 640W}\ntariff: flat\n")
	w.node("n1", "north", "g1", 2)
	w.run()
	w.wantUses(map[string]int{"KAS": 2})
	w.do(state.Command{Silent: &state.NodesSilent{Nodes: []workload.NodeID{"n1"}}})
	w.pass(time.Hour)
	w.node("n2", "north", "g1", 2)
	w.run()
	w.wantUses(map[string]int{"KAS": 3, "parked": 1}) // 3 x 200 + 20 of 640 W
	if d := w.s.Devices["n1/0"]; d.Reason.Code != workload.CodeSilent || d.Epoch > 20 {
		t.Fatalf("%+v", d)
	}
	w.settled()
}

func TestFailingDeviceGetsNoWork(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	d := device("n1", 0, "g1")
	d.Health, d.Note = workload.Failing, "Xid 79"
	w.do(state.Command{Devices: &state.DevicesChanged{Node: "n1", Devices: []workload.Device{d}}})
	w.run()
	w.wantUses(map[string]int{"KAS": 1, "parked": 1})
	w.wantReason("parked", workload.CodeUnhealthy)
	w.settled()
}

// An override on one device of a gang splits its class. The gang goes on, and no
// round proposes anything for its devices.
func TestGangThatStraddlesClassesIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 4)
	id := w.submit("train", 3, "0.5")
	w.run()
	w.set("\nkind: Override\nname: o\nscope: {device: n1/0}\nuse: train\nreason: test\n")
	high := w.submit("high", 3, "5")
	w.run()
	w.wantJob(id, workload.Active, workload.CodeJob)
	w.wantJob(high, workload.Queued, workload.CodeNoFit)
	w.settled()
}

func TestElasticTakesTheBestWidth(t *testing.T) {
	elastic := func(lo, hi, step int) func(*workload.Spec) {
		return func(s *workload.Spec) { s.Gang.Elastic = &workload.Elastic{Min: lo, Max: hi, Step: step} }
	}
	w := newWorld(t)
	w.node("n1", "north", "g1", 7)
	w.submit("wide", 2, "0.5", elastic(2, 8, 2))
	w.run()
	w.wantUses(map[string]int{"job 1": 6, "KAS": 1})
	w.submit("better", 4, "3")
	w.run() // gives up the wide one; what is left of it comes back narrow
	w.run()
	w.wantUses(map[string]int{"job 2": 4, "job 1": 2, "KAS": 1})
	w.settled()
}

func TestWidthsAreBounded(t *testing.T) {
	g := workload.Gang{GPUs: 77, Elastic: &workload.Elastic{Min: 1, Max: workload.MaxGang, Step: 1}}
	for _, room := range []int{1, 5, 12, 13, 1000, 100_000} {
		ws := widths(g, room)
		if len(ws) > maxWidths || !slices.IsSorted(ws) || len(slices.Compact(slices.Clone(ws))) != len(ws) {
			t.Fatalf("room %d: %v", room, ws)
		}
		if ws[0] != 1 || ws[len(ws)-1] != min(room, workload.MaxGang) || room >= 77 && !slices.Contains(ws, 77) {
			t.Fatalf("room %d: %v", room, ws)
		}
		for _, w := range ws {
			if !slices.Contains(g.Widths(), w) {
				t.Fatalf("room %d: %d is no width", room, w)
			}
		}
	}
	if ws := widths(g, 0); !slices.Equal(ws, []int{1}) {
		t.Fatalf("no room: %v", ws)
	}
}

// One absurd bid must not end all deciding.
func TestAbsurdBidsAreCut(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 4)
	w.submit("mad", 2, "9000000000000")
	w.submit("sane", 1, "0.5")
	w.set("\nkind: Feed\nname: rvn\nsources: [{value: 9000000}]\ncurrency: USD\nunit: USD/MH/day\n")
	w.run()
	w.wantUses(map[string]int{"job 1": 2, "RVN": 2})
	w.settled()
}

func TestPriorityBreaksTies(t *testing.T) {
	for name, high := range map[string]int{"first": 0, "last": 2} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.node("n1", "north", "g1", 1)
			var ids []workload.JobID
			for i, job := range []string{"a", "b", "c"} {
				ids = append(ids, w.submit(job, 1, "0.5", func(s *workload.Spec) {
					if i == high {
						s.Value.Priority = workload.High
					}
				}))
			}
			w.run()
			w.wantJob(ids[high], workload.Active, workload.CodeJob)
		})
	}
}
