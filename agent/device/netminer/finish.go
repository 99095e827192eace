package netminer

import (
	"fmt"
	"slices"
	"strings"
)

// finish judges what was collected, once all of it is there: which rate to
// believe, what the counters can mean, and what the device is doing.
func (b *build) finish() Report {
	b.name()
	b.judgeShares()
	b.chooseRate()
	b.choosePower()
	b.settle()
	b.state()
	slices.SortFunc(b.Boards, func(x, y Board) int { return x.Index - y.Index })
	return b.Report
}

// judgeShares drops counters that no time could have filled.
func (b *build) judgeShares() {
	for _, c := range []struct {
		name string
		at   **int64
	}{{"Accepted", &b.Accepted}, {"Rejected", &b.Rejected}, {"Hardware Errors", &b.HardwareErrors}} {
		n := *c.at
		if n == nil {
			continue
		}
		limit := int64(1e12)
		if b.Elapsed != nil && c.name != "Hardware Errors" {
			// Some firmware restarts its clock without its counters.
			limit = (*b.Elapsed + 86400) * maxShares
		}
		if *n > limit {
			b.warn(c.name, fmt.Sprint(*n), "more than %d a second: the counter is garbage", maxShares)
			*c.at = nil
		}
	}
}

// chooseRate takes the shortest average that means something. An average over
// a long run is never shown for a device that has stopped: the zero is.
func (b *build) chooseRate() {
	unit, algorithm, note := unitOf(b.Model, b.unit)
	if algorithm != "" {
		b.Algorithm = algorithm
	}
	b.scaleNominal(unit)
	var list []rate
	for _, c := range b.rates {
		label := c.prefix
		if unit != "" && c.prefix == "GH" {
			c.prefix = unit
		}
		n, ok := scaled(c.text, c.prefix)
		switch {
		case !ok || n > maxRate:
			b.warn(c.source, c.text, "no device of this kind is that fast")
		case n < 0:
			b.warn(c.source, c.text, "a rate cannot be negative")
		case b.Nominal != nil && b.Nominal.Milli > 0 && n/2 > b.Nominal.Milli:
			b.warn(c.source, c.text, "more than twice the %d H/s the device is made for", b.Nominal.PerSecond)
		default:
			c.milli = n
			list = append(list, c)
			if note != "" && label != c.prefix {
				b.warn(c.source, c.text, "%s", note)
				note = ""
			}
		}
	}
	slices.SortStableFunc(list, func(x, y rate) int {
		if x.group != y.group {
			return x.group - y.group
		}
		return int(min(max(x.span-y.span, -1), 1))
	})
	if best, ok := b.pick(list); ok {
		b.Hashrate = &Rate{PerSecond: best.milli / 1000, Milli: best.milli, Source: best.source, Text: best.text, Unit: best.prefix + "/s"}
	}
}

func (b *build) pick(list []rate) (rate, bool) {
	if len(list) == 0 {
		return rate{}, false
	}
	shortest := list[0]
	if shortest.milli > 0 {
		return shortest, true
	}
	// A blip of seconds is no stop; the other short averages and the boards
	// tell.
	var longer rate
	for _, c := range list[1:] {
		if c.milli > 0 && c.span <= spanMinute {
			return c, true
		}
		if c.milli > 0 && longer.milli == 0 {
			longer = c
		}
	}
	switch {
	case longer.milli > 0 && shortest.span == longer.span:
		return longer, true
	case longer.milli > 0:
		b.warn(shortest.source, shortest.text, "nothing now, though %s is %s: it has stopped hashing", longer.source, longer.text)
	case b.State == StateUnknown && b.contrary && (b.Elapsed == nil || *b.Elapsed > settleAfter) && slices.ContainsFunc(list, func(c rate) bool { return c.span >= spanAverage }):
		b.warn(shortest.source, shortest.text, "every rate is zero though shares were counted: the rates are not filled in")
		return rate{}, false
	}
	return shortest, true
}

func (b *build) scaleNominal(unit string) {
	if b.Nominal == nil {
		return
	}
	u := b.Nominal.Unit
	if unit != "" && u == "GH" {
		u = unit
	}
	n, ok := scaled(b.Nominal.Text, u)
	if !ok || n <= 0 || n > maxRate {
		b.Nominal = nil
		return
	}
	b.Nominal.Milli, b.Nominal.PerSecond, b.Nominal.Unit = n, n/1000, u+"/s"
}

// choosePower prefers what was measured. Nothing at all while it hashes is a
// field that is not filled in.
func (b *build) choosePower() {
	slices.SortStableFunc(b.estimates, func(x, y Power) int {
		switch {
		case x.Estimated == y.Estimated:
			return 0
		case y.Estimated:
			return -1
		}
		return 1
	})
	for _, p := range b.estimates {
		if p.Milliwatt == 0 && (b.Hashrate == nil || b.Hashrate.Milli > 0) {
			b.warn(p.Source, "0", "no device hashes on no power: not measured")
			continue
		}
		b.Power = &p
		return
	}
}

func (b *build) settle() {
	b.Settled = b.Elapsed != nil && *b.Elapsed >= settleAfter
	if b.Elapsed != nil && !b.Settled && b.Hashrate != nil {
		b.warn("Elapsed", fmt.Sprint(*b.Elapsed), "rates of the first %d s are not reliable", settleAfter)
	}
}

func (b *build) state() {
	if b.State != StateUnknown {
		return
	}
	switch {
	case b.Hashrate == nil:
	case b.Hashrate.Milli > 0:
		b.State = StateMining
	default:
		b.State = StateIdle
	}
}

// unitOf tells in which unit the device really counts where it labels rates
// "GHS": as it says itself, or as its model is known to. unit is "" where the
// label holds.
func unitOf(model, told string) (unit, algorithm, note string) {
	name, antminer := strings.CutPrefix(model, "Antminer ")
	told = strings.TrimSuffix(strings.TrimSpace(told), "/s")
	if antminer {
		for _, m := range antminerUnits {
			if strings.HasPrefix(name, m.prefix) {
				unit, algorithm = m.unit, m.algorithm
				break
			}
		}
	}
	if _, ok := scaled("1", told); ok && told != "" {
		unit = told // newer firmware says it itself
	}
	if unit != "" && unit != "GH" {
		note = "labelled GHS, but this model counts in " + unit + "/s"
	}
	return unit, algorithm, note
}

// antminerUnits: the firmware of every Antminer labels its rates "GHS". An
// empty unit lets the label stand.
var antminerUnits = []struct{ prefix, algorithm, unit string }{
	{"Z", "equihash", "kSol"},
	{"L", "scrypt", "MH"},
	{"E", "ethash", "MH"},
	{"D", "x11", ""},
	{"KS", "kheavyhash", ""},
	{"KA", "blake2s", ""},
	{"K", "eaglesong", ""},
	{"S", "sha256d", ""},
	{"T", "sha256d", ""},
	{"R4", "sha256d", ""},
	{"V9", "sha256d", ""},
}
