package workload

// DeviceKind tells general silicon from single-purpose silicon.
type DeviceKind string

const (
	GPU  DeviceKind = "gpu"
	ASIC DeviceKind = "asic"
)

// Health of a device as its driver last judged it.
type Health string

const (
	Healthy  Health = "healthy"
	Degraded Health = "degraded" // works, but something is wrong; see the note
	Failing  Health = "failing"  // must not be used
)

// Device is the slowly changing description of one piece of hardware.
type Device struct {
	ID     DeviceID   `json:"id"`
	UUID   string     `json:"uuid"` // from the hardware; simulated devices start with "sim-"
	Kind   DeviceKind `json:"kind"`
	Model  ModelName  `json:"model"`
	Memory int64      `json:"memory,omitempty"` // bytes
	Driver string     `json:"driver"`           // "nvml", "sim", ...
	Sim    bool       `json:"sim,omitempty"`    // simulated: its rate and money are modelled, and shown as such
	Health Health     `json:"health"`
	Note   string     `json:"note,omitempty"` // why the health is not healthy
}

// Trainable reports whether a training job can run on the device at all.
func (d Device) Trainable() bool { return d.Kind == GPU }

// Sample is one measurement of a device. Negative means not known: unknown
// stays unknown and never becomes zero.
type Sample struct {
	Device      DeviceID `json:"device"`
	At          Instant  `json:"at"`    // real clock of the node
	Watts       int64    `json:"watts"` // at the board
	MilliC      int64    `json:"milli_c"`
	Utilisation PPM      `json:"utilisation_ppm"`
	MemoryUsed  int64    `json:"memory_used"` // bytes
	Hashrate    int64    `json:"hashrate"`    // milli-hashes/s, modelled for simulated devices
	// Work of the real process behind a mining device.
	Accepted        int64 `json:"accepted"`         // shares
	Rejected        int64 `json:"rejected"`         // shares
	ProcessHashrate int64 `json:"process_hashrate"` // milli-hashes/s really computed
	Sim             bool  `json:"sim,omitempty"`
}

// UnknownSample returns a sample that claims nothing.
func UnknownSample(id DeviceID, at Instant) Sample {
	return Sample{Device: id, At: at, Watts: -1, MilliC: -1, Utilisation: -1, MemoryUsed: -1, Hashrate: -1, Accepted: -1, Rejected: -1, ProcessHashrate: -1}
}
