package main

import "github.com/spf13/cobra"

// agentProbe looks at one piece of hardware without a scheduler.
func agentProbe(a *app) *cobra.Command {
	var port string
	cmd := &cobra.Command{
		Use: "probe", Short: "Ask one miner what it is and does, without a scheduler", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if port == "" {
				return usagef("nothing to probe").Hint("give --serial PATH")
			}
			return a.probeSerial(cmd.Context(), port)
		},
	}
	cmd.Flags().StringVar(&port, "serial", "", "port with hashing chips, as PATH[,model=bm1370][,chips=4]")
	a.addViewFlags(cmd)
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkView() }
	return cmd
}
