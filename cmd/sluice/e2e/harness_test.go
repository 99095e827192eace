package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary is the program under test, built by TestMain.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait for leases and elections most of the time: more of them than
	// cores may run at once.
	flag.Set("test.parallel", "4")
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	if testing.Short() {
		fmt.Println("end-to-end tests are skipped with -short")
		return 0
	}
	// Short, as Unix sockets below it allow about a hundred bytes of path.
	dir, err := os.MkdirTemp("", "sle2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "sluice")
	args := []string{"build", "-race", "-o", binary, "github.com/sluice-project/sluice/cmd/sluice"}
	began := time.Now()
	if out, err := exec.Command("go", args...).CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go %s: %v\n%s", strings.Join(args, " "), err, out)
		return 1
	}
	fmt.Printf("built with the race detector: go %s (%.1f s)\n", strings.Join(args[:2], " "), time.Since(began).Seconds())
	return m.Run()
}

// home is the world of one test: a directory, a link to the binary in it by
// which its processes are known, and all that was started.
type home struct {
	t   testing.TB
	dir string
	exe string

	mu    sync.Mutex
	procs []*process
}

// newHome makes a home. When the test ends it kills what is left of it, which
// is a failure only where the test itself asks noneLeft.
func newHome(t testing.TB) *home {
	t.Helper()
	dir, err := os.MkdirTemp(filepath.Dir(binary), "t")
	if err != nil {
		t.Fatal(err)
	}
	h := &home{t: t, dir: dir, exe: filepath.Join(dir, "sluice")}
	if err := os.Link(binary, h.exe); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"tmp", "logs"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(h.close)
	return h
}

func (h *home) path(elem ...string) string { return filepath.Join(append([]string{h.dir}, elem...)...) }

// write makes a file below the home and returns its path.
func (h *home) write(name, text string) string {
	h.t.Helper()
	file := h.path(name)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return file
}

// environ is all that a process gets; extra goes on top.
func (h *home) environ(extra ...string) []string {
	return append([]string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + h.dir, "TMPDIR=" + h.path("tmp"), "XDG_CONFIG_HOME=" + h.path("config"),
		"GORACE=log_path=" + h.path("race") + " exitcode=66"}, extra...)
}

func (h *home) close() {
	for range 3 { // what is killed may have started something an instant before
		left := h.left()
		if len(left) == 0 {
			break
		}
		for _, p := range left {
			syscall.Kill(p.pid, syscall.SIGKILL)
		}
		time.Sleep(20 * time.Millisecond)
	}
	h.mu.Lock()
	procs := slices.Clone(h.procs)
	h.mu.Unlock()
	for _, p := range procs {
		<-p.done
	}
	races, _ := filepath.Glob(h.path("race.*"))
	for _, file := range races {
		text, _ := os.ReadFile(file)
		h.t.Errorf("the race detector found, in process %s:\n%s", strings.TrimPrefix(filepath.Ext(file), "."), text)
	}
	if h.t.Failed() {
		for _, p := range procs {
			h.t.Logf("---- %s\n%s", p.name, tail(p.log(), logTail))
			if dir := os.Getenv("SLUICE_E2E_LOGS"); dir != "" {
				os.WriteFile(filepath.Join(dir, filepath.Base(p.file)), []byte(p.log()), 0o600)
			}
		}
	}
	if err := os.RemoveAll(h.dir); err != nil {
		h.t.Error(err)
	}
}

// logTail is how much of each process's log a failed test shows. The directory
// SLUICE_E2E_LOGS, where set, receives them whole.
const logTail = 1500

func tail(s string, n int) string {
	if len(s) > n {
		return "..." + s[len(s)-n:]
	}
	return s
}

// process is one started program.
type process struct {
	name string
	pid  int
	file string // takes standard output and standard error
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and was reaped
}

// start runs the binary in the background.
func (h *home) start(name string, env []string, args ...string) *process {
	h.t.Helper()
	h.mu.Lock()
	n := len(h.procs)
	h.mu.Unlock()
	p := &process{name: name, file: h.path("logs", fmt.Sprintf("%03d-%s", n, name)), done: make(chan struct{})}
	out, err := os.Create(p.file)
	if err != nil {
		h.t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(h.exe, args...)
	p.cmd.Env, p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = h.environ(env...), h.dir, out, out
	// Not in our group: a Ctrl-C at the tests must not reach what they measure.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	p.pid = p.cmd.Process.Pid
	go func() { p.cmd.Wait(); close(p.done) }()
	h.mu.Lock()
	h.procs = append(h.procs, p)
	h.mu.Unlock()
	return p
}

func (p *process) log() string {
	data, _ := os.ReadFile(p.file)
	return string(data)
}

// signal reaches this very process: it is our child and not reaped before done.
func (p *process) signal(t testing.TB, sig syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// kill is kill -9; it returns when the process is gone.
func (p *process) kill(t testing.TB) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	<-p.done
}

// exit waits for the end and returns the exit code, 128 + signal where one
// ended it.
func (p *process) exit(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		t.Fatalf("%s has not ended within %s\n%s", p.name, limit, tail(p.log(), 2000))
	}
	if ws, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return p.cmd.ProcessState.ExitCode()
}

// cli runs the command line against a cluster.
type cli struct {
	h   *home
	env []string
}

type answer struct {
	out, err string
	code     int
}

func (c cli) run(stdin string, args ...string) answer {
	c.h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.h.exe, args...)
	var out, errOut bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	cmd.Env, cmd.Dir = c.h.environ(c.env...), c.h.dir
	err := cmd.Run()
	if cmd.ProcessState == nil {
		c.h.t.Fatalf("sluice %s: %v", strings.Join(args, " "), err)
	}
	return answer{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed and returns what it printed.
func (c cli) must(stdin string, args ...string) string {
	c.h.t.Helper()
	a := c.run(stdin, args...)
	if a.code != 0 {
		c.h.t.Fatalf("sluice %s: exit code %d\n%s%s", strings.Join(args, " "), a.code, a.out, a.err)
	}
	return strings.TrimSpace(a.out)
}

// json runs a command with -o json and reads what it printed.
func (c cli) json(v any, args ...string) {
	c.h.t.Helper()
	out := c.must("", append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), v); err != nil {
		c.h.t.Fatalf("sluice %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// poll waits until f reports true; its text says what is wrong so far.
func poll(t testing.TB, limit time.Duration, what string, f func() (bool, string)) {
	t.Helper()
	began := time.Now()
	for {
		ok, state := f()
		if ok {
			return
		}
		if time.Since(began) > limit {
			t.Fatalf("%s: not within %s: %s", what, limit, state)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// freePort is a TCP port that nothing listens on at the moment.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// listening reports whether a port is taken.
func listening(addr string) bool {
	conn, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
	if err == nil {
		conn.Close()
	}
	return err == nil
}

// alive is a process as /proc shows it. A pid alone is no identity.
type alive struct {
	pid   int
	ticks uint64
	args  []string
	dir   string
}

func (p alive) String() string { return fmt.Sprintf("%d %s", p.pid, strings.Join(p.args, " ")) }

// left lists every live process of this home: one that runs its binary or
// stands in its directory.
func (h *home) left() []alive {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		h.t.Fatal(err)
	}
	var out []alive
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		exe, _ := os.Readlink("/proc/" + e.Name() + "/exe")
		dir, _ := os.Readlink("/proc/" + e.Name() + "/cwd")
		if exe != h.exe && !strings.HasPrefix(dir+"/", h.dir+"/") {
			continue
		}
		ticks, state := startTicks(pid)
		if ticks == 0 || state == 'Z' || state == 'X' {
			continue
		}
		args, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		out = append(out, alive{pid, ticks, strings.Split(strings.TrimRight(string(args), "\x00"), "\x00"), dir})
	}
	return out
}

// startTicks is field 22 of /proc/PID/stat, which with the pid names a process
// for as long as the machine is up, and its state; 0 when there is none.
func startTicks(pid int) (uint64, byte) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(data, ')')
	if err != nil || i < 0 {
		return 0, 0
	}
	f := bytes.Fields(data[i+1:])
	if len(f) < 20 {
		return 0, 0
	}
	ticks, _ := strconv.ParseUint(string(f[19]), 10, 64)
	return ticks, f[0][0]
}

// noneLeft fails when a process of this home still lives after a moment.
func (h *home) noneLeft() {
	h.t.Helper()
	var left []alive
	for range 100 {
		if left = h.left(); len(left) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	for _, p := range left {
		h.t.Errorf("still lives: %s", p)
	}
}

// files lists what lies in a directory, for tests of what is left behind.
func files(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// figure prints a measured figure.
func figure(t testing.TB, format string, args ...any) {
	t.Helper()
	t.Logf("figure: "+format, args...)
}

// spread is the usual figures of a set of durations. The quantiles are those of
// the nearest rank: with fewer than 100 values p99 is the maximum.
type spread struct {
	n             int
	p50, p99, max time.Duration
}

func spreadOf(d []time.Duration) spread {
	if len(d) == 0 {
		return spread{}
	}
	d = slices.Sorted(slices.Values(d))
	at := func(p int) time.Duration { return d[(len(d)*p+99)/100-1] }
	return spread{len(d), at(50), at(99), d[len(d)-1]}
}

func (s spread) String() string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("n=%d p50=%.1f ms p99=%.1f ms max=%.1f ms", s.n, ms(s.p50), ms(s.p99), ms(s.max))
}

// session is field 6 of /proc/PID/stat.
func session(pid int) int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	i := bytes.LastIndexByte(data, ')')
	if err != nil || i < 0 {
		return 0
	}
	f := bytes.Fields(data[i+1:])
	if len(f) < 4 {
		return 0
	}
	n, _ := strconv.Atoi(string(f[3]))
	return n
}
