// Command bench prints one table of what this machine, and this build, measure:
// decisions, replication, the way of a job from submission to start, memory. It
// starts a real `sluice dev` of its own and leaves nothing behind.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// row is one line of the table: what, how many times, and the figures.
type row struct {
	what    string
	n       int
	figures string
}

func main() {
	sluice := flag.String("sluice", "./sluice", "the program to measure")
	only := flag.String("only", "", "decide, raft, cluster or agent; default all")
	jobs := flag.Int("jobs", 20, "jobs to submit, at least 20 for a 99th percentile worth the name")
	flag.Parse()
	fmt.Println(machine())
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "WHAT\tN\tFIGURES")
	failed := false
	for _, part := range []struct {
		name string
		run  func() ([]row, error)
	}{
		{"decide", decisions}, {"raft", replication},
		{"cluster", func() ([]row, error) { return cluster(*sluice, *jobs) }}, {"agent", agents},
	} {
		if *only != "" && *only != part.name {
			continue
		}
		fmt.Fprintf(os.Stderr, "bench: %s ...\n", part.name)
		rows, err := part.run()
		for _, r := range rows {
			fmt.Fprintf(table, "%s\t%d\t%s\n", r.what, r.n, r.figures)
		}
		if err != nil {
			failed = true
			fmt.Fprintf(table, "%s\t0\tnot measured: %v\n", part.name, err)
		}
	}
	table.Flush()
	if failed {
		os.Exit(1)
	}
}

// machine is one line that says where figures come from.
func machine() string {
	cpu := "unknown CPU"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				cpu = strings.TrimSpace(value)
				break
			}
		}
	}
	kernel := "unknown kernel"
	if v, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		kernel = strings.TrimSpace(string(v))
	}
	load := ""
	if v, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = ", load " + strings.Fields(string(v))[0]
	}
	return fmt.Sprintf("%s, %d cores, Linux %s, %s %s/%s%s, temporary files on %s", cpu, runtime.NumCPU(), kernel, runtime.Version(),
		runtime.GOOS, runtime.GOARCH, load, filesystem(os.TempDir()))
}

// filesystem names what a directory lies on: a sync to memory proves nothing.
func filesystem(dir string) string {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return "an unknown file system"
	}
	switch uint32(s.Type) {
	case 0x01021994:
		return "tmpfs"
	case 0xEF53:
		return "ext4"
	case 0x58465342:
		return "xfs"
	case 0x794c7630:
		return "overlayfs"
	}
	return fmt.Sprintf("file system %#x", s.Type)
}

// percentiles sorts and shows the middle and the slowest hundredth.
func percentiles(took []time.Duration) string {
	slices.Sort(took)
	at := func(p int) time.Duration { return took[min(len(took)*p/100, len(took)-1)] }
	return fmt.Sprintf("p50 %s  p99 %s", millis(at(50)), millis(at(99)))
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }
