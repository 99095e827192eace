package netminer

import (
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
)

// bitaxes by the first digits of their board version.
var bitaxes = []struct{ board, name string }{
	{"102", "Max"}, {"2.2", "Max"}, {"20", "Ultra"}, {"302", "Hex"}, {"303", "Hex"}, {"40", "Supra"}, {"60", "Gamma"}, {"650", "GammaDuo"},
	{"701", "SupraHex"}, {"702", "SupraHex"}, {"801", "GammaTurbo"},
}

// axeOS reads /api/system/info. Every field is optional: names and types have
// changed between releases.
func (b *build) axeOS(v lenient.Value) {
	b.claim(AxeOS)
	b.known = true
	set(&b.Version, first(v.Get("axeOSVersion").Str(), v.Get("version").Str()))
	set(&b.Hostname, v.Get("hostname").Str())
	b.mac("macAddr", v.Get("macAddr").Str())
	set(&b.Model, v.Get("deviceModel").Str())
	if b.Model == "" {
		board := v.Get("boardVersion").Str()
		for _, x := range bitaxes {
			if strings.HasPrefix(board, x.board) {
				set(&b.Model, "Bitaxe "+x.name+" "+board)
			}
		}
		if board != "" && b.Model == "" {
			set(&b.Model, "Bitaxe board "+board)
		}
	} else if !strings.Contains(strings.ToLower(b.Model), "bitaxe") {
		b.Model = "Bitaxe " + b.Model
	}
	b.Algorithm = "sha256d"
	b.elapsed("uptimeSeconds", v.Get("uptimeSeconds"))
	b.candidate(0, spanNow, "GH", "hashRate", v.Get("hashRate"))
	b.candidate(0, spanMinute, "GH", "hashRate_1m", v.Get("hashRate_1m"))
	b.candidate(0, 600, "GH", "hashRate_10m", v.Get("hashRate_10m"))
	b.candidate(0, 3600, "GH", "hashRate_1h", v.Get("hashRate_1h"))
	chips, counted := v.Get("asicCount").Int()
	if !counted || chips < 1 || chips > 100 {
		chips, counted = 1, false
	}
	if text := v.Get("expectedHashrate").Str(); text != "" {
		b.Nominal = &Rate{Source: "expectedHashrate", Text: text, Unit: "GH"}
	} else if mhz, ok := v.Get("frequency").Milli(); ok && mhz > 0 && mhz < 10_000_000 {
		if cores, ok := v.Get("smallCoreCount").Int(); ok && cores > 0 && cores < 100_000 {
			b.Nominal = &Rate{Source: "frequency x smallCoreCount x asicCount", Text: strconv.FormatInt(mhz*cores*chips/1000, 10), Unit: "MH"}
		}
	}
	if counted {
		b.board(0).Chips = chips
	}
	b.power("power", v.Get("power"), false)
	b.limit("maxPower", v.Get("maxPower"))
	b.scalarTemp("chip", "temp", v.Get("temp"))
	b.temperature("chip", nil, "temp2", v.Get("temp2"))
	b.temperature("regulator", nil, "vrTemp", v.Get("vrTemp"))
	b.fan("1", "fanrpm", v.Get("fanrpm"), v.Get("fanspeed"))
	if v.Has("fan2rpm") {
		b.fan("2", "fan2rpm", v.Get("fan2rpm"), lenient.Value{})
	}
	b.count(&b.Accepted, "sharesAccepted", v.Get("sharesAccepted"))
	b.count(&b.Rejected, "sharesRejected", v.Get("sharesRejected"))
	b.axePools(v)
	b.axeState(v)
}

// axePools: the fallback is in use only while the first pool is down.
func (b *build) axePools(v lenient.Value) {
	fallback := v.Get("isUsingFallbackStratum").True()
	for i, prefix := range []string{"stratum", "fallbackStratum"} {
		url := trimTo(v.Get(prefix+"URL").Str(), 256)
		if url == "" {
			continue
		}
		if port := v.Get(prefix + "Port").Str(); port != "" && port != "0" {
			url += ":" + trimTo(port, 8)
		}
		b.Pools = append(b.Pools, Pool{URL: url, User: trimTo(v.Get(prefix+"User").Str(), 256), Active: (i == 1) == fallback, Priority: int64(i), Accepted: -1, Rejected: -1})
	}
}

func (b *build) axeState(v lenient.Value) {
	if v.Get("miningPaused").True() {
		b.State = StateAsleep
	}
	for _, f := range []struct{ key, text string }{{"overheat_mode", "stopped because it was too hot"}, {"power_fault", "power fault"}, {"hardware_fault", "hardware fault"}} {
		s := v.Get(f.key).Str()
		if s == "" || s == "0" || s == "false" {
			continue
		}
		b.State = StateFailed
		if len(s) < 3 || s == "true" {
			s = f.text // a flag; newer releases say in words what happened
		}
		b.fault(f.key, s, f.key)
	}
}

// vnish reads /api/v1/summary, /info and /status.
func (b *build) vnish(v lenient.Value) {
	b.claim(Vnish)
	b.known = true
	b.models(first(v.Get("model").Str(), scalar(v.Get("miner"))))
	set(&b.Version, v.Get("fw_version").Str())
	set(&b.Serial, v.Get("serial").Str())
	net := v.Path("system", "network_status")
	b.mac("mac", net.Get("mac").Str())
	set(&b.Hostname, net.Get("hostname").Str())
	m := v.Get("miner")
	if m.Kind != lenient.Object {
		b.vnishState(v.Get("miner_state").Str())
		return
	}
	b.models(m.Get("miner_type").Str())
	for _, r := range []struct {
		key  string
		span int64
	}{{"hr_realtime", spanReal}, {"instant_hashrate", spanNow}, {"average_hashrate", spanAverage}, {"hr_average", spanAverage}} {
		b.candidate(0, r.span, vnishUnit(m, r.key), r.key, m.Get(r.key))
	}
	if text := first(m.Get("hr_nominal").Str(), m.Get("hr_stock").Str()); text != "" && text != "0" {
		b.Nominal = &Rate{Source: "hr_nominal", Text: text, Unit: vnishUnit(m, "hr_nominal")}
	}
	b.power("power_usage", m.Get("power_usage"), true)
	b.power("power_consumption", m.Get("power_consumption"), true)
	b.limit("preset", str(strings.TrimSuffix(v.Path("miner", "overclock", "preset").Str(), "disabled")))
	b.count(&b.HardwareErrors, "hw_errors", m.Get("hw_errors"))
	b.temperature("board", nil, "pcb_temp", m.Path("pcb_temp", "min"), m.Path("pcb_temp", "max"))
	b.temperature("chip", nil, "chip_temp", m.Path("chip_temp", "min"), m.Path("chip_temp", "max"))
	for i, f := range m.Path("cooling", "fans").List() {
		b.fan(first(f.Get("id").Str(), strconv.Itoa(i)), "rpm", f.Get("rpm"), lenient.Value{})
		if s := f.Get("status").Str(); s != "" && s != "ok" {
			b.fault("", "fan "+f.Get("id").Str()+" "+s, "cooling")
		}
	}
	for i, c := range m.Get("chains").List() {
		b.vnishChain(i, c)
	}
	for i, p := range m.Get("pools").List() {
		status := strings.ToLower(p.Get("status").Str())
		active := status == "active" || status == "working"
		b.Pools = append(b.Pools, Pool{URL: trimTo(p.Get("url").Str(), 256), User: trimTo(p.Get("user").Str(), 256), Status: trimTo(status, 32), Active: active, Priority: int64(i),
			Accepted: counter(p.Get("accepted")), Rejected: counter(p.Get("rejected"))})
		if i >= listLimit {
			break
		}
	}
	b.vnishState(m.Path("miner_status", "miner_state").Str())
}

// vnishUnit: instant and average rates are in GH/s unless a unit stands
// beside them; newer firmware counts all in TH/s and says so.
func vnishUnit(m lenient.Value, key string) string {
	if u := first(m.Get("hashrate_unit").Str(), m.Get("hr_unit").Str()); u != "" {
		return strings.ToUpper(u)
	}
	if strings.HasSuffix(key, "_hashrate") {
		return "TH"
	}
	return "GH"
}

func (b *build) vnishChain(i int, c lenient.Value) {
	index := i
	if n, ok := c.Get("id").Int(); ok && n >= 0 && n < 100 {
		index = int(n)
	}
	if i >= listLimit || c.Kind != lenient.Object {
		return
	}
	board := b.board(index)
	state := c.Path("status", "state").Str()
	board.Status = trimTo(state, 32)
	if n, ok := scaled(c.Get("hashrate_rt").Str(), "GH"); ok && n >= 0 && n <= maxRate {
		board.Rate = n / 1000
	}
	if red, ok := c.Path("chip_statuses", "red").Int(); ok && red >= 0 && red < 10_000 {
		board.Bad = red
	}
	b.temperature("chip", new(index), "chip_temp", c.Path("chip_temp", "min"), c.Path("chip_temp", "max"))
	b.temperature("board", new(index), "pcb_temp", c.Path("pcb_temp", "min"), c.Path("pcb_temp", "max"))
	if state == "failure" {
		b.fault("", "board "+strconv.Itoa(index)+": "+c.Path("status", "description").Str(), "chains")
	}
}

func (b *build) vnishState(text string) {
	switch strings.ToLower(text) {
	case "mining", "auto-tuning":
		b.State = StateMining
	case "stopped", "shutting-down":
		b.State = StateAsleep
	case "initializing", "starting", "restarting":
		b.State = StateStarting
	case "failure":
		b.State = StateFailed
	}
}

func scalar(v lenient.Value) string {
	if v.Kind == lenient.String {
		return v.Str()
	}
	return ""
}

// counter is a count of shares, or -1.
func counter(v lenient.Value) int64 {
	if n, ok := v.Int(); ok && n >= 0 && n < 1e12 {
		return n
	}
	return -1
}
