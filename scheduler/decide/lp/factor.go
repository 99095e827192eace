package lp

import "math"

// factor is an LU decomposition of the basis with updates in product form.
// Singleton columns and rows are taken first and cost nothing; what is left,
// the nucleus, is eliminated by Markowitz count with threshold pivoting.
//
// L is a list of column operations in row space, U is kept by pivot: pivot k
// eliminates row pivRow[k] with basis slot pivSlot[k].
type factor struct {
	m               int
	lRow            []int32 // per operation: pivot row
	lStart          []int32
	lIndex          []int32
	lValue          []float64
	pivRow, pivSlot []int32
	diag            []float64
	uStart          []int32
	uIndex          []int32
	uValue          []float64

	etaSlot  []int32 // updates
	etaPivot []float64
	etaStart []int32
	etaIndex []int32
	etaValue []float64

	// U by rows, for the sparse solves
	pivOfRow, pivOfSlot []int32
	uPivot              []int32 // of the row of each entry
	tStart, tIndex      []int32
	tValue              []float64
	seen                []bool
	order, stack, fill  []int32

	// work space
	rowCount, colCount []int32
	rowDone, colDone   []bool
	rowStart, rowSlots []int32
	queueC, queueR     []int32
	w                  []float64
}

const (
	dropTol  = 1e-14
	pivotTol = 1e-11 // below this, relative to the scaled entries, a column counts as dependent
)

type nucleusEntry struct {
	row int32
	v   float64
}

func (f *factor) reset(m int) {
	f.m = m
	f.lRow, f.lStart, f.lIndex, f.lValue = f.lRow[:0], append(f.lStart[:0], 0), f.lIndex[:0], f.lValue[:0]
	f.pivRow, f.pivSlot, f.diag = f.pivRow[:0], f.pivSlot[:0], f.diag[:0]
	f.uStart, f.uIndex, f.uValue = append(f.uStart[:0], 0), f.uIndex[:0], f.uValue[:0]
	f.etaSlot, f.etaPivot, f.etaStart = f.etaSlot[:0], f.etaPivot[:0], append(f.etaStart[:0], 0)
	f.etaIndex, f.etaValue = f.etaIndex[:0], f.etaValue[:0]
	f.rowCount, f.colCount = resize(f.rowCount, m), resize(f.colCount, m)
	f.rowDone, f.colDone = resize(f.rowDone, m), resize(f.colDone, m)
	f.rowStart = resize(f.rowStart, m+1)
	f.w = resize(f.w, m)
}

func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}

// pivot notes a U column: entries of slot in rows that are done, then the
// pivot itself.
func (f *factor) pivot(row, slot int32, v float64) {
	f.pivRow, f.pivSlot, f.diag = append(f.pivRow, row), append(f.pivSlot, slot), append(f.diag, v)
	f.uStart = append(f.uStart, int32(len(f.uIndex)))
	f.rowDone[row], f.colDone[slot] = true, true
}

// build factors the basis whose slot s holds column(s). It returns the slots
// that are dependent on others and the rows left without a pivot, in pairs.
func (f *factor) build(m int, column func(slot int) ([]int32, []float64)) (slots, rows []int32) {
	f.reset(m)
	total := int32(0)
	for s := 0; s < m; s++ {
		idx, _ := column(s)
		f.colCount[s] = int32(len(idx))
		total += int32(len(idx))
		for _, i := range idx {
			f.rowCount[i]++
		}
	}
	for i := 0; i < m; i++ {
		f.rowStart[i+1] = f.rowStart[i] + f.rowCount[i]
	}
	f.rowSlots = resize(f.rowSlots, int(total))
	fill := append([]int32(nil), f.rowStart[:m]...)
	f.queueC, f.queueR = f.queueC[:0], f.queueR[:0]
	for s := 0; s < m; s++ {
		idx, _ := column(s)
		for _, i := range idx {
			f.rowSlots[fill[i]] = int32(s)
			fill[i]++
		}
		if len(idx) == 1 {
			f.queueC = append(f.queueC, int32(s))
		}
	}
	for i := 0; i < m; i++ {
		if f.rowCount[i] == 1 {
			f.queueR = append(f.queueR, int32(i))
		}
	}
	f.singletons(column)
	if len(f.pivRow) < m {
		f.nucleus(column)
	}
	if len(f.pivRow) < m {
		for s := 0; s < m; s++ {
			if !f.colDone[s] {
				slots = append(slots, int32(s))
			}
			if !f.rowDone[s] {
				rows = append(rows, int32(s))
			}
		}
		return slots, rows
	}
	f.index()
	return nil, nil
}

func (f *factor) singletons(column func(int) ([]int32, []float64)) {
	for hc, hr := 0, 0; hc < len(f.queueC) || hr < len(f.queueR); {
		var slot int32 = -1
		var row int32 = -1
		if hc < len(f.queueC) {
			s := f.queueC[hc]
			hc++
			if f.colDone[s] || f.colCount[s] != 1 {
				continue
			}
			slot = s
			idx, _ := column(int(s))
			for _, i := range idx {
				if !f.rowDone[i] {
					row = i
				}
			}
		} else {
			i := f.queueR[hr]
			hr++
			if f.rowDone[i] || f.rowCount[i] != 1 {
				continue
			}
			row = i
			for _, s := range f.rowSlots[f.rowStart[i]:f.rowStart[i+1]] {
				if !f.colDone[s] {
					slot = s
				}
			}
		}
		idx, val := column(int(slot))
		var p, most float64
		for t, i := range idx {
			if i == row {
				p = val[t]
			}
			if !f.rowDone[i] {
				most = math.Max(most, math.Abs(val[t]))
			}
		}
		if math.Abs(p) < pivotTol || math.Abs(p) < 1e-3*most {
			continue // left to the nucleus, which may find a better pivot
		}
		l := len(f.lIndex)
		for t, i := range idx {
			if f.rowDone[i] {
				f.uIndex, f.uValue = append(f.uIndex, i), append(f.uValue, val[t])
			} else if i != row {
				f.lIndex, f.lValue = append(f.lIndex, i), append(f.lValue, val[t]/p)
				if f.rowCount[i]--; f.rowCount[i] == 1 {
					f.queueR = append(f.queueR, i)
				}
			}
		}
		if len(f.lIndex) > l {
			f.lRow, f.lStart = append(f.lRow, row), append(f.lStart, int32(len(f.lIndex)))
		}
		f.pivot(row, slot, p)
		for _, s := range f.rowSlots[f.rowStart[row]:f.rowStart[row+1]] {
			if f.colDone[s] {
				continue
			}
			if f.colCount[s]--; f.colCount[s] == 1 {
				f.queueC = append(f.queueC, s)
			}
		}
	}
}

// ftran solves B x = a: a in row space is destroyed, x is by slot.
func (f *factor) ftran(a, x []float64) {
	for k, p := range f.lRow {
		t := a[p]
		if t == 0 {
			continue
		}
		for q := f.lStart[k]; q < f.lStart[k+1]; q++ {
			a[f.lIndex[q]] -= float64(f.lValue[q] * t)
		}
	}
	for k := f.m - 1; k >= 0; k-- {
		t := a[f.pivRow[k]]
		if t == 0 {
			x[f.pivSlot[k]] = 0
			continue
		}
		t /= f.diag[k]
		x[f.pivSlot[k]] = t
		for q := f.uStart[k]; q < f.uStart[k+1]; q++ {
			a[f.uIndex[q]] -= float64(f.uValue[q] * t)
		}
	}
	for e, r := range f.etaSlot {
		t := x[r]
		if t == 0 {
			continue
		}
		t /= f.etaPivot[e]
		x[r] = t
		for q := f.etaStart[e]; q < f.etaStart[e+1]; q++ {
			x[f.etaIndex[q]] -= float64(f.etaValue[q] * t)
		}
	}
}

// btran solves y B = c: c by slot is destroyed, y is in row space.
func (f *factor) btran(c, y []float64) {
	for e := len(f.etaSlot) - 1; e >= 0; e-- {
		r := f.etaSlot[e]
		t := c[r]
		for q := f.etaStart[e]; q < f.etaStart[e+1]; q++ {
			t -= float64(f.etaValue[q] * c[f.etaIndex[q]])
		}
		c[r] = t / f.etaPivot[e]
	}
	for k := 0; k < f.m; k++ {
		t := c[f.pivSlot[k]]
		for q := f.uStart[k]; q < f.uStart[k+1]; q++ {
			t -= float64(f.uValue[q] * y[f.uIndex[q]])
		}
		if t != 0 {
			t /= f.diag[k]
		}
		y[f.pivRow[k]] = t
	}
	for k := len(f.lRow) - 1; k >= 0; k-- {
		t := y[f.lRow[k]]
		for q := f.lStart[k]; q < f.lStart[k+1]; q++ {
			t -= float64(f.lValue[q] * y[f.lIndex[q]])
		}
		y[f.lRow[k]] = t
	}
}

// update replaces the column of slot r by the one whose ftran is alpha.
func (f *factor) update(r int, alpha *sparse) {
	for _, i := range alpha.at {
		if v := alpha.v[i]; int(i) != r && math.Abs(v) > dropTol {
			f.etaIndex, f.etaValue = append(f.etaIndex, i), append(f.etaValue, v)
		}
	}
	f.etaSlot, f.etaPivot, f.etaStart = append(f.etaSlot, int32(r)), append(f.etaPivot, alpha.v[r]), append(f.etaStart, int32(len(f.etaIndex)))
}

// stale tells when a new factorisation is cheaper than more updates.
func (f *factor) stale() bool {
	return len(f.etaSlot) >= 100 || len(f.etaIndex) > 3*(len(f.lIndex)+len(f.uIndex)+f.m)+2000
}
