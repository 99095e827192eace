package serial

import "github.com/sluice-project/sluice/workload"

// Status is what is known of a chain: by whoever holds its port, or by a probe.
// Negative means not known.
type Status struct {
	Port     string           `json:"port"`
	Chip     string           `json:"chip"` // "bm1370"; "" = nothing has answered
	Chips    int              `json:"chips"`
	Expected int              `json:"expected_chips,omitempty"`
	Baud     int              `json:"baud"`
	KHz      int              `json:"khz,omitempty"`
	ZeroBits int              `json:"zero_bits"` // of every nonce; 32 in silicon
	At       workload.Instant `json:"at"`
	State    string           `json:"state"` // "bring-up", "mining", "no pool", "silent", "idle"
	Note     string           `json:"note,omitempty"`

	Hashrate         int64        `json:"hashrate"`           // milli-hashes/s, over five minutes or since mining began
	HashrateError    workload.PPM `json:"hashrate_error_ppm"` // one standard deviation
	ExpectedHashrate int64        `json:"expected_hashrate"`  // milli-hashes/s at this clock
	Nonces           uint64       `json:"nonces"`             // that hashed well
	HardwareErrors   uint64       `json:"hardware_errors"`    // that did not
	ErrorRate        workload.PPM `json:"hardware_error_ppm"` // of all nonces; -1 = none yet
	Duplicates       uint64       `json:"duplicates"`
	NoiseBytes       uint64       `json:"noise_bytes"`
	MilliC           int64        `json:"milli_c"`
	PerChip          []uint64     `json:"nonces_per_chip,omitempty"`
	BringUps         int          `json:"bring_ups"`

	Pool     string `json:"pool,omitempty"`
	Accepted int64  `json:"accepted"`
	Rejected int64  `json:"rejected"`
}

func unknownStatus(spec PortSpec, at workload.Instant) Status {
	return Status{Port: spec.Path, Chip: spec.Model, Expected: spec.Chips, ZeroBits: spec.base(), At: at,
		Hashrate: -1, HashrateError: -1, ExpectedHashrate: -1, ErrorRate: -1, MilliC: -1, Accepted: -1, Rejected: -1}
}
