package netminer

import (
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
)

// stats reads STATS: of bmminer the head with model and firmware, then the
// figures of all chains by number; of Avalon bracket strings; of others parts
// of it or nothing.
func (b *build) stats(items []lenient.Value) {
	for _, v := range items {
		if v.Has("CompileTime") || v.Has("BMMiner") || v.Has("Type") {
			b.statsHead(v)
		}
		switch {
		case avalonItem(v):
			b.avalon(v)
		case v.Get("chain").Kind == lenient.Array || v.Has("rate_5s"):
			b.cgiStats(v)
		case hasPrefix(v, "chain_") || hasPrefix(v, "GHS ") || v.Has("miner_count"):
			b.chains(v)
		}
	}
}

func hasPrefix(v lenient.Value, prefix string) bool {
	for _, m := range v.Members {
		if len(m.Key) >= len(prefix) && strings.EqualFold(m.Key[:len(prefix)], prefix) {
			return true
		}
	}
	return false
}

func (b *build) statsHead(v lenient.Value) {
	// Read as one: the more specific sign counts, wherever it stands.
	b.claim(familyOf("bmminer " + v.Get("BMMiner").Str() + " " + v.Get("Type").Str()))
	b.models(v.Get("Type").Str())
	set(&b.Version, v.Get("Miner").Str())
	set(&b.Built, v.Get("CompileTime").Str())
}

// chains reads the numbered figures of bmminer and what imitates it. The
// slots that a model does not have hold zeros and empty strings.
func (b *build) chains(v lenient.Value) {
	b.figures(0, v)
	set(&b.unit, v.Get("rate_unit").Str())
	set(&b.Mode, v.Get("Mode").Str())
	set(&b.Serial, v.Get("miner_id").Str())
	if text := v.Get("total_rateideal").Str(); text != "" && b.Nominal == nil {
		b.Nominal = &Rate{Source: "total_rateideal", Text: text, Unit: "GH"}
	}
	if text := v.Get("total_rate"); text.Str() != "" {
		b.candidate(1, spanNow, "GH", "total_rate", text)
	}
	b.count(&b.HardwareErrors, "no_matching_work", v.Get("no_matching_work"))
	b.power("total_power", v.Get("total_power"), true)
	if s := v.Get("psu_status").Str(); s != "" && !strings.EqualFold(s, "ok") && !strings.EqualFold(s, "normal") {
		b.fault("", s, "psu_status")
	}
	for i := 1; i <= 32; i++ {
		b.chain(v, i)
	}
	b.numberedFans(v)
}

func (b *build) chain(v lenient.Value, i int) {
	n := strconv.Itoa(i)
	chips, _ := v.Get("chain_acn" + n).Int()
	rateText := v.Get("chain_rate" + n).Str()
	if chips > 0 && chips < 10_000 {
		board := b.board(i)
		board.Chips = chips
		board.Bad = 0
		marks := v.Get("chain_acs" + n).Str()
		if bad := int64(strings.Count(strings.ToLower(marks), "x")); bad > 0 {
			board.Bad = bad
			b.fault("", "board "+n+": "+strconv.FormatInt(bad, 10)+" of "+strconv.FormatInt(chips, 10)+" chips do not work", "chain_acs"+n)
		}
		if milli, ok := scaled(rateText, b.rateUnit()); ok && milli >= 0 && milli <= maxRate {
			board.Rate = milli / 1000
		}
	}
	for _, t := range []struct{ place, list, single string }{{"board", "temp_pcb" + n, "temp" + n}, {"chip", "temp_chip" + n, "temp2_" + n}, {"controller", "temp_pic" + n, ""}} {
		if text := v.Get(t.list).Str(); text != "" {
			b.temperature(t.place, new(i), t.list, dashed(text)...)
			continue
		}
		// Firmware that repeats a key means one reading each time.
		if t.single != "" {
			b.temperature(t.place, new(i), t.single, v.All(t.single)...)
		}
	}
	if v.Get("temp_chip"+n).Str() == "" {
		b.temperature("chip", new(i), "temp3_"+n, v.Get("temp3_"+n))
	}
}

// rateUnit is the unit of rates that carry none in their name.
func (b *build) rateUnit() string {
	if unit, _, _ := unitOf(modelName(b.Model), b.unit); unit != "" {
		return unit
	}
	return "GH"
}

// dashed splits "78-50--3-70": a dash that follows a dash is a sign.
func dashed(s string) []lenient.Value {
	var out []lenient.Value
	start := 0
	for i := 1; i <= len(s); i++ {
		if i == len(s) || s[i] == '-' && s[i-1] != '-' {
			if text := strings.TrimSpace(s[start:i]); text != "" && text != "-" {
				out = append(out, str(text))
			}
			start = i + 1
			i++
		}
	}
	return out
}

// numberedFans: fan_num says how many there should be; which of the numbered
// slots they are is told only by their turning.
func (b *build) numberedFans(v lenient.Value) {
	expected, counted := v.Get("fan_num").Int()
	turning := int64(0)
	for i := 1; i <= 16; i++ {
		key := "fan" + strconv.Itoa(i)
		if n, ok := v.Get(key).Milli(); ok && n != 0 {
			b.fan(strconv.Itoa(i), key, v.Get(key), lenient.Value{})
			turning++
		}
	}
	if hydro(b.Model) {
		return // cooled by water: its fan_num means nothing
	}
	if counted && expected > turning && expected <= 16 {
		for i := turning; i < expected; i++ {
			b.Fans = append(b.Fans, Fan{Name: "stopped " + strconv.FormatInt(i-turning+1, 10), RPM: 0, Percent: -1})
		}
		b.warn("fan_num", strconv.FormatInt(expected, 10), "%d of %d fans turn", turning, expected)
	}
}

// hydro tells models without fans.
func hydro(model string) bool { return strings.Contains(strings.ToLower(model), " hyd") }

// cgiRates reads what newer Antminer CGI calls its rates.
func (b *build) cgiRates(v lenient.Value) {
	if !v.Has("rate_5s") {
		return
	}
	b.claim(Antminer)
	unit := strings.ToUpper(first(v.Get("rate_unit").Str(), "GH/s"))
	b.elapsed("elapsed", v.Get("elapsed"))
	for _, r := range []struct {
		key  string
		span int64
	}{{"rate_5s", spanNow}, {"rate_30m", 1800}, {"rate_avg", spanAverage}} {
		b.candidate(0, r.span, unit, r.key, v.Get(r.key))
	}
	if text := v.Get("rate_ideal").Str(); text != "" && b.Nominal == nil {
		b.Nominal = &Rate{Source: "rate_ideal", Text: text, Unit: unit}
	}
	b.count(&b.HardwareErrors, "hw_all", v.Get("hw_all"))
	for _, s := range v.Get("status").List() {
		if s.Get("status").Str() == "s" || s.Kind != lenient.Object {
			continue
		}
		b.fault(s.Get("code").Str(), first(s.Get("msg").Str(), s.Get("type").Str()), "status")
	}
}

// cgiStats reads stats.cgi of newer firmware: one object per chain.
func (b *build) cgiStats(v lenient.Value) {
	b.cgiRates(v)
	b.workMode(first(v.Get("miner-mode").Str(), v.Get("bitmain-work-mode").Str()))
	b.power("watt", v.Get("watt"), false)
	unit := strings.ToUpper(first(v.Get("rate_unit").Str(), "GH/s"))
	for i, c := range v.Get("chain").List() {
		index := i
		if n, ok := c.Get("index").Int(); ok && n >= 0 && n < 100 {
			index = int(n)
		}
		if c.Kind != lenient.Object || i >= listLimit {
			break
		}
		board := b.board(index)
		if n, ok := c.Get("asic_num").Int(); ok && n >= 0 && n < 10_000 {
			board.Chips, board.Bad = n, int64(strings.Count(strings.ToLower(c.Get("asic").Str()), "x"))
		}
		if milli, ok := scaled(c.Get("rate_real").Str(), unit); ok && milli >= 0 && milli <= maxRate {
			board.Rate = milli / 1000
		}
		if board.Bad > 0 {
			b.fault("", "board "+strconv.Itoa(index)+": "+strconv.FormatInt(board.Bad, 10)+" chips do not work", "asic")
		}
		b.temperature("board", new(index), "temp_pcb", c.Get("temp_pcb").List()...)
		b.temperature("chip", new(index), "temp_chip", c.Get("temp_chip").List()...)
		b.temperature("controller", new(index), "temp_pic", c.Get("temp_pic").List()...)
	}
	for i, f := range v.Get("fan").List() {
		b.fan(strconv.Itoa(i+1), "fan", f, lenient.Value{})
	}
}

// workMode is the lever of stock firmware: 0 mines, 1 sleeps, 3 mines at low
// power.
func (b *build) workMode(text string) {
	switch text {
	case "0":
		b.Mode = "normal"
	case "1":
		b.Mode, b.State = "sleep", StateAsleep
	case "3":
		b.Mode = "low power"
	}
}

// antminerCGI reads get_system_info and get_miner_conf.
func (b *build) antminerCGI(v lenient.Value) {
	b.claim(Antminer)
	b.known = true
	b.models(v.Get("minertype").Str())
	set(&b.Hostname, v.Get("hostname").Str())
	set(&b.Serial, v.Get("serinum").Str())
	set(&b.Version, v.Get("system_filesystem_version").Str())
	b.mac("macaddr", v.Get("macaddr").Str())
	b.workMode(first(v.Get("bitmain-work-mode").Str(), v.Get("miner-mode").Str()))
	if len(b.Pools) > 0 {
		return // the API has told them, with what they do
	}
	for i, p := range v.Get("pools").List() {
		if url := p.Get("url").Str(); url != "" && i < listLimit {
			b.Pools = append(b.Pools, Pool{URL: trimTo(url, 256), User: trimTo(p.Get("user").Str(), 256), Priority: int64(i), Accepted: -1, Rejected: -1})
		}
	}
}
