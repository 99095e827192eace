package slurm

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/workload"
)

func compile(t *testing.T, lines string, options ...string) (Job, error) {
	t.Helper()
	return Compile(Input{File: "job.sh", Script: []byte("#!/bin/bash\n" + lines), Options: options, Dir: "/home/ann/run", User: "ann", Host: "login1"})
}

// gpu is a directive that makes any script a job.
const gpu = "#SBATCH --gpus-per-node=2\n"

// Every option a script may have: what it changes in the Spec, or what is said
// about it, in both of its forms.
func TestEveryOption(t *testing.T) {
	env := func(name, value string) func(Job) error {
		return func(j Job) error {
			if got := j.Spec.Run.Env[name]; got != value {
				return fmt.Errorf("%s is %q, want %q", name, got, value)
			}
			return nil
		}
	}
	is := func(get func(Job) any, want any) func(Job) error {
		return func(j Job) error {
			if got := get(j); !reflect.DeepEqual(got, want) {
				return fmt.Errorf("%v, want %v", got, want)
			}
			return nil
		}
	}
	all := func(checks ...func(Job) error) func(Job) error {
		return func(j Job) error {
			for _, c := range checks {
				if err := c(j); err != nil {
					return err
				}
			}
			return nil
		}
	}
	gang := func(gpus, perNode int, models ...workload.ModelName) func(Job) error {
		return is(func(j Job) any { return fmt.Sprint(j.Spec.Gang) }, fmt.Sprint(workload.Gang{GPUs: gpus, PerNode: perNode, Models: models}))
	}
	limit := func(d time.Duration) func(Job) error {
		return is(func(j Job) any { return j.Spec.Limits.Time }, d)
	}
	tests := []struct {
		option string // first word without dashes names it
		short  string
		check  func(Job) error
		warns  bool
		bad    string // a value that is refused
	}{
		{"account=physics", "-A physics", all(is(func(j Job) any { return j.Spec.Tenant }, workload.TenantName("physics")), env("SLURM_JOB_ACCOUNT", "physics")), false, ""},
		{"array=0-6:2%3", "-a 0-6:2%3", all(is(func(j Job) any { return *j.Array }, Array{[]int{0, 2, 4, 6}, 2, 3}), env("SLURM_ARRAY_TASK_MAX", "6"), env("SLURM_ARRAY_TASK_STEP", "2")), false, "5-1"},
		{"begin=now", "-b now", nil, false, "2030-01-01"},
		{"chdir=/data", "-D /data", is(func(j Job) any { return j.Spec.Run.Workdir }, "/data"), false, "''"},
		{"comment='a b'", "", env("SLURM_JOB_COMMENT", "a b"), false, ""},
		{"constraint=gpu", "-C gpu", nil, true, ""},
		{"cpus-per-gpu=4", "", env("SLURM_CPUS_PER_GPU", "4"), true, "0"},
		{"cpus-per-task=8", "-c 8", all(env("SLURM_CPUS_PER_TASK", "8"), env("SLURM_CPUS_ON_NODE", "8")), true, "x"},
		{"dependency=afterok:7:8,afterany:9", "-d afterok:7:8,afterany:9", is(func(j Job) any { return j.Spec.After }, []workload.After{{Job: "7", On: "success"}, {Job: "8", On: "success"}, {Job: "9", On: "end"}}), false, "singleton"},
		{"error=%j.err", "-e %j.err", env(VarError, "%j.err"), false, ""},
		{"exclude=n[1-3]", "-x n1", nil, true, ""},
		{"exclusive", "", nil, true, ""},
		{"export=NONE", "", nil, false, ""},
		{"gpus=a100:2", "-G a100:2", all(gang(2, 2, "a100"), env("SLURM_GPUS", "a100:2")), true, "two"},
		{"gpus-per-node=2", "", gang(2, 2), false, "v100:x"},
		{"gpus-per-task=2", "", all(gang(2, 2), env("SLURM_GPUS_PER_TASK", "2")), false, "-1"},
		{"gres=gpu:v100:2", "", gang(2, 2, "v100"), false, "gpu:1:2:3"},
		{"hint=nomultithread", "", nil, true, ""},
		{"job-name=Fine-Tune_2", "-J Fine-Tune_2", all(is(func(j Job) any { return j.Spec.Name }, "fine-tune-2"), env("SLURM_JOB_NAME", "Fine-Tune_2")), true, ""},
		{"licenses=SCRATCH", "-L SCRATCH", nil, true, ""},
		{"mail-type=END", "", nil, true, ""},
		{"mail-user=a@b.example", "", nil, true, ""},
		{"mem=64GB", "", env("SLURM_MEM_PER_NODE", "65536"), true, "1.5G"},
		{"mem-per-cpu=4000", "", env("SLURM_MEM_PER_CPU", "4000"), true, "4X"},
		{"mem-per-gpu=1T", "", env("SLURM_MEM_PER_GPU", "1048576"), true, "-2"},
		{"no-requeue", "", env(VarNoRequeue, "1"), false, ""},
		{"nodelist=n1", "-w n1", nil, true, ""},
		{"nodes=1", "-N 1", nil, false, "0"},
		{"ntasks=4", "-n 4", all(env("SLURM_NTASKS", "4"), env("SLURM_NPROCS", "4")), false, "0"},
		{"ntasks-per-node=4", "", all(env("SLURM_NTASKS", "4"), env("SLURM_NTASKS_PER_NODE", "4")), false, "x"},
		{"open-mode=append", "", env(VarOpenMode, "append"), false, "over"},
		{"output=log/%x-%j", "-o log/%x-%j", env(VarOutput, "log/%x-%j"), false, ""},
		{"oversubscribe", "-s", nil, true, ""},
		{"partition=gpu", "-p gpu", env("SLURM_JOB_PARTITION", "gpu"), true, ""},
		{"qos=high", "-q high", is(func(j Job) any { return j.Spec.Value.Priority }, workload.High), false, ""},
		{"requeue", "", env(VarNoRequeue, ""), false, ""},
		{"reservation=r", "", nil, true, ""},
		{"signal=B:USR1@90", "", all(env(VarSignal, "B:SIGUSR1@90"), is(func(j Job) any { return j.Spec.Checkpoint }, workload.Checkpoint{Signal: "SIGUSR1", Grace: 90 * time.Second})), false, "KILL@5"},
		{"tasks-per-node=2", "", env("SLURM_NTASKS", "2"), false, "x"},
		{"time=1-02:30:00", "-t 1-02:30:00", limit(26*time.Hour + 30*time.Minute), false, "1:2:3:4"},
		{"workdir=sub", "", is(func(j Job) any { return j.Spec.Run.Workdir }, "/home/ann/run/sub"), false, ""},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		name, _, _ := strings.Cut(tt.option, "=")
		seen[name] = true
		base := gpu
		if strings.HasPrefix(name, "gpus") || name == "gres" {
			base = ""
		}
		for _, form := range []string{"--" + tt.option, tt.short} {
			if form == "" {
				continue
			}
			j, err := compile(t, base+"#SBATCH "+form+"\n")
			if err != nil {
				t.Errorf("%s: %v", form, err)
				continue
			}
			if tt.check != nil {
				if err := tt.check(j); err != nil {
					t.Errorf("%s: %v", form, err)
				}
			}
			if warned := len(j.Warnings) > 0; warned != tt.warns {
				t.Errorf("%s: warnings %v", form, j.Warnings)
			}
			for _, w := range j.Warnings {
				if w.Option != "--"+name || !strings.HasPrefix(w.At, "job.sh:") {
					t.Errorf("%s: warning %+v", form, w)
				}
			}
		}
		if tt.bad != "" {
			_, err := compile(t, base+"\n#SBATCH --"+name+"="+tt.bad+"\n")
			if err == nil || !strings.HasPrefix(err.Error(), "job.sh:") || !strings.Contains(err.Error(), "--"+name) || workload.KindOf(err) != workload.Invalid {
				t.Errorf("--%s=%s: %v", name, tt.bad, err)
			}
		}
	}
	if want := Options(); len(want) != 41 || len(seen) != 41 {
		t.Errorf("%d options are known, %d tested, want 41: %v", len(want), len(seen), slices.Sorted(maps.Keys(seen)))
	}
}

// The rules by which lines become options.
func TestDirectives(t *testing.T) {
	tests := []struct{ lines, name, err string }{
		{"#SBATCH -J a\n", "a", ""},
		{"#SBATCH--job-name=a\n", "a", ""},                         // no white space is needed
		{"#SBATCH\t-Ja  # comment\n", "a", ""},                     // -kV, tab, comment
		{"#SBATCH --job-name a --time 5\n", "a", ""},               // several on a line
		{"#SBATCH --job-n=a\n", "a", ""},                           // abbreviated
		{"#SBATCH -J a\n#SBATCH -J b\n", "b", ""},                  // the last counts
		{"#SBATCH -J a#b\n", "a", ""},                              // a comment begins in a word too
		{"#SBATCH -J 'a b'\n", "a-b", ""},                          // quotes
		{"#SBATCH -J a\\ b\n", "a-b", ""},                          // backslash
		{"#SBATCH -J \"a\\\"b\"\n", "a-b", ""},                     // backslash in quotes
		{"#SBATCH -J=a\n", "a", ""},                                // leniently
		{"#SBATCH -J a \"\" --nonsense\n", "a", ""},                // an empty word ends the line
		{"\n# text\n  # text\n\n#SBATCH -J a\n", "a", ""},          // comments and blank lines go on
		{"#SBATCH -J a\n ##SBATCH -J b\n#SBATCH\n", "a", ""},       // commented out
		{"##SBATCH -J b\n #SBATCH -J c\n#SBATCH -J a\n", "a", ""},  // not at column 0
		{"#SBATCH -J a\necho\n#SBATCH -J b\n#SBATCH --x", "a", ""}, // behind the first command
		{"#SLURM -J a\n", "a", ""},
		{"#SBATCH --job-name\n#SBATCH a\n", "a", ""}, // one argv of all lines
		{"#SBATCH word\n", "", "job.sh:3: invalid directive found in batch script: word"},
		{"#SBATCH -J 'a\n", "", "job.sh:3: unmatched '"},
		{"#SBATCH :a\n", "", `job.sh:3: ":a": a word of a directive must not begin with a colon`},
		{"#SBATCH --gpu=1\n", "", "job.sh:3: --gpu: is ambiguous: --gpus, --gpus-per-node, --gpus-per-task"},
		{"\n#SBATCH --clusters=x\n", "", "job.sh:4: --clusters: is not an option that Sluice knows"},
		{"#SBATCH -y\n", "", "job.sh:3: -y: is not an option that Sluice knows"},
		{"#SBATCH --time\n", "", "job.sh:3: --time: needs a value"},
		{"#SBATCH --requeue=1\n", "", "job.sh:3: --requeue: takes no value"},
		{"#SBATCH --parsable\n", "", "job.sh:3: --parsable: is not an option that Sluice knows"},
		{"#SBATCH hetjob\n", "", "job.sh:3: hetjob: jobs of unlike parts are not built"},
	}
	for _, tt := range tests {
		j, err := compile(t, gpu+tt.lines)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("%q: error %v, want %s", tt.lines, err, tt.err)
			}
			continue
		}
		if err != nil || j.Spec.Name != tt.name {
			t.Errorf("%q: name %q, %v; want %q", tt.lines, j.Spec.Name, err, tt.name)
		}
	}
	for script, want := range map[string]string{
		"echo\n": "job.sh:1: this does not look like a batch script", "#!/bin/sh\r\n": "DOS line ends", "#!/bin/sh\n\x00": "NUL",
		"#!/bin/sh\n" + strings.Repeat("#", workload.MaxScript): "a batch script may have", "#!/bin/sh\n": "asks for no GPU"} {
		if _, err := Compile(Input{File: "job.sh", Script: []byte(script)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: %v, want %s", script, err, want)
		}
	}
}

func TestPrecedence(t *testing.T) {
	in := Input{File: "job.sh", Script: []byte("#!/bin/sh\n" + gpu + "#SBATCH -J script\n#SBATCH -t 1\n#SBATCH --qos=low\n"), Dir: "/",
		Env: []string{"SBATCH_JOB_NAME=env", "SBATCH_TIMELIMIT=2", "SBATCH_NO_REQUEUE=", "SBATCH_UNKNOWN=1"}, Options: []string{"-J", "line"}}
	j, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	if j.Spec.Name != "line" || j.Spec.Limits.Time != 2*time.Minute || j.Spec.Value.Priority != workload.Low || j.Spec.Run.Env[VarNoRequeue] != "1" {
		t.Errorf("%+v", j.Spec)
	}
}

func TestRefusedByReason(t *testing.T) {
	for _, option := range []string{"--hold", "-H"} {
		if _, err := compile(t, gpu, option); err == nil || err.Error() != "command line: --hold: a job cannot be held back; submit it when it may run" {
			t.Errorf("%s: %v", option, err)
		}
	}
	if _, err := compile(t, gpu, "stray"); err == nil {
		t.Error("a stray word is taken")
	}
}

// How nodes, tasks and GPUs become a gang.
func TestGang(t *testing.T) {
	tests := []struct {
		options       string
		gpus, perNode int
		tasks, spread string
		err           string
	}{
		{"--gres=gpu", 1, 1, "1", "1", ""},
		{"--gres=gpu:a100", 1, 1, "1", "1", ""},
		{"--gres=gpu:4 -N 3", 12, 4, "3", "1(x3)", ""},
		{"--gres=gpu:4(S:0-1),nvme:10", 4, 4, "1", "1", ""},
		{"--gpus=8 -N2", 8, 4, "2", "1(x2)", ""},
		{"--gpus=9 -N2", 0, 0, "", "", "do not spread evenly"},
		{"--gpus-per-task=1 -n4 -N4", 4, 1, "4", "1(x4)", ""},
		{"--gpus-per-task=2 --ntasks-per-node=4 -N2", 16, 8, "8", "4(x2)", ""},
		{"--gpus-per-task=1 -n3 -N2", 0, 0, "", "", "do not spread evenly"},
		{"-n 8 --ntasks-per-node=4 --gres=gpu:2", 4, 2, "8", "4(x2)", ""},
		{"-n 5 -N 2 --gres=gpu:1", 2, 1, "5", "3,2", ""},
		{"-n 2 -N 4 --gres=gpu:1", 2, 1, "2", "1(x2)", ""},
		{"-N 2-4 --gres=gpu:1", 2, 1, "2", "1(x2)", ""},
		{"-n 9 --ntasks-per-node=4 -N 2 --gres=gpu:1", 0, 0, "", "", "do not fit"},
		{"--gres=gpu:4 --gpus-per-node=4", 4, 4, "1", "1", ""},
		{"--gres=gpu:4 --gpus-per-node=2", 0, 0, "", "", "another number of GPUs"},
		{"--gres=gpu:v100:4 --gpus=a100:4", 0, 0, "", "", "of type a100"},
		{"--gpus=a100:2,v100:2", 0, 0, "", "", "several types"},
		{"--gres=gpu:0", 0, 0, "", "", "asks for no GPU"},
		{"-N 60000 --gres=gpu:60000", 0, 0, "", "", "a job may have"},
	}
	for _, tt := range tests {
		j, err := compile(t, "", strings.Fields(tt.options)...)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v, want %s", tt.options, err, tt.err)
			}
			continue
		}
		g, e := j.Spec.Gang, j.Spec.Run.Env
		if err != nil || g.GPUs != tt.gpus || g.PerNode != tt.perNode || e["SLURM_NTASKS"] != tt.tasks || e["SLURM_TASKS_PER_NODE"] != tt.spread {
			t.Errorf("%s: %+v, tasks %s on nodes %s, %v", tt.options, g, e["SLURM_NTASKS"], e["SLURM_TASKS_PER_NODE"], err)
		}
	}
}

func TestTimes(t *testing.T) {
	const m, h, d = time.Minute, time.Hour, 24 * time.Hour
	for s, want := range map[string]time.Duration{"15": 15 * m, "10:01": 11 * m, "1:30:00": 90 * m, "1-2": d + 2*h, "1-2:30": d + 150*m, "1-2:30:01": d + 151*m,
		"0": 0, "-1": 0, "UNLIMITED": 0, "infinite": 0, "00:00:01": m, "01:59:00": 119 * m, "48:00:00": 2 * d} {
		if got, err := parseTime(s); err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "x", "1:2:3:4", "1-", "-5", "1-1-1", "1.5", "9999-0", ":"} {
		if got, err := parseTime(s); err == nil {
			t.Errorf("%q is taken as %s", s, got)
		}
	}
}

func TestMemory(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "100": 100, "100M": 100, "64G": 65536, "64gb": 65536, "1T": 1 << 20, "1K": 1, "2048k": 2, "2049K": 3} {
		if got, err := parseMemory(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "G", "1.5G", "-1", "1GG", "1BG", "1E", "9999999999999T"} {
		if got, err := parseMemory(s); err == nil {
			t.Errorf("%q is taken as %d MiB", s, got)
		}
	}
}

func TestExport(t *testing.T) {
	in := Input{File: "job.sh", Script: []byte("#!/bin/sh\n" + gpu), Dir: "/",
		Env: []string{"SCRATCH=/scratch", "HF_TOKEN=secret", "SLUICE_TOKEN=t", "SLURM_JOB_ID=3", "PATH=/opt/bin", "HOME=/home/ann", "BAD=\xff"}}
	for export, want := range map[string]string{
		"":                          "SCRATCH=/scratch",
		"ALL,A=b":                   "A=b SCRATCH=/scratch",
		"NONE":                      "",
		"HF_TOKEN,A=x,B":            "A=x HF_TOKEN=secret",
		"ALL,HF_TOKEN,SLURM_JOB_ID": "HF_TOKEN=secret SCRATCH=/scratch SLURM_JOB_ID=3",
	} {
		in.Options = nil
		if export != "" {
			in.Options = []string{"--export=" + export}
		}
		j, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, k := range slices.Sorted(maps.Keys(j.Spec.Run.Env)) {
			if k == "SLURM_JOB_ID" || !strings.HasPrefix(k, "SL") {
				got = append(got, k+"="+j.Spec.Run.Env[k])
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("--export=%s: %s, want %s", export, s, want)
		}
		warned := strings.Contains(fmt.Sprint(j.Warnings), "HF_TOKEN")
		if warned != (export == "" || export == "ALL,A=b") {
			t.Errorf("--export=%s: warnings %v", export, j.Warnings)
		}
	}
}

func TestPatterns(t *testing.T) {
	n := Names{Job: "42", Name: "CT", User: "ann", Node: "n01", Restarts: 2}
	a := Names{Job: "44", Name: "CT", ArrayJob: "42", ArrayTask: "13"}
	for _, tt := range []struct {
		names         Names
		pattern, want string
	}{
		{n, "%j.out", "/w/42.out"}, {n, "O-%x.%j", "/w/O-CT.42"}, {n, "/a/%u/%N-%3r-%5j.log", "/a/ann/n01-002-00042.log"}, {n, "%%j-%A-%a", "/w/%j-42-4294967294"},
		{n, "%q-%", "/w/%q-%"}, {n, `a\%j`, "/w/a%j"}, {n, "%J_%s_%t_%n", "/w/42_batch_0_0"}, {n, "%99j", "/w/0000000042"}, {n, "../%5x", "/CT"},
		{a, "slurm-%A_%a.out", "/w/slurm-42_13.out"}, {a, "%4a%b-%j", "/w/00133-44"},
	} {
		if got := tt.names.File(tt.pattern, "/w"); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.pattern, got, tt.want)
		}
	}
}

func TestNodelists(t *testing.T) {
	for list, nodes := range map[string]string{
		"": "", "n1": "n1", "n[01-03,07]": "n01 n02 n03 n07", "n[9-10]": "n9 n10", "n[09-10],gpu1,login": "n09 n10 gpu1 login", "a1,b[1-2]": "a1 b1 b2"} {
		want := strings.Fields(nodes)
		got, err := Expand(list)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("expand %q: %v %v", list, got, err)
		}
		if got := Compress(want); got != list {
			t.Errorf("compress %v: %q, want %q", want, got, list)
		}
	}
	if got, _ := Expand("r[1-2]n[1-2]"); fmt.Sprint(got) != "[r1n1 r1n2 r2n1 r2n2]" {
		t.Errorf("%v", got)
	}
	for _, bad := range []string{"n[", "n]", "n[1", "n[a]", "n[2-1]", "n[1-99999999]", "n[[1]]", "n[1-60000],n[1-60000]"} {
		if got, err := Expand(bad); err == nil {
			t.Errorf("%q expands to %d nodes", bad, len(got))
		}
	}
}

func TestSplit(t *testing.T) {
	for line, want := range map[string]string{
		"job.sh a -b":              "[] job.sh [a -b] ",
		"-N 2 --time=5 job.sh x":   "[-N 2 --time=5] job.sh [x] ",
		"-N2 --time 5 -- job.sh x": "[-N2 --time 5] job.sh [x] ",
		"--parsable -sn 3 job.sh":  "[--parsable -sn 3] job.sh [] ",
		"-G1 --wrap hostname":      "[-G1 --wrap hostname]  [] hostname",
		"--wrap=a --exclusive":     "[--wrap=a --exclusive]  [] a",
	} {
		o, s, r, w := Split(strings.Fields(line))
		if got := fmt.Sprintf("%v %s %v %s", o, s, r, w); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestParseStep(t *testing.T) {
	s, err := ParseStep(strings.Fields("-l -N1 --ntasks 2 -w n[1-2] --gpus-per-task=a100:3 --cpu-bind=none -c 4 prog -x --nodes=3"))
	if err != nil || s.NodeCount != 1 || s.Tasks != 2 || s.GPUs != 3 || !s.Label || fmt.Sprint(s.Nodes, s.Argv) != "[n1 n2] [prog -x --nodes=3]" {
		t.Errorf("%+v %v", s, err)
	}
	for line, want := range map[string]string{"": "no program", "-N1": "no program", "--pty bash": "--pty", "--nonsense x": "--nonsense", "-N x a": "--nodes", "-n": "needs a value", "-Z a": "-Z", "--multi-prog f": "--multi-prog"} {
		if _, err := ParseStep(strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", line, err, want)
		}
	}
}

func TestScriptsOfOthersAreAccepted(t *testing.T) {
	data := os.Getenv("SLUICE_DATA")
	if data == "" {
		t.Skip("SLUICE_DATA is not set: no scripts of others")
	}
	files, _ := filepath.Glob(filepath.Join(data, "sbatch", "*.sh"))
	if len(files) < 5 {
		t.Fatalf("%d scripts", len(files))
	}
	for _, f := range files {
		script, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if j, err := Compile(Input{File: filepath.Base(f), Script: script, Dir: "/"}); err != nil || j.Spec.Gang.GPUs == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// Whatever is read, an accepted script makes a valid Spec that does not depend
// on anything but its input.
func FuzzCompile(f *testing.F) {
	for _, s := range []string{gpu, gpu + "#SBATCH -J \"a b\" -t 1-2:3 # c\n", "#SBATCH --gres=gpu:a:1,x --array=1-9:2%3\n", "#SBATCH -n 4 --gpus-per-task=1 -N2-4 --signal=B:10@5\n",
		"#SBATCH -d afterok:1:2,afterany:3 --mem=1G -o%j --export=A=b,ALL\n", "#SBATCH '\\''\n", "##SBATCH\n\n#SBATCH--x"} {
		f.Add([]byte("#!/bin/sh\n"+s), "-N 2")
	}
	f.Fuzz(func(t *testing.T, script []byte, line string) {
		options, _, _, _ := Split(strings.Fields(line))
		in := Input{File: "f", Script: script, Options: options, Env: []string{"A=b", "PATH=/bin"}, Dir: "/"}
		j, err := Compile(in)
		if err != nil {
			if workload.KindOf(err) != workload.Invalid || err.Error() == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		if ps := j.Spec.Validate(); len(ps) > 0 {
			t.Fatalf("%v", ps)
		}
		again, err := Compile(in)
		if err != nil || !reflect.DeepEqual(j, again) {
			t.Fatalf("compiled twice: %v and %v, %v", j, again, err)
		}
	})
}

func FuzzNodelist(f *testing.F) {
	for _, s := range []string{"n[01-03,07]", "a,b[1-2]c", "n9,n10", "[", "n[1-2]n[3-4]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		nodes, err := Expand(s)
		if err != nil || len(nodes) == 0 || strings.ContainsAny(strings.Join(nodes, ""), "[], \t\n\r\v\f\u0085\u00a0") {
			return
		}
		again, err := Expand(Compress(nodes))
		if err != nil || !slices.Equal(nodes, again) {
			t.Fatalf("%v is written as %s and read as %v, %v", nodes, Compress(nodes), again, err)
		}
	})
}
