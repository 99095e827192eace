package practice

import (
	"maps"
	"time"

	"github.com/sluice-project/sluice/agent/stratum"
)

// PoolStats are the pool's books since it started.
type PoolStats struct {
	Addr        string                  `json:"addr"`
	Height      uint32                  `json:"height"`
	Jobs        uint64                  `json:"jobs"`
	Blocks      uint64                  `json:"blocks"` // solved here
	Connections int                     `json:"connections"`
	Refused     uint64                  `json:"refused_connections"`
	Accepted    uint64                  `json:"accepted"`
	Rejected    map[stratum.Code]uint64 `json:"rejected"` // by code
	Workers     []WorkerStats           `json:"workers"`
}

// WorkerStats is one worker's account. CreditedHashes is the work its accepted
// shares stand for: the sum of the expected hashes at each share's difficulty.
type WorkerStats struct {
	Name           string                  `json:"name"`
	Since          time.Time               `json:"since"`
	Accepted       uint64                  `json:"accepted"`
	Rejected       map[stratum.Code]uint64 `json:"rejected"`
	CreditedHashes uint64                  `json:"credited_hashes"`
	Difficulty     stratum.Difficulty      `json:"difficulty"`
	Best           stratum.Difficulty      `json:"best_difficulty"`
	LastShare      time.Time               `json:"last_share"`
}

// Hashrate is the credited work per second since the worker came, in
// milli-hashes/s. With n shares its relative error is about 1/sqrt(n).
func (w WorkerStats) Hashrate(now time.Time) uint64 {
	ms := now.Sub(w.Since).Milliseconds()
	if ms <= 0 {
		return 0
	}
	return mulDiv(w.CreditedHashes, 1_000_000, uint64(ms))
}

// CreditedDifficulty is the credited work in shares of difficulty 1, rounded
// up to four significant digits for display.
func (w WorkerStats) CreditedDifficulty() stratum.Difficulty {
	if w.CreditedHashes == 0 {
		return stratum.Difficulty{}
	}
	return stratum.DifficultyOfHashes(w.CreditedHashes)
}

func (w *WorkerStats) clone() WorkerStats {
	c := *w
	c.Rejected = maps.Clone(w.Rejected)
	return c
}

func (s *PoolStats) clone() PoolStats {
	c := *s
	c.Rejected = maps.Clone(s.Rejected)
	return c
}
