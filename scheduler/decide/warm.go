package decide

import (
	"encoding/json"
	"math"
	"slices"
)

var inf = math.Inf(1)

// Warm carries prices and plan from one round to the next. It is opaque and
// never changed after Solve returned it; JSON keeps it across a restart.
type Warm struct {
	duals  Duals
	plan   Plan
	shorts []int64
	shape  []int
	room   []int64     // what shortfalls stood against; nil where there were none
	basis  *relaxBasis // of the relaxation; nil when it was not solved

	settled int64 // gap after the last dive, ppm

	tree []TreeNode // of the last proof by cases, if any
}

type warmJSON struct {
	Duals  Duals   `json:"duals"`
	Plan   Plan    `json:"plan"`
	Shorts []int64 `json:"shorts"`
	Shape  []int   `json:"shape"`
	Room   []int64 `json:"room,omitempty"`

	Basis *relaxBasis `json:"basis,omitempty"`

	Settled int64 `json:"settled_ppm,omitempty"`

	Tree []TreeNode `json:"tree,omitempty"`
}

// MarshalJSON writes the state for the next round.
func (w *Warm) MarshalJSON() ([]byte, error) {
	return json.Marshal(warmJSON{w.duals, w.plan, w.shorts, w.shape, w.room, w.basis, w.settled, w.tree})
}

// UnmarshalJSON reads what MarshalJSON wrote. Figures that make no sense only
// cost time: Solve proves every answer afresh.
func (w *Warm) UnmarshalJSON(b []byte) error {
	var x warmJSON
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	*w = Warm{x.Duals, x.Plan, x.Shorts, x.Shape, x.Room, x.Basis, x.Settled, x.Tree}
	return nil
}

// shapeOf lists what positions mean in a problem; prices and plan of another
// shape cannot be carried over.
func shapeOf(p *Problem) []int {
	out := []int{len(p.Zones), len(p.Classes), len(p.Mining), len(p.Jobs), len(p.Offers), len(p.Rows), p.Coins, p.Tenants}
	for _, m := range p.Mining {
		out = append(out, m.Class, m.Option)
	}
	for _, o := range p.Offers {
		out = append(out, o.Job, o.Class, int(o.Width))
	}
	for _, r := range p.Rows {
		out = append(out, len(r.Kind), len(r.Sense), len(r.Measure), r.Tier, r.Coin, r.Tenant)
	}
	return out
}

func (w *Warm) suits(p *Problem) bool {
	d := &w.duals
	if !slices.Equal(w.shape, shapeOf(p)) || len(d.Class) != len(p.Classes) || len(d.Zone) != len(p.Zones) ||
		len(d.Row) != len(p.Rows) || len(d.Place) > len(p.Offers) || len(w.plan.Cells) != len(p.Mining) || len(w.plan.Jobs) != len(p.Jobs) || d.Moves < 0 || d.Moves > maxDual {
		return false
	}
	for _, x := range [][]int64{d.Class, d.Zone, d.Row, d.Place} {
		for _, v := range x {
			if v < 0 || v > maxZone {
				return false
			}
		}
	}
	for j, f := range w.plan.Jobs {
		if f != None && (f < 0 || f >= len(p.Offers) || p.Offers[f].Job != j) {
			return false
		}
	}
	for _, c := range w.plan.Cells {
		if c.Keep < 0 || c.Enter < 0 || c.Keep > MaxCount || c.Enter > MaxCount {
			return false
		}
	}
	return true
}

func (w *Warm) short(tier int) int64 {
	if tier < len(w.shorts) {
		return w.shorts[tier]
	}
	return 0
}

func (d Duals) clone() Duals {
	return Duals{Class: append([]int64{}, d.Class...), Zone: append([]int64{}, d.Zone...),
		Row: append([]int64{}, d.Row...), Place: append([]int64{}, d.Place...), Moves: d.Moves}
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
func (w *Warm) roomier(in *instance) bool {
	for r := range in.rows {
		if money := in.p.Rows[r].Kind == RowCash || in.p.Rows[r].Measure == MeasureRevenue; money && w.short(in.rows[r].tier) > 0 {
			return true // prices are its room, and those move all the time
		}
	}
	now := in.roomOf()
	if len(now) != len(w.room) || in.p.Policy.MaxMoves > 0 {
		return true
	}
	for i := range now {
		if now[i] > w.room[i] {
			return true
		}
	}
	return false
}
