package api

import (
	"context"
	"time"

	"google.golang.org/grpc"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
)

// watchPause bounds a stream to four messages a second.
const watchPause = 250 * time.Millisecond

func (o *operator) Watch(_ *sluicev1.WatchRequest, stream grpc.ServerStreamingServer[sluicev1.WatchResponse]) error {
	return wire.ToStatus(o.watch(stream.Context(), stream.Send))
}

// watch sends the present at once, so that a reader who comes back has missed
// nothing, and then again after every change.
func (o *operator) watch(ctx context.Context, send func(*sluicev1.WatchResponse) error) error {
	for {
		changed := o.core.Changed()
		v := o.core.View()
		now, _ := o.clock(v)
		if err := send(&sluicev1.WatchResponse{LogIndex: v.Index, Plan: v.Plan.ID, MarketMs: int64(now)}); err != nil {
			return err
		}
		pause := time.NewTimer(watchPause)
		select {
		case <-ctx.Done():
			pause.Stop()
			return ctx.Err()
		case <-pause.C:
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}
