package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
)

// decisions times Solve on generated fleets (seed 1, shape default): cold, warm
// after prices moved, and held.
func decisions() ([]row, error) {
	var out []row
	for _, size := range []struct{ devices, jobs int }{{1000, 120}, {10_000, 1000}} {
		p := decide.Generate(size.devices, size.jobs, decide.ShapeDefault, 1)
		if issues := decide.Validate(&p); issues != nil {
			return out, fmt.Errorf("%s %s", issues[0].Path, issues[0].Problem)
		}
		_, warm := decide.Solve(&p, nil, decide.Budget{})
		moved := tick(p)
		held := moved
		held.Policy.HoldGapPPM = 200_000
		moved.Policy.HoldGapPPM = 0
		var cold float64
		for _, c := range []struct {
			name string
			p    *decide.Problem
			w    *decide.Warm
		}{{"cold", &p, nil}, {"warm", &moved, warm}, {"held", &held, warm}} {
			var r decide.Result
			took := testing.Benchmark(func(b *testing.B) {
				for b.Loop() {
					r, _ = decide.Solve(c.p, c.w, decide.Budget{})
				}
			})
			if err := decide.Verify(c.p, &r); err != nil {
				return out, err
			}
			if (r.Stage == decide.StageHeld) != (c.name == "held") {
				return out, fmt.Errorf("the %s round ended %s", c.name, r.Stage)
			}
			ns := float64(took.NsPerOp())
			if c.name == "cold" {
				cold = ns
			}
			out = append(out, row{fmt.Sprintf("decide %d devices, %d jobs, %s", size.devices, size.jobs, c.name), took.N,
				fmt.Sprintf("%s  gap %.2f %%  %.2f of cold", millis(time.Duration(ns)), float64(r.GapPPM)/10_000, ns/cold)})
		}
	}
	return out, nil
}

// tick moves every price a little, always alike.
func tick(p decide.Problem) decide.Problem {
	p.Mining = slices.Clone(p.Mining)
	for k := range p.Mining {
		p.Mining[k].GrossMicroPerHour = p.Mining[k].GrossMicroPerHour * (995 + int64(k*7919%11)) / 1000
	}
	return p
}
