package main

import "github.com/spf13/cobra"

// agentEmulate is hardware to try drivers on that is not there.
func agentEmulate(a *app) *cobra.Command {
	return noun("emulate", "Play hardware that is not there, on this machine", emulateMiner(a), emulateChip(a))
}
