package decide

// state is a plan under construction with running totals, so that a change
// costs only the rows it touches.
type state struct {
	in    *instance
	count []int64 // per cell
	offer []int   // per job, or None
	usedC []int64
	usedW []int64 // per capped zone, above idle
	usedT []int64 // per tenant
	moves int64
	act   []int64 // per soft row: c + coefficients; negative is a shortfall
	value int64   // above base
	runs  [][]int // per class: offers running there
	gross []int64 // per coin, micro per hour
	// coinCap, when set, replaces the coin rows by plain capacities.
	coinCap []int64
	log     []change
	undo    bool // keep the log
}

// change is one step, kept so that a trial can be taken back.
type change struct {
	cell, job int
	d         int64
	offer     int
}

func newState(in *instance) *state {
	p := in.p
	s := &state{in: in, count: make([]int64, len(p.Mining)), offer: make([]int, len(p.Jobs)),
		usedC: make([]int64, len(p.Classes)), usedW: make([]int64, len(p.Zones)),
		usedT: make([]int64, p.Tenants), act: make([]int64, len(p.Rows)), runs: make([][]int, len(p.Classes))}
	s.gross = make([]int64, p.Coins)
	for j := range s.offer {
		s.offer[j] = None
		s.value += in.out[j]
	}
	for r := range in.rows {
		s.act[r] = in.rows[r].c
	}
	return s
}

func (s *state) clone() *state {
	t := *s
	t.count, t.offer = append([]int64(nil), s.count...), append([]int(nil), s.offer...)
	t.usedC, t.usedW = append([]int64(nil), s.usedC...), append([]int64(nil), s.usedW...)
	t.usedT, t.act = append([]int64(nil), s.usedT...), append([]int64(nil), s.act...)
	t.gross = append([]int64(nil), s.gross...)
	t.runs = make([][]int, len(s.runs))
	for c := range s.runs {
		t.runs[c] = append([]int(nil), s.runs[c]...)
	}
	return &t
}

// cellValue is what n devices on cell k are worth: staying devices first.
func (in *instance) cellValue(k int, n int64) int64 {
	stay := min(n, in.p.Mining[k].Current)
	return stay*in.keep[k] + (n-stay)*in.enter[k]
}

// add and put are addCell and setOffer with a note for rollback.
func (s *state) add(k int, d int64) {
	if s.undo && d != 0 {
		s.log = append(s.log, change{cell: k, job: None, d: d})
	}
	s.addCell(k, d)
}

func (s *state) put(j, f int) {
	if s.undo {
		s.log = append(s.log, change{job: j, offer: s.offer[j]})
	}
	s.setOffer(j, f)
}

// rollback takes back what was done since the log had mark entries.
func (s *state) rollback(mark int) {
	for i := len(s.log) - 1; i >= mark; i-- {
		if e := s.log[i]; e.job == None {
			s.addCell(e.cell, -e.d)
		} else {
			s.setOffer(e.job, e.offer)
		}
	}
	s.log = s.log[:mark]
}

func (s *state) addCell(k int, d int64) {
	if d == 0 {
		return
	}
	in := s.in
	m := &in.p.Mining[k]
	old := s.count[k]
	s.value += in.cellValue(k, old+d) - in.cellValue(k, old)
	s.moves += max(0, old+d-m.Current) - max(0, old-m.Current)
	s.count[k] += d
	s.gross[m.Coin] += d * m.GrossMicroPerHour
	s.usedC[m.Class] += d
	for _, z := range in.above[m.Class] {
		s.usedW[z] += d * in.cellW[k]
	}
	for _, r := range in.scope[m.Class] {
		s.act[r] += d * in.cellRow(r, k)
	}
	for _, r := range in.coins {
		s.act[r] += d * in.cellRow(r, k)
	}
}

// setOffer moves job j to offer f or None.
func (s *state) setOffer(j, f int) {
	if old := s.offer[j]; old != None {
		s.shift(j, old, -1)
		list := s.runs[s.in.p.Offers[old].Class]
		for i, x := range list {
			if x == old {
				list[i] = list[len(list)-1]
				s.runs[s.in.p.Offers[old].Class] = list[:len(list)-1]
				break
			}
		}
		s.value += s.in.out[j]
	}
	if f != None {
		s.shift(j, f, 1)
		c := s.in.p.Offers[f].Class
		s.runs[c] = append(s.runs[c], f)
		s.value -= s.in.out[j]
	}
	s.offer[j] = f
}

func (s *state) shift(j, f int, d int64) {
	in := s.in
	o := &in.p.Offers[f]
	s.value += d * in.value[f]
	s.usedC[o.Class] += d * o.Width
	s.usedT[in.p.Jobs[j].Tenant] += d * o.Width
	if in.p.Jobs[j].Current != f {
		s.moves += d * o.Width
	}
	for _, z := range in.above[o.Class] {
		s.usedW[z] += d * in.offW[f]
	}
	for _, r := range in.scope[o.Class] {
		s.act[r] += d * in.offerRow(r, f)
	}
}

// roomCell is how many more devices cell k can take within the hard limits.
func (s *state) roomCell(k int) int64 {
	in := s.in
	m := &in.p.Mining[k]
	n := min(in.limit[k]-s.count[k], in.p.Classes[m.Class].Devices-s.usedC[m.Class])
	if w := in.cellW[k]; w > 0 {
		for _, z := range in.above[m.Class] {
			n = min(n, (in.capZ[z]-s.usedW[z])/w)
		}
	}
	if cap := in.p.Policy.MaxMoves; cap > 0 {
		n = min(n, max(0, m.Current-s.count[k])+cap-s.moves)
	}
	return max(0, n)
}

// fits tells whether offer f could be added for its job, now without one,
// within the hard limits.
func (s *state) fits(f int) bool {
	c := s.in.p.Offers[f].Class
	return s.holds(f) && (!s.in.gangs[c] || s.in.packs(c, append(append(make([]int, 0, len(s.runs[c])+1), s.runs[c]...), f)))
}

// holds is fits without the packing of nodes.
func (s *state) holds(f int) bool {
	in := s.in
	o := &in.p.Offers[f]
	j := &in.p.Jobs[o.Job]
	if !in.usable[f] || s.usedC[o.Class]+o.Width > in.p.Classes[o.Class].Devices {
		return false
	}
	for _, z := range in.above[o.Class] {
		if s.usedW[z]+in.offW[f] > in.capZ[z] {
			return false
		}
	}
	for _, r := range in.tenRow[j.Tenant] {
		if s.usedT[j.Tenant]+o.Width > in.p.Rows[r].Limit {
			return false
		}
	}
	if cap := in.p.Policy.MaxMoves; cap > 0 && j.Current != f && s.moves+o.Width > cap {
		return false
	}
	return true
}

func (s *state) shorts() []int64 {
	out := make([]int64, len(s.in.tiers))
	for r := range s.in.rows {
		if cr := &s.in.rows[r]; cr.soft && s.act[r] < 0 {
			out[cr.tier] -= s.act[r]
		}
	}
	return out
}

// better orders plans: shortfalls tier by tier, then profit.
func better(shortA []int64, valueA int64, shortB []int64, valueB int64) bool {
	for t := range shortA {
		if shortA[t] != shortB[t] {
			return shortA[t] < shortB[t]
		}
	}
	return valueA > valueB
}

func (s *state) plan() Plan {
	pl := Plan{Cells: make([]CellPlan, len(s.count)), Jobs: append([]int{}, s.offer...)}
	for k, n := range s.count {
		stay := min(n, s.in.p.Mining[k].Current)
		pl.Cells[k] = CellPlan{Keep: stay, Enter: n - stay}
	}
	return pl
}

// load puts a plan into an empty state; false when it breaks a hard limit or a
// promise of the instance.
func (s *state) load(pl *Plan) bool {
	in := s.in
	for j, f := range pl.Jobs {
		if f != None && !s.holds(f) {
			return false
		}
		if in.must[j] && f != in.p.Jobs[j].Current {
			return false
		}
		if f != None {
			s.setOffer(j, f)
		}
	}
	for c := range s.runs { // the order of arrival must not matter
		if in.gangs[c] && !in.packs(c, s.runs[c]) {
			return false
		}
	}
	for k, c := range pl.Cells {
		n := c.Keep + c.Enter
		if n < in.lock[k] || n > s.roomCell(k) {
			return false
		}
		s.addCell(k, n)
	}
	return true
}
