package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sluice-project/sluice/agent/runner"
	"github.com/sluice-project/sluice/agent/runner/shim"
	"github.com/sluice-project/sluice/workload"
)

// memory reads one line of a process's memory account, in KiB.
func memory(tb testing.TB, pid int, field string) float64 {
	tb.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				tb.Fatal(err)
			}
			return float64(n)
		}
	}
	tb.Fatalf("no %s", field)
	return 0
}

// BenchmarkStart measures from Start to a running, recorded workload under a
// shim that is this very binary, and what the shim keeps of memory.
func BenchmarkStart(b *testing.B) {
	r, err := runner.New(runner.Config{Root: filepath.Join(b.TempDir(), "runs"), Shim: []string{os.Args[0], "shim"}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.StopAll(b.Context(), 0)
	var took []time.Duration
	var dirty []float64
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		run, err := r.Start(b.Context(), runner.Spec{ID: fmt.Sprintf("w%d", i), Argv: []string{"sleep", "300"}, Devices: []workload.DeviceID{"n/0"}, Epoch: 1,
			Deadline: time.Duration(shim.Boottime()) + time.Hour, Signal: unix.SIGTERM, Grace: time.Second})
		if err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		dirty = append(dirty, memory(b, run.State.Shim.PID, "Private_Dirty"))
		if err := r.Stop(run.ID, 0, 0); err != nil {
			b.Fatal(err)
		}
		r.Release((<-r.Ends()).ID, false)
	}
	slices.Sort(took)
	slices.Sort(dirty)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(dirty[len(dirty)/2], "shim-dirty-KiB")
}

// BenchmarkAgentMemory measures an agent in a process of its own that runs
// four miners, after they have been measured for a second.
func BenchmarkAgentMemory(b *testing.B) {
	for b.Loop() {
		l := newLeader(b)
		cmd := exec.Command(os.Args[0], "agent", b.TempDir(), l.address)
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		l.connected(1)
		l.send(private, nil, minerOf(0, 5), minerOf(1, 5), minerOf(2, 5), minerOf(3, 5))
		for slot := range 4 {
			l.await("started", workload.NewDeviceID("n1", slot), 5)
		}
		time.Sleep(time.Second)
		b.ReportMetric(memory(b, cmd.Process.Pid, "Private_Dirty"), "agent-dirty-KiB")
		b.ReportMetric(memory(b, cmd.Process.Pid, "Rss"), "agent-rss-KiB")
		l.send(private, nil)
		for slot := range 4 {
			l.await("stopped", workload.NewDeviceID("n1", slot), 5)
		}
		cmd.Process.Kill()
		cmd.Wait()
	}
}
