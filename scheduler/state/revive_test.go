package state

import (
	"bytes"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

// I2: what a restored cluster orders is newer than all that the old one can have
// ordered, and what it cannot know of does not count as free.
func TestRevive(t *testing.T) {
	c := newCluster(t)
	c.do(Command{Policy: &PolicyChanged{Revision: 7, Documents: policy()}})
	c.do(Command{Server: &ServerAnnounced{ID: "s1", GRPC: "old:1"}})
	c.register("n1", 2)
	job := c.submit("a", 1)
	c.run(job, "n1/0")
	other := c.submit("b", 1)
	c.start(other, "n1/1")

	s, err := Load(bytes.NewReader(save(t, c.s)))
	if err != nil {
		t.Fatal(err)
	}
	before, ids := s.Index, s.NextJob
	s.Revive()
	if s.Index != before+ReviveLeap || s.NextJob < ids+reviveJobs || s.Revision != 0 || len(s.Servers) != 0 {
		t.Errorf("index %d, next job %d, revision %d, servers %v", s.Index, s.NextJob, s.Revision, s.Servers)
	}
	for id, d := range s.Devices {
		if d.Usable() || uint64(d.Epoch) <= before || d.Assigned.Kind != workload.Parked {
			t.Errorf("%s counts as %s, is ordered to %s under epoch %d", id, d.Use, d.Assigned, d.Epoch)
		}
	}
	if a, _ := s.Jobs[job].Current(); a.Phase != workload.Stopping {
		t.Errorf("an attempt whose node is not heard is %s", a.Phase)
	}
	if a, _ := s.Jobs[other].Current(); a.Phase != workload.Lost {
		t.Errorf("a gang that was being assembled is %s", a.Phase)
	}
	if err := invariants(s); err != nil {
		t.Error(err)
	}
	// The node comes back with a rank that the backup knows nothing of.
	reg := registration("n1", 2)
	reg.Running = []Running{{Devices: []workload.DeviceID{"n1/0"}, Epoch: workload.Epoch(before + 50), Pid: 9}}
	s.Apply(s.Index+1, Command{Version: SchemaVersion, Node: reg})
	if d := s.Devices["n1/0"]; d.Use.Kind != workload.Draining || !d.Busy {
		t.Errorf("what was started after the backup counts as %s", d.Use)
	}
	freed := WorkloadEvent{Seq: 99, Kind: EventFreed, Device: "n1/0", Epoch: s.Devices["n1/0"].Epoch}
	s.Apply(s.Index+1, Command{Version: SchemaVersion, Events: &WorkloadsReported{Node: "n1", Events: []WorkloadEvent{freed}}})
	if j := s.Jobs[job]; j.Phase != workload.Queued || !s.Devices["n1/0"].Usable() {
		t.Errorf("job %d is %s, its device %s", job, j.Phase, s.Devices["n1/0"].Use)
	}
	if err := invariants(s); err != nil {
		t.Error(err)
	}
}
