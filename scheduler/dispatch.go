package scheduler

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/orders"
	"github.com/sluice-project/sluice/scheduler/state"
)

// dispatch sends each connected node its plan whenever what it shall do has
// changed, and anew well before the last one expires.
func (s *Server) dispatch(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		changed := s.machine.Changed()
		v := s.machine.View()
		for _, ses := range s.hub.all() {
			s.sendPlan(ses, v, false)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		case <-tick.C:
		}
	}
}

// renewPlan is how often a plan is sent though nothing changed, so that its
// expiry and its bans stay far ahead.
const renewPlan = orders.PlanLife / 8

func (s *Server) sendPlan(ses *session, v *state.View, force bool) {
	node := v.Nodes[ses.node]
	ses.mu.Lock()
	if !force && ses.sent.IsZero() {
		ses.mu.Unlock()
		return // its node has not registered yet: serveAgent sends the first plan
	}
	due := force || node.Touched != ses.touched || v.Revision != ses.revision || time.Since(ses.sent) > renewPlan/time.Duration(s.clock.Speed())
	if due {
		ses.touched, ses.revision, ses.sent = node.Touched, v.Revision, time.Now()
	}
	ses.mu.Unlock()
	if !due {
		return
	}
	body, err := json.Marshal(orders.NodePlan(v, s.trust.Cluster, ses.node, s.marketNow(v), Wall()))
	if err != nil {
		s.log.Error("a plan cannot be encoded", "node", ses.node, "err", err)
		return
	}
	ses.send(&sluicev1.ServerMessage{Body: &sluicev1.ServerMessage_Plan{Plan: &sluicev1.SignedPlan{Body: body, Signature: s.planKey.SignPlan(body)}}})
}
