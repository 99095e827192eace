package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

const goodRun = "run: {command: [sluice, practice, train]}\n"

// abuses are documents that a YAML library would choke on: 1 MiB of each.
func abuses() map[string]string {
	mib := func(unit string) string { return strings.Repeat(unit, (1<<20)/len(unit)) }
	var anchors, merges strings.Builder
	anchors.WriteString("a0: &a0 [x,x,x,x,x,x,x,x]\n")
	for i := 1; anchors.Len() < 1<<20-200; i++ {
		fmt.Fprintf(&anchors, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d]\n", i, i, i-1, i-1, i-1, i-1)
	}
	merges.WriteString("m0: {x: 1}\n")
	for i := 1; merges.Len() < 1<<20-100; i++ {
		fmt.Fprintf(&merges, "m%d: {<<: {x: 1}}\n", i)
	}
	return map[string]string{
		"anchors":         anchors.String(),
		"aliases":         "kind: Job\nname: " + mib("*a "),
		"deep sequences":  "x: " + mib("["),
		"deep mappings":   "x: " + mib("{a: "),
		"deep indents":    deepIndents(),
		"tags":            "x: " + mib("!!binary a "),
		"merge keys":      merges.String(),
		"10 MB":           "kind: Job\nname: big\n# " + strings.Repeat("x", 10<<20),
		"10 MB of values": "kind: Job\nname: big\nrun: {command: [" + strings.Repeat("a, ", 10<<20/3) + "a]}\n",
		"NUL":             "kind: Job\nname: \x00\n",
		"not UTF-8":       "kind: Job\nname: \xff\xfe\n",
		"empty":           "",
		"a list":          "- 1\n- 2\n",
	}
}

func deepIndents() string {
	var b strings.Builder
	for i := 0; b.Len() < 1<<20-2000; i++ {
		fmt.Fprintf(&b, "%s%s:\n", strings.Repeat(" ", i), "a")
	}
	return b.String()
}

// quiet is what bad input must not change.
type quiet struct {
	revision int64
	policies string
	jobs     string
}

func (d *demo) quiet(t testing.TB) quiet {
	t.Helper()
	var jobs struct{ Jobs []struct{ ID, Name string } }
	d.get(t, "/api/v1/jobs?all=true", &jobs)
	_, _, pol := d.rest(t, "GET", "/api/v1/policies", d.ready.Env["SLUICE_TOKEN"], "")
	return quiet{d.status().ConfigRevision, string(pol), fmt.Sprint(jobs)}
}

// resident is the memory of the demo's process in MiB.
func (d *demo) resident(t testing.TB) int64 {
	t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.p.pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(data)
	if m == nil {
		t.Fatal("no VmRSS")
	}
	kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kb >> 10
}

// Whatever is wrong with a document: one clear error with its place, the
// documented exit code, and nothing changed anywhere.
func TestBadInputIsRefusedWithItsPlace(t *testing.T) {
	t.Parallel() // it mostly waits
	d := startDemo(t, "--no-jobs", "--nodes", "2")
	before := d.quiet(t)
	job := func(gang, value string) string {
		return "kind: Job\nname: bad\ngang: " + gang + "\n" + goodRun + "value: " + value + "\n"
	}
	const target = "kind: Target\nname: t\nmeasure: devices\nof: owned\nuse: training\n"
	for _, c := range []struct {
		name, verb, doc, place string
		want                   []string
	}{
		{"unknown field", "job", job("{gpu: 1}", "{bid: 0.1 USD/GPU-h}"), ":3:8", []string{`"gpu"`, `did you mean "gpus"`}},
		{"unknown field at the top", "job", job("{gpus: 1}", "{bid: 0.1 USD/GPU-h}") + "chekpoint: {}\n", ":6:1", []string{`did you mean "checkpoint"`}},
		{"wrong unit", "job", job("{gpus: 1}", "{bid: 0.1 USD/kWh}"), ":5:14", []string{"USD/GPU-h"}},
		{"no unit", "job", job("{gpus: 1}", "{bid: 0.1}"), ":5:14", []string{"USD/GPU-h"}},
		{"foreign money", "job", job("{gpus: 1}", "{bid: 0.1 EUR/GPU-h}"), ":5:", []string{"EUR", "USD"}},
		{"NaN", "job", job("{gpus: 1}", "{bid: NaN USD/GPU-h}"), ":5:14", []string{"NaN"}},
		{"infinity", "job", job("{gpus: 1}", "{bid: .inf USD/GPU-h}"), ":5:14", []string{"inf"}},
		{"negative bid", "job", job("{gpus: 1}", "{bid: -0.1 USD/GPU-h}"), ":5:14", []string{"negative"}},
		{"share over 100 %", "job", job("{gpus: 1}", "{bid: 0.1 USD/GPU-h, flex: 125%}"), ":5:", []string{"100 %"}},
		{"negative gang", "job", job("{gpus: -1}", "{bid: 0.1 USD/GPU-h}"), ":3:", []string{"gang.gpus"}},
		{"gang beyond all", "job", job("{gpus: 99999999}", "{bid: 0.1 USD/GPU-h}"), ":3:8", []string{"gang.gpus"}},
		{"gang larger than the fleet", "job", job("{gpus: 9}", "{bid: 0.1 USD/GPU-h}"), ":3:", []string{"9 GPUs", "8 that fit", "next:"}},
		{"gang larger than a node", "job", job("{gpus: 8, perNode: 8}", "{bid: 0.1 USD/GPU-h}"), ":3:", []string{"perNode"}},
		{"a policy as a job", "job", target + "min: 20%\n", ":1:7", []string{"Target"}},
		{"two documents", "job", job("{gpus: 1}", "{bid: 0.1 USD/GPU-h}") + "---\n" + job("{gpus: 1}", "{bid: 0.1 USD/GPU-h}"), ":7:1", []string{"second"}},
		{"share over 100 %", "policy", target + "min: 120%\n", ":6:6", []string{"100 %"}},
		{"share without unit", "policy", target + "min: 0.2\n", ":6:6", []string{"%"}},
		{"NaN share", "policy", target + "min: NaN%\n", ":6:6", []string{"NaN"}},
		{"min above max", "policy", target + "min: 50%\nmax: 20%\n", ":", []string{"max"}},
		{"negative watts", "policy", "kind: DeviceProfile\nmodel: RTX 3080\nidle: -22W\n", ":3:7", []string{"negative"}},
		{"watts as energy", "policy", "kind: Site\nname: demo\nzone: Europe/Berlin\npower: {cap: 24kWh}\n", ":4:14", []string{"kW"}},
		{"unknown zone", "policy", "kind: Site\nname: demo\nzone: Europe/Atlantis\n", ":3:7", []string{"Atlantis"}},
		{"unknown kind", "policy", "kind: Targt\nname: t\n", ":1:7", []string{"Target"}},
		{"a tariff that is not there", "policy", "kind: Site\nname: demo\nzone: Europe/Berlin\npower: {cap: 24kW}\ntariff: nix\n", ":5:", []string{`"nix"`}},
		{"negative coin price", "policy", "kind: Feed\nname: btc-hashprice\nsources: [{value: -1}]\ncurrency: USD\nunit: USD/TH/day\n", ":3:", []string{"at least 0"}},
		{"duplicate", "policy", target + "min: 20%\n---\n" + target + "min: 30%\n", ":9:1", []string{"second"}},
	} {
		file := d.write("bad.yaml", c.doc)
		verbs := [][]string{{"job", "submit", file}}
		if c.verb == "policy" {
			verbs = [][]string{{"policy", "plan", "-f", file}, {"policy", "apply", "-f", file, "--yes"}}
		}
		for _, v := range verbs {
			a := d.run("", v...)
			if a.code != 7 || !strings.Contains(a.err, "error: "+file+c.place) {
				t.Errorf("%s: %s %s: exit code %d, want 7 and %s\n%s", c.name, v[0], v[1], a.code, c.place, a.err)
			}
			for _, w := range c.want {
				if !strings.Contains(a.err, w) {
					t.Errorf("%s: %s %s does not say %q:\n%s", c.name, v[0], v[1], w, a.err)
				}
			}
		}
		d.refusedOverREST(t, c.name, c.verb, c.doc, c.want)
	}
	if after := d.quiet(t); after != before {
		t.Errorf("something changed:\n%+v\n%+v", before, after)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"job", "submit", "/nonexistent.yaml"}, 3}, {[]string{"job", "submit"}, 2}, {[]string{"job", "sumbit", "x"}, 2}, {[]string{"explain", "gpu", "n99/9"}, 3},
		{[]string{"job", "cancel", "4711"}, 3}, {[]string{"policy", "apply"}, 2}, {[]string{"status", "-o", "xml"}, 2}, {[]string{"policy", "delete", "Target/none", "--yes"}, 3}} {
		if a := d.run("", c.args...); a.code != c.code || !strings.Contains(a.err, "error:") {
			t.Errorf("sluice %s: exit code %d, want %d: %s", strings.Join(c.args, " "), a.code, c.code, a.err)
		}
	}
	d.stop(t)
	d.noneLeft()
}

// refusedOverREST sends the same document over REST.
func (d *demo) refusedOverREST(t testing.TB, name, verb, doc string, want []string) {
	t.Helper()
	path := map[string]string{"job": "/api/v1/jobs", "policy": "/api/v1/policies"}[verb]
	code, _, data := d.rest(t, "POST", path, d.ready.Env["SLUICE_TOKEN"], doc)
	var e struct {
		Error struct{ Kind, Text, Next string }
	}
	if json.Unmarshal(data, &e) != nil || code != http.StatusBadRequest && code != http.StatusRequestEntityTooLarge || e.Error.Kind == "" || e.Error.Text == "" {
		t.Errorf("%s: POST %s: %d %.300s", name, path, code, data)
		return
	}
	for _, w := range want {
		if w != "next:" && !strings.Contains(e.Error.Text+e.Error.Next, w) {
			t.Errorf("%s: POST %s does not say %q: %s", name, path, w, data)
		}
	}
}

// The documents that kill YAML libraries are refused in no time, and the server
// does not grow.
func TestBadInputOfAMegabyteCostsNothing(t *testing.T) {
	d := startDemo(t, "--no-jobs", "--nodes", "2")
	before := d.quiet(t)
	warm := func() {
		for name, doc := range abuses() {
			for _, verb := range []string{"job", "policy"} {
				d.refusedOverREST(t, name, verb, doc, nil)
			}
		}
	}
	warm()
	began := d.resident(t)
	for name, doc := range abuses() {
		file := d.write("abuse.yaml", doc)
		for _, v := range [][]string{{"job", "submit", file}, {"policy", "apply", "-f", file, "--yes"}, {"policy", "plan", "-f", file}} {
			start := time.Now()
			a := d.run("", v...)
			if a.code != 7 || !strings.Contains(a.err, "error: ") || !strings.Contains(a.err, "abuse.yaml") || len(a.err) > 2000 || strings.Count(a.err, "error:") > 3 {
				t.Errorf("%s: %s %s: exit code %d\n%.600s", name, v[0], v[1], a.code, a.err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("%s: %s %s took %s", name, v[0], v[1], took)
			}
		}
	}
	for range 3 {
		warm()
	}
	grown := d.resident(t) - began
	figure(t, "server after %d more documents of 1 to 10 MB: %+d MiB resident (race detector on)", 3*2*len(abuses()), grown)
	if grown > 300 {
		t.Errorf("the server grew by %d MiB", grown)
	}
	if after := d.quiet(t); after != before {
		t.Errorf("something changed:\n%+v\n%+v", before, after)
	}
	d.stop(t)
	d.noneLeft()
}
