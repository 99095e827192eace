package sim

import (
	"flag"
	"fmt"
	"testing"
)

var (
	seeds = flag.Int("seeds", 200, "how many seeds to play")
	first = flag.Uint64("seed", 1, "the first of them; alone with -seeds 1 its trace is printed")
	real  = flag.Bool("decide", false, "decide with the real planner")
)

func TestSeeds(t *testing.T) {
	total := Coverage{}
	for i := range uint64(*seeds) {
		o := Options{Seed: *first + i, Decide: *real}
		if *seeds == 1 {
			o.Trace = func(s string) { fmt.Println(s) }
		}
		cover, v := Run(o)
		for k, n := range cover {
			total[k] += n
		}
		if v != nil {
			t.Errorf("%v\nreplay: go test ./scheduler/sim -run TestSeeds -args -seeds 1 -seed %d -decide=%t", v, v.Seed, o.Decide)
			if *seeds > 1 {
				break
			}
		}
	}
	for _, k := range sorted(total) {
		t.Logf("%8d %s", total[k], k)
	}
}
