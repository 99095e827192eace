package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-project/sluice/workload"
)

// Exit codes are a contract with scripts.
const (
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitDenied      = 5
	exitUnreachable = 6 // also: no leader, timeout
	exitInvalid     = 7
	exitUnplaced    = 8 // accepted, but cannot be placed (fully) now
	exitChanges     = 9 // plan or diff found changes and --exit-code was given
	exitInterrupted = 130
)

const exitHelp = `Exit codes: 0 ok, 1 failed, 2 usage, 3 not found, 4 conflict, 5 not allowed,
6 unreachable, no leader or timeout, 7 invalid, 8 accepted but not placeable now,
9 changes found (with --exit-code), 130 interrupted. "job wait" gives the job's own.`

// exit ends the program with a code of its own. err may be nil: all is said.
type exit struct {
	code int
	err  error
}

func (e *exit) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exit) Unwrap() error { return e.err }

// Hint sets the next step of the error inside.
func (e *exit) Hint(format string, args ...any) *exit {
	if inner, ok := errors.AsType[*workload.Error](e.err); ok {
		inner.Hint(format, args...)
	}
	return e
}

// codeOf is the one place where an error becomes an exit code.
func codeOf(err error) int {
	if err == nil {
		return exitOK
	}
	if e, ok := errors.AsType[*exit](err); ok {
		return e.code
	}
	switch workload.KindOf(err) {
	case workload.NotFound:
		return exitNotFound
	case workload.Conflict:
		return exitConflict
	case workload.Denied:
		return exitDenied
	case workload.Unavailable, workload.NotLeader:
		return exitUnreachable
	case workload.Invalid:
		return exitInvalid
	default:
		return exitFailed
	}
}

// report prints an error in the house form: one "error:" for each line of it,
// and what to do next on a line of its own.
func (a *app) report(err error) {
	if err == nil {
		return
	}
	if e, ok := errors.AsType[*exit](err); ok && (e.err == nil || e.code == exitInterrupted) {
		return
	}
	p := a.painter(a.errTTY)
	for line := range strings.Lines(err.Error()) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") || line == "" { // a quoted line of the document
			fmt.Fprintln(a.err, clean(line))
			continue
		}
		fmt.Fprintf(a.err, "%s %s\n", p.paint(red, "error:"), clean(line))
	}
	if next := workload.NextOf(err); next != "" {
		fmt.Fprintf(a.err, "  next: %s\n", clean(next))
	}
}
