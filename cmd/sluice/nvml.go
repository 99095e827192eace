package main

import (
	"fmt"
	"os"

	"github.com/sluice-project/sluice/agent/device/nvml"
)

// runNVMLHelper calls NVIDIA's library on behalf of an agent, which kills it
// when a call hangs.
func runNVMLHelper(args []string) int {
	if err := nvml.Helper(args, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "nvml-helper:", err)
		return exitFailed
	}
	return 0
}
