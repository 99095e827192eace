package workload

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"
)

// Every quantity people write is a number with its unit. A bare number is an
// error that names the units it would accept: "power 300" could be watts or
// kilowatts, and guessing wrong costs a breaker.

// ParseWatts reads "279W", "8.5 MW", "3.2kW".
func ParseWatts(s string) (int64, error) {
	return parseScaled(s, "power", []suffix{{"GW", 1e9}, {"MW", 1e6}, {"kW", 1e3}, {"W", 1}})
}

// ParseWattHours reads "4.2GWh", "800 kWh".
func ParseWattHours(s string) (int64, error) {
	return parseScaled(s, "energy", []suffix{{"TWh", 1e12}, {"GWh", 1e9}, {"MWh", 1e6}, {"kWh", 1e3}, {"Wh", 1}})
}

// ParseHashrate reads "97.9MH/s" into milli-hashes per second. Equihash
// solutions ("Sol/s") and Cuckoo graphs ("G/s" is ambiguous and refused) count
// as hashes.
func ParseHashrate(s string) (int64, error) {
	return parseScaled(s, "hashrate", []suffix{{"EH/s", 1e18 + 0}, {"PH/s", 1e15}, {"TH/s", 1e12}, {"GH/s", 1e9}, {"MH/s", 1e6}, {"kH/s", 1e3},
		{"kSol/s", 1e3}, {"Sol/s", 1}, {"H/s", 1}}, 1000)
}

// ParseBytes reads "70GiB", "512 MB".
func ParseBytes(s string) (int64, error) {
	return parseScaled(s, "size", []suffix{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}})
}

// ParseShare reads "20%" or "12.5 %" into parts per million; it must lie in
// 0..100 %.
func ParseShare(s string) (PPM, error) {
	v, err := parseScaled(s, "share", []suffix{{"%", 10_000}})
	if err != nil {
		return 0, err
	}
	if v < 0 || v > int64(One) {
		return 0, Errorf(Invalid, "share %q is not between 0 %% and 100 %%", s)
	}
	return PPM(v), nil
}

// ParseFactor reads a plain decimal such as a PUE "1.28" or a speed "0.93"
// into parts per million.
func ParseFactor(s string) (PPM, error) {
	v, err := parseScaled(s, "factor", []suffix{{"", 1_000_000}})
	return PPM(v), err
}

// ParseSpan reads "30m", "2h30m", "7d", "250ms".
func ParseSpan(s string) (time.Duration, error) {
	text := strings.TrimSpace(s)
	// A blank may stand before the unit ("30 m"), not inside a number: "1 0m"
	// is more likely a slip than ten minutes.
	for i := 1; i+1 < len(text); i++ {
		if text[i] == ' ' && !letter(text[i+1]) && !letter(text[i-1]) {
			return 0, Errorf(Invalid, "duration %q is not a number with a unit (ms, s, m, h, d), such as 30m", s)
		}
	}
	text = strings.ReplaceAll(text, " ", "")
	if text == "0" || text == "+0" || text == "-0" {
		return 0, Errorf(Invalid, "duration %q is not a number with a unit (ms, s, m, h, d), such as 30m", s)
	}
	var days time.Duration
	if i := strings.IndexByte(text, 'd'); i > 0 {
		n, err := parseScaled(text[:i+1], "duration", []suffix{{"d", 86_400_000}})
		if err != nil || n > math.MaxInt64/int64(time.Millisecond) || n < math.MinInt64/int64(time.Millisecond) {
			return 0, Errorf(Invalid, "duration %q is not a number with a unit (ms, s, m, h, d), such as 30m", s)
		}
		days, text = time.Duration(n)*time.Millisecond, text[i+1:]
		if text == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(text)
	if err != nil || (days != 0 && d < 0) || days > math.MaxInt64-max(d, 0) {
		return 0, Errorf(Invalid, "duration %q is not a number with a unit (ms, s, m, h, d), such as 30m", s)
	}
	return days + d, nil
}

func letter(c byte) bool { return c >= 'a' && c <= 'z' }

// Per is the denominator of a price.
type Per string

const (
	PerKWh     Per = "kWh"
	PerMWh     Per = "MWh"
	PerGPUHour Per = "GPU-h"
	PerHour    Per = "h"
)

// ParseEnergyPrice reads "0.042 USD/kWh" or "42 USD/MWh" into micro-units per
// kWh and the currency.
func ParseEnergyPrice(s string) (int64, string, error) {
	amount, currency, per, err := splitPrice(s, "USD/kWh", "USD/MWh")
	if err != nil {
		return 0, "", err
	}
	switch per {
	case "kWh":
		v, err := fixed(amount, big.NewRat(1_000_000, 1), s)
		return v, currency, err
	case "MWh":
		v, err := fixed(amount, big.NewRat(1_000, 1), s)
		return v, currency, err
	}
	return 0, "", Errorf(Invalid, "energy price %q must be per kWh or MWh, such as 0.042 USD/kWh", s)
}

// ParseRate reads "2.10 USD/GPU-h" (with per = PerGPUHour) into micro-units
// per hour and the currency.
func ParseRate(s string, per Per) (Rate, string, error) {
	amount, currency, got, err := splitPrice(s, "USD/"+string(per))
	if err != nil {
		return 0, "", err
	}
	if got != string(per) {
		return 0, "", Errorf(Invalid, "rate %q must be per %s, such as 2.10 USD/%s", s, per, per)
	}
	v, err := fixed(amount, big.NewRat(1_000_000, 1), s)
	return Rate(v), currency, err
}

// Hashprice is what an algorithm's work earns: micro-units per hour for each
// 10^Scale hashes per second. Scale keeps the integer between about 10^3 and
// 10^9 whatever the algorithm.
type Hashprice struct {
	MicroPerHour int64 `json:"micro_per_hour"`
	Scale        uint8 `json:"scale"`
}

// Gross returns what a hashrate in milli-hashes per second earns, rounded down.
func (h Hashprice) Gross(milliHash int64) Rate {
	den := int64(1000)
	scale := h.Scale
	for ; scale > 0 && den <= math.MaxInt64/10; scale-- {
		den *= 10
	}
	v := MulDiv(milliHash, h.MicroPerHour, den, Down)
	for ; scale > 0; scale-- {
		v /= 10
	}
	return Rate(v)
}

// ParseHashprice reads a decimal amount in a unit such as "USD/TH/day",
// "USD/PH/day", "USD/GH/day": amount of currency a day for each 10^n H/s.
func ParseHashprice(amount, unit string) (Hashprice, string, error) {
	parts := strings.Split(strings.ReplaceAll(strings.TrimSpace(unit), "/s", ""), "/")
	prefixes := map[string]uint8{"H": 0, "kH": 3, "MH": 6, "GH": 9, "TH": 12, "PH": 15, "EH": 18}
	hours := map[string]int64{"day": 24, "d": 24, "h": 1, "hour": 1}
	if len(parts) != 3 || !validCurrency(parts[0]) || hours[parts[2]] == 0 {
		return Hashprice{}, "", Errorf(Invalid, "hashprice unit %q is not of the form USD/TH/day", unit)
	}
	scale, ok := prefixes[parts[1]]
	if !ok {
		return Hashprice{}, "", Errorf(Invalid, "hashprice unit %q: %q is not one of H, kH, MH, GH, TH, PH, EH", unit, parts[1])
	}
	r, err := parseDecimal(amount)
	if err != nil {
		return Hashprice{}, "", Errorf(Invalid, "hashprice %q is not a decimal number", amount)
	}
	if r.Sign() < 0 {
		return Hashprice{}, "", Errorf(Invalid, "hashprice %q is negative", amount)
	}
	r.Mul(r, big.NewRat(1_000_000, hours[parts[2]]))
	ten := big.NewRat(10, 1)
	for lim := big.NewRat(1_000_000, 1); r.Sign() > 0 && r.Cmp(lim) < 0 && scale < 30; scale++ {
		r.Mul(r, ten)
	}
	v, ok := floorInt64(r)
	if !ok {
		return Hashprice{}, "", Errorf(Invalid, "hashprice %q is out of range", amount)
	}
	return Hashprice{MicroPerHour: v, Scale: scale}, parts[0], nil
}

type suffix struct {
	unit  string
	scale float64
}

// parseScaled reads a decimal with one of the units. Scales are exact powers
// held in float64 only as constants; the product is rational.
func parseScaled(s, what string, units []suffix, extra ...int64) (int64, error) {
	text := strings.TrimSpace(s)
	for _, u := range units {
		num, found := strings.CutSuffix(text, u.unit)
		if !found {
			continue
		}
		r, err := parseDecimal(strings.TrimSpace(num))
		if err != nil {
			break
		}
		scale, _ := new(big.Float).SetFloat64(u.scale).Int(nil)
		r.Mul(r, new(big.Rat).SetInt(scale))
		for _, e := range extra {
			r.Mul(r, big.NewRat(e, 1))
		}
		v, ok := floorInt64(r)
		if !ok {
			return 0, Errorf(Invalid, "%s %q is out of range", what, s)
		}
		return v, nil
	}
	names := make([]string, 0, len(units))
	for i := len(units) - 1; i >= 0; i-- {
		if units[i].unit != "" {
			names = append(names, units[i].unit)
		}
	}
	if len(names) == 0 {
		return 0, Errorf(Invalid, "%s %q is not a decimal number", what, s)
	}
	return 0, Errorf(Invalid, "%s %q is not a number with a unit: use one of %s", what, s, strings.Join(names, ", "))
}

func splitPrice(s string, examples ...string) (*big.Rat, string, string, error) {
	amount, rest, ok := strings.Cut(strings.TrimSpace(s), " ")
	currency, per, ok2 := strings.Cut(strings.TrimSpace(rest), "/")
	if ok && ok2 && validCurrency(currency) {
		if r, err := parseDecimal(amount); err == nil {
			return r, currency, per, nil
		}
	}
	return nil, "", "", Errorf(Invalid, "price %q is not an amount with a unit such as 0.05 %s", s, strings.Join(examples, " or 0.05 "))
}

func validCurrency(s string) bool {
	if len(s) < 3 || len(s) > 5 {
		return false
	}
	for _, c := range []byte(s) {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return true
}

// ValidCurrency reports whether s looks like a currency code (USD, EUR, USDT).
func ValidCurrency(s string) bool { return validCurrency(s) }

// parseDecimal accepts [+-]digits[.digits][e[+-]dd]; no NaN, no infinity, no
// hexadecimal, and bounded so that a hostile exponent cannot cost memory.
func parseDecimal(s string) (*big.Rat, error) {
	if len(s) == 0 || len(s) > 40 {
		return nil, fmt.Errorf("not a decimal number")
	}
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		exp := strings.TrimLeft(s[i+1:], "+-")
		if len(exp) == 0 || len(exp) > 2 {
			return nil, fmt.Errorf("not a decimal number")
		}
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' && c != 'e' && c != 'E' {
			return nil, fmt.Errorf("not a decimal number")
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return nil, fmt.Errorf("not a decimal number")
	}
	return r, nil
}

// ParseMicro reads a decimal into micro-units, rounding towards minus infinity.
func ParseMicro(s string) (int64, error) {
	r, err := parseDecimal(strings.TrimSpace(s))
	if err != nil {
		return 0, Errorf(Invalid, "%q is not a decimal number", s)
	}
	return fixed(r, big.NewRat(1_000_000, 1), s)
}

func fixed(r, scale *big.Rat, s string) (int64, error) {
	v, ok := floorInt64(new(big.Rat).Mul(r, scale))
	if !ok {
		return 0, Errorf(Invalid, "%q is out of range", s)
	}
	return v, nil
}

func floorInt64(r *big.Rat) (int64, bool) {
	q, m := new(big.Int).DivMod(r.Num(), r.Denom(), new(big.Int))
	_ = m // DivMod is Euclidean and the denominator positive: q is the floor
	return q.Int64(), q.IsInt64()
}

// FormatWatts shows power as pages do: W below 10 kW, kW below 10 MW, then MW.
func FormatWatts(w int64) string {
	switch mag := magnitude(w); {
	case mag < 10_000:
		return fmt.Sprintf("%d W", w)
	case mag < 10_000_000:
		return Decimal(w*1000, 1) + " kW"
	default:
		return Decimal(w, 2) + " MW"
	}
}

// FormatHashrate shows milli-hashes per second with a fitting prefix.
func FormatHashrate(milli int64) string {
	if milli < 0 {
		return "not known"
	}
	units := []string{"H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s"}
	i := 0
	for milli >= 1_000_000 && i < len(units)-1 {
		milli /= 1000
		i++
	}
	return Decimal(milli*1000, 2) + " " + units[i]
}

// FormatSpan shows a duration as "2 h 10 m", "45 s", "3 d 4 h".
func FormatSpan(d time.Duration) string {
	if d < 0 {
		return "-" + FormatSpan(max(-d, -(d+1))) // the least duration has no negative
	}
	switch s := int64(d / time.Second); {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case s < 120:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d m", s/60)
	case s < 48*3600:
		if m := s % 3600 / 60; m != 0 {
			return fmt.Sprintf("%d h %d m", s/3600, m)
		}
		return fmt.Sprintf("%d h", s/3600)
	default:
		return fmt.Sprintf("%d d %d h", s/86400, s%86400/3600)
	}
}

// ParseWhole reads a decimal, also in scientific notation, and drops the
// fraction: block difficulties do not fit micro-units.
func ParseWhole(s string) (int64, error) {
	r, err := parseDecimal(strings.TrimSpace(s))
	if err != nil {
		return 0, Errorf(Invalid, "%q is not a decimal number", s)
	}
	return fixed(r, big.NewRat(1, 1), s)
}
