package config_test

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goodFiles are the policy files that operators are given to start from.
func goodFiles(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../../deploy/examples/policy/*.yaml")
	if err != nil || len(paths) < 8 {
		t.Fatalf("example policy: %d files, %v", len(paths), err)
	}
	files := map[string][]byte{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(p)] = data
	}
	return files
}

func exampleSet(t testing.TB) *config.Set {
	t.Helper()
	var docs []config.Document
	for name, data := range goodFiles(t) {
		more, err := config.Parse(name, data)
		if err != nil {
			t.Fatalf("%s:\n%v", name, err)
		}
		docs = append(docs, more...)
	}
	return config.NewSet(docs...)
}

func TestExamplePolicyIsValidAndRoundTrips(t *testing.T) {
	set := exampleSet(t)
	if set.Len() < 20 {
		t.Fatalf("only %d documents", set.Len())
	}
	for _, i := range config.Validate(set) {
		t.Error(i)
	}
	for d := range set.All() {
		text := config.Render(d)
		again, err := config.Parse("rendered.yaml", text)
		if err != nil {
			t.Fatalf("%s:\n%s\n%v", d.Key(), text, err)
		}
		if len(again) != 1 || !reflect.DeepEqual(again[0], d) {
			t.Errorf("%s reads back otherwise:\n%s", d.Key(), text)
		}
		if second := config.Render(again[0]); string(second) != string(text) {
			t.Errorf("%s renders otherwise the second time:\n%s\n%s", d.Key(), text, second)
		}
	}
	data, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	var back config.Set
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(&back, set) {
		t.Error("the policy changes on its way through JSON")
	}
}

func TestExampleFigures(t *testing.T) {
	set := exampleSet(t)
	p := set.Profile("RTX 3080")
	if p == nil || p.Modes[0].Hashrate != 46_400_000_000 || p.Modes[0].Power != 279 || p.Modes[1].PowerCap != 200 || p.Training.Speed != workload.One {
		t.Errorf("RTX 3080: %+v", p)
	}
	if s := set.Profile("S19j Pro"); s == nil || s.Modes[0].Hashrate != 100_000_000_000_000_000 || s.Modes[0].Power != 3050 {
		t.Errorf("S19j Pro: %+v", s)
	}
	if s := set.Site("hall-1"); s == nil || s.Power.Cap != 120_000 || s.PUE("air", nil) != 1_280_000 || s.PUE("tank", nil) != 1_100_000 || s.PUE("none", nil) != workload.One {
		t.Errorf("hall-1: %+v", s)
	}
	if r := set.Tenant("research"); r == nil || r.TransferPrice.Micro != 1_600_000 || r.Guarantee != 8 || r.Budget.Micro != 40_000_000_000 {
		t.Errorf("research: %+v", r)
	}
	if set.Cluster().MaxGrace != 10*time.Minute || config.NewSet().Cluster().Currency != "USD" {
		t.Error("cluster settings")
	}
}

func TestJobExample(t *testing.T) {
	data, err := os.ReadFile("../../deploy/examples/jobs/llama-ft.yaml")
	if err != nil {
		t.Fatal(err)
	}
	spec, err := config.ParseJob("llama-ft.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	want := workload.Spec{
		Name: "llama-ft", Tenant: "research",
		Gang: workload.Gang{GPUs: 8, PerNode: 4, Models: []workload.ModelName{"RTX 3080"}, Memory: 8 << 30, Elastic: &workload.Elastic{Min: 4, Max: 16, Step: 4}},
		Run: workload.Run{Command: []string{"torchrun", "train.py", "--config", "ft.yaml"}, Workdir: "/data/llama",
			Env: map[string]string{"HF_HOME": "/data/hf"}, User: "alice"},
		Checkpoint: workload.Checkpoint{Signal: "SIGUSR1", Grace: 2 * time.Minute, Every: 30 * time.Minute, Dir: "/data/ckpt/{job}"},
		Value: workload.Value{Bid: 2_100_000, Currency: "USD", Deadline: workload.InstantOf(time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)),
			Priority: workload.Normal, Flex: 250_000},
		Limits: workload.Limits{Time: 48 * time.Hour, Attempts: 5, Preemptions: 3, Protected: 30 * time.Minute, Lease: 15 * time.Minute},
		After:  []workload.After{{Job: "prepare-data", On: "success"}},
	}
	if !reflect.DeepEqual(spec, want) {
		t.Errorf("got  %+v\nwant %+v", spec, want)
	}
}

// TestBadFiles compares what is said of each file in testdata/bad with the
// golden text beside it; job-*.yaml are read as jobs, and the others are also
// validated as a whole policy.
func TestBadFiles(t *testing.T) {
	paths, _ := filepath.Glob("testdata/bad/*.yaml")
	if len(paths) < 10 {
		t.Fatalf("only %d files", len(paths))
	}
	for _, p := range paths {
		name := filepath.Base(p)
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			got := complaints(name, data)
			golden := strings.TrimSuffix(p, ".yaml") + ".err"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
			if got == "" {
				t.Error("nothing is wrong with it")
			}
		})
	}
}

func complaints(name string, data []byte) string {
	if strings.HasPrefix(name, "job-") {
		if _, err := config.ParseJob(name, data); err != nil {
			return err.Error() + "\n"
		}
		return ""
	}
	docs, err := config.Parse(name, data)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, i := range config.Validate(config.NewSet(docs...)) {
		b.WriteString(i.String())
		if i.Next != "" {
			b.WriteString(" - " + i.Next)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestErrorsExposePlaces(t *testing.T) {
	_, err := config.Parse("t.yaml", []byte("kind: Target\nname: a\nmeasure: devices\nof: owned\nuse: training\nmni: 20%\n"))
	all, ok := errors.AsType[*config.Errors](err)
	if !ok || len(all.List) < 1 {
		t.Fatalf("%T %v", err, err)
	}
	if workload.KindOf(err) != workload.Invalid {
		t.Error("kind is not invalid")
	}
	found := false
	for _, e := range all.List {
		found = found || e.Line == 6 && e.Column == 1 && e.Suggestion == "min" && e.File == "t.yaml"
	}
	if !found {
		t.Errorf("%+v", all.List)
	}
}

func TestManyErrorsAreBounded(t *testing.T) {
	_, err := config.Parse("t.yaml", []byte(strings.Repeat("---\nkind: Nonsense\n", 50)))
	all, ok := errors.AsType[*config.Errors](err)
	if !ok || len(all.List) != config.MaxErrors || all.More != 30 {
		t.Fatalf("%v", err)
	}
}
