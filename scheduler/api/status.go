package api

import (
	"context"
	"maps"
	"slices"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/planner"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

func (o *operator) GetStatus(ctx context.Context, _ *sluicev1.GetStatusRequest) (*sluicev1.Status, error) {
	v := o.core.View()
	now, speed := o.core.Market()
	now = max(now, v.At)
	info := o.core.Round()
	m := &sluicev1.Status{
		LogIndex: v.Index, ConfigRevision: v.Revision, Nodes: int64(len(v.Nodes)), Devices: &sluicev1.DeviceCounts{}, PowerW: &sluicev1.PowerNow{Cap: -1},
		Plan: summary(v, info), Currency: v.Policy.Cluster().Currency, MarketMs: int64(now), MarketSpeed: speed, Jobs: jobCounts(v), Quotes: quotes(v, now),
		AllMining: &sluicev1.MoneyPerHour{}, AllParked: &sluicev1.MoneyPerHour{},
	}
	o.describeGroup(ctx, m)
	if info.Round != nil {
		mining, parked := info.Round.Board.Counterfactuals()
		m.AllMining, m.AllParked = perHour(mining.Revenue, mining.Energy), perHour(parked.Revenue, parked.Energy)
	} else if v.Book != nil { // no plan of our own: the standing figures of the books, whole
		m.AllMining, m.AllParked = wholeNet(v.Book.Base.AllMining), wholeNet(v.Book.Base.AllParked)
	}
	if info.Round != nil {
		m.Targets = targets(info.Round.Targets(), m.Currency)
	}
	store, age, _ := o.core.PolicyState()
	m.ConfigState, m.ConfigAgeMs = store, age.Milliseconds()
	o.addFleet(m, v, info.Round)
	return m, nil
}

func (o *operator) describeGroup(ctx context.Context, m *sluicev1.Status) {
	g := o.core.Group(ctx)
	m.Cluster, m.Version, m.Leader, m.Term = g.Cluster, g.Version, g.Leader, g.Term
	for _, s := range g.Servers {
		m.Servers = append(m.Servers, &sluicev1.Server{Id: s.ID, Address: s.Address, State: s.State, Voter: s.Voter})
	}
}

// addFleet adds up what the devices do, draw and earn.
func (o *operator) addFleet(m *sluicev1.Status, v *state.View, r *planner.Round) {
	f := o.fleet(v)
	drawn := map[workload.SiteName]int64{}
	for d := range v.Policy.OfKind(config.KindSite) {
		drawn[workload.SiteName(d.Name)] = 0
	}
	var revenue, energy workload.Rate
	var training int64
	for _, d := range v.Devices { // sums: order does not matter
		count(m.Devices, d)
		if d.Trainable() && d.Use.Kind == workload.Training {
			training++
		}
		w := f.watts(d, f.sample(d))
		drawn[d.Site] += w
		m.PowerW.Now += w
		revenue += f.now[d.ID].Revenue
		energy += f.now[d.ID].Energy
		m.Sim = m.Sim || d.Sim
	}
	m.MoneyPerHour = perHour(revenue, energy)
	m.AiSharePpm = workload.MulDiv(training, int64(workload.One), m.Devices.Trainable, workload.Down)
	capped, caps := len(drawn) > 0, int64(0)
	for _, name := range slices.Sorted(maps.Keys(drawn)) {
		s := &sluicev1.SiteStatus{Name: string(name), CapW: siteCap(v, r, name), NowW: drawn[name]}
		s.EnergyMicroPerKwh, s.EnergyKnown = v.EnergyPrice(name)
		if doc := v.Policy.Site(name); doc != nil {
			s.Zone = doc.Zone
		}
		m.Sites = append(m.Sites, s)
		capped = capped && s.CapW >= 0
		caps += s.CapW
	}
	if capped { // one site without a cap leaves the whole without one
		m.PowerW.Cap = caps
	}
}

// siteCap is the cap in force: calendars and people may have lowered it.
func siteCap(v *state.View, r *planner.Round, name workload.SiteName) int64 {
	if r != nil && r.Board.View.Revision == v.Revision {
		capW, _ := r.Board.SiteCap(name)
		return max(capW, -1)
	}
	if doc := v.Policy.Site(name); doc != nil && doc.Power.Cap > 0 {
		return doc.Power.Cap
	}
	return -1
}

// wholeNet shows a net of which no more is known as revenue or as cost, so that
// the three figures add up.
func wholeNet(net workload.Rate) *sluicev1.MoneyPerHour {
	return perHour(max(net, 0), max(-net, 0))
}

func jobCounts(v *state.View) *sluicev1.JobCounts {
	c := &sluicev1.JobCounts{}
	for _, j := range v.Jobs {
		switch {
		case j.Phase.Final():
			c.Done++
		case j.Phase == workload.Active:
			c.Active++
		default:
			c.Queued++
		}
	}
	return c
}

func quotes(v *state.View, now workload.Instant) []*sluicev1.Quote {
	var out []*sluicev1.Quote
	for _, name := range slices.Sorted(maps.Keys(v.Quotes)) {
		feed := v.Policy.Feed(name)
		if feed == nil {
			continue // its feed is gone; nothing is decided by it
		}
		q := v.Quotes[name]
		out = append(out, &sluicev1.Quote{Feed: name, Value: q.Value, Unit: string(q.Unit), AtMs: int64(q.At), AgeMs: int64(max(now-q.At, 0)),
			Stale: q.Stale(feed, now), Scale: int64(q.Scale)})
	}
	return out
}
