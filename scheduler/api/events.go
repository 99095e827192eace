package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
)

const (
	heartbeat    = 15 * time.Second // shorter than what proxies take for idle
	writeTimeout = 30 * time.Second
)

// events is Watch as server-sent events. The id of an event is its log index; a
// reader who comes back with the last one gets the present at once, which is all
// that has changed since.
func (h *Handler) events(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(metadata.AppendToOutgoingContext(r.Context(), "authorization", r.Header.Get("Authorization")))
	defer cancel()
	stream, err := h.client.Watch(ctx, &sluicev1.WatchRequest{})
	if err != nil {
		writeError(w, wire.HTTPStatus(err), err)
		return
	}
	first, err := stream.Recv()
	if err != nil {
		writeError(w, wire.HTTPStatus(err), err)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // proxies shall not collect events
	out := http.NewResponseController(w)
	send := func(format string, args ...any) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeTimeout)) // not all writers can
		_, err := fmt.Fprintf(w, format, args...)
		return err == nil && out.Flush() == nil
	}
	event := func(m *sluicev1.WatchResponse) bool {
		return send("id: %d\ndata: %s\n\n", m.GetLogIndex(), wire.JSON(m))
	}
	if !send("retry: 2000\n\n") || !event(first) {
		return
	}
	messages := make(chan *sluicev1.WatchResponse)
	go func() {
		defer close(messages)
		for {
			m, err := stream.Recv()
			if err != nil {
				return
			}
			select {
			case messages <- m:
			case <-ctx.Done():
				return
			}
		}
	}()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		select {
		case m, ok := <-messages:
			if !ok || !event(m) {
				return
			}
		case <-beat.C:
			if !send(": still here\n\n") {
				return
			}
		}
	}
}
