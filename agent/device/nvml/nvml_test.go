//go:build cgo && linux

package nvml

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/devicetest"
	"github.com/sluice-project/sluice/agent/device/devicetest/nvmlfake"
	"github.com/sluice-project/sluice/agent/device/health"
	"github.com/sluice-project/sluice/workload"
)

// TestMain becomes the helper where the driver calls this program.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "nvml-helper" {
		if err := Helper(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	dir, err := os.MkdirTemp("", "nvml")
	if err != nil {
		panic(err)
	}
	library = sync.OnceValues(func() (string, error) { return nvmlfake.Build(dir) })
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

var library func() (string, error)

// rig is a driver over a scripted library that is found as the real one is: by
// name, through dlopen.
type rig struct {
	*nvmlfake.Script
	d   *Driver
	log string
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	t.Parallel()
	r := &rig{Script: nvmlfake.NewScript(t), log: filepath.Join(t.TempDir(), "kmsg")}
	if err := os.WriteFile(r.log, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := library()
	if errors.Is(err, nvmlfake.ErrNoCompiler) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Env: append(r.Env(), "LD_LIBRARY_PATH="+filepath.Dir(path)), Limit: 2 * time.Second, KernelLog: r.log, Sys: t.TempDir(), PIDNamespace: "/nonexistent", RetryAfter: 50 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	r.d = New(c)
	t.Cleanup(func() { r.d.Close() })
	return r
}

func (r *rig) discover(t *testing.T) map[string]workload.Device {
	t.Helper()
	list, err := r.d.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]workload.Device{}
	for _, d := range list {
		m[d.UUID] = d
	}
	return m
}

var (
	cardA = nvmlfake.New("GPU-a", 0)
	cardB = nvmlfake.New("GPU-b", 1)
)

func TestConformance(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA, cardB)
	devicetest.Exercise(t, func(t *testing.T) device.Driver {
		d := New(r.d.config)
		return d
	})
}

func TestFigures(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA.With("utilization", ""), cardB.With("links", "4", "peer", "00000000:10:00.0", "rows", "2"))
	devices := r.discover(t)
	if d := devices["GPU-a"]; d.Model != "RTX 3080" || d.Memory != 10<<30 || d.Health != workload.Healthy {
		t.Errorf("%+v", d)
	}
	s, err := r.d.Sample(t.Context(), "GPU-a")
	if err != nil || s.Watts != 219 || s.MilliC != 61_000 || s.MemoryUsed != 1<<30 || s.Utilisation != -1 || s.Hashrate != -1 {
		t.Errorf("%+v, %v: what a card does not support stays unknown", s, err)
	}
	list, err := r.d.Traits(t.Context(), "GPU-b")
	if text := fmt.Sprint(list); err != nil || !strings.Contains(text, "4 links up: 00000000:10:00.0") || !strings.Contains(text, "100-350 W, default 320 W") ||
		!strings.Contains(text, "power cap") || !strings.Contains(text, "2 after uncorrectable") || !strings.Contains(text, "570.86.15") {
		t.Errorf("%v, %v", list, err)
	}
}

// D7: what cannot be is not measured.
func TestAbsurdFiguresAreUnknown(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA.With("power", "4294967295", "temperature", "255", "utilization", "4000", "memory_used", "99999999999999"))
	r.discover(t)
	s, err := r.d.Sample(t.Context(), "GPU-a")
	if err != nil || s.Watts != -1 || s.MilliC != -1 || s.Utilisation != -1 || s.MemoryUsed != -1 {
		t.Errorf("%+v, %v", s, err)
	}
}

// D1: one lost card, seen by the next sample, and no neighbour harmed.
func TestALostGPUFailsAlone(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA, cardB)
	r.discover(t)
	told := r.watch(t)
	r.Set(nil, cardA, cardB.With("ret.*", "15"))
	if _, err := r.d.Sample(t.Context(), "GPU-b"); err == nil {
		t.Error("a lost card is measured")
	}
	if f := next(t, told); f.UUID != "GPU-b" || f.Class != device.FaultState || !strings.HasPrefix(f.Text, health.CodeLost+" ") {
		t.Errorf("told %+v", f)
	}
	if s, err := r.d.Sample(t.Context(), "GPU-a"); err != nil || s.Watts != 219 {
		t.Errorf("its neighbour: %+v, %v", s, err)
	}
	devices := r.discover(t)
	if devices["GPU-a"].Health != workload.Healthy || devices["GPU-b"].Health != workload.Failing || devices["GPU-b"].Code != health.CodeLost {
		t.Errorf("%+v", devices)
	}
}

// D4: a hung call costs its device, and its neighbours at most the wait.
func TestAHungCallCostsOneDevice(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RetryAfter = time.Hour })
	r.Set(nil, cardA, cardB)
	r.discover(t)
	r.Set(nil, cardA, cardB.With("hang", "nvmlDeviceGetPowerUsage"))
	set := device.NewSet("n1", []device.Driver{r.d}, nil, 20*time.Second)
	if _, err := r.d.Sample(t.Context(), "GPU-b"); err == nil || workload.KindOf(err) != workload.Unavailable {
		t.Fatalf("a hung card: %v", err)
	}
	if s, err := r.d.Sample(t.Context(), "GPU-a"); err != nil || s.Watts != 219 {
		t.Errorf("its neighbour: %+v, %v", s, err)
	}
	helper := r.d.main.cmd.Process.Pid
	if _, err := r.d.Sample(t.Context(), "GPU-b"); err == nil {
		t.Error("a suspect is measured")
	}
	if r.d.main.cmd.Process.Pid != helper || r.d.main.gone {
		t.Error("a suspect cost its neighbours another helper")
	}
	set.Discover(t.Context())
	for _, d := range set.Devices() {
		if bad := d.UUID == "GPU-b"; bad != (d.Health == workload.Failing) || bad != (d.Code == health.CodeUnresponsive) {
			t.Errorf("%+v", d)
		}
	}
	// Well again, it is found so by a helper of its own.
	r.Set(nil, cardA, cardB)
	r.d.edit("GPU-b", func(g *gpu) { s := *g.suspect; s.next = time.Time{}; g.suspect = &s })
	if s, err := r.d.Sample(t.Context(), "GPU-b"); err != nil || s.Watts != 219 {
		t.Errorf("after: %+v, %v", s, err)
	}
}

// Ten devices measured side by side, as the agent does: all but the one that
// hangs are measured in the same round, or in the next at the latest.
func TestAHungCallDelaysOthersByOneSample(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RetryAfter = time.Hour })
	var cards []nvmlfake.GPU
	for i := range 10 {
		cards = append(cards, nvmlfake.New(fmt.Sprintf("GPU-%d", i), i))
	}
	r.Set(nil, cards...)
	set := device.NewSet("n1", []device.Driver{r.d}, nil, 20*time.Second)
	set.Discover(t.Context())
	cards[4] = cards[4].With("hang", "*")
	r.Set(nil, cards...)
	measured := map[workload.DeviceID]bool{}
	for round := range 2 {
		began := time.Now()
		var mu sync.Mutex
		var wg sync.WaitGroup
		for _, d := range set.Devices() {
			wg.Go(func() {
				if _, err := set.Sample(t.Context(), d.ID); err == nil {
					mu.Lock()
					measured[d.ID] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		t.Logf("round %d: %d of 9 measured so far, after %s", round, len(measured), time.Since(began))
	}
	if len(measured) != 9 || measured["n1/4"] {
		t.Errorf("measured %v", measured)
	}
}

func TestADeviceThatHangsTwiceIsHung(t *testing.T) {
	r := newRig(t, func(c *Config) { c.RetryAfter = time.Millisecond })
	r.Set(nil, cardA, cardB)
	r.discover(t)
	r.Set(nil, cardA, cardB.With("hang", "nvmlDeviceGetPowerUsage"))
	for range 2 {
		if _, err := r.d.Sample(t.Context(), "GPU-b"); err == nil {
			t.Fatal("a hung card is measured")
		}
		time.Sleep(2 * time.Millisecond) // RetryAfter
	}
	if d := r.discover(t)["GPU-b"]; d.Code != health.CodeHung {
		t.Errorf("%+v", d)
	}
}

// A device that hangs before it has told its name is known by those it is not.
func TestAHangWhileNamingKeepsTheDevice(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA, cardB)
	r.discover(t)
	r.Set(nil, cardA, cardB.With("hang", "*"))
	devices := r.discover(t)
	if len(devices) != 2 || devices["GPU-b"].Health != workload.Failing || devices["GPU-a"].Health != workload.Healthy {
		t.Errorf("%+v", devices)
	}
}

// D6: order means nothing, and a card in another's place is not taken for it.
func TestDevicesAreKnownByUUID(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA, cardB)
	set := device.NewSet("n1", []device.Driver{r.d}, nil, 20*time.Second)
	set.Discover(t.Context())
	before := set.Devices()
	r.d.main.kill()
	r.Set(nil, cardB.With("pci", cardA["pci"], "power", "111000"), cardA.With("pci", cardB["pci"]))
	if _, err := r.d.Sample(t.Context(), "GPU-a"); workload.KindOf(err) != workload.NotFound || err == nil {
		t.Errorf("another card answers for this one: %v", err)
	}
	set.Discover(t.Context())
	if after := set.Devices(); len(after) != 2 || after[0] != before[0] || after[1] != before[1] {
		t.Errorf("%+v became %+v", before, after)
	}
	if s, err := r.d.Sample(t.Context(), "GPU-b"); err != nil || s.Watts != 111 {
		t.Errorf("%+v, %v", s, err)
	}
}

// D3 and its kin: each failure to open is a state of its own, and devices that
// were known stay.
func TestFailureToOpenIsAState(t *testing.T) {
	r := newRig(t)
	for code, want := range map[string]workload.DriverState{"18": workload.DriverMismatch, "9": workload.DriverNotLoaded, "4": workload.DriverDenied, "3": workload.DriverFailed} {
		r.Set(nvmlfake.GPU{"ret.nvmlInit_v2": code}, cardA)
		_, err := New(r.d.config).Discover(t.Context())
		if s := (device.DriverStatus{Driver: Name, Err: err}).Report(); s.State != want || s.Text == "" || s.Next == "" {
			t.Errorf("code %s: %+v", code, s)
		}
	}
	r.Set(nil, cardA)
	now := time.Now()
	d := New(r.d.config)
	defer d.Close()
	d.config.Now = func() time.Time { return now }
	set := device.NewSet("n1", []device.Driver{d}, nil, 20*time.Second)
	set.Discover(t.Context())
	r.Set(nvmlfake.GPU{"ret.nvmlInit_v2": "18", "ret.nvmlDeviceGetCount_v2": "18"}, cardA)
	status := set.Discover(t.Context())
	if got := set.Devices(); len(got) != 1 || got[0].Health != workload.Failing || status[0].Report().State != workload.DriverMismatch {
		t.Errorf("%+v, %+v", got, status)
	}
	// It is back: the library is opened anew, not before its time.
	r.Set(nil, cardA)
	if set.Discover(t.Context())[0].Err == nil {
		t.Error("the library is opened again and again")
	}
	now = now.Add(time.Minute)
	if status := set.Discover(t.Context()); status[0].Err != nil || set.Devices()[0].Health != workload.Healthy {
		t.Errorf("%+v %+v", status, set.Devices())
	}
}

func TestNoLibraryAndNoHelper(t *testing.T) {
	d := New(Config{Helper: []string{os.Args[0], "nvml-helper", "/nonexistent/libnvidia-ml.so.1"}})
	defer d.Close()
	_, err := d.Discover(t.Context())
	if s := (device.DriverStatus{Err: err}).Report(); s.State != workload.DriverAbsent {
		t.Errorf("%+v", s)
	}
	if _, err := New(Config{Helper: []string{"/nonexistent/sluice"}}).Discover(t.Context()); workload.KindOf(err) != workload.Unavailable {
		t.Errorf("no helper: %v", err)
	}
}

func TestOpenStates(t *testing.T) {
	for _, c := range []struct {
		ret    int
		access string
		want   workload.DriverState
	}{{unknownError, accessCgroup, workload.DriverIsolated}, {unknownError, accessDenied, workload.DriverDenied}, {unknownError, accessMissing, workload.DriverIsolated},
		{unknownError, accessOK, workload.DriverFailed}, {driverNotLoaded, accessMissing, workload.DriverNotLoaded}, {notBuilt, "", workload.DriverNotBuilt}} {
		if got := openState(c.ret, c.access); got.State != c.want || got.Err.Next == "" {
			t.Errorf("%d %q: %+v, want %s", c.ret, c.access, got, c.want)
		}
	}
}

func TestPowerCap(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA)
	r.discover(t)
	now := time.Now()
	r.d.config.Now = func() time.Time { return now }
	for _, c := range [][2]int64{{250, 250}, {400, 350}} {
		if got, err := r.d.SetPowerCap(t.Context(), "GPU-a", c[0]); err != nil || got != c[1] {
			t.Errorf("cap of %d W: %d, %v; want %d", c[0], got, err, c[1])
		}
	}
	if _, err := r.d.SetPowerCap(t.Context(), "GPU-a", 99); workload.KindOf(err) != workload.Invalid {
		t.Errorf("below the lowest: %v", err)
	}
	// The driver is loaded anew and has forgotten; the next samples set it again.
	r.Reload("GPU-a")
	now = now.Add(time.Minute)
	r.sample(t, "GPU-a")
	if got := r.Limit("GPU-a"); got != "350000" {
		t.Errorf("after a reload the limit is %q", got)
	}
	// Another driver, as after a restart of the agent, takes the cap for its own
	// and lifts it to the default.
	again := New(r.d.config)
	defer again.Close()
	if _, err := again.Discover(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := again.SetPowerCap(t.Context(), "GPU-a", 350); err != nil || again.gpus["GPU-a"].before != nil {
		t.Errorf("%v, %v", again.gpus["GPU-a"].before, err)
	}
	// The use is over: what was there before is there again.
	r.d.SetUse("GPU-a", device.Activity{Use: workload.Parked})
	r.sample(t, "GPU-a")
	if got := r.Limit("GPU-a"); got != "320000" {
		t.Errorf("after the use the limit is %q", got)
	}
}

// A card that takes the order and does something else is put back.
func TestACapThatDoesNotTakeIsRolledBack(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA)
	r.discover(t)
	if _, err := r.d.SetPowerCap(t.Context(), "GPU-a", 300); err != nil {
		t.Fatal(err)
	}
	r.Set(nil, cardA.With("limit_stuck", "333000"))
	if _, err := r.d.SetPowerCap(t.Context(), "GPU-a", 200); workload.KindOf(err) != workload.Unavailable {
		t.Errorf("%v", err)
	}
	r.Set(nil, cardA.With("ret.nvmlDeviceSetPowerManagementLimit", "4"))
	if _, err := r.d.SetPowerCap(t.Context(), "GPU-a", 200); workload.KindOf(err) != workload.Denied {
		t.Errorf("without the right: %v", err)
	}
}

func TestClocks(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA)
	r.discover(t)
	if got, err := r.d.SetClocks(t.Context(), "GPU-a", device.Clocks{Core: 1200}); err != nil || got.Core != 1200 {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := r.d.SetClocks(t.Context(), "GPU-a", device.Clocks{}); err != nil || got.Core != 1710 {
		t.Errorf("%+v, %v", got, err)
	}
}

func (r *rig) sample(t *testing.T, uuid string) {
	t.Helper()
	if _, err := r.d.Sample(t.Context(), uuid); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) watch(t *testing.T) chan device.Fault {
	t.Helper()
	told := make(chan device.Fault, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = r.d.Watch(ctx, func(f device.Fault) { told <- f }) })
	t.Cleanup(func() { cancel(); wg.Wait() })
	for { // until it watches
		r.d.faults.mu.Lock()
		up := r.d.faults.tell != nil
		r.d.faults.mu.Unlock()
		if up {
			return told
		}
		time.Sleep(time.Millisecond)
	}
}

func next(t *testing.T, told chan device.Fault) device.Fault {
	t.Helper()
	select {
	case f := <-told:
		return f
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told")
		return device.Fault{}
	}
}

// D5: hundreds of events of the library become one message at once and one
// later.
func TestAStormOfXidsFromTheLibrary(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA, cardB)
	r.discover(t)
	r.d.SetUse("GPU-b", device.Activity{Use: workload.Mining})
	told := r.watch(t)
	r.Events("GPU-b", 48, 300)
	if f := next(t, told); f.UUID != "GPU-b" || f.Class != device.FaultXid || f.Code != 48 || f.Count != 300 {
		t.Errorf("%+v", f)
	}
}

func TestXidsFromTheKernelLog(t *testing.T) {
	r := newRig(t)
	fifo := filepath.Join(t.TempDir(), "kmsg")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	r.d.config.KernelLog = fifo
	r.Set(nil, cardA, cardB)
	r.discover(t)
	w, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	told := r.watch(t)
	for range 400 {
		fmt.Fprintln(w, "4,1234,99887766,-;NVRM: Xid (PCI:0000:11:00): 79, pid=77, GPU has fallen off the bus.")
	}
	f := next(t, told)
	if f.UUID != "GPU-b" || f.Code != 79 || !strings.Contains(f.Text, "fallen off") {
		t.Errorf("%+v", f)
	}
	if len(told) > 1 {
		t.Errorf("a storm gives %d messages", len(told))
	}
}

func TestNobodyUsesTheLibraryWhileNothingRuns(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA)
	r.discover(t)
	r.d.listen(t.Context())
	if r.d.main.open {
		t.Error("the library is held open while nothing runs")
	}
	r.sample(t, "GPU-a")
	if !r.d.main.open || r.d.openings != 2 {
		t.Errorf("open %v, openings %d", r.d.main.open, r.d.openings)
	}
	r.d.SetUse("GPU-a", device.Activity{Use: workload.Mining})
	if r.d.listen(t.Context()); !r.d.main.open {
		t.Error("a GPU at work is not listened to")
	}
}

func TestResetAndSelfTest(t *testing.T) {
	r := newRig(t)
	sick := cardB.With("ecc", "3")
	r.Set(nil, cardA.With("pids", "77"), sick)
	if d := r.discover(t)["GPU-b"]; d.Health != workload.Failing || d.Code != health.CodeMemory {
		t.Fatalf("%+v", d)
	}
	if err := r.d.SelfTest(t.Context(), "GPU-b"); err == nil {
		t.Error("a sick card passes")
	}
	if err := r.d.Reset(t.Context(), "GPU-a"); workload.KindOf(err) != workload.Conflict {
		t.Errorf("a GPU at work is reset: %v", err)
	}
	r.Set(nil, cardA.With("pids", "77"), sick.With("peer", cardA["pci"], "links", "2"))
	r.discover(t)
	if err := r.d.Reset(t.Context(), "GPU-b"); workload.KindOf(err) != workload.Conflict {
		t.Errorf("a reset reaches a neighbour at work: %v", err)
	}
	r.Set(nil, cardA, sick)
	r.discover(t)
	mark := filepath.Join(t.TempDir(), "reset")
	r.d.config.ResetCommand = []string{"sh", "-c", "echo $1 > " + mark, "sh"}
	if err := r.d.Reset(t.Context(), "GPU-b"); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(mark); err != nil || string(data) != "GPU-b\n" {
		t.Errorf("what was reset: %q, %v", data, err)
	}
	r.Set(nil, cardA, cardB)
	if err := r.d.SelfTest(t.Context(), "GPU-b"); err != nil {
		t.Error(err)
	}
	r.d.config.ResetCommand = []string{"false"}
	if err := r.d.Reset(t.Context(), "GPU-b"); workload.KindOf(err) != workload.Unavailable {
		t.Errorf("a reset that fails: %v", err)
	}
}

// D10, and further judgements of a card.
func TestHealthOfACard(t *testing.T) {
	r := newRig(t)
	for code, card := range map[string]nvmlfake.GPU{
		health.CodeMIG: cardA.With("mig", "1", "mig_instances", "3"), health.CodeRows: cardA.With("rows", "9", "rows_failed", "1"),
		health.CodeRowsPending: cardA.With("rows", "1", "rows_pending", "1"), health.CodeResetNeeded: cardA.With("ret.nvmlDeviceGetPowerUsage", "16"),
		"": cardA.With("ret.nvmlDeviceGetPowerUsage", "4"),
	} {
		r.Set(nil, card)
		if d := r.discover(t)["GPU-a"]; d.Code != code || (code == "") != (d.Health == workload.Healthy) {
			t.Errorf("want %q: %+v", code, d)
		}
	}
	r.Set(nil, cardA.With("mig", "1", "mig_instances", "2"))
	r.discover(t)
	if list, err := r.d.Traits(t.Context(), "GPU-a"); err != nil || !strings.Contains(fmt.Sprint(list), "MIG-GPU-a-1") {
		t.Errorf("%v, %v", list, err)
	}
}

func TestTenants(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA.With("pids", "77,12,77"))
	r.discover(t)
	if pids, err := r.d.Processes(t.Context(), "GPU-a"); err != nil || fmt.Sprint(pids) != "[12 77]" {
		t.Errorf("%v, %v", pids, err)
	}
	// In a container the ids mean other processes, or none.
	link := filepath.Join(t.TempDir(), "pid")
	if err := os.Symlink("pid:[4026532000]", link); err != nil {
		t.Fatal(err)
	}
	r.d.config.PIDNamespace = link
	if _, err := r.d.Processes(t.Context(), "GPU-a"); workload.KindOf(err) != workload.Unavailable || err == nil {
		t.Errorf("ids of another namespace: %v", err)
	}
}

// D2: the kernel lists a card that its driver does not show.
func TestMissingCardsAreCounted(t *testing.T) {
	r := newRig(t)
	for name, class := range map[string]string{"0000:10:00.0": "0x030000", "0000:11:00.0": "0x030200", "0000:11:00.1": "0x040300"} {
		dir := filepath.Join(r.d.config.Sys, "bus/pci/devices", name)
		for file, text := range map[string]string{"vendor": "0x10de", "class": class, "numa_node": "1"} {
			if err := errors.Join(os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, file), []byte(text+"\n"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.Set(nil, cardA)
	set := device.NewSet("n1", []device.Driver{r.d}, nil, 20*time.Second)
	if s := set.Discover(t.Context())[0].Report(); s.State != workload.DriverPartial || s.Devices != 1 || s.Next == "" {
		t.Errorf("%+v", s)
	}
	if list, err := r.d.Traits(t.Context(), "GPU-a"); err != nil || !strings.Contains(fmt.Sprint(list), "{numa 1}") {
		t.Errorf("%v, %v", list, err)
	}
}

func TestAHelperThatDiesIsReplaced(t *testing.T) {
	r := newRig(t)
	r.Set(nil, cardA)
	r.discover(t)
	if err := r.d.main.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	r.d.Sample(t.Context(), "GPU-a") // may notice
	r.sample(t, "GPU-a")
}
