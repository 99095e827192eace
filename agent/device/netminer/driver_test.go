package netminer_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/devicetest"
	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/agent/device/netminer/emulate"
	"github.com/sluice-project/sluice/workload"
)

var logins = netminer.Logins{{Family: netminer.Antminer, Login: netminer.Login{User: "root", Password: "root"}}, {Family: netminer.Whatsminer, Login: netminer.Login{User: "super", Password: "secret"}}}

// fleet serves a miner at 127.0.0.1 and starts to look after it.
func fleet(t *testing.T, m emulate.Miner, faults emulate.Faults, change func(*netminer.Config)) *netminer.Fleet {
	t.Helper()
	s, err := emulate.Serve(m, "127.0.0.1", netminer.Ports{}, faults)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	config := netminer.Config{Targets: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Ports: s.Ports, Logins: logins, PollEvery: 50 * time.Millisecond}
	if change != nil {
		change(&config)
	}
	f := netminer.Start(config)
	t.Cleanup(f.Close)
	return f
}

func model(t *testing.T, family netminer.Family) *emulate.Model {
	t.Helper()
	m, err := emulate.NewModel(family, false)
	if err != nil {
		t.Fatal(err)
	}
	m.Delay = 0
	return m
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for _, family := range []netminer.Family{netminer.Antminer, netminer.Whatsminer, netminer.AxeOS} {
		t.Run(string(family), func(t *testing.T) {
			devicetest.Exercise(t, func(t *testing.T) device.Driver {
				return fleet(t, model(t, family), emulate.Faults{}, func(c *netminer.Config) { c.PollEvery = 200 * time.Millisecond }).Drivers()[0]
			})
		})
	}
	t.Run("replay, in single bytes", func(t *testing.T) {
		devicetest.Exercise(t, func(t *testing.T) device.Driver {
			r, err := emulate.NewReplay("stock", []byte(stock))
			if err != nil {
				t.Fatal(err)
			}
			return fleet(t, r, emulate.Faults{Chunk: 1}, func(c *netminer.Config) { c.PollEvery, c.Logins = 200*time.Millisecond, nil }).Drivers()[1]
		})
	})
}

// Without a login, or of a family that is only read, a device belongs to the
// observed ones: no process can be started on it.
func TestObservedDevicesAreNotEquipped(t *testing.T) {
	t.Parallel()
	f := fleet(t, model(t, netminer.Antminer), emulate.Faults{}, func(c *netminer.Config) { c.Logins = nil })
	drivers := f.Drivers()
	set := device.NewSet("n1", drivers, nil, 0)
	set.Discover(t.Context())
	list := set.Devices()
	if len(list) != 1 || list[0].Driver != netminer.Observed || list[0].Health != workload.Healthy || !strings.Contains(set.Observed(list[0].ID), "no login") || list[0].Model != "Antminer S19 Pro" {
		t.Fatalf("%+v", list)
	}
	if _, own, err := set.Equip(list[0].ID); !own || workload.KindOf(err) != workload.Denied {
		t.Errorf("%v %v", own, err)
	}
	s, err := set.Sample(t.Context(), list[0].ID)
	if err != nil || s.Hashrate != 110_000_000_000_000_000 || s.Accepted != -1 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestEnvironmentCarriesAMiner(t *testing.T) {
	t.Parallel()
	f := fleet(t, model(t, netminer.Whatsminer), emulate.Faults{}, nil)
	set := device.NewSet("n1", f.Drivers(), nil, 0)
	set.Discover(t.Context())
	list := set.Devices()
	if len(list) != 1 || list[0].Driver != netminer.Steered || list[0].Health != workload.Healthy {
		t.Fatalf("%+v", list)
	}
	env, own, err := set.Equip(list[0].ID)
	if err != nil || !own {
		t.Fatal(own, err)
	}
	values := map[string]string{}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		values[k] = v
	}
	m, err := netminer.FromEnvironment(func(k string) string { return values[k] })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Apply(t.Context(), netminer.Sleep(), quick); err != nil {
		t.Error(err)
	}
	if _, err := netminer.FromEnvironment(func(string) string { return "" }); workload.KindOf(err) != workload.Invalid {
		t.Error(err)
	}
}

// A device whose steering process was killed before it could put the device
// to sleep is put to sleep by the agent that sees it.
func TestADeviceLeftAwakeIsPutToSleep(t *testing.T) {
	t.Parallel()
	m := model(t, netminer.AxeOS)
	start, begun := time.Now(), time.Now()
	f := fleet(t, m, emulate.Faults{}, func(c *netminer.Config) {
		c.PollEvery = 10 * time.Millisecond
		// An hour passes in each second.
		c.Now = func() time.Time { return start.Add(time.Since(begun) * 3600) }
	})
	d := f.Drivers()[0]
	list, err := d.Discover(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	use := d.(device.UseSetter)
	use.SetUse(list[0].UUID, device.Activity{Use: workload.Parked})
	for range 20 { // it was never ours: it is left alone
		if _, err := d.Discover(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(m.Ordered()) > 0 {
		t.Fatal("a device that was never ours was put to sleep")
	}
	use.SetUse(list[0].UUID, device.Activity{Use: workload.Mining})
	use.SetUse(list[0].UUID, device.Activity{Use: workload.Parked})
	eventually(t, func() bool { asleep, _, _, _ := m.Seen(); return asleep })
}

// One device that hangs holds up neither the scan nor the samples of others.
func TestAHungDeviceDelaysNobody(t *testing.T) {
	t.Parallel()
	f := fleet(t, model(t, netminer.Antminer), emulate.Faults{Silent: true}, nil)
	d := f.Drivers()[0]
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// Its web server answers, so it is known; its API never does.
	eventually(t, func() bool { list, err := d.Discover(ctx); return err == nil && len(list) <= 1 })
	began := time.Now()
	if _, err := d.Sample(ctx, "asic-nothing"); workload.KindOf(err) != workload.NotFound {
		t.Error(err)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("a sample waited %v for another device", took)
	}
}
