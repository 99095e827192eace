package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sluice-project/sluice/agent/batch"
	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/slurm"
)

// srun runs a step on the job's own allocation when it is called inside a job.
// Elsewhere it submits a job of that one step, shows what it prints and ends
// with its exit code.
func (a *app) srun(ctx context.Context, args []string) error {
	s, err := slurm.ParseStep(args)
	if err != nil {
		return err
	}
	if !batch.Inside(a.env) {
		return a.runJob(ctx, s)
	}
	l := batch.Launch{Argv: s.Argv, Env: os.Environ(), Nodes: s.Nodes, NodeCount: s.NodeCount, Tasks: s.Tasks, PerNode: s.PerNode, GPUs: s.GPUs}
	if l.Dir, err = os.Getwd(); err != nil {
		return err
	}
	if s.Dir != "" {
		if l.Dir = s.Dir; !filepath.IsAbs(s.Dir) {
			dir, err := os.Getwd()
			if err != nil {
				return err
			}
			l.Dir = filepath.Join(dir, s.Dir)
		}
	}
	l.Env = stepEnv(l.Env, s.Export)
	if l.GPUs == 0 {
		_, count, _ := strings.Cut(":"+a.env("SLURM_GPUS_PER_TASK"), ":")
		if i := strings.LastIndexByte(count, ':'); i >= 0 {
			count = count[i+1:]
		}
		l.GPUs, _ = strconv.Atoi(count)
	}
	out, errOut, err := a.stepOutputs(s)
	if err != nil {
		return err
	}
	kill := make(chan os.Signal, 8)
	signal.Notify(kill, syscall.SIGINT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGHUP)
	defer signal.Stop(kill)
	code, err := batch.Step(a.env, l, s.Label, out, errOut, kill)
	if err != nil {
		return workload.Errorf(workload.Unavailable, "srun: %w", err)
	}
	if code != 0 {
		return &exit{code: code}
	}
	return nil
}

// stepEnv applies --export of srun: ALL is the default, NONE leaves what Slurm
// and the job's keeper set.
func stepEnv(env []string, export string) []string {
	if export == "" {
		return env
	}
	var out, more []string
	all, named := false, map[string]bool{}
	for item := range strings.SplitSeq(export, ",") {
		switch {
		case item == "ALL":
			all = true
		case strings.Contains(item, "="):
			more = append(more, item)
		default:
			named[item] = true
		}
	}
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if all || named[name] || strings.HasPrefix(name, "SLURM") || strings.HasPrefix(name, "SLUICE_") || strings.HasPrefix(name, "MASTER_") ||
			name == "PATH" || name == "HOME" || name == "CUDA_DEVICE_ORDER" {
			out = append(out, kv)
		}
	}
	return append(out, more...)
}

// stepOutputs opens --output and --error of a step.
func (a *app) stepOutputs(s slurm.Step) (out, errOut io.Writer, err error) {
	names := slurm.Names{Job: a.env("SLURM_JOB_ID"), Name: a.env("SLURM_JOB_NAME"), User: a.env("SLURM_JOB_USER"), Node: a.env("SLURMD_NODENAME"),
		ArrayJob: a.env("SLURM_ARRAY_JOB_ID"), ArrayTask: a.env("SLURM_ARRAY_TASK_ID")}
	open := func(option, pattern string) (io.Writer, error) {
		if strings.Contains(pattern, "%t") || strings.Contains(pattern, "%n") || strings.Contains(pattern, "%s") {
			return nil, workload.Errorf(workload.Invalid, "srun: --%s: a file for each task, node or step (%%t %%n %%s) is not built", option).
				Hint("let the task write to a file named by SLURM_PROCID")
		}
		flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		return os.OpenFile(names.File(pattern, dir), flags, 0o644)
	}
	out, errOut = a.out, a.err
	if s.Output != "" {
		if out, err = open("output", s.Output); err != nil {
			return nil, nil, err
		}
		errOut = out
	}
	if s.Error != "" {
		if errOut, err = open("error", s.Error); err != nil {
			return nil, nil, err
		}
	}
	return out, errOut, nil
}

// runJob is srun outside a job.
func (a *app) runJob(ctx context.Context, s slurm.Step) error {
	in, err := a.slurmInput(filepath.Base(s.Argv[0]), []byte("#!/bin/sh\nexec srun --quiet \"$@\"\n"), s.Options, append([]string{"--"}, s.Argv...))
	if err != nil {
		return err
	}
	if s.Label {
		in.Args = append([]string{"--label"}, in.Args...)
	}
	j, err := slurm.Compile(in)
	if err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if j.Spec.Run.Env[slurm.VarOutput] == "" {
		j.Spec.Run.Env[slurm.VarOutput] = os.DevNull // what it prints is shown here
	}
	ids, err := a.submitSlurm(ctx, c, j, false)
	if err != nil {
		return err
	}
	if !s.Quiet {
		fmt.Fprintf(a.err, "srun: job %s queued and waiting for resources\n", ids[0])
	}
	if err := a.followLogs(ctx, c, ids[0]); err == nil {
		var code int
		if code, err = a.awaitJob(ctx, c, ids[0]); err == nil {
			if code != 0 {
				return &exit{code: code}
			}
			return nil
		}
	} else if ctx.Err() == nil {
		return err
	}
	// Ctrl-C at an srun ends its job.
	call(context.WithoutCancel(ctx), c, sluicev1.OperatorClient.CancelJob, &sluicev1.CancelJobRequest{Id: ids[0], RequestId: requestID()})
	return ctx.Err()
}

// followLogs waits until a job has been started and shows what it writes until
// it ends. A job that ends before has written nothing.
func (a *app) followLogs(ctx context.Context, c *client, id string) error {
	started := false
	err := a.repeat(ctx, c, func() error {
		j, err := call(ctx, c, sluicev1.OperatorClient.GetJob, &sluicev1.GetJobRequest{Id: id})
		if err != nil {
			return err
		}
		if n := len(j.GetAttempts()); n > 0 && j.GetAttempts()[n-1].GetStartedMs() > 0 {
			started = true
			return errEnough
		}
		if workload.Phase(j.GetPhase()).Final() {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || !started {
		if errors.Is(err, errEnough) {
			err = nil
		}
		return err
	}
	return a.logs(ctx, &sluicev1.JobLogsRequest{Id: id, Follow: true})
}
