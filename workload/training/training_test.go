package training

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

func gang() (workload.TrainOrder, Local) {
	order := workload.TrainOrder{
		Job: 17, Attempt: 2, Rank: 2, World: 4, Master: "10.0.0.1",
		Devices: []workload.DeviceID{"n01/0", "n01/1", "n02/3", "n02/1"},
		Spec: workload.Spec{Name: "llama-ft",
			Run:        workload.Run{Command: []string{"torchrun", "train.py", "--id={job}"}, Workdir: "/data/llama", Env: map[string]string{"HF_HOME": "/data/hf", "RANK": "forged", "SLUICE_EPOCH": "999"}, User: "alice"},
			Checkpoint: workload.Checkpoint{Dir: "/data/ckpt/{job}/"}},
	}
	local := Local{Node: "n02", Epoch: 120, Progress: "/run/p",
		Devices: []workload.Device{{ID: "n02/1", UUID: "GPU-b"}, {ID: "n02/2", UUID: "GPU-c"}, {ID: "n02/3", UUID: "GPU-d"}},
		Earlier: []string{"epoch-9", "epoch-101", "epoch-120", "epoch-300", "epoch-0110", "epoch-x", "junk"}}
	return order, local
}

func TestBuildGolden(t *testing.T) {
	p, err := Build(gang())
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Fields(`CUDA_DEVICE_ORDER=PCI_BUS_ID CUDA_VISIBLE_DEVICES=GPU-d,GPU-b GPUS_PER_NODE=2 HF_HOME=/data/hf LOCAL_RANK=0
		LOCAL_WORLD_SIZE=1 MASTER_ADDR=10.0.0.1 MASTER_PORT=` + port(17, 2) + ` NNODES=2 NODE_RANK=1 NVIDIA_VISIBLE_DEVICES=GPU-d,GPU-b RANK=1
		SLUICE_ATTEMPT=2 SLUICE_CHECKPOINT_DIR=/data/ckpt/17/epoch-120 SLUICE_EPOCH=120 SLUICE_JOB=17 SLUICE_JOB_NAME=llama-ft SLUICE_NODE=n02
		SLUICE_PROGRESS=/run/p SLUICE_RESUME_DIR=/data/ckpt/17/epoch-101 SLUICE_WORLD_DEVICES=4 WORLD_SIZE=2`)
	if !slices.Equal(p.Env, want) {
		t.Errorf("environment\n got %q\nwant %q", p.Env, want)
	}
	if got, want := p.Argv, []string{"torchrun", "train.py", "--id=17"}; !slices.Equal(got, want) {
		t.Errorf("argv %q, want %q", got, want)
	}
	if p.Dir != "/data/llama" || p.User != "alice" || p.CheckpointDir != "/data/ckpt/17/epoch-120" {
		t.Errorf("process %+v", p)
	}
}

func port(job workload.JobID, attempt int) string {
	p := MasterPort(job, attempt)
	return string([]byte{'0' + byte(p/10000), '0' + byte(p/1000%10), '0' + byte(p/100%10), '0' + byte(p/10%10), '0' + byte(p%10)})
}

func TestMasterPortSpreads(t *testing.T) {
	// The value itself is part of the contract between nodes of two versions.
	if got := MasterPort(17, 2); got != 21069 {
		t.Errorf("MasterPort(17, 2) = %d: nodes of another version would wait elsewhere", got)
	}
	seen := map[int]int{}
	for job := workload.JobID(1); job <= 2000; job++ {
		p := MasterPort(job, 1)
		if p < FirstPort || p >= FirstPort+Ports {
			t.Fatalf("port %d of job %d is out of range", p, job)
		}
		seen[p]++
	}
	if len(seen) < 1700 {
		t.Errorf("2000 jobs share %d ports", len(seen))
	}
	if MasterPort(5, 1) == MasterPort(5, 2) {
		t.Error("a new attempt meets its predecessor's port")
	}
}

func TestBuildRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		edit func(*workload.TrainOrder, *Local)
	}{
		{"no command", func(o *workload.TrainOrder, _ *Local) { o.Spec.Run.Command = nil }},
		{"image", func(o *workload.TrainOrder, _ *Local) { o.Spec.Run.Image = "x@sha256:0" }},
		{"foreign node", func(_ *workload.TrainOrder, l *Local) { l.Node = "n09" }},
		{"missing device", func(_ *workload.TrainOrder, l *Local) { l.Devices = l.Devices[:1] }},
		{"bad variable", func(o *workload.TrainOrder, _ *Local) { o.Spec.Run.Env = map[string]string{"A=B": "c"} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, l := gang()
			c.edit(&o, &l)
			if _, err := Build(o, l); workload.KindOf(err) != workload.Invalid || err == nil {
				t.Errorf("error %v, want an invalid one", err)
			}
		})
	}
}

func TestNoCheckpointDirMeansNoVariable(t *testing.T) {
	o, l := gang()
	o.Spec.Checkpoint.Dir = ""
	p, err := Build(o, l)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range p.Env {
		if strings.HasPrefix(e, "SLUICE_CHECKPOINT_DIR") || strings.HasPrefix(e, "SLUICE_RESUME_DIR") {
			t.Errorf("a job without a checkpoint directory gets %s", e)
		}
	}
}

func TestParseProgress(t *testing.T) {
	const saved = `{"step":110,"steps":1000,"loss":0.5}
		{"step":120,"steps":1000,"checkpoint":true,"bytes":7}
		`
	p, err := ParseProgress([]byte(`:5}` + "\n" + saved))
	if err != nil || p != (Progress{Step: 120, Steps: 1000, Saved: 120}) || !p.Complete() {
		t.Errorf("%+v, %v: want a complete checkpoint", p, err)
	}
	p, err = ParseProgress([]byte(saved + `{"step":121,"steps":1000}`))
	if err != nil || p.Complete() || p.Saved != 120 {
		t.Errorf("%+v, %v: a step after the checkpoint would be lost, yet it counts as saved", p, err)
	}
	for _, bad := range []string{"", "{", `{"step":-1}`, `{"steps":3}`} {
		if _, err := ParseProgress([]byte(bad)); err == nil {
			t.Errorf("ParseProgress(%q) succeeds", bad)
		}
	}
}

func FuzzParseProgress(f *testing.F) {
	f.Add([]byte(`{"step":1,"checkpoint":true}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProgress(data)
		if p.Step < 0 || p.Saved < 0 || (err != nil && p != (Progress{})) {
			t.Errorf("%q gives %+v, %v", data, p, err)
		}
	})
}

func FuzzNewestBefore(f *testing.F) {
	f.Add("epoch-18446744073709551615", uint64(7))
	f.Fuzz(func(t *testing.T, name string, before uint64) {
		if e, ok := newestBefore([]string{name}, workload.Epoch(before)); ok && uint64(e) >= before {
			t.Errorf("%q is not earlier than %d", name, before)
		}
	})
}
