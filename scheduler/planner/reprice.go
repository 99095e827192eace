package planner

import (
	"maps"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/scheduler/ledger"
	"github.com/sluice-project/sluice/scheduler/market"
	"github.com/sluice-project/sluice/scheduler/state"
	"github.com/sluice-project/sluice/workload"
)

// reprice returns the view as the leader would have it soon after a policy is
// in force: constant feeds read and gated anew, and the energy prices that
// follow from tariffs and quotes. What only a file or the network knows stays
// as it was last observed. The given view is not touched.
func reprice(v *state.View, policy *config.Set, now workload.Instant) *state.View {
	out := *v
	out.Quotes = maps.Clone(v.Quotes)
	if out.Quotes == nil {
		out.Quotes = market.Quotes{}
	}
	for d := range policy.OfKind(config.KindFeed) {
		if len(d.Feed.Sources) == 0 || d.Feed.Sources[0].Value == "" {
			continue
		}
		// To the hour, as the poller of feeds stamps a constant.
		o, err := market.ConvertQuote(d.Name, d.Feed.Sources[0].Value, d.Feed.Unit, d.Feed.Currency, now-now%workload.HourMillis, "constant")
		if err != nil {
			continue // it would be a feed that cannot be read
		}
		old, seen := out.Quotes[d.Name]
		out.Quotes[d.Name] = market.Observe(old, seen, o, d.Feed.Gate)
	}
	book := ledger.Book{Energy: map[workload.SiteName]ledger.Energy{}}
	if v.Book != nil {
		book = ledger.Book{At: v.Book.At, Energy: maps.Clone(v.Book.Energy), Yields: v.Book.Yields, Base: v.Book.Base}
	}
	for d := range policy.OfKind(config.KindSite) {
		site := workload.SiteName(d.Name)
		book.Energy[site] = ledger.Energy{Now: EnergySteps(policy, out.Quotes, site, now, now)[0]}
	}
	out.Book = &book
	return &out
}
