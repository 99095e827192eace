package decide

import (
	"encoding/json"
	"flag"
	"slices"
	"testing"
)

// tiny draws a random problem of at most 8 devices from a stream of numbers;
// pick(n) is in [0, n).
func tiny(pick func(n int) int) Problem {
	p := Problem{Coins: 2, Tenants: 2, Policy: Policy{HorizonMinutes: int64(30 + 30*pick(4)), HoldGapPPM: int64(pick(3) * 5000)}}
	p.Zones = []Zone{{Parent: None, CapW: int64(pick(3000)) - 500, EnergyMicroPerKWh: int64(pick(200_000)) - 20_000}}
	if pick(2) == 0 {
		p.Zones = append(p.Zones, Zone{Parent: 0, CapW: int64(pick(2000)) - 500, EnergyMicroPerKWh: int64(pick(150_000))})
	}
	left := int64(1 + pick(8))
	for c := 0; c < 1+pick(2) && left > 0; c++ {
		n := 1 + int64(pick(int(left)))
		left -= n
		cl := Class{Zone: pick(len(p.Zones)), NodeSize: 4, Devices: n, IdleWatts: int64(pick(40)), Trainable: pick(5) > 0}
		if pick(2) == 0 {
			for node, rest := 0, n; rest > 0; node++ {
				t := min(rest, int64(1+pick(4)))
				cl.Nodes = append(cl.Nodes, NodeShape{Node: node, Free: t - int64(pick(8)/7)*min(t, 1), Total: t})
				rest -= t
			}
		}
		p.Classes = append(p.Classes, cl)
	}
	for c, cl := range p.Classes {
		now := cl.Devices
		for o := 0; o < pick(4); o++ {
			m := MiningCell{Class: c, Option: o, Coin: pick(2), GrossMicroPerHour: int64(pick(120_000)), HaircutPPM: int64(pick(50_000)),
				WattsMeter: cl.IdleWatts + int64(pick(400)), EnterMicro: int64(pick(20_000)), Banned: pick(6) == 0}
			if pick(2) == 0 && now > 0 {
				m.Current = int64(pick(int(now) + 1))
				now -= m.Current
				if pick(3) == 0 {
					m.Locked = int64(pick(int(m.Current) + 1))
				}
			}
			p.Mining = append(p.Mining, m)
		}
	}
	for j := 0; j < pick(4); j++ {
		job := Job{Tenant: pick(2), Priority: pick(3), KillMicro: int64(pick(100_000)), MigrateMicro: int64(pick(50_000)), ResizeMicro: int64(pick(20_000)), Current: None}
		first := len(p.Offers)
		for range pick(4) {
			c := pick(len(p.Classes))
			o := Offer{Job: j, Class: c, Width: int64(1 + pick(5)), NetMicroPerHour: int64(pick(500_000))}
			o.PerNode = []int64{0, 1, o.Width, max(1, o.Width/2)}[pick(4)]
			if o.PerNode > 0 && o.Width%o.PerNode != 0 {
				o.PerNode = 0
			}
			o.WattsMeter = o.Width * (p.Classes[c].IdleWatts + int64(pick(300)))
			same := func(x Offer) bool { return x.Class == o.Class && x.Width == o.Width && x.PerNode == o.PerNode }
			if !slices.ContainsFunc(p.Offers[first:], same) {
				p.Offers = append(p.Offers, o)
			}
		}
		if n := len(p.Offers) - first; n > 0 && pick(2) == 0 {
			job.Current = first + pick(n)
			job.Pinned, job.Protected = pick(6) == 0, pick(6) == 0
		}
		p.Jobs = append(p.Jobs, job)
	}
	for range pick(4) {
		r := Row{Kind: RowAIShare, Tier: 3, Sense: []Sense{AtLeast, AtLeast, AtMost}[pick(3)], Measure: []Measure{MeasureOwned, MeasureActive}[pick(2)], SharePPM: int64(pick(PPM))}
		switch pick(8) {
		case 3, 4:
			share := []Measure{MeasureOwned, MeasureActive, MeasurePower, MeasureRevenue}[pick(4)]
			r = Row{Kind: RowShare, Tier: map[Measure]int{MeasurePower: 4, MeasureRevenue: 5}[share], Sense: []Sense{AtLeast, AtMost}[pick(2)], Measure: share,
				Part: []Part{PartJobs, PartMining, PartCoin, PartTenant}[pick(4)], Tenant: pick(2), Coin: pick(2), SharePPM: int64(pick(PPM))}
			if r.Tier == 0 {
				r.Tier = 3
			}
			if pick(3) == 0 {
				r.Zones = []int{pick(len(p.Zones))}
			}
		case 5:
			r = Row{Kind: RowPower, Tier: 4, Sense: AtMost, Limit: int64(pick(2000)), Zones: []int{pick(len(p.Zones))}}
		case 6:
			r = Row{Kind: RowCash, Tier: 5, Sense: AtLeast, Limit: int64(pick(400_000)), Coins: []int{0, 1}[:pick(3)]}
		case 7:
			r = Row{Kind: RowPreempt, Tier: 6, Sense: AtMost, Limit: int64(pick(2))}
		case 0:
			r = Row{Kind: RowTenant, Sense: AtMost, Tenant: pick(2), Limit: int64(pick(6))}
		case 1:
			r = Row{Kind: RowCoin, Tier: 5, Sense: AtMost, Coin: pick(2), SharePPM: int64(300_000 + pick(700_000))}
		case 2:
			r.Measure, r.Tier = MeasurePower, 4
		}
		p.Rows = append(p.Rows, r)
	}
	if pick(5) == 0 {
		p.Policy.MaxMoves = int64(1 + pick(6))
	}
	return p
}

// brute goes through every plan without any pruning and returns the best
// shortfalls and value. Only promises that the whole fleet can keep together
// are supported: ok is false otherwise.
func brute(p *Problem) (short []int64, value int64, ok bool) {
	must := make([]bool, len(p.Jobs))
	hold := make([]int64, len(p.Mining))
	least := Plan{Cells: make([]CellPlan, len(p.Mining)), Jobs: make([]int, len(p.Jobs))}
	for k, m := range p.Mining {
		if !m.Banned {
			hold[k] = m.Locked
			least.Cells[k].Keep = m.Locked
		}
	}
	for j, job := range p.Jobs {
		least.Jobs[j] = None
		if job.Pinned || job.Protected {
			must[j], least.Jobs[j] = true, job.Current
		}
	}
	if _, _, fine := weigh(p, &least); !fine {
		return nil, 0, false
	}
	pl := Plan{Cells: make([]CellPlan, len(p.Mining)), Jobs: make([]int, len(p.Jobs))}
	var mine func(k int)
	mine = func(k int) {
		if k == len(p.Mining) {
			if s, v, fine := weigh(p, &pl); fine && (!ok || better(s, v, short, value)) {
				short, value, ok = s, v, true
			}
			return
		}
		m := p.Mining[k]
		for n := hold[k]; n <= p.Classes[m.Class].Devices; n++ {
			pl.Cells[k] = CellPlan{Keep: min(n, m.Current), Enter: n - min(n, m.Current)}
			mine(k + 1)
			if m.Banned {
				break
			}
		}
	}
	var jobs func(j int)
	jobs = func(j int) {
		if j == len(p.Jobs) {
			mine(0)
			return
		}
		if pl.Jobs[j] = None; !must[j] {
			jobs(j + 1)
		}
		for f, o := range p.Offers {
			if o.Job == j && (!must[j] || f == p.Jobs[j].Current) {
				pl.Jobs[j] = f
				jobs(j + 1)
			}
		}
	}
	jobs(0)
	return short, value, ok
}

// weigh values a plan straight from the model's text, slowly.
func weigh(p *Problem, pl *Plan) ([]int64, int64, bool) {
	hourly := func(micro int64) int64 {
		return (micro*60_000 + p.Policy.HorizonMinutes - 1) / p.Policy.HorizonMinutes
	}
	under := func(z, top int) bool {
		for ; z != None; z = p.Zones[z].Parent {
			if z == top {
				return true
			}
		}
		return false
	}
	var value, moves int64
	used, watts := make([]int64, len(p.Classes)), make([]int64, len(p.Classes))
	for k, x := range pl.Cells {
		m := p.Mining[k]
		n := x.Keep + x.Enter
		used[m.Class] += n
		watts[m.Class] += n * m.WattsMeter
		value += n*(m.GrossMicroPerHour*(PPM-m.HaircutPPM)/1000) - x.Enter*hourly(m.EnterMicro)
		moves += x.Enter
	}
	tenant := make([]int64, p.Tenants)
	for j, f := range pl.Jobs {
		job := p.Jobs[j]
		if f == None {
			if job.Current != None {
				value -= hourly(job.KillMicro)
			}
			continue
		}
		o := p.Offers[f]
		if !p.Classes[o.Class].Trainable {
			return nil, 0, false
		}
		used[o.Class] += o.Width
		watts[o.Class] += o.WattsMeter
		tenant[job.Tenant] += o.Width
		value += o.NetMicroPerHour * 1000
		if f != job.Current {
			moves += o.Width
			if job.Current != None {
				if p.Offers[job.Current].Class == o.Class {
					value -= hourly(job.ResizeMicro)
				} else {
					value -= hourly(job.MigrateMicro)
				}
			}
		}
	}
	for c, cl := range p.Classes {
		if used[c] > cl.Devices || !crowd(p, c, pl) {
			return nil, 0, false
		}
		watts[c] += (cl.Devices - used[c]) * cl.IdleWatts
		value -= watts[c] * p.Zones[cl.Zone].EnergyMicroPerKWh
	}
	for z, zone := range p.Zones {
		var draw, idle int64
		for c, cl := range p.Classes {
			if under(cl.Zone, z) {
				draw += watts[c]
				idle += cl.Devices * cl.IdleWatts
			}
		}
		if zone.CapW >= 0 && draw > zone.CapW && draw > idle {
			return nil, 0, false
		}
	}
	if p.Policy.MaxMoves > 0 && moves > p.Policy.MaxMoves {
		return nil, 0, false
	}
	short := make([]int64, 7)
	for _, r := range p.Rows {
		if r.Kind == RowTenant {
			if tenant[r.Tenant] > r.Limit {
				return nil, 0, false
			}
			continue
		}
		if special(r.Kind) {
			short[r.Tier] += max(0, lacks(p, pl, r, watts, under))
			continue
		}
		var part, base int64
		for k, x := range pl.Cells {
			m, n := p.Mining[k], x.Keep+x.Enter
			switch {
			case r.Kind == RowCoin:
				base += n * m.GrossMicroPerHour
				if m.Coin == r.Coin {
					part += n * m.GrossMicroPerHour
				}
			case r.Measure == MeasurePower:
				base += n * m.WattsMeter
			case r.Measure == MeasureActive && p.Classes[m.Class].Trainable:
				base += n
			}
		}
		for _, f := range pl.Jobs {
			if f == None || r.Kind == RowCoin {
				continue
			}
			n := p.Offers[f].Width
			if r.Measure == MeasurePower {
				n = p.Offers[f].WattsMeter
			}
			part += n
			if r.Measure != MeasureOwned {
				base += n
			}
		}
		if r.Kind == RowAIShare && r.Measure == MeasureOwned {
			for _, cl := range p.Classes {
				if cl.Trainable {
					base += cl.Devices
				}
			}
		}
		miss := r.SharePPM*base - part*PPM
		if r.Sense == AtMost {
			miss = -miss
		}
		short[r.Tier] += max(0, miss)
	}
	return short, value, true
}

// crowd packs the gangs of class c in the model's order.
func crowd(p *Problem, c int, pl *Plan) bool {
	if len(p.Classes[c].Nodes) == 0 {
		return true
	}
	var free []int64
	for _, n := range p.Classes[c].Nodes {
		free = append(free, n.Free)
	}
	for per := int64(8); per > 0; per-- {
		for width := int64(8); width > 0; width-- {
			for f, o := range p.Offers {
				if o.Class != c || o.PerNode != per || o.Width != width || pl.Jobs[o.Job] != f {
					continue
				}
				taken := map[int]bool{}
				for n := o.Width / per; n > 0; n-- {
					at := -1
					for i, x := range free {
						if x >= per && !taken[i] && (at < 0 || x < free[at]) {
							at = i
						}
					}
					if at < 0 {
						return false
					}
					taken[at] = true
					free[at] -= per
				}
			}
		}
	}
	return true
}

var tinyCount = flag.Int("tiny", 3000, "tiny problems to compare with brute force")

func TestTinyFleetsEqualBruteForce(t *testing.T) {
	n := *tinyCount
	if testing.Short() {
		n = 500
	}
	compared, targets, gangs := 0, 0, 0
	for seed := range n {
		rng := splitmix(seed)
		p := tiny(func(n int) int { return int(rng.below(int64(n))) })
		if issues := Validate(&p); issues != nil {
			t.Fatalf("seed %d: generator made %v", seed, issues)
		}
		r, _ := Solve(&p, nil, Budget{})
		if err := Verify(&p, &r); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, dump(&p))
		}
		if !r.Cert.Enumerated || (r.Stage != StageOptimal) {
			t.Errorf("seed %d: stage %s, enumerated %v", seed, r.Stage, r.Cert.Enumerated)
		}
		short, value, ok := brute(&p)
		if !ok {
			continue
		}
		compared++
		all := make([]int64, 7)
		for _, x := range r.Cert.Tiers {
			all[x.Tier] = x.Short
			if x.Short > 0 {
				targets++
			}
		}
		for _, f := range r.Plan.Jobs {
			if f != None && p.Offers[f].PerNode > 1 {
				gangs++
			}
		}
		if !slices.Equal(all, short) || value != r.Cert.ValueNano {
			t.Fatalf("seed %d: got shortfalls %v value %d, brute force %v %d\n%s", seed, all, r.Cert.ValueNano, short, value, dump(&p))
		}
	}
	if compared < n/2 || targets < n/50 || gangs < n/50 {
		t.Fatalf("instances too tame: %d compared, %d missed targets, %d gangs", compared, targets, gangs)
	}
	t.Logf("figure tiny_equal_to_brute_force %d instances", compared)
	t.Logf("figure tiny_proven_by_enumeration_only %d instances", n-compared)
	t.Logf("%d instances equal brute force (%d missed targets, %d gangs placed)", compared, targets, gangs)
}

func dump(p *Problem) string {
	b, _ := json.Marshal(p)
	return string(b)
}

// lacks is what a plan misses of a row of the kinds counted column by column,
// from the text of the model. watts is what each class draws, idle included.
func lacks(p *Problem, pl *Plan, r Row, watts []int64, under func(z, top int) bool) int64 {
	sees := func(c int) bool {
		if (r.Measure == MeasureOwned || r.Measure == MeasureActive) && !p.Classes[c].Trainable {
			return false
		}
		return len(r.Zones) == 0 || under(p.Classes[c].Zone, r.Zones[0])
	}
	var draw, cash, stopped, part, base int64
	for c := range p.Classes {
		if sees(c) {
			draw += watts[c]
		}
		cash -= watts[c] * p.Zones[p.Classes[c].Zone].EnergyMicroPerKWh * 1000 // ppm of micro
		if r.Measure == MeasureOwned && sees(c) {
			base += p.Classes[c].Devices
		}
	}
	count := func(class int, counts bool, n, devices, watts, money int64) {
		if !sees(class) {
			return
		}
		u := devices
		switch r.Measure {
		case MeasurePower:
			u = watts
		case MeasureRevenue:
			u = money
		}
		if counts {
			part += n * u
		}
		if r.Measure != MeasureOwned {
			base += n * u
		}
	}
	for k, x := range pl.Cells {
		m, n := p.Mining[k], x.Keep+x.Enter
		if slices.Contains(r.Coins, m.Coin) {
			cash += n * m.GrossMicroPerHour * (PPM - m.HaircutPPM)
		}
		count(m.Class, r.Part == PartMining || r.Part == PartCoin && r.Coin == m.Coin, n, 1, m.WattsMeter, m.GrossMicroPerHour)
	}
	for j, f := range pl.Jobs {
		if f == None {
			if p.Jobs[j].Current != None {
				stopped++
			}
			continue
		}
		o := p.Offers[f]
		cash += o.NetMicroPerHour * PPM
		if r.Part == PartCoin {
			continue
		}
		count(o.Class, r.Part == PartJobs || r.Part == PartTenant && r.Tenant == p.Jobs[j].Tenant, 1, o.Width, o.WattsMeter, o.NetMicroPerHour)
	}
	switch r.Kind {
	case RowPower:
		return (draw - r.Limit) * PPM
	case RowCash:
		return r.Limit*PPM - cash
	case RowPreempt:
		return (stopped - r.Limit) * PPM
	}
	if r.Sense == AtMost {
		return part*PPM - r.SharePPM*base
	}
	return r.SharePPM*base - part*PPM
}
