package netminer_test

import (
	"strings"
	"testing"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/workload"
)

const stock = `{"STATUS":[{"STATUS":"S","When":1,"Code":70,"Msg":"CGMiner stats","Description":"cgminer 4.9.0"}],"STATS":[{"BMMiner":"2.0","Miner":"uart.1.3","CompileTime":"Mon","Type":"Antminer S19j Pro"},` +
	`{"STATS":0,"Elapsed":5000,"GHS 5s":"100000.5","GHS av":"99000","rate_unit":"GH","total_rateideal":104000,"fan_num":2,"fan1":5000,"fan2":5100,"chain_acn1":126,"chain_acs1":" ooo","chain_rate1":"50000.25","temp_chip1":"60-61-62-63","temp_pcb1":"50-51-52-53"}],"id":1}`

var stockWant = want{"Antminer", "Antminer S19j Pro", "stock uart.1.3", 100_000_500_000_000, "GHS 5s", -1, 63_000, 2, 1, 0, "", "", "mining"}

// with changes a want.
func (w want) with(change func(*want)) want { change(&w); return w }

// TestFaultsOfTheAPI has a case per documented fault: what it does to a
// reply that is otherwise sound must cost nothing but a warning.
func TestFaultsOfTheAPI(t *testing.T) {
	swap := func(from, to string) string {
		if !strings.Contains(stock, from) {
			panic(from)
		}
		return strings.Replace(stock, from, to, 1)
	}
	for _, c := range []struct {
		name, body string
		want       want
	}{
		{"plain", stock, stockWant},
		{"NUL", stock + "\x00", stockWant},
		{"NULs and newline", stock + "\n\x00\x00", stockWant},
		{"no comma between objects", swap(`},{"STATS":0`, `}{"STATS":0`), stockWant.with(func(w *want) { w.warns = "missing comma between values" })},
		{"comma before the list's first", swap(`"STATS":[{`, `"STATS":[,{`), stockWant.with(func(w *want) { w.warns = "surplus comma" })},
		{"comma before brace", swap(`"52-53"}]`[0:0]+`}],"id"`, `,}],"id"`), stockWant.with(func(w *want) { w.warns = "comma before }" })},
		{"raw newline in a string", swap("cgminer 4.9.0", "cgminer\n4.9.0"), stockWant.with(func(w *want) { w.warns = "control bytes" })},
		{"strings glued", swap(`"rate_unit":"GH",`, `"rate_unit":"GH"`), stockWant.with(func(w *want) { w.warns = "missing comma between members" })},
		{"bare nan", swap(`"GHS 5s":"100000.5"`, `"GHS 5s":nan`), stockWant.with(func(w *want) { w.hash, w.source, w.warns = 99_000_000_000_000, "GHS av", "nan" })},
		{"nan as text", swap(`"GHS 5s":"100000.5"`, `"GHS 5s":"nan"`), stockWant.with(func(w *want) { w.hash, w.source, w.warns = 99_000_000_000_000, "GHS av", "not a number" })},
		{"inf as text", swap(`"GHS 5s":"100000.5"`, `"GHS 5s":"inf"`), stockWant.with(func(w *want) { w.hash, w.source, w.warns = 99_000_000_000_000, "GHS av", "not a number" })},
		{"empty", swap(`"GHS 5s":"100000.5"`, `"GHS 5s":""`), stockWant.with(func(w *want) { w.hash, w.source = 99_000_000_000_000, "GHS av" })},
		{"padded number", swap(`"100000.5"`, `"  100000.5000"`), stockWant},
		{"number not in quotes", swap(`"100000.5"`, `100000.5`), stockWant},
		{"spike", swap(`"100000.5"`, `"9000000000"`), stockWant.with(func(w *want) { w.hash, w.source, w.warns = 99_000_000_000_000, "GHS av", "no device of this kind" })},
		{"twice its nominal", swap(`"100000.5"`, `"250000"`), stockWant.with(func(w *want) { w.hash, w.source, w.warns = 99_000_000_000_000, "GHS av", "twice" })},
		{"negative rate", swap(`"100000.5"`, `"-1"`), stockWant.with(func(w *want) { w.hash, w.source, w.warns = 99_000_000_000_000, "GHS av", "negative" })},
		{"stopped", swap(`"100000.5"`, `"0"`), stockWant.with(func(w *want) { w.hash, w.state, w.warns = 0, "idle", "stopped hashing" })},
		{"blip that the boards deny", strings.Replace(swap(`"100000.5"`, `"0"`), `"rate_unit"`, `"total_rate":98000,"rate_unit"`, 1), stockWant.with(func(w *want) { w.hash, w.source = 98_000_000_000_000, "total_rate" })},
		{"asleep since the start", strings.Replace(swap(`"100000.5"`, `0`), `"99000"`, `0`, 1), stockWant.with(func(w *want) { w.hash, w.state = 0, "idle" })},
		{"absolute zero", swap(`"60-61-62-63"`, `"-273-61-62-63"`), stockWant.with(func(w *want) { w.warns = "sensor does not answer" })},
		{"bus error", swap(`"60-61-62-63"`, `"255-61-62-63"`), stockWant.with(func(w *want) { w.warns = "sensor does not answer" })},
		{"frost", swap(`"60-61-62-63"`, `"-5--6-2-63"`), stockWant},
		{"temperature of a star", swap(`"temp_chip1":"60-61-62-63"`, `"temp2_1":-7.3e31`), stockWant.with(func(w *want) { w.milliC, w.warns = 53_000, "not a number that can be read" })},
		{"one fan stands", swap(`"fan2":5100`, `"fan2":0`), stockWant.with(func(w *want) { w.warns = "1 of 2 fans turn" })},
		{"fan of a turbine", swap(`"fan2":5100`, `"fan2":999999`), stockWant.with(func(w *want) { w.fans, w.warns = 1, "revolutions" })},
		{"dead chips", swap(`" ooo"`, `" oxo"`), stockWant.with(func(w *want) { w.errors = "" })},
		{"mega-hashes by its own word", strings.Replace(swap(`"rate_unit":"GH"`, `"rate_unit":"MH"`), "S19j Pro", "L7", 1), stockWant.with(func(w *want) {
			w.model, w.hash, w.warns = "Antminer L7", 100_000_500_000, "counts in MH/s"
		})},
		{"repeated keys", swap(`"temp_chip1":"60-61-62-63"`, `"temp1":40,"temp1":41,"temp2_1":60,"temp2_1":65`), stockWant.with(func(w *want) { w.milliC = 65_000 })},
		{"key case", strings.NewReplacer(`"Elapsed"`, `"elapsed"`, `"GHS 5s"`, `"ghs 5S"`, `"Type"`, `"type"`).Replace(stock), stockWant.with(func(w *want) { w.source = "ghs 5S" })},
		{"cut off", stock[:len(stock)-60], stockWant.with(func(w *want) { w.milliC, w.warns = -1, "ends in its middle" })},
		{"just begun", swap(`"Elapsed":5000`, `"Elapsed":20`), stockWant.with(func(w *want) { w.warns = "first 60 s" })},
		{"joined", `{"stats":[` + stock + `],"id":1}`, stockWant},
		{"escapes for a terminal", swap("Antminer S19j Pro", `Antminer S19j Pro\u001b[31m`), stockWant.with(func(w *want) { w.model = "Antminer S19j Pro [31m" })},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "dead chips" {
				r, err := netminer.Parse([]byte(c.body))
				if err != nil || len(r.Errors) != 1 || r.Boards[0].Bad != 1 {
					t.Errorf("%+v, %v", r.Errors, err)
				}
				return
			}
			check(t, c.want, []byte(c.body))
		})
	}
}

func TestRefusedReplies(t *testing.T) {
	for body, kind := range map[string]workload.Kind{
		`,"id":1}`: workload.Unavailable,
		"Socket connect failed: Connection refused\n": workload.Unavailable,
		"<html>Bad gateway</html>":                    workload.Unavailable,
		"":                                            workload.Unavailable,
		`{"a":1}`:                                     workload.Invalid,
		"garbage":                                     workload.Invalid,
		`{"STATUS":[{"STATUS":"E","Code":45,"Msg":"Access denied to 'switchpool' command","Description":"cgminer 4.9.0"}],"id":1}`: workload.Denied,
		`{"STATUS":"E","When":1,"Code":23,"Msg":"invalid cmd","Description":"btminer"}`:                                            workload.Denied,
		`{"code":-4,"when":1,"msg":"no permission","desc":""}`:                                                                     workload.Denied,
	} {
		if r, err := netminer.Parse([]byte(body)); err == nil || workload.KindOf(err) != kind {
			t.Errorf("%q: %+v, %v, want %v", body, r, err, kind)
		}
	}
}

// TestFamilies has replies of each family in the shapes that no recording
// shows.
func TestFamilies(t *testing.T) {
	envelope := func(section, description, body string) string {
		return `{"STATUS":[{"STATUS":"S","When":1,"Code":1,"Msg":"x","Description":"` + description + `"}],"` + section + `":` + body + `,"id":1}`
	}
	pools := `[{"POOL":0,"URL":"stratum+tcp://a:3333","User":"u","Status":"Alive","Priority":0,"Stratum Active":true,"Accepted":5,"Rejected":1},{"POOL":1,"URL":"","User":""}]`
	for _, c := range []struct {
		name    string
		want    want
		replies []string
	}{
		{"whatsminer: Msg instead of SUMMARY, codes as a dict", want{"Whatsminer", "", "stock 20230511.16.Rel", 100_000_000_000_000, "MHS av", 3400, 88_000, 2, 0, 1, "530,600", "list", "mining"}, []string{
			`{"STATUS":"S","When":1,"Code":131,"Msg":{"Elapsed":900,"MHS av":100000000,"Power":3400,"Power Mode":"Low","Chip Temp Max":88.0,"Fan Speed In":1,"Fan Speed Out":2},"Description":""}`,
			`{"STATUS":"S","When":1,"Code":131,"Msg":{"error_code":{"530","600"}},"Description":""}`,
			`{"STATUS":"S","When":1,"Code":131,"Msg":{"api_ver":"2.0.5","fw_ver":"20230511.16.Rel"},"Description":""}`, envelope("POOLS", "btminer", pools)}},
		{"whatsminer: codes as objects with times", want{"Whatsminer", "Whatsminer M50S", "stock ", -1, "", -1, -1, 0, 0, 0, "2010", "", ""}, []string{
			`{"STATUS":"S","When":1,"Code":131,"Msg":{"minertype":"M50S","error_code":[{"2010":"2024-01-01 10:00:00"}]},"Description":""}`}},
		{"whatsminer: garbage power and temperature", want{"Whatsminer", "", "stock ", 90_000_000_000_000, "HS RT", -1, -1, 0, 0, 0, "", "not measured", "mining"}, []string{
			envelope("SUMMARY", "cgminer 4.9.2", `[{"Elapsed":900,"HS RT":90000000,"Power":-1,"Chip Temp Max":-273.0,"Temperature":-7.3}]`)[:0] +
				envelope("SUMMARY", "cgminer 4.9.2", `[{"Elapsed":900,"HS RT":90000000,"Power":-1,"Chip Temp Max":-273.0}]`)}},
		{"whatsminer: codes counted but not listed", want{"Whatsminer", "", "stock ", 1_000_000_000_000, "HS RT", -1, -1, 0, 0, 0, "110", "codes are listed", "mining"}, []string{
			envelope("SUMMARY", "cgminer 4.9.2", `[{"Elapsed":900,"HS RT":1000000,"Error Code 0":"110","Error Code Count":3,"Factory GHS":1100}]`)}},
		{"whatsminer 3", want{"Whatsminer", "Whatsminer M60S", "stock 20250101.1", 186_500_000_000_000, "hash-realtime", 3400, 80_500, 2, 1, 1, "110", "", "mining"}, []string{
			`{"code":0,"when":1,"msg":{"summary":{"elapsed":900,"hash-realtime":186.5,"hash-average":180,"factory-hash":186,"power-realtime":3400,"power-limit":3600,"chip-temp-max":80.5,"fan-speed-in":5000,"fan-speed-out":5100}},"desc":""}`,
			`{"code":0,"when":1,"msg":{"miner":{"type":"M60S","working":"true"},"system":{"fwversion":"20250101.1"},"error-code":[{"110":"t","reason":"fan"}]},"desc":""}`,
			`{"code":0,"when":1,"msg":{"edevs":[{"slot":0,"hash-average":62.1,"effective-chips":111}]},"desc":""}`,
			`{"code":0,"when":1,"msg":{"pools":[{"url":"stratum+tcp://a:1","account":"u","status":"alive","stratum-active":true}]},"desc":""}`}},
		{"whatsminer 3: stopped", want{"Whatsminer", "Whatsminer M60S", "stock ", -1, "", -1, -1, 0, 0, 0, "", "", "asleep"}, []string{`{"code":0,"when":1,"msg":{"miner":{"type":"M60S","working":"false"}},"desc":""}`}},
		{"antminer CGI of newer firmware", want{"Antminer", "Antminer S19", "stock uart.1.3", 95_000_000_000_000, "rate_5s", -1, 70_000, 2, 1, 0, "P:1", "", "mining"}, []string{
			`{"STATUS":{"STATUS":"S","when":1,"Msg":"stats","api_version":"1.0.0"},"INFO":{"miner_version":"uart.1.3","CompileTime":"x","type":"Antminer S19"},"STATS":[{"elapsed":900,"rate_5s":95000.0,"rate_30m":94000,"rate_avg":94000,"rate_ideal":95000,"rate_unit":"GH/s","fan":[5000,5100],"chain":[{"index":0,"rate_real":31000,"asic_num":76,"asic":"oooo","temp_chip":[60,70],"temp_pcb":[50,0]}]}]}`,
			`{"STATUS":{"STATUS":"S","when":1},"INFO":{"type":"Antminer S19"},"SUMMARY":[{"elapsed":900,"rate_5s":95000.0,"rate_unit":"GH/s","status":[{"type":"rate","status":"s","code":0,"msg":""},{"type":"network","status":"E","code":"P:1","msg":"no pool"}]}]}`}},
		{"antminer cooled by water, with watts", want{"Antminer", "Antminer S23 Hyd.", "stock ", 570_000_000_000_000, "rate_5s", 5500, 55_000, 0, 1, 0, "", "", "mining"}, []string{
			`{"STATUS":{"STATUS":"S","Msg":"stats"},"INFO":{"type":"Antminer S23 Hyd."},"STATS":[{"elapsed":900,"rate_5s":570000,"rate_unit":"GH/s","fan":[],"fan_num":0,"watt":5500,"chain":[{"index":0,"asic_num":84,"asic":"ooo---","temp_chip":[44,55]}]}]}`}},
		{"antminer cooled by water over 4028", want{"Antminer", "Antminer S21 XP Hyd.", "stock 71.0", 480_000_000_000_000, "GHS 5s", -1, -1, 0, 0, 0, "", "", "mining"}, []string{
			envelope("STATS", "cgminer 1.0.0", `[{"BMMiner":"1.0.0","Miner":"71.0","CompileTime":"x","Type":"Antminer S21 XP Hyd."},{"Elapsed":900,"GHS 5s":480000,"miner_count":3,"fan_num":4,"fan1":0,"fan2":0,"fan3":0,"fan4":0}]`)}},
		{"hiveon, which signs as another too", want{"Antminer", "Antminer S19x88", "Hiveon 0.0.1.3", 6_751_000_000_000, "GHS 5s", 1345, -1, 0, 1, 0, ",", "", "mining"}, []string{
			envelope("STATS", "bmminer 1.0.0", `[{"BMMiner":"4.11.1 rwglr","Miner":"0.0.1.3","CompileTime":"x","Type":"Antminer S19x88 Hiveon"},{"Elapsed":900,"GHS 5s":6751.0,"miner_count":1,"total_power":1345,"psu_status":"PSU power lost","chain_acn1":88,"chain_acs1":" xx xo"}]`)}},
		{"braiins GraphQL", want{"", "", "Braiins OS 25.05.1-plus", 200_000_000_000_000, "realHashrate.mhs5S", 3700, -1, 2, 0, 0, "", "", "mining"}, []string{
			`{"data":{"bos":{"hostname":"a","info":{"version":{"full":"25.05.1-plus"}}},"bosminer":{"info":{"fans":[{"name":"0","rpm":6000,"speed":100},{"name":"1","rpm":6100,"speed":100}],"summary":{"power":{"approxConsumptionW":3700,"limitW":3900}},"workSolver":{"nominalMhs":216000000.5,"realHashrate":{"mhs5S":200000000.0}}}}}}`}},
		{"whatsminer 1: switched off", want{"Whatsminer", "", "stock 20210322.22.REL", -1, "", -1, -1, 0, 0, 0, "", "", "asleep"}, []string{`{"Code":131,"Description":"whatsminer v1.4.0","Msg":{"mineroff":"true","FirmwareVersion":"20210322.22.REL"},"STATUS":"S"}`}},
		{"auradine", want{"Auradine", "", "stock ", 20_000_000_000_000, "MHS 5s", -1, -1, 0, 0, 0, "", "", "mining"}, []string{envelope("SUMMARY", "GCMiner-2023-05.24-0ce5", `[{"Elapsed":900,"MHS av":7000000.5,"MHS 5s":20000000}]`)}},
		{"antminer asleep by its configuration", want{"Antminer", "", "stock ", -1, "", -1, -1, 0, 0, 1, "", "", "asleep"}, []string{`{"pools":[{"url":"stratum+tcp://a:1","user":"u","pass":"secret"},{"url":"","user":"","pass":""}],"bitmain-work-mode":"1","bitmain-fan-ctrl":false}`}},
		{"antminer hydro power", want{"Antminer", "", "stock ", -1, "", 5500, -1, 0, 0, 0, "", "", ""}, []string{"miner power:5500"}},
		{"antminer for scrypt, labelled GHS", want{"Antminer", "Antminer L3+", "stock 1.0.1.3", 504_000_000, "GHS 5s", -1, -1, 0, 0, 0, "", "counts in MH/s", "mining"}, []string{
			envelope("STATS", "cgminer 4.9.0", `[{"CGMiner":"4.9.0","Miner":"1.0.1.3","CompileTime":"x","Type":"Antminer L3+"},{"Elapsed":900,"GHS 5s":"504.000","GHS av":500.1,"miner_count":4}]`)}},
		{"braiins: board that died", want{"Antminer", "Antminer S9", "Braiins OS 0.1.0", 4_000_000_000_000, "DEVS sum of 5s", 900, 80_000, 1, 2, 1, "", "", "mining"}, []string{
			envelope("DEVS", "BOSminer bosminer-am1-s9 0.1.0", `[{"ASC":0,"ID":6,"Status":"Alive","MHS 5s":4000000,"MHS av":4000000,"Device Elapsed":900},{"ASC":1,"ID":7,"Status":"Dead","MHS 5s":0,"MHS av":0}]`),
			envelope("TEMPS", "BOSminer bosminer-am1-s9 0.1.0", `[{"ID":6,"Board":60,"Chip":80}]`), envelope("FANS", "x", `[{"FAN":0,"ID":0,"RPM":3000,"Speed":50}]`),
			envelope("TUNERSTATUS", "x", `[{"ApproximateMinerPowerConsumption":900,"PowerLimit":1000}]`), envelope("POOLS", "x", pools)}},
		{"braiins REST", want{"Antminer", "Antminer S19j Pro", "Braiins OS 25.07", 104_000_000_000_000, "real_hashrate.last_5s", 3068, 75_500, 1, 1, 1, "E1", "", "mining"}, []string{
			`{"miner_stats":{"real_hashrate":{"last_5s":{"gigahash_per_second":104000.0}}},"power_stats":{"approximated_consumption":{"watt":3068}}}`,
			`{"status":2,"miner_identity":{"name":"Antminer S19j Pro"},"bos_version":{"current":"25.07"},"mac_address":"aa:bb:cc:00:11:22"}`,
			`{"hashboards":[{"id":"1","enabled":true,"chips_count":126,"board_temp":{"degree_c":60},"highest_chip_temp":{"temperature":{"degree_c":75.5}}}]}`,
			`{"fans":[{"position":1,"rpm":4000,"target_speed_ratio":0.5}],"highest_temperature":{"temperature":{"degree_c":75.5}}}`,
			`{"errors":[{"message":"fan","error_codes":[{"code":"E1"}]}]}`, `[{"name":"g","pools":[{"url":"stratum+tcp://a:1","user":"u","active":true,"alive":true,"stats":{"accepted_shares":1}}]}]`}},
		{"luxos with a supply that measures", want{"", "", "LuxOS 2024.1", -1, "", 3300, -1, 0, 0, 0, "", "", ""}, []string{envelope("POWER", "LUXminer 2024.1", `[{"PSU":true,"Watts":3300}]`)}},
		{"avalon at work, with errors", want{"Avalon", "Avalon 1246", "stock N-22", 90_000_500_000_000, "GHSspd", 3400, 85_000, 2, 3, 0, "512,16", "", "mining"}, []string{
			envelope("STATS", "cgminer 4.11.1", `[{"STATS":0,"ID":"AVA10","Elapsed":900,"MM ID0":"Ver[1246-N-22] DNA[0201] Temp[30] TMax[85] TAvg[70] Fan1[5000] Fan2[5100] FanR[60%] PS[0 1215 1291 263 3400 1292] GHSspd[90000.5] GHSavg[89000] MGHS[30000.1 30000.2 29999.9] MTmax[83 84 85] SYSTEMSTATU[Work: In Work, Hash Board: 3] ECHU[0 512 0] ECMM[16] WORKMODE[1] MPO[3500] Crc[1 2"}]`)[:0] +
				envelope("STATS", "cgminer 4.11.1", `[{"STATS":0,"ID":"AVA10","Elapsed":900,"MM ID0":"Ver[1246-N-22] DNA[0201] Temp[30] TMax[85] TAvg[70] Fan1[5000] Fan2[5100] FanR[60%] PS[0 1215 1291 263 3400 1292] GHSspd[90000.5] GHSavg[89000] MGHS[30000.1 30000.2 29999.9] MTmax[83 84 85] SYSTEMSTATU[Work: In Work, Hash Board: 3] ECHU[0 512 0] ECMM[16] WORKMODE[1] MPO[3500]"}]`)}},
		{"avalon cut inside a bracket", want{"Avalon", "Avalon 1166", "stock A-1", 80_000_000_000_000, "GHSspd", -1, -1, 0, 0, 0, "", "bracket", "mining"}, []string{
			envelope("STATS", "cgminer 4.11.1", `[{"STATS":0,"Elapsed":900,"MM ID0":"Ver[1166-A-1] GHSspd[80000] GHSavg[inf] TMa"},{"x":1}]`)[:0] +
				envelope("STATS", "cgminer 4.11.1", `[{"STATS":0,"Elapsed":900,"MM ID0":"Ver[1166-A-1] GHSspd[80000] TMax[8"}]`)}},
		{"avalon that says inf", want{"Avalon", "Avalon 1166", "stock A-1", 70_000_000_000_000, "GHSavg", -1, -1, 0, 0, 0, "", "not a number", "mining"}, []string{
			envelope("STATS", "cgminer 4.11.1", `[{"STATS":0,"Elapsed":900,"MM ID0":"Ver[1166-A-1] GHSspd[inf] GHSavg[70000]"}]`)}},
		{"vnish", want{"Antminer", "Antminer S19", "Vnish 1.2.0", 95_500_000_000_000, "hr_realtime", 3150, 72_000, 1, 1, 1, "", "", "mining"}, []string{
			`{"miner":{"miner_type":"Antminer S19 (Vnish 1.2.0)","miner_status":{"miner_state":"mining"},"hr_realtime":95500.0,"hr_nominal":95000,"power_usage":3150,"cooling":{"fans":[{"id":0,"rpm":4000,"status":"ok"}]},"chip_temp":{"min":60,"max":72},"chains":[{"id":1,"hashrate_rt":31000,"status":{"state":"mining"}}],"pools":[{"id":0,"url":"stratum+tcp://a:1","user":"u","status":"active","accepted":5,"rejected":0}]}}`}},
		{"vnish with a board that failed", want{"Antminer", "Antminer S19", "Vnish 1.2.0", -1, "", -1, -1, 0, 1, 0, "", "", "failed"}, []string{
			`{"miner":{"miner_type":"Antminer S19 (Vnish 1.2.0)","miner_status":{"miner_state":"failure"},"chains":[{"id":2,"status":{"state":"failure","description":"no chips"}}]}}`}},
		{"vnish asleep", want{"Antminer", "Antminer S19", "Vnish 1.2.0", 0, "hr_realtime", 30, -1, 0, 0, 0, "", "", "asleep"}, []string{
			`{"miner":{"miner_type":"Antminer S19 (Vnish 1.2.0)","miner_status":{"miner_state":"stopped"},"hr_realtime":0,"power_usage":30}}`}},
		{"axeos of newer releases", want{"Bitaxe", "Bitaxe Gamma 601", "AxeOS v2.9.0", 1_071_000_000_000, "hashRate", 18, 61_000, 2, 0, 1, "", "", "mining"}, []string{
			`{"ASICModel":"BM1370","boardVersion":"601","axeOSVersion":"v2.9.0","hashRate":1071,"hashRate_1m":1070.5,"expectedHashrate":1071,"power":17.6,"temp":60,"temp2":61,"vrTemp":50,"fanrpm":4000,"fan2rpm":4100,"fanspeed":"40","uptimeSeconds":900,"bestDiff":123456,"stratumURL":"a.example","stratumPort":3333,"stratumUser":"u","miningPaused":false}`}},
		{"axeos paused", want{"Bitaxe", "Bitaxe Gamma 601", "AxeOS v2.9.0", 0, "hashRate", 2, 30_000, 0, 0, 0, "", "", "asleep"}, []string{
			`{"ASICModel":"BM1370","boardVersion":"601","version":"v2.9.0","hashRate":0,"power":2.1,"temp":30,"uptimeSeconds":900,"miningPaused":true}`}},
		{"axeos overheated", want{"Bitaxe", "Bitaxe Ultra 204", "AxeOS v2.1", 0, "hashRate", -1, -1, 0, 0, 0, "overheat_mode", "no reading", "failed"}, []string{
			`{"ASICModel":"BM1366","boardVersion":"204","version":"v2.1","hashRate":0,"temp":0,"uptimeSeconds":900,"overheat_mode":1}`}},
		{"cgminer of anything", want{"", "", " ", 13_500_000_000, "MHS 5s", -1, 61_500, 0, 1, 1, "", "", "mining"}, []string{
			envelope("DEVS", "cgminer 4.12", `[{"ASC":0,"Name":"X","ID":0,"Enabled":"Y","Status":"Alive","temperature":61.5,"MHS 5s":13500}]`), envelope("SUMMARY", "cgminer 4.12", `[{"Elapsed":900,"MHS av":13000,"MHS 5s":13500}]`), envelope("POOLS", "cgminer 4.12", pools)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var replies [][]byte
			for _, r := range c.replies {
				replies = append(replies, []byte(r))
			}
			check(t, c.want, replies...)
		})
	}
}

// Passwords in a configuration never reach a report.
func TestNoPasswordInAReport(t *testing.T) {
	r, err := netminer.Parse([]byte(`{"pools":[{"url":"stratum+tcp://a:1","user":"u","pass":"hunter2"}],"bitmain-work-mode":"0"}`))
	if err != nil || strings.Contains(strings.ToLower(dump(r)), "hunter2") {
		t.Errorf("%s, %v", dump(r), err)
	}
}
