package serial

import "math/bits"

// meterSpan is the longest time that rates are kept for, in seconds.
const meterSpan = 900

// minNonces is how many nonces a rate needs to be told at all: eight have a
// standard deviation of 35 %.
const minNonces = 8

// meter counts the work that nonces prove, in one bucket a second. Time is
// seconds since mining began, given by the caller.
type meter struct {
	hashes [meterSpan + 1]uint64
	nonces [meterSpan + 1]uint64
	last   int64
	total  uint64 // hashes
}

func (m *meter) advance(sec int64) {
	if sec-m.last > meterSpan {
		m.last = sec - meterSpan - 1
	}
	for m.last < sec {
		m.last++
		i := m.last % (meterSpan + 1)
		m.hashes[i], m.nonces[i] = 0, 0
	}
}

// add counts a nonce that stands for so many hashes.
func (m *meter) add(sec int64, hashes uint64) {
	m.advance(sec)
	i := m.last % (meterSpan + 1)
	m.hashes[i] += hashes
	m.nonces[i]++
	m.total += hashes
}

// rate is the work of the last window seconds, or since the beginning where
// that is less, in milli-hashes/s, and its standard deviation in parts per
// million: nonces are a Poisson process, so that n of them are uncertain by
// 1/sqrt(n). Too few nonces: -1, -1.
func (m *meter) rate(sec, window int64) (milli, errPPM int64) {
	m.advance(sec)
	// The second that runs is left out, as it is not over.
	span := min(window, sec, meterSpan)
	if span <= 0 {
		return -1, -1
	}
	var hashes, nonces uint64
	for s := m.last - span; s < m.last; s++ {
		i := s % (meterSpan + 1)
		hashes += m.hashes[i]
		nonces += m.nonces[i]
	}
	if nonces < minNonces {
		return -1, -1
	}
	hi, lo := bits.Mul64(hashes, 1000)
	if hi >= uint64(span) {
		return -1, -1
	}
	q, _ := bits.Div64(hi, lo, uint64(span))
	if int64(q) < 0 {
		return -1, -1
	}
	return int64(q), int64(1_000_000_000 / isqrt(nonces*1_000_000))
}

// isqrt is the integer square root.
func isqrt(n uint64) uint64 {
	if n == 0 {
		return 0
	}
	x := uint64(1) << ((bits.Len64(n) + 1) / 2)
	for {
		y := (x + n/x) / 2
		if y >= x {
			return x
		}
		x = y
	}
}
