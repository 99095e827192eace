package scheduler

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/sluice-project/sluice/scheduler/state"
)

// sumEvery is how many entries lie between two comparisons of the servers'
// states; large fleets, whose states take longer to write out, are compared
// less often.
const (
	sumEvery        = 1000
	devicesPerEvery = 10_000
)

// sums compares this server's state with those of the others: each puts the
// checksum of its own into the log. Memory that flipped a bit, or a version that
// applies an entry differently, would otherwise be noticed only by the accounts.
type sums struct {
	self  string
	own   map[uint64]string            // by log index; the newest few
	votes map[uint64]map[string]string // by index and server
	fresh chan state.StateSummed       // to be proposed; holds the newest only
}

func newSums(self string) *sums {
	return &sums{self: self, own: map[uint64]string{}, votes: map[uint64]map[string]string{}, fresh: make(chan state.StateSummed, 1)}
}

// due reports whether the state is summed at its index. It depends on the state
// alone, so that every server sums the same ones.
func due(s *state.State) bool {
	return s.Index%(sumEvery*uint64(1+len(s.Devices)/devicesPerEvery)) == 0
}

// take sums a state.
func (c *sums) take(s *state.State) error {
	h := sha256.New()
	if err := s.Save(h); err != nil {
		return err
	}
	sum := hex.EncodeToString(h.Sum(nil))
	c.own[s.Index] = sum
	for index := range c.own {
		if index+8*sumEvery < s.Index {
			delete(c.own, index)
			delete(c.votes, index)
		}
	}
	select {
	case <-c.fresh:
	default:
	}
	c.fresh <- state.StateSummed{Server: c.self, Index: s.Index, Sum: sum}
	return nil
}

// agree notes what a server found. Two others that agree with one another and
// not with this one prove that it is this one that is wrong.
func (c *sums) agree(v state.StateSummed) error {
	own, known := c.own[v.Index]
	if !known || v.Server == c.self {
		return nil // from before this server's snapshot, or long ago
	}
	if c.votes[v.Index] == nil {
		c.votes[v.Index] = map[string]string{}
	}
	c.votes[v.Index][v.Server] = v.Sum
	others := 0
	for _, sum := range c.votes[v.Index] {
		if sum == v.Sum && sum != own {
			others++
		}
	}
	if others < 2 {
		return nil
	}
	return fmt.Errorf("the state after entry %d has checksum %.12s here and %.12s on %d other servers: this server's memory, disk or version cannot be trusted; "+
		"check all three, then empty its data directory and let it join anew", v.Index, own, v.Sum, others)
}

// compareStates puts this server's checksums into the log.
func (s *Server) compareStates(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case sum := <-s.machine.sums.fresh:
			if s.replica.Stats().LastIndex > sum.Index+sumEvery {
				continue // still catching up
			}
			if _, _, err := s.Propose(ctx, state.Command{Actor: "server/" + s.conf.ID, Summed: &sum}); err != nil {
				s.log.Warn("the state's checksum was not recorded", "index", sum.Index, "err", err)
			}
		}
	}
}
