package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

// decideVerb asks the decision from files, without a cluster.
func decideVerb(a *app) *cobra.Command {
	return noun("decide", "Solve, prove and export allocation problems from files", decideSolve(a), decideVerify(a), decideExport(a), decideGenerate(a))
}

// Most defects of a problem that one message lists.
const maxIssues = 10

// problemFlag adds --in, which every verb but generate needs.
func problemFlag(cmd *cobra.Command, in *string) {
	cmd.Flags().StringVar(in, "in", "", "the problem, JSON; - for standard input")
}

func needed(cmd *cobra.Command, flag, value string) error {
	if value != "" {
		return nil
	}
	return usagef("%s: --%s is missing", cmd.CommandPath(), flag).Hint("%s --help", cmd.CommandPath())
}

// readProblem reads and validates a problem; the error names every defect up to
// maxIssues.
func (a *app) readProblem(file string) (*decide.Problem, error) {
	data, err := a.readUpTo(file, decide.MaxFile)
	if err != nil {
		return nil, err
	}
	p, err := decide.ParseProblem(data)
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "%s: %w", named(file), err).Hint("deploy/docs/decide.md lists every field with its unit")
	}
	issues := decide.Validate(&p)
	if len(issues) == 0 {
		return &p, nil
	}
	var lines []string
	for _, i := range issues[:min(len(issues), maxIssues)] {
		lines = append(lines, named(file)+": "+i.Path+": "+i.Problem)
	}
	e := workload.Errorf(workload.Invalid, "%s", strings.Join(lines, "\n"))
	if more := len(issues) - maxIssues; more > 0 {
		return nil, e.Hint("correct these and try again; %d more follow", more)
	}
	return nil, e.Hint("deploy/docs/decide.md lists every field with its range")
}

func (a *app) readResult(file string) (*decide.Result, error) {
	data, err := a.readUpTo(file, decide.MaxFile)
	if err != nil {
		return nil, err
	}
	r, err := decide.ParseResult(data)
	if err != nil {
		return nil, workload.Errorf(workload.Invalid, "%s: %w", named(file), err).Hint("sluice decide solve --in PROBLEM --out FILE writes a result")
	}
	return &r, nil
}

func named(file string) string {
	if file == "-" {
		return "standard input"
	}
	return file
}

// writeTo gives fill a buffered file, or standard output for "-". A file
// appears under its name only when it is complete.
func (a *app) writeTo(file string, fill func(io.Writer) error) error {
	if file == "-" {
		w := bufio.NewWriter(a.out)
		if err := fill(w); err != nil {
			return err
		}
		return w.Flush()
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".sluice-*")
	if err != nil {
		return &exit{exitFailed, workload.Errorf(workload.Invalid, "%w", err)}
	}
	defer os.Remove(f.Name())
	w := bufio.NewWriter(f)
	err = fill(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return &exit{exitFailed, workload.Errorf(workload.Invalid, "%s: %w", file, err)}
	}
	return nil
}

func writeJSON(v any) func(io.Writer) error {
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(v) }
}
