//go:build cgo && linux

package nvml

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/devicetest/nvmlfake"
	"github.com/sluice-project/sluice/workload"
)

// BenchmarkTenDevices samples ten scripted devices every five seconds' worth of
// work: what one round costs of this process and of the helper.
func BenchmarkTenDevices(b *testing.B) {
	path, err := library()
	if err != nil {
		b.Skip(err)
	}
	script := nvmlfake.NewScript(b)
	var cards []nvmlfake.GPU
	for i := range 10 {
		cards = append(cards, nvmlfake.New(fmt.Sprintf("GPU-%d", i), i))
	}
	script.Set(nil, cards...)
	helper := []string{os.Args[0], "nvml-helper", path}
	if sluice := os.Getenv("SLUICE_BINARY"); sluice != "" {
		helper[0] = sluice // the test binary is larger than the product's helper
	}
	d := New(Config{Helper: helper, Env: script.Env(), Sys: b.TempDir()})
	defer d.Close()
	set := device.NewSet("n1", []device.Driver{d}, nil, 0)
	set.Discover(b.Context())
	devices := set.Devices()
	if len(devices) != 10 {
		b.Fatalf("%d devices", len(devices))
	}
	for _, dev := range devices {
		set.SetUse(dev.ID, device.Activity{Use: workload.Mining})
	}
	ours, theirs := ticks(b, os.Getpid()), ticks(b, d.main.cmd.Process.Pid)
	rounds := 0
	for b.Loop() {
		for _, dev := range devices {
			if _, err := set.Sample(b.Context(), dev.ID); err != nil {
				b.Fatal(err)
			}
		}
		rounds++
	}
	const second = 100 // ticks
	cpu := func(n int64) float64 { return float64(n) / second * 1000 / float64(rounds) }
	b.ReportMetric(cpu(ticks(b, os.Getpid())-ours), "agent-ms/round")
	b.ReportMetric(cpu(ticks(b, d.main.cmd.Process.Pid)-theirs), "helper-ms/round")
	b.ReportMetric(float64(dirty(b, d.main.cmd.Process.Pid))/1024, "helper-MiB")
	began := time.Now()
	d.main.kill()
	if _, err := set.Sample(b.Context(), devices[0].ID); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(time.Since(began).Milliseconds()), "restart-ms")
}

func ticks(tb testing.TB, pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		tb.Fatal(err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return user + system
}

// dirty is a process's private memory in KiB.
func dirty(tb testing.TB, pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Private_Dirty:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}
