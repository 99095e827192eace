package main

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// agents runs the agent's own benchmarks, which start it in a process of its
// own: the start of a workload, and its memory beside four miners.
func agents() ([]row, error) {
	var out []row
	for _, b := range []struct{ name, times string }{{"Start", "20x"}, {"AgentMemory", "3x"}} {
		rows, err := goBench("./agent", "Benchmark"+b.name, b.times)
		if err != nil {
			return out, err
		}
		out = append(out, rows...)
	}
	return out, nil
}

func goBench(pkg, name, times string) ([]row, error) {
	text, err := exec.Command("go", "test", "-run", "^$", "-bench", "^"+name+"$", "-benchtime", times, pkg).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench %s %s: %w: %s", name, pkg, err, text[max(0, len(text)-300):])
	}
	names := map[string]string{"BenchmarkStart": "agent starts a workload under its shim", "BenchmarkAgentMemory": "agent with four miners"}
	var out []row
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		name, _, _ := strings.Cut(fields[0], "-")
		what, ok := names[name]
		if !ok {
			continue
		}
		n, _ := strconv.Atoi(fields[1])
		var figures []string
		for i := 2; i+1 < len(fields); i += 2 {
			if unit := fields[i+1]; unit != "ns/op" && unit != "B/op" && unit != "allocs/op" {
				figures = append(figures, strings.TrimSuffix(unit, "-ms")+" "+fields[i]+map[bool]string{true: " ms"}[strings.HasSuffix(unit, "-ms")])
			}
		}
		out = append(out, row{what, n, strings.Join(figures, "  ")})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("go test -bench %s %s printed no figures", name, pkg)
	}
	return out, nil
}
