package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func waitVerb(a *app) *cobra.Command {
	var limit time.Duration
	cmd := &cobra.Command{
		Use:   "wait JOB",
		Short: "Wait until a job has ended; exits with the job's own exit code",
		Args:  arguments("JOB"),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, limit)
				defer cancel()
			}
			return a.wait(ctx, args[0], limit)
		},
	}
	cmd.Flags().DurationVar(&limit, "for", 0, "longest wait; 0 = as long as it takes")
	return cmd
}

// errEnough ends repeat: what was waited for is there.
var errEnough = errors.New("enough")

func (a *app) wait(ctx context.Context, id string, limit time.Duration) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	var ended *sluicev1.Job
	err = a.repeat(ctx, c, func() error {
		j, err := call(ctx, c, sluicev1.OperatorClient.GetJob, &sluicev1.GetJobRequest{Id: id})
		if err == nil && workload.Phase(j.GetPhase()).Final() {
			ended = j
			return errEnough
		}
		return err
	})
	if ended == nil {
		if limit > 0 && ctx.Err() == context.DeadlineExceeded {
			return workload.Errorf(workload.Unavailable, "job %s has not ended within %s", id, limit).Hint("it keeps running; sluice job wait %s", id)
		}
		if errors.Is(err, context.Canceled) {
			fmt.Fprintf(a.err, "job %s goes on; sluice job wait %s\n", id, id)
		}
		return err
	}
	if a.forPeople() {
		fmt.Fprintf(a.err, "job %s %s, exit code %d\n", ended.GetId(), ended.GetPhase(), ended.GetExitCode())
	} else if err := showOne(a, ended, (*sluicev1.Job).GetId, nil); err != nil {
		return err
	}
	return jobExit(ended)
}

// jobExit gives the job's own exit code; a job that failed or was cancelled
// without one exits 1.
func jobExit(j *sluicev1.Job) error {
	code := int(j.GetExitCode())
	if workload.Phase(j.GetPhase()) == workload.Succeeded {
		return nil
	}
	if code <= 0 || code > 255 {
		code = exitFailed
	}
	return &exit{code: code}
}
