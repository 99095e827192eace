package training

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

// A batch script finds its allocation under Slurm's names and its own text,
// with nothing filled in; a plain job finds none of it.
func TestSlurmEnvironment(t *testing.T) {
	const script = "#!/bin/sh\necho ${job}\n"
	order := workload.TrainOrder{Job: 17, Attempt: 3, Master: "n09", Devices: []workload.DeviceID{"n09/0", "n09/1", "n10/2", "n10/3"},
		Spec: workload.Spec{Name: "a", Run: workload.Run{Command: []string{"x"}, Script: script, Env: map[string]string{"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8"}}}}
	local := Local{Node: "n10", Epoch: 5, Devices: []workload.Device{{ID: "n10/2", UUID: "GPU-a"}, {ID: "n10/3", UUID: "GPU-b"}}}
	p, err := Build(order, local)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SLUICE_SCRIPT=" + script, "SLURM_JOB_ID=17", "SLURM_JOBID=17", "SLURM_JOB_NODELIST=n[09-10]", "SLURM_NODELIST=n[09-10]", "SLURM_NNODES=2",
		"SLURM_JOB_NUM_NODES=2", "SLURM_NODEID=1", "SLURMD_NODENAME=n10", "SLURM_JOB_GPUS=2,3", "SLURM_GPUS_ON_NODE=2", "SLURM_RESTART_COUNT=2", "SLURM_CLUSTER_NAME=sluice", "SLURM_NTASKS=8"} {
		if !slices.Contains(p.Env, want) {
			t.Errorf("no %q in %q", want, p.Env)
		}
	}
	order.Spec.Run.Script, order.Spec.Run.Env = "", nil
	if p, err = Build(order, local); err != nil {
		t.Fatal(err)
	}
	for _, kv := range p.Env {
		if strings.HasPrefix(kv, "SLURM") || strings.HasPrefix(kv, "SLUICE_SCRIPT") {
			t.Errorf("a plain job has %s", kv)
		}
	}
}
