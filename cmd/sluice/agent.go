package main

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/sluice-project/sluice/agent"
	"github.com/sluice-project/sluice/agent/device"
	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/agent/device/nvml"
	"github.com/sluice-project/sluice/agent/device/serial"
	"github.com/sluice-project/sluice/agent/device/sim"
	"github.com/sluice-project/sluice/scheduler/identity"
	"github.com/sluice-project/sluice/workload"
)

func agentVerb(a *app) *cobra.Command {
	var conf agent.Config
	var node, site, hall, rack, token, level string
	var simulate, miners, serialPorts []string
	var reach minerFlags
	host, _ := os.Hostname()
	cmd := &cobra.Command{
		Use: "agent", Short: "Run the agent of one node", Args: cobra.NoArgs,
		Long: "Run the agent of one node: it reports the node's devices and runs what the\n" +
			"scheduler orders. Workloads outlive it; a new agent takes them over.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := logger(a.err, level)
			if err != nil {
				return err
			}
			conf.Node, conf.Site, conf.Hall, conf.Rack = workload.NodeID(node), workload.SiteName(site), workload.HallName(hall), workload.RackName(rack)
			conf.Log, conf.Version = log, buildVersion()
			ports, err := parsePorts(serialPorts)
			if err != nil {
				return err
			}
			conf.Drivers = realDrivers(ports...)
			if len(simulate) > 0 {
				models, err := parseModels(simulate)
				if err != nil {
					return err
				}
				conf.Drivers = append(conf.Drivers, sim.New(sim.Config{Name: node, Models: models}))
			}
			network, err := minerDrivers(miners, reach, netminer.Config{Log: log})
			if err != nil {
				return err
			}
			conf.Drivers = append(conf.Drivers, network...)
			return runAgent(cmd.Context(), conf, token)
		},
	}
	cmd.AddCommand(agentProbe(a), agentCurtail(a), agentEmulate(a), agentSteer(a))
	f := cmd.Flags()
	f.StringVar(&node, "node", host, "name of this node")
	f.StringVar(&site, "site", "", "site it stands in")
	f.StringVar(&hall, "hall", "", "hall of the site")
	f.StringVar(&rack, "rack", "", "rack of the hall")
	f.StringVar(&conf.Address, "address", host, "host by which other nodes reach this one")
	f.StringVar(&conf.DataDir, "data-dir", "/var/lib/sluice/agent", "data directory")
	f.StringSliceVar(&conf.Servers, "servers", []string{"127.0.0.1:7070"}, "gRPC addresses of the scheduler's servers")
	f.StringVar(&token, "join-token", "", "join token for the first start; default SLUICE_JOIN_TOKEN")
	f.StringArrayVar(&simulate, "sim", nil, "simulated devices, as COUNTxMODEL, such as '4xRTX 3080'; repeat for more")
	f.StringSliceVar(&miners, "miners", nil, "ASIC miners of this node, as addresses and CIDR ranges; nothing else is looked at")
	reach.add(cmd)
	f.StringArrayVar(&serialPorts, "serial", nil, "port with hashing chips, as PATH[,model=bm1370][,chips=4]; repeat for more. USB miners are found without")
	f.StringVar(&level, "log-level", "info", "debug, info, warn or error")
	cmd.AddCommand(agentDevices(a), agentProbe(a), agentEmulate(a))
	return cmd
}

// runAgent enrols the node where it has no certificate, and runs its agent.
func runAgent(ctx context.Context, conf agent.Config, token string) error {
	if token == "" {
		token = os.Getenv("SLUICE_JOIN_TOKEN")
	}
	home := filepath.Join(conf.DataDir, "identity")
	cred, err := enroll(ctx, conf.Servers, token, string(conf.Node), home)
	if err != nil {
		return err
	}
	if conf.SelfPath == "" {
		if conf.SelfPath, err = os.Executable(); err != nil {
			return err
		}
	}
	conf.Cluster = cred.Trust().Cluster
	conf.VerifyPlan = identity.NewPlanVerifier(cred.Trust()).Verify
	conf.TLS = func() (*tls.Config, error) { return identity.AgentTLS(cred), nil }
	ag, err := agent.New(conf)
	if err != nil {
		return err
	}
	parts, ctx := errgroup.WithContext(ctx)
	parts.Go(func() error { return ag.Run(ctx) })
	parts.Go(func() error { return renew(ctx, cred, conf.Servers, string(conf.Node), home, conf.Log) })
	err = parts.Wait()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return errors.Join(err, ag.Close())
}

// realDrivers lists the drivers for hardware. What this program can drive can
// be read here.
func realDrivers(ports ...serial.PortSpec) []device.Driver {
	return []device.Driver{nvml.New(nvml.Config{}), serial.New(serial.Config{Ports: ports})}
}
