package decide

// mostFor bounds what jobs can add to floor r: by class size and by job and
// tenant, whichever is less. Locked mining in scope counts against it. All rows
// are worked out together the first time one is asked for, because each needs
// to see every offer.
func (in *instance) mostFor(r int) int64 {
	if in.mostRow == nil {
		in.mostRow = in.mostRows()
	}
	return in.mostRow[r]
}

// most collects what bounds one row.
type most struct {
	byClass, classTop   []int64
	byTenant, perDevice []int64 // perDevice: the most one device of a tenant adds
	best                int64   // of the job at hand
	locked              int64
}

func (in *instance) mostRows() []int64 {
	p := in.p
	rows := make([]most, len(p.Rows))
	out := make([]int64, len(p.Rows))
	for k, m := range p.Mining {
		if in.lock[k] > 0 {
			for _, r := range in.scope[m.Class] {
				rows[r].locked += in.lock[k] * in.cellRow(r, k)
			}
		}
	}
	// A row that starts out met cannot be missed for want of jobs, and only
	// shares of owned devices report how far jobs could take them.
	scope := make([][]int, len(p.Classes))
	for r := range rows {
		if cr := &in.rows[r]; cr.soft && !cr.special && cr.coin == None && (p.Rows[r].Measure == MeasureOwned || cr.c+rows[r].locked < 0) {
			for c := range scope {
				if seen(in.scope[c], r) {
					scope[c] = append(scope[c], r)
				}
			}
			rows[r] = most{locked: rows[r].locked, byClass: make([]int64, len(p.Classes)), classTop: make([]int64, len(p.Classes)),
				byTenant: make([]int64, p.Tenants), perDevice: make([]int64, p.Tenants)}
		}
	}
	// What one device of an offer adds differs between offers of a kind only by
	// its watts, and those seldom.
	last := make([]int64, len(in.kinds))
	top := make([][]int64, len(in.kinds))
	tenantOf := make([]int32, len(in.kinds))
	for j := range p.Jobs {
		t := p.Jobs[j].Tenant
		for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
			if !in.usable[f] {
				continue
			}
			k := in.kind[f]
			c, width := in.kinds[k].class, in.kinds[k].width
			if len(scope[c]) == 0 {
				continue
			}
			watts := in.offW[f] + width*p.Classes[c].IdleWatts
			if top[k] == nil || last[k] != watts || int(tenantOf[k]) != t {
				fresh := top[k] == nil || last[k] != watts
				if top[k] == nil {
					top[k] = make([]int64, len(scope[c]))
				}
				last[k], tenantOf[k] = watts, int32(t)
				for i, r := range scope[c] {
					m := &rows[r]
					if fresh {
						a := in.rows[r].jobDev*width + in.rows[r].jobW*watts
						top[k][i] = (a + width - 1) / width
						m.classTop[c] = max(m.classTop[c], top[k][i])
					}
					m.perDevice[t] = max(m.perDevice[t], top[k][i])
				}
			}
			for _, r := range scope[c] {
				m, cr := &rows[r], &in.rows[r]
				a := cr.jobDev*width + cr.jobW*watts
				m.best = max(m.best, a)
				m.byClass[c] += a
			}
		}
		for r := range rows {
			if m := &rows[r]; m.best != 0 {
				m.byTenant[t] += m.best
				m.best = 0
			}
		}
	}
	for r := range rows {
		if rows[r].byClass != nil {
			out[r] = in.mostOf(&rows[r])
		}
	}
	return out
}

// mostOf draws the sums of one row together.
func (in *instance) mostOf(m *most) int64 {
	p := in.p
	var classes, jobs int64
	for c := range p.Classes {
		free := p.Classes[c].Devices
		for k := in.cellLo[c]; k < in.cellLo[c+1]; k++ {
			free -= in.lock[k]
		}
		classes += min(m.byClass[c], mulStick(max(0, free), m.classTop[c]))
	}
	for t := range m.byTenant {
		limit := m.byTenant[t]
		for _, q := range in.tenRow[t] {
			limit = min(limit, mulStick(p.Rows[q].Limit, m.perDevice[t]))
		}
		jobs += limit
	}
	return min(classes, jobs) + m.locked
}
