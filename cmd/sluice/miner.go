package main

import (
	"math/rand/v2"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/device/serial"
)

// minerVerb is what mines on hardware that no other miner needs to drive. The
// agent starts it under a shim, as it would any miner.
func minerVerb(a *app) *cobra.Command {
	return noun("miner", "Mine on hardware directly, as the agent's workloads do", minerSerial(a))
}

func minerSerial(a *app) *cobra.Command {
	var conf serial.MinerConfig
	var port string
	cmd := &cobra.Command{
		Use: "serial", Short: "Mine SHA-256d on a chain of chips on a serial port", Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if port == "" {
				if port = os.Getenv(serial.PortEnv); port == "" {
					return usagef("no port").Hint("give --port PATH; a workload of the agent finds it in %s", serial.PortEnv)
				}
			}
			var err error
			if conf.Port, err = serial.ParsePort(port); err != nil {
				return err
			}
			conf.Token, conf.Entropy, conf.Out = os.Getenv(serial.TokenEnv), rand.Uint64, a.out
			m, err := serial.NewMiner(conf)
			if err != nil {
				return err
			}
			return m.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVar(&port, "port", "", "port, as PATH[,model=bm1370][,chips=4]; default "+serial.PortEnv)
	f.StringSliceVar(&conf.Pools, "pool", nil, "pool endpoints, in order of preference")
	f.StringVar(&conf.Worker, "worker", "", "worker name")
	f.StringVar(&conf.Password, "password", "x", "what the pool wants as a password")
	f.StringArrayVar(&conf.AllowHosts, "allow-redirect", nil, "host to which a pool may send us; all others are ignored")
	f.StringVar(&conf.API, "api", "", "loopback address of the statistics API; its token comes from "+serial.TokenEnv)
	f.IntVar(&conf.MHz, "mhz", 0, "clock; default the model's")
	f.DurationVar(&conf.Ramp, "ramp", 100*time.Millisecond, "pause between the steps in which the clock rises")
	f.DurationVar(&conf.Silence, "silence", 2*time.Minute, "time without a good nonce after which the chain is brought up anew")
	return cmd
}
