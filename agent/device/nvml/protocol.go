package nvml

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
)

// The agent and its helper speak frames over two pipes: four bytes of length,
// least significant first, then JSON. Requests are answered one by one, in
// order. The helper keeps nothing that matters: it may be killed at any byte.

// maxFrame bounds what either side believes.
const maxFrame = 1 << 20

type op string

const (
	opCount    op = "count"    // open the library and count devices
	opIdentify op = "identify" // index -> facts.UUID and PCI
	opDescribe op = "describe" // facts and reading of one device
	opSample   op = "sample"   // reading of one device
	opLimit    op = "limit"    // set the power limit, in mW
	opClocks   op = "clocks"   // lock or free clocks
	opListen   op = "listen"   // register for events of one device
	opEvents   op = "events"   // take what events there are
	opRelease  op = "release"  // let go of the library
)

type request struct {
	ID     uint64 `json:"id"`
	Op     op     `json:"op"`
	Index  int    `json:"index,omitempty"`
	UUID   string `json:"uuid,omitempty"`
	PCI    string `json:"pci,omitempty"` // as NVML wrote it
	Limit  uint32 `json:"limit,omitempty"`
	Core   uint32 `json:"core,omitempty"` // MHz
	Memory uint32 `json:"memory,omitempty"`
}

type reply struct {
	ID  uint64 `json:"id"`
	Ret int    `json:"ret"` // NVML's return code
	// Opening: the library could not be opened; Ret says why and Access what
	// the kernel says of the device node.
	Opening bool     `json:"opening,omitempty"`
	Access  string   `json:"access,omitempty"`
	Opened  int      `json:"opened,omitempty"` // how often the library was opened by this helper
	Driver  string   `json:"driver,omitempty"` // version of the kernel driver
	Count   int      `json:"count,omitempty"`
	Facts   *facts   `json:"facts,omitempty"`
	Reading *reading `json:"reading,omitempty"`
	Events  []event  `json:"events,omitempty"`
}

// facts change seldom.
type facts struct {
	UUID        string   `json:"uuid"`
	PCI         string   `json:"pci"`
	Name        string   `json:"name,omitempty"`
	Serial      string   `json:"serial,omitempty"`
	Minor       int      `json:"minor"`
	Memory      uint64   `json:"memory,omitempty"`
	Compute     string   `json:"compute,omitempty"` // capability, as 9.0
	DefaultMW   uint32   `json:"default_mw,omitempty"`
	MinMW       uint32   `json:"min_mw,omitempty"`
	MaxMW       uint32   `json:"max_mw,omitempty"`
	Persistence bool     `json:"persistence,omitempty"`
	ComputeMode int      `json:"compute_mode,omitempty"`
	MIG         bool     `json:"mig,omitempty"`
	MIGPending  bool     `json:"mig_pending,omitempty"`
	Instances   []string `json:"instances,omitempty"` // UUIDs of MIG instances
	Links       int      `json:"links,omitempty"`     // NVLinks that are up
	Peers       []string `json:"peers,omitempty"`     // bus addresses at their other ends
	ECC         *ecc     `json:"ecc,omitempty"`
	Rows        *rows    `json:"rows,omitempty"`
}

// ecc counts memory errors since the driver was loaded, and ever.
type ecc struct {
	Corrected, Uncorrected           uint64
	EverCorrected, EverUncorrectable uint64
}

type rows struct {
	Corrected, Uncorrected int
	Pending, Failed        bool
}

// reading is one measurement. What is nil the device did not tell.
type reading struct {
	PowerMW    *uint32 `json:"power_mw,omitempty"`
	LimitMW    *uint32 `json:"limit_mw,omitempty"`
	EnforcedMW *uint32 `json:"enforced_mw,omitempty"`
	EnergyMJ   *uint64 `json:"energy_mj,omitempty"` // since the driver was loaded
	Celsius    *uint32 `json:"celsius,omitempty"`
	GPU        *uint32 `json:"gpu,omitempty"` // percent
	MemoryUsed *uint64 `json:"memory_used,omitempty"`
	CoreMHz    *uint32 `json:"core_mhz,omitempty"`
	MemoryMHz  *uint32 `json:"memory_mhz,omitempty"`
	FanPercent *uint32 `json:"fan_percent,omitempty"`
	Throttle   *uint64 `json:"throttle,omitempty"` // bits of why clocks are held down
	Processes  []int   `json:"processes,omitempty"`
	Listed     bool    `json:"listed,omitempty"` // Processes is known
	// Worst is the gravest return code of all calls behind the reading.
	Worst int `json:"worst,omitempty"`
}

// event is one or more equal events of one device.
type event struct {
	UUID  string `json:"uuid"`
	Type  uint64 `json:"type"`
	Data  uint64 `json:"data"` // the Xid where Type says so
	Count int    `json:"count"`
}

func writeFrame(w io.Writer, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if len(body) > maxFrame {
		return fmt.Errorf("nvml: a frame of %d bytes", len(body))
	}
	frame := binary.LittleEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	_, err = w.Write(append(frame, body...))
	return err
}

func readFrame(r io.Reader, v any) error {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("nvml: a frame of %d bytes", n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}
