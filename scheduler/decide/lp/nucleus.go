package lp

import "math"

// nucleus eliminates what the singletons left.
func (f *factor) nucleus(column func(int) ([]int32, []float64)) {
	var active []int32
	cols := map[int32]int{} // slot to position; never ranged over
	var list [][]nucleusEntry
	var done [][]nucleusEntry // U part so far
	rowUse := make([]int32, f.m)
	inRow := make(map[int32][]int32) // row to slots that may have it; never ranged over
	for s := int32(0); int(s) < f.m; s++ {
		if f.colDone[s] {
			continue
		}
		idx, val := column(int(s))
		var a, u []nucleusEntry
		for t, i := range idx {
			if f.rowDone[i] {
				u = append(u, nucleusEntry{i, val[t]})
			} else {
				a = append(a, nucleusEntry{i, val[t]})
				rowUse[i]++
				inRow[i] = append(inRow[i], s)
			}
		}
		cols[s] = len(list)
		list, done, active = append(list, a), append(done, u), append(active, s)
	}
	at := make([]int32, f.m) // position+1 of a row in the column being updated
	for len(active) > 0 {
		slot, k := f.choose(active, cols, list, rowUse)
		if slot < 0 {
			return
		}
		c := cols[slot]
		p := list[c][k]
		f.rowDone[p.row] = true
		for _, e := range done[c] {
			f.uIndex, f.uValue = append(f.uIndex, e.row), append(f.uValue, e.v)
		}
		l := len(f.lIndex)
		for t, e := range list[c] {
			rowUse[e.row]--
			if t != k {
				f.lIndex, f.lValue = append(f.lIndex, e.row), append(f.lValue, e.v/p.v)
			}
		}
		if len(f.lIndex) > l {
			f.lRow, f.lStart = append(f.lRow, p.row), append(f.lStart, int32(len(f.lIndex)))
		}
		f.pivot(p.row, slot, p.v)
		for i, s := range active {
			if s == slot {
				active = append(active[:i], active[i+1:]...)
				break
			}
		}
		li, lv := f.lIndex[l:], f.lValue[l:]
		for _, s := range inRow[p.row] {
			if f.colDone[s] {
				continue
			}
			d := cols[s]
			a := list[d]
			hit := -1
			for t, e := range a {
				if e.row == p.row {
					hit = t
					break
				}
			}
			if hit < 0 {
				continue
			}
			u := a[hit].v
			done[d] = append(done[d], nucleusEntry{p.row, u})
			a[hit] = a[len(a)-1]
			a = a[:len(a)-1]
			for t, e := range a {
				at[e.row] = int32(t) + 1
			}
			for t, i := range li {
				x := float64(lv[t] * u)
				if q := at[i]; q > 0 {
					a[q-1].v -= x
				} else if math.Abs(x) > dropTol {
					a = append(a, nucleusEntry{i, -x})
					at[i] = int32(len(a))
					rowUse[i]++
					inRow[i] = append(inRow[i], s)
				}
			}
			n := 0
			for _, e := range a {
				at[e.row] = 0
				if math.Abs(e.v) > dropTol {
					a[n] = e
					n++
				} else {
					rowUse[e.row]--
				}
			}
			list[d] = a[:n]
		}
		delete(inRow, p.row)
	}
}

// choose finds the next pivot: among the four shortest columns the stable
// entry of least fill. Empty columns are dropped from active: they are
// dependent.
func (f *factor) choose(active []int32, cols map[int32]int, list [][]nucleusEntry, rowUse []int32) (int32, int) {
	var best [4]int32
	n := 0
	for _, s := range active {
		c := list[cols[s]]
		if len(c) == 0 {
			continue
		}
		i := n
		for i > 0 && len(list[cols[best[i-1]]]) > len(c) {
			i--
		}
		if i == 4 {
			continue
		}
		if n < 4 {
			n++
		}
		copy(best[i+1:n], best[i:n-1])
		best[i] = s
	}
	if n == 0 {
		return -1, 0
	}
	slot, at, least, size := int32(-1), 0, int64(math.MaxInt64), 0.0
	pick := func(s int32) {
		a := list[cols[s]]
		most := 0.0
		for _, e := range a {
			most = math.Max(most, math.Abs(e.v))
		}
		if most < pivotTol {
			return
		}
		for t, e := range a {
			v := math.Abs(e.v)
			if v < 0.1*most {
				continue
			}
			fill := int64(len(a)-1) * int64(rowUse[e.row]-1)
			if fill < least || (fill == least && v > size) {
				slot, at, least, size = s, t, fill, v
			}
		}
	}
	for _, s := range best[:n] {
		pick(s)
	}
	for i := 0; slot < 0 && i < len(active); i++ { // all four were numerically empty
		pick(active[i])
	}
	return slot, at
}
