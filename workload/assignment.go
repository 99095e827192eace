package workload

import "time"

// Assignment is one device's grant as an agent receives it. The agent acts on
// it only if Epoch is not below the highest it has persisted for the device.
type Assignment struct {
	Device DeviceID `json:"device"`
	Epoch  Epoch    `json:"epoch"`
	Use    Use      `json:"use"` // Parked, Mining or Training
	// Hold tells the agent to free the device (stop what runs) but not to start
	// Use yet: other devices of the gang are still being freed.
	Hold bool `json:"hold,omitempty"`
	// Lease is how long the workload may run after the leader was last heard;
	// StopGrace how long it may take to stop after that.
	Lease     time.Duration `json:"lease"`
	StopGrace time.Duration `json:"stop_grace"`
	Mine      *MineOrder    `json:"mine,omitempty"`
	Train     *TrainOrder   `json:"train,omitempty"`
}

// MineOrder says what to mine and with what.
type MineOrder struct {
	Coin      CoinName `json:"coin"`
	Algorithm string   `json:"algorithm"`
	Pool      PoolName `json:"pool"`
	Endpoints []string `json:"endpoints"` // in order of preference
	Wallet    string   `json:"wallet"`    // address or account
	Miner     string   `json:"miner"`     // catalogue entry
	Command   []string `json:"command"`   // with the placeholders of package workload/mining
	PowerCap  int64    `json:"power_cap,omitempty"`
	Hashrate  int64    `json:"hashrate"` // milli-hashes/s the profile expects
	Watts     int64    `json:"watts"`    // at the board, as the profile expects
}

// TrainOrder says which rank of which attempt to run and where the others are.
type TrainOrder struct {
	Job     JobID `json:"job"`
	Attempt int   `json:"attempt"` // from 1
	Spec    Spec  `json:"spec"`
	Rank    int   `json:"rank"` // of this device
	World   int   `json:"world"`
	// Devices of the gang in rank order.
	Devices []DeviceID `json:"devices"`
	Master  string     `json:"master"` // host of rank 0's node
	Watts   int64      `json:"watts"`  // at the board, as the profile expects
}

// Checkpoint subdirectories and environment of an attempt are derived in
// package workload/training from the order alone.

// NodePlan is everything one node shall do, complete, as the leader signs it.
// A node alone keeps obeying its newest plan until ExpiresAt; after that it
// falls back to parking what mines, and the shims' leases end what trains.
type NodePlan struct {
	Cluster string `json:"cluster"`
	Node    NodeID `json:"node"`
	// Serial is the log index of the state the plan was drawn from. An agent
	// refuses a plan whose serial is lower than one it has obeyed.
	Serial      uint64       `json:"serial"`
	IssuedAt    Instant      `json:"issued_at"`  // real clock of the leader
	ExpiresAt   Instant      `json:"expires_at"` // real clock
	Assignments []Assignment `json:"assignments"`
	// Bans are the windows in which this node must not mine, by the market
	// clock, for as far ahead as the plan lives.
	Bans []Window `json:"bans,omitempty"`
}

// Window is a span of market time, Until excluded.
type Window struct {
	From  Instant `json:"from"`
	Until Instant `json:"until"`
	Name  string  `json:"name"` // of the calendar
}
