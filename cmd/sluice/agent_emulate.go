package main

import "github.com/spf13/cobra"

// agentEmulate stands in for hardware, to try drivers without it.
func agentEmulate(a *app) *cobra.Command {
	return noun("emulate", "Stand in for hardware, to try drivers without it", emulateChip(a))
}
