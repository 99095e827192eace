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
}

type warmJSON struct {
	Duals  Duals   `json:"duals"`
	Plan   Plan    `json:"plan"`
	Shorts []int64 `json:"shorts"`
	Shape  []int   `json:"shape"`
}

// MarshalJSON writes the state for the next round.
func (w *Warm) MarshalJSON() ([]byte, error) {
	return json.Marshal(warmJSON{w.duals, w.plan, w.shorts, w.shape})
}

// UnmarshalJSON reads what MarshalJSON wrote. Figures that make no sense only
// cost time: Solve proves every answer afresh.
func (w *Warm) UnmarshalJSON(b []byte) error {
	var x warmJSON
	if err := json.Unmarshal(b, &x); err != nil {
		return err
	}
	*w = Warm{x.Duals, x.Plan, x.Shorts, x.Shape}
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
