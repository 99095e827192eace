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
	cmd.Env = s.h.environ(append(append(s.cli().env, s.more...), "PATH="+s.path+":/usr/local/bin:/usr/bin:/bin")...)
	cmd.Run()
	return answer{out.String(), errOut.String(), cmd.ProcessState.ExitCode()}
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
	poll(s.h.t, 30*time.Second, "job "+id+" ends", func() (bool, string) {
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
	for _, c := range []struct {
		file    string
		options []string
		args    []string
		out     string // %j is the id
		want    []string
	}{
		{"pytorch-examples_sbatch_run.sh", nil, nil, "slurm-%j.out",
			[]string{"Node IP: ", "proc=0/4 node=0 host=n01 ", "proc=3/4 node=3 host=n04 ", "stub torchrun ", ":29500 /shared/examples/multinode_torchrun.py 50 10"}},
		{"accelerate_submit_multinode_fsdp.sh", nil, nil, "O-multinode.%j",
			[]string{"stub accelerate proc=0/4 ", "stub accelerate proc=3/4 ", "--num_processes 16 --num_machines 4", "--main_process_ip n01 "}},
		{"cscfi_run-ddp-gpu8.sh", nil, nil, "slurm-%j.out",
			[]string{"stub module proc=", "args=load pytorch", "stub torchrun proc=0/2 ", "stub torchrun proc=1/2 ", "--nnodes=2 --nproc_per_node=4 --rdzv_id=%j ", "mnist_ddp.py --epochs=100"}},
		{"ct_nvae_signal_interrupt.sh", nil, nil, "%j.out",
			[]string{"jobstart ", "stub python proc=0/1 ", "args=/scratch/CT_NVAE/experimental/test_signal_interrupt.py", "jobend "}},
		{"ct_nvae_train_multi_node_preempt.sh", []string{"-N", "2", "--time=10"}, strings.Fields("8 /nvae foam 0 5 1e1 True 2 True False foam True"), "%j.out",
			[]string{"Setting job name to %j", "Using foam data parameters", "stub python proc=0/2 ", "stub python proc=1/2 ", "--final_train True", "jobend "}},
	} {
		id := s.sbatch(slices.Concat(c.options, []string{filepath.Join(data, "sbatch", c.file)}, c.args)...)
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
	figure(t, "5 scripts of others, one after the other, with real processes on up to 4 nodes: %.1f s", time.Since(began).Seconds())
}
