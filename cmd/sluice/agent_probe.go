package main

import "github.com/spf13/cobra"

// agentProbe looks at hardware without a scheduler.
func agentProbe(a *app) *cobra.Command {
	var miners probeFlags
	var port string
	cmd := &cobra.Command{
		Use: "probe [ADDRESS|CIDR...]", Short: "Ask miners what they are, or read recorded replies",
		Long: "Ask miners on the network what they are and what they do; nothing is changed.\n" +
			"Only the addresses given are asked. With --replay, recorded replies are read\n" +
			"instead, of any kind: their content tells which. With --serial, a chain of\n" +
			"hashing chips is brought up and described.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if port != "" {
				if len(args) > 0 {
					return usagef("--serial looks at one port; give it alone")
				}
				return a.probeSerial(cmd.Context(), port, a.view.format)
			}
			return a.probeMiners(cmd.Context(), args, miners)
		},
	}
	miners.add(cmd)
	cmd.Flags().StringVar(&port, "serial", "", "port with hashing chips, as PATH[,model=bm1370][,chips=4]")
	a.addViewFlags(cmd)
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return a.checkView() }
	return cmd
}
