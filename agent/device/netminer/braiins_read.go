package netminer

import (
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
)

// braiinsUnits are the keys that carry a rate's unit.
var braiinsUnits = []struct{ key, unit string }{
	{"hash_per_second", "H"}, {"kilohash_per_second", "KH"}, {"megahash_per_second", "MH"}, {"gigahash_per_second", "GH"}, {"terahash_per_second", "TH"}, {"petahash_per_second", "PH"},
}

// braiinsRate finds the figure of a rate object with its unit.
func braiinsRate(v lenient.Value) (lenient.Value, string) {
	for _, u := range braiinsUnits {
		if f := v.Get(u.key); f.Str() != "" {
			return f, u.unit
		}
	}
	return lenient.Value{}, ""
}

var braiinsSpans = []struct {
	key  string
	span int64
}{{"last_5s", spanNow}, {"last_15s", 15}, {"last_30s", 30}, {"last_1m", spanMinute}, {"last_5m", 300}, {"last_15m", 900}, {"last_30m", 1800}, {"last_1h", 3600}, {"last_24h", 86400}, {"since_restart", spanAverage}}

// braiinsREST reads miner/stats, miner/details, miner/hw/hashboards,
// cooling/state, performance/tuner-state and miner/errors; it reports false
// where a reply is none of them.
func (b *build) braiinsREST(v lenient.Value) bool {
	ours := false
	for _, key := range []string{"miner_stats", "power_stats", "pool_stats", "bos_version", "miner_identity", "sticker_hashrate", "hashboards", "mode_state", "overall_tuner_state", "highest_temperature"} {
		ours = ours || v.Has(key)
	}
	list := v.Get("errors")
	if !ours && (list.Kind != lenient.Array || v.Has("STATUS")) {
		return false
	}
	b.claim(Braiins)
	b.known = true
	b.braiinsStats(v)
	b.braiinsDetails(v)
	for i, h := range v.Get("hashboards").List() {
		b.braiinsBoard(i, h)
	}
	for i, f := range v.Get("fans").List() {
		percent := lenient.Value{}
		if r, ok := f.Get("target_speed_ratio").Milli(); ok && r >= 0 && r <= 1000 {
			percent = str(strconv.FormatInt(r/10, 10))
		}
		b.fan(first(f.Get("position").Str(), strconv.Itoa(i)), "rpm", f.Get("rpm"), percent)
	}
	b.temperature("chip", nil, "highest_temperature", v.Path("highest_temperature", "temperature", "degree_c"))
	mode := v.Get("mode_state").Get("powertargetmodestate")
	b.limit("power target", first2(mode.Path("current_target", "watt"), v.Path("power_target", "watt")))
	for _, e := range list.List() {
		code := e.Path("error_codes", "code").Str()
		b.fault(code, first(e.Get("message").Str(), e.Get("reason").Str()), "errors")
	}
	return true
}

func first2(a, b lenient.Value) lenient.Value {
	if a.Str() != "" {
		return a
	}
	return b
}

func (b *build) braiinsStats(v lenient.Value) {
	stats := v.Get("miner_stats")
	for _, s := range braiinsSpans {
		if f, unit := braiinsRate(stats.Get("real_hashrate").Get(s.key)); unit != "" {
			b.candidate(0, s.span, unit, "real_hashrate."+s.key, f)
		}
	}
	if f, unit := braiinsRate(stats.Get("nominal_hashrate")); unit != "" {
		b.Nominal = &Rate{Source: "nominal_hashrate", Text: f.Str(), Unit: unit}
	}
	b.power("approximated_consumption", v.Path("power_stats", "approximated_consumption", "watt"), true)
	shares := v.Get("pool_stats")
	b.count(&b.Accepted, "accepted_shares", shares.Get("accepted_shares"))
	b.count(&b.Rejected, "rejected_shares", shares.Get("rejected_shares"))
}

// braiinsStates of miner/details: numbers, or their names.
var braiinsStates = map[string]State{
	"1": StateIdle, "2": StateMining, "3": StateAsleep, "4": StateAsleep, "5": StateStarting,
	"miner_status_not_started": StateIdle, "miner_status_normal": StateMining, "miner_status_paused": StateAsleep, "miner_status_suspended": StateAsleep, "miner_status_restricted": StateStarting,
}

func (b *build) braiinsDetails(v lenient.Value) {
	// The release that a person knows, rather than the API's own number.
	if text := trimTo(first(v.Path("bos_version", "current").Str(), scalar(v.Get("bos_version"))), nameLimit); text != "" {
		b.Version = text
	}
	id := v.Get("miner_identity")
	b.models(first(id.Get("miner_model").Str(), id.Get("name").Str()))
	set(&b.Serial, v.Get("serial_number").Str())
	b.mac("mac_address", v.Get("mac_address").Str())
	set(&b.Hostname, v.Get("hostname").Str())
	if v.Has("bosminer_uptime_s") {
		b.elapsed("bosminer_uptime_s", v.Get("bosminer_uptime_s"))
	}
	if f, unit := braiinsRate(v.Get("sticker_hashrate")); unit != "" && b.Nominal == nil {
		b.Nominal = &Rate{Source: "sticker_hashrate", Text: f.Str(), Unit: unit}
	}
	if s := v.Get("status").Str(); v.Has("bos_version") || v.Has("miner_identity") {
		if state, ok := braiinsStates[strings.ToLower(s)]; ok {
			b.State = state
		}
	}
}

func (b *build) braiinsBoard(i int, h lenient.Value) {
	index := i
	if n, ok := h.Get("id").Int(); ok && n >= 0 && n < 100 {
		index = int(n)
	}
	if i >= listLimit || h.Kind != lenient.Object {
		return
	}
	board := b.board(index)
	if n, ok := h.Get("chips_count").Int(); ok && n >= 0 && n < 10_000 {
		board.Chips = n
	}
	if f, unit := braiinsRate(h.Get("stats").Get("real_hashrate").Get("last_5s")); unit != "" {
		if milli, ok := scaled(f.Str(), unit); ok && milli >= 0 && milli <= maxRate {
			board.Rate = milli / 1000
		}
	}
	if h.Has("enabled") && !h.Get("enabled").True() {
		board.Status = "disabled"
	}
	b.temperature("board", new(index), "board_temp", h.Path("board_temp", "degree_c"))
	b.temperature("chip", new(index), "highest_chip_temp", h.Path("highest_chip_temp", "temperature", "degree_c"))
}

// braiinsPools reads the list of pool groups.
func (b *build) braiinsPools(v lenient.Value) bool {
	found := false
	for _, group := range v.Items {
		pools := group.Get("pools")
		if pools.Kind != lenient.Array {
			continue
		}
		if !found {
			b.Pools = nil // of the API, which tells less
		}
		found = true
		b.claim(Braiins)
		b.known = true
		for i, p := range pools.Items {
			if i >= listLimit {
				break
			}
			status := ""
			if p.Has("alive") {
				status = map[bool]string{true: "alive", false: "dead"}[p.Get("alive").True()]
			}
			b.Pools = append(b.Pools, Pool{URL: trimTo(p.Get("url").Str(), 256), User: trimTo(p.Get("user").Str(), 256), Status: status, Active: p.Get("active").True(),
				Priority: int64(len(b.Pools)), Accepted: counter(p.Path("stats", "accepted_shares")), Rejected: counter(p.Path("stats", "rejected_shares"))})
		}
	}
	return found
}

// braiinsGraph reads the GraphQL answers of releases before 25, however much
// of the tree was asked for.
func (b *build) braiinsGraph(v lenient.Value) {
	b.claim(Braiins)
	b.known = true
	bos, info := v.Get("bos"), v.Path("bosminer", "info")
	set(&b.Hostname, bos.Get("hostname").Str())
	set(&b.Version, bos.Path("info", "version", "full").Str())
	b.models(info.Get("modelName").Str())
	for i, f := range info.Get("fans").List() {
		b.fan(first(f.Get("name").Str(), strconv.Itoa(i)), "rpm", f.Get("rpm"), f.Get("speed"))
	}
	b.power("approxConsumptionW", info.Path("summary", "power", "approxConsumptionW"), true)
	b.limit("limitW", info.Path("summary", "power", "limitW"))
	solver := info.Get("workSolver")
	for _, s := range []struct {
		key  string
		span int64
	}{{"mhs5S", spanNow}, {"mhs15S", 15}, {"mhs1M", spanMinute}, {"mhs5M", 300}, {"mhsAv", spanAverage}} {
		b.candidate(0, s.span, "MH", "realHashrate."+s.key, solver.Path("realHashrate", s.key))
	}
	if text := solver.Get("nominalMhs").Str(); text != "" {
		b.Nominal = &Rate{Source: "nominalMhs", Text: text, Unit: "MH"}
	}
}
