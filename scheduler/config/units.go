package config

import (
	"fmt"
	"math/big"
	"net"
	"net/url"
	"path"
	"reflect"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones must not depend on what the machine has installed

	"github.com/sluice-project/sluice/workload"
)

// readScalar sets v, whose field's unit is given, from text. Its errors say
// what would be accepted; the caller says where.
func readScalar(unit string, v reflect.Value, text string) error {
	name, arg, _ := strings.Cut(unit, ":")
	var n int64
	var err error
	switch name {
	case "watts":
		n, err = notNegative(text)(workload.ParseWatts(text))
	case "wattHours":
		n, err = notNegative(text)(workload.ParseWattHours(text))
	case "hashrate":
		n, err = notNegative(text)(workload.ParseHashrate(text))
	case "bytes":
		n, err = notNegative(text)(workload.ParseBytes(text))
	case "temperature":
		n, err = parseTemperature(text)
	case "share":
		var p workload.PPM
		p, err = workload.ParseShare(text)
		n = int64(p)
	case "change":
		n, err = parseChange(text)
	case "factor", "pue":
		n, err = parseFactor(name, text)
	case "decimal":
		n, err = notNegative(text)(workload.ParseMicro(text))
	case "span":
		n, err = parseSpan(text)
	case "instant":
		n, err = parseInstant(text)
	case "int":
		if n, err = strconv.ParseInt(text, 10, 64); err != nil {
			err = bad("%q is not a whole number", text)
		}
		n, err = notNegative(text)(n, err)
	case "gpus":
		n, err = parseGPUs(text)
	case "weekdays":
		var d Weekdays
		d, err = ParseWeekdays(text)
		if err == nil {
			v.SetUint(uint64(d))
		}
		return err
	case "hours":
		h, err := ParseHours(text)
		if err == nil {
			v.Set(reflect.ValueOf(h))
		}
		return err
	case "bool":
		if text != "true" && text != "false" {
			return bad("%q is not true or false", text)
		}
		v.SetBool(text == "true")
		return nil
	case "energyPrice", "per":
		a, err := parseAmount(name, arg, text)
		if err == nil {
			v.Set(reflect.ValueOf(a))
		}
		return err
	default:
		text, err := readText(name, arg, text)
		if err == nil {
			v.SetString(text)
		}
		return err
	}
	if err == nil {
		if v.OverflowInt(n) {
			return bad("%q is out of range", text)
		}
		v.SetInt(n)
	}
	return err
}

func bad(format string, args ...any) error {
	return workload.Errorf(workload.Invalid, format, args...)
}

func notNegative(text string) func(int64, error) (int64, error) {
	return func(n int64, err error) (int64, error) {
		if err == nil && n < 0 {
			return 0, bad("%q is negative", text)
		}
		return n, err
	}
}

func parseTemperature(text string) (int64, error) {
	num, ok := strings.CutSuffix(strings.TrimSuffix(text, "°C"), "C")
	if !ok && !strings.HasSuffix(text, "°C") {
		return 0, bad("temperature %q is not a number with a unit: use C, such as -30C", text)
	}
	micro, err := workload.ParseMicro(strings.TrimSpace(num))
	if err != nil || micro < -273_150_000 || micro > 1_000_000_000 {
		return 0, bad("temperature %q is not a number with a unit: use C, such as -30C", text)
	}
	return workload.MulDiv(micro, 1, 1000, workload.Down), nil
}

func parseChange(text string) (int64, error) {
	num, ok := strings.CutSuffix(text, "%")
	micro, err := workload.ParseMicro(num)
	if !ok || err != nil || micro < 0 {
		return 0, bad("change %q is not a positive share such as 50%%", text)
	}
	return micro / 100, nil
}

func parseFactor(unit, text string) (int64, error) {
	p, err := workload.ParseFactor(text)
	switch {
	case err != nil:
		return 0, err
	case unit == "pue" && (p < workload.One || p > 10*workload.One):
		return 0, bad("PUE %q is not between 1 and 10", text)
	case p <= 0 || p > 1000*workload.One:
		return 0, bad("factor %q is not between 0 and 1000", text)
	}
	return int64(p), nil
}

func parseSpan(text string) (int64, error) {
	d, err := workload.ParseSpan(text)
	switch {
	case err != nil:
		return 0, err
	case d < 0:
		return 0, bad("duration %q is negative", text)
	case d%time.Millisecond != 0:
		return 0, bad("duration %q is finer than a millisecond", text)
	}
	return int64(d), nil
}

func parseInstant(text string) (int64, error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 1971 || t.Year() > 9998 {
		return 0, bad("%q is not a moment with its zone, such as 2026-12-01T18:30:00Z or 2026-12-01T18:30:00+01:00", text)
	}
	return t.UnixMilli(), nil
}

func parseGPUs(text string) (int64, error) {
	num, ok := strings.CutSuffix(text, "GPU")
	n, err := strconv.ParseInt(strings.TrimSpace(num), 10, 32)
	if !ok || err != nil || n < 0 {
		return 0, bad("%q is not a number of devices: use GPU, such as 64 GPU", text)
	}
	return n, nil
}

func parseAmount(unit, per, text string) (Amount, error) {
	if unit == "energyPrice" {
		micro, currency, err := workload.ParseEnergyPrice(text)
		return Amount{micro, currency}, err
	}
	rate, currency, err := workload.ParseRate(text, workload.Per(per))
	if err == nil && rate < 0 {
		err = bad("%q is negative", text)
	}
	return Amount{int64(rate), currency}, err
}

// readText checks a scalar that stays text.
func readText(unit, arg, text string) (string, error) {
	if unit != "command" {
		for _, r := range text {
			if hiddenRune(r) {
				return "", bad("%q contains a control or invisible character", text)
			}
		}
	}
	switch unit {
	case "name":
		if !workload.ValidName(text) {
			return "", bad("%q is not a name: use 1 to 63 of a-z, 0-9 and -", text)
		}
	case "coin":
		if !validCoin(text) {
			return "", bad("%q is not a coin's name: use 1 to 16 of A-Z, a-z, 0-9, . and -", text)
		}
	case "model":
		if !validModel(text) {
			return "", bad("%q is not a model's name: use 1 to 63 letters, digits, spaces and . _ + - ( )", text)
		}
	case "device":
		if id := workload.DeviceID(text); !workload.ValidName(string(id.Node())) || id.Slot() < 0 {
			return "", bad("%q is not a device: use node/slot, such as n07/3", text)
		}
	case "enum":
		for option := range strings.SplitSeq(arg, "|") {
			if text == option {
				return text, nil
			}
		}
		return "", bad("%q is not one of %s%s", text, strings.ReplaceAll(arg, "|", ", "), didYouMean(text, strings.Split(arg, "|")))
	case "currency":
		if !workload.ValidCurrency(text) {
			return "", bad("%q is not a currency code such as USD", text)
		}
	case "zone":
		if _, err := zoneOf(text); err != nil {
			return "", bad("%q is not a time zone such as Europe/Berlin", text)
		}
	case "date":
		if _, err := time.Parse(time.DateOnly, text); err != nil || text < "1971" {
			return "", bad("%q is not a date such as 2026-12-01", text)
		}
	case "monthDay":
		// A leap year, so that 02-29 is a day; other years skip it.
		if _, err := time.Parse(time.DateOnly, "2024-"+text); err != nil {
			return "", bad("%q is not a day of the year such as 11-15 for 15 November", text)
		}
	case "use":
		return text, checkUse(text)
	case "territory":
		if text == "" || len(text) > 63 || strings.HasPrefix(text, "-") || strings.HasSuffix(text, "-") || strings.Contains(text, "--") {
			return "", bad("%q is not a territory such as RU-IRK: parts joined by single hyphens", text)
		}
	case "nodePath": // relative: below the node's own data directory
		if path.Clean(text) != text || text == "." || text == ".." || strings.HasPrefix(text, "../") {
			return "", bad("%q is not a path without . and ..", text)
		}
	case "path":
		if !path.IsAbs(text) || path.Clean(text) != text {
			return "", bad("%q is not an absolute path without . and ..", text)
		}
	case "url":
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return "", bad("%q is not a URL that begins with https:// or http://", text)
		}
	case "endpoint":
		return text, checkEndpoint(text)
	case "sha256":
		if len(text) != 64 || strings.Trim(text, "0123456789abcdef") != "" {
			return "", bad("%q is not 64 hexadecimal digits in lower case", text)
		}
	case "number":
		if r, ok := parseNumber(text); !ok || r.Sign() < 0 {
			return "", bad("%q is not a decimal number of at least 0", text)
		}
	case "feedUnit":
		return text, checkFeedUnit(text)
	case "word":
		if text == "" || len(text) > 256 || strings.ContainsAny(text, " \t") {
			return "", bad("%q is not one word of at most 256 bytes", text)
		}
	case "text":
		if text == "" || len(text) > 1024 {
			return "", bad("must be 1 to 1024 bytes of text")
		}
	case "arg":
		if len(text) > 4096 {
			return "", bad("is longer than 4096 bytes")
		}
	case "command":
		if strings.ContainsRune(text, 0) {
			return "", bad("contains a NUL byte")
		}
	default:
		return "", workload.Errorf(workload.Internal, "field with the unknown unit %q", unit)
	}
	return text, nil
}

func validCoin(s string) bool {
	return len(s) > 0 && len(s) <= 16 && alphanumeric(s[0]) && strings.IndexFunc(s, func(r rune) bool {
		return r >= 0x80 || !alphanumeric(byte(r)) && r != '.' && r != '-'
	}) < 0
}

func validModel(s string) bool {
	return len(s) > 0 && len(s) <= 63 && strings.TrimSpace(s) == s && s != "." && s != ".." && strings.IndexFunc(s, func(r rune) bool {
		return r >= 0x80 || !alphanumeric(byte(r)) && !strings.ContainsRune(" ._+-()", r)
	}) < 0
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

// zoneOf loads a zone by its IANA name. "Local" is refused: it means another
// thing on every machine.
func zoneOf(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("no zone")
	}
	return time.LoadLocation(name)
}

func checkUse(text string) error {
	kind, name, named := strings.Cut(text, "/")
	switch {
	case !named && (kind == "training" || kind == "mining"),
		named && kind == "coin" && validCoin(name),
		named && kind == "tenant" && workload.ValidName(name):
		return nil
	}
	return bad("use %q is not one of training, mining, coin/NAME, tenant/NAME%s", text, didYouMean(text, []string{"training", "mining"}))
}

func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	if err == nil && (u.Scheme == "stratum+tcp" || u.Scheme == "stratum+ssl") && u.Path == "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" {
		host, port, err := net.SplitHostPort(u.Host)
		if n, err2 := strconv.ParseUint(port, 10, 16); err == nil && err2 == nil && n > 0 && host != "" {
			return nil
		}
	}
	return bad("endpoint %q is not of the form stratum+tcp://host:port or stratum+ssl://host:port", text)
}

func checkFeedUnit(text string) error {
	switch text {
	case "difficulty", "H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s", "EH/s", "C":
		return nil
	}
	if _, _, err := workload.ParseHashprice("1", text); err == nil {
		return nil
	}
	if currency, per, ok := strings.Cut(text, "/"); ok && workload.ValidCurrency(currency) &&
		(per == "kWh" || per == "MWh" || workload.ValidCurrency(per)) {
		return nil
	}
	return bad("unit %q is not one of USD/TH/day, USD/MWh, USD/kWh, USD/BTC, difficulty, TH/s, C", text)
}

// parseNumber reads a plain decimal of any size that fits 60 characters.
func parseNumber(s string) (*big.Rat, bool) {
	if len(s) == 0 || len(s) > 60 || strings.Trim(s, "0123456789.-") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(s)
}
