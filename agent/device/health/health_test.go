package health

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/workload"
)

func TestTableOfXids(t *testing.T) {
	last := -1
	for _, x := range Xids {
		if x.Code <= last || x.Text == "" || x.Source == "" || x.Action == "" {
			t.Errorf("row %+v", x)
		}
		last = x.Code
	}
	for code, want := range map[int]Action{13: Ignore, 31: Ignore, 43: Ignore, 45: Ignore, 48: Reset, 63: Warn, 64: Service, 74: Reset, 79: Reset, 94: Reset, 95: Reset, 119: Reset, 9999: Warn} {
		if got := XidOf(code).Action; got != want {
			t.Errorf("Xid %d: %s, want %s", code, got, want)
		}
	}
}

func TestKernelXid(t *testing.T) {
	for line, want := range map[string]int{
		"NVRM: Xid (PCI:0000:65:00): 79, pid=1234, GPU has fallen off the bus.":           79,
		"6,1,2,-;[ 12.3] NVRM: Xid (PCI:0000:65:00): 13, Graphics Exception":              13,
		"NVRM: Xid (PCI:0000:65:00.0): 119":                                               119,
		"NVRM: Xid (0000:65:00): 79, x":                                                   -1,
		"NVRM: Xid (PCI:0000:65:00) 79":                                                   79,
		"NVRM: Xid (PCI:zz:65:00): 79, x":                                                 -1,
		"NVRM: Xid (PCI:0000:65:00): -3, x":                                               -1,
		"NVRM: Xid (PCI:0000:65:00): 99999999999999999999":                                -1,
		"NVRM: GPU at PCI:0000:65:00: GPU-7d2d1ee6-1f3c-4d9a-9f0e-000000000000 and so on": -1,
	} {
		pci, code, _, ok := KernelXid(line)
		if want < 0 && ok || want >= 0 && (!ok || code != want || pci != "0000:65:00") {
			t.Errorf("%q: %q %d %v", line, pci, code, ok)
		}
	}
}

func TestPCI(t *testing.T) {
	for in, want := range map[string]string{"00000000:65:00.0": "0000:65:00", "0000:65:00": "0000:65:00", "65:00.0": "0000:65:00", "00010000:0A:1F.0": "10000:0a:1f"} {
		if got, ok := PCI(in); !ok || got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
	for _, in := range []string{"", "x", "1:2:3:4", "0000:165:00", "0000:65:20"} {
		if got, ok := PCI(in); ok {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

func FuzzKernelXid(f *testing.F) {
	f.Add("NVRM: Xid (PCI:0000:65:00): 79, pid=1234, GPU has fallen off the bus.")
	f.Add("NVRM: Xid (PCI:")
	f.Add("NVRM: Xid ()):")
	f.Fuzz(func(t *testing.T, line string) {
		pci, code, _, ok := KernelXid(line)
		if !ok {
			return
		}
		if again, fine := PCI(pci); !fine || again != pci || code < 0 || code > 1<<16 {
			t.Errorf("%q: %q %d", line, pci, code)
		}
	})
}

const start = workload.Instant(1_800_000_000_000)

var idle = Looked{Boot: "b1", CanReset: true, CanTest: true}

// walk applies events a minute apart and returns the last state and all that
// was asked for.
func walk(s State, events ...Event) (State, []Effect) {
	var asked []Effect
	now := start
	for _, e := range events {
		var f Effect
		if s, f = Step(s, e, now); f != DoNothing {
			asked = append(asked, f)
		}
		now = now.Add(time.Minute)
	}
	return s, asked
}

func TestTheLadder(t *testing.T) {
	fault := Told{Code: "xid-79", Text: "fell off", Action: Reset, Boot: "b1"}
	busy := idle
	busy.Busy = true
	rebooted := Looked{Boot: "b2", CanReset: true, CanTest: true}
	ok, failed := ResetDone{OK: true}, ResetDone{Text: "no"}
	for name, c := range map[string]struct {
		events []Event
		phase  Phase
		asked  []Effect
		health workload.Health
	}{
		"nothing while it works":          {[]Event{fault, busy, busy}, Draining, nil, workload.InQuarantine},
		"reset, test, probation":          {[]Event{fault, busy, idle, ok, TestDone{OK: true}}, Probation, []Effect{DoReset, DoTest}, workload.OnProbation},
		"a failed test needs a person":    {[]Event{fault, idle, ok, TestDone{Text: "ecc"}}, Serviced, []Effect{DoReset, DoTest}, workload.InQuarantine},
		"no reset, no return":             {[]Event{fault, Looked{Boot: "b1"}}, Serviced, nil, workload.InQuarantine},
		"a busy neighbour is waited for":  {[]Event{fault, idle, ResetDone{Wait: true}, idle, idle}, Resetting, []Effect{DoReset, DoReset}, workload.InQuarantine},
		"resets fail":                     {[]Event{fault, idle, failed, idle, idle, idle, idle, idle, failed}, Draining, []Effect{DoReset, DoReset}, workload.InQuarantine},
		"a reboot is a reset":             {[]Event{Told{Code: "xid-64", Action: Service, Boot: "b1"}, idle, rebooted, TestDone{OK: true}}, Probation, []Effect{DoTest}, workload.OnProbation},
		"service does not move by itself": {[]Event{Told{Code: "xid-64", Action: Service, Boot: "b1"}, idle, idle, fault, idle}, Serviced, nil, workload.InQuarantine},
		"a program's fault is none":       {[]Event{Told{Code: "xid-13", Action: Ignore}}, Fit, nil, workload.Healthy},
		"a warning is shown":              {[]Event{Told{Code: "xid-63", Action: Warn, Text: "row"}}, Fit, nil, workload.Degraded},
		"a reset that hangs":              {[]Event{fault, idle, idle, idle, idle, idle, idle}, Serviced, []Effect{DoReset}, workload.InQuarantine},
		"a fault in probation":            {[]Event{fault, idle, ok, TestDone{OK: true}, fault, idle, ok, TestDone{OK: true}, fault, idle}, Serviced, []Effect{DoReset, DoTest, DoReset, DoTest}, workload.InQuarantine},
	} {
		s, asked := walk(State{}, c.events...)
		h, code, _ := s.Verdict(workload.Healthy, "", "")
		if s.Phase != c.phase || !slices.Equal(asked, c.asked) || h != c.health || (h != workload.Healthy) != (code != "") {
			t.Errorf("%s: phase %q, asked %v, health %s %s; want %q %v %s", name, s.Phase, asked, h, code, c.phase, c.asked, c.health)
		}
	}
}

func TestProbationAndWarningsEnd(t *testing.T) {
	s := State{Phase: Probation, Code: "xid-79", Since: start, Boot: "b1"}
	if s, _ = Step(s, idle, start.Add(ProbationFor-1)); s.Phase != Probation {
		t.Error("ends early")
	}
	if s, _ = Step(s, idle, start.Add(ProbationFor)); !s.Fit() {
		t.Errorf("%+v", s)
	}
	s, _ = Step(State{}, Told{Code: "xid-63", Action: Warn}, start)
	if s, _ = Step(s, idle, start.Add(WarnFor)); !s.Fit() {
		t.Errorf("%+v", s)
	}
}

func TestADriversVerdictStands(t *testing.T) {
	if h, code, _ := (State{}).Verdict(workload.Failing, CodeLost, "gone"); h != workload.Failing || code != CodeLost {
		t.Error(h, code)
	}
	if h, _, _ := (State{Phase: Probation}).Verdict(workload.Failing, CodeLost, "gone"); h != workload.Failing {
		t.Error("a device on probation that is lost may work")
	}
}

// Whatever comes in whatever order: never a reset while something uses the
// device, never more than MaxResets a day, and no way from a fault to work that
// does not pass a test.
func TestPropertyOfTheLadder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, now, resets, tested := State{}, start, []workload.Instant{}, true
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 600).Draw(t, "seconds")) * time.Second)
			var e Event
			switch rapid.IntRange(0, 3).Draw(t, "event") {
			case 0:
				e = Told{Code: "x", Action: rapid.SampledFrom([]Action{Ignore, Warn, Reset, Service}).Draw(t, "action"), Boot: "b1"}
			case 1:
				e = Looked{Busy: rapid.Bool().Draw(t, "busy"), Boot: "b1", CanReset: true, CanTest: true}
			case 2:
				e = ResetDone{OK: rapid.Bool().Draw(t, "ok"), Wait: rapid.Bool().Draw(t, "wait")}
			case 3:
				e = TestDone{OK: rapid.Bool().Draw(t, "ok")}
			}
			old := s
			var f Effect
			s, f = Step(s, e, now)
			if f == DoReset {
				if l, ok := e.(Looked); !ok || l.Busy {
					t.Fatalf("a reset after %+v", e)
				}
			}
			if r, ok := e.(ResetDone); ok && r.OK && old.Phase == Resetting {
				resets = append(slices.DeleteFunc(resets, func(at workload.Instant) bool { return now.Sub(at) >= 24*time.Hour }), now)
				if len(resets) > MaxResets {
					t.Fatalf("%d resets within a day", len(resets))
				}
			}
			if told, ok := e.(Told); ok && (told.Action == Reset || told.Action == Service) {
				tested = s.Phase == Fit
			}
			if done, ok := e.(TestDone); ok && done.OK && old.Phase == Testing {
				tested = true
			}
			if h, _, _ := s.Verdict(workload.Healthy, "", ""); h.Usable() && !tested {
				t.Fatalf("%+v is usable and was not tested", s)
			}
		}
	})
}
