package nvml

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/workload"
)

// SetUse implements device.UseSetter. When a use ends, its power cap goes with
// it, at the next sample.
func (d *Driver) SetUse(uuid string, a device.Activity) {
	d.edit(uuid, func(g *gpu) {
		g.use = a.Use
		g.lift = g.lift || g.cap > 0 && a.Use == workload.Parked
	})
}

// SetPowerCap implements device.PowerCapper. A cap above the device's highest
// is its highest; one below its lowest cannot be kept and is refused.
func (d *Driver) SetPowerCap(ctx context.Context, uuid string, watts int64) (int64, error) {
	g, err := d.find(uuid)
	if err != nil {
		return 0, err
	}
	f := g.facts
	var want uint32
	switch {
	case watts < 0 || watts > maxMilliwatts/1000:
		return 0, workload.Errorf(workload.Invalid, "a cap of %d W", watts)
	case watts > 0 && f.MinMW > 0 && watts*1000 < int64(f.MinMW):
		return 0, workload.Errorf(workload.Invalid, "a cap of %d W is below the %d W that the device can be held to", watts, f.MinMW/1000)
	case watts > 0 && f.MaxMW > 0:
		want = min(uint32(watts*1000), f.MaxMW)
	case watts > 0:
		want = uint32(watts * 1000)
	case g.before != nil:
		want = *g.before
	case f.DefaultMW > 0:
		want = f.DefaultMW
	default:
		return 0, workload.Errorf(workload.Invalid, "nvml: %s has no power limit", uuid)
	}
	setting := d.limit(uuid)
	if g.cap == 0 && watts > 0 {
		old, err := setting.Read(ctx)
		if err != nil {
			return 0, err
		}
		if old != want { // else it is our own, from before a restart
			d.edit(uuid, func(g *gpu) { g.before = &old })
		}
	}
	got, err := device.Change(ctx, setting, want)
	if err != nil {
		return 0, err
	}
	d.edit(uuid, func(g *gpu) {
		g.lift, g.capped, g.cap = false, d.config.Now(), want
		if watts == 0 {
			g.cap, g.before = 0, nil
		}
	})
	return int64(got) / 1000, nil
}

func (d *Driver) limit(uuid string) device.Setting[uint32] {
	return device.Setting[uint32]{Name: "the power limit of " + uuid,
		Read: func(ctx context.Context) (uint32, error) {
			r, err := d.asked(ctx, uuid, request{Op: opSample}, "power limit of")
			if err != nil {
				return 0, err
			}
			if r.Reading.LimitMW == nil {
				return 0, workload.Errorf(workload.Invalid, "nvml: %s has no power limit", uuid)
			}
			return *r.Reading.LimitMW, nil
		},
		Write: func(ctx context.Context, mw uint32) error {
			_, err := d.asked(ctx, uuid, request{Op: opLimit, Limit: mw}, "set the power limit of")
			return err
		},
		Equal: func(a, b uint32) bool { return a == b }}
}

// keepCap is how long a cap that someone else changed is left before it is
// written again.
const keepCap = 30 * time.Second

// upkeep restores what a use that is over had set, and sets again what a driver
// that was reloaded has forgotten.
func (d *Driver) upkeep(ctx context.Context, uuid string) {
	g, err := d.find(uuid)
	if err != nil || g.cap == 0 || g.last.LimitMW == nil {
		return
	}
	switch {
	case g.lift:
		_, _ = d.SetPowerCap(ctx, uuid, 0) // tried again with the next sample
	case *g.last.LimitMW != g.cap && d.config.Now().Sub(g.capped) >= keepCap:
		d.edit(uuid, func(x *gpu) { x.capped = d.config.Now() })
		_, _ = device.Change(ctx, d.limit(uuid), g.cap)
	}
}

// clockSettle is how long clocks may take to follow.
const clockSettle = 2 * time.Second

// SetClocks implements device.ClockSetter. NVML does not tell what clocks were
// locked to, so the effect is observed: no clock above its limit.
func (d *Driver) SetClocks(ctx context.Context, uuid string, want device.Clocks) (device.Clocks, error) {
	if want.Core < 0 || want.Memory < 0 || max(want.Core, want.Memory) > 100_000 {
		return device.Clocks{}, workload.Errorf(workload.Invalid, "clocks of %d and %d MHz", want.Core, want.Memory)
	}
	write := func(ctx context.Context, c device.Clocks) error {
		_, err := d.asked(ctx, uuid, request{Op: opClocks, Core: uint32(c.Core), Memory: uint32(c.Memory)}, "set the clocks of")
		return err
	}
	if err := write(ctx, want); err != nil {
		return device.Clocks{}, err
	}
	got, err := device.Observe(ctx, device.Setting[device.Clocks]{Name: "the clocks of " + uuid, Settle: clockSettle,
		Read: func(ctx context.Context) (device.Clocks, error) {
			r, err := d.asked(ctx, uuid, request{Op: opSample}, "clocks of")
			if err != nil {
				return device.Clocks{}, err
			}
			if r.Reading.CoreMHz == nil || r.Reading.MemoryMHz == nil {
				return device.Clocks{}, workload.Errorf(workload.Invalid, "nvml: %s does not tell its clocks", uuid)
			}
			return device.Clocks{Core: int64(*r.Reading.CoreMHz), Memory: int64(*r.Reading.MemoryMHz)}, nil
		},
		Equal: func(got, want device.Clocks) bool {
			return (want.Core == 0 || got.Core <= want.Core) && (want.Memory == 0 || got.Memory <= want.Memory)
		}}, want)
	if err != nil {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), clockSettle)
		defer cancel()
		return got, errors.Join(err, write(back, device.Clocks{})) // the device's own choice is the safe state
	}
	return got, nil
}

// resetLimit bounds a reset.
const resetLimit = 45 * time.Second

// Reset implements device.Resetter. NVML has no call for it, so NVIDIA's own
// tool is run. It needs the device to itself: our helper lets go of the
// library meanwhile, and what shares a link with the device must be idle, as a
// reset reaches across it.
func (d *Driver) Reset(ctx context.Context, uuid string) error {
	g, err := d.find(uuid)
	if err != nil {
		return err
	}
	if err := d.idle(ctx, uuid, g); err != nil {
		return err
	}
	give, err := d.take(ctx)
	if err != nil {
		return err
	}
	defer give()
	if d.main != nil {
		d.main.kill()
	}
	ctx, cancel := context.WithTimeout(ctx, resetLimit)
	defer cancel()
	argv := append(append([]string(nil), d.config.ResetCommand...), uuid)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		text := strings.Join(strings.Fields(string(out[:min(len(out), 400)])), " ")
		return workload.Errorf(workload.Unavailable, "nvml: reset %s: %w: %s", uuid, err, text)
	}
	d.edit(uuid, func(g *gpu) { g.suspect, g.told = nil, "" })
	return nil
}

// idle makes sure that nothing uses the device, nor any that is linked to it.
func (d *Driver) idle(ctx context.Context, uuid string, g gpu) error {
	d.mu.Lock()
	linked := []string{uuid}
	for other, o := range d.gpus {
		for _, peer := range g.facts.Peers {
			a, _ := health.PCI(peer)
			if b, ok := health.PCI(o.facts.PCI); ok && a == b && other != uuid {
				linked = append(linked, other)
			}
		}
	}
	d.mu.Unlock()
	for _, id := range linked {
		g, err := d.find(id)
		if err != nil {
			return err
		}
		busy := g.use == workload.Mining || g.use == workload.Training
		if g.suspect == nil {
			if r, err := d.asked(ctx, id, request{Op: opSample}, "processes of"); err == nil {
				busy = busy || len(r.Reading.Processes) > 0
			}
		}
		if busy {
			return workload.Errorf(workload.Conflict, "nvml: %s is at work; %s is reset when it is not", id, uuid)
		}
	}
	return nil
}

// SelfTest implements device.Tester: a fresh helper and library must find the
// device, read it, and see neither a fault nor a tenant.
func (d *Driver) SelfTest(ctx context.Context, uuid string) error {
	g, err := d.find(uuid)
	if err != nil {
		return err
	}
	s := &scout{driver: d}
	defer s.end()
	r, err := s.do(ctx, request{Op: opDescribe, UUID: uuid, PCI: g.facts.PCI})
	switch {
	case err != nil:
		return workload.Errorf(workload.Unavailable, "nvml: test %s: %w", uuid, err)
	case r.Ret != success:
		return failure("test "+uuid, r.Ret)
	}
	dev, sample := describe(*r.Facts, *r.Reading), measure(*r.Facts, *r.Reading, 0)
	switch {
	case dev.Health != workload.Healthy:
		return workload.Errorf(workload.Unavailable, "nvml: test %s: %s", uuid, dev.Note)
	case len(r.Reading.Processes) > 0:
		return workload.Errorf(workload.Unavailable, "nvml: test %s: process %d uses it", uuid, r.Reading.Processes[0])
	case sample.Watts < 0 && sample.MilliC < 0:
		return workload.Errorf(workload.Unavailable, "nvml: test %s: neither power nor temperature can be read", uuid)
	case dev.Memory == 0:
		return workload.Errorf(workload.Unavailable, "nvml: test %s: it has no memory", uuid)
	}
	d.edit(uuid, func(g *gpu) {
		g.facts, g.last, g.read, g.suspect, g.told = *r.Facts, *r.Reading, d.config.Now(), nil, ""
	})
	return nil
}
