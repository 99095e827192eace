package main

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

// What generate makes at most: larger files could not be read again.
const maxGenerated = 1_000_000

func decideGenerate(a *app) *cobra.Command {
	var devices, jobs int
	var seed uint64
	var shape string
	cmd := &cobra.Command{
		Use: "generate", Short: "Write a synthetic problem, the same for the same flags", Args: arguments(),
		Example: "  sluice decide generate --devices 10000 --seed 1 --jobs 1000 --shape default > problem.json",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if devices < 1 || devices > maxGenerated {
				return usagef("--devices must be 1 to %d, is %d", maxGenerated, devices)
			}
			if jobs < 0 || jobs > maxGenerated/10 {
				return usagef("--jobs must be 0 to %d, is %d", maxGenerated/10, jobs)
			}
			if !slices.Contains(decide.Shapes, shape) {
				e := usagef("--shape %q is none of %s", shape, strings.Join(decide.Shapes, ", "))
				if near := nearest(shape, decide.Shapes); near != "" {
					return e.Hint("did you mean --shape %s?", near)
				}
				return e
			}
			p := decide.Generate(devices, jobs, shape, seed)
			return a.writeTo("-", writeJSON(p))
		},
	}
	f := cmd.Flags()
	f.IntVar(&devices, "devices", 10_000, "devices, about")
	f.IntVar(&jobs, "jobs", 1000, "jobs that ask for some of them")
	f.Uint64Var(&seed, "seed", 1, "of everything that varies")
	f.StringVar(&shape, "shape", decide.ShapeDefault, strings.Join(decide.Shapes, ", "))
	return cmd
}

func decideExport(a *app) *cobra.Command {
	var in, format, result string
	cmd := &cobra.Command{
		Use: "export --in PROBLEM --format mps|lp", Short: "Write the linear relaxation for clp, cbc, glpk and others", Args: arguments(),
		Long: "Write the linear relaxation with its whole numbers marked. Targets that cannot be\nserved may be missed by as much as the plan misses them: the problem is solved\nfirst, unless --result has its result.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "in", in); err != nil {
				return err
			}
			write := map[string]func(*decide.Program, io.Writer) error{"mps": (*decide.Program).WriteMPS, "lp": (*decide.Program).WriteLP}[format]
			if write == nil {
				return usagef("--format %q is neither mps nor lp", format).Hint("sluice decide export --in %s --format mps", in)
			}
			if in == "-" && result == "-" {
				return usagef("only one of --in and --result can be standard input")
			}
			p, err := a.readProblem(in)
			if err != nil {
				return err
			}
			var r *decide.Result
			if result == "" {
				solved, _ := decide.Solve(p, nil, decide.Budget{})
				r = &solved
			} else if r, err = a.readResult(result); err != nil {
				return err
			}
			prog, err := decide.Export(p, r)
			if err != nil {
				return workload.Errorf(workload.Invalid, "%s: %w", named(first(result, in)), err).Hint("sluice decide verify says whether the result belongs to the problem")
			}
			return a.writeTo("-", func(w io.Writer) error { return write(prog, w) })
		},
	}
	problemFlag(cmd, &in)
	cmd.Flags().StringVar(&format, "format", "mps", "mps or lp")
	cmd.Flags().StringVar(&result, "result", "", "a result of the problem, to save solving it")
	return cmd
}
