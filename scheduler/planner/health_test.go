package planner

import (
	"testing"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// judge reports a device's health as its node would.
func (w *world) judge(id workload.DeviceID, edit func(*workload.Device)) {
	w.t.Helper()
	d := w.s.Devices[id].Device
	edit(&d)
	w.do(state.Command{Actor: "node/" + string(id.Node()), Devices: &state.DevicesChanged{Node: id.Node(), Devices: []workload.Device{d}}})
}

func sick(h workload.Health) func(*workload.Device) {
	return func(d *workload.Device) { d.Health, d.Code, d.Note = h, "xid-79", "fell off the bus" }
}

// D1, D5: what runs on a quarantined device is moved; its neighbours work on.
func TestQuarantineMovesAJobAndParksOneDevice(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	job := w.submit("train", 1, "0.5")
	w.run()
	w.wantUses(map[string]int{"KAS": 1, "job 1": 1})
	a, _ := w.s.Jobs[job].Current()
	w.judge(a.Devices[0], sick(workload.InQuarantine))
	w.run() // it stops
	w.run() // and starts elsewhere
	w.wantUses(map[string]int{"parked": 1, "job 1": 1})
	w.wantReason("parked", workload.CodeUnhealthy)
	b, _ := w.s.Jobs[job].Current()
	if b.Number == a.Number || b.Devices[0] == a.Devices[0] {
		t.Errorf("attempt %d on %v follows attempt %d on %v", b.Number, b.Devices, a.Number, a.Devices)
	}
	if failures := w.s.Jobs[job].Failures; failures != 0 {
		t.Errorf("the device's fault counts as %d failures of the job", failures)
	}
	w.settled()
}

// A device on probation mines and does not train, until it has proved itself.
func TestProbationMinesOnly(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 1)
	w.run()
	w.judge("n1/0", sick(workload.OnProbation))
	job := w.submit("train", 1, "0.5")
	w.run()
	w.wantUses(map[string]int{"KAS": 1})
	w.judge("n1/0", func(d *workload.Device) { d.Health, d.Code, d.Note = workload.Healthy, "", "" })
	w.run()
	w.wantUses(map[string]int{"job 1": 1})
	w.wantJob(job, workload.Active, workload.CodeJob)
}

// D8: a device that a stranger uses gets no work, and loses none.
func TestForeignProcessesKeepWorkAway(t *testing.T) {
	w := newWorld(t)
	w.node("n1", "north", "g1", 2)
	w.judge("n1/0", func(d *workload.Device) { d.Foreign = "pid 77 (python)" })
	w.run()
	w.wantUses(map[string]int{"parked": 1, "KAS": 1})
	w.judge("n1/1", func(d *workload.Device) { d.Foreign = "pid 78 (python)" })
	w.run()
	w.wantUses(map[string]int{"parked": 1, "KAS": 1})
	w.judge("n1/0", func(d *workload.Device) { d.Foreign = "" })
	w.run()
	w.wantUses(map[string]int{"KAS": 2})
	w.settled()
}
