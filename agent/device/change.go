package device

import (
	"context"
	"errors"
	"time"

	"github.com/sluice-project/sluice/workload"
)

// Setting is one value of a device that can be read and written.
type Setting[T any] struct {
	Name  string
	Read  func(context.Context) (T, error)
	Write func(context.Context, T) error
	// Equal reports whether the device took what it was given; devices round.
	Equal func(got, want T) bool
	// Settle is how long the device may take to show the change; 0 = at once.
	Settle time.Duration
}

// settlePoll is how often a changing device is looked at.
const settlePoll = 250 * time.Millisecond

// Change sets a value and returns what the device then shows. A value it
// already has is not written again. Where the device shows something else
// than it was told, the old value is put back and the error is Unavailable:
// half-applied settings are worse than none.
func Change[T any](ctx context.Context, s Setting[T], want T) (T, error) {
	old, err := s.Read(ctx)
	if err != nil || s.Equal(old, want) {
		return old, err
	}
	fail := s.Write(ctx, want)
	if fail == nil {
		var got T
		if got, fail = Observe(ctx, s, want); fail == nil {
			return got, nil
		}
	}
	// The context may be what failed, and the device must not stay in between.
	back, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(s.Settle, time.Second))
	defer cancel()
	if got, err := s.Read(back); err == nil && s.Equal(got, old) {
		return got, fail
	}
	if err := s.Write(back, old); err != nil {
		return old, errors.Join(fail, workload.Errorf(workload.Unavailable, "%s could not be put back: %w", s.Name, err))
	}
	return old, fail
}

// Observe reads a setting until it is as wanted or may take no longer.
func Observe[T any](ctx context.Context, s Setting[T], want T) (T, error) {
	end := time.Now().Add(s.Settle)
	for {
		got, err := s.Read(ctx)
		if err == nil && s.Equal(got, want) {
			return got, nil
		}
		if !time.Now().Before(end) {
			if err == nil {
				err = workload.Errorf(workload.Unavailable, "%s: the device was told %v and shows %v", s.Name, want, got)
			}
			return got, err
		}
		select {
		case <-ctx.Done():
			return got, workload.Errorf(workload.Unavailable, "%s: %w", s.Name, ctx.Err())
		case <-time.After(settlePoll):
		}
	}
}
