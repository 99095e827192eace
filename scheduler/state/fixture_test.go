package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

const epochOfTests = workload.Instant(1_700_000_000_000)

// cluster is a state with a log: every command goes through Encode and Decode,
// as it does in a server.
type cluster struct {
	t    testing.TB
	s    *State
	log  [][]byte
	at   workload.Instant
	reqs int
	seq  map[workload.NodeID]uint64
}

func newCluster(t testing.TB) *cluster {
	return &cluster{t: t, s: New(), at: epochOfTests, seq: map[workload.NodeID]uint64{}}
}

// try applies a command and returns its result.
func (c *cluster) try(cmd Command) Result {
	c.t.Helper()
	c.reqs++
	cmd.Version = SchemaVersion
	if cmd.Request == "" {
		cmd.Request = NewRequestID(c.at, fmt.Sprint(c.reqs))
	}
	cmd.At, cmd.Wall = max(cmd.At, c.at), max(cmd.Wall, c.at)
	data, err := Encode(cmd)
	if err != nil {
		c.t.Fatal(err)
	}
	back, err := Decode(data)
	if err != nil {
		c.t.Fatal(err)
	}
	c.log = append(c.log, data)
	r := c.s.Apply(uint64(len(c.log)), back)
	c.check()
	return r
}

// do applies a command that must succeed in full.
func (c *cluster) do(cmd Command) Result {
	c.t.Helper()
	r := c.try(cmd)
	if r.Error != "" || len(r.Refused) > 0 {
		c.t.Fatalf("refused: %+v", r)
	}
	return r
}

func (c *cluster) check() {
	c.t.Helper()
	if err := invariants(c.s); err != nil {
		c.t.Fatalf("after entry %d: %v", c.s.Index, err)
	}
}

// pass lets both clocks run.
func (c *cluster) pass(millis int64) { c.at += workload.Instant(millis) }

func gpu(node string, slot int) workload.Device {
	id := workload.NewDeviceID(workload.NodeID(node), slot)
	return workload.Device{ID: id, UUID: "sim-" + string(id), Kind: workload.GPU, Model: "g1", Memory: 24 << 30, Driver: "sim", Sim: true, Health: workload.Healthy}
}

func registration(node string, gpus int) *NodeRegistered {
	n := &NodeRegistered{Node: workload.NodeID(node), Site: "north", Boot: "boot-1", Instance: "i"}
	for i := range gpus {
		n.Devices = append(n.Devices, gpu(node, i))
	}
	return n
}

func (c *cluster) register(node string, gpus int) {
	c.t.Helper()
	c.do(Command{Node: registration(node, gpus)})
}

func (c *cluster) submit(name string, gpus int, edit ...func(*workload.Spec)) workload.JobID {
	c.t.Helper()
	spec := workload.Spec{Name: name, Gang: workload.Gang{GPUs: gpus}, Run: workload.Run{Command: []string{"true"}}}
	for _, f := range edit {
		f(&spec)
	}
	return c.do(Command{Actor: "ann", Submit: &JobSubmitted{Spec: spec}}).Job
}

func (c *cluster) seats(ids ...workload.DeviceID) []Seat {
	var out []Seat
	for _, id := range ids {
		out = append(out, Seat{Device: id, Epoch: c.s.Devices[id].Epoch, Work: Work{Watts: 300, Rate: 1_000_000, Tenant: "default"}})
	}
	return out
}

func (c *cluster) start(job workload.JobID, ids ...workload.DeviceID) {
	c.t.Helper()
	c.do(Command{Plan: &Plan{Starts: []Start{{Group: 1, Job: job, Devices: c.seats(ids...), Reason: workload.Why(workload.CodeJob)}}}})
}

func (c *cluster) mine(id workload.DeviceID) Move {
	return Move{Device: id, Epoch: c.s.Devices[id].Epoch, Use: workload.Use{Kind: workload.Mining, Option: "KAS"},
		Work: Work{Watts: 279, Hash: 1e12, Coin: "KAS"}, Reason: workload.Why(workload.CodePrice)}
}

// event makes the next event of a device's node, under the device's epoch.
func (c *cluster) event(kind EventKind, id workload.DeviceID, edit ...func(*WorkloadEvent)) WorkloadEvent {
	c.seq[id.Node()]++
	e := WorkloadEvent{Seq: c.seq[id.Node()], Kind: kind, Device: id, Epoch: c.s.Devices[id].Epoch}
	for _, f := range edit {
		f(&e)
	}
	return e
}

func (c *cluster) report(events ...WorkloadEvent) {
	c.t.Helper()
	c.do(Command{Events: &WorkloadsReported{Node: events[0].Device.Node(), Events: events}})
}

func (c *cluster) freed(ids ...workload.DeviceID) {
	c.t.Helper()
	for _, id := range ids {
		c.report(c.event(EventFreed, id))
	}
}

// rank says that the event is of a job's newest attempt.
func (c *cluster) rank(job workload.JobID) func(*WorkloadEvent) {
	a, _ := c.s.Jobs[job].Current()
	return func(e *WorkloadEvent) { e.Job, e.Attempt, e.Epoch, e.Pid = job, a.Number, a.Epoch, 4711 }
}

func exit(code int) func(*WorkloadEvent) {
	return func(e *WorkloadEvent) { e.Code, e.Cause = code, "self" }
}

func (c *cluster) run(job workload.JobID, ids ...workload.DeviceID) {
	c.t.Helper()
	c.start(job, ids...)
	c.freed(ids...)
	for _, id := range ids {
		c.report(c.event(EventStarted, id, c.rank(job)))
	}
	c.expect(job, workload.Active, workload.Running)
}

func (c *cluster) expect(job workload.JobID, phase workload.Phase, attempt workload.AttemptPhase) {
	c.t.Helper()
	j := c.s.Jobs[job]
	a, _ := j.Current()
	if j.Phase != phase || a.Phase != attempt {
		c.t.Fatalf("job %d is %s (%s), its attempt %s (%s); want %s and %s", job, j.Phase, j.Reason.Code, a.Phase, a.Reason.Code, phase, attempt)
	}
}

func (c *cluster) use(id workload.DeviceID, kind workload.UseKind) {
	c.t.Helper()
	if d := c.s.Devices[id]; d.Use.Kind != kind {
		c.t.Fatalf("%s is %s (assigned %s), want %s", id, d.Use, d.Assigned, kind)
	}
}

func save(t testing.TB, s *State) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := s.Save(&buf); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func policy() *config.Set {
	jump := workload.PPM(500_000)
	return config.NewSet(
		config.Document{Kind: config.KindSite, Name: "north", Site: &config.Site{Zone: "UTC", Power: config.SitePower{Cooling: &config.Cooling{PUE: 1_100_000}}}},
		config.Document{Kind: config.KindDeviceProfile, Name: "g1", DeviceProfile: &config.DeviceProfile{Idle: 20}},
		config.Document{Kind: config.KindFeed, Name: "kas", Feed: &config.Feed{Unit: "USD/GH/day", Gate: config.Gate{Jump: &jump}}},
		config.Document{Kind: config.KindCoin, Name: "KAS", Coin: &config.Coin{Algorithm: "kheavyhash", Hashprice: &config.FeedRef{Feed: "kas"}}},
	)
}

func hashprice(value int64, at workload.Instant) market.Observation {
	return market.Observation{Feed: "kas", Value: value, Scale: 9, Unit: market.UnitHashprice, At: at}
}

func energy(price int64) map[workload.SiteName][]ledger.Step {
	return map[workload.SiteName][]ledger.Step{"north": {{MicroPerKWh: price, Known: true}}}
}

// invariants checks what must hold after every command.
func invariants(s *State) error {
	if s.Book != nil {
		if err := s.Book.Check(); err != nil {
			return fmt.Errorf("I9: %w", err)
		}
		if len(s.Book.Open) != len(s.Devices) {
			return fmt.Errorf("I9: %d devices, the book knows %d", len(s.Devices), len(s.Book.Open))
		}
	}
	held := map[workload.DeviceID]workload.JobID{}
	for id, j := range s.Jobs {
		live := 0
		for i, a := range j.Attempts {
			if a.Phase.Final() {
				continue
			}
			live++
			if i != len(j.Attempts)-1 {
				return fmt.Errorf("I7: attempt %d of job %d was passed over", a.Number, id)
			}
			if j.Phase != workload.Active && !(j.Phase == workload.Cancelled && a.Phase == workload.Stopping) {
				return fmt.Errorf("I7: job %d is %s with a live attempt", id, j.Phase)
			}
			for rank, dev := range a.Devices {
				d := s.Devices[dev]
				if a.Phase == workload.Stopping {
					if d.Assigned.Kind == workload.Training && d.Assigned.Job == id {
						return fmt.Errorf("I1: %s is still assigned to job %d, which is stopping", dev, id)
					}
					if !a.Done[rank] && d.Leaving != id {
						return fmt.Errorf("I7: nothing will tell that rank %d of job %d has gone", rank, id)
					}
					continue
				}
				if other, taken := held[dev]; taken {
					return fmt.Errorf("I1: %s is held by jobs %d and %d", dev, other, id)
				}
				held[dev] = id
				if want := (workload.Use{Kind: workload.Training, Job: id, Rank: rank}); d.Assigned != want || d.Epoch != a.Epoch {
					return fmt.Errorf("I1: rank %d of job %d: %s is assigned to %s under epoch %d, the attempt's is %d", rank, id, dev, d.Assigned, d.Epoch, a.Epoch)
				}
				if a.Phase == workload.Reserved && d.Use.Kind == workload.Training {
					return fmt.Errorf("promise 4: %s trains for job %d, whose gang is not complete", dev, id)
				}
			}
		}
		if live > 1 {
			return fmt.Errorf("I1: job %d has %d live attempts", id, live)
		}
		if live == 0 && j.Phase == workload.Active {
			return fmt.Errorf("I7: job %d is active without an attempt", id)
		}
		if id >= s.NextJob {
			return fmt.Errorf("job %d, the next is %d", id, s.NextJob)
		}
	}
	waits := 0
	for i, id := range s.Waiting {
		if s.Jobs[id].Phase != workload.Waiting || i > 0 && s.Waiting[i-1] >= id {
			return fmt.Errorf("%v are waiting, among them job %d, which is %s", s.Waiting, id, s.Jobs[id].Phase)
		}
	}
	ended := map[workload.JobID]bool{}
	for _, id := range s.Finished {
		if ended[id] || !s.Jobs[id].Phase.Final() {
			return fmt.Errorf("%v have finished, among them job %d, which is %s", s.Finished, id, s.Jobs[id].Phase)
		}
		ended[id] = true
	}
	for id, j := range s.Jobs {
		if j.Phase == workload.Waiting {
			waits++
		}
		if j.Phase.Final() && !ended[id] {
			return fmt.Errorf("job %d is %s and not listed as finished", id, j.Phase)
		}
	}
	if waits != len(s.Waiting) {
		return fmt.Errorf("%d jobs are waiting, %d are listed", waits, len(s.Waiting))
	}
	listed := 0
	for _, n := range s.Nodes {
		listed += len(n.Devices)
		for _, dev := range n.Devices {
			if s.Devices[dev].Node != n.ID {
				return fmt.Errorf("I8: %s is listed by %s", dev, n.ID)
			}
		}
	}
	for _, n := range s.Nodes {
		for _, dev := range n.Devices {
			if d := s.Devices[dev]; n.fencedNow() && (d.Usable() || d.Assigned.Kind == workload.Training) {
				return fmt.Errorf("I1: %s of the fenced node %s is %s and ordered to %s", dev, n.ID, d.Use, d.Assigned)
			}
		}
	}
	if listed != len(s.Devices) {
		return fmt.Errorf("I8: the nodes list %d devices, there are %d", listed, len(s.Devices))
	}
	for id, d := range s.Devices {
		switch {
		case d.ID != id || d.Use.Kind == "" || d.Assigned.Kind == "":
			return fmt.Errorf("I8: %s is %+v", id, d)
		case d.Assigned.Kind == workload.Training && held[id] == 0:
			return fmt.Errorf("I1: %s is assigned to job %d, which does not hold it", id, d.Assigned.Job)
		case d.Use.Kind == workload.Training && d.Use != d.Assigned, d.Use.Kind == workload.Mining && d.Use != d.Assigned:
			return fmt.Errorf("%s does %s and is ordered to %s", id, d.Use, d.Assigned)
		case uint64(d.Epoch) > s.Index:
			return fmt.Errorf("I2: %s has epoch %d at index %d", id, d.Epoch, s.Index)
		}
		if o := s.Book.Open[id]; o.Use != d.Use || o.Site != d.Site {
			return fmt.Errorf("I9: %s does %s, the book says %s", id, d.Use, o.Use)
		}
	}
	if len(s.Requests) != len(s.RequestOrder) {
		return fmt.Errorf("I4: %d requests, %d in order", len(s.Requests), len(s.RequestOrder))
	}
	return nil
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
