package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-project/sluice/agent/device/netminer"
	"github.com/sluice-project/sluice/agent/device/netminer/emulate"
)

// emulated is one line of what is being played.
type emulated struct {
	Name   string          `json:"name"`
	Family netminer.Family `json:"family"`
	Host   string          `json:"host"`
	Ports  string          `json:"ports"` // as --miner-ports takes them
	Serves []string        `json:"serves,omitempty"`
}

func emulateMiner(a *app) *cobra.Command {
	var replay, listen, ports, format string
	var play []string
	var faults emulate.Faults
	var delay time.Duration
	cmd := &cobra.Command{
		Use: "miner", Short: "Serve recorded replies of miners, or models that obey orders", Args: cobra.NoArgs,
		Long: "Serve ASIC miners on loopback: with --replay one device for each recorded reply\n" +
			"of a directory, byte for byte; with --model devices whose watts and hashrate\n" +
			"follow the orders they get. They misbehave as real ones do, on request.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := netminer.ParsePorts(ports)
			if err != nil {
				return err
			}
			list, names, err := miners(a, replay, play, delay)
			if err != nil {
				return err
			}
			if len(list) > 1 && ports != "" {
				return usagef("--miner-ports names the ports of one device, and %d are played", len(list))
			}
			return a.emulate(cmd.Context(), list, names, listen, wanted, faults, format)
		},
	}
	f := cmd.Flags()
	f.StringVar(&replay, "replay", "", "directory of recorded replies (*.rpc, *.json)")
	f.StringArrayVar(&play, "model", nil, "antminer, whatsminer, whatsminer3, braiins or axeos, that obeys orders; repeat for more")
	f.StringVar(&listen, "listen", "127.0.0.1", "loopback address")
	f.StringVar(&ports, "miner-ports", "", "ports of the cgminer API, HTTP, HTTPS and btminer API 3; default free ones")
	f.IntVar(&faults.Chunk, "chunk", 0, "write replies in pieces of this many bytes")
	f.DurationVar(&faults.Pause, "pause", 0, "wait between the pieces")
	f.IntVar(&faults.ResetAfter, "reset-after", 0, "reset connections after this many bytes of each reply")
	f.BoolVar(&faults.NoNUL, "no-nul", false, "end replies without NUL")
	f.BoolVar(&faults.Hold, "hold", false, "keep connections open after the reply")
	f.BoolVar(&faults.Silent, "silent", false, "take requests and never answer")
	f.DurationVar(&delay, "delay", 3*time.Second, "how long a model takes to obey")
	f.StringVarP(&format, "output", "o", "table", "table or json, a line for each device")
	return cmd
}

func miners(a *app, replay string, play []string, delay time.Duration) (list []emulate.Miner, names []string, err error) {
	if (replay == "") == (len(play) == 0) {
		return nil, nil, usagef("give either --replay DIR or --model FAMILY")
	}
	for _, word := range play {
		family, v3 := strings.CutSuffix(word, "3")
		m, err := emulate.NewModel(netminer.Family(family), v3)
		if err != nil {
			return nil, nil, err
		}
		m.Delay = delay
		list, names = append(list, m), append(names, m.Name)
	}
	if replay != "" {
		recorded, skipped, err := emulate.Load(replay)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range skipped {
			fmt.Fprintln(a.err, "skipped", s)
		}
		for _, r := range recorded {
			list, names = append(list, r), append(names, r.Name)
		}
	}
	return list, names, nil
}

// emulate serves until the context ends.
func (a *app) emulate(ctx context.Context, list []emulate.Miner, names []string, host string, ports netminer.Ports, faults emulate.Faults, format string) (err error) {
	for i, m := range list {
		s, serveErr := emulate.Serve(m, host, ports, faults)
		if serveErr != nil {
			return serveErr
		}
		defer func() { err = errors.Join(err, s.Close()) }()
		line := emulated{Name: names[i], Family: m.Family(), Host: s.Host, Ports: s.Ports.String()}
		if r, ok := m.(*emulate.Replay); ok {
			line.Serves = r.Commands()
		}
		switch format {
		case "json":
			if err := json.NewEncoder(a.out).Encode(line); err != nil {
				return err
			}
		default:
			fmt.Fprintf(a.out, "%s  sluice agent probe %s --miner-ports %s\n", line.Name, line.Host, line.Ports)
		}
	}
	<-ctx.Done()
	return nil
}
