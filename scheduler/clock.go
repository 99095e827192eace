package scheduler

import (
	"time"

	"github.com/sluice-project/sluice/workload"
)

// MarketClock is the clock of quotes, tariffs, calendars, dwell, horizon and
// ledger. It runs Speed times as fast as real time from a base instant.
// Leases, heartbeats, grace and timeouts never use it.
type MarketClock struct {
	base  workload.Instant
	since time.Time
	speed int64
}

// NewMarketClock starts a market clock at an instant. A speed below 1 counts
// as 1.
func NewMarketClock(base workload.Instant, speed int64) *MarketClock {
	return &MarketClock{base: base, since: time.Now(), speed: max(speed, 1)}
}

// Now is the market time. It uses the monotonic clock, so it never runs back.
func (c *MarketClock) Now() workload.Instant {
	return c.base + workload.Instant(time.Since(c.since).Milliseconds()*c.speed)
}

// Speed is market milliseconds per real millisecond.
func (c *MarketClock) Speed() int64 { return c.speed }

// Wall is the real clock as an instant.
func Wall() workload.Instant { return workload.InstantOf(time.Now()) }
