package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// showScalar is the inverse of readScalar: the shortest exact text.
func showScalar(unit string, v reflect.Value) string {
	name, arg, _ := strings.Cut(unit, ":")
	switch name {
	case "watts":
		return showScaled(v.Int(), []scale{{"GW", 9}, {"MW", 6}, {"kW", 3}, {"W", 0}})
	case "wattHours":
		return showScaled(v.Int(), []scale{{"TWh", 12}, {"GWh", 9}, {"MWh", 6}, {"kWh", 3}, {"Wh", 0}})
	case "hashrate":
		return showScaled(v.Int(), []scale{{"PH/s", 18}, {"TH/s", 15}, {"GH/s", 12}, {"MH/s", 9}, {"kH/s", 6}, {"H/s", 3}})
	case "bytes":
		return showBytes(v.Int())
	case "temperature":
		return showDecimal(v.Int(), 3) + "C"
	case "share", "change":
		return showDecimal(v.Int(), 4) + "%"
	case "factor", "pue", "decimal":
		return showDecimal(v.Int(), 6)
	case "span":
		return showSpan(time.Duration(v.Int()))
	case "instant":
		return time.UnixMilli(v.Int()).UTC().Format(time.RFC3339Nano)
	case "int":
		return strconv.FormatInt(v.Int(), 10)
	case "gpus":
		return strconv.FormatInt(v.Int(), 10) + " GPU"
	case "weekdays", "hours":
		return v.Interface().(fmt.Stringer).String()
	case "bool":
		return strconv.FormatBool(v.Bool())
	case "energyPrice":
		a := v.Interface().(Amount)
		return showDecimal(a.Micro, 6) + " " + a.Currency + "/kWh"
	case "per":
		a := v.Interface().(Amount)
		return showDecimal(a.Micro, 6) + " " + a.Currency + "/" + arg
	}
	return v.String()
}

type scale struct {
	unit string
	exp  int // the value is in 10^-exp of the unit
}

// showScaled uses the largest unit of which the value is at least one and
// needs at most three decimals, and the smallest one failing that.
func showScaled(v int64, units []scale) string {
	for _, u := range units {
		text := showDecimal(v, u.exp)
		whole, frac, _ := strings.Cut(text, ".")
		if strings.Trim(whole, "-0") != "" && len(frac) <= 3 {
			return text + u.unit
		}
	}
	last := units[len(units)-1]
	return showDecimal(v, last.exp) + last.unit
}

// showDecimal writes v / 10^exp exactly, without trailing zeros.
func showDecimal(v int64, exp int) string {
	sign := ""
	mag := uint64(v)
	if v < 0 {
		sign, mag = "-", -mag
	}
	digits := strconv.FormatUint(mag, 10)
	if len(digits) <= exp {
		digits = strings.Repeat("0", exp+1-len(digits)) + digits
	}
	whole, frac := digits[:len(digits)-exp], strings.TrimRight(digits[len(digits)-exp:], "0")
	if frac == "" {
		return sign + whole
	}
	return sign + whole + "." + frac
}

func showBytes(v int64) string {
	for i, unit := range []string{"TiB", "GiB", "MiB", "KiB"} {
		if size := int64(1) << (40 - 10*i); v != 0 && v%size == 0 {
			return strconv.FormatInt(v/size, 10) + unit
		}
	}
	return strconv.FormatInt(v, 10) + "B"
}

func showSpan(d time.Duration) string {
	if d <= 0 {
		return "0s"
	}
	var b strings.Builder
	for _, u := range []struct {
		unit string
		size time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}} {
		if n := d / u.size; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.unit)
			d %= u.size
		}
	}
	return b.String()
}
