package decide

import "math/bits"

// int128 is a two's complement accumulator for the certificate.
type int128 struct {
	hi int64
	lo uint64
}

// addMul adds a*b.
func (x *int128) addMul(a, b int64) {
	neg := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(abs64(a), abs64(b))
	if neg {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	var carry uint64
	x.lo, carry = bits.Add64(x.lo, lo, 0)
	hi, _ = bits.Add64(uint64(x.hi), hi, carry)
	x.hi = int64(hi)
}

func (x *int128) add(y int128) {
	lo, carry := bits.Add64(x.lo, y.lo, 0)
	hi, _ := bits.Add64(uint64(x.hi), uint64(y.hi), carry)
	x.lo, x.hi = lo, int64(hi)
}

func (x int128) positive() bool { return x.hi > 0 || (x.hi == 0 && x.lo > 0) }

func (x int128) less(y int128) bool {
	return x.hi < y.hi || (x.hi == y.hi && x.lo < y.lo)
}

// times is x*n for n >= 0; the caller keeps the product inside 127 bits.
func (x int128) times(n int64) int128 {
	hi, lo := bits.Mul64(x.lo, uint64(n))
	return int128{hi: int64(hi) + x.hi*n, lo: lo}
}

// float is x, rounded.
func (x int128) float() float64 {
	if x.hi < 0 { // so that small negative figures keep their digits
		lo, borrow := bits.Sub64(0, x.lo, 0)
		hi, _ := bits.Sub64(0, uint64(x.hi), borrow)
		return -(float64(float64(hi)*(1<<64)) + float64(lo))
	}
	return float64(float64(x.hi)*(1<<64)) + float64(x.lo)
}

// divCeil is x/d rounded up, d > 0, limited to the range of int64.
func (x int128) divCeil(d int64) int64 {
	neg := x.hi < 0
	hi, lo := uint64(x.hi), x.lo
	if neg {
		var borrow uint64
		lo, borrow = bits.Sub64(0, lo, 0)
		hi, _ = bits.Sub64(0, hi, borrow)
	}
	const most = 1<<63 - 1
	if hi >= uint64(d) {
		if neg {
			return -most
		}
		return most
	}
	q, r := bits.Div64(hi, lo, uint64(d))
	if q >= most {
		q, r = most-1, 0
	}
	if neg {
		return -int64(q)
	}
	if r > 0 {
		q++
	}
	return int64(q)
}

func abs64(a int64) uint64 {
	if a < 0 {
		return -uint64(a)
	}
	return uint64(a)
}
