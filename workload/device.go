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
	Failing  Health = "failing"  // must not be given work: it does not answer, or is gone
	// InQuarantine: held back after a fault until it was reset and tested, or a
	// person has looked at it. What runs on it is moved.
	InQuarantine Health = "quarantined"
	// OnProbation: back after a fault. It may mine, which risks minutes, and not
	// train, which risks a gang.
	OnProbation Health = "probation"
)

// Usable reports whether a device of that health may be given work.
func (h Health) Usable() bool { return h != Failing && h != InQuarantine }

// DriverState says how a driver itself fares.
type DriverState string

const (
	DriverOK           DriverState = "ok"
	DriverPartial      DriverState = "partial"      // works, and shows fewer devices than the machine has
	DriverAbsent       DriverState = "absent"       // no library or bus: normal on a node without such hardware
	DriverNotBuilt     DriverState = "not-built"    // this program was built without it
	DriverNotLoaded    DriverState = "not-loaded"   // the kernel part is not running
	DriverMismatch     DriverState = "mismatch"     // kernel and library are of different versions
	DriverDenied       DriverState = "denied"       // the agent lacks the right
	DriverIsolated     DriverState = "isolated"     // the container or cgroup has lost its devices
	DriverUnresponsive DriverState = "unresponsive" // calls do not return
	DriverFailed       DriverState = "failed"       // anything else
)

// DriverStatus is how one driver of a node fares.
type DriverStatus struct {
	Driver  string      `json:"driver"`
	State   DriverState `json:"state"`
	Devices int         `json:"devices"`
	Text    string      `json:"text,omitempty"`
	Next    string      `json:"next,omitempty"` // what a person may do
}

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
	// Code names the fault behind the health: "xid-79", "unresponsive", ...
	Code string `json:"code,omitempty"`
	// Foreign names processes that use the device and are not ours.
	Foreign string `json:"foreign,omitempty"`
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
