package health

import (
	"fmt"
	"slices"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Phase of one device on the ladder:
//
//	Fit -> Draining -> Resetting -> Testing -> Probation -> Fit
//	          \------------\-----------\----> Serviced (a person, or a reboot) -> Testing
type Phase string

const (
	Fit       Phase = ""
	Draining  Phase = "draining"  // quarantined; waits until nothing uses the device
	Resetting Phase = "resetting" // a reset is under way
	Testing   Phase = "testing"
	Probation Phase = "probation" // may mine, not train
	Serviced  Phase = "service"   // waits for a person or a reboot
)

// State is one device's place on the ladder. The zero State is a fit device.
// It is kept on disk: a restarted agent must not take a quarantine for health.
type State struct {
	Phase Phase            `json:"phase,omitempty"`
	Code  string           `json:"code,omitempty"`
	Text  string           `json:"text,omitempty"`
	Since workload.Instant `json:"since,omitempty"` // of Phase; real clock of the node
	Boot  workload.BootID  `json:"boot,omitempty"`  // under which the fault came
	// Next is before when nothing is tried again.
	Next  workload.Instant `json:"next,omitempty"`
	Tries int              `json:"tries,omitempty"` // resets that did not come about, in a row
	// Resets of the last day: a device that needs them often is broken.
	Resets []workload.Instant `json:"resets,omitempty"`
	// Warning is a fault that only warns; it fades after WarnFor.
	Warning string           `json:"warning,omitempty"`
	Warned  workload.Instant `json:"warned,omitempty"`
	Note    string           `json:"note,omitempty"` // of the warning
}

const (
	// ProbationFor is how long a device proves itself.
	ProbationFor = 30 * time.Minute
	// WarnFor is how long a warning stays.
	WarnFor = 24 * time.Hour
	// MaxResets is how many resets a device gets within a day.
	MaxResets = 2
	// maxTries is how often a reset may not come about before a person is asked.
	maxTries = 5
	// StuckAfter is how long a reset or a test may take before it counts as
	// failed; it also recovers what a restarted agent had under way.
	StuckAfter = 5 * time.Minute
)

// Event is what happens to a device: Told, Looked, ResetDone or TestDone.
type Event interface{ event() }

// Told is a fault.
type Told struct {
	Code   string // such as "xid-79"
	Text   string
	Action Action
	Boot   workload.BootID
}

// Looked is the regular look at the device.
type Looked struct {
	Busy bool // a workload of ours or a foreign process uses it
	Boot workload.BootID
	// CanReset and CanTest: the driver offers them.
	CanReset, CanTest bool
}

// ResetDone answers DoReset. Wait: nothing was wrong but the moment, as when a
// neighbour on the same link is at work.
type ResetDone struct {
	OK, Wait bool
	Text     string
}

// TestDone answers DoTest.
type TestDone struct {
	OK   bool
	Text string
}

func (Told) event()      {}
func (Looked) event()    {}
func (ResetDone) event() {}
func (TestDone) event()  {}

// Effect is what the agent is to do for one device.
type Effect string

const (
	DoNothing Effect = ""
	DoReset   Effect = "reset"
	DoTest    Effect = "test"
)

// Step is the ladder. It never asks for more than the one device: a fault that
// only a reboot can cure is reported, and a person chooses the time.
func Step(s State, e Event, now workload.Instant) (State, Effect) {
	switch e := e.(type) {
	case Told:
		return s.told(e, now), DoNothing
	case Looked:
		return s.looked(e, now)
	case ResetDone:
		if s.Phase != Resetting {
			return s, DoNothing
		}
		switch {
		case e.OK:
			s.Resets = append(s.recent(now), now)
			s.Tries = 0
			return s.to(Testing, now), DoTest
		case e.Wait && s.Tries < 1<<10:
			s = s.to(Draining, now)
			s.Tries++
			s.Next = now.Add(time.Minute)
			return s, DoNothing
		case s.Tries+1 < maxTries:
			s = s.to(Draining, now)
			s.Tries++
			s.Next = now.Add(time.Minute << s.Tries)
			return s, DoNothing
		}
		return s.service(now, "the reset failed: "+e.Text), DoNothing
	case TestDone:
		if s.Phase != Testing {
			return s, DoNothing
		}
		if !e.OK {
			return s.service(now, "it fails its test: "+e.Text), DoNothing
		}
		return s.to(Probation, now), DoNothing
	}
	return s, DoNothing
}

func (s State) told(e Told, now workload.Instant) State {
	switch e.Action {
	case Warn:
		s.Warning, s.Warned, s.Note = e.Code, now, e.Text
	case Reset, Service:
		if s.Phase == Serviced {
			return s // worse it cannot get; the first cause is the one to read
		}
		fresh := s.Phase == Fit || s.Phase == Probation // a test under way decides by itself
		if fresh || e.Action == Service {
			s.Code, s.Text, s.Boot = e.Code, e.Text, e.Boot
		}
		switch {
		case e.Action == Service:
			s = s.to(Serviced, now)
		case fresh:
			s = s.to(Draining, now)
			s.Tries, s.Next = 0, 0
		}
	}
	return s
}

func (s State) looked(e Looked, now workload.Instant) (State, Effect) {
	if s.Warning != "" && now.Sub(s.Warned) >= WarnFor {
		s.Warning, s.Note = "", ""
	}
	if s.Phase == Fit {
		s.Resets = s.recent(now)
		return s, DoNothing
	}
	rebooted := e.Boot != s.Boot && s.Phase != Probation
	switch {
	case rebooted: // which resets every device there is
		s.Boot = e.Boot
		if !e.CanTest {
			return s.to(Probation, now), DoNothing
		}
		return s.to(Testing, now), DoTest
	case s.Phase == Draining && !e.Busy && now >= s.Next:
		switch {
		case !e.CanReset:
			return s.service(now, "its driver cannot reset it"), DoNothing
		case len(s.recent(now)) >= MaxResets:
			return s.service(now, fmt.Sprintf("it was reset %d times within a day", MaxResets)), DoNothing
		}
		return s.to(Resetting, now), DoReset
	case (s.Phase == Resetting || s.Phase == Testing) && now.Sub(s.Since) >= StuckAfter:
		return s.service(now, fmt.Sprintf("%s took more than %s", s.Phase, StuckAfter)), DoNothing
	case s.Phase == Probation && now.Sub(s.Since) >= ProbationFor:
		return State{Resets: s.recent(now), Warning: s.Warning, Warned: s.Warned, Note: s.Note}, DoNothing
	}
	return s, DoNothing
}

func (s State) to(p Phase, now workload.Instant) State {
	s.Phase, s.Since = p, now
	return s
}

func (s State) service(now workload.Instant, why string) State {
	if s.Text != "" {
		why = s.Text + "; " + why
	}
	s.Text = why
	return s.to(Serviced, now)
}

func (s State) recent(now workload.Instant) []workload.Instant {
	var kept []workload.Instant
	for _, at := range s.Resets {
		if now.Sub(at) < 24*time.Hour {
			kept = append(kept, at)
		}
	}
	return kept
}

// Verdict is what the scheduler is told of a device: the worse of what its
// driver says of it now and of its place on the ladder.
func (s State) Verdict(driver workload.Health, driverCode, driverNote string) (workload.Health, string, string) {
	switch s.Phase {
	case Draining:
		return workload.InQuarantine, s.Code, s.Text + "; it is reset once nothing uses it"
	case Resetting, Testing:
		return workload.InQuarantine, s.Code, s.Text + "; " + string(s.Phase)
	case Serviced:
		return workload.InQuarantine, s.Code, s.Text + "; look at the device, or reboot when the node is empty"
	}
	if !driver.Usable() {
		return driver, driverCode, driverNote
	}
	if s.Phase == Probation {
		return workload.OnProbation, s.Code, s.Text + "; it was reset and proves itself by mining"
	}
	if driver == workload.Healthy && s.Warning != "" {
		return workload.Degraded, s.Warning, s.Note
	}
	return driver, driverCode, driverNote
}

// Fit reports whether nothing is remembered of the device.
func (s State) Fit() bool {
	return s.Phase == Fit && s.Warning == "" && len(s.Resets) == 0
}

// Same reports whether two states are equal.
func (s State) Same(t State) bool {
	if !slices.Equal(s.Resets, t.Resets) {
		return false
	}
	return s.Phase == t.Phase && s.Code == t.Code && s.Text == t.Text && s.Since == t.Since && s.Boot == t.Boot && s.Next == t.Next &&
		s.Tries == t.Tries && s.Warning == t.Warning && s.Warned == t.Warned && s.Note == t.Note
}
