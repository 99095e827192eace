// Package market knows what things earn and cost: quotes and their gate,
// tariffs, yields, energy and switching costs. It is pure and counts in
// integers; where a number must be rounded, what we may earn goes down and what
// we must pay goes up.
package market

import (
	"math/big"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

// Unit says what the integer of a quote counts.
type Unit string

const (
	UnitEnergy     Unit = "micro_per_kwh"
	UnitHashprice  Unit = "micro_per_hour" // for 10^Scale hashes/s
	UnitPrice      Unit = "micro"          // for one coin
	UnitDifficulty Unit = "difficulty"
)

// Observation is one value as a feed read it, converted to fixed point and to
// the accounting currency at the edge.
type Observation struct {
	Feed   string           `json:"feed"`
	Value  int64            `json:"value"`
	Scale  uint8            `json:"scale,omitempty"`
	Unit   Unit             `json:"unit"`
	At     workload.Instant `json:"at"` // market clock
	Source string           `json:"source,omitempty"`
}

// Quote is the value in force for a feed. Pending is a value that jumped too
// far to be believed at once and waits to be seen again.
type Quote struct {
	Observation
	Pending *Observation `json:"pending,omitempty"`
}

// DefaultStale is how old a quote may be where its feed sets no limit.
const DefaultStale = 36 * workload.HourMillis

// Stale reports whether a quote is too old to decide by.
func (q Quote) Stale(feed *config.Feed, now workload.Instant) bool {
	limit := workload.Instant(DefaultStale)
	if feed != nil && feed.Gate.Stale > 0 {
		limit = workload.Instant(feed.Gate.Stale.Milliseconds())
	}
	return q.At < now-limit // not now-q.At, which a hostile instant could overflow
}

// Observe takes a new value under the feed's gate and returns the quote now in
// force. A value that jumps further than the gate allows is held until a second
// observation lies near it; a value older than the one in force is dropped.
func Observe(old Quote, seen bool, o Observation, gate config.Gate) Quote {
	if !seen {
		return Quote{Observation: o}
	}
	if o.At < old.At {
		return old
	}
	if gate.Jump == nil || o.Unit != old.Unit || near(old.Observation, o, *gate.Jump) {
		return Quote{Observation: o}
	}
	if old.Pending != nil && o.At > old.Pending.At && near(*old.Pending, o, *gate.Jump) {
		return Quote{Observation: o}
	}
	if old.Pending != nil && o.At <= old.Pending.At {
		return old
	}
	old.Pending = &o
	return old
}

// near reports whether b lies within the share of a, comparing exactly across
// scales. From zero every value but zero is a jump.
func near(a, b Observation, jump workload.PPM) bool {
	x, y := amount(a), amount(b)
	diff := new(big.Rat).Sub(x, y)
	limit := new(big.Rat).Mul(new(big.Rat).Abs(x), big.NewRat(int64(jump), int64(workload.One)))
	return diff.Abs(diff).Cmp(limit) <= 0
}

func amount(o Observation) *big.Rat {
	r := new(big.Rat).SetInt64(o.Value)
	if o.Scale > 0 {
		r.Quo(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(o.Scale)), nil)))
	}
	return r
}

// Quotes looks up the quote in force of a feed.
type Quotes map[string]Quote

// Yield returns what a coin's work earns: its hashprice feed, or the price and
// difficulty feeds with the block's terms. At is the age-defining instant, the
// older one where two quotes go in. ok is false when a quote is missing or
// stale.
func Yield(set *config.Set, coin workload.CoinName, quotes Quotes, now workload.Instant) (p workload.Hashprice, at workload.Instant, ok bool) {
	c := set.Coin(coin)
	if c == nil {
		return p, 0, false
	}
	fresh := func(ref *config.FeedRef) (Quote, bool) {
		if ref == nil {
			return Quote{}, false
		}
		q, seen := quotes[ref.Feed]
		return q, seen && !q.Stale(set.Feed(ref.Feed), now)
	}
	if c.Hashprice != nil {
		q, ok := fresh(c.Hashprice)
		if !ok || q.Unit != UnitHashprice || q.Value < 0 {
			return p, q.At, false
		}
		return workload.Hashprice{MicroPerHour: q.Value, Scale: q.Scale}, q.At, true
	}
	price, ok1 := fresh(c.Price)
	difficulty, ok2 := fresh(c.Difficulty)
	if !ok1 || !ok2 || price.Unit != UnitPrice || difficulty.Unit != UnitDifficulty || c.Block == nil ||
		difficulty.Value <= 0 || price.Value < 0 || c.Block.Reward < 0 || c.Block.HashesPerDifficulty < 0 {
		return p, min(price.At, difficulty.At), false
	}
	per := c.Block.HashesPerDifficulty
	if per == 0 {
		per = 1 << 32
	}
	// micro/coin x millionths of a coin per block x s/h / hashes per block
	r := new(big.Rat).SetFrac(
		new(big.Int).Mul(big.NewInt(price.Value), new(big.Int).Mul(big.NewInt(c.Block.Reward), big.NewInt(3600))),
		new(big.Int).Mul(big.NewInt(1_000_000), new(big.Int).Mul(big.NewInt(difficulty.Value), big.NewInt(per))))
	scale := uint8(0)
	for ten := big.NewRat(10, 1); r.Sign() > 0 && r.Cmp(big.NewRat(1_000_000, 1)) < 0 && scale < 30; scale++ {
		r.Mul(r, ten)
	}
	v := new(big.Int).Quo(r.Num(), r.Denom())
	if !v.IsInt64() {
		return p, min(price.At, difficulty.At), false
	}
	return workload.Hashprice{MicroPerHour: v.Int64(), Scale: scale}, min(price.At, difficulty.At), true
}
