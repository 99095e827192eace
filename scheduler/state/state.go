package state

import (
	"encoding/json"
	"io"
	"maps"
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// State is the replicated state. Only Apply changes it; readers take a View.
type State struct {
	Index uint64           `json:"index"` // last applied log index
	At    workload.Instant `json:"at"`    // market clock of the log
	Wall  workload.Instant `json:"wall"`  // real clock of the log

	Policy   *config.Set `json:"policy"`
	Revision int64       `json:"revision"`

	Quotes  market.Quotes                `json:"quotes"`
	Nodes   map[workload.NodeID]Node     `json:"nodes"`
	Devices map[workload.DeviceID]Device `json:"devices"`
	Jobs    map[workload.JobID]Job       `json:"jobs"`
	NextJob workload.JobID               `json:"next_job"`
	// Waiting lists the jobs in phase Waiting, ascending.
	Waiting []workload.JobID `json:"waiting,omitempty"`
	// Finished lists the jobs in a final phase, the earliest end first.
	Finished []workload.JobID           `json:"finished,omitempty"`
	Plan     PlanRecord                 `json:"plan"`
	Servers  map[string]ServerAnnounced `json:"servers"`
	Tokens   map[string]Token           `json:"tokens"`
	Bearers  map[string]BearerIssued    `json:"bearers"`
	// Requests remembers the results of a day of log time, RequestOrder their
	// age, oldest first.
	Requests     map[string]Request `json:"requests"`
	RequestOrder []string           `json:"request_order"`
	// RequestFloor is the date up to which requests were forgotten early.
	RequestFloor workload.Instant `json:"request_floor,omitempty"`

	Book *ledger.Book `json:"book"`

	memo *memo // derived, never saved; nil in a View
}

// Node is one machine.
type Node struct {
	ID       workload.NodeID   `json:"id"`
	Site     workload.SiteName `json:"site"`
	Hall     workload.HallName `json:"hall,omitempty"`
	Rack     workload.RackName `json:"rack,omitempty"`
	Boot     workload.BootID   `json:"boot"`
	Instance string            `json:"instance"`
	Version  string            `json:"version"`
	Address  string            `json:"address"`
	Sim      bool              `json:"sim,omitempty"`
	Silent   bool              `json:"silent,omitempty"` // not heard: its devices are unknown
	// Fenced is the boot that a person declared over, FencedBy who did. While it
	// is still the node's own, nothing that the node says makes its devices known.
	Fenced   workload.BootID `json:"fenced,omitempty"`
	FencedBy string          `json:"fenced_by,omitempty"`
	LastSeq  uint64          `json:"last_seq"` // newest journal event taken
	// Devices lists the node's devices in order of slot, absent ones too.
	Devices []workload.DeviceID `json:"devices"`
	// Drivers is how the node's drivers fare, by the node's own account.
	Drivers []workload.DriverStatus `json:"drivers,omitempty"`
	// Touched is the log index of the last change to the node's orders.
	Touched uint64 `json:"touched"`
}

// Device is one device, what it does (Use) and what it is ordered to do
// (Assigned, under Epoch). The two differ while a change is under way.
type Device struct {
	workload.Device
	Node workload.NodeID   `json:"node"`
	Site workload.SiteName `json:"site"`
	Hall workload.HallName `json:"hall,omitempty"`
	Rack workload.RackName `json:"rack,omitempty"`

	Use   workload.Use     `json:"use"`
	Since workload.Instant `json:"since"` // market clock; of Use

	Assigned   workload.Use     `json:"assigned"`
	Epoch      workload.Epoch   `json:"epoch"`
	AssignedAt workload.Instant `json:"assigned_at"` // market clock
	Work       Work             `json:"work"`
	Reason     workload.Reason  `json:"reason"`
	Plan       uint64           `json:"plan,omitempty"` // log index of the plan that assigned it

	Busy bool  `json:"busy,omitempty"` // some workload of ours runs on it
	Pid  int64 `json:"pid,omitempty"`
	// Failures counts starts that failed in a row; NotBefore is when the
	// decision may use the device for work again.
	Failures  int              `json:"failures,omitempty"`
	NotBefore workload.Instant `json:"not_before,omitempty"` // real clock
	// Leaving is the job whose attempt was told to leave the device and is not
	// yet known to have gone.
	Leaving workload.JobID `json:"leaving,omitempty"`
}

// Settled reports whether the device does what it is ordered to do.
func (d Device) Settled() bool { return d.Use == d.Assigned }

// Usable reports whether the decision may give the device work.
func (d Device) Usable() bool {
	return d.Health.Usable() && d.Foreign == "" && d.Use.Kind != workload.Unknown && d.Use.Kind != workload.Offline &&
		d.Use.Kind != workload.Foreign && d.Use.Kind != workload.Quarantined
}

// Job is one AI job with the history of its attempts.
type Job struct {
	ID        workload.JobID   `json:"id"`
	Spec      workload.Spec    `json:"spec"`
	YAML      string           `json:"yaml,omitempty"`
	Actor     string           `json:"actor"`
	Phase     workload.Phase   `json:"phase"`
	Reason    workload.Reason  `json:"reason"`
	Submitted workload.Instant `json:"submitted"` // market clock
	// Queued is when a job that waited on others joined the queue; 0 = when it
	// was submitted.
	Queued  workload.Instant `json:"queued,omitempty"`
	Started workload.Instant `json:"started,omitempty"`
	Ended   workload.Instant `json:"ended,omitempty"`
	// Attempts are the newest AttemptsKept; Number counts on.
	Attempts []Attempt `json:"attempts,omitempty"`
	// NotBefore backs a job off after failed starts, by the real clock.
	NotBefore workload.Instant `json:"not_before,omitempty"`
	Failures  int              `json:"failures,omitempty"` // attempts that failed
	ExitCode  int              `json:"exit_code,omitempty"`
	// CheckpointNodes are the nodes that may hold its checkpoints.
	CheckpointNodes []workload.NodeID `json:"checkpoint_nodes,omitempty"`
}

// Attempt is one run of a job; it is never reopened.
type Attempt struct {
	Number  int                   `json:"number"`
	Phase   workload.AttemptPhase `json:"phase"`
	Epoch   workload.Epoch        `json:"epoch"`
	Devices []workload.DeviceID   `json:"devices"` // in rank order
	// Freed, Up and Done mark devices, by position: ready, running, ended.
	Freed   []bool           `json:"freed"`
	Up      []bool           `json:"up"`
	Done    []bool           `json:"done"`
	Created workload.Instant `json:"created"` // market clock
	Started workload.Instant `json:"started,omitempty"`
	Ended   workload.Instant `json:"ended,omitempty"`
	Code    int              `json:"code,omitempty"` // the first exit code that is not 0
	Saved   bool             `json:"saved,omitempty"`
	Reason  workload.Reason  `json:"reason"`
	// Preempted: told to stop for a better use, so its end is no failure.
	Preempted bool `json:"preempted,omitempty"`
}

// Current returns the newest attempt, or false when there is none.
func (j Job) Current() (Attempt, bool) {
	if len(j.Attempts) == 0 {
		return Attempt{}, false
	}
	return j.Attempts[len(j.Attempts)-1], true
}

// PlanRecord is the last plan that applied.
type PlanRecord struct {
	ID uint64           `json:"id"` // log index
	At workload.Instant `json:"at"` // market clock
	PlanSummary
	Moves int `json:"moves"`
}

// Token is a join token as stored.
type Token struct {
	TokenIssued
	UsedBy string `json:"used_by,omitempty"`
}

// Request is a remembered result.
type Request struct {
	Index  uint64           `json:"index"`
	Wall   workload.Instant `json:"wall"`
	Result Result           `json:"result"`
}

const (
	// MaxLeap is how far one command may move the log's clocks.
	MaxLeap = 366 * 24 * workload.HourMillis
	// FinishedKept is about how many ended jobs the state remembers (at most a
	// tenth more), AttemptsKept how many attempts of one job.
	FinishedKept = 10_000
	AttemptsKept = 32
	// lastInstant is the end of the year 9999.
	lastInstant = 253_402_300_799_999
	// staleCheck is how often, in market time, yields are checked for staleness
	// where no quote comes.
	staleCheck = 60_000
)

// New returns the state before any command.
func New() *State {
	return &State{
		Policy: config.NewSet(), Quotes: market.Quotes{}, Nodes: map[workload.NodeID]Node{}, Devices: map[workload.DeviceID]Device{},
		Jobs: map[workload.JobID]Job{}, NextJob: 1, Servers: map[string]ServerAnnounced{}, Tokens: map[string]Token{}, Bearers: map[string]BearerIssued{},
		Requests: map[string]Request{}, memo: &memo{},
	}
}

// DeviceIDs lists the devices in natural order: by node, then by slot. Every
// device stands in its node's list, which is in order already, so that only the
// nodes are sorted.
func (s *State) DeviceIDs() []workload.DeviceID {
	ids := make([]workload.DeviceID, 0, len(s.Devices))
	for _, node := range s.NodeIDs() {
		ids = append(ids, s.Nodes[node].Devices...)
	}
	return ids
}

// NodeIDs and JobIDs list ascending.
func (s *State) NodeIDs() []workload.NodeID { return slices.Sorted(maps.Keys(s.Nodes)) }
func (s *State) JobIDs() []workload.JobID   { return slices.Sorted(maps.Keys(s.Jobs)) }

// EnergyPrice is the price in force at a site, in micro-units per kWh.
func (s *State) EnergyPrice(site workload.SiteName) (microPerKWh int64, known bool) {
	if s.Book == nil {
		return 0, false
	}
	e := s.Book.Energy[site]
	return e.Now.MicroPerKWh, e.Now.Known
}

// Save writes the whole state; equal states give equal bytes.
func (s *State) Save(w io.Writer) error { return json.NewEncoder(w).Encode(s) }

// Load reads what Save wrote.
func Load(r io.Reader) (*State, error) {
	s := New()
	if err := json.NewDecoder(r).Decode(s); err != nil {
		return nil, workload.Errorf(workload.Internal, "cannot read a snapshot of the state: %w", err)
	}
	return s, nil
}
