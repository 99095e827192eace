package practice

import "sync"

// The windows over which the miner reports its hashrate, in seconds: those of
// the miners whose API it imitates.
var rateWindows = [3]int64{10, 60, 900}

// rateMeter counts hashes in one bucket a second. Time is seconds since the
// miner started, given by the caller.
type rateMeter struct {
	mu      sync.Mutex
	buckets [900 + 1]uint64
	last    int64 // second of the newest bucket
	total   uint64
	highest uint64 // best ten-second rate, H/s
}

func (r *rateMeter) advance(sec int64) {
	for r.last < sec {
		if r.last+1 >= rateWindows[0] {
			r.highest = max(r.highest, r.sum(rateWindows[0])/uint64(rateWindows[0]))
		}
		// After a long gap one lap of the ring clears it.
		if sec-r.last > int64(len(r.buckets)) {
			r.last = sec - int64(len(r.buckets))
		}
		r.last++
		r.buckets[r.last%int64(len(r.buckets))] = 0
	}
}

// sum adds the window's last seconds, the newest bucket included.
func (r *rateMeter) sum(window int64) uint64 {
	var n uint64
	for s := max(r.last-window+1, 0); s <= r.last; s++ {
		n += r.buckets[s%int64(len(r.buckets))]
	}
	return n
}

func (r *rateMeter) add(sec int64, hashes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(sec)
	r.buckets[r.last%int64(len(r.buckets))] += hashes
	r.total += hashes
}

// rates reports hashes and seconds of each window over completed seconds. A
// window that has not filled has zero seconds.
func (r *rateMeter) rates(sec int64) (hashes [3]uint64, highest, total uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance(sec)
	open := r.buckets[r.last%int64(len(r.buckets))]
	for i, w := range rateWindows {
		if sec >= w {
			hashes[i] = r.sum(w+1) - open
		}
	}
	return hashes, r.highest, r.total
}
