// Package devicetest is the conformance suite of device drivers.
package devicetest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/workload"
)

// Exercise checks what the agent relies on. open returns a fresh driver that
// finds at least one device.
func Exercise(t *testing.T, open func(*testing.T) device.Driver) {
	t.Helper()
	t.Run("describes the same hardware each time", func(t *testing.T) { describes(t, opened(t, open)) })
	t.Run("measures what it found", func(t *testing.T) { measures(t, opened(t, open)) })
	t.Run("does not know what is not there", func(t *testing.T) { unknown(t, opened(t, open)) })
	t.Run("is safe for concurrent use", func(t *testing.T) { concurrent(t, opened(t, open)) })
	t.Run("closes twice and then says so", func(t *testing.T) { closes(t, opened(t, open)) })
	t.Run("gives up with its context", func(t *testing.T) { cancelled(t, opened(t, open)) })
	t.Run("caps power and reads it back", func(t *testing.T) { caps(t, opened(t, open)) })
	t.Run("sets clocks and observes them", func(t *testing.T) { clocks(t, opened(t, open)) })
	t.Run("refuses what it does not have", func(t *testing.T) { strangers(t, opened(t, open)) })
	t.Run("passes healthy devices", func(t *testing.T) { tests(t, opened(t, open)) })
	t.Run("tells processes and traits", func(t *testing.T) { tells(t, opened(t, open)) })
	t.Run("keeps its pools", func(t *testing.T) { pools(t, opened(t, open)) })
	t.Run("watches until it is told to end", func(t *testing.T) { watches(t, opened(t, open)) })
	t.Run("says what it supports", func(t *testing.T) { supports(t, opened(t, open)) })
}

func opened(t *testing.T, open func(*testing.T) device.Driver) device.Driver {
	d := open(t)
	t.Cleanup(func() { d.Close() })
	return d
}

func discover(t *testing.T, d device.Driver) []workload.Device {
	t.Helper()
	devices, err := d.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(devices) == 0 {
		t.Fatal("the suite needs at least one device")
	}
	return devices
}

func describes(t *testing.T, d device.Driver) {
	devices := discover(t, d)
	seen := map[string]bool{}
	for _, dev := range devices {
		if dev.UUID == "" || seen[dev.UUID] {
			t.Errorf("UUID %q is empty or there twice", dev.UUID)
		}
		seen[dev.UUID] = true
		if dev.ID != "" {
			t.Errorf("%s: ids are given by the set, not by the driver", dev.UUID)
		}
		if dev.Model == "" || (dev.Kind != workload.GPU && dev.Kind != workload.ASIC) {
			t.Errorf("%s: model %q, kind %q", dev.UUID, dev.Model, dev.Kind)
		}
		if dev.Sim != strings.HasPrefix(dev.UUID, "sim-") {
			t.Errorf("%s: simulated hardware is told by its UUID, and no other", dev.UUID)
		}
		if !slices.Contains([]workload.Health{workload.Healthy, workload.Degraded, workload.Failing}, dev.Health) {
			t.Errorf("%s: health %q; the others are the agent's to give", dev.UUID, dev.Health)
		}
		if dev.Foreign != "" {
			t.Errorf("%s: who is foreign the agent knows, not the driver", dev.UUID)
		}
		if dev.Health != workload.Healthy && dev.Note == "" {
			t.Errorf("%s is %s and does not say why", dev.UUID, dev.Health)
		}
	}
	if again := discover(t, d); !slices.Equal(again, devices) {
		t.Errorf("a second look finds %+v, the first found %+v", again, devices)
	}
	if d.Name() == "" || d.Name() != d.Name() {
		t.Error("the driver has no constant name")
	}
}

func measures(t *testing.T, d device.Driver) {
	for _, dev := range discover(t, d) {
		s, err := d.Sample(t.Context(), dev.UUID)
		if err != nil {
			t.Errorf("%s: %v", dev.UUID, err)
			continue
		}
		if s.At <= 0 || s.Device != "" || s.Sim != dev.Sim {
			t.Errorf("%s: sample %+v", dev.UUID, s)
		}
		for name, v := range map[string]int64{"watts": s.Watts, "temperature": s.MilliC, "utilisation": int64(s.Utilisation), "memory": s.MemoryUsed, "hashrate": s.Hashrate} {
			if v < -1 {
				t.Errorf("%s: %s is %d; what is not known is -1", dev.UUID, name, v)
			}
		}
		if s.Utilisation > workload.One {
			t.Errorf("%s: utilisation %d ppm", dev.UUID, s.Utilisation)
		}
		if s.Accepted != -1 || s.Rejected != -1 || s.ProcessHashrate != -1 {
			t.Errorf("%s: shares belong to a process, a driver cannot know them", dev.UUID)
		}
	}
}

func unknown(t *testing.T, d device.Driver) {
	discover(t, d)
	if _, err := d.Sample(t.Context(), "no-such-device"); workload.KindOf(err) != workload.NotFound || err == nil {
		t.Errorf("a sample of nothing: %v, want not found", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := d.Sample(ctx, ""); err == nil {
		t.Error("a sample of no name succeeds")
	}
}

func concurrent(t *testing.T, d device.Driver) {
	devices := discover(t, d)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for _, dev := range devices {
				if _, err := d.Sample(context.Background(), dev.UUID); err != nil {
					t.Error(err)
				}
			}
			if _, err := d.Discover(context.Background()); err != nil {
				t.Error(err)
			}
			if u, ok := d.(device.UseSetter); ok {
				u.SetUse(devices[0].UUID, device.Activity{Use: workload.Mining, Watts: 100})
			}
		})
	}
	wg.Wait()
}

func closes(t *testing.T, d device.Driver) {
	discover(t, d)
	for range 2 {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := d.Discover(t.Context()); err == nil {
		t.Error("a closed driver finds devices")
	}
}
