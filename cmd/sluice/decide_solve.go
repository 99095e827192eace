package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

func decideSolve(a *app) *cobra.Command {
	var in, out string
	var budget int64
	cmd := &cobra.Command{
		Use: "solve --in PROBLEM [--out RESULT]", Short: "Find a plan and prove how far it can be from the best", Args: arguments(),
		Example: "  sluice decide solve --in problem.json --out result.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "in", in); err != nil {
				return err
			}
			if budget < 0 {
				return usagef("--budget must be 0 (default) or more units of work, is %d", budget)
			}
			p, err := a.readProblem(in)
			if err != nil {
				return err
			}
			r, _ := decide.Solve(p, nil, decide.BudgetOf(budget))
			r.Work = decide.Budget{}
			if err := a.writeTo(out, writeJSON(r)); err != nil {
				return err
			}
			if out != "-" {
				fmt.Fprintln(a.out, standing(&r))
			}
			return nil
		},
	}
	problemFlag(cmd, &in)
	cmd.Flags().StringVar(&out, "out", "-", "where the result goes")
	cmd.Flags().Int64Var(&budget, "budget", 0, "units of work to spend at most; 0: the default")
	return cmd
}

func decideVerify(a *app) *cobra.Command {
	var in, result string
	cmd := &cobra.Command{
		Use: "verify --in PROBLEM --result RESULT", Short: "Recompute a result's limits, value and bound from the two files alone", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "in", in); err != nil {
				return err
			}
			if err := needed(cmd, "result", result); err != nil {
				return err
			}
			if in == "-" && result == "-" {
				return usagef("only one of --in and --result can be standard input")
			}
			p, err := a.readProblem(in)
			if err != nil {
				return err
			}
			r, err := a.readResult(result)
			if err != nil {
				return err
			}
			if err := decide.Verify(p, r); err != nil {
				return workload.Errorf(workload.Invalid, "%s: refused: %w", named(result), err).Hint("do not use this plan; sluice decide solve --in %s makes one that holds", in)
			}
			fmt.Fprintln(a.out, "holds: "+standing(r))
			return nil
		},
	}
	problemFlag(cmd, &in)
	cmd.Flags().StringVar(&result, "result", "", "what solve wrote; - for standard input")
	return cmd
}

// standing is a result in one line.
func standing(r *decide.Result) string {
	return fmt.Sprintf("%s, objective %d micro/h, bound %d micro/h, gap %.4f %%, %d moves, %d preemptions", r.Stage,
		r.ObjectiveMicroPerHour, r.BoundMicroPerHour, float64(r.GapPPM)/10_000, r.Moves, r.Preemptions)
}
