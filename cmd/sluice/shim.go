package main

import "github.com/sluice-project/sluice/agent/runner/shim"

// runShim owns one workload; the agent starts it and nobody else should.
func runShim(args []string) int {
	if len(args) != 1 {
		return exitUsage
	}
	return shim.Main(args[0])
}
