package state

import "github.com/sluice-project/sluice/workload"

const (
	// ReviveLeap is added to the log index of a state that is restored. Its
	// nodes have obeyed orders that were given after the backup was taken, and
	// refuse older ones: every epoch and plan from now on must lie beyond.
	ReviveLeap = 1 << 40
	// reviveJobs is by how many job ids a restored state goes on: an id that was
	// given out after the backup must not name a second job, whose checkpoints
	// would lie in the same directory.
	reviveJobs = 100_000
)

// Revive makes a state from a backup fit to begin a new cluster: the servers of
// the old one are forgotten, the policy is read anew whatever its revision, and
// every node is unknown until it registers. What runs there may have been
// started after the backup, so every device is ordered to park under a new epoch,
// and an attempt of the backup ends when its nodes say that it is gone or its
// lease has run out.
func (s *State) Revive() {
	s.Servers, s.Revision = map[string]ServerAnnounced{}, 0
	s.NextJob = (s.NextJob/reviveJobs + 2) * reviveJobs
	s.Apply(s.Index+ReviveLeap, Command{Version: SchemaVersion, Actor: "restore", Silent: &NodesSilent{Nodes: s.NodeIDs()}})
	why := workload.Why(workload.CodeLost, workload.Name("cause", "the cluster was restored from a backup"))
	for _, id := range s.JobIDs() {
		if a, ok := s.Jobs[id].Current(); ok && !a.Phase.Final() && a.Phase != workload.Stopping {
			s.halt(id, a, why)
		}
	}
	for _, id := range s.DeviceIDs() {
		if d := s.Devices[id]; d.Epoch != workload.Epoch(s.Index) {
			s.order(d, workload.Use{Kind: workload.Parked}, Work{}, why, 0)
		}
	}
}

// Census counts what a state holds.
type Census struct {
	Nodes, Devices, Servers, Documents int
	Jobs                               map[workload.Phase]int
}

// Census counts for people who look at a backup.
func (s *State) Census() Census {
	c := Census{Nodes: len(s.Nodes), Devices: len(s.Devices), Servers: len(s.Servers), Documents: s.Policy.Len(), Jobs: map[workload.Phase]int{}}
	for _, j := range s.Jobs {
		c.Jobs[j.Phase]++
	}
	return c
}
