package main

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/sluice-project/sluice/scheduler/decide"
)

const (
	tickMinutes = 5
	dwellTicks  = 6   // half an hour on an option or a job before a device may leave it
	meanTicks   = 120 // how long a job runs, on average: ten hours
)

// world is a fleet over time: prices move, jobs arrive and finish, devices are
// where the last plan put them. Prices, arrivals and ends depend on the seed and
// the tick alone, so that strategies can be compared on the same events.
type world struct {
	base   decide.Problem // all jobs that may ever come, prices of the start
	inv    decide.Inventory
	seed   uint64
	sigma  float64
	churn  bool // jobs end and others arrive
	tick   int
	level  []float64 // per coin: log price against the start
	active []bool    // per job of base
	fresh  []bool    // arrived this tick
	on     []use     // per device
	since  []int     // per device: tick at which its option began
	left   []map[int]int
}

// use is what a device does in terms of base: a cell, an offer, or nothing.
type use struct {
	kind  decide.UseKind
	index int
}

// round is a world's question at a tick, and the way back from its positions to
// base's.
type round struct {
	p      decide.Problem
	inv    decide.Inventory
	cur    decide.Placement
	jobs   []int // of p to base
	offers []int
}

func newWorld(devices, jobs int, seed uint64, sigma float64, churn bool) *world {
	p := decide.Generate(devices, 2*jobs, decide.ShapeDefault, seed)
	w := &world{base: p, inv: inventory(&p), seed: seed, sigma: sigma, churn: churn, level: make([]float64, p.Coins), active: make([]bool, 2*jobs), fresh: make([]bool, 2*jobs)}
	for j := range jobs {
		w.active[2*j] = true
	}
	w.on, w.since, w.left = make([]use, len(w.inv.Devices)), make([]int, len(w.inv.Devices)), make([]map[int]int, len(w.inv.Devices))
	for d := range w.on {
		w.on[d] = use{decide.UseParked, decide.None}
	}
	return w
}

// inventory lays a problem's classes out on their nodes.
func inventory(p *decide.Problem) decide.Inventory {
	var inv decide.Inventory
	for c, cl := range p.Classes {
		if len(cl.Nodes) == 0 {
			for i := range cl.Devices {
				inv.Devices = append(inv.Devices, decide.Device{Class: c, Node: int(i)})
			}
		}
		for _, n := range cl.Nodes {
			for range n.Total {
				inv.Devices = append(inv.Devices, decide.Device{Class: c, Node: n.Node})
			}
		}
	}
	return inv
}

// draw is a stream of its own per kind of event, tick and subject.
func (w *world) draw(kind, subject int) *rand.Rand {
	return rand.New(rand.NewPCG(w.seed<<32^uint64(kind), uint64(w.tick)<<32^uint64(subject)))
}

// step moves prices and lets jobs end and arrive. A job that runs ends with
// even odds per tick; for each that ends, one that waits outside comes in.
func (w *world) step() {
	w.tick++
	for m := range w.level {
		w.level[m] = 0.99*w.level[m] + w.sigma*w.draw(1, m).NormFloat64()
	}
	clear(w.fresh)
	running := make([]bool, len(w.active))
	for _, u := range w.on {
		if u.kind == decide.UseJob {
			running[w.base.Offers[u.index].Job] = true
		}
	}
	ended := 0
	for j := range w.active {
		if w.churn && running[j] && w.draw(2, j).IntN(meanTicks) == 0 {
			w.active[j] = false
			ended++
		}
	}
	for d, u := range w.on {
		if u.kind == decide.UseJob && !w.active[w.base.Offers[u.index].Job] {
			w.on[d] = use{decide.UseParked, decide.None}
			w.left[d] = nil // going back after the job's own end is no wavering
		}
	}
	for _, j := range w.draw(3, 0).Perm(len(w.active)) {
		if ended == 0 {
			break
		}
		if !w.active[j] && !running[j] {
			w.active[j], w.fresh[j] = true, true
			ended--
		}
	}
}

// ask builds the question of this tick.
func (w *world) ask() *round {
	r := &round{p: w.base, inv: decide.Inventory{Devices: slices.Clone(w.inv.Devices)}}
	p := &r.p
	p.Jobs, p.Offers, p.Mining, p.Classes = nil, nil, slices.Clone(p.Mining), slices.Clone(p.Classes)
	for k := range p.Mining {
		m := &p.Mining[k]
		m.GrossMicroPerHour = int64(float64(m.GrossMicroPerHour) * math.Exp(w.level[m.Coin]))
	}
	jobAt, offerAt := make([]int, len(w.base.Jobs)), make([]int, len(w.base.Offers))
	for j, job := range w.base.Jobs {
		if jobAt[j] = decide.None; w.active[j] {
			jobAt[j] = len(p.Jobs)
			job.Arrived = w.fresh[j]
			p.Jobs, r.jobs = append(p.Jobs, job), append(r.jobs, j)
		}
	}
	for f, o := range w.base.Offers {
		if o.Job = jobAt[o.Job]; o.Job != decide.None {
			offerAt[f] = len(p.Offers)
			p.Offers, r.offers = append(p.Offers, o), append(r.offers, f)
		}
	}
	held := make([]map[int]int64, len(p.Classes))
	r.cur.Uses = make([]decide.Use, len(w.on))
	for d, u := range w.on {
		dev := &r.inv.Devices[d]
		r.cur.Uses[d] = decide.Use{Kind: u.kind, Index: u.index}
		switch u.kind {
		case decide.UseMining:
			p.Mining[u.index].Current++
			if dev.Dwell = w.tick-w.since[d] < dwellTicks; dev.Dwell {
				p.Mining[u.index].Locked++
				if held[dev.Class] == nil {
					held[dev.Class] = map[int]int64{}
				}
				held[dev.Class][dev.Node]++
			}
		case decide.UseJob:
			r.cur.Uses[d].Index = offerAt[u.index]
			job := &p.Jobs[p.Offers[offerAt[u.index]].Job]
			job.Current, job.Protected = offerAt[u.index], w.tick-w.since[d] < dwellTicks
			if n := slices.IndexFunc(job.On, func(x decide.NodeUse) bool { return x.Node == dev.Node }); n >= 0 {
				job.On[n].Devices++
			} else {
				job.On = append(job.On, decide.NodeUse{Node: dev.Node, Devices: 1})
			}
		}
	}
	for j := range p.Jobs {
		slices.SortFunc(p.Jobs[j].On, func(x, y decide.NodeUse) int { return cmp.Compare(x.Node, y.Node) })
	}
	for c := range p.Classes {
		p.Classes[c].Nodes = slices.Clone(p.Classes[c].Nodes)
		for n := range p.Classes[c].Nodes {
			p.Classes[c].Nodes[n].Free -= held[c][p.Classes[c].Nodes[n].Node]
		}
	}
	return r
}

// outcome is what following a plan for one tick did.
type outcome struct {
	moved   int     // devices with another use
	returns int     // devices back on an option they left less than a dwell ago
	parked  int     // of those, parked in between
	once    float64 // one-off costs, currency units
	profit  float64 // of the tick before one-off costs
}

// follow puts the plan on devices and charges for it what the question q says,
// which is the true one also where the strategy was told something else.
func (w *world) follow(r *round, plan decide.Plan) outcome {
	var out outcome
	placed, moves := decide.Place(r.inv, r.cur, &r.p, plan)
	out.moved = len(moves)
	next := make([]int, len(r.p.Jobs))
	for j := range next {
		next[j] = decide.None
	}
	power := make([]float64, len(r.p.Zones))
	for d, u := range placed.Uses {
		class := r.p.Classes[r.inv.Devices[d].Class]
		watts := float64(class.IdleWatts)
		now := use{u.Kind, u.Index}
		switch u.Kind {
		case decide.UseMining:
			m := r.p.Mining[u.Index]
			watts = float64(m.WattsMeter)
			out.profit += float64(m.GrossMicroPerHour) * float64(decide.PPM-m.HaircutPPM) / decide.PPM
			if w.on[d] != now {
				out.once += float64(m.EnterMicro)
				if at, ok := w.left[d][u.Index]; ok && w.tick-at < dwellTicks {
					out.returns++
					if w.on[d].kind == decide.UseParked {
						out.parked++
					}
				}
			}
		case decide.UseJob:
			o := r.p.Offers[u.Index]
			watts = float64(o.WattsMeter) / float64(o.Width)
			out.profit += float64(o.NetMicroPerHour) / float64(o.Width)
			next[o.Job] = u.Index
			now.index = r.offers[u.Index]
		}
		power[class.Zone] += watts
		if w.on[d] == now {
			continue
		}
		if old := w.on[d]; old.kind == decide.UseMining {
			if w.left[d] == nil {
				w.left[d] = map[int]int{}
			}
			w.left[d][old.index] = w.tick
		}
		w.on[d], w.since[d] = now, w.tick
	}
	for j, job := range r.p.Jobs {
		switch {
		case job.Current == decide.None || job.Current == next[j]:
		case next[j] == decide.None:
			out.once += float64(job.KillMicro)
		case r.p.Offers[next[j]].Class == r.p.Offers[job.Current].Class:
			out.once += float64(job.ResizeMicro)
		default:
			out.once += float64(job.MigrateMicro)
		}
	}
	for z, watts := range power {
		out.profit -= watts / 1000 * float64(r.p.Zones[z].EnergyMicroPerKWh)
	}
	out.profit *= tickMinutes / 60. / 1e6
	out.once /= 1e6
	return out
}
