//go:build linux

package shim

import (
	"fmt"
	"os"
)

// Probe makes and removes the containment that a workload would get here, and
// returns its kind.
func Probe() string {
	c := contain(fmt.Sprintf("probe-%d", os.Getpid()), "")
	if c.dir != "" {
		os.Remove(c.dir)
	}
	return c.kind
}
