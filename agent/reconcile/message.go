package reconcile

import (
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Event is something that happened: one of the types below.
type Event interface{ event() }

type (
	// Restarted is the first event of an agent process: what it found running.
	Restarted struct {
		Boot  workload.BootID
		Live  []Run
		Ended []RunEnd // ended while no agent was there
	}
	// RunEnd is one ended run with what is known of it.
	RunEnd struct {
		Run  Run
		Exit Exited
	}
	// PlanReceived carries a plan whose signature, cluster and node have been
	// verified. Heard is when the message was sent that the leader had
	// certainly seen when it sent the plan.
	PlanReceived struct {
		Plan  *workload.NodePlan
		Heard time.Duration
	}
	// Started says that a run's process is there.
	Started struct {
		Run        RunID
		PID        int64
		StartTicks uint64
	}
	// StartFailed says that a run has no process and will have none.
	StartFailed struct {
		Run  RunID
		Note string
	}
	// Exited says that a run's processes are gone, all of them.
	Exited struct {
		Run   RunID
		Code  int
		Cause string // order | lease | self | reboot
		Saved bool
		Note  string
	}
	// HeartbeatAcked carries when the acknowledged heartbeat was sent.
	HeartbeatAcked struct{ SentAt time.Duration }
	// Tick lets time pass.
	Tick struct{}
)

func (Restarted) event()      {}
func (PlanReceived) event()   {}
func (Started) event()        {}
func (StartFailed) event()    {}
func (Exited) event()         {}
func (HeartbeatAcked) event() {}
func (Tick) event()           {}

// Effect is something to do, in order: one of the types below.
type Effect interface{ effect() }

type (
	// Persist writes Durable (and the plan, where Plan is set) to disk, synced,
	// before the next effect is executed.
	Persist struct {
		Durable Durable
		Plan    bool
	}
	// Start starts a run. Its answer is Started or StartFailed.
	Start struct{ Run Run }
	// Stop asks a run to save and end and kills it after grace. Its answer is
	// Exited, or StartFailed where it had not started.
	Stop struct {
		Run    RunID
		Signal string // such as SIGTERM
		Grace  time.Duration
		Why    string
	}
	// Extend moves the lease of a run, and takes it over into an epoch. Within one
	// epoch it only ever moves it forward, unless Exact.
	Extend struct {
		Run      RunID
		Deadline time.Duration
		Epoch    workload.Epoch
		Exact    bool
	}
	// Adopt replaces the stored description of a run that a newer grant keeps.
	Adopt struct{ Run Run }
	// Emit reports to the leader, exactly once.
	Emit struct{ Report Report }
)

func (Persist) effect() {}
func (Start) effect()   {}
func (Stop) effect()    {}
func (Extend) effect()  {}
func (Adopt) effect()   {}
func (Emit) effect()    {}

// Kinds of reports.
const (
	Freed       = "freed"        // the device is empty for the epoch named
	DidStart    = "started"      // its process runs
	Stopped     = "stopped"      // ended by order or lease
	DidExit     = "exited"       // ended by itself, or with the machine
	StartFail   = "start_failed" // has no process
	DidRefuse   = "refused"      // the epoch named is below the persisted one
	CauseOrder  = "order"
	CauseLease  = "lease"
	CauseSelf   = "self"
	CauseReboot = "reboot"
)

// Report is one event for the leader about one device. A gang's workload is
// reported once for each device that it holds here, with the same figures.
type Report struct {
	Seq        uint64            `json:"seq"`
	Kind       string            `json:"kind"`
	Device     workload.DeviceID `json:"device"`
	Epoch      workload.Epoch    `json:"epoch"`
	Job        workload.JobID    `json:"job,omitempty"`
	Attempt    int               `json:"attempt,omitempty"`
	PID        int64             `json:"pid,omitempty"`
	StartTicks uint64            `json:"start_ticks,omitempty"`
	ExitCode   int               `json:"exit_code,omitempty"`
	Note       string            `json:"note,omitempty"`
	At         workload.Instant  `json:"at"`
	Saved      bool              `json:"saved,omitempty"`
	Cause      string            `json:"cause,omitempty"`
}
