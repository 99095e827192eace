package api

import (
	"context"
	"maps"
	"slices"

	"github.com/sluice-project/sluice/proto/sluicev1"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/workload"
)

func (o *operator) GetTimeline(_ context.Context, req *sluicev1.GetTimelineRequest) (*sluicev1.Timeline, error) {
	m, err := o.getTimeline(req)
	return answer(o, "GetTimeline", m, err)
}

func (o *operator) getTimeline(req *sluicev1.GetTimelineRequest) (*sluicev1.Timeline, error) {
	n, err := hoursOf(req.GetHours(), maxTimelineHours)
	if err != nil {
		return nil, err
	}
	v := o.core.View()
	now, _ := o.clock(v)
	from := now - workload.Instant(n)*workload.HourMillis
	m := &sluicev1.Timeline{FromMs: int64(from), ToMs: int64(now), Currency: v.Policy.Cluster().Currency}
	ids := v.DeviceIDs()
	histories := make([][]ledger.Interval, len(ids))
	o.core.Book(func(b *ledger.Book) { // words are found outside the lock
		for i, id := range ids {
			histories[i] = b.History(id, from)
		}
		m.Energy = priceSteps(b, from)
	})
	for i, id := range ids {
		m.Devices = append(m.Devices, &sluicev1.DeviceTimeline{Id: string(id), Intervals: intervals(histories[i], m.Currency)})
	}
	return m, nil
}

// priceSteps lists, site by site, the price in force at an instant and every
// later one.
func priceSteps(b *ledger.Book, from workload.Instant) []*sluicev1.PriceStep {
	var out []*sluicev1.PriceStep
	for _, site := range slices.Sorted(maps.Keys(b.Energy)) {
		past := b.Energy[site].Past
		first := 0
		for i, s := range past {
			if s.At <= from {
				first = i
			}
		}
		for _, s := range past[first:] {
			out = append(out, &sluicev1.PriceStep{AtMs: int64(s.At), MicroPerKwh: s.MicroPerKWh, Site: string(site), Known: s.Known})
		}
	}
	return out
}
