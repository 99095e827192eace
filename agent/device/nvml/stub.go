//go:build !cgo || !linux

package nvml

import (
	"context"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/workload"
)

// Driver reports that this build has no NVML.
type Driver struct{}

var _ device.Driver = (*Driver)(nil)

// New returns the stub.
func New() *Driver { return &Driver{} }

// Name implements device.Driver.
func (*Driver) Name() string { return "nvml" }

// Discover implements device.Driver.
func (*Driver) Discover(context.Context) ([]workload.Device, error) { return nil, ErrNotBuilt }

// Sample implements device.Driver.
func (*Driver) Sample(context.Context, string) (workload.Sample, error) {
	return workload.Sample{}, ErrNotBuilt
}

// Close implements device.Driver.
func (*Driver) Close() error { return nil }
