package slurm

import (
	"slices"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Step is the command line of srun.
type Step struct {
	Argv      []string // the program of a task
	Nodes     []string // --nodelist; empty = any
	NodeCount int      // 0 = as the job
	Tasks     int      // 0 = as the job
	PerNode   int
	GPUs      int // for each task; 0 = as the job
	Label     bool
	Quiet     bool
	Dir       string
	Output    string
	Error     string
	Export    string
	// Options are those that sbatch knows too, for a step that is a job.
	Options []string
}

// stepKinds are the options of srun that sbatch does not have. Those without a
// refusal say how processors, memory or MPI are bound, which is not done here.
var stepKinds = []kind{
	{name: "label", short: 'l', takes: nothing},
	{name: "unbuffered", short: 'u', takes: nothing},
	{name: "kill-on-bad-exit", short: 'K', takes: maybe},
	{name: "overlap", takes: nothing},
	{name: "exact", takes: nothing},
	{name: "cpu-bind", takes: value},
	{name: "gpu-bind", takes: value},
	{name: "mem-bind", takes: value},
	{name: "distribution", short: 'm', takes: value},
	{name: "mpi", takes: value},
	{name: "jobid", takes: value},
	{name: "threads", short: 'T', takes: value},
	{name: "wait", short: 'W', takes: value},
	{name: "no-kill", short: 'k', takes: nothing},
	{name: "resv-ports", takes: maybe},
	{name: "input", short: 'i', takes: value},
	{name: "pty", takes: maybe, refuse: "a terminal in a job is not built"},
	{name: "multi-prog", takes: nothing, refuse: "a step of several programs is not built: start one srun for each, with &"},
	{name: "immediate", short: 'I', takes: maybe, refuse: "is not built"},
}

// ParseStep reads the arguments of srun. The error is an Invalid
// *workload.Error.
func ParseStep(args []string) (Step, error) {
	var s Step
	known := slices.Clone(stepKinds)
	for _, k := range kinds {
		if !k.line && !slices.ContainsFunc(stepKinds, func(o kind) bool { return o.name == k.name || o.short != 0 && o.short == k.short }) {
			known = append(known, k)
		}
	}
	known = append(known, kind{name: "quiet", short: 'Q'}, kind{name: "verbose", short: 'v'})
	for i := 0; ; i++ {
		if i >= len(args) {
			return s, workload.Errorf(workload.Invalid, "srun: no program to run").Hint("srun [options] program [arguments]")
		}
		a := args[i]
		if a == "--" && i+1 < len(args) {
			s.Argv = args[i+1:]
			return s, nil
		}
		if len(a) < 2 || a[0] != '-' {
			s.Argv = args[i:]
			return s, nil
		}
		k, v, separate, err := stepOption(known, a)
		if err != nil {
			return s, err
		}
		if separate {
			if i++; i >= len(args) {
				return s, workload.Errorf(workload.Invalid, "srun: --%s: needs a value", k.name)
			}
			v = args[i]
		}
		if err := s.take(k, v); err != nil {
			return s, err
		}
	}
}

// stepOption recognises one word; separate says that the next is its value.
func stepOption(known []kind, a string) (k kind, v string, separate bool, err error) {
	unknown := workload.Errorf(workload.Invalid, "srun: %s: is not an option that Sluice knows", a).Hint("take it out if the step does not need it; deploy/docs/from-slurm.md lists the options")
	if long, ok := strings.CutPrefix(a, "--"); ok {
		name, v, joined := strings.Cut(long, "=")
		var hits []kind
		for _, c := range known {
			if c.name == name {
				hits = []kind{c}
				break
			}
			if strings.HasPrefix(c.name, name) {
				hits = append(hits, c)
			}
		}
		if len(hits) != 1 {
			return k, "", false, unknown
		}
		return hits[0], v, hits[0].takes == value && !joined, nil
	}
	i := slices.IndexFunc(known, func(c kind) bool { return c.short == a[1] })
	if i < 0 || known[i].takes != value && len(a) > 2 && known[i].takes != maybe {
		return k, "", false, unknown
	}
	return known[i], a[2:], known[i].takes == value && len(a) == 2, nil
}

func (s *Step) take(k kind, v string) error {
	bad := func(err error) error { return workload.Errorf(workload.Invalid, "srun: --%s: %v", k.name, err) }
	var err error
	switch k.name {
	case "nodes":
		s.NodeCount, _, err = parseNodes(v)
	case "ntasks":
		s.Tasks, err = parsePositive(v)
	case "ntasks-per-node", "tasks-per-node":
		s.PerNode, err = parsePositive(v)
	case "gpus-per-task":
		var g gpus
		g, err = parseCount(v)
		s.GPUs = g.count
	case "nodelist":
		s.Nodes, err = Expand(v)
	case "label":
		s.Label = true
	case "quiet":
		s.Quiet = true
	case "chdir", "workdir":
		s.Dir = v
	case "output":
		s.Output = v
	case "error":
		s.Error = v
	case "export":
		s.Export = v
	case "input":
		if v != "none" && v != "/dev/null" {
			return workload.Errorf(workload.Invalid, "srun: --input: tasks have no standard input").Hint("let the program read its file")
		}
	}
	if k.refuse != "" {
		return workload.Errorf(workload.Invalid, "srun: --%s: %s", k.name, k.refuse)
	}
	if err != nil {
		return bad(err)
	}
	if slices.ContainsFunc(kinds, func(o kind) bool { return o.name == k.name && !o.line }) {
		option := "--" + k.name
		if k.takes == value || v != "" {
			option += "=" + v
		}
		s.Options = append(s.Options, option)
	}
	return nil
}
