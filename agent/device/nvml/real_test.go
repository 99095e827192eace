//go:build cgo && linux

package nvml

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/devicetest"
	"github.com/sluice-project/sluice/workload"
)

// TestRealGPU runs the conformance suite on the GPUs of this machine and writes
// what it saw. It changes power limits and clocks and puts them back.
func TestRealGPU(t *testing.T) {
	if os.Getenv("SLUICE_TEST_GPU") == "" {
		t.Skip("make test-gpu runs it where there is a GPU")
	}
	devicetest.Exercise(t, func(*testing.T) device.Driver { return New(Config{}) })
	d := New(Config{})
	defer d.Close()
	devices, err := d.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	type seen struct {
		workload.Device
		Sample workload.Sample
		Traits []device.Trait
	}
	var all []seen
	for _, dev := range devices {
		s := seen{Device: dev}
		if s.Sample, err = d.Sample(t.Context(), dev.UUID); err != nil {
			t.Error(err)
		}
		if s.Traits, err = d.Traits(t.Context(), dev.UUID); err != nil {
			t.Error(err)
		}
		all = append(all, s)
	}
	report, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", report)
	if path := os.Getenv("SLUICE_GPU_REPORT"); path != "" {
		if err := os.WriteFile(path, report, 0o644); err != nil {
			t.Error(err)
		}
	}
}
