package mining

import (
	"bytes"
	"encoding/json"
	"math/big"

	"github.com/sluice-project/sluice/workload"
)

// Stats is what a miner says about itself. Negative means not known.
type Stats struct {
	Hashrate int64 // milli-hashes/s
	Accepted int64 // shares
	Rejected int64 // shares
}

// API kinds of miners.
const (
	APIPractice = "practice"
	APIXMRig    = "xmrig"
)

// StatsPath returns the path of a miner's summary for an API kind, or "".
func StatsPath(kind string) string {
	switch kind {
	case APIPractice, APIXMRig:
		return "/2/summary"
	}
	return ""
}

// MaxStats bounds the answer of a miner; a longer one is refused.
const MaxStats = 256 << 10

// ParseStats reads the answer of a miner's API. Miners are foreign programs:
// any number may be missing, null, negative or absurd; such a number stays
// unknown and the others still count.
func ParseStats(kind string, body []byte) (Stats, error) {
	unknown := Stats{Hashrate: -1, Accepted: -1, Rejected: -1}
	if len(body) > MaxStats {
		return unknown, workload.Errorf(workload.Invalid, "miner answered %d bytes, more than the %d allowed", len(body), MaxStats)
	}
	switch kind {
	case APIPractice, APIXMRig:
		return parseXMRig(body)
	default:
		return unknown, workload.Errorf(workload.Invalid, "miner API kind %q is not one of practice, xmrig", kind)
	}
}

func parseXMRig(body []byte) (Stats, error) {
	var reply struct {
		Hashrate struct {
			Total []*json.Number `json:"total"`
		} `json:"hashrate"`
		Results struct {
			Good  *json.Number `json:"shares_good"`
			Total *json.Number `json:"shares_total"`
		} `json:"results"`
	}
	stats := Stats{Hashrate: -1, Accepted: -1, Rejected: -1}
	decoder := json.NewDecoder(bytes.NewReader(body))
	if err := decoder.Decode(&reply); err != nil {
		return stats, workload.Errorf(workload.Invalid, "miner summary is not readable: %w", err)
	}
	// total holds the averages of 10 s, 60 s and 15 min; each is null until its
	// span has passed, so the first that is filled is the freshest.
	for _, n := range reply.Hashrate.Total {
		if v := scaled(n, 1000); v >= 0 {
			stats.Hashrate = v
			break
		}
	}
	stats.Accepted = scaled(reply.Results.Good, 1)
	if total := scaled(reply.Results.Total, 1); stats.Accepted >= 0 && total >= stats.Accepted {
		stats.Rejected = total - stats.Accepted
	}
	return stats, nil
}

// scaled reads a decimal without a float, times factor, rounded down; -1 where
// it is missing, negative or beyond int64.
func scaled(n *json.Number, factor int64) int64 {
	// A number such as 1e999999999 would make the rational huge; no honest
	// figure needs more than 40 characters or a three-digit exponent.
	if n == nil || len(*n) > 40 {
		return -1
	}
	if i := bytes.IndexAny([]byte(*n), "eE"); i >= 0 && len(*n)-i > 4 {
		return -1
	}
	r, ok := new(big.Rat).SetString(string(*n))
	if !ok || r.Sign() < 0 {
		return -1
	}
	r.Mul(r, new(big.Rat).SetInt64(factor))
	q := new(big.Int).Quo(r.Num(), r.Denom())
	if !q.IsInt64() {
		return -1
	}
	return q.Int64()
}
