//go:build linux

package shim

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// stat is the part of /proc/<pid>/stat that identity needs.
type stat struct {
	parent int
	state  byte
	ticks  uint64
}

// parseStat reads a stat line. The command name may hold spaces and brackets,
// so fields count from the last bracket.
func parseStat(line []byte) (stat, error) {
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return stat{}, fmt.Errorf("stat line has no command name")
	}
	f := bytes.Fields(line[i+1:])
	if len(f) < 20 || len(f[0]) != 1 {
		return stat{}, fmt.Errorf("stat line has %d fields after the name", len(f))
	}
	parent, err := strconv.Atoi(string(f[1]))
	if err != nil {
		return stat{}, err
	}
	ticks, err := strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return stat{}, err
	}
	return stat{parent: parent, state: f[0][0], ticks: ticks}, nil
}

func readStat(pid int) (stat, error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return stat{}, err
	}
	return parseStat(data)
}

// Identify names a live process.
func Identify(pid int) (Process, error) {
	s, err := readStat(pid)
	return Process{PID: pid, StartTicks: s.ticks}, err
}

// Alive reports whether this very process still runs; a zombie does not.
func (p Process) Alive() bool {
	if p.PID <= 0 {
		return false
	}
	s, err := readStat(p.PID)
	return err == nil && s.ticks == p.StartTicks && s.state != 'Z' && s.state != 'X'
}

// Signal sends a signal to this very process, or to none: the pidfd is opened
// before the identity is checked, so that the pid cannot change hands between.
func (p Process) Signal(sig unix.Signal) error {
	if p.PID <= 0 {
		return unix.ESRCH
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !p.Alive() {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// children lists the direct children of this process, over all its threads.
func children() []int {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil
	}
	var pids []int
	for _, t := range tasks {
		data, err := os.ReadFile("/proc/self/task/" + t.Name() + "/children")
		if err != nil {
			return childrenByScan()
		}
		for _, f := range bytes.Fields(data) {
			if pid, err := strconv.Atoi(string(f)); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// childrenByScan serves kernels without the children files.
func childrenByScan() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var pids []int
	self := os.Getpid()
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && s.parent == self {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Boottime is CLOCK_BOOTTIME in nanoseconds: it runs on while the machine is
// suspended and never jumps, which is what a lease needs.
func Boottime() int64 {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
