package decide

import "slices"

// runs marks the offers that could run on an otherwise parked fleet.
func (a *audit) runs() {
	p := a.p
	a.runnable = make([]bool, len(p.Offers))
	for f, o := range p.Offers {
		cl := p.Classes[o.Class]
		ok := cl.Trainable && o.Width <= cl.Devices
		for z := cl.Zone; z != None; z = p.Zones[z].Parent {
			ok = ok && (p.Zones[z].CapW < 0 || a.floor[z]+o.WattsMeter-o.Width*cl.IdleWatts <= a.ceiling(z))
		}
		for _, row := range p.Rows {
			ok = ok && (row.Kind != RowTenant || row.Tenant != p.Jobs[o.Job].Tenant || o.Width <= row.Limit)
		}
		a.runnable[f] = ok && a.packable(o.Class, []int{f})
	}
}

// promises works out which dwell, protection and pins hold: all of them, less,
// where physics or a contract cannot carry them, dwell, then protection, then
// pins.
func (a *audit) promises() {
	p := a.p
	a.hold, a.stay = make([]int64, len(p.Mining)), make([]bool, len(p.Jobs))
	for k, m := range p.Mining {
		if !m.Banned {
			a.hold[k] = min(m.Locked, m.Current)
		}
	}
	for j, job := range p.Jobs {
		a.stay[j] = (job.Pinned || job.Protected) && job.Current != None && a.runnable[job.Current]
	}
	for _, give := range []string{"dwell", "protection", "pins"} {
		class, tenant := a.overfull()
		if give == "dwell" {
			for k, m := range p.Mining {
				if class[m.Class] {
					a.hold[k] = 0
				}
			}
			continue
		}
		for j, job := range p.Jobs {
			if a.stay[j] && (give == "pins" || !job.Pinned) && (class[p.Offers[job.Current].Class] || tenant[job.Tenant]) {
				a.stay[j] = false
			}
		}
	}
}

// overfull marks classes and tenants that cannot keep all their promises.
func (a *audit) overfull() ([]bool, []bool) {
	p := a.p
	class, tenant := make([]bool, len(p.Classes)), make([]bool, p.Tenants)
	count, draw := make([]int64, len(p.Classes)), slices.Clone(a.floor)
	per := make([]int64, p.Tenants)
	gangs := make([][]int, len(p.Classes))
	for k, m := range p.Mining {
		count[m.Class] += a.hold[k]
		a.climb(draw, p.Classes[m.Class].Zone, a.hold[k]*(m.WattsMeter-p.Classes[m.Class].IdleWatts))
	}
	for j, job := range p.Jobs {
		if a.stay[j] {
			o := p.Offers[job.Current]
			count[o.Class] += o.Width
			per[job.Tenant] += o.Width
			gangs[o.Class] = append(gangs[o.Class], job.Current)
			a.climb(draw, p.Classes[o.Class].Zone, o.WattsMeter-o.Width*p.Classes[o.Class].IdleWatts)
		}
	}
	for c, cl := range p.Classes {
		class[c] = count[c] > cl.Devices || !a.packable(c, gangs[c])
		for z := cl.Zone; z != None; z = p.Zones[z].Parent {
			class[c] = class[c] || (p.Zones[z].CapW >= 0 && draw[z] > a.ceiling(z))
		}
	}
	for _, row := range p.Rows {
		if row.Kind == RowTenant && per[row.Tenant] > row.Limit {
			tenant[row.Tenant] = true
		}
	}
	return class, tenant
}

// packable applies the model's packing rule: running gangs hold their nodes;
// the rest go by falling (per node, width), then offer, each to the fullest
// nodes that fit.
func (a *audit) packable(class int, offers []int) bool {
	p := a.p
	nodes := p.Classes[class].Nodes
	if len(nodes) == 0 {
		return true
	}
	room := map[int]int64{}
	for _, n := range nodes {
		room[n.Node] = n.Free
	}
	var queue []int
	for _, f := range offers {
		job := p.Jobs[p.Offers[f].Job]
		switch {
		case job.Current == f && len(job.On) > 0:
			for _, u := range job.On {
				if room[u.Node] < u.Devices {
					return false
				}
				room[u.Node] -= u.Devices
			}
		case p.Offers[f].PerNode > 0:
			queue = append(queue, f)
		}
	}
	slices.SortFunc(queue, func(x, y int) int {
		if d := p.Offers[y].PerNode - p.Offers[x].PerNode; d != 0 {
			return int(d)
		}
		if d := p.Offers[y].Width - p.Offers[x].Width; d != 0 {
			return int(d)
		}
		return x - y
	})
	for _, f := range queue {
		need := p.Offers[f].PerNode
		var fit []int // nodes with room, fullest first
		for _, n := range nodes {
			if room[n.Node] >= need {
				fit = append(fit, n.Node)
			}
		}
		slices.SortStableFunc(fit, func(x, y int) int { return int(room[x] - room[y]) })
		count := int(p.Offers[f].Width / need)
		if len(fit) < count {
			return false
		}
		for _, n := range fit[:count] {
			room[n] -= need
		}
	}
	return true
}
