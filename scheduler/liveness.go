package scheduler

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/scheduler/orders"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// watchLiveness turns silence into state: unknown first, lost by lease later.
func (s *Server) watchLiveness(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	silence := func(id workload.NodeID) time.Duration {
		heard, _ := s.hub.lastHeard(id)
		return time.Since(heard)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		v := s.machine.View()
		if silent := orders.Suspect(v, silence); len(silent) > 0 {
			if _, _, err := s.Propose(ctx, state.Command{Actor: "scheduler", Silent: &state.NodesSilent{Nodes: silent}}); err != nil {
				s.log.Warn("silent nodes were not recorded", "nodes", len(silent), "err", err)
			}
			// A node is known again only by registering, so that one that was
			// merely stopped for a while must open a new session.
			for _, id := range silent {
				if ses := s.hub.session(id); ses != nil {
					ses.cancel(workload.Errorf(workload.Unavailable, "node %s was silent for more than %s", id, orders.SuspectAfter))
				}
			}
		}
		for _, lost := range orders.Expired(v, silence) {
			if _, _, err := s.Propose(ctx, state.Command{Actor: "scheduler", Lost: &lost}); err != nil {
				s.log.Warn("a lost attempt was not recorded", "job", lost.Job, "err", err)
			}
		}
	}
}
