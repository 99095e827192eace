package netminer_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/agent/device/netminer/emulate"
	"github.com/sluice-project/sluice/workload"
)

var quick = netminer.Watch{Every: 5 * time.Millisecond, Within: 5 * time.Second}

// families that can be steered, by the way they are.
var families = []struct {
	name  string
	kind  netminer.Family
	v3    bool
	power bool
}{
	{"antminer", netminer.Antminer, false, false}, {"whatsminer 2", netminer.Whatsminer, false, true}, {"whatsminer 3", netminer.Whatsminer, true, true},
	{"braiins", netminer.Braiins, false, true}, {"axeos", netminer.AxeOS, false, false},
}

// serve starts a model and opens it as the agent would.
func serve(t *testing.T, kind netminer.Family, v3 bool, change func(*emulate.Model), faults emulate.Faults) (*emulate.Model, *netminer.Miner) {
	t.Helper()
	model, err := emulate.NewModel(kind, v3)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(model)
	}
	s, err := emulate.Serve(model, "127.0.0.1", netminer.Ports{}, faults)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	m, err := netminer.Open(t.Context(), s.Host, s.Ports, model.Login)
	if err != nil {
		t.Fatal(err)
	}
	if m.Identity.Family != kind || m.Identity.V3 != v3 {
		t.Fatalf("identified as %+v", m.Identity)
	}
	return model, m
}

func TestSleepWakeAndPools(t *testing.T) {
	t.Parallel()
	pools := []netminer.PoolSetting{{URL: "stratum+tcp://new.example:3333", User: "ours.1", Password: "p"}}
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			model, m := serve(t, f.kind, f.v3, func(m *emulate.Model) { m.Delay = 20 * time.Millisecond }, emulate.Faults{})
			out, err := m.Apply(t.Context(), netminer.Sleep(), quick)
			if err != nil || !out.Changed || out.Report.Hashrate.Milli != 0 {
				t.Fatalf("sleep: %+v, %v", out, err)
			}
			if asleep, _, _, ghs := model.Seen(); !asleep || ghs != 0 {
				t.Fatal("the device does not sleep")
			}
			orders := len(model.Ordered())
			if out, err = m.Apply(t.Context(), netminer.Sleep(), quick); err != nil || out.Changed || len(model.Ordered()) != orders {
				t.Errorf("sleep again: changed %v, %v; orders %v", out.Changed, err, model.Ordered())
			}
			order := netminer.Wake()
			order.Pools = pools
			if out, err = m.Apply(t.Context(), order, quick); err != nil || !out.Changed {
				t.Fatalf("wake: %+v, %v", out, err)
			}
			_, have, _, ghs := model.Seen()
			if ghs == 0 || len(have) == 0 || !netminer.SameEndpoint(have[0].URL, pools[0].URL) || have[0].User != "ours.1" {
				t.Errorf("awake at %v with %d GH/s", have, ghs)
			}
			if p, ok := out.Report.ActivePool(); !ok || !netminer.SameEndpoint(p.URL, pools[0].URL) {
				t.Errorf("active pool %+v", p)
			}
		})
	}
}

func TestPowerTarget(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			model, m := serve(t, f.kind, f.v3, nil, emulate.Faults{})
			out, err := m.Apply(t.Context(), netminer.Order{Power: 2500}, quick)
			if !f.power {
				if workload.KindOf(err) != workload.Invalid || len(model.Ordered()) > 0 {
					t.Fatalf("%v, orders %v", err, model.Ordered())
				}
				return
			}
			if err != nil || out.Report.Power.Watts > 2510 {
				t.Fatalf("%+v, %v", out.Report.Power, err)
			}
			if _, _, watts, _ := model.Seen(); watts != 2500 {
				t.Errorf("draws %d W", watts)
			}
		})
	}
}

// A device that takes an order and goes on as before has not done it: success
// is what watts and hashrate show.
func TestStubbornDevicesAreSetBack(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			model, m := serve(t, f.kind, f.v3, func(m *emulate.Model) { m.Stubborn = true }, emulate.Faults{})
			short := netminer.Watch{Every: 5 * time.Millisecond, Within: 60 * time.Millisecond}
			if f.power {
				out, err := m.Apply(t.Context(), netminer.Order{Power: 1500}, short)
				if workload.KindOf(err) != workload.Unavailable || !out.RolledBack {
					t.Fatalf("power: rolled back %v, %v", out.RolledBack, err)
				}
				if orders := model.Ordered(); len(orders) != 2 {
					t.Errorf("orders %v", orders)
				}
			}
			out, err := m.Apply(t.Context(), netminer.Sleep(), short)
			if workload.KindOf(err) != workload.Unavailable || out.RolledBack {
				t.Fatalf("sleep: rolled back %v, %v", out.RolledBack, err)
			}
			if asleep, _, _, _ := model.Seen(); !asleep {
				t.Error("an order to draw less was undone because it could not be seen")
			}
		})
	}
}

func TestForgetfulDevices(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			_, m := serve(t, f.kind, f.v3, func(m *emulate.Model) { m.Forgetful = true }, emulate.Faults{})
			out, err := m.Apply(t.Context(), netminer.Order{Pools: []netminer.PoolSetting{{URL: "stratum+tcp://new.example:3333", User: "u"}}}, netminer.Watch{Every: 5 * time.Millisecond, Within: 50 * time.Millisecond})
			if err == nil || out.RolledBack {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}

func TestWrongPassword(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		if f.kind == netminer.AxeOS {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			model, m := serve(t, f.kind, f.v3, nil, emulate.Faults{})
			bad := netminer.NewMiner(m.Host, m.Ports, m.Identity, netminer.Login{User: "root", Password: "wrong"})
			_, err := bad.Apply(t.Context(), netminer.Sleep(), netminer.Watch{Every: time.Millisecond, Within: 20 * time.Millisecond})
			if workload.KindOf(err) != workload.Denied || len(model.Ordered()) > 0 {
				t.Errorf("%v, orders %v", err, model.Ordered())
			}
		})
	}
}

func TestReadOnlyFamiliesAreDenied(t *testing.T) {
	for _, f := range []netminer.Family{netminer.LuxOS, netminer.Avalon, netminer.Vnish, netminer.CGMiner, netminer.Goldshell} {
		m := netminer.NewMiner("127.0.0.1", netminer.Ports{RPC: 1}, netminer.Identity{Family: f}, netminer.Login{Password: "x"})
		if _, err := m.Apply(t.Context(), netminer.Sleep(), quick); workload.KindOf(err) != workload.Denied {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// Curtailment of many ends within its deadline though some hang; they alone
// are late.
func TestCurtailManyWithinADeadline(t *testing.T) {
	t.Parallel()
	var miners []*netminer.Miner
	var models []*emulate.Model
	for i := range 12 {
		faults := emulate.Faults{}
		f := families[i%len(families)]
		model, m := serve(t, f.kind, f.v3, nil, faults)
		miners, models = append(miners, m), append(models, model)
	}
	hung, err := emulate.NewModel(netminer.Whatsminer, false)
	if err != nil {
		t.Fatal(err)
	}
	s, err := emulate.Serve(hung, "127.0.0.1", netminer.Ports{}, emulate.Faults{Silent: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	miners = slices.Insert(miners, 0, netminer.NewMiner(s.Host, s.Ports, netminer.Identity{Family: netminer.Whatsminer}, hung.Login))
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	results := netminer.Curtail(ctx, miners, netminer.Sleep(), quick, 4)
	if results[0].Err == nil {
		t.Error("a device that hangs was curtailed")
	}
	for i, r := range results[1:] {
		if r.Err != nil {
			t.Errorf("%d %s: %v", i, r.Miner.Identity.Family, r.Err)
		}
		if asleep, _, _, _ := models[i].Seen(); !asleep {
			t.Errorf("%d is awake", i)
		}
	}
}

// A foreign writer's setting that we do not know must survive ours: the fake
// refuses a configuration that lost a key.
func TestSteerSetsBackAForeignPool(t *testing.T) {
	t.Parallel()
	model, m := serve(t, netminer.Braiins, false, nil, emulate.Faults{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ours := netminer.PoolSetting{URL: "stratum+tcp://ours.example:3333", User: "w.1"}
	steered := make(chan string, 64)
	s := &netminer.Steer{Miner: m, Pools: []netminer.PoolSetting{ours}, Every: 10 * time.Millisecond, Watch: quick, Grace: 5 * time.Second, Log: slog.New(slog.NewTextHandler(lines(steered), nil))}
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	at := func(url string) func() bool {
		return func() bool { _, p, _, ghs := model.Seen(); return ghs > 0 && len(p) > 0 && p[0].URL == url }
	}
	<-steered
	if !at(ours.URL)() {
		t.Fatal("steered, but not to our pool")
	}
	model.Meddle(netminer.PoolSetting{URL: "stratum+tcp://thief.example:3333", User: "thief"})
	eventually(t, at(ours.URL))
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if asleep, _, _, ghs := model.Seen(); !asleep || ghs != 0 {
		t.Error("it mines on after the end of its grant")
	}
}

func TestSteerGivesUpOnATugOfWar(t *testing.T) {
	t.Parallel()
	model, m := serve(t, netminer.AxeOS, false, nil, emulate.Faults{})
	s := &netminer.Steer{Miner: m, Pools: []netminer.PoolSetting{{URL: "stratum+tcp://ours.example:3333", User: "w.1"}}, Every: 5 * time.Millisecond, Watch: quick, Grace: 5 * time.Second}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				if asleep, p, _, _ := model.Seen(); !asleep && p[0].User == "w.1" {
					model.Meddle(netminer.PoolSetting{URL: "stratum+tcp://thief.example:3333", User: "thief"})
				}
			}
		}
	}()
	s.Watch.Within = time.Second
	if err := s.Run(t.Context()); err == nil {
		t.Error("it goes on for ever")
	}
	if asleep, _, _, _ := model.Seen(); !asleep {
		t.Error("it mines for somebody else")
	}
}

// lines hands on what is written, a line at a time.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	select {
	case l <- string(p):
	default:
	}
	return len(p), nil
}

// eventually polls until a condition holds; the test's own deadline bounds it.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.After(20 * time.Second); !holds(); {
		select {
		case <-end:
			t.Fatal("it never came to be")
		case <-time.After(2 * time.Millisecond):
		}
	}
}

func TestMD5Crypt(t *testing.T) {
	// As `openssl passwd -1 -salt SALT PASSWORD` prints them.
	for _, c := range []struct{ password, salt, want string }{
		{"admin", "BQ5hoXV9", "RxmaDUO33TS7O26yeMHZ81"}, {"", "abc", "Or2rbeUYTvt12aiVzMuS/."}, {strings.Repeat("x", 40), "12345678", "WmUwxmYnSdAX9cEZA7SiC."},
	} {
		if got := netminer.MD5Crypt(c.password, c.salt); got != c.want {
			t.Errorf("%q %q: %s, want %s", c.password, c.salt, got, c.want)
		}
	}
}
