package runner

import (
	"context"
	"encoding/json"
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

	"github.com/sluice-project/sluice/agent/runner/shim"
	"github.com/sluice-project/sluice/workload"
)

// TestMain lets the test binary become a shim or a tiny agent, so that the
// tests run real processes.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "shim" {
		os.Exit(shim.Main(os.Args[2]))
	}
	if len(os.Args) > 3 && os.Args[1] == "tiny-agent" {
		os.Exit(tinyAgent(os.Args[2], os.Args[3], os.Args[4:]))
	}
	os.Exit(m.Run())
}

// tinyAgent starts one workload, says so and waits to be killed.
func tinyAgent(root, lease string, argv []string) int {
	d, _ := time.ParseDuration(lease)
	r, err := New(Config{Root: root, Shim: []string{os.Args[0], "shim"}})
	if err == nil {
		_, err = r.Start(context.Background(), spec("w1", d, argv...))
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("started")
	select {}
}

func boot() time.Duration { return time.Duration(shim.Boottime()) }

func spec(id string, lease time.Duration, argv ...string) Spec {
	return Spec{ID: id, Argv: argv, Devices: []workload.DeviceID{"n/0"}, Epoch: 5, Deadline: boot() + lease, Signal: unix.SIGTERM,
		Grace: 300 * time.Millisecond, Meta: json.RawMessage(`{"m":1}`)}
}

func newRunner(t *testing.T, root, contain string) *Runner {
	t.Helper()
	r, err := New(Config{Root: root, Shim: []string{os.Args[0], "shim"}, Contain: contain})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.StopAll(ctx, 0); err != nil {
			t.Errorf("clearing up: %v", err)
		}
	})
	return r
}

func start(t *testing.T, r *Runner, s Spec) Run {
	t.Helper()
	run, err := r.Start(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func end(t *testing.T, r *Runner) Ended {
	t.Helper()
	select {
	case e := <-r.Ends():
		return e
	case <-time.After(15 * time.Second):
		t.Fatal("no end is reported")
		return Ended{}
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long until %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func logOf(t *testing.T, r *Runner, id string) string {
	t.Helper()
	buf := make([]byte, 1<<16)
	n, _, err := shim.ReadLog(r.Dir(id), 0, buf)
	if err != nil {
		t.Fatal(err)
	}
	return string(buf[:n])
}

func TestExitCodeAndLog(t *testing.T) {
	r := newRunner(t, t.TempDir(), "")
	start(t, r, spec("w1", time.Hour, "sh", "-c", "echo out; echo err >&2; exit 7"))
	e := end(t, r)
	if e.Exit.Code != 7 || e.Exit.Cause != shim.CauseSelf || string(e.Meta) != `{"m":1}` {
		t.Errorf("end %+v", e)
	}
	if got := logOf(t, r, "w1"); got != "out\nerr\n" {
		t.Errorf("log %q", got)
	}
}

func TestWorkloadBegins(t *testing.T) {
	r := newRunner(t, t.TempDir(), "")
	s := spec("w1", time.Hour, "sh", "-c", `env; grep NoNewPrivs /proc/self/status; for f in /proc/self/fd/*; do echo "fd ${f##*/}"; done; ps -o sid= -p $$`)
	s.Env = []string{"ONLY=this"}
	t.Setenv("LEAK", "secret")
	run := start(t, r, s)
	end(t, r)
	got := logOf(t, r, "w1")
	for _, want := range []string{"ONLY=this\n", "PATH=" + defaultPath + "\n", "HOME=", "NoNewPrivs:\t1\n", fmt.Sprintf("%d\n", run.State.Work.PID)} {
		if !strings.Contains(got, want) {
			t.Errorf("a workload does not begin with %q:\n%s", want, got)
		}
	}
	if strings.Contains(got, "LEAK") {
		t.Error("the agent's environment reaches the workload")
	}
	// 0, 1, 2 and perhaps the one with which the shell lists the directory.
	for line := range strings.Lines(got) {
		if fd, ok := strings.CutPrefix(strings.TrimSpace(line), "fd "); ok {
			if n, _ := strconv.Atoi(fd); n > 3 {
				t.Errorf("descriptor %d is open in a workload", n)
			}
		}
	}
}

func TestStartFailureLeavesNothing(t *testing.T) {
	r := newRunner(t, t.TempDir(), "")
	for _, argv := range [][]string{{"/no/such/program"}, {"no-such-program"}, {"/etc/passwd"}} {
		_, err := r.Start(t.Context(), spec("w1", time.Hour, argv...))
		if err == nil {
			t.Fatalf("%q starts", argv)
		}
		if _, err := os.Stat(r.Dir("w1")); !os.IsNotExist(err) {
			t.Errorf("%q leaves its directory: %v", argv, err)
		}
	}
	if _, err := r.Start(t.Context(), spec("../w", time.Hour, "true")); workload.KindOf(err) != workload.Unavailable && workload.KindOf(err) != workload.Invalid || err == nil {
		t.Errorf("a run id that leaves the root: %v", err)
	}
}

func TestRootIsNeverGivenOnRequest(t *testing.T) {
	r := newRunner(t, t.TempDir(), "")
	s := spec("w1", time.Hour, "true")
	s.User = "root"
	if _, err := r.Start(t.Context(), s); err == nil || !strings.Contains(err.Error(), "root") {
		t.Errorf("run as root: %v", err)
	}
}

func TestRunsAsAnotherAccount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	r := newRunner(t, t.TempDir(), "")
	s := spec("w1", time.Hour, "sh", "-c", "id -u; id -G")
	s.User = "nobody"
	// The directories above belong to the test alone; the shell needs none.
	s.Dir = "/"
	start(t, r, s)
	end(t, r)
	if got := strings.Fields(logOf(t, r, "w1")); len(got) != 2 || got[0] == "0" || got[1] == "0" {
		t.Errorf("ids %q", got)
	}
}

func TestC5IgnoresTermKilledAfterGrace(t *testing.T) {
	r := newRunner(t, t.TempDir(), "")
	start(t, r, spec("w1", time.Hour, "sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"))
	until(t, "the trap is set", func() bool { return logOf(t, r, "w1") != "" })
	began := time.Now()
	if err := r.Stop("w1", 0, -1); err != nil {
		t.Fatal(err)
	}
	e := end(t, r)
	if e.Exit.Code != 137 || !e.Exit.Killed || e.Exit.Cause != shim.CauseOrder {
		t.Errorf("end %+v", e.Exit)
	}
	if took := time.Since(began); took < 300*time.Millisecond {
		t.Errorf("killed after %v, before its grace of 300 ms", took)
	}
}

func TestStopLetsTheWorkloadSave(t *testing.T) {
	r := newRunner(t, t.TempDir(), "")
	s := spec("w1", time.Hour, "sh", "-c", "trap 'echo saved; exit 3' USR1; echo ready; while :; do sleep 0.01; done")
	s.Signal, s.Grace = unix.SIGUSR1, 10*time.Second
	start(t, r, s)
	until(t, "the trap is set", func() bool { return logOf(t, r, "w1") != "" })
	if err := r.Stop("w1", 0, -1); err != nil {
		t.Fatal(err)
	}
	e := end(t, r)
	if e.Exit.Code != 3 || e.Exit.Killed || e.Exit.Cause != shim.CauseOrder || !strings.Contains(logOf(t, r, "w1"), "saved") {
		t.Errorf("end %+v", e.Exit)
	}
}

func TestJobThatSavesAndGoesOnIsEndedOnceItHasSaved(t *testing.T) {
	for _, tells := range []bool{true, false} {
		r := newRunner(t, t.TempDir(), "")
		progress := filepath.Join(t.TempDir(), "progress")
		line := ":"
		if tells {
			line = `echo "{\"step\":2,\"checkpoint\": true}" >> ` + progress
		}
		s := spec("w1", time.Hour, "sh", "-c", `echo '{"step":1,"checkpoint":true}' > `+progress+`
			trap '`+line+`; echo saved' USR1; trap 'exit 75' TERM; echo ready; while :; do sleep 0.01; done`)
		s.Signal, s.Grace, s.Progress = unix.SIGUSR1, 4*time.Second, progress
		if tells {
			s.Grace = 30 * time.Second
		}
		start(t, r, s)
		until(t, "the traps are set", func() bool { return logOf(t, r, "w1") != "" })
		began := time.Now()
		if err := r.Stop("w1", 0, -1); err != nil {
			t.Fatal(err)
		}
		e := end(t, r)
		took := time.Since(began)
		if e.Exit.Code != 75 || e.Exit.Killed || !strings.Contains(logOf(t, r, "w1"), "saved") {
			t.Errorf("end %+v", e.Exit)
		}
		if tells && took > 10*time.Second || !tells && took < 2900*time.Millisecond {
			t.Errorf("told %v: ended after %v of %v", tells, took, s.Grace)
		}
	}
}

func TestC4EscapeeIsKilled(t *testing.T) {
	for _, kind := range []string{shim.ContainCgroup2, shim.ContainFreezer, shim.ContainGroup} {
		for _, way := range []string{"after its own end", "by order"} {
			t.Run(kind+" "+way, func(t *testing.T) {
				r := newRunner(t, t.TempDir(), kind)
				pidFile := filepath.Join(t.TempDir(), "pid")
				script := `(setsid sh -c 'trap "" TERM; echo $$ > ` + pidFile + `.t && mv ` + pidFile + `.t ` + pidFile + `; while :; do sleep 1; done' >/dev/null 2>&1 &)
					while [ ! -f ` + pidFile + ` ]; do sleep 0.01; done; echo ready; `
				if way == "by order" {
					script += "while :; do sleep 0.01; done"
				}
				run := start(t, r, spec("w1", time.Hour, "sh", "-c", script))
				if run.State.Contain != kind {
					t.Skipf("%s does not work here, %s does", kind, run.State.Contain)
				}
				until(t, "the escapee runs", func() bool { _, err := os.Stat(pidFile); return err == nil })
				pid, err := strconv.Atoi(strings.TrimSpace(read(t, pidFile)))
				if err != nil {
					t.Fatal(err)
				}
				escapee, _ := shim.Identify(pid)
				if way == "by order" {
					if !escapee.Alive() {
						t.Fatal("the escapee is not there to be killed")
					}
					r.Stop("w1", 0, -1)
				}
				e := end(t, r)
				if escapee.Alive() {
					t.Errorf("escapee %d lives on after %+v", pid, e.Exit)
				}
				if run.State.Cgroup != "" {
					if _, err := os.Stat(run.State.Cgroup); !os.IsNotExist(err) {
						t.Errorf("cgroup %s is left: %v", run.State.Cgroup, err)
					}
				}
			})
		}
	}
}

// killedAgent starts a workload from an agent that is then killed.
func killedAgent(t *testing.T, root string, lease time.Duration, argv ...string) shim.State {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"tiny-agent", root, lease.String()}, argv...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, _ := out.Read(buf)
	if got := string(buf[:n]); got != "started\n" {
		t.Fatalf("agent says %q", got)
	}
	cmd.Process.Kill()
	cmd.Wait()
	var s shim.State
	if err := shim.ReadJSON(filepath.Join(root, "w1"), shim.StateFile, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestC1AgentKilledSameProcessAdopted(t *testing.T) {
	root := t.TempDir()
	before := killedAgent(t, root, time.Hour, "sleep", "300")
	r := newRunner(t, root, "")
	live, ended, err := r.Adopt()
	if err != nil || len(live) != 1 || len(ended) != 0 {
		t.Fatalf("adopted %v, ended %v, %v", live, ended, err)
	}
	if live[0].State.Work != before.Work || !before.Work.Alive() || string(live[0].Meta) != `{"m":1}` {
		t.Errorf("adopted %+v, began as %+v", live[0].State, before)
	}
	if err := r.Stop("w1", 0, -1); err != nil {
		t.Fatal(err)
	}
	if e := end(t, r); e.Exit.Code != 143 || e.Exit.Cause != shim.CauseOrder {
		t.Errorf("end %+v", e.Exit)
	}
	if before.Work.Alive() {
		t.Error("it lives on")
	}
}

func TestC12AgentDeadShimEndsWorkAtItsLease(t *testing.T) {
	root := t.TempDir()
	before := killedAgent(t, root, 700*time.Millisecond, "sh", "-c", "trap 'echo checkpoint; exit 0' TERM; while :; do sleep 0.01; done")
	if !before.Work.Alive() {
		t.Fatal("the workload is gone before its lease")
	}
	until(t, "the lease ends it", func() bool { return !before.Work.Alive() && !before.Shim.Alive() })
	if now := boot(); now < time.Duration(before.Deadline) {
		t.Errorf("ended %v before the deadline", time.Duration(before.Deadline)-now)
	}
	r := newRunner(t, root, "")
	_, ended, _ := r.Adopt()
	if len(ended) != 1 || ended[0].Exit.Cause != shim.CauseLease || ended[0].Exit.Code != 0 {
		t.Errorf("ended %+v", ended)
	}
	if !strings.Contains(logOf(t, r, "w1"), "checkpoint") {
		t.Error("the job was not asked to save")
	}
}

func TestExitIsKeptWhileTheAgentIsDown(t *testing.T) {
	root := t.TempDir()
	gate := filepath.Join(t.TempDir(), "gate")
	before := killedAgent(t, root, time.Hour, "sh", "-c", "while [ ! -f "+gate+" ]; do sleep 0.01; done; exit 42")
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	until(t, "the shim has left", func() bool { return !before.Shim.Alive() })
	r := newRunner(t, root, "")
	live, ended, _ := r.Adopt()
	if len(live) != 0 || len(ended) != 1 || ended[0].Exit.Code != 42 || ended[0].Exit.Cause != shim.CauseSelf {
		t.Errorf("live %v, ended %+v", live, ended)
	}
	r.Release("w1", true)
	if _, again, _ := r.Adopt(); len(again) != 0 {
		t.Error("a released end is reported again")
	}
}

func stranger(t *testing.T) shim.Process {
	t.Helper()
	cmd := exec.Command("sleep", "300")
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	p, err := shim.Identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func forge(t *testing.T, root string, edit func(*shim.State)) {
	t.Helper()
	dir := filepath.Join(root, "w1")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	id, err := shim.BootID()
	if err != nil {
		t.Fatal(err)
	}
	s := shim.State{BootID: id, Shim: shim.Process{PID: 1 << 22, StartTicks: 1}, Contain: shim.ContainGroup}
	edit(&s)
	if err := shim.WriteJSON(dir, shim.SpecFile, shim.Spec{ID: "w1"}, false); err != nil {
		t.Fatal(err)
	}
	if err := shim.WriteJSON(dir, shim.StateFile, s, false); err != nil {
		t.Fatal(err)
	}
}

func TestC2StrangerUnderOurPidIsNeverSignalled(t *testing.T) {
	p := stranger(t)
	root := t.TempDir()
	forge(t, root, func(s *shim.State) {
		s.Work = shim.Process{PID: p.PID, StartTicks: p.StartTicks - 1}
		s.Shim = s.Work
	})
	_, ended, err := newRunner(t, root, "").Adopt()
	if err != nil || len(ended) != 1 {
		t.Errorf("ended %+v, %v", ended, err)
	}
	if !p.Alive() {
		t.Error("a stranger was killed for having the pid")
	}
}

func TestC3NothingOfAnotherBootIsSignalled(t *testing.T) {
	p := stranger(t)
	root := t.TempDir()
	forge(t, root, func(s *shim.State) { s.BootID, s.Work, s.Shim = "another", p, p })
	_, ended, _ := newRunner(t, root, "").Adopt()
	if len(ended) != 1 || ended[0].Exit.Cause != shim.CauseReboot {
		t.Errorf("ended %+v", ended)
	}
	if !p.Alive() {
		t.Error("a process was killed for a record of another boot")
	}
}

func TestShimKilledEndsItsWorkload(t *testing.T) {
	for _, kind := range []string{"", shim.ContainGroup} {
		r := newRunner(t, t.TempDir(), kind)
		run := start(t, r, spec("w1", time.Hour, "sleep", "300"))
		if err := run.State.Shim.Signal(unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		e := end(t, r)
		if e.Exit.Code != 137 || e.Exit.Note == "" {
			t.Errorf("end %+v", e.Exit)
		}
		until(t, "the workload is gone", func() bool { return !run.State.Work.Alive() })
	}
}

func TestLeaseMovesOnlyAsTold(t *testing.T) {
	r := newRunner(t, t.TempDir(), "")
	run := start(t, r, spec("w1", time.Hour, "sleep", "300"))
	first := time.Duration(run.State.Deadline)
	if err := r.Extend("w1", first-time.Minute, 5, false); err != nil {
		t.Fatal(err)
	}
	if s, _ := r.Status("w1"); time.Duration(s.Deadline) != first {
		t.Error("the same epoch shortens a lease")
	}
	if err := r.Extend("w1", first+time.Minute, 4, false); err == nil {
		t.Error("a lower epoch extends a lease")
	}
	if err := r.Extend("w1", first+time.Minute, 5, false); err != nil {
		t.Fatal(err)
	}
	if s, _ := r.Status("w1"); time.Duration(s.Deadline) != first+time.Minute {
		t.Error("the lease is not extended")
	}
	if err := r.Extend("w1", first-time.Minute, 5, true); err != nil {
		t.Fatal(err)
	}
	if s, _ := r.Status("w1"); time.Duration(s.Deadline) != first-time.Minute {
		t.Error("the lease is not cut short where that is asked for")
	}
	// A newer grant sets its own lease, also a shorter one, and it is enforced.
	if err := r.Extend("w1", boot()+50*time.Millisecond, 6, false); err != nil {
		t.Fatal(err)
	}
	if e := end(t, r); e.Exit.Cause != shim.CauseLease {
		t.Errorf("end %+v", e.Exit)
	}
}

func TestSocketUnderALongPath(t *testing.T) {
	root := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	r := newRunner(t, root, "")
	start(t, r, spec("w1", time.Hour, "sleep", "300"))
	if _, err := r.Status("w1"); err != nil {
		t.Error(err)
	}
}

func TestStopAllIsQuickAndLeavesNothing(t *testing.T) {
	root := filepath.Join(t.TempDir(), "runs")
	r := newRunner(t, root, "")
	const n = 32
	var runs []Run
	for i := range n {
		runs = append(runs, start(t, r, spec(fmt.Sprintf("w%d", i), time.Hour, "sleep", "300")))
	}
	began := time.Now()
	if err := r.StopAll(t.Context(), 500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	t.Logf("%d workloads stopped in %v", n, took)
	if limit := 1500 * time.Millisecond * raceFactor; took > limit {
		t.Errorf("stopping %d workloads took %v, more than %v", n, took, limit)
	}
	for _, run := range runs {
		if run.State.Work.Alive() {
			t.Errorf("%s lives on", run.ID)
		}
		until(t, "shims are gone", func() bool { return !run.State.Shim.Alive() })
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("run directories are left: %v", err)
	}
}

func TestOldLogsArePruned(t *testing.T) {
	root := t.TempDir()
	r := newRunner(t, root, "")
	r.config.KeepEnded = 2
	for i := range 4 {
		id := fmt.Sprintf("w%d", i)
		start(t, r, spec(id, time.Hour, "true"))
		end(t, r)
		r.Release(id, true)
	}
	entries, _ := os.ReadDir(root)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if !slices.Equal(names, []string{"w2", "w3"}) {
		t.Errorf("%q are kept, want the newest two", names)
	}
}

func TestC1HundredPercentReattach(t *testing.T) {
	root := t.TempDir()
	const processes, restarts = 20, 10
	r := newRunner(t, root, "")
	want := map[string]shim.Process{}
	for i := range processes {
		run := start(t, r, spec(fmt.Sprintf("w%02d", i), time.Hour, "sleep", "300"))
		want[run.ID] = run.State.Work
	}
	for range restarts {
		r.Close()
		r = newRunner(t, root, "")
		live, ended, err := r.Adopt()
		if err != nil || len(live) != processes || len(ended) != 0 {
			t.Fatalf("%d live, %v ended, %v", len(live), ended, err)
		}
		for _, run := range live {
			if want[run.ID] != run.State.Work {
				t.Fatalf("%s is %+v, was %+v", run.ID, run.State.Work, want[run.ID])
			}
		}
	}
}
