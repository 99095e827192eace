package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/sluice-project/sluice/agent/batch"
	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/slurm"
)

// sbatch submits a script and prints Submitted batch job N.
func (a *app) sbatch(ctx context.Context, args []string) error {
	options, file, rest, wrap := slurm.Split(args)
	var script []byte
	switch {
	case wrap != "" && file != "":
		return usagef("sbatch: a script and --wrap exclude each other")
	case wrap != "":
		file, script = "wrap", []byte("#!/bin/sh\n"+wrap+"\n")
	default:
		if file == "" {
			file = "-"
		}
		var err error
		if script, err = a.readDocument(file); err != nil {
			return err
		}
		if file == "-" {
			file = "sbatch"
		}
	}
	in, err := a.slurmInput(file, script, options, rest)
	if err != nil {
		return err
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
	ids, err := a.submitSlurm(ctx, c, j, j.TestOnly)
	switch {
	case err != nil:
		return err
	case j.TestOnly:
		fmt.Fprintln(a.err, "sbatch: the job could be submitted; nothing was")
		return nil
	case j.Parsable:
		fmt.Fprintln(a.out, ids[0])
	case !j.Quiet:
		fmt.Fprintf(a.out, "Submitted batch job %s\n", ids[0])
	}
	if !j.Wait {
		return nil
	}
	worst := 0
	for _, id := range ids {
		code, err := a.awaitJob(ctx, c, id)
		if err != nil {
			return err
		}
		worst = max(worst, code)
	}
	if worst > 0 {
		return &exit{code: worst}
	}
	return nil
}

// awaitJob waits for the end of a job and returns its exit code.
func (a *app) awaitJob(ctx context.Context, c *client, id string) (int, error) {
	var ended *sluicev1.Job
	err := a.repeat(ctx, c, func() error {
		j, err := call(ctx, c, sluicev1.OperatorClient.GetJob, &sluicev1.GetJobRequest{Id: id})
		if err == nil && workload.Phase(j.GetPhase()).Final() {
			ended = j
			return errEnough
		}
		return err
	})
	if ended == nil {
		return 0, err
	}
	if err := jobExit(ended); err != nil {
		return codeOf(err), nil
	}
	return 0, nil
}

// submitScript is sluice job submit with a batch script.
func (a *app) submitScript(ctx context.Context, file string, script []byte, args []string, o submitOptions) error {
	in, err := a.slurmInput(file, script, nil, args)
	if err != nil {
		return err
	}
	j, err := slurm.Compile(in)
	if err != nil {
		return err
	}
	if o.dryRun {
		if a.forPeople() {
			a.warnSlurm(j)
		}
		raw, err := json.Marshal(j)
		if err != nil {
			return err
		}
		return a.showJSON(raw)
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	ids, err := a.submitSlurm(ctx, c, j, false)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if a.forPeople() {
			fmt.Fprintln(a.out, id)
		} else if err := a.showJSON(fmt.Appendf(nil, `{"id":%q}`, id)); err != nil {
			return err
		}
	}
	if len(ids) == 1 && (o.waitPlaced || a.forPeople() && a.outTTY && a.errTTY && !o.detach) {
		return a.followPlacement(ctx, c, ids[0], o.waitPlaced)
	}
	return nil
}

// submitSlurm hands a compiled script in and returns the ids: one, or one for
// each index of its array. A throttle is a chain: the job of an index waits
// for the end of the one that many places before it, so that never more run at
// once. A failure in the middle of an array cancels what was submitted of it.
func (a *app) submitSlurm(ctx context.Context, c *client, j slurm.Job, dry bool) (ids []string, err error) {
	if err := a.fitSlurm(ctx, c, &j); err != nil {
		return nil, err
	}
	a.warnSlurm(j)
	j.Spec.Run.Env[batch.VarKey] = rand.Text()
	if j.Array == nil {
		id, err := a.submitSpec(ctx, c, j.Spec, dry)
		return []string{id}, err
	}
	name, after := j.Spec.Name, j.Spec.After
	defer func() {
		if err == nil {
			return
		}
		for _, id := range ids {
			call(context.WithoutCancel(ctx), c, sluicev1.OperatorClient.CancelJob, &sluicev1.CancelJobRequest{Id: id, RequestId: requestID()})
		}
	}()
	for i, index := range j.Array.Indices {
		s := j.Spec
		suffix := "-" + strconv.Itoa(index)
		s.Name = name[:min(len(name), 63-len(suffix))] + suffix
		s.Run.Env["SLURM_ARRAY_TASK_ID"] = strconv.Itoa(index)
		if i > 0 {
			s.Run.Env["SLURM_ARRAY_JOB_ID"] = ids[0]
		}
		s.After = after
		if p := j.Array.Parallel; p > 0 && i >= p {
			s.After = append(after[:len(after):len(after)], workload.After{Job: ids[i-p], On: "end"})
		}
		id, err := a.submitSpec(ctx, c, s, dry)
		if err != nil {
			return ids, err
		}
		if ids = append(ids, id); dry {
			break
		}
	}
	return ids, nil
}

func (a *app) submitSpec(ctx context.Context, c *client, s workload.Spec, dry bool) (string, error) {
	resp, err := call(ctx, c, sluicev1.OperatorClient.SubmitJob, &sluicev1.SubmitJobRequest{
		Document: slurmDocument(s), File: s.Name, RequestId: requestID(), DryRun: dry})
	return resp.GetId(), err
}

// slurmDocument writes a spec as a Job document. JSON is YAML too.
func slurmDocument(s workload.Spec) string {
	type fields map[string]any
	span := func(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) + "s" }
	gang := fields{"gpus": s.Gang.GPUs, "perNode": s.Gang.PerNode}
	if len(s.Gang.Models) > 0 {
		gang["models"] = s.Gang.Models
	}
	limits := fields{"attempts": s.Limits.Attempts}
	if s.Limits.Time > 0 {
		limits["time"] = span(s.Limits.Time)
	}
	doc := fields{"kind": "Job", "name": s.Name, "gang": gang, "limits": limits,
		"run":        fields{"command": s.Run.Command, "workdir": s.Run.Workdir, "env": s.Run.Env, "script": s.Run.Script},
		"checkpoint": fields{"signal": s.Checkpoint.Signal, "grace": span(s.Checkpoint.Grace)}}
	if s.Tenant != "" {
		doc["tenant"] = s.Tenant
	}
	if s.Value.Priority != "" {
		doc["value"] = fields{"priority": s.Value.Priority}
	}
	var after []fields
	for _, x := range s.After {
		after = append(after, fields{"job": x.Job, "on": x.On})
	}
	if after != nil {
		doc["after"] = after
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	e.Encode(doc) // of strings and numbers: it cannot fail
	return b.String()
}
