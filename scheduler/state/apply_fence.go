package state

import "github.com/sluice-project/sluice/workload"

// causeFence marks the end of ranks by a person's word, which stands for the
// lease that has not run out yet.
const causeFence = "fence"

// fencedNow reports whether the boot that the node last registered with was
// declared over.
func (n Node) fencedNow() bool { return n.Fenced != "" && n.Fenced == n.Boot }

// State is ready, unknown (not heard) or fenced. That a node is lost nobody can
// know: what ran there is over when its leases are, and its devices say so.
func (n Node) State() string {
	switch {
	case n.fencedNow():
		return "fenced"
	case n.Silent:
		return "unknown"
	}
	return "ready"
}

// applyFence takes a person's word that a boot of a node is over. Its ranks are
// lost at once, and every device is parked under a new epoch: should the word
// have been wrong, what still runs there is of an old epoch and the node's plan
// stops it. Until the node registers with another boot its devices stay unknown.
//
// A node that is heard is certainly not off, so the word about it is refused.
func (s *State) applyFence(c NodeFenced, by string) Result {
	node, ok := s.Nodes[c.Node]
	switch {
	case !ok:
		return refuse(workload.Errorf(workload.NotFound, "node %s is not registered", c.Node))
	case c.Boot == "" || c.Boot != node.Boot:
		return refuse(workload.Errorf(workload.Conflict, "node %s has registered with another boot than %q since", c.Node, c.Boot).
			Hint("nothing is to be fenced: what ran under the old boot is over"))
	case node.fencedNow():
		return Result{}
	case !node.Silent:
		return refuse(workload.Errorf(workload.Conflict, "node %s is heard, so it is not off", c.Node).
			Hint("cut its power; it is unknown after 10 s of silence and can be fenced then"))
	}
	node.Fenced, node.FencedBy = c.Boot, by
	s.putNode(node)
	for _, job := range s.jobsOn(node) {
		s.endHere(job, c.Node, causeFence)
	}
	why := workload.Why(workload.CodeFenced, workload.Name("by", by))
	for _, id := range node.Devices {
		d := s.Devices[id] // anew: the end of a gang has parked others of its devices
		d.Busy, d.Pid, d.Leaving = false, 0, 0
		s.order(d, workload.Use{Kind: workload.Parked}, Work{}, why, 0)
	}
	return Result{}
}
