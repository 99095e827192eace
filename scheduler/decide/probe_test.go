package decide

import (
	"fmt"
	"testing"
)

func TestProbe2(t *testing.T) {
	for _, n := range []int{1000, 10000} {
		for seed := uint64(1); seed <= 3; seed++ {
			p := Generate(n, n/10, ShapeDefault, seed)
			for _, b := range []Budget{{PriceSweeps: 400}, {PriceSweeps: 1600}, {PriceSweeps: 10000}, {Moves: 60000}} {
				r, _ := Solve(&p, nil, b)
				fmt.Println(n, seed, b, r.GapPPM, r.ObjectiveMicroPerHour, r.BoundMicroPerHour)
			}
		}
	}
}
