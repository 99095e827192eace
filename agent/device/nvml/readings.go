//go:build cgo && linux

package nvml

import (
	"fmt"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
)

// get keeps one figure that a device told, and the gravest code of those that
// it did not tell. Each figure stands alone: many cards lack some.
func get[T any](worst *int, into **T, v T, ret nvml.Return) {
	if ret == nvml.SUCCESS {
		*into = &v
		return
	}
	*worst = worse(*worst, int(ret))
}

// read asks for what changes. The order matters: memory first, as a card that
// fell off the bus says so there while some limits are still answered.
func (h *helper) read(dev nvml.Device) reading {
	var r reading
	if m, ret := dev.GetMemoryInfo(); ret == nvml.SUCCESS {
		r.MemoryUsed = &m.Used
	} else {
		r.Worst = worse(r.Worst, int(ret))
	}
	v, ret := dev.GetPowerUsage()
	get(&r.Worst, &r.PowerMW, v, ret)
	v, ret = dev.GetPowerManagementLimit()
	get(&r.Worst, &r.LimitMW, v, ret)
	v, ret = dev.GetEnforcedPowerLimit()
	get(&r.Worst, &r.EnforcedMW, v, ret)
	v, ret = dev.GetTemperature(nvml.TEMPERATURE_GPU)
	get(&r.Worst, &r.Celsius, v, ret)
	if u, ret := dev.GetUtilizationRates(); ret == nvml.SUCCESS {
		r.GPU = &u.Gpu
	} else {
		r.Worst = worse(r.Worst, int(ret))
	}
	v, ret = dev.GetClockInfo(nvml.CLOCK_SM)
	get(&r.Worst, &r.CoreMHz, v, ret)
	v, ret = dev.GetClockInfo(nvml.CLOCK_MEM)
	get(&r.Worst, &r.MemoryMHz, v, ret)
	if list, ret := dev.GetComputeRunningProcesses(); ret == nvml.SUCCESS {
		r.Listed = true
		for _, p := range list {
			r.Processes = append(r.Processes, int(p.Pid))
		}
		slices.Sort(r.Processes)
		r.Processes = slices.Compact(r.Processes)
	} else {
		r.Worst = worse(r.Worst, int(ret))
	}
	return r
}

type described struct {
	facts
	worst int
}

// describe asks for what seldom changes, and for the rarer figures of people.
func (h *helper) describe(dev nvml.Device, q request) described {
	d := described{facts: facts{UUID: q.UUID, PCI: q.PCI, Minor: -1}}
	ok := func(ret nvml.Return) bool {
		d.worst = worse(d.worst, int(ret))
		return ret == nvml.SUCCESS
	}
	if v, ret := dev.GetName(); ok(ret) {
		d.Name = v
	}
	if v, ret := dev.GetSerial(); ok(ret) {
		d.Serial = v
	}
	if v, ret := dev.GetMinorNumber(); ok(ret) {
		d.Minor = v
	}
	if v, ret := dev.GetMemoryInfo(); ok(ret) {
		d.Memory = v.Total
	}
	if major, minor, ret := dev.GetCudaComputeCapability(); ok(ret) {
		d.Compute = fmt.Sprintf("%d.%d", major, minor)
	}
	if v, ret := dev.GetPowerManagementDefaultLimit(); ok(ret) {
		d.DefaultMW = v
	}
	if low, high, ret := dev.GetPowerManagementLimitConstraints(); ok(ret) {
		d.MinMW, d.MaxMW = low, high
	}
	if v, ret := dev.GetPersistenceMode(); ok(ret) {
		d.Persistence = v == nvml.FEATURE_ENABLED
	}
	if v, ret := dev.GetComputeMode(); ok(ret) {
		d.ComputeMode = int(v)
	}
	h.describeMIG(dev, &d)
	h.describeLinks(dev, &d)
	h.describeMemory(dev, &d)
	return d
}

func (h *helper) describeMIG(dev nvml.Device, d *described) {
	if !h.has("nvmlDeviceGetMigMode") {
		return
	}
	current, pending, ret := dev.GetMigMode()
	if ret != nvml.SUCCESS {
		return
	}
	d.MIG, d.MIGPending = current == nvml.DEVICE_MIG_ENABLE, pending == nvml.DEVICE_MIG_ENABLE
	n, ret := dev.GetMaxMigDeviceCount()
	if !d.MIG || ret != nvml.SUCCESS {
		return
	}
	for i := range min(n, 16) {
		if instance, ret := dev.GetMigDeviceHandleByIndex(i); ret == nvml.SUCCESS {
			if uuid, ret := instance.GetUUID(); ret == nvml.SUCCESS {
				d.Instances = append(d.Instances, uuid)
			}
		}
	}
}

func (h *helper) describeLinks(dev nvml.Device, d *described) {
	if !h.has("nvmlDeviceGetNvLinkState") {
		return
	}
	for link := range nvml.NVLINK_MAX_LINKS {
		state, ret := dev.GetNvLinkState(link)
		if ret != nvml.SUCCESS {
			if ret != nvml.ERROR_INVALID_ARGUMENT {
				d.worst = worse(d.worst, int(ret))
			}
			break // fewer links than the library can count
		}
		if state != nvml.FEATURE_ENABLED {
			continue
		}
		d.Links++
		if pci, ret := dev.GetNvLinkRemotePciInfo(link); ret == nvml.SUCCESS {
			if peer := text(pci.BusId[:]); !slices.Contains(d.Peers, peer) {
				d.Peers = append(d.Peers, peer)
			}
		}
	}
	slices.Sort(d.Peers)
}

func (h *helper) describeMemory(dev nvml.Device, d *described) {
	var e ecc
	known := false
	for _, c := range []struct {
		into *uint64
		kind nvml.MemoryErrorType
		span nvml.EccCounterType
	}{{&e.Corrected, nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.VOLATILE_ECC}, {&e.Uncorrected, nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.VOLATILE_ECC},
		{&e.EverCorrected, nvml.MEMORY_ERROR_TYPE_CORRECTED, nvml.AGGREGATE_ECC}, {&e.EverUncorrectable, nvml.MEMORY_ERROR_TYPE_UNCORRECTED, nvml.AGGREGATE_ECC}} {
		v, ret := dev.GetTotalEccErrors(c.kind, c.span)
		if ret == nvml.SUCCESS {
			*c.into, known = v, true
		}
	}
	if known {
		d.ECC = &e
	}
	if h.has("nvmlDeviceGetRemappedRows") {
		if corrected, uncorrected, pending, failed, ret := dev.GetRemappedRows(); ret == nvml.SUCCESS {
			d.Rows = &rows{Corrected: corrected, Uncorrected: uncorrected, Pending: pending, Failed: failed}
		}
	}
}

// extras asks for what only people read.
func (h *helper) extras(dev nvml.Device, r *reading) {
	v, ret := dev.GetFanSpeed()
	get(&r.Worst, &r.FanPercent, v, ret)
	energy, ret := dev.GetTotalEnergyConsumption()
	get(&r.Worst, &r.EnergyMJ, energy, ret)
	if h.has("nvmlDeviceGetCurrentClocksEventReasons") {
		bits, ret := dev.GetCurrentClocksEventReasons()
		get(&r.Worst, &r.Throttle, bits, ret)
	} else if h.has("nvmlDeviceGetCurrentClocksThrottleReasons") {
		bits, ret := dev.GetCurrentClocksThrottleReasons()
		get(&r.Worst, &r.Throttle, bits, ret)
	}
}
