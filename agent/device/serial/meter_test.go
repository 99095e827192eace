package serial

import (
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/agent/stratum"
)

func TestMeter(t *testing.T) {
	var m meter
	if r, e := m.rate(10, 10); r != -1 || e != -1 {
		t.Errorf("without nonces: %d, %d", r, e)
	}
	for sec := range int64(100) {
		m.add(sec, 1000)
	}
	if r, e := m.rate(100, 100); r != 1_000_000 || e != 100_000 {
		t.Errorf("100 nonces of 1000 hashes in 100 s: %d mH/s +- %d ppm", r, e)
	}
	if r, _ := m.rate(100, 900); r != 1_000_000 {
		t.Errorf("a window longer than the run: %d mH/s", r)
	}
	if r, e := m.rate(105, 10); r != -1 || e != -1 {
		t.Errorf("five nonces: %d, %d", r, e)
	}
	if r, _ := m.rate(5000, 900); r != -1 {
		t.Errorf("long after: %d", r)
	}
	m.add(5001, 1)
	if r, _ := m.rate(5001, 900); r != -1 || m.total != 100_001 {
		t.Errorf("after a gap: %d, %d hashes", r, m.total)
	}
}

// Whatever is added when, a rate is the sum over its window.
func TestMeterSums(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m meter
		type entry struct {
			sec    int64
			hashes uint64
		}
		var all []entry
		sec := int64(0)
		for range rapid.IntRange(1, 60).Draw(t, "nonces") {
			sec += rapid.Int64Range(0, 40).Draw(t, "gap")
			h := rapid.Uint64Range(1, 1<<44).Draw(t, "hashes")
			m.add(sec, h)
			all = append(all, entry{sec, h})
		}
		now := sec + rapid.Int64Range(0, 2000).Draw(t, "later")
		window := rapid.Int64Range(1, 900).Draw(t, "window")
		got, errPPM := m.rate(now, window)
		span := min(window, now)
		var sum, n uint64
		for _, e := range all {
			if e.sec < now && e.sec >= now-span {
				sum += e.hashes
				n++
			}
		}
		if n < minNonces || span == 0 {
			if got != -1 {
				t.Fatalf("%d nonces give %d", n, got)
			}
			return
		}
		if want := float64(sum) * 1000 / float64(span); math.Abs(float64(got)-want) > want*1e-9+1 {
			t.Fatalf("%d mH/s, want %f", got, want)
		}
		if want := 1e6 / math.Sqrt(float64(n)); math.Abs(float64(errPPM)-want) > want/1000+1 {
			t.Fatalf("+- %d ppm, want %f", errPPM, want)
		}
	})
}

func TestTicketFor(t *testing.T) {
	for _, c := range []struct {
		base int
		chip uint64
		pool string
		want int
		says string
	}{
		{32, 1_071_000_000_000, "8192", 7, "a chip of 1.07 TH/s at a hard pool: 7.8 bits, rounded down"},
		{32, 1_071_000_000_000, "16", 4, "never harder than a share"},
		{32, 1_071_000_000_000, "0.001", 0, "never easier than silicon can"},
		{12, 1_021_000, "0.0002", 7, "emulated chips keep the proportion"},
	} {
		if got := ticketFor(c.base, c.chip, stratum.MustDifficulty(c.pool)); got != c.want {
			t.Errorf("%s: %d, want %d", c.says, got, c.want)
		}
	}
}

func TestPlausible(t *testing.T) {
	if plausible(1600, 1000) || !plausible(1400, 1000) || !plausible(5, 0) {
		t.Error("a hashrate is bounded by what the chips can do")
	}
}
