package netminer

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
)

// Plausible ranges: outside of them a figure says more about the firmware than
// about the device, and is not believed.
const (
	coldest     = -40_000          // milli-degrees; a miner in a container in winter
	hottest     = 150_000          // a chip above is no chip any more; 255 is a bus error
	maxRPM      = 30_000           // small fans of power supplies reach 25,000
	maxMilliW   = 30_000_000       // the largest hydro units draw 12 kW
	maxRate     = 1e15 * 1000      // milli-hashes/s: no single SHA-256d device does 1 PH/s
	maxElapsed  = 20 * 365 * 86400 // seconds
	maxShares   = 100              // per second; pools aim at one in several seconds
	spanNow     = 5                // seconds of the shortest average
	spanReal    = 6                // what firmware calls real time
	spanMinute  = 60               // what still tells the present
	spanAverage = int64(1) << 40   // since start
	settleAfter = 60               // seconds before rates mean anything
	nameLimit   = 128              // bytes of any text taken over
	listLimit   = 64               // boards, fans, pools, errors
)

// build collects what replies say; finish judges it.
type build struct {
	Report
	rates     []rate
	unit      string // rate_unit, where the device says how its rates are scaled
	model     string // where it differs from the model told by better sources
	contrary  bool   // work was counted
	refused   []string
	known     bool // some part was recognised
	labels    bool // the summary is labelled as bmminer labels it
	estimates []Power
}

// rate is one candidate of the hashrate.
type rate struct {
	group  int   // 0 whole device, 1 sum of its parts
	span   int64 // seconds it averages over
	text   string
	prefix string // unit as labelled: H, KH, MH, GH, TH, PH
	source string
	milli  int64
}

func (b *build) warn(field, value, reason string, args ...any) {
	w := Warning{Field: field, Value: trimTo(value, 64), Reason: fmt.Sprintf(reason, args...)}
	if len(b.Warnings) < listLimit && !slices.Contains(b.Warnings, w) {
		b.Warnings = append(b.Warnings, w)
	}
}

// trimTo bounds and cleans a foreign text for display: no terminal escapes.
func trimTo(s string, n int) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || (c >= 0x80 && c < 0xa0) {
			return -1
		}
		return c
	}, strings.TrimSpace(s))
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "")
	}
	return s
}

// set fills a text that is still unknown.
func set(to *string, v string) {
	if v = trimTo(v, nameLimit); *to == "" && v != "" && !strings.EqualFold(v, "unknown") && !strings.Contains(v, "<DELETED>") {
		*to = v
	}
}

// number reads a figure; missing is silent, and what is there but no number is
// said.
func (b *build) number(field string, v lenient.Value) (int64, bool) {
	text := v.Str()
	if text == "" || text == "-" {
		return 0, false
	}
	n, ok := v.Milli()
	if !ok {
		if lenient.NotANumber(text) {
			b.warn(field, text, "not a number")
		} else {
			b.warn(field, text, "not a number that can be read")
		}
	}
	return n, ok
}

// temperature takes the readings of one field. Zero is how firmware says that
// a slot is empty or a sensor does not answer.
func (b *build) temperature(place string, board *int, source string, readings ...lenient.Value) {
	t := Temperature{Place: place, Board: board, Source: source}
	for _, v := range readings {
		n, ok := b.number(source, v)
		switch {
		case !ok || n == 0:
		case n < coldest || n > hottest:
			b.warn(source, v.Str(), "outside %d to %d °C: the sensor does not answer", coldest/1000, hottest/1000)
		default:
			if t.Sensors == 0 {
				t.MilliC, t.Low = n, n
			}
			t.MilliC, t.Low = max(t.MilliC, n), min(t.Low, n)
			t.Sensors++
		}
	}
	told := slices.ContainsFunc(b.Temperatures, func(o Temperature) bool {
		return o.Place == place && o.Source == source && (o.Board == nil) == (board == nil) && (board == nil || *o.Board == *board)
	})
	if t.Sensors > 0 && !told && len(b.Temperatures) < 4*listLimit {
		b.Temperatures = append(b.Temperatures, t)
		b.known = true
	}
}

// scalarTemp is a temperature whose zero is worth a word.
func (b *build) scalarTemp(place, source string, v lenient.Value) {
	if n, ok := v.Milli(); ok && n == 0 {
		b.warn(source, v.Str(), "the sensor gives no reading")
		return
	}
	b.temperature(place, nil, source, v)
}

func (b *build) fan(name, source string, rpm, percent lenient.Value) {
	f := Fan{Name: name, RPM: -1, Percent: -1}
	if n, ok := b.number(source, rpm); ok {
		if n < 0 || n/1000 > maxRPM {
			b.warn(source, rpm.Str(), "outside 0 to %d revolutions per minute", maxRPM)
		} else {
			f.RPM = n / 1000
		}
	}
	if n, ok := b.number(source, percent); ok && n >= 0 && n <= 100_000 {
		f.Percent = n / 1000
	}
	told := slices.ContainsFunc(b.Fans, func(o Fan) bool { return o.Name == name })
	if (f.RPM >= 0 || f.Percent >= 0) && !told && len(b.Fans) < listLimit {
		b.Fans = append(b.Fans, f)
		b.known = true
	}
}

// power takes a figure in watts; factor scales other units to milliwatts.
func (b *build) power(source string, v lenient.Value, estimated bool) {
	n, ok := b.number(source, v)
	if !ok {
		return
	}
	b.milliwatts(source, v.Str(), n, estimated)
}

func (b *build) milliwatts(source, text string, n int64, estimated bool) {
	if n < 0 || n > maxMilliW {
		b.warn(source, text, "outside 0 to %d W: not measured", maxMilliW/1000)
		return
	}
	b.estimates = append(b.estimates, Power{Watts: (n + 500) / 1000, Milliwatt: n, Source: source, Estimated: estimated})
	b.known = true
}

func (b *build) limit(source string, v lenient.Value) {
	n, ok := b.number(source, v)
	if !ok || b.PowerLimit != nil {
		return
	}
	if n <= 0 || n > maxMilliW {
		b.warn(source, v.Str(), "outside 1 to %d W: no limit is known", maxMilliW/1000)
		return
	}
	b.PowerLimit = new(n / 1000)
}

func (b *build) elapsed(source string, v lenient.Value) {
	n, ok := b.number(source, v)
	switch {
	case !ok || b.Elapsed != nil:
	case n < 0 || n/1000 > maxElapsed:
		b.warn(source, v.Str(), "outside 0 to 20 years")
	default:
		b.Elapsed = new(n / 1000)
		b.known = true
	}
}

// count fills a counter; shares are judged later, when the time they took is
// known.
func (b *build) count(to **int64, source string, v lenient.Value) {
	if *to != nil || v.Str() == "" {
		return
	}
	n, ok := v.Int()
	if !ok || n < 0 {
		b.warn(source, v.Str(), "not a count")
		return
	}
	*to = new(n)
	b.known = true
	if n > 0 && to != &b.HardwareErrors {
		b.contrary = true
	}
}

// exponents of what stands before H, or before Sol.
var exponents = map[string]int{"": 0, "K": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}

// scaled reads a rate in milli-hashes/s.
func scaled(text, unit string) (int64, bool) {
	unit = strings.ToUpper(strings.TrimSpace(unit))
	unit = strings.TrimSuffix(strings.TrimSuffix(unit, "/S"), "S")
	prefix := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(unit, "SOL"), "SO"), "H")
	e, ok := exponents[prefix]
	if !ok {
		return 0, false
	}
	return lenient.Fixed(text, e+3)
}

// candidate adds a possible hashrate.
func (b *build) candidate(group int, span int64, unit, source string, v lenient.Value) {
	if _, ok := b.number(source, v); !ok {
		return
	}
	b.rates = append(b.rates, rate{group: group, span: span, text: v.Str(), prefix: unit, source: source})
	b.known = true
}

// board finds or adds a board.
func (b *build) board(index int) *Board {
	for i := range b.Boards {
		if b.Boards[i].Index == index {
			return &b.Boards[i]
		}
	}
	if len(b.Boards) >= listLimit {
		return &Board{}
	}
	b.Boards = append(b.Boards, Board{Index: index, Chips: -1, Bad: -1, Rate: -1})
	b.known = true
	return &b.Boards[len(b.Boards)-1]
}

func (b *build) fault(code, text, source string) {
	f := Fault{Code: trimTo(code, 32), Text: trimTo(text, nameLimit), Source: source}
	if len(b.Errors) < listLimit && !slices.Contains(b.Errors, f) {
		b.Errors = append(b.Errors, f)
		b.known = true
	}
}

// mac takes a hardware address over if it is one.
func (b *build) mac(source, text string) {
	if text == "" || b.MAC != "" {
		return
	}
	hex := strings.ToLower(strings.NewReplacer(":", "", "-", "", ".", "").Replace(text))
	if n, err := strconv.ParseUint(hex, 16, 64); err != nil || len(hex) != 12 || n == 0 || n == 1<<48-1 {
		b.warn(source, text, "not a hardware address")
		return
	}
	var parts []string
	for i := 0; i < 12; i += 2 {
		parts = append(parts, hex[i:i+2])
	}
	b.MAC = strings.Join(parts, ":")
}

func str(s string) lenient.Value { return lenient.Value{Kind: lenient.String, Text: s} }
