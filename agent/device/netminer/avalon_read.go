package netminer

import (
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
)

// bracket is one Key[value] of an Avalon string.
type bracket struct{ key, value string }

// brackets scans "Key[value] Key[value]": values hold spaces, colons and
// commas, keys may hold a space, and 'STATS':{ may stand around all of it. A
// closing bracket that is missing ends the scan.
func brackets(s string) (out []bracket, whole bool) {
	for len(out) < 4096 {
		open := strings.IndexByte(s, '[')
		if open < 0 {
			return out, true
		}
		key := s[:open]
		if i := strings.LastIndexAny(key, "{}:'\""); i >= 0 {
			key = key[i+1:]
		}
		rest := s[open+1:]
		end := strings.IndexByte(rest, ']')
		if end < 0 {
			return out, false
		}
		if key = strings.TrimSpace(key); key != "" {
			out = append(out, bracket{key, strings.TrimSpace(rest[:end])})
		}
		s = rest[end+1:]
	}
	return out, false
}

func field(list []bracket, key string) string {
	for _, b := range slices.Backward(list) {
		if strings.EqualFold(b.key, key) {
			return b.value
		}
	}
	return ""
}

// avalonItem reports whether an item of STATS is an Avalon's.
func avalonItem(v lenient.Value) bool {
	return hasPrefix(v, "MM ID") || strings.HasPrefix(strings.ToUpper(v.Get("ID").Str()), "AVALON")
}

func (b *build) avalon(v lenient.Value) {
	b.claim(Avalon)
	for _, m := range v.Members {
		key := strings.ToUpper(m.Key)
		if !strings.HasPrefix(key, "MM ID") || m.Value.Kind != lenient.String {
			continue
		}
		list, whole := brackets(m.Value.Text)
		if !whole {
			b.warn(m.Key, "", "a bracket is not closed; what is before it is used")
			b.Partial = true
		}
		b.avalonModule(list)
	}
	b.elapsed("Elapsed", v.Get("Elapsed"))
	if info := v.Get("HBinfo"); info.Kind == lenient.String {
		list, _ := brackets(info.Text)
		b.avalonChips(list)
	}
}

// avalonModule reads one module; a device has one, chains of old had several.
func (b *build) avalonModule(list []bracket) {
	get := func(key string) lenient.Value { return str(field(list, key)) }
	b.known = true
	if ver := field(list, "Ver"); ver != "" {
		model, version, _ := strings.Cut(ver, "-")
		set(&b.Model, avalonModel(model))
		set(&b.Version, first(version, ver))
	}
	set(&b.Serial, field(list, "DNA"))
	b.elapsed("Elapsed", get("Elapsed"))
	set(&b.Mode, workModes[field(list, "WORKMODE")])
	b.candidate(0, spanNow, "GH", "GHSspd", get("GHSspd"))
	b.candidate(0, spanAverage, "GH", "GHSavg", get("GHSavg"))
	if text := field(list, "GHSmm"); text != "" && b.Nominal == nil {
		b.Nominal = &Rate{Source: "GHSmm", Text: text, Unit: "GH"}
	}
	b.count(&b.HardwareErrors, "HW", get("HW"))
	b.limit("MPO", get("MPO"))
	b.power("WALLPOWER", get("WALLPOWER"), false)
	// PS[error, ..., mV, mA, W, ...]
	if ps := strings.Fields(field(list, "PS")); len(ps) >= 5 {
		b.power("PS[4]", str(ps[4]), false)
		if ps[0] != "0" {
			b.fault(ps[0], "power supply error", "PS[0]")
		}
	}
	for _, t := range []struct{ place, key string }{{"inlet", "ITemp"}, {"inlet", "Temp"}, {"inlet", "HBITemp"}, {"outlet", "HBOTemp"}, {"outlet", "OTemp"}} {
		b.scalarTemp(t.place, t.key, get(t.key))
	}
	b.scalarTemp("chip", "TMax", get("TMax"))
	for i, text := range strings.Fields(field(list, "MTmax")) {
		b.temperature("chip", new(i), "MTmax", str(text))
	}
	b.avalonState(list)
	resting := b.State == StateAsleep || b.State == StateIdle
	for i, text := range strings.Fields(field(list, "MGHS")) {
		// An average since start: no rate of a board that rests.
		if milli, ok := scaled(text, "GH"); ok && milli >= 0 && milli <= maxRate && !resting {
			b.board(i).Rate = milli / 1000
		}
	}
	b.avalonChips(list)
	for i := 1; i <= 8; i++ {
		key := "Fan" + strconv.Itoa(i)
		if v := field(list, key); v != "" {
			b.fan(strconv.Itoa(i), key, str(v), get("FanR"))
		}
	}
	b.avalonFaults(list)
}

var workModes = map[string]string{"0": "normal", "1": "high performance", "2": "super"}

// avalonModel names a model by what stands before the dash of Ver, or by PROD.
func avalonModel(s string) string {
	s = strings.TrimSpace(s)
	low := strings.ToLower(s)
	for _, p := range []string{"avalonminer", "avalon"} {
		if strings.HasPrefix(low, p) {
			s = strings.TrimSpace(s[len(p):])
			break
		}
	}
	if s == "" {
		return ""
	}
	return "Avalon " + s
}

// avalonChips counts chips by their temperatures: PVT_T0 of board 0 and so on.
func (b *build) avalonChips(list []bracket) {
	for _, item := range list {
		index, ok := strings.CutPrefix(strings.ToUpper(item.key), "PVT_T")
		n, err := strconv.Atoi(index)
		if !ok || err != nil || n < 0 || n >= listLimit {
			continue
		}
		var readings []lenient.Value
		for _, text := range strings.Fields(item.value) {
			readings = append(readings, str(text))
		}
		if board := b.board(n); len(readings) < 10_000 {
			board.Chips = int64(len(readings))
		}
		if b.State == StateAsleep || b.State == StateIdle {
			continue // what it holds is of before
		}
		b.temperature("chip", new(n), item.key, readings...)
	}
}

// avalonFaults: each number that is not zero is an error of its part.
func (b *build) avalonFaults(list []bracket) {
	for _, key := range []string{"ECHU", "ECMM", "FanErr", "PCOMM_E"} {
		for i, code := range strings.Fields(field(list, key)) {
			if code == "0" {
				continue
			}
			where := ""
			if key == "ECHU" {
				where = "board " + strconv.Itoa(i)
			}
			b.fault(code, where, key)
		}
	}
}

// avalonState reads "SYSTEMSTATU[Work: In Idle, Hash Board: 1]". A soft-off
// is sleep by order; its sensors are off and what HBinfo holds is of before.
func (b *build) avalonState(list []bracket) {
	status := strings.ToLower(field(list, "SYSTEMSTATU"))
	_, work, _ := strings.Cut(status, "work:")
	work, _, _ = strings.Cut(work, ",")
	switch {
	case strings.Contains(work, "in work"):
		b.State = StateMining
	case strings.Contains(work, "idle"):
		b.State = StateIdle
		if off := field(list, "SoftOFF"); off != "" && off != "0" {
			b.State = StateAsleep
		}
	case strings.Contains(work, "in init"), strings.Contains(work, "start"):
		b.State = StateStarting
	case strings.Contains(work, "err"), strings.Contains(work, "fail"):
		b.State = StateFailed
	}
}
