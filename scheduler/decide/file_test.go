package decide

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// fieldPaths lists the places of a struct's JSON form in document order.
func fieldPaths(t *testing.T, typ reflect.Type, path string) []string {
	var out []string
	if len(path) > 200 { // a type that holds itself
		return nil
	}
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		at, ft := strings.TrimPrefix(path+"."+name, "."), typ.Field(i).Type
		out = append(out, at)
		for ft.Kind() == reflect.Slice || ft.Kind() == reflect.Pointer {
			if ft.Kind() == reflect.Slice {
				at += "[]"
			}
			if ft = ft.Elem(); ft.Kind() != reflect.Struct && ft.Kind() != reflect.Pointer {
				out = append(out, at)
			}
		}
		switch ft.Kind() {
		case reflect.Struct:
			out = append(out, fieldPaths(t, ft, at)...)
		case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int8, reflect.Uint64, reflect.String, reflect.Bool:
		default:
			t.Errorf("%s is a %s, which a file cannot hold", at, ft.Kind())
		}
	}
	return out
}

func TestEveryFieldIsDescribed(t *testing.T) {
	want := fieldPaths(t, reflect.TypeFor[Problem](), "")
	var got []string
	for _, f := range Fields {
		got = append(got, f.Path)
		if f.Meaning == "" || (f.Default == "" && !strings.HasSuffix(f.Path, "[]")) {
			t.Errorf("%s has no meaning or default", f.Path)
		}
		if f.Range == "" && f.Unit == "" {
			t.Errorf("%s has no unit", f.Path)
		}
	}
	if !slices.Equal(want, got) {
		t.Errorf("the struct has\n%s\nthe table\n%s", strings.Join(want, "\n"), strings.Join(got, "\n"))
	}
	fieldPaths(t, reflect.TypeFor[Result](), "")
}

// The page's table is made from Fields; UPDATE=1 writes it anew.
func TestThePageListsEveryField(t *testing.T) {
	name := filepath.Join("..", "..", "deploy", "docs", "decide.md")
	page, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| field | unit | range | default | meaning |\n|---|---|---|---|---|\n")
	for _, f := range Fields {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", f.Path, f.Unit, f.RangeText(), f.Default, f.Meaning)
	}
	const open, end = "<!-- fields -->\n", "<!-- end of fields -->"
	head, rest, ok := strings.Cut(string(page), open)
	old, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the page has lost the marks around its table")
	}
	if old == b.String() {
		return
	}
	if os.Getenv("UPDATE") == "" {
		t.Fatal("the page is not what Fields says; run this test with UPDATE=1")
	}
	if err := os.WriteFile(name, []byte(head+open+b.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// set changes the first figure at a path of the decoded document.
func set(doc any, path string, to any) bool {
	name, rest, more := strings.Cut(path, ".")
	name, list := strings.CutSuffix(name, "[]")
	m := doc.(map[string]any)
	if !more {
		m[name] = to
		return true
	}
	if !list {
		return set(m[name], rest, to)
	}
	for _, x := range m[name].([]any) {
		if inner := strings.TrimSuffix(strings.SplitN(rest, ".", 2)[0], "[]"); strings.Contains(rest, "[]") {
			if l, _ := x.(map[string]any)[inner].([]any); len(l) == 0 {
				continue
			}
		}
		return set(x, rest, to)
	}
	return false
}

// sample is a valid problem in which every list has an entry.
func sample() Problem {
	p := hall()
	p.Jobs[0].Current, p.Jobs[0].On = 0, []NodeUse{{Node: p.Classes[0].Nodes[0].Node, Devices: p.Offers[0].Width}}
	p.Rows = append(p.Rows, Row{Kind: RowAIShare, Tier: 3, Sense: AtLeast, Measure: MeasureOwned, Zones: []int{0}, Classes: []int{0}})
	return p
}

func document(t testing.TB, v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// judge reads and validates, and returns the first complaint.
func judge(b []byte) string {
	p, err := ParseProblem(b)
	if err != nil {
		return err.Error()
	}
	for _, i := range Validate(&p) {
		return i.Path + ": " + i.Problem
	}
	return ""
}

// What the table says of ranges and kinds is what happens.
func TestEveryFieldKeepsToItsRangeAndKind(t *testing.T) {
	p := sample()
	if b, _ := json.Marshal(p); judge(b) != "" {
		t.Fatal(judge(b))
	}
	try := func(path string, to any, want string) {
		doc := document(t, p)
		if !set(doc, path, to) {
			t.Errorf("no place for %s", path)
			return
		}
		b, _ := json.Marshal(doc)
		got := judge(b)
		bare := strings.NewReplacer("[0]", "", "[1]", "", "[2]", "", "[3]", "", "[4]", "").Replace(got)
		if got == "" || !strings.Contains(got, want) || !strings.Contains(bare, strings.ReplaceAll(strings.TrimSuffix(path, "[]"), "[]", "")) {
			t.Errorf("%s = %v: %q (want the path and %q)", path, to, got, want)
		}
	}
	numbers := 0
	for _, f := range Fields {
		if f.Unit == "" || strings.HasSuffix(f.Path, "[]") {
			continue
		}
		numbers++
		try(f.Path, json.Number("1.5"), f.Unit)
		try(f.Path, json.Number("1e3"), f.Unit)
		try(f.Path, "NaN", f.Unit)
		try(f.Path, nil, f.Unit)
		try(f.Path, json.Number("18446744073709551616"), f.Unit)
		if f.Path != "jobs[].key" { // which is any number
			try(f.Path, json.Number("9223372036854775808"), f.Unit)
		}
		switch {
		case f.Path == "jobs[].key":
			try(f.Path, -1, f.Unit)
		case f.Range == "":
			try(f.Path, f.Min-1, "")
			try(f.Path, f.Max+1, "")
		case f.Range != "any" && !strings.Contains(f.Path, "node") && !strings.HasPrefix(f.Path, "rows") && f.Path != "zones[].cap_w" && f.Path != "jobs[].on[].node":
			try(f.Path, -2, "")
			try(f.Path, 1_000_000_001, "")
		}
	}
	if numbers < 30 {
		t.Errorf("only %d figures", numbers)
	}
}

func TestFilesAreReadStrictly(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"empty":          {"", "line 1: the file ends here"},
		"cut":            {`{"zones": [`, "line 1: zones: the file ends here"},
		"list":           {`[]`, "a list, where an object belongs"},
		"unknown":        {"{\n \"zoness\": []}", `line 2: has no field "zoness"; it takes zones, classes`},
		"case":           {`{"Zones": []}`, `has no field "Zones"`},
		"deep unknown":   {`{"zones": [{"energy_micro_per_kwh": 1, "cap": 5}]}`, `zones[0]: has no field "cap"`},
		"twice":          {`{"coins": 1, "coins": 2}`, `has "coins" twice`},
		"twice inside":   {`{"zones": [{"cap_w": 1, "cap_w": 1}]}`, `zones[0]: has "cap_w" twice`},
		"missing":        {`{"zones": [{"cap_w": 1}]}`, `zones[0]: has no "energy_micro_per_kwh", micro-units of the accounting currency per kWh`},
		"no policy":      {`{"zones": [], "classes": []}`, `has no "policy"`},
		"NaN":            {`{"zones": [{"energy_micro_per_kwh": NaN}]}`, "zones[0].energy_micro_per_kwh: is not JSON"},
		"float money":    {`{"zones": [{"energy_micro_per_kwh": 0.1}]}`, "zones[0].energy_micro_per_kwh: is 0.1, where a whole number of micro-units of the accounting currency per kWh belongs"},
		"after the end":  {`{"zones": [], "classes": [], "policy": {"horizon_minutes": 1}} {}`, "goes on after its end"},
		"brace":          {`{"zones": [], "classes": [], "policy": {"horizon_minutes": 1}}}`, "goes on after its end"},
		"many coins":     {`{"coins": 20001}`, "coins: is 20001; a file holds at most 20000"},
		"depth":          {`{"zones": ` + strings.Repeat("[", 100_000), "zones[0]: is a list, where an object belongs"},
		"not text":       {"{\"zones\xff\": 1}", "not UTF-8"},
		"bool for count": {`{"coins": true}`, "coins: is true, where a whole number of coins belongs"},
	} {
		if got := judge([]byte(c.in)); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	p, err := ParseProblem([]byte(`{"zones": [{"energy_micro_per_kwh": 5}], "classes": [{"zone": 0, "devices": 1, "idle_watts": 1}],
		"jobs": [{"tenant": 0}], "tenants": 1, "policy": {"horizon_minutes": 60}, "mining": null}`))
	if err != nil || p.Zones[0].Parent != None || p.Zones[0].CapW != -1 || p.Jobs[0].Current != None || Validate(&p) != nil {
		t.Errorf("defaults: %+v %v %v", p, err, Validate(&p))
	}
	for _, c := range []string{`{"gap_ppm": 1, "gap_ppm": 1}`, `{"gap": 1}`, `{}`, `{"stage": 3}`} {
		if _, err := ParseResult([]byte(c)); err == nil {
			t.Errorf("result %s was read", c)
		}
	}
}

func TestFilesHoldWhatTheStructsHold(t *testing.T) {
	p := Generate(60, 8, ShapeTightCoin, 3)
	r, _ := Solve(&p, nil, Budget{})
	b, _ := json.Marshal(p)
	q, err := ParseProblem(b)
	if err != nil || !reflect.DeepEqual(p, q) {
		t.Errorf("the problem changed on its way: %v", err)
	}
	b, _ = json.Marshal(r)
	s, err := ParseResult(b)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := json.Marshal(s); string(again) != string(b) {
		t.Error("the result changed on its way")
	}
	mustVerify(t, &q, &s)
}

// Whatever the bytes: reading ends with a problem or an error with a place, and
// a valid problem has a plan whose proof holds, also when hardly any work is
// allowed.
func FuzzProblemFile(f *testing.F) {
	for seed := range uint64(12) {
		rng := splitmix(seed)
		b, _ := json.Marshal(tiny(func(n int) int { return int(rng.below(int64(n))) }))
		f.Add(b)
	}
	b, _ := json.Marshal(Generate(60, 8, ShapeTightCoin, 1))
	f.Add(b)
	b, _ = json.Marshal(sample())
	f.Add(b)
	f.Add([]byte(`{"zones":[{"energy_micro_per_kwh":1}],"classes":[{"zone":0,"devices":9,"idle_watts":1e9}],"policy":{"horizon_minutes":1}}`))
	f.Add([]byte(`{"zones":[{"energy_micro_per_kwh":-9223372036854775808}],"classes":[],"policy":{"horizon_minutes":1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseProblem(b)
		if err != nil {
			if _, ok := err.(*FileError); !ok {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if len(Validate(&p)) > 0 || p.Tenants > 1000 || p.Coins > 1000 {
			return
		}
		again, _ := json.Marshal(p)
		if q, err := ParseProblem(again); err != nil || !reflect.DeepEqual(empties(q), empties(p)) {
			t.Fatalf("the file of a problem that was read is not read alike: %v", err)
		}
		low, _ := Solve(&p, nil, BudgetOf(1))
		if err := Verify(&p, &low); err != nil {
			t.Fatalf("quick way: %v", err)
		}
		r, _ := Solve(&p, nil, BudgetOf(400))
		if err := Verify(&p, &r); err != nil {
			t.Fatal(err)
		}
	})
}

// empties makes lists without entries alike.
func empties(p Problem) string {
	b, _ := json.Marshal(p)
	return strings.ReplaceAll(string(b), "[]", "null")
}

// A certificate may hold pointers and trees: what reads files copes with them.
func TestReadingFollowsPointersAndTrees(t *testing.T) {
	type node struct {
		Fix  *int64  `json:"fix,omitempty"`
		Kind int8    `json:"kind"`
		Key  uint64  `json:"key,omitempty"`
		Sons []*node `json:"sons,omitempty"`
	}
	const in = `{"kind":1,"sons":[{"fix":-3,"kind":-2},{"kind":0,"key":18446744073709551615,"sons":[{"kind":5}]}]}`
	var n node
	if err := parse([]byte(in), &n, nil); err != nil {
		t.Fatal(err)
	}
	if b, _ := json.Marshal(n); string(b) != in {
		t.Errorf("read as %s", b)
	}
	deep := strings.Repeat(`{"kind":0,"sons":[`, 100_000)
	for in, want := range map[string]string{`{"kind":300}`: "beyond any figure", `{"kind":0,"key":-1}`: "from 0 to", `{"sons":[{"kind":1}]}`: `has no "kind"`, deep: "nested deeper"} {
		if err := parse([]byte(in), &n, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40s: %v", in, err)
		}
	}
}
