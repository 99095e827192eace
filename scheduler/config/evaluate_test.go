package config_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

func one(t *testing.T, text string) config.Document {
	t.Helper()
	docs, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return docs[0]
}

// at reads an instant with its offset.
func at(t *testing.T, text string) workload.Instant {
	t.Helper()
	u, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return workload.InstantOf(u)
}

const nightTariff = `
kind: Tariff
name: t
currency: USD
bands:
  - {price: 0.03 USD/kWh, days: mon-fri, hours: "23:00-07:00"}
  - {price: 0.02 USD/kWh, days: "sat,sun"}
  - {price: 0.05 USD/kWh}
adders: [{name: network, price: 0.01 USD/kWh}, {name: credit, price: -0.002 USD/kWh}]
`

func TestTariffBands(t *testing.T) {
	tariff := one(t, nightTariff).Tariff
	for text, want := range map[string]int64{
		"2026-11-20T12:00:00+01:00": 58_000, // Friday noon
		"2026-11-20T22:59:59+01:00": 58_000,
		"2026-11-20T23:00:00+01:00": 38_000,
		"2026-11-21T06:59:00+01:00": 38_000, // Saturday morning belongs to Friday's night
		"2026-11-21T07:00:00+01:00": 28_000,
		"2026-11-23T06:59:00+01:00": 58_000, // Monday morning belongs to Sunday's night, which is no weekday's
		"2026-11-24T06:59:00+01:00": 38_000,
	} {
		if got, ok := tariff.PriceAt(at(t, text), config.Zone("Europe/Berlin"), nil); !ok || got != want {
			t.Errorf("%s: %d %v, want %d", text, got, ok, want)
		}
	}
	feed := one(t, "kind: Tariff\nname: t\ncurrency: USD\nfeed: f\nadders: [{name: n, price: 0.01 USD/kWh}]\n").Tariff
	price := int64(-20_000)
	if got, ok := feed.PriceAt(0, time.UTC, &price); !ok || got != -10_000 {
		t.Errorf("%d %v", got, ok)
	}
	if _, ok := feed.PriceAt(0, time.UTC, nil); ok {
		t.Error("a price without its feed")
	}
}

// edgeZones change their clocks in different ways: by an hour, by half an
// hour, and back for Ramadan.
var edgeZones = map[string][]string{
	"Europe/Berlin":       {"2026-03-29", "2026-10-25"},
	"America/New_York":    {"2026-03-08", "2026-11-01"},
	"Australia/Lord_Howe": {"2026-04-05", "2026-10-04"},
	"Africa/Casablanca":   {"2026-02-15", "2026-03-22"},
	"Asia/Irkutsk":        {"2026-03-29", "2026-10-25"}, // changes no clock
	"Africa/Cairo":        {"2026-04-24", "2026-10-30"}, // changes at midnight
}

// TestNextChangeAtClockChanges compares the edges found with a walk minute by
// minute over the days around every change of the clocks.
func TestNextChangeAtClockChanges(t *testing.T) {
	tariff := one(t, `
kind: Tariff
name: t
currency: USD
bands:
  - {price: 0.03 USD/kWh, days: sun, hours: "01:45-02:15"}
  - {price: 0.04 USD/kWh, days: "sat,sun", hours: "23:30-00:30"}
  - {price: 0.05 USD/kWh, days: mon-sat, hours: "02:30-03:00"}
  - {price: 0.06 USD/kWh}
`).Tariff
	calendar := one(t, "kind: Calendar\nname: c\nreduce: {to: 1kW}\nwindow: {days: fri-sun, hours: \"00:30-02:30\"}\n").Calendar
	for name, days := range edgeZones {
		zone := config.Zone(name)
		if zone == time.UTC {
			t.Fatalf("%s is not known", name)
		}
		for _, day := range days {
			start, _ := time.ParseInLocation(time.DateOnly, day, zone)
			from := workload.InstantOf(start.Add(-30 * time.Hour))
			price := func(i workload.Instant) any { p, _ := tariff.PriceAt(i, zone, nil); return p }
			active := func(i workload.Instant) any { return calendar.ActiveAt(i, zone) }
			walk(t, name+" tariff", from, price, func(i workload.Instant) (workload.Instant, bool) { return tariff.NextChange(i, zone) })
			walk(t, name+" calendar", from, active, func(i workload.Instant) (workload.Instant, bool) { return calendar.NextEdge(i, zone) })
		}
	}
}

// walk steps through 60 hours and expects each change where next said.
func walk(t *testing.T, name string, from workload.Instant, state func(workload.Instant) any, next func(workload.Instant) (workload.Instant, bool)) {
	t.Helper()
	const minute = 60_000
	changes := 0
	expected, ok := next(from)
	for i := from + minute; i < from+60*60*minute; i += minute {
		changed := state(i) != state(i-minute)
		if changed != (ok && i == expected) {
			t.Errorf("%s: at %s the state changed: %v, but the next change was said to be %s (%v)", name, i.Time(), changed, expected.Time(), ok)
			return
		}
		if changed {
			changes++
			expected, ok = next(i)
		}
	}
	if changes < 3 {
		t.Errorf("%s: only %d changes", name, changes)
	}
}

func TestClockChangeHours(t *testing.T) {
	tariff := one(t, "kind: Tariff\nname: t\ncurrency: USD\nbands: [{price: 1 USD/kWh, hours: \"02:00-03:00\"}, {price: 2 USD/kWh}]\n").Tariff
	count := func(zone, from, to string) (minutes int) {
		for i := at(t, from); i < at(t, to); i += 60_000 {
			if p, _ := tariff.PriceAt(i, config.Zone(zone), nil); p == 1_000_000 {
				minutes++
			}
		}
		return minutes
	}
	if n := count("Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"); n != 0 {
		t.Errorf("the skipped hour has %d minutes", n)
	}
	if n := count("Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"); n != 120 {
		t.Errorf("the repeated hour has %d minutes", n)
	}
	if n := count("Australia/Lord_Howe", "2026-10-03T13:30:00Z", "2026-10-04T13:00:00Z"); n != 30 {
		t.Errorf("the half hour has %d minutes", n)
	}
}

func TestAnnualCalendar(t *testing.T) {
	ban := one(t, `
kind: Calendar
name: winter
territory: RU-IRK
forbids: [mine, pool]
from: 2025-01-01
until: 2031-03-15
annual: {start: 11-15, end: 03-15}
`).Calendar
	zone := config.Zone("Asia/Irkutsk")
	for text, want := range map[string]bool{
		"2024-12-31T23:59:59+08:00": false, "2025-01-01T00:00:00+08:00": true, "2025-03-15T23:59:59+08:00": true, "2025-03-16T00:00:00+08:00": false,
		"2025-11-14T23:59:59+08:00": false, "2025-11-15T00:00:00+08:00": true, "2026-01-01T00:00:00+08:00": true,
		"2031-03-15T23:59:59+08:00": true, "2031-03-16T00:00:00+08:00": false, "2031-12-01T00:00:00+08:00": false,
	} {
		if got := ban.ActiveAt(at(t, text), zone); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for from, want := range map[string]string{
		"2020-01-01T00:00:00Z": "2025-01-01T00:00:00+08:00", "2025-01-01T00:00:00+08:00": "2025-03-16T00:00:00+08:00",
		"2025-03-16T00:00:00+08:00": "2025-11-15T00:00:00+08:00", "2030-12-01T00:00:00+08:00": "2031-03-16T00:00:00+08:00", "2031-03-16T00:00:00+08:00": "",
	} {
		got, ok := ban.NextEdge(at(t, from), zone)
		if ok != (want != "") || ok && got != at(t, want) {
			t.Errorf("after %s: %s %v, want %s", from, got.Time(), ok, want)
		}
	}
	always := one(t, "kind: Calendar\nname: c\nforbids: [mine]\nuntil: 2031-03-15\n").Calendar
	if got, ok := always.NextEdge(at(t, "2026-01-01T00:00:00Z"), time.UTC); !ok || got != at(t, "2031-03-16T00:00:00Z") {
		t.Errorf("%s %v", got.Time(), ok)
	}
	site := func(territory string, own bool) *config.Site {
		return &config.Site{Zone: "UTC", Territory: territory, Power: config.SitePower{OwnIsolatedGeneration: own}}
	}
	ban.Exempt = &config.Exempt{OwnIsolatedGeneration: true}
	for territory, want := range map[string]bool{"RU-IRK": true, "RU-IRK-1": true, "RU-IRKX": false, "RU": false, "": false} {
		if got := ban.Applies("s", site(territory, false)); got != want {
			t.Errorf("%q: %v", territory, got)
		}
		if ban.Applies("s", site(territory, true)) {
			t.Errorf("%q is not exempt", territory)
		}
	}
	if !ban.Forbidding(config.ActivityPool) || always.Forbidding(config.ActivityPool) {
		t.Error("activities")
	}
}

func TestTargetGlide(t *testing.T) {
	target := one(t, `
kind: Target
name: t
measure: devices
of: owned
use: training
max: 60%
glide: [{date: 2026-12-01, min: 5%}, {date: 2026-12-11, min: 20%}, {date: 2026-12-13, min: 10%}]
until: 2027-12-31
`).Target
	zone := config.Zone("America/New_York")
	for text, want := range map[string]workload.PPM{
		"2026-11-30T23:59:59-05:00": -1, "2026-12-01T00:00:00-05:00": 50_000, "2026-12-02T12:00:00-05:00": 65_000, "2026-12-10T23:59:00-05:00": 185_000,
		"2026-12-11T00:00:00-05:00": 200_000, "2026-12-12T00:00:00-05:00": 150_000, "2027-06-01T00:00:00-04:00": 100_000,
	} {
		lo, hi, hasMin, hasMax := target.BoundsAt(at(t, text), zone)
		if want == -1 && hasMin || want >= 0 && (!hasMin || lo != want) || !hasMax || hi != 600_000 {
			t.Errorf("%s: %d %v, %d %v", text, lo, hasMin, hi, hasMax)
		}
	}
	if _, _, hasMin, hasMax := target.BoundsAt(at(t, "2028-01-01T05:00:00Z"), zone); hasMin || hasMax {
		t.Error("goes on after its last day")
	}
	zero := one(t, "kind: Target\nname: t\nmeasure: power\nof: active\nuse: mining\nmin: 0%\nmax: 0%\n").Target
	if _, hi, hasMin, hasMax := zero.BoundsAt(0, time.UTC); hi != 0 || !hasMin || !hasMax {
		t.Error("zero is a bound")
	}
}

func TestOverrideAndCooling(t *testing.T) {
	o := one(t, "kind: Override\nname: o\nuse: park\nfrom: 2026-12-01T00:00:00Z\nuntil: 2026-12-01T18:30:00+01:00\nreason: x\n").Override
	if o.ActiveAt(at(t, "2026-11-30T23:59:59Z")) || !o.ActiveAt(at(t, "2026-12-01T00:00:00Z")) || o.ActiveAt(at(t, "2026-12-01T17:30:00Z")) {
		t.Error("override")
	}
	c := &config.Cooling{Curve: []config.CurvePoint{{Outdoor: -30_000, PUE: 1_020_000}, {Outdoor: 30_000, PUE: 1_060_001}}}
	for outdoor, want := range map[int64]workload.PPM{-40_000: 1_020_000, -30_000: 1_020_000, 0: 1_040_001, 30_000: 1_060_001, 99_000: 1_060_001} {
		if got := c.At(&outdoor); got != want {
			t.Errorf("%d: %d, want %d", outdoor, got, want)
		}
	}
	if c.At(nil) != 1_060_001 || (*config.Cooling)(nil).At(nil) != workload.One {
		t.Error("unknown temperature")
	}
}

func TestDiff(t *testing.T) {
	set := exampleSet(t)
	if got := config.Diff(set, set); len(got) != 0 {
		t.Errorf("%v", got)
	}
	target := one(t, "kind: Target\nname: ai-share\nscope: {site: hall-1}\nmeasure: devices\nof: owned\nuse: training\nmax: 70%\nglide: [{date: 2026-12-01, min: 5%}, {date: 2027-04-01, min: 20%}]\ntier: 3\n")
	tenant := one(t, "kind: Tenant\nname: new\nguarantee: 4 GPU\n")
	after := set.With(config.Edit{Put: &target}, config.Edit{Put: &tenant}, config.Edit{Delete: &config.Key{Kind: config.KindMiner, Name: "practice"}})
	got := config.Diff(set, after)
	var text []string
	for _, c := range got {
		if c.Op != config.Removed {
			text = append(text, c.String())
		} else {
			text = append(text, "- "+c.Key.String())
		}
	}
	want := []string{
		"~ Target/ai-share  max 60% -> 70%, glide[2027-04-01].date 2027-04-01, glide[2027-04-01].min 20%, glide[2027-03-01].date 2027-03-01 -> none, glide[2027-03-01].min 20% -> none",
		"- Miner/practice", "+ Tenant/new  guarantee 4 GPU",
	}
	if !reflect.DeepEqual(text, want) {
		t.Errorf("%q", text)
	}
}
