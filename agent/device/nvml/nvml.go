//go:build cgo && linux

package nvml

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/workload"
)

// library is the part of go-nvml that finds devices; tests replace it.
type library interface {
	Init() nvml.Return
	Shutdown() nvml.Return
	DeviceGetCount() (int, nvml.Return)
	DeviceGetHandleByIndex(int) (nvml.Device, nvml.Return)
}

// Driver speaks to NVIDIA GPUs. A call into the library can hang with the
// kernel driver; the Set that owns the Driver bounds each call, and no lock is
// held across one, so that a hung GPU delays none of the others.
type Driver struct {
	lib library

	mu      sync.Mutex
	started bool
	closed  bool
	handles map[string]nvml.Device // by UUID
}

var (
	_ device.Driver      = (*Driver)(nil)
	_ device.PowerCapper = (*Driver)(nil)
	_ device.Tenants     = (*Driver)(nil)
)

// New returns a driver; nothing is loaded before Discover.
func New() *Driver { return newDriver(nvml.New()) }

func newDriver(lib library) *Driver { return &Driver{lib: lib, handles: map[string]nvml.Device{}} }

// Name implements device.Driver.
func (d *Driver) Name() string { return "nvml" }

func (d *Driver) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return workload.Errorf(workload.Unavailable, "nvml is closed")
	}
	if d.started {
		return nil
	}
	switch ret := d.lib.Init(); ret {
	case nvml.SUCCESS:
		d.started = true
		return nil
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return ErrNoLibrary
	default:
		return failure("start", ret)
	}
}

// Discover implements device.Driver.
func (d *Driver) Discover(ctx context.Context) ([]workload.Device, error) {
	if err := d.start(); err != nil {
		return nil, err
	}
	n, ret := d.lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return nil, failure("count devices", ret)
	}
	handles := map[string]nvml.Device{}
	var devices []workload.Device
	for i := range n {
		if err := ctx.Err(); err != nil {
			return nil, workload.Errorf(workload.Unavailable, "nvml: %w", err)
		}
		handle, ret := d.lib.DeviceGetHandleByIndex(i)
		if ret != nvml.SUCCESS {
			// A GPU that has fallen off the bus has no handle and so no name. It
			// must not take its neighbours along: what was known of it stays in
			// the set, as failing.
			continue
		}
		uuid, ret := handle.GetUUID()
		if ret != nvml.SUCCESS || uuid == "" {
			continue
		}
		devices = append(devices, describe(handle, uuid))
		handles[uuid] = handle
	}
	if len(devices) == 0 && n > 0 {
		return nil, workload.Errorf(workload.Internal, "nvml: %d devices are there and none answers", n)
	}
	d.mu.Lock()
	d.handles = handles
	d.mu.Unlock()
	return devices, nil
}

func describe(handle nvml.Device, uuid string) workload.Device {
	dev := workload.Device{UUID: uuid, Kind: workload.GPU, Driver: "nvml", Health: workload.Healthy}
	name, ret := handle.GetName()
	dev.Model = workload.ModelName(strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(name, "NVIDIA "), "GeForce ")))
	if ret != nvml.SUCCESS || dev.Model == "" {
		dev.Model = "unknown"
	}
	memory, ret := handle.GetMemoryInfo()
	if ret == nvml.SUCCESS {
		dev.Memory = int64(min(memory.Total, 1<<62))
	}
	// A lost GPU still answers some calls: two are asked before it counts as
	// healthy.
	_, power := handle.GetPowerUsage()
	for _, ret := range []nvml.Return{ret, power} {
		if health, note := judge(ret); health != workload.Healthy {
			dev.Health, dev.Note = health, note
		}
	}
	return dev
}

// judge turns a return code into the health of the device that gave it.
func judge(ret nvml.Return) (workload.Health, string) {
	switch ret {
	case nvml.SUCCESS, nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_NO_PERMISSION, nvml.ERROR_NO_DATA:
		return workload.Healthy, ""
	case nvml.ERROR_GPU_IS_LOST:
		return workload.Failing, "the GPU has fallen off the bus; it needs a reset or a reboot"
	case nvml.ERROR_RESET_REQUIRED:
		return workload.Failing, "the GPU asks for a reset"
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return workload.Failing, "the driver was upgraded under way; reload it or reboot"
	case nvml.ERROR_IRQ_ISSUE:
		return workload.Failing, "the kernel reports an interrupt fault"
	default:
		return workload.Degraded, fmt.Sprintf("nvml answers with code %d", ret)
	}
}

func (d *Driver) handle(uuid string) (nvml.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, workload.Errorf(workload.Unavailable, "nvml is closed")
	}
	h, ok := d.handles[uuid]
	if !ok {
		return nil, workload.Errorf(workload.NotFound, "nvml knows no GPU %q", uuid)
	}
	return h, nil
}

// Sample implements device.Driver.
func (d *Driver) Sample(ctx context.Context, uuid string) (workload.Sample, error) {
	s := workload.UnknownSample("", workload.Instant(time.Now().UnixMilli()))
	h, err := d.handle(uuid)
	if err != nil {
		return s, err
	}
	// Each figure stands alone: GeForce cards lack some, and that is no fault.
	var last nvml.Return
	known := 0
	keep := func(ret nvml.Return) bool {
		if ret == nvml.SUCCESS {
			known++
			return true
		}
		last = ret
		return false
	}
	if milliwatts, ret := h.GetPowerUsage(); keep(ret) {
		s.Watts = (int64(milliwatts) + 500) / 1000
	}
	if celsius, ret := h.GetTemperature(nvml.TEMPERATURE_GPU); keep(ret) {
		s.MilliC = int64(celsius) * 1000
	}
	if u, ret := h.GetUtilizationRates(); keep(ret) {
		s.Utilisation = workload.PPM(min(u.Gpu, 100)) * 10_000
	}
	if m, ret := h.GetMemoryInfo(); keep(ret) {
		s.MemoryUsed = int64(min(m.Used, 1<<62))
	}
	if known == 0 {
		return s, failure("sample "+uuid, last)
	}
	return s, ctx.Err()
}

// Processes implements device.Tenants.
func (d *Driver) Processes(_ context.Context, uuid string) ([]int, error) {
	h, err := d.handle(uuid)
	if err != nil {
		return nil, err
	}
	list, ret := h.GetComputeRunningProcesses()
	if ret != nvml.SUCCESS {
		return nil, failure("processes of "+uuid, ret)
	}
	pids := make([]int, len(list))
	for i, p := range list {
		pids[i] = int(p.Pid)
	}
	return pids, nil
}

// SetPowerCap implements device.PowerCapper. The library clamps or refuses in
// silence on some cards, so the limit is read back.
func (d *Driver) SetPowerCap(_ context.Context, uuid string, watts int64) (int64, error) {
	h, err := d.handle(uuid)
	if err != nil {
		return 0, err
	}
	if watts == 0 {
		def, ret := h.GetPowerManagementDefaultLimit()
		if ret != nvml.SUCCESS {
			return 0, failure("default power limit", ret)
		}
		watts = int64(def) / 1000
	} else if low, high, ret := h.GetPowerManagementLimitConstraints(); ret == nvml.SUCCESS && (watts*1000 < int64(low) || watts*1000 > int64(high)) {
		return 0, workload.Errorf(workload.Invalid, "a cap of %d W is outside %d to %d W", watts, low/1000, high/1000)
	}
	if ret := h.SetPowerManagementLimit(uint32(watts * 1000)); ret != nvml.SUCCESS {
		return 0, failure("set power limit", ret)
	}
	got, ret := h.GetPowerManagementLimit()
	if ret != nvml.SUCCESS {
		return 0, failure("read power limit back", ret)
	}
	return int64(got) / 1000, nil
}

func failure(what string, ret nvml.Return) error {
	kind := workload.Unavailable
	switch ret {
	case nvml.ERROR_NO_PERMISSION:
		kind = workload.Denied
	case nvml.ERROR_INVALID_ARGUMENT, nvml.ERROR_NOT_SUPPORTED:
		kind = workload.Invalid
	case nvml.ERROR_NOT_FOUND, nvml.ERROR_GPU_NOT_FOUND:
		kind = workload.NotFound
	}
	_, note := judge(ret)
	if note == "" {
		note = fmt.Sprintf("nvml answers with code %d", ret)
	}
	return workload.Errorf(kind, "nvml: %s: %s", what, note)
}

// Close implements device.Driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.started && !d.closed {
		d.lib.Shutdown()
	}
	d.closed = true
	return nil
}
