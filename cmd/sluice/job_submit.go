package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
	"github.com/sluice-project/sluice/workload/slurm"
)

// maxDocument is what servers accept, in bytes.
const maxDocument = 1 << 20

func submitVerb(a *app) *cobra.Command {
	var o submitOptions
	cmd := &cobra.Command{
		Use:   "submit FILE [-- ARGUMENT...]",
		Short: "Submit a job; prints its id. FILE - is standard input",
		Long: "Submit a job and print its id. The document is checked here before it is sent.\n" +
			"On a terminal the job is followed until it runs, unless --detach is given.\n\n" +
			"FILE may be a batch script with #SBATCH lines too; arguments behind it are the\n" +
			"script's. --dry-run -o json then prints what the script asks for, with warnings,\n" +
			"and asks no server.",
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments("FILE")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error { return a.submit(cmd.Context(), args[0], args[1:], o) },
	}
	cmd.Flags().BoolVarP(&o.detach, "detach", "d", false, "return at once, also on a terminal")
	cmd.Flags().BoolVar(&o.waitPlaced, "wait-placed", false, "wait for the decision; exit 8 if the job cannot be placed now")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "let the server check the job, submit nothing")
	return cmd
}

type submitOptions struct{ detach, waitPlaced, dryRun bool }

func (a *app) submit(ctx context.Context, file string, args []string, o submitOptions) error {
	data, err := a.readDocument(file)
	if err != nil {
		return err
	}
	if slurm.IsScript(data) {
		return a.submitScript(ctx, file, data, args, o)
	}
	if len(args) > 0 {
		return usagef("sluice job submit: %q is one argument too many: a document takes none", args[0]).Hint("sluice job submit FILE")
	}
	// Checked before it is sent, so that a slip is shown with its line also where
	// no server can be reached.
	if _, err := config.ParseJob(file, data); err != nil {
		return err
	}
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	resp, err := call(ctx, c, sluicev1.OperatorClient.SubmitJob, &sluicev1.SubmitJobRequest{
		Document: string(data), File: file, RequestId: requestID(), DryRun: o.dryRun,
	})
	if err != nil {
		return err
	}
	if err := showOne(a, resp, (*sluicev1.SubmitJobResponse).GetId, func(r *sluicev1.SubmitJobResponse) {
		if o.dryRun {
			fmt.Fprintln(a.out, "valid; nothing was submitted")
		} else {
			fmt.Fprintln(a.out, r.GetId())
		}
	}); err != nil || o.dryRun {
		return err
	}
	if o.waitPlaced || a.forPeople() && a.outTTY && a.errTTY && !o.detach {
		return a.followPlacement(ctx, c, resp.GetId(), o.waitPlaced)
	}
	return nil
}

// followPlacement shows the phases of a job until it runs or has ended. With
// strict it ends as soon as the decision has said why the job must wait, or
// when --timeout has passed without one.
func (a *app) followPlacement(ctx context.Context, c *client, id string, strict bool) error {
	if strict {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.target.timeout)
		defer cancel()
	}
	unplaced := func(why string) error {
		return &exit{exitUnplaced, workload.Errorf(workload.Exhausted, "job %s was accepted but is not placed: %s", id, why).Hint("sluice explain job %s", id)}
	}
	last := ""
	err := a.repeat(ctx, c, func() error {
		j, err := call(ctx, c, sluicev1.OperatorClient.GetJob, &sluicev1.GetJobRequest{Id: id})
		if err != nil {
			return err
		}
		phase, attempt := workload.Phase(j.GetPhase()), workload.AttemptPhase("")
		if n := len(j.GetAttempts()); n > 0 && phase == workload.Active {
			attempt = workload.AttemptPhase(j.GetAttempts()[n-1].GetPhase())
		}
		line := fmt.Sprintf("job %s %s %s", id, dash(first(string(attempt), string(phase))), reasonWords(j.GetReason()))
		if line != last && a.errTTY {
			fmt.Fprintln(a.err, clean(line))
			last = line
		}
		switch {
		case phase.Final(), attempt == workload.Running, strict && phase == workload.Active:
			return errEnough
		case strict && j.GetReason().GetCode() != "" && workload.Code(j.GetReason().GetCode()) != workload.CodeNew:
			return unplaced(reasonWords(j.GetReason()))
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case strict && errors.Is(err, context.DeadlineExceeded):
		return unplaced(fmt.Sprintf("no decision within %s", c.target.timeout))
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(a.err, "job %s goes on; sluice job wait %s, sluice job cancel %s\n", id, id, id)
	}
	return err
}

// readDocument reads a file, or standard input for "-".
func (a *app) readDocument(file string) ([]byte, error) { return a.readUpTo(file, maxDocument) }

func (a *app) readUpTo(file string, limit int64) ([]byte, error) {
	var in io.Reader = a.in
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			kind := workload.Invalid
			if os.IsNotExist(err) {
				kind = workload.NotFound
			}
			return nil, workload.Errorf(kind, "%w", err)
		}
		defer f.Close()
		in = f
	} else if a.inTTY {
		fmt.Fprintln(a.err, "reading the document from the terminal; end it with Ctrl-D")
	}
	data, err := io.ReadAll(io.LimitReader(in, limit+1))
	switch {
	case err != nil:
		return nil, workload.Errorf(workload.Invalid, "%s: %w", file, err)
	case int64(len(data)) > limit:
		return nil, workload.Errorf(workload.Invalid, "%s: is larger than %d MiB", file, limit>>20)
	case !utf8.Valid(data):
		return nil, workload.Errorf(workload.Invalid, "%s: is not UTF-8 text", file)
	}
	return data, nil
}

// requestID names one submission, so that a repeat after a lost answer is not a
// second job.
func requestID() string { return "cli-" + rand.Text() }
