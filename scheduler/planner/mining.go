package planner

import (
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/workload"
)

// addMining adds a cell per class and option that may be mined now, and banned
// cells for options that devices run but may not keep.
func (b *Board) addMining() {
	optionIDs := map[workload.OptionID]int{}
	for ci := range b.classes {
		c := &b.classes[ci]
		current, locked := b.onOptions(c)
		var runs []market.Option
		for _, o := range c.options {
			money, ok := b.miningMoney(c, o)
			open := ok && c.priced && c.banned == ""
			if !open && current[o.ID] == 0 {
				continue
			}
			if !ok {
				money = market.MiningMoney(o, workload.Hashprice{}, 0, c.pue, b.sites[c.site].micro)
			}
			runs = append(runs, o)
			b.addCell(ci, o, money, optionIDs, current[o.ID], locked[o.ID], !open)
		}
		b.addStray(ci, runs, optionIDs, current)
	}
}

// addStray adds banned cells for what devices mine though the policy no longer
// offers it: a coin, pool or profile that is gone.
func (b *Board) addStray(ci int, offered []market.Option, optionIDs map[workload.OptionID]int, current map[workload.OptionID]int64) {
	ids := make([]workload.OptionID, 0, len(current))
	for id := range current {
		if !slices.ContainsFunc(offered, func(o market.Option) bool { return o.ID == id }) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	c := b.classes[ci]
	for _, id := range ids {
		stray := market.Option{ID: id, Coin: id.Coin()}
		b.addCell(ci, stray, market.Money{Watts: c.idle.Watts, Energy: c.idle.Energy}, optionIDs, current[id], 0, true)
	}
}

func (b *Board) addCell(ci int, o market.Option, money market.Money, optionIDs map[workload.OptionID]int, current, locked int64, banned bool) {
	c := b.classes[ci]
	id, ok := optionIDs[o.ID]
	if !ok {
		id = len(optionIDs)
		optionIDs[o.ID] = id
	}
	var enter workload.Money
	if profile := b.Policy.Profile(c.key.model); profile != nil && profile.Switch != nil {
		enter = market.SwitchCost(profile.Switch.Warmup, money)
	}
	var haircut workload.PPM
	if coin := b.Policy.Coin(o.Coin); coin != nil {
		haircut = coin.Risk.Haircut
	}
	b.cells = append(b.cells, cell{class: ci, option: o, money: money})
	b.Problem.Mining = append(b.Problem.Mining, decide.MiningCell{Class: ci, Option: id, Coin: b.coin(o.Coin),
		GrossMicroPerHour: int64(money.Gross), HaircutPPM: int64(haircut), WattsMeter: max(money.Watts, c.idle.Watts),
		EnterMicro: int64(enter), Current: current, Locked: locked, Banned: banned})
	// Cells ascend by option within a class, as Problem wants.
	for i := len(b.cells) - 1; i > 0 && b.cells[i-1].class == ci && b.Problem.Mining[i-1].Option > b.Problem.Mining[i].Option; i-- {
		b.cells[i-1], b.cells[i] = b.cells[i], b.cells[i-1]
		b.Problem.Mining[i-1], b.Problem.Mining[i] = b.Problem.Mining[i], b.Problem.Mining[i-1]
	}
}

func (b *Board) coin(name workload.CoinName) int {
	if i := slices.Index(b.coins, name); i >= 0 {
		return i
	}
	b.coins = append(b.coins, name)
	return len(b.coins) - 1
}

// onOptions counts a class's devices by the option they are ordered to, and
// those still inside their dwell.
func (b *Board) onOptions(c *class) (current, locked map[workload.OptionID]int64) {
	current, locked = map[workload.OptionID]int64{}, map[workload.OptionID]int64{}
	for _, i := range c.devices {
		d := b.View.Devices[b.devices[i]]
		if d.Assigned.Kind == workload.Mining {
			current[d.Assigned.Option]++
			if b.Inventory.Devices[i].Dwell {
				locked[d.Assigned.Option]++
			}
		}
	}
	return current, locked
}

// miningMoney values an option for a class at the prices now; ok is false when
// a price is missing or stale.
func (b *Board) miningMoney(c *class, o market.Option) (market.Money, bool) {
	price, _, ok := market.Yield(b.Policy, o.Coin, b.View.Quotes, b.Now)
	var haircut workload.PPM
	if coin := b.Policy.Coin(o.Coin); coin != nil {
		haircut = coin.Risk.Haircut
	}
	return market.MiningMoney(o, price, haircut, c.pue, b.sites[c.site].micro), ok
}

// Flow is revenue and energy cost per hour.
type Flow struct{ Revenue, Energy workload.Rate }

// Net is what is left.
func (f Flow) Net() workload.Rate { return f.Revenue - f.Energy }

// Baseline is what two simpler rules would net now with the same devices: mine
// the best coin always, and park always.
func (b *Board) Baseline() (allMining, allParked workload.Rate) {
	mining, parked := b.Counterfactuals()
	return mining.Net(), parked.Net()
}

// Counterfactuals are the flows of both rules.
func (b *Board) Counterfactuals() (allMining, allParked Flow) {
	best := make([]Flow, len(b.classes))
	for i, c := range b.classes {
		best[i] = Flow{Energy: c.idle.Energy} // what cannot mine is parked
	}
	seen := make([]bool, len(b.classes))
	for i, c := range b.cells {
		f := Flow{c.money.Gross, c.money.Energy}
		if !b.Problem.Mining[i].Banned && (!seen[c.class] || f.Net() > best[c.class].Net()) {
			best[c.class], seen[c.class] = f, true
		}
	}
	for i, c := range b.classes {
		n := workload.Rate(len(c.devices))
		allParked.Energy += n * c.idle.Energy
		allMining.Revenue += n * best[i].Revenue
		allMining.Energy += n * best[i].Energy
	}
	return allMining, allParked
}

// EnergySteps lists the energy prices of a site from an instant on: now, and
// every step of a table within the span. A feed's price is known only as far
// as it was observed.
func EnergySteps(set *config.Set, quotes market.Quotes, name workload.SiteName, from, until workload.Instant) []Step {
	site := set.Site(name)
	if site == nil || site.Tariff == "" {
		return []Step{{At: from}}
	}
	tariff := set.Tariff(site.Tariff)
	if tariff == nil {
		return []Step{{At: from}}
	}
	var feed *int64
	if tariff.Feed != "" {
		if q, ok := quotes[tariff.Feed]; ok && q.Unit == market.UnitEnergy && !q.Stale(set.Feed(tariff.Feed), from) {
			feed = &q.Value
		}
	}
	var steps []Step
	for at := from; ; {
		micro, ok := tariff.PriceAt(at, site.Location(), feed)
		steps = append(steps, Step{At: at, MicroPerKWh: micro, Known: ok})
		next, more := tariff.NextChange(at, site.Location())
		if !more || next > until || len(steps) > 200 {
			return steps
		}
		at = next
	}
}
