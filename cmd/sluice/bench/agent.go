package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// agents runs the agent's own benchmarks, which start it in a process of its
// own: its memory beside four miners, and the start of a workload.
func agents() ([]row, error) {
	cmd := exec.Command("go", "test", "-run", "^$", "-bench", "^Benchmark(AgentMemory|Start)$", "-benchtime", "20x", "./agent")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go test ./agent: %w", err)
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
		return nil, fmt.Errorf("go test ./agent printed no figures")
	}
	return out, nil
}
