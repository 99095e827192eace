package scheduler

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// Silence after which a node is suspect. Heartbeats come every 2 s.
const suspectAfter = 10 * time.Second

// watchLiveness turns silence into state: unknown first, lost by lease later.
func (s *Server) watchLiveness(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		v := s.machine.View()
		var silent []workload.NodeID
		for _, id := range v.NodeIDs() {
			heard, _ := s.hub.lastHeard(id)
			if !v.Nodes[id].Silent && time.Since(heard) > suspectAfter {
				silent = append(silent, id)
			}
		}
		if len(silent) > 0 {
			if _, _, err := s.Propose(ctx, state.Command{Actor: "scheduler", Silent: &state.NodesSilent{Nodes: silent}}); err != nil {
				s.log.Warn("silent nodes were not recorded", "nodes", len(silent), "err", err)
			}
			// A node is known again only by registering, so that one that was
			// merely stopped for a while must open a new session.
			for _, id := range silent {
				if ses := s.hub.session(id); ses != nil {
					ses.cancel(workload.Errorf(workload.Unavailable, "node %s was silent for more than %s", id, suspectAfter))
				}
			}
		}
		for _, lost := range s.expired(v) {
			if _, _, err := s.Propose(ctx, state.Command{Actor: "scheduler", Lost: &lost}); err != nil {
				s.log.Warn("a lost attempt was not recorded", "job", lost.Job, "err", err)
			}
		}
	}
}

// leaseMargin is added to lease and grace before a device is granted anew.
const leaseMargin = 15 * time.Second

// expired lists the attempts whose lease has certainly run out: lease, grace
// and margin after a node of theirs was last heard, counted at the earliest
// from this server's own takeover.
func (s *Server) expired(v *state.View) []state.AttemptLost {
	var out []state.AttemptLost
	for _, id := range v.JobIDs() {
		j := v.Jobs[id]
		a, ok := j.Current()
		if !ok || a.Phase.Final() {
			continue
		}
		for i, dev := range a.Devices {
			if a.Done[i] {
				continue // known to be gone; the attempt waits for its other ranks
			}
			node := v.Nodes[dev.Node()]
			heard, _ := s.hub.lastHeard(node.ID)
			grace := min(j.Spec.Checkpoint.Grace, v.Policy.Cluster().MaxGrace)
			if node.Silent && time.Since(heard) > j.Spec.Limits.Lease+grace+leaseMargin {
				out = append(out, state.AttemptLost{Job: id, Attempt: a.Number})
				break
			}
		}
	}
	return out
}
