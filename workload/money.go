package workload

import (
	"math"
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// Money is an amount in millionths of the accounting currency. The int64 range
// is about nine million million units.
type Money int64

// Rate is money per hour.
type Rate int64

// PPM is a share or factor in parts per million: 1_000_000 is one.
type PPM int64

// One is the factor 1 (100 %).
const One PPM = 1_000_000

// Unit is one whole unit of the accounting currency.
const Unit Money = 1_000_000

// HourMillis is the length of an hour in market-clock milliseconds.
const HourMillis = 3_600_000

// Rounding names the direction of every division of money.
type Rounding uint8

const (
	// Down rounds towards minus infinity: what we may earn is never overstated.
	Down Rounding = iota
	// Up rounds towards plus infinity: what we must pay is never understated.
	Up
)

// MulDiv returns a*b/c in 128-bit arithmetic, rounded as named and clamped to
// the int64 range, so that it is total. c must be positive; any other c
// returns 0.
func MulDiv(a, b, c int64, r Rounding) int64 {
	if c <= 0 {
		return 0
	}
	negative := (a < 0) != (b < 0)
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi >= uint64(c) {
		return clamp(negative)
	}
	q, rem := bits.Div64(hi, lo, uint64(c))
	if rem != 0 && (r == Up) != negative && q < math.MaxUint64 {
		q++
	}
	if q > math.MaxInt64 {
		return clamp(negative)
	}
	if negative {
		return -int64(q)
	}
	return int64(q)
}

func magnitude(v int64) uint64 {
	if v < 0 {
		return uint64(-(v + 1)) + 1
	}
	return uint64(v)
}

func clamp(negative bool) int64 {
	if negative {
		return math.MinInt64
	}
	return math.MaxInt64
}

// Over returns what a rate comes to over a span of market-clock milliseconds.
func (r Rate) Over(millis int64, round Rounding) Money {
	return Money(MulDiv(int64(r), millis, HourMillis, round))
}

// Of returns the share of an amount.
func (p PPM) Of(amount int64, round Rounding) int64 {
	return MulDiv(amount, int64(p), int64(One), round)
}

// Decimal formats micro-units with the given number of decimals (0 to 6),
// rounding half away from zero: display only.
func Decimal(micro int64, decimals int) string {
	scale := int64(1)
	for i := decimals; i < 6; i++ {
		scale *= 10
	}
	mag := magnitude(micro)
	mag = (mag + uint64(scale)/2) / uint64(scale)
	var whole, frac uint64 = mag, 0
	pow := uint64(1)
	for range decimals {
		pow *= 10
	}
	whole, frac = mag/pow, mag%pow
	var b strings.Builder
	if micro < 0 && mag != 0 {
		b.WriteByte('-')
	}
	b.WriteString(strconv.FormatUint(whole, 10))
	if decimals > 0 {
		f := strconv.FormatUint(frac, 10)
		b.WriteByte('.')
		b.WriteString(strings.Repeat("0", decimals-len(f)))
		b.WriteString(f)
	}
	return b.String()
}

// Instant is a moment in milliseconds since the Unix epoch, UTC. Replicated
// state holds instants, never time.Time, whose zone and monotonic parts differ
// between machines.
type Instant int64

// InstantOf converts a time.
func InstantOf(t time.Time) Instant { return Instant(t.UnixMilli()) }

// Time converts back, in UTC.
func (i Instant) Time() time.Time { return time.UnixMilli(int64(i)).UTC() }

// Add moves an instant.
func (i Instant) Add(d time.Duration) Instant { return i + Instant(d.Milliseconds()) }

// Sub is the span from j to i.
func (i Instant) Sub(j Instant) time.Duration { return time.Duration(i-j) * time.Millisecond }
