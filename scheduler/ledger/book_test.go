package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/workload"
)

const start = workload.Instant(1_700_000_000_000) // 13 min 20 s into an hour

func mining(watts, hash int64) Doing {
	return Doing{Site: "s", Use: workload.Use{Kind: workload.Mining, Option: "c"}, Watts: watts, Hash: hash, Coin: "c",
		Reason: workload.Why(workload.CodePrice)}
}

// 279 W for two hours at 0.100 USD/kWh are 0.558 kWh: 0.0558 USD. 97.9 MH/s at
// 0.0125 USD per hour and GH/s earn 0.00122375 USD an hour.
func TestKnownExample(t *testing.T) {
	b := New(start)
	b.SetEnergy("s", []Step{{MicroPerKWh: 100_000, Known: true}})
	b.SetYield("c", workload.Hashprice{MicroPerHour: 12_500, Scale: 9}, true)
	b.Set("n/0", mining(279, 97_900_000_000))
	b.Advance(start + 2*workload.HourMillis)
	iv, _ := b.Peek("n/0")
	if iv.Energy < 55_800 || iv.Energy > 55_802 { // three bookings, each rounded up by at most one
		t.Errorf("energy %d, want 55800 and at most one more per further booking", iv.Energy)
	}
	if iv.Revenue > 2447 || iv.Revenue < 2445 { // 2447.5 rounded down thrice
		t.Errorf("revenue %d, want 2447 or at most one less per further booking", iv.Revenue)
	}
	if iv.WattMillis != 279*2*workload.HourMillis || iv.Unpriced != 0 {
		t.Errorf("%d W ms, %d ms unpriced", iv.WattMillis, iv.Unpriced)
	}
	if got := iv.Net(); got != iv.Revenue-iv.Energy {
		t.Errorf("net %d", got)
	}
	if tot := b.Totals(); tot.WattHours != 558 || tot.DeviceMillis != 2*workload.HourMillis || tot.Energy != iv.Energy {
		t.Errorf("totals %+v", tot)
	}
}

func TestPriceSteps(t *testing.T) {
	hour := workload.Instant(1_699_999_200_000) // an exact hour
	b := New(hour)
	b.Set("n/0", mining(1000, 0))
	// Given out of order; the one in the past counts from now.
	b.SetEnergy("s", []Step{{At: hour + 1_800_000, MicroPerKWh: -50_000, Known: true}, {At: hour - 5, MicroPerKWh: 100_000, Known: true},
		{At: hour + 2_700_000, Known: false}})
	b.Advance(hour + 1_800_000)
	if iv, _ := b.Peek("n/0"); iv.Energy != 50_000 {
		t.Errorf("half an hour at 0.1: %d", iv.Energy)
	}
	b.Advance(hour + 2_700_000)
	if iv, _ := b.Peek("n/0"); iv.Energy != 50_000-12_500 || iv.Unpriced != 0 {
		t.Errorf("after a quarter at -0.05: %+v", iv.Booked)
	}
	b.Advance(hour + workload.HourMillis)
	iv, _ := b.Peek("n/0")
	if iv.Energy != 37_500 || iv.Unpriced != 900_000 {
		t.Errorf("a quarter without price: %+v", iv.Booked)
	}
	if past := b.Energy["s"].Past; len(past) != 3 {
		t.Errorf("past %v", past)
	}
	if iv.To != 0 || len(b.Closed["n/0"]) != 0 {
		t.Error("a price split an interval")
	}
}

func TestUnknownPrices(t *testing.T) {
	b := New(start)
	b.Set("n/0", mining(100, 1_000_000_000)) // neither site nor coin is known
	b.Advance(start + 1000)
	b.SetEnergy("s", []Step{{MicroPerKWh: 1, Known: true}})
	b.Advance(start + 3000)
	b.SetYield("c", workload.Hashprice{MicroPerHour: 1_000_000, Scale: 6}, true)
	b.Advance(start + 10_000)
	if iv, _ := b.Peek("n/0"); iv.Unpriced != 4000 { // 1 s of both and 2 s of the yield: an upper bound
		t.Errorf("unpriced %d", iv.Unpriced)
	}
	b.Set("n/0", Doing{Site: "elsewhere", Use: workload.Use{Kind: workload.Parked}})
	b.Advance(start + 11_000)
	if iv, _ := b.Peek("n/0"); iv.Unpriced != 0 {
		t.Errorf("a device that draws nothing needs no price: %d", iv.Unpriced)
	}
}

// A price that moves by many orders keeps its digits, and what was earned
// before is not lost.
func TestYieldScaleChanges(t *testing.T) {
	hour := workload.Instant(1_699_999_200_000)
	b := New(hour)
	b.SetYield("c", workload.Hashprice{MicroPerHour: 1_234_567, Scale: 12}, true)
	b.Set("n/0", mining(0, 1_000_000_000_000_000)) // 1 TH/s
	b.Advance(hour + 900_000)
	b.SetYield("c", workload.Hashprice{MicroPerHour: 2_000_000, Scale: 13}, true) // 200000 at scale 12
	if b.Yields["c"].Now.Scale != 12 {
		t.Error("a small move began a new integral")
	}
	b.Advance(hour + 1_800_000)
	b.SetYield("c", workload.Hashprice{MicroPerHour: 7_654_321, Scale: 18}, true) // 7.654321 at scale 12
	if b.Yields["c"].Now.MicroPerHour != 7_654_321 {
		t.Errorf("digits were lost: %+v", b.Yields["c"].Now)
	}
	b.Advance(hour + 2_700_000)
	b.SetYield("c", workload.Hashprice{MicroPerHour: 4_000_000, Scale: 6}, true)
	b.Advance(hour + workload.HourMillis)
	iv, _ := b.Peek("n/0")
	// a quarter each of 1234567, 200000, 7.65 and 4e12
	if want := workload.Money((1_234_567+200_000+7)/4 + 1_000_000_000_000); iv.Revenue < want-3 || iv.Revenue > want+1 {
		t.Errorf("revenue %d, want about %d", iv.Revenue, want)
	}
}

func TestBaselineDoesNotDependOnSteps(t *testing.T) {
	run := func(step workload.Instant) []Hour {
		b := New(start)
		b.Base = Baseline{AllMining: 1_000_003, AllParked: -7}
		for at := start; at < start+2*workload.HourMillis; at += step {
			b.Advance(at)
		}
		b.Advance(start + 2*workload.HourMillis)
		return b.Hours
	}
	coarse, fine := run(workload.HourMillis), run(777)
	a, _ := json.Marshal(coarse)
	z, _ := json.Marshal(fine)
	if !bytes.Equal(a, z) {
		t.Errorf("coarse %s\nfine %s", a, z)
	}
}

func TestSaturation(t *testing.T) {
	b := New(start)
	b.SetEnergy("s", []Step{{MicroPerKWh: math.MaxInt64, Known: true}})
	b.SetYield("c", workload.Hashprice{MicroPerHour: math.MaxInt64, Scale: 200}, true)
	b.SetYield("d", workload.Hashprice{MicroPerHour: math.MinInt64}, true)
	b.Base = Baseline{AllMining: math.MaxInt64, AllParked: math.MinInt64}
	do := mining(math.MaxInt64, math.MaxInt64)
	do.Rate = math.MaxInt64
	b.Set("n/0", do)
	b.Advance(start + 30*workload.HourMillis)
	iv, _ := b.Peek("n/0")
	if iv.WattMillis != math.MaxInt64 || iv.Energy != math.MaxInt64 || iv.Revenue <= 0 {
		t.Errorf("%+v", iv.Booked)
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}

func TestKeptIntervalsAreBounded(t *testing.T) {
	b := New(start)
	for i := range 600 {
		b.Set("n/0", mining(int64(i), 0))
		b.Advance(b.At + 1)
	}
	if n := len(b.Closed["n/0"]); n != keepMost {
		t.Errorf("%d closed intervals are kept, want %d", n, keepMost)
	}
	b.Set("n/0", mining(1, 0))
	b.Advance(b.At + KeepClosed)
	b.Set("n/0", mining(2, 0))
	if n := len(b.Closed["n/0"]); n != 1 {
		t.Errorf("a day later %d are kept, want 1", n)
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}

// A copy and its original, or a view's prices, share what only grows; none may
// see what another one adds.
func TestCopiesGoTheirOwnWay(t *testing.T) {
	b := New(start)
	price := func(b *Book, micro int64) { b.SetEnergy("s", []Step{{MicroPerKWh: micro, Known: true}}) }
	for i := range 7 { // six and seven leave room in the arrays of lists that double
		b.Set("n/0", mining(int64(i), 0))
		b.Advance(b.At + 1)
		price(b, int64(i))
	}
	c, view := b.Clone(), b.Energy["s"]
	seen := fmt.Sprint(view)
	for i, book := range []*Book{b, c} {
		price(book, int64(100+i)) // at the instant of the last step: replaces it
		book.Advance(book.At + 1)
		price(book, int64(200+i))
		book.Set("n/0", mining(int64(300+i), 0))
		book.Advance(book.At + 1)
		book.Set("n/0", mining(0, 0))
	}
	for i, book := range []*Book{b, c} {
		closed := book.Closed["n/0"]
		past := book.Energy["s"].Past
		if closed[len(closed)-1].Watts != int64(300+i) || past[len(past)-1].MicroPerKWh != int64(200+i) || past[len(past)-2].MicroPerKWh != int64(100+i) {
			t.Errorf("book %d: %v, %v", i, closed, past)
		}
	}
	if fmt.Sprint(view) != seen {
		t.Errorf("a reader's prices changed from %s to %v", seen, view)
	}
}

func TestBegin(t *testing.T) {
	b := New(0)
	b.Set("n/0", mining(1, 1))
	b.Begin(start)
	b.Advance(start + 10)
	if err := b.Check(); err != nil {
		t.Error(err)
	}
	if got := b.Totals().DeviceMillis; got != 10 || len(b.Hours) != 1 {
		t.Errorf("%d ms in %d hours", got, len(b.Hours))
	}
	b.Begin(start + 5000)
	if b.At != start+10 {
		t.Error("a book that has counted began anew")
	}
}

// op is one step of a random history of a book.
type op struct {
	Kind  int
	Span  int64
	Split []int64 // further instants within Span, for the finer book
	Dev   workload.DeviceID
	Doing Doing
	Site  workload.SiteName
	Steps []Step // At relative to now
	Price workload.Hashprice
	Coin  workload.CoinName
	Known bool
	Base  Baseline
}

func genOp() *rapid.Generator[op] {
	site := rapid.SampledFrom([]workload.SiteName{"", "a", "b"})
	coin := rapid.SampledFrom([]workload.CoinName{"x", "y"})
	return rapid.Custom(func(t *rapid.T) op {
		o := op{Kind: rapid.SampledFrom([]int{0, 0, 1, 1, 2, 3, 4}).Draw(t, "kind"), Site: site.Draw(t, "site"), Coin: coin.Draw(t, "coin"), Known: rapid.Bool().Draw(t, "known")}
		switch o.Kind {
		case 0:
			o.Span = rapid.OneOf(rapid.Int64Range(0, 1000), rapid.Int64Range(0, 3*workload.HourMillis)).Draw(t, "span")
			o.Split = rapid.SliceOfN(rapid.Int64Range(-10, o.Span), 0, 5).Draw(t, "split")
		case 1:
			o.Dev = workload.NewDeviceID("n", rapid.IntRange(0, 3).Draw(t, "dev"))
			kind := rapid.SampledFrom([]workload.UseKind{workload.Parked, workload.Mining, workload.Training, workload.Unknown}).Draw(t, "use")
			o.Doing = Doing{Site: o.Site, Use: workload.Use{Kind: kind}, Watts: rapid.Int64Range(0, 1000).Draw(t, "watts"),
				Reason: workload.Why(rapid.SampledFrom([]workload.Code{workload.CodePrice, workload.CodeJob}).Draw(t, "code"))}
			if kind == workload.Mining {
				o.Doing.Coin, o.Doing.Hash = o.Coin, rapid.Int64Range(0, 1e15).Draw(t, "hash")
			}
			if kind == workload.Training {
				o.Doing.Tenant, o.Doing.Rate = "t", workload.Rate(rapid.Int64Range(0, 1e7).Draw(t, "rate"))
			}
		case 2:
			for range rapid.IntRange(0, 4).Draw(t, "n") {
				o.Steps = append(o.Steps, Step{At: workload.Instant(rapid.Int64Range(-1000, 2*workload.HourMillis).Draw(t, "at")),
					MicroPerKWh: rapid.Int64Range(-200_000, 500_000).Draw(t, "price"), Known: rapid.Bool().Draw(t, "known")})
			}
		case 3:
			o.Price = workload.Hashprice{MicroPerHour: rapid.Int64Range(0, 9_999_999).Draw(t, "price"), Scale: uint8(rapid.IntRange(6, 16).Draw(t, "scale"))}
		case 4:
			o.Base = Baseline{AllMining: workload.Rate(rapid.Int64Range(-1e9, 1e9).Draw(t, "mining"))}
		}
		return o
	})
}

func (o op) do(b *Book, fine bool) {
	switch o.Kind {
	case 0:
		from := b.At
		if fine {
			for _, s := range o.Split {
				b.Advance(from + workload.Instant(s))
			}
		}
		b.Advance(from + workload.Instant(o.Span))
	case 1:
		b.Set(o.Dev, o.Doing)
	case 2:
		steps := make([]Step, len(o.Steps))
		for i, s := range o.Steps {
			s.At += b.At
			steps[i] = s
		}
		b.SetEnergy(o.Site, steps)
	case 3:
		b.SetYield(o.Coin, o.Price, o.Known)
	case 4:
		b.Base = o.Base
	}
}

func encode(b *Book) string {
	var buf bytes.Buffer
	if err := json.NewEncoder(&buf).Encode(b); err != nil {
		return err.Error()
	}
	return buf.String()
}

// I9: time is conserved to the millisecond, whatever happens, and neither the
// rhythm in which time is advanced nor a snapshot changes the book.
func TestI9BookIsExactOverRandomHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ops := rapid.SliceOfN(genOp(), 1, 40).Draw(t, "ops")
		cut := rapid.IntRange(0, len(ops)-1).Draw(t, "cut")
		whole, fine := New(start), New(start)
		var copied *Book
		var asCopied string
		var resumed *Book
		joined := map[workload.DeviceID]workload.Instant{}
		for i, o := range ops {
			if _, seen := joined[o.Dev]; o.Kind == 1 && !seen {
				joined[o.Dev] = whole.At
			}
			o.do(whole, false)
			o.do(fine, true)
			if resumed != nil {
				o.do(resumed, false)
			}
			if copied != nil {
				o.do(copied, false)
			}
			if i == cut {
				copied = whole.Clone()
				frozen := whole.Clone()
				asCopied = encode(frozen)
				t.Cleanup(func() {
					if got := encode(frozen); got != asCopied {
						t.Fatalf("a copy changed:\n%s\n%s", got, asCopied)
					}
				})
				resumed = new(Book)
				if err := json.Unmarshal([]byte(encode(whole)), resumed); err != nil {
					t.Fatal(err)
				}
			}
			if err := whole.Check(); err != nil {
				t.Fatalf("after step %d: %v", i, err)
			}
		}
		for id, at := range joined { // counted from the book's history, not by Check
			next := at
			var sum int64
			for _, iv := range whole.History(id, 0) {
				if iv.From != next {
					t.Fatalf("%s: interval from %d, the one before ended %d", id, iv.From, next)
				}
				if next = iv.To; iv.To == 0 {
					next = whole.At
				}
				sum += int64(next - iv.From)
			}
			if sum != int64(whole.At-at) {
				t.Fatalf("%s: intervals hold %d ms of %d", id, sum, whole.At-at)
			}
		}
		if a, b := encode(whole), encode(fine); a != b {
			t.Fatalf("the rhythm of Advance shows:\n%s\n%s", a, b)
		}
		if a, b := encode(whole), encode(resumed); a != b {
			t.Fatalf("a snapshot shows:\n%s\n%s", a, b)
		}
		if a, b := encode(whole), encode(copied); a != b {
			t.Fatalf("a copy goes another way:\n%s\n%s", a, b)
		}
		var sum Booked
		for _, h := range whole.HoursSince(0) {
			sum.add(h.Total())
		}
		if tot := whole.Totals(); sum != tot.Booked {
			t.Fatalf("hours add up to %+v, the book to %+v", sum, tot.Booked)
		}
		if sum.WattMillis < 0 || sum.Unpriced < 0 || sum.Revenue < 0 {
			t.Fatalf("%+v", sum)
		}
	})
}

// The money of a device is the integral of the price over its time, within one
// micro-unit for each booking.
func TestEnergyIsTheIntegralOfThePrice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := New(start)
		watts := rapid.Int64Range(0, 5000).Draw(t, "watts")
		b.Set("n/0", mining(watts, 0))
		want, bookings := 0.0, 1.0
		for range rapid.IntRange(1, 20).Draw(t, "n") {
			price := rapid.Int64Range(-1_000_000, 1_000_000).Draw(t, "price")
			span := rapid.Int64Range(0, workload.HourMillis).Draw(t, "span")
			b.SetEnergy("s", []Step{{MicroPerKWh: price, Known: true}})
			b.Advance(b.At + workload.Instant(span))
			want += float64(watts) * float64(price) * float64(span) / 1000 / workload.HourMillis
			bookings++
		}
		iv, _ := b.Peek("n/0")
		if got := float64(iv.Energy); got < want-0.01 || got > want+bookings {
			t.Fatalf("energy %v, the integral is %v", got, want)
		}
	})
}

func BenchmarkCloseHour(b *testing.B) {
	book := New(start)
	book.SetEnergy("s", []Step{{MicroPerKWh: 1, Known: true}})
	for i := range 100_000 {
		book.Set(workload.DeviceID(fmt.Sprintf("n%05d/%d", i/8, i%8)), mining(300, 1e12))
	}
	for b.Loop() {
		book.Advance(book.At + workload.HourMillis)
	}
}
