package decide

// Code is the reason in one line of an Explanation.
type Code string

// The codes, in the order in which reasons are looked for; the first that
// applies is given.
const (
	CodeEligibility Code = "ELIGIBILITY" // no offer for this class at all
	CodeNoFit       Code = "NO_FIT"      // Need devices together, the best place has Have
	CodePrice       Code = "PRICE"       // earns less than its devices, watts and shares cost
	CodeStable      Code = "STABLE"      // better, but the switch does not pay back within the horizon
	CodeQuota       Code = "QUOTA"       // a tenant, coin, share or power limit (Row or Zone) is full
	CodeIntegrality Code = "INTEGRALITY" // pays at the prices, but would push out more than it brings
	CodeHeld        Code = "HELD"        // the plan is proven close enough and was not searched again
	CodeRunning     Code = "RUNNING"     // it does run
	CodeNow         Code = "NOW"         // what the device does
	CodePark        Code = "PARK"        // when the device would park
	CodeBid         Code = "BID"         // the bid at which the job would pay
)

// Query asks about a device, by its class and mining cell (None: parked), or
// about a job. With both, it asks why the device does not run the job.
type Query struct {
	Device bool `json:"device"`
	Class  int  `json:"class"`
	Cell   int  `json:"cell"`
	Job    int  `json:"job"` // or None
}

// Explanation is a ledger of typed lines; texts are the caller's business.
type Explanation struct {
	Lines []Line `json:"lines"`
}

// Line is one step. References that do not apply are None. Money is micro per
// hour, of one device for cells and of the whole offer for jobs.
type Line struct {
	Code           Code  `json:"code"`
	Cell           int   `json:"cell"`
	Job            int   `json:"job"`
	Offer          int   `json:"offer"`
	Row            int   `json:"row"`
	Zone           int   `json:"zone"`
	Gross          int64 `json:"gross"`
	Risk           int64 `json:"risk"`
	Energy         int64 `json:"energy"`          // of all watts, idle draw included
	Net            int64 `json:"net"`             // gross - risk - energy
	Resources      int64 `json:"resources"`       // what devices, watts, places and shares cost at posted prices
	Shortfall      int64 `json:"shortfall"`       // by how much it misses
	SwitchMicro    int64 `json:"switch_micro"`    // one-off
	PaybackMinutes int64 `json:"payback_minutes"` // negative: never
	HorizonMinutes int64 `json:"horizon_minutes"`
	Need           int64 `json:"need"` // devices
	Have           int64 `json:"have"`
	BidMicro       int64 `json:"bid_micro"`                // PRICE, BID: break-even per device and hour
	ParkBelowGross int64 `json:"park_below_gross"`         // PARK: micro per hour
	ParkAboveKWh   int64 `json:"park_above_micro_per_kwh"` // PARK; negative: never
}

func blank(code Code) Line {
	return Line{Code: code, Cell: None, Job: None, Offer: None, Row: None, Zone: None}
}

// Explain gives the reasons behind one device or job of a verified result: what
// it does, the best alternative that was rejected and why, and the thresholds
// that would change it. Unknown references give no lines.
func Explain(p *Problem, r *Result, q Query) Explanation {
	return NewExplainer(p, r).Explain(q)
}

// Explainer answers many queries about one result: the problem is compiled once.
// It must not be used by two goroutines at a time.
type Explainer struct{ x *explainer }

// NewExplainer prepares to explain a result of Solve for p.
func NewExplainer(p *Problem, r *Result) *Explainer {
	x := &explainer{p: p, r: r, in: compile(p)}
	x.s = newState(x.in)
	if len(r.Plan.Cells) != len(p.Mining) || len(r.Plan.Jobs) != len(p.Jobs) || len(r.Cert.Duals.Class) != len(p.Classes) || !x.s.load(&r.Plan) {
		return &Explainer{}
	}
	return &Explainer{x}
}

// Explain answers one query, as the function of that name does.
func (e *Explainer) Explain(q Query) Explanation {
	x := e.x
	if x == nil {
		return Explanation{}
	}
	x.lines = nil
	p := x.p
	jobOK := q.Job >= 0 && q.Job < len(p.Jobs)
	if q.Device {
		if q.Class < 0 || q.Class >= len(p.Classes) || q.Cell >= len(p.Mining) || (q.Cell >= 0 && p.Mining[q.Cell].Class != q.Class) {
			return Explanation{}
		}
		x.device(q.Class, max(q.Cell, None))
		if jobOK {
			x.job(q.Job, q.Class)
		}
		x.parks(max(q.Cell, None))
	} else if jobOK {
		x.job(q.Job, None)
	}
	return Explanation{Lines: x.lines}
}

type explainer struct {
	p     *Problem
	r     *Result
	in    *instance
	s     *state
	lines []Line
}

// cellLine is a device's ledger on cell k, or parked.
func (x *explainer) cellLine(code Code, class, k int) Line {
	l := blank(code)
	l.Cell, l.HorizonMinutes = k, x.p.Policy.HorizonMinutes
	tariff := x.p.Zones[x.p.Classes[class].Zone].EnergyMicroPerKWh
	watts := x.p.Classes[class].IdleWatts
	if k != park {
		m := x.p.Mining[k]
		l.Gross = m.GrossMicroPerHour
		l.Risk = ceilDiv(m.GrossMicroPerHour*m.HaircutPPM, PPM)
		watts = m.WattsMeter
	}
	l.Energy = ceilDiv(watts*tariff, 1000)
	l.Net = l.Gross - l.Risk - l.Energy
	return l
}

// device says what it earns now and why not the best alternative.
func (x *explainer) device(class, cell int) {
	in, s := x.in, x.s
	now := x.cellLine(CodeNow, class, cell)
	x.lines = append(x.lines, now)
	best := blank(CodePrice)
	found := false
	for k := in.cellLo[class] - 1; k < in.cellLo[class+1]; k++ {
		to := k
		if k < in.cellLo[class] {
			to = park
		}
		if to == cell || (to != park && in.limit[to] == 0) {
			continue
		}
		l := x.cellLine(CodePrice, class, to)
		if to != park {
			l.SwitchMicro = x.p.Mining[to].EnterMicro
		}
		if !found || l.Net > best.Net {
			best, found = l, true
		}
	}
	if !found {
		return
	}
	gain := best.Net - now.Net
	best.Shortfall = max(0, -gain)
	best.PaybackMinutes = -1
	if gain > 0 {
		best.PaybackMinutes = mulDivCeil(best.SwitchMicro, 60, gain)
		switch {
		case best.PaybackMinutes > best.HorizonMinutes:
			best.Code = CodeStable
		case x.r.Stage == StageHeld:
			best.Code = CodeHeld
		case s.most(class, cell, best.Cell, true) == 0:
			best.Code, best.Zone = CodeQuota, x.fullZone(class)
		case x.tightRow(class, cell, best.Cell) != None:
			best.Code, best.Row = CodeQuota, x.tightRow(class, cell, best.Cell)
		default:
			best.Code = CodeIntegrality
		}
	}
	x.lines = append(x.lines, best)
}

// fullZone is the nearest zone above a class whose cap has least room.
func (x *explainer) fullZone(class int) int {
	at := None
	for _, z := range x.in.above[class] {
		if at == None || x.in.capZ[z]-x.s.usedW[z] < x.in.capZ[at]-x.s.usedW[at] {
			at = z
		}
	}
	return at
}

// tightRow is the soft row that forbids one more device to go from a to b.
func (x *explainer) tightRow(class, a, b int) int {
	for _, list := range [2][]int{x.in.scope[class], x.in.coins} {
		for _, r := range list {
			if d := x.in.rowAt(r, b) - x.in.rowAt(r, a); d < 0 && x.s.act[r]+d < 0 {
				return r
			}
		}
	}
	return None
}

// parks gives the gross and the tariff at which a mining device would park.
func (x *explainer) parks(cell int) {
	if cell == park {
		return
	}
	m := x.p.Mining[cell]
	tariff := x.p.Zones[x.p.Classes[m.Class].Zone].EnergyMicroPerKWh
	l := blank(CodePark)
	l.Cell, l.ParkAboveKWh = cell, -1
	above := x.in.cellW[cell]
	if m.HaircutPPM < PPM {
		l.ParkBelowGross = ceilDiv(max(0, above*tariff)*1000, PPM-m.HaircutPPM)
	}
	if above > 0 {
		l.ParkAboveKWh = m.GrossMicroPerHour * (PPM - m.HaircutPPM) / 1000 / above
	}
	x.lines = append(x.lines, l)
}

// job explains one job, on one class or (class None) on the class where it
// comes closest.
func (x *explainer) job(j, class int) {
	p, in := x.p, x.in
	if f := x.r.Plan.Jobs[j]; f != None && (class == None || p.Offers[f].Class == class) {
		l := x.offerLine(CodeRunning, f)
		x.lines = append(x.lines, l)
		return
	}
	best, found := Line{}, false
	for f := in.offLo[j]; f < in.offLo[j+1]; f++ {
		if class != None && p.Offers[f].Class != class {
			continue
		}
		l := x.why(f)
		if !found || rank(l.Code) > rank(best.Code) || (rank(l.Code) == rank(best.Code) && l.Net-l.Resources > best.Net-best.Resources) {
			best, found = l, true
		}
	}
	if !found {
		best = blank(CodeEligibility)
		best.Job = j
		x.lines = append(x.lines, best)
		return
	}
	x.lines = append(x.lines, best)
	if best.Code != CodeEligibility {
		bid := x.offerLine(CodeBid, best.Offer)
		x.lines = append(x.lines, bid)
	}
}

// rank orders refusals by how close the job came.
func rank(c Code) int {
	for i, x := range []Code{CodeEligibility, CodeNoFit, CodePrice, CodeStable, CodeQuota, CodeIntegrality, CodeHeld} {
		if c == x {
			return i
		}
	}
	return -1
}

// offerLine is an offer's ledger at the posted prices.
func (x *explainer) offerLine(code Code, f int) Line {
	p := x.p
	o := p.Offers[f]
	l := blank(code)
	l.Offer, l.Job, l.Need, l.HorizonMinutes = f, o.Job, o.Width, p.Policy.HorizonMinutes
	l.Gross = o.NetMicroPerHour
	l.Energy = ceilDiv(o.WattsMeter*p.Zones[p.Classes[o.Class].Zone].EnergyMicroPerKWh, 1000)
	l.Net = l.Gross - l.Energy
	if cur := p.Jobs[o.Job].Current; cur != None && cur != f {
		l.SwitchMicro = p.Jobs[o.Job].MigrateMicro
		if p.Offers[cur].Class == o.Class {
			l.SwitchMicro = p.Jobs[o.Job].ResizeMicro
		}
	}
	l.Resources = x.resources(f)
	need := l.Resources + l.Energy - x.idleEnergy(f)
	if code == CodeBid || code == CodePrice {
		l.BidMicro = ceilDiv(max(0, need), o.Width)
	}
	l.Shortfall = max(0, need-l.Gross)
	return l
}

func (x *explainer) idleEnergy(f int) int64 {
	o := x.p.Offers[f]
	c := x.p.Classes[o.Class]
	return floorDiv(o.Width*c.IdleWatts*x.p.Zones[c.Zone].EnergyMicroPerKWh, 1000)
}

// resources is what offer f costs at the posted prices in micro per hour, the
// credit of share rows deducted, rounded up.
func (x *explainer) resources(f int) int64 {
	p, in, d := x.p, x.in, &x.r.Cert.Duals
	o := p.Offers[f]
	per := d.Class[o.Class]
	for _, r := range in.tenRow[p.Jobs[o.Job].Tenant] {
		per += d.Row[r]
	}
	var sum, t int128
	t.addMul(per, dualUnit)
	sum.add(t.times(o.Width))
	for _, z := range in.above[o.Class] {
		sum.addMul(d.Zone[z]*zoneUnit, in.offW[f])
	}
	for _, u := range in.placesAt(f) {
		if u.row < len(d.Place) {
			var q int128
			q.addMul(d.Place[u.row], dualUnit)
			sum.add(q.times(u.n))
		}
	}
	for _, r := range in.scope[o.Class] {
		sum.addMul(-d.Row[r], in.offerRow(r, f))
	}
	return ceilDiv(sum.divCeil(dualUnit), 1000)
}

// why finds the first reason against offer f, its job taken off where it is.
func (x *explainer) why(f int) Line {
	p, in := x.p, x.in
	o := p.Offers[f]
	s := x.s
	was := s.offer[o.Job]
	s.setOffer(o.Job, None)
	defer s.setOffer(o.Job, was)
	l := x.offerLine(CodeIntegrality, f)
	if !p.Classes[o.Class].Trainable {
		l.Code = CodeEligibility
		return l
	}
	if need, have, ok := x.fit(f); !ok {
		l.Code, l.Need, l.Have = CodeNoFit, need, have
		return l
	}
	full := None
	for _, r := range in.tenRow[p.Jobs[o.Job].Tenant] {
		if s.usedT[p.Jobs[o.Job].Tenant]+o.Width > p.Rows[r].Limit {
			full = r
		}
	}
	for _, z := range in.above[o.Class] {
		if in.offW[f] > in.capZ[z] {
			l.Code, l.Zone = CodeQuota, z
			return l
		}
	}
	switch {
	case l.Shortfall > 0 && full == None:
		l = x.offerLine(CodePrice, f)
	case l.SwitchMicro > 0 && was != None && in.value[f] < in.value[was] && in.value[f]+spread(l.SwitchMicro, p.Policy.HorizonMinutes) >= in.value[was]:
		l.Code = CodeStable
		l.PaybackMinutes = -1
		if gain := (in.value[f] + spread(l.SwitchMicro, p.Policy.HorizonMinutes) - in.value[was]) / 1000; gain > 0 {
			l.PaybackMinutes = mulDivCeil(l.SwitchMicro, 60, gain)
		}
	case full != None:
		l.Code, l.Row = CodeQuota, full
	case x.r.Stage == StageHeld:
		l.Code = CodeHeld
	}
	return l
}

// fit tells whether the gang could stand beside the gangs of the plan if all
// mining gave way; else how many devices it needs together and the most there
// are.
func (x *explainer) fit(f int) (need, have int64, ok bool) {
	p, in, s := x.p, x.in, x.s
	o := p.Offers[f]
	cl := p.Classes[o.Class]
	have = cl.Devices
	for _, g := range s.runs[o.Class] {
		have -= p.Offers[g].Width
	}
	for k := in.cellLo[o.Class]; k < in.cellLo[o.Class+1]; k++ {
		have -= in.lock[k]
	}
	if o.Width > have {
		return o.Width, max(0, have), false
	}
	list := append(append([]int{}, s.runs[o.Class]...), f)
	if len(cl.Nodes) == 0 || in.packs(o.Class, list) {
		return o.Width, have, true
	}
	// The room on the best node, by asking for ever fewer devices.
	for n := o.PerNode; n > 0; n-- {
		if in.packsWith(o.Class, s.runs[o.Class], n) {
			return o.PerNode, n, false
		}
	}
	return max(1, o.PerNode), 0, false
}
