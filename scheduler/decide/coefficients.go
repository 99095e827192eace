package decide

import "math/bits"

// instance is a Problem with every exact integer coefficient worked out once.
// All money is in nano-units per hour and relative to the priced idle draw:
// parking a device is worth 0, base holds what the idle draw of the whole fleet
// costs. Only Solve and its helpers use it; Verify has its own arithmetic.
type instance struct {
	p        *Problem
	base     int64
	keep     []int64 // per cell: value of a device that stays
	enter    []int64 // per cell: value of a device that comes
	cellW    []int64 // per cell: watts above idle
	lock     []int64 // per cell: least count
	limit    []int64 // per cell: most devices (0 when banned)
	value    []int64 // per offer: value with the one-off cost of changing to it
	offW     []int64 // per offer: watts above idle
	usable   []bool  // per offer: could run if everything else were parked
	out      []int64 // per job: value of not running
	must     []bool  // per job: has to stay on its current offer
	capZ     []int64 // per zone: watts above idle that its cap allows; -1: no cap
	above    [][]int // per class: zones with a cap on the way to the root
	cellLo   []int   // per class, one more entry: first cell
	offLo    []int   // per job, one more entry: first offer
	tenRow   [][]int // per tenant: its rows
	rows     []row   // compiled soft rows, in order of Problem.Rows (hard ones have soft unset)
	scope    [][]int // per class: rows that see it, but for the coin rows
	wide     [][]int // per class: those of scope that have a coefficient per cell and offer; nil when there are none
	coins    []int   // coin rows
	tiers    []int   // distinct tiers of soft rows, ascending
	gangs    []bool  // per class: needs the packing check
	places   []placeRow
	kind     []int32    // per offer: position in kinds
	kinds    []kind     // what offers of one class, width and spread share
	mostRow  []int64    // see mostFor; nil until asked for
	quotas   []quotaRow // of the tree's leaves, once compileQuotas was called
	tenQuota [][]int    // per tenant: its quota rows
	total    int64      // devices

	// Packing, see packing.go: nodes by size as they are, and room to work in.
	shelf   []sizes
	left    sizes
	fresh   []int
	used    []int64
	touched []int

	idle []int64 // per zone with its subtree, watts
}

// row is a soft row in the form: c + sum of coefficients >= 0.
type row struct {
	soft           bool
	special        bool // see rows.go; the figures below are not used then
	c              int64
	jobDev, jobW   int64 // per device and per watt of offers in scope
	mineDev, mineW int64 // per device and per watt of mining in scope
	coin           int
	share          int64
	tier           int // index into instance.tiers
}

func mulDivCeil(a, b, d int64) int64 { // all non-negative, result fits
	hi, lo := bits.Mul64(uint64(a), uint64(b))
	q, r := bits.Div64(hi, lo, uint64(d))
	if r > 0 {
		q++
	}
	return int64(q)
}

// spread turns a one-off cost in micro into nano per hour over the horizon,
// rounded up so that a switch never looks cheaper than it is.
func spread(micro, horizon int64) int64 { return mulDivCeil(micro, 60_000, horizon) }

func compile(p *Problem) *instance {
	in := &instance{p: p}
	in.compileTree()
	in.compileCells()
	in.compileOffers()
	in.compileRows()
	in.settle()
	in.compilePlaces()
	return in
}

func (in *instance) compileTree() {
	p := in.p
	idle := make([]int64, len(p.Zones))
	in.idle = idle
	for _, c := range p.Classes {
		in.total += c.Devices
		in.base -= c.Devices * c.IdleWatts * p.Zones[c.Zone].EnergyMicroPerKWh
		idle[c.Zone] += c.Devices * c.IdleWatts
	}
	for z := len(p.Zones) - 1; z >= 0; z-- {
		if up := p.Zones[z].Parent; up >= 0 {
			idle[up] += idle[z]
		}
	}
	in.capZ = make([]int64, len(p.Zones))
	for z, zone := range p.Zones {
		in.capZ[z] = -1
		if zone.CapW >= 0 {
			in.capZ[z] = max(0, zone.CapW-idle[z])
		}
	}
	in.above = make([][]int, len(p.Classes))
	for c := range p.Classes {
		for z := p.Classes[c].Zone; z >= 0; z = p.Zones[z].Parent {
			if in.capZ[z] >= 0 {
				in.above[c] = append(in.above[c], z)
			}
		}
	}
}

func (in *instance) compileCells() {
	p := in.p
	n := len(p.Mining)
	in.keep, in.enter, in.cellW = make([]int64, n), make([]int64, n), make([]int64, n)
	in.lock, in.limit = make([]int64, n), make([]int64, n)
	in.cellLo = make([]int, len(p.Classes)+1)
	for k, m := range p.Mining {
		c := p.Classes[m.Class]
		in.cellW[k] = m.WattsMeter - c.IdleWatts
		in.keep[k] = m.GrossMicroPerHour*(PPM-m.HaircutPPM)/1000 - in.cellW[k]*p.Zones[c.Zone].EnergyMicroPerKWh
		in.enter[k] = in.keep[k] - spread(m.EnterMicro, p.Policy.HorizonMinutes)
		if !m.Banned {
			in.limit[k] = c.Devices
			in.lock[k] = min(m.Locked, m.Current)
		}
		in.cellLo[m.Class+1]++
	}
	for c := range p.Classes {
		in.cellLo[c+1] += in.cellLo[c]
	}
}

func (in *instance) compileRows() {
	p := in.p
	in.rows = make([]row, len(p.Rows))
	in.scope = make([][]int, len(p.Classes))
	for r, pr := range p.Rows {
		if pr.Kind == RowTenant {
			continue
		}
		sign := int64(1)
		if pr.Sense == AtMost {
			sign = -1
		}
		cr := row{soft: true, coin: None, share: pr.SharePPM, special: special(pr.Kind)}
		if cr.special {
			cr.c = in.compileSpecial(r)
			in.rows[r] = cr
			in.tiers = insertSorted(in.tiers, pr.Tier)
			continue
		}
		if pr.Kind == RowCoin {
			cr.coin = pr.Coin
			in.coins = append(in.coins, r)
		}
		for c := range p.Classes {
			if pr.Kind != RowAIShare || !inScope(p, pr, c) {
				continue
			}
			in.scope[c] = append(in.scope[c], r)
			if pr.Measure == MeasureOwned {
				cr.c -= sign * pr.SharePPM * p.Classes[c].Devices
			}
		}
		switch {
		case pr.Kind == RowCoin:
		case pr.Measure == MeasureOwned:
			cr.jobDev = sign * PPM
		case pr.Measure == MeasureActive:
			cr.jobDev, cr.mineDev = sign*(PPM-pr.SharePPM), -sign*pr.SharePPM
		default:
			cr.jobW, cr.mineW = sign*(PPM-pr.SharePPM), -sign*pr.SharePPM
		}
		in.rows[r] = cr
		in.tiers = insertSorted(in.tiers, pr.Tier)
	}
	for r := range in.rows {
		for i, t := range in.tiers {
			if t == p.Rows[r].Tier {
				in.rows[r].tier = i
			}
		}
	}
}

func insertSorted(s []int, v int) []int {
	for i, x := range s {
		if x == v {
			return s
		}
		if x > v {
			s = append(s[:i+1], s[i:]...)
			s[i] = v
			return s
		}
	}
	return append(s, v)
}

// inScope: an empty list does not restrict; device measures see trainable
// classes only, because an ASIC can never count towards an AI share.
func inScope(p *Problem, r Row, c int) bool {
	if (r.Measure == MeasureOwned || r.Measure == MeasureActive) && !p.Classes[c].Trainable {
		return false
	}
	ok := len(r.Classes) == 0
	for _, x := range r.Classes {
		ok = ok || x == c
	}
	if !ok || len(r.Zones) == 0 {
		return ok
	}
	for z := p.Classes[c].Zone; z >= 0; z = p.Zones[z].Parent {
		for _, x := range r.Zones {
			if x == z {
				return true
			}
		}
	}
	return false
}

// cellRow is the coefficient of one device on cell k in soft row r.
func (in *instance) cellRow(r, k int) int64 {
	cr, m := &in.rows[r], &in.p.Mining[k]
	if cr.special {
		return in.specialCell(r, k)
	}
	if cr.coin == None {
		return cr.mineDev + cr.mineW*m.WattsMeter
	}
	if cr.coin == m.Coin {
		return (cr.share - PPM) * m.GrossMicroPerHour
	}
	return cr.share * m.GrossMicroPerHour
}

// offerRow is the coefficient of offer f in soft row r of its class's scope.
func (in *instance) offerRow(r, f int) int64 {
	cr, o := &in.rows[r], &in.p.Offers[f]
	if cr.special {
		return in.specialOffer(r, f)
	}
	return cr.jobDev*o.Width + cr.jobW*o.WattsMeter
}
