package nvml

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/workload"
)

// Discover implements device.Driver. Devices are told apart by UUID alone;
// their order means nothing.
func (d *Driver) Discover(ctx context.Context) ([]workload.Device, error) {
	n, err := d.counted(ctx)
	if err != nil {
		return nil, err
	}
	found, unnamed, err := d.identify(ctx, n)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	known := map[string]gpu{}
	for uuid, g := range d.gpus {
		known[uuid] = *g
	}
	for _, f := range found {
		if g, ok := d.gpus[f.UUID]; ok {
			g.facts.PCI = f.PCI // it may have moved
		} else {
			d.gpus[f.UUID] = &gpu{facts: f}
		}
	}
	d.mu.Unlock()
	var devices []workload.Device
	for _, f := range found {
		delete(known, f.UUID)
		dev, err := d.look(ctx, f)
		if err != nil {
			return nil, err
		}
		devices = append(devices, dev)
	}
	// A device that has no name today is one of those that had one before.
	for uuid, g := range known {
		if unnamed == 0 && g.suspect == nil {
			d.mu.Lock()
			delete(d.gpus, uuid)
			d.mu.Unlock()
			continue
		}
		dev := describe(g.facts, reading{})
		dev.Health, dev.Code, dev.Note = workload.Failing, health.CodeLost, "the GPU does not give its name any more"
		if g.suspect != nil {
			dev.Code, dev.Note = g.suspect.words()
		}
		devices = append(devices, dev)
	}
	if len(devices) == 0 && n > 0 {
		return nil, workload.Errorf(workload.Internal, "nvml: %d devices are there and none answers", n)
	}
	slices.SortFunc(devices, func(a, b workload.Device) int { return strings.Compare(a.UUID, b.UUID) })
	return devices, nil
}

// counted opens the library where it is not and counts devices.
func (d *Driver) counted(ctx context.Context) (int, error) {
	give, err := d.take(ctx)
	if err != nil {
		return 0, err
	}
	defer give()
	if d.main != nil {
		d.main.open = false // count anew: devices come and go
	}
	if err := d.ready(ctx); err != nil {
		return 0, err
	}
	return d.count, nil
}

// identify asks every index for its name. While a device hangs this is done by
// a helper of its own, as asking may hang again.
func (d *Driver) identify(ctx context.Context, n int) (found []facts, unnamed int, err error) {
	d.mu.Lock()
	suspects := false
	for _, g := range d.gpus {
		suspects = suspects || g.suspect != nil
	}
	d.mu.Unlock()
	ask := d.do
	if suspects {
		scout := &scout{driver: d}
		defer scout.end()
		ask = scout.do
	}
	for i := range n {
		r, err := ask(ctx, request{Op: opIdentify, Index: i})
		switch {
		case err == nil && r.Ret == success:
			if !slices.ContainsFunc(found, func(f facts) bool { return f.UUID == r.Facts.UUID }) {
				found = append(found, *r.Facts)
			}
		case err == nil && lapsed(r.Ret):
			return nil, 0, openState(r.Ret, accessOK)
		case err == nil || errors.Is(err, errHung):
			unnamed++ // lost or hanging: its neighbours are asked all the same
		default:
			return nil, 0, err
		}
	}
	return found, unnamed, nil
}

// look describes one identified device.
func (d *Driver) look(ctx context.Context, f facts) (workload.Device, error) {
	g, err := d.find(f.UUID)
	if err != nil {
		return workload.Device{}, err
	}
	if g.suspect != nil && d.probe(ctx, f.UUID, g) != nil {
		if g, err = d.find(f.UUID); err != nil {
			return workload.Device{}, err
		}
		return d.doubtful(g), nil
	}
	r, err := d.asked(ctx, f.UUID, request{Op: opDescribe}, "describe")
	if g, again := d.find(f.UUID); again == nil && g.suspect != nil {
		return d.doubtful(g), nil
	}
	switch {
	case err == nil:
		d.edit(f.UUID, func(g *gpu) { g.facts, g.last, g.read = *r.Facts, *r.Reading, d.config.Now() })
		dev := describe(*r.Facts, *r.Reading)
		if dev.Health == workload.Failing {
			d.grave(f.UUID, judgement{code: dev.Code, note: dev.Note})
		} else {
			d.edit(f.UUID, func(g *gpu) { g.told = "" })
		}
		return dev, nil
	case lapsed(r.Ret):
		return workload.Device{}, openState(r.Ret, accessOK)
	case r.Ret != success:
		dev := describe(g.facts, reading{Worst: r.Ret})
		if dev.Health == workload.Healthy {
			dev.Health, dev.Code, dev.Note = workload.Degraded, health.CodeUnknown, err.Error()
		}
		return dev, nil
	}
	if ctx.Err() != nil || errors.As(err, new(*device.OpenError)) {
		return workload.Device{}, err
	}
	// The helper died over this device: the library crashes on it.
	dev := describe(g.facts, reading{})
	dev.Health, dev.Code, dev.Note = workload.Failing, health.CodeUnknown, err.Error()
	return dev, nil
}

func (d *Driver) doubtful(g gpu) workload.Device {
	dev := describe(g.facts, reading{})
	dev.Health = workload.Failing
	dev.Code, dev.Note = g.suspect.words()
	return dev
}

func (s *suspect) words() (code, note string) {
	if s.times > 1 {
		return health.CodeHung, fmt.Sprintf("its driver hangs: %d calls did not return", s.times)
	}
	return health.CodeUnresponsive, "a call to its driver did not return"
}

// suspected marks a device whose call did not return.
func (d *Driver) suspected(uuid, what string) error {
	now := d.config.Now()
	var code, note string
	d.edit(uuid, func(g *gpu) {
		if g.suspect == nil {
			g.suspect = &suspect{since: now, wait: d.config.RetryAfter}
		} else {
			s := *g.suspect
			s.wait = min(2*s.wait, 10*d.config.RetryAfter)
			g.suspect = &s
		}
		g.suspect.times++
		g.suspect.next = now.Add(g.suspect.wait)
		code, note = g.suspect.words()
	})
	d.grave(uuid, judgement{code: code, note: note})
	return workload.Errorf(workload.Unavailable, "nvml: %s %s did not return", what, uuid)
}

// probe asks a suspect again, once its time has come, through a helper of its
// own: if it hangs again, nobody else waits.
func (d *Driver) probe(ctx context.Context, uuid string, g gpu) error {
	var err error = workload.Errorf(workload.Unavailable, "nvml: %s has not answered since %s", uuid, g.suspect.since.UTC().Format(time.RFC3339))
	now := d.config.Now()
	// Not before its time, and one prober is enough.
	d.edit(uuid, func(g *gpu) {
		if g.suspect != nil && !now.Before(g.suspect.next) {
			s := *g.suspect
			s.next = now.Add(s.wait)
			g.suspect, err = &s, nil
		}
	})
	if err != nil {
		return err
	}
	s := &scout{driver: d}
	defer s.end()
	r, err := s.do(ctx, request{Op: opSample, UUID: uuid, PCI: g.facts.PCI})
	switch {
	case errors.Is(err, errHung):
		return d.suspected(uuid, "probe")
	case err != nil:
		return err
	case r.Ret != success:
		return failure("probe "+uuid, r.Ret)
	}
	d.edit(uuid, func(g *gpu) { g.suspect, g.told = nil, "" })
	return nil
}

// scout is a helper for calls that may hang.
type scout struct {
	driver *Driver
	h      *process
}

func (s *scout) do(ctx context.Context, q request) (reply, error) {
	if s.h == nil || s.h.gone {
		h, err := s.driver.pool.start()
		if err != nil {
			return reply{}, err
		}
		s.h = h
		if r, err := h.opening(ctx, s.driver.config.OpenLimit); err != nil {
			return r, err
		}
	}
	return s.h.call(ctx, q, s.driver.config.Limit)
}

func (s *scout) end() {
	if s.h != nil {
		s.h.kill()
	}
}

// Expected implements device.Counter: the kernel lists NVIDIA's display and 3D
// controllers whether their driver sees them or not.
func (d *Driver) Expected() (int, bool) {
	vendors, err := filepath.Glob(filepath.Join(d.config.Sys, "bus/pci/devices/*/vendor"))
	if err != nil || len(vendors) == 0 {
		return 0, false
	}
	n := 0
	for _, v := range vendors {
		if sysText(v) != "0x10de" {
			continue
		}
		if class := sysText(filepath.Join(filepath.Dir(v), "class")); strings.HasPrefix(class, "0x0300") || strings.HasPrefix(class, "0x0302") {
			n++
		}
	}
	return n, true
}

// numaNode is where a device hangs; -1 = not known.
func numaNode(sys, pci string) int {
	slot, ok := health.PCI(pci)
	if !ok {
		return -1
	}
	n, err := strconv.Atoi(sysText(filepath.Join(sys, "bus/pci/devices", slot+".0", "numa_node")))
	if err != nil {
		return -1
	}
	return n
}

func sysText(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
