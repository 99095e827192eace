package state

import (
	"testing"

	"github.com/sluice-project/sluice/workload"
)

func (c *cluster) silence(nodes ...workload.NodeID) {
	c.t.Helper()
	c.do(Command{Silent: &NodesSilent{Nodes: nodes}})
}

func (c *cluster) fence(node workload.NodeID, boot workload.BootID) Result {
	c.t.Helper()
	return c.try(Command{Actor: "ann", Fence: &NodeFenced{Node: node, Boot: boot}})
}

// I1: a person's word ends the ranks on a node at once; the job is free to start
// elsewhere, and the machine's return under another boot finds it parked.
func TestFenceFreesTheJob(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 2)
	c.register("n2", 1)
	c.do(Command{Plan: &Plan{Moves: []Move{c.mine("n1/1")}}})
	job := c.submit("a", 1)
	c.run(job, "n1/0")
	c.silence("n1")
	before := map[workload.DeviceID]workload.Epoch{"n1/0": c.s.Devices["n1/0"].Epoch, "n1/1": c.s.Devices["n1/1"].Epoch}
	if r := c.fence("n1", "boot-1"); r.Error != "" {
		t.Fatal(r.Error)
	}
	c.expect(job, workload.Queued, workload.Lost)
	if code := c.s.Jobs[job].Reason.Code; code != workload.CodeFenced {
		t.Errorf("the job waits because of %s", code)
	}
	for id, epoch := range before {
		d := c.s.Devices[id]
		if d.Epoch <= epoch || d.Assigned.Kind != workload.Parked || d.Usable() {
			t.Errorf("%s is under epoch %d (before %d), ordered to %s, usable %t", id, d.Epoch, epoch, d.Assigned, d.Usable())
		}
	}
	if n := c.s.Nodes["n1"]; n.FencedBy != "ann" {
		t.Errorf("fenced by %q", n.FencedBy)
	}
	c.run(job, "n2/0")

	back := registration("n1", 2)
	back.Boot = "boot-2"
	c.do(Command{Node: back})
	c.use("n1/0", workload.Parked)
	c.use("n1/1", workload.Parked)
	if n := c.s.Nodes["n1"]; n.Fenced != "" || n.Silent {
		t.Errorf("after a new boot the node is %+v", n)
	}
}

// The word was wrong: the same boot comes back with its work alive. None of it
// is believed, its orders are to stop, and its devices stay out of use.
func TestFencedBootComesBack(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 2)
	c.register("n2", 1)
	c.do(Command{Plan: &Plan{Moves: []Move{c.mine("n1/1")}}})
	mined := c.s.Devices["n1/1"].Epoch
	job := c.submit("a", 1)
	c.run(job, "n1/0")
	trained := c.s.Devices["n1/0"].Epoch
	c.silence("n1")
	c.fence("n1", "boot-1")
	c.run(job, "n2/0")

	back := registration("n1", 2)
	back.Running = []Running{{Devices: []workload.DeviceID{"n1/0"}, Epoch: trained, Pid: 1}, {Devices: []workload.DeviceID{"n1/1"}, Epoch: mined, Pid: 2}}
	for range 2 { // a second session changes nothing
		c.do(Command{Node: back})
		for _, id := range []workload.DeviceID{"n1/0", "n1/1"} {
			d := c.s.Devices[id]
			if d.Use.Kind != workload.Unknown || d.Assigned.Kind != workload.Parked || !d.Busy || d.Usable() {
				t.Fatalf("%s is %+v", id, d)
			}
		}
	}
	c.expect(job, workload.Active, workload.Running)
	c.report(c.event(EventExited, "n1/0", func(e *WorkloadEvent) { e.Job, e.Attempt, e.Epoch, e.Cause = job, 1, trained, "order" }))
	c.freed("n1/0", "n1/1")
	c.expect(job, workload.Active, workload.Running)
	if d := c.s.Devices["n1/0"]; d.Busy || d.Use.Kind != workload.Unknown {
		t.Errorf("n1/0 is %+v", d)
	}
}

// A gang over two nodes: the ranks that are heard are stopped first.
func TestFenceOneNodeOfAGang(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	c.register("n2", 1)
	job := c.submit("a", 2)
	c.run(job, "n1/0", "n2/0")
	c.silence("n1")
	c.fence("n1", "boot-1")
	c.expect(job, workload.Active, workload.Stopping)
	c.report(c.event(EventStopped, "n2/0", c.rank(job)))
	c.expect(job, workload.Queued, workload.Lost)
}

func TestFenceRefused(t *testing.T) {
	c := newCluster(t)
	c.register("n1", 1)
	job := c.submit("a", 1)
	c.run(job, "n1/0")
	for _, k := range []struct {
		node workload.NodeID
		boot workload.BootID
		kind workload.Kind
	}{
		{"ghost", "boot-1", workload.NotFound},
		{"n1", "boot-1", workload.Conflict}, // it is heard
		{"n1", "boot-0", workload.Conflict},
		{"n1", "", workload.Conflict},
	} {
		if r := c.fence(k.node, k.boot); r.Error == "" || r.Kind != k.kind {
			t.Errorf("fence %s %q: %+v", k.node, k.boot, r)
		}
	}
	c.expect(job, workload.Active, workload.Running)

	// A word about a boot that ended long ago, committed when the next is silent.
	c.silence("n1")
	again := registration("n1", 1)
	again.Boot = "boot-2"
	c.do(Command{Node: again})
	c.silence("n1")
	if r := c.fence("n1", "boot-1"); r.Kind != workload.Conflict {
		t.Errorf("a late word: %+v", r)
	}
	c.fence("n1", "boot-2")
	epoch := c.s.Devices["n1/0"].Epoch
	if r := c.fence("n1", "boot-2"); r.Error != "" || c.s.Devices["n1/0"].Epoch != epoch {
		t.Errorf("the second time: %+v", r)
	}
}
