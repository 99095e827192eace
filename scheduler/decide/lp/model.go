package lp

import (
	"fmt"
	"math"
)

// Inf is the bound of what has none; its negative on the lower side.
var Inf = math.Inf(1)

// Model is the program: optimise cost.x where every row's activity and every
// column lies within its bounds. Rows are added empty; a column brings its
// coefficients. The zero value is an empty minimisation.
type Model struct {
	Maximize bool

	cost, lo, up []float64
	rowLo, rowUp []float64
	start        []int32 // one more entry than columns once there is one
	index        []int32
	value        []float64
}

// Rows is the number of rows.
func (m *Model) Rows() int { return len(m.rowLo) }

// Cols is the number of columns.
func (m *Model) Cols() int { return len(m.cost) }

// AddRow appends an empty row with bounds on its activity and returns its
// position.
func (m *Model) AddRow(lo, up float64) int {
	m.rowLo, m.rowUp = append(m.rowLo, lo), append(m.rowUp, up)
	return len(m.rowLo) - 1
}

// AddCol appends a column with its coefficients in rows that exist and returns
// its position. A row may be named once only; Solve refuses a model that breaks
// this.
func (m *Model) AddCol(cost, lo, up float64, rows []int32, coefficients []float64) int {
	if len(m.start) == 0 {
		m.start = append(m.start, 0)
	}
	m.cost, m.lo, m.up = append(m.cost, cost), append(m.lo, lo), append(m.up, up)
	m.index = append(m.index, rows...)
	m.value = append(m.value, coefficients...)
	m.start = append(m.start, int32(len(m.index)))
	return len(m.cost) - 1
}

// SetCol replaces a column's bounds.
func (m *Model) SetCol(col int, lo, up float64) { m.lo[col], m.up[col] = lo, up }

// SetRow replaces the bounds of a row's activity.
func (m *Model) SetRow(row int, lo, up float64) { m.rowLo[row], m.rowUp[row] = lo, up }

// Col returns a column's coefficients; the slices are the model's own.
func (m *Model) Col(col int) (rows []int32, coefficients []float64) {
	return m.index[m.start[col]:m.start[col+1]], m.value[m.start[col]:m.start[col+1]]
}

// Check names the first defect of the model: a figure that is not finite where
// it must be, a row that does not exist or is named twice, coefficients and
// rows of different number. Crossed bounds are no defect: such a model is
// infeasible.
func (m *Model) Check() error {
	seen := make([]int, m.Rows())
	if len(m.index) != len(m.value) {
		return fmt.Errorf("lp: %d coefficients for %d rows", len(m.value), len(m.index))
	}
	for i := range m.rowLo {
		if bad(m.rowLo[i], m.rowUp[i]) {
			return fmt.Errorf("lp: row %d has the bounds %g and %g", i, m.rowLo[i], m.rowUp[i])
		}
	}
	for j := range m.cost {
		if bad(m.lo[j], m.up[j]) || math.IsNaN(m.cost[j]) || math.IsInf(m.cost[j], 0) {
			return fmt.Errorf("lp: column %d has cost %g and bounds %g and %g", j, m.cost[j], m.lo[j], m.up[j])
		}
		rows, coefficients := m.Col(j)
		for t, i := range rows {
			if i < 0 || int(i) >= len(seen) || seen[i] == j+1 {
				return fmt.Errorf("lp: column %d names row %d wrongly or twice", j, i)
			}
			seen[i] = j + 1
			if v := coefficients[t]; math.IsNaN(v) || math.IsInf(v, 0) {
				return fmt.Errorf("lp: column %d has %g in row %d", j, v, i)
			}
		}
	}
	return nil
}

func bad(lo, up float64) bool {
	return math.IsNaN(lo) || math.IsNaN(up) || math.IsInf(lo, 1) || math.IsInf(up, -1)
}

// Place says where a column or row rests in a basis.
type Place int8

// The places. AtLower and AtUpper of something without that bound, and Basic
// counts that do not match, are mended by Solve.
const (
	AtLower Place = iota
	AtUpper
	Basic
	AtZero // not basic and without bounds
)

// Basis names where everything rests: a start for another Solve of this model
// or of one that grew.
type Basis struct {
	Cols []Place `json:"cols"`
	Rows []Place `json:"rows"`
}

// Status is the outcome of Solve.
type Status int8

// The outcomes. Limited also covers a model too ill conditioned to finish.
const (
	Optimal Status = iota
	Infeasible
	Unbounded
	Limited
)

// String names the outcome.
func (s Status) String() string {
	return [...]string{"optimal", "infeasible", "unbounded", "limited"}[s]
}

// Solution holds figures in the model's own units. Dual is the change of the
// optimum per unit of a row's bound, Reduced the same per unit of a column's
// bound, both with the sign of the model's own sense. Unless Status is Optimal
// the figures describe the point where the search ended.
type Solution struct {
	Status    Status
	Objective float64
	X         []float64
	Activity  []float64
	Dual      []float64
	Reduced   []float64
	Basis     Basis
	Pivots    int64
}
