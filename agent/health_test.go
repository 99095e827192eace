package agent

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/workload"
)

// patient is a driver of two devices that fall ill as a test says.
type patient struct {
	mu     sync.Mutex
	err    error // of Discover
	extra  bool  // a third device is there
	pids   map[string][]int
	resets []string
	testOK bool
	busy   map[string]workload.UseKind
	faults chan device.Fault
}

func newPatient() *patient {
	return &patient{pids: map[string][]int{}, busy: map[string]workload.UseKind{}, testOK: true, faults: make(chan device.Fault)}
}

func (p *patient) with(f func()) { p.mu.Lock(); defer p.mu.Unlock(); f() }

func (p *patient) Name() string { return "patient" }
func (p *patient) Discover(context.Context) ([]workload.Device, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	uuids := []string{"GPU-a", "GPU-b"}
	if p.extra {
		uuids = append(uuids, "GPU-c")
	}
	var list []workload.Device
	for _, uuid := range uuids {
		list = append(list, workload.Device{UUID: uuid, Kind: workload.GPU, Model: "RTX 3080", Health: workload.Healthy})
	}
	if p.err != nil {
		return nil, p.err
	}
	return list, nil
}
func (p *patient) Sample(context.Context, string) (workload.Sample, error) {
	return workload.UnknownSample("", 1), nil
}
func (p *patient) Close() error { return nil }
func (p *patient) SetUse(uuid string, a device.Activity) {
	p.with(func() { p.busy[uuid] = a.Use })
}
func (p *patient) Processes(_ context.Context, uuid string) ([]int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.pids[uuid], nil
}
func (p *patient) Reset(_ context.Context, uuid string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resets = append(p.resets, uuid+" "+string(p.busy[uuid]))
	return nil
}
func (p *patient) SelfTest(context.Context, string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.testOK {
		return workload.Errorf(workload.Unavailable, "it draws nothing")
	}
	return nil
}
func (p *patient) Watch(ctx context.Context, tell func(device.Fault)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-p.faults:
			tell(f)
		}
	}
}

// is waits until the leader knows a device as of some health and code.
func (l *leader) is(id string, h workload.Health, code string) {
	l.t.Helper()
	until(l.t, id+" is "+string(h)+" "+code, func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		d := l.devices[id]
		return d != nil && d.Health == string(h) && d.Code == code
	})
}

func ward(t *testing.T) (*leader, *patient, Config) {
	l, p := newLeader(t), newPatient()
	c := config(t.TempDir(), l.address)
	c.Drivers = []device.Driver{p}
	return l, p, c
}

// D5: a device with a fault is drained, then reset, tested and put on
// probation; it is not touched while a workload runs, nor is its neighbour.
func TestAFaultyDeviceClimbsTheLadderAlone(t *testing.T) {
	l, p, c := ward(t)
	run(t, c)
	l.connected(1)
	l.send(private, nil, minerOf(0, 5), minerOf(1, 6))
	l.await("started", "n1/0", 5)
	neighbour := l.await("started", "n1/1", 6)
	p.faults <- device.Fault{UUID: "GPU-a", Class: device.FaultXid, Code: 79, Count: 300, Text: "GPU has fallen off the bus."}
	l.is("n1/0", workload.InQuarantine, "xid-79")
	p.with(func() {
		if len(p.resets) > 0 {
			t.Error("reset while its miner runs")
		}
	})
	l.send(private, nil, minerOf(1, 6), workload.Assignment{Device: "n1/0", Epoch: 7, Use: workload.Use{Kind: workload.Parked}, Lease: c.Heartbeat * 1000})
	l.is("n1/0", workload.OnProbation, "xid-79")
	p.with(func() {
		if len(p.resets) != 1 || p.resets[0] != "GPU-a parked" {
			t.Errorf("resets %q", p.resets)
		}
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.devices["n1/1"]; d.Health != string(workload.Healthy) {
		t.Errorf("its neighbour: %v", d)
	}
	for _, r := range l.reports {
		if r.Device == "n1/1" && r.Kind != "started" && r.Kind != "freed" {
			t.Errorf("its neighbour's miner, pid %d: %+v", neighbour.PID, r)
		}
	}
}

// What a program does wrong is not the device's fault.
func TestAProgramsFaultQuarantinesNothing(t *testing.T) {
	l, p, c := ward(t)
	run(t, c)
	l.connected(1)
	p.faults <- device.Fault{UUID: "GPU-a", Class: device.FaultXid, Code: 31, Count: 1, Text: "MMU fault"}
	p.faults <- device.Fault{UUID: "GPU-b", Class: device.FaultXid, Code: 63, Count: 1, Text: "row remapper"}
	l.is("n1/1", workload.Degraded, "xid-63")
	l.is("n1/0", workload.Healthy, "")
}

// A device that fails its test waits for a person, also across a restart of
// the agent.
func TestQuarantineOutlivesTheAgent(t *testing.T) {
	l, p, c := ward(t)
	p.testOK = false
	t.Run("first agent", func(t *testing.T) {
		run(t, c)
		l.connected(1)
		p.faults <- device.Fault{UUID: "GPU-b", Class: device.FaultState, Count: 1, Text: health.CodeLost + " the GPU has fallen off the bus"}
		until(t, "it is left to a person", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			d := l.devices["n1/1"]
			return d.Health == string(workload.InQuarantine) && d.Code == health.CodeLost && strings.Contains(d.Note, "it draws nothing")
		})
	})
	run(t, c)
	l.connected(2)
	l.mu.Lock()
	defer l.mu.Unlock()
	if d := l.hellos[1].Devices[1]; d.Health != string(workload.InQuarantine) || d.Code != health.CodeLost {
		t.Errorf("after a restart: %v", d)
	}
}

// D8: a process that is not ours makes a device foreign; our own does not.
func TestForeignProcesses(t *testing.T) {
	l, p, c := ward(t)
	run(t, c)
	l.connected(1)
	l.send(private, nil, minerOf(0, 5))
	pid := l.await("started", "n1/0", 5).PID
	stranger := exec.Command("sleep", "300")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stranger.Process.Kill(); stranger.Wait() })
	p.with(func() { p.pids["GPU-a"], p.pids["GPU-b"] = []int{int(pid)}, []int{stranger.Process.Pid, os.Getpid()} })
	until(t, "the stranger is told", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return strings.Contains(l.devices["n1/1"].Foreign, "(sleep)") && strings.Contains(l.devices["n1/1"].Foreign, ", pid ")
	})
	l.mu.Lock()
	if f := l.devices["n1/0"].Foreign; f != "" {
		t.Errorf("our own miner is called foreign: %s", f)
	}
	l.mu.Unlock()
	p.with(func() { delete(p.pids, "GPU-b") })
	until(t, "the stranger has gone", func() bool { l.mu.Lock(); defer l.mu.Unlock(); return l.devices["n1/1"].Foreign == "" })
}

// A driver that fails is told, and its devices stay; new hardware joins.
func TestDriversAreTold(t *testing.T) {
	l, p, c := ward(t)
	a := run(t, c)
	l.connected(1)
	l.mu.Lock()
	if d := l.hellos[0].Drivers; len(d) != 1 || d[0].State != string(workload.DriverOK) || d[0].Devices != 2 {
		t.Errorf("hello tells %v", d)
	}
	l.mu.Unlock()
	p.with(func() {
		p.err = &device.OpenError{State: workload.DriverMismatch, Err: &workload.Error{Kind: workload.Unavailable, Text: "upgraded", Next: "reboot"}}
	})
	a.fresh <- struct{}{}
	l.is("n1/0", workload.Failing, "driver")
	until(t, "the driver's state is told", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.drivers) == 1 && l.drivers[0].State == string(workload.DriverMismatch) && l.drivers[0].Next == "reboot"
	})
	p.with(func() { p.err, p.extra = nil, true })
	a.fresh <- struct{}{}
	l.connected(2)
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.hellos[1].Devices); n != 3 {
		t.Errorf("%d devices after one more was put in", n)
	}
}
