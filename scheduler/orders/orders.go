// Package orders is what the leader tells its nodes and what it concludes from
// their silence: functions of a view and of instants, so that the simulator runs
// the same code as the server.
package orders

import (
	"slices"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// minerGrace is how long a miner may take to stop: it has nothing to save.
const minerGrace = 10 * time.Second

// PlanLife is how long a node may obey a plan unheard.
const PlanLife = 24 * time.Hour

// BanHorizon is how far ahead of the market clock a plan names bans, so that a
// node that is cut off still keeps them for as long as the plan lives.
const BanHorizon = 48 * workload.HourMillis

// NodePlan draws up everything one node shall do. It is a function of the view
// and two instants, one by each clock.
func NodePlan(v *state.View, cluster string, id workload.NodeID, market, wall workload.Instant) workload.NodePlan {
	node := v.Nodes[id]
	p := workload.NodePlan{Cluster: cluster, Node: id, Serial: v.Index, IssuedAt: wall, ExpiresAt: wall.Add(PlanLife),
		Assignments: []workload.Assignment{}, Bans: bansAhead(v.Policy, node.Site, market)}
	for _, dev := range node.Devices {
		if d := v.Devices[dev]; d.Use.Kind != workload.Offline {
			p.Assignments = append(p.Assignments, assignment(v, d))
		}
	}
	return p
}

func assignment(v *state.View, d state.Device) workload.Assignment {
	a := workload.Assignment{Device: d.ID, Epoch: d.Epoch, Use: d.Assigned, StopGrace: minerGrace}
	switch d.Assigned.Kind {
	case workload.Mining:
		a.Lease = v.Policy.Cluster().MiningLease
		a.Mine = mineOrder(v.Policy, d)
		if a.Mine == nil { // the option has gone; the next plan moves the device
			a.Use = workload.Use{Kind: workload.Parked}
		}
	case workload.Training:
		j := v.Jobs[d.Assigned.Job]
		at, ok := j.Current()
		if !ok || at.Epoch != d.Epoch {
			a.Use = workload.Use{Kind: workload.Parked}
			return a
		}
		spec := j.Spec
		spec.Checkpoint.Grace = min(spec.Checkpoint.Grace, v.Policy.Cluster().MaxGrace)
		a.Hold = at.Phase == workload.Reserved
		a.Lease, a.StopGrace = spec.Limits.Lease, spec.Checkpoint.Grace
		a.Train = &workload.TrainOrder{Job: j.ID, Attempt: at.Number, Spec: spec, Rank: d.Assigned.Rank, World: len(at.Devices),
			Devices: at.Devices, Master: v.Nodes[at.Devices[0].Node()].Address, Watts: trainingWatts(v.Policy, d)}
	}
	return a
}

func trainingWatts(set *config.Set, d state.Device) int64 {
	if p := set.Profile(d.Model); p != nil && p.Training != nil {
		return p.Training.Power
	}
	return 0
}

func mineOrder(set *config.Set, d state.Device) *workload.MineOrder {
	o, ok := market.FindOption(set, d.Model, market.DeviceClassOf(d.Device), d.Assigned.Option)
	if !ok {
		return nil
	}
	pool, miner, coin := set.Pool(o.Pool), set.Miner(o.Miner), set.Coin(o.Coin)
	wallet := set.Wallet(pool.Wallet)
	if wallet == nil {
		return nil
	}
	program := miner.Program
	if program == "" {
		program = o.Miner
	}
	return &workload.MineOrder{Coin: o.Coin, Algorithm: coin.Algorithm, Pool: o.Pool, Endpoints: pool.Endpoints, Wallet: wallet.Address,
		Miner: o.Miner, Command: slices.Concat([]string{program}, miner.Args), PowerCap: o.Mode.PowerCap, Hashrate: o.Mode.Hashrate, Watts: o.Mode.Power}
}

// bansAhead lists the windows in which a site must not mine.
func bansAhead(set *config.Set, name workload.SiteName, from workload.Instant) []workload.Window {
	site := set.Site(name)
	if site == nil {
		return nil
	}
	var out []workload.Window
	for d := range set.OfKind(config.KindCalendar) {
		c := d.Calendar
		if !c.Forbidding(config.ActivityMine) || !c.Applies(name, site) {
			continue
		}
		zone := site.Location()
		for at := from; at < from+BanHorizon && len(out) < 64; {
			edge, more := c.NextEdge(at, zone)
			if !more || edge > from+BanHorizon {
				edge = from + BanHorizon
			}
			if c.ActiveAt(at, zone) {
				out = append(out, workload.Window{From: at, Until: edge, Name: d.Name})
			}
			at = edge
		}
	}
	return out
}
