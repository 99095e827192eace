package decide

// settle decides which promises give way to physics. Minimum dwell, protection
// and pins are kept unless the class, the power cap or the tenant's contract
// that they need no longer holds them; then, only there, dwell yields first,
// protection second, pins last. What is left after it always fits together.
func (in *instance) settle() {
	for level := 1; level <= 3; level++ {
		bad := in.breaches()
		for c := range in.p.Classes {
			if bad.class[c] && level == 1 {
				for k := in.cellLo[c]; k < in.cellLo[c+1]; k++ {
					in.lock[k] = 0
				}
			}
		}
		for j := range in.p.Jobs {
			if !in.must[j] || level == 1 || (level == 2 && in.p.Jobs[j].Pinned) {
				continue
			}
			if bad.class[in.p.Offers[in.p.Jobs[j].Current].Class] || bad.tenant[in.p.Jobs[j].Tenant] {
				in.must[j] = false
			}
		}
	}
}

type breach struct{ class, tenant []bool }

// breaches lists the classes whose promises do not fit, because of their own
// count, their nodes or a cap above them, and the tenants over their limit.
func (in *instance) breaches() breach {
	p := in.p
	b := breach{make([]bool, len(p.Classes)), make([]bool, p.Tenants)}
	used := make([]int64, len(p.Classes))
	watts := make([]int64, len(p.Zones))
	byTenant := make([]int64, p.Tenants)
	held := make([][]int, len(p.Classes))
	for k, m := range p.Mining {
		used[m.Class] += in.lock[k]
		for _, z := range in.above[m.Class] {
			watts[z] += in.lock[k] * in.cellW[k]
		}
	}
	for j := range p.Jobs {
		if !in.must[j] {
			continue
		}
		f := p.Jobs[j].Current
		o := p.Offers[f]
		used[o.Class] += o.Width
		byTenant[p.Jobs[j].Tenant] += o.Width
		held[o.Class] = append(held[o.Class], f)
		for _, z := range in.above[o.Class] {
			watts[z] += in.offW[f]
		}
	}
	for c := range p.Classes {
		b.class[c] = used[c] > p.Classes[c].Devices || !in.packs(c, held[c])
		for _, z := range in.above[c] {
			b.class[c] = b.class[c] || watts[z] > in.capZ[z]
		}
	}
	for t, rows := range in.tenRow {
		for _, r := range rows {
			b.tenant[t] = b.tenant[t] || byTenant[t] > p.Rows[r].Limit
		}
	}
	return b
}
