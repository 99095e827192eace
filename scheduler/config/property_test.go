package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// draw fills a value of a document from its tags, so that every key that is
// ever added is drawn as well.
func draw(t *rapid.T, v reflect.Value, label string) {
	for _, f := range schemaOf(v.Type()).fields {
		field := v.Field(f.index)
		if !f.required && rapid.Bool().Draw(t, label+f.key+"?") {
			continue
		}
		drawValue(t, field, f.unit, label+f.key)
	}
}

func drawValue(t *rapid.T, v reflect.Value, unit, label string) {
	switch {
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		drawValue(t, v.Elem(), unit, label)
	case v.Kind() == reflect.Slice:
		n := rapid.IntRange(1, 3).Draw(t, label+"#")
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			drawValue(t, v.Index(i), unit, fmt.Sprintf("%s%d", label, i))
		}
	case compound(v.Type()):
		draw(t, v, label+".")
	default:
		drawScalar(t, v, unit, label)
	}
}

func drawScalar(t *rapid.T, v reflect.Value, unit, label string) {
	name, arg, _ := strings.Cut(unit, ":")
	n := func(lo, hi int64) { v.SetInt(rapid.Int64Range(lo, hi).Draw(t, label)) }
	text := func(options ...string) { v.SetString(rapid.SampledFrom(options).Draw(t, label)) }
	odd := []string{"a", "null", "true", "1e3", "0x1F", "~", "12:30", "a: b", "a #b", "[a]", "{a}", "'", "\"\\", "é", "x, y", "-", "- a", "&a", "*", "!", "%", "@", "|", ">", "<<", ".inf", "=", "a:", "?", "? a", "-1", "5.", "#", "$.usd", "---", "..."}
	switch name {
	case "watts", "wattHours", "hashrate", "decimal":
		n(0, 1<<62)
	case "temperature":
		n(-273_150, 1_000_000)
	case "share":
		n(0, 1_000_000)
	case "change":
		n(0, 100_000_000)
	case "factor":
		n(1, 1_000_000_000)
	case "pue":
		n(1_000_000, 10_000_000)
	case "span":
		v.SetInt(rapid.Int64Range(0, 1<<62/int64(time.Millisecond)).Draw(t, label) * int64(time.Millisecond))
	case "instant":
		n(31_536_000_000, 253_000_000_000_000)
	case "int", "gpus":
		n(0, 1<<31-1)
	case "weekdays":
		v.SetUint(rapid.Uint64Range(0, 127).Draw(t, label))
	case "hours":
		from := rapid.IntRange(0, 1439).Draw(t, label)
		to := rapid.IntRange(1, 1440).Filter(func(to int) bool { return to != from }).Draw(t, label+"-")
		v.Set(reflect.ValueOf(Hours{from, to}))
	case "bool":
		v.SetBool(rapid.Bool().Draw(t, label))
	case "energyPrice", "per":
		lo := int64(0)
		if name == "energyPrice" {
			lo = -1 << 62
		}
		v.Set(reflect.ValueOf(Amount{rapid.Int64Range(lo, 1<<62).Draw(t, label), rapid.SampledFrom([]string{"USD", "EUR", "USDT"}).Draw(t, label+"$")}))
	case "enum":
		text(strings.Split(arg, "|")...)
	case "name":
		text("a", "b-1", "null", "true", "1", "007", "1e3", "no", "-", "-a", "0x1f")
	case "coin":
		text("BTC", "KAS", "1e3", "null", "x.y")
	case "model":
		text("RTX 3080", "S19j Pro", "A100-80G", "null", "3080", "x (y)")
	case "device":
		text("n07/3", "1/0")
	case "currency":
		text("USD", "EUR")
	case "zone":
		text("UTC", "Europe/Berlin")
	case "date":
		text("2026-12-01", "2027-03-01")
	case "monthDay":
		text("11-15", "03-15", "02-29")
	case "use":
		text("training", "mining", "coin/BTC", "tenant/a")
	case "territory":
		text("RU-IRK", "null", "a b")
	case "path":
		text("/", "/data/a b", "/#x", "/a: b")
	case "url":
		text("https://a.example/b?c=d&e=f#g", "http://[::1]:80/")
	case "endpoint":
		text("stratum+tcp://a.example:3333", "stratum+ssl://[::1]:1")
	case "sha256":
		text(strings.Repeat("0", 64), strings.Repeat("1", 64), strings.Repeat("af", 32))
	case "number":
		text("0", "0.5", "123456789012345678901234567890")
	case "feedUnit":
		text("", "difficulty", "USD/TH/day", "C", "USD/MWh")
		if v.String() == "" {
			v.SetString("C")
		}
	case "word":
		text("a", "null", "1e3", "a:b", "#a", "*", "a#", "é", "'a'", "{algorithm}", ":")
	case "text", "arg":
		text(odd...)
	default:
		t.Fatalf("unit %q is not drawn", unit)
	}
}

// TestRenderReadsBack: what Render writes of any values, Parse's reader reads
// back equal, and so does JSON. Rules between values are not the matter here,
// so that check is left out.
func TestRenderReadsBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Document{Kind: rapid.SampledFrom(Kinds).Draw(t, "kind")}
		body := reflect.ValueOf(d.newBody()).Elem()
		draw(t, body, "")
		d.Name = rapid.SampledFrom([]string{"default", "null", "1", "a-b", "true"}).Draw(t, "name")
		text := Render(d)
		r, nodes, err := open("t.yaml", text)
		if err != nil || len(nodes) != 1 {
			t.Fatalf("%s\n%v", text, err)
		}
		r.begin(nodes[0])
		all, _ := r.entries("", nodes[0])
		back := Document{Kind: d.Kind, Name: d.Name}
		r.fields("", reflect.ValueOf(back.newBody()).Elem(), all[2:], place{1, 1})
		if err := r.err(); err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if all[1].value.GetToken().Value != d.Name {
			t.Fatalf("name %q reads back as %q", d.Name, all[1].value.GetToken().Value)
		}
		if !reflect.DeepEqual(back, d) {
			t.Fatalf("%s\nhave %+v\nwant %+v", text, back.Body(), d.Body())
		}
		data, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var again Document
		if err := json.Unmarshal(data, &again); err != nil || !reflect.DeepEqual(again, d) {
			t.Fatalf("%s\n%v", data, err)
		}
		if changes := Diff(NewSet(d), NewSet(again)); len(changes) != 0 {
			t.Fatal(changes)
		}
		quiet := func(string, string, ...any) {}
		d.check(quiet)                // total on any values
		Validate(NewSet(d))           // likewise
		Diff(NewSet(), NewSet(d))     // likewise
		_ = Diff(NewSet(d), NewSet()) // likewise
	})
}

func TestAddressChecksums(t *testing.T) {
	btc := &Address{Formats: []AddressFormat{AddressBech32, AddressBase58Check}, Prefix: "bc"}
	bch := &Address{Formats: []AddressFormat{AddressCashAddr}, Prefix: "bitcoincash"}
	for address, a := range map[string]*Address{
		// The examples of BIP 173, BIP 350, and of the formats' own descriptions.
		"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4":                     btc,
		"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0": btc,
		"1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2":                             btc,
		"3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy":                             btc,
		"bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a":         bch,
		"bitcoincash:qr95sy3j9xwd2ap32xkykttr4cvcu7as4y0qverfuy":         bch,
	} {
		if err := a.Check(address); err != nil {
			t.Error(err)
		}
		// One wrong character anywhere is noticed.
		for i := range address {
			for _, c := range []byte{'q', 'p', '2', 'x', 'A'} {
				if address[i] == c || strings.EqualFold(address[i:i+1], string(c)) {
					continue
				}
				if a.Check(address[:i]+string(c)+address[i+1:]) == nil {
					t.Errorf("%s with %q at %d passes", address, c, i)
				}
			}
		}
	}
	for _, address := range []string{"", "bc1", "bc1qqqqqqq", "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "bC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
		"bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7k7grplx", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN", "0OIl"} {
		if btc.Check(address) == nil {
			t.Errorf("%q passes", address)
		}
	}
	if (*Address)(nil).Check("anything") != nil || (&Address{Formats: []AddressFormat{AddressAny}}).Check("x") != nil {
		t.Error("any")
	}
}

func TestSetWith(t *testing.T) {
	doc := func(name string, n int) *Document {
		return &Document{Kind: KindTenant, Name: name, Tenant: &Tenant{Guarantee: n}}
	}
	key := func(name string) *Key { return &Key{KindTenant, name} }
	base := NewSet(*doc("b", 1), *doc("a", 1), *doc("b", 2))
	got := base.With(Edit{Put: doc("c", 3)}, Edit{Delete: key("a")}, Edit{Put: doc("d", 1)}, Edit{Delete: key("d")}, Edit{Delete: key("b")}, Edit{Put: doc("b", 5)})
	if base.Len() != 2 || base.Tenant("b").Guarantee != 2 || base.Tenant("a") == nil {
		t.Errorf("the base changed: %v", base.docs)
	}
	if got.Len() != 2 || got.Tenant("b").Guarantee != 5 || got.Tenant("c").Guarantee != 3 || got.Tenant("a") != nil || got.Tenant("d") != nil {
		t.Errorf("%v", got.docs)
	}
	var none *Set
	if none.Len() != 0 || none.Tenant("x") != nil || none.With(Edit{Put: doc("a", 1)}).Len() != 1 {
		t.Error("the nil set")
	}
	if k, err := ParseKey("target/ai-share"); err != nil || k != (Key{KindTarget, "ai-share"}) {
		t.Error(k, err)
	}
	for _, s := range []string{"", "Target", "Target/", "Nonsense/x", "/x"} {
		if _, err := ParseKey(s); err == nil {
			t.Errorf("%q is a key", s)
		}
	}
}
