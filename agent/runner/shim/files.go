//go:build linux

// Package shim is the small process that owns one workload: it starts it,
// keeps its log, enforces its lease, stops it with everything it spawned, and
// leaves its exit status on disk. It outlives the agent, so that an agent may
// be killed, restarted or upgraded without a job noticing; it is the agent's
// own binary called again, and therefore imports nothing but the standard
// library and x/sys.
package shim

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Names inside a run directory.
const (
	SpecFile   = "spec.json"
	StateFile  = "state.json"
	ExitFile   = "exit.json"
	SocketFile = "ctl.sock"
	NoteFile   = "progress" // conventional place of SLUICE_PROGRESS
	ShimLog    = "shim.log"
)

// Spec is what the agent asks a shim to run. The agent writes it before it
// starts the shim.
type Spec struct {
	ID      string   `json:"id"` // of the run; names its cgroup
	Argv    []string `json:"argv"`
	Env     []string `json:"env"`
	Dir     string   `json:"dir,omitempty"`
	Devices []string `json:"devices"`
	Epoch   uint64   `json:"epoch"`
	// Deadline of the lease on CLOCK_BOOTTIME, in nanoseconds. Required.
	Deadline int64         `json:"deadline"`
	Signal   int           `json:"signal"` // asks for a checkpoint and an end
	Grace    time.Duration `json:"grace"`  // between Signal and SIGKILL
	// Progress names a file. A workload that is asked to save by another signal
	// than SIGTERM may save and go on; once it has appended a line with
	// "checkpoint":true here it is told to end, and in any case a while before
	// its grace is over.
	Progress string `json:"progress,omitempty"`
	// UID and GID of the workload where Switch is set.
	Switch bool   `json:"switch,omitempty"`
	UID    uint32 `json:"uid,omitempty"`
	GID    uint32 `json:"gid,omitempty"`
	// Contain forces a way of containment: cgroup2, freezer or group. Empty
	// takes the strongest that works.
	Contain string `json:"contain,omitempty"`
	// Meta is the agent's own note about the run, opaque here.
	Meta json.RawMessage `json:"meta,omitempty"`
}

// Process identifies a process for as long as the machine is up. A pid alone
// never does: pids are used again.
type Process struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"` // /proc/<pid>/stat field 22
}

// State is what a shim has begun. It needs no fsync: what survives a power cut
// belongs to another boot, and nothing of it is alive.
type State struct {
	BootID   string  `json:"boot_id"`
	Shim     Process `json:"shim"`
	Work     Process `json:"work"` // pid 0 before the start
	Epoch    uint64  `json:"epoch"`
	Deadline int64   `json:"deadline"`
	Contain  string  `json:"contain"`
	Cgroup   string  `json:"cgroup,omitempty"` // directory that holds the workload
}

// Causes of an end.
const (
	CauseOrder  = "order"
	CauseLease  = "lease"
	CauseSelf   = "self"
	CauseReboot = "reboot"
)

// Exit is how a workload ended.
type Exit struct {
	Code  int    `json:"code"` // 128 + signal where a signal ended it
	Cause string `json:"cause"`
	AtMs  int64  `json:"at_ms"` // real clock
	// Killed says that the grace was not enough.
	Killed bool `json:"killed,omitempty"`
	// Strays counts processes that outlived the main one and were killed.
	Strays  int    `json:"strays,omitempty"`
	Contain string `json:"contain,omitempty"`
	Note    string `json:"note,omitempty"`
}

// ReadJSON reads one file of a run directory.
func ReadJSON(dir, name string, v any) error {
	data, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

// WriteJSON replaces a file of a run directory atomically; with durable it is
// on disk before the call returns.
func WriteJSON(dir, name string, v any, durable bool) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, "."+name+".tmp")
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp, filepath.Join(dir, name)); err != nil || !durable {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// BootID reads the identity of this boot.
func BootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}
