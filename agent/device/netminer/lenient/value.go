package lenient

import (
	"math"
	"strings"
)

// Get finds a key, whatever its case; of a repeated key the last counts, as
// firmware that repeats keys appends what is newer. A key that is not there
// is null.
func (v Value) Get(key string) Value {
	for i := len(v.Members) - 1; i >= 0; i-- {
		if strings.EqualFold(v.Members[i].Key, key) {
			return v.Members[i].Value
		}
	}
	return Value{}
}

// Path walks through objects, and through arrays by their first item.
func (v Value) Path(keys ...string) Value {
	for _, k := range keys {
		if v.Kind == Array && len(v.Items) > 0 {
			v = v.Items[0]
		}
		v = v.Get(k)
	}
	return v
}

// Has reports whether a key is there, whatever its value.
func (v Value) Has(key string) bool {
	for _, m := range v.Members {
		if strings.EqualFold(m.Key, key) {
			return true
		}
	}
	return false
}

// All returns every value of a repeated key, in order.
func (v Value) All(key string) []Value {
	var all []Value
	for _, m := range v.Members {
		if strings.EqualFold(m.Key, key) {
			all = append(all, m.Value)
		}
	}
	return all
}

// List returns the items of an array, or a lone object or scalar as a list of
// one: firmware disagrees with itself about which it sends.
func (v Value) List() []Value {
	switch v.Kind {
	case Array:
		return v.Items
	case Null:
		return nil
	}
	return []Value{v}
}

// Str is the text of a scalar without surrounding spaces and quotes.
func (v Value) Str() string {
	if v.Kind == String || v.Kind == Number || v.Kind == Bool {
		return strings.Trim(strings.TrimSpace(v.Text), "'\" ")
	}
	return ""
}

// True reports whether a value says yes in any of the usual ways.
func (v Value) True() bool {
	switch strings.ToLower(v.Str()) {
	case "true", "1", "y", "yes", "on":
		return true
	}
	return false
}

// Milli is the value in thousandths; see Milli.
func (v Value) Milli() (int64, bool) {
	if v.Kind != Number && v.Kind != String {
		return 0, false
	}
	return Milli(v.Str())
}

// Int is the value rounded down.
func (v Value) Int() (int64, bool) {
	if v.Kind != Number && v.Kind != String {
		return 0, false
	}
	return Fixed(v.Str(), 0)
}

// Milli reads a decimal as thousandths, rounded towards zero.
func Milli(s string) (int64, bool) { return Fixed(s, 3) }

// Fixed reads a decimal number times ten to the power of places, rounded
// towards zero, without a float: 64 bits hold it or it is refused. Padding and
// a closing percent sign are accepted.
func Fixed(s string, places int) (int64, bool) {
	s = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(s), "%"))
	if s == "" || len(s) > 400 {
		return 0, false
	}
	negative := false
	switch s[0] {
	case '-':
		negative, s = true, s[1:]
	case '+':
		s = s[1:]
	}
	mantissa, exponent, ok := splitExponent(s)
	if !ok {
		return 0, false
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	if whole == "" && fraction == "" {
		return 0, false
	}
	digits := whole + fraction
	for _, c := range []byte(digits) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	shift := exponent + places - len(fraction)
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return 0, true
	}
	if shift < 0 {
		if -shift >= len(digits) {
			return 0, true
		}
		digits = digits[:len(digits)+shift]
		shift = 0
	}
	if len(digits)+shift > 19 {
		return 0, false
	}
	var n uint64
	for _, c := range []byte(digits) {
		n = n*10 + uint64(c-'0')
	}
	for range shift {
		n *= 10
	}
	if n > math.MaxInt64 {
		return 0, false
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), true
}

func splitExponent(s string) (string, int, bool) {
	mantissa, text, found := strings.Cut(strings.ToLower(s), "e")
	if !found {
		return s, 0, true
	}
	sign := 1
	switch {
	case strings.HasPrefix(text, "-"):
		sign, text = -1, text[1:]
	case strings.HasPrefix(text, "+"):
		text = text[1:]
	}
	if text == "" || len(text) > 4 {
		return "", 0, false
	}
	n := 0
	for _, c := range []byte(text) {
		if c < '0' || c > '9' {
			return "", 0, false
		}
		n = n*10 + int(c-'0')
	}
	return mantissa, sign * n, true
}
