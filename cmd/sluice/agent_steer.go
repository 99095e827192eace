package main

import (
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/workload"
)

// agentSteer is the workload of a grant on an ASIC that mines by itself. A
// Miner document for `devices: [netminer]` names it as its program.
func agentSteer(a *app) *cobra.Command {
	var pools []string
	var worker, password, level string
	s := &netminer.Steer{}
	cmd := &cobra.Command{
		Use: "steer", Short: "Have an ASIC mine for a pool, and sleep at the end", Args: cobra.NoArgs, Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logger(a.err, level)
			if err != nil {
				return err
			}
			if s.Miner, err = netminer.FromEnvironment(a.env); err != nil {
				return err
			}
			if len(pools) == 0 || worker == "" {
				return workload.Errorf(workload.Invalid, "a miner without pool and worker would mine for whom it did before").Hint("give --pool and --worker")
			}
			for _, p := range pools {
				s.Pools = append(s.Pools, netminer.PoolSetting{URL: p, User: worker, Password: password})
			}
			s.Log, s.Token = log, os.Getenv("SLUICE_MINER_TOKEN")
			return s.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&pools, "pool", nil, "pool to mine for; repeat for more, in order of preference")
	f.StringVar(&worker, "worker", "", "user at the pool")
	f.StringVar(&password, "password", "x", "password at the pool")
	f.Int64Var(&s.Power, "power", 0, "power target in watts; 0 leaves it")
	f.StringVar(&s.API, "api", "", "loopback address of the statistics API; its token comes from SLUICE_MINER_TOKEN")
	f.DurationVar(&s.Every, "every", 15*time.Second, "how often the device is looked at")
	f.DurationVar(&s.Watch.Within, "settle", 10*time.Minute, "how long the device may take to do what is ordered")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	return cmd
}

// minerDrivers are the drivers of the miners that an agent shall look after.
func minerDrivers(targets []string, flags minerFlags, config netminer.Config) ([]device.Driver, error) {
	if len(targets) == 0 {
		return nil, nil
	}
	var err error
	if config.Targets, err = netminer.Targets(targets...); err != nil {
		return nil, err
	}
	if config.Ports, config.Logins, err = flags.parse(); err != nil {
		return nil, err
	}
	return netminer.Start(config).Drivers(), nil
}
