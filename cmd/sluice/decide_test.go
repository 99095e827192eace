package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-project/sluice/scheduler/decide"
)

// undetermined lists what the two files cannot tell apart: nothing in problem
// and result says whether a plan was rounded, improved or kept.
var undetermined = map[string][]any{"stage": {"rounded", "improved", "held"}}

// ways lists the changed forms of a leaf.
func ways(path string, v any) []any {
	switch x := v.(type) {
	case bool:
		return []any{!x, 1}
	case string:
		return append([]any{x + "x", "", 1}, undetermined[path]...)
	case json.Number:
		n, _ := x.Int64()
		if strings.Contains(path, "duals") {
			// Near the best prices the bound can be flat: a proof with slightly
			// other ones is as good. A large step is a worse proof or none.
			return []any{n + 100_000_000_000_000, -n - 1, x.String(), json.Number(x.String() + ".5")}
		}
		return []any{n + 1, n - 1, x.String(), json.Number(x.String() + ".5")}
	default:
		return []any{1, "x"}
	}
}

// flips walks a JSON document and calls check with a description while each
// leaf is changed, each field dropped or renamed, each list shortened or
// lengthened.
func flips(doc any, path string, put func(any), check func(what string)) {
	switch x := doc.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(x)) {
			at := strings.TrimPrefix(path+"."+name, ".")
			old := x[name]
			delete(x, name)
			check(at + " dropped")
			x[name+"s"] = old
			check(at + " renamed")
			delete(x, name+"s")
			x[name] = old
			flips(old, at, func(v any) { x[name] = v }, check)
		}
	case []any:
		if len(x) > 0 {
			put(x[:len(x)-1])
			check(path + " shortened")
			put(append(slices.Clone(x), x[len(x)-1]))
			check(path + " lengthened")
			put(x)
		}
		for i := range x {
			flips(x[i], fmt.Sprintf("%s[%d]", path, i), func(v any) { x[i] = v }, check)
		}
	default:
		for _, v := range ways(path, doc) {
			put(v)
			check(fmt.Sprintf("%s: %v instead of %v", path, v, doc))
		}
		put(doc)
	}
}

// searched is a fleet small enough to be searched completely, whose relaxation
// alone would not prove the plan: a gang of two runs in half beside one of three.
func searched() decide.Problem {
	return decide.Problem{Zones: []decide.Zone{{Parent: decide.None, CapW: 5000, EnergyMicroPerKWh: 50_000}},
		Classes: []decide.Class{{Devices: 4, NodeSize: 4, IdleWatts: 20, Trainable: true, Nodes: []decide.NodeShape{{Free: 4, Total: 4}}}},
		Coins:   1, Mining: []decide.MiningCell{{GrossMicroPerHour: 50_000, WattsMeter: 300, EnterMicro: 100, Current: 4}},
		Tenants: 1, Jobs: []decide.Job{{Current: decide.None}, {Current: decide.None}},
		Offers: []decide.Offer{{Job: 0, Width: 3, NetMicroPerHour: 900_000, WattsMeter: 900}, {Job: 1, Width: 2, NetMicroPerHour: 500_000, WattsMeter: 600}},
		Rows:   []decide.Row{{Kind: decide.RowTenant, Sense: decide.AtMost, Limit: 4}},
		Policy: decide.Policy{HorizonMinutes: 60}}
}

// cut keeps little of a generated problem, and every kind of row.
func cut(p decide.Problem) decide.Problem {
	const classes, options, rows = 4, 4, 4
	p.Classes = p.Classes[:classes]
	p.Mining = slices.DeleteFunc(p.Mining, func(m decide.MiningCell) bool { return m.Class >= classes || m.Option >= options })
	p.Offers = slices.DeleteFunc(p.Offers, func(o decide.Offer) bool { return o.Class >= classes })
	p.Rows = slices.Concat(p.Rows[:rows], p.Rows[len(p.Rows)-p.Tenants:])
	return p
}

// Each leaf of result.json, changed by itself, is refused.
func TestVerifyRefusesEachChangedLeaf(t *testing.T) {
	dir := t.TempDir()
	problem, result := filepath.Join(dir, "problem.json"), filepath.Join(dir, "result.json")
	quietly := func(args ...string) (int, string) {
		var errs bytes.Buffer
		a := &app{in: strings.NewReader(""), out: io.Discard, err: &errs, env: func(string) string { return "" }, now: time.Now}
		return a.run(context.Background(), append([]string{"decide"}, args...)), errs.String()
	}
	write := func(file string, v any) {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n, idle := 0, 0
	for name, p := range map[string]decide.Problem{
		"searched": searched(), "targets": cut(decide.Generate(60, 8, decide.ShapeHardAI, 4)), "coins": cut(decide.Generate(60, 6, decide.ShapeTightCoin, 1)),
	} {
		write(problem, p)
		if code, errs := quietly("solve", "--in", problem, "--out", result); code != exitOK {
			t.Fatalf("%s: solve ends with %d: %s", name, code, errs)
		}
		raw, err := os.ReadFile(result)
		if err != nil {
			t.Fatal(err)
		}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		var doc any
		if err := dec.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		same := func() bool { b, _ := json.Marshal(doc); return bytes.Equal(reordered(t, b), reordered(t, raw)) }
		flips(doc, "", func(v any) { doc = v }, func(what string) {
			n++
			for path, words := range undetermined {
				for _, w := range words {
					if strings.HasPrefix(what, fmt.Sprintf("%s: %v instead", path, w)) {
						return
					}
				}
			}
			if same() {
				t.Fatalf("%s: %s changes nothing", name, what)
			}
			write(result, doc)
			code, errs := quietly("verify", "--in", problem, "--result", result)
			if code == exitOK && strings.Contains(what, "duals") {
				// A price that the bound does not depend on, say of a target that
				// every plan misses by as much: another proof of the same bound.
				idle++
				return
			}
			if code != exitInvalid || !strings.Contains(errs, "result.json") {
				t.Errorf("%s: %s: exit code %d %s", name, what, code, errs)
			}
		})
		if !same() {
			t.Fatalf("%s: the walk left a change behind", name)
		}
		write(result, doc)
		if code, errs := quietly("verify", "--in", problem, "--result", result); code != exitOK {
			t.Errorf("%s: the unchanged result is refused: %s", name, errs)
		}
	}
	t.Logf("%d changes; %d of prices without influence", n, idle)
	if n < 500 || idle > n/100 {
		t.Errorf("only %d changes were tried, %d of them without influence", n, idle)
	}
}

func reordered(t *testing.T, b []byte) []byte {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	out, _ := json.Marshal(v)
	return out
}
