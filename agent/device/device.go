// Package device is what the agent knows of hardware: the Driver interface,
// and a Set that gives each piece of hardware a lasting slot and keeps a device
// that hangs from delaying any other. Drivers live in packages below and share
// the conformance suite of package devicetest.
package device

import (
	"context"

	"github.com/sluice-project/sluice/workload"
)

// Driver speaks to one sort of hardware. Hardware is named by its UUID or
// serial number; slots and device ids are the Set's business. Every method is
// safe for concurrent use and gives up with its context where the hardware
// lets it.
type Driver interface {
	// Name is short and constant, such as "nvml".
	Name() string
	// Discover describes all hardware present; ID is left empty. An error means
	// that nothing is known, which is not the same as no devices: Unavailable
	// where the driver's library or bus is missing, Internal otherwise.
	Discover(ctx context.Context) ([]workload.Device, error)
	// Sample measures one device; Device is left empty, and what cannot be
	// measured is negative. NotFound: no such hardware (any more). Unavailable:
	// it does not answer.
	Sample(ctx context.Context, uuid string) (workload.Sample, error)
	// Close lets go of the hardware. It may be called twice.
	Close() error
}

// PowerCapper is a driver that can limit a device's power draw.
type PowerCapper interface {
	// SetPowerCap limits the draw in watts at the board, 0 meaning the default,
	// and returns the limit read back. Denied: the agent lacks the right.
	// Invalid: outside what the device accepts.
	SetPowerCap(ctx context.Context, uuid string, watts int64) (int64, error)
}

// Activity is what a device has been put to, for drivers that model it.
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

// DriverStatus is what is known of a driver itself. A driver that failed is
// reported with its error and never counts as a driver without devices.
type DriverStatus struct {
	Driver  string
	Devices int
	Err     error
}
