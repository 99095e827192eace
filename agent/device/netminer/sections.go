package netminer

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
)

// spans of the averages that firmware offers.
var spans = map[string]int64{"5s": spanNow, "rt": spanReal, "realtime": spanReal, "10s": 10, "15s": 15, "30s": 30, "1m": spanMinute, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "24h": 86400,
	"av": spanAverage, "avg": spanAverage}

// rateKey splits "GHS 5s" into its unit and span.
func rateKey(key string) (unit string, span int64, ok bool) {
	label, window, found := strings.Cut(strings.ToLower(key), " ")
	span, known := spans[window]
	if !found || !known || !strings.HasSuffix(label, "hs") {
		return "", 0, false
	}
	unit = strings.ToUpper(strings.TrimSuffix(label, "s"))
	_, scale := exponents[strings.TrimSuffix(unit, "H")]
	return unit, span, scale
}

// figures reads what SUMMARY and STATS name alike.
func (b *build) figures(group int, v lenient.Value) {
	for _, m := range v.Members {
		if unit, span, ok := rateKey(m.Key); ok {
			// btminer labels its real-time rate in hashes and counts in
			// mega-hashes like its other averages.
			if unit == "H" && span == spanReal {
				unit = "MH"
			}
			b.candidate(group, span, unit, m.Key, m.Value)
		}
	}
	b.elapsed("Elapsed", v.Get("Elapsed"))
}

func (b *build) summary(items []lenient.Value) {
	for _, v := range items {
		b.claim(familyOf(v.Get("Type").Str()))
		b.figures(0, v)
		b.cgiRates(v)
		b.labels = b.labels || v.Has("GHS 5s") && v.Has("GHS av")
		b.count(&b.Accepted, "Accepted", v.Get("Accepted"))
		b.count(&b.Rejected, "Rejected", v.Get("Rejected"))
		b.count(&b.HardwareErrors, "Hardware Errors", v.Get("Hardware Errors"))
		if v.Has("Power Mode") || v.Has("Factory GHS") || v.Has("HS RT") || v.Has("Hash Stable") || v.Has("Power_RT") {
			b.btminerSummary(v)
		}
		b.numbered(v)
	}
}

// numbered reads the fields that controllers with a plain summary number:
// temper1, inputVolt1 and their like.
func (b *build) numbered(v lenient.Value) {
	var milliwatts int64
	inputs := 0
	for i := 1; i <= 16; i++ {
		n := strconv.Itoa(i)
		b.temperature("board", new(i), "temper"+n, v.Get("temper"+n))
		volt, okV := v.Get("inputVolt" + n).Milli()
		amp, okA := v.Get("inputCurrent" + n).Milli()
		if okV && okA && volt > 0 && amp > 0 && volt < 1_000_000 && amp < 1_000_000 {
			milliwatts += volt * amp / 1000
			inputs++
		}
	}
	if inputs > 0 {
		if v.Has("outputVolt1") {
			set(&b.Make, "BW")
		}
		b.milliwatts("inputVolt x inputCurrent", strconv.FormatInt(milliwatts, 10), milliwatts, true)
	}
}

func (b *build) pools(items []lenient.Value) {
	for _, v := range items {
		if len(b.Pools) >= listLimit || v.Kind != lenient.Object {
			return
		}
		p := Pool{URL: trimTo(v.Get("URL").Str(), 256), User: trimTo(v.Get("User").Str(), 256), Status: strings.ToLower(trimTo(v.Get("Status").Str(), 32)),
			Priority: int64(len(b.Pools)), Accepted: -1, Rejected: -1}
		if p.URL == "" && p.User == "" {
			continue
		}
		p.Active = v.Get("Stratum Active").True() || v.Get("stratum-active").True() || v.Get("active").True()
		if n, ok := v.Get("Priority").Int(); ok && n >= 0 && n < 1000 {
			p.Priority = n
		}
		for to, key := range map[*int64]string{&p.Accepted: "Accepted", &p.Rejected: "Rejected"} {
			if n, ok := v.Get(key).Int(); ok && n >= 0 && n < 1e12 {
				*to = n
			}
		}
		b.Pools = append(b.Pools, p)
		b.known = true
	}
}

// devs are boards with rates of their own.
func (b *build) devs(items []lenient.Value) {
	type sum struct {
		milli int64
		count int
	}
	sums := map[int64]sum{}
	boards := 0
	for i, v := range items {
		index := i
		for _, key := range []string{"ID", "Slot", "ASC", "PGA"} {
			if n, ok := v.Get(key).Int(); ok && n >= 0 && n < 1000 {
				index = int(n)
				break
			}
		}
		board := b.board(index)
		boards++
		if s := v.Get("Status").Str(); s != "" {
			board.Status = strings.ToLower(trimTo(s, 32))
			if !strings.EqualFold(s, "Alive") {
				b.fault("", "board "+strconv.Itoa(index)+" is "+board.Status, "DEVS")
			}
		}
		if v.Get("Enabled").Str() == "N" {
			board.Status = "disabled"
		}
		b.temperature("board", new(index), "Temperature", v.Get("Temperature"))
		b.temperature("chip", new(index), "Chip Temp Max", v.Get("Chip Temp Max"))
		if n, ok := v.Get("Effective Chips").Int(); ok && n >= 0 && n < 10_000 {
			board.Chips = n
		}
		shortest := int64(-1)
		for _, m := range v.Members {
			unit, span, ok := rateKey(m.Key)
			if !ok {
				continue
			}
			if unit == "H" && span == spanReal {
				unit = "MH"
			}
			n, ok := scaled(m.Value.Str(), unit)
			if !ok || n < 0 || n > maxRate {
				continue
			}
			s := sums[span]
			sums[span] = sum{s.milli + n, s.count + 1}
			if shortest < 0 || span < shortest {
				shortest, board.Rate = span, n/1000
			}
		}
		if b.Elapsed == nil {
			b.elapsed("Device Elapsed", v.Get("Device Elapsed"))
		}
	}
	for span, s := range sums {
		if s.count == boards { // an average some board lacks would be a part only
			b.rates = append(b.rates, rate{group: 1, span: span, text: strconv.FormatInt(s.milli/1000, 10), prefix: "H", source: "DEVS sum of " + spanName(span)})
		}
	}
	slices.SortStableFunc(b.rates, func(x, y rate) int { return strings.Compare(x.source, y.source) })
}

func spanName(span int64) string {
	best := ""
	for name, s := range spans {
		if s == span && (best == "" || name < best) {
			best = name
		}
	}
	return best
}

func (b *build) devDetails(items []lenient.Value) {
	for i, v := range items {
		b.models(v.Get("Model").Str())
		b.claim(familyOf(v.Get("Driver").Str()))
		index := i
		if n, ok := v.Get("ID").Int(); ok && n >= 0 && n < 1000 {
			index = int(n)
		}
		if n, ok := v.Get("Chips").Int(); ok && n >= 0 && n < 10_000 {
			b.board(index).Chips = n
		}
	}
}

func (b *build) version(items []lenient.Value) {
	for _, v := range items {
		b.known = true
		b.models(v.Get("Type").Str())
		for _, m := range v.Members {
			b.claim(familyOf(m.Key))
		}
		b.claim(familyOf(v.Get("BMMiner").Str() + " " + v.Get("LUXminer").Str() + " " + v.Get("Miner").Str()))
		if prod := v.Get("PROD").Str(); prod != "" { // Avalon
			b.claim(Avalon)
			set(&b.Model, avalonModel(prod))
			set(&b.Serial, v.Get("DNA").Str())
			set(&b.Version, first(v.Get("LVERSION").Str(), v.Get("SWTYPE").Str()))
		}
		b.mac("MAC", v.Get("MAC").Str())
		set(&b.Version, first(v.Get("Miner").Str(), v.Get("LUXminer").Str(), v.Get("fw_ver").Str()))
		set(&b.Built, v.Get("CompileTime").Str())
		for _, key := range []string{"BMMiner", "CGMiner", "BOSminer", "BOSer"} {
			if text := v.Get(key).Str(); text != "" {
				b.described(str(key + " " + text))
			}
		}
	}
}

// temps of bosminer: one item per board.
func (b *build) temps(items []lenient.Value) {
	for i, v := range items {
		index := i
		if n, ok := v.Get("ID").Int(); ok && n >= 0 && n < 1000 {
			index = int(n)
		}
		b.temperature("board", new(index), "Board", v.Get("Board"))
		b.temperature("chip", new(index), "Chip", v.Get("Chip"))
	}
}

func (b *build) fans(items []lenient.Value) {
	for i, v := range items {
		name := first(v.Get("ID").Str(), v.Get("FAN").Str(), strconv.Itoa(i))
		b.fan(name, "RPM", v.Get("RPM"), v.Get("Speed"))
	}
	for _, f := range b.Fans {
		if f.RPM == 0 && f.Percent > 0 {
			b.warn("RPM", "0", "fan %s stands still at %d %% drive: broken, or not fitted", f.Name, f.Percent)
		}
	}
}

func (b *build) luxPower(items []lenient.Value) {
	for _, v := range items {
		// Without a supply that can be asked, the firmware reckons.
		b.power("Watts", v.Get("Watts"), !v.Get("PSU").True())
	}
}

func (b *build) tuner(items []lenient.Value) {
	for _, v := range items {
		b.power("ApproximateMinerPowerConsumption", v.Get("ApproximateMinerPowerConsumption"), true)
		b.limit("PowerLimit", v.Get("PowerLimit"))
	}
}

// notify tells when a board last failed to start, and why.
func (b *build) notify(items []lenient.Value) {
	for _, v := range items {
		if why := v.Get("Reason Not Well").Str(); why != "" && !strings.EqualFold(why, "None") {
			b.fault("", first(v.Get("Name").Str(), "board")+" "+v.Get("ID").Str()+": "+why, "NOTIFY")
		}
	}
}
