package main

import "github.com/spf13/cobra"

// agentProbe looks at hardware without a scheduler.
func agentProbe(a *app) *cobra.Command {
	var miners probeFlags
	cmd := &cobra.Command{
		Use: "probe ADDRESS|CIDR...", Short: "Ask miners what they are, or read recorded replies",
		Long: "Ask miners on the network what they are and what they do; nothing is changed.\n" +
			"Only the addresses given are asked. With --replay, recorded replies are read\n" +
			"instead, of any kind: their content tells which.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.probeMiners(cmd.Context(), args, miners)
		},
	}
	miners.add(cmd)
	a.addViewFlags(cmd)
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkView() }
	return cmd
}
