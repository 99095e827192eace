package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// slurmSite is a cluster as its users of Slurm see it: the tools are links on
// PATH, and so are stand-ins for the programs that scripts of others call.
type slurmSite struct {
	*cluster
	work string // directory of submissions
	path string
	more []string // environment
}

// slurmPolicy has nothing to mine: what does not train is parked, so that
// nothing has to be stopped first.
const slurmPolicy = `kind: Cluster
name: default
currency: USD
minDwell: 1s
---
kind: Site
name: hall
zone: UTC
power: {cap: 20kW, halls: [{name: air, cap: 20kW, cooling: {pue: 1.20}}]}
tariff: flat
---
kind: Tariff
name: flat
currency: USD
bands: [{price: 0.020 USD/kWh}]
---
kind: DeviceProfile
model: V100
training: {speed: 1.0, power: 300W}
idle: 30W
switch: {warmup: 1s}
---
kind: Tenant
name: default
transferPrice: 0.20 USD/GPU-h
`

// stub is a program that tells how it was called.
const stub = "#!/bin/sh\necho \"stub ${0##*/} proc=$SLURM_PROCID/$SLURM_NTASKS node=$SLURM_NODEID host=$SLURMD_NODENAME gpus=$CUDA_VISIBLE_DEVICES args=$*\"\n"

func newSlurmSite(t *testing.T, nodes int) *slurmSite {
	h := newHome(t)
	c := lone(h)
	c.cli().must("", "policy", "apply", "--yes", "-f", h.write("policy.yaml", slurmPolicy))
	for i := range nodes {
		c.agent(fmt.Sprintf("n%02d", i+1), "4xV100")
	}
	for i := range nodes {
		c.ready(fmt.Sprintf("n%02d", i+1), 20*time.Second)
	}
	s := &slurmSite{cluster: c, work: h.path("submit"), path: h.path("bin")}
	for _, name := range []string{"python", "python3", "torchrun", "accelerate", "module"} {
		if err := os.Chmod(h.write("bin/"+name, stub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	h.write("submit/activateEnvironment.sh", "true\n")
	for _, name := range []string{"sbatch", "srun", "squeue", "scancel", "sinfo", "sacct", "scontrol"} {
		if err := os.Symlink(h.exe, filepath.Join(s.path, name)); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// tool runs one of Slurm's commands as a user does.
func (s *slurmSite) tool(name string, args ...string) answer {
	s.h.t.Helper()
	cmd := exec.Command(filepath.Join(s.path, name), args...)
	var out, errOut strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.work, &out, &errOut
	cmd.Env = s.environ(s.path)
	cmd.Run()
	return answer{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
}

// environ is that of a user. It goes along with jobs, and under the race
// detector every command would sleep for a second before it ends.
func (s *slurmSite) environ(dir string) []string {
	return s.h.environ(append(append(s.cli().env, s.more...), "PATH="+dir+":/usr/local/bin:/usr/bin:/bin",
		"GORACE=log_path="+s.h.path("race")+" exitcode=66 atexit_sleep_ms=0")...)
}

func (s *slurmSite) sbatch(args ...string) string {
	s.h.t.Helper()
	a := s.tool("sbatch", args...)
	m := regexp.MustCompile(`^Submitted batch job (\d+)\n$`).FindStringSubmatch(a.out)
	if a.code != 0 || m == nil {
		s.h.t.Fatalf("sbatch %v: exit code %d\n%s%s", args, a.code, a.out, a.err)
	}
	return m[1]
}

// ended waits for a job's end and returns its phase.
func (s *slurmSite) ended(id string) string {
	s.h.t.Helper()
	var phase string
	poll(s.h.t, 90*time.Second, "job "+id+" ends", func() (bool, string) {
		j := s.job(id)
		phase = j.Phase
		return slices.Contains([]string{"succeeded", "failed", "cancelled"}, phase), fmt.Sprint(j.Phase, j.Reason, j.Attempts)
	})
	return phase
}

func (s *slurmSite) read(name string) string {
	data, err := os.ReadFile(filepath.Join(s.work, name))
	if err != nil {
		entries, _ := os.ReadDir(s.work)
		return fmt.Sprint(err, entries)
	}
	return string(data)
}

func (s *slurmSite) script(name, text string) string {
	s.h.write("submit/"+name, text)
	return name
}

// Scripts of public repositories run as they are; the programs they start are
// stand-ins.
func TestSlurmScriptsOfOthersRunUnchanged(t *testing.T) {
	t.Parallel()
	data := os.Getenv("SLUICE_DATA")
	if data == "" {
		t.Skip("SLUICE_DATA is not set: no scripts of others")
	}
	s := newSlurmSite(t, 4)
	s.more = []string{"SCRATCH=/scratch", "WORKING_DIR=" + s.work}
	began := time.Now()
	cases := []struct {
		file    string
		options []string
		args    []string
		out     string // %j is the id
		want    []string
	}{
		// The widest first: it would displace the others, which pay less together.
		{"accelerate_submit_multinode_fsdp.sh", nil, nil, "O-multinode.%j",
			[]string{"stub accelerate proc=0/4 ", "stub accelerate proc=3/4 ", "--num_processes 16 --num_machines 4", "--main_process_ip n0"}},
		{"cscfi_run-ddp-gpu8.sh", nil, nil, "slurm-%j.out",
			[]string{"stub module proc=", "args=load pytorch", "stub torchrun proc=0/2 ", "stub torchrun proc=1/2 ", "--nnodes=2 --nproc_per_node=4 --rdzv_id=%j ", "mnist_ddp.py --epochs=100"}},
		{"ct_nvae_train_multi_node_preempt.sh", []string{"-N", "2", "--time=10"}, strings.Fields("8 /nvae foam 0 5 1e1 True 2 True False foam True"), "%j.out",
			[]string{"Setting job name to %j", "Using foam data parameters", "stub python proc=0/2 ", "stub python proc=1/2 ", "--final_train True", "jobend "}},
		{"pytorch-examples_sbatch_run.sh", nil, nil, "slurm-%j.out",
			[]string{"Node IP: ", "proc=0/4 node=0 host=n0", "proc=3/4 node=3 host=n0", "stub torchrun ", ":29500 /shared/examples/multinode_torchrun.py 50 10"}},
		{"ct_nvae_signal_interrupt.sh", nil, nil, "%j.out",
			[]string{"jobstart ", "stub python proc=0/1 ", "args=/scratch/CT_NVAE/experimental/test_signal_interrupt.py", "jobend "}},
	}
	var ids []string
	for _, c := range cases {
		ids = append(ids, s.sbatch(slices.Concat(c.options, []string{filepath.Join(data, "sbatch", c.file)}, c.args)...))
	}
	for i, c := range cases {
		id := ids[i]
		phase := s.ended(id)
		out := s.read(strings.ReplaceAll(c.out, "%j", id))
		if phase != "succeeded" {
			t.Errorf("%s: %s\n%s\n%s", c.file, phase, out, s.tool("scontrol", "show", "job", id).out)
			continue
		}
		for _, w := range c.want {
			if w = strings.ReplaceAll(w, "%j", id); !strings.Contains(out, w) {
				t.Errorf("%s: its output lacks %q:\n%s", c.file, w, out)
			}
		}
	}
	figure(t, "5 scripts of others submitted at once, with real processes on up to 4 nodes: %.1f s", time.Since(began).Seconds())
}

// What users of Slurm rely on day by day, on one node.
func TestSlurmCommands(t *testing.T) {
	t.Parallel()
	s := newSlurmSite(t, 1)
	const head = "#!/bin/bash\n#SBATCH --gpus-per-node=1\n"

	// The signal comes in time, to the shell; a clean end is a success.
	signal := s.sbatch(s.script("signal.sh", head+"#SBATCH --time=1 --signal=B:USR1@59 -o signal.out\n"+
		"trap 'echo saved; exit 0' USR1\nfor i in $(seq 300); do sleep 0.1; done\n"))
	// To the tasks, where no B: is given.
	steps := s.sbatch(s.script("steps.sh", head+"#SBATCH --time=1 --signal=USR2@59 -o steps.out\n"+
		"srun bash -c 'trap \"echo task saved; exit 0\" USR2; for i in $(seq 300); do sleep 0.1; done'\necho after=$?\n"))
	failing := strings.TrimSpace(s.tool("sbatch", "--parsable", "-J", "fails", "-G1", "--wrap", "echo out; echo err >&2; exit 7", "-o", "fails.out").out)
	after := s.sbatch("--dependency=afterany:"+failing, "-G", "1", "-o", "after.out", "--wrap=echo dep=$SLURM_JOB_DEPENDENCY dir=$PWD submit=$SLURM_SUBMIT_DIR")
	never := s.sbatch("--dependency=afterok:"+failing, "-G", "1", "--wrap", "true")
	array := s.sbatch("--array=2-5%2", s.script("array.sh", head+"echo task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT in $SLURM_ARRAY_JOB_ID\n"))
	whole := s.sbatch("--dependency=afterok:"+array, "-G1", "-o", "whole.out", "--wrap", "cat slurm-"+array+"_*.out | wc -l")
	tasks := s.sbatch(s.script("tasks.sh", "#!/bin/bash\n#SBATCH -n2 --gpus-per-task=2 -o tasks.out\n"+
		"srun -l bash -c 'echo rank $SLURM_PROCID/$SLURM_LOCALID step $SLURM_STEP_ID sees $(echo $CUDA_VISIBLE_DEVICES | tr , \"\\n\" | wc -l)'\n"+
		"srun -n1 bash -c 'exit 3'\necho srun=$?\nsrun -n1 no-such-program\necho none=$?\nsrun -N3 true\necho wide=$?\nscontrol show hostnames\necho key=$SLUICE_BATCH_KEY.\n"))

	if p := s.ended(failing); p != "failed" {
		t.Errorf("a script that ends with 7: %s", p)
	}
	if got := s.read("fails.out"); got != "out\nerr\n" {
		t.Errorf("output and error in one file: %q", got)
	}
	if a := s.tool("sacct", "-n", "-P", "-j", failing, "-o", "JobID,JobName,State,ExitCode"); a.out != failing+"|fails|FAILED|7:0\n" {
		t.Errorf("sacct: %q %s", a.out, a.err)
	}
	if p := s.ended(after); p != "succeeded" {
		t.Errorf("after a failure, afterany: %s", p)
	}
	if got, want := s.read("after.out"), "dep=afterany:"+failing+" dir="+s.work+" submit="+s.work+"\n"; got != want {
		t.Errorf("after: %q, want %q", got, want)
	}
	if p := s.ended(never); p != "cancelled" {
		t.Errorf("after a failure, afterok: %s", p)
	}
	poll(t, 30*time.Second, "the array ends", func() (bool, string) {
		a := s.tool("squeue", "-h", "-n", "array.sh", "-o", "%i %T")
		return a.code == 0 && a.out == "", a.out + a.err
	})
	for i := 2; i <= 5; i++ {
		if got, want := s.read(fmt.Sprintf("slurm-%s_%d.out", array, i)), fmt.Sprintf("task %d of 4 in %s\n", i, array); got != want {
			t.Errorf("index %d: %q, want %q", i, got, want)
		}
	}
	if p := s.ended(whole); p != "succeeded" || s.read("whole.out") != "4\n" {
		t.Errorf("after a whole array: %s, %q", p, s.read("whole.out"))
	}
	if p := s.ended(tasks); p != "succeeded" {
		t.Errorf("tasks: %s", p)
	}
	out := s.read("tasks.out")
	for _, want := range []string{"0: rank 0/0 step 0 sees 2\n", "1: rank 1/1 step 0 sees 2\n", "srun=3\n", "none=127\n", "wide=1\n", "\nn01\nkey=.\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("tasks: no %q in\n%s", want, out)
		}
	}
	for id, file := range map[string]string{signal: "signal.out", steps: "steps.out"} {
		if p := s.ended(id); p != "succeeded" || !strings.Contains(s.read(file), "saved\n") {
			t.Errorf("%s: %s, %q", file, p, s.read(file))
		}
	}
	if got := s.read("steps.out"); !strings.Contains(got, "task saved\n") || !strings.HasSuffix(got, "after=0\n") {
		t.Errorf("steps.out: %q", got)
	}

	// Outside a job srun is the job; its output and exit code come back.
	if a := s.tool("srun", "-G1", "bash", "-c", "echo in $SLURM_JOB_ID; exit 5"); a.code != 5 || !strings.Contains(a.out, "in ") {
		t.Errorf("srun: exit code %d\n%s%s", a.code, a.out, a.err)
	}

	long := s.sbatch("-J", "long", "-G4", "-o", "/dev/null", "--wrap", "sleep 1000")
	s.running(long, 20*time.Second)
	waits := s.sbatch("-J", "a-very-long-name", "-G4", "--wrap", "true")
	listing := s.tool("squeue").out
	if !regexp.MustCompile(`(?m)^ +JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST\(REASON\)$`).MatchString(listing) ||
		!regexp.MustCompile(`(?m)^ +`+long+`    sluice     long +\S+  R +\d+:\d\d      1 n01$`).MatchString(listing) ||
		!regexp.MustCompile(`(?m)^ +`+waits+`    sluice a-very-l +\S+ PD       0:00      1 \(\S+\)$`).MatchString(listing) {
		t.Errorf("squeue:\n%s", listing)
	}
	if a := s.tool("sinfo", "-h", "-o", "%P|%D|%t|%N|%G"); a.out != "sluice*|1|alloc|n01|gpu:4\n" {
		t.Errorf("sinfo: %q %s", a.out, a.err)
	}
	if a := s.tool("scontrol", "show", "job", long); !strings.Contains(a.out, "JobState=RUNNING ") || !strings.Contains(a.out, "NodeList=n01\n") {
		t.Errorf("scontrol show job:\n%s%s", a.out, a.err)
	}
	if a := s.tool("scontrol", "show", "node", "n01"); !strings.Contains(a.out, "NodeName=n01 ") || !strings.Contains(a.out, "State=ALLOCATED") {
		t.Errorf("scontrol show node:\n%s%s", a.out, a.err)
	}
	if a := s.tool("scontrol", "hold", long); a.code == 0 || !strings.Contains(a.err, "hold") {
		t.Errorf("scontrol hold: %d %s", a.code, a.err)
	}
	if a := s.tool("scancel", waits, long); a.code != 0 {
		t.Errorf("scancel: %d %s", a.code, a.err)
	}
	if p, q := s.ended(long), s.ended(waits); p != "cancelled" || q != "cancelled" {
		t.Errorf("cancelled: %s, %s", p, q)
	}
	if a := s.tool("scancel", "9999"); a.code == 0 || !strings.Contains(a.err, "Invalid job id specified") {
		t.Errorf("scancel of no job: %d %s", a.code, a.err)
	}
	if a := s.tool("sbatch", s.script("bad.sh", head+"#SBATCH --burst-buffer=x\n")); a.code != 1 || !strings.Contains(a.err, "bad.sh:3: --burst-buffer") {
		t.Errorf("an unknown option: %d %s", a.code, a.err)
	}

	s.guide(t)
}

// guide runs every command of the guide, in one shell from top to bottom.
func (s *slurmSite) guide(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../../../deploy/docs/from-slurm.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	blocks := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(string(text), -1)
	for _, b := range blocks {
		all.WriteString(b[1])
	}
	if len(blocks) < 3 {
		t.Fatalf("the guide has %d blocks of commands", len(blocks))
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", all.String())
	cmd.Dir = s.work
	cmd.Env = s.environ(filepath.Dir(s.h.exe))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("the guide's commands: %v\n%s", err, out)
	}
	for _, want := range []string{"0: rank 0 of 2 on n01 sees ", "1: rank 1 of 2 on n01 sees ", " COMPLETED ", `"gpus": 2`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the guide's commands print no %q:\n%s", want, out)
		}
	}
}
