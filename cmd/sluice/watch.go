package main

import (
	"bytes"
	"context"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/workload"
)

// watchFallback is how often a view is fetched again when no server tells of
// changes.
const watchFallback = 2 * time.Second

// patience is how long --watch, `job wait` and `job logs -f` put up with
// servers that cannot be reached: longer than an election or a restart.
const patience = time.Minute

// repeat calls fetch now and after every change that a server tells of, until
// ctx ends or fetch fails for good. Servers that cannot be reached are put up
// with once one has answered.
func (a *app) repeat(ctx context.Context, c *client, fetch func() error) error {
	ctx, cancel := context.WithCancel(ctx)
	changes := make(chan struct{}, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.changes(ctx, changes)
	}()
	defer func() { cancel(); <-done }()

	var failing time.Time
	heard := false
	for {
		err := fetch()
		switch kind := workload.KindOf(err); {
		case err == nil:
			heard, failing = true, time.Time{}
		case ctx.Err() != nil:
			return ctx.Err()
		case !heard || kind != workload.Unavailable && kind != workload.NotLeader:
			return err
		case failing.IsZero():
			failing = a.now()
			if c.notice != nil {
				c.notice(clean(err.Error()) + "; trying again")
			}
		case a.now().Sub(failing) > patience:
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changes:
		case <-time.After(watchFallback):
		}
	}
}

// changes puts a token into the channel at every change, and opens the stream
// again when it breaks.
func (c *client) changes(ctx context.Context, out chan<- struct{}) {
	for ctx.Err() == nil {
		_ = c.do(ctx, func(ctx context.Context, op sluicev1.OperatorClient) error {
			stream, err := op.Watch(ctx, &sluicev1.WatchRequest{})
			if err != nil {
				return err
			}
			for {
				if _, err := stream.Recv(); err != nil {
					return err
				}
				select {
				case out <- struct{}{}:
				default: // one is waiting already
				}
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(watchFallback):
		}
	}
}

// watchList shows a list once, or again after every change with --watch: a
// redrawn table on a terminal, and for -o json and jsonl one line for each item
// that is new or has changed.
func watchList[T proto.Message](ctx context.Context, a *app, c *client, l list[T], fetch func() ([]T, error)) error {
	if !a.view.watch {
		items, err := fetch()
		if err != nil {
			return err
		}
		return l.show(a, items)
	}
	lined := a.view.format == "json" || a.view.format == "jsonl"
	last := make(map[string][]byte)
	return a.repeat(ctx, c, func() error {
		items, err := fetch()
		if err != nil {
			return err
		}
		if !lined {
			return a.redraw(func() error { return l.show(a, items) })
		}
		for _, it := range items {
			raw := wire.JSON(it)
			if name := l.name(it); !bytes.Equal(last[name], raw) {
				last[name] = bytes.Clone(raw)
				if _, err := a.out.Write(append(raw, '\n')); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// redraw prints in one write, over the last screen where there is one.
func (a *app) redraw(show func() error) error {
	out := a.out
	var b bytes.Buffer
	a.out = &b
	err := show()
	a.out = out
	if err != nil {
		return err
	}
	if a.outTTY {
		out.Write([]byte("\x1b[H\x1b[2J"))
	}
	_, err = out.Write(b.Bytes())
	return err
}
