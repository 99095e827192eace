package decide

import (
	"encoding/json"
	"math"
	"slices"
)

var inf = math.Inf(1)

// Warm carries prices, plan and basis from one round to the next. It is opaque
// and never changed after Solve returned it; JSON keeps it across a restart.
// Everything in it is named by what it means, so that jobs, options and rows may
// come and go between two rounds.
type Warm struct{ s stored }

// stored is what Warm keeps. What stands for jobs, cells, rows and places is in
// the order of the lists that name them.
type stored struct {
	Zones   int       `json:"zones"`
	Classes int       `json:"classes"`
	Cells   []cellID  `json:"cells"`
	Jobs    []uint64  `json:"jobs"` // Job.Key
	Rows    []rowID   `json:"rows"`
	Places  []placeID `json:"places"`
	Kinds   []kindID  `json:"kinds"`

	Duals  Duals      `json:"duals"`
	Plan   []CellPlan `json:"plan"`
	Runs   []int32    `json:"runs"` // per job: kind of its offer, or None
	Shorts []int64    `json:"shorts"`
	Room   []int64    `json:"room,omitempty"` // what shortfalls stood against; nil where there were none

	Offers uint64 `json:"offers,omitempty"` // print of the offers that Room and Tree speak of

	Basis   *relaxBasis `json:"basis,omitempty"` // of the relaxation; nil when it was not solved
	Settled int64       `json:"settled_ppm,omitempty"`

	// Tree is of the last proof by cases, if any. It names offers by position and
	// is dropped as soon as anything has another position.
	Tree []TreeNode `json:"tree,omitempty"`
}

type cellID struct {
	Class  int `json:"c"`
	Option int `json:"o"`
}

type rowID struct {
	Kind    RowKind `json:"kind"`
	Sense   Sense   `json:"sense"`
	Measure Measure `json:"measure,omitempty"`
	Part    Part    `json:"part,omitempty"`
	Tier    int     `json:"tier"`
	Coin    int     `json:"coin"`
	Tenant  int     `json:"tenant"`
	Scope   int     `json:"scope"` // zones and classes named
	Nth     int     `json:"nth"`   // of those alike
}

type placeID struct {
	Class int   `json:"c"`
	Whole bool  `json:"w,omitempty"`
	Unit  int64 `json:"u"`
}

type kindID struct {
	Class   int   `json:"c"`
	Width   int64 `json:"w"`
	PerNode int64 `json:"p,omitempty"`
}

// MarshalJSON writes the state for the next round.
func (w *Warm) MarshalJSON() ([]byte, error) { return json.Marshal(w.s) }

// UnmarshalJSON reads what MarshalJSON wrote. Figures that make no sense only
// cost time: Solve proves every answer afresh.
func (w *Warm) UnmarshalJSON(b []byte) error {
	var s stored
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	w.s = s
	return nil
}

// store keeps what the next round can start from. The tree must be its own.
func store(in *instance, duals Duals, pl *Plan, short []int64, tree []TreeNode) *Warm {
	p := in.p
	s := stored{Zones: len(p.Zones), Classes: len(p.Classes), Cells: make([]cellID, len(p.Mining)), Jobs: make([]uint64, len(p.Jobs)),
		Rows: rowIDs(p), Duals: duals, Plan: pl.Cells, Runs: make([]int32, len(p.Jobs)), Shorts: short, Tree: tree}
	for k, m := range p.Mining {
		s.Cells[k] = cellID{m.Class, m.Option}
	}
	for j := range p.Jobs {
		s.Jobs[j], s.Runs[j] = p.Jobs[j].Key, None
		if f := pl.Jobs[j]; f != None {
			s.Runs[j] = in.kind[f]
		}
	}
	for _, n := range in.places {
		s.Places = append(s.Places, placeID{n.class, n.whole, n.t})
	}
	for _, k := range in.kinds {
		s.Kinds = append(s.Kinds, kindID{k.class, k.width, k.perNode})
	}
	if anyPositive(short) {
		s.Room = in.roomOf()
	}
	if s.Room != nil || len(tree) > 0 {
		s.Offers = in.offersPrint()
	}
	return &Warm{s}
}

func rowIDs(p *Problem) []rowID {
	out := make([]rowID, len(p.Rows))
	alike := map[rowID]int{}
	for r, x := range p.Rows {
		out[r] = rowID{Kind: x.Kind, Sense: x.Sense, Measure: x.Measure, Part: x.Part, Tier: x.Tier, Coin: x.Coin, Tenant: x.Tenant, Scope: len(x.Zones)<<16 + len(x.Classes)}
		n := alike[out[r]]
		alike[out[r]] = n + 1
		out[r].Nth = n
	}
	return out
}

// start is a Warm translated into the positions of the problem at hand.
type start struct {
	duals   Duals
	plan    Plan
	shorts  []int64
	room    []int64
	basis   *relaxBasis
	settled int64
	tree    []TreeNode
	ended   bool   // a job that ran is gone
	whole   bool   // all that the old plan does can still be done
	fresh   []bool // per job: not known last time; nil when there are none
}

// carry translates w for an instance; nil when classes or zones are others, or
// a figure cannot be right.
func (w *Warm) carry(in *instance) *start {
	p, s := in.p, &w.s
	if s.Zones != len(p.Zones) || s.Classes != len(p.Classes) || !s.sound() {
		return nil
	}
	ids := make([]cellID, len(p.Mining))
	for k, m := range p.Mining {
		ids[k] = cellID{m.Class, m.Option}
	}
	cell, job := match(s.Cells, ids), match(s.Jobs, keysOf(p))
	if job != nil && !slices.ContainsFunc(p.Jobs, func(j Job) bool { return j.Key != 0 }) {
		for j := range job { // by position
			if job[j] = j; j >= len(p.Jobs) {
				job[j] = None
			}
		}
	}
	row := match(s.Rows, rowIDs(p))
	places := make([]placeID, len(in.places))
	for i, n := range in.places {
		places[i] = placeID{n.class, n.whole, n.t}
	}
	place := match(s.Places, places)
	x := &start{shorts: s.Shorts, settled: s.Settled, whole: true}
	if cell == nil && job == nil && row == nil && (s.Room != nil || len(s.Tree) > 0) && s.Offers == in.offersPrint() {
		x.room = s.Room
		if place == nil {
			x.tree = s.Tree
		}
	}
	x.duals = Duals{Class: s.Duals.Class, Zone: s.Duals.Zone, Row: moved(s.Duals.Row, row, len(p.Rows)),
		Place: moved(s.Duals.Place, place, len(places)), Moves: s.Duals.Moves}
	x.plan = Plan{Cells: moved(s.Plan, cell, len(p.Mining)), Jobs: make([]int, len(p.Jobs))}
	kinds := make([]kindID, len(in.kinds))
	for i, k := range in.kinds {
		kinds[i] = kindID{k.class, k.width, k.perNode}
		if k.held != None {
			kinds[i].Class = None - 1 // found through its job
		}
	}
	kind := match(s.Kinds, kinds)
	known := make([]bool, len(p.Jobs))
	for j := range x.plan.Jobs {
		x.plan.Jobs[j] = None
	}
	for old, k := range s.Runs {
		j := to(job, old)
		if j == None { // it ended
			x.ended = x.ended || k != None
			continue
		}
		known[j] = true
		if k == None {
			continue
		}
		f := in.offerOf(j, s.Kinds[k], to(kind, int(k)))
		x.plan.Jobs[j] = f
		x.whole = x.whole && f != None
	}
	for j := range known {
		if !known[j] {
			if x.fresh == nil {
				x.fresh = make([]bool, len(p.Jobs))
			}
			x.fresh[j] = true
		}
	}
	for k, n := range s.Plan {
		x.whole = x.whole && (to(cell, k) != None || n.Keep+n.Enter == 0)
	}
	if s.Basis != nil {
		x.basis = s.Basis.carry(in, s, cell, job, row, place, kind)
	}
	return x
}

// sound tells whether the lists belong together and the figures are possible.
func (s *stored) sound() bool {
	d := &s.Duals
	if len(d.Class) != s.Classes || len(d.Zone) != s.Zones || len(d.Row) != len(s.Rows) || len(d.Place) != len(s.Places) ||
		len(s.Plan) != len(s.Cells) || len(s.Runs) != len(s.Jobs) || d.Moves < 0 || d.Moves > maxDual {
		return false
	}
	for _, x := range [][]int64{d.Class, d.Zone, d.Row, d.Place} {
		for _, v := range x {
			if v < 0 || v > maxZone {
				return false
			}
		}
	}
	for _, k := range s.Runs {
		if k != None && (k < 0 || int(k) >= len(s.Kinds)) {
			return false
		}
	}
	for _, c := range s.Plan {
		if c.Keep < 0 || c.Enter < 0 || c.Keep > MaxCount || c.Enter > MaxCount {
			return false
		}
	}
	return true
}

// offersPrint tells the offers of one problem from those of another. Equal
// prints of unequal lists would only make a round hold a plan too long.
func (in *instance) offersPrint() uint64 {
	h := splitmix(len(in.p.Offers))
	for i := range in.p.Offers {
		o := &in.p.Offers[i]
		h = splitmix(uint64(h) ^ uint64(o.Job)<<40 ^ uint64(o.Class)<<20 ^ uint64(o.Width))
		h = splitmix(h.next())
	}
	return uint64(h)
}

func keysOf(p *Problem) []uint64 {
	out := make([]uint64, len(p.Jobs))
	for j := range p.Jobs {
		out[j] = p.Jobs[j].Key
	}
	return out
}

// match says for each old name where it stands now, or None; nil when all names
// stand where they stood.
func match[T comparable](old, now []T) []int {
	if slices.Equal(old, now) {
		return nil
	}
	at := make(map[T]int, len(now))
	for i := len(now) - 1; i >= 0; i-- { // of equal names the first counts
		at[now[i]] = i
	}
	out := make([]int, len(old))
	for i, x := range old {
		n, ok := at[x]
		out[i] = n
		if !ok {
			out[i] = None
		}
	}
	return out
}

func to(m []int, i int) int {
	if m == nil {
		return i
	}
	return m[i]
}

// moved puts figures where their names stand now.
func moved[T any](old []T, m []int, n int) []T {
	if m == nil {
		return old
	}
	out := make([]T, n)
	for i, x := range old {
		if m[i] != None {
			out[m[i]] = x
		}
	}
	return out
}

// offerOf finds the usable offer of job j of a kind, or None.
func (in *instance) offerOf(j int, id kindID, kind int) int {
	if f := in.p.Jobs[j].Current; f != None && in.usable[f] {
		if k := &in.kinds[in.kind[f]]; k.class == id.Class && k.width == id.Width && k.perNode == id.PerNode {
			return f
		}
	}
	if kind == None {
		return None
	}
	for i, k := range in.kind[in.offLo[j]:in.offLo[j+1]] {
		if int(k) == kind {
			return in.offLo[j] + i
		}
	}
	return None
}

func (d Duals) clone() Duals {
	return Duals{Class: append([]int64{}, d.Class...), Zone: append([]int64{}, d.Zone...),
		Row: append([]int64{}, d.Row...), Place: append([]int64{}, d.Place...), Moves: d.Moves}
}

func (x *start) short(tier int) int64 {
	if tier < len(x.shorts) {
		return x.shorts[tier]
	}
	return 0
}

// roomOf lists what limits a plan, each so that more is more freedom. A plan
// that misses a target is as good as any only while nothing of it grows: the
// proof of a held plan speaks of profit at that shortfall, not of the shortfall.
func (in *instance) roomOf() []int64 {
	p := in.p
	out := make([]int64, 0, len(p.Mining)+2*len(p.Jobs)+len(p.Classes)+len(p.Zones)+len(p.Rows)+len(p.Offers))
	for k := range p.Mining {
		out = append(out, -in.lock[k])
	}
	flag := func(b bool) {
		n := int64(0)
		if b {
			n = 1
		}
		out = append(out, n)
	}
	for j := range p.Jobs {
		flag(!in.must[j])
		flag(p.Jobs[j].Current == None) // one that ended left its devices
	}
	for f := range p.Offers {
		flag(in.usable[f])
	}
	for _, c := range p.Classes {
		out = append(out, c.Devices)
	}
	for _, w := range in.capZ {
		if w < 0 {
			w = math.MaxInt64 // no cap
		}
		out = append(out, w)
	}
	for _, r := range p.Rows {
		limit := r.Limit
		if r.Sense == AtLeast {
			limit = -limit
		}
		out = append(out, limit, -r.sign()*r.SharePPM)
	}
	return out
}

// roomier reports whether a shortfall of the last plan may be avoidable by now.
func (x *start) roomier(in *instance) bool {
	for r := range in.rows {
		if money := in.p.Rows[r].Kind == RowCash || in.p.Rows[r].Measure == MeasureRevenue; money && x.short(in.rows[r].tier) > 0 {
			return true // prices are its room, and those move all the time
		}
	}
	now := in.roomOf()
	if len(now) != len(x.room) || in.p.Policy.MaxMoves > 0 {
		return true
	}
	for i := range now {
		if now[i] > x.room[i] {
			return true
		}
	}
	return false
}
