// Package health judges faults of devices and leads a sick one back to work:
// what a fault means (tables), and what is done about it (the ladder). All of
// it is pure; the agent carries out what it asks for.
package health

// Action is what a fault asks for.
type Action string

const (
	// Ignore: the program on the device is at fault, or it is only told for
	// information.
	Ignore Action = "ignore"
	// Warn: the device works on and is watched.
	Warn Action = "warn"
	// Reset: nothing new on the device; once it is empty, reset and test it.
	Reset Action = "reset"
	// Service: nothing new on the device until a person has looked, or the
	// machine was rebooted and the device passes its test.
	Service Action = "service"
)

// Xid is one row of the table of errors that the NVIDIA kernel driver reports.
type Xid struct {
	Code   int
	Action Action
	Text   string
	Source string
}

// Where the rows come from. Rows differ from a source only towards caution.
const (
	catalogue = "NVIDIA, Xid Errors (docs.nvidia.com/deploy/xid-errors)"
	remapping = "NVIDIA, Row Remapping (docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt)"
	plugin    = "NVIDIA/k8s-device-plugin, internal/rm/health.go: errors of the application"
)

// Xids is the table, ascending by code.
var Xids = []Xid{
	{13, Ignore, "a program's graphics engine exception", plugin},
	{31, Ignore, "a program's memory page fault", plugin},
	{32, Reset, "invalid or corrupted push buffer stream", catalogue},
	{38, Reset, "the driver's firmware reports an error", catalogue},
	{43, Ignore, "a program stopped processing", plugin},
	{44, Reset, "graphics engine fault during context switch", catalogue},
	{45, Ignore, "work was cleaned up, mostly because its program ended", plugin},
	{46, Reset, "the GPU stopped processing", catalogue},
	{48, Reset, "uncorrectable memory error (double bit ECC)", catalogue},
	{61, Reset, "internal micro-controller breakpoint", catalogue},
	{62, Reset, "internal micro-controller halt", catalogue},
	{63, Warn, "a memory row is to be remapped at the next reset", remapping},
	{64, Service, "a memory row could not be remapped", remapping},
	{68, Ignore, "video processor exception of a program", plugin},
	{69, Reset, "graphics engine class error", catalogue},
	{74, Reset, "NVLink error", catalogue},
	{79, Reset, "the GPU has fallen off the bus", catalogue},
	{92, Warn, "many correctable memory errors", catalogue},
	{94, Reset, "uncorrectable memory error, contained to one program", remapping},
	{95, Reset, "uncorrectable memory error, not contained", remapping},
	{109, Ignore, "a program's context switch timed out", plugin},
	{110, Service, "security fault", catalogue},
	{119, Reset, "the GPU's system processor does not answer", catalogue},
	{120, Reset, "the GPU's system processor reports an error", catalogue},
	{121, Warn, "correctable error on the chip-to-chip link", catalogue},
	{136, Reset, "link training failed", catalogue},
	{140, Reset, "unrecovered memory error", catalogue},
	{143, Reset, "the GPU could not be initialised", catalogue},
	{154, Warn, "the driver announces what it needs to recover", catalogue},
}

// XidOf finds a code. A code that is not in the table is a warning: what
// nobody knows must be seen, and must not empty a hall.
func XidOf(code int) Xid {
	for _, x := range Xids {
		if x.Code == code {
			return x
		}
	}
	return Xid{code, Warn, "not in the table", ""}
}

// Codes that drivers give with the health of a device.
const (
	CodeLost         = "lost"         // the driver says that the device is gone from its bus
	CodeResetNeeded  = "reset-needed" // the driver says so
	CodeInterrupt    = "interrupt"    // the kernel cannot route the device's interrupts
	CodeRows         = "rows"         // memory rows could not be remapped
	CodeRowsPending  = "rows-pending" // rows are remapped at the next reset
	CodeMemory       = "ecc"          // uncorrectable memory errors since the driver was loaded
	CodeUnresponsive = "unresponsive" // a call did not return
	CodeHung         = "hung"         // and neither did the one that tried again
	CodeUnknown      = "error"        // an error that the driver cannot name
	CodeMIG          = "mig"          // cut into instances, or about to be
)

// driverFaults says what a driver's own judgement asks for.
var driverFaults = map[string]Action{
	CodeLost: Reset, CodeResetNeeded: Reset, CodeInterrupt: Reset, CodeHung: Reset, CodeMemory: Reset, CodeRows: Service, CodeRowsPending: Warn,
}

// DriverFault is what the code of a device's health asks of the ladder.
func DriverFault(code string) (Action, bool) {
	a, ok := driverFaults[code]
	return a, ok
}
