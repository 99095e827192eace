package batch

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-project/sluice/workload/slurm"
)

// How many tasks srun starts, and where, inside an allocation of four nodes for
// six tasks.
func TestSpread(t *testing.T) {
	k := &keeper{nodes: []string{"n1", "n2", "n3", "n4"}, env: map[string]string{"SLURM_NTASKS": "6"}}
	for _, tt := range []struct {
		req  Launch
		want string
	}{
		{Launch{}, "[0 1 2 3] [2 2 1 1]"},
		{Launch{Tasks: 1}, "[0] [1]"},
		{Launch{Tasks: 8}, "[0 1 2 3] [2 2 2 2]"},
		{Launch{NodeCount: 2}, "[0 1] [1 1]"},
		{Launch{NodeCount: 2, PerNode: 3}, "[0 1] [3 3]"},
		{Launch{NodeCount: 1, Tasks: 1, Nodes: []string{"n3"}}, "[2] [1]"},
		{Launch{Nodes: []string{"n3", "n1"}}, "[0 2] [1 1]"},
		{Launch{Tasks: 4, PerNode: 2}, "[0 1] [2 2]"},
		{Launch{NodeCount: 5}, "the step needs 5 nodes, the job has 4"},
		{Launch{Nodes: []string{"x"}}, "node x is not in the job's allocation n[1-4]"},
		{Launch{Tasks: 9, PerNode: 2, NodeCount: 4}, "9 tasks do not fit on 4 nodes with 2 each"},
		{Launch{Tasks: 70000}, "a step of 70000 tasks"},
	} {
		tt.req.Argv = []string{"true"}
		ranks, counts, err := k.spread(tt.req)
		got := fmt.Sprint(ranks, counts)
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.req, got, tt.want)
		}
	}
}

// buffer is a log that several keepers write.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// environment is what the agent gives the keeper of one of two nodes.
func environment(t *testing.T, rank int, port, key, script string) []string {
	dir := t.TempDir()
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/", "SLUICE_SCRIPT=" + script, "SLUICE_PROGRESS=" + filepath.Join(dir, "progress"), "SLURM_JOB_NODELIST=n[1-2]",
		fmt.Sprint("SLURM_NODEID=", rank), "SLURM_JOB_ID=7", "SLURM_RESTART_COUNT=0", "SLURM_NTASKS=2", "MASTER_ADDR=127.0.0.1", "MASTER_PORT=" + port, VarKey + "=" + key,
		slurm.VarOutput + "=/dev/null", fmt.Sprint("CUDA_VISIBLE_DEVICES=gpu", rank), fmt.Sprint("SLURMD_NODENAME=n", rank+1), "RANK=9"}
}

// The script runs once, when both nodes are there, and its end is the end of
// both.
func TestTwoNodes(t *testing.T) {
	out := &buffer{}
	type end struct {
		rank, code int
		err        error
	}
	ends := make(chan end)
	for rank := range 2 {
		env := environment(t, rank, "23987", strings.Repeat("k", 26), "#!/bin/sh\necho script on $SLURMD_NODENAME rank=$RANK. args=$* key=$"+VarKey+".\nexit 4\n")
		go func() {
			code, err := Run(Config{Args: []string{"a", "b c"}, Env: env, Self: "/bin/true", Shims: []string{"srun"}, Out: out})
			ends <- end{rank, code, err}
		}()
	}
	for range 2 {
		select {
		case e := <-ends:
			if want := []int{4, 0}[e.rank]; e.code != want || e.err != nil {
				t.Errorf("node %d ends with %d, %v; want %d", e.rank, e.code, e.err, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("the job does not end")
		}
	}
	if got, want := out.String(), "script on n1 rank=. args=a b c key=.\n"; got != want {
		t.Errorf("log %q, want %q", got, want)
	}
}

// Tasks of a step on two nodes, each with its own node's devices; output comes
// back and the worst exit code counts.
func TestStepOnTwoNodes(t *testing.T) {
	key := strings.Repeat("s", 26)
	started := make(chan string, 1)
	follower, leader := environment(t, 1, "23988", key, "#!/bin/sh\n"), environment(t, 0, "23988", key, "#!/bin/sh\nwhile [ ! -e \"$SLUICE_BATCH_DIR/over\" ]; do sleep 0.02; done\n")
	var wg sync.WaitGroup
	for _, env := range [][]string{follower, leader} {
		wg.Go(func() {
			if code, err := Run(Config{Env: env, Self: "/bin/true", Out: &buffer{}}); code != 0 || err != nil {
				t.Errorf("keeper: %d, %v", code, err)
			}
		})
	}
	i := slices.IndexFunc(leader, func(kv string) bool { return strings.HasPrefix(kv, "SLUICE_PROGRESS=") })
	dir := filepath.Dir(strings.TrimPrefix(leader[i], "SLUICE_PROGRESS="))
	go func() {
		for range 1000 {
			if _, err := os.Stat(filepath.Join(dir, socketName)); err == nil {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		started <- dir
	}()
	env := func(name string) string { return map[string]string{dirVar: dir}[name] }
	<-started
	var out, errOut bytes.Buffer
	step := Launch{Argv: []string{"sh", "-c", "echo $SLURM_PROCID of $SLURM_NTASKS on $SLURMD_NODENAME with $CUDA_VISIBLE_DEVICES; exit $((SLURM_PROCID*5))"}, Env: []string{"PATH=" + os.Getenv("PATH"), "CUDA_VISIBLE_DEVICES=gpu0"}, Dir: "/"}
	code, err := Step(env, step, true, &out, &errOut, nil)
	if code != 5 || err != nil {
		t.Errorf("the step ends with %d, %v\n%s", code, err, errOut.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	slices.Sort(lines)
	if got, want := strings.Join(lines, "|"), "0: 0 of 2 on n1 with gpu0|1: 1 of 2 on n2 with gpu1"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := errOut.String(); got != "srun: error: task 1: exited with exit code 5\n" {
		t.Errorf("%q", got)
	}
	if _, err := Step(env, Launch{Argv: []string{"true"}, Nodes: []string{"n9"}}, false, &out, &errOut, nil); err == nil || !strings.Contains(err.Error(), "n9 is not in") {
		t.Errorf("a step on another's node: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "over"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
}

// Without the job's key nobody is heard.
func TestStrangersAreNotHeard(t *testing.T) {
	if _, err := identity("short"); err == nil {
		t.Error("a key of five letters is taken")
	}
	a, err1 := identity(strings.Repeat("a", 26))
	again, err2 := identity(strings.Repeat("a", 26))
	b, err3 := identity(strings.Repeat("b", 26))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Certificates[0].Certificate[0], again.Certificates[0].Certificate[0]) {
		t.Error("two keepers of one job have unlike certificates")
	}
	if bytes.Equal(a.Certificates[0].Certificate[0], b.Certificates[0].Certificate[0]) {
		t.Error("keepers of two jobs have one certificate")
	}
	if err := talk(t, a, again); err != nil {
		t.Errorf("two keepers of one job: %v", err)
	}
	if err := talk(t, a, b); err == nil {
		t.Error("keepers of two jobs talk")
	}
}

// A job that must not be started again says so instead of running.
func TestNoRequeue(t *testing.T) {
	env := append(environment(t, 0, "23989", strings.Repeat("n", 26), "#!/bin/sh\n"), slurm.VarNoRequeue+"=1")
	for i, kv := range env {
		if kv == "SLURM_RESTART_COUNT=0" {
			env[i] = "SLURM_RESTART_COUNT=1"
		}
	}
	if code, err := Run(Config{Env: env, Self: "/bin/true", Out: &buffer{}}); code != 1 || err == nil || !strings.Contains(err.Error(), "--no-requeue") {
		t.Errorf("%d %v", code, err)
	}
}

// The worst exit code of a step is its own, whichever task ends last.
func TestWorstExitCodeCounts(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	k := &keeper{steps: map[int]*step{3: {srun: newLink(a), left: 3}}}
	go func() {
		for task, code := range []int{0, 143, 1} {
			k.deliver(message{Kind: kindExit, Step: 3, Task: task, Code: code})
		}
	}()
	l := newLink(b)
	for {
		m, err := l.receive()
		if err != nil {
			t.Fatal(err)
		}
		if m.Kind == kindDone {
			if m.Code != 143 {
				t.Errorf("exit code %d", m.Code)
			}
			return
		}
	}
}
