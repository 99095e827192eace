package state

import (
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/workload"
)

// Plan is a decided round. It names only what changes. Parts with the same
// Group number above 0 apply all or not at all: a gang's start together with
// the stops and moves that make room for it.
type Plan struct {
	Basis uint64 `json:"basis"` // log index of the view it was decided on
	PlanSummary
	Stops    []Stop           `json:"stops,omitempty"`
	Moves    []Move           `json:"moves,omitempty"`
	Starts   []Start          `json:"starts,omitempty"`
	Waits    []Wait           `json:"waits,omitempty"`
	Reasons  []DeviceReason   `json:"reasons,omitempty"` // of devices that keep their use
	Baseline *ledger.Baseline `json:"baseline,omitempty"`
}

// PlanSummary is the certificate as people see it.
type PlanSummary struct {
	Stage     string        `json:"stage"`
	GapPPM    int64         `json:"gap_ppm"`
	Gap       workload.Rate `json:"gap"`
	Objective workload.Rate `json:"objective"`
	Bound     workload.Rate `json:"bound"`
	Micros    int64         `json:"micros"` // real time the decision took, as measured by the proposer
}

// Move changes the use of one device to mining or parked.
type Move struct {
	Group  int               `json:"group,omitempty"`
	Device workload.DeviceID `json:"device"`
	Epoch  workload.Epoch    `json:"epoch"` // the device's epoch the plan was decided on
	Use    workload.Use      `json:"use"`
	Work   Work              `json:"work"`
	Reason workload.Reason   `json:"reason"`
}

// Work is what a use will draw and earn, for the ledger.
type Work struct {
	Watts  int64               `json:"watts"` // at the meter
	Hash   int64               `json:"hash,omitempty"`
	Coin   workload.CoinName   `json:"coin,omitempty"`
	Rate   workload.Rate       `json:"rate,omitempty"`
	Tenant workload.TenantName `json:"tenant,omitempty"`
}

// Start grants a whole gang to a job's next attempt.
type Start struct {
	Group   int             `json:"group,omitempty"`
	Job     workload.JobID  `json:"job"`
	Devices []Seat          `json:"devices"` // in rank order
	Reason  workload.Reason `json:"reason"`
}

// Seat is one device of a gang.
type Seat struct {
	Device workload.DeviceID `json:"device"`
	Epoch  workload.Epoch    `json:"epoch"`
	Work   Work              `json:"work"`
}

// Stop preempts a running attempt.
type Stop struct {
	Group   int             `json:"group,omitempty"`
	Job     workload.JobID  `json:"job"`
	Attempt int             `json:"attempt"`
	Reason  workload.Reason `json:"reason"`
}

// Wait records why a job is not placed.
type Wait struct {
	Job    workload.JobID  `json:"job"`
	Reason workload.Reason `json:"reason"`
}

// DeviceReason records a changed reason for an unchanged use, and the work it
// now comes to (a new power mode or tariff figure is a move, not this).
type DeviceReason struct {
	Device workload.DeviceID `json:"device"`
	Epoch  workload.Epoch    `json:"epoch"`
	Reason workload.Reason   `json:"reason"`
}

// Refusal is a part of a plan that did not apply.
type Refusal struct {
	Device workload.DeviceID `json:"device,omitempty"`
	Job    workload.JobID    `json:"job,omitempty"`
	Text   string            `json:"text"`
}
