package decide

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-project/sluice/scheduler/decide/lp"
)

func TestDecimalsAreExact(t *testing.T) {
	for _, c := range []struct {
		x      int64
		digits int
		want   string
	}{{0, 0, "0"}, {0, 6, "0"}, {5, 3, "0.005"}, {-5, 3, "-0.005"}, {1500, 3, "1.5"}, {-1234567, 6, "-1.234567"}, {1000, 3, "1"}, {math.MinInt64, 3, "-9223372036854775.808"}, {42, 12, "0.000000000042"}} {
		if got := decimal(c.x, c.digits); got != c.want {
			t.Errorf("%d, %d digits: %s, want %s", c.x, c.digits, got, c.want)
		}
	}
}

// foreign solves what write wrote with clp and returns the optimum.
func foreign(t *testing.T, name string, write func(*os.File) error, args ...string) float64 {
	t.Helper()
	dir := t.TempDir()
	file, sol := filepath.Join(dir, name), filepath.Join(dir, "sol")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := write(f); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("clp", append([]string{file, "-primalTolerance", "1e-9", "-dualTolerance", "1e-9"}, append(args, "-primalSimplex", "-saveSolution", sol)...)...).CombinedOutput()
	if err != nil || !bytes.Contains(bytes.ToLower(out), []byte("optimal objective")) {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	b, err := os.ReadFile(sol)
	if err != nil || len(b) < 16 {
		t.Fatalf("%s: no solution: %v\n%s", name, err, out)
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))
}

// exported are problems with every kind of row, also with missed targets and
// with a fleet at work.
func exported(t *testing.T) map[string]Problem {
	out := map[string]Problem{}
	for i, shape := range Shapes {
		out[shape] = Generate(60, 10, shape, uint64(i))
	}
	p := Generate(80, 16, ShapeHardAI, 9)
	r, _ := Solve(&p, nil, Budget{})
	inv := inventoryOf(&p)
	placed, _ := Place(inv, Placement{}, &p, r.Plan)
	takeUp(&p, inv, placed)
	p.Policy.MaxMoves = 40
	p.Mining[0].Locked = p.Mining[0].Current
	out["at work"] = p
	out["hall"] = sample()
	rules := Generate(60, 10, ShapeDefault, 5)
	var idle int64
	for _, cl := range rules.Classes {
		idle += cl.Devices * cl.IdleWatts
	}
	rules.Rows = append(rules.Rows,
		Row{Kind: RowShare, Tier: 20, Sense: AtMost, Measure: MeasureRevenue, Part: PartCoin, Coin: rules.Mining[0].Coin, SharePPM: 100_000},
		Row{Kind: RowShare, Tier: 21, Sense: AtLeast, Measure: MeasureOwned, Part: PartMining, SharePPM: 300_000},
		Row{Kind: RowShare, Tier: 22, Sense: AtMost, Measure: MeasurePower, Part: PartTenant, Tenant: rules.Jobs[0].Tenant, SharePPM: 200_000},
		Row{Kind: RowPower, Tier: 23, Sense: AtMost, Limit: idle * 4},
		Row{Kind: RowPreempt, Tier: 24, Sense: AtMost, Limit: 1},
		Row{Kind: RowCash, Tier: 25, Sense: AtLeast, Limit: 1_000_000, Coins: []int{rules.Mining[0].Coin, rules.Mining[1].Coin}})
	out["every rule"] = rules
	return out
}

// The exported program's optimum is the solver's own relaxation: they are built
// by different code from the same problem.
func TestExportIsTheRelaxation(t *testing.T) {
	for name, p := range exported(t) {
		r, _ := Solve(&p, nil, Budget{})
		prog, err := Export(&p, &r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got := lp.Solve(prog.Model(), nil, 0)
		if got.Status != lp.Optimal {
			t.Fatalf("%s: %s", name, got.Status)
		}
		// The prices are whole numbers, the figure itself is rounded up.
		if d := float64(r.LPObjective) - got.Objective; d < -1e-9*math.Abs(got.Objective)-1 || (!r.Cert.Enumerated && d > 5e-7*math.Abs(got.Objective)+1) {
			t.Errorf("%s: lp_objective %d, exported %.3f", name, r.LPObjective, got.Objective)
		} else {
			t.Logf("%s: lp_objective %d, exported %.3f, relative %.2g", name, r.LPObjective, got.Objective, d/got.Objective)
		}
	}
}

func TestClpReadsTheExport(t *testing.T) {
	if _, err := exec.LookPath("clp"); err != nil {
		t.Skip("clp is not installed (Debian: coinor-clp)")
	}
	all := exported(t)
	for _, name := range []string{"at work", ShapeTightCoin, "hall"} { // together every kind of row and column
		p := all[name]
		r, _ := Solve(&p, nil, Budget{})
		prog, err := Export(&p, &r)
		if err != nil {
			t.Fatal(err)
		}
		own := lp.Solve(prog.Model(), nil, 0).Objective
		mps := -foreign(t, "p.mps", func(f *os.File) error { return prog.WriteMPS(f) })
		if math.Abs(mps-own) > 1e-9*math.Abs(own) {
			t.Errorf("%s: clp finds %.9g in the MPS file, the own simplex %.9g", name, mps, own)
		}
		text := foreign(t, "p.lp", func(f *os.File) error { return prog.WriteLP(f) })
		if math.Abs(math.Abs(text)-math.Abs(own)) > 1e-9*math.Abs(own) {
			t.Errorf("%s: clp finds %.12g in the LP file, %.12g expected", name, text, own)
		}
		t.Logf("%s: clp %.6f, own %.6f, lp_objective %d", name, mps, own, r.LPObjective)
	}
}

// lp_objective is clp's optimum but for the rounding of prices to whole numbers,
// of which those of coin ceilings are the coarsest: 0.4e-9 to 4e-9 of the value
// on fleets of this size. (The own simplex agrees within 1e-9: see above.)
func TestLPObjectiveIsClpsOptimum(t *testing.T) {
	if _, err := exec.LookPath("clp"); err != nil {
		t.Skip("clp is not installed (Debian: coinor-clp)")
	}
	p := Generate(20_000, 30, ShapeDefault, 1)
	r, _ := Solve(&p, nil, Budget{})
	prog, err := Export(&p, &r)
	if err != nil {
		t.Fatal(err)
	}
	want := -foreign(t, "p.mps", func(f *os.File) error { return prog.WriteMPS(f) })
	if d := float64(r.LPObjective)/want - 1; d < -1e-9 || d > 1e-8 {
		t.Errorf("lp_objective %d, clp %.3f: %.3g apart", r.LPObjective, want, d)
	} else {
		t.Logf("lp_objective %d, clp %.3f: %.3g apart", r.LPObjective, want, d)
	}
}

func TestExportWantsItsResult(t *testing.T) {
	p := sample()
	r, _ := Solve(&p, nil, Budget{})
	p.Zones[0].EnergyMicroPerKWh++
	if _, err := Export(&p, &r); err == nil || !strings.Contains(err.Error(), "verify") {
		t.Errorf("got %v", err)
	}
}
