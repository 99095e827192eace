package replica

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

// BenchmarkPropose measures acknowledged commands of 512 bytes on this disk,
// fsync on. With three servers all share one disk and one machine.
func BenchmarkPropose(b *testing.B) {
	for _, servers := range []int{1, 3} {
		for _, clients := range []int{1, 64, 256} {
			b.Run(fmt.Sprintf("servers=%d/clients=%d", servers, clients), func(b *testing.B) {
				g := newGroup(b)
				var leader *member
				if servers == 1 {
					leader = g.start("s1", func(c *Config) { c.Bootstrap = true })
					g.waitLeader(leader)
				} else {
					leader = g.three()[0]
				}
				var next atomic.Int64
				var wg sync.WaitGroup
				b.ResetTimer()
				for range clients {
					wg.Go(func() {
						for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
							text := append(command(uint64(n)), make([]byte, 504)...)
							if _, _, err := leader.Propose(b.Context(), text); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "applies/s")
			})
		}
	}
}
