package market

import (
	"math"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sluice-project/sluice/scheduler/config"
	"github.com/sluice-project/sluice/workload"
)

const now = workload.Instant(1_609_459_200_000) // 2021-01-01

func share(p workload.PPM) *workload.PPM { return &p }

func TestGate(t *testing.T) {
	jump := config.Gate{Jump: share(200_000)} // 20 %
	type in struct {
		value int64
		at    workload.Instant
		scale uint8
	}
	for _, c := range []struct {
		name    string
		gate    config.Gate
		in      []in
		want    int64
		pending int64 // 0 = none
	}{
		{"first is taken", jump, []in{{100, 1, 0}}, 100, 0},
		{"near is taken", jump, []in{{100, 1, 0}, {120, 2, 0}}, 120, 0},
		{"a jump is held", jump, []in{{100, 1, 0}, {121, 2, 0}}, 100, 121},
		{"a jump down is held", jump, []in{{100, 1, 0}, {79, 2, 0}}, 100, 79},
		{"a jump seen again is taken", jump, []in{{100, 1, 0}, {200, 2, 0}, {210, 3, 0}}, 210, 0},
		{"the same instant confirms nothing", jump, []in{{100, 1, 0}, {200, 2, 0}, {200, 2, 0}}, 100, 200},
		{"an earlier one confirms nothing", jump, []in{{100, 1, 0}, {200, 3, 0}, {200, 2, 0}}, 100, 200},
		{"another jump replaces the first", jump, []in{{100, 1, 0}, {200, 2, 0}, {400, 3, 0}}, 100, 400},
		{"back to normal drops the jump", jump, []in{{100, 1, 0}, {200, 2, 0}, {101, 3, 0}}, 101, 0},
		{"an old value is dropped", jump, []in{{100, 5, 0}, {101, 4, 0}}, 100, 0},
		{"without a gate all is taken", config.Gate{}, []in{{100, 1, 0}, {100_000, 2, 0}}, 100_000, 0},
		{"scales compare exactly", jump, []in{{100, 1, 2}, {1_100_000, 2, 6}}, 1_100_000, 0},
		{"another scale is a jump", jump, []in{{100, 1, 2}, {100, 2, 3}}, 100, 100},
		{"from zero all is a jump", jump, []in{{0, 1, 0}, {1, 2, 0}}, 0, 1},
		{"no jump is too far for the numbers", jump, []in{{math.MinInt64, 1, 0}, {math.MaxInt64, 2, 255}}, math.MinInt64, math.MaxInt64},
	} {
		var q Quote
		for i, v := range c.in {
			q = Observe(q, i > 0, Observation{Feed: "f", Value: v.value, Scale: v.scale, At: v.at, Unit: UnitPrice}, c.gate)
		}
		if q.Value != c.want {
			t.Errorf("%s: %d in force, want %d", c.name, q.Value, c.want)
		}
		if got := q.Pending; (got != nil) != (c.pending != 0) || got != nil && got.Value != c.pending {
			t.Errorf("%s: pending %+v, want %d", c.name, got, c.pending)
		}
	}
}

func TestStale(t *testing.T) {
	hour := &config.Feed{Gate: config.Gate{Stale: time.Hour}}
	for _, c := range []struct {
		at   workload.Instant
		feed *config.Feed
		want bool
	}{
		{now - workload.HourMillis, hour, false}, {now - workload.HourMillis - 1, hour, true},
		{now - DefaultStale, nil, false}, {now - DefaultStale - 1, nil, true}, {now - DefaultStale - 1, &config.Feed{}, true},
		{math.MinInt64, hour, true},
	} {
		if got := (Quote{Observation: Observation{At: c.at}}).Stale(c.feed, now); got != c.want {
			t.Errorf("at %d: stale %v", c.at, got)
		}
	}
}

func doc(kind config.Kind, name string, set func(*config.Document)) config.Document {
	d := config.Document{Kind: kind, Name: name}
	set(&d)
	return d
}

func bitcoin() *config.Set {
	return config.NewSet(
		doc(config.KindCoin, "BTC", func(d *config.Document) {
			d.Coin = &config.Coin{Algorithm: "sha256d", Price: &config.FeedRef{Feed: "price"}, Difficulty: &config.FeedRef{Feed: "difficulty"},
				Block: &config.Block{Reward: 6_250_000}}
		}),
		doc(config.KindCoin, "HP", func(d *config.Document) {
			d.Coin = &config.Coin{Algorithm: "sha256d", Hashprice: &config.FeedRef{Feed: "hp"}}
		}),
		doc(config.KindFeed, "price", func(d *config.Document) { d.Feed = &config.Feed{} }),
		doc(config.KindFeed, "difficulty", func(d *config.Document) { d.Feed = &config.Feed{} }),
	)
}

func quotes(price, difficulty int64, age workload.Instant) Quotes {
	return Quotes{
		"price":      {Observation: Observation{Value: price, Unit: UnitPrice, At: now - age}},
		"difficulty": {Observation: Observation{Value: difficulty, Unit: UnitDifficulty, At: now}},
		"hp":         {Observation: Observation{Value: 8_273_599, Scale: 15, Unit: UnitHashprice, At: now}},
	}
}

// On 2021-01-01 a bitcoin was worth 29,374 USD at a difficulty of 1.8599e13 and
// 6.25 coins a block. A block takes difficulty x 2^32 hashes, so 1 TH/s earns
//
//	29374 x 6.25 x 3600 x 10^12 / (1.8599e13 x 4294967296) USD/h
//	= 660915000 x 10^12 / 7.98820967...e22 = 0.00827363... USD/h = 0.198567... USD/day
func TestYieldOfBitcoinAtTheTurnOf2021(t *testing.T) {
	p, at, ok := Yield(bitcoin(), "BTC", quotes(29_374_000_000, 18_599_000_000_000, workload.HourMillis), now)
	if !ok || at != now-workload.HourMillis {
		t.Fatalf("ok %v, at %d", ok, at)
	}
	exact := new(big.Rat).SetFrac(big.NewInt(660_915_000), new(big.Int).Mul(big.NewInt(18_599_000_000_000), big.NewInt(4_294_967_296)))
	got := new(big.Rat).SetFrac(big.NewInt(p.MicroPerHour), new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(p.Scale)+6), nil))
	rel := new(big.Rat).Quo(new(big.Rat).Sub(exact, got), exact)
	if rel.Sign() < 0 || rel.Cmp(big.NewRat(1, 1_000_000)) > 0 {
		t.Errorf("%+v is %s off the exact yield", p, rel.FloatString(9))
	}
	if p.MicroPerHour != 8_273_631 || p.Scale != 15 {
		t.Errorf("%+v", p)
	}
	day := 24 * int64(p.Gross(1_000_000_000_000_000)) // 1 TH/s in milli-hashes
	if day < 198_500 || day > 198_600 {
		t.Errorf("%d micro-USD for a TH/s and day, want about 198,567", day)
	}
}

func TestYieldRefusals(t *testing.T) {
	good := func() (*config.Set, Quotes) { return bitcoin(), quotes(29_374_000_000, 18_599_000_000_000, 0) }
	for name, spoil := range map[string]func(s *config.Set, q Quotes){
		"no price":              func(s *config.Set, q Quotes) { delete(q, "price") },
		"stale price":           func(s *config.Set, q Quotes) { q["price"] = Quote{Observation: Observation{Value: 1, Unit: UnitPrice}} },
		"negative price":        func(s *config.Set, q Quotes) { q["price"] = quotes(-1, 1, 0)["price"] },
		"no difficulty":         func(s *config.Set, q Quotes) { delete(q, "difficulty") },
		"difficulty of zero":    func(s *config.Set, q Quotes) { q["difficulty"] = quotes(1, 0, 0)["difficulty"] },
		"price in another unit": func(s *config.Set, q Quotes) { q["price"] = q["difficulty"] },
		"difficulty as a price": func(s *config.Set, q Quotes) { q["difficulty"] = q["price"] },
		"no block":              func(s *config.Set, q Quotes) { s.Coin("BTC").Block = nil },
		"negative reward":       func(s *config.Set, q Quotes) { s.Coin("BTC").Block.Reward = -1 },
		"negative hashes":       func(s *config.Set, q Quotes) { s.Coin("BTC").Block.HashesPerDifficulty = -1 },
		"yield beyond all range": func(s *config.Set, q Quotes) {
			q["difficulty"] = quotes(1, 1, 0)["difficulty"]
			q["price"] = quotes(math.MaxInt64, 1, 0)["price"]
			*s.Coin("BTC").Block = config.Block{Reward: math.MaxInt64, HashesPerDifficulty: 1}
		},
	} {
		s, q := good()
		if _, _, ok := Yield(s, "BTC", q, now); !ok {
			t.Fatal("the unspoilt case has no yield")
		}
		spoil(s, q)
		if p, _, ok := Yield(s, "BTC", q, now); ok {
			t.Errorf("%s: yields %+v", name, p)
		}
	}
	s, q := good()
	if p, _, ok := Yield(s, "HP", q, now); !ok || p != (workload.Hashprice{MicroPerHour: 8_273_599, Scale: 15}) {
		t.Errorf("hashprice feed: %+v %v", p, ok)
	}
	q["hp"] = Quote{Observation: Observation{Value: 1, Unit: UnitPrice, At: now}}
	if _, _, ok := Yield(s, "HP", q, now); ok {
		t.Error("a price passed as a hashprice")
	}
	q["hp"] = Quote{Observation: Observation{Value: -1, Unit: UnitHashprice, At: now}}
	if _, _, ok := Yield(s, "HP", q, now); ok {
		t.Error("a negative hashprice passed")
	}
	if _, _, ok := Yield(s, "ETH", q, now); ok {
		t.Error("an unknown coin has a yield")
	}
	if p, _, ok := Yield(s, "BTC", quotes(0, 1, 0), now); !ok || p.MicroPerHour != 0 {
		t.Error("a worthless coin yields nothing, and that is known")
	}
}

func TestConvertQuote(t *testing.T) {
	for _, c := range []struct {
		decimal, unit, currency string
		value                   int64
		scale                   uint8
		want                    Unit // empty = refused
	}{
		{"29374.25", "", "USD", 29_374_250_000, 0, UnitPrice},
		{" 2.9e4 ", "USD", "USD", 29_000_000_000, 0, UnitPrice},
		{"0", "", "", 0, 0, UnitPrice},
		{"-1", "", "USD", 0, 0, ""},
		{"1.8599e13", "difficulty", "", 18_599_000_000_000, 0, UnitDifficulty},
		{"18599000000000.9", "difficulty", "", 18_599_000_000_000, 0, UnitDifficulty},
		{"0", "difficulty", "", 0, 0, ""},
		{"-5", "difficulty", "", 0, 0, ""},
		{"1e19", "difficulty", "", 0, 0, ""},
		{"0.042", "USD/kWh", "USD", 42_000, 0, UnitEnergy},
		{"42", "USD/MWh", "", 42_000, 0, UnitEnergy},
		{"-12.5", "EUR/MWh", "EUR", -12_500, 0, UnitEnergy}, // paid to draw
		{"-0.0000001", "EUR/MWh", "EUR", -1, 0, UnitEnergy}, // down is the named direction
		{"42", "EUR/MWh", "USD", 0, 0, ""},
		{"0.198", "USD/TH/day", "USD", 8_250_000, 15, UnitHashprice},
		{"198", "USD/PH/s/day", "USD", 8_250_000, 15, UnitHashprice},
		{"1", "USD/H/h", "USD", 1_000_000, 0, UnitHashprice},
		{"0.198", "EUR/TH/day", "USD", 0, 0, ""},
		{"-0.198", "USD/TH/day", "USD", 0, 0, ""},
		{"0.198", "USD/XH/day", "USD", 0, 0, ""},
		{"1", "parsec", "USD", 0, 0, ""},
		{"1", "EUR", "USD", 0, 0, ""},
		{"NaN", "", "USD", 0, 0, ""}, {"Inf", "", "USD", 0, 0, ""}, {"-inf", "USD/kWh", "USD", 0, 0, ""}, {"nan", "difficulty", "", 0, 0, ""},
		{"infinity", "USD/TH/day", "USD", 0, 0, ""}, {"0x10", "", "USD", 0, 0, ""}, {"1/3", "", "USD", 0, 0, ""}, {"1_000", "", "USD", 0, 0, ""},
		{"", "", "USD", 0, 0, ""}, {"1e999", "", "USD", 0, 0, ""}, {"9.3e12", "", "USD", 0, 0, ""}, {strings.Repeat("9", 41), "", "USD", 0, 0, ""},
	} {
		o, err := ConvertQuote("f", c.decimal, c.unit, c.currency, now, "src")
		if (err == nil) != (c.want != "") {
			t.Errorf("%q %q: %+v, %v", c.decimal, c.unit, o, err)
			continue
		}
		if err != nil {
			if workload.KindOf(err) != workload.Invalid || !strings.Contains(err.Error(), "feed f") {
				t.Errorf("%q %q: %v", c.decimal, c.unit, err)
			}
			continue
		}
		want := Observation{Feed: "f", Value: c.value, Scale: c.scale, Unit: c.want, At: now, Source: "src"}
		if !reflect.DeepEqual(o, want) {
			t.Errorf("%q %q: %+v, want %+v", c.decimal, c.unit, o, want)
		}
	}
}

func FuzzConvertQuote(f *testing.F) {
	for _, s := range [][2]string{{"1.5", ""}, {"1e13", "difficulty"}, {"-3", "USD/MWh"}, {"0.2", "USD/TH/day"}, {"NaN", "USD"}, {"1e-30", "USD/EH/s/h"}, {"9e99", "USD/kWh"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, decimal, unit string) {
		o, err := ConvertQuote("f", decimal, unit, "USD", now, "s")
		if err != nil {
			if o != (Observation{}) {
				t.Fatalf("an error and a value: %+v", o)
			}
			return
		}
		if o.Value < 0 && o.Unit != UnitEnergy {
			t.Fatalf("%q %q is negative: %+v", decimal, unit, o)
		}
		if _, ok := new(big.Rat).SetString(strings.TrimSpace(decimal)); !ok {
			t.Fatalf("%q is no number, yet %+v", decimal, o)
		}
	})
}

// Whatever the gate, the quote in force is one that was observed, never dated
// before the one it replaced.
func TestGateNeverInvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		gate := config.Gate{Jump: share(workload.PPM(rapid.Int64Range(0, 2_000_000).Draw(t, "jump")))}
		var q Quote
		seen := map[Observation]bool{}
		for i := range rapid.IntRange(1, 20).Draw(t, "n") {
			o := Observation{Value: rapid.Int64Range(0, 50).Draw(t, "v"), At: workload.Instant(rapid.Int64Range(0, 20).Draw(t, "at")), Unit: UnitPrice}
			seen[o] = true
			next := Observe(q, i > 0, o, gate)
			if !seen[next.Observation] || i > 0 && next.At < q.At {
				t.Fatalf("%+v after %+v", next, q)
			}
			q = next
		}
	})
}
