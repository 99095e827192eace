package config

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
)

// abuse are the inputs on which the YAML library alone takes long, much
// memory, or both; each is about a megabyte.
func abuse() map[string]string {
	const n = 1 << 20
	rep := strings.Repeat
	cases := map[string]string{
		"too large":         rep("a: b\n", n/5+100),
		"brackets":          rep("[", n),
		"braces":            rep("{", n),
		"mixed brackets":    rep("[{", n/2),
		"closed brackets":   rep("[", n/2) + rep("]", n/2),
		"dashes":            rep("- ", n/2),
		"dash lines":        rep("-\n", n/2),
		"questions":         rep("? ", n/2),
		"colons":            rep(": ", n/2),
		"commas":            "[" + rep(",", n-1),
		"key marks":         rep("a: ", n/3),
		"one mapping":       rep("a: b\n", n/5),
		"one flow mapping":  "{" + rep("a: b, ", n/6-1),
		"list":              rep("- a\n", n/4),
		"documents":         rep("---\n", n/4),
		"document ends":     rep("...\n", n/4),
		"anchors":           rep("- &a b\n", n/7),
		"aliases":           rep("- *a\n", n/5),
		"tags":              rep("- !!str a\n", n/10),
		"merge keys":        rep("- <<: a\n", n/8),
		"laughs":            "a: &a [x]\nb: &b [*a,*a,*a,*a]\n" + rep("c: [*b,*b,*b,*b]\n", n/20),
		"directives":        rep("%YAML 1.2\n", n/10),
		"quote":             `"` + rep("x", n-1),
		"quotes":            rep(`"" `, n/3),
		"single quotes":     rep("'", n),
		"escapes":           `"` + rep(`\"`, n/2-1),
		"plain":             rep("x", n),
		"plain words":       rep("x ", n/2),
		"plain lines":       rep("x\n", n/2),
		"block scalar":      "a: |\n" + rep("  x\n", n/4-2),
		"folded scalar":     "a: >\n" + rep("  x\n", n/4-2),
		"blank block":       "a: |\n" + rep("\n", n-6),
		"spaces":            "a:" + rep(" ", n-3) + "b",
		"tabs":              "a:" + rep("\t", n-3) + "b",
		"newlines":          rep("\n", n),
		"carriage returns":  rep("\r", n),
		"crlf":              rep("\r\n", n/2),
		"comments":          rep("#\n", n/2),
		"comment":           "#" + rep("x", n-1) + "\n[",
		"NUL":               rep("\x00", n),
		"NUL at the end":    rep("#\n", 100) + "\x00",
		"invalid UTF-8":     rep("\xff", n),
		"controls":          rep("\x1b", n),
		"bidi":              rep("\u202e", n/3),
		"byte order marks":  rep("\ufeff", n/3),
		"staircase":         staircase(n),
		"unclosed":          "a: [b, c\n",
		"unclosed quote":    "a: 'b\n",
		"reversed brackets": rep("]", n),
	}
	return cases
}

// staircase is a mapping that gets deeper with each line.
func staircase(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strings.Repeat(" ", i) + "k:\n")
	}
	return b.String()[:n]
}

// TestAbuseIsRefusedCheaply: 1 MiB of each abuse costs at most 50 ms and
// 16 MiB. Some (a comment, blank lines of a scalar) are refused for their
// content, not for their form.
func TestAbuseIsRefusedCheaply(t *testing.T) {
	var worst time.Duration
	var most uint64
	for name, in := range abuse() {
		data := []byte(in)
		best, least := time.Hour, uint64(1<<62)
		var err error
		for range 5 { // the least of several: others use the machine too
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err = Parse("abuse.yaml", data)
			best = min(best, time.Since(start))
			runtime.ReadMemStats(&after)
			least = min(least, after.TotalAlloc-before.TotalAlloc)
			if best < slower*50*time.Millisecond && least < 16<<20 {
				break
			}
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
		if best > slower*50*time.Millisecond || least > 16<<20 {
			t.Errorf("%s: %s, %.1f MiB", name, best, float64(least)/(1<<20))
		}
		worst, most = max(worst, best), max(most, least)
	}
	t.Logf("worst %s, %.1f MiB", worst.Round(100*time.Microsecond), float64(most)/(1<<20))
}

func TestScanAllocatesNothing(t *testing.T) {
	data := []byte(strings.Repeat("- {a: 'b', \"c\": [d, e]} # f\n", 1000))
	if n := testing.AllocsPerRun(20, func() {
		if f, bad := scan(data); bad {
			t.Fatal(f)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestScanAllows what looks like abuse and is not.
func TestScanAllows(t *testing.T) {
	for _, in := range []string{
		"a: \"&x\"\n", "a: '*x'\n", "# *foo &bar !baz\na: b\n", "glob: '*.txt'\n", "cmd: a && b\n", "a: b*c!d&e\n",
		"a: x & y * z ! w\n", "cmd: [sh, -c, \"a && *b\"]\n", "a: b # &c *d\n", "a: |\n  &x\n  *y\n  !z\n  <<: w\nb: c\n",
		"a: >-\n  *x\n\n  &y\nb: c\n", "- |\n  *x\n- >\n  &y\n", "a:\n  |\n  *x\nb: c\n", "a:\n- |\n *x\n- b\n",
		"a: b\n  & c\n  * d\ne: f\n", "a: \"b\n  & c\n  * d\"\ne: f\n", "a: 'it''s'\nb: '*'\n", "a: \"\\\"&\"\nb: c\n",
		"a: {b: 'c&d', e: [f, \"*g\"]}\n", "{\"a\":1,\"b\":[2,3]}\n", "a: http://x.example/?b=c&d=e#f\n", "a: x#y\n", "a: -5W\n",
		"a: ?x\n", "--- # x\na: b\n...\n---\nc: d\n", "a: 50%\n", "--- |\n  *x\n", "\"a b\": c\n", "a: <<\n", "a: << b\n",
		"a: [b,\n  c, # d\n  e]\nf: g\n", "a: {b: c,\n  d: e\n  }\n", "a:\r\n  b: c\r\n", "a: \"é\u2603\"\n", "a: b: c\n", "a: x::y\n",
		"a: |+2\n    *x\nb: c\n",
	} {
		if f, bad := scan([]byte(in)); bad {
			t.Errorf("%q: refused at %d: %s", in, f.offset, f.text)
		}
	}
}

func TestScanRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"a: &x b\n": "anchor", "a: *x\n": "alias", "- *x\n": "alias", "a: !!str b\n": "tag", "a: [*x]\n": "alias", "a: [b, &c d]\n": "anchor",
		"{a: *b}\n": "alias", "<<: a\n": "merge", "<< : a\n": "merge", "a:\n  <<: b\n": "merge", "? a\n: b\n": "complex", "%YAML 1.2\n---\na: b\n": "directive",
		"&a b: c\n": "anchor", "*a : b\n": "alias", "- - &a b\n": "anchor", "a:\n  &b c\n": "anchor", "a: |\n  x\n*b : c\n": "alias",
		"a: 'b'\nc: *d\n": "alias", "a: \"b\"\n*c : d\n": "alias", "a: b\n*c : d\n": "alias", "--- &a\nb: c\n": "anchor", "a: [\n*b]\n": "alias",
		"a: x\n\n\nb: &y z\n": "anchor", "a: b # x\n  &c\n": "anchor", "a:\n- |\n x\n- &b c\n": "anchor", "a:\n  |\n  x\nb: *c\n": "alias",
		"a: \x07\n": "control", "a: b\rc\n": "control", "a: \u200bb\n": "invisible",
		"a: " + strings.Repeat("x", maxScalar+2) + "\n":         "longer than 64,000",
		strings.Repeat("[", 65) + strings.Repeat("]", 65):       "deeper",
		strings.Repeat("- ", 65) + "a\n":                        "deeper",
		strings.Repeat("a: b\n", maxKeys+1):                     "1,000 keys",
		strings.Repeat("---\na: b\n", maxDocuments+1):           "1,000 documents",
		"[" + strings.Repeat("a,", maxNodes+1) + "a]":           "20,000 values",
		"a: |\n" + strings.Repeat("  xxxxxxxx\n", maxScalar/10): "longer than 64,000",
	} {
		f, bad := scan([]byte(in))
		if !bad || !strings.Contains(f.text, want) {
			t.Errorf("%.60q: %v %q, want %q", in, bad, f.text, want)
		}
	}
	deep := strings.Repeat("[", 64) + strings.Repeat("]", 64)
	if f, bad := scan([]byte(deep)); bad {
		t.Errorf("depth 64: %s", f.text)
	}
}

// TestLibraryIsBounded feeds what passes the scanner at its very bounds: the
// library must stay within a second where the whole machine is busy too.
func TestLibraryIsBounded(t *testing.T) {
	var keys strings.Builder
	for doc := range 6 {
		keys.WriteString("---\nkind: Tenant\n")
		for i := range maxKeys - 5 {
			fmt.Fprintf(&keys, "k%d-%d: v\n", doc, i)
		}
	}
	for name, in := range map[string]string{
		"keys":      keys.String(),
		"list":      "a:\n" + strings.Repeat("- {b: c}\n", maxNodes/6),
		"documents": strings.Repeat("---\nkind: Tenant\nname: a\n", maxDocuments),
		"flow":      "a: {" + strings.Repeat("b: c, ", maxNodes/6) + "d: e}\n",
		"deep":      strings.Repeat(strings.Repeat("[", 60)+strings.Repeat("]", 60)+",\n", 1)[:120] + "\n",
		"comments":  strings.Repeat("# x\n", maxLines-1),
	} {
		if f, bad := scan([]byte(in)); bad {
			t.Fatalf("%s: the scanner refuses: %s", name, f.text)
		}
		d := time.Hour
		var err error
		for tries := 0; tries < 5 && d > 200*time.Millisecond; tries++ {
			start := time.Now()
			_, err = Parse("t.yaml", []byte(in))
			d = min(d, time.Since(start))
		}
		t.Logf("%s: %s", name, d.Round(time.Millisecond))
		if d > 2*slower*time.Second {
			t.Errorf("%s took %s", name, d)
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func seeds() []string {
	all := []string{
		"kind: Tenant\nname: a\nguarantee: 8 GPU\n", "kind: Target\nname: a\nmeasure: power\nof: owned\nuse: mining\nmin: 5%\n",
		"kind: Tariff\nname: a\ncurrency: USD\nbands: [{price: 0.05 USD/kWh}]\n", "a: |\n  b\n", "a: 'b''c'\n", "a: \"b\\\"c\"\n", "- - - a\n",
		"? a\n", "{a: [b, {c: d}]}\n", "--- # x\n...\n", "a: &b c\n", "<<: *a\n", "a:\n- b\n-\n", "\ufeffa: b\n", "a: b\r\n", "{\"a\":\"b\"}", ": :\n", "[]", "{}", "\"", "a: -\n",
		"kind: DeviceProfile\nmodel: RTX 3080\nidle: 22W\nmodes: [{algorithm: a, hashrate: 1MH/s, power: 1W}]\n",
	}
	rng := rand.New(rand.NewPCG(1, 2))
	const alphabet = "ab:-?[]{},&*!|>'\"%#\n \t"
	for range 50 {
		var b strings.Builder
		for range rng.IntN(60) {
			b.WriteByte(alphabet[rng.IntN(len(alphabet))])
		}
		all = append(all, b.String())
	}
	return all
}

func FuzzScan(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if fault, bad := scan(data); bad && (fault.offset < 0 || fault.offset > len(data) || fault.text == "") {
			t.Fatalf("%+v", fault)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		docs, err := Parse("fuzz.yaml", data)
		if d := time.Since(start); d > 5*time.Second {
			t.Fatalf("took %s", d)
		}
		if err != nil {
			if all, ok := err.(*Errors); !ok || len(all.List) == 0 || len(all.List) > MaxErrors {
				t.Fatalf("%T", err)
			}
			return
		}
		for _, d := range docs {
			text := Render(d)
			again, err := Parse("again.yaml", text)
			if err != nil || len(again) != 1 || string(Render(again[0])) != string(text) {
				t.Fatalf("%s\n%v", text, err)
			}
		}
	})
}

func FuzzParseJob(f *testing.F) {
	f.Add([]byte("kind: Job\nname: a\ngang: {gpus: 1}\nrun: {command: [true]}\n"))
	f.Add([]byte("kind: Job\nname: a\ngang: {gpus: 1}\nrun: {command: [a], env: {A: b}}\nlimits: {time: 1h}\nvalue: {bid: 1 USD/GPU-h}\n"))
	for _, s := range seeds() {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if spec, err := ParseJob("fuzz.yaml", data); err == nil && len(spec.Validate()) != 0 {
			t.Fatalf("%+v", spec.Validate())
		}
	})
}
