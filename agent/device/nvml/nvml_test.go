//go:build cgo && linux

package nvml

import (
	"errors"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/devicetest"
	"github.com/sluice-project/sluice/workload"
)

// fake is a library of two GPUs; calls that a test does not set panic, as the
// embedded interface is nil.
type fake struct {
	init  nvml.Return
	power nvml.Return
	cap   uint32
}

func (f *fake) Init() nvml.Return                  { return f.init }
func (f *fake) Shutdown() nvml.Return              { return nvml.SUCCESS }
func (f *fake) DeviceGetCount() (int, nvml.Return) { return 2, nvml.SUCCESS }
func (f *fake) DeviceGetHandleByIndex(i int) (nvml.Device, nvml.Return) {
	return gpu{fake: f, uuid: []string{"GPU-a", "GPU-b"}[i]}, nvml.SUCCESS
}

type gpu struct {
	nvml.Device
	fake *fake
	uuid string
}

func (g gpu) GetUUID() (string, nvml.Return) { return g.uuid, nvml.SUCCESS }
func (g gpu) GetName() (string, nvml.Return) { return "NVIDIA GeForce RTX 3080", nvml.SUCCESS }
func (g gpu) GetMemoryInfo() (nvml.Memory, nvml.Return) {
	return nvml.Memory{Total: 10 << 30, Used: 1 << 30}, nvml.SUCCESS
}
func (g gpu) GetPowerUsage() (uint32, nvml.Return) {
	if g.uuid == "GPU-b" {
		return 0, g.fake.power
	}
	return 279_400, nvml.SUCCESS
}
func (g gpu) GetTemperature(nvml.TemperatureSensors) (uint32, nvml.Return) { return 61, nvml.SUCCESS }
func (g gpu) GetUtilizationRates() (nvml.Utilization, nvml.Return) {
	return nvml.Utilization{}, nvml.ERROR_NOT_SUPPORTED
}
func (g gpu) GetComputeRunningProcesses() ([]nvml.ProcessInfo, nvml.Return) {
	return []nvml.ProcessInfo{{Pid: 77}}, nvml.SUCCESS
}
func (g gpu) GetPowerManagementDefaultLimit() (uint32, nvml.Return) { return 320_000, nvml.SUCCESS }
func (g gpu) GetPowerManagementLimitConstraints() (uint32, uint32, nvml.Return) {
	return 100_000, 350_000, nvml.SUCCESS
}
func (g gpu) SetPowerManagementLimit(mw uint32) nvml.Return {
	g.fake.cap = mw
	return nvml.SUCCESS
}
func (g gpu) GetPowerManagementLimit() (uint32, nvml.Return) { return g.fake.cap, nvml.SUCCESS }

func TestConformance(t *testing.T) {
	devicetest.Exercise(t, func(*testing.T) device.Driver { return newDriver(&fake{}) })
}

func TestFigures(t *testing.T) {
	d := newDriver(&fake{})
	devices, err := d.Discover(t.Context())
	if err != nil || devices[0].Model != "RTX 3080" || devices[0].Memory != 10<<30 {
		t.Fatalf("%+v, %v", devices, err)
	}
	s, err := d.Sample(t.Context(), "GPU-a")
	if err != nil || s.Watts != 279 || s.MilliC != 61_000 || s.MemoryUsed != 1<<30 || s.Utilisation != -1 || s.Hashrate != -1 {
		t.Errorf("%+v, %v: what a card does not support stays unknown", s, err)
	}
	if pids, err := d.Processes(t.Context(), "GPU-a"); err != nil || len(pids) != 1 || pids[0] != 77 {
		t.Errorf("processes %v, %v", pids, err)
	}
	if got, err := d.SetPowerCap(t.Context(), "GPU-a", 0); err != nil || got != 320 {
		t.Errorf("default cap %d, %v", got, err)
	}
}

func TestALostGPUFailsAlone(t *testing.T) {
	d := newDriver(&fake{power: nvml.ERROR_GPU_IS_LOST})
	devices, err := d.Discover(t.Context())
	if err != nil || len(devices) != 2 {
		t.Fatalf("%+v, %v", devices, err)
	}
	if devices[0].Health != workload.Healthy || devices[1].Health != workload.Failing || devices[1].Note == "" {
		t.Errorf("%+v", devices)
	}
}

func TestFailureToOpenIsAState(t *testing.T) {
	if _, err := newDriver(&fake{init: nvml.ERROR_LIBRARY_NOT_FOUND}).Discover(t.Context()); !errors.Is(err, ErrNoLibrary) {
		t.Errorf("no library: %v", err)
	}
	_, err := newDriver(&fake{init: nvml.ERROR_DRIVER_NOT_LOADED}).Discover(t.Context())
	if err == nil || errors.Is(err, ErrNoLibrary) || workload.KindOf(err) != workload.Unavailable {
		t.Errorf("driver not loaded: %v", err)
	}
}
