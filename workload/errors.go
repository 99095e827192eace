package workload

import (
	"errors"
	"fmt"
)

// Kind is the closed vocabulary of what can go wrong. It is mapped to a gRPC
// code, an HTTP status and an exit code in one function each.
type Kind uint8

const (
	// Internal is a defect of ours.
	Internal Kind = iota
	// Invalid means that the request can never succeed as written.
	Invalid
	// NotFound means that the thing named does not exist.
	NotFound
	// Conflict means that something changed meanwhile; read again and retry.
	Conflict
	// Unavailable means that a part we need cannot be reached; retry later.
	Unavailable
	// NotLeader means that another server must be asked.
	NotLeader
	// Denied means that the caller may not do this.
	Denied
	// Exhausted means that a quota or limit is used up.
	Exhausted
)

var kindNames = [...]string{"internal", "invalid", "not found", "conflict", "unavailable", "not leader", "denied", "exhausted"}

// String returns the words used in messages.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "internal"
}

// Error carries a kind, a sentence without capital or full stop, the next step
// for the reader, and the cause.
type Error struct {
	Kind Kind
	Text string
	Next string // what to do about it; may be empty
	Err  error  // cause, already part of Text; may be nil
}

func (e *Error) Error() string { return e.Text }

func (e *Error) Unwrap() error { return e.Err }

// Errorf builds an error of a kind. %w wraps a cause, whose next step is kept.
func Errorf(kind Kind, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	cause := errors.Unwrap(err)
	return &Error{Kind: kind, Text: err.Error(), Err: cause, Next: NextOf(cause)}
}

// Hint sets the next step.
func (e *Error) Hint(format string, args ...any) *Error {
	e.Next = fmt.Sprintf(format, args...)
	return e
}

// KindOf returns the kind of the first Error in the chain, or Internal.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}

// NextOf returns the next step named by the first Error in the chain.
func NextOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Next
	}
	return ""
}
