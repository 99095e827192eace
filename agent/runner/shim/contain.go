//go:build linux

package shim

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Ways of containment, strongest first.
const (
	ContainCgroup2 = "cgroup2" // one write kills all, at once
	ContainFreezer = "freezer" // v1: freeze, kill each, thaw
	ContainGroup   = "group"   // process group, then every child handed to the subreaper
)

// containment holds the processes of one workload together.
type containment struct {
	kind string
	dir  string // of the cgroup, empty for group
}

// contain makes the strongest containment that works here, or the one forced.
func contain(id, force string) containment {
	if force == "" || force == ContainCgroup2 {
		if dir, ok := makeCgroup(cgroup2Base(), id); ok {
			if _, err := os.Stat(filepath.Join(dir, "cgroup.kill")); err == nil {
				return containment{ContainCgroup2, dir}
			}
			os.Remove(dir)
		}
	}
	if force == "" || force == ContainFreezer {
		if dir, ok := makeCgroup(freezerBase(), id); ok {
			if _, err := os.Stat(filepath.Join(dir, "freezer.state")); err == nil {
				return containment{ContainFreezer, dir}
			}
			os.Remove(dir)
		}
	}
	return containment{kind: ContainGroup}
}

func makeCgroup(base, id string) (string, bool) {
	if base == "" {
		return "", false
	}
	dir := filepath.Join(base, "sluice-"+id)
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, os.ErrExist) {
		// Left by a shim of the same run that died before its workload began.
		err = os.Remove(dir)
		if err == nil {
			err = os.Mkdir(dir, 0o755)
		}
	}
	return dir, err == nil
}

// cgroup2Base is our own cgroup in the unified hierarchy, so that what a
// service manager delegated to the agent also bounds its workloads.
func cgroup2Base() string {
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var fs unix.Statfs_t
		if unix.Statfs(root, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC {
			return filepath.Join(root, ownCgroup(""))
		}
	}
	return ""
}

func freezerBase() string {
	const root = "/sys/fs/cgroup/freezer"
	if _, err := os.Stat(filepath.Join(root, "tasks")); err != nil {
		return ""
	}
	return filepath.Join(root, ownCgroup("freezer"))
}

// ownCgroup finds our path in one hierarchy of /proc/self/cgroup.
func ownCgroup(controller string) string {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "/"
	}
	return parseCgroup(string(data), controller)
}

func parseCgroup(data, controller string) string {
	for line := range strings.Lines(data) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		if controller == "" && f[0] == "0" && f[1] == "" {
			return f[2]
		}
		for c := range strings.SplitSeq(f[1], ",") {
			if controller != "" && c == controller {
				return f[2]
			}
		}
	}
	return "/"
}

// start forks the workload inside the containment. The caller has locked its
// thread.
func (c containment) start(argv0 string, argv []string, attr *syscall.ProcAttr) (int, error) {
	switch c.kind {
	case ContainCgroup2:
		fd, err := unix.Open(c.dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		defer unix.Close(fd)
		attr.Sys.UseCgroupFD, attr.Sys.CgroupFD = true, fd
	case ContainFreezer:
		// A child inherits the v1 cgroups of the thread that forks it. The
		// thread goes in for the fork and comes out again.
		tid := []byte(strconv.Itoa(unix.Gettid()))
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := os.WriteFile(filepath.Join(c.dir, "tasks"), tid, 0); err != nil {
			return 0, err
		}
		defer os.WriteFile(filepath.Join(filepath.Dir(c.dir), "tasks"), tid, 0)
	}
	pid, _, err := syscall.StartProcess(argv0, argv, attr)
	return pid, err
}

// killAll sends SIGKILL to everything contained. group is the workload's
// process group while its leader is not reaped yet, else 0. It may be called
// again until nothing is left.
func (c containment) killAll(group int) {
	switch c.kind {
	case ContainCgroup2:
		os.WriteFile(filepath.Join(c.dir, "cgroup.kill"), []byte("1"), 0)
	case ContainFreezer:
		c.freezeKill()
	}
	if group > 0 {
		unix.Kill(-group, unix.SIGKILL)
	}
	// Whoever left group, session or cgroup is handed to us as its subreaper
	// once its parent dies. A child of ours keeps its pid until we reap it, and
	// the caller holds the lock that the reaper takes.
	for _, pid := range children() {
		unix.Kill(pid, unix.SIGKILL)
	}
}

func (c containment) freezeKill() {
	state := filepath.Join(c.dir, "freezer.state")
	os.WriteFile(state, []byte("FROZEN"), 0)
	for range 50 {
		if data, err := os.ReadFile(state); err != nil || bytes.HasPrefix(data, []byte("FROZEN")) {
			break
		}
		time.Sleep(time.Millisecond)
	}
	data, err := os.ReadFile(filepath.Join(c.dir, "cgroup.procs"))
	if err == nil {
		for _, f := range bytes.Fields(data) {
			if pid, err := strconv.Atoi(string(f)); err == nil {
				unix.Kill(pid, unix.SIGKILL)
			}
		}
	}
	os.WriteFile(state, []byte("THAWED"), 0)
}

// remove deletes the empty cgroup.
func (c containment) remove() {
	if c.dir == "" {
		return
	}
	for range 100 {
		if err := unix.Rmdir(c.dir); err == nil || errors.Is(err, unix.ENOENT) {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// KillOrphan ends a workload whose shim is dead, by what its state says. It
// never signals a process that it cannot prove to be the workload.
func KillOrphan(s State) {
	c := containment{kind: s.Contain, dir: s.Cgroup}
	switch s.Contain {
	case ContainCgroup2:
		os.WriteFile(filepath.Join(c.dir, "cgroup.kill"), []byte("1"), 0)
	case ContainFreezer:
		c.freezeKill()
	}
	// A group lives on after its leader; it is only ours for certain while the
	// leader is the process we started.
	if s.Work.Alive() && s.Work.PID > 1 {
		unix.Kill(-s.Work.PID, unix.SIGKILL)
		s.Work.Signal(unix.SIGKILL)
	}
	c.remove()
}
