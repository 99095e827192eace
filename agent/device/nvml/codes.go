package nvml

import (
	"fmt"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/workload"
)

// Return codes of nvml.h. They are written here and not taken from go-nvml, so
// that everything but the helper builds without cgo.
const (
	success          = 0
	uninitialized    = 1
	invalidArgument  = 2
	notSupported     = 3
	noPermission     = 4
	notFound         = 6
	driverNotLoaded  = 9
	timedOut         = 10
	irqIssue         = 11
	libraryNotFound  = 12
	functionNotFound = 13
	gpuIsLost        = 15
	resetRequired    = 16
	operatingSystem  = 17
	versionMismatch  = 18
	noData           = 21
	gpuNotFound      = 28
	unknownError     = 999
	xidEvent         = 0x8
	maxReturn        = 1000
	notBuilt         = maxReturn + 1 // this program has no NVML
)

// What the kernel says of the device node, where the library could not open.
const (
	accessOK      = ""
	accessMissing = "missing"
	accessDenied  = "denied" // by file mode
	accessCgroup  = "cgroup" // by the device cgroup
)

// openState turns a failure to open the library into a state with a next step.
func openState(ret int, access string) *device.OpenError {
	state, kind, text, next := workload.DriverFailed, workload.Unavailable, fmt.Sprintf("NVML does not start (code %d)", ret), "nvidia-smi -q on that machine tells more"
	switch {
	case ret == notBuilt:
		state, text, next = workload.DriverNotBuilt, "built without NVML", "use a build for Linux with cgo"
	case ret == libraryNotFound:
		state, text, next = workload.DriverAbsent, "no NVIDIA driver on this node", "install one if the node has NVIDIA GPUs"
	case ret == versionMismatch:
		state, text, next = workload.DriverMismatch, "NVIDIA's kernel driver and library are of different versions: it was upgraded under way",
			"reload the driver when the node is empty, or reboot"
	case access == accessCgroup:
		state, text, next = workload.DriverIsolated, "the agent's container or cgroup has lost its right to the GPU",
			"restart the agent's container; where systemd did it, list the devices with DeviceAllow"
	case ret == noPermission || access == accessDenied:
		state, kind, text, next = workload.DriverDenied, workload.Denied, "the agent may not open the GPUs",
			"run it as root, or give its user /dev/nvidiactl and /dev/nvidia*"
	case ret == driverNotLoaded:
		state, text, next = workload.DriverNotLoaded, "NVIDIA's kernel driver is not loaded", "modprobe nvidia; dmesg tells why where that fails"
	case ret == unknownError && access == accessMissing:
		state, text, next = workload.DriverIsolated, "the GPUs' device nodes are not there", "nvidia-modprobe -u -c=0, or give the container its devices"
	}
	return &device.OpenError{State: state, Err: &workload.Error{Kind: kind, Text: text, Next: next}}
}

// judgement is what a return code says of the device that gave it.
type judgement struct {
	rank   int // the higher the graver
	health workload.Health
	code   string
	note   string
}

func judge(ret int) judgement {
	switch ret {
	case success, notSupported, noPermission, noData, notFound, functionNotFound, invalidArgument:
		return judgement{health: workload.Healthy} // of one figure, not of the device
	case gpuIsLost:
		return judgement{9, workload.Failing, health.CodeLost, "the GPU has fallen off the bus"}
	case resetRequired:
		return judgement{8, workload.Failing, health.CodeResetNeeded, "the GPU asks for a reset"}
	case irqIssue:
		return judgement{7, workload.Failing, health.CodeInterrupt, "the kernel reports an interrupt fault"}
	case unknownError, operatingSystem:
		return judgement{5, workload.Degraded, health.CodeUnknown, fmt.Sprintf("NVML answers with code %d", ret)}
	default:
		return judgement{3, workload.Degraded, health.CodeUnknown, fmt.Sprintf("NVML answers with code %d", ret)}
	}
}

// lapsed reports whether the library itself must be opened anew.
func lapsed(ret int) bool {
	return ret == uninitialized || ret == driverNotLoaded || ret == versionMismatch
}

func failure(what string, ret int) error {
	kind := workload.Unavailable
	switch ret {
	case noPermission:
		kind = workload.Denied
	case invalidArgument, notSupported, functionNotFound:
		kind = workload.Invalid
	case notFound, gpuNotFound:
		kind = workload.NotFound
	}
	note := judge(ret).note
	switch {
	case ret == noPermission:
		note = "it needs root"
	case ret == notSupported:
		note = "the device does not support it"
	case note == "":
		note = fmt.Sprintf("NVML answers with code %d", ret)
	}
	return workload.Errorf(kind, "nvml: %s: %s", what, note)
}
