package stratum

import (
	"maps"
	"time"
)

// Stats is what a client has seen since it was made.
type Stats struct {
	Connected  bool
	Pool       string // of the current or last session
	Endpoint   int    // its index in Config.Endpoints
	Since      time.Time
	Sessions   uint64 // authorised
	Failures   uint64 // attempts that never got that far
	Jobs       uint64
	Accepted   uint64
	Rejected   map[Code]uint64 // by the pool
	Stale      uint64          // rejected with CodeStale, or dropped here because the session was over
	Unanswered uint64          // submitted, verdict unknown
	Redirects  uint64          // client.reconnect followed
	Hijacks    uint64          // client.reconnect refused: an alarm
	Difficulty Difficulty
	LastShare  time.Time // accepted
}

// Rejects is the number of shares refused by pools.
func (s Stats) Rejects() uint64 {
	var n uint64
	for _, v := range s.Rejected {
		n += v
	}
	return n
}

// Stats returns a copy.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Rejected = maps.Clone(s.Rejected)
	return s
}
