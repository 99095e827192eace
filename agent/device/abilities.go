package device

import (
	"context"

	"github.com/sluice-project/sluice/workload"
)

// The abilities below are what a driver may offer beyond Driver. Each is asked
// for by type assertion, so that a driver never has to say that it cannot.
//
// Common to all: a setting is read before it is written, verified by reading
// it again (or by what the device then does), and put back where the two
// differ; see Change. Errors: NotFound for hardware the driver does not have,
// Denied where the agent lacks the right, Invalid for what the device cannot
// do, Unavailable where it does not answer or does something else than it was
// told.

// PowerCapper is a driver that can limit a device's power draw.
type PowerCapper interface {
	// SetPowerCap limits the draw in watts at the board, 0 meaning the default,
	// and returns the limit read back. A limit outside what the device accepts
	// is Invalid.
	SetPowerCap(ctx context.Context, uuid string, watts int64) (int64, error)
}

// Clocks are limits in MHz; 0 means the device's own choice.
type Clocks struct{ Core, Memory int64 }

// ClockSetter is a driver that can fix a device's clocks.
type ClockSetter interface {
	SetClocks(ctx context.Context, uuid string, want Clocks) (Clocks, error)
}

// Sleeper is a driver that can stop a device's work and most of its draw
// without cutting its mains, and bring it back. Both return once the effect
// was observed.
type Sleeper interface {
	Sleep(ctx context.Context, uuid string) error
	Wake(ctx context.Context, uuid string) error
}

// Pool is one entry of a device's own list of pools, in order of preference.
type Pool struct {
	URL      string // scheme://host:port
	User     string
	Password string // write only: reading may give an empty one
}

// PoolSwitcher is a driver of devices that mine by themselves.
type PoolSwitcher interface {
	Pools(ctx context.Context, uuid string) ([]Pool, error)
	// SetPools replaces the list and returns the one read back.
	SetPools(ctx context.Context, uuid string, pools []Pool) ([]Pool, error)
}

// Identifier is a driver that can make a device show itself to the person who
// stands before it, by a light.
type Identifier interface {
	Identify(ctx context.Context, uuid string, on bool) error
}

// Resetter is a driver that can reset one device. Conflict: something still
// uses the device, or a reset would reach a neighbour.
type Resetter interface {
	Reset(ctx context.Context, uuid string) error
}

// Tester is a driver that can tell whether a device is fit after a fault.
type Tester interface {
	SelfTest(ctx context.Context, uuid string) error
}

// Classes of faults.
const (
	FaultXid   = "xid"   // an error that NVIDIA's kernel driver numbers
	FaultState = "state" // what a driver concluded; Text begins with the code
)

// Fault is something a device or the kernel said about it.
type Fault struct {
	UUID  string
	Class string // FaultXid or FaultState
	Code  int    // within the class
	Count int    // how many of the same were told at once, at least 1
	Text  string
	At    workload.Instant // real clock of the node
}

// Watcher is a driver that hears of faults by itself. Watch blocks until the
// context ends; tell must not block for long. Repeats may be told as one.
type Watcher interface {
	Watch(ctx context.Context, tell func(Fault)) error
}

// Activity is what a device has been put to.
type Activity struct {
	Use      workload.UseKind
	Hashrate int64 // milli-hashes/s expected
	Watts    int64 // at the board, expected
}

// UseSetter is a driver that wants to know what its devices do.
type UseSetter interface {
	SetUse(uuid string, a Activity)
}

// Tenants is a driver that can tell which processes use a device.
type Tenants interface {
	// Processes lists process ids of the host.
	Processes(ctx context.Context, uuid string) ([]int, error)
}

// Trait is one further fact about a device, for people: "pci", "nvlink", ...
type Trait struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Describer is a driver that knows more of a device than the scheduler needs.
type Describer interface {
	Traits(ctx context.Context, uuid string) ([]Trait, error)
}

// Support is one row of what a driver can drive, printed by the program.
type Support struct {
	Hardware  string   `json:"hardware"`
	Reads     []string `json:"reads"`
	Abilities []string `json:"abilities"`
	Note      string   `json:"note,omitempty"`
}

// Catalogue is a driver that can list what it supports without hardware.
type Catalogue interface{ Supports() []Support }

// Abilities names what a driver offers, in a fixed order.
func Abilities(d Driver) []string {
	var names []string
	add := func(name string, ok bool) {
		if ok {
			names = append(names, name)
		}
	}
	_, ok := d.(PowerCapper)
	add("cap-power", ok)
	_, ok = d.(ClockSetter)
	add("set-clocks", ok)
	_, ok = d.(Sleeper)
	add("sleep", ok)
	_, ok = d.(PoolSwitcher)
	add("switch-pool", ok)
	_, ok = d.(Identifier)
	add("identify", ok)
	_, ok = d.(Resetter)
	add("reset", ok)
	_, ok = d.(Tester)
	add("self-test", ok)
	_, ok = d.(Watcher)
	add("faults", ok)
	_, ok = d.(Tenants)
	add("tenants", ok)
	return names
}
