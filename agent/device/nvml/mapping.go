package nvml

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/workload"
)

// Figures beyond these are the driver's mistakes, not measurements.
const (
	maxMilliwatts = 20_000_000
	maxCelsius    = 150 // 255 is what some drivers say for "cannot read"
)

// describe turns what the helper read into a device.
func describe(f facts, r reading) workload.Device {
	d := workload.Device{UUID: f.UUID, Kind: workload.GPU, Driver: Name, Model: model(f.Name), Memory: int64(min(f.Memory, 1<<62)), Health: workload.Healthy}
	worst := judge(r.Worst)
	bad := func(h workload.Health, code, note string) { d.Health, d.Code, d.Note = h, code, note }
	switch {
	case worst.health == workload.Failing:
		bad(worst.health, worst.code, worst.note)
	case f.Rows != nil && f.Rows.Failed:
		bad(workload.Failing, health.CodeRows, "a memory row could not be remapped; the card needs service")
	case f.ECC != nil && f.ECC.Uncorrected > 0:
		bad(workload.Failing, health.CodeMemory, fmt.Sprintf("%d uncorrectable memory errors since the driver was loaded", f.ECC.Uncorrected))
	case f.MIG || f.MIGPending:
		bad(workload.Failing, health.CodeMIG, fmt.Sprintf("cut into %d MIG instances, which are not scheduled; switch MIG off to use the GPU", len(f.Instances)))
	case f.Rows != nil && f.Rows.Pending:
		bad(workload.Degraded, health.CodeRowsPending, "memory rows are remapped at the next reset")
	case worst.health == workload.Degraded:
		bad(worst.health, worst.code, worst.note)
	case f.ComputeMode == 2: // NVML_COMPUTEMODE_PROHIBITED
		bad(workload.Failing, "compute-prohibited", "its compute mode forbids any program; nvidia-smi -c DEFAULT")
	}
	return d
}

func model(name string) workload.ModelName {
	name = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(name), "NVIDIA "), "GeForce "))
	if name == "" {
		return "unknown"
	}
	return workload.ModelName(name)
}

// measure turns a reading into a sample; what is absurd stays unknown.
func measure(f facts, r reading, at workload.Instant) workload.Sample {
	s := workload.UnknownSample("", at)
	if r.PowerMW != nil && *r.PowerMW <= maxMilliwatts {
		s.Watts = (int64(*r.PowerMW) + 500) / 1000
	}
	if r.Celsius != nil && *r.Celsius <= maxCelsius {
		s.MilliC = int64(*r.Celsius) * 1000
	}
	if r.GPU != nil && *r.GPU <= 100 {
		s.Utilisation = workload.PPM(*r.GPU) * 10_000
	}
	if r.MemoryUsed != nil && (f.Memory == 0 || *r.MemoryUsed <= f.Memory) {
		s.MemoryUsed = int64(min(*r.MemoryUsed, 1<<62))
	}
	return s
}

// throttles names the bits of nvmlClocksEventReasons that mean that a device
// gives less than it could.
var throttles = []struct {
	bit  uint64
	name string
}{{0x4, "power cap"}, {0x8, "hardware slowdown"}, {0x20, "software thermal"}, {0x40, "hardware thermal"}, {0x80, "power brake"}}

// traits are facts for people.
func traits(f facts, r reading, numa int, driver string) []device.Trait {
	var list []device.Trait
	add := func(name, format string, args ...any) {
		list = append(list, device.Trait{Name: name, Value: fmt.Sprintf(format, args...)})
	}
	text := func(name, v string) {
		if v != "" {
			add(name, "%s", v)
		}
	}
	text("driver", driver)
	text("pci", f.PCI)
	text("serial", f.Serial)
	text("compute", f.Compute)
	if numa >= 0 {
		add("numa", "%d", numa)
	}
	if f.MaxMW > 0 {
		add("power limits", "%d-%d W, default %d W", f.MinMW/1000, f.MaxMW/1000, f.DefaultMW/1000)
	}
	if r.LimitMW != nil {
		add("power limit", "%d W", *r.LimitMW/1000)
	}
	if r.EnforcedMW != nil {
		add("power enforced", "%d W", *r.EnforcedMW/1000)
	}
	if r.EnergyMJ != nil {
		add("energy", "%d Wh since the driver was loaded", *r.EnergyMJ/3_600_000)
	}
	if r.CoreMHz != nil && r.MemoryMHz != nil {
		add("clocks", "%d MHz core, %d MHz memory", *r.CoreMHz, *r.MemoryMHz)
	}
	if r.FanPercent != nil {
		add("fan", "%d %%", *r.FanPercent)
	}
	if r.Throttle != nil {
		var names []string
		for _, t := range throttles {
			if *r.Throttle&t.bit != 0 {
				names = append(names, t.name)
			}
		}
		text("held down by", strings.Join(names, ", "))
	}
	if f.Links > 0 {
		add("nvlink", "%d links up: %s", f.Links, strings.Join(f.Peers, " "))
	}
	if f.MIG {
		add("mig", "%d instances: %s", len(f.Instances), strings.Join(f.Instances, " "))
	}
	if f.ECC != nil {
		add("ecc", "%d corrected, %d uncorrectable since the driver was loaded; ever %d and %d", f.ECC.Corrected, f.ECC.Uncorrected, f.ECC.EverCorrected, f.ECC.EverUncorrectable)
	}
	if f.Rows != nil {
		add("rows", "%d remapped after corrected, %d after uncorrectable errors", f.Rows.Corrected, f.Rows.Uncorrected)
	}
	text("persistence", map[bool]string{true: "on", false: "off"}[f.Persistence])
	if r.Listed {
		add("processes", "%s", strconv.Itoa(len(r.Processes)))
	}
	return list
}

// Supports lists what this driver can drive.
func Supports() []device.Support {
	return []device.Support{{Hardware: "any NVIDIA GPU that NVML shows (driver 450 or later; GeForce, RTX, Tesla, data centre)",
		Reads:     []string{"power", "limits", "energy", "temperature", "clocks", "utilisation", "memory", "fan", "throttling", "ecc", "rows", "nvlink", "numa", "mig", "processes", "xid"},
		Abilities: []string{"cap-power", "set-clocks", "reset", "self-test", "faults", "tenants"},
		Note:      "each figure where the card has it; limits, clocks and resets need root; a GPU cut by MIG is shown and given no work"}}
}
