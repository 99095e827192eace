package lenient

import (
	"slices"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/workload"
)

// show writes a value as JSON, so that cases read as what they mean.
func show(v Value) string {
	var parts []string
	switch v.Kind {
	case Array:
		for _, i := range v.Items {
			parts = append(parts, show(i))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case Object:
		for _, m := range v.Members {
			parts = append(parts, `"`+m.Key+`":`+show(m.Value))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case String:
		return `"` + v.Text + `"`
	case Null:
		return "null"
	}
	return v.Text
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, in, want, fix string
		cut                 bool
	}{
		{"plain", `{"a":1,"b":[true,null,"x"]}`, `{"a":1,"b":[true,null,"x"]}`, "", false},
		{"closing NUL", "{\"a\":1}\x00", `{"a":1}`, "", false},
		{"NULs and newline", "\n{\"a\":1}\n\x00\x00", `{"a":1}`, "", false},
		{"bytes after the NUL", "{\"a\":1}\x00{\"b\":2}", `{"a":1}`, "", false},
		{"byte order mark", "\ufeff{\"a\":1}", `{"a":1}`, "", false},
		{"objects without comma", `{"S":[{"a":1}{"b":2}]}`, `{"S":[{"a":1},{"b":2}]}`, "missing comma between values is added", false},
		{"braces inside a string", `{"x":"}{","y":"[,{"}`, `{"x":"}{","y":"[,{"}`, "", false},
		{"comma after bracket", `{"L":[,{"a":1}]}`, `{"L":[{"a":1}]}`, "surplus comma is dropped", false},
		{"comma before brace", `{"a":1,}`, `{"a":1}`, "comma before } is dropped", false},
		{"comma before bracket", `{"a":[1,]}`, `{"a":[1]}`, "comma before ] is dropped", false},
		{"raw newline in a string", "{\"a\":\"x\ny\"}", `{"a":"x y"}`, "control bytes inside strings become spaces", false},
		{"member glued to a string", `{"m":"B""temp0":77,"c":1}`, `{"m":"B","temp0":77,"c":1}`, "missing comma between members is added", false},
		{"member glued to a number", `{"m":5"temp0":77}`, `{"m":5,"temp0":77}`, "missing comma between members is added", false},
		{"bare nan and inf", `{"a":nan,"b":inf,"c":-inf,"d":NaN,"e":1}`, `{"a":null,"b":null,"c":null,"d":null,"e":1}`, "nan and inf are null", false},
		{"list of bare strings", `{"error_code":{"111","222"}}`, `{"error_code":["111","222"]}`, "an object of bare strings is read as a list", false},
		{"repeated keys are kept", `{"temp1":1,"temp1":2}`, `{"temp1":1,"temp1":2}`, "", false},
		{"cut in a string", `{"a":1,"b":"hal`, `{"a":1}`, "", true},
		{"cut in a number", `{"a":1,"b":12`, `{"a":1}`, "", true},
		{"cut after a key", `{"a":1,"b"`, `{"a":1}`, "", true},
		{"cut after a colon", `{"a":1,"b":`, `{"a":1}`, "", true},
		{"cut inside a list", `{"a":[{"x":1},{"y":`, `{"a":[{"x":1},{}]}`, "", true},
		{"no value", `{"a":,"b":2}`, `{"a":null,"b":2}`, "a member without a value is null", false},
		{"bracket lost", `{"a":[1,2,"b":3}`, `{"a":[1,2,"b",3]}`, "stray colon is skipped", false},
		{"number beyond 64 bits", `{"a":-7.3e31,"b":1655589633532138}`, `{"a":-7.3e31,"b":1655589633532138}`, "", false},
		{"text after", `{"a":1} junk`, `{"a":1}`, "text after the reply is ignored", false},
		{"escapes", `{"a":"\u0041\"\q"}`, `{"a":"A"\q"}`, "an unknown escape is kept as text", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := Parse([]byte(c.in))
			if err != nil {
				t.Fatal(err)
			}
			if got := show(r.Value); got != c.want || r.Truncated != c.cut {
				t.Errorf("got %s cut %v, want %s", got, r.Truncated, c.want)
			}
			if (c.fix == "" && len(r.Fixes) > 0) || (c.fix != "" && !slices.Contains(r.Fixes, c.fix)) {
				t.Errorf("fixes %q, want %q", r.Fixes, c.fix)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	for in, kind := range map[string]workload.Kind{
		"":         workload.Unavailable,
		"\x00\x00": workload.Unavailable,
		`,"id":1}`: workload.Unavailable,
		"Socket connect failed: Connection refused\n": workload.Unavailable,
		"<html><body>502</body></html>":               workload.Unavailable,
		"SSH-2.0-dropbear":                            workload.Invalid,
		strings.Repeat("[", 200):                      workload.Invalid,
		strings.Repeat(" ", MaxBytes+1):               workload.Invalid,
		"[" + strings.Repeat("1,", MaxValues+1) + "]": workload.Invalid,
	} {
		if _, err := Parse([]byte(in)); err == nil || workload.KindOf(err) != kind {
			t.Errorf("%.40q: %v, want %v", in, err, kind)
		}
	}
}

// An object without end must not make each look-up a walk through megabytes.
func TestMembersAreBounded(t *testing.T) {
	r, err := Parse([]byte(`{"first":1` + strings.Repeat(`,"more":2`, 2*MaxMembers) + `}`))
	if err != nil || len(r.Value.Members) != MaxMembers || r.Value.Get("first").Str() != "1" || len(r.Fixes) == 0 {
		t.Errorf("%d members, fixes %q, %v", len(r.Value.Members), r.Fixes, err)
	}
}

func TestFixed(t *testing.T) {
	for _, c := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"14.9", 14_900, true}, {"  6.0000 ", 6000, true}, {"-273", -273_000, true}, {"45%", 45_000, true}, {"0.0004", 0, true},
		{"1e3", 1_000_000, true}, {"2.5E-1", 250, true}, {"-0.5", -500, true}, {".5", 500, true}, {"5.", 5000, true},
		{"1655589633532138", 1_655_589_633_532_138_000, true}, {"9223372036854775807", 0, false}, {"-7.3e31", 0, false}, {"1e9999", 0, false},
		{"0e9999", 0, true}, {"", 0, false}, {"-", 0, false}, {".", 0, false}, {"1.2.3", 0, false}, {"0x10", 0, false}, {"12 W", 0, false}, {"e5", 0, false},
	} {
		if got, ok := Milli(c.in); got != c.want || ok != c.ok {
			t.Errorf("%q: %d %v, want %d %v", c.in, got, ok, c.want, c.ok)
		}
	}
}

func TestKeys(t *testing.T) {
	r, err := Parse([]byte(`{"Temperature":1,"temp1":"a","TEMP1":"b","S":[{"x":"on"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	v := r.Value
	if v.Get("temperature").Str() != "1" || v.Get("temp1").Str() != "b" || len(v.All("temp1")) != 2 || !v.Path("s", "x").True() || v.Get("none").Kind != Null {
		t.Errorf("%+v", v)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"a":[1,{"b":nan}]}`, `{"S":[{"a":1}{"b":"x""c":2}]}`, `{"e":{"1","2"}}`, `[,{]}`, `{"a"`, `{"a":"\u00`, ",\"id\":1}", "{\x00", `{"a":{"b":[`, `{:}`, `[}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Parse(in)
		if err == nil && r.Value.Kind < Array {
			t.Errorf("a reply of kind %d", r.Value.Kind)
		}
	})
}

func FuzzFixed(f *testing.F) {
	for _, s := range []string{"1.5", "-1e3", "9e18", "1e-400", "%"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, places int) {
		n, ok := Fixed(s, places%10)
		if !ok && n != 0 {
			t.Errorf("%q refused but is %d", s, n)
		}
	})
}
