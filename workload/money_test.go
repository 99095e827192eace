package workload

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// edgy draws integers with the ends of the range more often than chance.
func edgy() *rapid.Generator[int64] {
	return rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{0, 1, -1, 2, 10, 1_000_000, math.MaxInt64, math.MinInt64, math.MaxInt64 - 1, math.MinInt64 + 1, 1 << 62}))
}

// TestMulDivAgainstBigIntegers: exact, rounded as named, clamped to the range.
func TestMulDivAgainstBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := edgy().Draw(t, "a"), edgy().Draw(t, "b")
		c := edgy().Draw(t, "c")
		round := rapid.SampledFrom([]Rounding{Down, Up}).Draw(t, "round")
		got := MulDiv(a, b, c, round)
		if c <= 0 {
			if got != 0 {
				t.Fatalf("divisor %d gives %d", c, got)
			}
			return
		}
		if want := bigMulDiv(a, b, c, round); got != want {
			t.Fatalf("MulDiv(%d, %d, %d, %d) = %d, want %d", a, b, c, round, got, want)
		}
	})
}

func bigMulDiv(a, b, c int64, round Rounding) int64 {
	p := new(big.Int).Mul(big.NewInt(a), big.NewInt(b))
	q, m := new(big.Int).DivMod(p, big.NewInt(c), new(big.Int))
	if round == Up && m.Sign() != 0 {
		q.Add(q, big.NewInt(1))
	}
	switch {
	case q.IsInt64():
		return q.Int64()
	case q.Sign() < 0:
		return math.MinInt64
	}
	return math.MaxInt64
}

// TestMulDivCarry: a quotient of 2^64-1 with a remainder must be clamped, not
// wrap round to 0.
func TestMulDivCarry(t *testing.T) {
	for _, c := range []struct{ a, b, c int64 }{
		{1190112520884487201, 31, 2},
		{8198552921648689607, 9, 4},
		{2380225041768974402, 31, 4},
		{1209622562210462401, 61, 4},
	} {
		for _, r := range []Rounding{Down, Up} {
			if got, want := MulDiv(c.a, c.b, c.c, r), bigMulDiv(c.a, c.b, c.c, r); got != want {
				t.Errorf("MulDiv(%d, %d, %d, %d) = %d, want %d", c.a, c.b, c.c, r, got, want)
			}
			if got, want := MulDiv(-c.a, c.b, c.c, r), bigMulDiv(-c.a, c.b, c.c, r); got != want {
				t.Errorf("MulDiv(-%d, %d, %d, %d) = %d, want %d", c.a, c.b, c.c, r, got, want)
			}
		}
	}
}

func TestRateOverTime(t *testing.T) {
	if got := Rate(1_000_001).Over(HourMillis/2, Down); got != 500_000 {
		t.Error(got)
	}
	if got := Rate(1_000_001).Over(HourMillis/2, Up); got != 500_001 {
		t.Error(got)
	}
	if got := Rate(-1).Over(1, Down); got != -1 {
		t.Error(got)
	}
	if got := PPM(250_000).Of(9, Up); got != 3 {
		t.Error(got)
	}
}

func TestDecimal(t *testing.T) {
	for _, c := range []struct {
		micro    int64
		decimals int
		want     string
	}{{0, 0, "0"}, {1_500_000, 0, "2"}, {-1_500_000, 0, "-2"}, {1_234_567, 2, "1.23"}, {1_235_000, 2, "1.24"}, {-4, 2, "0.00"}, {41_200, 4, "0.0412"},
		{1, 6, "0.000001"}, {math.MinInt64, 6, "-9223372036854.775808"}, {math.MaxInt64, 0, "9223372036855"}, {999_999, 2, "1.00"}} {
		if got := Decimal(c.micro, c.decimals); got != c.want {
			t.Errorf("Decimal(%d, %d) = %s, want %s", c.micro, c.decimals, got, c.want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		v := edgy().Draw(t, "v")
		text := Decimal(v, 6)
		back, err := strconv.ParseInt(strings.Replace(text, ".", "", 1), 10, 64)
		if err != nil || back != v {
			t.Fatalf("%d -> %s -> %d, %v", v, text, back, err)
		}
	})
}

func TestInstant(t *testing.T) {
	u := time.Date(2026, 12, 1, 6, 0, 0, 123_456_789, time.FixedZone("x", 3600))
	i := InstantOf(u)
	if !i.Time().Equal(u.Truncate(time.Millisecond)) || i.Time().Location() != time.UTC {
		t.Error(i.Time())
	}
	if i.Add(time.Hour).Sub(i) != time.Hour {
		t.Error("add and sub")
	}
}
