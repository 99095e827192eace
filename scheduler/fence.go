package scheduler

import (
	"context"
	"crypto/rand"
	"slices"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/proto/wire"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// FenceNode commits a person's word that a node is off, or tells what would end.
// The person is asked about one boot and confirms that one: see state.NodeFenced.
func (c *clusterService) FenceNode(ctx context.Context, req *sluicev1.FenceNodeRequest) (*sluicev1.FenceNodeResponse, error) {
	out, err := c.s.fence(ctx, req)
	if err != nil {
		return nil, wire.ToStatus(err)
	}
	return out, nil
}

func (s *Server) fence(ctx context.Context, req *sluicev1.FenceNodeRequest) (*sluicev1.FenceNodeResponse, error) {
	v := s.machine.View()
	node, ok := v.Nodes[workload.NodeID(req.Node)]
	if !ok {
		return nil, workload.Errorf(workload.NotFound, "there is no node %.80q", req.Node).Hint("sluice node list")
	}
	out := &sluicev1.FenceNodeResponse{Node: req.Node, Boot: string(node.Boot), State: node.State(), Devices: int64(len(node.Devices)), Ranks: ranksOn(v, node)}
	if req.Preview {
		return out, nil
	}
	if req.Boot != "" {
		out.Boot = req.Boot
	}
	actor := identity.CallerFrom(ctx).Actor()
	request := req.RequestId
	if request == "" {
		request = state.NewRequestID(Wall(), rand.Text())
	}
	index, _, err := s.Propose(ctx, state.Command{Request: request + "/fence/" + actor, Actor: actor,
		Fence: &state.NodeFenced{Node: node.ID, Boot: workload.BootID(out.Boot)}})
	if err != nil {
		return nil, err
	}
	out.Index = index
	s.log.Info("a node was fenced", "node", node.ID, "boot", out.Boot, "by", actor, "index", index)
	if err := s.replica.WaitApplied(ctx, index); err != nil {
		return nil, err
	}
	out.State = s.machine.View().Nodes[node.ID].State()
	return out, nil
}

// ranksOn lists what is ordered to run on a node, or may still be leaving it.
func ranksOn(v *state.View, node state.Node) []*sluicev1.FencedRank {
	var out []*sluicev1.FencedRank
	add := func(job workload.JobID, attempt int, what string, dev workload.DeviceID) {
		text := ""
		if job != 0 {
			text = job.String()
		}
		i := slices.IndexFunc(out, func(r *sluicev1.FencedRank) bool { return r.Job == text && r.What == what })
		if i < 0 {
			i = len(out)
			out = append(out, &sluicev1.FencedRank{Job: text, Attempt: int32(attempt), What: what})
		}
		out[i].Devices = append(out[i].Devices, string(dev))
	}
	for _, id := range node.Devices {
		d := v.Devices[id]
		job := d.Leaving
		if d.Assigned.Kind == workload.Training {
			job = d.Assigned.Job
		}
		switch a, _ := v.Jobs[job].Current(); {
		case job != 0:
			add(job, a.Number, v.Jobs[job].Spec.Name, id)
		case d.Assigned.Kind == workload.Mining:
			add(0, 0, d.Assigned.String(), id)
		}
	}
	return out
}
