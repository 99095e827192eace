package e2e

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// moved counts changes of use over a while, and the energy prices seen.
func (d *demo) moved(t testing.TB, until time.Duration) (changes int, low, high int64) {
	t.Helper()
	low, high = math.MaxInt64, math.MinInt64
	last := map[string]string{}
	for began := time.Now(); time.Since(began) < until; {
		var list struct{ GPUs []gpu }
		d.get(t, "/api/v1/gpus", &list)
		for _, g := range list.GPUs {
			use := g.Use + " " + g.Coin
			if g.Use == "draining" {
				continue // on its way: counted when it arrives
			}
			if was, ok := last[g.ID]; ok && was != use {
				changes++
			}
			last[g.ID] = use
		}
		var s status
		d.get(t, "/api/v1/status", &s)
		p := s.Sites[0].Energy
		low, high = min(low, p), max(high, p)
		time.Sleep(100 * time.Millisecond)
	}
	return changes, low, high
}

// checkReplay holds what any replay must show: devices that moved, money
// booked, and books that agree with the history.
func checkReplay(t *testing.T, d *demo, changes, least int) {
	t.Helper()
	if changes < least {
		t.Errorf("%d changes of use, want at least %d", changes, least)
	}
	var m struct {
		Totals struct{ Revenue, Energy, Net int64 }
		Points []struct {
			Revenue, Energy, Net, Millis int64
			Mining                       int64 `json:"mining_revenue"`
		}
	}
	d.get(t, "/api/v1/money?hours=48", &m)
	hours := 0
	for _, p := range m.Points {
		if p.Net != p.Revenue-p.Energy {
			t.Errorf("an hour does not add up: %+v", p)
		}
		if p.Mining > 0 {
			hours++
		}
	}
	if hours < 3 || m.Totals.Revenue <= 0 || m.Totals.Net != m.Totals.Revenue-m.Totals.Energy {
		t.Errorf("booked: %d hours with mining, totals %+v", hours, m.Totals)
	}
	if out := d.must("", "ledger", "verify"); !strings.Contains(out, "agrees with the history") {
		t.Errorf("ledger verify:\n%s", out)
	}
}

// Series of our own making, CSV and JSON, in which every other hour's power is
// dear and every sixth is paid for being taken.
func TestReplayOfGeneratedSeriesMovesDevices(t *testing.T) {
	t.Parallel() // it mostly waits
	h := newHome(t)
	begin := time.Date(2024, 3, 30, 0, 0, 0, 0, time.UTC) // across a change of summer time
	var power, coin strings.Builder
	power.WriteString("hour_utc,XA,XB\n")
	for i := range 24 * 14 {
		price := 30.0
		switch {
		case i%6 == 5:
			price = -25.5
		case i%2 == 1:
			price = 400
		}
		fmt.Fprintf(&power, "%s,1,%.2f\n", begin.Add(time.Duration(i)*time.Hour).Format("2006-01-02T15"), price)
	}
	coin.WriteString("[")
	for i := range 14 {
		if i > 0 {
			coin.WriteString(",")
		}
		fmt.Fprintf(&coin, `{"time": %q, "btc": 0.0%d}`, begin.AddDate(0, 0, i).Format("2006-01-02"), 60+i)
	}
	coin.WriteString("]\n")
	csv, js := h.write("power.csv", power.String()), h.write("coin.json", coin.String())
	d := startDemoIn(t, h, "--power", csv, "--region", "XB", "--hashprice", js+":btc", "--speed", "3600")
	changes, low, high := d.moved(t, 10*time.Second)
	figure(t, "generated series at 3600 x: %d changes of use of 20 devices in 10 s, energy %.4f to %.4f USD/kWh", changes, float64(low)/1e6, float64(high)/1e6)
	if low != -25_500 || high != 400_000 {
		t.Errorf("energy prices from %d to %d", low, high)
	}
	checkReplay(t, d, changes, 20)
	d.stop(t)
	h.noneLeft()
}

// The recorded series, as the README shows them.
func TestReplayOfRecordedSeriesMovesDevices(t *testing.T) {
	data := os.Getenv("SLUICE_DATA")
	if data == "" {
		t.Skip("SLUICE_DATA is not set: no recorded series")
	}
	d := startDemo(t, "--hashprice", filepath.Join(data, "replay/btc_hashprice_daily.csv"), "--power", filepath.Join(data, "replay/power_price_hourly.csv"),
		"--region", "DE-LU", "--speed", "3600")
	changes, low, high := d.moved(t, 20*time.Second)
	figure(t, "recorded series DE-LU at 3600 x: %d changes of use of 20 devices in 20 s, energy %.4f to %.4f USD/kWh", changes, float64(low)/1e6, float64(high)/1e6)
	if high <= low {
		t.Errorf("the energy price stood at %d", low)
	}
	checkReplay(t, d, changes, 5)
	d.stop(t)
	d.noneLeft()
}

// What cannot be replayed is one clear error before anything starts to run.
func TestReplayRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel() // it mostly waits
	h := newHome(t)
	good := h.write("good.csv", "hour_utc,XA,XB\n2024-01-01T00,1,2\n2024-01-01T01,3,4\n")
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"unknown region", []string{"--power", good, "--region", "XC"}, 7, []string{`"XC"`, "XA, XB"}},
		{"no region", []string{"--power", good}, 7, []string{"XA, XB"}},
		{"unknown column", []string{"--hashprice", good + ":nix"}, 7, []string{`"nix"`, "XA, XB"}},
		{"no file", []string{"--power", h.path("none.csv"), "--region", "XA"}, 7, []string{"none.csv"}},
		{"NaN", []string{"--power", h.write("nan.csv", "hour_utc,XA\n2024-01-01T00,NaN\n"), "--region", "XA"}, 7, []string{"nan.csv:2"}},
		{"going back", []string{"--power", h.write("back.csv", "hour_utc,XA\n2024-01-01T01,1\n2024-01-01T00,1\n"), "--region", "XA"}, 7, []string{"back.csv"}},
		{"empty", []string{"--power", h.write("empty.csv", ""), "--region", "XA"}, 7, []string{"empty.csv"}},
		{"broken JSON", []string{"--power", h.write("broken.json", "[{"), "--region", "XA"}, 7, []string{"broken.json"}},
		{"speed", []string{"--speed", "0"}, 2, []string{"--speed"}},
		{"speed", []string{"--speed", "1e9"}, 2, []string{"speed"}},
		{"negative devices", []string{"--nodes", "-1"}, 2, []string{"--nodes"}},
		{"too many devices", []string{"--nodes", "100000"}, 2, []string{"512"}},
		{"unknown flag", []string{"--gpus", "4"}, 2, []string{"--gpus"}},
	} {
		a := h.cli().run("", append([]string{"dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--ready-file", h.path("ready.json")}, c.args...)...)
		if a.code != c.code || strings.Count(a.err, "error:") != 1 {
			t.Errorf("%s: exit code %d, want %d\n%s", c.name, a.code, c.code, a.err)
		}
		for _, w := range c.want {
			if !strings.Contains(a.err, w) {
				t.Errorf("%s: the error does not name %s:\n%s", c.name, w, a.err)
			}
		}
		if left := files(t, h.path("tmp")); len(left) > 0 || len(h.left()) > 0 {
			t.Errorf("%s: left %v, %v", c.name, left, h.left())
		}
		if _, err := os.Stat(h.path("ready.json")); err == nil {
			t.Errorf("%s: a ready file", c.name)
		}
	}
}

func (h *home) cli() cli { return cli{h: h} }
