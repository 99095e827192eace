package planner

import (
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// Money is what the whole fleet would earn and pay per hour under the plan at
// the prices now, as the ledger would book it: no risk haircut. Devices outside
// the decision count with what they are ordered to do.
func (r *Round) Money() (revenue, energy workload.Rate) {
	b := r.Board
	for _, id := range b.View.DeviceIDs() {
		d := b.View.Devices[id]
		i, inside := b.place[id]
		_, fixed := b.fixed[id]
		if !inside || fixed {
			gross, cost := b.asideMoney(id)
			revenue, energy = revenue+gross, energy+cost
			continue
		}
		money := b.classes[b.Inventory.Devices[i].Class].idle
		switch use := r.Placed.Uses[i]; use.Kind {
		case decide.UseMining:
			money = b.cells[use.Index].money
		case decide.UseJob:
			money = b.offers[use.Index].money
		}
		// Caps count what a device may draw; money is counted on what it draws.
		revenue += money.Gross
		energy += market.EnergyRate(money.Watts, b.sites[d.Site].micro)
	}
	return revenue, energy
}

func (b *Board) asideMoney(id workload.DeviceID) (revenue, energy workload.Rate) {
	d := b.View.Devices[id]
	energy = market.EnergyRate(b.draw(id), b.sites[d.Site].micro)
	if _, forced := b.forced[id]; forced {
		return 0, energy
	}
	switch d.Assigned.Kind {
	case workload.Training:
		revenue = d.Work.Rate
	case workload.Mining:
		if price, _, ok := market.Yield(b.Policy, d.Work.Coin, b.View.Quotes, b.Now); ok {
			revenue = price.Gross(d.Work.Hash)
		}
	}
	return revenue, energy
}

// SiteCap is the power cap in force at a site, in watts at the meter, negative
// where there is none, and the calendar or override that set it.
func (b *Board) SiteCap(name workload.SiteName) (capW int64, by string) {
	s, ok := b.sites[name]
	if !ok {
		return -1, ""
	}
	return s.cap, s.by
}
