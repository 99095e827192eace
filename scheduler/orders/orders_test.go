package orders

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

const ordersPolicy = `
kind: Cluster
name: default
maxGrace: 1m
miningLease: 5h
---
kind: Site
name: north
zone: Europe/Berlin
territory: DE
power: {cap: 9kW}
---
kind: Feed
name: kas
sources: [{value: 1}]
unit: USD/GH/day
---
kind: Coin
name: KAS
algorithm: kheavyhash
hashprice: {feed: kas}
---
kind: Wallet
name: w
coin: KAS
address: practice
---
kind: Pool
name: p
coin: KAS
endpoints: ["stratum+tcp://127.0.0.1:1", "stratum+tcp://127.0.0.1:2"]
scheme: FPPS
wallet: w
---
kind: Miner
name: practice
program: prog
algorithms: [kheavyhash]
devices: [sim]
args: [a, b]
---
kind: DeviceProfile
model: g1
modes: [{algorithm: kheavyhash, hashrate: 1GH/s, power: 200W, powerCap: 210W}]
training: {speed: 1, power: 300W}
idle: 20W
`

type ordering struct {
	t *testing.T
	s *state.State
}

func (o *ordering) do(c state.Command) state.Result {
	o.t.Helper()
	c.Version, c.Request = state.SchemaVersion, state.NewRequestID(o.s.At+1000, fmt.Sprint(o.s.Index))
	c.At, c.Wall = o.s.At+1000, o.s.Wall+1000
	if o.s.Index == 0 {
		c.At = workload.InstantOf(time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC))
		c.Wall = c.At
		c.Request = state.NewRequestID(c.At, "0")
	}
	r := o.s.Apply(o.s.Index+1, c)
	if r.Error != "" || len(r.Refused) > 0 {
		o.t.Fatalf("refused: %+v", r)
	}
	return r
}

func newOrdering(t *testing.T, more string) *ordering {
	t.Helper()
	o := &ordering{t: t, s: state.New()}
	docs, err := config.Parse("p.yaml", []byte(ordersPolicy[1:]+more))
	if err != nil {
		t.Fatal(err)
	}
	o.do(state.Command{Policy: &state.PolicyChanged{Revision: 1, Documents: config.NewSet(docs...)}})
	for _, node := range []workload.NodeID{"n1", "n2"} {
		reg := &state.NodeRegistered{Node: node, Site: "north", Boot: "b", Instance: "i", Address: string(node) + ":7"}
		for i := range 2 {
			id := workload.NewDeviceID(node, i)
			reg.Devices = append(reg.Devices, workload.Device{ID: id, UUID: string(id), Kind: workload.GPU, Model: "g1", Driver: "sim", Sim: true, Health: workload.Healthy})
		}
		o.do(state.Command{Node: reg})
	}
	return o
}

func (o *ordering) plan(node workload.NodeID) workload.NodePlan {
	return NodePlan(o.s.View(), "c", node, o.s.At, o.s.Wall)
}

func TestOrdersOfAGang(t *testing.T) {
	o := newOrdering(t, "")
	spec := workload.Spec{Name: "j", Gang: workload.Gang{GPUs: 2}, Run: workload.Run{Command: []string{"x"}}, Checkpoint: workload.Checkpoint{Grace: time.Hour}}
	job := o.do(state.Command{Actor: "ann", Submit: &state.JobSubmitted{Spec: spec}}).Job
	seats := []state.Seat{}
	for _, id := range []workload.DeviceID{"n2/1", "n1/0"} {
		seats = append(seats, state.Seat{Device: id, Epoch: o.s.Devices[id].Epoch})
	}
	o.do(state.Command{Plan: &state.Plan{
		Starts: []state.Start{{Group: 1, Job: job, Devices: seats, Reason: workload.Why(workload.CodeJob)}},
		Moves: []state.Move{{Device: "n1/1", Epoch: o.s.Devices["n1/1"].Epoch, Use: workload.Use{Kind: workload.Mining, Option: "KAS"},
			Work: state.Work{Watts: 200, Coin: "KAS"}, Reason: workload.Why(workload.CodePrice)}}}})
	p := o.plan("n1")
	if p.Cluster != "c" || p.Serial != o.s.Index || p.ExpiresAt != p.IssuedAt.Add(24*time.Hour) || len(p.Assignments) != 2 {
		t.Fatalf("%+v", p)
	}
	train, mine := p.Assignments[0], p.Assignments[1]
	if !train.Hold || train.Train == nil || train.Train.Rank != 1 || train.Train.World != 2 || train.Train.Master != "n2:7" || train.Train.Watts != 300 ||
		train.Epoch != o.s.Devices["n1/0"].Epoch || train.Lease != workload.DefaultLease {
		t.Errorf("rank 1: %+v %+v", train, train.Train)
	}
	if train.StopGrace != time.Minute || train.Train.Spec.Checkpoint.Grace != time.Minute {
		t.Errorf("its grace is above Cluster.maxGrace: %s", train.StopGrace)
	}
	if mine.Mine == nil || mine.Hold || mine.Lease != 5*time.Hour || mine.StopGrace != minerGrace || mine.Mine.Wallet != "practice" ||
		mine.Mine.PowerCap != 210 || len(mine.Mine.Endpoints) != 2 || fmt.Sprint(mine.Mine.Command) != "[prog a b]" {
		t.Errorf("miner: %+v %+v", mine, mine.Mine)
	}
	// Once the last seat is free every rank may start.
	for i, id := range []workload.DeviceID{"n1/0", "n2/1"} {
		if !o.plan("n1").Assignments[0].Hold {
			t.Fatalf("released with %d of 2 free", i)
		}
		o.do(state.Command{Events: &state.WorkloadsReported{Node: id.Node(), Events: []state.WorkloadEvent{
			{Seq: 1, Kind: state.EventFreed, Device: id, Epoch: o.s.Devices[id].Epoch}}}})
	}
	if o.plan("n1").Assignments[0].Hold || o.plan("n2").Assignments[1].Hold {
		t.Error("still held with every seat free")
	}
	// A stopped gang is no longer ordered.
	o.do(state.Command{Cancel: &state.JobCancelled{Job: job}})
	if a := o.plan("n1").Assignments[0]; a.Use.Kind != workload.Parked || a.Train != nil || a.Epoch != workload.Epoch(o.s.Index) {
		t.Errorf("after its end: %+v", a)
	}
}

// An option that the policy no longer knows is not mined.
func TestOrdersWithoutTheOption(t *testing.T) {
	o := newOrdering(t, "")
	o.do(state.Command{Plan: &state.Plan{Moves: []state.Move{{Device: "n1/0", Epoch: o.s.Devices["n1/0"].Epoch,
		Use: workload.Use{Kind: workload.Mining, Option: "GONE"}, Work: state.Work{Watts: 200}, Reason: workload.Why(workload.CodePrice)}}}})
	if a := o.plan("n1").Assignments[0]; a.Use.Kind != workload.Parked || a.Mine != nil {
		t.Errorf("%+v", a)
	}
}

func TestBansAhead(t *testing.T) {
	at := func(text string) workload.Instant {
		i, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return workload.InstantOf(i)
	}
	for name, tt := range map[string]struct {
		calendar, from string
		want           []string
	}{
		"none":      {"", "2026-01-15T12:00:00Z", nil},
		"always":    {"territory: DE\nforbids: [mine]", "2026-01-15T12:00:00Z", []string{"15T12:00-17T12:00"}},
		"elsewhere": {"territory: FR\nforbids: [mine]", "2026-01-15T12:00:00Z", nil},
		"only pool": {"territory: DE\nforbids: [pool]", "2026-01-15T12:00:00Z", nil},
		"evenings":  {"forbids: [mine]\nwindow: {hours: \"17:00-21:00\"}", "2026-01-15T12:00:00Z", []string{"15T16:00-15T20:00", "16T16:00-16T20:00"}},
		"within":    {"forbids: [mine]\nwindow: {hours: \"17:00-21:00\"}", "2026-01-15T18:30:00Z", []string{"15T18:30-15T20:00", "16T16:00-16T20:00", "17T16:00-17T18:30"}},
		"ends":      {"forbids: [mine]\nuntil: 2026-01-15", "2026-01-15T12:00:00Z", []string{"15T12:00-15T23:00"}},
		// The night of 29 March lacks an hour: 23:00 to 07:00 are seven.
		"spring forward": {"forbids: [mine]\nwindow: {hours: \"23:00-07:00\"}", "2026-03-28T12:00:00Z", []string{"28T22:00-29T05:00", "29T21:00-30T05:00"}},
		"fall back":      {"forbids: [mine]\nwindow: {hours: \"23:00-07:00\"}", "2026-10-24T12:00:00Z", []string{"24T21:00-25T06:00", "25T22:00-26T06:00"}},
	} {
		t.Run(name, func(t *testing.T) {
			more := ""
			if tt.calendar != "" {
				more = "---\nkind: Calendar\nname: b\n" + tt.calendar + "\n"
			}
			o := newOrdering(t, more)
			var got []string
			for _, w := range bansAhead(o.s.Policy, "north", at(tt.from)) {
				if w.Name != "b" {
					t.Errorf("named %q", w.Name)
				}
				got = append(got, w.From.Time().Format("02T15:04")+"-"+w.Until.Time().Format("02T15:04"))
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.want) {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
