// Package device is what the agent knows of hardware: the Driver interface,
// and a Set that gives each piece of hardware a lasting slot and keeps a device
// that hangs from delaying any other. Drivers live in packages below and share
// the conformance suite of package devicetest.
package device

import (
	"context"
	"errors"
	"fmt"

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

// DriverStatus is what is known of a driver itself. A driver that failed is
// reported with its error and never counts as a driver without devices.
type DriverStatus struct {
	Driver  string
	Devices int
	Err     error
	// Missing counts hardware that the machine has and the driver cannot see.
	Missing int
}

// Report turns a status into what the scheduler and people are told.
func (s DriverStatus) Report() workload.DriverStatus {
	r := workload.DriverStatus{Driver: s.Driver, State: workload.DriverOK, Devices: s.Devices}
	if s.Err != nil {
		r.State, r.Text = workload.DriverFailed, s.Err.Error()
		var open *OpenError
		if errors.As(s.Err, &open) {
			r.State = open.State
		}
		var e *workload.Error
		if errors.As(s.Err, &e) {
			r.Next = e.Next
		}
	} else if s.Missing > 0 {
		r.State = workload.DriverPartial
		r.Text = fmt.Sprintf("the machine has %d more devices than the driver shows", s.Missing)
		r.Next = "look into the kernel log; reseat the card or reboot when the node is empty"
	}
	return r
}

// OpenError is why a driver cannot work at all, with a state of its own.
type OpenError struct {
	State workload.DriverState
	Err   *workload.Error
}

func (e *OpenError) Error() string { return e.Err.Error() }

// Unwrap gives the error kind and the next step.
func (e *OpenError) Unwrap() error { return e.Err }

// Counter is a driver that can tell how much hardware of its sort the machine
// has, by other means than the driver's own library.
type Counter interface {
	Expected() (n int, known bool)
}
