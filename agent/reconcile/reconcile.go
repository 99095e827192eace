// Package reconcile is the agent's decision: what a node does with the plans
// it is sent and the ends it observes. Step is a function of values; the agent
// executes its effects with real processes, scheduler/sim with virtual ones,
// so that one set of properties holds for both.
//
// The rules, in the order in which converge applies them:
//
//  1. A device never has two workloads: what runs is stopped first, and the
//     next one starts only when its end has been reported.
//  2. An assignment below the device's persisted epoch is refused; a higher
//     epoch is persisted before anything happens in its name.
//  3. Under Hold a device is freed, said to be free once, and left.
//  4. Mining goes on across grants of equal work; training belongs to one
//     epoch, as its checkpoint directory does.
//  5. Mining stops when the plan expires or a ban window opens, with or
//     without a leader, and by its lease without an agent; training is left to
//     the lease its shim enforces.
//  6. Training starts only under a plan that a leader has sent to this very
//     agent process, and never twice under one epoch.
package reconcile

import (
	"maps"
	"slices"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Now is the time of one step, by three clocks.
type Now struct {
	Wall workload.Instant // real clock of the node
	Boot time.Duration    // CLOCK_BOOTTIME
	// Market clock and its speed (market milliseconds per real millisecond);
	// zero Market means that the leader has not told it yet.
	Market workload.Instant
	Speed  int64
	// Late is how far the market clock may be ahead of Market, in market
	// milliseconds: the leader's word took some time to arrive.
	Late workload.Instant
}

// RunID names one start of one workload on this node, for good.
type RunID string

// RunPhase moves only forward.
type RunPhase uint8

const (
	RunStarting RunPhase = iota
	RunRunning
	RunStopping
)

// Run is one workload of this node that is not known to have ended. It is
// stored with the run, so that an agent that adopts it knows what it is.
type Run struct {
	ID         RunID                `json:"id"`
	Devices    []workload.DeviceID  `json:"devices"` // in rank order for training
	Epochs     []workload.Epoch     `json:"epochs"`  // of each device
	Kind       workload.UseKind     `json:"kind"`
	Option     workload.OptionID    `json:"option,omitempty"`
	Mine       *workload.MineOrder  `json:"mine,omitempty"`
	Train      *workload.TrainOrder `json:"train,omitempty"`
	Lease      time.Duration        `json:"lease"`
	StopGrace  time.Duration        `json:"stop_grace"`
	Try        int                  `json:"try,omitempty"` // failures before this start
	Phase      RunPhase             `json:"phase"`
	PID        int64                `json:"pid,omitempty"`
	StartTicks uint64               `json:"start_ticks,omitempty"`
	Deadline   time.Duration        `json:"deadline"` // of the lease, CLOCK_BOOTTIME
	Began      time.Duration        `json:"began"`    // CLOCK_BOOTTIME
}

// Epoch is the highest of the run's devices.
func (r Run) Epoch() workload.Epoch { return slices.Max(r.Epochs) }

// Attempt returns job and attempt, zero for mining.
func (r Run) Attempt() (workload.JobID, int) {
	if r.Train == nil {
		return 0, 0
	}
	return r.Train.Job, r.Train.Attempt
}

// Durable is what must survive the agent.
type Durable struct {
	Epochs map[workload.DeviceID]workload.Epoch `json:"epochs"` // highest ever acted on
	// Ended is the epoch under which a device's training has ended: it never
	// runs again under that one.
	Ended map[workload.DeviceID]workload.Epoch `json:"ended"`
	// Freed is the epoch for which a device has been said to be free.
	Freed  map[workload.DeviceID]workload.Epoch `json:"freed"`
	Serial uint64                               `json:"serial"` // highest plan obeyed
	Seq    uint64                               `json:"seq"`    // of the newest event
	Starts uint64                               `json:"starts"` // numbers runs
	Boot   workload.BootID                      `json:"boot"`
	// Begun are the live runs whose start has been reported, Closed the newest
	// whose end has been: an agent that dies between a report and the run
	// directory's release must not report again.
	Begun  map[RunID]bool `json:"begun"`
	Closed []RunID        `json:"closed"`
}

func (d Durable) clone() Durable {
	d.Epochs, d.Ended, d.Freed, d.Begun = maps.Clone(d.Epochs), maps.Clone(d.Ended), maps.Clone(d.Freed), maps.Clone(d.Begun)
	return d
}

// State of one node's reconciler. Its maps are replaced, never edited, so that
// an older State stays true.
type State struct {
	Durable
	Node workload.NodeID
	Plan *workload.NodePlan // newest obeyed; shared, never edited
	// Live is set once a leader has sent a plan to this agent process.
	Live  bool
	Runs  map[RunID]Run
	Heard time.Duration // when the newest acknowledged message was sent

	refused map[workload.DeviceID]workload.Epoch // refused already said
	waits   map[workload.DeviceID]wait
}

// wait is the back-off of a device whose mining keeps failing.
type wait struct {
	failures int
	until    time.Duration
}

// New returns the state of an agent that has just been started, before
// anything is known of its processes; Restarted must be its first event. plan
// is the newest plan obeyed before, or nil.
func New(node workload.NodeID, durable Durable, plan *workload.NodePlan) State {
	if durable.Epochs == nil {
		durable.Epochs = map[workload.DeviceID]workload.Epoch{}
	}
	if durable.Ended == nil {
		durable.Ended = map[workload.DeviceID]workload.Epoch{}
	}
	if durable.Freed == nil {
		durable.Freed = map[workload.DeviceID]workload.Epoch{}
	}
	if durable.Begun == nil {
		durable.Begun = map[RunID]bool{}
	}
	return State{Durable: durable, Node: node, Plan: plan, Runs: map[RunID]Run{}, Heard: -1,
		refused: map[workload.DeviceID]workload.Epoch{}, waits: map[workload.DeviceID]wait{}}
}

func (s State) clone() State {
	s.Durable = s.Durable.clone()
	s.Runs, s.refused, s.waits = maps.Clone(s.Runs), maps.Clone(s.refused), maps.Clone(s.waits)
	return s
}

// RunIDs lists the live runs in order.
func (s State) RunIDs() []RunID { return slices.Sorted(maps.Keys(s.Runs)) }

// RunOn finds the workload that holds a device.
func (s State) RunOn(d workload.DeviceID) (Run, bool) {
	for _, id := range s.RunIDs() {
		if slices.Contains(s.Runs[id].Devices, d) {
			return s.Runs[id], true
		}
	}
	return Run{}, false
}

// Expired reports whether the plan no longer gives permission for anything new.
func (s State) Expired(now Now) bool { return s.Plan == nil || now.Wall >= s.Plan.ExpiresAt }

// Banned reports whether mining must not run. The window opens earlier by the
// grace that stopping may take, so that all has stopped when it begins.
func (s State) Banned(now Now, grace time.Duration) bool {
	if s.Plan == nil || len(s.Plan.Bans) == 0 {
		return false
	}
	if now.Market == 0 {
		return true // the windows cannot be told: rather idle than in breach
	}
	ahead := now.Late + workload.Instant(grace.Milliseconds()*max(now.Speed, 1))
	for _, w := range s.Plan.Bans {
		if now.Market+ahead >= w.From && now.Market < w.Until {
			return true
		}
	}
	return false
}

// curfew is when mining has to begin to stop at the latest, by the boot clock: in
// time for the next ban, and when the plan expires. It goes into the lease, so
// that the shim keeps both though no agent is there to do so.
func (s State) curfew(now Now, grace time.Duration) time.Duration {
	if s.Plan == nil {
		return now.Boot
	}
	span := func(ms workload.Instant) time.Duration { return time.Duration(ms) * time.Millisecond }
	at := now.Boot + span(s.Plan.ExpiresAt-now.Wall)
	for _, w := range s.Plan.Bans {
		if now.Market < w.Until {
			at = min(at, now.Boot+span(w.From-now.Market-now.Late)/time.Duration(max(now.Speed, 1))-grace)
		}
	}
	return at
}
