package serial

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/devicetest"
	"github.com/sluice-project/sluice/agent/device/serial/emulate"
	"github.com/sluice-project/sluice/workload"
)

func TestMain(m *testing.M) {
	flag.Parse()
	// These tests wait for lines most of the time.
	if f := flag.Lookup("test.parallel"); f.Value.String() == f.DefValue {
		flag.Set("test.parallel", "16")
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1370", Chips: 2, ZeroBits: 6})
	devicetest.Exercise(t, func(t *testing.T) device.Driver {
		return New(Config{Ports: []PortSpec{{Path: c.Path(), ZeroBits: 6}}, Sys: t.TempDir()})
	})
}

func one(t *testing.T, d *Driver) workload.Device {
	t.Helper()
	list, err := d.Discover(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("found %+v, %v", list, err)
	}
	return list[0]
}

// While a chain mines the driver leaves its port alone and reports what the
// miner knows; an agent that was restarted learns all from the miner.
func TestDriverBesideMiner(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1368", Chips: 2, ZeroBits: 6})
	spec := PortSpec{Path: c.Path(), ZeroBits: 6, Chips: 3}
	d := New(Config{Ports: []PortSpec{spec}, Sys: t.TempDir()})
	dev := one(t, d)
	if dev.Model != "BM1368 x2" || dev.Kind != workload.ASIC || dev.Health != workload.Degraded || dev.Note != "2 of 3 chips answer" || dev.Sim {
		t.Errorf("found %+v", dev)
	}
	if s, err := d.Sample(t.Context(), dev.UUID); err != nil || s.Hashrate != 0 || s.MilliC != -1 {
		t.Errorf("at rest: %+v, %v", s, err)
	}
	env, err := d.Equip(dev.UUID)
	if err != nil || !slices.Equal(env, []string{PortEnv + "=" + spec.String()}) {
		t.Errorf("a workload is told %v, %v", env, err)
	}

	p := pool(t, "0.0000005")
	m := testMiner(t, MinerConfig{Port: spec, Pools: []string{p.Addr()}})
	background(t, m.Run)
	until(t, patience, "the hashrate is known", func() (bool, any) {
		s, err := d.Sample(t.Context(), dev.UUID)
		if err != nil {
			t.Fatal(err)
		}
		return s.Hashrate > 0 && s.MilliC > 50_000, s
	})
	sent := c.Stats().Commands
	again := New(Config{Ports: []PortSpec{spec}, Sys: t.TempDir()})
	if got := one(t, again); got != dev {
		t.Errorf("a new agent finds %+v, the old one found %+v", got, dev)
	}
	one(t, d)
	if err := d.Reset(t.Context(), dev.UUID); workload.KindOf(err) != workload.Conflict {
		t.Errorf("a chain that mines is reset: %v", err)
	}
	if err := d.SelfTest(t.Context(), dev.UUID); workload.KindOf(err) != workload.Unavailable {
		t.Errorf("a chain with a chip missing passes: %v", err)
	}
	// The miner itself asks for the temperature now and then: 4 commands.
	if n := c.Stats().Commands - sent; n > 8 {
		t.Errorf("%d commands were sent while the miner had the port", n)
	}
}

// A port without chips, and one that is not there, are devices that must not be
// used, and say why.
func TestDriverTroubles(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1370", ZeroBits: 6, Faults: emulate.Faults{Stalled: true}})
	d := New(Config{Ports: []PortSpec{{Path: c.Path()}}, Sys: t.TempDir()})
	until(t, patience, "silence is told", func() (bool, any) {
		dev := one(t, d)
		return dev.Health == workload.Failing && strings.Contains(dev.Note, "no chip answers"), dev
	})
	c.SetFaults(emulate.Faults{})
	until(t, patience, "chips that come are found", func() (bool, any) {
		dev := one(t, d)
		return dev.Health == workload.Healthy && dev.Model == "BM1370 x1", dev
	})
	d = New(Config{Ports: []PortSpec{{Path: "/dev/no-such-port"}}, Sys: t.TempDir()})
	if dev := one(t, d); dev.Health != workload.Failing || !strings.Contains(dev.Note, "no such file") {
		t.Errorf("a port that is not there: %+v", dev)
	}
	d = New(Config{Ports: []PortSpec{{Path: c.Path(), Model: "bm1366"}}, Sys: t.TempDir()})
	if dev := one(t, d); dev.Health != workload.Failing || !strings.Contains(dev.Note, "bm1370, not bm1366") {
		t.Errorf("other chips than a person said: %+v", dev)
	}
	d.Close()
	if _, err := d.Sample(t.Context(), "x"); workload.KindOf(err) != workload.Unavailable {
		t.Errorf("a closed driver: %v", err)
	}
}

// sysTree is a /sys with USB devices as the kernel lays them out.
type usbDevice struct {
	bus, vendor, product, manufacturer, title, serial string
	ttys                                              []string // by interface, two apart
}

func sysTree(t *testing.T, devices ...usbDevice) string {
	t.Helper()
	root := t.TempDir()
	write := func(path, text string) {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range devices {
		dir := filepath.Join(root, "devices/pci0/usb1", d.bus)
		for name, text := range map[string]string{"idVendor": d.vendor, "idProduct": d.product, "manufacturer": d.manufacturer, "product": d.title, "serial": d.serial, "authorized": "1"} {
			if text != "" {
				write(filepath.Join(dir, name), text)
			}
		}
		for i, tty := range d.ttys {
			iface := filepath.Join(dir, d.bus+":1."+string(rune('0'+2*i)))
			write(filepath.Join(iface, "bInterfaceNumber"), "0"+string(rune('0'+2*i)))
			target := iface
			if strings.HasPrefix(tty, "ttyUSB") {
				target = filepath.Join(iface, tty)
			}
			own := filepath.Join(target, "tty", tty)
			write(filepath.Join(own, "dev"), "166:0")
			if err := os.MkdirAll(filepath.Join(root, "class/tty"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(target, filepath.Join(own, "device")); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(own, filepath.Join(root, "class/tty", tty)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return root
}

var (
	bitaxe   = usbDevice{"1-1", "c0de", "cafe", "OSMU", "Bitaxe", "", []string{"ttyACM0", "ttyACM1"}}
	compacF  = usbDevice{"1-2", "0403", "6015", "GekkoScience", "CompacF Bitcoin Miner", "1000123", []string{"ttyUSB0"}}
	newPac   = usbDevice{"1-4", "0403", "6015", "GekkoScience", "NewPac Bitcoin Miner", "77", []string{"ttyUSB2"}}
	console  = usbDevice{"1-3", "0403", "6015", "FTDI", "FT230X Basic UART", "D30", []string{"ttyUSB1"}}
	terminus = usbDevice{"1-5.2", "10c4", "ea70", "GekkoScience", "Terminus A2", "5", []string{"ttyUSB5"}}
)

func TestUSB(t *testing.T) {
	ports, err := usbPorts(sysTree(t, bitaxe, compacF, newPac, console, terminus))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range ports {
		name := "-"
		if q := productOf(p); q != nil {
			name = q.name
		}
		got[p.Name] = name + " " + p.identity()
	}
	want := map[string]string{
		"ttyACM0": "Bitaxe usb-c0de-cafe-at-1-1-if0", "ttyACM1": "Bitaxe usb-c0de-cafe-at-1-1-if2",
		"ttyUSB0": "GekkoScience CompacF usb-0403-6015-1000123-if0", "ttyUSB1": "- usb-0403-6015-D30-if0",
		"ttyUSB2": "GekkoScience NewPac usb-0403-6015-77-if0", "ttyUSB5": "GekkoScience Terminus A2 usb-10c4-ea70-5-if0",
	}
	for name, w := range want {
		if got[name] != w {
			t.Errorf("%s is %q, want %q", name, got[name], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("found %v", got)
	}
}

// A miner is found by its strings, and where it is plugged in does not matter;
// a cable with the same adapter is never opened, nor is a control port.
func TestScan(t *testing.T) {
	t.Parallel()
	c := emulated(t, emulate.Config{Model: "bm1397"})
	dev := t.TempDir()
	sys := sysTree(t, bitaxe, compacF, newPac, console)
	if err := os.Symlink(c.Path(), filepath.Join(dev, "ttyUSB0")); err != nil {
		t.Fatal(err)
	}
	byID := filepath.Join(dev, "serial/by-id")
	if err := os.MkdirAll(byID, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../../ttyUSB0", filepath.Join(byID, "usb-GekkoScience_CompacF")); err != nil {
		t.Fatal(err)
	}
	d := New(Config{Sys: sys, Dev: dev})
	list, err := d.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]workload.Device{}
	for _, dev := range list {
		found[dev.UUID] = dev
	}
	if got := found["usb-0403-6015-1000123-if0"]; got.Health != workload.Healthy || got.Model != "BM1397 x1" {
		t.Errorf("the stick is %+v", got)
	}
	if env, err := d.Equip("usb-0403-6015-1000123-if0"); err != nil || env[0] != PortEnv+"="+filepath.Join(byID, "usb-GekkoScience_CompacF")+",model=bm1397" {
		t.Errorf("its workload is told %v, %v", env, err)
	}
	if got := found["usb-0403-6015-77-if0"]; got.Health != workload.Failing || !strings.Contains(got.Note, "BM1387") {
		t.Errorf("a stick that cannot be driven is %+v", got)
	}
	if got := found["usb-c0de-cafe-at-1-1-if2"]; got.Health != workload.Failing || got.Model != "Bitaxe" {
		t.Errorf("a board whose port is not there is %+v", got)
	}
	if len(found) != 3 {
		t.Errorf("found %+v", found)
	}
}
