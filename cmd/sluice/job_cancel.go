package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/workload"
)

func cancelVerb(a *app) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:     "cancel JOB...",
		Aliases: []string{"rm"},
		Short:   "Cancel jobs; asks before it cancels several",
		Args: func(cmd *cobra.Command, args []string) error {
			return arguments("JOB")(cmd, args[:min(len(args), 1)])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && !yes {
				if err := a.confirm(cmd.Context(), fmt.Sprintf("Cancel %d jobs?", len(args))); err != nil {
					return err
				}
			}
			return a.cancel(cmd.Context(), args)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return cmd
}

func (a *app) cancel(ctx context.Context, ids []string) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	for _, id := range ids {
		j, err := call(ctx, c, sluicev1.OperatorClient.CancelJob, &sluicev1.CancelJobRequest{Id: id, RequestId: requestID()})
		if err != nil {
			return err
		}
		if err := showOne(a, j, (*sluicev1.Job).GetId, func(j *sluicev1.Job) {
			if phase := workload.Phase(j.GetPhase()); phase.Final() {
				fmt.Fprintf(a.out, "job %s %s\n", j.GetId(), phase)
			} else {
				fmt.Fprintf(a.out, "job %s is stopping\n", j.GetId())
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// confirm asks on a terminal. A script has decided already by running us.
func (a *app) confirm(ctx context.Context, question string) error {
	if !a.inTTY || !a.errTTY {
		return nil
	}
	fmt.Fprintf(a.err, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.in).ReadString('\n')
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-answer:
		if got == "y" || got == "yes" {
			return nil
		}
		return &exit{exitFailed, workload.Errorf(workload.Invalid, "nothing was changed")}
	}
}
