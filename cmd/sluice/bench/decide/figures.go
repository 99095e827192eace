package main

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
	"github.com/sluice-project/sluice/scheduler/decide/lp"
)

// instances prints what the generator makes: a gap means little without it.
func instances(b *bench) {
	for _, size := range [][2]int{{1000, 120}, {10_000, 1000}, {100_000, 5000}} {
		p := decide.Generate(size[0], size[1], decide.ShapeDefault, 1)
		name := fmt.Sprintf("instance_%dk_", size[0]/1000)
		var devices, width, ran int64
		nodes := 0
		for _, c := range p.Classes {
			devices += c.Devices
			nodes += len(c.Nodes)
		}
		for _, o := range p.Offers {
			width += o.Width
		}
		say(name+"devices", float64(devices), "devices")
		say(name+"classes", float64(len(p.Classes)), "count")
		say(name+"nodes", float64(nodes), "count")
		say(name+"mining_cells", float64(len(p.Mining)), "count")
		say(name+"jobs", float64(len(p.Jobs)), "count")
		say(name+"offers", float64(len(p.Offers)), "count")
		say(name+"mean_offer_width", float64(width)/float64(len(p.Offers)), "devices")
		if size[0] > 10_000 && !b.full {
			continue
		}
		r, _, _ := b.timed(name, &p, nil, decide.Budget{})
		gangs := 0
		for _, f := range r.Plan.Jobs {
			if f != decide.None {
				ran += p.Offers[f].Width
				gangs++
			}
		}
		say(name+"jobs_placed", float64(gangs), "count")
		say(name+"mean_gang_width", float64(ran)/float64(max(1, gangs)), "devices")
		say(name+"share_of_devices_in_jobs", 100*float64(ran)/float64(devices), "%")
		if size[0] > 10_000 {
			continue // the plain simplex on every column takes too long there
		}
		prog, err := decide.Export(&p, &r)
		if err != nil {
			b.failed++
			continue
		}
		s := lp.Solve(prog.Model(), nil, 0)
		say(name+"fractional_jobs", float64(prog.SplitJobs(s.X)), "count")
		say(name+"lp_objective_above_exported_optimum", (float64(r.LPObjective)/s.Objective-1)*1e9, "ppb")
	}
}

// coldGaps is the cold solve of small and middle fleets, by shape and seed.
func coldGaps(b *bench) {
	for _, size := range [][2]int{{1000, 120}, {2000, 200}, {10_000, 1000}} {
		seeds := b.pick(4, 10)
		if size[0] >= 10_000 {
			seeds = b.pick(2, 10)
		}
		for _, shape := range decide.Shapes {
			if !b.full && shape != decide.ShapeDefault && size[0] != 1000 {
				continue
			}
			name := fmt.Sprintf("cold_%dk_%s_", size[0]/1000, shape)
			var gaps, took, good []float64
			for seed := range seeds {
				p := decide.Generate(size[0], size[1], shape, uint64(seed+1))
				r, _, ms := b.timed(name, &p, nil, decide.Budget{})
				gaps, took = append(gaps, percent(r.GapPPM)), append(took, ms)
				if r.GapPPM <= 5000 && ms <= 500 {
					good = append(good, 1)
				} else {
					good = append(good, 0)
				}
			}
			spread(name+"cpu", "ms", took)
			spread(name+"gap", "%", gaps)
			say(name+"gap_mean", mean(gaps), "%")
			say(name+"gap_at_most_0.5", share(gaps, 0.5), "%")
			if size[0] <= 2000 {
				say(name+"gap_at_most_0.5_in_500ms", 100*mean(good), "%")
			}
		}
	}
}

// large is the fleet of the issue: 100,000 devices, 60 options, 5,000 jobs.
func large(b *bench) {
	var within3, within20, quick, quickGap, hold, tick, tickGap []float64
	peak := 0.0
	for seed := range b.pick(1, 3) {
		p := decide.Generate(100_000, 5000, decide.ShapeDefault, uint64(seed+1))
		p.Policy.HoldGapPPM = 0
		r, _, ms := b.sampled("large quick", &p, nil, decide.Budget{Pivots: 1})
		quick, quickGap = append(quick, ms), append(quickGap, percent(r.GapPPM))
		// The ladder of budgets: what the work bought by then.
		best3, best20 := math.Inf(1), math.Inf(1)
		var warm *decide.Warm
		units := []int64{1, 1000, 4000, 16_000, 60_000, 240_000}
		if !b.full {
			units = []int64{1, 60_000}
		}
		for _, u := range units {
			stop := watchHeap(&peak)
			r, w, ms := b.timed("large cold", &p, nil, decide.BudgetOf(u))
			stop()
			say(fmt.Sprintf("large_seed%d_budget%d_cpu", seed+1, u), ms, "ms")
			say(fmt.Sprintf("large_seed%d_budget%d_gap", seed+1, u), percent(r.GapPPM), "%")
			warm = w
			if ms <= 3000 {
				best3 = min(best3, percent(r.GapPPM))
			}
			if ms <= 20_000 {
				best20 = min(best20, percent(r.GapPPM))
			} else {
				break
			}
		}
		within3, within20 = append(within3, best3), append(within20, best20)
		q := p
		for i := range b.pick(5, 24) {
			q = nudge(q, uint64(seed*100+i))
			h := q
			h.Policy.HoldGapPPM = decide.PPM
			r, _, ms := b.sampled("large hold", &h, warm, decide.Budget{})
			if r.Stage == decide.StageHeld {
				hold = append(hold, ms)
			}
			r, next, ms := b.sampled("large tick", &q, warm, decide.Budget{})
			warm = next
			tick, tickGap = append(tick, ms), append(tickGap, percent(r.GapPPM))
		}
	}
	spread("large_first_plan_cpu", "ms", quick)
	spread("large_first_plan_gap", "%", quickGap)
	spread("large_cold_gap_in_3s", "%", within3)
	spread("large_cold_gap_in_20s", "%", within20)
	spread("large_hold_cpu", "ms", hold)
	spread("large_tick_new_plan_cpu", "ms", tick)
	spread("large_tick_new_plan_gap", "%", tickGap)
	say("large_peak_heap_above_problem", peak, "MB")
}

// ticks is one round after each coin moved by about 1 %: held, planned anew, and
// the linear program alone. The last has every column in it from the start,
// which Solve avoids by sifting, so it is an upper bound of that step.
func ticks(b *bench) {
	for seed := range b.pick(1, 3) {
		p := decide.Generate(10_000, 1000, decide.ShapeDefault, uint64(seed+1))
		p.Policy.HoldGapPPM = 0
		r, warm, _ := b.timed("tick cold", &p, nil, decide.Budget{})
		var hold, plan, gaps, relaxed, pivots []float64
		var basis *lp.Basis
		for i := range b.pick(12, 96) {
			p = nudge(p, uint64(seed*100+i))
			h := p
			h.Policy.HoldGapPPM = decide.PPM
			held, _, ms := b.timed("tick hold", &h, warm, decide.Budget{})
			if held.Stage == decide.StageHeld {
				hold = append(hold, ms)
			}
			r, warm, ms = b.timed("tick", &p, warm, decide.Budget{})
			plan, gaps = append(plan, ms), append(gaps, percent(r.GapPPM))
			prog, err := decide.Export(&p, &r)
			if err != nil {
				b.failed++
				continue
			}
			m := prog.Model()
			runtime.GC()
			start := cpu()
			s := lp.Solve(m, basis, 0)
			if basis != nil {
				relaxed, pivots = append(relaxed, float64((cpu()-start).Microseconds())/1000), append(pivots, float64(s.Pivots))
			}
			basis = &s.Basis
		}
		name := fmt.Sprintf("tick_10k_seed%d_", seed+1)
		spread(name+"hold_cpu", "ms", hold)
		spread(name+"new_plan_cpu", "ms", plan)
		spread(name+"new_plan_gap", "%", gaps)
		spread(name+"lp_all_columns_cpu", "ms", relaxed)
		say(name+"lp_all_columns_pivots_mean", mean(pivots), "pivots")
	}
}

// watchHeap samples live and dead objects until stopped and raises peak to the
// most seen above the start.
func watchHeap(peak *float64) (stop func()) {
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	read := func() float64 {
		metrics.Read(sample)
		return float64(sample[0].Value.Uint64()) / 1e6
	}
	start, quit, done := read(), make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for every := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-quit:
				return
			case <-every.C:
				*peak = max(*peak, read()-start)
			}
		}
	}()
	return func() { close(quit); <-done }
}

// nudge moves each coin by about 1 %.
func nudge(p decide.Problem, seed uint64) decide.Problem {
	w := world{seed: seed}
	factor := make([]float64, p.Coins)
	for m := range factor {
		factor[m] = math.Exp(0.01 * w.draw(9, m).NormFloat64())
	}
	p.Mining = slices.Clone(p.Mining)
	for k := range p.Mining {
		m := &p.Mining[k]
		m.GrossMicroPerHour = int64(float64(m.GrossMicroPerHour) * factor[m.Coin])
	}
	return p
}

// withoutGangs asks for single devices only: what is left of the gap is not the
// packing of gangs.
func withoutGangs(b *bench) {
	var gaps []float64
	for seed := range b.pick(3, 10) {
		p := decide.Generate(10_000, 1000, decide.ShapeDefault, uint64(seed+1))
		var offers []decide.Offer
		for _, o := range p.Offers {
			o.NetMicroPerHour, o.WattsMeter, o.Width, o.PerNode = o.NetMicroPerHour/o.Width, o.WattsMeter/o.Width, 1, 0
			if n := len(offers); n == 0 || offers[n-1].Job != o.Job || offers[n-1].Class != o.Class {
				offers = append(offers, o)
			}
		}
		p.Offers = offers
		r, _, _ := b.timed("nogang", &p, nil, decide.Budget{})
		gaps = append(gaps, percent(r.GapPPM))
	}
	spread("nogang_10k_gap", "%", gaps)
	say("nogang_10k_gap_mean", mean(gaps), "%")
}

// run lets a strategy steer a world and calls see after every tick.
func (b *bench) run(w *world, ticks int, shown func(*round) decide.Problem, see func(decide.Result, float64, outcome)) {
	var warm *decide.Warm
	for range ticks {
		w.step()
		r := w.ask()
		p := shown(r)
		result, next, ms := b.timed(fmt.Sprintf("seed %d tick %d", w.seed, w.tick), &p, warm, decide.Budget{})
		warm = next
		see(result, ms, w.follow(r, result.Plan))
	}
}

func truth(r *round) decide.Problem { return r.p }

// steady is the gap over a day of price ticks with jobs arriving and finishing.
func steady(b *bench) {
	for _, c := range []struct{ devices, jobs, seeds, ticks int }{
		{1000, 120, b.pick(2, 10), b.pick(48, 288)}, {10_000, 1000, b.pick(1, 10), b.pick(12, 288)}, {100_000, 5000, b.pick(0, 3), 288},
	} {
		var gaps, took, moved []float64
		returns, parked, held := 0, 0, 0
		for seed := range c.seeds {
			w := newWorld(c.devices, c.jobs, uint64(seed+1), 0.01, true)
			b.run(w, c.ticks, truth, func(r decide.Result, ms float64, o outcome) {
				gaps, took, returns = append(gaps, percent(r.GapPPM)), append(took, ms), returns+o.returns
				parked += o.parked
				if r.Stage == decide.StageHeld {
					held++
				}
				if w.tick > dwellTicks { // the first ticks fill an empty fleet
					moved = append(moved, 100*float64(o.moved)/float64(len(w.on)))
				}
			})
		}
		if c.seeds == 0 {
			fmt.Printf("# steady_%dk not run in the quick subset\n", c.devices/1000)
			continue
		}
		name := fmt.Sprintf("steady_%dk_", c.devices/1000)
		spread(name+"gap", "%", gaps)
		say(name+"gap_at_most_0.5", share(gaps, 0.5), "%")
		say(name+"gap_at_most_1.5", share(gaps, 1.5), "%")
		spread(name+"cpu", "ms", took)
		say(name+"held", 100*float64(held)/float64(len(gaps)), "%")
		say(name+"moved_mean", mean(moved), "%")
		say(name+"returns_inside_dwell", float64(returns), "devices")
		say(name+"returns_inside_dwell_through_parking", float64(parked), "devices")
	}
}

// stability compares the switching term with the two usual rules on the same
// prices, each charged the true costs. Jobs neither end nor arrive, so that every
// move is one of choice; all three keep the minimum dwell.
func stability(b *bench) {
	devices, jobs, seeds, ticks := 1000, 120, b.pick(3, 10), b.pick(36, 288)
	if b.full {
		devices, jobs = 10_000, 1000
	}
	rules := []struct {
		name string
		show func(*round) decide.Problem
	}{{"ours", truth}, {"no_switching_term", costless}, {"fixed_5_percent", threshold}}
	net := make([][]float64, len(rules))
	for i, rule := range rules {
		var moved []float64
		returns, parked := 0, 0
		for seed := range seeds {
			w, sum := newWorld(devices, jobs, uint64(seed+1), 0.01, false), 0.0
			b.run(w, ticks, rule.show, func(_ decide.Result, _ float64, o outcome) {
				sum += o.profit - o.once
				if w.tick > dwellTicks {
					moved, returns = append(moved, 100*float64(o.moved)/float64(len(w.on))), returns+o.returns
					parked += o.parked
				}
			})
			net[i] = append(net[i], sum)
		}
		say("stability_"+rule.name+"_net_mean", mean(net[i]), "currency")
		say("stability_"+rule.name+"_moved_mean", mean(moved), "%_per_tick")
		say("stability_"+rule.name+"_returns_inside_dwell", float64(returns), "devices")
		say("stability_"+rule.name+"_returns_inside_dwell_through_parking", float64(parked), "devices")
	}
	for i, rule := range rules[1:] {
		var gain []float64
		for s := range net[0] {
			gain = append(gain, 100*(net[0][s]/net[i+1][s]-1))
		}
		m, half := interval(gain)
		say("stability_gain_over_"+rule.name+"_mean", m, "%")
		say("stability_gain_over_"+rule.name+"_interval95", half, "%")
		say("stability_gain_over_"+rule.name+"_n", float64(len(gain)), "count")
	}
}

// costless is the question of somebody to whom switching is free.
func costless(r *round) decide.Problem {
	p := r.p
	p.Mining, p.Jobs = slices.Clone(p.Mining), slices.Clone(p.Jobs)
	for k := range p.Mining {
		p.Mining[k].EnterMicro = 0
	}
	for j := range p.Jobs {
		p.Jobs[j].KillMicro, p.Jobs[j].MigrateMicro, p.Jobs[j].ResizeMicro = 0, 0, 0
	}
	return p
}

// threshold is the usual rule: switch for 5 % more and not for less, whatever
// the switch costs. Within one program that is an entry fee of 5 % of what the
// new use earns over the horizon.
func threshold(r *round) decide.Problem {
	p := costless(r)
	fee := func(microPerHour int64) int64 { return microPerHour * p.Policy.HorizonMinutes / 60 / 20 }
	for k := range p.Mining {
		p.Mining[k].EnterMicro = fee(p.Mining[k].GrossMicroPerHour)
	}
	for j := range p.Jobs {
		if f := p.Jobs[j].Current; f != decide.None {
			c := fee(p.Offers[f].NetMicroPerHour)
			p.Jobs[j].KillMicro, p.Jobs[j].MigrateMicro, p.Jobs[j].ResizeMicro = c, c, c
		}
	}
	return p
}

// interval is the mean and half of its 95 % interval by Student's t.
func interval(xs []float64) (float64, float64) {
	m, sum := mean(xs), 0.0
	for _, x := range xs {
		sum += (x - m) * (x - m)
	}
	n := len(xs)
	if n < 2 {
		return m, math.Inf(1)
	}
	t := []float64{12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262}
	return m, t[min(n-2, len(t)-1)] * math.Sqrt(sum/float64(n-1)/float64(n))
}

// arrival counts the rounds until a profitable job of one device runs although
// the policy would hold any plan.
func arrival(b *bench) {
	devices, jobs := 10_000, 1000
	if b.full {
		devices, jobs = 100_000, 5000
	}
	p := decide.Generate(devices, jobs, decide.ShapeDefault, 1)
	p.Policy.HoldGapPPM = decide.PPM
	_, warm, _ := b.timed("arrival", &p, nil, decide.Budget{})
	class := slices.IndexFunc(p.Classes, func(c decide.Class) bool { return c.Trainable })
	p.Jobs = append(slices.Clone(p.Jobs), decide.Job{Current: decide.None, Arrived: true})
	p.Offers = append(slices.Clone(p.Offers), decide.Offer{Job: len(p.Jobs) - 1, Class: class, Width: 1, PerNode: 1, NetMicroPerHour: 5_000_000, WattsMeter: p.Classes[class].IdleWatts + 100})
	for round := 1; round <= 5; round++ {
		r, next, ms := b.timed("arrival", &p, warm, decide.Budget{Pivots: 1})
		if round == 1 {
			say(fmt.Sprintf("arrival_%dk_first_round_cpu", devices/1000), ms, "ms")
		}
		if r.Plan.Jobs[len(p.Jobs)-1] != decide.None {
			say(fmt.Sprintf("arrival_%dk_rounds_to_start", devices/1000), float64(round), "rounds")
			return
		}
		warm = next
		p.Jobs[len(p.Jobs)-1].Arrived = false
	}
	fmt.Fprintln(os.Stderr, "bench-decide: the arrival did not start within 5 rounds")
	b.failed++
}

// placing is the throughput of Place on 10,000 nodes of ten devices, with as
// many jobs as take about a second of processor time, at most what the name
// says.
func placing(b *bench) {
	for _, c := range []struct {
		name              string
		jobs, width, node int64
	}{{"single", 20_000, 1, 1}, {"jobs_of_300", 300, 300, 0}, {"gangs_of_10x8", 1000, 80, 8}} {
		for n := min(c.jobs, 10); ; n = min(c.jobs, 4*n) {
			took, ok := place(n, c.width, c.node)
			if !ok {
				fmt.Fprintf(os.Stderr, "bench-decide: place %s: not all %d jobs found room\n", c.name, n)
				b.failed++
			}
			if n < c.jobs && took < time.Second {
				continue
			}
			say("place_"+c.name+"_n", float64(n), "jobs")
			say("place_"+c.name+"_devices", float64(n*c.width)/took.Seconds(), "devices/s")
			say("place_"+c.name+"_jobs", float64(n)/took.Seconds(), "jobs/s")
			break
		}
	}
}

func place(jobs, width, perNode int64) (time.Duration, bool) {
	const nodes, size = 10_000, 10
	p := decide.Problem{Zones: []decide.Zone{{Parent: decide.None, CapW: -1, EnergyMicroPerKWh: 50_000}},
		Classes: []decide.Class{{NodeSize: size, Devices: nodes * size, IdleWatts: 20, Trainable: true}}, Tenants: 1, Policy: decide.Policy{HorizonMinutes: 60}}
	for n := range nodes {
		p.Classes[0].Nodes = append(p.Classes[0].Nodes, decide.NodeShape{Node: n, Free: size, Total: size})
	}
	plan := decide.Plan{}
	for j := range int(jobs) {
		p.Jobs = append(p.Jobs, decide.Job{Current: decide.None})
		p.Offers = append(p.Offers, decide.Offer{Job: j, Width: width, PerNode: perNode, NetMicroPerHour: 1_000_000 * width, WattsMeter: 300 * width})
		plan.Jobs = append(plan.Jobs, j)
	}
	if issues := decide.Validate(&p); issues != nil {
		panic(issues[0].Path + " " + issues[0].Problem)
	}
	inv := inventory(&p)
	runtime.GC()
	start := cpu()
	placed, moves := decide.Place(inv, decide.Placement{}, &p, plan)
	return cpu() - start, len(placed.Unplaced) == 0 && int64(len(moves)) == jobs*width
}
