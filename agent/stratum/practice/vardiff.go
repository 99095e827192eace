package practice

import (
	"math/bits"
	"time"

	"github.com/sluice-project/sluice/agent/stratum"
)

// vardiff steers one session towards a share every interval. It works in
// expected hashes for a share, which are integers, and forgets by starting a
// new window after each change.
type vardiff struct {
	interval time.Duration
	low      uint64 // expected hashes for a share, inclusive bounds
	high     uint64
	hashes   uint64 // now in force
	began    time.Time
	shares   uint64
}

// Judging needs enough shares for a fair estimate, or a silence long enough to
// mean something: six shares have a relative error near 40 %.
const (
	vardiffShares  = 6
	vardiffSilence = 4 // intervals
	vardiffStep    = 4 // largest factor of one change, either way
)

// retarget returns the difficulty for the next job and whether it differs. A
// change below a quarter is not worth a message.
func (v *vardiff) retarget(now time.Time) (stratum.Difficulty, bool) {
	elapsed := now.Sub(v.began)
	if elapsed <= 0 || v.shares < vardiffShares && elapsed < vardiffSilence*v.interval {
		return stratum.Difficulty{}, false
	}
	// hashes * shares * interval / elapsed, limited to one step.
	want := mulDiv(v.hashes, max(v.shares, 1)*uint64(v.interval), uint64(elapsed))
	want = min(max(want, v.hashes/vardiffStep), satMul(v.hashes, vardiffStep))
	want = min(max(want, v.low), v.high)
	v.began, v.shares = now, 0
	if diff := max(want, v.hashes) - min(want, v.hashes); diff < v.hashes/4 || diff == 0 {
		return stratum.Difficulty{}, false
	}
	v.hashes = want
	return stratum.DifficultyOfHashes(want), true
}

// mulDiv is a*b/c rounded down, saturating.
func mulDiv(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi >= c {
		return ^uint64(0)
	}
	q, _ := bits.Div64(hi, lo, c)
	return q
}

func satMul(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	if hi != 0 {
		return ^uint64(0)
	}
	return lo
}
