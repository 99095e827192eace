package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"github.com/sluice-project/sluice/scheduler/decide"
)

var (
	cbcValue = regexp.MustCompile(`Objective value:\s+(-?[0-9.e+]+)`)
	cbcBound = regexp.MustCompile(`Lower bound:\s+(-?[0-9.e+]+)`)
	cbcDone  = regexp.MustCompile(`Result - Optimal solution found`)
)

// againstCBC compares plans with the best that cbc finds in the exported
// program. That program knows of node packing only the place rows, so cbc may
// be above every plan that can be placed.
func againstCBC(b *bench) {
	if _, err := exec.LookPath("cbc"); err != nil {
		fmt.Println("# cbc skipped: not installed (Debian: coinor-cbc)")
		return
	}
	seconds := b.pick(20, 600)
	close, met := 0, 0
	for _, size := range []struct{ devices, jobs, seeds int }{{1000, 120, b.pick(2, 10)}, {2000, 200, b.pick(1, 10)}, {10_000, 1000, b.pick(1, 4)}} {
		for seed := range size.seeds {
			name := fmt.Sprintf("cbc_%dk_seed%d_", size.devices/1000, seed+1)
			p := decide.Generate(size.devices, size.jobs, decide.ShapeDefault, uint64(seed+1))
			r, _, ms := b.timed(name, &p, nil, decide.Budget{})
			value, bound, err := cbc(&p, &r, seconds)
			if err != nil {
				fmt.Printf("# %s: %v\n", name, err)
				continue
			}
			below := 100 * (value - float64(r.ObjectiveMicroPerHour)) / value
			say(name+"own_gap", 100*(bound-value)/value, "%")
			say(name+"plan_below_it", below, "%")
			say(name+"bound_above_its_bound", 100*(float64(r.BoundMicroPerHour)-bound)/bound, "%")
			say(name+"plan_cpu", ms, "ms")
			if bound-value <= 0.002*value {
				close++
				if below <= 0.5 && ms <= 2000 {
					met++
				}
			}
		}
	}
	say("cbc_seconds", float64(seconds), "s")
	say("cbc_closed_to_0.2", float64(close), "instances")
	say("cbc_closed_and_plan_within_0.5_in_2s", float64(met), "instances")
}

// cbc returns its best value and bound, in micro per hour.
func cbc(p *decide.Problem, r *decide.Result, seconds int) (value, bound float64, err error) {
	prog, err := decide.Export(p, r)
	if err != nil {
		return 0, 0, err
	}
	dir, err := os.MkdirTemp("", "cbc")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "p.mps")
	f, err := os.Create(name)
	if err != nil {
		return 0, 0, err
	}
	if err := errors.Join(prog.WriteMPS(f), f.Close()); err != nil {
		return 0, 0, err
	}
	out, err := exec.Command("cbc", name, "-seconds", strconv.Itoa(seconds), "-solve", "-quit").CombinedOutput()
	if err != nil {
		return 0, 0, fmt.Errorf("cbc: %w: %s", err, out)
	}
	v := cbcValue.FindSubmatch(out)
	if v == nil {
		return 0, 0, fmt.Errorf("cbc found no plan in %d s", seconds)
	}
	low := v
	if m := cbcBound.FindSubmatch(out); m != nil && !cbcDone.Match(out) {
		low = m
	}
	value, e1 := strconv.ParseFloat(string(v[1]), 64)
	bound, e2 := strconv.ParseFloat(string(low[1]), 64)
	return -value, -bound, errors.Join(e1, e2) // the file is a minimisation
}
