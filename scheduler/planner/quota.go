package planner

import (
	"cmp"
	"slices"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/workload"
)

// A quota of energy couples this hour with all hours to come. What couples them
// is one number, the price of a kWh beyond its tariff: at the right one the
// miners that bring least per kWh stay off in the dearest hours, and the quota
// lasts just as long as its period. The hours that are known fill it like a
// knapsack, best use first; the first that is left out sets the price. A row with the
// draw that this leads to now, and never less than an even pace, is the
// backstop: prices and jobs will not be what they are today.

// Quota is what a site has left of its energy for the period.
type Quota struct {
	LeftWh      int64
	Until       workload.Instant
	MicroPerKWh int64 // what a kWh has to bring beyond its tariff to be among those that fit
	LimitW      int64 // what may be drawn now
}

// addQuotas prices and bounds the energy of the sites that have a quota.
func (b *Board) addQuotas() {
	for d := range b.Policy.OfKind(config.KindSite) {
		if d.Site.EnergyQuota == nil || b.View.Book == nil {
			continue
		}
		name := workload.SiteName(d.Name)
		root, ok := b.zoneOf[zoneKey{site: name}]
		if !ok {
			continue // no device there
		}
		q := b.quota(name, d.Site)
		if b.quotas == nil {
			b.quotas = map[workload.SiteName]Quota{}
		}
		b.quotas[name] = q
		for z := range b.zones {
			if b.zones[z].key.site == name {
				b.Problem.Zones[z].EnergyMicroPerKWh = min(b.Problem.Zones[z].EnergyMicroPerKWh+q.MicroPerKWh, maxEnergyMicro)
			}
		}
		b.row(rowName{kind: config.KindSite, name: d.Name}, decide.Row{Kind: decide.RowPower, Tier: tierOf(quotaTier, inPower), Sense: decide.AtMost,
			Limit: max(q.LimitW-b.asideWatts(name), 0), Zones: []int{root}})
	}
}

// Quotas are the sites' quotas of energy as this board saw them.
func (b *Board) Quotas() map[workload.SiteName]Quota { return b.quotas }

// asideWatts is what the devices of a site draw that are not decided on.
func (b *Board) asideWatts(site workload.SiteName) int64 {
	var watts int64
	for _, id := range b.ids {
		if b.aside(id) && b.View.Devices[id].Site == site {
			watts += b.draw(id)
		}
	}
	return watts
}

// block is one class of devices through one span of a known energy price.
type block struct {
	micro int64 // what a kWh of it brings, its tariff taken off
	watts int64
	ms    int64
	now   bool
}

// quota works out the price and the limit of one site.
func (b *Board) quota(name workload.SiteName, site *config.Site) Quota {
	from, until := site.QuotaPeriod(b.Now)
	drawn, counted := b.View.Book.Drawn[name]
	used := drawn / workload.HourMillis
	if !counted { // a preview of a new quota: as if it had been kept to so far
		used = workload.MulDiv(site.EnergyQuota.Amount, int64(b.Now-from), int64(until-from), workload.Down)
	}
	q := Quota{Until: until, LeftWh: max(site.EnergyQuota.Amount-used, 0)}
	rest := max(int64(until-b.Now), 1)
	pace := min(workload.MulDiv(q.LeftWh, workload.HourMillis, rest, workload.Down), decide.MaxCount*1000)

	// What is drawn in any case: idle devices, those aside, and running jobs.
	floor := b.asideWatts(name)
	free := make([]int64, len(b.classes)) // devices that no running job holds
	for i, c := range b.classes {
		if free[i] = int64(len(c.devices)); c.site == name {
			floor += free[i] * c.idle.Watts
		}
	}
	for _, j := range b.Problem.Jobs {
		if j.Current != decide.None {
			o := b.Problem.Offers[j.Current]
			free[o.Class] -= o.Width
			if c := b.classes[o.Class]; c.site == name {
				floor += o.WattsMeter - o.Width*c.idle.Watts
			}
		}
	}
	blocks := b.blocks(name, free, until)
	left := q.LeftWh - workload.MulDiv(floor, rest, workload.HourMillis, workload.Up)
	drawNow := floor
	for i := 0; i < len(blocks); {
		end, need, now := i, int64(0), int64(0)
		for ; end < len(blocks) && blocks[end].micro == blocks[i].micro; end++ { // the same use in hours of one price
			need += workload.MulDiv(blocks[end].watts, blocks[end].ms, workload.HourMillis, workload.Up)
			if blocks[end].now {
				now += blocks[end].watts
			}
		}
		if need > left {
			// The last use to fit keeps its surplus, and the row shares out what is
			// left of it: at its own price nobody would bother to start.
			drawNow += workload.MulDiv(now, max(left, 0), need, workload.Down)
			if end < len(blocks) {
				q.MicroPerKWh = blocks[end].micro + 1
			}
			break
		}
		left -= need
		drawNow += now
		i = end
	}
	hour := min(rest, workload.HourMillis) // never more than is left in the hour to come
	q.LimitW = min(max(pace, drawNow), workload.MulDiv(q.LeftWh, workload.HourMillis, hour, workload.Down), decide.MaxCount*1000)
	return q
}

// blocks lists what mining could use, best first: each class at its best option
// through each span of the tariff that is known to come.
func (b *Board) blocks(name workload.SiteName, free []int64, until workload.Instant) []block {
	steps := EnergySteps(b.Policy, b.View.Quotes, name, b.Now, until)
	type use struct{ perKWh, watts int64 }
	best := make([]use, len(b.classes))
	for _, m := range b.Problem.Mining {
		above := m.WattsMeter - b.Problem.Classes[m.Class].IdleWatts
		if b.classes[m.Class].site != name || m.Banned || above <= 0 {
			continue
		}
		kept := workload.MulDiv(m.GrossMicroPerHour, decide.PPM-m.HaircutPPM, decide.PPM, workload.Down)
		u := use{workload.MulDiv(kept, 1000, above, workload.Down), above}
		tariff := b.sites[name].micro // the option that mines best now
		if old := best[m.Class]; old.watts == 0 || workload.MulDiv(u.perKWh-tariff, u.watts, 1000, workload.Down) > workload.MulDiv(old.perKWh-tariff, old.watts, 1000, workload.Down) {
			best[m.Class] = u
		}
	}
	var out []block
	for i, s := range steps {
		end := until
		if i+1 < len(steps) {
			end = min(steps[i+1].At, until)
		}
		for c, u := range best {
			if net := u.perKWh - s.MicroPerKWh; u.watts > 0 && net > 0 && free[c] > 0 && end > s.At && s.Known {
				out = append(out, block{micro: net, watts: u.watts * free[c], ms: int64(end - s.At), now: i == 0})
			}
		}
	}
	slices.SortStableFunc(out, func(x, y block) int { return cmp.Compare(y.micro, x.micro) })
	return out
}
