package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

func logsVerb(a *app) *cobra.Command {
	req := &sluicev1.JobLogsRequest{}
	cmd := &cobra.Command{
		Use:   "logs JOB",
		Short: "Print what a job has written",
		Args:  arguments("JOB"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Id = args[0]
			return a.logs(cmd.Context(), req)
		},
	}
	cmd.Flags().BoolVarP(&req.Follow, "follow", "f", false, "go on until the job ends")
	cmd.Flags().Int64Var(&req.Offset, "offset", 0, "start at this byte")
	cmd.Flags().Int32Var(&req.Attempt, "attempt", 0, "attempt number; 0 = the newest")
	return cmd
}

// logs copies the stream to standard output as it is. With -f it goes on at the
// same byte when a server fails.
func (a *app) logs(ctx context.Context, req *sluicev1.JobLogsRequest) error {
	c, err := a.connect()
	if err != nil {
		return err
	}
	defer c.Close()
	if !req.GetFollow() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.target.timeout)
		defer cancel()
	}
	heard := false
	var failing time.Time
	for {
		before := req.GetOffset()
		err := c.do(ctx, func(ctx context.Context, op sluicev1.OperatorClient) error { return a.copyLogs(ctx, op, req) })
		if before != req.GetOffset() {
			heard, failing = true, time.Time{}
		}
		kind := workload.KindOf(err)
		if err == nil || ctx.Err() != nil || !req.GetFollow() || !heard || kind != workload.Unavailable && kind != workload.NotLeader {
			return err
		}
		if failing.IsZero() {
			failing = a.now()
		} else if a.now().Sub(failing) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(leaderPause):
		}
	}
}

func (a *app) copyLogs(ctx context.Context, op sluicev1.OperatorClient, req *sluicev1.JobLogsRequest) error {
	stream, err := op.JobLogs(ctx, req)
	if err != nil {
		return err
	}
	for {
		chunk, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if a.forPeople() {
			_, err = a.out.Write(chunk.GetData())
		} else {
			_, err = a.out.Write(append(wire.JSON(chunk), '\n'))
		}
		if err != nil {
			return err
		}
		req.Offset = chunk.GetOffset() + int64(len(chunk.GetData()))
	}
}
