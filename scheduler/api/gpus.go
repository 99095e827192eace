package api

import (
	"context"
	"time"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// sampleLife is how old a measurement may be to be shown as present. Clocks of
// nodes may lead ours by as much.
const sampleLife = time.Minute

// doing is what the accounts say of a device now, at the prices now.
type doing struct {
	Watts           int64
	Revenue, Energy workload.Rate
}

// present reads what every device draws and earns now.
func (o *operator) present() map[workload.DeviceID]doing {
	var out map[workload.DeviceID]doing
	o.core.Book(func(b *ledger.Book) {
		out = make(map[workload.DeviceID]doing, len(b.Open))
		for id, iv := range b.Open {
			d := doing{Watts: iv.Watts, Revenue: iv.Rate, Energy: market.EnergyRate(iv.Watts, b.Energy[iv.Site].Now.MicroPerKWh)}
			if iv.Hash > 0 {
				d.Revenue += b.Yields[iv.Coin].Now.Gross(iv.Hash)
			}
			out[id] = d
		}
	})
	return out
}

// fleet turns devices into messages.
type fleet struct {
	o        *operator
	v        *state.View
	currency string
	wall     workload.Instant
	now      map[workload.DeviceID]doing
}

func (o *operator) fleet(v *state.View) *fleet {
	_, wall := o.clock(v)
	return &fleet{o: o, v: v, currency: v.Policy.Cluster().Currency, wall: wall, now: o.present()}
}

// sample returns a device's measurement, every field -1 where none is fresh.
func (f *fleet) sample(d state.Device) workload.Sample {
	s, ok := f.o.core.Sample(d.ID)
	age := f.wall.Sub(s.At)
	if !ok || age > sampleLife || age < -sampleLife || d.Use.Kind == workload.Unknown || d.Use.Kind == workload.Offline {
		return workload.UnknownSample(d.ID, 0)
	}
	return s
}

// watts is the draw at the meter: as measured where it is, else as accounted.
func (f *fleet) watts(d state.Device, s workload.Sample) int64 {
	if s.Watts >= 0 {
		return market.MeterWatts(s.Watts, market.PUE(f.v.Policy, d.Site, d.Hall))
	}
	return f.now[d.ID].Watts
}

func (f *fleet) gpu(d state.Device) *sluicev1.Gpu {
	s := f.sample(d)
	now := f.now[d.ID]
	assigned := d.Assigned.Kind
	g := &sluicev1.Gpu{
		Id: string(d.ID), Node: string(d.Node), Model: string(d.Model), Kind: string(d.Kind), Uuid: d.UUID, Memory: d.Memory,
		Site: string(d.Site), Hall: string(d.Hall), Rack: string(d.Rack), Sim: d.Sim, Health: string(d.Health), Note: d.Note, HealthCode: d.Code, Foreign: d.Foreign,
		Use: string(d.Use.Kind), Assigned: string(assigned), SinceMs: int64(d.Since), Epoch: uint64(d.Epoch), Pid: d.Pid,
		Reason: string(d.Reason.Code), ReasonText: d.Reason.Sentence(f.currency), ReasonFigures: figures(d.Reason),
		Watts: f.watts(d, s), MoneyPerHour: perHour(now.Revenue, now.Energy),
		Hashrate: s.Hashrate, TemperatureMilliC: s.MilliC, SharesAccepted: s.Accepted, SharesRejected: s.Rejected, ProcessHashrate: s.ProcessHashrate,
	}
	// What it does, or is on its way to.
	use := d.Use
	if use.Kind != workload.Mining && use.Kind != workload.Training {
		use = d.Assigned
	}
	switch use.Kind {
	case workload.Mining:
		g.Option, g.Coin = string(use.Option), string(use.Option.Coin())
	case workload.Training:
		g.Job = use.Job.String()
	}
	return g
}

func (o *operator) ListGpus(_ context.Context, req *sluicev1.ListGpusRequest) (*sluicev1.ListGpusResponse, error) {
	m, err := o.listGpus(req)
	return answer(o, "ListGpus", m, err)
}

func (o *operator) listGpus(req *sluicev1.ListGpusRequest) (*sluicev1.ListGpusResponse, error) {
	v := o.core.View()
	node := workload.NodeID(req.GetNode())
	if _, ok := v.Nodes[node]; node != "" && !ok {
		return nil, workload.Errorf(workload.NotFound, "there is no node %.80q", node).Hint("sluice node list")
	}
	f := o.fleet(v)
	m := &sluicev1.ListGpusResponse{Currency: f.currency}
	for _, id := range v.DeviceIDs() {
		if d := v.Devices[id]; node == "" || d.Node == node {
			m.Gpus = append(m.Gpus, f.gpu(d))
		}
	}
	return m, nil
}

// count enters a device into the counts by what it does.
func count(c *sluicev1.DeviceCounts, d state.Device) {
	c.Total++
	switch d.Use.Kind {
	case workload.Mining:
		c.Mining++
	case workload.Training:
		c.Training++
	case workload.Parked:
		c.Parked++
	default:
		c.Other++
	}
	if d.Trainable() {
		c.Trainable++
	}
}

func (o *operator) ListNodes(context.Context, *sluicev1.ListNodesRequest) (*sluicev1.ListNodesResponse, error) {
	v := o.core.View()
	f := o.fleet(v)
	m := &sluicev1.ListNodesResponse{}
	for _, id := range v.NodeIDs() {
		n := v.Nodes[id]
		node := &sluicev1.Node{Id: string(id), Site: string(n.Site), Hall: string(n.Hall), Rack: string(n.Rack), State: n.State(), Sim: n.Sim,
			Version: n.Version, Address: n.Address, Devices: &sluicev1.DeviceCounts{}}
		if at, ok := o.core.LastSeen(id); ok {
			node.LastSeenMs = at.UnixMilli()
		}
		for _, dev := range n.Devices {
			d := v.Devices[dev]
			count(node.Devices, d)
			node.Watts += f.watts(d, f.sample(d))
		}
		for _, s := range n.Drivers {
			node.Drivers = append(node.Drivers, &sluicev1.NodeDriver{Driver: s.Driver, State: string(s.State), Devices: int64(s.Devices), Text: s.Text, Next: s.Next})
		}
		m.Nodes = append(m.Nodes, node)
	}
	return m, nil
}
