package netminer

import (
	"strconv"
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
)

// btminerSummary reads what Whatsminers add to SUMMARY, or send as the object
// Msg.
func (b *build) btminerSummary(v lenient.Value) {
	b.claim(Whatsminer)
	set(&b.Version, v.Get("Firmware Version").Str())
	set(&b.Mode, v.Get("Power Mode").Str())
	b.mac("MAC", v.Get("MAC").Str())
	if text := v.Get("Factory GHS").Str(); text != "" && text != "0" {
		b.Nominal = &Rate{Source: "Factory GHS", Text: text, Unit: "GH"}
	}
	b.power("Power", v.Get("Power"), false)
	b.power("Power_RT", v.Get("Power_RT"), false)
	b.limit("Power Limit", v.Get("Power Limit"))
	b.scalarTemp("board", "Temperature", v.Get("Temperature"))
	b.scalarTemp("chip", "Chip Temp Max", v.Get("Chip Temp Max"))
	b.temperature("ambient", nil, "Env Temp", v.Get("Env Temp"))
	b.fan("in", "Fan Speed In", v.Get("Fan Speed In"), lenient.Value{})
	b.fan("out", "Fan Speed Out", v.Get("Fan Speed Out"), lenient.Value{})
	b.fan("supply", "Power Fanspeed", v.Get("Power Fanspeed"), lenient.Value{})
	b.errorCodes(v)
}

// errorCodes of a summary are numbered fields beside their number.
func (b *build) errorCodes(v lenient.Value) {
	found := int64(0)
	for i := range listLimit {
		code := v.Get("Error Code " + strconv.Itoa(i)).Str()
		if code == "" {
			break
		}
		if code != "0" {
			b.btminerFault(code, "Error Code "+strconv.Itoa(i))
		}
		found++
	}
	if n, ok := v.Get("Error Code Count").Int(); ok && n != found && n >= 0 {
		b.warn("Error Code Count", strconv.FormatInt(n, 10), "%d codes are listed", found)
	}
}

// btminerTexts are the codes a hall meets most; the maker's manual has the
// rest.
var btminerTexts = map[string]string{
	"110": "intake fan speed error", "111": "exhaust fan speed error", "120": "intake fan speed differs too much", "121": "exhaust fan speed differs too much",
	"200": "power supply not found", "201": "power supply and configuration do not match", "203": "power supply protects itself", "206": "low input voltage", "210": "power supply error",
	"233": "power supply output over temperature", "300": "board 0 temperature sensor error", "301": "board 1 temperature sensor error", "302": "board 2 temperature sensor error",
	"350": "board 0 too hot", "351": "board 1 too hot", "352": "board 2 too hot", "410": "board 0 EEPROM not found", "411": "board 1 EEPROM not found", "412": "board 2 EEPROM not found",
	"530": "board 0 not found", "531": "board 1 not found", "532": "board 2 not found", "600": "environment temperature is high", "610": "environment too hot for high performance",
	"2010": "all pools are disabled", "2020": "pool 0 connection failed", "2021": "pool 1 connection failed", "2022": "pool 2 connection failed",
}

func (b *build) btminerFault(code, source string) { b.fault(code, btminerTexts[code], source) }

// errorList reads error codes however they are written: as strings, as
// numbers, or as keys of objects whose values say when.
func (b *build) errorList(v lenient.Value, source string) {
	for _, item := range v.List() {
		switch item.Kind {
		case lenient.Object:
			for _, m := range item.Members {
				if m.Key != "reason" && m.Key != "time" {
					b.btminerFault(m.Key, source)
				}
			}
		case lenient.String, lenient.Number:
			if code := item.Str(); code != "" && code != "0" {
				b.btminerFault(code, source)
			}
		}
	}
	if v.Kind == lenient.Object && len(v.Members) == 0 {
		return
	}
}

// message reads the object Msg of btminer's other commands: get_psu,
// get_version, get_miner_info, status, get_error_code, and SUMMARY of API 2.
func (b *build) message(envelope, v lenient.Value) {
	if v.Kind != lenient.Object {
		switch envelope.Get("STATUS").Str() {
		case "E", "F":
			b.refused = append(b.refused, trimTo(v.Str(), nameLimit))
			if envelope.Get("Code").Str() == "14" || envelope.Get("Code").Str() == "45" {
				b.claim(Whatsminer)
			}
		}
		return
	}
	b.claim(Whatsminer)
	b.known = true
	set(&b.Version, first(v.Get("fw_ver").Str(), v.Get("FirmwareVersion").Str()))
	b.mac("mac", v.Get("mac").Str())
	set(&b.Hostname, v.Get("hostname").Str())
	set(&b.Serial, v.Get("minersn").Str())
	if kind := v.Get("minertype").Str(); kind != "" {
		set(&b.Model, "Whatsminer "+strings.TrimPrefix(kind, "WhatsMiner "))
	}
	if v.Has("fan_speed") { // get_psu; its model is the supply's, not the miner's
		b.fan("supply", "fan_speed", v.Get("fan_speed"), lenient.Value{})
		b.power("pin", v.Get("pin"), false)
	}
	if v.Get("btmineroff").Str() == "true" || v.Get("mineroff").Str() == "true" {
		b.State = StateAsleep
	}
	if mode := v.Get("power_mode").Str(); mode != "" {
		set(&b.Mode, mode)
	}
	b.limit("power_limit_set", v.Get("power_limit_set"))
	b.errorList(v.Get("error_code"), "error_code")
	if v.Has("Elapsed") || v.Has("HS RT") || v.Has("Power") {
		b.summary([]lenient.Value{v})
	}
	for section, read := range sections {
		if inner := v.Get(section); inner.Kind == lenient.Array {
			read(b, inner.List())
		}
	}
}

// whatsminerV3 reads the replies of API 3; its rates are in TH/s.
func (b *build) whatsminerV3(v lenient.Value) {
	b.claim(Whatsminer)
	if code, ok := v.Get("code").Int(); ok && code != 0 {
		b.refused = append(b.refused, trimTo(first(v.Get("desc").Str(), v.Get("msg").Str(), "code "+v.Get("code").Str()), nameLimit))
		return
	}
	m := v.Get("msg")
	if m.Kind == lenient.Object {
		b.known = true
	}
	b.v3Summary(m.Get("summary"))
	for i, d := range m.Get("edevs").List() {
		index := i
		if n, ok := d.Get("slot").Int(); ok && n >= 0 && n < 100 {
			index = int(n)
		}
		board := b.board(index)
		if n, ok := d.Get("effective-chips").Int(); ok && n >= 0 && n < 10_000 {
			board.Chips = n
		}
		if milli, ok := scaled(d.Get("hash-average").Str(), "TH"); ok && milli >= 0 && milli <= maxRate {
			board.Rate = milli / 1000
		}
		b.temperature("chip", new(index), "chip-temp-max", d.Get("chip-temp-max"))
	}
	for _, p := range m.Get("pools").List() {
		user := first(p.Get("account").Str(), p.Get("user").Str())
		b.pools([]lenient.Value{{Kind: lenient.Object, Members: []lenient.Member{{Key: "URL", Value: p.Get("url")}, {Key: "User", Value: str(user)},
			{Key: "Status", Value: p.Get("status")}, {Key: "Stratum Active", Value: p.Get("stratum-active")}}}})
	}
	miner, system, network, supply := m.Get("miner"), m.Get("system"), m.Get("network"), m.Get("power")
	if kind := miner.Get("type").Str(); kind != "" {
		set(&b.Model, "Whatsminer "+strings.TrimPrefix(kind, "WhatsMiner "))
	}
	set(&b.Serial, miner.Get("miner-sn").Str())
	if miner.Get("working").Str() == "false" {
		b.State = StateAsleep
	}
	set(&b.Version, system.Get("fwversion").Str())
	if api := system.Get("api").Str(); api != "" {
		set(&b.API, "btminer API "+api)
	}
	set(&b.Hostname, network.Get("hostname").Str())
	b.mac("mac", network.Get("mac").Str())
	b.fan("supply", "fanspeed", supply.Get("fanspeed"), lenient.Value{})
	b.power("pin", supply.Get("pin"), false)
	b.errorList(m.Get("error-code"), "error-code")
}

func (b *build) v3Summary(s lenient.Value) {
	if s.Kind != lenient.Object {
		return
	}
	b.elapsed("elapsed", s.Get("elapsed"))
	for _, r := range []struct {
		key  string
		span int64
	}{{"hash-realtime", spanReal}, {"hash-1min", spanMinute}, {"hash-15min", 900}, {"hash-average", spanAverage}} {
		b.candidate(0, r.span, "TH", r.key, s.Get(r.key))
	}
	if text := s.Get("factory-hash").Str(); text != "" && text != "0" {
		b.Nominal = &Rate{Source: "factory-hash", Text: text, Unit: "TH"}
	}
	b.power("power-realtime", s.Get("power-realtime"), false)
	b.power("power-5min", s.Get("power-5min"), false)
	b.limit("power-limit", s.Get("power-limit"))
	b.temperature("ambient", nil, "environment-temperature", s.Get("environment-temperature"))
	b.temperature("chip", nil, "chip-temp-max", s.Get("chip-temp-max"))
	b.temperature("board", nil, "board-temperature", s.Get("board-temperature").List()...)
	b.fan("in", "fan-speed-in", s.Get("fan-speed-in"), lenient.Value{})
	b.fan("out", "fan-speed-out", s.Get("fan-speed-out"), lenient.Value{})
}
