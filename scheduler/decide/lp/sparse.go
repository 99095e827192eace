package lp

// sparse is a vector that knows where it may differ from zero. A basis of a
// scheduling program has thousands of rows, yet a column of its inverse has a
// few dozen entries: what a pivot costs must follow those.
type sparse struct {
	v  []float64
	at []int32 // each position once, in order of arrival
	in []bool
}

func newSparse(n int) *sparse { return &sparse{v: make([]float64, n), in: make([]bool, n)} }

func (x *sparse) note(i int32) {
	if !x.in[i] {
		x.in[i] = true
		x.at = append(x.at, i)
	}
}

func (x *sparse) clear() {
	for _, i := range x.at {
		x.v[i], x.in[i] = 0, false
	}
	x.at = x.at[:0]
}

// index prepares the sparse solves after a factorisation: U by rows, and where
// each row and slot has its pivot.
func (f *factor) index() {
	f.pivOfRow, f.pivOfSlot = resize(f.pivOfRow, f.m), resize(f.pivOfSlot, f.m)
	for k, i := range f.pivRow {
		f.pivOfRow[i], f.pivOfSlot[f.pivSlot[k]] = int32(k), int32(k)
	}
	f.tStart = resize(f.tStart, f.m+1)
	f.uPivot = resize(f.uPivot, len(f.uIndex))
	for q, i := range f.uIndex {
		f.uPivot[q] = f.pivOfRow[i]
		f.tStart[f.uPivot[q]+1]++
	}
	for k := 0; k < f.m; k++ {
		f.tStart[k+1] += f.tStart[k]
	}
	f.tIndex, f.tValue = resize(f.tIndex, len(f.uIndex)), resize(f.tValue, len(f.uIndex))
	f.fill = append(f.fill[:0], f.tStart[:f.m]...)
	for k := 0; k < f.m; k++ {
		for q := f.uStart[k]; q < f.uStart[k+1]; q++ {
			j := f.uPivot[q]
			f.tIndex[f.fill[j]], f.tValue[f.fill[j]] = int32(k), f.uValue[q]
			f.fill[j]++
		}
	}
	f.seen = resize(f.seen, f.m)
}

// reach lists the pivots that a solve from the given ones touches, each after
// all that it depends on when read from the end. start and next say which
// pivots one pivot passes something on to.
func (f *factor) reach(from, pivOf, start, next []int32) []int32 {
	out, stack := f.order[:0], f.stack[:0]
	for _, i := range from {
		k := pivOf[i]
		if f.seen[k] {
			continue
		}
		f.seen[k] = true
		stack = append(stack, k, start[k])
		for len(stack) > 0 {
			top := len(stack) - 2
			k, q := stack[top], stack[top+1]
			end := start[k+1]
			for q < end && f.seen[next[q]] {
				q++
			}
			if q == end {
				out = append(out, k)
				stack = stack[:top]
				continue
			}
			stack[top+1] = q + 1
			f.seen[next[q]] = true
			stack = append(stack, next[q], start[next[q]])
		}
	}
	for _, k := range out {
		f.seen[k] = false
	}
	f.order, f.stack = out, stack
	return out
}

// ftranSparse solves B x = a: a in row space is cleared, x is by slot.
func (f *factor) ftranSparse(a, x *sparse) {
	x.clear()
	for k, p := range f.lRow {
		t := a.v[p]
		if t == 0 {
			continue
		}
		for q := f.lStart[k]; q < f.lStart[k+1]; q++ {
			i := f.lIndex[q]
			a.note(i)
			a.v[i] -= float64(f.lValue[q] * t)
		}
	}
	order := f.reach(a.at, f.pivOfRow, f.uStart, f.uPivot)
	for o := len(order) - 1; o >= 0; o-- {
		k := order[o]
		i := f.pivRow[k]
		a.note(i)
		t := a.v[i]
		if t == 0 {
			continue
		}
		t /= f.diag[k]
		s := f.pivSlot[k]
		x.note(s)
		x.v[s] = t
		for q := f.uStart[k]; q < f.uStart[k+1]; q++ {
			a.v[f.uIndex[q]] -= float64(f.uValue[q] * t)
		}
	}
	a.clear()
	for e, r := range f.etaSlot {
		t := x.v[r]
		if t == 0 {
			continue
		}
		t /= f.etaPivot[e]
		x.v[r] = t
		for q := f.etaStart[e]; q < f.etaStart[e+1]; q++ {
			i := f.etaIndex[q]
			x.note(i)
			x.v[i] -= float64(f.etaValue[q] * t)
		}
	}
}

// btranSparse solves y B = c: c by slot is cleared, y is in row space.
func (f *factor) btranSparse(c, y *sparse) {
	y.clear()
	for e := len(f.etaSlot) - 1; e >= 0; e-- {
		r := f.etaSlot[e]
		t := c.v[r]
		for q := f.etaStart[e]; q < f.etaStart[e+1]; q++ {
			t -= float64(f.etaValue[q] * c.v[f.etaIndex[q]])
		}
		if t != 0 {
			c.note(r)
			c.v[r] = t / f.etaPivot[e]
		}
	}
	order := f.reach(c.at, f.pivOfSlot, f.tStart, f.tIndex)
	for o := len(order) - 1; o >= 0; o-- {
		k := order[o]
		s := f.pivSlot[k]
		c.note(s)
		t := c.v[s]
		if t == 0 {
			continue
		}
		t /= f.diag[k]
		i := f.pivRow[k]
		y.note(i)
		y.v[i] = t
		for q := f.tStart[k]; q < f.tStart[k+1]; q++ {
			c.v[f.pivSlot[f.tIndex[q]]] -= float64(f.tValue[q] * t)
		}
	}
	c.clear()
	for k := len(f.lRow) - 1; k >= 0; k-- {
		p := f.lRow[k]
		t := y.v[p]
		for q := f.lStart[k]; q < f.lStart[k+1]; q++ {
			t -= float64(f.lValue[q] * y.v[f.lIndex[q]])
		}
		if t != 0 {
			y.note(p)
			y.v[p] = t
		}
	}
}
