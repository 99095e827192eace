package decide

import "math"

// kindBill is what an offer of a kind pays at integer prices, exactly and, to
// sort out quickly what cannot be a job's best offer, as a float.
type kindBill struct {
	exact128 int128 // devices, places and fixed part of rows, negative
	perWatt  int128 // per watt above idle, negative
	exact    float64
	watt     float64
	width    float64
}

type kindBills struct {
	in    *instance
	d     *Duals
	moves int64
	kinds []kindBill
}

// priceKinds works out the bills of all kinds once: a large problem has a
// hundred offers to a kind.
func (in *instance) priceKinds(d *Duals, power []int64, moves int64) *kindBills {
	b := &kindBills{in: in, d: d, moves: moves, kinds: make([]kindBill, len(in.kinds))}
	b.kinds[0].exact = math.Inf(-1) // cannot run
	for i := 1; i < len(in.kinds); i++ {
		k, out := &in.kinds[i], &b.kinds[i]
		var price int128
		price.addMul(-d.Class[k.class], dualUnit)
		price.addMul(-moves, dualUnit)
		for _, r := range in.scope[k.class] {
			price.addMul(d.Row[r], in.rows[r].jobDev) // nothing in rows counted column by column
			out.perWatt.addMul(d.Row[r], in.rows[r].jobW)
		}
		// Rows count watts at the meter: those above idle and the idle draw.
		price.add(out.perWatt.times(in.p.Classes[k.class].IdleWatts))
		out.perWatt.addMul(-power[k.class], 1)
		out.exact128 = price.times(k.width)
		for _, u := range k.uses {
			var t int128
			t.addMul(-d.Place[u.row], dualUnit)
			out.exact128.add(t.times(u.n))
		}
		out.exact, out.watt, out.width = out.exact128.float()/dualUnit, out.perWatt.float()/dualUnit, float64(k.width)
	}
	return b
}

// jobBound is the most that job j can add: its best offer or none.
func (b *kindBills) jobBound(j int) int128 {
	in := b.in
	job := &in.p.Jobs[j]
	var best int128
	best.addMul(in.out[j], dualUnit)
	lo, hi := in.offLo[j], in.offLo[j+1]
	if in.must[j] {
		return b.offer(job.Current, b.tenant(j))
	}
	tenant := b.tenant(j)
	perDevice := float64(tenant)
	least := float64(in.out[j])
	least -= float64(doubt * math.Abs(least))
	for f := lo; f < hi; f++ {
		rc, err := b.about(f, perDevice)
		if f == job.Current {
			rc += float64(b.kinds[in.kind[f]].width * float64(b.moves))
		}
		if !(rc+err >= least) { // also what is not a number, from kind 0
			continue
		}
		least = math.Max(least, rc-err)
		if x := b.offer(f, tenant); best.less(x) {
			best = x
		}
	}
	return best
}

// doubt is far more than a float can be wrong by, as a share of the largest part
// of a sum: only offers within it of the best are worth exact figures.
const doubt = 1e-12

// about is the reduced value of offer f, running nowhere yet, to within the
// second figure.
func (b *kindBills) about(f int, perDevice float64) (float64, float64) {
	k := &b.kinds[b.in.kind[f]]
	v, w, t := float64(b.in.value[f]), float64(k.watt*float64(b.in.offW[f])), float64(k.width*perDevice)
	rc, size := v+k.exact+w-t, math.Abs(v)+math.Abs(k.exact)+math.Abs(w)+t+float64(k.width*float64(b.moves))
	if b.in.wide != nil {
		for _, r := range b.in.wide[b.in.p.Offers[f].Class] {
			x := float64(float64(b.d.Row[r])*float64(b.in.offerRow(r, f))) / dualUnit
			rc += x
			size += math.Abs(x)
		}
	}
	return rc, float64(doubt * size)
}

// tenant is what the contract of job j's tenant asks per device.
func (b *kindBills) tenant(j int) int64 {
	var t int64
	for _, r := range b.in.tenRow[b.in.p.Jobs[j].Tenant] {
		t += b.d.Row[r]
	}
	return t
}

// offer is the exact reduced value of one offer.
func (b *kindBills) offer(f int, tenant int64) int128 {
	in := b.in
	o := &in.p.Offers[f]
	k := &b.kinds[in.kind[f]]
	if in.p.Jobs[o.Job].Current == f {
		tenant -= b.moves
	}
	var per int128
	per.addMul(-tenant, dualUnit)
	rc := per.times(o.Width)
	rc.add(k.exact128)
	rc.add(k.perWatt.times(in.offW[f]))
	rc.addMul(in.value[f], dualUnit)
	if in.wide != nil {
		for _, r := range in.wide[o.Class] {
			rc.addMul(b.d.Row[r], in.offerRow(r, f))
		}
	}
	return rc
}
