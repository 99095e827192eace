package device

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// DefaultLimit bounds one call to a driver.
const DefaultLimit = 3 * time.Second

// discoverLimits is how many limits a search may take: it opens libraries and
// wakes devices, and nothing waits for it.
const discoverLimits = 5

// Set is all hardware of one node.
type Set struct {
	node    workload.NodeID
	drivers []Driver
	limit   time.Duration

	mu      sync.Mutex
	slots   map[string]int // by UUID; only grows
	devices map[workload.DeviceID]entry
	status  []DriverStatus
	busy    map[string]bool // calls that have not come back, by driver and UUID
}

type entry struct {
	device workload.Device
	driver Driver
}

// NewSet joins drivers. slots is what an earlier Slots returned, so that a
// device keeps its id though another was removed or the driver lists them
// differently. limit bounds each call; 0 means DefaultLimit.
func NewSet(node workload.NodeID, drivers []Driver, slots map[string]int, limit time.Duration) *Set {
	if limit == 0 {
		limit = DefaultLimit
	}
	s := &Set{node: node, drivers: drivers, limit: limit, slots: map[string]int{}, devices: map[workload.DeviceID]entry{}, busy: map[string]bool{}}
	maps.Copy(s.slots, slots)
	return s
}

// Slots returns the slot of every UUID ever seen.
func (s *Set) Slots() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.slots)
}

// Discover asks every driver again. A device that has gone, or whose driver
// failed, stays in the list as failing: it may still hold a workload, and
// forgetting it would be to call it free.
func (s *Set) Discover(ctx context.Context) []DriverStatus {
	type answer struct {
		devices []workload.Device
		err     error
	}
	answers := make([]answer, len(s.drivers))
	var wg sync.WaitGroup
	for i, d := range s.drivers {
		wg.Go(func() {
			answers[i].devices, answers[i].err = within(ctx, s, discoverLimits*s.limit, d.Name()+"/", func(ctx context.Context) ([]workload.Device, error) { return d.Discover(ctx) })
		})
	}
	wg.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	status := make([]DriverStatus, len(s.drivers))
	seen := map[workload.DeviceID]bool{}
	for i, d := range s.drivers {
		status[i] = DriverStatus{Driver: d.Name(), Devices: len(answers[i].devices), Err: answers[i].err}
		if c, ok := d.(Counter); ok && answers[i].err == nil {
			if n, known := c.Expected(); known {
				status[i].Missing = max(n-len(answers[i].devices), 0)
			}
		}
		found := answers[i].devices
		slices.SortFunc(found, func(a, b workload.Device) int {
			if a.UUID < b.UUID {
				return -1
			}
			return 1
		})
		for _, dev := range found {
			dev.ID = workload.NewDeviceID(s.node, s.slot(dev.UUID))
			dev.Driver = d.Name()
			if seen[dev.ID] {
				continue // two drivers see the same hardware: the first has it
			}
			seen[dev.ID] = true
			s.devices[dev.ID] = entry{dev, d}
		}
	}
	for id, e := range s.devices {
		if seen[id] {
			continue
		}
		e.device.Health, e.device.Code, e.device.Note = workload.Failing, "gone", "its driver no longer finds it"
		for _, st := range status {
			if st.Driver == e.driver.Name() && st.Err != nil {
				e.device.Code, e.device.Note = "driver", st.Err.Error()
			}
		}
		s.devices[id] = e
	}
	s.status = status
	return slices.Clone(status)
}

// slot finds or gives a UUID its slot; s.mu is held.
func (s *Set) slot(uuid string) int {
	slot, ok := s.slots[uuid]
	if !ok {
		for _, used := range s.slots {
			slot = max(slot, used+1)
		}
		s.slots[uuid] = slot
	}
	return slot
}

// Devices lists all known devices in the order of their ids.
func (s *Set) Devices() []workload.Device {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]workload.Device, 0, len(s.devices))
	for _, e := range s.devices {
		list = append(list, e.device)
	}
	slices.SortFunc(list, func(a, b workload.Device) int {
		if a.ID.Less(b.ID) {
			return -1
		}
		return 1
	})
	return list
}

// Device finds one device.
func (s *Set) Device(id workload.DeviceID) (workload.Device, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.devices[id]
	return e.device, ok
}

func (s *Set) entry(id workload.DeviceID) (entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.devices[id]
	if !ok {
		return e, workload.Errorf(workload.NotFound, "device %s is not on this node", id)
	}
	return e, nil
}

// Sample measures one device. A device that does not answer costs its own
// caller the limit once; until it comes back further calls fail at once.
func (s *Set) Sample(ctx context.Context, id workload.DeviceID) (workload.Sample, error) {
	e, err := s.entry(id)
	if err != nil {
		return workload.Sample{}, err
	}
	sample, err := bounded(ctx, s, e.driver.Name()+"/"+e.device.UUID, func(ctx context.Context) (workload.Sample, error) { return e.driver.Sample(ctx, e.device.UUID) })
	sample.Device, sample.Sim = id, e.device.Sim
	return sample, err
}

// SetUse tells the driver what a device does, where the driver wants to know.
func (s *Set) SetUse(id workload.DeviceID, a Activity) {
	e, err := s.entry(id)
	if err != nil {
		return
	}
	if u, ok := e.driver.(UseSetter); ok {
		u.SetUse(e.device.UUID, a)
	}
}

// SetPowerCap limits a device's draw. It returns an Invalid error where the
// driver cannot.
func (s *Set) SetPowerCap(ctx context.Context, id workload.DeviceID, watts int64) (int64, error) {
	e, err := s.entry(id)
	if err != nil {
		return 0, err
	}
	capper, ok := e.driver.(PowerCapper)
	if !ok {
		return 0, workload.Errorf(workload.Invalid, "driver %s cannot limit power", e.driver.Name())
	}
	return bounded(ctx, s, e.driver.Name()+"/"+e.device.UUID, func(ctx context.Context) (int64, error) { return capper.SetPowerCap(ctx, e.device.UUID, watts) })
}

// Driver finds the driver of a device.
func (s *Set) Driver(id workload.DeviceID) (Driver, bool) {
	e, err := s.entry(id)
	return e.driver, err == nil
}

// Find gives the id of the hardware that a driver calls uuid.
func (s *Set) Find(driver, uuid string) (workload.DeviceID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, e := range s.devices {
		if e.device.UUID == uuid && e.driver.Name() == driver {
			return id, true
		}
	}
	return "", false
}

// repairLimit bounds a reset and a self-test; both may be long at work.
const repairLimit = 90 * time.Second

// Reset resets a device. Invalid: its driver cannot.
func (s *Set) Reset(ctx context.Context, id workload.DeviceID) error {
	e, err := s.entry(id)
	if err != nil {
		return err
	}
	r, ok := e.driver.(Resetter)
	if !ok {
		return workload.Errorf(workload.Invalid, "driver %s cannot reset a device", e.driver.Name())
	}
	_, err = within(ctx, s, repairLimit, e.driver.Name()+"/"+e.device.UUID+"/repair", func(ctx context.Context) (struct{}, error) { return struct{}{}, r.Reset(ctx, e.device.UUID) })
	return err
}

// SelfTest tests a device. Invalid: its driver cannot.
func (s *Set) SelfTest(ctx context.Context, id workload.DeviceID) error {
	e, err := s.entry(id)
	if err != nil {
		return err
	}
	r, ok := e.driver.(Tester)
	if !ok {
		return workload.Errorf(workload.Invalid, "driver %s cannot test a device", e.driver.Name())
	}
	_, err = within(ctx, s, repairLimit, e.driver.Name()+"/"+e.device.UUID+"/repair", func(ctx context.Context) (struct{}, error) { return struct{}{}, r.SelfTest(ctx, e.device.UUID) })
	return err
}

// Processes lists the processes on a device; false where its driver cannot
// tell.
func (s *Set) Processes(ctx context.Context, id workload.DeviceID) ([]int, bool) {
	e, err := s.entry(id)
	if err != nil {
		return nil, false
	}
	t, ok := e.driver.(Tenants)
	if !ok {
		return nil, false
	}
	pids, err := bounded(ctx, s, e.driver.Name()+"/"+e.device.UUID, func(ctx context.Context) ([]int, error) { return t.Processes(ctx, e.device.UUID) })
	return pids, err == nil
}

// Traits lists further facts for people; none where the driver has none.
func (s *Set) Traits(ctx context.Context, id workload.DeviceID) []Trait {
	e, err := s.entry(id)
	if err != nil {
		return nil
	}
	d, ok := e.driver.(Describer)
	if !ok {
		return nil
	}
	list, _ := bounded(ctx, s, e.driver.Name()+"/"+e.device.UUID, func(ctx context.Context) ([]Trait, error) { return d.Traits(ctx, e.device.UUID) })
	return list
}

// Close closes every driver.
func (s *Set) Close() error {
	var first error
	for _, d := range s.drivers {
		if err := d.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// bounded runs one call with a deadline that holds even where the call ignores
// its context, as a call into a hung kernel driver does.
func bounded[T any](ctx context.Context, s *Set, key string, call func(context.Context) (T, error)) (T, error) {
	return within(ctx, s, s.limit, key, call)
}

func within[T any](ctx context.Context, s *Set, limit time.Duration, key string, call func(context.Context) (T, error)) (T, error) {
	var zero T
	s.mu.Lock()
	if s.busy[key] {
		s.mu.Unlock()
		return zero, workload.Errorf(workload.Unavailable, "%s still has not answered an earlier call", key)
	}
	s.busy[key] = true
	s.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, limit)
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		v, err := call(ctx)
		s.mu.Lock()
		delete(s.busy, key)
		s.mu.Unlock()
		done <- result{v, err}
	}()
	defer cancel()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		return zero, workload.Errorf(workload.Unavailable, "%s does not answer: %w", key, ctx.Err())
	}
}
