package main

import "github.com/spf13/cobra"

// agentProbe looks at one piece of hardware without a scheduler.
func agentProbe(a *app) *cobra.Command {
	var port, format string
	cmd := &cobra.Command{
		Use: "probe", Short: "Ask one miner what it is and does, without a scheduler", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "json" && format != "table" {
				return usagef("-o %s is not one of table, json", format)
			}
			if port == "" {
				return usagef("nothing to probe").Hint("give --serial PATH")
			}
			return a.probeSerial(cmd.Context(), port, format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&port, "serial", "", "port with hashing chips, as PATH[,model=bm1370][,chips=4]")
	f.StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}
