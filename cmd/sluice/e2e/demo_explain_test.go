package e2e

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

type breakdown struct {
	Gross, Risk, Energy, Net, Watts int64
	PerKWh                          int64 `json:"energy_micro_per_kwh"`
	PUE                             int64 `json:"pue_ppm"`
	Board                           int64 `json:"board_watts"`
}

type explanation struct {
	Verdict      string
	Now          breakdown
	Alternatives []struct {
		Use, Option, Job string
		Money            breakdown
		VsNow            int64 `json:"vs_now"`
	}
	ParksBelow int64 `json:"parks_below_gross_micro_per_hour"`
	ParksAbove int64 `json:"parks_above_energy_micro_per_kwh"`
}

// What the demo's policy says, written down again by hand: a wrong unit in the
// reading of the documents must not pass as agreement with itself.
var modes = map[string]struct {
	hashes int64 // per second
	watts  int64
	feed   string
	risk   int64 // ppm
}{
	"RTX 3080 RVN": {46_400_000, 279, "rvn-hashprice", 40_000},
	"RTX 3080 KAS": {950_000_000, 210, "kas-hashprice", 40_000},
	"RTX 3070 RVN": {25_600_000, 150, "rvn-hashprice", 40_000},
	"RTX 3070 KAS": {620_000_000, 130, "kas-hashprice", 40_000},
	"S19j Pro BTC": {100_000_000_000_000, 3050, "btc-hashprice", 20_000},
}

var trains = map[string]struct{ speed, watts int64 }{"RTX 3080": {1_000_000, 300}, "RTX 3070": {680_000, 210}}
var idles = map[string]int64{"RTX 3080": 22, "RTX 3070": 15, "S19j Pro": 20}
var bids = map[string]int64{"1": 350_000, "2": 120_000, "3": 20_000}

const energyPrice, poolFee = 42_000, 10_000 // micro per kWh; ppm

// byHand computes what a use of a device comes to, in exact fractions.
func byHand(t *testing.T, s status, g gpu, use, option, job string) (b breakdown) {
	t.Helper()
	pue := map[string]int64{"air": 1_280_000, "tank": 1_040_000}[g.Hall]
	gross, risk, board := new(big.Rat), int64(0), idles[g.Model]
	switch use {
	case "mining":
		m, ok := modes[g.Model+" "+option]
		if !ok {
			t.Fatalf("%s mines %s, which the policy does not know", g.Model, option)
		}
		for _, q := range s.Quotes {
			if q.Feed == m.feed {
				scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(q.Scale), nil)
				gross.SetFrac(new(big.Int).Mul(big.NewInt(m.hashes), big.NewInt(q.Value)), scale)
				gross.Mul(gross, big.NewRat(1_000_000-poolFee, 1_000_000))
			}
		}
		risk, board = m.risk, m.watts
	case "training":
		gross.Mul(big.NewRat(bids[job], 1), big.NewRat(trains[g.Model].speed, 1_000_000))
		board = trains[g.Model].watts
	}
	b.PUE, b.PerKWh, b.Board = pue, energyPrice, board
	b.Watts = (board*pue + 999_999) / 1_000_000 // the meter, rounded up
	b.Energy = (b.Watts*energyPrice + 999) / 1000
	b.Gross = new(big.Int).Quo(gross.Num(), gross.Denom()).Int64()
	cut := new(big.Rat).Mul(gross, big.NewRat(risk, 1_000_000))
	b.Risk = new(big.Int).Quo(cut.Num(), cut.Denom()).Int64()
	b.Net = b.Gross - b.Risk - b.Energy
	return b
}

func near(a, b int64) bool { return a-b <= 2 && b-a <= 2 } // one division rounds each figure

func sameMoney(a, b breakdown) bool {
	return near(a.Gross, b.Gross) && near(a.Risk, b.Risk) && near(a.Energy, b.Energy) && a.Net == a.Gross-a.Risk-a.Energy &&
		a.Watts == b.Watts && a.Board == b.Board && a.PUE == b.PUE && a.PerKWh == b.PerKWh
}

// Every figure that explain gives is the one that policy and prices give.
func TestDemoExplainsWithTrueNumbers(t *testing.T) {
	t.Parallel() // it mostly waits
	d := startDemo(t)
	d.write("steady.yaml", tariff("0.042"))
	d.must("", "policy", "apply", "-f", "steady.yaml", "--yes")
	d.settled(t, 3, 17)
	kinds := map[string]bool{}
	for _, g := range d.gpus() {
		kind := g.Model + " " + g.Use + " " + g.Option
		if kinds[kind] {
			continue
		}
		kinds[kind] = true
		var before, after status
		var x explanation
		var text string
		// Figures of one instant: nothing may be decided between the answers.
		poll(t, 30*time.Second, "an explanation of a settled device between two equal answers", func() (bool, string) {
			before, after, x = status{}, status{}, explanation{}
			d.get(t, "/api/v1/status", &before)
			for _, now := range d.gpus() {
				if now.ID == g.ID {
					g = now
				}
			}
			d.json(&x, "explain", "gpu", g.ID)
			text = d.must("", "explain", "gpu", g.ID)
			d.get(t, "/api/v1/status", &after)
			return g.Use != "draining" && before.LogIndex == after.LogIndex && fmt.Sprint(before.Quotes) == fmt.Sprint(after.Quotes), g.Use
		})
		kind = g.Model + " " + g.Use + " " + g.Option
		kinds[kind] = true
		now := byHand(t, after, g, g.Use, g.Option, g.Job)
		if !sameMoney(x.Now, now) {
			t.Errorf("%s %s:\n got %+v\nwant %+v", g.ID, kind, x.Now, now)
		}
		others := map[string]bool{}
		for _, alt := range x.Alternatives {
			want := byHand(t, after, g, alt.Use, alt.Option, alt.Job)
			if !sameMoney(alt.Money, want) || alt.VsNow != alt.Money.Net-x.Now.Net {
				t.Errorf("%s instead %s %s%s, %d against now:\n got %+v\nwant %+v", g.ID, alt.Use, alt.Option, alt.Job, alt.VsNow, alt.Money, want)
			}
			others[alt.Use+alt.Option] = true
			if alt.Money.Net > x.Now.Net && strings.Contains(x.Verdict, "Nothing else pays more") {
				t.Errorf("%s: %q, but %s %s nets %d more", g.ID, x.Verdict, alt.Use, alt.Option, alt.VsNow)
			}
		}
		if g.Use != "parked" && !others["parked"] || len(g.Model) > 0 && strings.HasPrefix(g.Model, "RTX") && !(others["miningKAS"] || g.Option == "KAS") {
			t.Errorf("%s: alternatives %v", g.ID, others)
		}
		if g.Use == "mining" { // at these it would be as well off parked
			idle := byHand(t, after, g, "parked", "", "")
			kept, watts := x.Now.Gross-x.Now.Risk, x.Now.Watts-idle.Watts
			// Two divisions round what it keeps, each by up to a micro per hour.
			if above, slack := kept*1000/watts, 2*1000/watts+1; x.ParksAbove < above-slack || x.ParksAbove > above+slack {
				t.Errorf("%s parks above %d, by hand %d", g.ID, x.ParksAbove, above)
			}
			below := (x.Now.Energy - idle.Energy) * x.Now.Gross / kept
			if !near(x.ParksBelow, below) {
				t.Errorf("%s parks below %d, by hand %d", g.ID, x.ParksBelow, below)
			}
		}
		if want := fmt.Sprintf("(%d W x PUE %d.%02d x 0.0420 USD/kWh)", now.Board, now.PUE/1_000_000, now.PUE/10_000%100); !strings.Contains(strings.ReplaceAll(text, "3.1 kW", "3050 W"), want) {
			t.Errorf("explain does not say %s:\n%s", want, text)
		}
	}
	if len(kinds) < 4 {
		t.Errorf("only %v were explained", kinds)
	}
	d.checkBid(t)
	d.stop(t)
	d.noneLeft()
}

// checkBid: the bid that explain says would start a waiting job does, and one
// clearly below it does not.
func (d *demo) checkBid(t *testing.T) {
	t.Helper()
	id := d.must(oneGPU("asks", "0.001", 100_000), "job", "submit", "-")
	var x struct {
		Bid int64 `json:"break_even_bid"`
		Job job
	}
	poll(t, 20*time.Second, "a bid that would start it", func() (bool, string) {
		d.json(&x, "explain", "job", id)
		return x.Job.Phase == "queued" && x.Bid > 1000 && x.Job.Reason.Code == "PRICE", fmt.Sprintf("%+v", x)
	})
	d.must("", "job", "cancel", id)
	less := d.must(oneGPU("less", fmt.Sprintf("%.6f", float64(x.Bid)*0.7/1e6), 100_000), "job", "submit", "-")
	more := d.must(oneGPU("more", fmt.Sprintf("%.6f", float64(x.Bid)*1.05/1e6), 100_000), "job", "submit", "-")
	poll(t, 30*time.Second, "the better bid runs", func() (bool, string) {
		return d.job(more).Phase == "active", fmt.Sprintf("break even at %d: %+v", x.Bid, d.job(more))
	})
	if d.job(less).Phase != "queued" {
		t.Errorf("a bid below %d runs too", x.Bid)
	}
}
