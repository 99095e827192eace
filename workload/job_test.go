package workload

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func goodSpec() Spec {
	return Spec{Name: "train", Tenant: "research", Gang: Gang{GPUs: 8, PerNode: 4, Elastic: &Elastic{Min: 4, Max: 16, Step: 4}},
		Run:        Run{Command: []string{"python", "train.py"}, Env: map[string]string{"A": "b"}, User: "alice"},
		Checkpoint: Checkpoint{Signal: "SIGUSR1", Grace: time.Minute}, Value: Value{Bid: 1, Priority: High, Flex: One}, After: []After{{Job: "prepare", On: "success"}}}
}

func TestValidate(t *testing.T) {
	if ps := goodSpec().Validate(); len(ps) != 0 {
		t.Fatalf("%v", ps)
	}
	for path, breaks := range map[string]func(*Spec){
		"name":              func(s *Spec) { s.Name = "No Name" },
		"tenant":            func(s *Spec) { s.Tenant = "A/b" },
		"gang.gpus":         func(s *Spec) { s.Gang = Gang{} },
		"gang.gpus ":        func(s *Spec) { s.Gang = Gang{GPUs: MaxGang + 1} },
		"gang.gpus  ":       func(s *Spec) { s.Gang.Elastic.Min = 8; s.Gang.GPUs = 4 },
		"gang.perNode":      func(s *Spec) { s.Gang = Gang{GPUs: 10, PerNode: 4} },
		"gang.perNode ":     func(s *Spec) { s.Gang.PerNode = -1 },
		"gang.memory":       func(s *Spec) { s.Gang.Memory = -1 },
		"gang.elastic":      func(s *Spec) { s.Gang.Elastic.Step = 2 },
		"gang.elastic ":     func(s *Spec) { s.Gang = Gang{GPUs: 4, Elastic: &Elastic{Min: 4, Max: 2, Step: 1}} },
		"run.command":       func(s *Spec) { s.Run.Command = nil },
		"run.command[1]":    func(s *Spec) { s.Run.Command[1] = "a\x00b" },
		"run.env.A=B":       func(s *Spec) { s.Run.Env["A=B"] = "c" },
		"run.env.":          func(s *Spec) { s.Run.Env[""] = "c" },
		"run.user":          func(s *Spec) { s.Run.User = "root" },
		"value.bid":         func(s *Spec) { s.Value.Bid = -1 },
		"value.flex":        func(s *Spec) { s.Value.Flex = One + 1 },
		"value.priority":    func(s *Spec) { s.Value.Priority = "urgent" },
		"checkpoint.signal": func(s *Spec) { s.Checkpoint.Signal = "SIGKILL" },
		"checkpoint.grace":  func(s *Spec) { s.Checkpoint.Grace = -1 },
		"limits.attempts":   func(s *Spec) { s.Limits.Attempts = -1 },
		"limits.lease":      func(s *Spec) { s.Limits.Lease = -1 },
		"after[0].job":      func(s *Spec) { s.After[0].Job = "train" },
		"after[0].job ":     func(s *Spec) { s.After[0].Job = "" },
		"after[0].on":       func(s *Spec) { s.After[0].On = "failure" },
	} {
		s := goodSpec()
		breaks(&s)
		ps := s.Validate()
		if len(ps) != 1 || ps[0].Path != strings.TrimRight(path, " ") || ps[0].Text == "" {
			t.Errorf("%s: %v", path, ps)
		}
	}
}

func TestDefaultsAndWidths(t *testing.T) {
	d := Spec{}.Default()
	if d.Tenant != "default" || d.Checkpoint.Signal != DefaultSignal || d.Checkpoint.Grace != DefaultGrace || d.Value.Priority != Normal ||
		d.Limits.Attempts != DefaultAttempts || d.Limits.Lease != DefaultLease {
		t.Errorf("%+v", d)
	}
	if s := goodSpec(); !reflect.DeepEqual(s.Default().Run, s.Run) || s.Default().Checkpoint.Signal != "SIGUSR1" {
		t.Error("defaults replaced what was given")
	}
	if w := goodSpec().Gang.Widths(); !reflect.DeepEqual(w, []int{4, 8, 12, 16}) {
		t.Error(w)
	}
	if w := (Gang{GPUs: 3}).Widths(); !reflect.DeepEqual(w, []int{3}) {
		t.Error(w)
	}
}
