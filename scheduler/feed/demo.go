package feed

import (
	"fmt"
	"io"

	"github.com/sluice-project/sluice/workload"
)

// Demo series for trying Sluice out: made up, but shaped like the real thing. A
// power price has a valley at noon, a peak in the evening and an hour or two
// below zero a week; hashprices wander. The same start gives the same bytes.

// demoDays is how long the demo series are before they repeat.
const demoDays = 28

// WriteDemoPower writes hourly prices in USD/MWh from midnight before start.
func WriteDemoPower(w io.Writer, start workload.Instant) error {
	// Hour of the day, in USD/MWh.
	shape := [24]int64{52, 48, 46, 45, 47, 56, 74, 88, 82, 64, 50, 41, 36, 38, 47, 61, 84, 112, 128, 119, 97, 80, 68, 58}
	rng := splitmix(1)
	if _, err := fmt.Fprintln(w, "hour_utc,usd_mwh"); err != nil {
		return err
	}
	midnight := start - start%day
	for h := range demoDays * 24 {
		milli := shape[h%24]*1000 + rng.between(-9000, 9000)
		if h%24 == 12 && rng.between(0, 6) == 0 {
			milli = -rng.between(2000, 18000) // more sun and wind than anybody wants
		}
		at := midnight + workload.Instant(h)*workload.HourMillis
		if _, err := fmt.Fprintf(w, "%s,%s\n", at.Time().Format("2006-01-02T15"), workload.Decimal(milli*1000, 2)); err != nil {
			return err
		}
	}
	return nil
}

// WriteDemoHashprice writes hashprices every three hours from midnight before
// start: BTC in USD/TH/day, KAS in USD/GH/day, RVN in USD/MH/day.
func WriteDemoHashprice(w io.Writer, start workload.Instant) error {
	rng := splitmix(2)
	if _, err := fmt.Fprintln(w, "time,btc_usd_th_day,kas_usd_gh_day,rvn_usd_mh_day"); err != nil {
		return err
	}
	micro := [3]int64{56_000, 620_000, 14_500}
	anchor := micro
	midnight := start - start%day
	for i := range demoDays * 8 {
		for k := range micro {
			// A walk of up to 3 % a step that is drawn back to where it began.
			micro[k] += micro[k]*rng.between(-30, 30)/1000 + (anchor[k]-micro[k])/12
		}
		at := midnight + workload.Instant(i)*3*workload.HourMillis
		if _, err := fmt.Fprintf(w, "%s,%s,%s,%s\n", at.Time().Format("2006-01-02T15"),
			workload.Decimal(micro[0], 6), workload.Decimal(micro[1], 6), workload.Decimal(micro[2], 6)); err != nil {
			return err
		}
	}
	return nil
}

// splitmix is a small generator whose sequence never changes between versions
// of Go.
type splitmix uint64

func (s *splitmix) next() uint64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func (s *splitmix) between(lo, hi int64) int64 {
	return lo + int64(s.next()%uint64(hi-lo+1))
}
