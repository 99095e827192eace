package agent

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/agent/reconcile"
	pb "github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

// watched is what the loop knows of the health of devices and drivers, and
// what the leader has been told of it.
type watched struct {
	drivers     []workload.DriverStatus
	told        map[workload.DeviceID]workload.Device
	toldDrivers []workload.DriverStatus
	tenants     map[workload.DeviceID]tenants // of the last look
	foreign     map[workload.DeviceID]string
	repairing   map[workload.DeviceID]bool
}

// tenants are the processes that a driver sees on a device.
type tenants struct {
	device workload.DeviceID
	pids   []int
	known  bool
}

// remember notes what the leader knows from Hello.
func (w *watched) remember(devices []workload.Device) {
	w.told = map[workload.DeviceID]workload.Device{}
	for _, d := range devices {
		w.told[d.ID] = d
	}
	w.toldDrivers = slices.Clone(w.drivers)
}

// watch hears a driver's own faults.
func (a *Agent) watch(ctx context.Context, driver string, w device.Watcher) {
	err := w.Watch(ctx, func(f device.Fault) { a.call(ctx, func() { a.faulted(driver, f) }) })
	if err != nil && ctx.Err() == nil {
		a.config.Log.Warn("a driver does not tell faults", "driver", driver, "error", err)
	}
}

// faulted takes one fault. The driver is asked at once what else it now says
// of its devices.
func (a *Agent) faulted(driver string, f device.Fault) {
	id, ok := a.devices.Find(driver, f.UUID)
	if !ok {
		return
	}
	var told health.Told
	switch f.Class {
	case device.FaultXid:
		x := health.XidOf(f.Code)
		told = health.Told{Code: "xid-" + strconv.Itoa(f.Code), Text: f.Text, Action: x.Action}
	default:
		told.Code, told.Text, _ = strings.Cut(f.Text, " ")
		told.Action, _ = health.DriverFault(told.Code)
	}
	a.config.Log.Warn("device fault", "device", id, "uuid", f.UUID, "code", told.Code, "count", f.Count, "text", told.Text, "action", string(told.Action))
	if told.Action != "" {
		a.step(id, f.UUID, told)
	}
	a.tellDevices()
	select {
	case a.fresh <- struct{}{}:
	default: // a search is already asked for
	}
}

// judgeDevices puts onto the ladder what drivers themselves say of devices.
func (a *Agent) judgeDevices() {
	for _, d := range a.devices.Devices() {
		if action, ok := health.DriverFault(d.Code); ok {
			a.step(d.ID, d.UUID, health.Told{Code: d.Code, Text: d.Note, Action: action})
		}
	}
}

// lookAll moves every device on the ladder that waits for something.
func (a *Agent) lookAll() {
	for _, d := range a.devices.Devices() {
		if _, sick := a.record.Ladder[d.UUID]; !sick {
			continue
		}
		driver, ok := a.devices.Driver(d.ID)
		if !ok {
			continue
		}
		look := health.Looked{Busy: a.busy(d.ID)}
		_, look.CanReset = driver.(device.Resetter)
		_, look.CanTest = driver.(device.Tester)
		a.step(d.ID, d.UUID, look)
	}
	a.tellDevices()
}

// busy reports whether anything uses a device.
func (a *Agent) busy(id workload.DeviceID) bool {
	for _, run := range a.state.Runs {
		if slices.Contains(run.Devices, id) {
			return true
		}
	}
	return len(a.health.tenants[id].pids) > 0
}

// step moves one device on the ladder and does what that asks for.
func (a *Agent) step(id workload.DeviceID, uuid string, e health.Event) {
	switch e2 := e.(type) {
	case health.Told:
		e2.Boot = a.boot
		e = e2
	case health.Looked:
		e2.Boot = a.boot
		e = e2
	}
	old := a.record.Ladder[uuid]
	next, effect := health.Step(old, e, workload.Instant(a.config.Now().UnixMilli()))
	switch {
	case next.Fit():
		if _, was := a.record.Ladder[uuid]; was {
			delete(a.record.Ladder, uuid)
			a.dirty = true
		}
	case !next.Same(old):
		if a.record.Ladder == nil {
			a.record.Ladder = map[string]health.State{}
		}
		a.record.Ladder[uuid], a.dirty = next, true
	}
	if next.Phase != old.Phase {
		a.config.Log.Warn("device health", "device", id, "from", string(old.Phase), "to", string(next.Phase), "code", next.Code, "text", next.Text)
	}
	if effect == health.DoNothing {
		return
	}
	if a.health.repairing == nil {
		a.health.repairing = map[workload.DeviceID]bool{}
	}
	if a.health.repairing[id] {
		return
	}
	a.health.repairing[id] = true
	// Nothing waits for it: the loop is told when it is over.
	a.wg.Go(func() { a.repair(id, uuid, effect) })
}

func (a *Agent) repair(id workload.DeviceID, uuid string, effect health.Effect) {
	var answer health.Event
	switch effect {
	case health.DoReset:
		err := a.devices.Reset(a.ctx, id)
		answer = health.ResetDone{OK: err == nil, Wait: workload.KindOf(err) == workload.Conflict, Text: words(err)}
	case health.DoTest:
		err := a.devices.SelfTest(a.ctx, id)
		if workload.KindOf(err) == workload.Invalid { // no test: probation is one
			err = nil
		}
		answer = health.TestDone{OK: err == nil, Text: words(err)}
	}
	a.call(a.ctx, func() {
		delete(a.health.repairing, id)
		a.step(id, uuid, answer)
		a.tellDevices()
		select {
		case a.fresh <- struct{}{}:
		default:
		}
	})
}

func words(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// inventory is the node's devices as the scheduler is to see them.
func (a *Agent) inventory() []workload.Device {
	devices := a.devices.Devices()
	for i, d := range devices {
		d.Health, d.Code, d.Note = a.record.Ladder[d.UUID].Verdict(d.Health, d.Code, d.Note)
		if d.Foreign = a.health.foreign[d.ID]; d.Foreign == "" {
			d.Foreign = a.devices.Observed(d.ID)
		}
		devices[i] = d
	}
	return devices
}

// tellDevices sends what has changed since the leader was last told. New
// hardware is told by a new session, as is all that a node has.
func (a *Agent) tellDevices() {
	if a.session == nil || a.health.told == nil {
		return
	}
	var report pb.Report
	for _, d := range a.inventory() {
		old, known := a.health.told[d.ID]
		if !known {
			a.config.Log.Info("new device", "device", d.ID, "uuid", d.UUID)
			a.dropSession()
			return
		}
		if old != d {
			a.health.told[d.ID] = d
			report.Devices = append(report.Devices, wire.DeviceToProto(d))
		}
	}
	if !slices.Equal(a.health.drivers, a.health.toldDrivers) {
		a.health.toldDrivers = slices.Clone(a.health.drivers)
		report.Drivers = wire.DriversToProto(a.health.drivers)
	}
	if len(report.Devices)+len(report.Drivers) > 0 {
		a.send(&pb.AgentMessage{Body: &pb.AgentMessage_Report{Report: &report}})
	}
}

// tenanted compares who uses each device with what we have started. A process
// counts as foreign when it is seen twice: a workload that has just ended may
// still be on its way out.
func (a *Agent) tenanted(seen []tenants) {
	if a.health.tenants == nil {
		a.health.tenants, a.health.foreign = map[workload.DeviceID]tenants{}, map[workload.DeviceID]string{}
	}
	roots := map[int]bool{}
	for _, run := range a.state.Runs {
		if run.Phase != reconcile.RunStarting && run.PID > 0 {
			roots[int(run.PID)] = true
			if parent := parentOf(int(run.PID)); parent > 1 {
				roots[parent] = true // its shim, which inherits orphans
			}
		}
	}
	for _, t := range seen {
		if !t.known {
			continue // the last answer stands
		}
		before := a.health.tenants[t.device]
		a.health.tenants[t.device] = t
		var strangers []int
		for _, pid := range t.pids {
			if slices.Contains(before.pids, pid) && parentOf(pid) > 0 && !descends(pid, roots) { // one without a parent has gone
				strangers = append(strangers, pid)
			}
		}
		if text := nameProcesses(strangers); text == "" {
			delete(a.health.foreign, t.device)
		} else {
			a.health.foreign[t.device] = text
		}
	}
}

// maxAncestors bounds the climb from a process to its shim.
const maxAncestors = 64

func descends(pid int, roots map[int]bool) bool {
	for range maxAncestors {
		if roots[pid] {
			return true
		}
		if pid = parentOf(pid); pid <= 1 {
			return false
		}
	}
	return false
}

// parentOf reads the fourth field of stat; the second, a name in brackets, may
// hold anything.
func parentOf(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, _ := strconv.Atoi(fields[1])
	return parent
}

// named is how many foreign processes are named.
const named = 3

func nameProcesses(pids []int) string {
	var parts []string
	for _, pid := range pids[:min(len(pids), named)] {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		text := fmt.Sprintf("pid %d", pid)
		if n := strings.ToValidUTF8(strings.TrimSpace(string(name)), "?"); n != "" {
			text += " (" + n + ")"
		}
		parts = append(parts, text)
	}
	if more := len(pids) - named; more > 0 {
		parts = append(parts, fmt.Sprintf("%d more", more))
	}
	return strings.Join(parts, ", ")
}
