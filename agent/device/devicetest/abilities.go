package devicetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/workload"
)

// nobody is a device that no driver has.
const nobody = "no-such-device"

// patience bounds what a driver may take to see that its context has ended.
const patience = 20 * time.Second

func cancelled(t *testing.T, d device.Driver) {
	uuid := discover(t, d)[0].UUID
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	_, _ = d.Sample(ctx, uuid) // it may have the answer at hand
	_, _ = d.Discover(ctx)
	if took := time.Since(began); took > patience {
		t.Errorf("an ended context is heeded after %s", took)
	}
	if _, err := d.Sample(t.Context(), uuid); err != nil {
		t.Errorf("after a cancelled call the device does not answer: %v", err)
	}
}

// permitted skips the rest where the agent may not change the device, which is
// no fault of the driver.
func permitted(t *testing.T, err error) {
	t.Helper()
	if workload.KindOf(err) == workload.Denied && err != nil {
		t.Skip(err)
	}
}

func caps(t *testing.T, d device.Driver) {
	capper, ok := d.(device.PowerCapper)
	if !ok {
		return
	}
	uuid := discover(t, d)[0].UUID
	normal, err := capper.SetPowerCap(t.Context(), uuid, 0)
	permitted(t, err)
	if err != nil {
		t.Fatalf("the default: %v", err)
	}
	want := normal * 9 / 10
	if normal == 0 { // no limit is its default
		want = 250
	}
	got, err := capper.SetPowerCap(t.Context(), uuid, want)
	permitted(t, err)
	if err != nil || got != want {
		t.Errorf("a cap of %d W reads back as %d, %v", want, got, err)
	}
	if _, err := capper.SetPowerCap(t.Context(), uuid, 1); workload.KindOf(err) != workload.Invalid || err == nil {
		t.Errorf("a cap of 1 W: %v, want invalid", err)
	}
	if _, err := capper.SetPowerCap(t.Context(), uuid, -5); workload.KindOf(err) != workload.Invalid || err == nil {
		t.Errorf("a cap of -5 W: %v, want invalid", err)
	}
	if got, err := capper.SetPowerCap(t.Context(), uuid, 0); err != nil || got != normal {
		t.Errorf("back to the default: %d, %v; want %d", got, err, normal)
	}
}

func clocks(t *testing.T, d device.Driver) {
	setter, ok := d.(device.ClockSetter)
	if !ok {
		return
	}
	uuid := discover(t, d)[0].UUID
	got, err := setter.SetClocks(t.Context(), uuid, device.Clocks{Core: 1200})
	permitted(t, err)
	if err != nil || got.Core > 1200 {
		t.Errorf("a limit of 1200 MHz shows as %+v, %v", got, err)
	}
	if _, err := setter.SetClocks(t.Context(), uuid, device.Clocks{}); err != nil {
		t.Errorf("back to its own choice: %v", err)
	}
	if _, err := setter.SetClocks(t.Context(), uuid, device.Clocks{Core: -1}); workload.KindOf(err) != workload.Invalid || err == nil {
		t.Errorf("a clock of -1 MHz: %v, want invalid", err)
	}
}

func strangers(t *testing.T, d device.Driver) {
	discover(t, d)
	ctx := t.Context()
	calls := map[string]func() error{}
	if x, ok := d.(device.PowerCapper); ok {
		calls["cap"] = func() error { _, err := x.SetPowerCap(ctx, nobody, 250); return err }
	}
	if x, ok := d.(device.ClockSetter); ok {
		calls["clocks"] = func() error { _, err := x.SetClocks(ctx, nobody, device.Clocks{Core: 1000}); return err }
	}
	if x, ok := d.(device.Sleeper); ok {
		calls["sleep"] = func() error { return x.Sleep(ctx, nobody) }
		calls["wake"] = func() error { return x.Wake(ctx, nobody) }
	}
	if x, ok := d.(device.PoolSwitcher); ok {
		calls["pools"] = func() error { _, err := x.Pools(ctx, nobody); return err }
		calls["set pools"] = func() error { _, err := x.SetPools(ctx, nobody, nil); return err }
	}
	if x, ok := d.(device.Identifier); ok {
		calls["identify"] = func() error { return x.Identify(ctx, nobody, true) }
	}
	if x, ok := d.(device.Resetter); ok {
		calls["reset"] = func() error { return x.Reset(ctx, nobody) }
	}
	if x, ok := d.(device.Tester); ok {
		calls["test"] = func() error { return x.SelfTest(ctx, nobody) }
	}
	if x, ok := d.(device.Tenants); ok {
		calls["processes"] = func() error { _, err := x.Processes(ctx, nobody); return err }
	}
	if x, ok := d.(device.Describer); ok {
		calls["traits"] = func() error { _, err := x.Traits(ctx, nobody); return err }
	}
	for name, call := range calls {
		if err := call(); workload.KindOf(err) != workload.NotFound || err == nil {
			t.Errorf("%s of nothing: %v, want not found", name, err)
		}
	}
	if x, ok := d.(device.UseSetter); ok {
		x.SetUse(nobody, device.Activity{Use: workload.Mining}) // and no panic
	}
}

func tests(t *testing.T, d device.Driver) {
	tester, ok := d.(device.Tester)
	if !ok {
		return
	}
	for _, dev := range discover(t, d) {
		if err := tester.SelfTest(t.Context(), dev.UUID); err != nil && dev.Health == workload.Healthy {
			t.Errorf("%s is healthy and fails: %v", dev.UUID, err)
		} else if err == nil && dev.Health == workload.Failing {
			t.Errorf("%s is failing and passes", dev.UUID)
		}
	}
}

func tells(t *testing.T, d device.Driver) {
	for _, dev := range discover(t, d) {
		if x, ok := d.(device.Tenants); ok {
			if _, err := x.Processes(t.Context(), dev.UUID); err != nil && workload.KindOf(err) != workload.Unavailable {
				t.Errorf("%s: processes: %v", dev.UUID, err)
			}
		}
		x, ok := d.(device.Describer)
		if !ok {
			continue
		}
		list, err := x.Traits(t.Context(), dev.UUID)
		if err != nil {
			t.Errorf("%s: traits: %v", dev.UUID, err)
		}
		seen := map[string]bool{}
		for _, trait := range list {
			if trait.Name == "" || trait.Value == "" || seen[trait.Name] {
				t.Errorf("%s: trait %+v is empty or there twice", dev.UUID, trait)
			}
			seen[trait.Name] = true
		}
	}
}

func pools(t *testing.T, d device.Driver) {
	switcher, ok := d.(device.PoolSwitcher)
	if !ok {
		return
	}
	uuid := discover(t, d)[0].UUID
	before, err := switcher.Pools(t.Context(), uuid)
	if workload.KindOf(err) == workload.Invalid && err != nil {
		return // this model has none
	}
	if err != nil {
		t.Fatal(err)
	}
	after, err := switcher.SetPools(t.Context(), uuid, before)
	permitted(t, err)
	if err != nil && workload.KindOf(err) != workload.Invalid {
		t.Error(err)
	}
	if err == nil && !slices.EqualFunc(before, after, func(a, b device.Pool) bool { return a.URL == b.URL && a.User == b.User }) {
		t.Errorf("pools %v set again are %v", before, after)
	}
}

func watches(t *testing.T, d device.Driver) {
	w, ok := d.(device.Watcher)
	if !ok {
		return
	}
	devices := discover(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- w.Watch(ctx, func(f device.Fault) {
			if f.UUID == "" || f.Class == "" || f.Count < 1 {
				t.Errorf("fault %+v", f)
			}
		})
	}()
	if _, err := d.Sample(t.Context(), devices[0].UUID); err != nil {
		t.Error(err)
	}
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Error("it watches on")
	}
}

func supports(t *testing.T, d device.Driver) {
	c, ok := d.(device.Catalogue)
	if !ok {
		return
	}
	can := device.Abilities(d)
	for _, s := range c.Supports() {
		if s.Hardware == "" || len(s.Reads) == 0 {
			t.Errorf("row %+v", s)
		}
		for _, a := range s.Abilities {
			if !slices.Contains(can, a) {
				t.Errorf("%s: claims %q, which the driver does not offer", s.Hardware, a)
			}
		}
	}
}
