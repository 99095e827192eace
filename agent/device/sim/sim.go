// Package sim is a driver without hardware: it models GPUs and ASICs of given
// models, so that a fleet can be tried before it is bought. Every device and
// every sample says that it is simulated.
package sim

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/workload"
)

// Model is one sort of simulated device.
type Model struct {
	Name   workload.ModelName
	Kind   workload.DeviceKind
	Memory int64 // bytes
	Idle   int64 // watts at the board
	Count  int
}

// Config of a Driver.
type Config struct {
	// Name makes the UUIDs of two nodes differ: "sim-<name>-<n>".
	Name   string
	Models []Model
	Now    func() time.Time // default time.Now
}

// Driver simulates devices.
type Driver struct {
	now     func() time.Time
	devices []workload.Device

	mu     sync.Mutex
	closed bool
	state  map[string]*unit
}

type unit struct {
	model    Model
	activity device.Activity
	cap      int64
}

var (
	_ device.Driver      = (*Driver)(nil)
	_ device.UseSetter   = (*Driver)(nil)
	_ device.PowerCapper = (*Driver)(nil)
	_ device.Resetter    = (*Driver)(nil)
	_ device.Tester      = (*Driver)(nil)
	_ device.Catalogue   = (*Driver)(nil)
)

// New models devices. They are idle until SetUse.
func New(config Config) *Driver {
	d := &Driver{now: config.Now, state: map[string]*unit{}}
	if d.now == nil {
		d.now = time.Now
	}
	n := 0
	for _, m := range config.Models {
		for range m.Count {
			// Three digits sort as numbers, so that slots follow the order given.
			uuid := fmt.Sprintf("sim-%s-%03d", config.Name, n)
			n++
			d.devices = append(d.devices, workload.Device{UUID: uuid, Kind: m.Kind, Model: m.Name, Memory: m.Memory, Driver: d.Name(), Sim: true, Health: workload.Healthy})
			d.state[uuid] = &unit{model: m, activity: device.Activity{Use: workload.Parked}}
		}
	}
	return d
}

// Name implements device.Driver.
func (d *Driver) Name() string { return "sim" }

// Discover implements device.Driver.
func (d *Driver) Discover(ctx context.Context) ([]workload.Device, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, workload.Errorf(workload.Unavailable, "simulated devices are closed")
	}
	return append([]workload.Device(nil), d.devices...), ctx.Err()
}

// SetUse implements device.UseSetter.
func (d *Driver) SetUse(uuid string, a device.Activity) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if u, ok := d.state[uuid]; ok {
		u.activity = a
	}
}

// SetPowerCap implements device.PowerCapper.
func (d *Driver) SetPowerCap(_ context.Context, uuid string, watts int64) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	u, ok := d.state[uuid]
	if !ok {
		return 0, workload.Errorf(workload.NotFound, "no simulated device %s", uuid)
	}
	if watts < 0 {
		return 0, workload.Errorf(workload.Invalid, "a cap of %d W", watts)
	}
	if watts != 0 && watts < u.model.Idle {
		return 0, workload.Errorf(workload.Invalid, "a cap of %d W is below the idle draw of %d W", watts, u.model.Idle)
	}
	u.cap = watts
	return watts, nil
}

// Reset implements device.Resetter. A model has nothing that could break.
func (d *Driver) Reset(_ context.Context, uuid string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	u, ok := d.state[uuid]
	switch {
	case !ok:
		return workload.Errorf(workload.NotFound, "no simulated device %s", uuid)
	case u.activity.Use == workload.Mining || u.activity.Use == workload.Training:
		return workload.Errorf(workload.Conflict, "simulated device %s is at work", uuid)
	}
	u.cap = 0
	return nil
}

// SelfTest implements device.Tester.
func (d *Driver) SelfTest(ctx context.Context, uuid string) error {
	_, err := d.Sample(ctx, uuid)
	return err
}

// Supports implements device.Catalogue.
func (d *Driver) Supports() []device.Support {
	return []device.Support{{Hardware: "simulated devices of any model", Reads: []string{"power", "temperature", "utilisation", "memory", "hashrate"},
		Abilities: []string{"cap-power", "reset", "self-test"}, Note: "figures follow from what the device was told to do"}}
}

// Sample implements device.Driver. The figures follow from what the device was
// told to do, with a ripple of at most 0.5 % that depends on device and second
// alone, so that a page shows life and a test can foresee it.
func (d *Driver) Sample(ctx context.Context, uuid string) (workload.Sample, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	s := workload.UnknownSample("", workload.Instant(now.UnixMilli()))
	s.Sim = true
	if d.closed {
		return s, workload.Errorf(workload.Unavailable, "simulated devices are closed")
	}
	u, ok := d.state[uuid]
	if !ok {
		return s, workload.Errorf(workload.NotFound, "no simulated device %s", uuid)
	}
	watts, hashrate := u.model.Idle, int64(0)
	s.Utilisation, s.MemoryUsed = 0, 0
	switch u.activity.Use {
	case workload.Mining:
		watts, hashrate = max(u.activity.Watts, u.model.Idle), u.activity.Hashrate
		s.Utilisation, s.MemoryUsed = workload.One, u.model.Memory/4
	case workload.Training:
		watts = max(u.activity.Watts, u.model.Idle)
		s.Utilisation, s.MemoryUsed = 970_000, u.model.Memory/10*9
	}
	if u.cap > 0 && watts > u.cap {
		hashrate = workload.MulDiv(hashrate, u.cap, watts, workload.Down)
		watts = u.cap
	}
	ppm := ripple(uuid, now.Unix())
	s.Watts = watts - workload.MulDiv(watts, ppm, int64(workload.One), workload.Down)
	s.Hashrate = hashrate - workload.MulDiv(hashrate, ppm, int64(workload.One), workload.Down)
	// 30 degrees at rest in the aisle and 60 more at 400 W.
	s.MilliC = min(30_000+s.Watts*150, 88_000)
	return s, ctx.Err()
}

// ripple is between 0 and 5000 ppm.
func ripple(uuid string, second int64) int64 {
	h := fnv.New32a()
	fmt.Fprintf(h, "%s/%d", uuid, second)
	return int64(h.Sum32() % 5001)
}

// Close implements device.Driver.
func (d *Driver) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}
