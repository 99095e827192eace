package decide

// dualUnit is how many units of the finest price make one nano; the whole
// bound is summed in those and rounded up once, at the end.
const (
	dualUnit = 1_000_000_000
	zoneUnit = 1_000 // fine units of one unit of Duals.Zone
	maxDual  = 1_000_000_000_000_000
	maxZone  = 100_000_000_000_000
)

// bound evaluates the Lagrangian at integer prices: an upper bound, in nano per
// hour and with base, on every plan whose shortfalls per tier do not exceed
// short. See DESIGN.md, "Proof".
func (in *instance) bound(d *Duals, short []int64) int64 {
	total, power, moves := in.withoutJobs(d, short)
	k := in.priceKinds(d, power, moves)
	for j := range in.p.Jobs {
		total.add(k.jobBound(j))
	}
	return total.divCeil(dualUnit)
}

// withoutJobs is the part of the bound that no job has a say in: right sides,
// shortfalls and mining, in fine units. It also returns the price of a watt per
// class and that of a move, both of which the jobs need.
func (in *instance) withoutJobs(d *Duals, short []int64) (total int128, power []int64, moves int64) {
	p := in.p
	total.addMul(in.base, dualUnit)
	for c, k := range p.Classes {
		var t int128
		t.addMul(d.Class[c], dualUnit)
		total.add(t.times(k.Devices))
	}
	for z, cap := range in.capZ {
		if cap >= 0 {
			total.addMul(d.Zone[z]*zoneUnit, cap)
		}
	}
	for i, n := range in.places {
		var t int128
		t.addMul(d.Place[i], dualUnit)
		total.add(t.times(n.limit))
	}
	if p.Policy.MaxMoves > 0 {
		moves = d.Moves
		var t int128
		t.addMul(moves, dualUnit)
		total.add(t.times(p.Policy.MaxMoves))
	}
	worst := make([]int64, len(in.tiers))
	for r, pr := range p.Rows {
		if pr.Kind == RowTenant {
			var t int128
			t.addMul(d.Row[r], dualUnit)
			total.add(t.times(pr.Limit))
			continue
		}
		total.addMul(d.Row[r], in.rows[r].c)
		worst[in.rows[r].tier] = max(worst[in.rows[r].tier], d.Row[r])
	}
	for t := range worst {
		total.addMul(worst[t], short[t])
	}
	power = in.zonePrices(d)
	var coinShare int128 // price of gross from the share side of all coin rows
	coinOwn := make([]int64, p.Coins)
	for _, r := range in.coins {
		coinShare.addMul(d.Row[r], in.rows[r].share)
		coinOwn[in.rows[r].coin] += d.Row[r]
	}
	for k, m := range p.Mining {
		if in.limit[k] == 0 {
			continue
		}
		rc := coinShare.times(m.GrossMicroPerHour)
		rc.addMul(-coinOwn[m.Coin], PPM*m.GrossMicroPerHour)
		rc.addMul(-d.Class[m.Class], dualUnit)
		rc.addMul(-power[m.Class], in.cellW[k])
		for _, r := range in.scope[m.Class] {
			rc.addMul(d.Row[r], in.cellRow(r, k))
		}
		stay := rc
		stay.addMul(in.keep[k], dualUnit)
		now := min(m.Current, in.limit[k])
		if stay.positive() {
			total.add(stay.times(now))
		} else {
			total.add(stay.times(in.lock[k]))
		}
		rc.addMul(in.enter[k], dualUnit)
		rc.addMul(-moves, dualUnit)
		if rc.positive() {
			total.add(rc.times(in.limit[k]))
		}
	}
	return total, power, moves
}

// zonePrices sums, per class, the prices of the caps above it, in fine units
// per watt.
func (in *instance) zonePrices(d *Duals) []int64 {
	out := make([]int64, len(in.p.Classes))
	for c := range out {
		for _, z := range in.above[c] {
			out[c] += d.Zone[z] * zoneUnit
		}
	}
	return out
}

// repair raises each class price to the largest reduced value of its enter
// columns: those are bounded by the class only, and would otherwise count once
// per option.
func (in *instance) repair(d *Duals) {
	p := in.p
	power := in.zonePrices(d)
	var share int128
	own := make([]int64, p.Coins)
	for _, r := range in.coins {
		share.addMul(d.Row[r], in.rows[r].share)
		own[in.rows[r].coin] += d.Row[r]
	}
	moves := int64(0)
	if p.Policy.MaxMoves > 0 {
		moves = d.Moves
	}
	for k, m := range p.Mining {
		if in.limit[k] == 0 {
			continue
		}
		rc := share.times(m.GrossMicroPerHour)
		rc.addMul(-own[m.Coin], PPM*m.GrossMicroPerHour)
		rc.addMul(-power[m.Class], in.cellW[k])
		for _, r := range in.scope[m.Class] {
			rc.addMul(d.Row[r], in.cellRow(r, k))
		}
		rc.addMul(in.enter[k]-moves, dualUnit)
		if rc.positive() {
			d.Class[m.Class] = max(d.Class[m.Class], min(maxDual, rc.divCeil(dualUnit)))
		}
	}
}
