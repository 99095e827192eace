package netminer_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/agent/device/netminer/emulate"
)

// want is what a recorded reply says, worked out by hand. -1 is unknown.
type want struct {
	make, model, firmware string
	hash                  int64 // hashes/s
	source                string
	watts, milliC         int64
	fans, boards, pools   int
	errors                string // codes with commas
	warns                 string // part of one reason
	state                 netminer.State
}

var captures = map[string]want{
	"antminer_s15_stock_stats.rpc":                                       {"Antminer", "Antminer S15", "stock 13.16394.1.3", 28_454_530_000_000, "GHS 5s", -1, 81_000, 2, 4, 0, "", "", "mining"},
	"antminer_s17pro_stock_stats.rpc":                                    {"Antminer", "Antminer S17 Pro", "stock 17.10.1.3", 50_026_550_000_000, "GHS 5s", -1, 80_000, 4, 3, 0, "", "", "mining"},
	"antminer_s9_braiinsos_2019_stats.rpc":                               {"Antminer", "Antminer S9", "Braiins OS bOS_am1-s9-20190124-0_d3cc7c87", 13_754_030_000_000, "GHS 5s", -1, 75_000, 2, 3, 0, "", "", "mining"},
	"antminer_s17_braiinsos_plus_stats.rpc":                              {"Antminer", "Antminer S17", "Braiins OS+ 0.8.0-feaec278", -1, "", -1, -1, 0, 0, 0, "", "", ""},
	"antminer_s17_braiinsos_plus_multicommand_temps+devdetails+fans.rpc": {"Antminer", "Antminer S17", "Braiins OS+ 0.8.0-feaec278", 65_231_715_849_971, "DEVS sum of 5s", -1, 98_000, 4, 3, 0, "", "stands still", "mining"},
	// An Antminer for Equihash counts solutions; its label "GHS" is wrong by a million.
	"antminer_z9mini_stats_missing-comma.rpc":  {"Antminer", "Antminer Z9-Mini", "stock 9.0.0.5", 15_820, "GHS 5s", -1, 71_000, 1, 3, 0, "", "missing comma", "mining"},
	"antminer_stock_2020_stats.json":           {"Antminer", "Antminer S19 Pro", "stock 49.0.1.3", 110_566_890_000_000, "GHS 5s", -1, 78_000, 4, 3, 0, "", "", "mining"},
	"antminer_stock_2020_summary.json":         {"Antminer", "", "stock ", 110_566_890_000_000, "GHS 5s", -1, -1, 0, 0, 0, "", "labels", "mining"},
	"antminer_stock_2020_system_info_cgi.json": {"Antminer", "Antminer S21", "stock FR-1.12(251009-S21)", -1, "", -1, -1, 0, 0, 0, "", "not a hardware address", ""},
	"whatsminer_v1_summary_with_errors.json":   {"Whatsminer", "", "stock 20210322.22.REL", 70_668_114_520_000, "MHS 5s", 3417, 92_500, 3, 0, 0, "110,600", "", "mining"},
	"whatsminer_v2_summary.json":               {"Whatsminer", "", "stock ", 124_500_000_000_000, "HS RT", 3200, 81_000, 2, 0, 0, "", "", "mining"},
	"whatsminer_v2_get_psu.json":               {"Whatsminer", "", "stock ", -1, "", -1, -1, 1, 0, 0, "", "", ""},
	"avalon_stats_bracket-string.json":         {"Avalon", "Avalon Q", "stock 25052801_14a19a2", 0, "GHSspd", 0, 27_000, 4, 1, 0, "", "no reading", "asleep"},
	"avalon_litestats.json":                    {"Avalon", "Avalon Q", "stock 25052801_14a19a2", 0, "GHSspd", 0, 27_000, 4, 0, 0, "", "no reading", "asleep"},
	"bitaxe_axeos_system_info.json":            {"Bitaxe", "Bitaxe Supra 401", "AxeOS v2.4.5-3-gb5d1e36-dirty", 1_000_000_000_000, "hashRate", 3, 59_875, 1, 1, 2, "", "first 60 s", "mining"},
	"luxos_stats.json":                         {"Antminer", "Antminer S19k Pro", "LuxOS 2025.4.8.220305-57b389c7", 59_756_060_000_000, "GHS 5s", -1, 47_000, 4, 3, 0, "", "", "mining"},
	"luxos_power.json":                         {"", "", "LuxOS 2025.4.8.220305-57b389c7", -1, "", 1051, -1, 0, 0, 0, "", "", ""},
	"braiinsos_rest_25_07_miner_stats.json":    {"", "", "Braiins OS ", 141_463_565_400_720, "real_hashrate.last_5s", 3137, -1, 0, 0, 0, "", "", "mining"},
	"bw_fw2.90_summary_garbage-counter.json":   {"BW", "", " ", -1, "", 1133, 38_000, 0, 0, 0, "", "garbage", ""},
}

func data(t testing.TB) string {
	dir := os.Getenv("SLUICE_DATA")
	if dir == "" {
		t.Skip("SLUICE_DATA is not set: no recorded replies")
	}
	return filepath.Join(dir, "asic-captures")
}

func TestCaptures(t *testing.T) {
	dir := data(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.*"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, path := range files {
		name := filepath.Base(path)
		if filepath.Ext(name) == ".md" {
			continue
		}
		seen++
		t.Run(name, func(t *testing.T) {
			w, ok := captures[name]
			if !ok {
				t.Fatal("nobody has worked out what this reply says")
			}
			body, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			check(t, w, body)
			// What arrives in pieces from a server says the same.
			r, err := emulate.NewReplay(name, body)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Commands()) == 0 {
				t.Error("the replay answers nothing")
			}
		})
	}
	if seen < len(captures) {
		t.Errorf("saw %d of %d recordings", seen, len(captures))
	}
}

func check(t *testing.T, w want, replies ...[]byte) {
	t.Helper()
	r, err := netminer.Parse(replies...)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Sample(1)
	hash, source := int64(-1), ""
	if r.Hashrate != nil {
		hash, source = r.Hashrate.PerSecond, r.Hashrate.Source
		if s.Hashrate/1000 != hash {
			t.Errorf("sample of %d mH/s from %d H/s", s.Hashrate, hash)
		}
	}
	var codes, reasons []string
	for _, e := range r.Errors {
		codes = append(codes, e.Code)
	}
	for _, x := range r.Warnings {
		reasons = append(reasons, x.Reason)
	}
	got := want{r.Make, r.Model, r.Firmware + " " + r.Version, hash, source, s.Watts, s.MilliC, len(r.Fans), len(r.Boards), len(r.Pools), strings.Join(codes, ","), w.warns, r.State}
	if got != w {
		t.Errorf("got  %+v\nwant %+v", got, w)
	}
	if all := strings.Join(reasons, "; "); w.warns == "" && all != "" || !strings.Contains(all, w.warns) {
		t.Errorf("warnings %q, want %q", all, w.warns)
	}
}
