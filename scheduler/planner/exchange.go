package planner

import (
	"cmp"
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// maxExchanges bounds the work of one round on jobs that are bound to nodes.
const maxExchanges = 4

// exchange gives a job that is bound to the nodes of its checkpoint their
// devices, in place of running jobs there. The decision counts devices of a
// class and knows no nodes, so that left to it a victim elsewhere could fall in
// vain; this names successor, devices and victims together.
type exchange struct {
	job     workload.JobID
	pos     int // on the board
	class   int
	devices []int            // of the inventory, in rank order
	victims []workload.JobID // none of them is stopped without the others
	money   market.Money
}

// addExchanges finds exchanges for the strongest bound jobs that find no room
// where their checkpoints lie.
func (b *Board) addExchanges() {
	gone := map[workload.JobID]bool{}
	used := map[int]bool{}
	for i := range b.kins {
		k := &b.kins[i]
		if k.key.bound == "" || k.asked == 0 {
			continue
		}
		if len(b.exchanges) == maxExchanges {
			return
		}
		j := b.View.Jobs[k.members[0].id]
		if x, ok := b.exchangeFor(&j, k.members[0], gone, used); ok {
			for _, id := range x.victims {
				gone[id] = true
			}
			for _, i := range x.devices {
				used[i] = true
			}
			b.exchanges = append(b.exchanges, x)
		}
	}
}

func (b *Board) exchangeFor(j *state.Job, m member, gone map[workload.JobID]bool, used map[int]bool) (exchange, bool) {
	local, _ := b.localTo(*j)
	width := narrowest(j.Spec.Gang)
	share := min(j.Spec.Gang.PerNode, width)
	if !b.withinLimit(j.Spec.Tenant, width) {
		return exchange{}, false
	}
	for ci, c := range b.classes {
		if c.kind != workload.GPU || c.key.noTrain || !b.suits(j.Spec, c) || b.room(ci, local, share) >= width {
			continue // where there is room the decision offers it
		}
		money, ok := market.TrainingMoney(b.Policy.Profile(c.key.model), b.claims[m.id].bid, c.pue, b.sites[c.site].micro)
		if !ok || money.Net() < b.others[ci] && m.level != guaranteed {
			continue
		}
		free, running := b.onNodes(ci, local, gone, used)
		victims, devices, ok := b.cheapest(free, running, width, share)
		if !ok {
			continue
		}
		gain := workload.Rate(workload.MulDiv(int64(b.claims[m.id].worth(money, b.others[ci], b.top)), int64(width), 1, workload.Down))
		loss, watts := workload.Rate(0), int64(0)
		for _, v := range victims {
			loss += v.loss
		}
		for _, i := range devices {
			watts += b.View.Devices[b.devices[i]].Work.Watts
		}
		if m.level != guaranteed && gain <= loss || b.capped(ci) && money.Watts*int64(width) > watts {
			continue
		}
		x := exchange{job: j.ID, class: ci, devices: devices, money: money}
		for _, v := range victims {
			x.victims = append(x.victims, v.id)
		}
		return x, true
	}
	return exchange{}, false
}

// capped reports whether any power cap stands above a class.
func (b *Board) capped(ci int) bool {
	for z := b.classes[ci].key.zone; z != decide.None; z = b.Problem.Zones[z].Parent {
		if b.Problem.Zones[z].CapW >= 0 {
			return true
		}
	}
	return false
}

// victim is a running job that could give way, with what stopping it loses per
// hour of the horizon.
type victim struct {
	id    workload.JobID
	frees []int // inventory devices on the nodes in question
	loss  workload.Rate
}

// onNodes lists a class's free devices on some nodes and the jobs there that may
// be preempted, those that lose least for each device they free first.
func (b *Board) onNodes(ci int, nodes []workload.NodeID, gone map[workload.JobID]bool, used map[int]bool) (free []int, running []victim) {
	at := map[workload.JobID]int{}
	for _, n := range nodes {
		for _, dev := range b.View.Nodes[n].Devices {
			i, inside := b.place[dev]
			if !inside || b.Inventory.Devices[i].Class != ci || used[i] {
				continue
			}
			use := b.View.Devices[dev].Assigned
			_, ends := b.ends[use.Job]
			if use.Kind != workload.Training || ends || gone[use.Job] {
				if !b.Inventory.Devices[i].Dwell {
					free = append(free, i)
				}
				continue
			}
			v, seen := at[use.Job]
			if !seen {
				j, a, runs := b.attempt(use.Job)
				if !runs || b.protected(j, a, ci) {
					continue
				}
				v = len(running)
				at[use.Job] = v
				running = append(running, victim{id: use.Job, loss: b.lossOf(&j, a, ci)})
			}
			running[v].frees = append(running[v].frees, i)
		}
	}
	slices.SortFunc(running, func(x, y victim) int {
		return cmp.Or(cmp.Compare(workload.MulDiv(int64(x.loss), int64(workload.One), int64(len(x.frees)), workload.Up),
			workload.MulDiv(int64(y.loss), int64(workload.One), int64(len(y.frees)), workload.Up)), -cmp.Compare(x.id, y.id))
	})
	return free, running
}

// lossOf is what stopping a running job costs per hour of the horizon: what it
// brings, and its lost work.
func (b *Board) lossOf(j *state.Job, a state.Attempt, ci int) workload.Rate {
	c := b.classes[ci]
	cl := b.claimOf(j)
	money, _ := market.TrainingMoney(b.Policy.Profile(c.key.model), cl.bid, c.pue, b.sites[c.site].micro)
	rate := workload.MulDiv(int64(cl.worth(money, b.others[ci], b.top)), int64(len(a.Devices)), 1, workload.Up)
	kill := workload.MulDiv(b.killMicro(j, a, money), 60, b.horizonMinutes(), workload.Up)
	return workload.Rate(min(rate, 1<<61) + min(kill, 1<<61))
}

// cheapest takes victims in order until a gang fits, and lets those off again
// that turn out not to be needed. It returns the gang's devices, or false when
// even all victims make no complete placement.
func (b *Board) cheapest(free []int, running []victim, width, share int) ([]victim, []int, bool) {
	fit := func(victims []victim) []int {
		open := slices.Clone(free)
		for _, v := range victims {
			open = append(open, v.frees...)
		}
		return b.pack(open, width, share)
	}
	n := 0
	for n < len(running) && fit(running[:n]) == nil {
		n++
	}
	victims := slices.Clone(running[:n])
	devices := fit(victims)
	for i := len(victims) - 1; i >= 0 && devices != nil; i-- {
		if fewer := fit(slices.Delete(slices.Clone(victims), i, i+1)); fewer != nil {
			victims, devices = slices.Delete(victims, i, i+1), fewer
		}
	}
	return victims, devices, devices != nil && len(victims) > 0
}

// pack picks width devices, in shares of nodes where share is not 0, or nil.
func (b *Board) pack(open []int, width, share int) []int {
	slices.Sort(open)
	byNode := map[int][]int{}
	var nodes []int
	for _, i := range open {
		n := b.Inventory.Devices[i].Node
		if byNode[n] == nil {
			nodes = append(nodes, n)
		}
		byNode[n] = append(byNode[n], i)
	}
	var out []int
	for _, n := range nodes {
		take := min(len(byNode[n]), width-len(out))
		if share > 0 {
			if take < share {
				continue
			}
			take = share
		}
		out = append(out, byNode[n][:take]...)
		if len(out) == width {
			return out
		}
	}
	return nil
}

// addExchanged puts an exchange's job on the board as if it ran already, since
// its place is certain.
func (b *Board) addExchanged(x *exchange) {
	on := map[int]int64{}
	for _, i := range x.devices {
		on[b.Inventory.Devices[i].Node]++
	}
	j := b.View.Jobs[x.job]
	x.pos = b.addJob(j, decide.Job{Current: len(b.offers), On: nodeUses(on), Protected: true})
	b.addOffer(x.pos, x.class, len(x.devices), j.Spec.Gang.PerNode, x.money)
}

// exchangeOf is the exchange that a job starts with, if any.
func (b *Board) exchangeOf(id workload.JobID) *exchange {
	for i := range b.exchanges {
		if b.exchanges[i].job == id {
			return &b.exchanges[i]
		}
	}
	return nil
}

// yields reports whether a running job gives way in an exchange.
func (b *Board) yields(id workload.JobID) bool {
	return slices.ContainsFunc(b.exchanges, func(x exchange) bool { return slices.Contains(x.victims, id) })
}
