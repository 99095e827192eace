package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/workload"
)

// agentCurtail gives one order to many miners at once, by hand.
func agentCurtail(a *app) *cobra.Command {
	var to string
	var within time.Duration
	var parallel int
	var flags minerFlags
	cmd := &cobra.Command{
		Use: "curtail ADDRESS|CIDR... --to sleep|wake|WATTSW", Short: "Put miners to sleep, wake them or limit their power, at once",
		Long: "Give one order to every miner at the addresses given, and wait until hashrate or\n" +
			"watts show it. A miner that an agent steers will be set back by that agent.",
		RunE: func(cmd *cobra.Command, args []string) error {
			order, err := curtailment(to)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), within)
			defer cancel()
			return a.curtail(ctx, args, order, parallel, flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&to, "to", "", "sleep, wake, or a power target such as 2500W for each")
	f.DurationVar(&within, "within", time.Minute, "deadline for all of them")
	f.IntVar(&parallel, "parallel", 64, "miners at once")
	flags.add(cmd)
	return cmd
}

func curtailment(to string) (netminer.Order, error) {
	switch to {
	case "sleep":
		return netminer.Sleep(), nil
	case "wake":
		return netminer.Wake(), nil
	}
	var watts int64
	if n, err := fmt.Sscanf(to, "%dW", &watts); n != 1 || err != nil || watts <= 0 || to != fmt.Sprintf("%dW", watts) {
		return netminer.Order{}, usagef("--to %q is not sleep, wake or watts such as 2500W", to)
	}
	return netminer.Order{Power: watts}, nil
}

func (a *app) curtail(ctx context.Context, args []string, order netminer.Order, parallel int, flags minerFlags) error {
	addrs, err := netminer.Targets(args...)
	if err != nil {
		return err
	}
	if len(addrs) == 0 {
		return usagef("no miner is named").Hint("give an address or a CIDR range")
	}
	ports, logins, err := flags.parse()
	if err != nil {
		return err
	}
	var list []*netminer.Miner
	if err := netminer.Scan(ctx, addrs, ports, func(f netminer.Found) {
		if f.Err == nil {
			list = append(list, netminer.NewMiner(f.Addr.String(), ports, f.Identity, logins.For(f.Addr, f.Family)))
		}
	}); err != nil {
		return err
	}
	failed := 0
	for _, r := range netminer.Curtail(ctx, list, order, netminer.Watch{}, parallel) {
		what := "as ordered already"
		switch {
		case r.Err != nil:
			what = r.Err.Error()
			failed++
		case r.Changed:
			what = "done"
		}
		fmt.Fprintf(a.out, "%s  %s  %s\n", r.Miner.Host, r.Miner.Identity.Family, what)
	}
	if failed > 0 || len(list) == 0 {
		return workload.Errorf(workload.Unavailable, "%d of %d miners did not do it", failed, len(list))
	}
	return nil
}
