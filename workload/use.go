package workload

import "fmt"

// UseKind says what a device does. The order is the order in which pages and
// tables list uses.
type UseKind string

const (
	Parked      UseKind = "parked"      // on, idle, at our word
	Mining      UseKind = "mining"      // Option says what
	Training    UseKind = "training"    // Job and Rank say what
	Draining    UseKind = "draining"    // the last workload is stopping, or its successor starting
	Probation   UseKind = "probation"   // proves itself after a fault
	Quarantined UseKind = "quarantined" // not to be used until a person or a test says so
	Foreign     UseKind = "foreign"     // held by a process that is not ours
	Offline     UseKind = "offline"     // known to be off
	Unknown     UseKind = "unknown"     // its node is silent: neither failed nor idle
)

// UseKinds lists every kind in display order.
var UseKinds = []UseKind{Training, Mining, Parked, Draining, Probation, Quarantined, Foreign, Offline, Unknown}

// Use is what a device does or shall do.
type Use struct {
	Kind   UseKind  `json:"kind"`
	Option OptionID `json:"option,omitempty"` // when Mining
	Job    JobID    `json:"job,omitempty"`    // when Training
	Rank   int      `json:"rank,omitempty"`   // when Training
}

// Same reports whether two uses need no change between them.
func (u Use) Same(v Use) bool { return u == v }

func (u Use) String() string {
	switch u.Kind {
	case Mining:
		return "mining " + string(u.Option)
	case Training:
		return fmt.Sprintf("training job %d", u.Job)
	case "":
		return string(Parked)
	default:
		return string(u.Kind)
	}
}

// Phase of a job moves only to the right, except Active -> Queued when an
// attempt ends and another is allowed; the last three are final.
//
//	Waiting (on other jobs) | Held (by a person) -> Queued -> Active -> Succeeded | Failed | Cancelled
//
// The log is the only writer.
type Phase string

const (
	Waiting   Phase = "waiting"
	Held      Phase = "held"
	Queued    Phase = "queued"
	Active    Phase = "active"
	Succeeded Phase = "succeeded"
	Failed    Phase = "failed"
	Cancelled Phase = "cancelled"
)

// Final reports whether a phase never changes again.
func (p Phase) Final() bool { return p == Succeeded || p == Failed || p == Cancelled }

// AttemptPhase is one way; an attempt is never reopened.
//
//	Reserved -> Starting -> Running -> Stopping -> Exited | Preempted | Lost
//
// Reserved: every device of the gang is granted and being freed; nothing of
// the job runs yet. Starting: all are free and the ranks may start. The log
// writes Reserved, Starting and Stopping; the agents' reports write the rest.
type AttemptPhase string

const (
	Reserved  AttemptPhase = "reserved"
	Starting  AttemptPhase = "starting"
	Running   AttemptPhase = "running"
	Stopping  AttemptPhase = "stopping"
	Exited    AttemptPhase = "exited"
	Preempted AttemptPhase = "preempted"
	Lost      AttemptPhase = "lost"
)

// Final reports whether the attempt is over.
func (p AttemptPhase) Final() bool { return p == Exited || p == Preempted || p == Lost }
