// Package nvmlfake builds a stand-in for NVIDIA's libnvidia-ml.so.1 with the
// system's C compiler and scripts it, so that tests drive the real go-nvml
// without a GPU. testdata/fake.c tells what a script may say.
package nvmlfake

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:embed testdata/fake.c
var source []byte

// ErrNoCompiler means that the library cannot be built here.
var ErrNoCompiler = errors.New("needs a C compiler")

// Build builds the library in dir and returns its path; the folder can be a
// LD_LIBRARY_PATH.
func Build(dir string) (string, error) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return "", ErrNoCompiler
	}
	code, path := filepath.Join(dir, "fake.c"), filepath.Join(dir, "libnvidia-ml.so.1")
	if err := os.WriteFile(code, source, 0o600); err != nil {
		return "", err
	}
	cmd := exec.Command(cc, "-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", path, code)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the library: %w\n%s", err, out)
	}
	return path, nil
}

// GPU is one scripted device: keys of fake.c.
type GPU map[string]string

// New returns a healthy card in slot n of the bus.
func New(uuid string, n int) GPU {
	return GPU{"uuid": uuid, "pci": fmt.Sprintf("00000000:%02X:00.0", 0x10+n), "name": "NVIDIA GeForce RTX 3080", "minor": fmt.Sprint(n), "memory": fmt.Sprint(int64(10) << 30),
		"memory_used": fmt.Sprint(1 << 30), "persistence": "1", "compute_mode": "0", "power": "219400", "limit_default": "320000", "limit_min": "100000", "limit_max": "350000",
		"temperature": "61", "utilization": "97", "clock": "1710", "clock_memory": "9501", "fan": "45", "energy": "36000000", "throttle": "4", "ecc": "0", "ecc_ever": "0", "ecc_corrected": "0"}
}

// With returns a copy with further keys; an empty value takes a key away.
func (g GPU) With(pairs ...string) GPU {
	c := maps.Clone(g)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(c, pairs[i])
		} else {
			c[pairs[i]] = pairs[i+1]
		}
	}
	return c
}

// Script is what a library does at present.
type Script struct {
	t    testing.TB
	Path string
}

// NewScript returns an empty script.
func NewScript(t testing.TB) *Script {
	s := &Script{t: t, Path: filepath.Join(t.TempDir(), "script")}
	s.Set(nil)
	return s
}

// Env points a process at the script.
func (s *Script) Env() []string { return []string{"FAKE_NVML=" + s.Path} }

// Set replaces the script at once: no call ever sees half of one.
func (s *Script) Set(library GPU, gpus ...GPU) {
	s.t.Helper()
	var b strings.Builder
	b.WriteString("driver=570.86.15\n")
	write := func(g GPU) {
		for _, k := range slices.Sorted(maps.Keys(g)) {
			fmt.Fprintf(&b, "%s=%s\n", k, g[k])
		}
	}
	write(library)
	for _, g := range gpus {
		b.WriteString("[gpu]\n")
		write(g)
	}
	s.replace(s.Path, b.String())
}

// Events lets the library tell count Xids of a device.
func (s *Script) Events(uuid string, xid, count int) {
	s.t.Helper()
	s.replace(s.Path+".events", fmt.Sprintf("%s %d %d\n", uuid, xid, count))
}

// Limit is the power limit that was set, in mW, or "" where the driver has its
// default.
func (s *Script) Limit(uuid string) string {
	data, _ := os.ReadFile(s.Path + ".limit." + uuid)
	return strings.TrimSpace(string(data))
}

// Reload forgets what was set, as a driver does that is loaded anew.
func (s *Script) Reload(uuid string) { _ = os.Remove(s.Path + ".limit." + uuid) }

func (s *Script) replace(path, text string) {
	s.t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		s.t.Fatal(err)
	}
}
