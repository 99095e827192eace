package decide

import (
	"fmt"
	"testing"
)

func TestProbe(t *testing.T) {
	for _, n := range []int{1000, 2000, 10000} {
		for seed := uint64(1); seed <= 6; seed++ {
			p := Generate(n, n/10, ShapeDefault, seed)
			r, _ := Solve(&p, nil, Budget{})
			mustVerify(t, &p, &r)
			fmt.Println(n, seed, r.GapPPM, r.ObjectiveMicroPerHour, r.BoundMicroPerHour, r.Work)
		}
	}
}
