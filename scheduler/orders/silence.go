package orders

import (
	"time"

	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// SuspectAfter is the silence after which a node is suspect. Heartbeats come
// every 2 s.
const SuspectAfter = 10 * time.Second

// LeaseMargin is added to lease and grace before a device is granted anew.
const LeaseMargin = 15 * time.Second

// Silence tells how long ago a node was last heard, counted at most from the
// leader's own takeover: what an earlier leader heard is not known.
type Silence func(workload.NodeID) time.Duration

// Suspect lists the nodes that have gone silent and are not marked so yet.
func Suspect(v *state.View, silence Silence) []workload.NodeID {
	var out []workload.NodeID
	for _, id := range v.NodeIDs() {
		if !v.Nodes[id].Silent && silence(id) > SuspectAfter {
			out = append(out, id)
		}
	}
	return out
}

// Expired lists the attempts whose lease has certainly run out: a node of theirs
// has been silent for lease, grace and margin.
func Expired(v *state.View, silence Silence) []state.AttemptLost {
	var out []state.AttemptLost
	for _, id := range v.JobIDs() {
		j := v.Jobs[id]
		a, ok := j.Current()
		if !ok || a.Phase.Final() {
			continue
		}
		grace := min(j.Spec.Checkpoint.Grace, v.Policy.Cluster().MaxGrace)
		for i, dev := range a.Devices {
			if a.Done[i] {
				continue // known to be gone; the attempt waits for its other ranks
			}
			if node := v.Nodes[dev.Node()]; node.Silent && silence(node.ID) > j.Spec.Limits.Lease+grace+LeaseMargin {
				out = append(out, state.AttemptLost{Job: id, Attempt: a.Number})
				break
			}
		}
	}
	return out
}
