package decide

// Rows of the kinds share, power, cash and preemptions have coefficients of
// their own per cell and offer. They stand in the scope of their classes like
// the AI shares, so that whatever goes through cellRow and offerRow serves them
// without knowing them; only the price walk, which adds up AI shares by class,
// visits them one by one (instance.wide).

// special tells the kinds that are counted column by column.
func special(k RowKind) bool {
	return k == RowShare || k == RowPower || k == RowCash || k == RowPreempt
}

// energyUnit turns a nano of energy cost into units of a money row: one micro is
// a thousand nano and a million units.
const energyUnit = 1000

// compileSpecial adds row r to the scope of the classes that it sees and returns
// its constant.
func (in *instance) compileSpecial(r int) int64 {
	p, pr := in.p, in.p.Rows[r]
	var c int64
	switch pr.Kind {
	case RowPower:
		c = PPM * pr.Limit
	case RowCash:
		c = -PPM * pr.Limit
	case RowPreempt:
		c = PPM * pr.Limit
		for _, j := range p.Jobs {
			if j.Current != None {
				c -= PPM
			}
		}
	}
	if in.wide == nil {
		in.wide = make([][]int, len(p.Classes))
	}
	for i, cl := range p.Classes {
		if !inScope(p, pr, i) {
			continue
		}
		in.scope[i] = append(in.scope[i], r)
		in.wide[i] = append(in.wide[i], r)
		switch {
		case pr.Kind == RowShare && pr.Measure == MeasureOwned:
			c -= pr.sign() * pr.SharePPM * cl.Devices
		case pr.Kind == RowPower:
			c -= PPM * cl.Devices * cl.IdleWatts
		case pr.Kind == RowCash:
			c -= energyUnit * cl.Devices * cl.IdleWatts * p.Zones[cl.Zone].EnergyMicroPerKWh
		}
	}
	return c
}

// sign is -1 for a ceiling, so that every row reads "at least nothing".
func (r *Row) sign() int64 {
	if r.Sense == AtMost {
		return -1
	}
	return 1
}

// weight is the coefficient of a column of which u units count in a share.
func (r *Row) weight(counts bool, u int64) int64 {
	var w int64
	if counts {
		w = PPM
	}
	if r.Measure != MeasureOwned {
		w -= r.SharePPM
	}
	return r.sign() * w * u
}

// specialCell is the coefficient of one device on cell k in row r.
func (in *instance) specialCell(r, k int) int64 {
	pr, m := &in.p.Rows[r], &in.p.Mining[k]
	switch pr.Kind {
	case RowPower:
		return -PPM * in.cellW[k]
	case RowCash:
		var got int64
		if seen(pr.Coins, m.Coin) {
			got = m.GrossMicroPerHour * (PPM - m.HaircutPPM)
		}
		return got - energyUnit*in.cellW[k]*in.tariff(m.Class)
	case RowShare:
		u := int64(1)
		switch pr.Measure {
		case MeasurePower:
			u = m.WattsMeter
		case MeasureRevenue:
			u = m.GrossMicroPerHour
		}
		return pr.weight(pr.Part == PartMining || pr.Part == PartCoin && pr.Coin == m.Coin, u)
	}
	return 0
}

// specialOffer is the coefficient of offer f in row r.
func (in *instance) specialOffer(r, f int) int64 {
	p := in.p
	pr, o := &p.Rows[r], &p.Offers[f]
	switch pr.Kind {
	case RowPower:
		return -PPM * in.offW[f]
	case RowCash:
		return PPM*o.NetMicroPerHour - energyUnit*in.offW[f]*in.tariff(o.Class)
	case RowPreempt:
		if p.Jobs[o.Job].Current != None {
			return PPM
		}
		return 0
	}
	if pr.Part == PartCoin {
		return 0
	}
	u := o.Width
	switch pr.Measure {
	case MeasurePower:
		u = o.WattsMeter
	case MeasureRevenue:
		u = o.NetMicroPerHour
	}
	return pr.weight(pr.Part == PartJobs || pr.Part == PartTenant && pr.Tenant == p.Jobs[o.Job].Tenant, u)
}

func (in *instance) tariff(class int) int64 {
	return in.p.Zones[in.p.Classes[class].Zone].EnergyMicroPerKWh
}

// absolute tells the kinds that hold a quantity against Limit.
func (r *Row) absolute() bool {
	return r.Kind == RowPower || r.Kind == RowCash || r.Kind == RowPreempt
}

// wanted is what the report of a row calls its target, in ppm of its base.
func (r *Row) wanted() int64 {
	if r.absolute() {
		return PPM
	}
	return r.SharePPM
}

// constantBase tells the rows whose share is of the same whole in every plan.
func (r *Row) constantBase() bool {
	return r.absolute() || r.Measure == MeasureOwned && r.Kind != RowCoin
}

// nearest is the share of a row alone in its tier that no plan can better, given
// what the tier must miss.
func (r *Row) nearest(best, base, must int64) int64 {
	if must <= 0 {
		return best
	}
	line := base * r.wanted() // a count, watts or money, each times PPM: Validate keeps them in int64
	if r.Sense == AtMost {
		return max(best, ratio(ceilDiv(line+must, PPM), base))
	}
	return min(best, ratio(floorDiv(line-must, PPM), base))
}

// shareOf adds up what counts towards share r or, with all, what it is a share
// of.
func (in *instance) shareOf(s *state, r int, all bool) int64 {
	p, pr := in.p, &in.p.Rows[r]
	var sum int64
	if all && pr.Measure == MeasureOwned {
		for c := range p.Classes {
			if seen(in.scope[c], r) {
				sum += p.Classes[c].Devices
			}
		}
		return sum
	}
	for k, n := range s.count {
		m := &p.Mining[k]
		if n == 0 || !seen(in.scope[m.Class], r) || !all && pr.Part != PartMining && (pr.Part != PartCoin || pr.Coin != m.Coin) {
			continue
		}
		switch pr.Measure {
		case MeasurePower:
			sum += n * m.WattsMeter
		case MeasureRevenue:
			sum += n * m.GrossMicroPerHour
		default:
			sum += n
		}
	}
	for j, f := range s.offer {
		if f == None || pr.Part == PartCoin || !seen(in.scope[p.Offers[f].Class], r) || !all && pr.Part != PartJobs && (pr.Part != PartTenant || pr.Tenant != p.Jobs[j].Tenant) {
			continue
		}
		switch o := &p.Offers[f]; pr.Measure {
		case MeasurePower:
			sum += o.WattsMeter
		case MeasureRevenue:
			sum += o.NetMicroPerHour
		default:
			sum += o.Width
		}
	}
	return sum
}
