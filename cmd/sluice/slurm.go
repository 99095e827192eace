package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/batch"
	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/slurm"
)

// slurmTools are Slurm's commands as Sluice answers to them: under a link of
// that name, or as sluice slurm NAME.
var slurmTools = map[string]func(*app, context.Context, []string) error{
	"sbatch": (*app).sbatch, "srun": (*app).srun, "squeue": (*app).squeue, "scancel": (*app).scancel,
	"sinfo": (*app).sinfo, "sacct": (*app).sacct, "scontrol": (*app).scontrol,
}

// slurmNames lists the tools in the order in which help shows them.
var slurmNames = []string{"sbatch", "srun", "squeue", "scancel", "sinfo", "sacct", "scontrol"}

// slurmTool is the tool as which this program was called, or "".
func slurmTool(argv0 string) string {
	if name := filepath.Base(argv0); slurmTools[name] != nil {
		return name
	}
	return ""
}

func slurmVerb(a *app) *cobra.Command {
	cmd := noun("slurm", "Slurm's commands: "+strings.Join(slurmNames, ", "))
	cmd.Long = "Slurm's commands, for scripts and habits: sluice slurm sbatch job.sh. A symbolic\n" +
		"link of the command's name to this program does the same. Servers are found by\n" +
		"SLUICE_ADDR, SLUICE_CACERT and SLUICE_TOKEN or the context file."
	for _, name := range slurmNames {
		cmd.AddCommand(&cobra.Command{Use: name, Short: "As Slurm's " + name, DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error { return a.slurm(cmd.Context(), name, args) }})
	}
	cmd.AddCommand(&cobra.Command{Use: "batch", Hidden: true, DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error { return a.batch(args) }})
	return cmd
}

// slurm runs one tool. Slurm's tools end with 1 on every error of their own.
func (a *app) slurm(ctx context.Context, name string, args []string) error {
	a.remote.timeout = defaultTimeout
	a.view.format, a.view.color = "table", "auto"
	if slices.Equal(args, []string{"--version"}) || slices.Equal(args, []string{"-V"}) {
		fmt.Fprintf(a.out, "sluice %s (%s)\n", buildVersion(), name)
		return nil
	}
	if slices.Equal(args, []string{"--help"}) || slices.Equal(args, []string{"-h"}) && name != "squeue" && name != "sinfo" {
		fmt.Fprintf(a.out, "%s as Sluice understands it: see deploy/docs/from-slurm.md\n", name)
		return nil
	}
	err := slurmTools[name](a, ctx, args)
	if _, coded := err.(*exit); err != nil && !coded {
		err = &exit{exitFailed, err}
	}
	return err
}

// batch is the process of a batch job on each of its nodes.
func (a *app) batch(args []string) error {
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	code, err := batch.Run(batch.Config{Args: args, Env: os.Environ(), Self: self, Shims: slurmNames, Out: a.out})
	if err != nil {
		return &exit{exitFailed, workload.Errorf(workload.Unavailable, "batch job: %w", err)}
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}

// slurmInput describes the submission of a script from here.
func (a *app) slurmInput(file string, script []byte, options, args []string) (slurm.Input, error) {
	dir, err := os.Getwd()
	if err != nil {
		return slurm.Input{}, err
	}
	in := slurm.Input{File: file, Script: script, Options: options, Args: args, Env: os.Environ(), Dir: dir}
	in.Host, _ = os.Hostname()
	if u, err := user.Current(); err == nil {
		in.User = u.Username
	}
	return in, nil
}

// warnSlurm tells what the options change less than under Slurm.
func (a *app) warnSlurm(j slurm.Job) {
	for _, w := range j.Warnings {
		fmt.Fprintf(a.err, "warning: %s\n", clean(w.String()))
	}
}

// fitSlurm puts what the cluster has in the place of what the script could only
// name: models for the type of GPU, and a tenant for the account.
func (a *app) fitSlurm(ctx context.Context, c *client, j *slurm.Job) error {
	if j.GPUType != "" {
		resp, err := call(ctx, c, sluicev1.OperatorClient.ListGpus, &sluicev1.ListGpusRequest{})
		if err != nil {
			return err
		}
		var fit, all []string
		for _, g := range resp.GetGpus() {
			if g.GetKind() != "gpu" || slices.Contains(all, g.GetModel()) {
				continue
			}
			all = append(all, g.GetModel())
			if strings.Contains(squeezed(g.GetModel()), squeezed(j.GPUType)) {
				fit = append(fit, g.GetModel())
			}
		}
		slices.Sort(fit)
		slices.Sort(all)
		if len(fit) == 0 {
			return workload.Errorf(workload.Invalid, "GPUs of type %q: the fleet has none, only %s", j.GPUType, dash(strings.Join(all, ", "))).
				Hint("leave the type out to take any: --gres=gpu:N")
		}
		j.Spec.Gang.Models = nil
		for _, m := range fit {
			j.Spec.Gang.Models = append(j.Spec.Gang.Models, workload.ModelName(m))
		}
	}
	if len(j.Spec.After) > 0 {
		jobs, err := a.slurmJobs(ctx, true)
		if err != nil {
			return err
		}
		j.Spec.After = wholeArrays(j.Spec.After, jobs)
	}
	if j.Spec.Tenant != "" {
		resp, err := call(ctx, c, sluicev1.OperatorClient.ListPolicies, &sluicev1.ListPoliciesRequest{Kind: string(config.KindTenant), Name: string(j.Spec.Tenant)})
		if err != nil && workload.KindOf(err) != workload.NotFound && workload.KindOf(err) != workload.Denied {
			return err
		}
		if len(resp.GetPolicies()) == 0 {
			j.Warnings = append(j.Warnings, slurm.Warning{At: "account", Option: "--account", Text: fmt.Sprintf("%q is no tenant here; the default tenant pays", j.Account)})
			j.Spec.Tenant = ""
		}
	}
	return nil
}

// wholeArrays puts all jobs of an array in the place of its id, and one job in
// that of ARRAY_INDEX.
func wholeArrays(after []workload.After, jobs []slurmJob) []workload.After {
	var out []workload.After
	for _, x := range after {
		n := len(out)
		for _, j := range jobs {
			if first, index := j.array(); index != "" && (x.Job == first || x.Job == j.id()) {
				out = append(out, workload.After{Job: j.GetId(), On: x.On})
			}
		}
		if len(out) == n {
			out = append(out, x)
		}
	}
	return out
}

// squeezed keeps letters and digits, so that rtx3080 finds RTX 3080.
func squeezed(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
}
