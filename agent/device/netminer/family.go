package netminer

import (
	"strings"

	"github.com/sluice-project/sluice/agent/device/netminer/lenient"
)

// Family is one way to speak to a miner: its firmware, not its maker.
type Family string

const (
	Antminer   Family = "antminer"
	Whatsminer Family = "whatsminer"
	Braiins    Family = "braiins"
	LuxOS      Family = "luxos"
	Avalon     Family = "avalon"
	Vnish      Family = "vnish"
	AxeOS      Family = "axeos"
	// CGMiner is any other device that answers the cgminer API.
	CGMiner Family = "cgminer"

	// Recognised, and read as far as they answer the cgminer API.
	Hiveon      Family = "hiveon"
	Marathon    Family = "marathon"
	MSKMiner    Family = "mskminer"
	Goldshell   Family = "goldshell"
	Innosilicon Family = "innosilicon"
	Auradine    Family = "auradine"
	EPIC        Family = "epic"
	IceRiver    Family = "iceriver"
	Hammer      Family = "hammer"
	Elphapex    Family = "elphapex"
	LuckyMiner  Family = "luckyminer"
)

// Ability is one row of the capability matrix.
type Ability struct {
	Family   Family `json:"family"`
	Make     string `json:"make"`
	Firmware string `json:"firmware"`
	Read     string `json:"read"`  // through what
	Sleep    string `json:"sleep"` // sleep and wake; "" is read-only
	Power    string `json:"power"` // power target in watts
	Pools    string `json:"pools"`
	Login    string `json:"login"` // what control needs
}

// Controllable reports whether any control is offered.
func (a Ability) Controllable() bool { return a.Sleep != "" }

// Abilities is the capability matrix, as `sluice agent probe --models` prints
// it. A blank is an ability we do not use, though the device may have it.
func Abilities() []Ability {
	return []Ability{
		{Antminer, "Antminer", "stock", "4028 stats summary pools version; CGI", "CGI miner-mode 1/0", "", "CGI pools", "digest, root"},
		{Whatsminer, "Whatsminer", "stock, API 2", "4028 summary devs pools get_version get_error_code", "power_off/power_on", "adjust_power_limit", "update_pools", "admin password, API switch on"},
		{Whatsminer, "Whatsminer", "stock, API 3", "4433 get.miner.status get.device.info", "set.miner.service", "set.miner.power_limit", "set.miner.pools", "super password"},
		{Braiins, "Antminer, Braiins", "Braiins OS 25", "4028 summary devs temps fans pools; REST", "REST actions pause/resume", "REST power-target", "REST pools", "root password"},
		{AxeOS, "Bitaxe", "AxeOS", "HTTP system/info", "pause/resume (2.9 and later)", "", "PATCH system, restart", "none"},
		{LuxOS, "Antminer", "LuxOS", "4028 stats summary power pools version", "", "", "", ""},
		{Avalon, "Avalon", "stock", "4028 stats litestats summary pools version", "", "", "", ""},
		{Vnish, "Antminer", "Vnish", "4028 stats summary pools; HTTP summary", "", "", "", ""},
		{CGMiner, "any", "cgminer and its descendants", "4028 stats summary devs pools version", "", "", "", ""},
	}
}

// Controllable reports whether Sluice can steer devices of a family; the
// others mine by themselves and are only observed.
func (f Family) Controllable() bool {
	for _, a := range Abilities() {
		if a.Family == f && a.Controllable() {
			return true
		}
	}
	return false
}

// signs in what a miner calls itself, the more specific first: firmware from
// others often keeps the names of the maker beside its own.
var signs = []struct {
	text   string
	family Family
}{
	{"BOSMINER", Braiins}, {"BOSER", Braiins}, {"BRAIINS", Braiins}, {"BMMINER BOS_", Braiins}, {"LUXMINER", LuxOS}, {"LUXOS", LuxOS}, {"VNISH", Vnish},
	{"HIVEON", Hiveon}, {"KAONSU", Marathon}, {"RWGLR", MSKMiner}, {"BTMINER", Whatsminer}, {"BITMICRO", Whatsminer}, {"WHATSMINER", Whatsminer},
	{"GCMINER", Auradine}, {"FLUXOS", Auradine}, {"INTCHAINS_QOMO", Goldshell}, {"KDAMINER", Goldshell}, {"BFGMINER", Goldshell},
	{"INNOMINER", Innosilicon}, {"AVALON", Avalon}, {"ANTMINER", Antminer},
}

// familyOf finds the first sign in a text.
func familyOf(text string) Family {
	up := strings.ToUpper(text)
	for _, s := range signs {
		if strings.Contains(up, s.text) {
			return s.family
		}
	}
	return ""
}

// rank orders families by how much they tell: aftermarket firmware before the
// maker's, which it imitates, and anything before the bare API.
func (f Family) rank() int {
	switch f {
	case "":
		return 99
	case CGMiner:
		return 50
	case Antminer, Whatsminer, Avalon:
		return 20
	}
	return 10
}

// claim notes that a reply shows a family's sign.
func (b *build) claim(f Family) {
	if f != "" && f.rank() < b.Family.rank() {
		b.Family = f
	}
}

// makes of families that run on one maker's hardware only.
var makes = map[Family]string{Antminer: "Antminer", Whatsminer: "Whatsminer", Avalon: "Avalon", AxeOS: "Bitaxe", LuckyMiner: "LuckyMiner", Goldshell: "Goldshell",
	Innosilicon: "Innosilicon", Auradine: "Auradine", IceRiver: "IceRiver", Elphapex: "Elphapex"}

// firmwares by their names; the others run what their maker wrote.
var firmwares = map[Family]string{Braiins: "Braiins OS", LuxOS: "LuxOS", Vnish: "Vnish", AxeOS: "AxeOS", Hiveon: "Hiveon", Marathon: "Marathon", MSKMiner: "MSKMiner", EPIC: "ePIC"}

// name settles make, model and firmware from all that was said.
func (b *build) name() {
	switch {
	case b.Family != "":
	case b.labels:
		// cgminer labels its summary MHS; bmminer, which names itself
		// "cgminer" there, GHS.
		b.Family = Antminer
		b.warn("make", "", "told by the labels of the summary alone")
	default:
		b.Family = CGMiner
	}
	b.Model = modelName(first(b.Model, b.model))
	switch {
	case b.Make != "":
	case strings.HasPrefix(b.Model, "Antminer "):
		b.Make = "Antminer"
	default:
		b.Make = makes[b.Family]
	}
	switch name, others := firmwares[b.Family]; {
	case b.Firmware != "":
	case others:
		b.Firmware = name
	case b.Family != CGMiner:
		b.Firmware = "stock"
	}
}

// modelName brings a model as devices write it into one form.
func modelName(s string) string {
	s = strings.Join(strings.Fields(strings.NewReplacer("_", " ", "\t", " ").Replace(s)), " ")
	// "Antminer S19 (Vnish 1.2.0)", "Antminer S9 (BOS+)": the rest is firmware.
	if i := strings.IndexByte(s, '('); i > 0 {
		s = strings.TrimSpace(s[:i])
	}
	s = strings.TrimSuffix(strings.TrimSuffix(s, " Hiveon"), " Vnish")
	low := strings.ToLower(s)
	for _, p := range []struct{ from, to string }{{"bitmain antminer ", "Antminer "}, {"antminer ", "Antminer "}, {"braiins-am", "am"}, {"whatsminer ", "Whatsminer "}} {
		if strings.HasPrefix(low, p.from) {
			s = p.to + s[len(p.from):]
			low = strings.ToLower(s)
		}
	}
	// "am1-s9", "am2-s17": the board name of Braiins OS.
	if rest, ok := strings.CutPrefix(low, "am"); ok {
		if _, model, found := strings.Cut(rest, "-"); found && model != "" {
			return "Antminer " + strings.ToUpper(model[:1]) + model[1:]
		}
	}
	return s
}

// described reads what the API calls itself.
func (b *build) described(v lenient.Value) {
	text := trimTo(v.Str(), nameLimit)
	if text == "" {
		return
	}
	if b.API == "" {
		b.API = text
	}
	b.claim(familyOf(text))
	up := strings.ToUpper(text)
	switch {
	case strings.HasPrefix(up, "BOSMINER ") || strings.HasPrefix(up, "BOSER "):
		// "BOSminer bosminer-plus-am2-s17 0.8.0-feaec278"
		words := strings.Fields(text)
		if len(words) >= 3 {
			set(&b.Version, words[len(words)-1])
		}
		for _, w := range words[1:] {
			if i := strings.LastIndex(w, "-am"); i > 0 {
				set(&b.model, w[i+1:])
				if strings.Contains(w, "-plus-") {
					set(&b.Firmware, "Braiins OS+")
				}
			}
		}
	case strings.HasPrefix(up, "LUXMINER "):
		set(&b.Version, strings.Fields(text)[1])
	}
}
